"""200 threads, asleep most of the time: each works 0.1 ms every 50 ms."""
from gilclock import FLOOR_NS, MS, Pace, Run, clock

run = Run()


def handle_session(log):
    pace = Pace()
    while run.running:
        pace.sleep(log, 50 * MS)
        last, end = clock(), clock() + MS // 10
        while last < end:
            now = clock()
            if now - last > FLOOR_NS:
                log.gap(last, now)
            last = now


for n in range(1, 201):
    run.add("session", handle_session, name="session-%d" % n)
run.expect("session", "session", handle_session)
run.main()
