"""Two threads share a Lock, one of them also waits with a time limit in vain; two share an RLock."""

import threading
import time

import lockclock

run = lockclock.Run()
lock, rlock, kept = threading.Lock(), threading.RLock(), threading.Lock()
kept.acquire()


def with_lock(log):
    while run.running:
        log.timed("Lock", lock.acquire)
        try:
            time.sleep(0.004)
        finally:
            lock.release()
        time.sleep(0.001)


def with_rlock(log):
    while run.running:
        log.timed("RLock", rlock.acquire)
        try:
            with rlock:
                time.sleep(0.003)
        finally:
            rlock.release()
        time.sleep(0.001)


def in_vain(log):
    while run.running:
        log.timed("Lock", kept.acquire, timeout=0.02)


for n in range(2):
    run.add(with_lock, f"lock-{n}")
    run.add(with_rlock, f"rlock-{n}")
run.add(in_vain, "in-vain")
run.holds(with_lock)
run.holds(with_rlock)
run.main()
