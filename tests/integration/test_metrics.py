# SPDX-License-Identifier: Apache-2.0
"""What the metrics backend shows, judged by Prometheus' own tools, with the real daemon."""
import gzip
import http.client
import json
import re
import socket
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.harness import traffic
from tests.harness.collector import Collector
from tests.harness.daemon import ROOT, Daemon
from tests.harness.http import Api
from tests.harness.lab import wait_for
from tests.integration.test_discovery import daemon_on
from tests.integration.test_pipeline import firefly

PROMETHEUS_2 = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
BASE = "plugins:\n  api: {}\nbackends:\n  metrics: {port: 9100}\n"
ENRICHED = BASE + "enrichers:\n  period: 200ms\n  netlink: {}\n"


def scrape(host, port=9100, path="/metrics", **headers):
    """(status, headers, bytes)"""
    connection = http.client.HTTPConnection("flowd.test")
    connection.sock = host.call(socket.create_connection, ("127.0.0.1", port), 10)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, response.headers, body


def page(host, port=9100):
    return scrape(host, port)[2].decode()


def values(text, name):
    """{labels: value} of the samples of that name."""
    return {tuple(sorted(sample.labels.items())): sample.value
            for family in parse_text(text) for sample in family.samples if sample.name == name}


def start(source, destination, state="start"):
    return {"state": state, "protocol": "tcp", "source": {"address": source[0], "port": source[1]},
            "destination": {"address": destination[0], "port": destination[1]}, "experiment": "atlas", "activity": 16}


class Connection:
    """A connection between two sockets of one host, over loopback, with some bytes across it."""

    def __init__(self, host, size):
        with host.call(listen) as server:
            self.client = host.call(connect, server.getsockname()[:2])
            self.server = server.accept()[0]
        self.client.sendall(b"x" * size)
        received = 0
        while received < size:
            received += len(self.server.recv(65536))
        self.source, self.destination = self.client.getsockname()[:2], self.server.getsockname()[:2]

    def close(self):
        self.client.close()
        self.server.close()


def listen():
    server = socket.socket(socket.AF_INET6)
    server.bind(("::1", 0))
    server.listen()
    return server


def connect(address):
    client = socket.socket(socket.AF_INET6)
    client.connect(address)
    return client


def check_by_promtool(text):
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_is_valid_in_both_formats(lab):
    with Daemon(ENRICHED, lab.a) as daemon, Api.at(lab.a) as api:
        connection = Connection(lab.a, 1000)
        assert api.post(start(connection.source, connection.destination))[0] == 200
        wait_for(lambda: "flow_tcp_rtt{" in page(lab.a), "a sample of the flow")
        text = page(lab.a)
        check_by_promtool(text)
        status, headers, body = scrape(lab.a, Accept=PROMETHEUS_2, Accept_Encoding="gzip")
        assert status == 200 and headers["Content-Encoding"] == "gzip"
        assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        families = {family.name: family for family in parse_open_metrics(gzip.decompress(body).decode())}
        assert families["flowd_bus_accepted"].type == "counter"
        # The parsers name counters without _total; one beside a gauge of its name keeps it.
        shown = {family.name.removesuffix("_total") for family in families.values()}
        assert shown == {family.name.removesuffix("_total") for family in parse_text(text)}
        connection.close()
        assert daemon.stop() == 0


def test_the_judges_detect_broken_output(lab):
    """A judge that passes everything is none."""
    with pytest.raises(AssertionError):
        check_by_promtool("# TYPE x_total gauge\nx_total 1\n")
    with pytest.raises(ValueError):
        list(parse_open_metrics("# TYPE x counter\nx_total 1\n"))


def test_flows_are_counted_by_experiment_and_activity(lab):
    with Daemon(BASE.replace("port: 9100", "port: 9100, names: true"), lab.a), Api.at(lab.a) as api:
        source, destination = ("2001:db8::1", 2345), ("2001:db8::2", 1094)
        api.post(start(source, destination))
        def of(name):
            return [(dict(labels).get("experiment"), value) for labels, value in values(page(lab.a), name).items()]
        wait_for(lambda: of("flowd_flows_live") == [("atlas", 1.0)], "the flow to be live")
        end = start(source, destination, "end") | {"usage": {"bytesSent": 700, "bytesReceived": 30}}
        api.post(end)
        wait_for(lambda: [value for _, value in of("flowd_flows_ended_total")] == [1.0], "the flow to have ended")
        assert [value for _, value in of("flowd_flows_live")] == [0.0]
        sent = {dict(labels)["direction"]: value for labels, value in values(page(lab.a), "flowd_flow_bytes_total").items()}
        assert sent == {"sent": 700.0, "received": 30.0}


