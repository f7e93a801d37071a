"""A loop that is run again and again, with much work in between: that is no block, since there is no loop then. And a loop of another kind.

With the argument "mixed" there are two loops in turn, that wait by select and by poll, and in between also waits by these calls."""
import asyncio
import select
import selectors
import socket
import sys
import threading
import time

running = True


def compute(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def main():
    for _ in range(5):
        await asyncio.sleep(0.01)


def serve():
    a, b = socket.socketpair()
    selector = selectors.DefaultSelector()
    selector.register(a, selectors.EVENT_READ)
    while running:
        selector.select(0.02)
        time.sleep(0.002)


def wait_for_end():
    global running
    sys.stdin.read()
    running = False


threading.Thread(target=wait_for_end).start()
server = threading.Thread(target=serve)
server.start()
print("ready", flush=True)

if sys.argv[1:] == ["mixed"]:
    loops = [asyncio.SelectorEventLoop(selectors.SelectSelector()), asyncio.SelectorEventLoop(selectors.PollSelector())]
    while running:
        for loop in loops:
            for _ in range(3):
                loop.run_until_complete(main())
                compute(0.07)
                select.select([], [], [], 0.1)
                select.poll().poll(100)
    server.join()
    sys.exit()
loop = asyncio.new_event_loop()
while running:
    asyncio.run(main())
    compute(0.07)
    loop.run_until_complete(main())
    compute(0.07)
server.join()
