"""Forks 500 children in quick succession, all of which live until the last one is there. Prints how each will end."""
import json
import os
import sys

print("ready", flush=True)
sys.stdin.readline()
alive, gate = os.pipe()
codes = {}
for number in range(500):
    pid = os.fork()
    if pid == 0:
        os.close(gate)
        os.read(alive, 1)
        os._exit(number % 251)
    codes[pid] = number % 251
os.close(gate)
for pid, code in codes.items():
    status = os.waitpid(pid, 0)[1]
    assert status == code << 8, (pid, status)
print(json.dumps(codes), flush=True)
