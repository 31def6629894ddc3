# SPDX-License-Identifier: Apache-2.0
"""Protocols and framings that few tests reach by sockets alone, on the wire as tshark decodes them: labels, headers, checksums."""
import os
import socket
import struct
import subprocess

import pytest

from tests.harness import labels
from tests.harness.capture import Capture
from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for

TAG = (3, 2)
UDP_SEGMENT = 103


def marking(lab, *marker):
    """The daemon on a, with a catch-all."""
    lines = "".join(f"    {line}\n" for line in ("targetInterfaces: [eth0]", *marker))
    return Daemon(f"plugins:\n  perfsonar: {{experimentId: 3, activityId: 2, flows: false}}\nbackends:\n  marker:\n{lines}", lab.a)


def outcomes(daemon):
    return daemon.cli("marker", "status")["outcomes"]


def ready(daemon):
    wait_for(lambda: daemon.cli("marker", "status")["catchAll"], "the catch-all")


class Wire:
    """with Wire(lab, "udp") as wire: ...; wire.decoded(5, "ipv6.flow", ...): what has arrived at b, by tshark."""

    def __init__(self, lab, expression):
        self.capture = Capture(lab.b, expression, snap_length=65535)

    def __enter__(self):
        self.capture.__enter__()
        return self

    def __exit__(self, *error):
        self.capture.__exit__(*error)
        self.capture.remove()

    def decoded(self, count, *fields):
        """One tuple of text for each packet, once there are so many."""
        command = ["tshark", "-n", "-r", self.capture.path, "-T", "fields", "-E", "occurrence=f", "-o", "udp.check_checksum:TRUE",
                   "-o", "sctp.checksum:CRC 32c"]
        for field in fields:
            command += ["-e", field]

        def read():
            lines = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HOME": "/tmp"}).stdout.splitlines()
            return [tuple(line.split("\t")) for line in lines] if len(lines) >= count else None

        return wait_for(read, f"{count} packets in the capture", 20)


def assert_tagged(flow):
    assert int(flow, 16) & ~labels.ENTROPY == labels.encode(*TAG), flow


def send_frames(lab, frames):
    def send():
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
            raw.bind(("eth0", 0))
            for frame in frames:
                raw.send(bytes(frame))

    lab.a.call(send)


def link(lab):
    """A frame's beginning, from a to b."""
    from scapy.layers.l2 import Ether

    def address(host):
        return host.run("ip", "-brief", "link", "show", "eth0").stdout.split()[2]

    return Ether(src=address(lab.a), dst=address(lab.b))


def test_ping_has_one_label_and_neighbour_discovery_is_unchanged(lab):
    with marking(lab) as daemon, Wire(lab, f"icmp6 and src {lab.a.address6}") as wire:
        ready(daemon)
        lab.a.run("ping", "-6", "-c", "5", "-i", "0.05", "-s", "900", lab.b.address6)
        found = wire.decoded(5, "icmpv6.type", "ipv6.flow", "ipv6.nxt", "icmpv6.checksum.status")
    echo = [packet for packet in found if packet[0] == "128"]
    assert len(echo) == 5 and len({flow for _, flow, _, _ in echo}) == 1, "one run of ping is one flow"
    assert_tagged(echo[0][1])
    assert all(packet[2:] == ("58", "1") for packet in echo), "no header, the checksum holds"


def test_ping_has_the_header_and_neighbour_discovery_has_not(lab):
    with marking(lab, "markingStrategy: destination") as daemon, Wire(lab, f"ip6 and src {lab.a.address6}") as wire:
        ready(daemon)
        lab.a.run("ip", "-6", "neigh", "flush", "dev", "eth0")
        lab.a.run("ping", "-6", "-c", "5", "-i", "0.05", lab.b.address6)
        found = wire.decoded(6, "icmpv6.type", "ipv6.nxt", "ipv6.dstopts.nxt", "icmpv6.checksum.status", "ipv6.flow")
        assert outcomes(daemon)["controlMessage"] >= 1 and outcomes(daemon)["markedCatchAll"] == 5
    echo = [packet for packet in found if packet[0] == "128"]
    assert len(echo) == 5 and all(packet[1:4] == ("60", "58", "1") for packet in echo)
    neighbours = [packet for packet in found if packet[0] in ("135", "136")]
    assert neighbours and all(packet[1] == "58" for packet in neighbours)


@pytest.mark.parametrize("options", [["-P", "2", "-n", "2M"], ["-u", "-b", "4M", "-t", "1"], ["-u", "-b", "4M", "-t", "1", "-R"]],
                         ids=["tcp", "udp", "udp-reverse"])
