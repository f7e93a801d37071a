"""Threads that compute and never give the GIL away of their own accord: argv[1] times a little arithmetic."""
import fixedwork


def compute(times):
    total = 0
    for i in range(times):
        total += i * i % 7


fixedwork.run_threads(compute)
