"""Threads that live about a millisecond, thousands of them: each sleeps twice and contends with three others."""
import sys
import os

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "truth"))

from gilclock import MS, Log, Pace, Run, clock, threading

run = Run()
ALIVE = 4
paces = [Pace() for _ in range(ALIVE)]
slots = threading.Semaphore(ALIVE)


def serve_request(log):
    pace = paces.pop()
    try:
        for _ in range(2):
            pace.sleep(log, MS // 5)
            end = clock() + MS // 10
            while clock() < end:
                pass
    finally:
        paces.append(pace)
        slots.release()


def accept_requests(log):
    born = 0
    while run.running:
        slots.acquire()
        born += 1
        run.start(Log("io", "request-%d" % born, False), serve_request)
    for _ in range(ALIVE):  # every slot free: every thread is done
        slots.acquire()
    run.extra["born"] = born


run.add("acceptor", accept_requests, measured=False)
run.expect("io", "io", serve_request)
run.main()
