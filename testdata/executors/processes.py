"""Worker processes of a ProcessPoolExecutor and of a multiprocessing.Pool, which work for about half of the time."""
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from poolclock import Pool, clock, end, listen, stop


def work(seconds):
    began = clock()
    time.sleep(seconds)
    return began, clock()


class Done:
    def __init__(self, times):
        self.before = self.submitted = self.began = times[0]
        self.ended = times[1]


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    futures, pool = Pool(None, "ProcessPoolExecutor", 2), Pool(None, "multiprocessing.Pool", 2)
    with ProcessPoolExecutor(2, mp_context=context) as executor, context.Pool(2) as workers:
        list(executor.map(work, [0.05] * 2))
        workers.map(work, [0.05] * 2, 1)
        print("ready", flush=True)
        print(os.getpid(), *[p.pid for p in multiprocessing.active_children()], flush=True)
        listen()
        while not stop.wait(0.1):
            later = workers.map_async(work, [0.1] * 2, 1)
            futures.jobs += map(Done, executor.map(work, [0.1] * 2))
            pool.jobs += map(Done, later.get())
    end()
