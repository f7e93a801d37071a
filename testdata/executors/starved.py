"""asyncio's default executor, all whose workers look up a host at a name server that does not answer."""
import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import nameserver
from poolclock import Job, Pool, begin, end, stop

server = nameserver.only_one()
pool = Pool("asyncio", "ThreadPoolExecutor", 3)


def look_up(name):
    try:
        socket.getaddrinfo(name, 80)
    except OSError:
        pass


async def main():
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(3, thread_name_prefix="asyncio"))  # as asyncio makes it, but for the number
    await asyncio.gather(*[loop.run_in_executor(None, time.sleep, 0.05) for _ in range(3)])
    begin()
    while not stop.is_set():
        jobs = [Job(pool, look_up, "host%d.example.com" % i) for i in range(3)] + [Job(pool, time.sleep, 0.01)]
        for job in jobs:
            job.before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            job.future = loop.run_in_executor(None, job)
            job.submitted = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        await asyncio.gather(*[job.future for job in jobs])
        await asyncio.sleep(0.2)
    end()


asyncio.run(main())
