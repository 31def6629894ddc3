# SPDX-License-Identifier: Apache-2.0
"""The address that a STUN server sees stands in fireflies; without a believable answer they show addresses as they are."""
import pathlib
import shutil
import socket

import pytest

from tests.harness.collector import Collector
from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for
from tests.harness.stun import StunServer

PUBLIC, OTHER, WRITTEN = "198.51.100.7", "203.0.113.9", "192.0.2.33"


def configuration(lab, servers=(), mapping=None):
    stun = f"    stun: {{stunServers: [{', '.join(servers)}], manualMapping: {{{mapping or ''}}}}}\n"
    return f"""\
plugins:
  fireflyp: {{}}
backends:
  firefly:
    sendToDestination: false
    sendToCollector: true
    collectorAddress: "{lab.b.address6}"
{stun}"""


class Flows:
    """Announces flows of host a and says which source the collector was told."""

    def __init__(self, lab, collector):
        self.lab, self.collector, self.port = lab, collector, 20000
        self.socket = lab.a.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)

    def source(self):
        self.port += 1
        firefly = ('<134>1 - storage test - firefly-json - {"version":1,"flow-lifecycle":{"state":"start",'
                   '"start-time":"2026-11-23T10:00:00+00:00","current-time":"2026-11-23T10:00:00+00:00"},'
                   '"context":{"experiment-id":2,"activity-id":16,"application":"test"},"flow-id":{"afi":"ipv4",'
                   f'"src-ip":"{self.lab.a.address4}","dst-ip":"{self.lab.b.address4}","protocol":"tcp","src-port":{self.port},'
                   '"dst-port":1094}}')
        self.socket.sendto(firefly.encode(), ("127.0.0.1", 10514))
        return wait_for(self.told, "the firefly at the collector")

    def told(self):
        return next((one["flow-id"]["src-ip"] for one in self.collector.fireflies if one["flow-id"]["src-port"] == self.port), None)


@pytest.fixture
def flows(lab):
    with Collector(lab.b) as collector:
        flows = Flows(lab, collector)
        yield flows
        flows.socket.close()


def stun(daemon):
    return daemon.details("backend firefly").get("stun")


def learns(daemon, address, seconds=10.0):
    return wait_for(lambda: (seen := stun(daemon)) and seen["public"] == address and seen, f"{address} to be learnt", seconds)


def test_a_stun_server_provides_the_public_address(lab, flows):
    with StunServer(lab.b, PUBLIC) as server, Daemon(configuration(lab, [server.name]), lab.a) as daemon:
        seen = learns(daemon, PUBLIC)
        assert (seen["local"], seen["server"], seen["answered"], seen["lastError"]) == (lab.a.address4, server.name, 1, "")
        assert flows.source() == PUBLIC
        assert [client[0] for client in server.clients] == [lab.a.address4] and not server.malformed


def test_a_stun_server_may_be_a_name_without_port(lab, flows):
    names = pathlib.Path("/etc/netns") / lab.a.name
    names.mkdir(parents=True)
    try:
        (names / "hosts").write_text(f"{lab.b.address4} stun.flowd.test\n")
        with StunServer(lab.b, PUBLIC), Daemon(configuration(lab, ["stun.flowd.test"]), lab.a) as daemon:
            assert learns(daemon, PUBLIC)["server"] == "stun.flowd.test:3478"
            assert flows.source() == PUBLIC
    finally:
        shutil.rmtree(names)


def test_without_nat_the_address_is_unchanged(lab, flows):
    with StunServer(lab.b, lab.a.address4) as server, Daemon(configuration(lab, [server.name]), lab.a) as daemon:
        learns(daemon, lab.a.address4)
        assert flows.source() == lab.a.address4


def test_without_stun_servers_nothing_is_sent(lab, flows):
    with StunServer(lab.b, PUBLIC) as server, Daemon(configuration(lab), lab.a) as daemon:
        assert flows.source() == lab.a.address4
        assert stun(daemon) is None and not server.clients


def test_a_configured_public_address_takes_precedence(lab, flows):
    mapping = f"{lab.a.address4}: {WRITTEN}"
    with StunServer(lab.b, PUBLIC) as server, Daemon(configuration(lab, [server.name], mapping), lab.a) as daemon:
        learns(daemon, PUBLIC)
        assert flows.source() == WRITTEN


def test_an_answer_to_another_request_changes_nothing(lab, flows):
    with StunServer(lab.b, OTHER, wrong_id=True) as server, Daemon(configuration(lab, [server.name]), lab.a) as daemon:
        wait_for(lambda: stun(daemon)["ignored"] >= 2, "two answers to be ignored")
        assert flows.source() == lab.a.address4
        assert (stun(daemon)["public"], stun(daemon)["answered"]) == ("", 0)


def test_the_second_server_is_asked_when_the_first_is_silent(lab, flows):
    with StunServer(lab.b) as silent, StunServer(lab.b, PUBLIC, 3479) as second, \
            Daemon(configuration(lab, [silent.name, second.name]), lab.a) as daemon:
        silent.wait_for_requests(2)
        assert flows.source() == lab.a.address4  # nobody waits for the server
        seen = learns(daemon, PUBLIC, 20)
        assert (seen["server"], seen["failed"], seen["lastError"]) == (second.name, 1, f"{silent.name}: no answer")
        assert len(silent.clients) == 4 and len(set(silent.clients)) == 1
        assert flows.source() == PUBLIC
        assert daemon.stop() == 0


def test_a_stop_does_not_wait_for_a_server_that_does_not_answer(lab):
    with StunServer(lab.b) as silent, Daemon(configuration(lab, [silent.name]), lab.a) as daemon:
        silent.wait_for_requests(1)
        assert daemon.stop() == 0
        assert len(silent.clients) < 4


def test_a_reload_changes_the_stun_servers(lab, flows):
    with StunServer(lab.b, PUBLIC) as first, StunServer(lab.b, OTHER, 3479) as second, Daemon(configuration(lab), lab.a) as daemon:
        assert flows.source() == lab.a.address4
        daemon.reload(configuration(lab, [first.name]))
        learns(daemon, PUBLIC)
        assert flows.source() == PUBLIC
        daemon.reload(configuration(lab, [second.name]))
        learns(daemon, OTHER)
        assert flows.source() == OTHER
        daemon.reload(configuration(lab))
        assert flows.source() == lab.a.address4
        assert (len(first.clients), len(second.clients), stun(daemon)) == (1, 1, None)
