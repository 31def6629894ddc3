# SPDX-License-Identifier: Apache-2.0
"""`flowd-cpp features`, and how a start or a reload fails where the kernel lacks something. This kernel lacks nothing: each
lack is a fake."""
import json
import os
import pathlib
import subprocess

import pytest

from tests.harness.daemon import BINARY, Daemon, preloaded
from tests.harness.lab import wait_for
from tests.integration.test_host_findings import checked, enter, everything, marker, meter


def features(prefix=(), environment=None):
    """(exit code, {feature: row}, {subject: finding})"""
    done = subprocess.run([*prefix, str(BINARY), "features", "--json"], capture_output=True, text=True, timeout=60,
                          env=environment)
    answer = json.loads(done.stdout)
    return (done.returncode, {row["feature"]: row for row in answer["features"]},
            {one["subject"]: one for one in answer["findings"]})


def covered(path, fill=""):
    """Words in front of a command: an empty file system, filled by `fill`, is at the path."""
    return ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {path} && {fill or "true"} && exec "$@"', "--"]


LOCKED = covered("/sys/kernel/security", "echo 'none integrity [confidentiality]' > /sys/kernel/security/lockdown")

# A kernel without TCX, one that refuses every program as older kernels do, and one that refuses those that read its memory.
NO_TCX = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
long syscall(long number, ...) {
    va_list list;
    va_start(list, number);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long), d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
    va_end(list);
    int refused = number == SYS_bpf && a == BPF_PROG_QUERY;
    /* BPF_TCX_INGRESS, BPF_TCX_EGRESS */
    if (number == SYS_bpf && a == BPF_LINK_CREATE) refused = ((union bpf_attr*)b)->link_create.attach_type == 46 || ((union bpf_attr*)b)->link_create.attach_type == 47;
#ifdef OLD
    if (number == SYS_bpf && a == BPF_PROG_LOAD) refused = 1;
#endif
#ifdef LOCKED
    refused = number == SYS_bpf && a == BPF_PROG_LOAD && (((union bpf_attr*)b)->prog_type == BPF_PROG_TYPE_SOCK_OPS ||
                                                          ((union bpf_attr*)b)->prog_type == BPF_PROG_TYPE_TRACING);
