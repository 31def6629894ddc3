# SPDX-License-Identifier: Apache-2.0
"""Every component of every module says in one line what it does, also where names are long."""
import re

from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for

COLUMNS = 60


def test_every_instance_of_every_module_has_a_summary_that_fits(lab):
    for number in range(5):
        lab.a.run("ip", "link", "add", f"interface-no-{number}", "type", "bridge")
    # `ip netns exec` would mount a /sys without control groups, which iperf3 and skops need.
    enter = ("nsenter", f"--net=/run/netns/{lab.a.name}")
    with Daemon("plugins: {}\nbackends: {}\n", prefix=enter) as daemon:
        folder = daemon.directory / ("long-" * 10)
        folder.mkdir()
        daemon.reload(f"""\
plugins:
  api: {{bindAddress: "{lab.a.address6}", token: a-token-of-enough-characters, socketPath: {folder}/api}}
  fireflyp: {{binds: [{{address: "{lab.a.address6}"}}], allow: ["::/0"]}}
  iperf3: {{minDestinationPort: 5201, maxDestinationPort: 5210}}
  kafka: {{brokers: ["[{lab.b.address6}]:9092"]}}
  namedpipe: {{pipePath: {folder}/pipe}}
  netlink: {{experiment: 2, activity: 16}}
  perfsonar: {{experimentId: 2, activityId: 16, interfaces: ["interface-no-*"]}}
backends:
  firefly: {{sendToCollector: true, collectorAddress: "{lab.b.address6}"}}
  kafka: {{brokers: ["[{lab.b.address6}]:9092"], topic: another}}
  marker: {{targetInterfaces: ["interface-no-*"]}}
  metrics: {{bindAddress: "{lab.a.address6}", token: a-token-of-enough-characters}}
  view: {{bindAddress: "{lab.a.address6}", token: a-token-of-enough-characters}}
enrichers:
  netlink: {{}}
  skops: {{}}
""")
        assert daemon.cli("status")["daemon"]["lastReloadError"] == ""
        wait_for(lambda: all("status" in one for one in daemon.cli("status")["details"].values()), "every instance to answer")
        shown = daemon.cli("status")
        summaries = {name: one["status"].get("summary") for name, one in shown["details"].items()}
        components = {name for module in daemon.cli("modules", "list") for name in module["components"].split(", ")}
        assert components == set(summaries), "every component is tested here"
        for name, summary in summaries.items():
            assert summary, f"{name} has no summary"
            assert len(summary) <= COLUMNS, (name, summary)
            assert re.match(r"[a-z]+ ", summary), (name, summary)
        assert summaries["backend marker"] == "marks on interface-no-0, interface-no-1 and 3 more"
        assert summaries["plugin namedpipe"].endswith("...")
        listed = {entry["instance"]: entry["summary"] for entry in shown["instances"]}
        assert listed == summaries, "the list of instances shows them"
