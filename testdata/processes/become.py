"""Contends, and then becomes another program: argv[1] is the folder for what it measured, argv[2:] the other's command."""
import os
import sys

import contend

print("ready", flush=True)
sys.stdin.readline()
contend.contend(sys.argv[1], "before", 0)
os.execv(sys.argv[2], sys.argv[2:])
