# SPDX-License-Identifier: Apache-2.0
"""A kernel that was booted with ipv6.disable=1, as programs see it: socket(AF_INET6) fails with EAFNOSUPPORT."""
import pathlib
import subprocess

import pytest

from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for

pytestmark = pytest.mark.usefixtures("status_answers")
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>
int socket(int domain, int type, int protocol) {
    if (domain == AF_INET6) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return ((int (*)(int, int, int))dlsym(RTLD_NEXT, "socket"))(domain, type, protocol);
}
"""


@pytest.fixture(scope="module")
def without_ipv6(tmp_path_factory):
    """The environment of a process on such a kernel."""
    directory = tmp_path_factory.mktemp("shim")
    source, library = directory / "shim.c", directory / "shim.so"
    source.write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library)}


def test_the_unspecified_address_without_ipv6_listens_at_every_ipv4_address(lab, without_ipv6):
    configuration = """\
plugins:
  fireflyp: {bindAddress: "::", bindPort: 10514, allow: ["10.93.7.0/24"]}
  api: {bindAddress: "::", tokenFile: /run/flowd-test-token}
backends:
  metrics: {bindAddress: "::", port: 9234, tokenFile: /run/flowd-test-token}
"""
    token = pathlib.Path("/run/flowd-test-token")
    token.write_text("0123456789abcdef0123456789abcdef\n")
    token.chmod(0o600)
    try:
        with Daemon(configuration, prefix=("nsenter", f"--net=/run/netns/{lab.a.name}"), environment=without_ipv6) as daemon:
            assert daemon.log.count("has no IPv6") == 3, daemon.log
            assert "0.0.0.0:10514 is used instead of [::]:10514" in daemon.log
            assert "0.0.0.0:9234 is used instead of [::]:9234" in daemon.log
            assert "listening at http://0.0.0.0:9234/metrics" in daemon.log and "listening at tcp 0.0.0.0:7777" in daemon.log, daemon.log
            assert daemon.details("backend metrics")["summary"] == "serves 0.0.0.0:9234"
            assert daemon.details("plugin api")["summary"] == "listens on 0.0.0.0:7777"
            assert "0.0.0.0:10514" in lab.a.run("ss", "-Hlun").stdout
            assert "0.0.0.0:9234" in lab.a.run("ss", "-Hltn").stdout
    finally:
        token.unlink()


@pytest.mark.parametrize("section, name", [
    ('plugins: {fireflyp: {bindAddress: "::1"}}', "[::1]:10514"),
    ('backends: {metrics: {bindAddress: "::1"}}', "[::1]:"),
])
def test_an_ipv6_address_on_a_host_without_ipv6_fails_the_start(lab, without_ipv6, section, name):
    daemon = Daemon(section + "\n", prefix=("nsenter", f"--net=/run/netns/{lab.a.name}"), environment=without_ipv6)
    try:
        daemon.start(ready=False)
        assert daemon.process.wait(20) == 7, daemon.log
        assert name in daemon.log and "ipv6.disable=1" in daemon.log, daemon.log
    finally:
        daemon.__exit__()


@pytest.mark.parametrize("strategy, marks", [("label", False), ("label+dscp, dscpMap: [{experiment: 2, dscp: 10}]", True)])
def test_the_marker_explains_a_tag_that_fits_no_label(lab, without_ipv6, strategy, marks):
    configuration = f"plugins: {{fireflyp: {{}}}}\nbackends: {{marker: {{targetInterfaces: [eth0], markingStrategy: {strategy}}}}}\n"
    with Daemon(configuration, prefix=("nsenter", f"--net=/run/netns/{lab.a.name}"), environment=without_ipv6) as daemon:
        assert "has no IPv6" in daemon.log, daemon.log
        status = daemon.cli("marker", "status")
        assert "IPv6" in status["warning"], status
        assert ("nothing is marked" in status["warning"]) is not marks, status
        assert ("marking on eth0" in daemon.log) is marks, daemon.log
        assert status["summary"] == ("marks on eth0" if marks else "marks nothing: this kernel has no IPv6")
        assert [one["id"] for one in daemon.cli("findings") if one["instance"] == "backend marker"] == ["marker-no-ipv6"]


def test_with_ipv6_there_is_no_warning(lab):
    with Daemon("plugins: {fireflyp: {}}\nbackends: {marker: {targetInterfaces: [eth0]}}\n",
                prefix=("nsenter", f"--net=/run/netns/{lab.a.name}")) as daemon:
        assert "no IPv6" not in daemon.log
        assert "warning" not in daemon.cli("marker", "status")
        wait_for(lambda: daemon.cli("status"), "an answer")
