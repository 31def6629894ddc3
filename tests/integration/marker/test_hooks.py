# SPDX-License-Identifier: Apache-2.0
"""The marker on hooks that third-party programs use as well: who runs first, who removes what, what is left behind."""
import contextlib
import fcntl
import os
import pathlib
import signal
import socket
import struct
import subprocess

import pytest

from tests.harness import traffic
from tests.harness.daemon import Daemon, preloaded
from tests.harness.hooks import ThirdParty, detach_tcx, filters, has_clsact, our_filters, tcx_links
from tests.harness.lab import Timeout, wait_for

pytestmark = pytest.mark.usefixtures("status_answers")
HOOKS = pytest.mark.parametrize("attach", ["tcx", "clsact"])
ROUNDS = int(os.environ.get("FLOWD_HOOK_ROUNDS", "6"))  # of kills and of reloads


def configuration(attach, more="", perfsonar="flows: false"):
    return (f"plugins:\n  perfsonar: {{experimentId: 3, activityId: 2, {perfsonar}}}\n"
            f"backends:\n  marker:\n    targetInterfaces: [eth0]\n    attach: {attach}\n    {more}\n")


def status(daemon):
    return daemon.cli("marker", "status")


def interface(daemon):
    return status(daemon)["interfaces"][0]


def has_catch_all(daemon):
    return wait_for(lambda: status(daemon)["catchAll"], "the catch-all")


def send(lab, packets=5):
    with traffic.udp_client(lab.a, lab.b, 6000) as sock:
        while packets > 0:
            try:
                sock.send(b"x" * 200)
                packets -= 1
            except ConnectionRefusedError:  # about the one before: nobody listens there
                pass


def marks(lab, daemon):
    """Whether packets that are sent now are marked."""
    before = status(daemon)["marked"]
    send(lab)
    return wait_for(lambda: status(daemon)["marked"] >= before + 5, "marked packets")


def series(daemon, name):
    return sum(entry["value"] for entry in daemon.cli("metrics") if entry["name"] == name)


def restart(daemon):
    daemon.notify.close()
    daemon.start()
    has_catch_all(daemon)


def add_u32(host, priority, direction="egress"):
    host.run("tc", "filter", "add", "dev", "eth0", direction, "prio", str(priority), "protocol", "ipv6", "u32", "match", "u32",
             "0xdeadbeef", "0xffffffff", "at", "0", "flowid", "1:1")


def replace_filter(host):
    """An agent that owns the same priority puts a filter of its own there, and then removes that."""
    priority = str(our_filters(host)[0][2])
    host.run("tc", "filter", "del", "dev", "eth0", "egress", "pref", priority)
    add_u32(host, priority)
    wait_for(lambda: our_filters(host), "the marker's filter")
    host.run("tc", "filter", "del", "dev", "eth0", "egress", "pref", priority, "u32")


REMOVALS = {
    "clsact-qdisc": ("clsact", lambda lab, daemon: lab.a.run("tc", "qdisc", "del", "dev", "eth0", "clsact")),
    "clsact-filter": ("clsact", lambda lab, daemon: lab.a.run("tc", "filter", "del", "dev", "eth0", "egress")),
    "clsact-replaced": ("clsact", lambda lab, daemon: replace_filter(lab.a)),
    "tcx-link": ("tcx", lambda lab, daemon: detach_tcx(daemon)),
}


@pytest.mark.parametrize("what", REMOVALS)
def test_a_removed_hook_is_attached_again_counted_and_logged_once(lab, what):
    """case C37: another agent removes the qdisc, the filter or the link, or replaces the filter; tests/integration/perfsonar has
    the same for the meter."""
    attach, remove = REMOVALS[what]
    with Daemon(configuration(attach), lab.a) as daemon:
        has_catch_all(daemon)
        for removals in (1, 2, 3):
            remove(lab, daemon)
            wait_for(lambda: interface(daemon)["repairs"] == removals, "the hook to be attached again")
            assert interface(daemon)["hook"] == attach
            assert marks(lab, daemon)
        assert series(daemon, "marker_hook_repairs_total") == 3
        assert daemon.log.count("removed our") == 1, daemon.log
        assert len(our_filters(lab.a)) == (attach == "clsact")
        daemon.stop()
    assert not has_clsact(lab.a), "the qdisc was made by the marker, the second and the third one as well"


