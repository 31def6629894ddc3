# SPDX-License-Identifier: Apache-2.0
"""flowd-cpp verify: a healthy host has no finding; each fault alone is one finding, which names it."""
import contextlib
import itertools
import json
import os
import socket
import struct
import subprocess
import threading

import pytest

from tests.harness import traffic
from tests.harness.collector import Collector
from tests.harness.daemon import BINARY, Daemon
from tests.harness.dns import NameServer
from tests.harness.findings import without_clock
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
    answer["findings"] = without_clock(answer["findings"])
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


STRATEGIES = {"hopByHop": ["hopByHop"], "destination": ["destination"], "hopByHopDestination": ["hopByHop", "destination"],
              "dscp": ["dscp"], "label+dscp": ["label", "dscp"]}


def marker_by(strategy):
    return marker(f", markingStrategy: {strategy}, attach: clsact" + (", dscpMap: [{experiment: 3, dscp: 10}]" if "dscp" in strategy else ""))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_is_verified_by_what_it_writes(lab, strategy):
    with Daemon(marker_by(strategy), lab.a) as daemon, packets(lab):
        code, answer = verify(daemon, lab, "--seconds", "2")
        assert (code, answer["findings"]) == (0, []), answer
        for carrier in STRATEGIES[strategy]:
            seen = {row["protocol"]: row for row in rows(answer, "backend marker") if row["carrier"] == carrier}
            for protocol in ("tcp", "udp", "icmpv6"):
                one = seen[protocol]
                assert one["right"] + (one["controlMessage"] or 0) == one["seen"] > 5 and one["right"] > 5, seen
        with ThirdParty(lab.a, "clsact-ok", 1):
            wait_for(lambda: [one for one in daemon.cli("findings") if one["id"] == "marker-hook-hidden"], "the program to be noticed", 30)
            code, answer = verify(daemon, lab, "--seconds", "2")
            only_finding(code, answer, "marker-hook-hidden", "error", "eth0")
            assert all(row["unlabelled"] and not row["right"] for row in rows(answer, "backend marker")), answer


def test_the_dscp_of_ipv4_packets_is_verified_and_that_of_an_application_is_kept(lab):
    with Daemon(marker_by("dscp"), lab.a) as daemon, traffic.UdpServer(lab.b, 5203):
        pings = [lab.a.popen("ping", "-q", "-4", "-i", "0.1", *more, lab.b.address4, stdout=subprocess.DEVNULL) for more in ([], ["-Q", "184"])]
        try:
            code, answer = verify(daemon, lab, "--seconds", "2")
        finally:
            for ping in pings:
                ping.terminate()
                ping.wait()
        assert (code, answer["findings"]) == (0, []), answer
        row = next(row for row in rows(answer, "backend marker") if row["protocol"] == "icmp")
        assert row["carrier"] == "dscp" and row["right"] > 5 and row["keptExplicit"] > 5, row
        assert row["right"] + row["keptExplicit"] == row["seen"], row


def test_a_program_behind_the_marker_that_clears_labels(lab):
    with Daemon(marker(", attach: clsact"), lab.a) as daemon, packets(lab), ThirdParty(lab.a, "clsact-bleach", 40000):
        one = only_finding(*verify(daemon, lab, "--seconds", "2"), "marker-labels-wrong", "error", "eth0")
        assert "left without theirs" in one["found"] and "tc filter show dev eth0" in one["remedy"]


def test_packets_with_vlan_tags_in_the_frame(lab):
    """What a VLAN interface on a device without VLAN offload, or a virtual machine on a bridge, sends."""
    udp = struct.pack("!HHHH", 40000, 5300, 16, 0) + b"12345678"
    packet = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + socket.inet_pton(socket.AF_INET6, lab.a.address6) + \
        socket.inet_pton(socket.AF_INET6, lab.b.address6) + udp
    tags = [b"", struct.pack("!HH", 0x8100, 100), struct.pack("!HHHH", 0x88a8, 200, 0x8100, 0x6064), struct.pack("!HH", 0x8100, 1) * 3]
    sender = lab.a.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW)
    over = threading.Event()

    def send():
        while not over.wait(0.02):
            for tag in tags:
                sender.sendto(b"\x02" * 12 + tag + struct.pack("!H", 0x86dd) + packet, ("eth0", 0x8100 if tag else 0x86dd))

    with Daemon(marker(), lab.a) as daemon:
        thread = threading.Thread(target=send)
        thread.start()
        try:
            code, answer = verify(daemon, lab, "--seconds", "2")
        finally:
            over.set()
            thread.join()
            sender.close()
        assert (code, answer["findings"]) == (0, []), answer
        row = next(row for row in rows(answer, "backend marker") if row["protocol"] == "udp")
        assert row["right"] == row["seen"] > 60, "the frames with no, one and two tags; the marker does not look behind three"


