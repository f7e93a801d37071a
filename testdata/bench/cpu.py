"""One thread that computes and never gives the GIL away: argv[1] times a small sum."""
import sys

import fixedwork

times = int(sys.argv[1])
begin = fixedwork.wait_for_go()
total = 0
for i in range(times):
    total += i * i % 7
fixedwork.report(begin, times)
