# SPDX-License-Identifier: Apache-2.0
"""Situations that users report of flows, collectors, receiving and time, with the real daemon. tests/check-cases lists them."""
import json
import os
import pathlib
import re
import signal
import socket
import time

import pytest

from tests.harness import traffic
from tests.harness.collector import SO_RCVBUFFORCE, Collector
from tests.harness.daemon import ROOT, Daemon, preloaded
from tests.harness.dns import NameServer
from tests.harness.http import Api
from tests.harness.lab import wait_for
from tests.harness.process import cpu_seconds

SOCKET_UNIT = ROOT / "etc" / "systemd" / "plugin-fireflyp" / "flowd-cpp-fireflyp.socket"
STARTED = "2026-11-23T10:00:00Z"


def enter(host):
    return ["nsenter", f"--net=/run/netns/{host.name}"]


def firefly(state, source=("2001:db8::a", 1), destination=("2001:db8::b", 1094), tag=(2, 16), usage=None, **times):
    times = {name.replace("_", "-"): time for name, time in times.items()}
    one = {"version": 1, "flow-lifecycle": {"state": state, "current-time": "2026-11-23T10:00:05Z", "start-time": STARTED} | times,
           "context": {"experiment-id": tag[0], "activity-id": tag[1]},
           "flow-id": {"afi": "ipv6", "src-ip": source[0], "dst-ip": destination[0], "protocol": "tcp", "src-port": source[1],
                       "dst-port": destination[1]}}
    if usage:
        one["usage"] = dict(zip(("sent", "received"), usage))
    return b"<134>1 2026-11-23T10:00:05Z se test - firefly-json - " + json.dumps(one).encode()


def sender(host, family=socket.AF_INET):
    return host.call(socket.socket, family, socket.SOCK_DGRAM)


def backends(*addresses, more=""):
    collectors = ", ".join(f'{{address: "{address}"}}' for address in addresses)
    return f"backends:\n  firefly: {{sendToDestination: false, resolveInterval: 1s, collectors: [{collectors}]}}\n{more}"


def states(collector, port=1):
    """The events of the flow with a source port, and their tags."""
    return [(one["flow-lifecycle"]["state"], one["context"]["experiment-id"], one["context"]["activity-id"])
            for one in collector.fireflies if port in (one["flow-id"]["src-port"], one["flow-id"]["dst-port"])]


def lifecycle_of_end(collector, port):
    return next(one["flow-lifecycle"] for one in collector.fireflies
                if one["flow-id"]["src-port"] == port and one["flow-lifecycle"]["state"] == "end")


def effects(daemon, plugin="fireflyp"):
    return next(one for one in daemon.cli("status")["announcers"] if one["plugin"] == plugin)["effects"]


def told(daemon, instance, key):
    return daemon.details(instance)[key]


@pytest.mark.parametrize("ends", ["near", "far", "both"])
def test_a_flow_that_both_ends_announce_starts_and_ends_once(lab, ends):
    """case C04: the far end announces it with source and destination exchanged; a third host is not allowed to."""
    elsewhere, third_host = lab.b.address6 + "8", lab.b.address6 + "9"  # a collector is not told what came from its own address
    for address in (elsewhere, third_host):
        lab.b.run("ip", "addr", "add", f"{address}/64", "dev", "eth0", "nodad")
    plugins = f'plugins: {{fireflyp: {{bindAddress: "::", allow: ["127.0.0.0/8", "{lab.b.address6}"]}}}}\n'
    here, there = (lab.a.address6, 40001), (lab.b.address6, 1094)
    with Collector(lab.b) as collector, Daemon(plugins + backends(elsewhere), prefix=enter(lab.a)) as daemon:
        near, far, third = sender(lab.a), sender(lab.b, socket.AF_INET6), sender(lab.b, socket.AF_INET6)
        far.bind((lab.b.address6, 0))
        third.bind((third_host, 0))
        to_us = (lab.a.address6, 10514)
        near.sendto(firefly("start", here, there), ("127.0.0.1", 10514))
        far.sendto(firefly("start", there, here), to_us)
        third.sendto(firefly("end", here, there), to_us)
        wait_for(lambda: told(daemon, "plugin fireflyp", "received") == 3, "the three datagrams")
        (flow,) = daemon.cli("flows")["flows"]
        assert (flow["announcers"], flow["source"]) == (2, f"[{here[0]}]:{here[1]}")
        (one,) = daemon.cli("explain", "tcp", flow["destination"], flow["source"])["announcers"]
        assert (one["instance"], one["announcements"]) == ("fireflyp", 2)
        assert told(daemon, "plugin fireflyp", "turnedAway")["not_allowed"] == 1
        if ends != "far":
            near.sendto(firefly("end", here, there, usage=(1000, 50), end_time="2026-11-23T10:00:07Z"), ("127.0.0.1", 10514))
        if ends != "near":
            far.sendto(firefly("end", there, here, usage=(50, 1000), end_time="2026-11-23T10:00:07Z"), to_us)
        wait_for(lambda: ("end", 2, 16) in states(collector, 40001), "the end")
        wait_for(lambda: told(daemon, "plugin fireflyp", "received") == (5 if ends == "both" else 4), "every datagram")
        assert daemon.cli("flows")["live"] == 0
        assert daemon.stop() == 0
        assert states(collector, 40001) == [("start", 2, 16), ("end", 2, 16)]
        assert collector.fireflies[-1]["usage"] == {"sent": 1000, "received": 50}, "not added"


