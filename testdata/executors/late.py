"""Executors that come and go, each with more jobs than workers."""
import time
from concurrent.futures import ThreadPoolExecutor, wait

from poolclock import Pool, begin, end, stop

number = 0
begin()
while not stop.wait(0.3):
    number += 1
    pool = Pool("late%d" % number, "ThreadPoolExecutor", 3)
    with ThreadPoolExecutor(3, thread_name_prefix=pool.name) as executor:
        wait([pool.submit(executor, time.sleep, 0.1) for _ in range(9)])
end()
