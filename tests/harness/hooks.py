# SPDX-License-Identifier: Apache-2.0
"""What is on the tc and TCX hooks of an interface, and third-party programs there."""
import json
import pathlib
import subprocess

from .daemon import BUILD
from .lab import sh


class ThirdParty:
    """A third-party program on the egress hook of an interface, which counts packets: tests/integration/marker/third_party.cpp."""

    def __init__(self, host, how, priority=1, device="eth0"):
        self.process = host.popen(str(BUILD / "bin" / "third_party"), device, how, str(priority), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def seen(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(5)
        self.process.stdout.close()


def filters(host, device="eth0", direction="egress"):
    """[(kind, name or None, priority)] in the order in which they run."""
    listed = json.loads(host.run("tc", "-j", "filter", "show", "dev", device, direction).stdout or "[]")
    return [(entry["kind"], entry["options"].get("bpf_name"), entry["pref"]) for entry in listed if "options" in entry]


def our_filters(host, device="eth0", direction="egress"):
    return [entry for entry in filters(host, device, direction) if entry[1] and entry[1].startswith(("flowd_marker", "flowd_meter"))]


def tcx_links(daemon):
    """{link id: program id} of the TCX links that a daemon holds. bpftool lists those of all daemons of the machine."""
    found = {}
    for path in pathlib.Path(f"/proc/{daemon.process.pid}/fdinfo").iterdir():
        try:
            text = path.read_text()
        except FileNotFoundError:  # the daemon has closed it meanwhile
            continue
        about = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if about.get("link_type", "").strip() == "tcx":
            found[int(about["link_id"])] = int(about["prog_id"])
    return found


def detach_tcx(daemon):
    """What `bpftool link detach` of another administrator does to all links of a daemon."""
    for link in tcx_links(daemon):
        sh("bpftool", "link", "detach", "id", str(link))


def has_clsact(host, device="eth0"):
    return "clsact" in host.run("tc", "qdisc", "show", "dev", device).stdout
