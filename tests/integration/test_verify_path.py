# SPDX-License-Identifier: Apache-2.0
"""flowd-cpp verify --path: the flow label at each router on the way, in namespaces: a, four routers, b."""
import contextlib
import json
import os
import socket
import struct
import threading

import pytest

from tests.harness.daemon import BINARY, Daemon
from tests.harness.hooks import ThirdParty
from tests.harness.lab import Host, sh, wait_for

CONFIGURATION = ("plugins:\n  perfsonar: {experimentId: 3, activityId: 2, interfaces: [right]}\n"
                 "backends:\n  marker: {targetInterfaces: [right]}\n")


class Line:
    """with Line() as line: line.hosts are a, r1 to r4, b; each has the interfaces `left` and `right`, or one of them."""

    def __init__(self):
        names = ["a", "r1", "r2", "r3", "r4", "b"]
        self.hosts = [Host(f"path{os.getpid()}-{name}", f"fd5c:17a6:1::{i}", None) for i, name in enumerate(names)]

    def __enter__(self):
        try:
            for host in self.hosts:
                sh("ip", "netns", "add", host.name)
                host.run("ip", "link", "set", "lo", "up")
                host.run("ip", "addr", "add", f"{host.address6}/128", "dev", "lo")
                host.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv6.icmp.ratelimit=0")
            for i, (one, other) in enumerate(zip(self.hosts, self.hosts[1:])):
                sh("ip", "link", "add", "right", "netns", one.name, "type", "veth", "peer", "name", "left", "netns", other.name)
                for host, device, end in ((one, "right", 1), (other, "left", 2)):
                    host.run("ip", "addr", "add", f"fd5c:17a6:{i + 16:x}::{end}/64", "dev", device, "nodad")
                    host.run("ip", "link", "set", device, "up")
            for i, host in enumerate(self.hosts):
                if i + 1 < len(self.hosts):
                    host.run("ip", "route", "add", "fd5c:17a6::/32", "via", f"fd5c:17a6:{i + 16:x}::2", "src", host.address6)
                for behind in self.hosts[:i]:
                    host.run("ip", "route", "add", f"{behind.address6}/128", "via", f"fd5c:17a6:{i + 15:x}::1", "src", host.address6)
            wait_for(lambda: self.hosts[0].run("ping", "-c", "1", "-W", "1", self.hosts[-1].address6, check=False).returncode == 0,
                     "the other end to answer", 30)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for host in self.hosts:
            sh("ip", "netns", "del", host.name, check=False)


@pytest.fixture
def line():
    with Line() as hosts:
        yield hosts


def verify(daemon, host, *words):
    done = host.run(str(BINARY), "--conf", str(daemon.conf), "--control", str(daemon.control), "--json", "verify", *words, check=False)
    assert done.returncode in (0, 1, 2), done.stderr
    answer = json.loads(done.stdout)
    return done.returncode, answer["instances"][0]["rows"] if answer["instances"] else [], answer["findings"]


