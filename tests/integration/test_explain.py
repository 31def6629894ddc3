# SPDX-License-Identifier: Apache-2.0
"""`flowd-cpp explain` of a live flow: what each module did with it, and why not."""
import socket

import pytest

from tests.harness import labels, traffic
from tests.harness.collector import Collector
from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for


def configuration(lab, marker="targetInterfaces: [eth0]", firefly="sendToDestination: false", plugins=""):
    return (f"plugins:\n  fireflyp: {{}}\n{plugins}"
            f"backends:\n  marker: {{{marker}}}\n"
            f"  firefly: {{sendToCollector: true, collectorAddress: \"{lab.b.address6}\", {firefly}}}\n")


def endpoint(address):
    return f"[{address[0]}]:{address[1]}"


def explain(daemon, sock, instance):
    """[(verdict, subject, text, time)] of one instance."""
    protocol = "tcp" if sock.type == socket.SOCK_STREAM else "udp"
    answer = daemon.cli("explain", protocol, endpoint(sock.getsockname()), endpoint(sock.getpeername()))
    return [(one["verdict"], one["subject"], one["text"], one["time"]) for one in answer["explanations"]
            if one["instance"] == instance]


@pytest.fixture
def flow(lab):
    """A UDP socket to the other host, and whoever announces it."""
    announcer = traffic.Announcer(lab.a)
    with traffic.udp_client(lab.a, lab.b, 1094) as sock:
        yield sock, lambda state, experiment=2, activity=16: announcer.announce(state, sock, experiment, activity, traffic.now())
    announcer.close()


def test_the_marker_explains_the_label_on_each_interface(lab, flow):
    sock, announce = flow
    lab.a.run("ip", "link", "add", "bridge7", "type", "bridge")
    with Collector(lab.b), Daemon(configuration(lab, "targetInterfaces: [eth0, bridge7]"), lab.a) as daemon:
        (verdict, _, _, _), = explain(daemon, sock, "backend marker")
        assert verdict == "not-announced"
        announce("start")
        wait_for(lambda: daemon.cli("marker", "status")["flows"] == 1, "the flow to be in the table")
        told = explain(daemon, sock, "backend marker")
        assert sorted((verdict, subject) for verdict, subject, _, _ in told) == [("marked", "bridge7"), ("marked", "eth0")]
        for _, _, text, _ in told:
            label = int(text.removeprefix("Outgoing packets carry flow label ").rstrip("."), 16)
            assert labels.decode(label) == (2, 16)
        announce("end")
        wait_for(lambda: daemon.cli("marker", "status")["flows"] == 0, "the flow to be gone")


def test_the_marker_explains_the_catch_all(lab, flow):
    sock, _ = flow
    plugins = "  perfsonar: {experimentId: 3, activityId: 2, flows: false}\n"
    with Collector(lab.b), Daemon(configuration(lab, plugins=plugins), lab.a) as daemon:
        wait_for(lambda: daemon.cli("marker", "status")["catchAll"], "the catch-all")
        (verdict, subject, text, _), = explain(daemon, sock, "backend marker")
        assert (verdict, subject) == ("marked-catch-all", "eth0")
        label = int(text.removeprefix("Outgoing packets carry flow label ").removesuffix(", by the catch-all tag."), 16)
        assert labels.decode(label) == (3, 2)


@pytest.mark.parametrize("options, tag, verdict", [
    ("targetInterfaces: [eth0], mode: observe", (2, 16), "observed"),
    ("targetInterfaces: [eth0]", (0, 0), "no-valid-tag"),
    ("targetInterfaces: [bridge7], waitForInterfaces: true", (2, 16), "no-interface"),
])
def test_the_marker_explains_why_a_flow_is_not_marked(lab, flow, options, tag, verdict):
    sock, announce = flow
    with Collector(lab.b), Daemon(configuration(lab, options), lab.a) as daemon:
        announce("start", *tag)
        wait_for(lambda: daemon.cli("marker", "status")["flows"] == 1, "the flow to be in the table")
        assert [one[0] for one in explain(daemon, sock, "backend marker")] == [verdict]


