# SPDX-License-Identifier: Apache-2.0
"""The figures of scripts/bench-metrics: time, size, CPU and memory of a scrape; medians, floor and daemon by turns in the same run."""
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from .api_figures import cpu_seconds, reachable
from .daemon import BUILD, Daemon
from .firefly_figures import resident_kib
from .lab import sh, wait_for

FLOOR, EVERY_FLOW, DEFAULT, NO_FLOW = 7776, 9100, 9101, 9102
CONFIGURATION = """\
plugins:
  netlink: {{ignorePrivate: false, early: false, period: 1s, experiment: 2, activity: 16}}
enrichers:
  period: 1s
  netlink: {{}}
backends:
  metrics: {{port: %d, maxFlows: {flows}}}
  metrics/default: {{port: %d}}
  metrics/none: {{port: %d, perFlow: false}}
""" % (EVERY_FLOW, DEFAULT, NO_FLOW)
GZIP = ("Accept-Encoding: gzip",)
OPEN_METRICS = ("Accept: application/openmetrics-text;version=1.0.0",)


class Connections:
    """So many, both ends here; each has sent something. Held by children, for one process may not open so many."""

    EACH = 5_000

    def __init__(self, count):
        self.children = []
        for first in range(0, count, self.EACH):
            ready, told = os.pipe()
            child = os.fork()
            if child == 0:
                self._hold(min(self.EACH, count - first), f"127.0.1.{1 + len(self.children)}", told)
            self.children.append(child)
            os.close(told)
            assert os.read(ready, 1), "a child could not make its connections"
            os.close(ready)

    @staticmethod
    def _hold(count, address, told):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
            kept = []
            with socket.create_server((address, 5201), backlog=1024) as server:
                for number in range(count):
                    client = socket.create_connection(server.getsockname(), source_address=(address, 0))
                    kept += [client, server.accept()[0]]
                    client.sendall(b"x" * (1 + number % 1000))
            os.write(told, b"x")
            signal.pause()
        finally:
            os._exit(1)

    def close(self):
        for child in self.children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def scrape(port, headers=()):
    """(seconds until the last byte, bytes of the body, its beginning)"""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        lines = ("GET /metrics HTTP/1.1", "Host: bench", "Connection: close", *headers)
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        pieces = []
        while piece := connection.recv(1 << 20):
            pieces.append(piece)
    spent = time.monotonic() - began
    head, body = b"".join(pieces).split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200"), head
    return spent, body


def row(name, spent, size, cpu):
    print(f"{name:44} {statistics.median(spent) * 1000:8.1f} ms   {statistics.median(cpu) * 1000:7.1f} ms CPU   {size / 1e6:8.3f} MB",
          flush=True)


def main():
    rounds, flows = (int(word) for word in (sys.argv[1:] + ["9", "10000"][len(sys.argv) - 1:])[:2])
    sh("ip", "link", "set", "lo", "up")
    kept = Connections(flows)
    with Daemon(CONFIGURATION.format(flows=flows)) as daemon, tempfile.NamedTemporaryFile() as page:
        pid = daemon.process.pid
        wait_for(lambda: daemon.cli("flows")["live"] == flows, f"{flows} flows", 60)
        wait_for(lambda: daemon.details("backend metrics")["flowsShown"] == flows, "a sample of each flow", 60)
        before = resident_kib(pid)
        page.write(scrape(EVERY_FLOW)[1])
        page.flush()
        floor = subprocess.Popen([str(BUILD / "bin" / "beast_floor"), str(FLOOR), page.name])
        wait_for(lambda: reachable(FLOOR), "the floor")
        ways = {"floor: Beast alone, the bytes of the next row": (floor.pid, FLOOR, ()),
                f"all {flows} flows, text": (pid, EVERY_FLOW, ()),
                f"all {flows} flows, OpenMetrics, gzip": (pid, EVERY_FLOW, OPEN_METRICS + GZIP),
                "1000 flows (maxFlows by default), text": (pid, DEFAULT, ()),
                "1000 flows (maxFlows by default), gzip": (pid, DEFAULT, GZIP),
                "perFlow: false, text": (pid, NO_FLOW, ())}
        found = {name: ([], [], []) for name in ways}
        quiet = time.monotonic(), cpu_seconds(pid)
        time.sleep(5)  # the CPU time of the daemon without a scrape, mostly that of the enricher's periods
        idle = (cpu_seconds(pid) - quiet[1]) / (time.monotonic() - quiet[0])
        for _ in range(rounds):
            for name, (process, port, headers) in ways.items():
                spent_before = cpu_seconds(process)
                spent, body = scrape(port, headers)
                cpu = cpu_seconds(process) - spent_before - (idle * spent if process == pid else 0)
                for column, value in zip(found[name], (spent, max(cpu, 0), len(body))):
                    column.append(value)
        after = resident_kib(pid)
        floor.terminate()
        floor.wait()
        print(f"{flows} live connections, {rounds} rounds, medians; load {os.getloadavg()[0]:.1f}; between scrapes {idle * 100:.1f} % of a core")
        for name, (spent, cpu, size) in found.items():
            row(name, spent, statistics.median(size), cpu)
        print(f"resident: {before / 1024:.1f} MiB before the first scrape, {after / 1024:.1f} MiB after the last")
    kept.close()


if __name__ == "__main__":
    main()
