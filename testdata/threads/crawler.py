"""Reads all pages of a site with the threads of a pool, and follows their links. Prints how
many pages that were, and how long it took.

    crawler.py ADDRESS THREADS [html.parser | lxml]
"""

import json
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from urllib.parse import urljoin

import requests
from bs4 import BeautifulSoup

address, threads = sys.argv[1], int(sys.argv[2])
parser = sys.argv[3] if len(sys.argv) > 3 else "html.parser"
mine = threading.local()


def fetch(url):
    if not hasattr(mine, "session"):
        mine.session = requests.Session()
        mine.session.trust_env = False  # no proxy between us and the site
    return mine.session.get(url, timeout=30).text


def parse(url, text):
    soup = BeautifulSoup(text, parser)
    prices = [float(cell.string) for cell in soup.find_all("td", class_="price")]
    return [urljoin(url, link["href"]) for link in soup.find_all("a")], sum(prices)


def visit(url):
    return parse(url, fetch(url))


def crawl():
    seen, total = {address + "0"}, 0.0
    with ThreadPoolExecutor(threads, thread_name_prefix="crawler") as pool:
        pending = {pool.submit(visit, url) for url in seen}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for job in done:
                links, price = job.result()
                total += price
                new = set(links) - seen
                seen |= new
                pending |= {pool.submit(visit, url) for url in new}
    return len(seen), total


begin = time.monotonic_ns()
pages, total = crawl()
print(json.dumps({"wall_ns": time.monotonic_ns() - begin, "pages": pages, "total": total}), flush=True)