def test_fireflies_edges_and_expiry_have_panels(lab):
    configuration = """\
flows: {maxAge: 3s}
plugins:
  fireflyp: {}
backends:
  metrics: {port: 9100}
  firefly:
    sendToDestination: false
    collectors: [{address: "fd5c:17a6:5::b"}, {address: "fd5c:17a6:5::b", port: 10599}]
"""
    def of(name, **labels):
        return sum(value for key, value in values(page(lab.a), name).items() if labels.items() <= dict(key).items())

    with Collector(lab.b) as collector, Daemon(configuration, lab.a), lab.a.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in (firefly("start", 1, 1), firefly("start", 2, 2), firefly("start", 3, 3), b"", b"<134>1 nothing", b"{", firefly("start", 0, 1)):
            sender.sendto(datagram, ("127.0.0.1", 10514))
        collector.wait_for_count(3)
        wait_for(lambda: of("flowd_fireflyp_received_total", bind="127.0.0.1:10514") == 7, "what was received to be shown")
        for reason in ("empty", "no_json", "bad_json", "port_zero"):
            assert of("flowd_fireflyp_refused_total", reason=reason) == 1, reason
        wait_for(lambda: of("flowd_firefly_sent_total", target="[fd5c:17a6:5::b]:10514") == 3, "what was sent to be shown")
        wait_for(lambda: of("flowd_firefly_refused_total", target="[fd5c:17a6:5::b]:10599") > 0, "the refusal of a collector that is none")
        assert of("flowd_firefly_collector_up", target="[fd5c:17a6:5::b]:10514") == 1
        assert of("flowd_firefly_collector_up", target="[fd5c:17a6:5::b]:10599") == 0
        for backend in ("backend firefly", "backend metrics"):
            assert of("flowd_bus_delivered_total", flowd_instance=backend, kind="start") == 3
            assert of("flowd_bus_queue_latency_seconds_count", flowd_instance=backend) >= 3
            assert of("flowd_bus_queue_high_water", flowd_instance=backend) >= 1
            assert of("flowd_bus_queue_depth", flowd_instance=backend) == 0
            for drops in ("shed", "missed", "given_up", "queue_full"):
                assert of(f"flowd_bus_{drops}_total", flowd_instance=backend) == 0
        wait_for(lambda: of("flowd_flows_expired_total", experiment="2", activity="16") == 3, "their end, of which nobody tells", 20)
        assert of("flowd_flows_ended_total", experiment="2", activity="16") == 3
        assert of("flowd_bus_flows_expired_total", reason="age") == 3


def test_packets_are_counted_by_interface_and_outcome(lab):
    def of(outcome):
        return sum(value for key, value in values(page(lab.a), "flowd_marker_packets_total").items()
                   if dict(key)["interface"] == "lo" and dict(key)["outcome"] == outcome)

    with Daemon(BASE + "  marker: {targetInterfaces: [lo]}\n", lab.a) as daemon, Api.at(lab.a) as api:
        connection = Connection(lab.a, 10)
        api.post(start(connection.source, connection.destination))
        wait_for(lambda: daemon.details("backend marker")["flows"] == 1, "the flow in the marker")
        connection.client.sendall(b"x" * 10)
        wait_for(lambda: of("markedFlow") >= 1, "its packets")
        lab.a.run("ping", "-c", "3", "-i", "0.01", "127.0.0.1")
        wait_for(lambda: of("ipv4") >= 6, "packets that have no label, with the reason")
        assert list(values(page(lab.a), "flowd_marker_flows").values()) == [1.0]
        connection.close()


def test_the_counts_of_a_flow_are_those_of_its_socket(lab):
    with Daemon(ENRICHED, lab.a), Api.at(lab.a) as api:
        connection = Connection(lab.a, 123_456)
        api.post(start(connection.source, connection.destination))

        def received():
            return {(labels["src"], labels["dst"], labels["flow"], labels["exp"], labels["act"], labels["flavour"]): value
                    for labels, value in ((dict(key), value) for key, value in
                                          values(page(lab.a), "flow_tcp_bytes_sent_total").items())}

        wait_for(lambda: received(), "a sample of the flow")
        name = f"<{connection.source[1]}:{connection.destination[1]}>"
        assert received() == {("::1", "::1", name, "2", "16", "netlink"): 123_456.0}
        api.post(start(connection.source, connection.destination, "end"))
        wait_for(lambda: not received(), "the figures to go with the flow")
        connection.close()


