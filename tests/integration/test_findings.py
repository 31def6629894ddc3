# SPDX-License-Identifier: Apache-2.0
"""Each finding of a module: brought about, seen with what is needed to act on it, and gone when its cause is."""
import contextlib

import pytest

from tests.harness import traffic
from tests.harness.collector import Collector
from tests.harness.daemon import Daemon
from tests.harness.dns import NameServer
from tests.harness.findings import by_subject
from tests.harness.hooks import ThirdParty
from tests.harness.lab import wait_for


def marker(options):
    return ("plugins:\n  perfsonar: {experimentId: 3, activityId: 2, flows: false}\n"
            f"backends:\n  marker: {{{options}}}\n")


def firefly(collector):
    return ("plugins:\n  fireflyp: {}\n"
            f"backends:\n  firefly: {{sendToDestination: false, resolveInterval: 1s, collectors: [{{address: \"{collector}\"}}]}}\n")


def findings(daemon):
    return by_subject(daemon.cli("findings"))


def appears(daemon, identity, subject, severity):
    """The finding, once it is there; asked again, it has the same time."""
    one = wait_for(lambda: findings(daemon).get((identity, subject)), f"the finding {identity} of {subject!r}", 30)
    assert one["severity"] == severity
    assert one["found"] and one["expected"] and one["remedy"] and one["since"], one
    assert findings(daemon)[identity, subject]["since"] == one["since"]
    return one


def disappears(daemon, identity, seconds=30):
    wait_for(lambda: identity not in [name for name, _ in findings(daemon)], f"the finding {identity} to go", seconds)


def test_a_removed_marker_hook_that_cannot_be_attached_is_a_finding(lab):
    with Daemon(marker("targetInterfaces: [eth0], attach: clsact"), lab.a) as daemon:
        assert findings(daemon) == {}, "a healthy host has none"
        # ingress and clsact exclude each other
        lab.a.run("sh", "-c", "tc qdisc del dev eth0 clsact; tc qdisc add dev eth0 ingress")
        one = appears(daemon, "marker-hook-removed", "eth0", "error")
        assert one["instance"] == "backend marker"
        lab.a.run("tc", "qdisc", "del", "dev", "eth0", "ingress")
        disappears(daemon, "marker-hook-removed")
        assert findings(daemon) == {}


def test_a_program_before_the_marker_is_a_finding(lab):
    with ThirdParty(lab.a, "clsact", 1), Daemon(marker("targetInterfaces: [eth0], attach: clsact"), lab.a) as daemon:
        assert "priority 1" in appears(daemon, "marker-hook-hidden", "eth0", "warning")["found"]
        lab.a.run("tc", "filter", "del", "dev", "eth0", "egress", "pref", "1")
        disappears(daemon, "marker-hook-hidden")
        assert findings(daemon) == {}


def test_no_interface_to_mark_is_a_finding(lab):
    with Daemon(marker("targetInterfaces: [bridge7], waitForInterfaces: true"), lab.a) as daemon:
        assert "bridge7" in appears(daemon, "marker-no-interface", "", "warning")["found"]
        appears(daemon, "marker-interface-missing", "bridge7", "warning")
        lab.a.run("ip", "link", "add", "bridge7", "type", "bridge")
        disappears(daemon, "marker-no-interface")
        assert findings(daemon) == {}


@contextlib.contextmanager
def announced_flow(lab):
    announcer = traffic.Announcer(lab.a)
    with traffic.udp_client(lab.a, lab.b, 1094) as sock:
        yield lambda: announcer.announce("ongoing", sock, 2, 16, traffic.now())
    announcer.close()


def test_a_collector_without_listener_is_a_finding(lab):
    target = f"[{lab.b.address6}]:10514"
    with Daemon(firefly(lab.b.address6), lab.a) as daemon, announced_flow(lab) as announce:
        wait_for(lambda: announce() or findings(daemon), "the refusal to be known")
        one = appears(daemon, "firefly-collector-unreachable", target, "warning")
        assert one["instance"] == "backend firefly"
        with Collector(lab.b) as collector:
            disappears(daemon, "firefly-collector-unreachable", 90)
            collector.wait_for_count(1)
        assert findings(daemon) == {}


def test_a_collector_whose_name_does_not_resolve_is_a_finding(lab):
    name = "collector.flowd.test"
    with NameServer(lab.a, None) as server, Daemon(firefly(name), lab.a) as daemon:
        appears(daemon, "firefly-collector-unresolved", f"{name}:10514", "warning")
        server.address = lab.b.address6
        disappears(daemon, "firefly-collector-unresolved", 90)


@pytest.mark.parametrize("source", ["status", "metrics"])
def test_findings_are_in_status_and_metrics_too(lab, source):
    with Daemon(marker("targetInterfaces: [bridge7], waitForInterfaces: true"), lab.a) as daemon:
        appears(daemon, "marker-no-interface", "", "warning")
        if source == "status":
            assert "marker-no-interface" in [one["id"] for one in daemon.cli("status")["findings"]]
        else:
            assert "marker-no-interface" in [one["labels"].get("id") for one in daemon.cli("metrics") if one["name"] == "findings"]