def test_a_failed_attachment_is_in_status_until_it_succeeds(lab):
    with Daemon(configuration("clsact"), lab.a) as daemon:
        has_catch_all(daemon)
        # ingress and clsact exclude each other
        lab.a.run("sh", "-c", "tc qdisc del dev eth0 clsact; tc qdisc add dev eth0 ingress")
        wait_for(lambda: interface(daemon)["hook"] == "removed", "the marker to say that it does not mark")
        wait_for(lambda: "removed our hook" in daemon.log, "a line about it")
        lab.a.run("tc", "qdisc", "del", "dev", "eth0", "ingress")
        wait_for(lambda: interface(daemon)["hook"] == "clsact", "the hook to be attached again")
        assert marks(lab, daemon)
        assert daemon.log.count("removed our hook") == 1


def test_a_qdisc_that_replaced_ours_is_not_removed(lab):
    with Daemon(configuration("clsact"), lab.a) as daemon:
        has_catch_all(daemon)
        lab.a.run("sh", "-c", "tc qdisc del dev eth0 clsact; tc qdisc add dev eth0 clsact")
        wait_for(lambda: interface(daemon)["repairs"] == 1, "the hook to be attached again")
        daemon.stop()
    assert has_clsact(lab.a) and not filters(lab.a)


@pytest.mark.parametrize("priority", [2, 4, 100, 49152])
def test_a_terminating_filter_does_not_hide_packets_from_ours(lab, priority):
    """case C38: the marker's filter has the priority before it."""
    with ThirdParty(lab.a, "clsact-ok", priority) as hiding, Daemon(configuration("clsact"), lab.a) as daemon:
        has_catch_all(daemon)
        assert marks(lab, daemon)
        assert hiding.seen() >= 5
        ours, = our_filters(lab.a)
        assert ours[2] < priority and filters(lab.a)[0] == ours
        assert interface(daemon)["runsBefore"] == []


def test_a_filter_at_priority_1_is_kept_and_its_removal_does_not_affect_ours(lab):
    with ThirdParty(lab.a, "clsact", 1), Daemon(configuration("clsact"), lab.a) as daemon:
        has_catch_all(daemon)
        before, = interface(daemon)["runsBefore"]
        assert (before["hook"], before["direction"], before["kind"], before["priority"]) == ("clsact", "egress", "bpf", 1)
        assert before["name"].startswith("third_party")
        assert series(daemon, "marker_preceding_programs") == 1
        assert daemon.log.count("runs before ours") == 1 and "priority 1" in daemon.log
        program = interface(daemon)["program"]
        lab.a.run("tc", "filter", "del", "dev", "eth0", "egress", "pref", "1")
        wait_for(lambda: interface(daemon)["runsBefore"] == [], "the filter in front to be gone")
        assert interface(daemon)["repairs"] == 0 and interface(daemon)["program"] == program
        assert series(daemon, "marker_preceding_programs") == 0
        assert marks(lab, daemon)


def test_a_filter_of_another_kind_before_ours_is_shown(lab):
    lab.a.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
    add_u32(lab.a, 1)
    with Daemon(configuration("clsact"), lab.a) as daemon:
        has_catch_all(daemon)
        before, = interface(daemon)["runsBefore"]
        assert (before["kind"], before["priority"]) == ("u32", 1) and "program" not in before