def test_more_flows_than_are_judged_are_counted(lab):
    over = threading.Event()

    def spray():
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        for number in itertools.count():
            if over.is_set():
                return sock.close()
            with contextlib.suppress(OSError):
                sock.sendto(b"x", (lab.b.address6, 1024 + number % 60000))
            if number % 3000 == 2999:
                sock.close()
                sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)

    with Daemon(marker().replace("[eth0]}", "[eth0], flows: false}", 1), lab.a) as daemon:
        threads = [threading.Thread(target=lab.a.call, args=(spray,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for seconds in ("3", "10", "40"):  # until there are as many as need be
                code, answer = verify(daemon, lab, "--seconds", seconds)
                rest = [row for row in rows(answer, "backend marker") if row["protocol"] == "not judged"]
                if rest:
                    break
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert (code, answer["findings"]) == (0, []), answer
        assert rest[0]["notJudged"] == rest[0]["seen"] > 0
        assert sum(row["right"] for row in rows(answer, "backend marker")) >= 65536


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


def test_a_daemon_that_is_killed_while_it_looks(lab):
    with Daemon(marker(), lab.a) as daemon, packets(lab):
        command = [str(BINARY), "--conf", str(daemon.conf), "--control", str(daemon.control), "--json", "verify", "--seconds", "600"]
        looks = lab.a.popen(*command, stdout=subprocess.PIPE, text=True)
        wait_for(lambda: len(lab.a.run("cat", "/proc/net/packet").stdout.splitlines()) > 1, "verify to look", 30)
        daemon.process.kill()
        answer = json.loads(looks.communicate(timeout=60)[0])
        assert looks.returncode == 2
        assert [one["id"] for one in answer["findings"] if one["severity"] == "error"] == ["daemon-not-running"], answer


def test_a_user_who_may_not_ask_the_daemon_is_told_to_be_root(lab):
    with Daemon(marker(), lab.a) as daemon:
        done = lab.a.run("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", str(BINARY), "--conf", str(daemon.conf),
                         "--control", str(daemon.control), "--json", "verify", "--seconds", "1", check=False)
        findings = json.loads(done.stdout)["findings"]
        assert done.returncode == 2 and [one["id"] for one in findings] == ["daemon-not-verified"], done
        assert "not allowed" in findings[0]["found"] and "root" in findings[0]["remedy"]


def test_a_listener_whose_fireflies_do_not_become_flows(lab):
    configuration = firefly(lab.b.address6).replace("fireflyp: {}", "fireflyp: {bindAddress: 127.0.0.1}") + "flows: {maxLive: 1}\n"
    with Collector(lab.b), Daemon(configuration, lab.a) as daemon, traffic.UdpServer(lab.b, 1094), \
            traffic.udp_client(lab.a, lab.b, 1094) as sock:
        announcer = traffic.Announcer(lab.a)
        announcer.announce("start", sock, 2, 16, traffic.now())
        wait_for(lambda: daemon.cli("flows")["flows"], "the only flow that there is room for", 30)
        announcer.close()
        one = only_finding(*verify(daemon, lab), "fireflyp-test-lost", "error", "127.0.0.1:10514")
        assert "refusals" in one["remedy"]


@pytest.mark.parametrize("words", [["--seconds", "0"], ["--seconds", "-1"], ["--seconds", "3601"], ["--path", ""], ["--port", "1094"]])
def test_arguments_that_mean_nothing(lab, words):
    done = lab.a.run(str(BINARY), "verify", *words, check=False)
    assert done.returncode == 2 and words[0] in done.stderr and not done.stdout, done


def test_an_answer_that_cannot_be_written_is_a_failure(lab):
    with Daemon(marker(), lab.a) as daemon, packets(lab):
        done = lab.a.run("sh", "-c", f"{BINARY} --conf {daemon.conf} --control {daemon.control} verify --seconds 1 > /dev/full", check=False)
        assert done.returncode == 1 and "could not be written" in done.stderr, done


def test_its_screen(lab):
    with Daemon(marker(), lab.a) as daemon, packets(lab):
        done = lab.a.run(str(BINARY), "--conf", str(daemon.conf), "--control", str(daemon.control), "verify", "--seconds", "1", check=False)
        assert "backend marker\n" in done.stdout and "interface" in done.stdout and "udp" in done.stdout
        assert "findings" in done.stdout and len(done.stdout.splitlines()) <= 24, done.stdout
