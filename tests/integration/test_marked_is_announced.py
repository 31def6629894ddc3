# SPDX-License-Identifier: Apache-2.0
"""On hosts with the routes of research networks, the documented perfSONAR configurations announce each flow that they mark, with its
bytes: static routes only, a default route on the management interface alone, source routing over several interfaces."""
import re
import socket

import pytest

from tests.harness.collector import Collector
from tests.harness.daemon import ROOT
from tests.harness.lab import wait_for
from tests.integration.test_discovery import daemon_on

CONFIGURATIONS = {
    "recommended": (ROOT / "tests/data/configs/perfsonar-2.5.yaml").read_text(),
    "example": (ROOT / "etc/examples/perfsonar.yaml").read_text(),
    "readme": re.search(r"## A first configuration\n.*?```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1],
}
SECOND = {"a": ("fd5c:17a6:6::a", "10.93.8.1"), "b": ("fd5c:17a6:6::b", "10.93.8.2")}  # on eth1
FAR6, FAR4 = "2001:db8:77::b", "198.51.100.77"  # of host b, behind a router as far as host a knows
SIZE = 20000


def configuration(name, interfaces, collector):
    text = CONFIGURATIONS[name]
    for theirs, ours in {"[eth0]": interfaces, "[ens4f0np0, ens4f1np1]": interfaces, "[eno1]": interfaces, "collector.example.org": collector}.items():
        text = text.replace(theirs, ours)
    return text


def add_second_interface(lab):
    lab.a.run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth1", "netns", lab.b.name)
    for host, (six, four) in ((lab.a, SECOND["a"]), (lab.b, SECOND["b"])):
        host.run("ip", "addr", "add", f"{six}/64", "dev", "eth1", "nodad")
        host.run("ip", "addr", "add", f"{four}/24", "dev", "eth1")
        host.run("ip", "link", "set", "eth1", "up")
    wait_for(lambda: lab.a.run("ping", "-c", "1", "-W", "1", SECOND["b"][0], check=False).returncode == 0, "the second interface")


def static_routes_only(lab):
    lab.a.run("ip", "route", "add", FAR6, "via", lab.b.address6)
    lab.a.run("ip", "route", "add", FAR4, "via", lab.b.address4)
    return "[eth0]", None


def default_route_on_the_management_interface(lab):
    add_second_interface(lab)
    static_routes_only(lab)
    lab.a.run("ip", "-6", "route", "add", "default", "via", SECOND["b"][0])
    lab.a.run("ip", "route", "add", "default", "via", SECOND["b"][1])
    return "[eth0]", None


def source_routing_over_two_interfaces(lab):
    """No table has all routes: each interface has a table of its own, chosen by the source address."""
    add_second_interface(lab)
    for table, interface, source, router in (("101", "eth0", (lab.a.address6, lab.a.address4), (lab.b.address6, lab.b.address4)),
                                             ("102", "eth1", SECOND["a"], SECOND["b"])):
        for family, address, via in (("-6", source[0], router[0]), ("-4", source[1], router[1])):
            lab.a.run("ip", family, "route", "add", "default", "via", via, "dev", interface, "table", table)
            lab.a.run("ip", family, "rule", "add", "from", address, "lookup", table)
    return "[eth0, eth1]", SECOND["a"]


class Peer:
    """What host b offers at its far addresses: TCP that reads to the end, UDP that is thrown away."""

    def __init__(self, host):
        def bind(kind, port):
            sock = socket.socket(socket.AF_INET6, kind)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(("::", port))
            if kind == socket.SOCK_STREAM:
                sock.listen()
            return sock

        self.tcp, self.udp = host.call(bind, socket.SOCK_STREAM, 5201), host.call(bind, socket.SOCK_DGRAM, 8760)
        self.tcp.settimeout(10)

    def close(self):
        self.tcp.close()
        self.udp.close()


def connect(host, kind, source, destination, port):
    sock = socket.socket(socket.AF_INET6 if ":" in destination else socket.AF_INET, kind)
    sock.settimeout(10)
    sock.bind((source, 0))
    sock.connect((destination, port))
    return sock


def send_seven_flows(lab, peer, second):
    """Their ports at host a. The seventh uses the second interface where there is one."""
    other6 = second[0] if second else lab.a.address6
    ports = []
    for kind, source, destination in ((socket.SOCK_STREAM, lab.a.address6, FAR6), (socket.SOCK_STREAM, lab.a.address4, FAR4),
                                      (socket.SOCK_STREAM, lab.a.address6, lab.b.address6), (socket.SOCK_STREAM, other6, FAR6),
                                      (socket.SOCK_DGRAM, lab.a.address6, FAR6), (socket.SOCK_DGRAM, lab.a.address4, FAR4),
                                      (socket.SOCK_DGRAM, other6, FAR6)):
        port = 5201 if kind == socket.SOCK_STREAM else 8760
        with lab.a.call(connect, lab.a, kind, source, destination, port) as sock:
            ports.append(sock.getsockname()[1])
            if kind == socket.SOCK_STREAM:
                accepted, _ = peer.tcp.accept()
                sock.sendall(b"x" * SIZE)
                sock.shutdown(socket.SHUT_WR)
                with accepted:
                    while accepted.recv(65536):
                        pass
            else:
                for _ in range(SIZE // 1000):
                    sock.send(b"x" * 1000)
    return ports


@pytest.mark.parametrize("name", sorted(CONFIGURATIONS))
@pytest.mark.parametrize("routes", [static_routes_only, default_route_on_the_management_interface, source_routing_over_two_interfaces])
def test_each_of_seven_flows_is_announced_with_its_bytes(lab, name, routes):
    lab.b.run("ip", "addr", "add", f"{FAR6}/128", "dev", "lo", "nodad")
    lab.b.run("ip", "addr", "add", f"{FAR4}/32", "dev", "lo")
    for knob in ("all", "eth0", "default"):
        lab.b.run("sysctl", "-qw", f"net.ipv4.conf.{knob}.rp_filter=0")
    interfaces, second = routes(lab)
    peer = Peer(lab.b)
    with Collector(lab.b) as collector, daemon_on(lab.a, configuration(name, interfaces, lab.b.address6)) as daemon:
        ports = send_seven_flows(lab, peer, second)
        assert daemon.stop() == 0  # every flow ends by then
        wait_for(lambda: sum(one["flow-lifecycle"]["state"] == "end" for one in list(collector.fireflies)) >= len(ports), "each end")
    peer.close()
    told = {port: {} for port in ports}
    for one in collector.fireflies:
        state = one["flow-lifecycle"]["state"]
        assert one["flow-id"]["src-port"] in told, one
        assert state not in told[one["flow-id"]["src-port"]], f"{state} twice"
        told[one["flow-id"]["src-port"]][state] = one
        assert (one["context"]["experiment-id"], one["context"]["activity-id"]) == (2, 2)
    for port, states in told.items():
        assert set(states) == {"start", "end"}, (port, set(states))
        assert states["end"]["usage"]["sent"] >= SIZE, states["end"]
