# SPDX-License-Identifier: Apache-2.0
"""`flowd-cpp explain` of a live flow: what each module did with it, and why not."""
import socket
import subprocess

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from tests.harness import labels, traffic
from tests.harness.collector import Collector
from tests.harness.daemon import BINARY, ROOT, Daemon
from tests.harness.lab import wait_for


def configuration(lab, marker="targetInterfaces: [eth0]", firefly="sendToDestination: false", plugins=""):
    return (f"plugins:\n  fireflyp: {{}}\n{plugins}"
            f"backends:\n  marker: {{{marker}}}\n"
            f"  firefly: {{sendToCollector: true, collectorAddress: \"{lab.b.address6}\", {firefly}}}\n")


def endpoint(address):
    return f"[{address[0]}]:{address[1]}"


SEEN = set()  # (instance, verdict) that a test of this file has brought about


def ask(daemon, *words):
    answer = daemon.cli("explain", *words)
    SEEN.update((one["instance"], one["verdict"]) for one in answer.get("explanations", []))
    if "verdict" in answer:
        SEEN.add(("daemon", answer["verdict"]))
    return answer


def ends(sock):
    protocol = "tcp" if sock.type == socket.SOCK_STREAM else "udp"
    return protocol, endpoint(sock.getsockname()), endpoint(sock.getpeername())


def of(answer, instance):
    return [(one["verdict"], one["subject"], one["text"], one["time"]) for one in answer["explanations"]
            if one["instance"] == instance]


def verdicts(answer, instance):
    return [one[0] for one in of(answer, instance)]


def explain(daemon, sock, instance):
    """[(verdict, subject, text, time)] of one instance."""
    return of(ask(daemon, *ends(sock)), instance)


@pytest.fixture
def flow(lab):
    """A UDP socket to the other host, and whoever announces it."""
    announcer = traffic.Announcer(lab.a)
    with traffic.udp_client(lab.a, lab.b, 1094) as sock:
        yield sock, lambda state, experiment=2, activity=16: announcer.announce(state, sock, experiment, activity, traffic.now())
    announcer.close()


def test_the_marker_explains_the_label_on_each_interface(lab, flow):
    sock, announce = flow
    lab.a.run("ip", "link", "add", "bridge7", "type", "bridge")
    with Collector(lab.b), Daemon(configuration(lab, "targetInterfaces: [eth0, bridge7]"), lab.a) as daemon:
        (verdict, _, _, _), = explain(daemon, sock, "backend marker")
        assert verdict == "not-announced"
        announce("start")
        wait_for(lambda: daemon.cli("marker", "status")["flows"] == 1, "the flow to be in the table")
        told = explain(daemon, sock, "backend marker")
        assert sorted((verdict, subject) for verdict, subject, _, _ in told) == [("marked", "bridge7"), ("marked", "eth0")]
        for _, _, text, _ in told:
            label = int(text.removeprefix("Outgoing packets carry flow label ").rstrip("."), 16)
            assert labels.decode(label) == (2, 16)
        announce("end")
        wait_for(lambda: daemon.cli("marker", "status")["flows"] == 0, "the flow to be gone")


def test_the_marker_explains_the_catch_all(lab, flow):
    sock, _ = flow
    plugins = "  perfsonar: {experimentId: 3, activityId: 2, flows: false}\n"
    with Collector(lab.b), Daemon(configuration(lab, plugins=plugins), lab.a) as daemon:
        wait_for(lambda: daemon.cli("marker", "status")["catchAll"], "the catch-all")
        (verdict, subject, text, _), = explain(daemon, sock, "backend marker")
        assert (verdict, subject) == ("marked-catch-all", "eth0")
        label = int(text.removeprefix("Outgoing packets carry flow label ").removesuffix(", by the catch-all tag."), 16)
        assert labels.decode(label) == (3, 2)


