# SPDX-License-Identifier: Apache-2.0
"""scripts/bench-firefly: highest lossless rate, CPU per firefly and memory of what stands between a sender and a sink."""
import argparse
import os
import pathlib
import signal
import statistics
import subprocess
import time

from .daemon import BUILD, Daemon
from .lab import sh

LOAD = BUILD / "bin" / "firefly-load"
AT, TO = 20514, 20515  # the ports of the program under test and of the sink
TICK = 1 / os.sysconf("SC_CLK_TCK")

RELAY = f"""\
plugins:
  fireflyp:
    bindAddress: "::1"
    bindPort: {AT}
    fireflyReceivers: [{{address: "::1", port: {TO}}}]
"""
FIREFLY = f"""\
plugins:
  fireflyp: {{bindAddress: "::1", bindPort: {AT}}}
backends:
  firefly:
    sendToDestination: false
    collectors: [{{address: "::1", port: {TO}}}]
"""


class Bare:
    def __enter__(self):
        self.process = subprocess.Popen([LOAD, "relay", "::1", str(AT), "::1", str(TO)], stdout=subprocess.PIPE)
        self.process.stdout.readline()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def resident_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def words(line):
    parts = line.split()
    return dict(zip(parts[::2], map(float, parts[1::2])))


def trial(make_middle, rate, seconds):
    """One rate through a fresh middle: what was sent and received, CPU per firefly in us, resident memory after it."""
    sink = subprocess.Popen([LOAD, "sink", "::1", str(TO)], stdout=subprocess.PIPE, text=True)
    sink.stdout.readline()
    with make_middle() as middle:
        pid = middle.process.pid
        before = cpu_seconds(pid)
        sent = words(subprocess.run([LOAD, "blast", "::1", str(AT), str(rate), str(seconds)], check=True, capture_output=True,
                                    text=True).stdout)
        time.sleep(0.5)  # for datagrams that are still in buffers
        used = cpu_seconds(pid) - before
        memory = resident_kib(pid)
        sink.send_signal(signal.SIGTERM)  # before the daemon stops and sends the ends of live flows
        got = words(sink.stdout.readline())
        sink.wait()
    return {"rate": sent["sent"] / sent["seconds"], "sent": sent["sent"], "lost": sent["sent"] - got["received"],
            "disorder": got["disorder"], "cpu": used / sent["sent"] * 1e6, "memory": memory}


def lossless(make_middle, seconds, verbose):
    """The trial at the highest rate found that lost nothing: doubling, then halving the gap."""
    best, low, high, rate = None, 0, None, 100_000
    while high is None or (high - low) / high > 0.07:
        result = trial(make_middle, rate, seconds)
        achieved = result["rate"] > 0.97 * rate
        good = result["lost"] == 0 and result["disorder"] == 0 and achieved
        if verbose:
            print(f"    {rate:>9.0f}/s: sent {result['rate']:.0f}/s, lost {result['lost']:.0f}, out of order {result['disorder']:.0f}")
        if good:
            best, low = result, rate
        else:
            high = rate
        if high is not None and high < 2000:
            break
        rate = rate * 2 if high is None else (low + high) / 2
    return best


def steady(make_middle, rate, seconds):
    """Resident MiB after ten seconds, when tombstones of ended flows come and go evenly, and after `seconds`."""
    sink = subprocess.Popen([LOAD, "sink", "::1", str(TO)], stdout=subprocess.DEVNULL)
    with make_middle() as middle:
        blast = subprocess.Popen([LOAD, "blast", "::1", str(AT), str(rate), str(seconds)], stdout=subprocess.DEVNULL)
        time.sleep(10)
        early = resident_kib(middle.process.pid)
        blast.wait()
        late = resident_kib(middle.process.pid)
    sink.terminate()
    sink.wait()
    return early / 1024, late / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each trial")
    parser.add_argument("--rounds", type=int, default=3, help="searches per way; medians are shown")
    parser.add_argument("--steady", type=float, default=16.0, help="seconds at half that rate, for memory; 0: none")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    sh("ip", "link", "set", "lo", "up")
    ways = {"bare relay": Bare, "fireflyp -> relay": lambda: Daemon(RELAY), "fireflyp -> firefly": lambda: Daemon(FIREFLY)}
    print(f"{'':<22}{'lossless':>12}{'of bare':>9}{'CPU each':>10}{'of bare':>10}{'resident':>11}   load {os.getloadavg()[0]:.1f}")
    found = {name: [] for name in ways}
    for _ in range(arguments.rounds):  # alternately, so that a disturbance of the machine affects all of them
        for name, make in ways.items():
            if best := lossless(make, arguments.seconds, arguments.verbose):
                found[name].append(best)
    floor = floor_cpu = None
    for name, make in ways.items():
        if not found[name]:
            print(f"{name:<22} lost fireflies at every rate")
            continue
        rate = statistics.median(one["rate"] for one in found[name])
        cpu = statistics.median(one["cpu"] for one in found[name])
        floor, floor_cpu = floor or rate, floor_cpu or cpu
        memory = max(one["memory"] for one in found[name]) / 1024
        print(f"{name:<22}{rate:>10.0f}/s{rate / floor:>8.0%}{cpu:>8.2f}us{cpu - floor_cpu:>+8.2f}us{memory:>8.1f}MiB", flush=True)
        if arguments.steady and make is not Bare:
            early, late = steady(make, rate / 2, arguments.steady)
            print(f"{'':<22}at half of it {early:.1f} MiB after 10 s, {late:.1f} MiB after {arguments.steady:.0f} s", flush=True)


if __name__ == "__main__":
    main()
