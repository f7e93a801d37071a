"""Divides a fixed number of reads of one float among threads. With "shared" it is one object
for all: without a GIL each read changes its reference count, so the CPUs send its cache line to and
fro; nobody waits for a lock. With "own" each thread has an object to itself. Prints how long it
took, and the CPU time that each thread used.

    shared.py shared | own READS THREADS
"""

import json
import sys
import threading
import time

kind, reads, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
used = []


class Box:
    def __init__(self):
        self.value = float("1.5")


def read(box, n):
    for _ in range(n // 8):
        box.value, box.value, box.value, box.value, box.value, box.value, box.value, box.value


def work(box, n):
    read(box, n)
    used.append(time.thread_time_ns())


one = Box()
begin = time.monotonic_ns()
all = [threading.Thread(target=work, args=(one if kind == "shared" else Box(), reads // threads)) for _ in range(threads)]
for thread in all:
    thread.start()
for thread in all:
    thread.join()
print(json.dumps({"wall_ns": time.monotonic_ns() - begin, "cpu_ns": used}), flush=True)
