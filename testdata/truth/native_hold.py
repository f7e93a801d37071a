"""A thread sleeps 50 ms at a time in C without giving the GIL away; two others want it every millisecond."""
from gilclock import MS, Pace, Run, clock, keeping

run = Run()
HOLD_US = 50000


def legacy_checksum(log):
    while run.running:
        begin = clock()
        keeping.usleep(HOLD_US)
        # The call's end cannot be seen from Python: the drop comes before the next line. It held at least this long.
        log.calls.setdefault("legacy_checksum", []).extend((begin, begin + HOLD_US * 1000))


def poll_queue(log):
    pace = Pace()
    while run.running:
        pace.sleep(log, MS)


run.add("native", legacy_checksum, measured=False)
run.add("io", poll_queue, name="io-1")
run.add("io", poll_queue, name="io-2")
run.expect("io", "native", legacy_checksum, native="usleep")
run.main()
