# SPDX-License-Identifier: Apache-2.0
"""Each exit code that docs/cli.md promises, from the program itself. One row per code: the codes are an interface to scripts."""
import os
import re
import subprocess

import pytest

from tests.harness.daemon import BINARY, ROOT, Daemon
from tests.harness.lab import wait_for

MODULES = os.environ["FLOWD_LIVE_MODULES"]


def code_of(*words):
    return subprocess.run([str(BINARY), *map(str, words)], capture_output=True, timeout=60, check=False).returncode


def run_with(folder, configuration):
    conf = folder / "conf.yaml"
    conf.write_text(configuration)
    conf.chmod(0o644)
    return code_of("run", "--conf", conf, "--control", folder / "control", "--modules", MODULES)


def misbehaving(at, how):
    return f"plugins:\n  misbehave: {{at: {at}, how: {how}}}\nbackends:\n  tally: {{}}\n"


def success(folder):
    return code_of("version")


def failure(folder):
    return run_with(folder, misbehaving("start", "error"))


def usage(folder):
    return code_of("run", "--bogus")


def configuration(folder):
    return run_with(folder, "plugnis: {}\n")


def module(folder):
    return run_with(folder, "backends:\n  absent: {}\n")


def denied(folder):
    return run_with(folder, misbehaving("prepare", "denied"))


def busy(folder):
    return run_with(folder, misbehaving("prepare", "busy"))


def absent(folder):
    return code_of("check", "--conf", folder / "none.yaml")


def no_daemon(folder):
    return code_of("status", "--control", folder / "nobody")


def abandoned(folder):
    with Daemon("stopTimeout: 1s\n" + misbehaving("stop", "hang"), arguments=["--modules", MODULES]) as running:
        wait_for(lambda: "READY=1" in running.states(), "the daemon to run")
        return running.stop()


def lost(folder):
    backend = "plugins:\n  pairs: {count: 1000}\nbackends:\n  misbehave: {at: events, how: full}\n"
    with Daemon("stopTimeout: 1s\n" + backend, arguments=["--modules", MODULES]) as running:
        wait_for(lambda: "READY=1" in running.states(), "the daemon to run")
        return running.stop()


WAYS = [success, failure, usage, configuration, module, denied, busy, absent, no_daemon, abandoned, lost]


@pytest.mark.parametrize("code,way", enumerate(WAYS), ids=lambda value: getattr(value, "__name__", None))
def test_the_program_ends_with(code, way, tmp_path):
    assert way(tmp_path) == code


def test_events_not_taken_by_a_removed_instance_set_the_exit_code():
    rest = "stopTimeout: 1s\nplugins:\n  pairs: {count: 1000}\nbackends:\n  tally: {}\n"
    with Daemon(rest + "  misbehave: {at: events, how: full}\n", arguments=["--modules", MODULES]) as running:
        running.reload(rest)
        assert "backend misbehave did not take" in running.log
        assert running.stop() == 10
        assert "stopped; lost " in running.log


def test_every_documented_code_has_its_row_here():
    section = (ROOT / "docs" / "cli.md").read_text().split("\n## Exit codes\n")[1].split("\n## ")[0]
    documented = re.findall(r"^\| (\d+) \| .*", section, re.MULTILINE)
    assert [int(code) for code in documented] == list(range(len(WAYS)))
