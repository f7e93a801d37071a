"""Threads that live 1 to 5 ms, started one after another, contending with each other and with a CPU-bound thread.

A thread's first wait, before its first line of Python, cannot be measured from inside.
"""
import threading

from gilclock import FLOOR_NS, MS, Log, Pace, Run, clock

run = Run()
ALIVE = 3
paces = [Pace() for _ in range(ALIVE)]
slots = threading.Semaphore(ALIVE)


def serve_request(log):
    pace = paces.pop()
    try:
        for _ in range(2):
            pace.sleep(log, MS // 4)
            last, end = clock(), clock() + MS // 4
            while last < end:
                now = clock()
                if now - last > FLOOR_NS:
                    log.gap(last, now)
                last = now
    finally:
        paces.append(pace)
        slots.release()


def accept_requests(log):
    born, last = 0, None
    while run.running:
        slots.acquire()
        born += 1
        last = run.start(Log("worker", "request-%d" % born, False), serve_request)
    if last:
        last.join()
    for _ in range(ALIVE):  # every slot free: every thread is done
        slots.acquire()
    run.extra["born"] = born


def score_orders(log):
    end = clock()
    while run.running:
        now = clock()
        if now - end > FLOOR_NS:
            log.gap(end, now)
        end = now


run.add("acceptor", accept_requests, measured=False)
run.add("cpu", score_orders)
run.expect("worker", "cpu", score_orders)
run.expect("cpu", "worker", serve_request)
run.main()