def test_every_packet_of_an_iperf3_test_is_labelled_and_each_of_its_flows_has_one_label(lab, options):
    server = lab.b.popen("iperf3", "-s", "-1", stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: ":5201" in lab.b.run("ss", "-Hltn").stdout, "iperf3 to listen")
        with marking(lab) as daemon, Wire(lab, f"src {lab.a.address6} and (tcp or udp)") as wire:
            ready(daemon)
            lab.a.run("iperf3", "-6", "-c", lab.b.address6, *options)
            server.wait(10)
            found = wire.decoded(10, "ipv6.flow", "tcp.srcport", "udp.srcport", "ipv6.src")
    finally:
        server.kill()
        server.wait()
    labels_of = {}
    for flow, tcp, udp, _ in found:
        assert_tagged(flow)
        labels_of.setdefault((tcp, udp), set()).add(flow)
    assert len(labels_of) == (3 if options[0] == "-P" else 2), "the control connection, and each stream"
    assert all(len(each) == 1 for each in labels_of.values())


def test_traceroute_probes_keep_their_hop_limit_and_have_a_label(lab):
    """As traceroute sends them: a port for each hop; and as paris-traceroute does: one flow, one label at every hop."""
    def probe():
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            for hops in range(1, 6):
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
                sock.sendto(b"x" * 32, (lab.b.address6, 33433 + hops))
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            for hops in range(1, 6):
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
                sock.sendto(b"x" * 32, (lab.b.address6, 33500))

    lab.a.run("ethtool", "-K", "eth0", "tx", "off")  # so that checksums are there to be looked at
    with marking(lab) as daemon, Wire(lab, "udp and dst portrange 33434-33500") as wire:
        ready(daemon)
        lab.a.call(probe)
        found = wire.decoded(10, "udp.dstport", "ipv6.hlim", "udp.checksum.status", "ipv6.flow")
    for _, _, checksum, flow in found:
        assert_tagged(flow)
        assert checksum == "1"
    assert [packet[1] for packet in found] == ["1", "2", "3", "4", "5"] * 2
    assert len({packet[3] for packet in found if packet[0] == "33500"}) == 1


def test_sctp_is_marked(lab):
    from scapy.layers.inet6 import IPv6
    from scapy.layers.sctp import SCTP, SCTPChunkInit

    ports = [*range(40000, 40010), 40000]
    frames = [link(lab) / IPv6(src=lab.a.address6, dst=lab.b.address6, tc=0xB9, fl=0xABCDE) / SCTP(sport=port, dport=2905) /
              SCTPChunkInit(init_tag=7) for port in ports]
    with marking(lab) as daemon, Wire(lab, "ip6 proto 132") as wire:
        ready(daemon)
        send_frames(lab, frames)
        found = wire.decoded(len(frames), "sctp.srcport", "ipv6.flow", "sctp.checksum.status", "ipv6.tclass")
        assert outcomes(daemon)["markedCatchAll"] >= len(frames)
    assert [int(packet[0]) for packet in found] == ports
    for packet in found:
        assert_tagged(packet[1])
        assert packet[2] == "1" and int(packet[3], 16) == 0xB9
    assert found[0][1] == found[-1][1], "the same association, the same label"
    assert len({packet[1] for packet in found}) > 2, "ports are part of a flow of SCTP"


@pytest.mark.parametrize("attach", ["tcx", "clsact"])
def test_vlan_tags_in_the_frame_are_parsed(lab, attach):
    """802.1Q, 802.1ad with 802.1Q in it, and one tag more than is walked: that one is left as it is."""
    from scapy.layers.inet import TCP, UDP
    from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop
    from scapy.layers.l2 import Dot1AD, Dot1Q

    def ip():
        return IPv6(src=lab.a.address6, dst=lab.b.address6, tc=0x2E, fl=0x12345)

    payloads = [TCP(sport=1, dport=2, flags="A") / (b"x" * 100), UDP(sport=1, dport=2) / b"x", ICMPv6EchoRequest(id=7, data=b"x" * 50),
                IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP(sport=1, dport=2) / b"x"]
    tags = [Dot1Q(vlan=43, prio=5), Dot1AD(vlan=100) / Dot1Q(vlan=43), Dot1Q(vlan=100) / Dot1Q(vlan=43)]
    sent = [link(lab) / tag / ip() / payload for tag in tags for payload in payloads]
    too_deep = link(lab) / Dot1AD(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3) / ip() / payloads[0]
    with marking(lab, f"attach: {attach}") as daemon, Capture(lab.b, "", snap_length=65535) as capture:
        ready(daemon)
        send_frames(lab, [*sent, too_deep])

        def arrived():
            """Those that were sent here, told by their traffic class."""
            from scapy.utils import PcapReader

            with open(capture.path, "rb") as file, PcapReader(file) as reader:
                found = [packet for packet in reader if IPv6 in packet and packet[IPv6].tc == 0x2E]
            return found if len(found) == len(sent) + 1 else None

        found = wait_for(arrived, "the frames")
        assert outcomes(daemon)["deepVlan"] == 1
        capture.stop()
        fields = subprocess.run(["tshark", "-n", "-r", capture.path, "-Y", "ipv6.tclass == 0x2e", "-T", "fields", "-E", "occurrence=f",
                                 "-e", "ipv6.flow", "-e", "ipv6.tclass"], capture_output=True, text=True).stdout.split("\n")
        capture.remove()
    assert len(fields) == len(sent) + 2
    for line in fields[:len(sent)]:
        assert_tagged(line.split("\t")[0])
    for before, after in zip(sent, found):
        expected = bytearray(bytes(before))
        at = bytes(before).index(struct.pack(">I", 6 << 28 | 0x2E << 20 | 0x12345))
        struct.pack_into(">I", expected, at, 6 << 28 | 0x2E << 20 | after[IPv6].fl)
        assert bytes(after) == bytes(expected), "nothing but the label has changed"
    assert bytes(found[-1]) == bytes(too_deep)


