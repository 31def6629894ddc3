# SPDX-License-Identifier: Apache-2.0
"""Six senders announce overlapping flows over UDP, the pipe and HTTP while the configuration is reloaded and a collector is
suspended: the steady collector hears every start and every end exactly once."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

import pytest

from tests.harness.collector import Collector
from tests.harness.daemon import Daemon
from tests.harness.http import Api
from tests.harness.lab import wait_for
from tests.harness.pairs import destination, source_port

LONG = bool(os.environ.get("FLOWD_LONG"))
FLOWS, RELOADS, SUSPENDED = (50_000, 40, 15) if LONG else (9_000, 12, 5)
ROUND = 1_500  # flows that start in a round; they end in the next but one
SOURCE = "2001:db8:1::a"  # another host's: nobody looks for a socket
STEADY, SUSPENDABLE, PASSING = 20515, 20516, 20517
# What the senders have told is read before they go on, so that no datagram is shed and no end overtakes a start.
CONFIGURATION = """\
flows: {{tombstone: 300s}}
plugins:
  fireflyp: {{receiveBuffer: 64 MiB}}
  namedPipe: {{pipePath: {pipe}}}
  api: {{}}
backends:
  firefly:
    sendToDestination: false
    collectors:
      - {{address: "fd5c:17a6:5::b", port: 20515}}
      - {{address: "fd5c:17a6:5::b", port: 20516}}
"""
ONE_MORE = """\
      - {address: "fd5c:17a6:5::b", port: 20517}
