# SPDX-License-Identifier: Apache-2.0
"""docs/captures.md: each block of commands prints what the block below it shows."""
import datetime
import json
import os
import re
import socket
import struct
import subprocess

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import wrpcap

from tests.harness.daemon import BINARY, ROOT

GUIDE = (ROOT / "docs/captures.md").read_text()
LABELS = [0xF013B, 0xF013B, 0x20004, 0x7A1B2]
ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def packet(label):
    return ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2", fl=label) / TCP(sport=1000, dport=1094) / Raw(b"x" * 64)


def datagram(port, payload):
    return ETHER / IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=40000, dport=port) / Raw(payload)


def ipfix():
    """RFC 7011: a message with the template, one with the data."""
    fields = [(27, 16), (28, 16), (31, 4), (4, 1), (7, 2), (11, 2), (2, 8), (1, 8)]
    template = struct.pack("!HH", 256, len(fields)) + b"".join(struct.pack("!HH", *field) for field in fields)
    ends = socket.inet_pton(socket.AF_INET6, "2001:db8::1") + socket.inet_pton(socket.AF_INET6, "2001:db8::2")
    records = b"".join(ends + struct.pack("!IBHHQQ", label, 6, 1000, 1094, 10, 1000) for label in LABELS)
    sets = [struct.pack("!HH", 2, 4 + len(template)) + template, struct.pack("!HH", 256, 4 + len(records)) + records]
    return [struct.pack("!HHIII", 10, 16 + len(body), 1_700_000_000, 0, 1) + body for body in sets]


def sflow():
    """sFlow version 5: one flow sample with a raw packet header for each label."""
    samples = b""
    for number, label in enumerate(LABELS):
        header = bytes(packet(label))
        header_record = struct.pack("!IIII", 1, len(header) + 4, 4, len(header)) + header + b"\0" * (-len(header) % 4)
        sample = struct.pack("!8I", number + 1, 1, 100, 100 * (number + 1), 0, 1, 2, 1) + struct.pack("!II", 1, len(header_record))
        sample += header_record
        samples += struct.pack("!II", 1, len(sample)) + sample
    return struct.pack("!II", 5, 1) + socket.inet_aton("192.0.2.1") + struct.pack("!IIII", 0, 1, 1000, len(LABELS)) + samples


def blocks():
    """(commands, output) of each block."""
    return re.findall(r"^```sh\n(.*?)^```\n```text\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("captures")
    wrpcap(str(path / "labels.pcap"), [packet(label) for label in LABELS])
    wrpcap(str(path / "ipfix.pcap"), [datagram(4739, message) for message in ipfix()])
    wrpcap(str(path / "sflow.pcap"), [datagram(6343, sflow())])
    lines = [line.encode() for line in (ROOT / "tests/data/samples/dcache.txt").read_text().splitlines() if not line.startswith("#")]
    fireflies = [datagram(10514, line) for line in lines]
    for firefly, line in zip(fireflies, lines):
        sent = json.loads(line[line.index(b"{"):])["flow-lifecycle"]["current-time"]
        firefly.time = datetime.datetime.fromisoformat(sent[:19] + "+00:00").timestamp()
    wrpcap(str(path / "fireflies.pcap"), fireflies)
    return path


def test_every_block_of_commands_has_its_output():
    assert len(blocks()) == GUIDE.count("```sh\n") >= 7


@pytest.mark.parametrize("commands, output", blocks())
def test_the_commands_of_the_guide_print_what_it_shows(directory, commands, output):
    path = f"{BINARY.parent}:{os.environ['PATH']}:/usr/sbin"
    done = subprocess.run(["bash", "-eu", "-c", commands], cwd=directory, env=os.environ | {"PATH": path, "LC_ALL": "C"},
                          capture_output=True, text=True, timeout=120)
    assert done.stdout == output, done.stderr + (directory / "errors").read_text()


def test_listen_shows_a_line_for_each_firefly_and_everything_as_json(directory):
    line = next(line for line in (ROOT / "tests/data/samples/dcache.txt").read_text().splitlines() if not line.startswith("#"))
    for option, shown in ((), r"^\S+ \[::1\]:\d+ start tcp \[\S+ > \[\S+ atlas/Production Output https\n$"), (("--json",), r'^\{"from":.*\}\n$'):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as free:
            free.bind(("::1", 0))
            port = free.getsockname()[1]
        listener = subprocess.Popen([str(BINARY), "firefly", "listen", "--address", "::1", "--port", str(port), "--count", "1",
                                     "--seconds", "60", *option], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert "receiving fireflies" in listener.stderr.readline()
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.sendto(line.encode(), ("::1", port))
        out, err = listener.communicate(timeout=90)
        assert listener.returncode == 0 and re.match(shown, out), out + err
