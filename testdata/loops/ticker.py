"""A loop with little to do: 30 % busy, no block."""
import asyncio
import time

from loopclock import main


async def once():
    end = time.thread_time() + 0.006
    while time.thread_time() < end:
        pass
    await asyncio.sleep(0.01)


main(once)
