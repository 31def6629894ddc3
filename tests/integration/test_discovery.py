# SPDX-License-Identifier: Apache-2.0
"""Connections that nobody announces: found, tagged by rule, marked from their first packet, measured."""
import os
import socket
import threading
import time

import pytest

from tests.harness import labels
from tests.harness.capture import Capture
from tests.harness.collector import Collector
from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for

pytestmark = pytest.mark.usefixtures("status_answers")
RULES = """\
plugins:
  netlink:
    ignorePrivate: false
    period: 1s
    rules:
      - {{remotePorts: ["5001"], experiment: 2, activity: 3}}
      - {{localPorts: ["1094"], direction: in, experiment: 3, activity: 13}}
      - {{remotePorts: ["22"], ignore: true}}
backends:
  firefly:
    sendToCollector: true
    collectorAddress: "fd5c:17a6:5::b"
    sendToDestination: false
{more}
"""
MARKER = "  marker:\n    targetInterfaces: [eth0]\n"


def daemon_on(host, configuration):
    """`ip netns exec` would mount a /sys without control groups; nsenter leaves it alone."""
    return Daemon(configuration, prefix=("nsenter", f"--net=/run/netns/{host.name}"))


def plugin(daemon):
    return daemon.cli("status")["details"]["plugin netlink"]["status"]


def require_early(daemon):
    if plugin(daemon)["kernel"]["state"] != "on":
        pytest.skip("the kernel takes no sockops program here: " + plugin(daemon)["kernel"]["state"])


class Server:
    """Accepts connections and reads each to its end; answers with `answer` bytes first."""

    def __init__(self, host, port, answer=0):
        def listen():
            sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host.address6, port))
            sock.listen(1024)
            return sock

        self.socket, self.answer = host.call(listen), answer
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                if self.answer:
                    connection.sendall(b"x" * self.answer)
                while connection.recv(65536):
                    pass

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self._thread.join()


def tcp_packets(capture, source, source_port=None, destination_port=None):
    from scapy.layers.inet import TCP
    from scapy.layers.inet6 import IPv6

    return [packet for packet in capture.packets()
            if IPv6 in packet and TCP in packet and packet[IPv6].src == source
            and source_port in (None, packet[TCP].sport) and destination_port in (None, packet[TCP].dport)]


def tags_of(packets):
    from scapy.layers.inet6 import IPv6

    return [labels.decode(packet[IPv6].fl & ~labels.ENTROPY) for packet in packets]


def test_the_syn_of_a_client_and_the_first_data_of_a_server_carry_the_label(lab):
    with daemon_on(lab.a, RULES.format(more=MARKER)) as daemon:
        require_early(daemon)
        assert plugin(daemon)["kernel"]["marksFirstPacket"] and looks_into_sockets(daemon), "when the daemon is ready it is all there"
        there, here = Server(lab.b, 5001), Server(lab.a, 1094, answer=1000)
        with Capture(lab.b, "ip6 and tcp") as capture:
            with lab.a.call(socket.create_connection, (lab.b.address6, 5001), 10) as client:
                client.sendall(b"x" * 1000)
                client.shutdown(socket.SHUT_WR)
                client.recv(1)
            with lab.b.call(socket.create_connection, (lab.a.address6, 1094), 10) as visitor:
                visitor.shutdown(socket.SHUT_WR)
                while visitor.recv(65536):
                    pass
            wait_for(lambda: plugin(daemon)["ended"] == 2, "both ends")
            sent = tcp_packets(capture, lab.a.address6, destination_port=5001)
            assert sent[0]["TCP"].flags == "S"
            assert set(tags_of(sent)) == {(2, 3)}, tags_of(sent)
            assert len({packet["IPv6"].fl for packet in sent}) == 1, "the label does not change when the flow is announced"
            served = [packet for packet in tcp_packets(capture, lab.a.address6, source_port=1094) if len(packet["TCP"].payload) > 0]
            assert served and tags_of(served)[0] == (3, 13), tags_of(served)
            assert set(tags_of(served)) == {(3, 13)}
        capture.remove()
        there.close()
        here.close()


