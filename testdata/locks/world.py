"""Free-threaded builds: one thread collects garbage again and again, which stops the others; each times what it sees of that.

Prints also begin and end of each collection, and who makes them.
"""

import gc
import threading
import time

import lockclock

run = lockclock.Run()
gc.disable()
heap = [[n] for n in range(400_000)]
collections = []
who = {}


def collect(log):
    who["tid"] = threading.get_native_id()
    while run.running:
        begin = lockclock.clock()
        gc.collect()
        collections.append((begin, lockclock.clock()))
        time.sleep(0.01)


def work():
    n = 0
    for i in range(1000):
        n += i
    return n


def compute(log):
    while run.running:
        log.timed("stop-the-world", work)


run.add(collect, "collector")
run.add(compute, "computer")
run.more = lambda: {"collector": who["tid"], "collections": collections, "line": collect.__code__.co_firstlineno + 4}
run.main()
