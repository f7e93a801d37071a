"""A real server with ten endpoints, one of which keeps the event loop for 90 ms. Prints "ready" and its port; at the end of stdin it ends, and
prints as its last line when that endpoint did so.

argv: the loop (asyncio, uvloop), the framework (fastapi, aiohttp, django), the server (uvicorn, hypercorn; aiohttp is its own). Each framework's
slow endpoint is slow in another way: fastapi's computes, aiohttp's sleeps, and django's computes in a package.
"""
import asyncio
import gc
import inspect
import json
import os
import socket
import sys
import threading
import time

KIND, FRAMEWORK, SERVER = sys.argv[1:]
LONG = 0.09
gc.disable()  # when garbage is collected, is part of the program
calls = []


def clock():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def compute():
    end = time.thread_time() + LONG
    while time.thread_time() < end:  # block
        pass  # block


def ask_database():
    time.sleep(LONG)  # block


def format_query():
    end = time.thread_time() + LONG
    while time.thread_time() < end:
        sqlparse.format("select a, b from t join u on t.x = u.x where a in (select c from v) and b > 7", reindent=True)  # block


def awaits():
    """The async functions of the present task, outermost first."""
    names, frame = [], sys._getframe(2)
    while frame:
        if frame.f_code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE):
            names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names[::-1]


def block():
    """What the slow endpoint does. In it, the report must find its function, in the lines that are marked."""
    begin = clock()
    slow()
    chain = awaits()  # aiohttp begins a task within another, which from outside looks as if that one awaited it
    calls.append({"begin": begin, "end": clock(), "task": asyncio.current_task().get_name(), "coroutine": chain[0], "awaits": chain})
    return {}


async def item(n):
    await asyncio.sleep(0.001)
    return {"item": n}


def fastapi_app():
    from fastapi import FastAPI
    app = FastAPI()

    @app.get("/report")
    async def report():
        return block()

    @app.get("/item{n}")
    async def one(n: int):
        return await item(n)
    return app


def aiohttp_app():
    from aiohttp import web

    async def report(request):
        return web.json_response(block())

    async def one(request):
        return web.json_response(await item(int(request.match_info["n"])))
    app = web.Application()
    app.add_routes([web.get("/report", report), web.get("/item{n}", one)])
    return app


def django_app():
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import JsonResponse
    from django.urls import path

    async def report(request):
        return JsonResponse(block())

    async def one(request, n):
        return JsonResponse(await item(n))
    urls = type("Urls", (), {"urlpatterns": [path("report", report), path("item<int:n>", one)]})
    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=urls, SECRET_KEY="none")
    return get_asgi_application()


async def serve(app, ended):
    """Serves until the event is set."""
    if FRAMEWORK == "aiohttp":
        from aiohttp import web
        runner = web.AppRunner(app)
        await runner.setup()
        await web.SockSite(runner, listening).start()
        await ended.wait()
        await runner.cleanup()
    elif SERVER == "hypercorn":
        from hypercorn.asyncio import serve
        from hypercorn.config import Config
        config = Config()
        config.bind = ["fd://%d" % listening.fileno()]
        config.errorlog = None
        await serve(app, config, shutdown_trigger=ended.wait)
    else:
        import uvicorn
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        asyncio.ensure_future(ended.wait()).add_done_callback(lambda _: setattr(server, "should_exit", True))
        await server.serve(sockets=[listening])


async def main(app):
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def wait_for_end():
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)
    threading.Thread(target=wait_for_end, daemon=True).start()
    print("ready", flush=True)
    print(listening.getsockname()[1], flush=True)
    await serve(app, ended)


listening = socket.create_server(("127.0.0.1", 0))
slow, cause, syscall = {
    "fastapi": (compute, "cpu", None), "aiohttp": (ask_database, "sleep", "clock_nanosleep"), "django": (format_query, "cpu", None)}[FRAMEWORK]
if slow is format_query:
    import sqlparse
if KIND == "uvloop":
    import uvloop
with asyncio.Runner(loop_factory=uvloop.new_event_loop if KIND == "uvloop" else None) as runner:
    runner.run(main(globals()[FRAMEWORK + "_app"]()))
lines, first = inspect.getsourcelines(slow)
marked = [first + i for i, line in enumerate(lines) if "# block" in line]
for call in calls:
    call.update(cause=cause, function=slow.__name__, file=__file__, lines=marked, syscall=syscall)
print(json.dumps({"schema": "gilscope.loops/v1", "pid": os.getpid(), "calls": calls}), flush=True)
os._exit(0)  # how long the others take to end, is not of interest
