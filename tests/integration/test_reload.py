# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: flows stay, what is unchanged keeps running, new backends get the live flows, an error keeps the old. And what a
service manager keeps meanwhile."""
import json
import pathlib
import shutil
import signal
import socket
import tempfile
import time

import pytest

from tests.harness.collector import Collector
from tests.harness.daemon import BUILD, Daemon
from tests.harness.http import Api
from tests.harness.lab import wait_for
from tests.integration.test_pipeline import firefly

pytestmark = pytest.mark.usefixtures("status_answers")
BASE = """\
plugins:
  fireflyp: {}
backends:
  firefly:
    sendToCollector: true
    collectorAddress: "fd5c:17a6:5::b"
"""
SECOND = BASE + """\
  firefly/second:
    sendToCollector: true
    collectorAddress: "fd5c:17a6:5::b"
    collectorPort: 10515
"""


def announce(lab, *datagrams):
    with lab.a.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in datagrams:
            sender.sendto(datagram, ("127.0.0.1", 10514))


def test_a_new_backend_receives_the_live_flows_and_an_old_one_nothing_twice(lab):
    with Collector(lab.b) as first, Collector(lab.b, 10515) as second, Daemon(BASE, lab.a) as daemon:
        announce(lab, firefly("start", 4711, 1))
        first.wait_for_count(1)
        daemon.reload(SECOND)
        second.wait_for_count(1)
        announce(lab, firefly("end", 4711, 1))
        first.wait_for_count(2)
        second.wait_for_count(2)
        states = [[f["flow-lifecycle"]["state"] for f in collector.fireflies] for collector in (first, second)]
        # A flow that began before the backend was there is told to its collector as ongoing (docs/firefly.md).
        assert states == [["start", "end"], ["ongoing", "end"]]


def test_a_reconfigured_receiver_keeps_its_socket_and_loses_nothing(lab):
    changed = BASE.replace("fireflyp: {}", "fireflyp:\n    bufferSize: 8192")
    with Collector(lab.b) as collector, Daemon(BASE, lab.a) as daemon:
        sent = 0
        for configuration in (changed, BASE, changed):
            announce(lab, *(firefly("start", 1024 + sent + i, sent + i) for i in range(100)))
            daemon.conf.write_text(configuration)
            daemon.notified.clear()
            daemon.process.send_signal(signal.SIGHUP)
            announce(lab, *(firefly("start", 1124 + sent + i, sent + 100 + i) for i in range(100)))
            sent += 200
            wait_for(daemon.is_ready, "READY=1 after the reload")
        collector.wait_for_count(sent)
        assert len({f["flow-id"]["src-port"] for f in collector.fireflies}) == sent


def test_an_invalid_configuration_is_refused_at_a_reload_with_a_reason(lab):
    with Collector(lab.b) as collector, Daemon(BASE, lab.a) as daemon:
        daemon.conf.write_text(BASE.replace("collectorAddress", "colectorAddress"))
        daemon.notified.clear()
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "colectorAddress" in daemon.log, "the mistake in the log")
        wait_for(daemon.is_ready, "READY=1 again")
        announce(lab, firefly("start", 4711, 1))
        collector.wait_for_count(1)
        assert all(entry["state"] == "running" for entry in daemon.cli("status")["instances"])
        assert "colectorAddress" in str(daemon.cli("status")["daemon"]), daemon.cli("status")["daemon"]


def loaded(daemon):
    """(whether the last load succeeded, when one succeeded last) by the metrics."""
    values = {one["name"]: one["value"] for one in daemon.cli("metrics")}
    return values["config_last_reload_success"], values["config_last_reload_success_timestamp_seconds"]


def test_a_failed_reload_is_in_the_metrics_until_one_succeeds(lab):
    """case C52: whatever is wrong with the file, the old configuration stays in force, and it is seen."""
    with Daemon(BASE, lab.a) as daemon:
        good, since = loaded(daemon)
        assert good == 1 and abs(since - time.time()) < 600

        def replace(text="plugins: {}", mode=0o644):
            daemon.conf.unlink()
            daemon.conf.write_text(text)
            daemon.conf.chmod(mode)

        for number, spoil in enumerate([lambda: replace("plugins: {fireflyp: {colour: red}}\n"), lambda: replace(mode=0o666),
                                        daemon.conf.unlink, daemon.conf.mkdir], 1):
            spoil()
            daemon.process.send_signal(signal.SIGHUP)
            wait_for(lambda: daemon.cli("status")["daemon"]["reloadsFailed"] == number, "the reload to fail", 30)
            assert loaded(daemon) == (0, since)
            assert {entry["instance"] for entry in daemon.cli("status")["instances"]} == {"plugin fireflyp", "backend firefly"}
        daemon.conf.rmdir()
        daemon.reload(BASE)
        # READY=1 may be that of the last reload which failed.
        wait_for(lambda: loaded(daemon)[0] == 1, "the reload to succeed", 30)
        assert loaded(daemon)[1] > since


def test_many_reloads_at_once_leave_the_last_configuration_in_force(lab):
    """case C52"""
    with Daemon(BASE, lab.a) as daemon:
        daemon.conf.write_text(SECOND)
        for _ in range(20):
            daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(daemon.cli("status")["instances"]) == 3, "the second backend", 30)
        assert daemon.stop() == 0


def test_a_configuration_behind_symbolic_links_is_swapped_as_a_whole(lab):
    """case C53: the layout of a ConfigMap, where ..data leads to the directory of a version"""
    with Daemon(BASE, lab.a) as daemon:
        for version, text in (("..1", BASE), ("..2", SECOND)):
            (daemon.directory / version).mkdir()
            (daemon.directory / version / "conf.yaml").write_text(text)
        data = daemon.directory / "..data"
        data.symlink_to("..1")
        daemon.conf.unlink()
        daemon.conf.symlink_to("..data/conf.yaml")
        for version, instances in (("..2", 3), ("..1", 2)):
            (daemon.directory / "..next").symlink_to(version)
            (daemon.directory / "..next").rename(data)
            daemon.notified.clear()
            daemon.process.send_signal(signal.SIGHUP)
            wait_for(daemon.is_ready, "READY=1 after the reload", 30)
            assert len(daemon.cli("status")["instances"]) == instances, daemon.log


def test_an_instance_removed_from_the_configuration_is_stopped(lab):
    with Collector(lab.b, 10515), Collector(lab.b), Daemon(SECOND, lab.a) as daemon:
        daemon.reload(BASE)
        assert {entry["instance"] for entry in daemon.cli("status")["instances"]} == {"plugin fireflyp", "backend firefly"}


def test_a_changed_control_socket_takes_effect_at_the_next_start_with_a_warning(lab):
    with Daemon(BASE, lab.a) as daemon:
        elsewhere = daemon.directory / "elsewhere"
        daemon.reload(BASE + f"control: {{path: {elsewhere}}}\n")
        assert "control, pidPath and workDir take effect at the next start" in daemon.log
        assert daemon.cli("status")["daemon"]["reloads"] == 1, "the old socket answers"
        assert not elsewhere.exists()


def test_after_a_crash_the_kept_socket_has_the_datagrams_sent_meanwhile(lab):
    with Collector(lab.b) as collector, Daemon(BASE, lab.a) as daemon:
        wait_for(lambda: daemon.states() and daemon.stored, "the receiver's socket in the store")
        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        announce(lab, *(firefly("start", 1024 + i, i) for i in range(50)))
        daemon.start()
        collector.wait_for_count(50)
        assert len({f["flow-id"]["src-port"] for f in collector.fireflies}) == 50
        assert daemon.stop() == 0


def test_a_reload_reads_the_registry_again(lab, monkeypatch):
    prefix = pathlib.Path(tempfile.mkdtemp(prefix="flowd-test-prefix-", dir="/run"))
    try:
        shutil.copytree(BUILD / "share", prefix / "share")
        (prefix / "lib/flowd-cpp").mkdir(parents=True)
        (prefix / "lib/flowd-cpp/modules").symlink_to(BUILD / "lib/flowd-cpp/modules")
        (prefix / "bin").mkdir()
        shutil.copy(BUILD / "bin/flowd-cpp", prefix / "bin")
        monkeypatch.setattr("tests.harness.daemon.BINARY", prefix / "bin/flowd-cpp")
        path = prefix / "share/flowd-cpp/registry.json"
        registry = json.loads(path.read_text())
        flow = {"state": "start", "protocol": "tcp", "source": {"address": "2001:db8::1", "port": 1}, "destination": {"address": "2001:db8::2", "port": 2},
                "experiment": "brand-new", "activity": "brand-new"}
        with Daemon("plugins: {api: {}}\n", lab.a) as daemon, Api.at(lab.a) as api:
            assert api.post(flow)[0] == 400
            registry["experiments"].append({"expName": "brand-new", "expId": 99, "activities": [{"activityName": "brand-new", "activityId": 9}]})
            path.write_text(json.dumps(registry))
            daemon.reload("plugins: {api: {}}\n")
            assert api.post(flow)[0] == 200, api.post(flow)
            assert daemon.cli("flows")["flows"][0]["experiment"] == "brand-new"
    finally:
        shutil.rmtree(prefix)
