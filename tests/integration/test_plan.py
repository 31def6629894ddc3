# SPDX-License-Identifier: Apache-2.0
"""`flowd-cpp plan`: the tags that open sockets would get, without a daemon; and that a daemon then gives the same."""
import json
import os
import pathlib
import socket
import subprocess
import tempfile

import pytest

from tests.harness import traffic
from tests.harness.daemon import BINARY, Daemon
from tests.harness.lab import wait_for

RULES = """\
  netlink:
    ignorePrivate: false
    udp: true
    period: 1
    internalNetworks: ["10.93.7.0/24"]
    rules:
    - {remotePorts: ["1095"], ignore: true}
    - {remotePorts: ["1094"], user: "0", direction: out, experiment: cms, activity: 14}
    - {remotePorts: ["1096"], experiment: 2, activity: 16}
"""
PERFSONAR = "  perfsonar: {experimentId: 3, activityId: 2, exclude: {ports: [1095]}}\n"


def plan(host, configuration, *options, user=None, code=0, as_json=True):
    with tempfile.TemporaryDirectory(prefix="flowd-test-", dir="/run") as folder:
        os.chmod(folder, 0o755)
        conf = pathlib.Path(folder) / "conf.yaml"
        conf.write_text(configuration)
        command = ["ip", "netns", "exec", host.name]
        if user:
            command += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        command += [str(BINARY), "plan", "--conf", str(conf), *(["--json"] if as_json else []), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout) if as_json and code == 0 else done


@pytest.fixture
def sockets(lab):
    """Connections of host a to several ports, by port; 6 TCP over IPv6, one TCP over IPv4, one UDP."""
    servers = [traffic.TcpServer(lab.b, port) for port in (1094, 1095, 1097)]
    udp_server = traffic.UdpServer(lab.b, 1096)
    four = lab.b.call(lambda: socket.create_server((lab.b.address4, 1094)))
    found = {port: traffic.tcp_client(lab.a, lab.b, port) for port in (1094, 1095, 1097)}
    found[1096] = traffic.udp_client(lab.a, lab.b, 1096)
    found["ipv4"] = lab.a.call(socket.create_connection, (lab.b.address4, 1094), 10)
    yield found
    for one in found.values():
        one.close()
    for server in (*servers, udp_server):
        server.close()
    four.close()


def of(answer, sock):
    address, port = sock.getsockname()[:2]
    local = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    (one,) = [row for row in answer["plan"] if row["local"] == local]
    return one


def test_each_socket_has_the_tag_or_the_reason(lab, sockets):
    answer = plan(lab.a, "plugins:\n" + RULES + "  fireflyp: {}\nbackends:\n  marker: {targetInterfaces: [eth0]}\n")
    assert answer["sockets"] == len(answer["plan"]) == 5 and answer["tagged"] == 2
    assert answer["plannedBy"] == ["plugin netlink"] and answer["notKnownBefore"] == ["plugin fireflyp"]
    tagged = of(answer, sockets[1094])
    assert (tagged["experiment"], tagged["activity"], tagged["experimentId"], tagged["activityId"]) == ("cms", "Analysis Input", 3, 14)
    assert (tagged["instance"], tagged["rule"], tagged["result"]) == ("plugin netlink", "rules[1]", "announced and marked")
    assert (of(answer, sockets[1096])["experimentId"], of(answer, sockets[1096])["protocol"]) == (2, "udp")
    ignored = of(answer, sockets[1095])
    assert (ignored["experimentId"], ignored["rule"]) == (None, "rules[0]") and "ignore" in ignored["result"]
    assert "No rule matches" in of(answer, sockets[1097])["result"]
    assert "internal network" in of(answer, sockets["ipv4"])["result"]


def test_a_rule_wins_over_the_meter_and_the_catch_all_is_last(lab, sockets):
    answer = plan(lab.a, "plugins:\n" + RULES + PERFSONAR + "backends:\n  marker: {targetInterfaces: [eth0]}\n")
    assert of(answer, sockets[1094])["rule"] == "rules[1]"
    assert (of(answer, sockets[1097])["instance"], of(answer, sockets[1097])["activityId"]) == ("plugin perfsonar", 2)
    excluded = of(answer, sockets[1095])
    assert excluded["instance"] == "plugin perfsonar" and excluded["result"].startswith("marked by the catch-all")
    assert answer["tagged"] == 5


def test_the_daemon_does_what_the_plan_says(lab, sockets):
    configuration = "plugins:\n" + RULES + PERFSONAR + "backends:\n  marker: {targetInterfaces: [eth0]}\n"
    planned = plan(lab.a, configuration)
    for one in sockets.values():
        one.send(b"x")
    with Daemon(configuration, lab.a) as daemon:
        for one in sockets.values():
            one.send(b"x")
        expected = {(row["local"], row["remote"]): (row["experimentId"], row["activityId"]) for row in planned["plan"]
                    if row["result"] == "announced and marked"}

        def announced():
            live = {(flow["source"], flow["destination"]): (flow["experimentId"], flow["activityId"])
                    for flow in daemon.cli("flows")["flows"]}
            return {ends: tag for ends, tag in live.items() if ends in expected} == expected

        wait_for(announced, "the flows to be as planned", 30)


def test_it_needs_no_root_and_changes_nothing(lab, sockets):
    configuration = "plugins:\n" + RULES + "backends:\n  marker: {targetInterfaces: [eth0]}\n"
    before = lab.a.run("tc", "qdisc", "show").stdout + lab.a.run("ss", "-Htunap").stdout
    answer = plan(lab.a, configuration, user=65534)
    assert of(answer, sockets[1094])["rule"] == "rules[1]", "the owner of a socket is known without root"
    assert lab.a.run("tc", "qdisc", "show").stdout + lab.a.run("ss", "-Htunap").stdout == before
    text = plan(lab.a, configuration, as_json=False).stdout
    assert "Analysis Input" in text and "rules[1]" in text


def test_a_wrong_configuration_and_iperf3(lab, sockets):
    done = plan(lab.a, "plugins:\n  netlink: {nonsense: 1}\n", code=3, as_json=False)
    assert "nonsense" in done.stderr and done.stdout == ""
    ranges = "minDestinationPort: 1094, maxDestinationPort: 1095"
    answer = plan(lab.a, f"plugins:\n  iperf3: {{{ranges}, experimentIDs: [2, 3], activityIDs: [16, 14]}}\nbackends:\n  firefly: {{}}\n")
    assert of(answer, sockets[1094])["result"] == "announced, with a tag that is chosen then"
    assert "ranges" in of(answer, sockets[1097])["result"]
