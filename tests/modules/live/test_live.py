# SPDX-License-Identifier: Apache-2.0
"""The real daemon with modules that misbehave: one cannot stop the others, and nothing is lost by those that behave."""
import os
import signal
import socket
import subprocess

import pytest

from tests.harness.daemon import BINARY, Daemon
from tests.harness.lab import wait_for

MODULES = os.environ["FLOWD_LIVE_MODULES"]
COUNT = 20_000
GOOD = f"""\
stopTimeout: 1s
plugins:
  pairs: {{count: {COUNT}}}
"""
TALLIES = f"""\
backends:
  tally/one: {{count: {COUNT}}}
  tally/two: {{count: {COUNT}}}
"""


def daemon(configuration, **more):
    return Daemon(configuration, arguments=["--modules", MODULES], **more)


def fails(configuration):
    made = daemon(configuration)
    try:
        done = subprocess.run([str(BINARY), "run", "--conf", str(made.conf), "--control", str(made.control), "--modules", MODULES],
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr
    finally:
        made.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.__exit__()


def state_of(running, name):
    return next(i for i in running.cli("status")["instances"] if i["instance"] == name)


def all_arrived(running, tallies=("one", "two")):
    details = running.cli("status")["details"]
    counts = [details.get(f"backend tally/{t}", {}).get("status", {}) for t in tallies]
    assert all(c.get("wrong", 0) == 0 for c in counts), counts
    return all(c.get("starts") == COUNT and c.get("ends") == COUNT for c in counts)


@pytest.mark.parametrize("queues", ["", "queues: {events: 64}\n"])
def test_every_pair_reaches_both_backends(queues):
    with daemon(queues + GOOD + TALLIES) as running:
        wait_for(lambda: all_arrived(running), "all pairs", 60)
        assert running.stop() == 0


@pytest.mark.parametrize("at", ["create", "prepare", "start"])
@pytest.mark.parametrize("how,code", [("error", 1), ("throw", 1), ("garbage", 1), ("busy", 6), ("denied", 5)])
def test_a_failed_required_instance_fails_the_start(at, how, code):
    answer, log = fails(f"plugins:\n  misbehave: {{at: {at}, how: {how}}}\nbackends:\n  tally: {{}}\n")
    assert answer == code, log
    assert "conf.yaml:2:" in log and at in log, log


@pytest.mark.parametrize("at", ["create", "prepare", "start", "post", "timer", "watch"])
@pytest.mark.parametrize("kind", ["plugins", "backends"])
def test_an_instance_that_throws_does_not_stop_the_others(kind, at):
    bad = "  misbehave: {at: %s, how: throw, required: false}\n" % at
    with daemon(GOOD + (bad if kind == "plugins" else "") + TALLIES + (bad if kind == "backends" else "")) as running:
        wait_for(lambda: all_arrived(running), "all pairs", 60)
        name = f"{kind[:-1]} misbehave"
        wait_for(lambda: state_of(running, name)["state"] == "failed", f"{name} to be shown as failed")
        assert "thrown on purpose" in state_of(running, name)["lastError"]
        # A backend that is taken out of service may leave events that it has not taken.
        assert running.stop() in ([0, 10] if kind == "backends" else [0])


@pytest.mark.parametrize("how", ["error", "throw", "garbage"])
def test_a_backend_that_cannot_take_events_does_not_stop_the_others(how):
    with daemon(GOOD + TALLIES + "  misbehave: {at: events, how: %s}\n" % how) as running:
        wait_for(lambda: all_arrived(running), "all pairs", 60)
        assert state_of(running, "backend misbehave")["errors"] > 0
        # One that is taken out of service may leave events that it has not taken; one that fails on each leaves none.
        assert running.stop() in ([0, 10] if how == "throw" else [0])


def test_a_backend_that_blocks_forever_delays_no_other_instance_and_is_abandoned():
    limits = "queues: {events: 64, stallAfter: 200ms}\n"
    with daemon(limits + GOOD + TALLIES + "  misbehave: {at: events, how: hang}\n") as running:
        wait_for(lambda: all_arrived(running), "all pairs", 60)
        wait_for(lambda: state_of(running, "backend misbehave").get("stuckIn") == "on_events", "the hang to be shown")
        assert running.stop() == 9
        assert "[misbehave] does not return from on_events" in running.log


@pytest.mark.parametrize("at", ["stop", "destroy"])
def test_an_instance_that_hangs_in_stop_is_logged_and_the_daemon_exits(at):
    with daemon(GOOD + "  misbehave: {at: %s, how: hang}\n" % at + TALLIES) as running:
        wait_for(lambda: all_arrived(running), "all pairs", 60)
        assert running.stop() == 9
        assert f"[misbehave] does not return from {at}" in running.log


def test_a_second_sigterm_does_not_wait():
    with daemon("stopTimeout: 60s\nplugins:\n  misbehave: {at: stop, how: hang}\n" + TALLIES) as running:
        running.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "STOPPING=1" in running.states(), "the daemon to stop")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(10) == 9