@HOOKS
def test_a_later_tcx_program_that_hides_packets_is_shown(lab, attach):
    with Daemon(configuration(attach), lab.a) as daemon:
        has_catch_all(daemon)
        assert marks(lab, daemon) and interface(daemon)["runsBefore"] == []
        with ThirdParty(lab.a, "tcx-first-ok"):
            before, = wait_for(lambda: interface(daemon)["runsBefore"], "the program in front")
            assert (before["hook"], before["name"]) == ("tcx", "third_party_ok") and before["program"] > 0
            marked = status(daemon)["marked"]
            send(lab)
            assert status(daemon)["marked"] == marked, "hidden, and status tells why"
            assert "runs before ours" in daemon.log
        wait_for(lambda: interface(daemon)["runsBefore"] == [], "the program in front to be gone")
        assert marks(lab, daemon)


def test_packets_that_another_program_hides_are_counted_by_the_interface(lab):
    """case C38: whatever hides packets from the marker or the meter, the interface has sent them."""
    meter = "interfaces: [eth0], attach: tcx"
    with Daemon(configuration("tcx", perfsonar=meter), lab.a) as daemon:
        has_catch_all(daemon)

        def unseen():
            send(lab)
            return {one["id"]: one for one in daemon.cli("findings") if one["id"].endswith("-packets-unseen")}

        ids = {"marker-packets-unseen", "perfsonar-packets-unseen"}
        assert marks(lab, daemon) and not unseen()
        with ThirdParty(lab.a, "tcx-first-ok"):
            found = wait_for(lambda: set(unseen()) == ids and unseen(), "the findings", 90)
            assert all(one["subject"] == "eth0" and one["severity"] == "warning" and "saw 0" in one["found"] and
                       "runs before it" in one["remedy"] for one in found.values()), found
            assert interface(daemon)["unseen"] >= 20
            for name in ("marker", "perfsonar"):
                assert series(daemon, f"{name}_unseen_packets_total") >= 20
            assert "eth0 has sent" in daemon.log, daemon.log
        wait_for(lambda: not unseen(), "the findings to go", 90)
        assert interface(daemon)["unseen"] == 0


def test_the_meter_and_the_marker_do_not_report_each_other(lab):
    for attach in ("tcx", "clsact"):
        with Daemon(configuration(attach, perfsonar=f"interfaces: [eth0], attach: {attach}"), lab.a) as daemon:
            has_catch_all(daemon)
            assert interface(daemon)["runsBefore"] == []
            assert daemon.details("plugin perfsonar")["interfaces"][0]["runsBefore"] == []
            assert "runs before ours" not in daemon.log


class Beside:
    """A third-party program beside the marker, and whether it is as it was."""

    def __init__(self, lab, how, priority):
        self.lab, self.program = lab, ThirdParty(lab.a, how, priority)
        self.theirs = filters(lab.a)

    def holds(self):
        before = self.program.seen()
        send(self.lab)
        assert self.program.seen() >= before + 5, "it still runs"
        return [entry for entry in filters(self.lab.a) if entry not in our_filters(self.lab.a)] == self.theirs

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.__exit__()


@pytest.mark.parametrize("how,priority", [("clsact", 1), ("clsact-ok", 2), ("clsact-ok", 49152), ("tcx-first", 0), ("tcx-last", 0)])
@HOOKS
def test_kills_and_reloads_do_not_affect_a_third_party_program(lab, attach, how, priority):
    """cases C36 and C37: there is one program of ours after each, in its place; theirs is not touched."""
    with Beside(lab, how, priority) as beside, Daemon(configuration(attach), lab.a) as daemon:
        has_catch_all(daemon)

        def one_of_ours():
            if attach == "tcx":
                return [] if len(tcx_links(daemon)) == 1 and not our_filters(lab.a) else None
            ours = our_filters(lab.a)
            return [ours[0][2]] if len(ours) == 1 and not tcx_links(daemon) else None

        at_first = one_of_ours()
        assert at_first is not None
        for turn in range(ROUNDS):
            daemon.reload(configuration(attach, f"maxFlows: {1000 + turn}"))
            assert one_of_ours() == at_first, "one, with the priority that it had"
            daemon.stop(signal.SIGKILL)
            restart(daemon)
            assert one_of_ours() == at_first
            if turn % 10 == 0:
                assert beside.holds()
        assert marks(lab, daemon) and beside.holds()
        daemon.stop()
        assert not our_filters(lab.a) and filters(lab.a) == beside.theirs
        assert has_clsact(lab.a) == how.startswith("clsact")