def test_every_instance_shows_its_state_and_the_build_its_version(lab):
    broken = BASE.replace("api: {}", "api: {}\n  api/second: {bindPort: 7778, required: false}")
    with lab.a.call(socket.create_server, ("127.0.0.1", 7778)), Daemon(broken, lab.a) as daemon:
        text = page(lab.a)
        states = {dict(labels)["flowd_instance"]: dict(labels)["state"]
                  for labels, value in values(text, "flowd_instance_state").items() if value == 1}
        assert states == {"plugin api": "running", "backend metrics": "running", "plugin api/second": "failed"}
        (labels,) = values(text, "flowd_build_info")
        assert dict(labels)["version"] == daemon.cli("status")["daemon"]["version"]
        assert values(text, "process_resident_memory_bytes")[()] > 1_000_000
        assert values(text, "process_open_fds")[()] > 3


def test_flowd_gos_ports_and_keys_are_accepted(lab):
    configuration = 'backends:\n  prometheus:\n    log: true\n    bindAddress: "127.0.0.1"\n    netlinkPort: 8080\n    skopsPort: 8081\n'
    with Daemon(configuration, lab.a):
        assert "flowd_bus_flows_live 0\n" in page(lab.a, 8080)
        assert scrape(lab.a, 8081)[0] == 200 and page(lab.a, 8081) == ""


def test_a_busy_port_stops_the_start(lab):
    with lab.a.call(socket.create_server, ("127.0.0.1", 9100)):
        with pytest.raises(AssertionError, match="ended with 6"):
            Daemon(BASE, lab.a).__enter__()


def test_a_reload_keeps_the_port_and_the_flows(lab):
    with Daemon(BASE, lab.a) as daemon, Api.at(lab.a) as api:
        api.post(start(("2001:db8::1", 2345), ("2001:db8::2", 1094)))
        wait_for(lambda: list(values(page(lab.a), "flowd_flows_started_total").values()) == [1.0], "the flow")
        daemon.reload(BASE.replace("port: 9100", "port: 9100, maxFlows: 5"))
        wait_for(lambda: list(values(page(lab.a), "flowd_flows_live").values()) == [1.0], "the successor to know the flow")
        assert list(values(page(lab.a), "flowd_flows_started_total").values()) == [0.0], "it started before"
        (live,) = values(page(lab.a), "flowd_flows_live").values()
        assert live == daemon.cli("flows")["live"]


def test_the_dashboard_uses_exported_series(lab):
    """Names and labels: of every query of the dashboard, in the page of a daemon with the modules that it shows."""
    dashboard = json.loads((ROOT / "etc" / "grafana" / "flowd-cpp.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    queries.append(dashboard["templating"]["list"][1]["query"]["query"])
    assert len(queries) > 20
    asked = {name for query in queries for name in re.findall(r"\b(?:flowd|flow|process)_\w+", query)}
    asked -= {"flowd_instance"}  # a label
    configuration = ENRICHED.replace("api: {}", "api: {}\n  fireflyp: {}").replace(
        "backends:\n", "backends:\n  firefly: {sendToCollector: true, collectorAddress: '::1'}\n  marker: {targetInterfaces: [eth0]}\n")
    with Daemon(configuration, lab.a), Api.at(lab.a) as api:
        connection = Connection(lab.a, 1000)
        api.post(start(connection.source, connection.destination))
        wait_for(lambda: "flow_tcp_rtt{" in page(lab.a), "a sample of the flow")
        samples = [sample for family in parse_text(page(lab.a)) for sample in family.samples]
        connection.close()
    exported = {sample.name for sample in samples}
    assert asked <= exported, asked - exported
    # Each label that a query groups by or selects is one of some series that it asks for.
    for query in queries:
        names = set(re.findall(r"\b(?:flowd|flow|process)_\w+", query))
        grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")}
        known = {label for sample in samples if sample.name in names for label in sample.labels}
        assert grouped - {"instance"} <= known, (query, grouped - known)


def test_bytes_of_a_metered_transfer_are_counted_while_it_runs(lab):
    """Without an enricher; a meter refreshes what it announced every 20 s."""
    configuration = ("plugins:\n  perfsonar: {experimentId: atlas, activityId: perfSONAR, interfaces: [eth0]}\n"
                     "backends:\n  metrics: {port: 9100}\n")
    server = traffic.TcpServer(lab.b, 5201)
    with daemon_on(lab.a, configuration) as daemon, traffic.tcp_client(lab.a, lab.b, 5201) as transfer:
        def sent():
            return {dict(labels)["direction"]: value for labels, value in values(page(lab.a), "flowd_flow_bytes_total").items()}.get("sent", 0)

        transfer.sendall(b"x" * 100_000)
        wait_for(lambda: daemon.cli("flows")["live"] == 1, "the flow")
        transfer.sendall(b"x" * 100_000)
        wait_for(lambda: sent() >= 200_000, "its bytes", 60)
        assert daemon.cli("flows")["flows"][0]["bytesSent"] >= 200_000
        assert daemon.cli("flows")["live"] == 1, "it still runs"
    server.close()