def test_each_request_on_a_connection_has_its_own_tag(lab):
    """case C06: over the named pipe; the label is gone after the end, although the connection lives."""
    pipe = pathlib.Path(f"/run/flowd-test-cases-{os.getpid()}")
    marker = "  marker: {targetInterfaces: [eth0]}\n"
    try:
        with Collector(lab.b) as collector, traffic.udp_client(lab.a, lab.b, 1094) as sock, \
                Daemon(f"plugins: {{namedpipe: {{pipePath: {pipe}}}}}\n" + backends(lab.b.address6, more=marker),
                       prefix=enter(lab.a)) as daemon:
            port = sock.getsockname()[1]

            def write(*lines):
                with open(pipe, "w") as writer:
                    writer.write("".join(f"{state} udp {lab.a.address6} {port} {lab.b.address6} 1094 {tag}\n" for state, tag in lines))

            write(("start", "2 16"), ("end", "2 16"), ("start", "3 14"), ("end", "3 14"))
            wait_for(lambda: len(states(collector, port)) == 4, "two pairs")
            write(("start", "2 16"))
            wait_for(lambda: daemon.cli("marker", "status")["flows"] == 1, "the label")
            write(("start", "3 14"))
            wait_for(lambda: len(states(collector, port)) == 6, "the new tag")
            (flow,) = daemon.cli("flows")["flows"]
            assert (flow["experimentId"], flow["activityId"]) == (3, 14)
            write(("end", "3 14"))
            wait_for(lambda: daemon.cli("marker", "status")["flows"] == 0, "the label to be gone")
            wait_for(lambda: len(states(collector, port)) == 7, "the end")
            assert states(collector, port) == [
                ("start", 2, 16), ("end", 2, 16), ("start", 3, 14), ("end", 3, 14),
                ("start", 2, 16), ("ongoing", 3, 14), ("end", 3, 14)]
            assert daemon.stop() == 0
    finally:
        pipe.unlink(missing_ok=True)


ENDS = {  # source port: (start-time, end-time, whether the end is before the start)
    1: (STARTED, "2026-11-23T09:59:59Z", True),
    2: (STARTED, "1970-01-01T00:00:00Z", True),
    3: (STARTED, "1970-01-01T00:00:00+05:30", True),  # before Unix time
    4: (STARTED, "1900-01-01T00:00:00Z", True),       # the beginning of NTP's time
    5: (STARTED, "2500-01-01T00:00:00Z", False),
    6: ("1969-12-31T23:59:59Z", "2026-11-23T10:00:07Z", False),
    7: ("2500-01-01T00:00:00Z", "2026-11-23T10:00:07Z", True),
}


