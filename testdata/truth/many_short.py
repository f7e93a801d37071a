"""Three threads take and drop the GIL tens of thousands of times a second: os.stat in bursts, then a sleep of 0.5 ms."""
import os

from gilclock import MS, Pace, Run, clock

run = Run()


def stat_files(log):
    pace, cheapest = Pace(), MS
    while run.running:
        for _ in range(50):
            begin = clock()
            os.stat("/")
            end = clock()
            log.voluntary += 1
            cheapest = log.short_call(cheapest, begin, end)
        pace.sleep(log, MS // 2)


for n in range(1, 4):
    run.add("stat", stat_files, name="stat-%d" % n)
run.main()
