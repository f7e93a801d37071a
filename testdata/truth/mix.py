"""Two CPU-bound threads, one that sleeps 1 ms at a time, one that stats and reads a file."""
import os

from gilclock import FLOOR_NS, MS, Pace, Run, clock

run = Run()


def score_orders(log):
    last = clock()
    while run.running:
        now = clock()
        if now - last > FLOOR_NS:
            log.gap(last, now)
        last = now


def render_invoices(log):
    last = clock()
    while run.running:
        now = clock()
        if now - last > FLOOR_NS:
            log.gap(last, now)
        last = now


def poll_queue(log):
    pace = Pace()
    while run.running:
        pace.sleep(log, MS)


def read_files(log):
    fd = os.open(__file__, os.O_RDONLY)
    stat_cheapest = read_cheapest = MS
    while run.running:
        begin = clock()
        os.stat(__file__)
        middle = clock()
        os.pread(fd, 512, 0)
        end = clock()
        log.voluntary += 2
        stat_cheapest = log.short_call(stat_cheapest, begin, middle)
        read_cheapest = log.short_call(read_cheapest, middle, end)
    os.close(fd)


run.add("cpu-1", score_orders)
run.add("cpu-2", render_invoices)
run.add("io", poll_queue)
run.add("files", read_files)
for waiter in ("io", "files", "cpu-2"):
    run.expect(waiter, "cpu-1", score_orders)
for waiter in ("io", "files", "cpu-1"):
    run.expect(waiter, "cpu-2", render_invoices)
run.main()
