"""Threads that do a fixed piece of work, each with data of its own, and end. Prints how long
that took, from when it was told to begin.

    fixedwork.py cpu | mixed | queue THREADS
"""

import json
import queue
import sys
import threading
import time

kind, threads = sys.argv[1], int(sys.argv[2])
ROUNDS, PER_ROUND = 25, 240_000


def crunch(n):
    x = 1
    for i in range(n):
        x = (x * 31 + i) & 0xFFFF
    return x


def cpu():
    for _ in range(ROUNDS):
        crunch(PER_ROUND)


def mixed():
    for _ in range(ROUNDS):
        crunch(PER_ROUND // 2)
        time.sleep(0.01)


def stage(inbox, outbox):
    """A stage of a pipeline: works on what it gets and hands it on."""
    while True:
        job = inbox.get()
        if job is not None:
            crunch(PER_ROUND)
        outbox.put(job)
        if job is None:
            return


def spawned():
    if kind != "queue":
        return [threading.Thread(target={"cpu": cpu, "mixed": mixed}[kind]) for _ in range(threads)]
    queues = [queue.Queue() for _ in range(threads + 1)]
    for _ in range(ROUNDS):
        queues[0].put(1)
    queues[0].put(None)
    return [threading.Thread(target=stage, args=(queues[i], queues[i + 1])) for i in range(threads)]


print("ready", flush=True)
sys.stdin.readline()
begin = time.monotonic_ns()
all = spawned()
for thread in all:
    thread.start()
for thread in all:
    thread.join()
print(json.dumps({"wall_ns": time.monotonic_ns() - begin}), flush=True)
