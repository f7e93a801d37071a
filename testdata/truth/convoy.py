"""The convoy: a thread that sleeps 1 ms at a time waits a switch interval for each sleep, behind one CPU-bound thread."""
from gilclock import FLOOR_NS, MS, Pace, Run, clock

run = Run()


def poll_queue(log):
    pace = Pace()
    while run.running:
        pace.sleep(log, MS)


def score_orders(log):
    last = clock()
    while run.running:
        now = clock()
        if now - last > FLOOR_NS:
            log.gap(last, now)
        last = now


run.add("io", poll_queue)
run.add("cpu", score_orders)
run.expect("io", "cpu", score_orders)
run.main()