"""
IDLE_COLLECTOR = """\
import socket
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.bind(("::", 20516))
print("bound", flush=True)
while True: sock.recv(65536)
"""


class Recorder(Collector):
    """Keeps each state of each flow, in a buffer that holds what comes while others have the processor."""

    def __init__(self, host, port):
        self.told, self.count, self.ends = {}, 0, 0
        super().__init__(host, port, 256 << 20)

    def take(self, datagram):
        message = json.loads(datagram[datagram.index(b"{"):])
        key = message["flow-id"]["dst-ip"], message["flow-id"]["src-port"]
        self.told.setdefault(key, []).append(message["flow-lifecycle"]["state"])
        self.count += 1
        self.ends += message["flow-lifecycle"]["state"] == "end"


class UdpSender:
    def __init__(self, host):
        self.socket, self.sent = host.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM), 0

    def tell(self, state, numbers):
        end = ',"end-time":"2026-11-23T10:00:01Z"' if state == "end" else ""
        for number in numbers:
            self.socket.sendto(
                (f'<134>1 2026-11-23T10:00:01Z se test - firefly-json - {{"version":1,"flow-lifecycle":{{"state":"{state}",'
                 f'"start-time":"2026-11-23T10:00:00Z","current-time":"2026-11-23T10:00:01Z"{end}}},'
                 '"context":{"experiment-id":2,"activity-id":16},"flow-id":{"afi":"ipv6",'
                 f'"src-ip":"{SOURCE}","dst-ip":"{destination(number)}","protocol":"tcp","src-port":{source_port(number)},'
                 '"dst-port":1094}}').encode(), ("127.0.0.1", 10514))
            self.sent += 1


class PipeSender:
    def __init__(self, path):
        self.path, self.sent = path, 0

    def tell(self, state, numbers):
        with open(self.path, "wb", buffering=0) as pipe:  # a line at a time: nobody else's comes in between
            for number in numbers:
                pipe.write(f"{state} tcp {SOURCE} {source_port(number)} {destination(number)} 1094 2 16\n".encode())
                self.sent += 1


class RestSender:
    AT_ONCE = 100

    def __init__(self, host):
        self.host = host

    def tell(self, state, numbers):
        with Api.at(self.host) as api:
            for first in range(0, len(numbers), self.AT_ONCE):
                flows = [{"state": state, "protocol": "tcp", "source": {"address": SOURCE, "port": source_port(number)},
                          "destination": {"address": destination(number), "port": 1094}, "experiment": 2, "activity": 16}
                         for number in numbers[first:first + self.AT_ONCE]]
                while (answer := api.post(flows))[0] == 503:
                    pass  # it answers when it has waited for room
                assert answer[0] == 200, answer


class Storm:
    """Every flow is announced by two of the six senders, each time by two others, and ended by both."""

    def __init__(self, daemon, host, pipe):
        self.daemon = daemon
        self.udp = [UdpSender(host), UdpSender(host)]
        self.pipes = [PipeSender(pipe), PipeSender(pipe)]
        self.senders = [*self.udp, *self.pipes, RestSender(host), RestSender(host)]
        self.pairs = [(one, other) for one in range(6) for other in range(one)]

    def share(self, sender, flows):
        return [number for number in flows if sender in self.pairs[number % len(self.pairs)]]

    def round(self, starts, ends):
        failures = []

        def run(index, sender):
            try:
                sender.tell("start", self.share(index, starts))
                sender.tell("end", self.share(index, ends))
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=run, args=one) for one in enumerate(self.senders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, failures
        wait_for(self.is_read, "the daemon to have read what was sent", 60)

    def is_read(self):
        fireflies, pipe = self.daemon.details("plugin fireflyp"), self.daemon.details("plugin namedpipe")
        assert fireflies["kernelDrops"] == 0, fireflies
        taken = sum(fireflies["announced"].values()), sum(pipe["announced"].values())
        return taken == (sum(one.sent for one in self.udp), sum(one.sent for one in self.pipes))

    def run(self):
        rounds = [range(first, min(first + ROUND, FLOWS)) for first in range(0, FLOWS, ROUND)]
        for starts, ends in zip([*rounds, (), ()], [(), (), *rounds]):
            self.round(starts, ends)


class Reloader(threading.Thread):
    """Adds and removes a collector, all the time that the storm lasts."""

    def __init__(self, daemon, configuration):
        super().__init__()
        self.daemon, self.configuration, self.count, self.over, self.failure = daemon, configuration, 0, threading.Event(), None

    def run(self):
        try:
            while self.count < RELOADS or not self.over.is_set():
                self.count += 1
                self.daemon.reload(self.configuration + (ONE_MORE if self.count % 2 == 1 else ""))
                self.over.wait(0.2)
        except BaseException as failure:
            self.failure = failure


@pytest.fixture
def pipe():
    path = pathlib.Path(f"/run/flowd-test-storm-{os.getpid()}")
    yield path
    path.unlink(missing_ok=True)


def test_under_load_the_working_collector_receives_every_start_and_end_once(lab, pipe):
    """9,000 flows and 12 reloads; 50,000, 40 and a collector that is suspended for 15 s with FLOWD_LONG=1."""
    configuration = CONFIGURATION.format(pipe=pipe)
    suspended = lab.b.popen(sys.executable, "-c", IDLE_COLLECTOR, stdout=subprocess.PIPE)
    try:
        assert suspended.stdout.readline() == b"bound\n"
        with Recorder(lab.b, STEADY) as steady, Recorder(lab.b, PASSING) as passing, Daemon(configuration, lab.a) as daemon:
            reloader = Reloader(daemon, configuration)
            reloader.start()
            suspended.send_signal(signal.SIGSTOP)
            awake = threading.Timer(SUSPENDED, suspended.send_signal, [signal.SIGCONT])
            awake.start()
            try:
                Storm(daemon, lab.a, pipe).run()
            finally:
                reloader.over.set()
                reloader.join()
                awake.join()
            assert reloader.failure is None, reloader.failure
            wait_for(lambda: steady.ends >= FLOWS, f"{FLOWS} ends (have {steady.ends})", 60)
            status = daemon.cli("status")
            assert status["daemon"]["reloads"] == reloader.count >= RELOADS and status["daemon"]["reloadsFailed"] == 0
            assert daemon.cli("flows")["live"] == 0
            assert daemon.stop() == 0
            assert len(steady.told) == FLOWS
            # Where the second announcer changes what holds for the flow (a firefly, the pipe), an ongoing says so.
            wrong = {key: states for key, states in steady.told.items()
                     if [state for state in states if state != "ongoing"] != ["start", "end"] or states[-1] != "end"}
            assert not wrong, (len(wrong), list(wrong.items())[:3])
            # One that comes and goes is told what is live each time that it comes, and nothing of a flow after its end.
            assert passing.count > 0
            assert all("end" not in states[:-1] for states in passing.told.values())
        assert suspended.poll() is None
    finally:
        suspended.kill()
        suspended.wait()
