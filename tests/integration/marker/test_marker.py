# SPDX-License-Identifier: Apache-2.0
"""The marker on real interfaces: what another host captures, read by scapy; who else is on the hook; what is left behind."""
import fcntl
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

import pytest

from tests.harness import labels, traffic
from tests.harness.capture import Capture, flows
from tests.harness.daemon import BINARY, BUILD, Daemon
from tests.harness.hooks import ThirdParty, filters, has_clsact, our_filters
from tests.harness.lab import wait_for

PERFSONAR = (3, 2)
HOOKS = pytest.mark.parametrize("attach", ["tcx", "clsact"])


def configuration(marker="", plugins=None):
    plugins = "  perfsonar: {experimentId: 3, activityId: 2}" + (f"\n  {plugins}" if plugins else "")
    marker = marker.replace("\n", "\n    ") or "targetInterfaces: [eth0]"
    return f"plugins:\n{plugins}\nbackends:\n  marker:\n    {marker}\n"


def on_eth0(attach, more="", plugins=None):
    return configuration(f"targetInterfaces: [eth0]\nattach: {attach}\n{more}".rstrip(), plugins)


def status(daemon):
    return daemon.cli("marker", "status")


def has_catch_all(daemon):
    return wait_for(lambda: status(daemon)["catchAll"], "the catch-all")


def udp_sink(lab, port):
    """A socket on b: without one, the sender would hear that nobody listens."""
    def listen():
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.bind((lab.b.address6, port))
        return sock

    return lab.b.call(listen)


def exchange_udp(lab, port, packets=5, traffic_class=0, flow_label=None):
    """Sends from a to b; the capture's key of that flow."""
    with udp_sink(lab, port), traffic.udp_client(lab.a, lab.b, port) as sock:
        if traffic_class:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, traffic_class)
        for _ in range(packets):
            if flow_label is None:
                sock.send(b"x" * 200)
            else:
                sock.setsockopt(socket.IPPROTO_IPV6, 33, 1)  # IPV6_FLOWINFO_SEND
                sock.sendto(b"x" * 200, (lab.b.address6, port, flow_label, 0))
        return (*sock.getsockname()[:2], lab.b.address6, port, "udp")


def wait_captured(capture, condition):
    """condition(packets so far) once it holds; tcpdump writes a while after the packets have passed."""
    from scapy.utils import PcapReader

    def written():
        with open(capture.path, "rb") as file, PcapReader(file) as reader:
            return condition(list(reader))

    return wait_for(written, "packets in the capture", 20)


def captured(capture, key, packets=5):
    """All labels of a flow, once so many packets have been captured."""
    def enough(seen):
        found = flows(seen).get(key, {})
        return found if sum(found.values()) >= packets else None

    return list(wait_captured(capture, enough))


def assert_tagged(label, tag):
    assert label & ~labels.ENTROPY == labels.encode(*tag), hex(label)


@HOOKS
def test_catch_all_marks_tcp_and_udp_with_one_label_each(lab, attach):
    server = traffic.TcpServer(lab.b, 5201)
    with Daemon(on_eth0(attach), lab.a) as daemon, Capture(lab.b, "ip6 and (tcp or udp)") as capture:
        has_catch_all(daemon)
        interface, = status(daemon)["interfaces"]
        assert (interface["interface"], interface["hook"]) == ("eth0", attach) and interface["program"] > 0
        with traffic.tcp_client(lab.a, lab.b, 5201) as sock:
            sock.sendall(b"x" * 1_000_000)
            key = (*sock.getsockname()[:2], *sock.getpeername()[:2], "tcp")
        udp = [exchange_udp(lab, port) for port in range(6000, 6040)]
        wait_for(lambda: server.received == 1_000_000, "the transfer")
        wait_for(lambda: status(daemon)["outcomes"]["markedCatchAll"] >= 200, "marked packets")
        captured(capture, udp[-1])  # and so all before it
        found = flows(capture.packets())
        assert len(found[key]) == 1, "from the SYN to the FIN one label"
        for key in (key, *udp):
            assert len(found[key]) == 1
            assert_tagged(next(iter(found[key])), PERFSONAR)
        assert len({next(iter(found[key])) for key in udp}) > 10, "entropy differs between flows"
        capture.remove()
    server.close()


