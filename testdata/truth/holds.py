"""Two threads that hold the GIL for known times: 0.5 to 4 ms of pure Python, then a sleep of 2 ms.

No hold is as long as the switch interval, so almost every drop is voluntary; "forced" drops show as gaps and split a hold.
"""
from gilclock import FLOOR_NS, MS, Pace, Run, clock

run = Run()
SPANS_NS = (MS // 2, MS, 2 * MS, 4 * MS)


def build_page(log):
    pace = Pace()
    while run.running:
        for span in SPANS_NS:
            pace.sleep(log, 2 * MS)
            last = clock()
            end = last + span
            while last < end:
                now = clock()
                if now - last > FLOOR_NS:
                    log.gap(last, now)
                last = now


def build_index(log):
    pace = Pace()
    while run.running:
        for span in SPANS_NS[::-1]:
            pace.sleep(log, 2 * MS)
            last = clock()
            end = last + span
            while last < end:
                now = clock()
                if now - last > FLOOR_NS:
                    log.gap(last, now)
                last = now


run.add("page", build_page, holds=True)
run.add("index", build_index, holds=True)
run.expect("page", "index", build_index)
run.expect("index", "page", build_page)
run.main()