#endif
    if (refused) { errno = EINVAL; return -1; }
    return ((long (*)(long, ...))dlsym(RTLD_NEXT, "syscall"))(number, a, b, c, d, e, f);
}
#ifdef OLD
int uname(struct utsname* name) {
    int done = ((int (*)(struct utsname*))dlsym(RTLD_NEXT, "uname"))(name);
    strcpy(name->release, "5.10.0-46-cloud-amd64");
    return done;
}
#endif
"""


def failed(configuration, lab, environment=None, prefix=()):
    """(exit code, log) of a daemon that cannot start."""
    daemon = Daemon(configuration, prefix=[*enter(lab.a), *prefix], environment=environment)
    daemon.start(ready=False)
    try:
        return daemon.process.wait(60), daemon.log
    finally:
        daemon.__exit__()


def test_this_kernel_has_each():
    code, rows, found = features()
    assert (code, found) == (0, {})
    assert {row["state"] for row in rows.values()} <= {"present", "unknown"}
    assert "backend marker" in rows["TCX"]["neededBy"]


def test_what_the_catalog_says_is_what_the_modules_say(lab):
    """The catalog tells it without loading a module, the module by its options."""
    for prefix, feature in ((covered("/sys/kernel/btf"), "BTF"), (LOCKED, "kernel-memory")):
        code, rows, found = features(prefix)
        assert code == (7 if feature == "BTF" else 5)
        assert rows[feature]["state"] == ("missing" if feature == "BTF" else "denied")
        assert found[feature]["severity"] == "error" and found[feature]["remedy"]
        said = checked(everything(lab), [*enter(lab.a), *prefix])
        said = {(identity.split("-")[0], one["severity"]) for (identity, subject), one in said.items() if subject == feature}
        assert said == {(word.split()[1], severity) for member, severity in (("neededBy", "error"), ("usedBy", "warning"))
                        for word in rows[feature][member]}


def test_a_kernel_without_control_groups_of_version_2():
    code, rows, found = features(["unshare", "--mount", "sh", "-c", 'umount -lR /sys/fs/cgroup && exec "$@"', "--"])
    assert code == 7 and rows["cgroup2"]["state"] == "missing"
    assert set(found) == {"cgroup2"}


def test_capabilities_that_no_process_can_have():
    code, _, found = features(["setpriv", "--bounding-set=-sys_admin,-bpf,-perfmon"])
    assert code == 5 and set(found) == {"CAP_BPF, CAP_PERFMON"}


def test_tcx_alone_is_not_needed(tmp_path):
    code, rows, found = features(environment=os.environ | preloaded(tmp_path, NO_TCX))
    assert code == 0 and rows["TCX"]["state"] == "missing" and found == {}


@pytest.mark.parametrize("configuration", [marker("targetInterfaces: [eth0], attach: tcx"), meter("interfaces: [eth0], attach: tcx")])
def test_without_tcx_a_start_and_a_reload_fail_alike(lab, tmp_path, configuration):
    environment = preloaded(tmp_path, NO_TCX)
    code, log = failed(configuration, lab, environment)
    assert code == 7 and "attach: auto" in log, log
    with Daemon(configuration.replace(", attach: tcx", ""), prefix=enter(lab.a), environment=environment) as daemon:
        daemon.conf.write_text(configuration)
        done = subprocess.run([str(BINARY), "--control", str(daemon.control), "reload"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 7 and "attach: auto" in done.stderr, done.stderr
        wait_for(lambda: "clsact" in daemon.log, "the old configuration on clsact")


@pytest.mark.parametrize("configuration", [marker(), meter(), "enrichers: {skops: {}}\nbackends: {metrics: {port: 9107}}\n",
                                           "plugins: {iperf3: {minDestinationPort: 5201, maxDestinationPort: 5210}}\n"
                                           "backends: {metrics: {port: 9107}}\n"])
def test_an_old_kernel_is_named_and_is_no_wrong_configuration(lab, tmp_path, configuration):
    code, log = failed(configuration, lab, preloaded(tmp_path, "#define OLD\n" + NO_TCX))
    assert code == 7 and "this is Linux 5.10.0-46-cloud-amd64, which is older than 5.14" in log, log
    assert "boot a kernel of the distribution, 5.14 or newer" in log


def test_an_instance_that_needs_btf_says_so(lab):
    code, log = failed("enrichers: {skops: {}}\nbackends: {metrics: {port: 9107}}\n", lab, prefix=covered("/sys/kernel/btf"))
    assert code == 7 and "there is no /sys/kernel/btf/vmlinux" in log, log


def test_the_meter_works_where_programs_may_not_read_kernel_memory(lab):
    with Daemon(meter(), prefix=[*enter(lab.a), *LOCKED]) as daemon:
        assert daemon.details("plugin perfsonar")["summary"].startswith("meters ")


def test_under_lockdown_what_is_not_required_is_left_out(lab, tmp_path):
    """case C44: the marker and the meter work; what reads kernel memory says which lockdown denies it."""
    configuration = """\
plugins:
  perfsonar: {experimentId: 3, activityId: 2}
  netlink: {experiment: 3, activity: 14}
  iperf3: {minDestinationPort: 5201, maxDestinationPort: 5210, required: false}
enrichers:
  skops: {required: false}
backends:
  marker: {targetInterfaces: [eth0]}
  firefly: {}