@HOOKS
def test_a_flow_keeps_its_entropy_when_it_is_announced_and_after_a_restart(lab, attach):
    seen = []
    with udp_sink(lab, 7000), traffic.udp_client(lab.a, lab.b, 7000) as sock:
        key = (*sock.getsockname()[:2], lab.b.address6, 7000, "udp")
        for announced in (False, True, True):
            with (Daemon(on_eth0(attach, plugins="fireflyp: {}"), lab.a) as daemon,
                  Capture(lab.b, "udp port 7000") as capture):
                has_catch_all(daemon)
                if announced:
                    announcer = traffic.Announcer(lab.a)
                    announcer.announce("start", sock, 2, 16, traffic.now())
                    announcer.close()
                    wait_for(lambda: status(daemon)["flows"] == 1, "the flow in the marker")
                for _ in range(5):
                    sock.send(b"x")
                wait_for(lambda: status(daemon)["marked"] >= 5, "five marked packets")
                seen.append(captured(capture, key))
                capture.remove()
    assert [len(label) for label in seen] == [1, 1, 1]
    assert_tagged(seen[0][0], PERFSONAR)
    assert_tagged(seen[1][0], (2, 16))
    assert seen[1] == seen[2]
    assert seen[0][0] & labels.ENTROPY == seen[1][0] & labels.ENTROPY


def test_traffic_class_and_ecn_are_unchanged(lab):
    from scapy.layers.inet import TCP, UDP
    from scapy.layers.inet6 import IPv6

    for host in (lab.a, lab.b):
        host.run("sysctl", "-qw", "net.ipv4.tcp_ecn=1")
    server = traffic.TcpServer(lab.b, 5201)
    with Daemon(configuration(), lab.a) as daemon, Capture(lab.b, "ip6 and (tcp or udp)") as capture:
        has_catch_all(daemon)
        with traffic.tcp_client(lab.a, lab.b, 5201) as sock:
            sock.sendall(b"x" * 200_000)
        for traffic_class in (0x00, 0x03, 0xB8, 0xBC, 0xFC):
            last = exchange_udp(lab, 6000 + traffic_class, 1, traffic_class)
        wait_for(lambda: server.received == 200_000, "the transfer")
        wait_for(lambda: status(daemon)["outcomes"]["markedCatchAll"] >= 10, "marked packets")
        captured(capture, last, 1)
        packets = [p for p in capture.packets() if p[IPv6].src == lab.a.address6]
        data = [p for p in packets if TCP in p and len(p[TCP].payload) > 0 or TCP in p and p[IPv6].plen > 60]
        assert data and all(p[IPv6].tc & 3 == 2 for p in data), "ECT(0) on every data segment"
        udp = {p[UDP].dport - 6000: p[IPv6].tc for p in packets if UDP in p}
        # The kernel itself lets applications choose all but CE.
        assert udp == {0x00: 0x00, 0x03: udp[0x03], 0xB8: 0xB8, 0xBC: 0xBC, 0xFC: 0xFC}
        for packet in packets:
            assert_tagged(packet[IPv6].fl, PERFSONAR)
        capture.remove()
    server.close()


@HOOKS
def test_vlan_tags_inside_and_outside_of_the_frame_are_handled(lab, attach):
    from scapy.layers.inet import UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Dot1Q, Ether

    has_devices = True  # some kernels are built without
    for host, last in ((lab.a, "a"), (lab.b, "b")):
        made = host.run("ip", "link", "add", "link", "eth0", "name", "eth0.42", "type", "vlan", "id", "42", check=False)
        has_devices = has_devices and made.returncode == 0
        if has_devices:
            host.run("ip", "addr", "add", f"fd42::{last}/64", "dev", "eth0.42", "nodad")
            host.run("ip", "link", "set", "eth0.42", "up")
    with Daemon(on_eth0(attach), lab.a) as daemon, Capture(lab.b, "vlan") as capture:
        has_catch_all(daemon)
        frame = bytes(Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:00:01") / Dot1Q(vlan=43, prio=5) /
                      IPv6(src="fd43::a", dst="fd43::b", tc=0xBB, fl=0xFFFFF) / UDP(sport=1, dport=4343) / b"raw")

        def send_raw():
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
                raw.bind(("eth0", 0))
                raw.send(frame)

        def send_tagged():
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0xB8)
                sock.sendto(b"x", ("fd42::b", 4242))

        if has_devices:
            lab.a.call(send_tagged)
        lab.a.call(send_raw)
        wait_for(lambda: status(daemon)["outcomes"]["markedCatchAll"] >= (2 if has_devices else 1), "marked packets")
        by_port = wait_captured(capture, lambda seen: {p[UDP].dport: p for p in seen if UDP in p} if len(seen) > has_devices else None)
        assert_tagged(by_port[4343][IPv6].fl, PERFSONAR)
        if has_devices:
            assert_tagged(by_port[4242][IPv6].fl, PERFSONAR)
            assert by_port[4242][IPv6].tc == 0xB8
        unmarked = Ether(frame)
        unmarked[IPv6].fl = by_port[4343][IPv6].fl
        assert bytes(by_port[4343]) == bytes(unmarked), "nothing but the label has changed"
        capture.remove()


