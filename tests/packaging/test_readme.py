# SPDX-License-Identifier: Apache-2.0
"""README.md's install section and its first configuration, done as they are written, on a machine of its own."""
import re

import pytest

from tests.harness.collector import Collector
from tests.packaging.machine import Machine
from tests.packaging.source import build_environment, unpack
from tests.packaging.staged import ROOT


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## )", (ROOT / "README.md").read_text(), re.M | re.S)[1]


def commands(text):
    return [line[4:] for line in text.splitlines() if line.startswith("    ")]


@pytest.fixture(scope="module")
def machine(lab):
    with Collector(lab.b), Machine(lab.a) as one:  # `verify` looks whether the collector refuses
        yield one


def test_the_commands_of_the_readme_install_and_run(machine, tmp_path):
    steps = commands(section("Install"))
    assert sum(step.startswith("cmake ") for step in steps) >= 3 and any("systemctl enable --now" in step for step in steps)
    tree = unpack(tmp_path)
    path = build_environment(tmp_path / "bin")["PATH"]
    conf = re.search(r"```yaml\n(.*?)```", section("A first configuration"), re.S)[1]
    assert "targetInterfaces: [eth0]" in conf
    for step in steps:
        if step.startswith("systemctl"):
            # The section after this one says what to write first. No name is resolved here: an address in its place.
            machine.write("/etc/flowd-cpp/conf.yaml", conf.replace("collector.example.org", '"fd5c:17a6:5::b"'))
        # Without tests, of which the README speaks elsewhere; everything else as it stands.
        step = step.replace("cmake --preset release", "cmake --preset release -DFLOWD_TESTS=OFF -DFLOWD_BENCHMARKS=OFF")
        machine.run("sh", "-ec", f'cd "$0"; export PATH="$1"; {step}', tree, path, timeout=600)
    for line in commands(section("A first configuration")):
        command = line.split("#")[0].strip()
        if command.startswith("flowd-cpp") and not command.startswith("flowd-cpp run"):
            machine.run("sh", "-ec", command)
    status = machine.run("flowd-cpp", "status").stdout
    for instance in ("plugin perfsonar", "plugin fireflyp", "backend marker", "backend firefly"):
        assert re.search(rf"^{instance}\s+(?!failed)[a-z]+ ", status, re.M), status
    assert machine.run("flowd-cpp", "flows").returncode == 0
