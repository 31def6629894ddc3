# SPDX-License-Identifier: Apache-2.0
"""SIGHUP again and again, each time with another configuration, while 10,000 events a second come in: every flow starts
and ends once, in this order, at every backend that stays."""
import os
import pathlib
import re
import threading
import time

import pytest

from tests.harness.collector import Collector
from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for
from tests.harness.pairs import destination, source_port

RATE = 10_000  # events a second
LIVE = 2_000   # flows that are live at a time: of each reload, some


class Recorder(Collector):
    """Only keeps what it gets, in a buffer that holds all of it, and judges afterwards."""

    def __init__(self, host, port):
        self.datagrams = []
        super().__init__(host, port, 256 << 20)

    def take(self, datagram):
        self.datagrams.append(datagram)

    def states(self):
        """{flow: its states in the order in which they came}"""
        told = {}
        for datagram in self.datagrams:
            state = re.search(rb'"state":"(\w+)"', datagram)[1].decode()
            key = re.search(rb'"dst-ip":"([^"]+)"', datagram)[1], re.search(rb'"src-port":(\d+)', datagram)[1]
            told.setdefault(key, []).append(state)
        return told


class Emitter(threading.Thread):
    """Writes starts and ends into the pipe, at a rate; the pipe makes it wait, rather than lose anything."""

    def __init__(self, path, pairs):
        super().__init__()
        self.path, self.pairs = path, pairs

    def run(self):
        began = time.monotonic()
        with open(self.path, "wb", buffering=0) as pipe:
            for first in range(0, self.pairs + LIVE, 50):
                numbers = range(first, first + 50)
                pipe.write("".join([self.line("start", n) for n in numbers if n < self.pairs] +
                                   [self.line("end", n - LIVE) for n in numbers if n >= LIVE]).encode())
                ahead = 2 * first / RATE - (time.monotonic() - began)
                if ahead > 0.002:
                    time.sleep(ahead)  # the rate of the traffic, not a wait for the daemon

    @staticmethod
    def line(state, number):
        return f"{state} tcp fd5c:17a6:5::a {source_port(number)} {destination(number)} 1094 2 16\n"


def configurations(path):
    """The first one, then changes: a backend that takes new options (firefly, marker), one that is replaced (metrics), one that
    comes and goes, the size of the queues, the plugin itself, and back. firefly/first and firefly/second are in all of them."""
    def text(pipe="", first="", second="", marker="", metrics="", more="", queue=65536):
        return (f"queues: {{events: {queue}}}\n"
                f"plugins:\n  namedPipe: {{pipePath: {path}{pipe}}}\n"
                "backends:\n"
                "  firefly/first:\n    sendToDestination: false\n"
                f"    collectors: [{{address: '::1', port: 20515}}]\n{first}"
                "  firefly/second:\n    sendToDestination: false\n"
                f"    collectors: [{{address: '::1', port: 20516}}]\n{second}"
                f"  marker: {{targetInterfaces: [eth0]{marker}}}\n"
                f"  metrics: {{port: 9100{metrics}}}\n{more}")

    third = "  firefly/third: {sendToDestination: false, collectors: [{address: '::1', port: 20517}]}\n"
    return [text(), text(first="    resolveInterval: 30s\n", metrics=", maxFlows: 10"), text(queue=300, marker=", mode: observe"),
            text(pipe=", buffSize: 4096"), text(second="    maxSize: 1400\n", more=third),
            text(pipe=", buffSize: 2000", first="    enrich: true\n", queue=4096, metrics=", perFlow: false")]


@pytest.fixture
def pipe():
    path = pathlib.Path(f"/run/flowd-test-reload-{os.getpid()}")
    yield path
    path.unlink(missing_ok=True)


def test_reloads_under_load_lose_and_repeat_nothing(lab, pipe):
    """8 s of traffic; 60 s with FLOWD_LONG=1."""
    pairs = RATE // 2 * (60 if os.environ.get("FLOWD_LONG") else 8)
    ways = configurations(pipe)
    with Recorder(lab.a, 20515) as first, Recorder(lab.a, 20516) as second, Recorder(lab.a, 20517) as third, \
            Daemon(ways[0], lab.a) as daemon:
        emitter = Emitter(pipe, pairs)
        emitter.start()
        reloads = 0
        while emitter.is_alive() or reloads < 2 * len(ways):
            reloads += 1
            daemon.reload(ways[reloads % len(ways)])
        emitter.join()
        status = daemon.cli("status")
        assert status["daemon"]["reloads"] == reloads and status["daemon"]["reloadsFailed"] == 0
        for recorder in (first, second):
            wait_for(lambda: len(recorder.datagrams) >= 2 * pairs, f"{2 * pairs} fireflies (have {len(recorder.datagrams)})", 30)
            told = recorder.states()
            assert len(told) == pairs
            wrong = {key: states for key, states in told.items() if states != ["start", "end"]}
            assert not wrong, (len(wrong), reloads, list(wrong.items())[:3])
        # One that comes and goes is told what is live each time that it comes, and nothing of a flow after its end.
        assert third.datagrams
        assert all("end" not in states[:-1] for states in third.states().values())
        assert daemon.cli("flows")["live"] == 0
        wait_for(lambda: daemon.details("backend marker")["flows"] == 0, "the marker to have let go of every flow")
        assert all(edge["missed"] == edge["givenUp"] == 0 for edge in status["queues"]), status["queues"]
        assert daemon.stop() == 0