@pytest.mark.parametrize("how", ["tcx-first", "tcx-last", "clsact"])
@HOOKS
def test_other_programs_keep_running_before_during_and_after_ours(lab, attach, how):
    with ThirdParty(lab.a, how) as third_party:
        def is_running():
            before = third_party.seen()
            exchange_udp(lab, 6000)
            return third_party.seen() >= before + 5

        theirs = filters(lab.a)
        assert is_running()
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            with Daemon(on_eth0(attach), lab.a) as daemon, Capture(lab.b, "udp port 6000") as capture:
                has_catch_all(daemon)
                assert is_running()
                assert len(our_filters(lab.a)) == (1 if attach == "clsact" else 0)
                wait_for(lambda: status(daemon)["outcomes"]["markedCatchAll"] >= 5, "marked packets")
                wait_captured(capture, lambda seen: len(seen) >= 5)
                for found in flows(capture.packets()).values():
                    for label in found:
                        assert_tagged(label, PERFSONAR)
                capture.remove()
                daemon.reload(on_eth0(attach, "maxFlows: 1000"))
                assert is_running(), "the successor is attached beside, and the one before is gone"
                daemon.stop(number)
            assert is_running()
        assert filters(lab.a) == theirs, "ours are gone, theirs are as they were"
        assert has_clsact(lab.a) or how != "clsact"


def test_filters_of_another_kind_are_not_removed(lab):
    lab.a.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
    for direction, priority in (("egress", "1"), ("ingress", "7")):
        lab.a.run("tc", "filter", "add", "dev", "eth0", direction, "prio", priority, "u32", "match", "u32", "0xdeadbeef", "0xffffffff",
                  "at", "0", "flowid", "1:1")
    before = filters(lab.a)
    with Daemon(on_eth0("clsact"), lab.a) as daemon:
        has_catch_all(daemon)
        exchange_udp(lab, 6000)
        wait_for(lambda: status(daemon)["outcomes"]["markedCatchAll"] >= 5, "marked packets")
        assert [entry for entry in filters(lab.a) if entry not in before] == our_filters(lab.a)
        assert daemon.stop() == 0
    assert filters(lab.a) == before and has_clsact(lab.a)
    assert "u32" in lab.a.run("tc", "filter", "show", "dev", "eth0", "ingress").stdout


def test_the_qdisc_is_removed_only_if_we_created_it_and_it_is_configured(lab):
    with Daemon(on_eth0("clsact"), lab.a):
        assert has_clsact(lab.a)
    assert not has_clsact(lab.a)
    with Daemon(on_eth0("clsact", "removeQdisc: false"), lab.a):
        pass
    assert has_clsact(lab.a) and not filters(lab.a)
    with Daemon(on_eth0("clsact"), lab.a):
        pass
    assert has_clsact(lab.a), "it was there before us"


@HOOKS
def test_leftovers_of_a_killed_marker_are_removed_by_the_next(lab, attach):
    with Daemon(on_eth0(attach), lab.a) as daemon:
        daemon.stop(signal.SIGKILL)
    with Daemon(on_eth0(attach), lab.a) as daemon, Capture(lab.b, "udp port 6000") as capture:
        has_catch_all(daemon)
        assert len(our_filters(lab.a)) == (1 if attach == "clsact" else 0)
        key = exchange_udp(lab, 6000)
        wait_for(lambda: status(daemon)["outcomes"]["markedCatchAll"] >= 5, "marked packets")
        assert_tagged(captured(capture, key)[0], PERFSONAR)
        capture.remove()
    assert not our_filters(lab.a)


