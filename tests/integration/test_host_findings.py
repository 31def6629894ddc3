# SPDX-License-Identifier: Apache-2.0
"""What `check --host` finds on a host without a daemon, and what a running daemon finds of the same: each finding is brought
about, and nothing else is reported. A note of the clock of this machine is true, and left out."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile

import pytest

from tests.harness import traffic
from tests.harness.collector import Collector
from tests.harness.daemon import BINARY, Daemon, preloaded
from tests.harness.dns import NameServer
from tests.harness.findings import CLOCK, by_subject
from tests.harness.hooks import ThirdParty
from tests.harness.http import Api
from tests.harness.lab import wait_for

NO_ROUTE = "2001:db8:77::1"


def enter(host):
    """`ip netns exec` would mount a /sys without control groups and BTF."""
    return ["nsenter", f"--net=/run/netns/{host.name}"]


def checked(configuration, prefix, environment=None):
    """{(id, subject): finding} of `check --host`. A finding that is an error decides the exit code."""
    with tempfile.TemporaryDirectory(prefix="flowd-test-", dir="/run") as folder:  # root's own
        pathlib.Path(folder).chmod(0o755)
        conf = pathlib.Path(folder) / "conf.yaml"
        conf.write_text(configuration)
        done = subprocess.run([*prefix, str(BINARY), "check", "--host", "--json", "--conf", str(conf)], capture_output=True,
                              text=True, timeout=60, env=environment)
    answer = json.loads(done.stdout)
    assert answer["usable"], answer
    found = by_subject(answer["findings"])
    assert all(one["found"] and one["expected"] and one["remedy"] for one in found.values()), found
    assert done.returncode == (any(one["severity"] == "error" for one in found.values())), done.stderr
    return found


def found_by(daemon):
    return by_subject(daemon.cli("findings"))


def shows(daemon, expected):
    """Findings, status and metrics have these, and no others."""
    wait_for(lambda: kinds(found_by(daemon)) == expected, f"{expected}; there is {found_by(daemon)}", 60)
    assert kinds(by_subject(daemon.cli("status")["findings"])) == expected
    counted = {(one["labels"]["id"], one["labels"]["severity"]) for one in daemon.cli("metrics")
               if one["name"] == "findings" and one["labels"]["id"] != CLOCK}
    assert counted == {(identity, severity) for (identity, _), severity in expected.items()}


def gone(daemon):
    wait_for(lambda: not found_by(daemon), "the finding to go with its cause", 90)
    shows(daemon, {})


def kinds(found):
    return {identity: one["severity"] for identity, one in found.items()}


def marker(options="targetInterfaces: [eth0]"):
    return ("plugins: {perfsonar: {experimentId: 3, activityId: 2, flows: false}}\n"
            f"backends: {{marker: {{{options}}}}}\n")


def test_without_a_daemon_a_marked_interface_that_is_not_metered_is_found(lab):
    lab.a.run("ip", "link", "add", "eth7", "type", "veth", "peer", "name", "peer7")
    configuration = ("plugins: {perfsonar: {experimentId: 3, activityId: 2, interfaces: [eth0]}}\n"
                     "backends: {marker: {targetInterfaces: [eth0, eth7]}, firefly: {}}\n")
    assert kinds(checked(configuration, enter(lab.a))) == {("perfsonar-not-metered", "eth7"): "warning"}
    assert kinds(checked(configuration.replace("interfaces: [eth0]}", "interfaces: []}"), enter(lab.a))) == {}


def meter(options="interfaces: [eth0]"):
    return ("plugins: {perfsonar: {experimentId: 3, activityId: 2, " + options + "}}\n"
            "backends: {metrics: {port: 9107}}\n")


def firefly(options):
    return f"plugins: {{fireflyp: {{}}}}\nbackends: {{firefly: {{sendToDestination: false, {options}}}}}\n"


def everything(lab):
    return f"""\
