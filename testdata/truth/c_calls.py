"""Long C calls under the GIL, each in a function of its own, in turn, with a victim that wants the GIL every millisecond."""
import math
import random
import re
import time

from gilclock import MS, Pace, Run, clock

run = Run()
TARGET_NS = 60 * MS


def sort_rows(n, data=[]):
    if len(data) != n:
        rng = random.Random(n)
        data[:] = [rng.random() for _ in range(n)]
    return sorted(data)


PATTERN = re.compile("(a+)+$")  # doubles its time with every letter, and then does not match


def match_pattern(n):
    return PATTERN.match("a" * n + "b")


def sum_numbers(n):
    return sum(range(n))


def raise_power(n):
    return 3 ** n


def repeat_text(n):
    return "x" * n


def took(call, n):
    call(n)  # warm: memory, and the rows to sort
    begin = time.thread_time_ns()
    call(n)
    return time.thread_time_ns() - begin


def sized(call, n, grow):
    """The size at which call takes about TARGET_NS: this machine's speed is not known beforehand."""
    spent = took(call, n)
    while spent < TARGET_NS:
        n = grow(n, max(1.1, min(8, TARGET_NS / spent)))
        spent = took(call, n)
    return n


CALLS = [(call, sized(call, n, grow)) for call, n, grow in (
    (sort_rows, 50000, lambda n, factor: int(n * factor)),
    (match_pattern, 16, lambda n, factor: n + math.ceil(math.log2(factor))),
    (sum_numbers, 1 << 20, lambda n, factor: int(n * factor)),
    (raise_power, 1 << 16, lambda n, factor: int(n * factor ** 0.63)),
    (repeat_text, 1 << 26, lambda n, factor: int(n * factor)),
)]


def call_in_turn(log):
    while run.running:
        for call, n in CALLS:
            begin, cpu = clock(), time.thread_time_ns()
            call(n)
            end, cpu = clock(), time.thread_time_ns() - cpu
            log.c_call(call, begin, cpu, end)


def poll_queue(log):
    pace = Pace()
    while run.running:
        pace.sleep(log, MS)


run.add("caller", call_in_turn)
run.add("io", poll_queue)
for call, _ in CALLS:
    run.expect("io", "caller", call)
run.main()
