"""Sub-interpreters in which two threads contend for the GIL, beside two threads of the main interpreter.

    interpreters.py own|shared COUNT    "own": each interpreter has its GIL (3.12 and newer); "shared": all have the main one's

They are made before "ready" is printed, and work until stdin ends. On stdin, "create" makes one more and answers once it
has worked for a while; "destroy" ends and destroys the newest. The answers are JSON, with times on CLOCK_BOOTTIME.

Every thread only computes, so a gap in its loop is a wait for the GIL or for a CPU. It was the GIL if the thread went to
sleep by itself, which getrusage counts. Neither that nor the clock gives the GIL away, and both can be imported into every
interpreter; ctypes, with which gilclock measures, cannot.
"""
import functools
import json
import mmap
import os
import platform
import resource
import sys
import tempfile
import threading
import time

FLOOR_NS = 20000
ENOUGH = 20  # waits of each thread, until "create" is answered
PAGE = 4096  # of flags: whether to stop, then for each thread how often it waited

clock = functools.partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)
usage = functools.partial(resource.getrusage, resource.RUSAGE_THREAD)


class Log:
    """What one thread measured about itself, and where the others see how far it is."""

    def __init__(self, role, name, flags, place):
        self.role, self.name, self.flags, self.place = role, name, flags, place
        self.waits, self.slept = [], 0

    def open(self):
        self.tid, self.slept = threading.get_native_id(), usage().ru_nvcsw
        self.flags[self.place] = 1

    def gap(self, begin, end):
        """A gap of the loop. The GIL may also be lost in here, above all at the entry: a request waited for the gap's end."""
        slept = usage().ru_nvcsw
        if slept != self.slept:
            self.slept = slept
            self.waits.append((begin, clock()))
            self.flags[self.place] = min(len(self.waits), 255)

    def json(self):
        return {"name": self.name, "role": self.role, "waits": self.waits, "voluntary": 0}


def score_orders(log):
    log.open()
    flags, last = log.flags, clock()
    while not flags[0]:
        now = clock()
        if now - last > FLOOR_NS:
            log.gap(last, now)
        last = now


def render_invoices(log):
    log.open()
    flags, last = log.flags, clock()
    while not flags[0]:
        now = clock()
        if now - last > FLOOR_NS:
            log.gap(last, now)
        last = now


BODIES = (score_orders, render_invoices)


def work(title, flags_fd, result_fd):
    """Runs in every interpreter, on a thread of its own."""
    flags = mmap.mmap(flags_fd, PAGE)
    logs = [Log("cpu-%d" % n, "%s-%d" % (title, n), flags, n) for n in (1, 2)]
    threads = [threading.Thread(target=body, args=(log,), name=log.name) for body, log in zip(BODIES, logs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.pwrite(result_fd, json.dumps({str(log.tid): log.json() for log in logs}).encode(), 0)


class Interpreter:
    """One interpreter at work; number 0 is the main one."""

    def __init__(self, own=None):
        self.flags_file, self.result = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.flags_file.truncate(PAGE)
        self.flags = mmap.mmap(self.flags_file.fileno(), PAGE)
        self.done = threading.Semaphore(0)
        self.id = self.made = None
        target = self.work
        if own is not None:
            self.id = create(own)
            self.made = clock()
            # Before 3.13, the end of an interpreter waits for the thread that imported this.
            run(self.id, "import threading")
            target = self.work_elsewhere
        self.number = 0 if own is None else int(self.id)
        self.title = "main" if own is None else "sub-%d" % self.number
        threading.Thread(target=target, name="%s-runner" % self.title, daemon=True).start()

    def work(self):
        try:
            work(self.title, self.flags_file.fileno(), self.result.fileno())
        finally:
            self.done.release()

    def work_elsewhere(self):
        try:
            run(self.id, "import sys; sys.path.insert(0, %r); import interpreters; interpreters.work(%r, %d, %d)" % (
                os.path.dirname(os.path.abspath(__file__)), self.title, self.flags_file.fileno(), self.result.fileno()))
        finally:
            self.done.release()

    def wait_for(self, waits):
        while min(self.flags[1], self.flags[2]) < waits:
            time.sleep(0.001)

    def stop(self):
        self.flags[0] = 1
        self.done.acquire()
        self.result.seek(0)
        return json.loads(self.result.read())


def create(own):
    if sys.version_info >= (3, 13):
        return subinterpreters().create("isolated" if own else "legacy")
    return subinterpreters().create(isolated=own) if sys.version_info >= (3, 9) else subinterpreters().create()


def run(id, script):
    if sys.version_info >= (3, 13):
        failed = subinterpreters().exec(id, script)
        if failed:
            raise RuntimeError(failed)
    else:
        subinterpreters().run_string(id, script)


def subinterpreters():
    """Not imported by the interpreters inside, which need not know others."""
    if sys.version_info >= (3, 13):
        import _interpreters
        return _interpreters
    import _xxsubinterpreters
    return _xxsubinterpreters


def lines(function):
    code = function.__code__
    return [code.co_firstlineno, code.co_firstlineno + 8]


def expect(waiter, holder, function):
    return {"waiter_role": waiter, "holder_role": holder, "function": function.__name__, "file": __file__, "line": lines(function)}


class Run:
    def __init__(self, own, count):
        self.own = own
        self.threads, self.interpreters = {}, {}
        self.alive = [Interpreter()] + [Interpreter(own) for _ in range(count)]

    def main(self):
        for interpreter in self.alive:
            interpreter.wait_for(1)
        print("ready", flush=True)
        for command in sys.stdin:
            {"create": self.create, "destroy": self.destroy}[command.strip()]()
        while self.alive:
            self.end()
        self.report()

    def create(self):
        begin = clock()
        new = Interpreter(self.own)
        self.alive.append(new)
        new.wait_for(1)
        up = clock()
        new.wait_for(ENOUGH)
        self.answer(new, {"from": begin, "made": new.made, "up": up})

    def destroy(self):
        begin = clock()
        self.answer(self.end(), {"from": begin})

    def answer(self, about, times):
        print(json.dumps(dict(times, interpreter=about.number, to=clock())), flush=True)

    def end(self):
        """Ends the newest interpreter, or the main one's threads."""
        one = self.alive.pop()
        logs = one.stop()
        self.threads.update(logs)
        self.interpreters.update(dict.fromkeys(logs, one.number))
        if one.id is not None:
            subinterpreters().destroy(one.id)
        return one

    def report(self):
        print(json.dumps({
            "schema": "gilscope.truth/v1", "program": os.path.basename(sys.argv[0]), "pid": os.getpid(),
            "python": platform.python_version(), "interval_ns": round(sys.getswitchinterval() * 1e9), "floor_ns": FLOOR_NS,
            "threads": self.threads, "interpreters": self.interpreters,
            "expect": [expect(w, h, body) for w in ("cpu-1", "cpu-2") for h, body in zip(("cpu-1", "cpu-2"), BODIES)],
        }), flush=True)


if __name__ == "__main__":
    Run(sys.argv[1] == "own", int(sys.argv[2])).main()