plugins:
  perfsonar: {{experimentId: 3, activityId: 2}}
  fireflyp: {{fireflyReceivers: [{{address: "{lab.b.address6}"}}]}}
  netlink: {{experiment: 3, activity: 14}}
  iperf3: {{minDestinationPort: 5201, maxDestinationPort: 5210}}
enrichers:
  netlink: {{}}
  skops: {{}}
backends:
  marker: {{targetInterfaces: [eth0], forceHookRemoval: false}}
  firefly: {{collectors: [{{address: "{lab.b.address6}", port: 10515}}]}}
"""


def test_a_healthy_host_has_none(lab):
    assert checked(everything(lab).replace(", forceHookRemoval: false", ""), enter(lab.a)) == {}


def test_interfaces_that_do_not_exist(lab):
    assert kinds(checked(marker("targetInterfaces: [eth0, eth9]"), enter(lab.a))) == {("marker-interface-missing", "eth9"): "warning"}
    assert kinds(checked(meter("interfaces: [eth9]"), enter(lab.a))) == {("perfsonar-interface-missing", "eth9"): "warning",
                                                                       ("perfsonar-no-interface", ""): "warning"}


def test_a_regular_file_in_place_of_the_named_pipe(lab):
    """case C12: StoRM WebDAV has created it at boot; the remedy replaces it."""
    with tempfile.TemporaryDirectory(prefix="flowd-test-", dir="/run") as folder:
        pipe = pathlib.Path(folder) / "flowd"
        pipe.write_text("start tcp 2001:db8::1 2345 2001:db8::2 1094 2 16\n")
        configuration = f"plugins: {{namedpipe: {{pipePath: {pipe}}}}}\nbackends: {{metrics: {{port: 9107}}}}\n"
        found = checked(configuration, enter(lab.a))
        assert kinds(found) == {("namedpipe-not-a-pipe", str(pipe)): "error"}
        commands = found["namedpipe-not-a-pipe", str(pipe)]["remedy"].split(" && systemctl")[0]
        subprocess.run(["sh", "-c", commands], check=True)
        assert checked(configuration, enter(lab.a)) == {}
        with Daemon(configuration, prefix=enter(lab.a)) as daemon:
            shows(daemon, {})
            pipe.unlink()
            pipe.write_text("end")
            shows(daemon, {("namedpipe-not-a-pipe", str(pipe)): "error"})
            pipe.unlink()
            gone(daemon)


def test_flows_with_a_tag_that_is_not_in_the_registry(lab):
    """cases C01 and C02: the number of the how-to, and a scitag in place of an activity, by whatever plugin they come"""
    with Daemon("plugins: {fireflyp: {}, api: {}}\nbackends: {metrics: {port: 9107}}\n", prefix=enter(lab.a)) as daemon, \
            traffic.udp_client(lab.a, lab.b, 1094) as one, traffic.udp_client(lab.a, lab.b, 1095) as two:
        announcer = traffic.Announcer(lab.a)
        announcer.announce("start", one, 4, 57, traffic.now())
        announcer.announce("start", two, 4, 57, traffic.now())
        line = "flows have a tag that is not in the registry: experiment lhcb (4), activity 57"
        wait_for(lambda: line in daemon.log, "the line in the log")
        flow = {"state": "start", "protocol": "tcp", "source": {"address": "2001:db8::1", "port": 1},
                "destination": {"address": "2001:db8::2", "port": 2}, "experiment": "cms", "activity": 206}
        with Api.at(lab.a) as api:
            assert api.post(flow)[0] == 200
        shows(daemon, {("daemon-flow-tag-unregistered", "4/57"): "note", ("daemon-flow-tag-unregistered", "3/206"): "note"})
        mistaken = found_by(daemon)["daemon-flow-tag-unregistered", "3/206"]["found"]
        assert mistaken.endswith("; 206 is a scitag: experiment cms (3), activity Analysis Input (14)")
        assert daemon.log.count("not in the registry") == 1, "one line in ten minutes"
        counted = {(sample["labels"]["experiment"], sample["labels"]["activity"]): sample["value"] for sample in daemon.cli("metrics")
                   if sample["name"] == "bus_flows_unregistered_total"}
        assert counted == {("4", "57"): 2, ("3", "206"): 1}
        shown = subprocess.run([str(BINARY), "--control", str(daemon.control), "flows"], capture_output=True, text=True).stdout
        assert "lhcb/57 (unregistered)" in shown and "cms/206 (unregistered)" in shown, shown
        assert not any(flow["registered"] for flow in daemon.cli("flows")["flows"])
        announcer.close()


def test_a_rule_whose_interface_does_not_exist(lab):
    configuration = """\
