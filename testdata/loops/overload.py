"""A loop that is never idle, because of many callbacks of 2 ms each: no block, but no time left."""
import asyncio
import time

from loopclock import main


def small():
    end = time.thread_time() + 0.002
    while time.thread_time() < end:
        pass


async def once():
    for _ in range(50):
        small()
        await asyncio.sleep(0)


main(once)
