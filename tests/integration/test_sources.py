# SPDX-License-Identifier: Apache-2.0
"""Fireflies in and out of the real daemon: collectors by name, relays, tools, the records of a syslog file."""
import json
import pathlib
import signal
import socket
import subprocess
import time

import pytest

from tests.harness.collector import Collector
from tests.harness.daemon import BINARY, ROOT, Daemon
from tests.harness.dns import NameServer
from tests.harness.lab import wait_for

NAME = "collector.flowd.test"
STORAGE_LOG = ROOT / "tests" / "data" / "samples" / "storage-log.txt"


def status(daemon, instance):
    return daemon.cli("status")["details"][instance]["status"]


def firefly(state, number):
    times = '"start-time":"2026-11-23T10:00:00Z","current-time":"2026-11-23T10:00:01Z"'
    if state == "end":
        times += ',"end-time":"2026-11-23T10:00:01Z"'
    return (f'<134>1 2026-11-23T10:00:01Z se test - firefly-json - {{"version":1,"flow-lifecycle":{{"state":"{state}",{times}}},'
            f'"context":{{"experiment-id":2,"activity-id":16}},"flow-id":{{"afi":"ipv6","src-ip":"2001:db8::a","dst-ip":"2001:db8::b",'
            f'"protocol":"tcp","src-port":{number},"dst-port":1094}}}}').encode()


class Sender:
    """Tells fireflyp of a host about flows."""

    def __init__(self, host):
        self.socket = host.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
        self.number = 1000

    def tell(self, state="start", number=None):
        self.number += 1 if number is None else 0
        self.socket.sendto(firefly(state, number or self.number), ("127.0.0.1", 10514))
        return number or self.number


class Sink:
    """What arrives at one address of a host."""

    def __init__(self, host, address):
        self.socket = host.call(self._bind, address)

    @staticmethod
    def _bind(address):
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.bind((address, 10514))
        sock.setblocking(False)
        return sock

    def take(self):
        found = []
        while True:
            try:
                found.append(self.socket.recv(65536))
            except BlockingIOError:
                return found

    def hears_of(self, sender, what, seconds=15.0):
        """New flows are told until one of them arrives here."""
        self.take()
        wait_for(lambda: sender.tell() and (time.sleep(0.05) or self.take()), what, seconds)


BY_NAME = f"""\
plugins:
  fireflyp: {{}}
backends:
  firefly:
    sendToDestination: false
    resolveInterval: 1s
    collectors: [{{address: {NAME}}}]
"""


def test_a_collector_follows_changes_of_its_name(lab):
    first, second = lab.b.address6, lab.b.address6 + "2"
    lab.b.run("ip", "addr", "add", f"{second}/64", "dev", "eth0", "nodad")
    sender = Sender(lab.a)
    with NameServer(lab.a, first) as server, Daemon(BY_NAME, lab.a) as daemon:
        one, other = Sink(lab.b, first), Sink(lab.b, second)
        one.hears_of(sender, "the first address")
        server.address = second
        other.hears_of(sender, "the second address")

        server.address = None  # SERVFAIL
        wait_for(lambda: NAME in status(daemon, "backend firefly")["collectors"][0]["lastError"], "the failure in status")
        other.hears_of(sender, "the last address known, while the resolver fails", 1.0)

        server.silent = True
        server.wait_for_query()
        other.hears_of(sender, "the last address known, while the resolver hangs", 1.0)

        server.silent, server.address = False, first
        one.hears_of(sender, "the first address again, when the resolver returns", 30.0)
        wait_for(lambda: status(daemon, "backend firefly")["collectors"][0]["lastError"] == "", "the failure to be over")
        assert daemon.stop() == 0


