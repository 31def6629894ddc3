# SPDX-License-Identifier: Apache-2.0
"""scripts/bench-view: a million live flows, 50,000 starts and ends a second, with and without ten open pages, alternately."""
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

from . import figures
from .browser import Browser, missing
from .daemon import Daemon
from .firefly_figures import AT, LOAD, words
from .lab import wait_for
from .process import cpu_seconds, resident_kib

PAGE = ("127.0.0.1", 8090)
CONF = f"""\
flows: {{maxLive: 2000000, history: %d}}
plugins:
  api: {{}}
  fireflyp: {{bindAddress: "::1", bindPort: {AT}}}
backends:
  view: {{}}
"""


def announce(first, count):
    for at in range(first, first + count, 4000):
        body = [{"state": "start", "protocol": "tcp", "source": {"address": f"2001:db8:1::{n >> 16:x}", "port": n % 65535 + 1},
                 "destination": {"address": f"2001:db8:{n % 200:x}::2", "port": 1094}, "experiment": 2 + n % 4, "activity": 16}
                for n in range(at, min(at + 4000, first + count))]
        urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:7777/flow", json.dumps(body).encode(),
                                                      {"Content-Type": "application/json"}), timeout=120).read()


class Client:
    """An open page, as the server sees it: reads its stream as it comes."""

    def __init__(self, query):
        self.socket, self.bytes = socket.create_connection(PAGE), 0
        self.socket.sendall(f"GET /stream{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        with contextlib.suppress(OSError):
            while piece := self.socket.recv(1 << 20):
                self.bytes += len(piece)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()


@contextlib.contextmanager
def churn(rate, seconds):
    process = subprocess.Popen([LOAD, "blast", "::1", str(AT), str(rate), str(seconds)], stdout=subprocess.PIPE, text=True)
    try:
        yield
    finally:
        words(process.communicate()[0])


def share_of_cpu(daemon, seconds):
    """CPU seconds of the daemon in a second."""
    begin, at = cpu_seconds(daemon.process.pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(daemon.process.pid) - begin) / (time.monotonic() - at)


def bytes_of_an_ended_flow(flows):
    """Resident memory of the same load with and without a history."""
    sizes = []
    for history in (0, flows):
        with Daemon(CONF % history) as daemon:
            with churn(50_000, (2 * flows + 1000) / 50_000):
                pass
            wait_for(lambda: daemon.cli("flows", "--summary")["live"] <= 1000, "the ends", 60)
            time.sleep(7)  # the tombstones
            sizes.append(resident_kib(daemon.process.pid) * 1024)
            kept = daemon.cli("flows", "--ended", "--limit", "1")["ended"]
    return (sizes[1] - sizes[0]) / kept, kept


def in_a_browser(size="1400x900"):
    with Browser(size) as page:
        page.run("await page.goto('http://localhost:8090/')")
        paint = "return await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0)"
        wait_for(lambda: page.run(paint) > 0, "the first paint", 60)
        first = page.run(paint)
        page.run("await page.goto('http://localhost:8090/#flows')")
        wait_for(lambda: "10,000 of" in page.text("#count-flows"), "the rows", 180)
        worst, nodes = page.scroll("table-flows", 10)
        heap = page.run("return await page.evaluate(() => { gc(); return performance.memory.usedJSHeapSize; })")
        return first, worst, nodes, heap


def measure(arguments):
    flows, rounds, seconds = (50_000, 1, 3) if arguments.quick else (arguments.flows, arguments.rounds, arguments.seconds)
    if missing():
        sys.exit(missing())
    size, kept = bytes_of_an_ended_flow(flows // 5)
    with Daemon(CONF % 10_000) as daemon:
        announce(0, flows)
        wait_for(lambda: daemon.cli("flows", "--summary")["live"] >= flows, "the flows", 120)
        without, with_pages = [], []
        for _ in range(rounds):
            with churn(arguments.rate, 2 * seconds + 7):
                time.sleep(3)
                without.append(share_of_cpu(daemon, seconds))
                clients = [Client("?table=live&order=new" if n % 2 else "") for n in range(arguments.pages)]
                time.sleep(3)
                with_pages.append(share_of_cpu(daemon, seconds))
                for client in clients:
                    client.close()
        first, worst, nodes, heap = in_a_browser()
    more = sorted((b / a - 1) * 100 for a, b in zip(without, with_pages))
    each = ", ".join(f"{one:+.0f}" for one in more)
    return {"view": [
        figures.row(f"CPU of the daemon with {arguments.pages} pages more than without; {flows:,} live flows, {arguments.rate:,} starts and ends a second; "
                    f"pairs: {each}", statistics.median(more), "%", aim="<= 10"),
        figures.row(f"ended flow: resident memory with a history less that without, of {kept:,} kept", size, "bytes", aim="<= 300"),
        figures.row("first paint in a browser, with these flows", first, "ms", aim="<= 300"),
        figures.row("worst frame of 10 s of scrolling through 10,000 rows", worst, "ms", aim="<= 50"),
        figures.row("elements of the page meanwhile", nodes, "elements", aim="<= 2000"),
        figures.row("heap of the page", heap / 1e6, "MB")]}


if __name__ == "__main__":
    figures.main("scripts/bench-view", __doc__, measure, ("--flows", {"type": int, "default": 1_000_000}),
                 ("--rate", {"type": int, "default": 50_000}), ("--rounds", {"type": int, "default": 3}),
                 ("--seconds", {"type": float, "default": 8, "help": "of each measurement of the CPU time"}),
                 ("--pages", {"type": int, "default": 10}))
