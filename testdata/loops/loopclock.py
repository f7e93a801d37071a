"""An event loop that times its own iterations, for programs whose blocks are to be found from outside.

A program calls main(coroutine function), which prints "ready", runs it again and again until stdin is closed, and prints as its last
line what it measured: JSON, times in nanoseconds of CLOCK_BOOTTIME. An iteration lasts from the end of the loop's wait for events to the
begin of the next. Python leaves the wait only with the GIL, so all it can tell of the begin is between when: the end of the timeout, or if there
were events the begin of the wait, and now.
"""
import asyncio
import inspect
import json
import math
import os
import selectors
import sys
import threading
import time

MS = 1000000
SHORTEST = 20 * MS  # shorter iterations are not in the list


def clock():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Clocked(selectors.EpollSelector):
    """Notes iterations, and how long the loop was busy and idle."""

    def __init__(self):
        super().__init__()
        self.earliest = self.left = self.count = self.busy = 0
        self.iterations = []
        self.began = clock()

    def select(self, timeout=None):
        enter = clock()
        if self.left:
            self.count += 1
            self.busy += enter - self.left
            if enter - self.earliest >= SHORTEST:
                self.iterations.append((self.earliest, self.left, enter))
        ready = super().select(timeout)
        self.left = clock()
        self.earliest = enter
        if not ready and timeout is not None and timeout > 0:
            self.earliest = min(self.left, enter + math.ceil(timeout * 1e3) * MS)
        return ready


class Truth:
    def __init__(self):
        self.calls = []

    def block(self, begin, end, cause, function, task=None, coroutine=None, syscall=None, awaits=None):
        """A call that kept the loop: what a report must say of the iteration it lies in. Awaits: the async functions of the task."""
        lines, first = inspect.getsourcelines(function)
        marked = [first + i for i, line in enumerate(lines) if "# block" in line]
        self.calls.append({
            "begin": begin, "end": end, "cause": cause, "function": function.__name__, "task": task, "coroutine": coroutine,
            "file": function.__code__.co_filename, "lines": marked, "syscall": syscall,
            "awaits": awaits or [coroutine] * bool(coroutine)})


truth = Truth()
running = True


def wait_for_end(loop):
    global running
    sys.stdin.read()
    running = False
    loop.call_soon_threadsafe(int)


def main(once):
    selector = Clocked()
    loop = asyncio.SelectorEventLoop(selector)
    asyncio.set_event_loop(loop)

    async def again():
        await asyncio.sleep(0.01)
        while running:
            await once()
            await asyncio.sleep(0.005)

    threading.Thread(target=wait_for_end, args=(loop,), daemon=True).start()
    print("ready", flush=True)
    loop.run_until_complete(again())
    print(json.dumps({
        "schema": "gilscope.loops/v1", "pid": os.getpid(), "python": sys.version.split()[0], "began": selector.began, "ended": clock(),
        "count": selector.count, "busy": selector.busy, "iterations": selector.iterations, "calls": truth.calls}), flush=True)
    os._exit(0)  # no iteration is left to be measured
