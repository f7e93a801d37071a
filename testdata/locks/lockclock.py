"""What the lock programs share: each thread times its own waits, and prints them.

The protocol is that of testdata/truth: the program prints "ready", runs until its
stdin ends, and prints one line of JSON. A wait is a call that took longer than
FLOOR_NS: a shorter one may not have slept.
"""

import json
import os
import platform
import select
import sys
import threading
import time

FLOOR_NS = 200_000


def clock():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Log:
    """The waits of one thread: begin, end, for what, and the CPU time in between."""

    def __init__(self):
        self.waits = []

    def timed(self, kind, call, *args, **kwargs):
        """Calls, and notes how long that took."""
        begin, cpu = clock(), time.thread_time_ns()
        result = call(*args, **kwargs)
        cpu, end = time.thread_time_ns() - cpu, clock()
        if end - begin >= FLOOR_NS:
            self.waits.append((begin, end, kind, cpu))
        return result


class Run:
    def __init__(self):
        self.running = True
        self.logs = {}
        self.todo = []
        self.holders = []
        self.more = dict  # what else is to be printed at the end

    def add(self, body, name):
        self.todo.append((body, name))

    def forever(self, body, name):
        """Like add, of a thread that does not end."""
        threading.Thread(target=body, args=(Log(),), name=name, daemon=True).start()

    def holds(self, function):
        """Says that whoever is waited for gave the lock back in this function."""
        code = function.__code__
        last = max([code.co_firstlineno] + [n for *_, n in code_lines(code) if n])
        self.holders.append({"function": function.__name__, "line": [code.co_firstlineno, last]})

    def main(self):
        up = threading.Semaphore(0)

        def enter(body):
            log = self.logs[threading.get_native_id()] = Log()
            up.release()
            body(log)

        threads = [threading.Thread(target=enter, args=(body,), name=name, daemon=True) for body, name in self.todo]
        for thread in threads:
            thread.start()
        for _ in threads:
            up.acquire()
        print("ready", flush=True)
        until_told()
        self.running = False
        for thread in threads:
            thread.join()
        print(json.dumps({
            "program": os.path.basename(sys.argv[0]), "pid": os.getpid(), "python": platform.python_version(),
            "threads": {str(tid): log.waits for tid, log in self.logs.items()}, "holders": self.holders, **self.more(),
        }), flush=True)


def code_lines(code):
    import dis
    return list(dis.findlinestarts(code))


def until_told():
    """Waits for the end of stdin, at most 90 s."""
    select.select([0], [], [], 90.0)
