# SPDX-License-Identifier: Apache-2.0
"""The installed service under a real systemd: its own user, its sandbox, reload, watchdog, restarts, socket activation."""
import re
import socket

import pytest

from tests.harness import labels, traffic
from tests.harness.capture import Capture, flows
from tests.harness.collector import Collector
from tests.harness.lab import wait_for
from tests.packaging.machine import Machine
from tests.packaging.staged import read_unit
from tests.packaging.test_units import UNIT, capabilities

CONFIGURATION = """\
plugins:
  perfsonar: {experimentId: atlas, activityId: perfSONAR}
  fireflyp: {}
  namedpipe: {}
backends:
  marker: {targetInterfaces: [eth0]}
  firefly: {sendToCollector: true, collectorAddress: "fd5c:17a6:5::b"}
"""
# The machine has a cgroup namespace of its own, whose root iperf3 refuses.
EVERYTHING_THAT_READS_THE_KERNEL = CONFIGURATION.replace("  fireflyp: {}\n", """\
  netlink: {rules: [{user: nobody, experiment: atlas, activity: default}], announceExisting: false}
  iperf3: {minDestinationPort: 5201, maxDestinationPort: 5210, cgroupPath: /sys/fs/cgroup/system.slice}
""") + "enrichers:\n  period: 1s\n  netlink: {}\n"
HURRY = "[Service]\nRestartSec=100ms\nWatchdogSec=1s\n"


@pytest.fixture(scope="module")
def machine(lab, staged):
    with Machine(lab.a) as one:
        one.install(staged)
        one.write("/etc/systemd/system/flowd-cpp.service.d/hurry.conf", HURRY)
        one.run("systemctl", "daemon-reload")
        yield one


@pytest.fixture
def service(machine):
    """The running service; the machine is as before at the end."""
    machine.write("/etc/flowd-cpp/conf.yaml", CONFIGURATION)
    machine.run("systemctl", "start", "flowd-cpp")
    yield machine
    machine.run("systemctl", "stop", "flowd-cpp.service", "flowd-cpp-namedpipe.socket", "flowd-cpp-fireflyp.socket", "flowd-cpp-api.socket")
    machine.run("systemctl", "reset-failed")


def main_pid(machine):
    return machine.show("flowd-cpp", "MainPID")


def pipe_line(state, port):
    return f"{state} tcp fd5c:17a6:5::a {port} fd5c:17a6:5::b 1094 2 16\n"


def ports(collector):
    return {firefly["flow-id"]["src-port"] for firefly in collector.fireflies}


def test_it_marks_and_announces_as_its_own_user_with_its_three_capabilities(service, lab):
    server = traffic.UdpServer(lab.b, 5001)
    with Collector(lab.b) as collector, Capture(lab.b) as capture, traffic.udp_client(lab.a, lab.b, 5001) as sock:
        status = service.run("cat", f"/proc/{main_pid(service)}/status").stdout
        user = service.run("id", "-u", "flowd-cpp").stdout.strip()
        assert user != "0" and f"Uid:\t{user}\t{user}\t{user}\t{user}" in status
        numbers = {"CAP_NET_ADMIN": 12, "CAP_PERFMON": 38, "CAP_BPF": 39}
        for kind in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(re.search(rf"{kind}:\s+(\w+)", status)[1], 16) == sum(1 << numbers[name] for name in capabilities()), kind
        assert re.search(r"NoNewPrivs:\s+1", status) and re.search(r"Seccomp:\s+2", status)

        announcer = traffic.Announcer(lab.a)
        announcer.announce("start", sock, 3, 13, traffic.now())
        collector.wait_for_count(1)
        for _ in range(5):
            sock.send(b"x" * 100)
        wait_for(lambda: '"markedFlow":5' in service.run("flowd-cpp", "--json", "marker", "status").stdout.replace(" ", ""), "the marks")
        announcer.announce("end", sock, 3, 13, traffic.now(), sent=500)
        collector.wait_for_count(2)
        key = (*sock.getsockname()[:2], *sock.getpeername()[:2], "udp")
        announcer.close()
        server.close()
        marks = flows(capture.packets())[key]
        assert [label & ~labels.ENTROPY for label in marks] == [labels.encode(3, 13)] and list(marks.values()) == [5]


