# SPDX-License-Identifier: Apache-2.0
"""Every marking strategy on real traffic: large segments, BIG TCP, devices on devices. Read by scapy."""
import socket

import pytest

from tests.harness import labels, traffic
from tests.harness.capture import Capture
from tests.harness.daemon import Daemon
from tests.harness.lab import Host, sh, wait_for

pytestmark = pytest.mark.usefixtures("status_answers")
TAG = (3, 2)
TAG_BYTES = bytes([0x1E, 3, 0, 3, 2, 0])  # the option, its length, experiment and activity in three bytes, Pad1


def configuration(marker):
    return ("plugins:\n  perfsonar: {experimentId: 3, activityId: 2}\nbackends:\n  marker:\n    targetInterfaces: [eth0]\n" +
            "".join(f"    {line}\n" for line in marker))


def outcomes(daemon):
    return daemon.cli("marker", "status")["outcomes"]


def with_catch_all(daemon):
    return wait_for(lambda: daemon.cli("marker", "status")["catchAll"], "the catch-all")


def send(lab, amount=3_000_000):
    """TCP from a to b; all of it arrives."""
    server = traffic.TcpServer(lab.b, 5201)
    with traffic.tcp_client(lab.a, lab.b, 5201) as sock:
        sock.sendall(b"x" * amount)
    wait_for(lambda: server.received == amount, "the transfer", 60)
    server.close()


def from_a(lab, capture, marked):
    """What has come from a; as many packets as were marked there at least, since tcpdump writes a while after they have passed."""
    from scapy.layers.inet6 import IPv6

    wait_for(lambda: _captured(capture, marked), "packets in the capture", 30)
    return [p for p in capture.packets() if IPv6 in p and p[IPv6].src == lab.a.address6 and p[IPv6].nh != 58]


@pytest.mark.parametrize("offload", ["on", "off"])
@pytest.mark.parametrize("strategy, chain", [("hopByHop", [0]), ("destination", [60]), ("hopByHopDestination", [0, 60])])
def test_extension_headers_on_segments_of_every_size(lab, strategy, chain, offload):
    from scapy.layers.inet6 import IPv6

    lab.a.run("ethtool", "-K", "eth0", "tso", offload, "gso", offload)
    with Daemon(configuration([f"markingStrategy: {strategy}"]), lab.a) as daemon, Capture(lab.b, "ip6") as capture:
        with_catch_all(daemon)
        send(lab)
        counted = outcomes(daemon)
        packets = from_a(lab, capture, counted["markedCatchAll"])
        capture.remove()
    tagged = [p for p in packets if p[IPv6].nh == chain[0]]
    assert counted["markedCatchAll"] > 10 and len(tagged) > 10
    for packet in tagged:
        raw = bytes(packet[IPv6])[40:]
        for position, following in enumerate([*chain[1:], 6]):
            assert raw[8 * position:8 * position + 8] == bytes([following, 0]) + TAG_BYTES
        assert packet[IPv6].plen <= 1460 or offload == "on", "no segment is longer than the MTU"
    untagged = [p for p in packets if p[IPv6].nh == 6]
    assert len(untagged) <= counted["noRoom"] + counted["bigPacket"], "what has no header was counted"


@pytest.fixture
def router(lab):
    """A third host c behind b, which forwards large packets whole, as a router with GRO does."""
    far = Host(f"{lab.a.name}-far", "fd5c:17a6:6::c", "10.93.8.2")
    sh("ip", "netns", "add", far.name)
    try:
        sh("ip", "link", "add", "eth1", "netns", lab.b.name, "type", "veth", "peer", "name", "eth0", "netns", far.name)
        far.run("ip", "link", "set", "lo", "up")
        for host, device, address in ((lab.b, "eth1", "fd5c:17a6:6::b/64"), (far, "eth0", f"{far.address6}/64")):
            host.run("ip", "addr", "add", address, "dev", device, "nodad")
            host.run("ip", "link", "set", device, "up")
        lab.b.run("sysctl", "-q", "-w", "net.ipv6.conf.all.forwarding=1")
        lab.a.run("ip", "-6", "route", "add", "fd5c:17a6:6::/64", "via", lab.b.address6)
        far.run("ip", "-6", "route", "add", "fd5c:17a6:5::/64", "via", "fd5c:17a6:6::b")
        wait_for(lambda: lab.a.run("ping", "-c", "1", "-W", "1", far.address6, check=False).returncode == 0, "the way to c")
        yield far
    finally:
        sh("ip", "netns", "del", far.name, check=False)


