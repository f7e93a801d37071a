"""Starts children one after another, each in one of the ways in argv[2:]; all of them contend, see contend.py.

A way is a start method of multiprocessing, "default" for its own choice, "os.fork", "nested" (a child that forks a child),
"busy" (forked while two other threads contend), "daemon" (a child that forks one and ends at once), or the path of a Python to start. A child's exit code is 10 + its number.
The children begin once stdin has a line, or has ended.
"""
import multiprocessing
import os
import subprocess
import sys

import contend

directory, ways = sys.argv[1], sys.argv[2:]


def by_multiprocessing(method, code):
    context = multiprocessing.get_context(None if method == "default" else method)
    child = context.Process(target=contend.body, args=(directory, context.get_start_method(), code))
    child.start()
    child.join()
    return child.exitcode


def by_fork(code, how, after=None):
    pid = os.fork()
    if pid == 0:
        contend.contend(directory, how, code)
        if after:
            after()
        os._exit(code)
    return ended(pid)


def ended(pid):
    status = os.waitpid(pid, 0)[1]
    return -(status & 0x7f) or status >> 8


def nested(code):
    return by_fork(code, "os.fork", lambda: by_fork(code + 100, "nested"))


def busy(code):
    threads = contend.begin()
    got = by_fork(code, "busy")
    contend.end(threads, directory, "main", 0)
    return got


def daemon(code):
    alive, gate = os.pipe()
    pid = os.fork()
    if pid == 0:
        parent = os.getpid()
        if os.fork() == 0:
            os._exit(contend.contend(directory, "daemon", code + 100, parent))
        os._exit(code)
    os.close(gate)
    os.read(alive, 1)  # it ends with the last that has the gate
    return ended(pid)


def start(way, code):
    if way == "os.fork":
        return by_fork(code, way)
    if way == "nested":
        return nested(code)
    if way == "busy":
        return busy(code)
    if way == "daemon":
        return daemon(code)
    if os.path.isabs(way):
        kept = [contend.host] if contend.host >= 0 else []
        return subprocess.call([way, contend.__file__, directory, "subprocess", str(code)], pass_fds=kept)
    return by_multiprocessing(way, code)


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    for number, way in enumerate(ways):
        code = 10 + number
        got = start(way, code)
        if got != code:
            sys.exit("%s: ended with %d, not %d" % (way, got, code))