def test_reattaching_does_not_exhaust_priorities(lab):
    with Daemon(configuration("clsact"), lab.a) as daemon:
        has_catch_all(daemon)
        priority = our_filters(lab.a)[0][2]
        for turn in range(ROUNDS):
            daemon.reload(configuration("clsact", f"maxFlows: {1000 + turn}"))
        assert [entry[2] for entry in our_filters(lab.a)] == [priority]
        daemon.stop(signal.SIGKILL)
        restart(daemon)
        assert [entry[2] for entry in our_filters(lab.a)] == [priority]


def test_a_local_user_cannot_preserve_the_filter_of_a_dead_marker(lab):
    with Daemon(configuration("clsact"), lab.a) as daemon:
        has_catch_all(daemon)
        handle = int(lab.a.run("sh", "-c", "tc filter show dev eth0 egress | sed -n 's/.*handle \\(0x[0-9a-f]*\\) .*/\\1/p'").stdout, 16)
        daemon.stop(signal.SIGKILL)
        assert subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", "/run/flowd-cpp/hooks"],
                              capture_output=True).returncode != 0, "who can open it could lock it"

        def squat():
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            sock.bind(f"\0flowd-cpp/marker/{handle:08x}")  # any user can have any name there
            return sock

        with lab.a.call(squat):
            restart(daemon)
            assert len(our_filters(lab.a)) == 1


