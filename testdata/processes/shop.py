"""A WSGI application whose handler computes: with threads in a worker, they contend for its GIL in price_basket."""
import os


def price_basket():
    total = 0
    for item in range(100000):
        total += item * item % 7
    return total


def app(environ, start_response):
    body = b"%d %d\n" % (os.getpid(), price_basket())
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
