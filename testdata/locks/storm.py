"""Ordinary locking, slow and fast, without a deadlock: what looks like one, and what takes long."""

import contextlib
import queue
import threading
import time

import lockclock

run = lockclock.Run()
a, b, slow, plain = threading.Lock(), threading.Lock(), threading.Lock(), threading.Lock()
r1, r2 = threading.RLock(), threading.RLock()
cond = threading.Condition(plain)
never, todo = threading.Event(), queue.Queue()


class Unlocked:
    """Gives a lock back for a while."""

    def __init__(self, lock):
        self.lock = lock

    def __enter__(self):
        self.lock.release()

    def __exit__(self, *_):
        self.lock.acquire()


@contextlib.contextmanager
def unlocked(lock):
    lock.release()
    yield
    lock.acquire()


def in_order(log):
    """Two locks, always in the same order, both held."""
    while run.running:
        with a:
            with b:
                time.sleep(0.0005)
            with r1:
                with r2:
                    with r1:
                        time.sleep(0.0005)


def long_hold(log):
    """Far longer than a deadlock takes to be found."""
    while run.running:
        with slow:
            until = time.monotonic() + 1.5
            while run.running and time.monotonic() < until:
                time.sleep(0.01)
        time.sleep(0.01)


def behind(log):
    """Holds a lock while it waits long for another, and others wait for its own."""
    while run.running:
        with plain:
            with slow:
                pass
        time.sleep(0.001)


def waits_on_condition(log):
    """Waits for the lock of a with statement that it is in."""
    while run.running:
        with cond:
            cond.wait(0.05)


def gives_back(outer, inner):
    """Waits in the body of a with statement for a lock that it has given back."""
    def plainly(log):
        while run.running:
            with outer:
                outer.release()
                with inner:
                    pass
                outer.acquire()
            time.sleep(0.001)

    def by_class(log):
        while run.running:
            with outer:
                with Unlocked(outer):
                    with inner:
                        pass
            time.sleep(0.001)

    def by_generator(log):
        while run.running:
            with outer:
                with unlocked(outer):
                    with inner:
                        pass
            time.sleep(0.001)

    return plainly, by_class, by_generator


def seems_stuck(n):
    """What looks like a circle of two, but a third thread has the lock that one of them has given back."""
    outer, inner = threading.Lock(), threading.Lock()

    def behind(log):
        while run.running:
            with inner:
                with outer:
                    time.sleep(0.001)
            time.sleep(0.001)

    def holds(log):
        while run.running:
            outer.acquire()
            time.sleep(1.2)
            outer.release()
            time.sleep(0.02)

    for body in (gives_back(outer, inner)[n], behind, holds):
        run.add(body, f"{body.__name__}-{n}")


def idle(log):
    """Nobody will ever do what these wait for: that is no deadlock."""
    never.wait()


def idle_queue(log):
    todo.get()


def timed(log):
    while run.running:
        if slow.acquire(timeout=0.4):
            slow.release()
        time.sleep(0.001)


for n in range(2):
    run.add(in_order, f"in-order-{n}")
for body in (long_hold, behind, waits_on_condition, timed):
    run.add(body, body.__name__)
for n in range(3):
    seems_stuck(n)
run.forever(idle, "idle")
run.forever(idle_queue, "idle-queue")
run.main()