def test_a_configuration_edited_but_not_loaded_is_a_finding(lab):
    with Daemon("plugins: {api: {}}\nbackends: {metrics: {}}\n", lab.a) as daemon:
        assert findings(daemon) == {}
        text = daemon.conf.read_text()
        daemon.conf.write_text(text + "stopTimeout: 7s\n")
        assert appears(daemon, "daemon-configuration-changed", str(daemon.conf), "warning")["instance"] == "daemon"
        daemon.conf.write_text(text)
        assert findings(daemon) == {}, "what is on disk is what runs"
        drop_in = daemon.directory / "conf.d" / "more.yaml"
        drop_in.parent.mkdir()
        drop_in.write_text("stopTimeout: 7s\n")
        appears(daemon, "daemon-configuration-changed", str(drop_in), "warning")
        daemon.reload(text)
        assert findings(daemon) == {}


def test_a_failed_optional_instance_is_a_finding(lab):
    with traffic.UdpServer(lab.a, 10514), Daemon(
            f"plugins:\n  api: {{}}\n  fireflyp: {{bindAddress: \"{lab.a.address6}\", allow: [\"::/0\"], required: false}}\n"
            "backends: {metrics: {}}\n", lab.a) as daemon:
        one = appears(daemon, "daemon-instance-failed", "plugin fireflyp", "warning")
        assert one["instance"] == "plugin fireflyp"
        assert "10514" in one["found"]


def test_a_reached_flow_limit_is_a_finding(lab):
    with Daemon("flows: {maxLive: 1}\nplugins: {fireflyp: {}}\nbackends: {metrics: {}}\n", lab.a) as daemon:
        announcer = traffic.Announcer(lab.a)
        with traffic.udp_client(lab.a, lab.b, 1094) as one, traffic.udp_client(lab.a, lab.b, 1095) as two:
            for sock in (one, two):
                announcer.announce("start", sock, 2, 16, traffic.now())
            assert "flows.max" in appears(daemon, "daemon-flow-limit-reached", "plugin fireflyp", "warning")["found"]
        announcer.close()


def perfsonar(options, marked="eth0"):
    return (f"plugins:\n  perfsonar: {{experimentId: 3, activityId: 2, {options}}}\n"
            f"backends:\n  marker: {{targetInterfaces: [{marked}]}}\n")


def test_a_marked_interface_that_is_not_metered_is_a_finding(lab):
    lab.a.run("ip", "link", "add", "eth7", "type", "veth", "peer", "name", "peer7")
    lab.a.run("ip", "link", "set", "eth7", "up")
    with Daemon(perfsonar("interfaces: [eth0]", "eth0, eth7"), lab.a) as daemon:
        assert appears(daemon, "perfsonar-not-metered", "eth7", "warning")["instance"] == "plugin perfsonar"
        assert [subject for _, subject in findings(daemon)] == ["eth7"]
        daemon.reload(perfsonar("interfaces: []", "eth0, eth7"))
        disappears(daemon, "perfsonar-not-metered")
        assert findings(daemon) == {}


def test_a_stack_marked_below_and_metered_above_is_not_a_finding(lab):
    lab.a.run("ip", "link", "add", "bridge7", "type", "bridge")
    lab.a.run("ip", "link", "add", "eth7", "type", "veth", "peer", "name", "peer7")
    lab.a.run("ip", "link", "set", "eth7", "master", "bridge7", "up")
    lab.a.run("ip", "link", "set", "bridge7", "up")
    with Daemon(perfsonar("interfaces: [bridge7]", "eth7"), lab.a) as daemon:
        assert findings(daemon) == {}


def test_the_hooks_and_interfaces_of_the_meter(lab):
    with Daemon("plugins:\n  perfsonar: {experimentId: 3, activityId: 2, attach: clsact, waitForInterfaces: true,"
                " interfaces: [eth0, eth7]}\nbackends: {metrics: {}}\n", lab.a) as daemon:
        appears(daemon, "perfsonar-interface-missing", "eth7", "warning")
        lab.a.run("sh", "-c", "tc qdisc del dev eth0 clsact; tc qdisc add dev eth0 ingress")  # they exclude each other
        appears(daemon, "perfsonar-hook-removed", "eth0", "error")
        lab.a.run("tc", "qdisc", "del", "dev", "eth0", "ingress")
        disappears(daemon, "perfsonar-hook-removed")
        daemon.reload(daemon.conf.read_text().replace("[eth0, eth7]", "[eth7]"))
        appears(daemon, "perfsonar-no-interface", "", "warning")
    with ThirdParty(lab.a, "clsact", 1), Daemon(perfsonar("interfaces: [eth0], attach: clsact", "lo"), lab.a) as daemon:
        appears(daemon, "perfsonar-hook-hidden", "eth0", "warning")