@HOOKS
def test_a_reload_never_leaves_packets_unmarked_and_one_filter_behind(lab, attach):
    with Daemon(on_eth0(attach), lab.a) as daemon, Capture(lab.b, "udp port 6000") as capture:
        has_catch_all(daemon)
        sink, sock = udp_sink(lab, 6000), traffic.udp_client(lab.a, lab.b, 6000)
        key = (*sock.getsockname()[:2], lab.b.address6, 6000, "udp")
        old = status(daemon)["interfaces"][0]["program"]
        sender = lab.a.popen("/usr/bin/python3", "-c", "import socket,sys\ns=socket.socket(fileno=int(sys.argv[1]))\n"
                             "for i in range(10**9):\n s.send(b'x')\n", str(sock.fileno()), pass_fds=[sock.fileno()],
                             stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: status(daemon)["outcomes"]["markedCatchAll"] >= 100, "marked packets")
            daemon.reload(on_eth0(attach, "maxFlows: 1000"))
            wait_for(lambda: status(daemon)["interfaces"][0]["program"] != old, "another program")
            wait_for(lambda: status(daemon)["outcomes"]["markedCatchAll"] >= 100, "marked packets")
        finally:
            sender.kill()
            sender.wait()
        assert len(our_filters(lab.a)) == (1 if attach == "clsact" else 0)
        captured(capture, key, 200)
        found = list(flows(capture.packets())[key])
        assert len(found) == 1, [hex(label) for label in found]
        assert_tagged(found[0], PERFSONAR)
        sock.close()
        sink.close()
        capture.remove()
    assert not has_clsact(lab.a), "the successor knows that the qdisc is ours"


@HOOKS
def test_a_recreated_interface_is_marked_again(lab, attach):
    with Daemon(on_eth0(attach), lab.a) as daemon:
        has_catch_all(daemon)
        for _ in range(2):
            lab.a.run("ip", "link", "del", "eth0")
            wait_for(lambda: status(daemon)["interfaces"][0]["hook"] == "absent", "the marker to let go")
            lab.a.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", lab.b.name)
            for host in (lab.a, lab.b):
                host.run("ip", "addr", "add", f"{host.address6}/64", "dev", "eth0", "nodad")
                host.run("ip", "link", "set", "eth0", "up")
            wait_for(lambda: status(daemon)["interfaces"][0]["hook"] == attach, "the marker to come back")
            wait_for(lambda: "state UP" in lab.a.run("ip", "link", "show", "eth0").stdout, "eth0")
            with Capture(lab.b, "udp port 6000") as capture:
                before = status(daemon)["outcomes"]["markedCatchAll"]
                key = exchange_udp(lab, 6000)
                wait_for(lambda: status(daemon)["outcomes"]["markedCatchAll"] >= before + 5, "marked packets")
                assert_tagged(captured(capture, key)[0], PERFSONAR)
                capture.remove()


def test_missing_interfaces_fail_the_start_only_if_none_exists(lab):
    def start(marker):
        daemon = Daemon(configuration(marker), lab.a)
        try:
            daemon.start(ready=False)
            return daemon.process.wait(20), daemon.log
        finally:
            daemon.__exit__()

    code, log = start("targetInterfaces: [eth7, eth8]")
    assert code == 7 and "conf.yaml:5" in log and "eth7, eth8" in log and "waitForInterfaces" in log
    code, log = start("{}")
    assert code == 7 and "default route" in log
    with Daemon(configuration("targetInterfaces: [eth0, eth7]"), lab.a) as daemon:
        assert "eth7" in daemon.log
        assert [(i["interface"], i["hook"]) for i in status(daemon)["interfaces"]][1] == ("eth7", "absent")
    with Daemon(configuration("targetInterfaces: [eth7]\nwaitForInterfaces: true"), lab.a) as daemon:
        lab.a.run("ip", "link", "add", "eth7", "type", "veth", "peer", "name", "eth8")
        wait_for(lambda: status(daemon)["interfaces"][0]["hook"] != "absent", "eth7 to be marked on")


