"""A process that contends for its GIL for a while, and leaves in DIRECTORY/PID.json what it measured of its waits.

A thread that sleeps 1 ms at a time waits behind one that computes, as in ../truth/convoy.py. Run as a program, or called
in a child of one.
"""
import contextlib
import os
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "truth"))

from gilclock import FLOOR_NS, MS, Log, Pace, Run, clock, threading

run = None  # of this process


def poll_queue(log):
    pace = Pace()
    while run.running:
        pace.sleep(log, MS)
    pace.close()


def score_orders(log):
    last = clock()
    while run.running:
        now = clock()
        if now - last > FLOOR_NS:
            log.gap(last, now)
        last = now


def begin():
    """Starts the threads of this process; a child forgets those of the parent, which it does not have."""
    global run
    run = Run()
    run.expect("io", "cpu", score_orders)
    up = threading.Semaphore(0)
    threads = [run.start(Log(role, role, False), body, up) for role, body in (("io", poll_queue), ("cpu", score_orders))]
    for _ in threads:
        up.acquire()
    return threads


def end(threads, directory, how, code):
    """Ends the threads, and writes down what they measured, how the process was started and how it will end."""
    run.running = False
    for thread in threads:
        thread.join()
    run.extra.update(how=how, parent=os.getppid(), code=code)
    path = os.path.join(directory, "%d.json" % os.getpid())
    with open(path + ".part", "w") as file, contextlib.redirect_stdout(file):
        run.report()
    os.rename(path + ".part", path)


def contend(directory, how, code, seconds=0.3):
    threads = begin()
    time.sleep(seconds)
    end(threads, directory, how, code)
    return code


def body(*args):
    """For multiprocessing."""
    sys.exit(contend(*args))


if __name__ == "__main__":
    sys.exit(contend(sys.argv[1], sys.argv[2], int(sys.argv[3])))
