# SPDX-License-Identifier: Apache-2.0
"""Events from a real fireflyp to the real marker and firefly backends: none lost, none doubled, in order."""
import json
import signal
import socket

from tests.harness import labels, traffic
from tests.harness.capture import Capture, flows
from tests.harness.collector import Collector
from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for
from tests.harness.pairs import destination, expect_every_pair, source_port

CONFIGURATION = """\
plugins:
  fireflyp: {}
backends:
  marker:
    targetInterfaces: [eth0]
  firefly:
    sendToCollector: true
    collectorAddress: "fd5c:17a6:5::b"
"""


def firefly(state, port, number):
    started = f"2026-11-23T10:00:{number % 60:02d}.000000+00:00"
    end = f', "end-time": "{started[:17]}59.5+00:00"' if state == "end" else ""
    return (f'<134>1 - storage test - firefly-json - {{"version":1,"flow-lifecycle":{{"state":"{state}",'
            f'"start-time":"{started}","current-time":"{started}"{end}}},"context":{{"experiment-id":2,"activity-id":16,'
            f'"application":"test"}},"flow-id":{{"afi":"ipv6","src-ip":"fd5c:17a6:5::a","dst-ip":"{destination(number)}",'
            f'"protocol":"tcp","src-port":{port},"dst-port":1094}}}}').encode()


def test_a_hundred_thousand_flows_reach_both_backends_once_in_order(lab):
    pairs, window = 100_000, 500  # less than the 1,000 packets that a veth pair keeps (net.core.netdev_max_backlog)
    with Collector(lab.b) as collector, Daemon(CONFIGURATION, lab.a) as daemon:
        sender = lab.a.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
        sender.connect(("127.0.0.1", 10514))
        for number in range(pairs):
            sender.send(firefly("start", source_port(number), number))
            sender.send(firefly("end", source_port(number), number))
            if number % 50 == 0:  # UDP pushes nobody back: the sender goes as fast as the collector reads
                wait_for(lambda: len(collector.fireflies) >= 2 * number - window, f"the collector to come near flow {number}", 60)
        expect_every_pair(collector, daemon, pairs)
        assert daemon.stop() == 0


def test_hostile_datagrams_are_counted_by_reason_and_never_forwarded(lab):
    datagrams = [b"", b"\0" * 1400, b"<134>1 - a b - c - {", b"{}", b'{"version":1}', b"\xff" * 900, b"[" * 60000,
                 firefly("start", 0, 1), firefly("paused", 5, 1), firefly("start", 70000, 1)]
    with Collector(lab.b) as collector, Daemon(CONFIGURATION, lab.a) as daemon:
        sender = lab.a.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
        for datagram in datagrams:
            sender.sendto(datagram, ("127.0.0.1", 10514))
        sender.sendto(firefly("start", 4711, 1), ("127.0.0.1", 10514))
        collector.wait_for_count(1)
        status = daemon.details("plugin fireflyp")
        assert status["refused"] == sum(status["refusals"].values()) == len(datagrams), status
        assert [f["flow-id"]["src-port"] for f in collector.fireflies] == [4711]


def test_after_kill_9_the_daemon_starts_again_and_marks(lab):
    first = Daemon(CONFIGURATION, lab.a)
    first.start()
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    first.__exit__()
    server = traffic.UdpServer(lab.b, 5001)
    with Collector(lab.b), Capture(lab.b, "ip6 and udp port 5001") as capture, Daemon(CONFIGURATION, lab.a) as daemon:
        with traffic.udp_client(lab.a, lab.b, 5001) as sock:
            announcer = traffic.Announcer(lab.a)
            announcer.announce("start", sock, 3, 13, traffic.now())
            wait_for(lambda: daemon.cli("flows")["live"] == 1, "the flow")
            wait_for(lambda: daemon.details("backend marker")["flows"] == 1, "the flow in the marker")
            for _ in range(10):
                sock.send(b"x")
            announcer.close()
            key = (*sock.getsockname()[:2], *sock.getpeername()[:2], "udp")
        wait_for(lambda: daemon.details("backend marker")["marked"] >= 10, "ten marked packets")
        marked = flows(capture.packets())[key]
        assert [label & ~labels.ENTROPY for label in marked] == [labels.encode(3, 13)]
        capture.remove()
        server.close()