def test_interfaces_are_discovered_by_route_and_by_address(lab):
    with Daemon(configuration("waitForInterfaces: true"), lab.a) as daemon:
        assert status(daemon)["interfaces"] == []
        lab.a.run("ip", "-6", "route", "add", "default", "via", lab.b.address6)
        wait_for(lambda: [i["interface"] for i in status(daemon)["interfaces"]] == ["eth0"], "the default route's interface")
    with Daemon(configuration("discoverInterfaces: true\nwaitForInterfaces: true"), lab.a) as daemon:
        assert status(daemon)["interfaces"] == []
        lab.a.run("ip", "addr", "add", "2001:db8:5::a/64", "dev", "eth0", "nodad")
        wait_for(lambda: [i["interface"] for i in status(daemon)["interfaces"]] == ["eth0"], "the public interface")
        lab.a.run("ip", "addr", "del", "2001:db8:5::a/64", "dev", "eth0")
        wait_for(lambda: status(daemon)["interfaces"] == [], "the marker to let go of what is no longer public")


def test_default_routes_of_policy_routing_choose_interfaces(lab):
    """case C19: in the tables that a rule leads to; status tells which route chose an interface."""
    for number in (1, 2):
        lab.a.run("ip", "link", "add", f"eth{number}", "type", "veth", "peer", "name", f"far{number}")
        for name in (f"far{number}", f"eth{number}"):
            lab.a.run("ip", "link", "set", name, "up")
        lab.a.run("ip", "addr", "add", f"2001:db8:{number}::1/64", "dev", f"eth{number}", "nodad")
        lab.a.run("ip", "-6", "route", "add", "default", "via", f"2001:db8:{number}::2", "dev", f"eth{number}", "table", f"20{number}")
    lab.a.run("ip", "-6", "route", "add", "default", "via", lab.b.address6)
    with Daemon(configuration("targetInterfaces: []"), lab.a) as daemon:
        def chosen(of=lambda: status(daemon)["interfaces"]):
            return {one["interface"]: one["chosenBy"] for one in of()}

        by_main = f"IPv6 default route via {lab.b.address6} in the main table"
        assert chosen() == {"eth0": by_main}
        lab.a.run("ip", "-6", "rule", "add", "from", "2001:db8:1::/64", "table", "201")
        expected = {"eth0": by_main, "eth1": "IPv6 default route via 2001:db8:1::2 in table 201"}
        wait_for(lambda: chosen() == expected, "the interface of the rule's table")
        wait_for(lambda: chosen(lambda: daemon.details("plugin perfsonar")["interfaces"]) == expected, "the meter to follow")
        lab.a.run("ip", "-6", "rule", "del", "table", "201")
        wait_for(lambda: chosen() == {"eth0": by_main}, "the interface to be let go")


def lost_notifications(host):
    """How many netlink messages the subscribers of a network namespace did not receive."""
    rows = [line.split() for line in host.run("cat", "/proc/net/netlink").stdout.splitlines()[1:]]
    return sum(int(row[8]) for row in rows if row[1] == "0")  # NETLINK_ROUTE


def test_an_interface_that_is_recreated_while_notifications_are_lost_is_marked(lab, tmp_path):
    """case C34"""
    add = "link add eth7 type veth peer name far7\nlink set far7 up\nlink set eth7 up\n"
    changes = "".join(f"link set lo alias loopback{number}\n" for number in range(300))
    (tmp_path / "batch").write_text((f"link del eth7\n{add}" + changes) * 4)
    (tmp_path / "first").write_text(add)
    lab.a.run("ip", "-batch", str(tmp_path / "first"))

    def index():
        return int(lab.a.run("cat", "/sys/class/net/eth7/ifindex").stdout)

    with Daemon(configuration("targetInterfaces: [eth7]"), lab.a) as daemon:
        has_catch_all(daemon)
        first = index()
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            lab.a.run("ip", "-batch", str(tmp_path / "batch"))
            assert lost_notifications(lab.a) > 0
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        assert index() != first

        def marks():
            lab.a.run("ping", "-6", "-c", "1", "-W", "0.1", "ff02::1%eth7", check=False)
            shown, = status(daemon)["interfaces"]
            return shown["hook"] != "absent" and shown["marked"] > 0

        wait_for(marks, "the last one to be marked", 30)


