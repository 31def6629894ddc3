# SPDX-License-Identifier: Apache-2.0
"""Real tests between two hosts, as a perfSONAR node runs them, and what a collector hears of them."""
import collections
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from tests.harness.collector import Collector
from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for

TAG = (2, 16)


def configuration(lab, more="", backend=""):
    return (f"plugins:\n  perfsonar: {{experimentId: {TAG[0]}, activityId: {TAG[1]}, interfaces: [eth0], idleTimeout: 2s{more}}}\n"
            f"backends:\n  firefly: {{sendToCollector: true, collectorAddress: \"{lab.b.address6}\"}}\n{backend}")


@pytest.fixture
def collector(lab):
    with Collector(lab.b) as collecting:
        yield collecting


def status(daemon):
    return daemon.cli("status")["details"]["plugin perfsonar"]["status"]


Key = collections.namedtuple("Key", "protocol source source_port destination destination_port")


def key_of(firefly):
    flow = firefly["flow-id"]
    return Key(flow["protocol"], flow["src-ip"], flow["src-port"], flow["dst-ip"], flow["dst-port"])


class Heard:
    """What the collector heard, by flow; checks what must hold of every firefly."""

    def __init__(self, collector):
        self.flows = collections.defaultdict(lambda: collections.defaultdict(list))
        assert not collector.refused
        for firefly in list(collector.fireflies):
            key, life = key_of(firefly), firefly["flow-lifecycle"]
            assert "::" not in (key.source, key.destination) and key.source_port and key.destination_port
            assert (firefly["context"]["experiment-id"], firefly["context"]["activity-id"]) == TAG
            if life["state"] == "end":
                assert life["start-time"] <= life["end-time"]
            self.flows[key][life["state"]].append(firefly)

    def ended_once(self, **wanted):
        """The flows that match, each with one start and one end; key -> its end firefly."""
        found = {key: states for key, states in self.flows.items()
                 if all(getattr(key, name) == value for name, value in wanted.items())}
        for key, states in found.items():
            assert len(states["start"]) == 1 and len(states["end"]) == 1, (key, {k: len(v) for k, v in states.items()})
        return {key: states["end"][0] for key, states in found.items()}


def wait_for_ends(collector, count, seconds=15, **wanted):
    def ended():
        ends = [firefly for firefly in collector.fireflies if firefly["flow-lifecycle"]["state"] == "end" and
                all(getattr(key_of(firefly), name) == value for name, value in wanted.items())]
        return len(ends) >= count

    wait_for(ended, f"{count} ends of {wanted or 'any flow'}", seconds)
    return Heard(collector).ended_once(**wanted)


class Iperf3:
    """A server on b, and tests from a against it."""

    def __init__(self, lab):
        self.lab = lab
        self.server = lab.b.popen("iperf3", "-s", stdout=subprocess.DEVNULL)
        wait_for(lambda: ":5201" in lab.b.run("ss", "-Hltn").stdout, "the iperf3 server")

    def run(self, *options, address=None):
        done = self.lab.a.run("iperf3", "-c", address or self.lab.b.address6, "-J", *options)
        return json.loads(done.stdout)["end"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.terminate()
        self.server.wait()


def usage(firefly):
    return firefly["usage"]["sent"], firefly["usage"]["received"]


COOKIE = 37  # iperf3 sends so many bytes first on each of its TCP connections, and does not report them


def test_a_tcp_test_is_its_control_and_its_data_flow_with_the_bytes_that_iperf3_reports(lab, collector):
    with Iperf3(lab) as iperf3, Daemon(configuration(lab), lab.a):
        report = iperf3.run("-t", "1", "-b", "200M")
        ends = wait_for_ends(collector, 2, destination_port=5201)
    assert len(ends) == 2
    data = max(ends.values(), key=usage)
    sent = report["sum_sent"]["bytes"] + COOKIE
    assert sent <= usage(data)[0] <= sent + report["sum_sent"]["retransmits"] * 65536
    assert all(key.source == lab.a.address6 for key in ends), "the source is this host"
