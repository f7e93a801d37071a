"""Imports a module that needs the GIL, in one of its threads, on SIGUSR1: sys.argv[1] is the folder with it."""

import json
import os
import platform
import signal
import sys
import threading
import warnings

import lockclock

warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
truth = {}


def compute(until):
    while not until.is_set():
        sum(range(1000))


def importer(started):
    started.wait()
    truth["before"], truth["tid"] = lockclock.clock(), threading.get_native_id()
    import needsgil  # noqa: F401
    truth["after"] = lockclock.clock()
    print("imported", flush=True)


done, started = threading.Event(), threading.Event()
threads = [threading.Thread(target=compute, args=(done,)), threading.Thread(target=importer, args=(started,), name="importer")]
for thread in threads:
    thread.start()
signal.signal(signal.SIGUSR1, lambda *_: started.set())
print("ready", flush=True)
lockclock.until_told()
done.set()
for thread in threads:
    thread.join()
code = importer.__code__
truth.update(pid=os.getpid(), python=platform.python_version(), line=code.co_firstlineno + 3, gil=sys._is_gil_enabled())
print(json.dumps(truth), flush=True)
