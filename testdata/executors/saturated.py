"""Two workers that get eight jobs at once, again and again; and four that have hardly anything to do."""
import time
from concurrent.futures import ThreadPoolExecutor, wait

from poolclock import Pool, begin, end, stop

resize, idle = Pool("resize", "ThreadPoolExecutor", 2), Pool("idle", "ThreadPoolExecutor", 4)
with ThreadPoolExecutor(2, thread_name_prefix="resize") as few, ThreadPoolExecutor(4, thread_name_prefix="idle") as many:
    wait([idle.submit(many, time.sleep, 0.05) for _ in range(4)])
    wait([resize.submit(few, time.sleep, 0.01) for _ in range(2)])
    begin()
    while not stop.wait(0.2):
        jobs = [resize.submit(few, time.sleep, 0.1) for _ in range(8)]
        idle.submit(many, time.sleep, 0.01)
        wait(jobs)
    end()
