"""Free-threaded builds: stops all threads for each reason there is, again and again, on a line of its own.

Prints the line of each reason.
"""

import gc
import json
import os
import sys
import threading
import warnings

import lockclock

gc.disable()
warnings.simplefilter("ignore")  # showing one imports modules


class One:
    pass


class Two:
    pass


def for_gc():
    gc.collect()


def for_type():
    thing = One()
    thing.__class__ = Two


def for_fork():
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def for_tracing():
    sys.settrace(None)


def for_inspection():
    gc.get_objects()


def go():
    while not done.is_set():
        for_gc()
        for_type()
        for_fork()
        for_tracing()
        for_inspection()
        done.wait(0.02)


def compute():
    while not done.is_set():
        sum(range(1000))


done = threading.Event()
threads = [threading.Thread(target=go), threading.Thread(target=compute)]
for thread in threads:
    thread.start()
print("ready", flush=True)
lockclock.until_told()
done.set()
for thread in threads:
    thread.join()
print(json.dumps({f.__name__[4:]: f.__code__.co_firstlineno for f in (for_gc, for_type, for_fork, for_tracing, for_inspection)}), flush=True)
