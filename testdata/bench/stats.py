"""Threads that each call os.stat argv[1] times: every call drops the GIL and takes it again."""
import os

import fixedwork


def stat_files(times):
    stat = os.stat
    for _ in range(times):
        stat("/")


fixedwork.run_threads(stat_files)
