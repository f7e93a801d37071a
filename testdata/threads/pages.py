"""A web site of linked pages on 127.0.0.1, for crawler.py: each answer takes 10 ms, as over a
network. Prints "ready" and its address, and serves until its standard input ends.

    pages.py PAGES
"""

import asyncio
import os
import sys

PAGES = int(sys.argv[1])
DELAY = 0.01  # seconds
LINKS, ROWS = 5, 400


def page(n):
    """Page n; its links reach every page from page 0."""
    links = "".join('<a href="/%d">page</a>\n' % m for m in range(n * LINKS + 1, min((n + 1) * LINKS + 1, PAGES)))
    rows = "".join('<tr><td class="name">row %d</td><td class="price">%d.50</td></tr>\n' % (r, n + r) for r in range(ROWS))
    body = ("<html><head><title>page %d</title></head><body>%s<table>%s</table></body></html>" % (n, links, rows)).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n" % len(body) + body


async def serve(reader, writer):
    try:
        while True:
            request = await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(DELAY)
            writer.write(answers[int(request.split(b" ", 2)[1][1:])])
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print("ready")
    print("http://127.0.0.1:%d/" % server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, os.read, 0, 1)
    server.close()


answers = [page(n) for n in range(PAGES)]
asyncio.run(main())