@pytest.mark.parametrize("strategy", ["label", "hopByHop", "destination", "hopByHopDestination"])
def test_bulk_tcp_with_headers_passes_a_router_with_gro(lab, router, strategy):
    """24 connections, because what went wrong depended on the sequence numbers: with each it would be one in three."""

    def too_big():
        lines = dict(line.split() for line in lab.b.run("cat", "/proc/net/snmp6").stdout.splitlines())
        return int(lines["Icmp6OutPktTooBigs"])

    with Daemon(configuration([f"markingStrategy: {strategy}"]), lab.a) as daemon:
        with_catch_all(daemon)
        server = traffic.TcpServer(router, 5201)
        for number in range(24):
            with traffic.tcp_client(lab.a, router, 5201) as sock:
                sock.settimeout(20)
                sock.sendall(b"x" * 1_000_000)
            assert too_big() == 0, f"connection {number}"
        wait_for(lambda: server.received == 24_000_000, "the transfers", 60)
        server.close()
        assert outcomes(daemon)["markedCatchAll"] > 24


@pytest.mark.parametrize("size", ["65536", "185000"])
def test_big_tcp_is_marked(lab, size):
    """case C42"""
    from scapy.layers.inet6 import IPv6

    for host in (lab.a, lab.b):
        host.run("ip", "link", "set", "eth0", "gso_max_size", size, "gro_max_size", size)
    with Daemon(configuration([]), lab.a) as daemon, Capture(lab.b, "ip6") as capture:
        with_catch_all(daemon)
        send(lab, 20_000_000)
        packets = from_a(lab, capture, outcomes(daemon)["markedCatchAll"])
        assert outcomes(daemon)["deepHeaders"] == outcomes(daemon)["truncated"] == 0
        capture.remove()
    assert len(packets) > 20
    found = {p[IPv6].fl for p in packets}
    assert len(found) == 1 and found.pop() & ~labels.ENTROPY == labels.encode(*TAG)


def test_big_tcp_has_no_extension_header_and_is_counted(lab):
    """case C42"""
    for host in (lab.a, lab.b):
        host.run("ip", "link", "set", "eth0", "gso_max_size", "185000", "gro_max_size", "185000")
    with Daemon(configuration(["markingStrategy: destination"]), lab.a) as daemon:
        with_catch_all(daemon)
        send(lab, 20_000_000)
        assert outcomes(daemon)["bigPacket"] > 0
        assert outcomes(daemon)["deepHeaders"] == outcomes(daemon)["truncated"] == outcomes(daemon)["headerRefused"] == 0


def test_a_tunnel_and_the_interface_below_it_are_both_marked(lab):
    """case C41: the inner packet and the outer one each have a label; nothing else is changed."""
    from scapy.layers.inet import UDP
    from scapy.layers.inet6 import IPv6

    for host, last, peer in ((lab.a, "a", lab.b), (lab.b, "b", lab.a)):
        host.run("ip", "link", "add", "upper", "type", "vxlan", "id", "7", "dstport", "4789", "udp6zerocsumtx", "udp6zerocsumrx",
                 "remote", peer.address6, "local", host.address6, "dev", "eth0")
        host.run("ip", "addr", "add", f"fd66::{last}/64", "dev", "upper", "nodad")
        host.run("ip", "link", "set", "upper", "up")
    lab.a.run("ethtool", "-K", "upper", "tx", "off")  # so that the checksum is complete where it is captured
    with (Daemon(configuration([]).replace("[eth0]", "[upper, eth0]"), lab.a) as daemon,
          Capture(lab.b, f"udp dst port 4789 and src {lab.a.address6}") as outer,
          Capture(lab.b, "udp dst port 7002", interface="upper") as inner):
        with_catch_all(daemon)

        lab.a.call(_send_over_upper)
        inside = wait_for(lambda: _captured(inner, 1), "the packet")
        outside = wait_for(lambda: _captured(outer, 1), "the packet that has it inside")
        inner.remove()
        outer.remove()
    for packet in (*inside, *outside):
        assert packet[IPv6].fl & ~labels.ENTROPY == labels.encode(*TAG)
    packet, = [one for one in inside if UDP in one and one[UDP].dport == 7002]
    assert bytes(packet[UDP].payload) == b"payload"
    expected = packet[UDP].chksum
    del packet[UDP].chksum
    assert packet.__class__(bytes(packet))[UDP].chksum == expected, "the checksum holds"