@pytest.fixture
def objects():
    """A folder of root's own: the daemon loads no program that others could replace."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="flowd-objects-", dir="/run"))
    yield folder
    shutil.rmtree(folder)


def test_program_path_loads_another_object_and_debug_mode_logs_libbpf(lab, objects):
    ours = shutil.copy(BUILD / "bpf" / "marker.bpf.o", objects)
    with Daemon(configuration(f"targetInterfaces: [eth0]\nprogramPath: {ours}\ndebugMode: true"), lab.a) as daemon:
        has_catch_all(daemon)
        exchange_udp(lab, 6000)
        wait_for(lambda: status(daemon)["outcomes"]["markedCatchAll"] >= 5, "marked packets")
        loud = daemon.log.count("libbpf")
    assert loud > 10
    with Daemon(configuration(), lab.a) as daemon:
        assert "libbpf" not in daemon.log

    theirs = shutil.copy(BUILD / "tests/integration/marker/third_party.bpf.o", objects)
    daemon = Daemon(configuration(f"targetInterfaces: [eth0]\nprogramPath: {theirs}"), lab.a)
    try:
        daemon.start(ready=False)
        assert daemon.process.wait(20) != 0 and "programPath" in daemon.log, daemon.log
    finally:
        daemon.__exit__()


def test_a_missing_capability_is_reported(lab):
    daemon = Daemon(configuration(), lab.a)
    try:
        ran = lab.a.run("setpriv", "--bounding-set=-bpf,-sys_admin,-perfmon", "--inh-caps=-all", str(BINARY), "run", "--conf",
                        str(daemon.conf), "--control", str(daemon.control), check=False)
    finally:
        shutil.rmtree(daemon.directory)
    assert ran.returncode == 5
    assert "CAP_BPF" in ran.stdout + ran.stderr


def series_of(daemon, name):
    """{labels without the instance's: value} of `flowd-cpp metrics`."""
    return {tuple(sorted((label, text) for label, text in entry["labels"].items() if label != "flowd_instance")): entry["value"]
            for entry in daemon.cli("metrics") if entry["name"] == name}


def test_the_series_have_the_values_of_status(lab):
    with Daemon(configuration("targetInterfaces: [eth0, lo]\nmaxFlows: 16", "fireflyp: {}"), lab.a) as daemon:
        has_catch_all(daemon)
        announcer, sockets = traffic.Announcer(lab.a), []
        with udp_sink(lab, 6000):
            for _ in range(20):
                sockets.append(traffic.udp_client(lab.a, lab.b, 6000))
                announcer.announce("start", sockets[-1], 2, 16, traffic.now())
                sockets[-1].send(b"x")
        announcer.close()
        wait_for(lambda: status(daemon)["flows"] == 16 and status(daemon)["skippedFlows"]["tableFull"] == 4, "a full table")
        assert daemon.log.count("raise maxFlows") == 1, "said, and said once"
        assert "marker-table-full" in [one["id"] for one in daemon.cli("findings")]

        def agree():
            shown, packets = status(daemon), series_of(daemon, "marker_packets_total")
            same = all(packets[(("interface", entry["interface"]), ("outcome", outcome))] == count
                       for entry in shown["interfaces"] for outcome, count in entry["outcomes"].items())
            return same and shown["marked"] >= 20 and packets
        packets = wait_for(agree, "the series to be what status shows")
        assert {dict(labels)["interface"] for labels in packets} == {"eth0", "lo"}
        assert series_of(daemon, "marker_flows") == {(): 16}
        assert series_of(daemon, "marker_flows_limit") == {(): 16}
        assert series_of(daemon, "marker_skipped_flows_total")[(("reason", "tableFull"),)] == 4
        daemon.reload(configuration("targetInterfaces: [eth0, lo]\nmaxFlows: 32", "fireflyp: {}"))
        after = series_of(daemon, "marker_packets_total")
        assert all(after[labels] >= count for labels, count in packets.items()), "a reload takes nothing away"
        assert "marker-table-full" not in [one["id"] for one in daemon.cli("findings")], "there is room now"
        for sock in sockets:
            sock.close()


def test_keep_explicit_keeps_what_an_application_chose(lab):
    server = traffic.TcpServer(lab.b, 5201)
    with Daemon(on_eth0("auto", "policy: keepExplicit"), lab.a) as daemon, Capture(lab.b, "ip6 and (tcp or udp)") as capture:
        has_catch_all(daemon)
        explicit = exchange_udp(lab, 6000, flow_label=0x12345)
        automatic = [exchange_udp(lab, port) for port in range(6001, 6021)]
        with traffic.tcp_client(lab.a, lab.b, 5201) as sock:
            sock.sendall(b"x" * 100_000)
            tcp = (*sock.getsockname()[:2], *sock.getpeername()[:2], "tcp")
        wait_for(lambda: server.received == 100_000, "the transfer")
        wait_for(lambda: status(daemon)["outcomes"]["keptExplicit"] >= 5, "kept labels")
        captured(capture, tcp)
        found = flows(capture.packets())
        assert list(found[explicit]) == [0x12345]
        for key in (*automatic, tcp):
            for label in found[key]:
                assert_tagged(label, PERFSONAR)
        capture.remove()
    server.close()


@pytest.mark.parametrize("automatic", [0, 1, 2, 3])
def test_keep_explicit_keeps_what_testers_set(lab, automatic):
    """case C17: ping, iperf3 with parallel streams and traceroute, whether the kernel sets labels of its own or not."""
    lab.a.run("sysctl", "-q", "-w", f"net.ipv6.auto_flowlabels={automatic}")
    server = lab.b.popen("iperf3", "-s", "-1", stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: ":5201" in lab.b.run("ss", "-Hltn").stdout, "iperf3 to listen", 30)
        with (Daemon(on_eth0("auto", "policy: keepExplicit"), lab.a) as daemon,
              Capture(lab.b, f"ip6 and src {lab.a.address6}") as capture):
            has_catch_all(daemon)
            # Three labels: the kernel lends one to a program, and for some seconds to no other.
            lab.a.run("ping", "-6", "-c", "3", "-i", "0.05", "-F", "0x12345", lab.b.address6)
            lab.a.run("traceroute", "-6", "-n", "-q", "1", "-l", "0x23456", lab.b.address6)
            lab.a.run("iperf3", "-6", "-c", lab.b.address6, "-L", str(0x34567), "-P", "2", "-n", "100K")
            server.wait(30)
            other = exchange_udp(lab, 6000)
            wait_for(lambda: status(daemon)["outcomes"]["keptExplicit"] >= 3 + 1 + 2 * 3, "kept labels")
            captured(capture, other)
            found = flows(capture.packets())
            capture.remove()
    finally:
        server.kill()
        server.wait()
    assert_tagged(next(iter(found[other])), PERFSONAR)
    streams = [labels for key, labels in found.items() if key[3] == 5201]
    assert sum(max(each, key=each.get) == 0x34567 for each in streams) == 2, "the streams; the control connection has no label of its own"


def test_observe_mode_changes_no_packet_until_switched_to_mark(lab):
    with Daemon(on_eth0("auto", "mode: observe"), lab.a) as daemon:
        has_catch_all(daemon)
        with Capture(lab.b, "udp") as capture:
            key = exchange_udp(lab, 6000, flow_label=0x12345)
            wait_for(lambda: status(daemon)["outcomes"]["observedCatchAll"] >= 5, "observed packets")
            assert captured(capture, key) == [0x12345] and status(daemon)["marked"] == 0
            capture.remove()
        assert daemon.cli("marker", "mode", "mark") == {"mode": "mark"}
        with Capture(lab.b, "udp") as capture:
            key = exchange_udp(lab, 6000, flow_label=0x12345)
            wait_for(lambda: status(daemon)["marked"] >= 5, "marked packets")
            assert_tagged(captured(capture, key)[0], PERFSONAR)
            capture.remove()


@HOOKS
@pytest.mark.parametrize("appears", ["before", "after"])
def test_a_device_without_ethernet_header_is_marked_and_metered(lab, appears, attach):
    """case C41. The programs for such devices are loaded with the first of them, which may appear after the start."""
    from scapy.layers.inet6 import IPv6

    def open_tun():
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x0001 | 0x1000))  # TUNSETIFF, IFF_TUN | IFF_NO_PI
        return tun

    def add_tun():
        tun = lab.a.call(open_tun)
        lab.a.run("ip", "addr", "add", "fd77::1/64", "dev", "tun0", "nodad")
        lab.a.run("ip", "link", "set", "tun0", "up")
        return tun

    def metered(daemon):
        return daemon.details("plugin perfsonar")["packets"]["metered"]["packetsOut"]

    tun = add_tun() if appears == "before" else None
    try:
        options = f"targetInterfaces: [eth0, tun0]\nattach: {attach}"
        plain = configuration(options).replace("activityId: 2", f"activityId: 2, flows: true, attach: {attach}")
        with Daemon(plain, lab.a) as daemon:
            has_catch_all(daemon)
            if tun is None:
                tun = add_tun()

            def attached(entries):
                return sorted(entry["interface"] for entry in entries if entry["hook"] not in ("absent", "removed"))

            wait_for(lambda: attached(status(daemon)["interfaces"]) == ["eth0", "tun0"], "the marker on tun0")
            wait_for(lambda: attached(daemon.details("plugin perfsonar")["interfaces"]) == ["eth0", "tun0"], "the meter on tun0")
            programs = {entry["interface"]: entry["program"] for entry in status(daemon)["interfaces"]}
            assert programs["tun0"] != programs["eth0"]
            before = metered(daemon)

            def send():
                with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0xB8)
                    sock.sendto(b"x", ("fd77::2", 7777))

            def receive():
                try:
                    packet = IPv6(os.read(tun, 2000))
                except BlockingIOError:
                    return None
                return packet if packet.nh == 17 else None

            lab.a.call(send)
            packet = wait_for(receive, "the packet")
            assert_tagged(packet.fl, PERFSONAR)
            assert packet.tc == 0xB8
            wait_for(lambda: metered(daemon) == before + 1, "the meter to count it")
    finally:
        if tun is not None:
            os.close(tun)


