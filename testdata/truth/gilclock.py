"""Measures GIL waits and holds from inside a CPython program, and prints them as JSON.

The truth programs beside this file use it to say what a GIL tracer should have seen. Only the standard library, CPython
3.8 and newer. Every time is in nanoseconds on CLOCK_BOOTTIME, the clock of a gilscope trace.

How a wait can be measured from inside, although a thread that waits for the GIL cannot run Python:

* Pace.sleep: blocks in os.read on a timerfd, which gives the GIL away. The timer has an interval of 1 us, and the kernel
  counts the intervals passed when the read *ends*, still without the GIL: count * 1 us after the deadline is the moment at
  which the thread ran again and wanted the GIL. The first clock reading after the call is the moment at which it had it.
* a gap in a loop that reads the clock all the time: the thread was made to give the GIL away and waited for it.
* an overlong short call (os.stat): what exceeds the cheapest such call is the wait.

In the last two the thread must also have slept, else the kernel took the CPU from it while it held the GIL: the time is
neither the thread's CPU time nor, by its schedstat, time on a run queue. A wait may then still begin too early by such a
pre-emption; run_delay_ns of the thread says how much that can be in all.

Shorter than FLOOR_NS is not called a wait: a take without contention measures 3 to 15 us here.

Protocol: a line "ready" once all threads run; work until stdin ends (or the number of seconds in argv[1], default 60);
then one JSON object as the last line, exit status 0.
"""
import ctypes
import dis
import functools
import json
import os
import platform
import select
import sys
import threading
import time
from array import array

FLOOR_NS = 20000
SLEPT_NS = 3000
MS = 1000000
TICK_NS = 1000

# A C callable: reading the clock adds no Python frame, so blame stays with the function that spins.
clock = functools.partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)

# PyDLL keeps the GIL during the call, CDLL gives it away.
keeping = ctypes.PyDLL(None, use_errno=True)
releasing = ctypes.CDLL(None, use_errno=True)


class _Spec(ctypes.Structure):
    """struct itimerspec with its two struct timespec inlined: interval, then first expiry."""
    _fields_ = [(n, ctypes.c_long) for n in ("every_s", "every_ns", "first_s", "first_ns")]


