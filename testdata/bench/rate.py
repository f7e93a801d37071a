"""A thread that calls os.stat argv[1] times a second, in bursts of five milliseconds, until it is killed: each call drops
the GIL and takes it again, so the recorder has that many to tell."""
import os
import sys
import time

BURST_S = 0.005


def calls(each):
    stat = os.stat
    due = time.monotonic()
    while True:
        for _ in range(each):
            stat("/")
        due += BURST_S
        time.sleep(max(due - time.monotonic(), 0))


print("ready", flush=True)
calls(int(int(sys.argv[1]) * BURST_S))
