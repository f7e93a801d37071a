"""What an interpreter does for itself: it collects garbage (gc), or adds up the two reference counts of objects that another
thread than their owner gives up (merge; free-threaded builds only). In own, each thread gives up its own.

Argument: gc, merge or own. Protocol: a line "ready"; ends when stdin closes; last line: the CPU time of the worker,
and of its collections.
"""
import gc
import json
import sys
import threading
import time

going = True
collecting = 0
gc.disable()


def make(n):
    return [float(i) for i in range(n)]


def give_up(objects):
    objects.clear()


def merge():
    while going:
        objects = make(20000)
        t = threading.Thread(target=give_up, args=(objects,))
        t.start()
        t.join()


def own():
    while going:
        give_up(make(20000))


def collect():
    global collecting
    kept = [[i] for i in range(100000)]
    while going:
        begin = time.thread_time_ns()
        gc.collect()
        collecting += time.thread_time_ns() - begin
        for i in range(200000):
            kept[i % 1000][0] = i


def run():
    begin = time.thread_time_ns()
    {"merge": merge, "own": own, "gc": collect}[sys.argv[1]]()
    print(json.dumps({"cpu": time.thread_time_ns() - begin, "collecting": collecting}))


worker = threading.Thread(target=run)
worker.start()
print("ready", flush=True)
sys.stdin.read()
going = False
worker.join()
