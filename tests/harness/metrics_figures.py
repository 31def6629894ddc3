# SPDX-License-Identifier: Apache-2.0
"""The figures of scripts/bench-metrics: time, size, CPU and memory of a scrape; medians, floor and daemon by turns in the same run."""
import os
import resource
import signal
import socket
import subprocess
import tempfile
import time

from . import figures
from .api_figures import reachable
from .daemon import BUILD, Daemon
from .lab import sh, wait_for
from .process import cpu_seconds, resident_kib

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


def measure(arguments):
    rounds, flows = (1, 1_000) if arguments.quick else (arguments.rounds, arguments.flows)
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
        quiet = time.monotonic(), cpu_seconds(pid)
        time.sleep(5)  # the CPU time of the daemon without a scrape, mostly that of the enricher's periods
        idle = (cpu_seconds(pid) - quiet[1]) / (time.monotonic() - quiet[0])

        def way(process, port, headers):
            spent_before = cpu_seconds(process)
            spent, body = scrape(port, headers)
            cpu = cpu_seconds(process) - spent_before - (idle * spent if process == pid else 0)
            return spent * 1000, max(cpu, 0) * 1000, len(body) / 1e6

        found = figures.medians(figures.by_turns(rounds, {name: lambda one=one: way(*one) for name, one in {
            "floor": (floor.pid, FLOOR, ()),
            "text": (pid, EVERY_FLOW, ()),
            "gzip": (pid, EVERY_FLOW, OPEN_METRICS + GZIP),
            "default, text": (pid, DEFAULT, ()),
            "default, gzip": (pid, DEFAULT, GZIP),
            "none": (pid, NO_FLOW, ())}.items()}))
        after = resident_kib(pid)
        floor.terminate()
        floor.wait()
    kept.close()
    (floor_time, floor_cpu, _), rows = found["floor"], []
    for name, what, most in (("text", f"all {flows:,} flows, text", "<= 80"),
                             ("gzip", f"all {flows:,} flows, OpenMetrics and gzip, as Prometheus requests it", "<= 110")):
        spent, cpu, size = found[name]
        rows += [figures.row(f"{what}, {size:.1f} MB: time", spent, "ms", floor_time, most),
                 figures.row(f"{what}: CPU", cpu, "ms", floor_cpu)]
    for name, what in (("default, text", "1,000 flows, the default of `maxFlows`, text"), ("default, gzip", "the same, gzip"),
                       ("none", "`perFlow: false`")):
        rows.append(figures.row(f"{what}, {found[name][2]:.2f} MB: time", found[name][0], "ms"))
    rows.append(figures.row(f"resident memory that scrapes add ({before / 1024:.0f} MiB before the first)", max(after - before, 0) / 1024,
                            "MiB", aim="<= 30"))
    return {"metrics": rows}


if __name__ == "__main__":
    figures.main("scripts/bench-metrics", __doc__, measure, ("--rounds", {"type": int, "default": 9}),
                 ("--flows", {"type": int, "default": 10_000}))
