"""A thread computes while it holds a lock, two others compute as well, so it waits for the GIL
with the lock in its hand; a fourth one waits for the lock. The first one times the gaps in what
it computes, the last one its waits for the lock.
"""

import json
import select
import sys
import threading
import time

BODY_NS = 60_000_000
GAP_NS = 500_000
lock = threading.Lock()
running = True
gaps, waits = [], []


def clock():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def holder():
    while running:
        with lock:
            last = clock()
            end = last + BODY_NS
            while last < end:
                now = clock()
                if now - last >= GAP_NS:
                    gaps.append((last, now))
                last = now
        time.sleep(0.005)


def waiter():
    while running:
        time.sleep(0.001)
        begin = clock()
        with lock:
            end = clock()
        waits.append((begin, end))


def cruncher():
    while running:
        sum(range(100))


bodies = [holder, waiter, cruncher, cruncher]
threads = [threading.Thread(target=body, name=body.__name__) for body in bodies]
for thread in threads:
    thread.start()
print("ready", flush=True)
select.select([0], [], [], 60.0)
running = False
for thread in threads:
    thread.join()
print(json.dumps({"holder": threads[0].native_id, "gaps": gaps, "waits": waits}), flush=True)
