# SPDX-License-Identifier: Apache-2.0
"""flowd-cpp verify --path: the flow label at each router on the way, in namespaces: a, four routers, b."""
import json
import os

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
