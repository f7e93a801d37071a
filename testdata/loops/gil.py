"""A loop that ticks every 10 ms, and a thread that keeps the GIL: the loop is innocent."""
import asyncio
import ctypes
import random
import threading
import time

from loopclock import clock, main, truth

keeping = ctypes.PyDLL(None)  # calls through it keep the GIL
rows = [random.random() for _ in range(400000)]


def keep_in_c():
    keeping.usleep(120000)  # block


def keep_in_sort():
    return sorted(rows)  # block


def hog():
    while True:
        for function in (keep_in_c, keep_in_sort):
            begin = clock()
            function()
            truth.block(begin, clock(), "gil", function)
            time.sleep(0.1)


threading.Thread(target=hog, name="hog", daemon=True).start()


async def once():
    await asyncio.sleep(0.01)


main(once)
