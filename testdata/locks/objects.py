"""Free-threaded builds: a thread uses a list, a dict, a set or a type for long, which another one wants to change meanwhile.

Only the latter is timed: the former does little else than compute."""

import gc
import sys
import time

import lockclock

gc.disable()  # or it would stop all threads now and then
run = lockclock.Run()
items, table, group = list(range(600_000)), dict.fromkeys(range(300_000)), set(range(300_000))
more, others = dict(table), set(range(300_000, 600_000))


class One:
    pass


class Two:
    pass


# A type tells its subclasses what changes in it, and all types have one lock for that.
subclasses = [type(f"Sub{n}", (base,), {}) for base, many in ((One, 30_000), (Two, 10)) for n in range(many)]

USES = {
    "list": (items.sort, lambda: items.append(1 << 40)),
    "dict": (lambda: table.update(more), lambda: table.__setitem__(1, 1)),
    "set": (lambda: group.isdisjoint(others), lambda: group.add(1)),
    "type": (lambda: setattr(One, "__len__", len), lambda: setattr(Two, "__len__", len)),
}


def make(kind):
    use, change = USES[kind]

    def long_use(log):
        while run.running:
            use()
            time.sleep(0.001)

    def short_change(log):
        while run.running:
            log.timed(kind, change)
            time.sleep(0.0005)

    return long_use, short_change


for kind in sys.argv[1:] or USES:
    for body in make(kind):
        run.add(body, kind)
run.main()
