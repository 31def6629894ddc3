# SPDX-License-Identifier: Apache-2.0
"""scripts/bench-firefly: highest lossless rate, CPU per firefly and memory of what stands between a sender and a sink."""
import signal
import statistics
import subprocess
import time

from . import figures
from .daemon import BUILD, Daemon
from .lab import sh
from .process import cpu_seconds, resident_kib

LOAD = BUILD / "bin" / "firefly-load"
AT, TO = 20514, 20515  # the ports of the program under test and of the sink

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


def measure(arguments):
    rounds, seconds, hold = (1, 0.5, 11.0) if arguments.quick else (arguments.rounds, arguments.seconds, arguments.steady)
    sh("ip", "link", "set", "lo", "up")
    ways = {"floor": Bare, "relay": lambda: Daemon(RELAY), "firefly": lambda: Daemon(FIREFLY)}
    found = figures.by_turns(rounds, {name: lambda make=make: lossless(make, seconds, arguments.verbose) for name, make in ways.items()})
    middle = {}
    for name, trials in found.items():
        assert all(trials), f"{name} lost fireflies at every rate"
        middle[name] = {key: statistics.median(one[key] for one in trials) for key in ("rate", "cpu")}
    rows = []
    for name, what, least, most in (("relay", "fireflyp to its relay", ">= 0.85 x floor", "<= floor + 2"),
                                    ("firefly", "fireflyp to the firefly backend, re-encoded", None, None)):
        rate = middle[name]["rate"]
        early, late = steady(ways[name], rate / 2, hold)
        rows += [figures.row(f"{what}: highest lossless rate", rate, "/s", middle["floor"]["rate"], least),
                 figures.row(f"{what}: CPU per firefly", middle[name]["cpu"], "us", middle["floor"]["cpu"], most),
                 figures.row(f"{what}: resident after {hold:.0f} s at half of that rate (after 10 s: {early:.1f})", late, "MiB", aim="<= 40")]
    rows.append(figures.row("relay: rate, of that of the re-encoding backend", middle["relay"]["rate"], "/s", middle["firefly"]["rate"], ">= 1 x floor"))
    return {"firefly": rows}


if __name__ == "__main__":
    figures.main("scripts/bench-firefly", __doc__, measure,
                 ("--seconds", {"type": float, "default": 1.0, "help": "of each trial"}),
                 ("--rounds", {"type": int, "default": 3, "help": "searches per way; medians are shown"}),
                 ("--steady", {"type": float, "default": 16.0, "help": "seconds at half of the rate, for memory"}),
                 ("--verbose", {"action": "store_true"}))
