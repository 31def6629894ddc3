# SPDX-License-Identifier: Apache-2.0
"""`flowd-cpp coverage` against traffic that the test counts itself, on the receiving side."""
import os
import pathlib
import socket
import struct
import subprocess
import threading
import time

import pytest

from tests.harness import labels, traffic
from tests.harness.daemon import BINARY, Daemon
from tests.harness.lab import wait_for

CONFIGURATION = "plugins:\n  fireflyp: {}\nbackends:\n  marker: {targetInterfaces: [eth0]}\n"
ETHERNET = 14


class Counted:
    """Counts what arrives at a host: bytes of frames by family, and by experiment as the label says."""

    def __init__(self, host):
        def listen():
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL
            sock.bind((host.interface, 0))
            sock.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)  # SO_RCVBUFFORCE
            sock.settimeout(0.2)
            return sock

        self.socket, self.bytes, self.tagged, self.frames = host.call(listen), {4: 0, 6: 0}, {}, 0
        self.buffer, self.over = bytearray(1 << 17), False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over:
            try:
                size, address = self.socket.recvfrom_into(self.buffer)
            except TimeoutError:
                continue
            if address[2] == 4:  # PACKET_OUTGOING
                continue
            self.frames += 1
            kind, word = struct.unpack_from("!HI", self.buffer, 12)
            if kind == 0x0800:
                self.bytes[4] += size
            elif kind == 0x86dd:
                self.bytes[6] += size
                tag = labels.decode(word & 0xfffff)
                if tag in ((2, 16), (3, 14)):
                    self.tagged[tag[0]] = self.tagged.get(tag[0], 0) + size

    def settled(self):
        """Waits until nothing arrives any more."""
        last = None
        while last != self.frames:
            last = self.frames
            time.sleep(0.3)
        return self

    @property
    def total(self):
        return sum(self.bytes.values())

    @property
    def ratio(self):
        return sum(self.tagged.values()) / self.total

    def close(self):
        self.over = True
        self.thread.join()
        self.socket.close()


def transfer(host, server_host, family, port, size, before=lambda sock: None, downstream=False):
    """One connection of `host` to `server_host` that moves `size` bytes from host a to host b."""
    address = server_host.address6 if family == socket.AF_INET6 else server_host.address4
    listener = server_host.call(lambda: socket.create_server((address, port), family=family))
    sock = host.call(lambda: socket.create_connection((address, port), 10))
    peer, _ = listener.accept()
    sender, receiver = (peer, sock) if downstream else (sock, peer)
    before(sock)
    thread = threading.Thread(target=lambda: sender.sendall(b"x" * size) or sender.shutdown(socket.SHUT_WR))
    thread.start()
    left = size
    while left and (data := receiver.recv(1 << 20)):
        left -= len(data)
    thread.join()
    for one in (sock, peer, listener):
        one.close()
    assert left == 0


def near(value, expected, part=0.01):
    return abs(value - expected) <= part * max(expected, 1)


@pytest.fixture(params=["segments of the size of the MTU", "segmentation offload"])
def offload(request, lab):
    if request.param.startswith("segments"):
        for host in (lab.a, lab.b):
            host.run("ethtool", "-K", "eth0", "tso", "off", "gso", "off", "gro", "off", check=False)
    return request.param


