"""Threads that wait for each other in the ways of the standard library: kinds.py WHICH."""

import queue
import sys
import threading
import time

import lockclock

run = lockclock.Run()


def condition():
    """Two threads, of which it is one's turn and then the other's."""
    cond, turn = threading.Condition(), [0]

    def player(me):
        def play(log):
            while run.running:
                log.timed("RLock", cond.acquire)
                try:
                    while turn[0] != me and run.running:
                        log.timed("Condition", cond.wait, 1.0)
                    time.sleep(0.003)
                    turn[0] = 1 - me
                    cond.notify()
                finally:
                    cond.release()
        return play

    for n in range(2):
        run.add(player(n), f"player-{n}")


def semaphore():
    """Six threads, two at a time."""
    two = threading.Semaphore(2)

    def guest(log):
        while run.running:
            log.timed("Semaphore", two.acquire)
            time.sleep(0.003)
            two.release()
            time.sleep(0.001)

    for n in range(6):
        run.add(guest, f"guest-{n}")


def barrier():
    """Three threads, of which the slowest keeps the others."""
    three = threading.Barrier(3)

    def runner(n):
        def go(log):
            while run.running:
                time.sleep(0.001 + 0.003 * n)
                try:
                    log.timed("Barrier", three.wait, 1.0)
                except threading.BrokenBarrierError:
                    return
        return go

    for n in range(3):
        run.add(runner(n), f"runner-{n}")


def pipeline():
    """A queue of one place, then one without end."""
    first, second = queue.Queue(1), queue.SimpleQueue()

    def produce(log):
        while run.running:
            log.timed("queue", first.put, 1)
        first.put(None)

    def work(log):
        item = 1
        while item:
            item = log.timed("queue", first.get)
            time.sleep(0.004)
            second.put(item)
        while not first.empty():
            first.get()

    def consume(log):
        while log.timed("queue", second.get):
            pass

    for body in (produce, work, consume):
        run.add(body, body.__name__)


def convoy():
    """Four threads in single file: whoever gives the lock back queues again."""
    lock = threading.Lock()

    def go(log):
        while run.running:
            log.timed("Lock", lock.acquire)
            time.sleep(0.002)
            lock.release()
            time.sleep(0)

    for n in range(4):
        run.add(go, f"convoy-{n}")
    run.holds(go)


{f.__name__: f for f in (condition, semaphore, barrier, pipeline, convoy)}[sys.argv[1]]()
run.main()