def test_a_hanging_resolver_delays_neither_start_nor_stop(lab):
    """case C21: a resolver that never answers."""
    with NameServer(lab.a, None, timeout=30) as server:
        server.silent = True
        with Daemon(BY_NAME, lab.a) as daemon:
            Sender(lab.a).tell()
            wait_for(lambda: server.queries > 0, "the query")
            wait_for(lambda: status(daemon, "backend firefly")["collectors"][0]["waiting"] == 1, "the firefly to wait for its name")
            begin = time.monotonic()
            assert daemon.stop() == 10, "something was lost"
            assert time.monotonic() - begin < 20, "it did not wait for the resolver's 30 s"
            assert "2 fireflies for " + NAME in daemon.log, "the start, and the end that comes with the stop"


def test_a_collector_that_is_reachable_again_receives_queued_fireflies(lab):
    """case C20: its port was closed."""
    sender = Sender(lab.a)
    configuration = BY_NAME.replace(NAME, f'"{lab.b.address6}"')
    with Daemon(configuration, lab.a) as daemon:
        collector = lambda: status(daemon, "backend firefly")["collectors"][0]  # noqa: E731
        wait_for(lambda: sender.tell() and collector()["state"] == "refused", "the refusal to be known")
        told = [sender.tell() for _ in range(50)]
        sink = Sink(lab.b, lab.b.address6)
        arrived = []
        wait_for(lambda: arrived.extend(sink.take()) or len(arrived) >= len(told), "what waited", 30)
        ports = [json.loads(text[text.index(b"{"):])["flow-id"]["src-port"] for text in arrived]
        assert ports[-len(told):] == told
        wait_for(lambda: collector()["state"] == "sending", "the collector to be in use again")


def test_a_relay_and_the_backend_send_each_event_to_a_collector_once(lab):
    configuration = f"""\
plugins:
  fireflyp:
    fireflyReceivers: [{{address: "{lab.b.address6}"}}]
backends:
  firefly:
    sendToDestination: false
    collectors: [{{address: "{lab.b.address6}"}}, {{address: "{lab.b.address6}", port: 10515}}]
"""
    pairs = 500
    with Collector(lab.b) as both, Collector(lab.b, 10515) as backend_only, Daemon(configuration, lab.a) as daemon:
        sender = Sender(lab.a)
        for number in range(1, pairs + 1):
            sender.tell("start", number)
            sender.tell("end", number)
        both.wait_for_count(2 * pairs)
        backend_only.wait_for_count(2 * pairs)
        assert status(daemon, "backend firefly")["skipped"] == {"relayed": 2 * pairs}
        assert daemon.stop() == 0
        assert len(both.fireflies) == len(backend_only.fireflies) == 2 * pairs
        assert all("application" not in one["context"] for one in both.fireflies), "these are the original ones"
        assert all("application" in one["context"] for one in backend_only.fireflies)


def test_a_reload_repeats_no_relayed_start(lab):
    def configuration(instance):
        return f"""\
plugins:
  fireflyp:
    fireflyReceivers: [{{address: "{lab.b.address6}"}}]
backends:
  {instance}:
    sendToDestination: false
    collectors: [{{address: "{lab.b.address6}"}}, {{address: "{lab.b.address6}", port: 10515}}]
"""
    flows = 100
    with Collector(lab.b) as both, Collector(lab.b, 10515) as backend_only, Daemon(configuration("firefly"), lab.a) as daemon:
        sender = Sender(lab.a)
        for number in range(1, flows + 1):
            sender.tell("start", number)
        both.wait_for_count(flows)
        backend_only.wait_for_count(flows)
        daemon.reload(configuration("firefly/other"))  # another backend, which is told all live flows
        backend_only.wait_for_count(2 * flows)
        for number in range(1, flows + 1):
            sender.tell("end", number)
        both.wait_for_count(2 * flows)
        backend_only.wait_for_count(3 * flows)
        wait_for(lambda: daemon.details("backend firefly/other")["skipped"] == {"relayed": 2 * flows}, "every repetition to be left out")
        assert daemon.stop() == 0
        states = [one["flow-lifecycle"]["state"] for one in both.fireflies]
        assert (states.count("start"), states.count("end")) == (flows, flows)