def test_every_module_that_uses_the_kernel_runs_in_the_sandbox(service):
    service.write("/etc/flowd-cpp/conf.yaml", EVERYTHING_THAT_READS_THE_KERNEL)
    done = service.run("systemctl", "reload", "flowd-cpp", check=False)
    assert done.returncode == 0, service.journal()
    status = service.run("flowd-cpp", "status", "--all").stdout
    for instance in ("plugin netlink", "plugin iperf3", "enricher netlink", "plugin perfsonar", "backend marker"):
        assert re.search(rf"{instance}\s+running", status), status
    assert "Operation not permitted" not in service.journal() and "Read-only file system" not in service.journal()


def test_a_reload_of_an_invalid_configuration_fails_and_the_service_continues(service):
    pid = main_pid(service)
    service.write("/etc/flowd-cpp/conf.yaml", CONFIGURATION.replace("fireflyp: {}", "fireflyp: {bindPrt: 1}"))
    done = service.run("systemctl", "reload", "flowd-cpp", check=False)
    assert done.returncode != 0
    assert "bindPrt" in service.journal()
    assert service.show("flowd-cpp", "ActiveState") == "active" and main_pid(service) == pid
    service.write("/etc/flowd-cpp/conf.yaml", CONFIGURATION)
    service.run("systemctl", "reload", "flowd-cpp")
    assert main_pid(service) == pid


def test_an_invalid_configuration_fails_the_start_without_retries(service):
    service.run("systemctl", "stop", "flowd-cpp")
    service.write("/etc/flowd-cpp/conf.yaml", "backends:\n  markr: {}\n")
    assert service.run("systemctl", "start", "flowd-cpp", check=False).returncode != 0
    assert service.show("flowd-cpp", "ExecMainStatus") == "3"
    assert service.show("flowd-cpp", "ActiveState") == "failed" and service.show("flowd-cpp", "NRestarts") == "0"


def test_a_daemon_that_hangs_is_killed_by_the_watchdog_and_started_again(service):
    pid = main_pid(service)
    service.run("kill", "-STOP", pid)
    wait_for(lambda: main_pid(service) not in (pid, "0") and service.show("flowd-cpp", "ActiveState") == "active", "the restart", 20)
    # systemd asks for a core dump and a hung process gives one when it can; where it cannot, its end is the same.
    assert service.show("flowd-cpp", "NRestarts") == "1"


def test_after_kill_9_it_is_started_again_and_the_port_was_never_closed(service, lab):
    pid = main_pid(service)
    sender = lab.a.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
    with sender, Collector(lab.b) as collector, traffic.udp_client(lab.a, lab.b, 5001) as sock:
        service.run("kill", "-STOP", pid)
        announcer = traffic.Announcer(lab.a)
        # It waits in the socket that systemd keeps (FileDescriptorStoreMax), whoever reads it.
        announcer.announce("start", sock, 3, 13, traffic.now())
        service.run("kill", "-KILL", pid)
        wait_for(lambda: main_pid(service) not in (pid, "0"), "the restart", 20)
        collector.wait_for_count(1)
        assert ports(collector) == {sock.getsockname()[1]}
        announcer.close()


def test_lines_written_during_a_restart_are_not_lost(service, lab):
    with Collector(lab.b) as collector:
        for number in range(3):
            service.run("sh", "-c", f"printf '{pipe_line('start', 40000 + number).strip()}\\n' > /run/flowd")
            service.run("systemctl", "restart", "flowd-cpp")
            service.run("sh", "-c", f"printf '{pipe_line('start', 41000 + number).strip()}\\n' > /run/flowd")
        wait_for(lambda: {41000, 41001, 41002} <= ports(collector) and {40000, 40001, 40002} <= ports(collector), "every line")
    assert service.run("stat", "-c", "%F %a", "/run/flowd").stdout.strip() == "fifo 666"


