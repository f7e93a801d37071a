"""Threads that each, argv[1] times, call os.stat (drop and take the GIL) and then compute for a few microseconds."""
import os

import fixedwork


def stat_and_compute(times):
    stat = os.stat
    for _ in range(times):
        stat("/")
        sum(range(200))


fixedwork.run_threads(stat_and_compute)