def test_a_firefly_fits_the_path_to_its_collector(lab):
    lab.a.run("ip", "link", "set", "eth0", "mtu", "1300")
    block = ',"vendor":"' + "x" * 900 + '"}'
    with Collector(lab.b) as narrow, Collector(lab.a, 10516) as wide:
        configuration = BY_NAME.replace(f"[{{address: {NAME}}}]", f'[{{address: "{lab.b.address6}"}}, {{address: "::1", port: 10516}}]')
        with Daemon(configuration, lab.a) as daemon:
            sender = Sender(lab.a)
            sender.socket.sendto(firefly("start", 7)[:-1] + block.encode(), ("127.0.0.1", 10514))
            narrow.wait_for_count(1)
            wide.wait_for_count(1)
            assert status(daemon, "backend firefly")["blocksLeftOut"] == 1
        assert "vendor" in wide.fireflies[0] and "vendor" not in narrow.fireflies[0]


def link_local(host):
    return next(line.split()[3].split("/")[0] for line in host.run("ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link")
                .stdout.splitlines())


@pytest.mark.parametrize("zone", ["name", "number"])
def test_a_collector_on_the_same_link_is_reached_through_its_interface(lab, zone):
    """case C25: the zone by name and by number."""
    index = lab.a.run("cat", "/sys/class/net/eth0/ifindex").stdout.strip()
    address = f"{link_local(lab.b)}%{'eth0' if zone == 'name' else index}"
    configuration = f"""\
plugins:
  fireflyp:
    fireflyReceivers: [{{address: "{address}", port: 10515}}]
backends:
  firefly: {{sendToDestination: false, collectors: [{{address: "{address}"}}]}}
"""
    with Collector(lab.b) as printed, Collector(lab.b, 10515) as original, Daemon(configuration, lab.a) as daemon:
        Sender(lab.a).tell()
        printed.wait_for_count(1)
        original.wait_for_count(1)
        assert status(daemon, "backend firefly")["collectors"][0]["target"] == f"[{address}]:10514"
        assert daemon.stop() == 0


def test_a_collector_on_a_late_or_recreated_link_receives_queued_fireflies(lab):
    """case C25: the interface comes later."""
    def create():
        lab.a.run("ip", "link", "add", "late0", "type", "veth", "peer", "name", "late1", "netns", lab.b.name)
        for host, name in ((lab.a, "late0"), (lab.b, "late1")):
            host.run("sysctl", "-qw", f"net.ipv6.conf.{name}.accept_dad=0")
            host.run("ip", "link", "set", name, "up")
        lab.b.run("ip", "addr", "add", "fe80::77/64", "dev", "late1", "nodad")
        lab.a.run("ip", "addr", "add", "fe80::66/64", "dev", "late0", "nodad")

    configuration = BY_NAME.replace(NAME, '"fe80::77%late0"')
    with Collector(lab.b) as collector, Daemon(configuration, lab.a) as daemon:
        sender = Sender(lab.a)
        sender.tell()
        shown = lambda: status(daemon, "backend firefly")["collectors"][0]  # noqa: E731
        wait_for(lambda: shown()["waiting"] == 1, "the firefly to wait")
        assert shown()["lastError"] == "there is no interface 'late0'"
        create()
        collector.wait_for_count(1, 30)
        lab.a.run("ip", "link", "del", "late0")
        wait_for(lambda: sender.tell() and time.sleep(0.05) is None and shown()["state"] != "sending", "the loss to be seen", 30)
        create()
        heard = len(collector.fireflies)
        collector.wait_for_count(heard + 1, 70)


@pytest.mark.parametrize("route", ["blackhole", "unreachable", "prohibit"])
def test_a_collector_behind_a_blackhole_route_is_not_reported_as_sending(lab, route):
    """case C20: its route is gone, then restored."""
    with Daemon(BY_NAME.replace(NAME, f'"{lab.b.address6}"'), lab.a) as daemon:
        sender = Sender(lab.a)
        collector = lambda: status(daemon, "backend firefly")["collectors"][0]  # noqa: E731
        lab.a.run("ip", "-6", "route", "add", route, f"{lab.b.address6}/128", "metric", "1")
        wait_for(lambda: sender.tell() and time.sleep(0.05) is None and collector()["state"] == "refused", "the refusal to be known")
        seen = collector()
        assert seen["lastError"] and seen["failed"] == 0, seen
        lab.a.run("ip", "-6", "route", "del", route, f"{lab.b.address6}/128", "metric", "1")
        with Collector(lab.b) as there:
            there.wait_for_count(1, 70)


