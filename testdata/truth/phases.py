"""Two threads that sleep 5 ms at a time, and every other 700 ms take and drop the GIL as fast as they can."""
import os

from gilclock import MS, Pace, Run, clock

run = Run()


def alternate(log):
    pace, cheapest, begun = Pace(), MS, clock()
    while run.running:
        if (clock() - begun) // (700 * MS) % 2 == 0:
            pace.sleep(log, 5 * MS)
            continue
        begin = clock()
        os.stat("/")
        end = clock()
        log.voluntary += 1
        cheapest = log.short_call(cheapest, begin, end)


for n in range(1, 3):
    run.add("bursts", alternate, name="bursts-%d" % n)
run.main()
