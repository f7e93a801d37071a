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

run = up = None  # of this process
host = int(os.environ.get("HOST_PROC", -1))  # a descriptor of the host's /proc, in a container


def number():
    """Notes which of the host's processes and threads this one is."""
    if host >= 0:
        pid, _, tid = os.readlink("thread-self", dir_fd=host).split("/")
        run.extra["host_pid"] = int(pid)
        run.extra.setdefault("host_tids", {})[threading.get_native_id()] = int(tid)


def poll_queue(log):
    number()
    pace = Pace()
    up.release()  # from here on, every wait is measured
    while run.running:
        pace.sleep(log, MS)
    pace.close()


def score_orders(log):
    number()
    up.release()
    last = clock()
    while run.running:
        now = clock()
        if now - last > FLOOR_NS:
            log.gap(last, now)
        last = now


def begin():
    """Starts the threads of this process; a child forgets those of the parent, which it does not have."""
    global run, up
    run, up = Run(), threading.Semaphore(0)
    run.expect("io", "cpu", score_orders)
    threads = [run.start(Log(role, role, False), body) for role, body in (("io", poll_queue), ("cpu", score_orders))]
    for _ in threads:
        up.acquire()
    run.extra["from"] = clock()
    return threads


def end(threads, directory, how, code, parent=None):
    """Ends the threads, and writes down what they measured, who started the process and how, and how it will end."""
    run.extra["to"] = clock()
    run.running = False
    for thread in threads:
        thread.join()
    run.extra.update(how=how, parent=parent or os.getppid(), code=code)
    path = os.path.join(directory, "%d.json" % os.getpid())
    with open(path + ".part", "w") as file, contextlib.redirect_stdout(file):
        run.report()
    os.rename(path + ".part", path)


def contend(directory, how, code, parent=None, seconds=0.2):
    threads = begin()
    time.sleep(seconds)
    end(threads, directory, how, code, parent)
    return code


def body(*args):
    """For multiprocessing."""
    sys.exit(contend(*args))


if __name__ == "__main__":
    sys.exit(contend(sys.argv[1], sys.argv[2], int(sys.argv[3])))
