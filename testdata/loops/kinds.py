"""Blocks of other loops than asyncio's usual one. The argument: asyncio's on select or on poll, or trio's."""
import selectors
import socket
import sys
import threading
import time

import loopclock
from loopclock import clock, truth

LONG = 0.12
a, b = socket.socketpair()
lock = threading.Lock()


def after(seconds, act):
    threading.Thread(target=lambda: (time.sleep(seconds), act())).start()


async def sleep_in_task():
    time.sleep(LONG)  # block


async def compute_in_task():
    end = time.thread_time() + LONG
    while time.thread_time() < end:  # block
        pass  # block


async def receive():
    after(LONG, lambda: b.send(b"x"))
    a.settimeout(None)
    a.recv(1)  # block


async def receive_with_timeout():
    after(LONG, lambda: b.send(b"x"))
    a.settimeout(5)
    a.recv(1)  # block


async def wait_for_lock():
    lock.acquire()
    after(LONG, lock.release)
    lock.acquire()  # block
    lock.release()


async def sleep_below():
    await sleep_in_task()


async def named(function):
    """Runs it as a task of its own, and tells the name of that."""
    begin = clock()
    if KIND == "trio":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(function)
        return begin, clock(), None
    task = asyncio.get_running_loop().create_task(function())
    if hasattr(task, "set_name"):
        task.set_name(function.__name__)
    await task
    return begin, clock(), function.__name__


CASES = [
    (sleep_in_task, "sleep", None), (compute_in_task, "cpu", None), (receive, "syscall", "recvfrom"), (wait_for_lock, "lock", "futex"),
]
KIND = sys.argv[1]
if KIND == "trio":
    import trio
    import trioclock
    pause_for = trio.sleep
else:
    import asyncio
    pause_for = asyncio.sleep
if KIND != "poll":  # there, a poll is the loop's own
    CASES.append((receive_with_timeout, "syscall", "poll"))


async def once():
    for function, cause, syscall in CASES:
        await pause_for(0.008)
        begin, end, task = await named(function)
        truth.block(begin, end, cause, function, task, function.__name__, syscall)
    await pause_for(0.008)
    begin, end, task = await named(sleep_below)
    truth.block(begin, end, "sleep", sleep_in_task, task, "sleep_below", awaits=["sleep_below", "sleep_in_task"])


if KIND == "trio":
    trioclock.main(once)
else:
    loopclock.main(once, {"select": selectors.SelectSelector, "poll": selectors.PollSelector}[KIND])
