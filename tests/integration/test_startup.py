# SPDX-License-Identifier: Apache-2.0
"""What stops a start, what it says and with which exit code."""
import re
import socket
import subprocess

import pytest

from tests.harness.daemon import BINARY, ROOT, Daemon


def start_fails(configuration, host=None, prefix=()):
    """(exit code, log) of a daemon that is expected not to come up."""
    daemon = Daemon(configuration, host)
    try:
        command = [*prefix, str(BINARY), "run", "--conf", str(daemon.conf), "--control", str(daemon.control)]
        if host:
            command = ["ip", "netns", "exec", host.name, *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        return done.returncode, done.stderr
    finally:
        import shutil

        shutil.rmtree(daemon.directory)


def test_an_unknown_key_is_named_with_its_place_and_the_nearest_match():
    code, log = start_fails("plugins:\n  fireflyp:\n    bindPrt: 10514\n")
    assert code == 3
    assert re.search(r"conf\.yaml:3:5: error: plugins\.fireflyp\.bindPrt", log), log
    assert "bindPort" in log


def test_all_mistakes_are_reported_at_once():
    code, log = start_fails("plugins:\n  fireflyp:\n    bindPort: 70000\nbackends:\n  firefly:\n    sendToCollector: perhaps\n")
    assert code == 3
    assert "conf.yaml:3:" in log and "conf.yaml:6:" in log, log


def test_an_absent_module_is_named_with_the_package_to_install():
    code, log = start_fails("backends:\n  kafka: {}\n")
    assert code == 4
    assert "flowd-cpp-backend-kafka" in log, log


def test_a_busy_port_stops_the_start(lab):
    blocker = lab.a.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
    blocker.bind(("127.0.0.1", 10514))
    with blocker:
        code, log = start_fails("plugins:\n  fireflyp: {}\n", lab.a)
    assert code == 6
    assert "10514" in log and re.search(r"conf\.yaml:\d+", log), log


def test_a_marker_without_any_of_its_interfaces_stops_the_start(lab):
    code, log = start_fails("backends:\n  marker:\n    targetInterfaces: [eth7, eth8]\n", lab.a)
    assert code == 7
    assert "eth7" in log and "waitForInterfaces" in log, log


def test_a_missing_privilege_is_named(lab):
    code, log = start_fails("backends:\n  marker:\n    targetInterfaces: [eth0]\n", lab.a,
                            prefix=("setpriv", "--bounding-set", "-all", "--inh-caps", "-all"))
    assert code == 5
    assert "CAP_" in log, log


def test_a_part_that_is_not_required_does_not_stop_the_start(lab):
    with Daemon("plugins:\n  fireflyp: {}\nbackends:\n  marker:\n    targetInterfaces: [eth7]\n    required: false\n", lab.a) as daemon:
        states = {entry["instance"]: entry for entry in daemon.cli("status")["instances"]}
        assert states["backend marker"]["state"] == "failed", states
        assert "eth7" in states["backend marker"]["lastError"], states
        assert states["plugin fireflyp"]["state"] == "running", states


def test_a_configuration_that_others_may_write_is_refused():
    daemon = Daemon("plugins:\n  fireflyp: {}\n")
    daemon.conf.chmod(0o666)
    done = subprocess.run([str(BINARY), "check", "--conf", str(daemon.conf)], capture_output=True, text=True)
    assert done.returncode != 0
    assert "0666" in done.stderr + done.stdout or "writable" in done.stderr + done.stdout


@pytest.mark.parametrize("example", sorted((ROOT / "etc" / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_that_are_installed_are_usable_as_they_are(example):
    done = subprocess.run([str(BINARY), "check", "--conf", str(example)], capture_output=True, text=True)
    assert done.returncode == 0 and "0 warnings" in done.stdout + done.stderr, done.stdout + done.stderr
