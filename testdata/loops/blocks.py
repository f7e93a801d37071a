"""Each way to block an event loop that needs but one process, in turn, 120 ms at a time, with pauses in between."""
import asyncio
import gc
import itertools
import logging
import os
import socket
import tempfile
import threading
import time

from loopclock import MS, clock, main, truth

try:
    import sqlite3
except ImportError:  # some interpreters are built without
    sqlite3 = None

LONG = 0.12
gc.disable()  # when garbage is collected, is part of the program


def after(seconds, act):
    threading.Thread(target=lambda: (time.sleep(seconds), act())).start()


async def sleep_in_task():
    time.sleep(LONG)  # block


async def sleep_below():
    await awaits_first()


async def awaits_first():
    async for _ in awaits_second():
        pass


async def awaits_second():
    await blocks()
    yield 1


async def blocks():
    time.sleep(LONG)  # block


async def starts_eagerly():
    """Starts a task that runs at once, within this one, and blocks."""
    await asyncio.eager_task_factory(asyncio.get_running_loop(), sleep_in_task(), name="eager")


async def compute_in_task():
    end = time.thread_time() + LONG
    while time.thread_time() < end:  # block
        pass  # block


def compute_in_callback(done):
    end = time.thread_time() + LONG
    while time.thread_time() < end:  # block
        pass  # block
    done.set_result(None)


a, b = socket.socketpair()


async def receive():
    after(LONG, lambda: b.send(b"x"))
    a.settimeout(None)
    a.recv(1)  # block


async def receive_with_timeout():
    after(LONG, lambda: b.send(b"x"))
    a.settimeout(5)
    a.recv(1)  # block


data = tempfile.NamedTemporaryFile()
data.write(os.urandom(1 << 20) * 64)
data.flush()
os.fsync(data.fileno())


async def read_file():
    fd = os.open(data.name, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    end = clock() + int(LONG * 1e9)
    for at in itertools.cycle(range(0, 64 << 20, 1 << 20)):
        if clock() > end:
            break
        os.pread(fd, 1 << 20, at)  # block
    os.close(fd)


async def query():
    db = sqlite3.connect(":memory:")
    end = clock() + int(LONG * 1e9)
    while clock() < end:
        db.execute("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 60000) SELECT sum(x) FROM n").fetchall()  # block
    db.close()


SIZE = 1 << 17  # bytes of a message, more than a pipe holds


class Pipe:
    """A pipe that nobody reads for a while."""

    def __init__(self):
        self.out, into = os.pipe()
        self.stream = os.fdopen(into, "w")
        self.log = logging.getLogger("slow")
        self.log.propagate = False
        self.log.addHandler(logging.StreamHandler(self.stream))

    def drain(self):
        left = SIZE + 1  # the line's end
        while left > 0:
            left -= len(os.read(self.out, left))


pipe = Pipe()


async def log_to_pipe():
    after(LONG, pipe.drain)
    pipe.log.warning("x" * SIZE)  # block


def objects(n):
    kept = [[] for _ in range(n)]
    begin = clock()
    gc.collect()
    return kept, clock() - begin


kept, took = objects(400000)
if took < 150 * MS:
    kept, took = objects(int(400000 * min(12, 160 * MS / took)))


async def collect():
    gc.collect()  # block


lock = threading.Lock()


async def wait_for_lock():
    lock.acquire()
    after(LONG, lock.release)
    lock.acquire()  # block
    lock.release()


async def named(function, name):
    task = asyncio.get_running_loop().create_task(function())
    if hasattr(task, "set_name"):
        task.set_name(name)
    begin = clock()
    await task
    return begin, clock()


async def pause():
    for _ in range(3):
        await asyncio.sleep(0.008)
        time.sleep(0.004)  # far too short for a block


CASES = [
    (sleep_in_task, "sleep", None), (compute_in_task, "cpu", None), (receive, "syscall", "recvfrom"), (receive_with_timeout, "syscall", "poll"),
    (read_file, "file", "pread64"), (log_to_pipe, "syscall", "write"), (collect, "gc", None), (wait_for_lock, "lock", "futex"),
] + [(query, "cpu", None)] * bool(sqlite3)


async def once():
    for function, cause, syscall in CASES:
        await pause()
        name = "case-" + function.__name__
        begin, end = await named(function, name)
        truth.block(begin, end, cause, function, name, function.__name__, syscall)
    await pause()
    begin, end = await named(sleep_below, "case-below")
    truth.block(begin, end, "sleep", blocks, "case-below", "sleep_below", awaits=["sleep_below", "awaits_first", "awaits_second", "blocks"])
    await pause()
    if hasattr(asyncio, "eager_task_factory"):  # 3.12
        begin, end = await named(starts_eagerly, "case-eager")
        truth.block(begin, end, "sleep", sleep_in_task, "eager", "sleep_in_task")
        await pause()
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    begin = clock()
    loop.call_soon(compute_in_callback, done)
    await done
    truth.block(begin, clock(), "cpu", compute_in_callback)


main(once)
