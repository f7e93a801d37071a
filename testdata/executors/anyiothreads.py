"""Threads of anyio, of which some have a job for half of the time; how many, is told by the argument. anyio has 40 at most."""
import sys
import time

import anyio
import anyio.to_thread

from poolclock import Job, Pool, begin, end, stop

tasks = int(sys.argv[1])
pool = Pool(None, "anyio", min(tasks, 40))


async def once(seconds):
    job = Job(pool, time.sleep, seconds)
    await anyio.to_thread.run_sync(job)
    job.submitted = job.before


async def main():
    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(once, 0.02)
    begin()
    while not stop.is_set():
        async with anyio.create_task_group() as group:
            for _ in range(tasks):
                group.start_soon(once, 0.1)
        await anyio.sleep(0.1)
    end()


anyio.run(main)
