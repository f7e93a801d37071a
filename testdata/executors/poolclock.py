"""Executors that time their own jobs, for programs whose pools are to be watched from outside.

A program makes a Pool of its own, submits jobs to it, and calls end(), which prints as its last line what was measured: JSON, times in
nanoseconds of CLOCK_BOOTTIME. Of each job: between when it was submitted, when it began and when it ended.
"""
import json
import sys
import threading
import time

MS = 1000000


def clock():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Job:
    def __init__(self, pool, function, *args):
        self.pool, self.function, self.args = pool, function, args
        self.before = clock()
        self.submitted = self.began = self.ended = 0
        pool.jobs.append(self)

    def __call__(self):
        self.began = clock()
        try:
            self.function(*self.args)
        finally:
            self.ended = clock()


class Pool:
    """What is known of an executor from inside."""
    all = []

    def __init__(self, name, kind, workers):
        self.name, self.kind, self.workers, self.jobs = name, kind, workers, []
        Pool.all.append(self)

    def submit(self, executor, function, *args):
        job = Job(self, function, *args)
        future = executor.submit(job)
        job.submitted = clock()
        return future


stop = threading.Event()


def wait_for_end():
    sys.stdin.read()
    stop.set()


def listen():
    threading.Thread(target=wait_for_end, name="stdin", daemon=True).start()


def begin():
    listen()
    print("ready", flush=True)


def end():
    print(json.dumps({"schema": "gilscope.executors/v1", "ended": clock(), "pools": [
        {"name": p.name, "kind": p.kind, "workers": p.workers, "jobs": [[j.before, j.submitted, j.began, j.ended] for j in p.jobs]} for p in Pool.all]}), flush=True)
