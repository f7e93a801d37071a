"""work.py KIND N UNITS: does UNITS of CPU work with N threads or processes, and measures itself.

Kinds: threads and processes divide all of it; half does half of it in the main
thread first; locked does all of it under one lock; fail fails from 2 threads on.
The last line is JSON: the time, and the CPU time, of the parts that are divided
and those that are not, by the program's own clocks.
"""

import json
import multiprocessing
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


def locked(units, lock):
    for _ in range(units):
        with lock:
            work(1)


def divide(units, n):
    return [units // n + (i < units % n) for i in range(n)]


def run(make, args):
    workers = [make(a) for a in args]
    for w in workers:
        w.start()
    for w in workers:
        w.join()


def main():
    kind, n, units = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if kind == "fail" and n > 1:
        print("cannot do that with", n, "threads", file=sys.stderr)
        sys.exit(7)
    begin = time.perf_counter()
    if kind == "half":
        work(units // 2)
        units -= units // 2
    alone = time.perf_counter() - begin
    lock = threading.Lock()
    make = {
        "processes": lambda u: multiprocessing.Process(target=work, args=(u,)),
        "locked": lambda u: threading.Thread(target=locked, args=(u, lock)),
    }.get(kind, lambda u: threading.Thread(target=work, args=(u,)))
    run(make, divide(units, n))
    whole = time.perf_counter() - begin
    print("rate:", round(units / (whole - alone), 3), "units/s")
    print(json.dumps({"alone_s": alone, "divided_s": whole - alone, "n": n}))


if __name__ == "__main__":
    main()