class Pace:
    """A sleep that knows when it ended, for one thread at a time."""

    def __init__(self):
        self.fd = keeping.timerfd_create(time.CLOCK_BOOTTIME, os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self.spec = _Spec(0, TICK_NS, 0, 0)
        self.spec_ref = ctypes.byref(self.spec)

    def sleep(self, log, ns):
        """Sleeps ns without the GIL; logs the hold that ends here and the wait that follows."""
        spec = self.spec
        deadline = clock() + ns
        spec.first_s, spec.first_ns = divmod(deadline, 1000 * MS)
        keeping.timerfd_settime(self.fd, 1, self.spec_ref, None)  # 1: absolute time
        dropped = clock()
        ticks = os.read(self.fd, 8)
        have = clock()
        log.hold(dropped, have)
        log.wait(deadline + (int.from_bytes(ticks, sys.byteorder) - 1) * TICK_NS, have)

    def close(self):
        os.close(self.fd)


class Log:
    """What one thread measured about itself."""

    def __init__(self, role, name, keep_holds):
        self.role, self.name = role, name
        self.waits, self.calls = array("q"), {}
        self.holds = array("q") if keep_holds else None
        self.forced = array("q")  # when: gaps, so drops that the thread did not choose
        self.voluntary = 0  # how many: calls of this module that give the GIL away
        self.began = None  # of the hold that goes on
        self.until = 0  # end of the last gap that was a wait
        self.wall = self.cpu = self.delay = 0  # at the last mark
        self.stat_fd, self.stat = -1, ctypes.create_string_buffer(96)
        self.cpu_ns = self.run_delay_ns = 0

    def wait(self, begin, end):
        if end - begin >= FLOOR_NS:
            self.waits.extend((begin, end))

    def open(self):
        """Called by the thread itself, first of all."""
        self.stat_fd = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        self.mark()
        self.began = clock()

    def mark(self):
        """Returns for how long the thread slept, and for how long it sat on a run queue, since the mark before."""
        keeping.pread(self.stat_fd, self.stat, 95, 0)  # os.pread would give the GIL away
        wall, cpu, delay = clock(), time.thread_time_ns(), int(self.stat.value.split()[1])
        delayed = delay - self.delay
        slept = (wall - self.wall) - (cpu - self.cpu) - delayed
        self.wall, self.cpu, self.delay = wall, cpu, delay
        return slept, delayed

    def gap(self, begin, end):
        """A gap of a loop which reads the clock. If the thread slept, a forced drop: a hold ended and a wait began."""
        slept, _ = self.mark()
        if slept < SLEPT_NS:
            return  # an interrupt, a pre-emption, or a halt of the virtual machine: still holding
        if slept > end - begin:
            begin, end = end, self.wall  # more than fits into the gap: the GIL was lost while this looked at it
        begin = max(begin, self.until)  # such a gap reaches into the next one that the caller sees
        self.until = end
        self.wait(begin, end)
        self.forced.append(begin)
        if self.holds is not None:
            self.holds.extend((self.began, begin))
        self.began = end

    def hold(self, dropped, have):
        """The GIL was given away at dropped, by the thread's own will, and had again at have."""
        self.voluntary += 1
        if self.holds is not None and self.began is not None:
            self.holds.extend((self.began, dropped))
        self.began = have
        self.mark()

    def short_call(self, cheapest, begin, end):
        """A short GIL-releasing call took begin..end. Returns the cheapest so far, which is what it costs by itself."""
        took = end - begin
        if took - cheapest >= FLOOR_NS and self.mark()[0] >= SLEPT_NS:
            self.wait(begin + cheapest, end)
        return min(took, cheapest)

    def c_call(self, function, begin, cpu_ns, end):
        """One C call under the GIL: it held for its CPU time and pre-emptions, then the thread may have had to wait."""
        slept, delayed = self.mark()
        held_until = min(end, begin + cpu_ns + delayed) if slept >= SLEPT_NS else end
        self.calls.setdefault(function.__name__, array("q")).extend((begin, held_until))
        self.wait(held_until, end)

    def finish(self):
        self.mark()
        self.cpu_ns, self.run_delay_ns = self.cpu, self.delay
        os.close(self.stat_fd)

    def json(self, measured):
        return {
            "name": self.name, "role": self.role,
            "waits": pairs(self.waits) if measured else None,
            "holds": None if self.holds is None else pairs(self.holds),
            "calls": {name: pairs(spans) for name, spans in self.calls.items()},
            "forced": list(self.forced), "voluntary": self.voluntary,
            "cpu_ns": self.cpu_ns, "run_delay_ns": self.run_delay_ns,
        }


def pairs(flat):
    return [[flat[i], flat[i + 1]] for i in range(0, len(flat), 2)]


def lines(function):
    """First and last source line of a function, from its code object."""
    code = function.__code__
    numbers = [n for _, n in dis.findlinestarts(code) if n is not None]
    return [min([code.co_firstlineno] + numbers), max([code.co_firstlineno] + numbers)]


class Run:
    """One truth program: its threads, what to expect, and the protocol."""

    def __init__(self):
        self.running = True
        self.logs = {}  # native thread id -> Log
        self.unmeasured = set()
        self.expected = []
        self._todo = []
        self._lock = threading.Lock()
        self.extra = {}

    def add(self, role, body, name=None, holds=False, measured=True):
        """Plans a thread that runs body(log) until run.running is false."""
        log = Log(role, name or role, holds)
        if not measured:
            self.unmeasured.add(role)
        self._todo.append((log, body))

    def start(self, log, body, up=None):
        """Starts a thread at once; add() is for those that live as long as the program."""
        def enter():
            with self._lock:
                self.logs[threading.get_native_id()] = log
            log.open()
            if up:
                up.release()
            try:
                body(log)
            finally:
                log.finish()
        thread = threading.Thread(target=enter, name=log.name, daemon=True)
        thread.start()
        return thread

    def expect(self, waiter, holder, function, native=None):
        """Says that threads of role waiter wait while threads of role holder are in function (and in C: native)."""
        self.expected.append({
            "waiter_role": waiter, "holder_role": holder, "function": function.__name__,
            "file": function.__code__.co_filename, "line": lines(function), "native": native,
        })

    def main(self):
        up = threading.Semaphore(0)
        threads = [self.start(log, body, up) for log, body in self._todo]
        for _ in threads:
            up.acquire()
        print("ready", flush=True)
        self.until_told()
        self.running = False
        for thread in threads:
            thread.join()
        self.report()

    def until_told(self):
        end = time.monotonic() + limit()
        while True:
            left = end - time.monotonic()
            if left <= 0 or told(left):
                return

    def report(self):
        out = {
            "schema": "gilscope.truth/v1", "program": os.path.basename(sys.argv[0]), "pid": os.getpid(),
            "python": platform.python_version(), "interval_ns": round(sys.getswitchinterval() * 1e9),
            "floor_ns": FLOOR_NS,
            "threads": {str(tid): log.json(log.role not in self.unmeasured) for tid, log in self.logs.items()},
            "expect": self.expected,
        }
        out.update(self.extra)
        print(json.dumps(out), flush=True)


def limit():
    """Seconds after which a program ends though nobody told it to."""
    return float(sys.argv[1]) if len(sys.argv) > 1 else 60.0


def told(timeout):
    """Whether stdin has ended."""
    ready, _, _ = select.select([0], [], [], timeout)
    return bool(ready) and not os.read(0, 65536)