@pytest.mark.parametrize("options, tag, verdict", [
    ("targetInterfaces: [eth0], mode: observe", (2, 16), "observed"),
    ("targetInterfaces: [eth0]", (0, 0), "no-valid-tag"),
    ("targetInterfaces: [eth0]", (600, 16), "tag-out-of-range"),
    ("targetInterfaces: [bridge7], waitForInterfaces: true", (2, 16), "no-interface"),
])
def test_the_marker_explains_why_a_flow_is_not_marked(lab, flow, options, tag, verdict):
    sock, announce = flow
    with Collector(lab.b), Daemon(configuration(lab, options), lab.a) as daemon:
        announce("start", *tag)
        wait_for(lambda: daemon.cli("marker", "status")["flows"] == 1, "the flow to be in the table")
        assert [one[0] for one in explain(daemon, sock, "backend marker")] == [verdict]


def test_the_marker_explains_a_removed_hook(lab, flow):
    sock, announce = flow
    with Collector(lab.b), Daemon(configuration(lab, "targetInterfaces: [eth0], attach: clsact"), lab.a) as daemon:
        announce("start")
        wait_for(lambda: daemon.cli("marker", "status")["flows"] == 1, "the flow to be in the table")

        def hooks():
            return [one[:2] for one in explain(daemon, sock, "backend marker")]

        assert hooks() == [("marked", "eth0")]
        # ingress and clsact exclude each other
        lab.a.run("sh", "-c", "tc qdisc del dev eth0 clsact; tc qdisc add dev eth0 ingress")
        wait_for(lambda: hooks() == [("hook-removed", "eth0")], "the marker to tell that it does not mark", 30)
        lab.a.run("tc", "qdisc", "del", "dev", "eth0", "ingress")
        wait_for(lambda: hooks() == [("marked", "eth0")], "the hook to be attached again", 30)


def test_the_marker_explains_a_full_table(lab, flow):
    sock, announce = flow
    with Collector(lab.b), Daemon(configuration(lab, "targetInterfaces: [eth0], maxFlows: 1"), lab.a) as daemon:
        announce("start")
        wait_for(lambda: daemon.cli("marker", "status")["flows"] == 1, "the first flow to be in the table")
        announcer = traffic.Announcer(lab.a)
        with traffic.udp_client(lab.a, lab.b, 1095) as second:
            announcer.announce("start", second, 2, 16, traffic.now())
            wait_for(lambda: daemon.cli("marker", "status")["skippedFlows"]["tableFull"] == 1, "the second flow to be skipped")
            assert [one[0] for one in explain(daemon, second, "backend marker")] == ["not-in-table"]
        announcer.close()
        assert [one[0] for one in explain(daemon, sock, "backend marker")] == ["marked"]


def test_the_marker_explains_that_a_label_needs_ipv6(lab):
    with Collector(lab.b), Daemon(configuration(lab), lab.a) as daemon:
        for a, b in ((lab.a.address4, lab.b.address4), (f"[::ffff:{lab.a.address4}]", f"[::ffff:{lab.b.address4}]")):
            assert verdicts(ask(daemon, "udp", f"{a}:40000", f"{b}:1094"), "backend marker") == ["ipv4"]


def test_firefly_explains_the_last_firefly_to_the_collector(lab, flow):
    sock, announce = flow
    collector = f"[{lab.b.address6}]:10514"
    with Collector(lab.b) as collecting, Daemon(configuration(lab), lab.a) as daemon:
        assert [one[0] for one in explain(daemon, sock, "backend firefly")] == ["not-announced"]
        announce("start")
        collecting.wait_for_count(1)
        told, destination = explain(daemon, sock, "backend firefly")
        assert told[:3] == ("sent", collector, "The last firefly (start) was sent to this collector.")
        assert told[3][:16] == collecting.fireflies[0]["flow-lifecycle"]["current-time"][:16]
        assert destination[::2] == ("destination-off", "sendToDestination is off.")
        announce("ongoing")
        collecting.wait_for_count(2)
        assert explain(daemon, sock, "backend firefly")[0][2] == "The last firefly (ongoing) was sent to this collector."


