"""Blocks of an event loop that others make: a name server and a database that answer late, a database that is locked, and a process that has the CPU.

All of them are this program's own. The driver of PostgreSQL is used where it is installed; it talks to a socket here that says as little as it can.
"""
import asyncio
import os
import socket
import sqlite3
import struct
import sys
import tempfile
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../executors"))
import nameserver
from loopclock import clock, main, truth

try:
    import psycopg2
except ImportError:
    psycopg2 = None

LONG = 0.12


def after(seconds, act):
    threading.Thread(target=lambda: (time.sleep(seconds), act()), daemon=True).start()


def hog(orders, cpu):
    """Takes the CPU from whoever has it, at each order."""
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    while os.read(orders, 1):
        end = clock() + int(LONG * 1e9)
        while clock() < end:
            pass
    os._exit(0)


ALL = os.sched_getaffinity(0)
CPU = max(ALL)
orders, order = os.pipe()
if os.fork() == 0:
    os.close(order)
    hog(orders, CPU)
names = nameserver.only_one()


def answer_late():
    """Says of each name, after a while, that there is none (RFC 1035, 4.1.1)."""
    while True:
        query, client = names.recvfrom(512)
        answer = query[:2] + b"\x81\x83" + query[4:6] + bytes(6) + query[12:]
        after(LONG, lambda answer=answer, client=client: names.sendto(answer, client))


threading.Thread(target=answer_late, daemon=True).start()


async def look_up():
    try:
        socket.getaddrinfo("database.example.com.", 5432)  # block
    except socket.gaierror:
        pass


path = os.path.join(tempfile.mkdtemp(), "db")
writer = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
writer.execute("CREATE TABLE t (x)")
reader = sqlite3.connect(path, timeout=5, isolation_level=None)


async def wait_for_writer():
    writer.execute("BEGIN EXCLUSIVE")
    after(LONG, lambda: writer.execute("ROLLBACK"))
    reader.execute("BEGIN IMMEDIATE")  # block
    reader.execute("ROLLBACK")


async def starve():
    os.sched_setaffinity(0, {CPU})
    os.write(order, b"x")  # block
    os.sched_setaffinity(0, ALL)


def read(s, n):
    return s.recv(n, socket.MSG_WAITALL)


def message(kind, *fields):
    body = b"".join(f if isinstance(f, bytes) else struct.pack("!I", f) for f in fields)
    return kind + struct.pack("!I", len(body) + 4) + body


def postgres(listening):
    """One connection to a server that answers each query late (the frontend/backend protocol, version 3)."""
    s, _ = listening.accept()
    read(s, struct.unpack("!I", read(s, 4))[0] - 4)
    s.sendall(message(b"R", 0) + b"".join(message(b"S", k + b"\0" + v + b"\0") for k, v in [
        (b"server_version", b"15.0"), (b"client_encoding", b"UTF8"), (b"DateStyle", b"ISO, MDY"), (b"standard_conforming_strings", b"on")]) + message(b"Z", b"I"))
    while read(s, 1) == b"Q":
        read(s, struct.unpack("!I", read(s, 4))[0] - 4)
        time.sleep(LONG)
        s.sendall(message(b"C", b"UPDATE 1\0") + message(b"Z", b"I"))


if psycopg2:
    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=postgres, args=(listening,), daemon=True).start()
    cursor = psycopg2.connect("host=127.0.0.1 port=%d user=x dbname=x sslmode=disable gssencmode=disable" % listening.getsockname()[1])
    cursor.autocommit = True
    cursor = cursor.cursor()


async def query():
    cursor.execute("UPDATE t SET x = 1")  # block


CASES = [(look_up, "dns", "poll"), (wait_for_writer, "sleep", None), (starve, "runqueue", None)] + [(query, "syscall", "poll")] * bool(psycopg2)


async def once():
    for function, cause, syscall in CASES:
        await asyncio.sleep(0.01)
        name = "case-" + function.__name__
        task = asyncio.get_running_loop().create_task(function(), name=name)
        begin = clock()
        await task
        truth.block(begin, clock(), cause, function, name, function.__name__, syscall)


main(once)
