"""Two blocks in turn, a sleep and a computation of 120 ms, and nothing that needs more than Python."""
import asyncio
import time

from loopclock import clock, main, truth

LONG = 0.12


async def sleep_in_task():
    time.sleep(LONG)  # block


async def compute_in_task():
    end = time.thread_time() + LONG
    while time.thread_time() < end:  # block
        pass  # block


async def once():
    for cause, function in ("sleep", sleep_in_task), ("cpu", compute_in_task):
        begin = clock()
        await function()
        truth.block(begin, clock(), cause, function)
        await asyncio.sleep(0.005)


main(once)
