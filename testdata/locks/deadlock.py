"""Two threads take two locks in opposite order, while a third one goes on; or one takes its lock
twice, or waits for a thread that has ended.

    deadlock.py Lock | RLock | self | gone
"""

import json
import os
import select
import sys
import threading
import time

kind = sys.argv[1]
lock1, lock2 = (threading.RLock(), threading.RLock()) if kind in ("RLock", "gone") else (threading.Lock(), threading.Lock())
both = threading.Barrier(2)
formed = []
ended = threading.Event()


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


def orphan():
    ended.wait()
    formed.append(clock())
    with lock1:
        pass


def bystander():
    other = threading.Lock()
    while True:
        with other:
            time.sleep(0.01)


bodies = {"self": [alone], "gone": [orphan]}.get(kind, [first, second])
print("ready", flush=True)
sys.stdin.readline()  # the recorder is attached
threads = [threading.Thread(target=body, name=body.__name__, daemon=True) for body in bodies + [bystander]]
for thread in threads:
    thread.start()
if kind == "gone":  # after the others, or one of them had its number
    owner = threading.Thread(target=lock1.acquire)
    owner.start()
    owner.join()
    ended.set()
while len(formed) < len(bodies):
    time.sleep(0.001)
print("formed", flush=True)
select.select([0], [], [], 60.0)
print(json.dumps({"formed": max(formed), "threads": {thread.name: thread.native_id for thread in threads}}), flush=True)
os._exit(0)  # threads that hang are no reason to wait
