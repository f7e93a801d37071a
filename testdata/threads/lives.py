"""Threads that come and go, by different lines: each says when it was made, when it first ran Python, when it ended, who
joined it and for how long, and whether it is a daemon. Two daemons are left when the program ends.

Protocol: a line "ready"; begins once stdin has a line, or ends; one JSON object as the last line, and ends by itself.
"""
import json
import os
import platform
import sys
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "truth"))
from gilclock import clock, lines

MS = 0.001
ROUNDS = 12
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
    begin_left()  # is older than the recording
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(ROUNDS):
        slow = begin_slow()
        joiner = begin_joiner(slow)
        begin_alone()
        slow.join()
        joiner.join()
        for _ in range(10):
            begin_brief().join()
    time.sleep(20 * MS)  # the last that nobody joins ends
    begin_left()
    time.sleep(500 * MS)  # names and flags are looked at now and then
    print(json.dumps({
        "program": os.path.basename(sys.argv[0]), "pid": os.getpid(), "python": platform.python_version(),
        "threads": [t.json(makers[t.role]) for t in made if t.tid],
    }), flush=True)


main()