plugins: {netlink: {rules: [{interface: eth0, experiment: 3, activity: 14}, {interface: eth9, experiment: 3, activity: 14}]}}
backends: {metrics: {port: 9107}}
"""
    assert kinds(checked(configuration, enter(lab.a))) == {("netlink-interface-missing", "eth9"): "warning"}
    with Daemon(configuration, prefix=enter(lab.a)) as daemon:
        shows(daemon, {("netlink-interface-missing", "eth9"): "warning"})
        lab.a.run("ip", "link", "add", "eth9", "type", "bridge")
        gone(daemon)


@pytest.mark.parametrize("configuration, component", [(marker, "marker"), (meter, "perfsonar")])
def test_an_interface_to_which_nothing_can_be_attached(lab, configuration, component):
    lab.a.run("tc", "qdisc", "add", "dev", "eth0", "ingress")  # it excludes clsact
    base = "targetInterfaces: [eth0]" if component == "marker" else "interfaces: [eth0]"
    found = checked(configuration(base + ", attach: clsact"), enter(lab.a))
    assert kinds(found) == {(f"{component}-hook-impossible", "eth0"): "error"}
    assert checked(configuration(base), enter(lab.a)) == {}, "TCX does not need clsact"


@pytest.mark.parametrize("how, shown", [("clsact", "priority 1"), ("tcx-last", "TCX program")])
def test_a_program_that_would_run_before_ours(lab, how, shown):
    with ThirdParty(lab.a, how, 1):
        for configuration, component in ((marker("targetInterfaces: [eth0], attach: clsact"), "marker"),
                                         (meter("interfaces: [eth0], attach: clsact"), "perfsonar")):
            found = checked(configuration, enter(lab.a))
            assert kinds(found) == {(f"{component}-hook-hidden", "eth0"): "warning"}
            assert shown in found[f"{component}-hook-hidden", "eth0"]["found"]
        assert checked(marker(), enter(lab.a)) == {}, "on TCX ours goes before all others"


def test_two_programs_before_ours_are_one_finding(lab):
    """An id and a subject name one finding."""
    configuration = meter("interfaces: [eth0], attach: clsact")
    with ThirdParty(lab.a, "clsact", 1), ThirdParty(lab.a, "tcx-last"):
        found = checked(configuration, enter(lab.a))
        assert kinds(found) == {("perfsonar-hook-hidden", "eth0"): "warning"}
        with Daemon(configuration, prefix=enter(lab.a)) as daemon:
            shows(daemon, {("perfsonar-hook-hidden", "eth0"): "warning"})
            for text in (found["perfsonar-hook-hidden", "eth0"]["found"], found_by(daemon)["perfsonar-hook-hidden", "eth0"]["found"]):
                assert "priority 1" in text and "TCX program" in text
            assert [one["id"] for one in daemon.cli("findings")].count("perfsonar-hook-hidden") == 1


@pytest.mark.parametrize("attach", ["auto", "clsact"])
def test_what_flowd_go_has_left_behind(lab, attach):
    configuration = marker(f"targetInterfaces: [eth0], attach: {attach}")
    with ThirdParty(lab.a, "flowd-go", 1):
        found = checked(configuration, enter(lab.a))
        assert kinds(found) == {("marker-flowd-go", "eth0"): "warning"}
        with Daemon(configuration, prefix=enter(lab.a)) as daemon:
            shows(daemon, {("marker-flowd-go", "eth0"): "warning"})
            remedy = found_by(daemon)["marker-flowd-go", "eth0"]["remedy"]
            lab.a.run(*remedy.split("then: ")[1].split())
            gone(daemon)


def test_a_collector_without_an_address(lab):
    with NameServer(lab.a, None):
        found = checked(firefly("collectors: [{address: collector.flowd.test}]"), ["ip", "netns", "exec", lab.a.name])
    assert kinds(found) == {("firefly-collector-unresolved", "collector.flowd.test:10514"): "warning"}


def test_a_collector_to_which_there_is_no_route(lab):
    configuration, identity = firefly(f"collectors: [{{address: '{NO_ROUTE}'}}]"), ("firefly-collector-unroutable", f"[{NO_ROUTE}]:10514")
    assert kinds(checked(configuration, enter(lab.a))) == {identity: "warning"}
    with Daemon(configuration, prefix=enter(lab.a)) as daemon:
        shows(daemon, {identity: "warning"})
        summary = daemon.details("backend firefly")["summary"]
        assert summary.startswith(f"[{NO_ROUTE}]:10514: no route since ") and summary.endswith(" UTC"), summary
        lab.a.run("ip", "route", "add", "2001:db8:77::/64", "via", lab.b.address6)
        gone(daemon)
        lab.a.run("ip", "route", "del", "2001:db8:77::/64")
        announcer = traffic.Announcer(lab.a)
        with traffic.udp_client(lab.a, lab.b, 1094) as sock:
            wait_for(lambda: announcer.announce("ongoing", sock, 2, 16, traffic.now()) or found_by(daemon), "the lost route to be known")
        announcer.close()
        shows(daemon, {identity: "warning"})


def test_a_collector_whose_host_does_not_answer(lab):
    """Nobody has the address: neighbour discovery fails, which takes some seconds."""
    with Daemon(firefly("collectors: [{address: 'fd5c:17a6:5::c'}]"), prefix=enter(lab.a)) as daemon:
        announcer = traffic.Announcer(lab.a)
        with traffic.udp_client(lab.a, lab.b, 1094) as sock:
            wait_for(lambda: announcer.announce("ongoing", sock, 2, 16, traffic.now()) or found_by(daemon), "the finding", 60)
            shows(daemon, {("firefly-collector-silent", "[fd5c:17a6:5::c]:10514"): "warning"})
            lab.b.run("ip", "addr", "add", "fd5c:17a6:5::c/64", "dev", "eth0", "nodad")
            with Collector(lab.b) as collector:
                wait_for(lambda: announcer.announce("ongoing", sock, 2, 16, traffic.now()) or not found_by(daemon), "the finding to go", 120)
                collector.wait_for_count(1)
        announcer.close()


def test_receivers_of_what_is_relayed(lab):
    with NameServer(lab.a, None):
        configuration = f"""\