def test_firefly_explains_why_the_destination_gets_no_firefly(lab, flow):
    sock, announce = flow
    with Collector(lab.b) as collecting, Daemon(configuration(lab, firefly="sendToDestination: true"), lab.a) as daemon:
        announce("start")
        collecting.wait_for_count(1)
        told = explain(daemon, sock, "backend firefly")
        assert told[1][:3] == ("received", f"[{lab.b.address6}]:10514",
                               "The flow was learnt from a firefly, and forwardToDestination is off.")


def test_firefly_explains_a_collector_without_listener(lab, flow):
    sock, announce = flow
    with Daemon(configuration(lab), lab.a) as daemon:
        wait_for(lambda: announce("ongoing") or explain(daemon, sock, "backend firefly")[0][0] == "waiting", "the refusal")
        _, subject, text, time = explain(daemon, sock, "backend firefly")[0]
        assert subject == f"[{lab.b.address6}]:10514" and time
        assert text.startswith("The last firefly (ongoing) waits to be sent: "), text


# The core: who announces the flow, and why its tag won.

RULES = "  netlink: {ignorePrivate: false, period: 1, rules: [{remotePorts: ['1094'], experiment: 3, activity: 14}]}\n"


@pytest.fixture
def connection(lab):
    """A TCP connection to the other host, and whoever announces it."""
    announcer = traffic.Announcer(lab.a)
    server = traffic.TcpServer(lab.b, 1094)
    with traffic.tcp_client(lab.a, lab.b, 1094) as sock:
        yield sock, lambda state, experiment=2, activity=16: announcer.announce(state, sock, experiment, activity, traffic.now())
    announcer.close()
    server.close()


def without_collector(plugins, extra=""):
    return f"plugins:\n{plugins}backends:\n  marker: {{targetInterfaces: [eth0]}}\n{extra}"


def daemon_verdicts(daemon, sock):
    return verdicts(ask(daemon, *ends(sock)), "daemon")


def test_either_direction_finds_the_flow_and_says_so(lab, flow):
    sock, announce = flow
    with Daemon(without_collector("  fireflyp: {}\n"), lab.a) as daemon:
        announce("start")
        protocol, source, destination = ends(sock)
        wait_for(lambda: ask(daemon, protocol, source, destination)["known"], "the flow")
        straight, reverse = ask(daemon, protocol, source, destination), ask(daemon, f"{protocol} {destination} {source}")
        assert (straight["reversed"], reverse["reversed"]) == (False, True)
        assert straight["flow"]["source"] == reverse["flow"]["source"] == source
        assert straight["announcers"] == [{"instance": "fireflyp", "precedence": "explicit", "announcements": 1, "gaveTag": True}]
        assert verdicts(straight, "daemon") == ["announced", "tag-alone"]
        assert verdicts(reverse, "daemon") == ["announced", "reversed", "tag-alone"]
        assert of(straight, "daemon")[0][3], "the time since when it is announced"


