# SPDX-License-Identifier: Apache-2.0
"""Storage services, test tools, collectors and monitoring as Debian packages them, each with the real daemon; what left the host is read
on the other side. docs/tried-with.md lists what was tried together."""
import contextlib
import json
import os
import socket
import subprocess
import urllib.parse

import pytest

from tests.harness.capture import Capture, flows
from tests.harness.daemon import BINARY, ROOT, Daemon
from tests.harness.http import Api
from tests.harness.lab import wait_for
from tests.harness.labels import decode

PATIENCE = 60
XROOTD = """\
xrd.port 1094
xrd.network nodnr norpipa
all.export /
oss.localroot {folder}
all.adminpath {folder}/admin
all.pidpath {folder}/admin
xrootd.pmark ffdest 127.0.0.1:10514
xrootd.pmark use firefly scitag
xrootd.pmark domain any
"""
STORAGE = """\
plugins:
  fireflyp: {{}}
backends:
  marker: {{targetInterfaces: [eth0]}}
  firefly: {{sendToDestination: false, collectors: [{{address: "{collector}"}}]}}
"""
TESTER = """\
plugins:
  perfsonar: {{experimentId: atlas, activityId: perfSONAR, interfaces: [eth0], idleTimeout: 10s}}
backends:
  marker: {{targetInterfaces: [eth0]}}
  firefly: {{sendToDestination: false, collectors: [{{address: "{collector}"}}]}}
"""
PERFSONAR = 2, 2


@pytest.fixture
def folder(folder):
    folder.chmod(0o777)  # XRootD and rsyslog run as other users
    return folder


@contextlib.contextmanager
def running(host, *command, port, protocol="t", **options):
    """A server; waits until it listens."""
    with open(os.devnull, "r+b") as nothing:
        process = host.popen(*[str(word) for word in command], **{"stdin": nothing, "stdout": nothing, "stderr": nothing} | options)
    try:
        wait_for(lambda: f":{port} " in host.run("ss", f"-Hln{protocol}").stdout, f"{command[0]} to listen", PATIENCE)
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def told(collector):
    """{(source, source port, destination, destination port, protocol): its fireflies}"""
    found = {}
    for one in list(collector.fireflies):
        flow = one["flow-id"]
        found.setdefault((flow["src-ip"], flow["src-port"], flow["dst-ip"], flow["dst-port"], flow["protocol"]), []).append(one)
    return found


def ended(collector, count):
    """The flows, once so many have ended: each with one start, one end."""
    def ends():
        return [key for key, fireflies in told(collector).items() if fireflies[-1]["flow-lifecycle"]["state"] == "end"]

    wait_for(lambda: len(ends()) >= count, f"{count} ends", PATIENCE)
    found = told(collector)
    for key, fireflies in found.items():
        assert [one["flow-lifecycle"]["state"] for one in fireflies] == ["start", "end"], key
    assert len(found) == count and not collector.refused
    return found


def tags(fireflies):
    return {(one["context"]["experiment-id"], one["context"]["activity-id"]) for one in fireflies}


def test_transfers_of_xrootd_are_announced_and_labelled(lab, collector, folder):
    """Two downloads and an upload by xrdcp, over IPv6 and IPv4, each with a tag of its own; pmacctd reads it on the other side."""
    size = 8 << 20
    (folder / "admin").mkdir()
    (folder / "admin").chmod(0o777)
    (folder / "file").write_bytes(bytes(size))
    (folder / "conf").write_text(XROOTD.format(folder=folder))
    six, four = f"[{lab.a.address6}]", lab.a.address4
    local = folder / "local"
    local.write_bytes(bytes(size))
    transfers = {144: (f"root://{six}//file?scitag.flow=144", "/dev/null"), 206: (f"root://{four}//file?scitag.flow=206", "/dev/null"),
                 145: (local, f"root://{six}//upload?scitag.flow=145")}
    command = ["xrootd", "-R", "nobody", "-c", folder / "conf", "-l", folder / "admin/log"]
    with (Daemon(STORAGE.format(collector=lab.b.address6), lab.a) as daemon, running(lab.a, *command, port=1094, cwd=folder),
          Capture(lab.b, "tcp port 1094") as capture):
        for source, destination in transfers.values():
            lab.b.run("xrdcp", "-f", "--nopbar", "--xrate", "16m", source, destination)
        found = ended(collector, len(transfers))
        assert daemon.details("plugin fireflyp")["refused"] == 0
        assert daemon.stop() == 0
        capture.stop()
        for scitag, (key, fireflies) in zip(transfers, found.items(), strict=True):
            tag = scitag >> 6, scitag & 63
            assert tags(fireflies) == {tag}
            assert key[1] == 1094 and (":" in key[0]) == (":" in key[2]) == (scitag != 206), "the server is the source"
            usage = fireflies[-1]["usage"]
            assert usage["sent" if scitag != 145 else "received"] >= size
            assert fireflies[0]["context"]["application"] == "xrdcp" and fireflies[-1]["netlink"]["rtt"] > 0
            if scitag != 206:  # over IPv4 there is no label
                labels = flows(capture.packets())[key]
                assert tag in {decode(label) for label in labels}, "what was sent after the announcement has the tag"
        by_tag = pmacct(capture.path, folder)
        assert by_tag[144] > 50 and by_tag[145] > 5 and 206 not in by_tag, by_tag
        capture.remove()