def test_the_optional_udp_socket_keeps_datagrams_while_the_daemon_is_stopped(service, lab):
    """case C23: at both loopback addresses; case C09: so that no end is lost during a restart."""
    service.run("systemctl", "stop", "flowd-cpp")
    service.run("systemctl", "start", "flowd-cpp-fireflyp.socket")
    with Collector(lab.b) as collector, traffic.udp_client(lab.a, lab.b, 5001) as sock:
        announcer = traffic.Announcer(lab.a, address=("::1", 10514))
        announcer.announce("start", sock, 3, 13, traffic.now())  # this starts the daemon
        collector.wait_for_count(1, 20)
        announcer.close()
        announcer = traffic.Announcer(lab.a)
        announcer.announce("end", sock, 3, 13, traffic.now())
        collector.wait_for_count(2)
        announcer.close()
    assert service.show("flowd-cpp", "ActiveState") == "active"


def test_the_optional_tcp_socket_keeps_requests_while_it_restarts(service, lab):
    service.write("/etc/flowd-cpp/conf.yaml", CONFIGURATION.replace("plugins:\n", "plugins:\n  api: {}\n"))
    service.run("systemctl", "stop", "flowd-cpp")
    service.run("systemctl", "start", "flowd-cpp-api.socket")
    request = ('{"state": "start", "protocol": "tcp", "experiment": 3, "activity": 13, "source": {"address": "fd5c:17a6:5::a", "port": 43210}, '
               '"destination": {"address": "fd5c:17a6:5::b", "port": 1094}}')
    with Collector(lab.b) as collector:
        client = lab.a.call(socket.create_connection, ("127.0.0.1", 7777), 20)  # this starts the daemon, and waits for it
        with client:
            client.sendall(f"POST /flow HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(request)}\r\n\r\n"
                           f"{request}".encode())
            assert client.recv(4096).startswith(b"HTTP/1.1 2")
        collector.wait_for_count(1)
        assert ports(collector) == {43210}


def test_its_user_can_pin_bpf_objects_in_the_mount_of_its_own_and_nobody_else_can_look(service):
    assert service.run("findmnt", "-no", "FSTYPE", "/run/bpf/flowd").stdout.strip() == "bpf"
    names = ",".join("+" + name.removeprefix("CAP_").lower() for name in capabilities())
    service.run("setpriv", "--reuid", "flowd-cpp", "--regid", "flowd-cpp", "--clear-groups", "--bounding-set", f"-all,{names}", "--inh-caps",
                f"-all,{names}", "--ambient-caps", f"-all,{names}", "/usr/sbin/bpftool", "map", "create", "/run/bpf/flowd/one", "type", "array",
                "key", "4", "value", "4", "entries", "1", "name", "one")
    assert service.run("ls", "/run/bpf/flowd").stdout.split().count("one") == 1
    assert service.run("setpriv", "--reuid", "64123", "--clear-groups", "ls", "/run/bpf/flowd", check=False).returncode != 0
    service.run("systemctl", "restart", "flowd-cpp")
    assert service.run("ls", "/run/bpf/flowd").stdout.split().count("one") == 1  # it outlives the daemon
    service.run("rm", "/run/bpf/flowd/one")


def test_only_members_of_the_group_may_use_the_control_socket(service):
    service.run("useradd", "--system", "--groups", "flowd-cpp", "operator1")
    for user, allowed in (("operator1", True), ("nobody", False)):
        done = service.run("runuser", "-u", user, "--", "flowd-cpp", "status", check=False)
        assert (done.returncode == 0) == allowed, (user, done.stdout + done.stderr)


def test_the_predecessors_are_stopped_when_it_starts(service):
    assert {"flowd-go.service", "flowd.service"} <= set(" ".join(read_unit(UNIT)["Unit"]["Conflicts"]).split())
    service.write("/etc/systemd/system/flowd-go.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    service.run("systemctl", "daemon-reload")
    service.run("systemctl", "start", "flowd-go")
    assert service.show("flowd-cpp", "ActiveState") == "inactive"
    service.run("systemctl", "start", "flowd-cpp")
    assert service.show("flowd-go", "ActiveState") == "inactive"
