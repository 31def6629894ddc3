# SPDX-License-Identifier: Apache-2.0
"""README's commands and the configurations in etc/examples, on a host that has static routes only."""
import re
import subprocess

import pytest

from tests.harness import labels, traffic
from tests.harness.capture import Capture, flows
from tests.harness.collector import Collector
from tests.harness.daemon import BINARY, ROOT
from tests.harness.lab import Host, wait_for
from tests.integration.test_discovery import daemon_on
from tests.integration.test_marked_is_announced import FAR6, configuration, static_routes_only


@pytest.fixture
def routed(lab):
    """The host b is also FAR6, behind a router as far as host a knows."""
    lab.b.run("ip", "addr", "add", f"{FAR6}/128", "dev", "lo", "nodad")
    static_routes_only(lab)
    return lab


def example(name, replacements):
    text = (ROOT / "etc/examples" / name).read_text()
    for theirs, ours in replacements.items():
        assert theirs in text, theirs
        text = text.replace(theirs, ours)
    return text


def test_every_command_of_the_first_configuration_works(routed):
    """Those of systemd are tested with the packages."""
    section = re.search(r"^## A first configuration\n(.*?)(?=^## )", (ROOT / "README.md").read_text(), re.M | re.S)[1]
    commands = [line.split("#")[0].split() for line in section.splitlines() if line.startswith("    flowd-cpp ")]
    assert len(commands) >= 6
    with Collector(routed.b), daemon_on(routed.a, configuration("readme", "[eth0]", routed.b.address6)) as daemon:
        for words in commands:
            if words[1] == "run":
                continue  # this is what the daemon was started by
            done = subprocess.run(["nsenter", f"--net=/run/netns/{routed.a.name}", str(BINARY), *words[1:], "--conf", str(daemon.conf),
                                   "--control", str(daemon.control)], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, (words, done.stdout, done.stderr)
            assert "warning" not in (done.stdout + done.stderr).replace("0 warnings", ""), (words, done.stdout, done.stderr)


def test_a_storage_host_marks_and_reports_what_its_services_announce(routed):
    far = Host(routed.b.name, FAR6, routed.b.address4)
    text = example("storage.yaml", {"[eno1]": "[eth0]", "collector.example.org": routed.b.address6})
    with Collector(routed.b) as collector, Capture(routed.b, "ip6 and udp port 1094") as capture, daemon_on(routed.a, text) as daemon:
        announcer = traffic.Announcer(routed.a)
        with traffic.UdpServer(far, 1094), traffic.udp_client(routed.a, far, 1094) as sock:
            source = sock.getsockname()
            announcer.announce("start", sock, 2, 16, traffic.now())
            wait_for(lambda: len(daemon.cli("flows")["flows"]) == 1, "the flow")
            wait_for(lambda: daemon.cli("marker", "status")["flows"] == 1, "its entry")
            for _ in range(10):
                sock.send(b"x" * 1000)
            announcer.announce("end", sock, 2, 16, traffic.now(), sent=10000)
            collector.wait_for_count(2, 30)
        announcer.close()
        seen = wait_for(lambda: flows(capture.packets()), "the packets")
        capture.remove()
    (by_label,) = [found for key, found in seen.items() if key[1] == source[1]]
    assert sum(by_label.values()) == 10 and {labels.decode(label) for label in by_label} == {(2, 16)}
    to_collector = [one for one in collector.fireflies if one["flow-id"]["dst-ip"] == FAR6]
    assert sorted({one["flow-lifecycle"]["state"] for one in to_collector}) == ["end", "start"]


def test_a_relay_forwards_each_firefly_unchanged_and_reports_its_flow(routed):
    text = example("relay.yaml", {"192.0.2.0/24, 2001:db8::/32": "10.93.7.0/24", "collector.example.org": f'"{routed.b.address6}"',
                                  "dashboards.example.org": f'"{FAR6}"'})
    with Collector(routed.b) as collector, daemon_on(routed.a, text) as daemon:
        announcer = traffic.Announcer(routed.b, address=(routed.a.address4, 10514))
        with traffic.udp_client(routed.b, routed.a, 1094) as sock:
            started = traffic.now()
            announcer.announce("start", sock, 3, 14, started)
            announcer.announce("end", sock, 3, 14, started, sent=5)
            wait_for(lambda: len(collector.fireflies) >= 4, "two fireflies at two collectors", 30)
        announcer.close()
        assert daemon.stop() == 0
    own = [one for one in collector.fireflies if "flowd" in one]
    assert len(own) == 2 and len(collector.fireflies) == 4, collector.fireflies
    assert sorted(one["flow-lifecycle"]["state"] for one in own) == ["end", "start"]
