"""Tasks that wait in many places. When stdin is closed, the program tells of each of its loops how many of its tasks are not done, and where.

The argument says what else: "steady" waits, and at the line "more" on stdin some tasks end and others begin; "spin" has tasks that run all the
time, without an end; "stuck" has one that never yields; "two" has a second loop in a thread; "uvloop" waits on that; "failed" has tasks that failed, and that
are kept: two for whose exception somebody asks, and five for whose nobody does, of which it tells, too.
"""
import asyncio
import collections
import json
import os
import sys
import threading
import time

MODE = sys.argv[1]
if MODE == "uvloop":
    import uvloop

class Place:
    def __init__(self, loop):
        self.loop = loop
        self.tid = 0
        self.settled = threading.Event()
        self.first = loop.create_future()
        self.kept = []

    def start(self, function, n):
        self.kept += [self.loop.create_task(function(self)) for _ in range(n)]


async def holds_lock(p):
    async with p.lock:
        await p.loop.create_future()


async def takes_lock(p):
    async with p.lock:
        pass


async def takes_work(p):
    while True:
        await p.queue.get()


async def outer(p):
    await middle(p)


async def middle(p):
    async for _ in pages(p):
        pass


async def pages(p):
    await asyncio.sleep(3600)
    yield 1


async def ends(p):
    await p.first


async def gathers(p):
    await asyncio.gather(sleeps(p), sleeps(p))


async def sleeps(p):
    await asyncio.sleep(3600)


async def spins(p):
    while True:
        await asyncio.sleep(0)


async def computes(p):
    while True:
        await asyncio.sleep(0.01)
        end = time.thread_time() + 0.003
        while time.thread_time() < end:
            pass


async def never_yields(p):
    threading.Event().wait()


def parse(text):
    return int(text)


async def fails(p):
    await asyncio.sleep(0)
    parse("x")


async def fails_below(p):
    await fails(p)


def line(function, n):
    return "%s:%d" % (function.__name__, function.__code__.co_firstlineno + n)


TRACEBACK = line(fails, 2) + " " + line(parse, 1)
FAILED = {line(fails_below, 1) + " " + TRACEBACK: 3, TRACEBACK: 2} if MODE == "failed" else {}


async def main(p):
    p.lock, p.queue = asyncio.Lock(), asyncio.Queue()  # up to 3.9 they belong to the loop in which they are made
    p.start(holds_lock, 1)
    await asyncio.sleep(0)
    for function, n in ((takes_lock, 12), (takes_work, 30), (outer, 5), (ends, 4), (gathers, 2)):
        p.start(function, n)
    if MODE == "spin":
        p.start(spins, 20)
        p.start(computes, 2)
    if MODE == "failed":
        p.start(fails, 4)
        p.start(fails_below, 3)
    for _ in range(5):
        await asyncio.sleep(0)  # each goes on until it waits
    if MODE == "failed":
        [t.exception() for t in p.kept[-7:-5]]
    p.settled.set()
    await p.loop.create_future()


def more():
    p = places[0]
    if MODE == "stuck":
        p.start(never_yields, 1)
        return
    p.first.set_result(None)
    p.start(sleeps, 7)
    p.start(ends, 1000)  # which are over before anybody looks


def chain(task):
    """The functions and lines of what a task awaits, outermost first."""
    import gc
    out, awaited = [], task.get_coro()
    while awaited is not None:
        if type(awaited).__name__ == "async_generator_asend":
            awaited = [o for o in gc.get_referents(awaited) if hasattr(o, "ag_frame")][0]
        kind = next((k for k in ("cr", "ag") if hasattr(awaited, k + "_frame")), None)
        frame = kind and getattr(awaited, kind + "_frame")
        if frame is None:
            break
        out.append("%s:%d" % (frame.f_code.co_name, frame.f_lineno))
        awaited = getattr(awaited, kind + "_await")
    return " ".join(out)


def tell():
    out = []
    for p in places:
        tasks = asyncio.all_tasks(p.loop)
        running = [t for t in tasks if t.get_coro().cr_running]
        out.append({"tid": p.tid, "pending": len(tasks), "running": len(running),
                    "places": collections.Counter(chain(t) for t in tasks if t not in running), "failed": FAILED})
    print(json.dumps({"schema": "gilscope.tasks/v1", "loops": out}), flush=True)
    os._exit(0)


def run(p):
    p.tid = threading.get_native_id()
    asyncio.set_event_loop(p.loop)
    p.loop.run_until_complete(main(p))


def talk():
    for p in places:
        p.settled.wait()
    print("ready", flush=True)
    for line in sys.stdin:
        places[0].loop.call_soon_threadsafe(more)
    if MODE == "spin":
        places[0].loop.call_soon_threadsafe(tell)  # nothing else runs then
    else:
        tell()


places = [Place(uvloop.new_event_loop() if MODE == "uvloop" else asyncio.new_event_loop()) for _ in range(1 + (MODE == "two"))]
threading.Thread(target=talk, daemon=True).start()
for p in places[1:]:
    threading.Thread(target=run, args=(p,), daemon=True).start()
run(places[0])
