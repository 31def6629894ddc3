# SPDX-License-Identifier: Apache-2.0
"""`flowd-cpp features`, and how a start or a reload fails where the kernel lacks something. This kernel lacks nothing: each
lack is a fake."""
import json
import os
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

# A kernel without TCX, and one that refuses every program as older kernels do.
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
