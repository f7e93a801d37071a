"""A thousand threads, each of which sleeps 10 ms at a time, until stdin ends. Prints its threads' numbers."""
import json
import sys
import threading
import time

running = True
tids = []
all_there = threading.Event()


def nap():
    tids.append(threading.get_native_id())
    all_there.wait()
    while running:
        time.sleep(0.01)


threading.stack_size(256 << 10)
threads = [threading.Thread(target=nap, name="napper-%d" % n) for n in range(1000)]
for thread in threads:
    thread.start()
all_there.set()
print("ready", flush=True)
sys.stdin.read()
running = False
for thread in threads:
    thread.join()
print(json.dumps(tids), flush=True)
