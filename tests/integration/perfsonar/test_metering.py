# SPDX-License-Identifier: Apache-2.0
"""Real tests between two hosts, as a perfSONAR node runs them, and what a collector hears of them."""
import collections
import contextlib
import http.client
import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from tests.harness.collector import Collector
from tests.harness.daemon import Daemon
from tests.harness.hooks import detach_tcx, has_clsact
from tests.harness.http import Api
from tests.harness.lab import Host, sh, wait_for
from tests.harness.process import cpu_seconds, resident_kib

TAG = (2, 16)


def configuration(lab, more="", backend=""):
    return (f"plugins:\n  perfsonar: {{experimentId: {TAG[0]}, activityId: {TAG[1]}, interfaces: [eth0], idleTimeout: 2s{more}}}\n"
            f"backends:\n  firefly: {{sendToCollector: true, collectorAddress: \"{lab.b.address6}\"}}\n{backend}")


@pytest.fixture
def collector(lab):
    with Collector(lab.b) as collecting:
        yield collecting


def status(daemon):
    """What the plugin says; one that is busy is shown without."""
    return wait_for(lambda: daemon.cli("status")["details"]["plugin perfsonar"].get("status"), "the plugin to answer", 30)


Key = collections.namedtuple("Key", "protocol source source_port destination destination_port")


def key_of(firefly):
    flow = firefly["flow-id"]
    return Key(flow["protocol"], flow["src-ip"], flow["src-port"], flow["dst-ip"], flow["dst-port"])


class Heard:
    """What the collector heard, by flow; checks what must hold of every firefly."""

    def __init__(self, collector):
        self.flows = collections.defaultdict(lambda: collections.defaultdict(list))
        assert not collector.refused
        for firefly in list(collector.fireflies):
            key, life = key_of(firefly), firefly["flow-lifecycle"]
            assert "::" not in (key.source, key.destination) and key.source_port and key.destination_port
            assert (firefly["context"]["experiment-id"], firefly["context"]["activity-id"]) == TAG
            if life["state"] == "end":
                assert life["start-time"] <= life["end-time"]
            self.flows[key][life["state"]].append(firefly)

    def ended_once(self, **wanted):
        """The flows that match, each with one start and one end; key -> its end firefly."""
        found = {key: states for key, states in self.flows.items()
                 if all(getattr(key, name) == value for name, value in wanted.items())}
        for key, states in found.items():
            assert len(states["start"]) == 1 and len(states["end"]) == 1, (key, {k: len(v) for k, v in states.items()})
        return {key: states["end"][0] for key, states in found.items()}


def wait_for_ends(collector, count, seconds=15, **wanted):
    def ended():
        ends = [firefly for firefly in collector.fireflies if firefly["flow-lifecycle"]["state"] == "end" and
                all(getattr(key_of(firefly), name) == value for name, value in wanted.items())]
        return len(ends) >= count

    wait_for(ended, f"{count} ends of {wanted or 'any flow'}", seconds)
    return Heard(collector).ended_once(**wanted)


