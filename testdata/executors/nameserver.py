"""A name server that is the only one of the program: a socket in a network namespace of the program's own, which nobody reads unless the program does."""
import ctypes
import fcntl
import os
import socket
import struct
import sys
import tempfile

CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        sys.exit("%s: %s" % (what, os.strerror(ctypes.get_errno())))


def only_one():
    """Makes a socket of the program's the only name server. To be called while the program has one thread."""
    check(libc.unshare(CLONE_NEWNS | CLONE_NEWNET), "unshare")
    libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)  # fails in a root that is no mount, which needs no more
    with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as conf:
        conf.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    if os.path.exists("/etc/resolv.conf"):  # else 127.0.0.1 is asked anyway
        check(libc.mount(conf.name.encode(), os.path.realpath("/etc/resolv.conf").encode(), None, MS_BIND, None), "mount resolv.conf")
    os.environ["RES_OPTIONS"] = "timeout:1 attempts:1"
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(server, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    server.bind(("127.0.0.1", 53))
    return server