def test_a_leftover_filter_of_flowd_go_is_reported(lab):
    with ThirdParty(lab.a, "flowd-go"), Daemon(configuration(), lab.a) as daemon:
        remedies = [one["remedy"] for one in daemon.cli("findings") if one["id"] == "marker-flowd-go"]
        assert len(remedies) == 1 and "tc filter del dev eth0 egress prio 1 handle 1 bpf" in remedies[0]
        assert [name for _, name, _ in filters(lab.a) if name.startswith("marker")], "it stays: it is not ours"


def test_a_renamed_interface_keeps_its_hook_and_patterns_select_interfaces(lab):
    with Daemon(configuration("targetInterfaces: ['eth*']"), lab.a) as daemon:
        program = status(daemon)["interfaces"][0]["program"]
        lab.a.run("ip", "link", "set", "eth0", "down")
        lab.a.run("ip", "link", "set", "eth0", "name", "eth5")
        wait_for(lambda: status(daemon)["interfaces"][0]["interface"] == "eth5", "the new name")
        assert status(daemon)["interfaces"][0]["program"] == program
        lab.a.run("ip", "link", "set", "eth5", "name", "other0")
        wait_for(lambda: not status(daemon)["interfaces"], "the marker to let go")
        lab.a.run("ip", "link", "add", "eth7", "type", "veth", "peer", "name", "peer7")
        wait_for(lambda: [i["interface"] for i in status(daemon)["interfaces"]] == ["eth7"], "another one of that pattern")