def test_an_end_before_the_start_ends_the_flow_now(lab):
    """case C31: the sender's clock was stepped, or not yet set. The flow ends, its duration is 0, the label goes."""
    marker = "  marker: {targetInterfaces: [eth0]}\n"
    with Collector(lab.b) as collector, \
            Daemon("plugins: {fireflyp: {}, api: {}}\n" + backends(lab.b.address6, more=marker), prefix=enter(lab.a)) as daemon:
        sock = sender(lab.a)
        for port, (start, _, _) in ENDS.items():
            sock.sendto(firefly("start", ("2001:db8::a", port), start_time=start), ("127.0.0.1", 10514))
        wait_for(lambda: daemon.cli("marker", "status")["flows"] == len(ENDS), "the labels")
        for port, (start, end, _) in ENDS.items():
            sock.sendto(firefly("end", ("2001:db8::a", port), start_time=start, end_time=end), ("127.0.0.1", 10514))
        wait_for(lambda: daemon.cli("marker", "status")["flows"] == 0, "the labels to be gone")
        wait_for(lambda: len(collector.fireflies) == 2 * len(ENDS), "the ends")
        for port, (_, _, is_stepped) in ENDS.items():
            times = lifecycle_of_end(collector, port)
            assert (times["start-time"] == times["end-time"]) == is_stepped, (port, times)
        assert effects(daemon)["clock_stepped"] == sum(is_stepped for _, _, is_stepped in ENDS.values())
        assert told(daemon, "plugin fireflyp", "refused") == 0

        flow = {"protocol": "tcp", "experiment": 2, "activity": 16, "source": {"address": "2001:db8::a", "port": 99},
                "destination": {"address": "2001:db8::b", "port": 1094}}
        with Api.at(lab.a) as api:
            for event in ({"state": "start", "startTime": STARTED}, {"state": "end", "startTime": STARTED, "endTime": "1969-07-20T20:17:40Z"}):
                assert api.post(flow | event)[0] < 300
        wait_for(lambda: states(collector, 99) == [("start", 2, 16), ("end", 2, 16)], "the pair by REST")
        times = lifecycle_of_end(collector, 99)
        assert times["start-time"] == times["end-time"]
        assert effects(daemon, "api")["clock_stepped"] == 1
        assert daemon.cli("flows")["live"] == 0
        assert daemon.stop() == 0


def bound(address):
    """As systemd binds it for the socket unit."""
    host, port = re.fullmatch(r"\[?([^\]]+)\]?:(\d+)", address).groups()
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, int(port)))
    return sock


