# SPDX-License-Identifier: Apache-2.0
"""Interfaces on interfaces, all marked on: a packet that passes two of them is marked once and counted once."""
import pytest

from tests.harness import labels
from tests.harness.capture import Capture, flows
from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for
from tests.harness.traffic import UdpServer, udp_client
from tests.integration.test_host_findings import checked, enter

PACKETS = 50


def move_addresses(host, interface):
    for address in (f"{host.address6}/64", f"{host.address4}/24"):
        host.run("ip", "addr", "del", address, "dev", "eth0")
        host.run("ip", "addr", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))
    host.run("ip", "link", "set", interface, "up")


def bridge(lab):
    lab.a.run("ip", "link", "add", "top0", "type", "bridge")
    lab.a.run("ip", "link", "set", "eth0", "master", "top0")
    move_addresses(lab.a, "top0")


def macvlan(lab):
    lab.a.run("ip", "link", "add", "top0", "link", "eth0", "type", "macvlan", "mode", "bridge")
    move_addresses(lab.a, "top0")


STACKS = pytest.mark.parametrize("stack", [bridge, macvlan])


def configuration(interfaces, mode="mark", policy="override"):
    return ("plugins:\n  perfsonar: {experimentId: 3, activityId: 2, flows: false}\n"
            f"backends:\n  marker: {{targetInterfaces: [{interfaces}], mode: {mode}, policy: {policy}}}\n")


def status(daemon):
    return daemon.cli("marker", "status")


def of(shown, name):
    return next(entry for entry in shown["interfaces"] if entry["interface"] == name)


def interface(daemon, name):
    return of(status(daemon), name)


def reachable(lab):
    wait_for(lambda: lab.a.run("ping", "-c", "1", "-W", "1", lab.b.address6, check=False).returncode == 0, "the other host", 20)


def send(lab):
    server = UdpServer(lab.b, 6000)
    with udp_client(lab.a, lab.b, 6000) as sock:
        for _ in range(PACKETS):
            sock.send(b"x" * 100)
    server.close()


def difference(before, after):
    return {name: after["outcomes"][name] - before["outcomes"][name] for name in after["outcomes"]
            if after["outcomes"][name] != before["outcomes"][name]}


@STACKS
def test_a_packet_through_stacked_interfaces_counts_once_in_the_totals(lab, stack):
    """case C40: also if the administrator chooses every interface."""
    stack(lab)
    reachable(lab)
    with Daemon(configuration('"*"'), lab.a) as daemon:
        wait_for(lambda: status(daemon)["catchAll"], "the catch-all")
        assert interface(daemon, "eth0")["below"] and not interface(daemon, "top0")["below"]
        note, = [one for one in daemon.cli("findings") if one["id"] == "marker-interface-stacked"]
        assert (note["subject"], note["severity"]) == ("eth0", "note") and "count once" in note["found"]
        assert ("marker-interface-stacked", "eth0") in checked(configuration("eth0, top0"), enter(lab.a)), "check --host, too"
        before = status(daemon)
        send(lab)
        after = status(daemon)
        before_top, before_port, top, port = of(before, "top0"), of(before, "eth0"), of(after, "top0"), of(after, "eth0")
        # Neighbour discovery may add some.
        marked = difference(before_top, top)["markedCatchAll"]
        assert PACKETS <= marked <= PACKETS + 10
        assert difference(before_port, port)["alreadyMarked"] >= marked, "the port finds the label that was written above"
        assert difference(before_port, port).get("markedCatchAll", 0) == 0
        assert after["marked"] - before["marked"] == marked
        assert after["packets"] - before["packets"] == top["packets"] - before_top["packets"], "each packet once"


@STACKS
def test_a_packet_through_stacked_interfaces_counts_once_in_observe_mode(lab, stack):
    stack(lab)
    reachable(lab)
    with Daemon(configuration("eth0, top0", mode="observe"), lab.a) as daemon:
        wait_for(lambda: status(daemon)["catchAll"], "the catch-all")
        before = status(daemon)
        send(lab)
        after = status(daemon)
        before_top, top = of(before, "top0"), of(after, "top0")
        assert difference(before_top, top)["observedCatchAll"] >= PACKETS
        assert difference(before, after)["observedCatchAll"] == difference(before_top, top)["observedCatchAll"]
        assert after["packets"] - before["packets"] == top["packets"] - before_top["packets"]


def test_a_label_written_by_an_upper_interface_is_not_an_applications_choice(lab):
    bridge(lab)
    reachable(lab)
    with (Daemon(configuration("eth0, top0", policy="keepExplicit"), lab.a) as daemon,
          Capture(lab.b, "udp port 6000") as capture):
        wait_for(lambda: status(daemon)["catchAll"], "the catch-all")
        before = interface(daemon, "eth0")
        send(lab)
        (seen,) = flows(capture.packets()).values()
        assert [labels.decode(label) for label in seen] == [(3, 2)]
        assert "keptExplicit" not in difference(before, interface(daemon, "eth0"))


def test_a_port_without_an_upper_interface_is_metered_itself(lab):
    bridge(lab)
    reachable(lab)
    with Daemon(configuration("eth0, top0"), lab.a) as daemon:
        wait_for(lambda: status(daemon)["catchAll"], "the catch-all")
        lab.a.run("ip", "link", "del", "top0")
        wait_for(lambda: [entry["interface"] for entry in status(daemon)["interfaces"] if entry["hook"] != "absent"] == ["eth0"],
                 "the bridge to be let go")
        assert not interface(daemon, "eth0")["below"]
