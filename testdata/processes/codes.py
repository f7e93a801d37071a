"""Two threads call 50,000 functions that were made at run time. The function called f7 begins on line 4 * 7 + 1."""
import sys
import threading

COUNT = 50000
BODY = """def f%d():
    x = 0
    for i in range(200): x += i
    return x
"""

made = {}
exec(compile("".join(BODY % n for n in range(COUNT)), "made.py", "exec"), made)
running = True


def call_all(functions):
    while running:
        for function in functions:
            function()
            if not running:
                break


sys.setswitchinterval(0.0002)
functions = [made["f%d" % n] for n in range(COUNT)]
threads = [threading.Thread(target=call_all, args=(order,)) for order in (functions, functions[::-1])]
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.read()
running = False
for thread in threads:
    thread.join()
