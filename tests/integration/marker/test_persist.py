# SPDX-License-Identifier: Apache-2.0
"""persist: true. What is in force stays in force while the daemon is not there, and the next start takes it over."""
import json
import os
import signal
import subprocess
import tempfile

import pytest

from tests.harness import labels, traffic
from tests.harness.capture import Capture, flows
from tests.harness.daemon import BINARY, BUILD, Daemon
from tests.harness.lab import sh, wait_for

pytestmark = pytest.mark.usefixtures("status_answers")
HOOKS = pytest.mark.parametrize("attach", ["tcx", "clsact"])
TAG = (2, 16)


@pytest.fixture
def pins():
    directory = tempfile.mkdtemp(prefix="flowd-pins-", dir="/run")
    sh("mount", "-t", "bpf", "bpf", directory)
    try:
        yield directory
    finally:
        sh("umount", directory)
        os.rmdir(directory)


def configuration(attach, pins, more=""):
    return (f"plugins:\n  fireflyp: {{}}\nbackends:\n  marker:\n    targetInterfaces: [eth0]\n    attach: {attach}\n"
            f"    persist: true\n    persistPath: {pins}\n{more}")


def status(daemon):
    return daemon.cli("marker", "status")


def announce(lab, daemon, sock, state="start", tag=TAG):
    announcer = traffic.Announcer(lab.a)
    announcer.announce(state, sock, *tag, traffic.now())
    announcer.close()


def kept(pins):
    return [name for name in os.listdir(pins) if not name.endswith(".debug")]  # those are the kernel's own


def restart(daemon):
    daemon.notify.close()
    daemon.notified.clear()
    daemon.start()


def sender(lab, sock):
    """Sends without a pause."""
    return lab.a.popen("/usr/bin/python3", "-c", "import socket,sys,time\ns=socket.socket(fileno=int(sys.argv[1]))\n"
                       "while True:\n s.send(b'x')\n time.sleep(0.0005)\n", str(sock.fileno()), pass_fds=[sock.fileno()],
                       stderr=subprocess.DEVNULL)


@HOOKS
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_all_packets_of_a_live_flow_are_marked_during_a_restart(lab, pins, attach, number):
    sink = traffic.UdpServer(lab.b, 7000)
    with traffic.udp_client(lab.a, lab.b, 7000) as sock:
        key = (*sock.getsockname()[:2], lab.b.address6, 7000, "udp")
        with Daemon(configuration(attach, pins), lab.a) as daemon:
            announce(lab, daemon, sock)
            wait_for(lambda: status(daemon)["flows"] == 1, "the flow in the marker")
            sending = sender(lab, sock)
            try:
                wait_for(lambda: status(daemon)["marked"] >= 100, "marked packets")
                with Capture(lab.b, "udp port 7000") as capture:
                    daemon.stop(number)
                    restart(daemon)
                    wait_for(lambda: status(daemon)["marked"] >= 200, "packets marked by the next")
                    assert status(daemon)["adopted"] == 1
                    found = flows(capture.packets())[key]
                    capture.remove()
            finally:
                sending.kill()
                sending.wait()
            assert sum(found.values()) > 200
            assert len(found) == 1, {hex(label): count for label, count in found.items()}
            assert next(iter(found)) & ~labels.ENTROPY == labels.encode(*TAG)
            announce(lab, daemon, sock)
            wait_for(lambda: status(daemon)["adopted"] == 0, "the flow to be announced again")
            announce(lab, daemon, sock, "end")
            wait_for(lambda: status(daemon)["flows"] == 0, "its end")
    sink.close()


def test_flows_that_ended_meanwhile_lose_their_mark_and_live_ones_keep_it(lab, pins):
    sink = traffic.UdpServer(lab.b, 7000)
    with traffic.udp_client(lab.a, lab.b, 7000) as live, traffic.udp_client(lab.a, lab.b, 7000) as ended:
        with Daemon(configuration("auto", pins, "    persistIdle: 1s\n"), lab.a) as daemon:
            for sock in (live, ended):
                announce(lab, daemon, sock)
            wait_for(lambda: status(daemon)["flows"] == 2, "the flows in the marker")
            daemon.stop(signal.SIGKILL)
            sending = sender(lab, live)
            try:
                restart(daemon)
                wait_for(lambda: status(daemon)["flows"] == 1, "the ended one to go")
                marked = status(daemon)["outcomes"]["markedFlow"]
                wait_for(lambda: status(daemon)["outcomes"]["markedFlow"] >= marked + 1000, "the live one's packets")
                assert status(daemon)["flows"] == 1
            finally:
                sending.kill()
                sending.wait()
            wait_for(lambda: status(daemon)["flows"] == 0, "the live one to go, now that it is idle")
    sink.close()


