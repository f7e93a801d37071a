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


class Iterations:
    """Iterations of a loop, and for how long it was busy."""

    def __init__(self):
        self.earliest = self.left = self.count = self.busy = 0
        self.all = []
        self.began = clock()

    def waits(self):
        """The loop is about to wait for events."""
        self.enter = clock()
        if self.left:
            self.count += 1
            self.busy += self.enter - self.left
            if self.enter - self.earliest >= SHORTEST:
                self.all.append((self.earliest, self.left, self.enter))

    def goes_on(self, ready, timeout_ns):
        """The wait is over: there are events, or the timeout is."""
        self.left = clock()
        self.earliest = self.enter
        if not ready and timeout_ns is not None and timeout_ns > 0:
            self.earliest = min(self.left, self.enter + timeout_ns)


def in_ms(timeout):
    """A timeout as epoll and poll have it."""
    return timeout if timeout is None else math.ceil(timeout * 1e3) * MS


def exactly(timeout):
    return timeout if timeout is None else int(timeout * 1e9)


def clocked(base):
    """A selector that notes iterations."""
    as_waited = exactly if base is selectors.SelectSelector else in_ms

    class Clocked(base):
        def __init__(self):
            super().__init__()
            self.iterations = Iterations()

        def select(self, timeout=None):
            self.iterations.waits()
            ready = super().select(timeout)
            self.iterations.goes_on(ready, as_waited(timeout))
            return ready
    return Clocked()


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


def wait_for_end(wake):
    global running
    sys.stdin.read()
    running = False
    wake()


def begin(wake):
    threading.Thread(target=wait_for_end, args=(wake,), daemon=True).start()
    print("ready", flush=True)


def end(iterations):
    print(json.dumps({
        "schema": "gilscope.loops/v1", "pid": os.getpid(), "python": sys.version.split()[0], "began": iterations.began, "ended": clock(),
        "count": iterations.count, "busy": iterations.busy, "iterations": iterations.all, "calls": truth.calls}), flush=True)
    os._exit(0)  # no iteration is left to be measured


def main(once, selector=selectors.EpollSelector):
    selector = clocked(selector)
    loop = asyncio.SelectorEventLoop(selector)
    asyncio.set_event_loop(loop)

    async def again():
        await asyncio.sleep(0.01)
        while running:
            await once()
            await asyncio.sleep(0.005)

    begin(lambda: loop.call_soon_threadsafe(int))
    loop.run_until_complete(again())
    end(selector.iterations)
