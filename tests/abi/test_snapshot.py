# SPDX-License-Identifier: Apache-2.0
"""The modules of this tree on a core of release 1.0: a small core in C (host.c) and a module in C (module.c), both built
from the snapshot of the 1.0 headers and nothing else. test_out_of_tree.py has the other direction: that module in this
tree's daemon.
"""
import json
import os
import pathlib
import re
import select
import socket
import subprocess
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
SNAPSHOT = HERE / "sdk-1.0"
BUILD = pathlib.Path(os.environ["FLOWD_BUILD"])
STRICT = ["-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", f"-I{SNAPSHOT / 'include'}"]

# A network namespace with nothing but loopback: what marks or meters would find the interfaces of this host otherwise.
OWN_NETWORK = [HERE.parent / "modules/in-own-network"]

FIREFLY = json.dumps({
    "version": 1,
    "flow-lifecycle": {"state": "start", "current-time": "2026-01-01T00:00:00.000000+00:00",
                       "start-time": "2026-01-01T00:00:00.000000+00:00"},
    "flow-id": {"afi": "ipv6", "src-ip": "2001:db8::1", "dst-ip": "2001:db8::2", "protocol": "tcp", "src-port": 40000,
                "dst-port": 443},
    "context": {"experiment-id": 2, "activity-id": 7, "application": "test"},
})


def sh(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    program = tmp_path_factory.mktemp("host") / "host"
    sh("gcc", *STRICT, SNAPSHOT / "host.c", "-o", program, "-ldl", "-lpthread")
    return program


def module_file(*names):
    found = [path for name in names for path in BUILD.rglob(f"{name}.so")
             if not {"CMakeFiles", "tests"} & set(path.relative_to(BUILD).parts)]
    assert found, f"{' or '.join(names)} is not built"
    return found[0]


class Life:
    """One instance in the core of 1.0. `until` waits for a line of its report; `end` ends it and answers all of it."""

    def __init__(self, host, module, kind, name, options=None, within=()):
        words = [f"{key}={value}" for key, value in (options or {}).items()]
        self.process = subprocess.Popen([*within, host, module, kind, name, *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.report = b""

    def until(self, pattern, seconds=30):
        deadline = time.monotonic() + seconds
        while not re.search(pattern.encode(), self.report, re.M):
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(left, 0))
            assert ready, f"no line {pattern!r} in {seconds} s\n{self.report.decode()}"
            piece = os.read(self.process.stdout.fileno(), 65536)
            assert piece, f"it ended without a line {pattern!r}\n{self.report.decode()}"
            self.report += piece

    def end(self):
        rest, _ = self.process.communicate(timeout=30)
        self.report += rest
        text = self.report.decode()
        assert self.process.returncode == 0 and "destroyed, 0 faults" in text, f"status {self.process.returncode}\n{text}"
        return text


def free_port():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        return probe.getsockname()[1]


def test_the_module_of_1_0_runs_on_its_core(host, tmp_path):
    module = tmp_path / "plugin-c11.so"
    sh("gcc", *STRICT, "-fPIC", "-shared", "-fvisibility=hidden", "-Wl,-z,defs", '-DFLOWD_MODULE_NAME="plugin-c11"',
       '-DFLOWD_MODULE_VERSION="1.0.0"', '-DFLOWD_MODULE_LICENSE="Apache-2.0"', SNAPSHOT / "module.c", SNAPSHOT / "note.c",
       "-o", module)
    life = Life(host, module, "plugin", "c11", options={"pairs": 3})
    life.until("^live")
    text = life.end()
    assert text.count("event start") == text.count("event end") == 3
    life = Life(host, module, "backend", "c11")
    life.until("^on_events 0, 9 of 9")
    assert "saw 3 starts, 3 ends" in life.end()


def test_fireflyp_announces_a_flow_to_the_1_0_core(host):
    port = free_port()
    life = Life(host, module_file("plugin-fireflyp"), "plugin", "fireflyp", options={"bindAddress": "::1", "bindPort": port})
    life.until("^live")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"<134>1 2026-01-01T00:00:00Z host flowd - firefly-json - " + FIREFLY.encode(), ("::1", port))
    life.until(r"^event start 2/7 \[2001:db8::1\]:40000 \[2001:db8::2\]:443")
    life.end()


def test_namedpipe_announces_a_flow_to_the_1_0_core(host, tmp_path):
    pipe = tmp_path / "pipe"
    life = Life(host, module_file("plugin-namedpipe"), "plugin", "namedpipe", options={"pipePath": pipe})
    life.until("^live")
    with open(pipe, "w") as writer:
        writer.write("start tcp 2001:db8::1 40000 2001:db8::2 443 2 7\n")
    life.until(r"^event start 2/7 \[2001:db8::1\]:40000 \[2001:db8::2\]:443")
    life.end()


def test_perfsonar_announces_its_catch_all_to_the_1_0_core(host):
    life = Life(host, module_file("plugin-perfsonar"), "plugin", "perfsonar",
                {"experimentId": 2, "activityId": 7}, OWN_NETWORK)
    life.until("^event catch-all 2/7")
    life.end()


def test_firefly_sends_flows_of_the_1_0_core(host):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as collector:
        collector.bind(("::1", 0))
        collector.settimeout(30)
        life = Life(host, module_file("backend-firefly"), "backend", "firefly", options={
            "sendToCollector": "true", "collectorAddress": "::1", "collectorPort": collector.getsockname()[1]})
        life.until("^on_events 0, 9 of 9")
        states = sorted(re.search(rb'"state": ?"(\w+)"', collector.recv(65536)).group(1) for _ in range(9))
        assert states == 3 * [b"end"] + 3 * [b"ongoing"] + 3 * [b"start"]
        life.end()


@pytest.mark.parametrize("kind,name,options", [
    ("plugin", "api", {"bindAddress": "::1", "bindPort": free_port()}),
    ("plugin", "netlink", {"experiment": 2, "activity": 7}),
    ("plugin", "iperf3", {}),
    ("backend", "marker", {}),
    ("backend", "metrics", {"bindAddress": "::1", "port": free_port()}),
    ("enricher", "netlink", {}),
    ("enricher", "skops", {}),
])
def test_each_module_runs_on_the_1_0_core_or_reports_missing_services(host, kind, name, options):
    life = Life(host, module_file(f"{kind}-{name}", f"plugin-{name}"), kind, name, options, OWN_NETWORK)
    life.until("^live|^(prepare|start) -")
    text = life.end()
    assert "create 0" in text
    if "\nlive" not in text:
        assert re.search(r"^problem -", text, re.M), text
