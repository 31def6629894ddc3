# SPDX-License-Identifier: Apache-2.0
"""What stops a start, what it says and with which exit code."""
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from tests.harness.answers import ask_at_once
from tests.harness.daemon import BINARY, ROOT, Daemon, preloaded
from tests.harness.lab import wait_for

pytestmark = pytest.mark.usefixtures("status_answers")


def start_fails(configuration, host=None, prefix=(), environment=None):
    """(exit code, log) of a daemon that is expected not to come up."""
    daemon = Daemon(configuration, host)
    try:
        command = [*prefix, str(BINARY), "run", "--conf", str(daemon.conf), "--control", str(daemon.control)]
        if host:
            command = ["ip", "netns", "exec", host.name, *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=os.environ | (environment or {}))
        return done.returncode, done.stderr
    finally:
        shutil.rmtree(daemon.directory)


def test_an_unknown_key_is_named_with_its_place_and_the_nearest_match():
    code, log = start_fails("plugins:\n  fireflyp:\n    bindPrt: 10514\n")
    assert code == 3
    assert re.search(r"\[error\] .*conf\.yaml:3:5: plugins\.fireflyp\.bindPrt", log), log
    assert "bindPort" in log


def test_a_log_line_has_its_severity_once(lab):
    with Daemon("plugins:\n  fireflyp: {}\n", lab.a) as daemon:
        assert "[warning] backends: no backend is configured" in daemon.log and "warning: " not in daemon.log, daemon.log


def test_a_plugin_that_relays_needs_no_backend(lab):
    with Daemon("plugins:\n  fireflyp: {fireflyReceivers: [{address: 192.0.2.1}]}\n", lab.a) as daemon:
        assert "no backend" not in daemon.log, daemon.log


def test_all_problems_are_reported_together():
    code, log = start_fails("plugins:\n  fireflyp:\n    bindPort: 70000\nbackends:\n  firefly:\n    sendToCollector: perhaps\n")
    assert code == 3
    assert "conf.yaml:3:" in log and "conf.yaml:6:" in log, log


def test_an_absent_module_is_named_with_the_package_to_install():
    code, log = start_fails("backends:\n  prometheus: {}\n", environment={"FLOWD_MODULE_PATH": "/nonexistent"})
    assert code == 4
    assert "flowd-cpp-backend-metrics" in log, log


def test_a_busy_port_stops_the_start(lab):
    blocker = lab.a.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
    blocker.bind(("127.0.0.1", 10514))
    with blocker:
        code, log = start_fails("plugins:\n  fireflyp: {}\n", lab.a)
    assert code == 6
    assert "10514" in log and re.search(r"conf\.yaml:\d+", log), log


def test_a_marker_without_any_interface_fails_the_start(lab):
    code, log = start_fails("backends:\n  marker:\n    targetInterfaces: [eth7, eth8]\n", lab.a)
    assert code == 7
    assert "eth7" in log and "waitForInterfaces" in log, log


def test_a_missing_privilege_is_reported(lab):
    code, log = start_fails("backends:\n  marker:\n    targetInterfaces: [eth0]\n", lab.a,
                            prefix=("setpriv", "--bounding-set", "-all", "--inh-caps", "-all"))
    assert code == 5
    assert "CAP_" in log, log


def test_an_instance_that_is_not_required_does_not_fail_the_start(lab):
    with Daemon("plugins:\n  fireflyp: {}\nbackends:\n  marker:\n    targetInterfaces: [eth7]\n    required: false\n", lab.a) as daemon:
        states = {entry["instance"]: entry for entry in daemon.cli("status")["instances"]}
        assert states["backend marker"]["state"] == "failed", states
        assert "eth7" in states["backend marker"]["lastError"], states
        assert states["plugin fireflyp"]["state"] == "running", states


def test_a_configuration_writable_by_others_is_refused():
    daemon = Daemon("plugins:\n  fireflyp: {}\n")
    daemon.conf.chmod(0o666)
    done = subprocess.run([str(BINARY), "check", "--conf", str(daemon.conf)], capture_output=True, text=True)
    assert done.returncode != 0
    assert "0666" in done.stderr + done.stdout or "writable" in done.stderr + done.stdout


@pytest.mark.parametrize("element, mode, command", [("conf.yaml", 0o664, "chmod go-w"), ("", 0o775, "chmod go-w"), ("conf.d/x.yaml", 0o664, "chmod go-w")])
def test_an_element_of_the_path_that_a_group_may_write_is_named(element, mode, command):
    """case C53: with the command that corrects it; backups of editors in conf.d are not read."""
    daemon = Daemon("plugins:\n  fireflyp: {}\nbackends: {metrics: {}}\n")
    try:
        (daemon.directory / "conf.d").mkdir(mode=0o755)
        for name in ("x.yaml", "x.yaml~", ".x.yaml.swp", "#x.yaml#"):
            (daemon.directory / "conf.d" / name).write_text("stopTimeout: 7s\n" if name == "x.yaml" else "- not\ta configuration")
        check = [str(BINARY), "check", "--conf", str(daemon.conf)]
        daemon.directory.chmod(0o755)
        good = subprocess.run(check, capture_output=True, text=True, timeout=30)
        assert good.returncode == 0 and "0 warnings" in good.stdout, good.stdout
        path = daemon.directory / element
        os.chown(path, 0, 1)
        path.chmod(mode)
        done = subprocess.run(check, capture_output=True, text=True, timeout=30)
        assert done.returncode == 3 and f"{command} {str(path).rstrip('/')}" in done.stdout, done.stdout
    finally:
        shutil.rmtree(daemon.directory)