def test_a_path_that_keeps_the_label(line):
    with Daemon(CONFIGURATION, line.hosts[0]) as daemon:
        code, rows, findings = verify(daemon, line.hosts[0], "--path", line.hosts[-1].address6)
    assert (code, findings) == (0, []), (rows, findings)
    assert [row["hop"] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert [row["state"] for row in rows] == ["as sent", *["unchanged"] * 4, "unchanged, destination"]
    assert rows[-1]["router"] == line.hosts[-1].address6
    tags = {int(label, 16) & 0x3fefc for row in rows for label in row["label"].split(", ")}
    assert tags == {0x30008}, "experiment 3, activity 2"
    assert all(row["label"] == rows[0]["label"] for row in rows)


def test_a_router_that_clears_the_label_and_one_that_is_silent(line):
    a, r2, r3, r4 = line.hosts[0], line.hosts[2], line.hosts[3], line.hosts[4]
    with ThirdParty(r2, "clsact-bleach", device="right"), ThirdParty(r3, "clsact-silent", device="left"), \
            Daemon(CONFIGURATION, a) as daemon:
        code, rows, findings = verify(daemon, a, "--path", line.hosts[-1].address6, "--port", "40000")
    assert [row["router"] == "silent" for row in rows] == [False, False, False, True, False, False], rows
    assert [row["state"] for row in rows] == ["as sent", "unchanged", "unchanged", "no answer", "changed", "changed, destination"]
    assert rows[4]["label"] == "0x00000"
    assert (code, [one["id"] for one in findings]) == (2, ["marker-path-label-changed"])
    assert f"unchanged until hop 2 ({rows[2]['router']})" in findings[0]["found"]
    assert f"arrived at hop 4 ({rows[4]['router']}) as 0x00000" in findings[0]["found"]


@pytest.fixture
def beside(line):
    """A router beside r2: r1 forwards by either, and chooses by addresses and flow label (fib_multipath_hash_policy 0)."""
    r1, r3 = line.hosts[1], line.hosts[3]
    router = Host(f"path{os.getpid()}-beside", "fd5c:17a6:1::99", None)
    sh("ip", "netns", "add", router.name)
    router.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv6.icmp.ratelimit=0")
    for host, device, there, net in ((router, "left", r1, "97"), (router, "right", r3, "98")):
        sh("ip", "link", "add", device, "netns", host.name, "type", "veth", "peer", "name", "other", "netns", there.name)
        for one, name, end in ((host, device, 2), (there, "other", 1)):
            one.run("ip", "addr", "add", f"fd5c:17a6:{net}::{end}/64", "dev", name, "nodad")
            one.run("ip", "link", "set", name, "up")
    router.run("ip", "route", "add", "fd5c:17a6::/32", "via", "fd5c:17a6:98::1")
    router.run("ip", "route", "add", f"{line.hosts[0].address6}/128", "via", "fd5c:17a6:97::1")
    r1.run("ip", "route", "add", f"{line.hosts[-1].address6}/128", "nexthop", "via", "fd5c:17a6:11::2", "nexthop", "via", "fd5c:17a6:97::2")
    yield router
    sh("ip", "netns", "del", router.name, check=False)


def test_paths_that_part(line, beside):
    with Daemon(CONFIGURATION, line.hosts[0]) as daemon:
        for _ in range(20):  # three flows: in one run of four, all take the same path
            code, rows, findings = verify(daemon, line.hosts[0], "--path", line.hosts[-1].address6)
            assert (code, findings) == (0, []), rows
            second = [row for row in rows if row["hop"] == 2]
            if len(second) == 2:
                break
    assert sorted(row["state"] for row in second) == ["unchanged, path 1 of 2", "unchanged, path 2 of 2"]
    assert len({row["router"] for row in second}) == 2 and sum(row["flows"] for row in second) == 3


def test_a_host_without_ipv6_and_a_path_without_answers(line):
    a, r1 = line.hosts[:2]
    with Daemon(CONFIGURATION, a) as daemon:
        code, rows, findings = verify(daemon, a, "--path", "192.0.2.1")
        assert (code, [one["id"] for one in findings]) == (1, ["daemon-not-verified"])
        assert "no IPv6 address" in findings[0]["found"]
        with ThirdParty(r1, "clsact-silent", device="left"):
            r1.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=0")
            code, rows, findings = verify(daemon, a, "--path", line.hosts[-1].address6)
        assert (code, [one["id"] for one in findings]) == (1, ["marker-path-silent"])


@pytest.mark.parametrize("host, found", [
    ("::ffff:192.0.2.1", "is an IPv4 address"), ("ff02::1", "is not the address of a host"), ("::", "is not the address of a host"),
    ("fe80::1", "link-local address without its interface"), ("2001:db8::1", "no packet can be sent there")])
def test_what_is_no_host_is_refused_at_once(lab, host, found):
    with Daemon(CONFIGURATION.replace("right", "eth0"), lab.a) as daemon:
        code, rows, findings = verify(daemon, lab.a, "--path", host)
    assert (code, rows, [one["id"] for one in findings]) == (1, [], ["daemon-not-verified"])
    assert found in findings[0]["found"], findings


def test_this_host_itself(lab):
    with Daemon(CONFIGURATION.replace("right", "eth0"), lab.a) as daemon:
        for host in ("::1", lab.a.address6):
            code, rows, findings = verify(daemon, lab.a, "--path", host)
            assert (code, findings, [row["state"] for row in rows]) == (0, [], ["as sent", "unchanged, destination"]), rows


def test_a_host_that_is_not_there(line):
    with Daemon(CONFIGURATION, line.hosts[0]) as daemon:
        code, rows, findings = verify(daemon, line.hosts[0], "--path", "fd5c:17a6:14::99")  # in the last network: r4 and b
    assert (code, [one["id"] for one in findings]) == (1, ["marker-path-unreachable"]), rows
    assert rows[-1]["state"] == "unchanged, address unreachable" and "address unreachable" in findings[0]["found"], rows


def test_a_host_that_does_not_answer(line):
    a, b = line.hosts[0], line.hosts[-1]
    server = b.call(socket.socket, socket.AF_INET6, socket.SOCK_DGRAM)
    server.bind(("::", 33434))
    with server, Daemon(CONFIGURATION, a) as daemon:
        code, rows, findings = verify(daemon, a, "--path", b.address6)
    assert (code, [(one["id"], one["severity"]) for one in findings]) == (0, [("marker-path-not-reached", "note")]), rows
    assert [row["state"] for row in rows] == ["as sent", *["unchanged"] * 4] and "up to hop 4" in findings[0]["found"], rows


def test_a_path_with_a_small_mtu(line):
    a, r1 = line.hosts[:2]
    for host, device in ((a, "right"), (r1, "left")):
        host.run("ip", "link", "set", device, "mtu", "1280")
    with Daemon(CONFIGURATION, a) as daemon:
        code, rows, findings = verify(daemon, a, "--path", line.hosts[-1].address6)
    assert (code, findings, len(rows)) == (0, [], 6), rows


def test_routers_that_limit_the_rate_of_their_answers(line):
    line.hosts[1].run("sysctl", "-qw", "net.ipv6.icmp.ratelimit=1000", "net.ipv6.icmp.ratemask=0-255")
    with Daemon(CONFIGURATION, line.hosts[0]) as daemon:
        code, rows, findings = verify(daemon, line.hosts[0], "--path", line.hosts[-1].address6)
    assert (code, findings) == (0, []), rows
    assert [row["state"] for row in rows] == ["as sent", *["unchanged"] * 4, "unchanged, destination"]


class Liar:
    """with Liar(host, "left", quote): answers what arrives at the interface with ICMPv6 errors about quote(packet)."""

    def __init__(self, host, device, quote):
        self.packets = host.call(socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(0x86dd))
        self.packets.bind((device, 0x86dd))
        self.packets.settimeout(0.1)
        self.errors = host.call(socket.socket, socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self.quote, self.over = quote, threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                packet, about = self.packets.recvfrom(2048)
                if about[2] == 0 and packet[6] == 17:  # to this host or through it; UDP
                    for kind, code, quoted in self.quote(packet):
                        self.errors.sendto(struct.pack("!BBHI", kind, code, 0, 0) + quoted, (socket.inet_ntop(socket.AF_INET6, packet[8:24]), 0))

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.packets.close()
        self.errors.close()


def changed(packet, at, value):
    return packet[:at] + value + packet[at + len(value):]


# What a router may quote; nothing of it was sent.
FORGED = {
    "another source": lambda packet: changed(packet, 8, bytes(15) + b"\1"),
    "another destination": lambda packet: changed(packet, 24, bytes(15) + b"\1"),
    "another source port": lambda packet: changed(packet, 40, b"\0\1"),
    "another destination port": lambda packet: changed(packet, 42, b"\0\1"),
    "a hop that was not tried yet": lambda packet: changed(packet, 44, struct.pack("!H", 24 + 20)),
    "no hop at all": lambda packet: changed(packet, 44, struct.pack("!H", 24)),
    "an end before the ports": lambda packet: packet[:43],
    "an end within the IPv6 header": lambda packet: packet[:39],
    "nothing": lambda packet: b""}


def test_answers_about_packets_that_were_not_sent_change_nothing(line):
    a, r1 = line.hosts[:2]

    def lies(packet):
        for quote in FORGED.values():
            yield from [(1, 0, changed(quote(packet), 1, b"\0\0")), (3, 0, quote(packet)), (1, 4, quote(packet))]
        yield 200, 0, packet

    with Liar(r1, "left", lies), Daemon(CONFIGURATION, a) as daemon:
        code, rows, findings = verify(daemon, a, "--path", line.hosts[-1].address6)
    assert (code, findings) == (0, []), (rows, findings)
    assert [row["state"] for row in rows] == ["as sent", *["unchanged"] * 4, "unchanged, destination"]


def test_a_quote_that_ends_after_the_udp_header_is_enough(line):
    a, r1 = line.hosts[:2]
    with ThirdParty(r1, "clsact-silent", device="left"), Liar(r1, "left", lambda packet: [(1, 3, packet[:48])]), Daemon(CONFIGURATION, a) as daemon:
        code, rows, findings = verify(daemon, a, "--path", line.hosts[-1].address6)
    assert (code, [one["id"] for one in findings]) == (1, ["marker-path-unreachable"]), (rows, findings)
    assert [row["state"] for row in rows] == ["as sent", "unchanged, address unreachable"]