@pytest.mark.parametrize("finder", ["netlink", "iperf3"])
@pytest.mark.parametrize("leaves_first", [False, True])
def test_a_rule_takes_precedence_over_a_meter_for_all_packets(lab, finder, leaves_first):
    """perfsonar meters the same connections, each side by its own timing: 300 short ones, many at a time. A client that
    leaves first has no socket when the other side closes: the last acknowledgement comes from TIME_WAIT."""
    count, at_a_time = 300, 20
    rules = {"netlink": "  netlink: {ignorePrivate: false, period: 1s, rules: [{remotePorts: ['5001'], experiment: 2, activity: 3}]}\n",
             "iperf3": "  iperf3: {minDestinationPort: 5001, maxDestinationPort: 5001, experimentIDs: [2], activityIDs: [3]}\n"}
    configuration = (f"plugins:\n  perfsonar: {{experimentId: 3, activityId: 2, interfaces: [eth0]}}\n{rules[finder]}"
                     f"backends:\n  firefly: {{sendToCollector: true, collectorAddress: '{lab.b.address6}', sendToDestination: false}}\n{MARKER}")
    with Collector(lab.b) as collector, daemon_on(lab.a, configuration) as daemon:
        kernel = daemon.details(f"plugin {finder}")["kernel"]
        if kernel.get("state", "on") != "on":
            pytest.skip("the kernel takes no sockops program here: " + kernel["state"])
        assert kernel["marksFirstPacket"] and looks_into_sockets(daemon)
        server = Server(lab.b, 5001)

        def exchange(number):
            with socket.create_connection((lab.b.address6, 5001), 10) as client:
                for part in range(3):
                    client.sendall(b"x" * 2000)
                    time.sleep(0.01 * (number % 7))  # the pace of the traffic
                client.shutdown(socket.SHUT_WR)
                if not leaves_first:
                    client.recv(1)  # the other side's end: all packets but acknowledgements have been sent

        def open_connections():
            return lab.a.run("ss", "-Htn", "state", "connected", "exclude", "time-wait", "dst", f"[{lab.b.address6}]:5001").stdout

        with Capture(lab.b, "ip6 and tcp dst port 5001") as capture:
            def run(first):
                for number in range(first, count, at_a_time):
                    lab.a.call(exchange, number)

            threads = [threading.Thread(target=run, args=(first,)) for first in range(at_a_time)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            wait_for(lambda: len([m for m in list(collector.fireflies) if m["flow-lifecycle"]["state"] == "end"]) >= count, "all ends", 30)
            wait_for(lambda: not open_connections(), "the other side's ends")
            sent = tcp_packets(capture, lab.a.address6, destination_port=5001)
        capture.remove()
        server.close()
    of_flow = {}
    for packet, tag in zip(sent, tags_of(sent)):
        of_flow.setdefault(packet["TCP"].sport, []).append((str(packet["TCP"].flags), tag))
    assert len(of_flow) == count
    wrong = {port: packets for port, packets in of_flow.items() if any(tag != (2, 3) for _, tag in packets)}
    assert not wrong, (len(wrong), list(wrong.items())[:3])
    told = {}
    for message in collector.fireflies:
        told.setdefault(message["flow-id"]["src-port"], []).append(
            (message["flow-lifecycle"]["state"], message["context"]["experiment-id"], message["context"]["activity-id"]))
    again = {port: story for port, story in told.items() if [state for state, *_ in story if state != "ongoing"] != ["start", "end"]}
    assert not again, (len(again), list(again.items())[:3])
    assert all(story[-1][1:] == (2, 3) for story in told.values())


def looks_into_sockets(daemon):
    return daemon.cli("marker", "status")["socketTags"]


def test_the_marker_reads_socket_tags_only_while_a_plugin_writes_them(lab):
    without = "plugins:\n  fireflyp: {}\nbackends:\n" + MARKER
    with daemon_on(lab.a, without) as daemon:
        assert not looks_into_sockets(daemon)
        daemon.reload(RULES.format(more=MARKER))
        require_early(daemon)
        wait_for(lambda: looks_into_sockets(daemon), "the marker to look")
        daemon.reload(RULES.format(more=MARKER + "    maxFlows: 1000\n"))
        assert looks_into_sockets(daemon), "its successor does as well, without a pause"
        daemon.reload(without)
        wait_for(lambda: not looks_into_sockets(daemon), "the marker to stop looking")


def test_interfaces_of_a_later_marker_are_metered(lab):
    with daemon_on(lab.a, RULES.format(more="")) as daemon:
        require_early(daemon)
        assert not plugin(daemon)["kernel"]["marksFirstPacket"]
        daemon.reload(RULES.format(more=MARKER))
        wait_for(lambda: plugin(daemon)["kernel"]["marksFirstPacket"] and looks_into_sockets(daemon), "the marker's map of socket tags")
        there = Server(lab.b, 5001)
        with Capture(lab.b, "ip6 and tcp port 5001") as capture:
            with lab.a.call(socket.create_connection, (lab.b.address6, 5001), 10) as client:
                client.sendall(b"x")
            wait_for(lambda: plugin(daemon)["ended"] == 1, "the end")
            sent = tcp_packets(capture, lab.a.address6, destination_port=5001)
            assert tags_of(sent)[0] == (2, 3)
        capture.remove()
        there.close()
        daemon.reload(RULES.format(more=""))
        wait_for(lambda: not plugin(daemon)["kernel"]["marksFirstPacket"], "the marker to be gone")


@pytest.mark.parametrize("early", [True, False])
def test_short_connections_are_each_announced_once_with_their_bytes(lab, early):
    """3 s at 1,000 a second; 60 s with FLOWD_LONG=1."""
    count, rate = (60_000 if os.environ.get("FLOWD_LONG") else 3_000), 1_000
    lab.a.run("sysctl", "-q", "-w", "net.ipv4.tcp_tw_reuse=1")  # there are fewer ports than connections in a minute
    configuration = RULES.format(more="").replace("    period: 1s\n", f"    period: 1s\n    early: {str(early).lower()}\n")
    with Collector(lab.b) as collector, daemon_on(lab.a, configuration) as daemon:
        if early:
            require_early(daemon)
        server = Server(lab.b, 5001)
        sent = {}

        def connect(number):
            sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            sock.connect((lab.b.address6, 5001))
            return sock

        def traffic_of_a():
            began = time.monotonic()
            for number in range(count):
                with connect(number) as sock:
                    size = 1 + number % 5000
                    sock.sendall(b"x" * size)
                    sent.setdefault(sock.getsockname()[1], []).append(size)
                ahead = number / rate - (time.monotonic() - began)
                if ahead > 0.01:
                    time.sleep(ahead)  # the rate of the traffic, not a wait for the daemon

        lab.a.call(traffic_of_a)
        wait_for(lambda: plugin(daemon)["ended"] + plugin(daemon)["missing"] >= count, f"{count} ends: {plugin(daemon)}", 30)
        collector.wait_for_count(2 * count, 60)
        assert plugin(daemon)["started"] == count
        told = {}
        for message in collector.fireflies:
            assert (message["context"]["experiment-id"], message["context"]["activity-id"]) == (2, 3)
            told.setdefault(message["flow-id"]["src-port"], []).append(message)
        assert told.keys() == sent.keys()
        for port, sizes in sent.items():
            states = [message["flow-lifecycle"]["state"] for message in told[port]]
            assert states == ["start", "end"] * len(sizes), (port, states)
            ends = told[port][1::2]
            assert [end["usage"]["sent"] for end in ends] == sizes, port
            for end in ends:
                assert end["flow-lifecycle"]["start-time"] <= end["flow-lifecycle"]["end-time"]
        server.close()


@pytest.mark.parametrize("enrichers", ["netlink", "skops", "netlink skops"])
def test_an_end_has_the_round_trip_time_and_a_sample_has_its_flow(lab, enrichers):
    sections = "".join(f"  {name}: {{}}\n" for name in enrichers.split())
    more = f"    enrich: true\nenrichers:\n  period: 200ms\n{sections}"
    with Collector(lab.b) as collector, daemon_on(lab.a, RULES.format(more=more)) as daemon:
        server = Server(lab.b, 5001)
        clients = [lab.a.call(socket.create_connection, (lab.b.address6, 5001), 10) for _ in range(20)]
        for number, client in enumerate(clients):
            client.sendall(b"x" * (1000 + number))

        def ongoing():
            return {message["flow-id"]["src-port"]: message for message in list(collector.fireflies)
                    if message["flow-lifecycle"]["state"] == "ongoing"}

        def complete():
            seen = ongoing()
            return all(seen.get(client.getsockname()[1], {}).get("usage", {}).get("sent") == 1000 + number
                       for number, client in enumerate(clients))

        wait_for(complete, "an ongoing firefly of each flow with its own bytes", 20)
        for message in ongoing().values():
            assert isinstance(message["netlink"]["rtt"], float), message
        for client in clients:
            client.close()
        server.close()


@pytest.mark.parametrize("enricher, count_of", [("netlink", "dumps"), ("skops", "walks")])
def test_sockets_are_dumped_once_per_period_whatever_the_number_of_backends(lab, enricher, count_of):
    """A backend more is a backend that gets the same samples. Of four backends each hears of each flow once per look."""
    flows = 5
    others = "".join(f"  firefly/{n}: {{collectors: [{{address: '{lab.b.address6}', port: {10515 + n}}}], sendToDestination: false, enrich: true}}\n"
                     for n in range(3))
    more = f"    enrich: true\n{others}enrichers:\n  period: 100ms\n  {enricher}: {{}}\n"
    backends = ["firefly", "firefly/0", "firefly/1", "firefly/2"]
    with Collector(lab.b), daemon_on(lab.a, RULES.format(more=more)) as daemon:
        server = Server(lab.b, 5001)
        clients = [lab.a.call(socket.create_connection, (lab.b.address6, 5001), 10) for _ in range(flows)]

        def seen():
            """(looks, {backend: samples that it was given})"""
            status = daemon.cli("status")
            looks = status["details"][f"enricher {enricher}"]["status"]
            return looks[count_of], looks["lastPeriod"]["matched"], {edge["backend"]: edge["ongoing"] for edge in status["queues"]}

        wait_for(lambda: seen()[1] == flows, "a period with all flows")
        looks_before, _, told_before = seen()
        wait_for(lambda: seen()[0] >= looks_before + 12, "twelve periods more")
        looks, _, told = seen()
        assert sorted(told) == sorted(backends)
        for backend in backends:
            # One of the two figures may be of a period later than the other, at each end; and on a machine that is busy, what
            # a look found after its period is told to nobody. A look for each backend would make four of one.
            periods = (told[backend] - told_before[backend]) / flows
            assert periods <= looks - looks_before + 2, (backend, periods, looks - looks_before)
            assert looks - looks_before <= 2 * (periods + 2), (backend, periods, looks - looks_before)
        for client in clients:
            client.close()
        server.close()
