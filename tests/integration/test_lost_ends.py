# SPDX-License-Identifier: Apache-2.0
"""Flows of this host whose end nobody announces: they end when the kernel has no such socket any more."""
import socket

from tests.harness.collector import Collector
from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for

CONFIGURATION = """\
plugins:
  fireflyp: {}
backends:
  firefly:
    sendToDestination: false
    collectors: [{address: "fd5c:17a6:5::b"}]
"""
PORT = 1094
TWO_LOOKS = 20  # seconds: one look every 10
MARGIN = 10     # a busy machine


def firefly(host, peer, port):
    return (f'<134>1 2026-11-23T10:00:01Z se test - firefly-json - {{"version":1,"flow-lifecycle":{{"state":"start",'
            '"start-time":"2026-11-23T10:00:00Z","current-time":"2026-11-23T10:00:01Z"},'
            '"context":{"experiment-id":2,"activity-id":16},"flow-id":{"afi":"ipv6",'
            f'"src-ip":"{host.address6}","dst-ip":"{peer.address6}","protocol":"tcp","src-port":{port},"dst-port":{PORT}}}}}').encode()


class Connections:
    """TCP connections from one host to another, by the port at the first one's end."""

    def __init__(self, host, peer):
        self.host, self.peer = host, peer
        self.server = peer.call(lambda: socket.create_server((peer.address6, PORT), family=socket.AF_INET6))
        self.both_ends = {}

    def open(self):
        near = self.host.call(socket.create_connection, (self.peer.address6, PORT), 10)
        far, _ = self.server.accept()
        self.both_ends[near.getsockname()[1]] = near, far
        return near.getsockname()[1]

    def close(self, port):
        for end in self.both_ends.pop(port):
            end.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for port in list(self.both_ends):
            self.close(port)
        self.server.close()


def test_a_connection_without_an_announced_end_ends_within_two_socket_dumps(lab):
    """case C09: of two local connections, one without its end and one that is not there."""
    daemon = Daemon(CONFIGURATION, prefix=("nsenter", f"--net=/run/netns/{lab.a.name}"))
    with Collector(lab.b) as collector, Connections(lab.a, lab.b) as connections, daemon:
        def told(state):
            return {one["flow-id"]["src-port"] for one in collector.fireflies if one["flow-lifecycle"]["state"] == state}

        closed, kept, never = connections.open(), connections.open(), 9  # no client is given such a port
        sender = lab.a.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
        for port in (closed, kept, never):
            sender.sendto(firefly(lab.a, lab.b, port), ("127.0.0.1", 10514))
        wait_for(lambda: told("start") == {closed, kept, never}, "the starts")
        connections.close(closed)
        wait_for(lambda: told("end") == {closed, never}, "the two ends", TWO_LOOKS + MARGIN)
        ends = [one["flow-id"]["src-port"] for one in collector.fireflies if one["flow-lifecycle"]["state"] == "end"]
        assert sorted(ends) == sorted([closed, never]), "each once, and none of the connection that is still open"
        live = daemon.cli("flows")
        assert live["live"] == 1, live
        assert daemon.stop() == 0