def pmacct(capture, folder):
    """{scitag: packets} as pmacctd reads them from a capture."""
    (folder / "scitags.map").write_text(subprocess.run([str(BINARY), "label", "export", "--for", "pmacct"], check=True, capture_output=True,
                                                       text=True).stdout)
    (folder / "pmacctd.conf").write_text(
        f"daemonize: false\npcap_savefile: {capture}\npre_tag_map: {folder}/scitags.map\naggregate: tag\nplugins: print\n"
        f"print_output: json\nprint_refresh_time: 60\nprint_output_file: {folder}/tags.json\n")
    subprocess.run(["/usr/sbin/pmacctd", "-f", str(folder / "pmacctd.conf")], capture_output=True)
    return {row["tag"]: row["packets"] for row in map(json.loads, (folder / "tags.json").read_text().splitlines())}


# name: server, port, client, flows
TOOLS = {
    "iperf over TCP": (["iperf", "-s", "-V"], 5001, ["iperf", "-V", "-c", "{six}", "-t", "1", "-b", "20M"], 1),
    "iperf over UDP": (["iperf", "-s", "-V", "-u"], 5001, ["iperf", "-V", "-u", "-c", "{six}", "-t", "1", "-b", "2M"], 1),
    "iperf with two streams over IPv4": (["iperf", "-s"], 5001, ["iperf", "-c", "{four}", "-t", "1", "-b", "20M", "-P", "2"], 2),
    "iperf3 over UDP": (["iperf3", "-s"], 5201, ["iperf3", "-c", "{six}", "-u", "-t", "1", "-b", "2M"], 2),
    "nuttcp": (["nuttcp", "-6", "-S", "--nofork"], 5000, ["nuttcp", "-6", "-T1", "-R20m", "{six}"], 2),
    "nuttcp that receives": (["nuttcp", "-6", "-S", "--nofork"], 5000, ["nuttcp", "-6", "-r", "-T1", "-R20m", "{six}"], 2),
    "nuttcp over UDP": (["nuttcp", "-6", "-S", "--nofork"], 5000, ["nuttcp", "-6", "-u", "-T1", "-R2m", "{six}"], 2),
}


@pytest.mark.parametrize("name", TOOLS)
def test_each_flow_of_a_test_tool_is_announced_and_labelled(lab, collector, name):
    server, port, client, count = TOOLS[name]
    udp = "UDP" in name
    client = [word.format(six=lab.b.address6, four=lab.b.address4) for word in client]
    with (Daemon(TESTER.format(collector=lab.b.address6), lab.a) as daemon,
          running(lab.b, *server, port=port, protocol="u" if server[-1] == "-u" else "t"),
          Capture(lab.b, f"src {lab.a.address6} or src {lab.a.address4}") as capture):
        wait_for(lambda: daemon.cli("marker", "status")["catchAll"], "the catch-all")
        lab.a.run(*client)
        found = ended(collector, count)
        packets = flows(capture.packets())
        capture.remove()
    assert {key[4] for key in found} == ({"tcp", "udp"} if udp and count == 2 else {"udp"} if udp else {"tcp"})
    carried = 0
    for key, fireflies in found.items():
        assert tags(fireflies) == {PERFSONAR}
        assert key[0] in (lab.a.address6, lab.a.address4), "the source is this host"
        carried = max(carried, sum(fireflies[-1]["usage"].values()))
        if ":" in key[0]:
            assert {decode(label) for label in packets[key]} == {PERFSONAR}, "each packet, from the first one on"
            assert len(packets[key]) == 1, "one label: routers keep the flow on one path"
    assert carried > 100_000


