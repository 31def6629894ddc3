# SPDX-License-Identifier: Apache-2.0
"""What the sources of a daemon cannot announce before it stops: counted, in the log, in the exit code."""
import os
import pathlib
import re
import signal
import socket

import pytest

from tests.harness.collector import Collector
from tests.harness.daemon import BUILD, Daemon
from tests.harness.pairs import destination, source_port

LIVE_MODULES = BUILD / "tests" / "modules" / "live" / "modules"
COUNT = 500
CONFIGURATION = """\
stopTimeout: 4s
queues: {{events: 64, stallAfter: 60s}}
plugins:
  fireflyp: {{}}
  namedPipe: {{pipePath: {pipe}}}
backends:
  misbehave: {backend}
  firefly:
    sendToDestination: false
    collectors: [{{address: "fd5c:17a6:5::b"}}]
"""


@pytest.fixture
def pipe():
    path = pathlib.Path(f"/run/flowd-test-stop-{os.getpid()}")
    yield path
    path.unlink(missing_ok=True)


def firefly(number):
    return (f'<134>1 2026-11-23T10:00:01Z se test - firefly-json - {{"version":1,"flow-lifecycle":{{"state":"start",'
            '"start-time":"2026-11-23T10:00:00Z","current-time":"2026-11-23T10:00:01Z"},'
            '"context":{"experiment-id":2,"activity-id":16},"flow-id":{"afi":"ipv6","src-ip":"2001:db8:1::a",'
            f'"dst-ip":"{destination(number)}","protocol":"tcp","src-port":{source_port(number)},"dst-port":1095}}}}').encode()


def given_up(log, what):
    found = re.search(rf"(\d+) {what} were not announced before the stop", log)
    return int(found[1]) if found else 0


def announced(collector, port):
    """The flows to this port that the collector heard of, each with its start and its end."""
    told = {}
    for message in collector.fireflies:
        if message["flow-id"]["dst-port"] == port:
            told.setdefault(message["flow-id"]["src-port"], []).append(message["flow-lifecycle"]["state"])
    assert all(states == ["start", "end"] for states in told.values()), told
    return len(told)


@pytest.mark.parametrize("backend,code", [("{at: events, how: slow-at-first}", 10), ("{at: nowhere}", 0)], ids=["slow", "quick"])
def test_events_lost_by_plugins_at_the_stop_are_counted_logged_and_set_the_exit_code(lab, pipe, backend, code):
    """With the slow backend the queues are full until the sources have to give up; then it takes all that the queues hold."""
    configuration = CONFIGURATION.format(pipe=pipe, backend=backend)
    with Collector(lab.b) as collector, Daemon(configuration, lab.a, arguments=["--modules", str(LIVE_MODULES)]) as daemon:
        daemon.process.send_signal(signal.SIGSTOP)
        sender = lab.a.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
        for number in range(COUNT):
            sender.sendto(firefly(number), ("127.0.0.1", 10514))
        with open(pipe, "w") as writer:
            for number in range(COUNT):
                writer.write(f"start tcp 2001:db8:1::a {source_port(number)} {destination(number)} 1094 2 16\n")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.send_signal(signal.SIGCONT)
        assert daemon.process.wait(30) == code, daemon.log
        lost = {1095: given_up(daemon.log, "fireflies"), 1094: given_up(daemon.log, "lines")}
        assert all(lost.values()) == (code == 10), (lost, daemon.log)
        collector.wait_for_count(2 * (2 * COUNT - sum(lost.values())))
        for port, count in lost.items():
            assert announced(collector, port) == COUNT - count, (port, daemon.log)