def test_the_tag_of_the_highest_precedence_wins_and_the_loser_says_what_it_would_give(lab, connection):
    """case C07: a rule announces the connection from its first packet, the application three seconds later."""
    sock, announce = connection
    with Daemon(without_collector("  fireflyp: {}\n" + RULES), lab.a) as daemon:
        wait_for(lambda: daemon_verdicts(daemon, sock) == ["announced", "tag-alone"], "netlink to announce the connection", 20)
        answer = ask(daemon, *ends(sock))
        assert answer["flow"]["rule"] == "rules[0]", "the rule is named"
        announce("start")
        wait_for(lambda: daemon_verdicts(daemon, sock) == ["announced", "tag-precedence"], "the explicit tag")
        answer = ask(daemon, *ends(sock))
        assert (answer["flow"]["experimentId"], answer["flow"]["activityId"]) == (2, 16)
        text = of(answer, "daemon")[1][2]
        assert "fireflyp (explicit)" in text and "netlink (rule)" in text, text
        (loser,) = [one for one in answer["explanations"] if one["instance"] == "plugin netlink"]
        assert (loser["verdict"], loser["subject"], loser["experimentId"], loser["activityId"]) == ("tagged", "rules[0]", 3, 14)
        first, second = answer["changes"]
        assert (first["event"], first["instance"], first["formerTag"]) == ("start", "netlink", ""), answer["changes"]
        assert (second["event"], second["instance"], second["formerTag"]) == ("retag", "fireflyp", first["tag"]), answer["changes"]
        assert second["time"] > first["time"] and second["tag"] != first["tag"]
        # The one that gave the tag leaves.
        daemon.reload(without_collector(RULES))
        wait_for(lambda: "tag-left" in daemon_verdicts(daemon, sock) or
                 ask(daemon, *ends(sock))["flow"]["experimentId"] == 3, "fireflyp to be gone", 20)


def test_a_valid_tag_is_not_replaced_by_none(lab, connection):
    sock, announce = connection
    with Daemon(without_collector("  fireflyp: {}\n" + RULES), lab.a) as daemon:
        wait_for(lambda: "announced" in daemon_verdicts(daemon, sock), "netlink to announce the connection", 20)
        announce("start", 0, 0)
        wait_for(lambda: daemon_verdicts(daemon, sock) == ["announced", "tag-valid"], "the announcement without a tag")


def test_among_equal_precedence_the_first_tag_is_kept_until_its_instance_leaves(lab, flow):
    sock, announce = flow
    second = traffic.Announcer(lab.a, address=("127.0.0.1", 10515))
    plugins = "  fireflyp: {}\n"
    with Daemon(without_collector(plugins + "  fireflyp/second: {bindPort: 10515}\n"), lab.a) as daemon:
        second.announce("start", sock, 3, 14, traffic.now())
        wait_for(lambda: daemon_verdicts(daemon, sock) == ["announced", "tag-alone"], "the first announcement")
        announce("start")
        wait_for(lambda: daemon_verdicts(daemon, sock) == ["announced", "tag-first"], "the second announcement")
        daemon.reload(without_collector(plugins))
        wait_for(lambda: daemon_verdicts(daemon, sock) == ["announced", "tag-left"], "the first instance to be gone", 20)
    second.close()


def test_an_ended_flow_says_how_it_ended(lab, flow):
    sock, announce = flow
    with Daemon(without_collector("  fireflyp: {}\n", "flows: {tombstone: 600s}\n"), lab.a) as daemon:
        announce("start")
        wait_for(lambda: ask(daemon, *ends(sock))["state"] == "live", "the flow")
        announce("end")
        wait_for(lambda: ask(daemon, *ends(sock))["state"] == "ended", "the end")
        answer = ask(daemon, *ends(sock))
        assert (verdicts(answer, "daemon"), verdicts(answer, "backend marker")) == (["ended", "not-kept"], ["ended"])
        assert_ended(answer)


def assert_ended(answer):
    (_, _, text, time), (_, _, lost, _) = of(answer, "daemon")
    assert answer["state"] == "ended", answer
    assert text.startswith("Announced by fireflyp (explicit), from 20") and text.endswith("It has ended: its end was announced."), text
    assert time == answer["flow"]["end"] and "each collector" in lost
    ended = answer["flow"]
    assert (ended["announcer"], ended["experimentId"], ended["activityId"], ended["endReason"]) == ("fireflyp", 2, 16, "announced")


def is_forgotten(daemon):
    return daemon.cli("status")["flows"]["endedKept"] == 0