plugins: {{fireflyp: {{fireflyReceivers: [{{address: receiver.flowd.test}}, {{address: "{NO_ROUTE}"}}, {{address: "{lab.b.address6}"}}]}}}}
backends: {{metrics: {{port: 9107}}}}
"""
        expected = {("fireflyp-receiver-unresolved", "receiver.flowd.test:10514"): "warning",
                    ("fireflyp-receiver-unroutable", f"[{NO_ROUTE}]:10514"): "warning"}
        assert kinds(checked(configuration, ["ip", "netns", "exec", lab.a.name])) == expected
        with Daemon(configuration, lab.a) as daemon:
            shows(daemon, expected)
            announcer = traffic.Announcer(lab.a)
            with traffic.udp_client(lab.a, lab.b, 1094) as sock:
                unreachable = ("fireflyp-receiver-unreachable", f"[{lab.b.address6}]:10514")
                wait_for(lambda: announcer.announce("ongoing", sock, 2, 16, traffic.now()) or unreachable in found_by(daemon),
                         "the refusal to be known", 60)
            announcer.close()


BPF_USERS = ["marker", "perfsonar", "netlink", "iperf3", "skops"]


def severity_for(component):
    """The netlink plugin works without its BPF program."""
    return "warning" if component == "netlink" else "error"


def test_capabilities_that_no_process_here_can_have(lab):
    found = checked(everything(lab), [*enter(lab.a), "setpriv", "--bounding-set=-sys_admin,-bpf,-perfmon"])
    assert kinds(found) == {(f"{name}-capability-missing", "CAP_BPF, CAP_PERFMON"): severity_for(name) for name in BPF_USERS}
    assert all("AmbientCapabilities=" in one["remedy"] for one in found.values())


def test_capabilities_that_this_process_does_not_have(lab):
    found = checked(everything(lab), [*enter(lab.a), "setpriv", "--reuid=65534", "--clear-groups"])
    all_three = "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON"
    assert kinds(found) == {(f"{name}-capability-missing", all_three): "warning" for name in BPF_USERS}
    assert all("setcap CAP_BPF,CAP_NET_ADMIN,CAP_PERFMON+ep" in one["remedy"] for one in found.values())


def test_an_optional_instance_that_failed_says_what_it_lacks(lab):
    configuration = marker("targetInterfaces: [eth0], required: false")
    with Daemon(configuration, prefix=[*enter(lab.a), "setpriv", "--bounding-set=-sys_admin,-bpf,-perfmon"]) as daemon:
        expected = {("daemon-instance-failed", "backend marker"): "warning",
                    ("marker-capability-missing", "CAP_BPF, CAP_PERFMON"): "error"}
        shows(daemon, expected)
        assert all(one["instance"] == "backend marker" for one in found_by(daemon).values())


def test_a_kernel_that_does_not_describe_its_types(lab):
    without_btf = [*enter(lab.a), "unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "--"]
    features = {(f"{name}-kernel-feature-missing", "BTF"): severity_for(name) for name in ("perfsonar", "netlink", "iperf3", "skops")}
    assert kinds(checked(everything(lab), without_btf)) == features
    with Daemon("plugins:\n  netlink: {experiment: 3, activity: 14}\nenrichers:\n  skops: {required: false}\n"
                "backends:\n  metrics: {port: 9107}\n", prefix=without_btf) as daemon:
        shows(daemon, {("daemon-instance-failed", "enricher skops"): "warning",
                                           ("skops-kernel-feature-missing", "BTF"): "error",
                                           ("netlink-not-early", ""): "warning"})


def test_a_host_without_control_groups_of_version_2(lab):
    without = [*enter(lab.a), "unshare", "--mount", "sh", "-c", 'umount -lR /sys/fs/cgroup && exec "$@"', "--"]
    assert kinds(checked(everything(lab), without)) == {(f"{name}-kernel-feature-missing", "cgroup2"): severity_for(name)
                                                        for name in ("netlink", "iperf3", "skops")}


NO_TCX = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <stdarg.h>
long syscall(long number, ...) {
    va_list list;
    va_start(list, number);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long), d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
    va_end(list);
    if (number == SYS_bpf && a == BPF_PROG_QUERY) { errno = EINVAL; return -1; }
    return ((long (*)(long, ...))dlsym(RTLD_NEXT, "syscall"))(number, a, b, c, d, e, f);
}
"""


