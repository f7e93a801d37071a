"""Processes that wait for each other in the ways of multiprocessing: shared.py fork|spawn WHICH.

Each measures its own waits, and when it had the lock, by CLOCK_BOOTTIME. It prints "ready", and
starts them when it gets a line, so that who follows children sees them from their begin.
"""

import json
import multiprocessing
import os
import platform
import sys
import threading
import time

import lockclock

PROCESSES = 4


def hold(log, holds, lock, seconds):
    """Has the lock for a while, and gives it back on the last line."""
    begin = lockclock.clock()
    time.sleep(seconds)
    holds.append((begin, lockclock.clock()))
    lock.release()


def lock(log, holds, stop, n, share):
    while not stop.value:
        log.timed("shared", share.acquire)
        hold(log, holds, share, 0.003)
        time.sleep(0.0005)


def body(log, holds, stop, n, share):
    """As with statements do it, twice deep."""
    while not stop.value:
        log.timed("shared", share.__enter__)
        with share:
            pass
        hold(log, holds, share, 0.003)
        time.sleep(0.0005)


def semaphore(log, holds, stop, n, share):
    while not stop.value:
        log.timed("Semaphore", share.acquire)
        time.sleep(0.003)
        share.release()
        time.sleep(0.0005)


def queue(log, holds, stop, n, share):
    """The first two put what the others get: one at a time, for there is room for one. To get is also to read a pipe, so that is not timed."""
    if n < 2:
        while not stop.value:
            log.timed("queue", share.put, n)
        share.put(None)
    else:
        while share.get() is not None:
            time.sleep(0.004)


def event(log, holds, stop, n, share):
    """Two that wait, one that wakes them: seldom, as what it waits for then is too short to be timed."""
    while not stop.value:
        if n == 0:
            time.sleep(0.025)
            log.timed("shared", share.set)
            log.timed("shared", share.clear)
        else:
            log.timed("Event", share.wait, 0.05)


def member(which, conn, stop, n, share):
    log, holds = lockclock.Log(), []
    conn.send((os.getpid(), threading.get_native_id()))
    conn.recv()
    globals()[which](log, holds, stop, n, share)
    conn.send((log.waits, holds))


def main(method, which):
    context = multiprocessing.get_context(method)
    stop = context.RawValue("b", 0)
    share = {"lock": context.Lock, "body": context.RLock, "semaphore": lambda: context.Semaphore(2),
             "queue": lambda: context.Queue(1), "event": context.Event}[which]()
    print("ready", flush=True)
    sys.stdin.readline()
    members = []
    for n in range(PROCESSES):
        ours, theirs = context.Pipe()
        process = context.Process(target=member, args=(which, theirs, stop, n, share))
        process.start()
        members.append((process, ours))
    ids = [conn.recv() for _, conn in members]
    time.sleep(0.3)  # a process that came by exec is known some milliseconds after its interpreter is up
    for _, conn in members:
        conn.send("go")
    time.sleep(1.0)
    stop.value = 1
    logs = [conn.recv() for _, conn in members]
    for process, _ in members:
        process.join()
    code = hold.__code__
    last = max(n for *_, n in lockclock.code_lines(code) if n)
    print(json.dumps({
        "program": os.path.basename(sys.argv[0]), "pid": os.getpid(), "python": platform.python_version(),
        "threads": {str(tid): waits for n, ((_, tid), (waits, _)) in enumerate(zip(ids, logs)) if which != "queue" or n < 2},
        "held": {str(tid): holds for (_, tid), (_, holds) in zip(ids, logs)},
        "holders": [{"function": "hold", "line": [code.co_firstlineno, last]}] if which in ("lock", "body") else [],
    }), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
