# SPDX-License-Identifier: Apache-2.0
"""scripts/bench-daemon: medians of nine starts, by turns, next to what it costs here to start a program that does nothing."""
import os
import socket
import statistics
import subprocess
import time

from . import figures
from .daemon import BINARY, Daemon
from .lab import Lab
from .process import resident_kib

RUNS = 9
TAG_ONLY = """\
plugins:
  perfsonar: {experimentId: 2, activityId: 2, flows: false}
  fireflyp: {}
backends:
  firefly: {sendToCollector: true, collectorAddress: "fd5c:17a6:5::b"}
"""
MARKER = "  marker: {targetInterfaces: [eth0]}\n"
#: With the aims: milliseconds to READY=1, MiB when idle.
CONFIGURATIONS = {
    "perfsonar (`flows: false`), fireflyp, firefly": (TAG_ONLY, "<= 8", None),
    "the same and the marker": (TAG_ONLY + MARKER, "<= 25", "<= 11.4"),  # 12 MB
    "the same, and perfsonar meters flows": (TAG_ONLY.replace("flows: false", "flows: true") + MARKER, "<= 40", None),
}


def start_once(configuration, host, idle=0):
    """(milliseconds from exec to READY=1, resident KiB after `idle` seconds)"""
    daemon = Daemon(configuration, host)
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = daemon.directory / "notify"
    notify.bind(str(path))
    notify.settimeout(20)
    daemon.notify = notify
    netns = f"--net=/run/netns/{host.name}"
    command = ["nsenter", netns, str(BINARY), "run", "--conf", str(daemon.conf), "--control", str(daemon.control)]
    try:
        with open(daemon.log_path, "w") as log:
            begin = time.monotonic_ns()
            daemon.process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"NOTIFY_SOCKET": str(path)})
            while b"READY=1" not in notify.recv(65536):
                pass
            elapsed = (time.monotonic_ns() - begin) / 1e6
        time.sleep(idle)  # the daemon is measured at rest
        return elapsed, resident_kib(daemon.process.pid)
    finally:
        daemon.__exit__()


def floor_once(host):
    """The same way into the namespace for a program that answers at once."""
    begin = time.monotonic_ns()
    subprocess.run(["nsenter", f"--net=/run/netns/{host.name}", "/bin/true"], check=True)
    return (time.monotonic_ns() - begin) / 1e6


def measure(arguments):
    with Lab() as lab:
        ways = {"floor": lambda: floor_once(lab.a)}
        for name, (configuration, *_) in CONFIGURATIONS.items():
            ways[name] = lambda configuration=configuration: start_once(configuration, lab.a)[0]
        # One after the other: a virtual machine that was idle for a second is slow for a while, whatever it starts.
        found = {name: statistics.median(times) for name, times in figures.by_turns(1 if arguments.quick else RUNS, ways).items()}
        starts = [figures.row(f"start to READY=1: {name}", found[name], "ms", found["floor"], aim)
                  for name, (_, aim, _) in CONFIGURATIONS.items()]
        idle = [figures.row(f"resident when idle: {name}", start_once(configuration, lab.a, idle=1)[1] / 1024, "MiB", aim=aim)
                for name, (configuration, _, aim) in CONFIGURATIONS.items()]
    return {"daemon": starts + idle}


if __name__ == "__main__":
    figures.main("scripts/bench-daemon", __doc__, measure)