def test_a_kernel_without_tcx(lab, tmp_path):
    environment = os.environ | preloaded(tmp_path, NO_TCX)
    for configuration, component in ((marker("targetInterfaces: [eth0], attach: tcx"), "marker"),
                                     (meter("interfaces: [eth0], attach: tcx"), "perfsonar")):
        found = checked(configuration, enter(lab.a), environment)
        assert kinds(found) == {(f"{component}-kernel-feature-missing", "TCX"): "error"}
    assert checked(marker(), enter(lab.a), environment) == {}, "attach: auto takes clsact there"


@pytest.mark.parametrize("key", ["forceHookRemoval", "removeQdisc"])
def test_a_drop_in_key_that_means_a_qdisc_is_noted_where_tcx_is_used(lab, key):
    with Daemon(marker(f"targetInterfaces: [eth0], {key}: true"), prefix=enter(lab.a)) as daemon:
        shows(daemon, {("marker-tcx-not-in-tc", "eth0"): "note"})
        assert "tc qdisc show" in found_by(daemon)["marker-tcx-not-in-tc", "eth0"]["found"]
        daemon.reload(marker(f"targetInterfaces: [eth0], {key}: true, attach: clsact"))
        gone(daemon)


def test_datagrams_that_the_kernel_drops(lab):
    configuration = "plugins: {fireflyp: {receiveBuffer: 4096}}\nbackends: {metrics: {port: 9107}}\n"
    with Daemon(configuration, prefix=enter(lab.a)) as daemon:
        shows(daemon, {})
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            def flood():
                with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
                    for _ in range(1000):
                        sock.sendto(b"x" * 1000, ("::1", 10514))
            lab.a.call(flood)
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        shows(daemon, {("fireflyp-datagrams-dropped", "[::1]:10514"): "warning"})


