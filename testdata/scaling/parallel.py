"""Threads that compute in C code, without the GIL, and say what CPU time they used up to when.

    parallel.py THREADS
"""

import hashlib
import json
import os
import select
import sys
import threading
import time

running = True
used = {}
DATA = bytes(1 << 20)


def work():
    """Computes; every value is a moment and the thread's CPU time up to it."""
    marks = used[threading.get_native_id()] = []
    while running:
        hashlib.sha256(DATA)
        marks.append((time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.thread_time_ns()))


threads = [threading.Thread(target=work, name="hash-%d" % i) for i in range(int(sys.argv[1]))]
for thread in threads:
    thread.start()
print("ready", flush=True)
select.select([0], [], [], 60.0)
running = False
for thread in threads:
    thread.join()
print(json.dumps({str(tid): marks for tid, marks in used.items()}), flush=True)