"""
    reason = "kernel lockdown is confidentiality"
    refusing = preloaded(tmp_path, "#define LOCKED\n" + NO_TCX)
    code, log = failed(configuration.replace(", required: false", ""), lab, refusing, LOCKED)
    assert code == 5 and reason in log and "lockdown=integrity" in log, log
    with Daemon(configuration, prefix=[*enter(lab.a), *LOCKED], environment=refusing) as daemon:
        found = {one["id"]: one for one in daemon.cli("findings")}
        for identity in ("iperf3-kernel-feature-missing", "skops-kernel-feature-missing", "netlink-not-early"):
            assert reason in found[identity]["found"], found
        running = {name for name, one in daemon.cli("status")["details"].items() if one.get("status")}
        assert {"plugin perfsonar", "plugin netlink", "backend marker"} <= running
        wait_for(lambda: daemon.cli("marker", "status")["catchAll"], "the marker's catch-all", 30)
    integrity = covered("/sys/kernel/security", "echo 'none [integrity] confidentiality' > /sys/kernel/security/lockdown")
    with Daemon(configuration.replace(", required: false", ""), prefix=[*enter(lab.a), *integrity]) as daemon:
        assert [one for one in daemon.cli("findings") if one["severity"] != "note"] == []


class PrivateGroups:
    """with PrivateGroups() as prefix: words in front of a command, which then sees a part of the control groups only, as in a
    container with a cgroup namespace of its own."""

    def __enter__(self):
        mounts = [line.split() for line in open("/proc/mounts")]
        top = pathlib.Path(next(words[1] for words in mounts if words[2] == "cgroup2"))
        self.group = top / f"flowd-test-{os.getpid()}"
        self.group.mkdir()
        inside = "umount -lR /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup"
        return ["sh", "-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"', str(self.group),
                "unshare", "--cgroup", "--mount", "sh", "-c", f'{inside} && exec "$@"', "--"]

    def __exit__(self, *_):
        wait_for(lambda: not (self.group / "cgroup.procs").read_text().strip(), "the processes of the group to end", 30)
        self.group.rmdir()


def test_a_private_cgroup_namespace_is_told(lab):
    """case C48: a program that is attached to a part of the control groups would miss connections without a word."""
    sentence = "this process sees only a part of the control groups"
    with PrivateGroups() as prefix:
        code, rows, found = features(prefix)
        assert code == 7 and set(found) == {"cgroup2-root"} and sentence in rows["cgroup2-root"]["found"]
        assert rows["cgroup2"]["state"] == "present" and rows["cgroup2-root"]["neededBy"] == ["plugin iperf3"]
        for configuration in ("plugins: {iperf3: {minDestinationPort: 5201, maxDestinationPort: 5210}}\nbackends: {metrics: {port: 9107}}\n",
                              "plugins: {fireflyp: {}}\nenrichers: {skops: {strategy: transition}}\nbackends: {metrics: {port: 9107}}\n"):
            code, log = failed(configuration, lab, prefix=prefix)
            assert code == 7 and sentence in log and "--cgroupns=host" in log, log
            assert sentence in "".join(one["found"] for one in checked(configuration, [*enter(lab.a), *prefix]).values())
        configuration = ("plugins: {netlink: {experiment: 3, activity: 14}}\nenrichers: {skops: {}}\nbackends: {metrics: {port: 9107}}\n")
        assert {one["id"] for one in checked(configuration, [*enter(lab.a), *prefix]).values()} == {"netlink-kernel-feature-missing"}
        with Daemon(configuration, prefix=[*enter(lab.a), *prefix]) as daemon:
            found = {one["id"]: one["found"] for one in daemon.cli("findings") if one["severity"] != "note"}
            assert set(found) == {"netlink-not-early"} and sentence in found["netlink-not-early"]


def test_control_groups_of_version_2_beside_version_1_are_found(lab, tmp_path):
    """case C48: a hybrid host has them at /sys/fs/cgroup/unified, and other hosts elsewhere."""
    place = tmp_path / "unified"
    place.mkdir()
    elsewhere = ["unshare", "--mount", "sh", "-c",
                 f'umount -lR /sys/fs/cgroup; mount -t cgroup2 none {place} && exec "$@"', "--"]
    configuration = "plugins: {iperf3: {minDestinationPort: 5201, maxDestinationPort: 5210}}\nbackends: {metrics: {port: 9107}}\n"
    with Daemon(configuration, prefix=[*enter(lab.a), *elsewhere]) as daemon:
        assert daemon.details("plugin iperf3")["kernel"]["controlGroup"] == str(place)
