# SPDX-License-Identifier: Apache-2.0
"""`status` answers in one screen whether the daemon is well, and in one exit code."""
import re
import subprocess
import tempfile

import pytest

from tests.harness.daemon import BINARY, Daemon
from tests.harness.dns import NameServer
from tests.harness.findings import without_clock
from tests.harness.lab import wait_for

HEALTHY = """\
plugins:
  perfsonar: {{experimentId: 2, activityId: 16}}
  fireflyp: {{}}
  namedpipe: {{pipePath: {pipe}}}
backends:
  marker: {{targetInterfaces: [eth0]}}
  metrics: {{port: 9107}}
"""
NAME = "collector.flowd.test"


def shown(daemon, *words, code=0):
    done = subprocess.run([str(BINARY), "--control", str(daemon.control), *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout


def normalised(screen):
    screen = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "TIME", screen)
    screen = re.sub(r"/run/flowd-test-\w+", "DIRECTORY", screen)
    # The clock of this machine is as it is.
    screen = re.sub(r"findings:\n  note: daemon: daemon-clock-not-synchronised\n(    .*\n)+$", "no findings\n", screen)
    return re.sub(r"flowd-cpp [\d.]+: (.*) \(.*\), pid \d+", r"flowd-cpp VERSION: \1 (DURATION), pid N", screen)


def findings(daemon):
    return without_clock(daemon.cli("status")["findings"])


def assert_fits(screen):
    lines = screen.splitlines()
    assert len(lines) <= 24 and all(len(line) <= 80 for line in lines), screen


@pytest.fixture
def pipe():
    with tempfile.TemporaryDirectory(prefix="flowd-test-", dir="/run") as folder:
        yield f"{folder}/pipe"


def test_a_healthy_host_has_one_line_per_instance_and_is_ok(lab, pipe):
    with Daemon(HEALTHY.format(pipe=pipe), lab.a) as daemon:
        screen = shown(daemon, "status")
        assert_fits(screen)
        assert normalised(screen).replace(pipe, "PIPE") == """\
flowd-cpp VERSION: running since TIME (DURATION), pid N
configuration: DIRECTORY/conf.yaml
0 live flows

plugin perfsonar  meters 0 flows on eth0
plugin fireflyp   listens on 127.0.0.1:10514 and [::1]:10514
plugin namedpipe  reads DIRECTORY/pipe
backend marker    marks on eth0
backend metrics   serves 127.0.0.1:9107

no findings
"""
        assert shown(daemon, "status", "--check") == "FLOWD-CPP OK: 5 instances, 0 live flows | flows=0 findings=0\n"


@pytest.fixture
def unwell(lab):
    """An optional instance has failed, since its port is in use; and the name of a collector has no address."""
    configuration = f"""\
plugins:
  fireflyp: {{}}
  api: {{required: false, bindPort: 7788}}
backends:
  firefly: {{sendToDestination: false, collectors: [{{address: {NAME}}}]}}
"""
    blocker = lab.a.popen("python3", "-c", "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 7788)); s.listen(); "
                          "print('bound', flush=True); time.sleep(600)", stdout=subprocess.PIPE)
    blocker.stdout.readline()
    try:
        with NameServer(lab.a, None), Daemon(configuration, lab.a) as daemon:
            wait_for(lambda: len(findings(daemon)) == 2, "both findings", 60)
            yield daemon
    finally:
        blocker.terminate()
        blocker.wait()


def test_a_failed_optional_instance_and_an_unresolved_collector_are_in_all_outputs(unwell):
    ids = {"daemon-instance-failed", "firefly-collector-unresolved"}
    screen = shown(unwell, "status")
    assert_fits(screen)
    assert re.search(r"^plugin api +failed since .*: ", screen, re.M), screen
    for text in (screen, shown(unwell, "status", "--all"), shown(unwell, "findings"), shown(unwell, "status", "--check", code=1)):
        assert all(one in text for one in ids) and "plugin api" in text and NAME in text, text
    assert {one["id"] for one in findings(unwell)} == ids
    series = {one["labels"]["id"]: one["labels"] for one in unwell.cli("metrics")
              if one["name"] == "findings" and one["labels"]["severity"] != "note"}
    assert set(series) == ids and all(one["severity"] == "warning" for one in series.values())
    assert series["daemon-instance-failed"]["flowd_instance"] == "plugin api"


def test_status_check_works_for_a_monitoring_system(unwell):
    lines = shown(unwell, "status", "--check", code=1).splitlines()
    assert re.fullmatch(r"FLOWD-CPP WARNING: [^|]+ \(and 1 more\) \| flows=0 findings=2", lines[0]), lines
    assert len(lines) == 3
    nobody = subprocess.run([str(BINARY), "status", "--check", "--control", "/nonexistent/control"], capture_output=True, text=True)
    assert nobody.returncode == 2 and nobody.stderr == ""
    assert nobody.stdout == "FLOWD-CPP CRITICAL: no daemon answers at /nonexistent/control\n"


def test_a_reload_that_failed_is_shown_until_one_succeeds(lab, pipe):
    with Daemon(HEALTHY.format(pipe=pipe), lab.a) as daemon:
        daemon.reload("plugins: {fireflyp: {colour: red}}\n", wait=False)
        wait_for(lambda: daemon.cli("status")["daemon"]["reloadsFailed"] == 1, "the reload to fail")
        assert "reload failed TIME" in normalised(" ".join(shown(daemon, "status").split()))
        assert "daemon-configuration-changed" in shown(daemon, "status", "--check", code=1)
        daemon.reload(HEALTHY.format(pipe=pipe))
        wait_for(lambda: findings(daemon) == [], "the finding to be gone")


def test_status_of_one_instance_accepts_both_word_orders(lab, pipe):
    with Daemon(HEALTHY.format(pipe=pipe), lab.a) as daemon:
        for name in ("perfsonar", "fireflyp", "namedpipe", "metrics"):
            full = shown(daemon, "status", name)
            assert full.startswith("instance:") and f" {name}\n" in full.splitlines(True)[0]
            assert not re.search(r": +0$", full, re.M), full
            assert len(set(full.splitlines())) >= len([line for line in full.splitlines() if line]) - 3, full
            assert shown(daemon, name, "status").splitlines()[0] == full.splitlines()[0]
        answer = daemon.cli("status", "namedpipe")
        assert {"instance", "state", "since", "summary", "findings", "announcer", "status", "counters"} <= set(answer)
        assert daemon.cli("namedpipe", "status").keys() == answer.keys()
        assert "strategy" in daemon.cli("marker", "status"), "a command of the module's own comes first"
        assert daemon.cli("status", "marker")["queue"]["backend"] == "marker"
        assert "hint: instances: " in subprocess.run([str(BINARY), "--control", str(daemon.control), "status", "nobody"],
                                                     capture_output=True, text=True).stderr
