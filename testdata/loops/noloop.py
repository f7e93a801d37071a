"""Threads that wait for events, but not in a loop: each wait is for the answer to one call, and in between they compute."""
import select
import socket
import sys
import threading
import time

running = True
a, b = socket.socketpair()


def compute():
    end = time.thread_time() + 0.07
    while time.thread_time() < end:
        pass


def by_timeout():
    a.settimeout(0.02)  # recv polls
    while running:
        try:
            a.recv(1)
        except OSError:
            pass
        compute()


def by_select():
    while running:
        select.select([b], [], [], 0.02)
        compute()


def by_epoll():
    instance = select.epoll()
    instance.register(b, select.EPOLLIN)
    while running:
        instance.poll(0.02)
        compute()


threads = [threading.Thread(target=f) for f in (by_timeout, by_select, by_epoll)]
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.read()
running = False
for thread in threads:
    thread.join()
