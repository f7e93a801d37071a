"""Divides a fixed piece of numpy work among threads, each with arrays of its own. Prints how
long it took.

    arrays.py large | small | objects UNITS THREADS

large works on arrays of half a million numbers, for which numpy gives the GIL back; small does as
much arithmetic in a Python loop over arrays of 16 numbers, where there is nothing to give back for;
objects adds up arrays of Python's own numbers, which numpy may not do without the GIL.
"""

import json
import sys
import threading
import time

import numpy

kind, units, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def large(units):
    x, y = numpy.linspace(0.0, 1.0, 500_000), numpy.empty(500_000)
    for _ in range(units):
        numpy.sin(x, out=y)


def small(units):
    x = numpy.linspace(0.0, 1.0, 16)
    for _ in range(units * 2000):
        y = x * 2.0 + 1.0
        y.sum()


def objects(units):
    x = numpy.array([float(i) for i in range(100_000)], dtype=object)
    for _ in range(units):
        x.sum()


work = {"large": large, "small": small, "objects": objects}[kind]
begin = time.monotonic_ns()
all = [threading.Thread(target=work, args=(units // threads + (i < units % threads),), name="%s-%d" % (kind, i)) for i in range(threads)]
for thread in all:
    thread.start()
for thread in all:
    thread.join()
print(json.dumps({"wall_ns": time.monotonic_ns() - begin}), flush=True)
