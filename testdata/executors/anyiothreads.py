"""Threads of anyio, of which three have a job for half of the time."""
import time

import anyio
import anyio.to_thread

from poolclock import Job, Pool, begin, end, stop

pool = Pool(None, "anyio", 3)


async def once(seconds):
    job = Job(pool, time.sleep, seconds)
    await anyio.to_thread.run_sync(job)
    job.submitted = job.before


async def main():
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(once, 0.02)
    begin()
    while not stop.is_set():
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(once, 0.1)
        await anyio.sleep(0.1)
    end()


anyio.run(main)