class Iperf3:
    """A server on b, and tests from a against it."""

    def __init__(self, lab):
        self.lab = lab
        self.server = lab.b.popen("iperf3", "-s", stdout=subprocess.DEVNULL)
        wait_for(lambda: ":5201" in lab.b.run("ss", "-Hltn").stdout, "the iperf3 server")

    def run(self, *options, address=None):
        done = self.lab.a.run("iperf3", "-c", address or self.lab.b.address6, "-J", *options)
        return json.loads(done.stdout)["end"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.terminate()
        self.server.wait()


def usage(firefly):
    return firefly["usage"]["sent"], firefly["usage"]["received"]


COOKIE = 37  # iperf3 sends so many bytes first on each of its TCP connections, and does not report them


def test_a_tcp_test_is_a_control_and_a_data_flow_with_the_bytes_that_iperf3_reports(lab, collector):
    with Iperf3(lab) as iperf3, Daemon(configuration(lab), lab.a):
        report = iperf3.run("-t", "1", "-b", "200M")
        ends = wait_for_ends(collector, 2, destination_port=5201)
    assert len(ends) == 2
    data = max(ends.values(), key=usage)
    sent = report["sum_sent"]["bytes"] + COOKIE
    assert sent <= usage(data)[0] <= sent + report["sum_sent"]["retransmits"] * 65536
    assert all(key.source == lab.a.address6 for key in ends), "the source is this host"


def test_parallel_and_reverse_streams_are_flows_of_their_own(lab, collector):
    with Iperf3(lab) as iperf3, Daemon(configuration(lab), lab.a):
        report = iperf3.run("-t", "1", "-P", "3", "-R", "-b", "50M")
        ends = wait_for_ends(collector, 4, destination_port=5201)
    assert len(ends) == 4, "three streams and the control connection"
    streams = sorted((usage(firefly)[1] for firefly in ends.values()), reverse=True)[:3]
    sent = sum(stream["sender"]["bytes"] for stream in report["streams"])
    retransmitted = sum(stream["sender"].get("retransmits", 0) for stream in report["streams"])
    received = sum(stream["receiver"]["bytes"] for stream in report["streams"])
    assert received <= sum(streams) <= sent + retransmitted * 65536


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("version", [4, 6])
def test_a_udp_test_has_the_bytes_and_packets_that_iperf3_reports(lab, collector, reverse, version):
    address = lab.b.address6 if version == 6 else lab.b.address4
    with Iperf3(lab) as iperf3, Daemon(configuration(lab), lab.a):
        report = iperf3.run("-u", "-t", "1", "-b", "20M", "-l", "1200", *(["-R"] if reverse else []), address=address)
        (firefly,) = wait_for_ends(collector, 1, protocol="udp", destination_port=5201).values()
    sent, received = usage(firefly)
    data, other = (received, sent) if reverse else (sent, received)
    # Both ends first exchange four bytes; a packet may be counted that the report of that moment missed.
    assert other == 4
    stream = report["streams"][0]["udp"]
    assert abs(data - 4 - stream["bytes"]) <= 1200 * 2, (data, stream)
    assert (data - 4) % 1200 == 0


def owamp_receiver(host, ports):
    def bind():
        sockets = []
        for port in ports:
            sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            sock.bind(("::", port))
            sockets.append(sock)
        return sockets

    return host.call(bind)


def close_all(sockets):
    for sock in sockets:
        sock.close()


def udp_sender(lab, peer_port):
    def connect():
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.connect((lab.b.address6, peer_port))
        return sock

    return lab.a.call(connect)


def test_owamp_streams_to_many_peers_are_one_flow_each(lab, collector):
    ports = range(8760, 8790)
    receivers = owamp_receiver(lab.b, ports)
    with Daemon(configuration(lab), lab.a):
        senders = [udp_sender(lab, port) for port in ports]
        for _ in range(10):  # ten packets a second, as powstream sends them
            for sender in senders:
                sender.send(b"x" * 14)
            time.sleep(0.1)
        close_all(senders)
        ends = wait_for_ends(collector, len(ports), protocol="udp")
    close_all(receivers)
    assert {key.destination_port for key in ends} == set(ports)
    assert {usage(firefly) for firefly in ends.values()} == {(140, 0)}


def test_a_twamp_session_is_one_flow_with_reflected_packets(lab, collector):
    (reflector,) = owamp_receiver(lab.b, [18760])

    def reflect():
        for _ in range(30):
            packet, sender = reflector.recvfrom(2000)
            reflector.sendto(packet, sender)

    reflecting = threading.Thread(target=reflect)
    with Daemon(configuration(lab), lab.a):
        reflecting.start()
        with udp_sender(lab, 18760) as sock:
            sock.settimeout(5)
            for _ in range(30):
                sock.send(b"x" * 41)
                assert len(sock.recv(2000)) == 41
        (firefly,) = wait_for_ends(collector, 1, destination_port=18760).values()
    reflecting.join()
    close_all([reflector])
    assert usage(firefly) == (30 * 41, 30 * 41)
    assert len(Heard(collector).flows) == 1


def test_traceroute_and_ping_are_flows_only_if_they_have_ports(lab, collector):
    with Daemon(configuration(lab), lab.a) as daemon:
        before = status(daemon)["packets"]["icmp"]
        lab.a.run("ping", "-6", "-c", "3", "-i", "0.05", lab.b.address6)
        with lab.a.call(socket.socket, socket.AF_INET6, socket.SOCK_DGRAM) as probes:  # traceroute -U: a port for each probe
            probes.bind(("::", 40123))
            probes.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
            for port in range(33434, 33464):
                probes.sendto(b"@" * 32, (lab.b.address6, port))
        ends = wait_for_ends(collector, 30, protocol="udp", source_port=40123)
        after = status(daemon)["packets"]["icmp"]
        heard = Heard(collector)
    assert {key.destination_port for key in ends} == set(range(33434, 33464))
    assert all(usage(firefly) == (32, 0) for firefly in ends.values())
    assert set(heard.flows) == set(ends)
    assert after["packetsOut"] - before["packetsOut"] >= 3 and after["packetsIn"] - before["packetsIn"] >= 3


class Echo:
    """A TCP server on a host that answers each connection with what it got and closes it after the client."""

    def __init__(self, host, port, abort=False, apart=False):
        """`apart`: in a process of its own, for a thread would share the interpreter with the clients."""
        self.abort = abort
        self.listener = host.call(lambda: socket.create_server((host.address6, port), family=socket.AF_INET6, backlog=4096))
        kind = multiprocessing.get_context("fork").Process if apart else threading.Thread
        self.server = kind(target=self._serve, daemon=True)
        self.server.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
                    if self.abort:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        break
            except ConnectionError:
                pass
            connection.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.server.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def short_connections(lab, ports, count, rate):
    """So many connections from a, each with 100 bytes there and back, closed by both ends; a client for each port,
    for of one tuple only so many are free again within a minute."""
    def some(port, number):
        for i in range(number):
            with socket.create_connection((lab.b.address6, port)) as sock:
                sock.sendall(b"x" * 100)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
            due = begun + (i + 1) * len(ports) / rate
            if (early := due - time.monotonic()) > 0:
                time.sleep(early)

    begun = time.monotonic()
    process = multiprocessing.get_context("fork").Process  # they would share the interpreter otherwise
    workers = [process(target=lab.a.call, args=(some, port, count // len(ports))) for port in ports]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(worker.exitcode == 0 for worker in workers)


def test_a_thousand_short_connections_a_second_are_each_announced_once(lab, collector, capsys):
    """FLOWD_LONG=1: for a minute, with what they cost."""
    count = 60000 if os.environ.get("FLOWD_LONG") else 3000
    lab.a.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65000")
    ports = range(9000, 9004)
    with contextlib.ExitStack() as servers, Daemon(configuration(lab), lab.a) as daemon:
        for port in ports:
            servers.enter_context(Echo(lab.b, port, apart=True))
        begun, used = time.monotonic(), cpu_seconds(daemon.process.pid)
        short_connections(lab, ports, count, 1000)
        took = time.monotonic() - begun
        wait_for(lambda: status(daemon)["flows"]["ended"] >= count, "the ends of all")
        after = status(daemon)
        with capsys.disabled():
            print(f"\n{count / took:.0f} connections a second: {(cpu_seconds(daemon.process.pid) - used) / took:.3f} CPU s per second, "
                  f"{after['scans']} scans")
        wait_for(lambda: len(collector.fireflies) >= 2 * count, "all fireflies", 20)
    heard = collections.Counter((key_of(firefly), firefly["flow-lifecycle"]["state"]) for firefly in collector.fireflies)
    # A port may be used again within the minute; of each tuple there are as many ends as starts.
    assert sum(number for (key, state), number in heard.items() if state == "start" and key.destination_port in ports) == count
    assert all(heard[key, "end"] == heard[key, "start"] for key, _ in heard)
    assert after["flows"]["started"] == after["flows"]["ended"] == count
    assert {usage(firefly) for firefly in collector.fireflies if firefly["flow-lifecycle"]["state"] == "end"} == {(100, 100)}


def test_a_reset_ends_a_flow(lab, collector):
    with Echo(lab.b, 9000, abort=True), Daemon(configuration(lab), lab.a):
        with lab.a.call(socket.create_connection, (lab.b.address6, 9000)) as sock:
            sock.sendall(b"x" * 100)
            with pytest.raises(ConnectionResetError):
                while sock.recv(4096):
                    pass
        (firefly,) = wait_for_ends(collector, 1, destination_port=9000, seconds=3).values()
    assert usage(firefly) == (100, 100)


def test_killing_the_program_ends_its_flow_and_late_packets_do_not_open_one(lab, collector):
    with Echo(lab.b, 9000), Daemon(configuration(lab), lab.a) as daemon:
        client = lab.a.popen("python3", "-c", "import socket, time\n"
                             f"s = socket.create_connection(('{lab.b.address6}', 9000)); s.sendall(b'x' * 100)\n"
                             "s.recv(100); print('ready', flush=True); time.sleep(60)", stdout=subprocess.PIPE)
        assert client.stdout.readline() == b"ready\n"
        os.kill(client.pid, signal.SIGKILL)
        client.wait()
        client.stdout.close()
        wait_for_ends(collector, 1, destination_port=9000, seconds=5)
        # The last of its packets are long past, and so is what the table remembers of it.
        wait_for(lambda: status(daemon)["metered"] == 0, "an empty table", 15)
        assert status(daemon)["flows"]["started"] == 1
    assert len(collector.fireflies) == 2


def test_a_flow_whose_interface_is_removed_ends(lab, collector):
    receivers = owamp_receiver(lab.b, [8760])
    with Daemon(configuration(lab, ", interfaces: [eth0, eth9], idleTimeout: 10min").replace("interfaces: [eth0], idleTimeout: 2s, ", ""),
                lab.a) as daemon:
        lab.a.run("ip", "link", "add", "eth9", "type", "veth", "peer", "name", "eth8")
        lab.a.run("ip", "link", "set", "eth8", "up")
        lab.a.run("ip", "link", "set", "eth9", "up")
        lab.a.run("ip", "addr", "add", "fd5c:17a6:9::1/64", "dev", "eth9", "nodad")
        lab.a.run("ip", "neigh", "add", "fd5c:17a6:9::2", "lladdr", "02:00:00:00:00:09", "dev", "eth9", "nud", "permanent")
        wait_for(lambda: {entry["interface"]: entry["hook"] for entry in status(daemon)["interfaces"]}.get("eth9") != "absent", "eth9")
        with udp_sender(lab, 8760) as other, lab.a.call(socket.socket, socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            other.send(b"x")
            sock.sendto(b"x" * 10, ("fd5c:17a6:9::2", 8761))
            wait_for(lambda: status(daemon)["announced"] == 2, "both flows")
            lab.a.run("ip", "link", "del", "eth9")
            (firefly,) = wait_for_ends(collector, 1, destination_port=8761).values()
            assert usage(firefly) == (10, 0)
            assert status(daemon)["announced"] == 1, "the one at the other interface goes on"
    close_all(receivers)


def test_the_daemons_own_traffic_is_not_a_flow_including_closed_sockets(lab, collector):
    """A collector's name is asked for by sockets of the C library that live for a moment; fireflies go on the same interface."""
    resolver = pathlib.Path("/etc/netns") / lab.a.name
    resolver.mkdir(parents=True)
    (resolver / "resolv.conf").write_text(f"nameserver {lab.b.address6}\noptions timeout:1 attempts:2\n")
    queries, asked = owamp_receiver(lab.b, [53]), []

    def answer():  # there is no such name, at once: so that the socket is closed before anybody could look at it
        while not asked or asked[-1]:
            query, asker = queries[0].recvfrom(512)
            asked.append(b"\x09collector\x07example" in query)
            queries[0].sendto(query[:2] + b"\x81\x83" + query[4:], asker)

    answering = threading.Thread(target=answer)
    answering.start()
    receivers = owamp_receiver(lab.b, [8760])
    try:
        named = configuration(lab, backend="  firefly/named: {sendToCollector: true, collectorAddress: collector.example.org}\n")
        with Daemon(named, lab.a) as daemon:
            with udp_sender(lab, 8760) as other:
                other.send(b"x")
            wait_for_ends(collector, 1, destination_port=8760)
            assert len(asked) >= 2 and status(daemon)["flows"]["own"] >= 2, "queries and fireflies"
        assert {key.destination_port for key in Heard(collector).flows} == {8760}
    finally:
        shutil.rmtree(resolver)
        with udp_sender(lab, 53) as last:
            last.send(b"that was all")
        answering.join()
        close_all(queries + receivers)


def test_requests_to_the_daemon_are_not_flows_but_those_to_another_program_of_its_user_are(lab, collector):
    """Told apart by the socket: what this very process, of the same user and control group, serves is announced."""
    bearer = "a-token-of-enough-characters"
    daemon = Daemon("", lab.a)
    token = daemon.directory / "token"
    token.write_text(bearer + "\n")
    token.chmod(0o640)
    daemon.conf.write_text(
        configuration(lab, backend=f"  metrics: {{bindAddress: '::', port: 9100, tokenFile: {token}}}\n")
        .replace("backends:", f"  api: {{bindAddress: '::', tokenFile: {token}}}\nbackends:"))

    def ask(address, port, path, close):
        """One connection each: left open for a while, or closed at once by either side."""
        connection = http.client.HTTPConnection("flowd.test")
        connection.sock = lab.b.call(socket.create_connection, (address, port), 10)
        connection.request("GET", path, headers={"Authorization": f"Bearer {bearer}", "Connection": "close" if close else "keep-alive"})
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read()
        return connection

    flow = {"state": "start", "protocol": "tcp", "source": {"address": "2001:db8::1", "port": 2345},
            "destination": {"address": "2001:db8::2", "port": 1094}, "experiment": TAG[0], "activity": TAG[1]}
    with daemon, Echo(lab.a, 9000):
        kept = []
        for round in range(10):
            for address in (lab.a.address6, lab.a.address4):
                for port, path in ((9100, "/metrics"), (7777, "/flows")):
                    connection = ask(address, port, path, close=round % 2 == 0)
                    kept.append(connection) if round % 3 == 0 else connection.close()
        with Api.at(lab.b, address=lab.a.address6, headers={"Authorization": f"Bearer {bearer}"}) as api:
            assert api.post(flow)[0] == 200
            assert api.post(flow | {"state": "end"})[0] == 200
        with lab.b.call(socket.create_connection, (lab.a.address6, 9000)) as sock:
            sock.sendall(b"x" * 100)
            sock.shutdown(socket.SHUT_WR)
            assert len(sock.recv(100, socket.MSG_WAITALL)) == 100
        wait_for_ends(collector, 1, source_port=9000)
        for connection in kept:
            connection.close()
        wait_for(lambda: status(daemon)["flows"]["own"] >= 41, "the daemon's own flows to be seen")
        wait_for(lambda: {state for key, states in Heard(collector).flows.items() if key.destination_port == 1094 for state in states}
                 == {"start", "end"}, "what the API was told")
        assert daemon.stop() == 0
    assert {(key.source_port, key.destination_port) for key in Heard(collector).flows if key.source_port != 9000} == {(2345, 1094)}


def interface_counters(host, device="eth0"):
    (link,) = json.loads(host.run("ip", "-j", "-s", "link", "show", device).stdout)
    return link["stats64"]["tx"]["bytes"], link["stats64"]["rx"]["bytes"], link["stats64"]["tx"]["packets"], link["stats64"]["rx"]["packets"]


def metered_frames(daemon):
    counts = status(daemon)["packets"].values()
    return tuple(sum(count[name] for count in counts) for name in ("frameBytesOut", "frameBytesIn", "packetsOut", "packetsIn"))


def test_the_meters_frames_are_what_the_interface_counts(lab, collector):
    for host in (lab.a, lab.b):  # a veth counts a large segment once; a NIC, as the meter, what it becomes on the wire
        host.run("ethtool", "-K", "eth0", "tso", "off", "gso", "off", "gro", "off")
    with Iperf3(lab) as iperf3, Daemon(configuration(lab), lab.a) as daemon:
        first = interface_counters(lab.a), metered_frames(daemon)
        iperf3.run("-t", "1", "-b", "300M")
        iperf3.run("-t", "1", "-u", "-b", "30M", "-R")
        lab.a.run("ping", "-c", "3", "-i", "0.05", lab.b.address4)
        short = udp_sender(lab, 9)  # a short frame, and the answer that nobody listens
        short.send(b"x")
        short.close()
        last = interface_counters(lab.a), metered_frames(daemon)
    moved = [[after - before for before, after in zip(*pair)] for pair in zip(first, last)]
    for interface, meter in zip(*moved):
        assert interface > 1000 and abs(interface - meter) <= interface / 1000, moved


def test_large_segments_are_counted_as_packets_on_the_wire(lab, collector):
    """With offloads on: the other side counts the packets that really arrive when it switches its own off."""
    lab.b.run("ethtool", "-K", "eth0", "gro", "off")
    with Iperf3(lab) as iperf3, Daemon(configuration(lab), lab.a) as daemon:
        report = iperf3.run("-t", "1", "-b", "500M", "-M", "1200")
        ends = wait_for_ends(collector, 2, destination_port=5201)
        data = max(ends.values(), key=usage)
        large = interface_counters(lab.a)[2]
        counted = status(daemon)["packets"]["metered"]
    assert report["sum_sent"]["bytes"] + COOKIE <= usage(data)[0]
    assert counted["packetsOut"] >= report["sum_sent"]["bytes"] / 1200, "each segment carries 1200 bytes at most"
    assert large < counted["packetsOut"] / 2, "or there were no large segments"


def test_after_a_restart_flows_in_progress_start_when_they_are_seen(lab, collector):
    receivers = owamp_receiver(lab.b, [8760])
    with Echo(lab.b, 9000), lab.a.call(socket.create_connection, (lab.b.address6, 9000)) as sock, udp_sender(lab, 8760) as udp:
        def speak():
            sock.sendall(b"x" * 10)
            assert len(sock.recv(10, socket.MSG_WAITALL)) == 10
            udp.send(b"x" * 10)

        speak()
        for life in (1, 2):
            with Daemon(configuration(lab), lab.a) as daemon:
                speak()
                wait_for(lambda: status(daemon)["announced"] == 2, "both flows")
                assert daemon.stop() == 0
            wait_for(lambda: len(collector.fireflies) == 4 * life, "a start and an end of both")
    close_all(receivers)
    for states in Heard(collector).flows.values():
        assert len(states["start"]) == len(states["end"]) == 2, "one of each in both lives"
        assert all(usage(firefly)[0] == 10 for firefly in states["end"])


def test_a_reload_during_flows_loses_nothing_and_splits_no_flow(lab, collector):
    receivers = owamp_receiver(lab.b, [8760])
    with Echo(lab.b, 9000), Daemon(configuration(lab), lab.a) as daemon, udp_sender(lab, 8760) as udp:
        with lab.a.call(socket.create_connection, (lab.b.address6, 9000)) as sock:
            for number, more in enumerate(["", ", exclude: {ports: [22]}", ", minBytes: 1", ", maxFlows: 262144", ", maxFlows: 100"]):
                if number:
                    daemon.reload(configuration(lab, more))
                for _ in range(10):
                    sock.sendall(b"x" * 10)
                    assert len(sock.recv(10, socket.MSG_WAITALL)) == 10
                    udp.send(b"x" * 10)
        ends = wait_for_ends(collector, 2)
    close_all(receivers)
    assert {key.destination_port: usage(firefly) for key, firefly in ends.items()} == {9000: (500, 500), 8760: (500, 0)}
    assert len(collector.fireflies) == 4


class Container:
    """A host behind veth and routing of a: in a namespace of its own."""

    def __init__(self, lab):
        self.name, self.address6, self.lab = lab.a.name + "-c", "fd5c:17a6:c::2", lab

    def __enter__(self):
        run = self.lab.a.run
        sh("ip", "netns", "add", self.name)
        run("ip", "link", "add", "vethc", "type", "veth", "peer", "name", "eth0", "netns", self.name)
        run("ip", "link", "set", "vethc", "up")
        run("ip", "addr", "add", "fd5c:17a6:c::1/64", "dev", "vethc", "nodad")
        run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        for command in (["addr", "add", f"{self.address6}/64", "dev", "eth0", "nodad"], ["link", "set", "eth0", "up"],
                        ["route", "add", "default", "via", "fd5c:17a6:c::1"]):
            sh("ip", "-n", self.name, *command)
        self.lab.b.run("ip", "route", "add", "fd5c:17a6:c::/64", "via", self.lab.a.address6)
        self.host = Host(self.name, self.address6, None)
        return self.host

    def __exit__(self, *_):
        sh("ip", "netns", "del", self.name)


def test_traffic_of_a_container_counts_once_and_for_the_container(lab, collector):
    with Container(lab) as container, Echo(lab.b, 9000), Daemon(configuration(lab), lab.a):
        with container.call(socket.create_connection, (lab.b.address6, 9000)) as sock:
            sock.sendall(b"x" * 1000)
            assert len(sock.recv(1000, socket.MSG_WAITALL)) == 1000
        (firefly,) = wait_for_ends(collector, 1, destination_port=9000).values()
    assert firefly["flow-id"]["src-ip"] == container.address6 and usage(firefly) == (1000, 1000)


def test_a_flow_seen_on_two_metered_interfaces_is_one_flow_and_its_bytes_are_not_doubled(lab, collector):
    both = configuration(lab).replace("interfaces: [eth0]", "interfaces: [eth0, vethc]")
    with Container(lab) as container, Echo(lab.b, 9000), Daemon(both, lab.a) as daemon:
        with container.call(socket.create_connection, (lab.b.address6, 9000)) as sock:
            sock.sendall(b"x" * 1000)
            assert len(sock.recv(1000, socket.MSG_WAITALL)) == 1000
        ends = wait_for_ends(collector, 1, source_port=9000)  # as its first packet, which came in at vethc, sees it
        elsewhere = status(daemon)["packets"]["elsewhere"]
    (firefly,) = ends.values()
    assert sorted(usage(firefly)) == [1000, 1000]
    assert elsewhere["packetsOut"] + elsewhere["packetsIn"] > 4, "each packet came by twice"


def test_with_source_routing_over_two_nics_a_flow_is_one_flow(lab, collector):
    """a sends through eth0 and hears through eth1, as a host does whose answers come by another route."""
    a, b = lab.a.run, lab.b.run
    a("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth1", "netns", lab.b.name)
    for run in (a, b):
        run("ip", "link", "set", "eth1", "up")
    a("ip", "addr", "add", "fd5c:17a6:7::a/64", "dev", "eth1", "nodad")
    b("ip", "addr", "add", "fd5c:17a6:7::b/64", "dev", "eth1", "nodad")
    b("ip", "route", "add", f"{lab.a.address6}/128", "via", "fd5c:17a6:7::a", "dev", "eth1")
    two = configuration(lab).replace("interfaces: [eth0]", "interfaces: [eth0, eth1]")
    with Echo(lab.b, 9000), Daemon(two, lab.a) as daemon:
        before = status(daemon)["packets"]["elsewhere"]
        with lab.a.call(socket.create_connection, (lab.b.address6, 9000)) as sock:
            sock.sendall(b"x" * 1000)
            assert len(sock.recv(1000, socket.MSG_WAITALL)) == 1000
        (firefly,) = wait_for_ends(collector, 1, destination_port=9000).values()
        after = status(daemon)["packets"]["elsewhere"]
    assert usage(firefly) == (1000, 1000)
    assert before == after
    assert interface_counters(lab.a, "eth1")[1] > 1000, "the answers did come through eth1"


def test_in_a_private_cgroup_namespace_rules_work_the_same(lab, collector):
    receivers = owamp_receiver(lab.b, [8760])
    with Daemon(configuration(lab), lab.a):
        lab.a.run("unshare", "--cgroup", "python3", "-c", "import socket\n"
                  "s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
                  f"s.sendto(b'x' * 10, ('{lab.b.address6}', 8760))")
        (firefly,) = wait_for_ends(collector, 1, destination_port=8760).values()
    close_all(receivers)
    assert usage(firefly) == (10, 0)


def test_the_default_route_chooses_the_interface_and_its_change_is_followed(lab, collector):
    receivers = owamp_receiver(lab.b, [8760])
    chosen = configuration(lab).replace("interfaces: [eth0], ", "")
    with Daemon(chosen, lab.a) as daemon, udp_sender(lab, 8760) as sock:
        assert status(daemon)["interfaces"] == []
        lab.a.run("ip", "-4", "route", "add", "default", "via", lab.b.address4)
        wait_for(lambda: [entry["interface"] for entry in status(daemon)["interfaces"]] == ["eth0"], "the interface of the route")
        sock.send(b"x")
        wait_for_ends(collector, 1, destination_port=8760)
        lab.a.run("ip", "-4", "route", "del", "default")
        wait_for(lambda: status(daemon)["interfaces"] == [], "the interface to be let go")
    close_all(receivers)


def test_of_stacked_interfaces_the_uppermost_is_metered(lab, collector):
    """case C40"""
    a = lab.a.run
    a("ip", "link", "add", "br0", "type", "bridge")
    a("ip", "link", "set", "eth0", "master", "br0")
    for address in (f"{lab.a.address6}/64", f"{lab.a.address4}/24"):
        a("ip", "addr", "del", address, "dev", "eth0")
        a("ip", "addr", "add", address, "dev", "br0", *(["nodad"] if ":" in address else []))
    a("ip", "link", "set", "br0", "up")
    receivers = owamp_receiver(lab.b, [8760])
    two = configuration(lab).replace("interfaces: [eth0]", "interfaces: [eth0, br0]")
    with Daemon(two, lab.a) as daemon, udp_sender(lab, 8760) as sock:
        assert [entry["interface"] for entry in status(daemon)["interfaces"]] == ["br0"]
        note, = [one for one in daemon.cli("findings") if one["id"] == "perfsonar-interface-stacked"]
        assert (note["subject"], note["severity"]) == ("eth0", "note") and "metered above" in note["found"]
        sock.send(b"x" * 10)
        (firefly,) = wait_for_ends(collector, 1, destination_port=8760).values()
    close_all(receivers)
    assert usage(firefly) == (10, 0)


@pytest.mark.parametrize("attach", ["tcx", "clsact"])
def test_a_stop_leaves_nothing_and_leftovers_of_a_killed_daemon_are_removed(lab, attach):
    def filters():
        return [line for direction in ("ingress", "egress")
                for line in lab.a.run("tc", "filter", "show", "dev", "eth0", direction, check=False).stdout.splitlines()
                if "flowd_meter" in line]

    with Daemon(configuration(lab, f", attach: {attach}"), lab.a) as daemon:
        assert len(filters()) == (2 if attach == "clsact" else 0)
        daemon.process.kill()
        daemon.process.wait()
        assert len(filters()) == (2 if attach == "clsact" else 0), "tc keeps them"
    with Daemon(configuration(lab, f", attach: {attach}"), lab.a) as daemon:
        assert len(filters()) == (2 if attach == "clsact" else 0), "the new ones, and no others"
        assert daemon.stop() == 0
    assert filters() == []


@pytest.mark.parametrize("what", ["clsact-qdisc", "clsact-filter", "tcx-link"])
def test_hooks_that_others_remove_are_attached_again_and_flows_are_metered(lab, collector, what):
    """case C37"""
    attach = what.split("-")[0]
    receivers = owamp_receiver(lab.b, [8760, 8761])
    with Daemon(configuration(lab, f", attach: {attach}"), lab.a) as daemon:
        def interface():
            return status(daemon)["interfaces"][0]

        removals = {"clsact-qdisc": lambda: lab.a.run("tc", "qdisc", "del", "dev", "eth0", "clsact"),
                    "clsact-filter": lambda: lab.a.run("tc", "filter", "del", "dev", "eth0", "ingress"),
                    "tcx-link": lambda: detach_tcx(daemon)}
        hooks = 1 if what == "clsact-filter" else 2  # those of one direction, or of both
        for turn in (0, 1):
            removals[what]()
            wait_for(lambda: interface()["repairs"] == hooks * (turn + 1), "the hooks to be attached again")
            with udp_sender(lab, 8760 + turn) as sock:
                sock.send(b"x" * 10)
                (firefly,) = wait_for_ends(collector, 1, destination_port=8760 + turn).values()
            assert usage(firefly) == (10, 0)
        assert interface()["hook"] == attach and interface()["runsBefore"] == []
        assert daemon.log.count("removed our") == 1, daemon.log
        assert sum(entry["value"] for entry in daemon.cli("metrics") if entry["name"] == "perfsonar_hook_repairs_total") == hooks * 2
        daemon.stop()
    close_all(receivers)
    assert not has_clsact(lab.a)


def test_very_many_flows_live_at_once(lab, collector, capsys):
    """FLOWD_LONG=1: 200,000 of them, with what they cost."""
    count = 200000 if os.environ.get("FLOWD_LONG") else 20000
    lab.b.run("ip", "-6", "route", "add", "blackhole", "fd5c:17a6:f::/64")
    lab.a.run("ip", "-6", "route", "add", "fd5c:17a6:f::/64", "via", lab.b.address6)

    def send():
        per_socket = 50000
        for first in range(0, count, per_socket):
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
                sock.bind((lab.a.address6, 0))
                for number in range(first, min(first + per_socket, count)):
                    sock.sendto(b"x" * 10, ("fd5c:17a6:f::1", 1024 + number % per_socket))

    many = configuration(lab, ", maxFlows: 262144").replace("idleTimeout: 2s", "idleTimeout: 30min")
    with Daemon(many, lab.a) as daemon:
        before = resident_kib(daemon.process.pid)
        lab.a.call(send)
        wait_for(lambda: status(daemon)["flows"]["started"] >= count, "all starts", 60)
        after = status(daemon)
        begun, used = time.monotonic(), cpu_seconds(daemon.process.pid)
        time.sleep(45 if os.environ.get("FLOWD_LONG") else 1)
        load = (cpu_seconds(daemon.process.pid) - used) / (time.monotonic() - begun)
        with capsys.disabled():
            print(f"\n{count} live flows: {(resident_kib(daemon.process.pid) - before) * 1024 / count:.0f} bytes each in the daemon, {load:.4f} CPU s per second, "
                  f"{after['scans']} scans")
        assert after["announced"] == count <= after["metered"], "with the daemon's own"
        assert after["packets"]["noRoom"]["packetsOut"] == 0