def test_a_flow_is_explained_from_the_history_when_its_tombstone_is_gone(lab, flow):
    sock, announce = flow
    plain, none = "  fireflyp: {}\n", "flows: {tombstone: 1s, history: 0}\n"
    with Daemon(without_collector(plain, "flows: {tombstone: 1s}\n"), lab.a) as daemon:
        for _ in range(3):
            announce("start")
            wait_for(lambda: ask(daemon, *ends(sock))["state"] == "live", "the flow")
            announce("end")
            wait_for(lambda: is_forgotten(daemon) and ask(daemon, *ends(sock))["state"] == "ended", "the tombstone to be gone")
        answer = ask(daemon, *ends(sock))
        assert_ended(answer)
        assert [one["endReason"] for one in answer["earlier"]] == ["announced"] * 2, "two earlier flows have the same 5-tuple"
        protocol, source, destination = ends(sock)
        assert ask(daemon, protocol, destination, source)["reversed"], "the opposite direction"
        assert ask(daemon, protocol, source, destination.replace(":1094", ":1095"))["state"] == "unknown"
        for words in (("2/16",), ("144",), ("atlas",), ("0x10040",)):
            tag = ask(daemon, *words)
            assert (tag["verdict"], tag["liveFlows"], tag["endedFlows"]) == ("only-ended", 0, 3), words
            assert [one["source"] for one in tag["ended"]] == [source] * 3
        assert ask(daemon, "cms/2")["endedFlows"] == 0
        announce("start")
        wait_for(lambda: ask(daemon, *ends(sock))["state"] == "live", "another flow of the 5-tuple")
        assert len(ask(daemon, *ends(sock))["earlier"]) == 3
        announce("end")
        daemon.reload(without_collector(plain, none))
        wait_for(lambda: ask(daemon, *ends(sock))["state"] == "unknown", "a daemon without history to know nothing")


def test_the_core_says_why_a_flow_is_not_announced(lab, flow):
    sock, announce = flow
    with Daemon(without_collector("  fireflyp: {}\n", "flows: {maxLive: 1}\n"), lab.a) as daemon:
        assert daemon_verdicts(daemon, sock) == ["not-announced"]
        assert verdicts(ask(daemon, "tcp", "[::]:1", "[2001:db8::1]:2"), "daemon") == ["malformed"]
        assert verdicts(ask(daemon, "tcp", "[2001:db8::1]:0", "[2001:db8::1]:2"), "daemon") == ["malformed"]
        announce("start")
        wait_for(lambda: daemon_verdicts(daemon, sock)[0] == "announced", "the flow")
        assert verdicts(ask(daemon, "udp", "[2001:db8::1]:1", "[2001:db8::2]:2"), "daemon") == ["table-full"]
    with Daemon("backends:\n  marker: {targetInterfaces: [eth0]}\n", lab.a) as daemon:
        assert daemon_verdicts(daemon, sock) == ["no-plugin"]


# The marker, further reasons.

