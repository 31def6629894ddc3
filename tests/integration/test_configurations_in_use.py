# SPDX-License-Identifier: Apache-2.0
"""Configurations as flowd-go's users have them: each loads unchanged, and does what its author meant. Interfaces, hosts and paths
are those of the test's two machines."""
import json
import os
import pathlib
import shutil
import socket
import subprocess

import pytest

from tests.harness import labels, traffic
from tests.harness.capture import Capture
from tests.harness.collector import Collector
from tests.harness.daemon import BINARY, ROOT
from tests.harness.http import Api
from tests.harness.lab import wait_for
from tests.integration.test_discovery import daemon_on

CONFIGS = ROOT / "tests" / "data" / "configs"
NAMES = ["minimal", "everything", "perfsonar-2.4", "perfsonar-2.5", "perfsonar-installer", "perfsonar-forwarding", "npipe-stun"]


@pytest.mark.parametrize("name", NAMES)
def test_each_configuration_in_use_loads_unchanged(name):
    done = subprocess.run([str(BINARY), "check", "--conf", str(CONFIGS / f"{name}.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def folder():
    path = pathlib.Path(f"/run/flowd-test-configs-{os.getpid()}")
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def use(lab, folder):
    """use(name): a daemon on host a with that configuration. Host a sends to the world by way of host b."""
    lab.a.run("ip", "-6", "route", "add", "default", "via", lab.b.address6)

    def daemon(name):
        text = (CONFIGS / f"{name}.yaml").read_text()
        for theirs, ours in {"[ens4f0np0, ens4f1np1]": "[eth0, eth7]", "[eno1]": "[eth0]", "collector.example.org": lab.b.address6,
                             "2001:db8::a": lab.b.address6, "namedPipe: {}": f"namedPipe: {{pipePath: {folder}/np}}",
                             "/var/run/flowd-go": str(folder), "/var/cache/flowd-go": str(folder)}.items():
            text = text.replace(theirs, ours)
        return daemon_on(lab.a, text)
    return daemon


def tags_of_a(lab, capture, layer):
    from scapy.layers.inet6 import IPv6

    return {labels.decode(packet[IPv6].fl & ~labels.ENTROPY) for packet in capture.packets()
            if IPv6 in packet and packet[IPv6].src == lab.a.address6 and layer in packet}


def bare(collector):
    """Fireflies without a header, which the collector of the tests refuses as the reference one does."""
    return [json.loads(datagram) for datagram in list(collector.refused)]


@pytest.mark.parametrize("name, tag", [("perfsonar-2.4", (2, 2)), ("perfsonar-2.5", (2, 2)), ("perfsonar-installer", (3, 2)),
                                       ("perfsonar-forwarding", (3, 2))])
def test_a_perfsonar_host_marks_all_sent_packets(lab, use, name, tag):
    from scapy.layers.inet import TCP, UDP
    from scapy.layers.inet6 import ICMPv6EchoRequest

    server, listener = traffic.UdpServer(lab.b, 8760), traffic.TcpServer(lab.b, 5201)
    with Collector(lab.b), use(name) as daemon, Capture(lab.b) as capture:
        with traffic.udp_client(lab.a, lab.b, 8760) as probe, traffic.tcp_client(lab.a, lab.b, 5201) as test:
            probe.send(b"owping")
            test.sendall(b"x" * 10000)
        lab.a.run("ping", "-c", "2", "-i", "0.2", lab.b.address6)
        wait_for(lambda: listener.received == 10000, "the test to arrive")
        for layer in (UDP, TCP, ICMPv6EchoRequest):
            assert tags_of_a(lab, capture, layer) == {tag}, layer
        capture.remove()
        assert daemon.stop() == 0
    assert "flowd" not in lab.a.run("tc", "filter", "show", "dev", "eth0", "egress").stdout
    server.close()
    listener.close()


def test_a_perfsonar_host_relays_the_fireflies_of_its_services(lab, use):
    with Collector(lab.b) as collector, use("perfsonar-2.5"), traffic.udp_client(lab.a, lab.b, 5001) as sock:
        announcer = traffic.Announcer(lab.a)
        announcer.announce("start", sock, 3, 13, traffic.now())
        collector.wait_for_count(1)
        assert collector.fireflies[0]["context"] == {"experiment-id": 3, "activity-id": 13, "application": "xrootd"}
        announcer.close()


@pytest.mark.parametrize("name", ["perfsonar-2.5", "perfsonar-installer", "perfsonar-forwarding"])
def test_each_generation_of_a_perfsonar_host_announces_complete_tuples_without_warnings(lab, use, name):
    """case C14: no firefly has a wildcard, and nothing of the kernel is reported as unsupported."""
    listener = traffic.TcpServer(lab.b, 5201)
    with Collector(lab.b) as collector, use(name) as daemon, traffic.tcp_client(lab.a, lab.b, 5201) as test:
        test.sendall(b"x" * 10000)
        ends = {(lab.a.address6, test.getsockname()[1]), (lab.b.address6, 5201)}
        wait_for(lambda: ends in [{(flow["src-ip"], flow["src-port"]), (flow["dst-ip"], flow["dst-port"])}
                                  for flow in (one["flow-id"] for one in bare(collector) + list(collector.fireflies))], "its firefly", 60)
        assert all(one["flow-id"][port] for one in bare(collector) + list(collector.fireflies) for port in ("src-port", "dst-port"))
        warnings = [line for line in daemon.log.splitlines() if "[warning]" in line and "hint:" not in line]
        # The installer writes prependSyslog: false; and eth7 of the second one does not exist on this host.
        assert not [line for line in warnings if "drops fireflies without a header" not in line and "eth7" not in line], warnings
    listener.close()


def test_a_perfsonar_host_sends_fireflies_for_each_test_to_its_collector(lab, use):
    listener = traffic.TcpServer(lab.b, 5201)
    with Collector(lab.b) as collector, use("perfsonar-installer") as daemon, traffic.tcp_client(lab.a, lab.b, 5201) as test:
        test.sendall(b"x" * 10000)
        port = test.getsockname()[1]
        wait_for(lambda: any(one["flow-id"]["src-port"] == port for one in bare(collector)), "the firefly of the test, without a header")
        assert {(one["context"]["experiment-id"], one["context"]["activity-id"]) for one in bare(collector)} == {(3, 2)}
        states = {entry["instance"]: entry["state"] for entry in daemon.cli("status")["instances"]}
        assert states["enricher netlink"] == states["enricher skops"] == "running"
    listener.close()


def test_fireflies_of_a_service_behind_nat_have_its_public_address(lab, use, folder):
    with Collector(lab.b, 10515) as collector, use("npipe-stun"):
        with open(folder / "np", "w") as pipe:
            pipe.write("start tcp 192.0.2.148 1094 203.0.113.7 40000 2 16\n")
        wait_for(lambda: bare(collector), "the firefly, without a header")
        (told,) = bare(collector)
        assert (told["flow-id"]["src-ip"], told["flow-id"]["dst-ip"]) == ("198.51.100.1", "203.0.113.7")


def post(api, source, destination, experiment, activity):
    """In the form that flowd-go understands."""
    status, _, answer = api.post({"State": 2, "Protocol": 1, "Family": 10, "Src": f"[{source[0]}]:{source[1]}",
                                  "Dst": f"[{destination[0]}]:{destination[1]}", "Experiment": experiment, "Activity": activity})
    assert status == 200, answer


def test_the_shortest_configuration_marks_posted_flows_and_sends_to_the_destination(lab, use):
    from scapy.layers.inet import UDP

    server = traffic.UdpServer(lab.b, 5001)
    with Collector(lab.b) as collector, use("minimal") as daemon, Api.at(lab.a) as api, traffic.udp_client(lab.a, lab.b, 5001) as sock, \
            Capture(lab.b, "ip6 and udp port 5001") as capture:
        post(api, sock.getsockname()[:2], sock.getpeername()[:2], 2, 16)
        collector.wait_for_count(1)  # the destination of the flow is where the collector of this test is
        wait_for(lambda: daemon.details("backend marker")["flows"] == 1, "the marker to have it")
        sock.send(b"x")
        wait_for(lambda: daemon.details("backend marker")["marked"] == 1, "its packet")
        assert tags_of_a(lab, capture, UDP) == {(2, 16)}
        capture.remove()
    server.close()


def test_the_complete_configuration_receives_flows_in_every_way_and_marks_them(lab, use, folder):
    listener = lab.a.call(lambda: socket.create_server(("::1", 5201), family=socket.AF_INET6))
    with use("everything") as daemon, Api.at(lab.a) as api:
        post(api, ("2001:db8::1", 2345), ("2001:db8::2", 1094), 2, 16)
        with open(folder / "np", "w") as pipe:
            pipe.write("start udp 2001:db8::1 2346 2001:db8::2 1094 3 14\n")
        # Both ends take a tag in turn: the listening end of one has to be established before the next connection begins.
        clients = [end for _ in range(3) for end in (lab.a.call(socket.create_connection, ("::1", 5201)), listener.accept()[0])]
        announcer = traffic.Announcer(lab.a)
        with traffic.udp_client(lab.a, lab.b, 5001) as sock:
            announcer.announce("start", sock, 5, 10, traffic.now())
            wait_for(lambda: daemon.cli("flows")["live"] == 6, "a flow of each plugin, and three of iperf3")
        tags = sorted((flow["experimentId"], flow["activityId"]) for flow in daemon.cli("flows")["flows"])
        assert tags == [(0, 0), (1, 1), (2, 2), (2, 16), (3, 14), (5, 10)]
        for client in clients[::2]:  # of which 0/0 is no tag to mark with
            client.sendall(b"x")
        wait_for(lambda: daemon.details("backend marker")["marked"] >= 2, "packets on lo to be marked")
        assert (folder / "pid").read_text().strip() == str(daemon.process.pid)
        for port in (8080, 8081):
            lab.a.call(socket.create_connection, ("127.0.0.1", port)).close()
        for client in clients:
            client.close()
        announcer.close()
    listener.close()


def states_by_port(collector, port):
    return sorted(one["flow-lifecycle"]["state"] for one in list(collector.fireflies) if port in
                  (one["flow-id"]["src-port"], one["flow-id"]["dst-port"]) and one["flow-lifecycle"]["state"] != "ongoing")


def test_the_receivers_of_a_perfsonar_host_get_each_test_and_relayed_firefly_once(lab, use):
    """`fireflyReceivers` without a firefly backend: flowd-go's page promises both."""
    tests, service = traffic.TcpServer(lab.b, 5201), traffic.TcpServer(lab.b, 1094)
    with Collector(lab.b) as collector, use("perfsonar-2.5") as daemon:
        added = [one for one in daemon.cli("status")["instances"] if one["instance"] == "backend firefly/receivers"]
        assert [one["impliedBy"] for one in added] == ["plugins.fireflyp.fireflyReceivers"]
        announcer = traffic.Announcer(lab.a)
        with traffic.tcp_client(lab.a, lab.b, 5201) as test, traffic.tcp_client(lab.a, lab.b, 1094) as transfer:
            test_port, transfer_port = test.getsockname()[1], transfer.getsockname()[1]
            announcer.announce("start", transfer, 3, 13, traffic.now())
            test.sendall(b"x" * 10000)
            transfer.sendall(b"x" * 10000)
            wait_for(lambda: states_by_port(collector, test_port), "the start of the test")
            announcer.announce("end", transfer, 3, 13, traffic.now(), sent=10000)
        wait_for(lambda: states_by_port(collector, test_port) == ["end", "start"], "the end of the test", 30)
        (end,) = [one for one in list(collector.fireflies)
                  if one["flow-id"]["src-port"] == test_port and one["flow-lifecycle"]["state"] == "end"]
        assert end["usage"]["sent"] >= 10000
        assert (end["context"]["experiment-id"], end["context"]["activity-id"]) == (2, 2)
        assert daemon.stop() == 0  # whatever would be doubled is out by then
        assert states_by_port(collector, transfer_port) == ["end", "start"]
        announcer.close()
    tests.close()
    service.close()