def test_dscp_in_both_families_with_checksums_that_hold(lab):
    from scapy.layers.inet import IP, UDP
    from scapy.layers.inet6 import IPv6

    marker = ["markingStrategy: label+dscp", "dscpMap: [{experiment: 3, dscp: 46}]"]
    with Daemon(configuration(marker), lab.a) as daemon, Capture(lab.b, "udp dst port 7000") as capture:
        with_catch_all(daemon)

        def transmit(family, address, traffic_class):
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                level, name = (socket.IPPROTO_IP, socket.IP_TOS) if family == socket.AF_INET else (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)
                sock.setsockopt(level, name, traffic_class)
                sock.sendto(b"x" * 100, (address, 7000))

        for traffic_class in (0x00, 0x02, 0x20):
            lab.a.call(transmit, socket.AF_INET, lab.b.address4, traffic_class)
            lab.a.call(transmit, socket.AF_INET6, lab.b.address6, traffic_class)
        wait_for(lambda: outcomes(daemon)["markedCatchAll"] >= 5, "marked packets")
        packets = wait_for(lambda: _captured(capture, 6), "packets in the capture")
        assert outcomes(daemon)["keptDscp"] == 1, "of IPv4; the other still got its label"
        capture.remove()
    four = [p for p in packets if IP in p]
    assert [p[IP].tos for p in four] == [0xB8, 0xBA, 0x20]
    for packet in four:
        header = bytes(packet[IP])[:20]
        total = sum(int.from_bytes(header[i:i + 2], "big") for i in range(0, 20, 2))
        assert (total & 0xFFFF) + (total >> 16) == 0xFFFF, "the header's checksum"
    six = [p for p in packets if IPv6 in p]
    assert [p[IPv6].tc for p in six] == [0xB8, 0xBA, 0x20]
    assert all(p[IPv6].fl & ~labels.ENTROPY == labels.encode(*TAG) and p[UDP].dport == 7000 for p in six)


def _send_over_upper():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"payload", ("fd66::b", 7002))


def _captured(capture, count):
    import scapy.layers.inet6  # noqa: F401  teaches the reader Ethernet and IPv6
    import scapy.layers.l2  # noqa: F401
    from scapy.utils import PcapReader

    with open(capture.path, "rb") as file, PcapReader(file) as reader:
        packets = list(reader)
    return packets if len(packets) >= count else None


def test_fragments_of_a_datagram_carry_one_label(lab):
    from scapy.layers.inet6 import IPv6

    def transmit():
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            for _ in range(5):
                sock.sendto(b"x" * 6000, (lab.b.address6, 7001))

    with Daemon(configuration([]), lab.a) as daemon, Capture(lab.b, f"ip6 and src {lab.a.address6}") as capture:
        with_catch_all(daemon)
        lab.a.call(transmit)
        wait_for(lambda: outcomes(daemon)["markedFragment"] >= 20, "marked fragments")
        wait_for(lambda: _captured(capture, 25), "packets in the capture")
        fragments = [p for p in capture.packets() if p[IPv6].nh == 44]
        capture.remove()
    found = {p[IPv6].fl for p in fragments}
    assert len(fragments) == 25 and len(found) == 1 and found.pop() & ~labels.ENTROPY == labels.encode(*TAG)


@pytest.mark.parametrize("kind", ["macvlan", "vxlan", "bridge"])
def test_stacked_devices_mark_once(lab, kind):
    """The upper device is marked on; what it sends is labelled once it is on the wire."""
    from scapy.layers.inet import UDP
    from scapy.layers.inet6 import IPv6

    for host, last, peer in ((lab.a, "a", lab.b), (lab.b, "b", lab.a)):
        if kind == "macvlan":
            host.run("ip", "link", "add", "upper", "link", "eth0", "type", "macvlan", "mode", "bridge")
        elif kind == "vxlan":
            host.run("ip", "link", "add", "upper", "type", "vxlan", "id", "7", "dstport", "4789", "remote", peer.address4, "dev", "eth0")
        else:
            host.run("ip", "link", "add", "upper", "type", "bridge")
            host.run("ip", "link", "set", "eth0", "master", "upper")
        host.run("ip", "addr", "add", f"fd66::{last}/64", "dev", "upper", "nodad")
        host.run("ip", "link", "set", "upper", "up")
    with (Daemon(configuration([]).replace("[eth0]", "[upper]"), lab.a) as daemon,
          Capture(lab.b, "udp dst port 7002", interface="upper") as capture):
        with_catch_all(daemon)

        lab.a.call(_send_over_upper)
        packets = wait_for(lambda: _captured(capture, 1), "the packet")
        capture.remove()
    packet, = [p for p in packets if UDP in p]
    assert packet[IPv6].fl & ~labels.ENTROPY == labels.encode(*TAG)