def test_malformed_events_are_refused_and_counted():
    with daemon(GOOD + "  misbehave: {at: emit}\n" + TALLIES) as running:
        wait_for(lambda: all_arrived(running), "all pairs", 60)
        edge = next(a for a in running.cli("status")["announcers"] if a["plugin"] == "misbehave")
        assert edge["accepted"] == 0 and edge["refused"] > 0, edge
        assert running.stop() == 0


def test_a_failed_reload_keeps_everything_running_with_a_reason():
    with daemon(GOOD + TALLIES) as running:
        wait_for(lambda: all_arrived(running), "all pairs", 60)
        pid_before = {i["instance"]: i["since"] for i in running.cli("status")["instances"]}
        running.reload(GOOD + TALLIES + "  misbehave: {at: prepare, how: denied}\n")
        status = running.cli("status")
        assert status["daemon"]["reloadsFailed"] == 1
        assert "prepare failed" in status["daemon"]["lastReloadError"]
        assert {i["instance"]: i["since"] for i in status["instances"]} == pid_before
        assert any("the reload failed" in line for line in running.states())
        running.reload("nonsense: true\n")
        assert running.cli("status")["daemon"]["reloadsFailed"] == 2
        running.reload(GOOD + TALLIES + "  tally/three: {}\n")
        status = running.cli("status")
        assert status["daemon"]["lastReloadError"] == ""
        assert len(status["instances"]) == 4
        assert running.stop() == 0


def test_the_watchdog_is_notified_only_while_instances_respond():
    environment = {"WATCHDOG_USEC": "400000"}
    with daemon(GOOD + TALLIES, environment=environment) as running:
        wait_for(lambda: "WATCHDOG=1" in running.states(), "the watchdog to be fed")
        assert running.stop() == 0
    with daemon(GOOD + "  misbehave: {at: timer, how: hang}\n" + TALLIES, environment=environment) as running:
        wait_for(lambda: "does not respond" in running.log, "the hang to be noticed")
        running.states()
        running.notified.clear()
        before = running.log.count("does not respond")
        wait_for(lambda: running.log.count("does not respond") > before + 1, "two more rounds")
        assert "WATCHDOG=1" not in running.states()
        assert running.stop() == 9


def test_a_daemon_that_is_slow_to_start_does_not_call_its_configuration_changed():
    starting = daemon("stopTimeout: 1s\nplugins:\n  misbehave: {at: start, how: hang, required: false}\n" + TALLIES)
    try:
        starting.start(ready=False)
        wait_for(lambda: starting.cli("findings", check=False) is not None, "the control socket")
        assert "daemon-configuration-changed" not in [one["id"] for one in starting.cli("findings")]
        assert starting.cli("status")["daemon"]["state"] == "starting"
    finally:
        starting.__exit__()


def test_a_call_that_does_not_return_is_a_finding():
    stuck = "  misbehave: {at: timer, how: hang, required: false}\n"
    with daemon(GOOD + stuck + TALLIES) as running:
        wait_for(lambda: all_arrived(running), "all pairs", 60)
        found = wait_for(lambda: [one for one in running.cli("findings") if one["severity"] != "note"], "the finding", 60)
        assert [(one["id"], one["severity"], one["instance"], one["subject"]) for one in found] == [
            ("daemon-instance-stuck", "warning", "plugin misbehave", "plugin misbehave")]
        assert "'a timer's callback' does not return" in found[0]["found"] and "restart the daemon" in found[0]["remedy"]
        assert subprocess.run([str(BINARY), "--control", str(running.control), "status", "--check"], check=False).returncode == 1
        assert running.stop() == 9, "it is abandoned"
