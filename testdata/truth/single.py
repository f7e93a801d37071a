"""One thread that works, sleeps and reads files: no contention at all, so a report must show none."""
import os
import threading
import time

from gilclock import Log, Run, clock, limit, told

run = Run()
log = Log("main", "MainThread", False)


def work():
    end = clock() + int(limit() * 1e9)
    print("ready", flush=True)
    while clock() < end and not told(0):
        sum(i * i for i in range(2000))
        os.stat("/")
        time.sleep(0.001)


run.logs[threading.get_native_id()] = log
log.open()
work()
log.finish()
run.report()