def test_an_interface_that_moves_to_another_namespace_is_detached(lab):
    lab.a.run("ip", "link", "add", "eth7", "type", "veth", "peer", "name", "peer7")
    with Daemon(configuration("targetInterfaces: [eth0, eth7]"), lab.a) as daemon:
        assert [i["interface"] for i in status(daemon)["interfaces"]] == ["eth0", "eth7"]
        lab.a.run("ip", "link", "set", "eth7", "netns", lab.b.name)
        wait_for(lambda: status(daemon)["interfaces"][1]["hook"] == "absent", "the marker to let go")
        lab.b.run("ip", "link", "set", "eth7", "netns", lab.a.name)
        wait_for(lambda: status(daemon)["interfaces"][1]["hook"] != "absent", "the marker to come back")


def test_clean_removes_leftovers_of_dead_markers_only(lab):
    def clean():
        done = lab.a.run(str(BINARY), "--json", "marker", "clean", "--modules", str(BUILD / "lib/flowd-cpp/modules"), check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    with Daemon(on_eth0("clsact"), lab.a) as daemon:
        assert clean()["removedFilters"] == 0 and len(our_filters(lab.a)) == 1
        daemon.stop(signal.SIGKILL)
    assert len(our_filters(lab.a)) == 1
    assert clean()["removedFilters"] == 1 and not our_filters(lab.a)