def test_rsyslog_is_a_collector(lab, folder):
    """Debian's rsyslogd reads the header of RFC 5424 and the JSON behind it, into a line of JSON for each firefly."""
    conf, output = folder / "rsyslog.conf", folder / "fireflies"
    conf.write_text(f"""\
global(workDirectory="{folder}")
module(load="imudp")
module(load="mmjsonparse")
template(name="line" type="string" string="%hostname%\\t%app-name%\\t%msgid%\\t%syslogfacility-text%\\t%timereported:::date-rfc3339,date-utc%\\t%$!all-json-plain%\\n")
input(type="imudp" address="{lab.b.address6}" port="10514" ruleset="fireflies")
ruleset(name="fireflies") {{
  action(type="mmjsonparse" cookie="")
  if $parsesuccess == "OK" then action(type="omfile" file="{output}" template="line")
}}
""")
    with (running(lab.b, "rsyslogd", "-n", "-f", conf, "-i", folder / "pid", port=10514, protocol="u"),
          Daemon("plugins:\n  api: {}\n" + STORAGE.format(collector=lab.b.address6).split("\n", 2)[2], lab.a), Api.at(lab.a) as api):
        flow = {"protocol": "tcp", "source": {"address": "2001:db8::1", "port": 1094}, "destination": {"address": "2001:db8::2", "port": 2345},
                "experiment": "atlas", "activity": 16, "application": 'a "quoted" name, \u00fc and \\'}
        for state in ("start", "end"):
            assert api.post(flow | {"state": state})[0] == 200
        wait_for(lambda: output.exists() and output.read_text().count("\n") >= 2, "the lines of rsyslog", PATIENCE)
    lines = [line.split("\t") for line in output.read_text().splitlines()]
    for (host, application, identity, facility, at, text), state in zip(lines, ("start", "end"), strict=True):
        firefly = json.loads(text)
        assert (application, identity, facility) == ("flowd-cpp", "firefly-json", "local0") and host not in ("", "-")
        assert at[:16] == firefly["flow-lifecycle"]["current-time"][:16] and firefly["flow-lifecycle"]["state"] == state
        assert firefly["context"] == {"experiment-id": 2, "activity-id": 16, "application": flow["application"]}
        assert firefly["flow-id"]["src-port"] == 1094


def test_prometheus_scrapes_the_metrics_and_evaluates_the_alert_rules(lab, folder):
    """The server itself: the target is up without an error, flows are in its database, and the rules of the package are evaluated."""
    (folder / "prometheus.yml").write_text(f"""\
global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}
rule_files: [{ROOT}/etc/prometheus/flowd-cpp.rules.yaml]
scrape_configs: [{{job_name: flowd, static_configs: [{{targets: ["127.0.0.1:9100"]}}]}}]
""")
    with lab.a.call(socket.create_server, ("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (Daemon("plugins:\n  api: {}\nbackends:\n  metrics: {port: 9100, names: true}\n", lab.a), Api.at(lab.a) as api,
          running(lab.a, "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                  f"--web.listen-address=127.0.0.1:{port}", "--log.level=error", port=port)):
        for number in range(3):
            assert api.post({"state": "start", "protocol": "tcp", "experiment": "atlas", "activity": 16,
                             "source": {"address": "2001:db8::1", "port": 2000 + number}, "destination": {"address": "2001:db8::2", "port": 1094}})[0] == 200
        with Api.at(lab.a, port) as prometheus:
            def query(expression):
                answer = prometheus.get(f"/api/v1/query?query={urllib.parse.quote(expression)}")[2]
                return [(sample["metric"], sample["value"][1]) for sample in answer["data"]["result"]]

            live = wait_for(lambda: [metric for metric, value in query("flowd_flows_live") if value == "3"], "the flows in Prometheus", PATIENCE)
            assert live[0]["experiment"] == "atlas" and query("up")[0][1] == "1"
            target, = prometheus.get("/api/v1/targets")[2]["data"]["activeTargets"]
            assert target["lastError"] == "" and target["health"] == "up"
            rules = [rule for group in prometheus.get("/api/v1/rules")[2]["data"]["groups"] for rule in group["rules"]]
            wait_for(lambda: all(rule["health"] == "ok" for rule in prometheus.get("/api/v1/rules")[2]["data"]["groups"][0]["rules"]),
                     "the rules to be evaluated", PATIENCE)
            assert len(rules) >= 7
