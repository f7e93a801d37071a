"""asyncio's default executor, all whose workers look up a host at a name server that does not answer.

The name server is a socket in a network namespace of the program's own, where nobody reads.
"""
import asyncio
import ctypes
import fcntl
import os
import socket
import struct
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from poolclock import Job, Pool, begin, end, stop

CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        sys.exit("%s: %s" % (what, os.strerror(ctypes.get_errno())))


def silence():
    """Makes a name server that does not answer the only one."""
    check(libc.unshare(CLONE_NEWNS | CLONE_NEWNET), "unshare")
    libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)  # fails in a root that is no mount, which needs no more
    with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as conf:
        conf.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    if os.path.exists("/etc/resolv.conf"):  # else 127.0.0.1 is asked anyway
        check(libc.mount(conf.name.encode(), os.path.realpath("/etc/resolv.conf").encode(), None, MS_BIND, None), "mount resolv.conf")
    os.environ["RES_OPTIONS"] = "timeout:1 attempts:1"
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(server, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    server.bind(("127.0.0.1", 53))
    return server


server = silence()
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