def test_fireflies_are_received_at_both_loopback_addresses(lab):
    """case C23: by default."""
    with Daemon("plugins:\n  fireflyp: {}\n", lab.a) as daemon:
        for number, (family, address) in enumerate(((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")), 1):
            lab.a.call(socket.socket, family, socket.SOCK_DGRAM).sendto(firefly("start", number), (address, 10514))
        wait_for(lambda: status(daemon, "plugin fireflyp")["announced"]["start"] == 2, "both")
        assert daemon.stop() == 0


def test_without_ipv6_the_ipv4_loopback_is_sufficient(lab):
    lab.a.run("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=1")
    with Daemon("plugins:\n  fireflyp: {}\n", lab.a) as daemon:
        lab.a.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM).sendto(firefly("start", 1), ("127.0.0.1", 10514))
        wait_for(lambda: status(daemon, "plugin fireflyp")["announced"]["start"] == 1, "it to be announced")
        assert [one["address"] for one in status(daemon, "plugin fireflyp")["binds"]] == ["127.0.0.1:10514"]


def test_datagrams_in_the_socket_at_the_stop_are_announced(lab):
    flows = 2500
    with Collector(lab.b) as collector, Daemon(BY_NAME.replace(NAME, f'"{lab.b.address6}"'), lab.a) as daemon:
        daemon.process.send_signal(signal.SIGSTOP)
        sender = Sender(lab.a)
        for number in range(1, flows + 1):
            sender.tell("start", number)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.send_signal(signal.SIGCONT)
        assert daemon.process.wait(20) == 0, daemon.log
        collector.wait_for_count(2 * flows)
        states = [one["flow-lifecycle"]["state"] for one in collector.fireflies]
        assert (states.count("start"), states.count("end")) == (flows, flows), "each with the end that comes with the stop"


def test_malformed_datagrams_are_logged_with_an_example(lab):
    with Daemon("plugins:\n  fireflyp: {}\n", lab.a) as daemon:
        sock = lab.a.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(2000):
            sock.sendto(b"\x1b[2J garbage", ("127.0.0.1", 10514))
        wait_for(lambda: status(daemon, "plugin fireflyp")["refused"] > 0, "them to be refused")
        port = sock.getsockname()[1]
        shown = daemon.cli("refusals")[-1]
        assert (shown["reason"], shown["sender"], shown["firstBytes"]) == (
            "no_json", f"127.0.0.1:{port}", "\\x1b[2J garbage")
        wait_for(lambda: "no_json" in daemon.log, "the line in the log")
        assert f"127.0.0.1:{port}" in daemon.log and "\x1b" not in daemon.log
        assert daemon.log.count("no_json") == 1


@pytest.mark.parametrize("application, reason", [
    (b'a","experiment-id":9,"x":"', "repeated_member"), (b'a"b', "bad_json"), (b"a\xe9b", "bad_json"), (b"a\\u001b[2Jb", None)])
def test_an_application_name_cannot_inject_members(lab, application, reason):
    """case C10: an emitter prints the name without escaping it; the refused datagram is shown with its sender."""
    with Collector(lab.b) as collector, Daemon(
            f'plugins: {{fireflyp: {{}}}}\nbackends: {{firefly: {{sendToDestination: false, collectors: [{{address: "{lab.b.address6}"}}]}}}}\n',
            lab.a) as daemon:
        sock = lab.a.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
        datagram = firefly("start", 1001).replace(b'"activity-id":16', b'"activity-id":16,"application":"' + application + b'"')
        sock.sendto(datagram, ("127.0.0.1", 10514))
        sock.sendto(firefly("start", 1002), ("127.0.0.1", 10514))
        collector.wait_for_count(1 if reason else 2)
        assert {one["context"]["experiment-id"] for one in collector.fireflies} == {2}
        flows = daemon.cli("flows")["flows"]
        assert {flow["experimentId"] for flow in flows} == {2} and len(flows) == (1 if reason else 2)
        shown = subprocess.run([str(BINARY), "--control", str(daemon.control), "flows", "--wide"], capture_output=True, timeout=60).stdout
        assert b"\x1b" not in shown
        refused = [(one["reason"], one["sender"], one["firstBytes"][:8]) for one in daemon.cli("refusals")]
        assert refused == ([(reason, f"127.0.0.1:{sock.getsockname()[1]}", "<134>1 2")] if reason else [])
        counts = status(daemon, "plugin fireflyp")
        assert counts["refused"] == (1 if reason else 0), counts


def test_a_renamed_backend_sends_no_start_twice(lab):
    def configuration(instance):
        return BY_NAME.replace(NAME, f'"{lab.b.address6}"').replace("firefly:", instance + ":")
    flows = 500
    with Collector(lab.b) as collector, Daemon(configuration("firefly"), lab.a) as daemon:
        sender = Sender(lab.a)
        for number in range(1, flows + 1):
            sender.tell("start", number)
        collector.wait_for_count(flows)
        daemon.reload(configuration("firefly/renamed"))
        wait_for(lambda: "backend firefly/renamed" in daemon.cli("status")["details"], "the new name")
        for number in range(1, flows + 1):
            sender.tell("end", number)
        wait_for(lambda: sum(one["flow-lifecycle"]["state"] == "end" for one in collector.fireflies) == flows, "every end", 20)
        states = [one["flow-lifecycle"]["state"] for one in collector.fireflies]
        assert states.count("start") == flows


def test_send_and_listen_test_the_path_to_a_collector(lab):
    listen = lab.b.popen(str(BINARY), "--json", "firefly", "listen", "--count", "2", "--seconds", "20", stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    wait_for(lambda: "10514" in lab.b.run("ss", "-Hlun").stdout, "somebody to listen")
    sent = lab.a.run(str(BINARY), "--json", "firefly", "send", "--to", lab.b.address6, "--wait", "1")
    assert "no refusal" in sent.stdout
    out, _ = listen.communicate(timeout=30)
    assert listen.returncode == 0
    heard = [json.loads(line) for line in out.splitlines()]
    assert [one["state"] for one in heard] == ["start", "end"]
    assert all(one["understood"] and one["fullHeader"] for one in heard)
    assert all(one["source"].startswith(f"[{lab.a.address6}]:") for one in heard)
    refused = lab.a.run(str(BINARY), "firefly", "send", "--to", lab.b.address6, check=False)
    assert refused.returncode != 0 and "refused" in refused.stdout + refused.stderr


def test_records_in_a_syslog_file_are_parsed(lab):
    """All but the line of statistics that the syslog server wrote itself."""
    with Daemon(BY_NAME.replace(NAME, f'"{lab.b.address6}"').replace("fireflyp: {}", "fireflyp: {receiveBuffer: 64 MiB}"), lab.a) as daemon:
        with Collector(lab.b) as collector:
            sender = Sender(lab.a)
            records = [b"<134>" + line.encode() for line in STORAGE_LOG.read_text().splitlines()]
            for record in records:
                sender.socket.sendto(record, ("127.0.0.1", 10514))
            source = lambda: status(daemon, "plugin fireflyp")  # noqa: E731
            wait_for(lambda: source()["received"] == len(records), "all of them to be read", 30)
            seen = source()
            assert seen["refused"] == 1 and seen["kernelDrops"] == 0, seen
            assert sum(seen["announced"].values()) + seen["notTaken"] == len(records) - 1, seen
            edge = next(one for one in daemon.cli("status")["queues"] if one["backend"] == "firefly")
            collector.wait_for_count(edge["start"] + edge["end"])
            assert not collector.refused
