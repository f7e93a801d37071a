"""Two threads take two locks in opposite order, while a third one goes on; or one takes its lock twice.

    deadlock.py Lock | RLock | self
"""

import json
import select
import sys
import threading
import time

kind = sys.argv[1]
lock1, lock2 = (threading.RLock(), threading.RLock()) if kind == "RLock" else (threading.Lock(), threading.Lock())
both = threading.Barrier(2)
formed = []


def clock():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def first():
    with lock1:
        both.wait()
        formed.append(clock())
        with lock2:
            pass


def second():
    with lock2:
        both.wait()
        formed.append(clock())
        with lock1:
            pass


def alone():
    with lock1:
        formed.append(clock())
        with lock1:
            pass


def bystander():
    other = threading.Lock()
    while True:
        with other:
            time.sleep(0.01)


bodies = [alone] if kind == "self" else [first, second]
print("ready", flush=True)
sys.stdin.readline()  # the recorder is attached
threads = [threading.Thread(target=body, name=body.__name__, daemon=True) for body in bodies + [bystander]]
for thread in threads:
    thread.start()
while len(formed) < len(bodies):
    time.sleep(0.001)
print("formed", flush=True)
select.select([0], [], [], 60.0)
print(json.dumps({"formed": max(formed), "threads": {thread.name: thread.native_id for thread in threads}}), flush=True)
sys.stdout.flush()
import os
os._exit(0)
