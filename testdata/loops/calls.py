"""Not a loop: makes system calls as fast as it can, until its input ends."""
import os
import sys
import threading

threading.Thread(target=sys.stdin.read, daemon=True).start()
print("ready", flush=True)
reader = threading.enumerate()[-1]
while reader.is_alive():
    for _ in range(1000):
        os.getppid()
