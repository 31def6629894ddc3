# SPDX-License-Identifier: Apache-2.0
"""The marker on a host with containers: their veths on a bridge, and programs of their network that redirect packets."""
import socket

import pytest

from tests.harness import labels, traffic
from tests.harness.capture import Capture, flows
from tests.harness.daemon import Daemon
from tests.harness.hooks import ThirdParty
from tests.harness.lab import Host, sh, wait_for

PERFSONAR, TRANSFER = (3, 2), (2, 16)
PACKETS = 20
NETWORK = "fd5c:17a6:c::"  # of the containers


def configuration(interfaces="eth0", more=""):
    return (f"plugins:\n  fireflyp: {{}}\n  perfsonar: {{experimentId: {PERFSONAR[0]}, activityId: {PERFSONAR[1]}, flows: false}}\n"
            f"backends:\n  marker: {{targetInterfaces: [{interfaces}]{more}}}\n")


def status(daemon):
    return daemon.cli("marker", "status")


def of(daemon, interface):
    return next(one for one in status(daemon)["interfaces"] if one["interface"] == interface)


def send(sock):
    for _ in range(PACKETS):
        sock.send(b"x" * 200)


def tags(capture, port):
    """{tag: packets} to a port of host b."""
    found = {}
    for key, seen in flows(capture.packets()).items():
        for label, count in seen.items():
            if key[3] == port:
                tag = labels.decode(label) if label else None
                found[tag] = found.get(tag, 0) + count
    return found


@pytest.fixture
def containers(lab):
    """Two containers on a bridge of host a, which forwards for them."""
    run, names = lab.a.run, [f"{lab.a.name}-c1", f"{lab.a.name}-c2"]
    try:
        run("ip", "link", "add", "br0", "type", "bridge")
        run("ip", "addr", "add", f"{NETWORK}1/64", "dev", "br0", "nodad")
        run("ip", "link", "set", "br0", "up")
        run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        lab.b.run("ip", "route", "add", f"{NETWORK}/64", "via", lab.a.address6)
        hosts = []
        for number, name in enumerate(names, 2):
            sh("ip", "netns", "add", name)
            run("ip", "link", "add", f"veth{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            run("ip", "link", "set", f"veth{number}", "master", "br0", "up")
            host = Host(name, f"{NETWORK}{number}", None)
            for command in (["link", "set", "lo", "up"], ["addr", "add", f"{host.address6}/64", "dev", "eth0", "nodad"],
                            ["link", "set", "eth0", "up"], ["route", "add", "default", "via", f"{NETWORK}1"]):
                sh("ip", "-n", name, *command)
            hosts.append(host)
        for host in hosts:
            wait_for(lambda: host.run("ping", "-c", "1", "-W", "1", lab.b.address6, check=False).returncode == 0, "the way to b", 30)
        yield hosts
    finally:
        for name in names:
            sh("ip", "netns", "del", name, check=False)


@pytest.mark.parametrize("forwarded", [True, False])
def test_traffic_of_containers_on_a_bridge(lab, containers, forwarded):
    """With `forwarded`, each container's packets have the tag of their flow or the catch-all; without, they are counted and not changed.
    The packets of the host itself are marked in both cases."""
    servers = [traffic.UdpServer(lab.b, port) for port in (7001, 7002, 7003)]
    with Daemon(configuration(more=f", forwarded: {str(forwarded).lower()}"), lab.a) as daemon, Capture(lab.b, "udp") as capture:
        wait_for(lambda: status(daemon)["catchAll"], "the catch-all")
        before = of(daemon, "eth0")["outcomes"]
        with (traffic.udp_client(containers[0], lab.b, 7001) as announced, traffic.udp_client(containers[1], lab.b, 7002) as other,
              traffic.udp_client(lab.a, lab.b, 7003) as own):
            announcer = traffic.Announcer(lab.a)
            announcer.announce("start", announced, *TRANSFER, traffic.now())
            wait_for(lambda: status(daemon)["flows"] == 1, "the flow of the container")
            for sock in (announced, other, own):
                send(sock)
            announcer.close()
        capture.wait_for_count(3 * PACKETS)
        after = of(daemon, "eth0")["outcomes"]
        found = [tags(capture, port) for port in (7001, 7002, 7003)]
        capture.remove()
    for server in servers:
        server.close()
    assert found[2] == {PERFSONAR: PACKETS}
    if forwarded:
        assert found[:2] == [{TRANSFER: PACKETS}, {PERFSONAR: PACKETS}]
        assert after["markedFlow"] - before["markedFlow"] == PACKETS
    else:
        assert all(TRANSFER not in one and PERFSONAR not in one for one in found[:2]), found
        assert after["forwarded"] - before["forwarded"] == 2 * PACKETS


@pytest.fixture
def second(lab):
    """eth1 of both hosts, to which a program redirects."""
    lab.a.run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth1", "netns", lab.b.name)
    for host in (lab.a, lab.b):
        host.run("ip", "link", "set", "eth1", "up")


@pytest.mark.parametrize("attach, how", [("tcx", "tcx-first-redirect"), ("tcx", "tcx-last-redirect"), ("clsact", "clsact-redirect"),
                                         ("tcx", "clsact-redirect")])
def test_redirected_packets_are_marked_once(lab, second, attach, how):
    """Before ours or behind, with TCX and clsact: on the interface by which they leave, they have one label and count once."""
    with (Daemon(configuration("eth0, eth1", f", attach: {attach}"), lab.a) as daemon,
          traffic.UdpServer(lab.b, 7001), ThirdParty(lab.a, how, 1), Capture(lab.b, "udp", interface="eth1") as capture):
        wait_for(lambda: status(daemon)["catchAll"], "the catch-all")
        before = status(daemon)
        with traffic.udp_client(lab.a, lab.b, 7001) as sock:
            send(sock)
            port = sock.getsockname()[1]
        capture.wait_for_count(PACKETS)
        after = status(daemon)
        found = {key: seen for key, seen in flows(capture.packets()).items() if key[1] == port}
        capture.remove()
    (seen,) = found.values()
    assert [labels.decode(label) for label in seen] == [PERFSONAR] and sum(seen.values()) == PACKETS
    marked = after["marked"] - before["marked"]
    assert PACKETS <= marked <= PACKETS + 10, "neighbour discovery may add some"


def test_a_program_that_redirects_before_the_marker_is_reported(lab, second):
    """To an interface that is not marked: the packets leave without a label, and a finding names the program."""
    with (Daemon(configuration(), lab.a) as daemon, traffic.UdpServer(lab.b, 7001), ThirdParty(lab.a, "tcx-first-redirect"),
          Capture(lab.b, "udp", interface="eth1") as capture):
        with lab.a.call(socket.socket, socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.connect((lab.b.address6, 7001))
            send(sock)
        wait_for(lambda: "marker-hook-hidden" in {one["id"] for one in daemon.cli("findings")}, "the finding", 30)
        before, = of(daemon, "eth0")["runsBefore"]
        assert before["name"] == "third_party_red"  # the kernel keeps 15 characters
        capture.wait_for_count(PACKETS)
        assert PERFSONAR not in tags(capture, 7001)
        capture.remove()
