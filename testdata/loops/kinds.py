"""Blocks of other loops than asyncio's usual one. The argument: asyncio's on select or on poll, or trio's.

Those on select and poll are blocked by these calls on other descriptors, too, for 100 to 300 ms, while their own descriptors change."""
import ctypes
import random
import select
import selectors
import socket
import struct
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


c, d = socket.socketpair()
pairs = [socket.socketpair() for _ in range(20)]
libc = ctypes.CDLL(None)


def soon():
    after(random.uniform(0.1, 0.3), lambda: d.send(b"x"))


async def select_other():
    soon()
    select.select([c], [], [], 5)  # block
    c.recv(1)


async def poll_other():
    soon()
    poll = select.poll()
    poll.register(c, select.POLLIN)
    poll.poll(5000)  # block
    c.recv(1)


async def library_polls():
    """What a library in C does that has one connection."""
    soon()
    libc.poll(struct.pack("ihh", c.fileno(), select.POLLIN, 0), 1, 5000)  # block
    c.recv(1)


async def other_selector():
    """By the very function that the loop waits by."""
    soon()
    with (selectors.SelectSelector if KIND == "select" else selectors.PollSelector)() as other:
        other.register(c, selectors.EVENT_READ)
        other.select(5)  # block
    c.recv(1)


async def waits_thrice():
    """Three times in a row, so no wait of the loop comes in between."""
    for timeout in 0.05, 0.1, 0.03:
        select.select([c], [], [], timeout)  # block
        libc.poll(struct.pack("ihh", c.fileno(), select.POLLIN, 0), 1, int(timeout * 1000))  # block


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
    (receive_with_timeout, "syscall", "poll|ppoll"),
]
KIND = sys.argv[1]
if KIND == "trio":
    import trio
    import trioclock
    pause_for = trio.sleep
else:
    import asyncio
    pause_for = asyncio.sleep
    CASES += [(select_other, "syscall", "select|pselect6"), (poll_other, "syscall", "poll|ppoll"), (library_polls, "syscall", "poll"),
              (other_selector, "syscall", KIND + "|pselect6|ppoll"), (waits_thrice, "syscall", None)]


async def pause():
    """Meanwhile the loop waits for more descriptors, and others."""
    await pause_for(0.008)
    if KIND != "trio":
        loop = asyncio.get_running_loop()
        for pair in random.sample(pairs, 5):
            for one in pair:
                loop.add_reader(one, one.recv, 1)
            pair[0].send(b"x")
            await pause_for(0.001)
        for one in random.sample([one for pair in pairs for one in pair], 20):
            loop.remove_reader(one)
        await pause_for(0.008)


async def once():
    for function, cause, syscall in CASES:
        await pause()
        begin, end, task = await named(function)
        truth.block(begin, end, cause, function, task, function.__name__, syscall)
    await pause()
    begin, end, task = await named(sleep_below)
    truth.block(begin, end, "sleep", sleep_in_task, task, "sleep_below", awaits=["sleep_below", "sleep_in_task"])


if KIND == "trio":
    trioclock.main(once)
else:
    loopclock.main(once, {"select": selectors.SelectSelector, "poll": selectors.PollSelector}[KIND])
