"""A thread computes while it holds a lock, two others compute as well, so it waits for the GIL
with the lock in its hand; a fourth one waits for the lock. The first one times the gaps in what
it computes, the last one its waits for the lock. When the last one is given the lock it waits for
the GIL, too, and if the first one wants the lock again meanwhile, that is the same the other way
round: from the moment the lock was given back to the one in which it goes on.
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
gaps_back, waits_back = [], []
given = 0


def clock():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def holder():
    global given
    while running:
        begin = clock()
        with lock:
            last = clock()
            waits_back.append((begin, last))
            end = last + BODY_NS
            while last < end:
                now = clock()
                if now - last >= GAP_NS:
                    gaps.append((last, now))
                last = now
            given = clock()
        time.sleep(0.005)


def waiter():
    while running:
        time.sleep(0.001)
        begin = clock()
        with lock:
            end = clock()
        waits.append((begin, end))
        if given > begin:
            gaps_back.append((given, end))


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
print(json.dumps({"gaps": gaps, "waits": waits, "gapsBack": gaps_back, "waitsBack": waits_back}), flush=True)
