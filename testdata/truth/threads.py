"""Threads that come and go, by different lines: each says when it was made, when it first ran Python, when it ended, who
joined it and for how long, and whether it is a daemon. Two daemons are left when the program ends.

Protocol as in gilclock.py, but that what was measured is printed before the program ends by itself.
"""
import json
import os
import platform
import sys
import threading
import time

from gilclock import clock, lines, told

MS = 0.001
made = []


class Timed:
    """A thread and what it, and who made and joined it, measured."""

    def __init__(self, role, body, daemon=False):
        self.role, self.joins, self.tid, self.first, self.end = role, [], 0, 0, 0
        self.body = body
        self.thread = threading.Thread(target=self.run, name=role, daemon=daemon)
        self.by = threading.get_native_id()
        made.append(self)

    def run(self):
        self.first = clock()
        self.tid = threading.get_native_id()
        self.body()
        self.end = clock()

    def join(self):
        begin = clock()
        self.thread.join()
        self.joins.append((threading.get_native_id(), begin, clock()))

    def json(self, maker):
        return {"role": self.role, "tid": self.tid, "by": self.by, "before": self.before, "first": self.first, "end": self.end,
                "joins": self.joins, "daemon": self.thread.daemon, "function": maker.__name__, "lines": lines(maker)}


def begin_slow():
    t = Timed("slow", lambda: time.sleep(20 * MS))
    t.before = clock()
    t.thread.start()
    return t


def begin_alone():
    t = Timed("alone", lambda: time.sleep(5 * MS), daemon=True)
    t.before = clock()
    t.thread.start()


def begin_joiner(slow):
    t = Timed("joiner", slow.join)
    t.before = clock()
    t.thread.start()
    return t


def begin_brief():
    t = Timed("brief", lambda: time.sleep(2 * MS))
    t.before = clock()
    t.thread.start()
    return t


def begin_left():
    t = Timed("left", threading.Event().wait, daemon=True)
    t.before = clock()
    t.thread.start()


makers = {"slow": begin_slow, "alone": begin_alone, "joiner": begin_joiner, "brief": begin_brief, "left": begin_left}


def main():
    begin_left()  # may be older than the recording
    print("ready", flush=True)
    end = time.monotonic() + 60
    begin_left()
    while not told(0) and time.monotonic() < end:
        slow = begin_slow()
        joiner = begin_joiner(slow)
        begin_alone()
        slow.join()
        joiner.join()
        for _ in range(10):
            begin_brief().join()
    time.sleep(20 * MS)  # the last that nobody joins ends
    begin_left()
    time.sleep(20 * MS)
    print(json.dumps({
        "program": os.path.basename(sys.argv[0]), "pid": os.getpid(), "python": platform.python_version(),
        "threads": [t.json(makers[t.role]) for t in made if t.tid],
    }), flush=True)


main()
