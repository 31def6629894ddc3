# SPDX-License-Identifier: Apache-2.0
"""scripts/bench-daemon: medians of nine starts, one after the other, next to what it costs here to start a program that does nothing."""
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time

from .daemon import BINARY, Daemon
from .lab import Lab

RUNS = 9
TAG_ONLY = """\
plugins:
  perfsonar: {experimentId: 2, activityId: 2, flows: false}
  fireflyp: {}
backends:
  firefly: {sendToCollector: true, collectorAddress: "fd5c:17a6:5::b"}
"""
MARKER = "  marker: {targetInterfaces: [eth0]}\n"
CONFIGURATIONS = {
    "perfsonar (tag only), fireflyp, firefly": TAG_ONLY,
    "the same and the marker": TAG_ONLY + MARKER,
    "the same, perfsonar meters flows": TAG_ONLY.replace("flows: false", "flows: true") + MARKER,
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
        status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
        resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
        return elapsed, resident
    finally:
        daemon.__exit__()


def floor_once(host):
    """The same way into the namespace for a program that answers at once."""
    begin = time.monotonic_ns()
    subprocess.run(["nsenter", f"--net=/run/netns/{host.name}", "/bin/true"], check=True)
    return (time.monotonic_ns() - begin) / 1e6


def main():
    with Lab() as lab:
        floor = statistics.median(floor_once(lab.a) for _ in range(RUNS))
        print(f"{'':<40}{'start to READY=1':>18}{'resident':>14}")
        print(f"{'floor: /bin/true, started alike':<40}{floor:>15.1f} ms")
        for name, configuration in CONFIGURATIONS.items():
            # One after the other: a virtual machine that was idle for a second is slow for a while, whatever it starts.
            start = statistics.median(start_once(configuration, lab.a)[0] for _ in range(RUNS))
            resident = start_once(configuration, lab.a, idle=1)[1]
            print(f"{name:<40}{start:>15.1f} ms{resident / 1024:>10.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