def test_the_marker_explains_a_removed_hook(lab, flow):
    sock, announce = flow
    with Collector(lab.b), Daemon(configuration(lab, "targetInterfaces: [eth0], attach: clsact"), lab.a) as daemon:
        announce("start")
        wait_for(lambda: daemon.cli("marker", "status")["flows"] == 1, "the flow to be in the table")

        def verdicts():
            return [one[:2] for one in explain(daemon, sock, "backend marker")]

        assert verdicts() == [("marked", "eth0")]
        # ingress and clsact exclude each other
        lab.a.run("sh", "-c", "tc qdisc del dev eth0 clsact; tc qdisc add dev eth0 ingress")
        wait_for(lambda: verdicts() == [("hook-removed", "eth0")], "the marker to tell that it does not mark", 30)
        lab.a.run("tc", "qdisc", "del", "dev", "eth0", "ingress")
        wait_for(lambda: verdicts() == [("marked", "eth0")], "the hook to be attached again", 30)


def test_the_marker_explains_a_full_table(lab, flow):
    sock, announce = flow
    with Collector(lab.b), Daemon(configuration(lab, "targetInterfaces: [eth0], maxFlows: 1"), lab.a) as daemon:
        announce("start")
        wait_for(lambda: daemon.cli("marker", "status")["flows"] == 1, "the first flow to be in the table")
        announcer = traffic.Announcer(lab.a)
        with traffic.udp_client(lab.a, lab.b, 1095) as second:
            announcer.announce("start", second, 2, 16, traffic.now())
            wait_for(lambda: daemon.cli("marker", "status")["skippedFlows"]["tableFull"] == 1, "the second flow to be skipped")
            assert [one[0] for one in explain(daemon, second, "backend marker")] == ["not-in-table"]
        announcer.close()
        assert [one[0] for one in explain(daemon, sock, "backend marker")] == ["marked"]


def test_the_marker_explains_that_a_label_needs_ipv6(lab):
    with Collector(lab.b), Daemon(configuration(lab), lab.a) as daemon:
        answer = daemon.cli("explain", "udp", f"{lab.a.address4}:40000", f"{lab.b.address4}:1094")
        assert [one["verdict"] for one in answer["explanations"] if one["instance"] == "backend marker"] == ["ipv4"]


def test_firefly_explains_the_last_firefly_to_the_collector(lab, flow):
    sock, announce = flow
    collector = f"[{lab.b.address6}]:10514"
    with Collector(lab.b) as collecting, Daemon(configuration(lab), lab.a) as daemon:
        assert [one[0] for one in explain(daemon, sock, "backend firefly")] == ["not-announced"]
        announce("start")
        collecting.wait_for_count(1)
        told, destination = explain(daemon, sock, "backend firefly")
        assert told[:3] == ("sent", collector, "The last firefly (start) was sent to this collector.")
        assert told[3][:16] == collecting.fireflies[0]["flow-lifecycle"]["current-time"][:16]
        assert destination[::2] == ("not-to-destination", "sendToDestination is off.")
        announce("ongoing")
        collecting.wait_for_count(2)
        assert explain(daemon, sock, "backend firefly")[0][2] == "The last firefly (ongoing) was sent to this collector."


def test_firefly_explains_why_the_destination_gets_no_firefly(lab, flow):
    sock, announce = flow
    with Collector(lab.b) as collecting, Daemon(configuration(lab, firefly="sendToDestination: true"), lab.a) as daemon:
        announce("start")
        collecting.wait_for_count(1)
        told = explain(daemon, sock, "backend firefly")
        assert told[1][:3] == ("not-to-destination", f"[{lab.b.address6}]:10514",
                               "The flow was learnt from a firefly, and forwardToDestination is off.")


def test_firefly_explains_a_collector_without_listener(lab, flow):
    sock, announce = flow
    with Daemon(configuration(lab), lab.a) as daemon:
        wait_for(lambda: announce("ongoing") or explain(daemon, sock, "backend firefly")[0][0] == "waiting", "the refusal")
        _, subject, text, time = explain(daemon, sock, "backend firefly")[0]
        assert subject == f"[{lab.b.address6}]:10514" and time
        assert text.startswith("The last firefly (ongoing) waits to be sent: "), text
