# SPDX-License-Identifier: Apache-2.0
"""flowd-cpp verify: a healthy host has no finding; each fault alone is one finding, which names it."""
import contextlib
import json
import os
import subprocess
import threading

import pytest

from tests.harness import traffic
from tests.harness.collector import Collector
from tests.harness.daemon import BINARY, Daemon
from tests.harness.dns import NameServer
from tests.harness.hooks import ThirdParty
from tests.harness.lab import wait_for

RUNS = 20 if os.environ.get("FLOWD_LONG") else 3


def marker(options=""):
    return ("plugins:\n  perfsonar: {experimentId: 3, activityId: 2, interfaces: [eth0]}\n"
            f"backends:\n  marker: {{targetInterfaces: [eth0]{options}}}\n")


def firefly(collector):
    return ("plugins:\n  fireflyp: {}\nbackends:\n  firefly: {sendToDestination: false, resolveInterval: 1s,"
            f" collectors: [{{address: \"{collector}\"}}]}}\n")


@contextlib.contextmanager
def packets(lab):
    """TCP, UDP and ICMPv6 from a to b, all the time."""
    server, over = traffic.TcpServer(lab.b, 5201), threading.Event()
    with traffic.UdpServer(lab.b, 5202), traffic.tcp_client(lab.a, lab.b, 5201) as stream, \
            traffic.udp_client(lab.a, lab.b, 5202) as datagrams:
        def send():
            while not over.wait(0.02):
                stream.sendall(b"x" * 1000)
                datagrams.send(b"x" * 1000)

        thread = threading.Thread(target=send)
        thread.start()
        ping = lab.a.popen("ping", "-q", "-i", "0.1", lab.b.address6, stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            over.set()
            thread.join()
            ping.terminate()
            ping.wait()
    server.close()


def verify(daemon, lab, *words):
    """(exit code, answer) of `flowd-cpp verify` on host a. The clock of this machine is as it is: that note does not count."""
    done = lab.a.run(str(BINARY), "--conf", str(daemon.conf), "--control", str(daemon.control), "--json", "verify", *words, check=False)
    assert done.returncode in (0, 1, 2), done.stderr
    answer = json.loads(done.stdout)
    answer["findings"] = [one for one in answer["findings"] if one["id"] != "daemon-clock-not-synchronised"]
    return done.returncode, answer


def rows(answer, instance):
    return next(one["rows"] for one in answer["instances"] if one["instance"] == instance)


def only_finding(code, answer, identity, severity, subject=None):
    """The only one of its severity, with what is needed to act on it; none is more severe."""
    ranks = ["note", "warning", "error"]
    severe = [one for one in answer["findings"] if ranks.index(one["severity"]) >= ranks.index(severity)]
    assert [one["id"] for one in severe] == [identity], answer
    one = severe[0]
    assert one["found"] and one["expected"] and one["remedy"], one
    assert subject is None or one["subject"] == subject, one
    assert code == {"error": 2, "warning": 1}[severity]
    return one


def test_a_healthy_host_has_no_finding(lab):
    with Daemon(marker(), lab.a) as daemon, packets(lab):
        for _ in range(RUNS):
            code, answer = verify(daemon, lab, "--seconds", "2")
            assert (code, answer["findings"]) == (0, []), answer
            seen = {row["protocol"]: row for row in rows(answer, "backend marker")}
            for protocol in ("tcp", "udp", "icmpv6"):
                assert seen[protocol]["right"] == seen[protocol]["seen"] > 5, seen


def test_flows_that_start_change_and_end_while_it_looks(lab):
    configuration = marker().replace("plugins:\n", "plugins:\n  fireflyp: {}\n")
    over = threading.Event()
    with Daemon(configuration, lab.a) as daemon, packets(lab), traffic.UdpServer(lab.b, 1094):
        def announce():
            announcer = traffic.Announcer(lab.a)
            while not over.is_set():
                with traffic.udp_client(lab.a, lab.b, 1094) as sock:
                    started = traffic.now()
                    for state, activity in (("start", 16), ("ongoing", 14), ("end", 14)):
                        announcer.announce(state, sock, 2, activity, started)
                        for _ in range(20):
                            sock.send(b"x")
                            over.wait(0.01)
            announcer.close()

        thread = threading.Thread(target=announce)
        thread.start()
        try:
            code, answer = verify(daemon, lab, "--seconds", "3")
        finally:
            over.set()
            thread.join()
        assert (code, answer["findings"]) == (0, []), answer


@pytest.mark.parametrize("how", ["tcx-first-ok", "clsact-ok"])
def test_a_program_in_front_that_hides_the_packets(lab, how):
    # A clsact program runs behind all TCX programs, so it can only hide packets from a marker on clsact.
    with Daemon(marker(", attach: clsact" if how == "clsact-ok" else ""), lab.a) as daemon, packets(lab):
        with ThirdParty(lab.a, how, 1):
            wait_for(lambda: [one for one in daemon.cli("findings") if one["id"].endswith("hook-hidden")], "the program to be noticed", 30)
            code, answer = verify(daemon, lab, "--seconds", "2")
            assert "third_party" in only_finding(code, answer, "marker-hook-hidden", "error", "eth0")["found"]
            assert all(row["unlabelled"] for row in rows(answer, "backend marker"))


def test_a_hook_that_was_deleted(lab):
    with Daemon(marker(", attach: clsact"), lab.a) as daemon, packets(lab):
        # ingress and clsact exclude each other
        lab.a.run("sh", "-c", "tc qdisc del dev eth0 clsact; tc qdisc add dev eth0 ingress")
        wait_for(lambda: [one for one in daemon.cli("findings") if one["id"] == "marker-hook-removed"], "the loss to be noticed", 30)
        code, answer = verify(daemon, lab, "--seconds", "2")
        assert "left without" in only_finding(code, answer, "marker-hook-removed", "error", "eth0")["found"]


def test_no_traffic_and_packets_of_its_own(lab):
    with Daemon(marker(), lab.a) as daemon:
        # The kernel's own packets of a new interface (MLD, router solicitations) are traffic, too.
        answer = wait_for(lambda: (found := verify(daemon, lab, "--seconds", "1"))[0] != 0 and found, "an interface without traffic", 120)
        only_finding(*answer, "marker-no-traffic", "warning", "eth0")
        code, answer = verify(daemon, lab, "--seconds", "2", "--probe")
        assert (code, answer["findings"]) == (0, []), answer
        assert rows(answer, "backend marker")[0]["right"] > 0


def test_an_interface_without_ipv6(lab):
    lab.a.run("sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1")
    with Daemon(marker(), lab.a) as daemon:
        only_finding(*verify(daemon, lab, "--seconds", "1", "--probe"), "marker-no-ipv6", "error", "eth0")


def test_a_configuration_that_was_edited_and_not_loaded(lab):
    with Daemon(marker(), lab.a) as daemon, packets(lab):
        daemon.conf.write_text(daemon.conf.read_text() + "stopTimeout: 7s\n")
        only_finding(*verify(daemon, lab, "--seconds", "1"), "daemon-configuration-changed", "error", str(daemon.conf))


def test_a_test_firefly_passes_listener_bus_and_backend(lab):
    with Collector(lab.b) as collector, Daemon(firefly(lab.b.address6), lab.a) as daemon:
        code, answer = verify(daemon, lab)
        assert (code, answer["findings"]) == (0, []), answer
        assert rows(answer, "backend firefly")[0]["state"] == "sent, no refusal"
        assert rows(answer, "backend firefly")[0]["pathPayload"] == 1500 - 48
        steps = [row for row in rows(answer, "plugin fireflyp") if row["firefly"] == "[::1]:10514"]
        assert ("listener, bus", "the flow is known") == (steps[0]["step"], steps[0]["state"])
        assert [row["state"] for row in steps if row["subject"] == f"[{lab.b.address6}]:10514"] == ["sent"], steps
        collector.wait_for_count(6)  # a start and an end: of the tool, and of the tests of both loopbacks
    with Daemon(firefly(lab.b.address6).replace("fireflyp: {}", "fireflyp: {bindAddress: \"::\", allow: [\"fd5c::/16\"]}"), lab.a) as daemon, \
            Collector(lab.b):
        code, answer = verify(daemon, lab)
        assert (code, answer["findings"]) == (0, []), answer
        assert "`allow` does not contain" in rows(answer, "plugin fireflyp")[0]["state"]


def test_a_collector_that_refuses(lab):
    with Daemon(firefly(lab.b.address6), lab.a) as daemon:
        only_finding(*verify(daemon, lab), "firefly-collector-unreachable", "error", f"[{lab.b.address6}]:10514")


def test_a_collector_without_a_route(lab):
    with Daemon(firefly("2001:db8::1"), lab.a) as daemon:
        only_finding(*verify(daemon, lab), "firefly-collector-unroutable", "error", "[2001:db8::1]:10514")


def test_a_collector_whose_name_has_no_address(lab):
    with NameServer(lab.a, None), Daemon(firefly("collector.flowd.test"), lab.a) as daemon:
        only_finding(*verify(daemon, lab), "firefly-collector-unresolved", "error", "collector.flowd.test:10514")


def test_no_daemon(lab):
    daemon = Daemon(marker(), lab.a)
    with daemon:
        assert daemon.stop() == 0
        one = only_finding(*verify(daemon, lab, "--seconds", "1"), "daemon-not-running", "error")
        assert str(daemon.control) in one["found"]


def test_its_screen(lab):
    with Daemon(marker(), lab.a) as daemon, packets(lab):
        done = lab.a.run(str(BINARY), "--conf", str(daemon.conf), "--control", str(daemon.control), "verify", "--seconds", "1", check=False)
        assert "backend marker\n" in done.stdout and "interface" in done.stdout and "udp" in done.stdout
        assert "findings" in done.stdout and len(done.stdout.splitlines()) <= 24, done.stdout