def test_an_invalid_configuration_exits_with_3_without_restarts(tmp_path):
    """systemd tries again after any other code, for ever."""
    huge = tmp_path / "huge.yaml"
    huge.write_text("# " + "x" * (5 << 20) + "\nplugins: {}\n")
    loop = tmp_path / "loop.yaml"
    loop.symlink_to("pool.yaml")
    (tmp_path / "pool.yaml").symlink_to("loop.yaml")
    for conf, reason in ((huge, "larger than 4 MiB"), (loop, "too many symbolic links"), (tmp_path / ("x" * 300), "too long"),
                         (huge / "conf.yaml", "Not a directory"), (tmp_path, "not a regular file")):
        done = subprocess.run([str(BINARY), "run", "--conf", str(conf)], capture_output=True, text=True, timeout=30)
        assert done.returncode == 3, (conf, done.returncode, done.stderr)
        assert reason in done.stderr


def test_with_a_full_disk_the_daemon_runs_without_a_pid_file_and_logs_it(lab, tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4096,mode=755", "tmpfs", str(tmp_path)], check=True)
    try:
        (tmp_path / "full").write_bytes(b"x" * 4096)
        with Daemon(f"pidPath: {tmp_path}/flowd.pid\nplugins:\n  fireflyp: {{}}\n", lab.a) as daemon:
            assert "[warning] pidPath" in daemon.log and "No space left on device" in daemon.log
            assert not (tmp_path / "flowd.pid").exists(), "an empty one would mislead"
            assert daemon.stop() == 0
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_signals_without_a_meaning_do_not_end_the_daemon(lab):
    with Daemon("plugins:\n  fireflyp: {}\n", lab.a) as daemon:
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGIO, signal.SIGPWR, signal.SIGRTMIN,
                       signal.SIGRTMAX):
            daemon.process.send_signal(number)
        wait_for(lambda: "ignored: signal 10" in daemon.log, "a line about it")
        assert daemon.cli("status")["daemon"]["state"] == "running"
        assert daemon.stop() == 0


def test_sighup_during_the_start_is_a_reload(lab, tmp_path):
    """case C52: also before main()"""
    raises = preloaded(tmp_path, "#include <signal.h>\n__attribute__((constructor)) static void early(void) { raise(SIGHUP); }\n")
    daemon = Daemon("plugins:\n  fireflyp: {}\n", lab.a, prefix=("env", f"LD_PRELOAD={raises['LD_PRELOAD']}"))
    with daemon:
        wait_for(lambda: daemon.cli("status")["daemon"]["reloads"] == 1, "the reload")
        assert daemon.stop() == 0


def test_a_stop_during_the_start_abandons_no_instance(lab):
    """case C60: at any moment of the start."""
    ends = []
    for milliseconds in range(0, 60, 3):
        daemon = Daemon("plugins:\n  fireflyp: {}\n  api: {}\nbackends:\n  marker: {targetInterfaces: [eth0]}\n  metrics: {}\n", lab.a)
        try:
            daemon.start(ready=False)
            time.sleep(milliseconds / 1000)
            code = daemon.stop()
            assert code in (0, -signal.SIGTERM), daemon.log  # the latter before the program's first instruction
            assert "abandoned" not in daemon.log and "[error]" not in daemon.log, daemon.log
            ends.append(code)
        finally:
            daemon.__exit__()
    assert 0 in ends


def test_the_uptime_is_not_that_of_a_clock_that_is_set(lab, tmp_path):
    environment = preloaded(tmp_path, """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (clock == CLOCK_REALTIME && access("%s/stepped", F_OK) == 0) time->tv_sec += 7200;
    return result;
}
""" % tmp_path)
    with Daemon("plugins:\n  fireflyp: {}\n", lab.a, environment=environment) as daemon:
        (tmp_path / "stepped").touch()
        assert daemon.cli("status")["daemon"]["uptimeSeconds"] < 3600


@pytest.mark.parametrize("example", sorted((ROOT / "etc" / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_that_are_installed_are_usable_as_they_are(example):
    done = subprocess.run([str(BINARY), "check", "--conf", str(example)], capture_output=True, text=True)
    assert done.returncode == 0 and "0 warnings" in done.stdout + done.stderr, done.stdout + done.stderr


def test_concurrent_status_requests_include_every_instance(lab):
    with Daemon("plugins:\n  fireflyp: {}\n  api: {}\nbackends:\n  metrics: {}\n", lab.a) as daemon:
        for answer in ask_at_once(daemon.control, 8):
            assert sorted(name for name, about in answer["details"].items() if "status" in about) == [
                "backend metrics", "plugin api", "plugin fireflyp"], answer["details"].keys()
