"""A ProcessPoolExecutor with two workers that gets eight jobs at once, again and again."""
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from poolclock import Job, Pool, clock, end, listen, stop


def work(seconds):
    began = clock()
    time.sleep(seconds)
    return began, clock()


if __name__ == "__main__":
    pool = Pool(None, "ProcessPoolExecutor", 2)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(sys.argv[1])) as executor:
        list(executor.map(work, [0.05] * 2))
        print("ready", flush=True)
        print(os.getpid(), *[p.pid for p in multiprocessing.active_children()], flush=True)
        listen()
        while not stop.wait(0.3):
            jobs = []
            for _ in range(8):
                job = Job(pool, None)
                job.future = executor.submit(work, 0.1)
                job.submitted = clock()
                jobs.append(job)
            for job in jobs:
                job.began, job.ended = job.future.result()
    end()
