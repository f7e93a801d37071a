"""Threads take two locks, one at a time, so that there is never a deadlock; somebody else has
the second lock just then, so that they wait.

    orders.py opposite | same | alone | guarded | three
"""

import json
import os
import select
import sys
import threading
import time

kind = sys.argv[1]
Kind = threading.RLock if len(sys.argv) > 2 and sys.argv[2] == "RLock" else threading.Lock
lock1, lock2, lock3, gate = Kind(), Kind(), Kind(), Kind()
HELD = 0.12
running = True


def first():
    with lock1:
        with lock2:
            pass


def second():
    with lock2:
        with lock1:
            pass


def again():
    with lock1:
        with lock1 if Kind is threading.RLock else gate:
            with lock2:
                pass


def under_gate_first():
    with gate:
        first()


def under_gate_second():
    with gate:
        second()


def middle():
    with lock2:
        with lock3:
            pass


def last():
    with lock3:
        with lock1:
            pass


# The function of each thread, and the lock that it has to wait for.
plans = {
    "opposite": [("first", [(first, lock2)]), ("second", [(second, lock1)])],
    "same": [("first", [(first, lock2)]), ("second", [(again, lock2)])],
    "alone": [("both", [(first, lock2), (second, lock1)])],
    "guarded": [("first", [(under_gate_first, lock2)]), ("second", [(under_gate_second, lock1)])],
    "three": [("first", [(first, lock2)]), ("middle", [(middle, lock3)]), ("last", [(last, lock1)])],
}


class Worker:
    """A thread that does what it is told, one thing at a time."""

    def __init__(self, name):
        self.go, self.done, self.body = threading.Semaphore(0), threading.Semaphore(0), None
        self.thread = threading.Thread(target=self.run, name=name, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            self.go.acquire()
            self.body()
            self.done.release()


workers = [(Worker(name), steps) for name, steps in plans[kind]]
print("ready", flush=True)
while not select.select([0], [], [], 0.0)[0]:
    for worker, steps in workers:
        for body, lock in steps:
            lock.acquire()
            worker.body = body
            worker.go.release()
            time.sleep(HELD)
            lock.release()
            worker.done.acquire()
print(json.dumps({worker.thread.name: worker.thread.native_id for worker, _ in workers}), flush=True)
os._exit(0)