def labels_now(lab):
    """The labels of ten packets that are sent now."""
    with traffic.udp_client(lab.a, lab.b, 7001) as sock, Capture(lab.b, f"udp port {sock.getsockname()[1]}") as capture:
        key = (*sock.getsockname()[:2], lab.b.address6, 7001, "udp")
        for _ in range(10):
            sock.send(b"x")
        wait_for(lambda: os.path.getsize(capture.path) > 10 * 60, "the packets in the capture")
        found = list(flows(capture.packets()).get(key, {}))
        capture.remove()
    return found


@HOOKS
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_catch_all_survives_a_restart_and_expires_without_a_daemon(lab, pins, attach, number):
    def is_catch_all():
        return all(label & ~labels.ENTROPY == labels.encode(3, 2) for label in labels_now(lab))

    sink = traffic.UdpServer(lab.b, 7001)
    text = configuration(attach, pins, "    persistIdle: 1s\n").replace("fireflyp: {}", "perfsonar: {experimentId: 3, activityId: 2, flows: false}")
    with Daemon(text, lab.a) as daemon:
        wait_for(lambda: status(daemon)["catchAll"], "the catch-all")
        assert is_catch_all()
        daemon.stop(number)
        assert is_catch_all(), "the daemon may be back in a moment"
        restart(daemon)
        assert is_catch_all()
        daemon.stop(number)
        wait_for(lambda: not is_catch_all(), "the catch-all to end while no daemon runs", 60)
        restart(daemon)
        wait_for(lambda: status(daemon)["catchAll"], "the catch-all of the next daemon")
        assert is_catch_all()
        daemon.stop(number)
        wait_for(lambda: not is_catch_all(), "the catch-all to end while no daemon runs", 60)
        daemon.conf.write_text(text.replace("perfsonar: {experimentId: 3, activityId: 2, flows: false}", "fireflyp: {}"))
        restart(daemon)
        assert status(daemon)["catchAll"] is None, "what is over is not taken over"
    sink.close()


def test_deselected_interfaces_and_a_start_without_persist_leave_nothing_attached(lab, pins):
    lab.a.run("ip", "link", "add", "eth7", "type", "veth", "peer", "name", "peer7")
    both = configuration("auto", pins).replace("[eth0]", "[eth0, eth7]")
    with Daemon(both, lab.a) as daemon:
        daemon.stop()
        assert len([name for name in os.listdir(f"{pins}/marker/v2") if name.startswith("link")]) == 2
        daemon.conf.write_text(configuration("auto", pins))
        restart(daemon)
        assert len([name for name in os.listdir(f"{pins}/marker/v2") if name.startswith("link")]) == 1
        daemon.stop()
        daemon.conf.write_text(configuration("auto", pins).replace("persist: true", "persist: false"))
        restart(daemon)
        assert kept(pins) == []


def test_clean_removes_persistent_state_unless_its_marker_runs(lab, pins):
    with Daemon(configuration("auto", pins), lab.a) as daemon:
        def clean():
            done = lab.a.run(str(BINARY), "--json", "--conf", str(daemon.conf), "--modules", str(BUILD / "lib/flowd-cpp/modules"),
                             "marker", "clean", check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            return json.loads(done.stdout)

        assert clean()["removedPins"] == 0
        daemon.stop()
        assert clean()["removedPins"] == 1 and kept(pins) == []


def test_persist_needs_a_bpffs_and_contradicts_remove_qdisc(lab):
    def fails(text):
        daemon = Daemon(text, lab.a)
        try:
            daemon.start(ready=False)
            return daemon.process.wait(20), daemon.log
        finally:
            daemon.__exit__()

    code, log = fails(configuration("auto", "/run"))
    assert code != 0 and "BPF file system" in log and "persistPath" in log
    code, log = fails(configuration("auto", "/run", "    removeQdisc: true\n"))
    assert code == 3 and "removeQdisc" in log and "persist" in log
