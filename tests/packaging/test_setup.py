# SPDX-License-Identifier: Apache-2.0
"""flowd-cpp setup under a real systemd: from an installed package to a service that marks, and back to what was there."""
import os
import random

import pytest

from tests.harness import labels, traffic
from tests.harness.capture import Capture, flows
from tests.harness.collector import Collector
from tests.harness.lab import wait_for
from tests.packaging.machine import Machine

CONFIGURE = ("flowd-cpp", "setup", "perfsonar", "--experiment", "atlas", "--interfaces", "eth0", "--collector", "fd5c:17a6:5::b")


@pytest.fixture
def machine(lab, staged):
    """A host with the packages, and a collector that answers."""
    with Collector(lab.b), Machine(lab.a) as one:
        one.install(staged)
        yield one


def state(machine):
    """Every file of the configuration with its owner, mode, time and content, and what systemd knows of the service."""
    return machine.run("sh", "-c", "cd /etc/flowd-cpp; find . -type f -printf '%p %U:%G %m %T@\\n' -exec sha256sum {} ';' | sort; "
                       "find /etc/systemd/system -name 'flowd*' | sort").stdout, machine.show("flowd-cpp", "ActiveState")


def test_one_command_leads_to_marked_packets_and_another_back(machine, lab):
    before = state(machine)
    done = machine.run(*CONFIGURE)
    assert machine.show("flowd-cpp", "ActiveState") == "active" and machine.show("flowd-cpp", "UnitFileState") == "enabled", done.stderr
    server = traffic.UdpServer(lab.b, 5001)
    with Capture(lab.b) as capture, traffic.udp_client(lab.a, lab.b, 5001) as sock:
        for _ in range(5):
            sock.send(b"x" * 100)
        key = (*sock.getsockname()[:2], *sock.getpeername()[:2], "udp")
        server.close()
        assert [label & ~labels.ENTROPY for label in flows(capture.packets())[key]] == [labels.encode(2, 2)]

    pid, files = machine.show("flowd-cpp", "MainPID"), state(machine)
    assert "is as it should be" in machine.run(*CONFIGURE).stderr
    assert machine.show("flowd-cpp", "MainPID") == pid and state(machine) == files
    machine.run(*CONFIGURE, "--activity", "default")
    assert machine.show("flowd-cpp", "MainPID") == pid  # a reload
    assert '"activityId":1' in machine.run("flowd-cpp", "conf", "--json").stdout.replace(" ", "")

    said = machine.run("flowd-cpp", "setup", "--remove").stdout
    assert "restored /etc/flowd-cpp/conf.yaml" in said and "left: the packages" in said
    assert state(machine) == before


def test_the_service_may_read_the_file_where_none_was_before(machine):
    machine.run("rm", "/etc/flowd-cpp/conf.yaml")
    machine.run(*CONFIGURE)
    assert machine.run("stat", "-c", "%U:%G %a", "/etc/flowd-cpp/conf.yaml").stdout == "root:flowd-cpp 640\n"
    assert machine.show("flowd-cpp", "ActiveState") == "active"


def test_a_service_that_ran_before_runs_with_its_old_configuration_afterwards(machine):
    machine.write("/etc/flowd-cpp/conf.yaml", "plugins: {api: {}}\n")
    machine.run("systemctl", "enable", "--now", "flowd-cpp")
    pid, before = machine.show("flowd-cpp", "MainPID"), state(machine)
    machine.run(*CONFIGURE)
    assert "plugin perfsonar" in machine.run("flowd-cpp", "status").stdout
    machine.run("flowd-cpp", "setup", "--remove")
    assert state(machine) == before and machine.show("flowd-cpp", "MainPID") == pid
    status = machine.run("flowd-cpp", "status").stdout
    assert "plugin api" in status and "plugin perfsonar" not in status


def test_with_no_start_the_service_is_left_as_it_is(machine):
    done = machine.run(*CONFIGURE, "--no-start")
    assert "systemctl enable --now flowd-cpp" in done.stderr
    assert machine.show("flowd-cpp", "ActiveState") == "inactive" and machine.show("flowd-cpp", "UnitFileState") == "disabled"


def test_a_predecessor_is_named_with_its_unit_and_nothing_is_changed_until_it_is_stopped(machine):
    machine.run("cp", "/bin/sleep", "/usr/local/bin/flowd-go")
    machine.write("/etc/systemd/system/flowd-go.service",
                  "[Service]\nExecStart=/usr/local/bin/flowd-go infinity\n[Install]\nWantedBy=multi-user.target\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "flowd-go")
    before = state(machine)
    done = machine.run(*CONFIGURE, check=False)
    assert done.returncode == 6 and "systemctl disable --now flowd-go.service" in done.stderr, done
    assert state(machine) == before
    machine.run("systemctl", "stop", "flowd-go")
    assert "flowd-go.service is enabled" in machine.run(*CONFIGURE, "--dry-run").stderr
    machine.run("systemctl", "disable", "flowd-go")
    machine.run(*CONFIGURE)
    assert machine.show("flowd-cpp", "ActiveState") == "active"


def test_killed_at_any_moment_it_leaves_what_remove_restores(machine):
    """With FLOWD_LONG 30 kills, spread over all that setup does: the file, enabling and starting the service, verify."""
    machine.write("/etc/flowd-cpp/conf.yaml", "# by hand\nplugins: {}\n")
    before = state(machine)
    machine.run(*CONFIGURE)
    conf = machine.run("cat", "/etc/flowd-cpp/conf.yaml").stdout
    machine.run("flowd-cpp", "setup", "--remove")
    chance, seen = random.Random(17), set()
    for number in range(30 if os.environ.get("FLOWD_LONG") else 6):
        machine.run("timeout", "-s", "KILL", f"{chance.uniform(0.01, 5 if number % 6 == 5 else 1.0):.3f}", *CONFIGURE, check=False)
        # A systemctl that it started goes on.
        wait_for(lambda: machine.run("pgrep", "-x", "systemctl", check=False).returncode != 0, "systemctl to end", 60)
        left = machine.run("cat", "/etc/flowd-cpp/conf.yaml").stdout
        assert left in ("# by hand\nplugins: {}\n", conf), left
        seen.add((left == conf, machine.show("flowd-cpp", "ActiveState")))
        if number % 6 == 0:
            machine.run(*CONFIGURE)
            assert machine.show("flowd-cpp", "ActiveState") == "active"
        machine.run("flowd-cpp", "setup", "--remove")
        assert state(machine) == before, (number, seen)
    print(seen)
