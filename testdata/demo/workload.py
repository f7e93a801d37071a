"""A shop's back office in one process, with every way of fighting over the GIL: `make demo` watches it.

Three threads compute, one polls a queue every millisecond, one calls into C code which keeps the GIL for 50 ms.
Prints "ready" and runs until SIGTERM or until stdin ends (unless that is /dev/null). Only the standard library, CPython 3.8 and newer.
"""
import ctypes
import os
import queue
import select
import signal
import threading
import time

KEEPS_THE_GIL = ctypes.PyDLL(None)  # unlike CDLL: a C extension without Py_BEGIN_ALLOW_THREADS

stopping = threading.Event()
orders = queue.Queue(1000)


def score_orders():
    total = 0
    while not stopping.is_set():
        for order in range(2000):
            total = (total * 31 + order) % 1000003
    return total


def render_invoices():
    while not stopping.is_set():
        rows = []
        for number in range(500):
            rows.append("%06d;%8.2f" % (number, number * 1.19))


def resize_images():
    pixels = bytes(range(256)) * 16
    while not stopping.is_set():
        half = bytearray(len(pixels) // 2)
        for i in range(len(half)):
            half[i] = (pixels[2 * i] + pixels[2 * i + 1]) // 2


def poll_queue():
    while not stopping.is_set():
        time.sleep(0.001)
        try:
            orders.put_nowait(time.monotonic())
        except queue.Full:
            orders.get_nowait()


def legacy_checksum():
    while not stopping.is_set():
        KEEPS_THE_GIL.usleep(50000)
        time.sleep(0.15)


THREADS = {
    "scoring": score_orders,
    "invoices": render_invoices,
    "images": resize_images,
    "queue-poller": poll_queue,
    "legacy": legacy_checksum,
}


def wait_for_the_end():
    """Returns when stdin has ended. A background job's stdin is /dev/null: then only SIGTERM ends the program."""
    watched = [] if os.path.samestat(os.fstat(0), os.stat(os.devnull)) else [0]
    while not stopping.is_set():
        ready, _, _ = select.select(watched, [], [], 0.5)
        if ready and not os.read(0, 4096):
            return


def main():
    signal.signal(signal.SIGTERM, lambda signum, frame: stopping.set())
    threads = [threading.Thread(target=body, name=name) for name, body in THREADS.items()]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    wait_for_the_end()
    stopping.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