@pytest.mark.parametrize("prefix", [(), ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")], ids=["root", "as-the-service"])
def test_the_qdisc_of_a_killed_daemon_is_removed_by_the_next(lab, prefix):
    """Without CAP_SYS_ADMIN, as the service has it, the kernel does not tell the name of a program by its id."""
    with Daemon(configuration("clsact"), lab.a, prefix=prefix) as daemon:
        has_catch_all(daemon)
        for attach in ("clsact", "tcx"):
            daemon.stop(signal.SIGKILL)
            assert has_clsact(lab.a) and len(our_filters(lab.a)) == 1
            daemon.conf.write_text(configuration(attach))
            restart(daemon)
        assert not has_clsact(lab.a)


CHANGES = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Of a request to change a qdisc or a filter, otherwise 0. */
static int change(int fd, const void *data, size_t size) {
    const struct nlmsghdr *request = data;
    int domain = 0;
    socklen_t length = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 || domain != AF_NETLINK || size < sizeof *request) return 0;
    const int type = request->nlmsg_type;
    return type == RTM_NEWQDISC || type == RTM_DELQDISC || type == RTM_NEWTFILTER || type == RTM_DELTFILTER ? type : 0;
}
static void before(int type) {
    if (type != RTM_NEWQDISC || !getenv("ADD_BEFORE")) return;
    const char *const command = getenv("ADD_BEFORE");
    unsetenv("LD_PRELOAD");
    if (system(command) != 0) abort();
    unsetenv("ADD_BEFORE");
}
/* Kills the process as soon as the kernel has answered its KILL_AFTER-th change. */
static ssize_t after(int type, ssize_t sent) {
    static int count;
    if (type != 0 && getenv("KILL_AFTER") && __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) == atoi(getenv("KILL_AFTER"))) raise(SIGKILL);
    return sent;
}
ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "sendto");
    const int type = change(fd, data, size);
    before(type);
    return after(type, real(fd, data, size, flags, to, length));
}
ssize_t send(int fd, const void *data, size_t size, int flags) {
    ssize_t (*real)(int, const void *, size_t, int) = dlsym(RTLD_NEXT, "send");
    const int type = change(fd, data, size);
    before(type);
    return after(type, real(fd, data, size, flags));
}
"""


def test_a_qdisc_that_another_program_adds_at_the_same_moment_is_used_and_not_removed(lab, tmp_path):
    environment = preloaded(tmp_path, CHANGES) | {"ADD_BEFORE": "tc qdisc add dev eth0 clsact"}
    with Daemon(configuration("clsact"), lab.a, environment=environment) as daemon:
        has_catch_all(daemon)
        assert len(our_filters(lab.a)) == 1
    assert has_clsact(lab.a) and not filters(lab.a)


def test_no_qdisc_is_left_whichever_change_is_the_last_before_a_kill(lab, tmp_path):
    """Found by the soak: a qdisc without a filter does not tell that it is ours."""
    def both(attach):
        return configuration(attach, perfsonar=f"interfaces: [eth0], attach: {attach}")

    def counted_start(attach, kill_after):
        """Starts and stops a daemon; whether it was killed before it had stopped."""
        daemon = Daemon(both(attach), lab.a, environment=killer | {"KILL_AFTER": str(kill_after)})
        daemon.start(ready=False)
        try:
            wait_for(lambda: daemon.process.poll() is not None or "READY=1" in daemon.states(), "READY=1 or the kill")
            if daemon.process.poll() is None:
                daemon.process.terminate()
            return daemon.process.wait(30) == -signal.SIGKILL
        finally:
            daemon.__exit__()

    killer, killed = preloaded(tmp_path, CHANGES), 0
    while counted_start("clsact", killed + 1):
        killed += 1
        assert not counted_start("tcx", 1000)
        assert not has_clsact(lab.a), f"after a kill behind change {killed}"
    assert killed >= 4
    with Daemon(both("clsact"), lab.a) as daemon:
        daemon.process.kill()
        daemon.process.wait()
    removals = 0
    while has_clsact(lab.a) and counted_start("tcx", 1):  # it is killed behind each removal of what the former one left
        removals += 1
    assert removals >= 1 and not has_clsact(lab.a)


QDISC_BYTE = 1 << 24  # of the file, locked by an instance while it looks at qdiscs or changes them


@contextlib.contextmanager
def qdiscs_locked():
    """As by another instance."""
    path = pathlib.Path("/run/flowd-cpp/hooks")
    path.parent.mkdir(exist_ok=True)
    with open(path, "a+b", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        f_ofd_setlkw = 38  # fcntl(2); not in this Python's fcntl
        fcntl.fcntl(file, f_ofd_setlkw, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, QDISC_BYTE, 1, 0))
        yield


def waiting_for_the_lock(daemon, owners):
    """Each one has opened the file, as have those that own filters."""
    def opened(fd):
        with contextlib.suppress(OSError):  # closed meanwhile
            return os.readlink(fd)

    files = pathlib.Path(f"/proc/{daemon.process.pid}/fd").iterdir()
    return sum(opened(fd) == "/run/flowd-cpp/hooks" for fd in files) - owners


def test_instances_change_a_qdisc_one_after_the_other(lab):
    """Found by the soak: the meter saw the qdisc that the marker had added before its filter, took it for that of another program, and left it."""
    daemon = Daemon(configuration("clsact", perfsonar="interfaces: [eth0], attach: clsact"), lab.a)
    try:
        with qdiscs_locked():
            daemon.start(ready=False)
            wait_for(lambda: has_clsact(lab.a) or waiting_for_the_lock(daemon, 0) >= 1, "an instance to wait for the lock")
            assert not has_clsact(lab.a)
        wait_for(lambda: "READY=1" in daemon.states(), "READY=1")
        with qdiscs_locked():
            daemon.process.terminate()
            wait_for(lambda: not has_clsact(lab.a) or waiting_for_the_lock(daemon, 2) >= 1, "a removal to wait for the lock")
            assert has_clsact(lab.a)
        assert daemon.process.wait(30) == 0
    finally:
        daemon.__exit__()
    assert not has_clsact(lab.a)


def test_a_suspended_instance_delays_the_others_for_a_limited_time(lab):
    daemon = Daemon(configuration("clsact", perfsonar="interfaces: [eth0], attach: clsact"), lab.a)
    try:
        with qdiscs_locked():
            daemon.start(ready=False)
            assert daemon.process.wait(20) == 6
            assert "/run/flowd-cpp/hooks: another instance has locked" in daemon.log and "kill -CONT" in daemon.log, daemon.log
        restart(daemon)
        assert our_filters(lab.a)
        with qdiscs_locked():
            assert daemon.stop() == 0
            assert "without the lock" in daemon.log
        assert not our_filters(lab.a)
    finally:
        daemon.__exit__()


def test_an_interface_that_appears_while_the_qdiscs_are_locked_is_attached_later(lab):
    both = configuration("clsact", perfsonar="interfaces: [eth0, late0], attach: clsact").replace("[eth0]", "[eth0, late0]")
    with Daemon(both, lab.a) as daemon:
        has_catch_all(daemon)
        with qdiscs_locked():
            lab.a.run("ip", "link", "add", "late0", "type", "veth", "peer", "name", "late1")
            wait_for(lambda: daemon.log.count("another instance has locked") == 2, "marker and meter to wait in vain")
            with pytest.raises(Timeout):  # not for each attempt
                wait_for(lambda: daemon.log.count("another instance has locked") > 2, "another line", 5)
        wait_for(lambda: len(our_filters(lab.a, "late0")) == 2, "marker and meter on the interface")
        daemon.stop()


def test_an_interface_with_an_ingress_qdisc_that_appears_later_is_reported_once(lab):
    both = configuration("clsact", perfsonar="interfaces: [eth0, late0], attach: clsact").replace("[eth0]", "[eth0, late0]")
    with Daemon(both, lab.a) as daemon:
        has_catch_all(daemon)
        lab.a.run("ip", "link", "add", "early0", "type", "veth", "peer", "name", "early1")
        lab.a.run("tc", "qdisc", "add", "dev", "early0", "ingress")
        lab.a.run("ip", "link", "set", "early0", "name", "late0")
        wait_for(lambda: daemon.log.count("kind ingress") >= 2, "marker and meter to report it")
        with pytest.raises(Timeout):
            wait_for(lambda: daemon.log.count("kind ingress") > 2, "another line", 5)
        daemon.stop()


def test_no_qdisc_is_left_when_marker_and_meter_change_their_hooks_one_after_the_other(lab):
    def both(marker, meter):
        return configuration(marker, perfsonar=f"interfaces: [eth0], attach: {meter}")

    def hooks():
        meter = daemon.cli("status")["details"]["plugin perfsonar"].get("status")
        return meter and (interface(daemon)["hook"], meter["interfaces"][0]["hook"])

    with Daemon(both("tcx", "tcx"), lab.a) as daemon:
        has_catch_all(daemon)
        for marker, meter in (("clsact", "clsact"), ("tcx", "tcx"), ("clsact", "tcx"), ("clsact", "clsact"), ("tcx", "clsact"), ("tcx", "tcx")):
            daemon.reload(both(marker, meter))
            wait_for(lambda: hooks() == (marker, meter), "the hooks of the configuration")
            wait_for(lambda: has_clsact(lab.a) == ("clsact" in (marker, meter)), "the qdisc to be there only while it is used")
        daemon.stop()
    assert not has_clsact(lab.a)


def test_an_ingress_qdisc_instead_of_clsact_fails_the_start_with_a_reason(lab):
    lab.a.run("tc", "qdisc", "add", "dev", "eth0", "ingress")
    daemon = Daemon(configuration("clsact"), lab.a)
    try:
        daemon.start(ready=False)
        assert daemon.process.wait(20) != 0
        assert "eth0" in daemon.log and "kind ingress" in daemon.log and "attach: tcx" in daemon.log
    finally:
        daemon.__exit__()
    assert not filters(lab.a, direction="ingress")