def test_the_marker_explains_that_a_flow_is_forwarded(lab):
    plugins = "  perfsonar: {experimentId: 3, activityId: 2, interfaces: [eth0]}\n"
    for command in ("sysctl -qw net.ipv6.conf.all.forwarding=1", "ip link add inner type veth peer name outer",
                    "ip link set inner up", "ip link set outer up", f"ip route add 2001:db8:2::/48 via {lab.b.address6}"):
        lab.a.run(*command.split())
    inner = lab.a.run("cat", "/sys/class/net/inner/address").stdout.strip()
    packet = Ether(src="02:00:00:00:00:01", dst=inner) / IPv6(src="2001:db8:1::1", dst="2001:db8:2::1") / UDP(sport=40000, dport=1094) / b"x"
    words = ("udp", "[2001:db8:1::1]:40000", "[2001:db8:2::1]:1094")
    with Daemon(without_collector(plugins), lab.a) as daemon:
        sender = lab.a.call(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        lab.a.call(lambda: sender.bind(("outer", 0)))

        def reason():
            sender.send(bytes(packet))
            return verdicts(ask(daemon, *words), "backend marker") == ["forwarded"]

        wait_for(reason, "the meter to announce what is forwarded, and the marker to say why it does not mark it", 20)
        sender.close()


def test_the_marker_explains_that_the_route_leads_over_another_interface(lab):
    for command in ("link add unmarked type veth peer name other", "link set unmarked up", "link set other up",
                    "-6 route add 2001:db8:9::/48 dev unmarked", "-6 route add 2001:db8:7::/48 dev eth0",
                    "link add bridge7 type bridge", "link set bridge7 up", "-6 route add 2001:db8:6::/48 dev bridge7"):
        lab.a.run("ip", *command.split())
    ours = f"[{lab.a.address6}]:40000"
    with Daemon(without_collector("  perfsonar: {experimentId: 3, activityId: 2, flows: false}\n"), lab.a) as daemon:
        wait_for(lambda: daemon.cli("marker", "status")["catchAll"], "the catch-all")

        def told(source, destination):
            return [one[:2] for one in of(ask(daemon, "udp", source, destination), "backend marker")]

        on_route, off_route = [("marked-catch-all", "eth0")], [("marked-catch-all", "eth0"), ("other-interface", "unmarked")]
        assert told(ours, "[2001:db8:9::1]:1094") == off_route
        assert told("[2001:db8:9::1]:1094", ours) == off_route, "the packets that leave are those of the destination"
        assert told(ours, "[2001:db8:7::1]:1094") == on_route
        assert told(ours, "[2001:db8:6::1]:1094") == [("marked-catch-all", "eth0"), ("other-interface", "bridge7")]
        lab.a.run("ip", "link", "set", "eth0", "master", "bridge7")
        assert told(ours, "[2001:db8:6::1]:1094") == on_route, "the bridge that the marked interface is a port of"
        assert told("[::1]:1", "[::1]:2") == [("marked-catch-all", "eth0"), ("other-interface", "lo")]
        assert told("[2001:db8:5::1]:1", "[2001:db8:9::1]:2") == on_route, "neither end is an address of this host"


# netlink

def test_netlink_says_why_it_does_not_announce_a_connection(lab, connection):
    sock, _ = connection
    rules = ("rules: [{remotePorts: ['2000'], ignore: true}, {remotePorts: ['2001'], user: root, experiment: 2, activity: 16},"
             " {remotePorts: ['2002'], experiment: 2, activity: 16}]")
    networks = "internalNetworks: ['2001:db8:1::/48']"
    with Daemon(without_collector(f"  netlink: {{ignorePrivate: false, announceExisting: false, {networks}, {rules}}}\n"
                                  "  fireflyp: {}\n  api: {bindAddress: '::1', bindPort: 8085}\n"), lab.a) as daemon:
        def verdict(remote, protocol="tcp", local=f"[{lab.a.address6}]:40000"):
            return verdicts(ask(daemon, protocol, local, remote), "plugin netlink")

        wait_for(lambda: verdict("[2001:db8::2]:2000") == ["ignored"], "a look at the sockets", 20)
        assert verdict("[2001:db8::2]:2000", "udp") == ["protocol"]
        assert verdict("[2001:db8::2]:2000", local="[2001:db8::9]:1") == ["not-local"]
        assert verdict("[2001:db8:1::2]:2000") == ["internal"]
        assert verdict("[2001:db8::2]:2000") == ["ignored"]
        assert verdict("[2001:db8::2]:2001") == ["undecided"]
        assert verdict("[2001:db8::2]:2002") == ["not-seen"]
        assert verdict("[2001:db8::2]:2003") == ["no-rule"]
        wait_for(lambda: verdict("[::1]:50000", local="[::1]:8085") == ["own"], "a look after the api listens", 20)
        listener = lab.a.call(lambda: socket.create_server((lab.a.address6, 3000), family=socket.AF_INET6))
        wait_for(lambda: verdict(f"[{lab.a.address6}]:50000", local=f"[{lab.a.address6}]:3000") == ["inside"], "another look", 20)
        listener.close()
        assert verdicts(ask(daemon, *ends(sock)), "plugin netlink") == ["existing"], "it is older than the daemon"


# perfsonar

def test_perfsonar_says_why_it_does_not_announce_a_flow(lab, flow):
    sock, _ = flow
    servers = [traffic.UdpServer(lab.b, port) for port in (1094, 1095, 1096)]
    meter = "experimentId: 3, activityId: 2, interfaces: [eth0], minBytes: 100, exclude: {ports: [1095]}"
    with Daemon(without_collector(f"  perfsonar: {{{meter}}}\n", "flows: {maxLive: 1}\n"), lab.a) as daemon:
        def verdict(one):
            return verdicts(ask(daemon, *ends(one)), "plugin perfsonar")

        assert verdict(sock) == ["not-metered"]
        assert verdicts(ask(daemon, "132", "[2001:db8::1]:1", "[2001:db8::2]:2"), "plugin perfsonar") == ["protocol"]
        sock.send(b"x")
        wait_for(lambda: verdict(sock) == ["too-small"], "the meter to see the flow")
        with traffic.udp_client(lab.a, lab.b, 1095) as excluded:
            excluded.send(b"x" * 200)
            wait_for(lambda: verdict(excluded) == ["excluded"], "the meter to see the excluded flow")
        sock.send(b"x" * 200)
        wait_for(lambda: verdict(sock) == ["metered"], "the flow to be announced")
        (said,) = [one for one in ask(daemon, *ends(sock))["explanations"] if one["instance"] == "plugin perfsonar"]
        assert (said["experimentId"], said["activityId"]) == (3, 2)
        with traffic.udp_client(lab.a, lab.b, 1096) as beyond:
            beyond.send(b"x" * 200)
            wait_for(lambda: verdict(beyond) == ["refused"], "the core to refuse the second flow")
    with Daemon(without_collector("  perfsonar: {experimentId: 3, activityId: 2, flows: false}\n"), lab.a) as daemon:
        assert verdicts(ask(daemon, *ends(sock)), "plugin perfsonar") == ["flows-off"]
    for server in servers:
        server.close()


def test_perfsonar_says_that_a_connection_is_over(lab):
    server = traffic.TcpServer(lab.b, 1094)
    with Daemon(without_collector("  perfsonar: {experimentId: 3, activityId: 2, interfaces: [eth0]}\n"), lab.a) as daemon:
        with traffic.tcp_client(lab.a, lab.b, 1094) as sock:
            sock.send(b"x")
            words = ends(sock)
            wait_for(lambda: verdicts(ask(daemon, *words), "plugin perfsonar") == ["metered"], "the flow to be announced")
        wait_for(lambda: verdicts(ask(daemon, *words), "plugin perfsonar") == ["over"], "the end to be seen")
    server.close()


def test_perfsonar_does_not_announce_the_daemons_own_fireflies(lab, flow):
    sock, announce = flow
    plugins = "  perfsonar: {experimentId: 3, activityId: 2, interfaces: [eth0]}\n"
    with Collector(lab.b), Daemon(configuration(lab, plugins=plugins), lab.a) as daemon:
        announce("start")
        target = f"[{lab.b.address6}]:10514"

        def own():
            lines = lab.a.run("ss", "-Hun", "dst", f"[{lab.b.address6}]", "dport", "=", ":10514").stdout.split()
            locals_ = [word for word in lines if word.startswith(f"[{lab.a.address6}]")]
            return locals_ and verdicts(ask(daemon, "udp", locals_[0], target), "plugin perfsonar") == ["own"]

        wait_for(own, "the daemon's own socket to be recognised", 20)


# Tags, labels and scitags.

def test_a_label_tells_which_flows_carry_it_and_what_gives_it(lab, flow):
    sock, announce = flow
    with Daemon(without_collector("  fireflyp: {}\n" + RULES), lab.a) as daemon:
        tag = ask(daemon, "3/14")
        assert (tag["verdict"], tag["liveFlows"], tag["registered"], tag["scitag"]) == ("not-matched", 0, True, 206)
        assert [one["option"] for one in tag["configured"]] == ["plugins.netlink.rules[0]"]
        assert tag["configured"][0]["place"].endswith("conf.yaml:3:60") or ":3:" in tag["configured"][0]["place"]
        announce("start")
        wait_for(lambda: daemon.cli("marker", "status")["flows"] == 1, "the flow to be in the table")
        label = next(one["label"] for one in ask(daemon, *ends(sock))["explanations"] if "label" in one)
        assert labels.decode(int(label, 16)) == (2, 16)
        answer = ask(daemon, label)
        assert (answer["verdict"], answer["liveFlows"], answer["flowsWithLabel"], answer["flowsExamined"]) == ("carried", 1, 1, 1)
        assert answer["experiment"] == "atlas" and answer["markedInterfaces"] == ["eth0"] and answer["configured"] == []
        assert answer["sources"] == [{"announcer": "fireflyp", "rule": "", "flows": 1}]
        (one,) = answer["flows"]
        assert (one["source"], one["label"]) == (endpoint(sock.getsockname()), label)
        other = ask(daemon, hex(int(label, 16) ^ 1))
        assert (other["verdict"], other["liveFlows"], other["flowsWithLabel"], other["flows"]) == ("other-entropy", 1, 0, [])
        assert ask(daemon, "144")["liveFlows"] == 1, "as a scitag"
        for words in (("atlas",), ("2/16",), ("atlas", "16"), (str(int(label, 16) & 0x3fefc),)):
            assert ask(daemon, *words)["liveFlows"] == 1, words
        assert ask(daemon, "cms")["liveFlows"] == 0
        announce("end")


def test_a_tag_that_no_flow_has_says_why(lab):
    plugins = "  perfsonar: {experimentId: 3, activityId: 2, flows: false}\n"
    with Daemon(without_collector(plugins), lab.a) as daemon:
        wait_for(lambda: daemon.cli("marker", "status")["catchAll"], "the catch-all")
        answer = ask(daemon, "cms/2")
        assert (answer["verdict"], answer["catchAll"]) == ("catch-all", "perfsonar")
        assert ask(daemon, "2/16")["verdict"] == "not-configured"
        assert ask(daemon, "0x7a1b2")["verdict"] == "not-registered"
        assert ask(daemon, "0")["verdict"] == "no-valid-tag"


@pytest.mark.parametrize("words", [("0x100000",), ("99999999999",), ("nobody",), ("tcp", "host:1", "[::1]:2"), ("a" * 60000,),
                                   ("\x1b[31m",), ("tcp",)])
def test_what_is_no_question_is_refused_with_a_hint(lab, words):
    with Daemon(without_collector("  fireflyp: {}\n"), lab.a) as daemon:
        done = subprocess.run([str(BINARY), "--control", str(daemon.control), "explain", *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and "hint" in done.stderr and "\x1b" not in done.stderr, done


def test_without_a_daemon_explain_says_so():
    done = subprocess.run([str(BINARY), "explain", "cms", "--control", "/run/no-such-daemon"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 8 and "no daemon" in done.stderr, done


def test_every_reason_in_the_document_was_brought_about():
    """Those of firefly, and flows of other network namespaces, are brought about by unit tests."""
    import runpy
    check = runpy.run_path(str(ROOT / "tests/check-explain"))
    titles = {"The core (`daemon`)": "daemon", "backend marker": "backend marker", "plugin netlink": "plugin netlink",
              "plugin perfsonar": "plugin perfsonar"}
    documented = {(instance, verdict) for title, instance in titles.items() for verdict in check["documented"](title)}
    missing = documented - SEEN - {("backend marker", "other-namespace")}
    assert not missing, missing