def test_the_socket_unit_keeps_what_is_sent_to_either_loopback_address(lab):
    """case C23: localhost is ::1 for some senders and 127.0.0.1 for others."""
    listed = re.findall(r"^ListenDatagram=(\S+)$", SOCKET_UNIT.read_text(), re.M)
    with Collector(lab.b) as collector:
        daemon = Daemon("plugins: {fireflyp: {}}\n" + backends(lab.b.address6), prefix=enter(lab.a))
        for number, address in enumerate(listed):
            with lab.a.call(bound, address) as sock:
                daemon.stored[f"unit{number}"] = os.dup(sock.fileno())
        for port, (family, address) in enumerate(((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")), 1):
            with sender(lab.a, family) as sock:
                sock.connect((address, 10514))
                sock.send(firefly("start", ("2001:db8::a", port)))  # no daemon runs yet
        with daemon:
            collector.wait_for_count(2)
            assert [one["address"] for one in told(daemon, "plugin fireflyp", "binds")] == ["127.0.0.1:10514", "[::1]:10514"]


def test_a_collector_behind_an_unknown_interface_is_reported(lab):
    """case C25: it may come later, so the daemon starts; `check --host` and status name the interface."""
    configuration = "plugins: {fireflyp: {}}\n" + backends("fe80::77%later0")
    with Daemon(configuration, prefix=enter(lab.a)) as daemon:
        for found in (daemon.cli("findings"), daemon.cli("check", "--host", "--conf", str(daemon.conf), check=False)):
            (one,) = [one for one in (found if isinstance(found, list) else found["findings"]) if one["id"] == "firefly-collector-unroutable"]
            assert (one["subject"], one["found"]) == ("[fe80::77%later0]:10514", "there is no interface 'later0'"), one
        assert daemon.stop() == 0


def test_a_receive_buffer_that_the_kernel_limits_is_reported(lab):
    """case C27: without CAP_NET_ADMIN; what a burst loses is counted exactly."""
    limit = int(pathlib.Path("/proc/sys/net/core/rmem_max").read_text())
    sent = 20_000
    unprivileged = [*enter(lab.a), "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    configuration = ("plugins:\n  fireflyp: {receiveBuffer: 1 GiB}\n"
                     "  netlink: {receiveBuffer: 1 GiB, early: false, rules: [{localPorts: [\"1094\"], experiment: 2, activity: 16}]}\n"
                     "backends:\n  metrics: {port: 9107}\n")
    with Daemon(configuration, prefix=unprivileged) as daemon:
        warnings = [line for line in daemon.log.splitlines() if "[warning]" in line and "receiveBuffer" in line]
        assert len(warnings) == 3, daemon.log
        assert all(f"{limit} of the {1 << 30} bytes" in line and f"net.core.rmem_max={1 << 30}" in line for line in warnings), warnings
        assert {one["receiveBuffer"] for one in told(daemon, "plugin fireflyp", "binds")} == {limit}
        assert told(daemon, "plugin netlink", "receiveBuffer") == limit
        gauges = lambda: [float(line.rsplit(" ", 1)[1]) for line in metrics(lab.a).splitlines() if "receive_buffer_bytes{" in line]  # noqa: E731
        wait_for(lambda: gauges() == [limit] * 3, "the gauges of the three sockets")
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            with sender(lab.a) as sock:
                for _ in range(sent):
                    sock.sendto(b"{}", ("127.0.0.1", 10514))
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        seen = lambda: daemon.details("plugin fireflyp")  # noqa: E731
        wait_for(lambda: seen()["received"] + seen()["kernelDrops"] == sent, "every datagram to be received or counted as dropped")
        assert seen()["kernelDrops"] > 0


def test_a_receive_buffer_of_the_socket_unit_is_not_reduced(lab):
    """case C27: systemd may exceed net.core.rmem_max where the daemon may not (no CAP_NET_ADMIN)."""
    unprivileged = [*enter(lab.a), "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    daemon = Daemon("plugins: {fireflyp: {bindAddress: 127.0.0.1}}\nbackends: {metrics: {port: 9107}}\n", prefix=unprivileged)
    with lab.a.call(bound, "127.0.0.1:10514") as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        daemon.stored["unit"] = os.dup(sock.fileno())
    with daemon:
        (bind,) = told(daemon, "plugin fireflyp", "binds")
        assert bind["receiveBuffer"] == 8 << 20
        assert "receiveBuffer" not in daemon.log


def metrics(host):
    with host.call(socket.create_connection, ("127.0.0.1", 9107), 10) as sock:
        sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode()


def test_fireflies_wait_for_a_name_that_does_not_resolve_at_the_start(lab):
    """case C21: the resolver fails for a while (SERVFAIL); the daemon is ready at once and sends what waited."""
    flows = 500
    with NameServer(lab.a, None) as server, Collector(lab.b) as collector:
        begin = time.monotonic()
        with Daemon("plugins: {fireflyp: {}}\n" + backends("collector.flowd.test"), lab.a) as daemon:
            assert time.monotonic() - begin < 15, "it does not wait for the name"
            with sender(lab.a) as sock:
                for port in range(1, flows + 1):
                    sock.sendto(firefly("start", ("2001:db8::a", port)), ("127.0.0.1", 10514))
            wait_for(lambda: told(daemon, "backend firefly", "collectors")[0]["waiting"] == flows, "them to wait")
            wait_for(lambda: server.queries > 2, "another query", 30)
            server.address = lab.b.address6
            collector.wait_for_count(flows, 90)
            assert [one["flow-id"]["src-port"] for one in collector.fireflies] == list(range(1, flows + 1))


def test_a_collector_that_is_absent_for_a_time_gets_one_line_each_way(lab):
    """case C20: its port is closed, then its route is gone; what does not fit the queue is counted."""
    waiting, dropped = 1024, 300
    route = ["ip", "-6", "route", "{}", "unreachable", f"{lab.b.address6}/128", "metric", "1"]
    with Daemon("plugins: {fireflyp: {}}\n" + backends(lab.b.address6), prefix=enter(lab.a)) as daemon:
        collector = lambda: told(daemon, "backend firefly", "collectors")[0]  # noqa: E731
        log = lambda text: sum(text in line for line in daemon.log.splitlines())  # noqa: E731
        with sender(lab.a) as sock:
            port = iter(range(1, 65536))
            tell = lambda: sock.sendto(firefly("start", ("2001:db8::a", next(port))), ("127.0.0.1", 10514))  # noqa: E731
            wait_for(lambda: tell() and collector()["state"] == "refused", "the refusal to be known")
            before = collector()["waiting"]
            for _ in range(waiting - before + dropped + 50):  # some are sent as probes
                tell()
            wait_for(lambda: collector()["dropped"] >= dropped, "the queue to be full")
            with Collector(lab.b) as back:
                back.wait_for_count(waiting - 50, 90)
                wait_for(lambda: collector()["state"] == "sending", "the collector to be in use again")
                wait_for(lambda: log("fireflies dropped before") == 1, "the line of its return")
                assert log("refuses fireflies") == 1 and log("queue of fireflies is full") == 1, daemon.log
                lab.a.run(*[word.format("add") for word in route])
                wait_for(lambda: tell() and collector()["state"] == "refused", "the lost route to be known")
                lab.a.run(*[word.format("del") for word in route])
                heard = len(back.fireflies)
                back.wait_for_count(heard + 1, 90)
                wait_for(lambda: log("[info] [firefly] sending to") == 3, "the line of its return")
                assert log("refuses fireflies") == 2, daemon.log


DUMPS_FAIL = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* The end of each list of sock_diag carries an error while %s exists. */
ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    static ssize_t (*real)(int, struct msghdr *, int);
    if (!real) real = (ssize_t (*)(int, struct msghdr *, int))dlsym(RTLD_NEXT, "recvmsg");
    ssize_t length = real(fd, message, flags);
    struct sockaddr_nl *from = message->msg_name;
    if (length <= 0 || !from || from->nl_family != AF_NETLINK || access("%s", F_OK) != 0) return length;
    int kept = errno, left = (int)length, number = -ENOENT;
    for (struct nlmsghdr *one = message->msg_iov->iov_base; NLMSG_OK(one, left); one = NLMSG_NEXT(one, left))
        if (one->nlmsg_type == NLMSG_DONE && one->nlmsg_len >= NLMSG_LENGTH(sizeof number))
            memcpy(NLMSG_DATA(one), &number, sizeof number);
    errno = kept;
    return length;
}
"""


DUMPS_DENIED = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <unistd.h>
/* A security policy denies each question to sock_diag while %s exists. */
ssize_t sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t size) {
    static ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t, int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "sendto");
    const struct nlmsghdr *request = data;
    if (!to || to->sa_family != AF_NETLINK || request->nlmsg_type != SOCK_DIAG_BY_FAMILY || access("%s", F_OK) != 0)
        return real(fd, data, length, flags, to, size);
    errno = EACCES;
    return -1;
}
"""


@pytest.mark.parametrize("fault", [DUMPS_FAIL, DUMPS_DENIED], ids=["no tcp_diag", "denied"])
def test_failed_socket_dumps_end_no_flow_and_are_logged_once(lab, tmp_path, fault):
    """case C51: the dump ends with an error in NLMSG_DONE, or may not be asked for."""
    fails = tmp_path / "fails"
    configuration = ('enrichers: {period: 1000, netlink: {}}\nplugins:\n  fireflyp: {}\n'
                     '  netlink: {early: false, period: 1s, ignorePrivate: false, rules: [{remotePorts: ["1094"], experiment: 3, activity: 14}]}\n'
                     + backends(lab.b.address6))
    with lab.b.call(lambda: socket.create_server((lab.b.address6, 1094), family=socket.AF_INET6)), Collector(lab.b), \
            traffic.tcp_client(lab.a, lab.b, 1094) as sock, \
            Daemon(configuration, prefix=enter(lab.a), environment=preloaded(tmp_path, fault % (fails, fails))) as daemon:
        announcer = traffic.Announcer(lab.a)
        announcer.announce("start", sock, 2, 16, traffic.now())
        announcer.close()
        wait_for(lambda: [flow["announcers"] for flow in daemon.cli("flows")["flows"]] == [2], "both plugins to announce it")
        fails.touch()
        wait_for(lambda: told(daemon, "plugin netlink", "failedLooks") >= 6 and told(daemon, "enricher netlink", "failures") >= 6,
                 "six failed dumps of the plugin and of the enricher", 60)
        lines = [line for line in daemon.log.splitlines() if line.startswith("[warning]")]
        assert len(lines) == 2, daemon.log  # one of the plugin, one of the enricher
        assert daemon.cli("flows")["live"] == 1
        fails.unlink()
        wait_for(lambda: daemon.log.count("it works again") == 4, "the dumps to work again", 30)
        assert daemon.cli("flows")["live"] == 1
        assert daemon.stop() == 0


def test_what_a_stop_cannot_send_is_counted_in_the_log(lab):
    """case C60: with an unreachable collector, the starts and the ends of all live flows."""
    pipe = pathlib.Path(f"/run/flowd-test-cases-{os.getpid()}")
    flows = 5000
    try:
        lab.a.run("ip", "-6", "route", "add", "unreachable", f"{lab.b.address6}/128", "metric", "1")
        with Daemon(f"plugins: {{namedpipe: {{pipePath: {pipe}}}}}\n" + backends(lab.b.address6), prefix=enter(lab.a)) as daemon:
            with open(pipe, "w") as writer:
                writer.write("".join(f"start tcp 2001:db8::a {port} 2001:db8::b 1094 2 16\n" for port in range(1, flows + 1)))
            wait_for(lambda: daemon.cli("flows", "--limit", "1")["live"] == flows, "the flows", 30)
            assert daemon.stop() == 10, "something was lost"
            assert f"{2 * flows} fireflies for [{lab.b.address6}]:10514 could not be sent before the stop" in daemon.log
            assert f"stopped; lost {2 * flows} events" in daemon.log
    finally:
        pipe.unlink(missing_ok=True)
        lab.a.run("ip", "-6", "route", "del", "unreachable", f"{lab.b.address6}/128", "metric", "1", check=False)


def test_writers_and_the_file_of_the_pipe_come_and_go(lab):
    """case C61: no writer, 1,000 short writers, a writer that stays, another pipe in its place, a file of logrotate."""
    pipe = pathlib.Path(f"/run/flowd-test-cases-{os.getpid()}")
    line = "start tcp 2001:db8::a {} 2001:db8::b 1094 2 16\n"
    try:
        with Daemon(f"plugins: {{namedpipe: {{pipePath: {pipe}}}}}\nbackends: {{metrics: {{port: 9107}}}}\n", prefix=enter(lab.a)) as daemon:
            pipe.chmod(0o620)

            def write(*ports, where=pipe):
                with open(where, "w") as writer:
                    writer.write("".join(line.format(port) for port in ports))

            live = lambda: daemon.cli("flows", "--limit", "1")["live"]  # noqa: E731
            stays = open(pipe, "w")
            for port in range(1, 1001):
                write(port)
            wait_for(lambda: live() == 1000, "a flow of each writer")
            stays.close()
            before, began = cpu_seconds(daemon.process.pid), time.monotonic()
            wait_for(lambda: time.monotonic() - began > 2, "two seconds without a writer")
            assert cpu_seconds(daemon.process.pid) - before < 0.2, "it does not spin after the last writer has left"
            stays = open(pipe, "w")
            other = pipe.with_suffix(".new")
            os.mkfifo(other)
            other.chmod(0o620)
            other.rename(pipe)
            write(2000)  # waits for a reader
            wait_for(lambda: live() == 1001, "the new pipe to be read")
            assert pipe.stat().st_mode & 0o777 == 0o620, "its mode is kept"
            stays.write(line.format(2001))
            stays.close()
            wait_for(lambda: live() == 1002, "the writer of the old pipe, too")
            rotated = pipe.with_suffix(".1")
            pipe.rename(rotated)
            pipe.write_text(line.format(2002))
            wait_for(lambda: "a regular file, not a named pipe" in daemon.log, "the file to be reported", 30)
            write(2003, where=rotated)
            wait_for(lambda: live() == 1003, "the renamed pipe still to be read")
            assert daemon.stop() == 0
    finally:
        for path in (pipe, pipe.with_suffix(".1")):
            path.unlink(missing_ok=True)
