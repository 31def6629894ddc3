# SPDX-License-Identifier: Apache-2.0
"""perfsonar beside the marker, without `interfaces` of its own: what is marked is metered, and a change is followed. And
beside a plugin that announces the same flows: who came first makes no difference for their destination."""
import contextlib
import pathlib
import tempfile

import pytest

from tests.harness.collector import Collector
from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for
from tests.harness.traffic import UdpServer, udp_client

pytestmark = pytest.mark.usefixtures("status_answers")


def configuration(lab, marked):
    return ("plugins:\n  perfsonar: {experimentId: 2, activityId: 16, idleTimeout: 2s}\n"
            f"backends:\n  marker: {{targetInterfaces: [{marked}], waitForInterfaces: true}}\n"
            f"  firefly: {{sendToDestination: false, sendToCollector: true, collectorAddress: \"{lab.b.address6}\"}}\n")


def metered(daemon):
    return {entry["interface"] for entry in daemon.details("plugin perfsonar")["interfaces"] if entry["hook"] != "absent"}


def test_the_flows_of_an_interface_that_is_marked_on_are_announced(lab):
    server = UdpServer(lab.b, 8760)
    with Collector(lab.b) as collector, Daemon(configuration(lab, "eth0"), lab.a) as daemon:
        assert lab.a.run("ip", "route", "show", "default").stdout == "", "no default route chooses an interface"
        wait_for(lambda: metered(daemon) == {"eth0"}, "the interface of the marker to be metered")
        with udp_client(lab.a, lab.b, 8760) as sock:
            port = sock.getsockname()[1]
            sock.send(b"x" * 10)
            wait_for(lambda: any(one["flow-id"]["src-port"] == port and one["flow-lifecycle"]["state"] == "end"
                                 for one in collector.fireflies), "the end of the flow", 20)
    server.close()


def test_interfaces_follow_reloads_and_new_interfaces(lab):
    a = lab.a.run
    with Daemon(configuration(lab, "eth0"), lab.a) as daemon:
        wait_for(lambda: metered(daemon) == {"eth0"}, "the interface of the marker to be metered")
        a("ip", "link", "add", "bridge7", "type", "bridge")
        daemon.reload(configuration(lab, "bridge7, bridge8"))
        wait_for(lambda: metered(daemon) == {"bridge7"}, "the interface of the new configuration to be metered")
        a("ip", "link", "add", "bridge8", "type", "bridge")
        wait_for(lambda: metered(daemon) == {"bridge7", "bridge8"}, "an interface that appears to be metered")
        a("ip", "link", "del", "bridge7")
        wait_for(lambda: metered(daemon) == {"bridge8"}, "an interface that is gone to be let go")


def test_interfaces_of_a_removed_marker_are_not_metered(lab):
    marked = configuration(lab, "eth0")
    without = "\n".join(line for line in marked.split("\n") if "marker" not in line)
    with Daemon(without, lab.a) as daemon:
        assert metered(daemon) == set()
        daemon.reload(marked)
        wait_for(lambda: metered(daemon) == {"eth0"}, "the interface of a marker that comes with a reload")
        daemon.reload(without)
        wait_for(lambda: metered(daemon) == set(), "its interface to be let go")


def test_configured_interfaces_of_the_meter_are_not_extended(lab):
    lab.a.run("ip", "link", "add", "bridge7", "type", "bridge")
    own = configuration(lab, "eth0").replace("idleTimeout: 2s", "interfaces: [bridge7]")
    with Daemon(own, lab.a) as daemon:
        wait_for(lambda: daemon.details("backend marker")["interfaces"], "the marker to be attached")
        assert metered(daemon) == {"bridge7"}


@contextlib.contextmanager
def pipe_path():
    with tempfile.TemporaryDirectory(dir="/run", prefix="flowd-test-") as folder:
        yield pathlib.Path(folder) / "pipe"


def with_pipe(pipe):
    return ("plugins:\n  perfsonar: {experimentId: 2, activityId: 16, interfaces: [eth0], idleTimeout: 2s}\n"
            f"  namedpipe: {{pipePath: {pipe}}}\n"
            "backends:\n  firefly: {}\n")


def announce(pipe, state, sock):
    source, destination = sock.getsockname(), sock.getpeername()
    pipe.write_text(f"{state} udp {source[0]} {source[1]} {destination[0]} {destination[1]} 2 16\n")


def is_metered(daemon):
    return daemon.details("plugin perfsonar")["announced"] == 1


@pytest.mark.parametrize("first", ["meter", "pipe"])
def test_a_destination_receives_start_and_end_of_a_metered_flow_that_is_also_announced(lab, first):
    server = UdpServer(lab.b, 8760)
    with (pipe_path() as pipe, Collector(lab.b) as destination, Daemon(with_pipe(pipe), lab.a) as daemon,
          udp_client(lab.a, lab.b, 8760) as sock):
        def meter():
            sock.send(b"x")
            wait_for(lambda: is_metered(daemon), "the flow to be metered")

        steps = [meter, lambda: announce(pipe, "start", sock)]
        for step in steps if first == "meter" else reversed(steps):
            step()
        destination.wait_for_count(1)
        announce(pipe, "end", sock)
        destination.wait_for_count(2)
        assert [one["flow-lifecycle"]["state"] for one in destination.fireflies] == ["start", "end"]
    server.close()


def test_a_destination_receives_the_end_after_the_announcing_instance_has_left(lab):
    server = UdpServer(lab.b, 8760)
    with (pipe_path() as pipe, Collector(lab.b) as destination, Daemon(with_pipe(pipe), lab.a) as daemon,
          udp_client(lab.a, lab.b, 8760) as sock):
        announce(pipe, "start", sock)
        destination.wait_for_count(1)
        sock.send(b"x")
        wait_for(lambda: is_metered(daemon), "the flow to be metered")
        daemon.reload("\n".join(line for line in with_pipe(pipe).split("\n") if "namedpipe" not in line))
        destination.wait_for_count(2, 20)  # the meter ends it when it is silent
        assert [one["flow-lifecycle"]["state"] for one in destination.fireflies] == ["start", "end"]
    server.close()
