# SPDX-License-Identifier: Apache-2.0
"""A healthy host has no findings: the documented perfSONAR configurations, unchanged, with the routes of research networks, before,
while and after there is traffic. Three rounds; 20 with FLOWD_LONG=1."""
import json
import os
import subprocess

import pytest

from tests.harness.collector import Collector
from tests.harness.daemon import BINARY
from tests.harness.findings import CLOCK
from tests.harness.lab import wait_for
from tests.integration.test_discovery import daemon_on
from tests.integration.test_marked_is_announced import (CONFIGURATIONS, FAR4, FAR6, Peer, configuration,
                                                        default_route_on_the_management_interface, send_seven_flows,
                                                        source_routing_over_two_interfaces, static_routes_only)

ROUNDS = 20 if os.environ.get("FLOWD_LONG") else 3
ROUTES = [static_routes_only, default_route_on_the_management_interface, source_routing_over_two_interfaces]
# Notes that are true of these hosts. The clock of a laboratory may not be synchronised, and the recommended configuration has
# forceHookRemoval, which has no effect under TCX.
TRUE_NOTES = {CLOCK, "marker-tcx-not-in-tc"}


def assert_none(found, when):
    amiss = [one for one in found if one["severity"] != "note" or one["id"] not in TRUE_NOTES]
    assert amiss == [], when


def command(*words):
    return subprocess.run([str(BINARY), *words], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("routes", ROUTES)
@pytest.mark.parametrize("name", sorted(CONFIGURATIONS))
def test_a_healthy_host_has_none(lab, name, routes):
    lab.b.run("ip", "addr", "add", f"{FAR6}/128", "dev", "lo", "nodad")
    lab.b.run("ip", "addr", "add", f"{FAR4}/32", "dev", "lo")
    for knob in ("all", "eth0", "default"):
        lab.b.run("sysctl", "-qw", f"net.ipv4.conf.{knob}.rp_filter=0")
    interfaces, second = routes(lab)
    text = configuration(name, interfaces, lab.b.address6)
    peer = Peer(lab.b)
    with Collector(lab.b):
        for turn in range(ROUNDS):
            with daemon_on(lab.a, text) as daemon:
                checked = subprocess.run(["nsenter", f"--net=/run/netns/{lab.a.name}", str(BINARY), "check", "--host", "--json", "--conf",
                                          str(daemon.conf)], capture_output=True, text=True, timeout=60)
                assert checked.returncode == 0, checked.stdout + checked.stderr
                assert_none(json.loads(checked.stdout)["findings"], f"round {turn}, check --host")
                assert_none(daemon.cli("findings"), f"round {turn}, after the start")
                ports = send_seven_flows(lab, peer, second)
                assert_none(daemon.cli("findings"), f"round {turn}, with traffic")
                wait_for(lambda: len(daemon.cli("flows")["flows"]) >= 1, "flows")
                status = command("--control", str(daemon.control), "status", "--check")
                assert status.returncode == 0, status.stdout
                gauges = [one["labels"] for one in daemon.cli("metrics") if one["name"] == "findings" and one["labels"]["severity"] != "note"]
                assert gauges == [], f"round {turn}, metrics"
                assert len(ports) == 7
                assert daemon.stop() == 0
    peer.close()
