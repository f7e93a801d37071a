"""Two threads that each call os.stat argv[1] times: every call drops the GIL and takes it again, contended."""
import os
import sys

import fixedwork


def stat_files(times):
    stat = os.stat
    for _ in range(times):
        stat("/")


fixedwork.run_threads(2, stat_files, int(sys.argv[1]))
