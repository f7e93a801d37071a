"""work.py KIND UNITS [THREADS [PROCESSES]]: does UNITS of work, and measures itself.

Kinds: cpu divides CPU work among its threads, which share nothing; locked does
all of it under one lock; half does half of it in the main thread first; naps is
half with naps of a millisecond in place of work, so that it scales as it should
on the busiest machine; holds is cpu with naps that keep the GIL, where there is
one; fail fails with more than one thread.
The last line is the rate by the program's own clock, from the start of its process.
"""

import ctypes
import multiprocessing
import os
import sys
import threading
import time

UNIT = 1000


def work(units):
    # Locals only: an object that two threads touch costs them cache misses without a GIL.
    x = 1
    for _ in range(units * UNIT):
        x = (x * 7 + 3) & 0xFFFF
    return x


def nap(units):
    time.sleep(units / 1000)


def hold(units):
    usleep = ctypes.PyDLL(None).usleep  # PyDLL does not give the GIL back for a call
    for _ in range(units):
        usleep(1000)


def locked(units, lock):
    for _ in range(units):
        with lock:
            work(1)


def divide(units, n):
    return [units // n + (i < units % n) for i in range(n)]


def run(workers):
    for w in workers:
        w.start()
    for w in workers:
        w.join()


def in_threads(kind, units, n):
    lock = threading.Lock()
    do = {"naps": nap, "holds": hold, "locked": lambda u: locked(u, lock)}.get(kind, work)
    if kind in ("half", "naps"):
        do(units // 2)
        units -= units // 2
    run([threading.Thread(target=do, args=(u,)) for u in divide(units, n)])


def age():
    """How long this process has existed, from the kernel's own note of its start."""
    with open("/proc/self/stat") as f:
        ticks = int(f.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def main():
    kind, units, threads, processes = (sys.argv[1:] + ["1", "1"])[:4]
    units, threads, processes = int(units), int(threads), int(processes)
    if kind == "fail" and threads > 1:
        print(f"cannot do that with {threads} threads", file=sys.stderr)
        sys.exit(7)
    if processes == 1:
        in_threads(kind, units, threads)
    else:
        fork = multiprocessing.get_context("fork")
        run([fork.Process(target=in_threads, args=(kind, u, threads)) for u in divide(units, processes)])
    print("rate:", units / age(), "units/s")


if __name__ == "__main__":
    main()
