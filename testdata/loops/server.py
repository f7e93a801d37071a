"""uvicorn with FastAPI on the loop that argv[1] names (asyncio, uvloop): ten endpoints, one of which computes for 90 ms. Prints "ready" and
its port; at the end of stdin it ends, and prints as its last line when that endpoint computed."""
import asyncio
import inspect
import json
import os
import socket
import sys
import threading
import time

import uvicorn
from fastapi import FastAPI

app = FastAPI()
calls = []


def clock():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def render_report():
    end = time.thread_time() + 0.09
    while time.thread_time() < end:  # block
        pass  # block


@app.get("/report")
async def report():
    begin = clock()
    render_report()
    calls.append((begin, clock(), asyncio.current_task().get_name(), awaits()))
    return {}


def awaits():
    """The async functions of the present task, outermost first."""
    names, frame = [], sys._getframe(1)
    while frame:
        if frame.f_code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE):
            names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names[::-1]


def add(n):
    @app.get("/item%d" % n)
    async def item():
        await asyncio.sleep(0.001)
        return {"item": n}


for n in range(9):
    add(n)

listening = socket.create_server(("127.0.0.1", 0))
server = uvicorn.Server(uvicorn.Config(app, loop=sys.argv[1], log_level="error"))


def wait_for_end():
    sys.stdin.read()
    server.should_exit = True


threading.Thread(target=wait_for_end, daemon=True).start()
print("ready", flush=True)
print(listening.getsockname()[1], flush=True)
server.run(sockets=[listening])
lines, first = inspect.getsourcelines(render_report)
marked = [first + i for i, line in enumerate(lines) if "# block" in line]
print(json.dumps({"schema": "gilscope.loops/v1", "pid": os.getpid(), "calls": [
    {"begin": b, "end": e, "cause": "cpu", "function": "render_report", "file": __file__, "lines": marked, "coroutine": "run_asgi",
     "task": t, "awaits": a} for b, e, t, a in calls]}), flush=True)