@pytest.mark.parametrize("strategy", ["label", "hopByHop"])
def test_truncated_ipv6_frames_are_sent_unchanged(lab, strategy):
    """Too short for BPF_PROG_TEST_RUN, but not for a raw socket."""
    from scapy.layers.inet import UDP
    from scapy.layers.inet6 import IPv6
    from scapy.utils import RawPcapReader

    whole = bytes(link(lab) / IPv6(src=lab.a.address6, dst=lab.b.address6, fl=0xABCDE) / UDP(sport=1, dport=2) / b"x")
    sent = [whole[:length] for length in range(14, 14 + 40 + 4)]
    with marking(lab, f"markingStrategy: {strategy}") as daemon, Capture(lab.b, "ether proto 0x86dd", snap_length=65535) as capture:
        ready(daemon)
        before = outcomes(daemon)["truncated"]
        send_frames(lab, [*sent, whole])
        wait_for(lambda: outcomes(daemon)["truncated"] - before == len(sent), "what is too short to be counted so")

        def arrived():
            with open(capture.path, "rb") as file:
                found = {bytes(data) for data, _ in RawPcapReader(file)}
            return found if found >= set(sent) else None

        found = wait_for(arrived, "the frames, as they were sent")
        assert whole not in found, "the whole one is marked"
        capture.remove()


@pytest.mark.parametrize("offload", ["on", "off"])
@pytest.mark.parametrize("strategy, size", [("label", 1400), ("destination", 1400), ("hopByHop", 1400), ("destination", 1452)])
def test_batches_of_datagrams_are_marked(lab, strategy, size, offload):
    """UDP_SEGMENT: the kernel cuts the batch behind the marker, or hands it on whole. Each datagram stays as large as it was."""
    def send():
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
            for _ in range(5):
                sock.sendto(b"x" * (size * 10), (lab.b.address6, 7010))

    lab.a.run("ethtool", "-K", "eth0", "tx-udp-segmentation", offload)
    if offload == "off":
        lab.a.run("ethtool", "-K", "eth0", "tx", "off")
    header = {"label": None, "destination": "60", "hopByHop": "0"}[strategy]
    with marking(lab, f"markingStrategy: {strategy}") as daemon, Wire(lab, f"ip6 and src {lab.a.address6} and not icmp6") as wire:
        ready(daemon)
        with lab.b.call(socket.socket, socket.AF_INET6, socket.SOCK_DGRAM) as sink:
            sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
            sink.bind((lab.b.address6, 7010))
            lab.a.call(send)
            sink.settimeout(10)
            received = [len(sink.recv(65536)) for _ in range(50)]
        found = wire.decoded(50 if offload == "off" else 5, "ipv6.nxt", "ipv6.flow", "udp.length", "udp.checksum.status", "ipv6.plen")
        counted = outcomes(daemon)
    assert received == [size] * 50, "what the application gets is what the other sent"
    fits = strategy == "label" or size + 8 + 40 + 8 <= 1500
    assert counted["markedCatchAll" if fits else "noRoom"] >= 5
    for next_header, flow, length, checksum, payload in found:
        assert next_header == (header if fits and header else "17")
        if strategy == "label":
            assert_tagged(flow)
        if offload == "off":
            assert int(length) == size + 8 and checksum == "1"
            assert int(payload) == size + 8 + (8 if fits and header else 0)