def test_the_coverage_is_that_of_counted_traffic(lab, offload):
    announcer = traffic.Announcer(lab.a)
    with Daemon(CONFIGURATION, lab.a) as daemon:
        first = daemon.cli("coverage")
        counted = Counted(lab.b)
        flows = iter((1, 2))

        def announce(experiment, activity):
            def tell(sock):
                announcer.announce("start", sock, experiment, activity, traffic.now())
                expected = next(flows)
                wait_for(lambda: daemon.cli("marker", "status")["flows"] == expected, "the flow to be in the table")
            return tell

        transfer(lab.a, lab.b, socket.AF_INET6, 1094, 6_000_000, announce(2, 16))
        transfer(lab.a, lab.b, socket.AF_INET6, 1095, 2_000_000, announce(3, 14))
        transfer(lab.a, lab.b, socket.AF_INET6, 2000, 3_000_000)
        transfer(lab.b, lab.a, socket.AF_INET6, 2811, 4_000_000, downstream=True)
        transfer(lab.a, lab.b, socket.AF_INET, 2000, 1_000_000)
        counted.settled()
        answer = daemon.cli("coverage")
        counted.close()
        assert first["totalBytes"] < 10_000, "a host that has sent little has little to show"
        (instance,) = answer["instances"]
        found = instance["answer"]
        assert near(answer["coverage"], counted.ratio), (answer["coverage"], counted.ratio)
        exact = offload.startswith("segments")
        # With offload the receiver sees packets that were never cut into segments.
        wire = 1 if exact else 1.06
        assert counted.total * 0.99 <= answer["totalBytes"] <= counted.total * wire * 1.01, (answer, counted.bytes)
        by_family = {one["family"]: one for one in found["interfaces"] if one["interface"] == "eth0"}
        assert by_family["ipv4"]["taggedBytes"] == 0 and by_family["ipv4"]["coverage"] == 0
        assert near(by_family["ipv6"]["coverage"], sum(counted.tagged.values()) / counted.bytes[6])
        experiments = {one["experiment"]: one["bytes"] for one in found["experiments"]}
        assert set(experiments) == {"atlas", "cms"}
        assert near(experiments["atlas"] / experiments["cms"], counted.tagged[2] / counted.tagged[3], 0.02)
        reasons = {one["reason"]: one["bytes"] for one in found["untagged"]}
        assert set(reasons) == {"noTag", "ipv4"}
        assert near(sum(reasons.values()) + answer["taggedBytes"], answer["totalBytes"], 0)
        if exact:
            assert near(experiments["atlas"], counted.tagged[2]) and near(reasons["ipv4"], counted.bytes[4])
            assert near(reasons["noTag"], counted.bytes[6] - sum(counted.tagged.values()))
        # Who sent the rest.
        # The largest of each: a packet without a socket has no service, and may be the one that is sampled.
        talkers = {(one["protocol"], one["port"], one["network"], one["reason"]): one for one in reversed(found["talkers"])}
        server = talkers[("tcp", 2811, "fd5c:17a6:5::/64", "noTag")]
        client = talkers[("tcp", None, "fd5c:17a6:5::/64", "noTag")]
        old = talkers[("tcp", None, "10.93.7.0/24", "ipv4")]
        for one, size in ((server, 4_000_000), (client, 3_000_000), (old, 1_000_000)):
            assert near(one["bytes"], size * (1.05 if exact else 1.05), 0.08), (one, size)
        assert found["talkers"][0] == server, "the largest first"
        group = next(line[3:] for line in pathlib.Path("/proc/self/cgroup").read_text().split("\n") if line.startswith("0::"))
        assert server["service"] in (group, "/"), (server, group)
    announcer.close()


def test_the_metrics_have_the_same_numbers(lab):
    plugins = "plugins:\n  perfsonar: {experimentId: 2, activityId: 16, flows: false}\n"
    with Daemon(plugins + "backends:\n  marker: {targetInterfaces: [eth0]}\n  metrics: {port: 9107}\n", lab.a) as daemon:
        wait_for(lambda: daemon.cli("marker", "status")["catchAll"], "the catch-all")
        transfer(lab.a, lab.b, socket.AF_INET6, 1094, 1_000_000)

        def series():
            return {(one["name"], tuple(sorted((k, v) for k, v in one["labels"].items() if k != "flowd_instance"))): one["value"]
                    for one in daemon.cli("metrics") if "coverage" in one["name"]}

        wait_for(lambda: series().get(("coverage_bytes_total", (("family", "ipv6"), ("interface", "eth0"), ("result", "tagged"))), 0) >
                 1_000_000, "the counters to be published")
        now = series()
        assert 0.99 < now[("coverage_ratio", (("family", "ipv6"), ("interface", "eth0")))] <= 1
        assert 0.99 < now[("coverage_overall_ratio", ())] <= 1
        assert now[("coverage_experiment_bytes_total", (("experiment", "atlas"),))] > 1_000_000
        scraped = lab.a.run("curl", "-sf", "http://127.0.0.1:9107/metrics").stdout
        assert 'flowd_coverage_ratio{' in scraped and "flowd_coverage_overall_ratio" in scraped
        done = subprocess.run(["promtool", "check", "metrics"], input=scraped, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_leaves_with_a_tag_in_mode_observe_and_the_screen_rounds_down(lab):
    plugins = "plugins:\n  perfsonar: {experimentId: 2, activityId: 16, flows: false}\n"
    with Daemon(plugins + "backends:\n  marker: {targetInterfaces: [eth0], mode: observe}\n", lab.a) as daemon:
        wait_for(lambda: daemon.cli("marker", "status")["catchAll"], "the catch-all")
        transfer(lab.a, lab.b, socket.AF_INET6, 1094, 100_000)
        answer = daemon.cli("coverage")
        assert answer["coverage"] < 0.01
        assert "observedCatchAll" in {one["reason"] for one in answer["instances"][0]["answer"]["untagged"]}
        done = subprocess.run([str(BINARY), "--control", str(daemon.control), "coverage"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "%" in done.stdout.splitlines()[0], done


def test_a_daemon_that_measures_nothing_says_so(lab):
    with Daemon("plugins:\n  fireflyp: {}\nbackends:\n  firefly: {sendToDestination: true}\n", lab.a) as daemon:
        done = subprocess.run([str(BINARY), "--control", str(daemon.control), "coverage"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "no instance" in done.stderr and "marker" in done.stderr, done
    done = subprocess.run([str(BINARY), "--control", "/run/no-such-daemon", "coverage"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 8, done
    assert os.path.exists(BINARY)
