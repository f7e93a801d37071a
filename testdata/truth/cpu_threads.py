"""Three CPU-bound threads: each should wait two thirds of the time. Gaps in their loops are the waits."""
from gilclock import FLOOR_NS, Run, clock

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


def resize_images(log):
    last = clock()
    while run.running:
        now = clock()
        if now - last > FLOOR_NS:
            log.gap(last, now)
        last = now


BODIES = (score_orders, render_invoices, resize_images)
for n, body in enumerate(BODIES, 1):
    run.add("cpu-%d" % n, body)
for w in range(1, 4):
    for h, body in enumerate(BODIES, 1):
        if w != h:
            run.expect("cpu-%d" % w, "cpu-%d" % h, body)
run.extra["wait_share"] = (len(BODIES) - 1) / len(BODIES)
run.main()