def test_more_flows_than_the_table_of_the_meter_holds(lab):
    with Daemon(meter("interfaces: [eth0], maxFlows: 16"), prefix=enter(lab.a)) as daemon, traffic.UdpServer(lab.b, 6000):
        shows(daemon, {})
        sockets = [traffic.udp_client(lab.a, lab.b, 6000) for _ in range(20)]
        for sock in sockets:
            sock.send(b"x")
        shows(daemon, {("perfsonar-table-full", ""): "warning"})
        for sock in sockets:
            sock.close()


def status_check(daemon):
    return subprocess.run([str(BINARY), "--control", str(daemon.control), "status", "--check"], capture_output=True, text=True).returncode


@pytest.mark.parametrize("configuration, identity, subject", [
    ("plugins: {fireflyp: {}}\n", "daemon-no-sink", "backends"),
    ("backends: {metrics: {port: 9107}}\n", "daemon-no-source", "plugins"),
    ("plugins: {netlink: {rules: [{experiment: cms, activity: 64}]}}\nbackends: {metrics: {port: 9107}}\n",
     "daemon-tag-not-carried", "plugins.netlink.rules[0].activity"),
    ("plugins: {netlink: {rules: [{experiment: cms, activity: 40}]}}\nbackends: {metrics: {port: 9107}}\n",
     "daemon-tag-unregistered", "plugins.netlink.rules[0].activity"),
    ("plugins: {netlink: {rules: [{experiment: 206, activity: 14}]}}\nbackends: {metrics: {port: 9107}}\n",
     "daemon-tag-mistaken", "plugins.netlink.rules[0].experiment"),
    ("plugins: {fireflyp: {}}\nbackends: {firefly: {sendToDestination: false}}\n", "firefly-no-receiver", ""),
])
def test_what_is_amiss_with_the_configuration_as_a_whole(lab, configuration, identity, subject):
    """`check` shows it at its place, and status for as long as the configuration is in force."""
    if subject:
        assert kinds(checked(configuration, enter(lab.a))) == {(identity, subject): "warning"}
    with Daemon(configuration, prefix=enter(lab.a)) as daemon:
        shows(daemon, {(identity, subject): "warning"})
        assert status_check(daemon) == 1
        daemon.reload(meter())
        gone(daemon)
