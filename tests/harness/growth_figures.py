# SPDX-License-Identifier: Apache-2.0
"""scripts/bench-growth: what the daemon costs with more flows, backends, interfaces and rules, and which of it is not linear."""
import contextlib
import json
import math
import socket
import subprocess
import sys
import time
import urllib.request

from . import figures
from .daemon import Daemon
from .figures import quantity
from .firefly_figures import AT, LOAD, TO
from .lab import Lab, wait_for
from .process import cpu_seconds, resident_kib

#: Of a host, in its namespace.
API = "http://127.0.0.1:7777/flow"
FLOWS = """\
flows: {maxLive: 2000000}
plugins:
  api: {}
backends:
  firefly: {sendToDestination: false}
"""


def milliseconds(action, times=5):
    """The shortest: of a command, which has to be started as well."""
    taken = []
    for _ in range(times):
        begin = time.monotonic()
        action()
        taken.append((time.monotonic() - begin) * 1000)
    return min(taken)


def post(state, first, count):
    """Bodies of requests with 4,000 flows each."""
    for at in range(first, first + count, 4000):
        yield json.dumps([{"state": state, "protocol": "tcp", "source": {"address": f"2001:db8:1::{n >> 15:x}", "port": 1024 + n % 32768},
                           "destination": {"address": f"2001:db8::{n % 251:x}", "port": 1094}, "experiment": 2, "activity": 16}
                          for n in range(at, min(at + 4000, first + count))]).encode()


def send(lab, bodies):
    def each():
        for body in bodies:
            urllib.request.urlopen(urllib.request.Request(API, body, {"Content-Type": "application/json"}), timeout=120).read()

    lab.a.call(each)


def share_of_a_core(daemon, seconds=11):  # the longest period of the daemon is 10 s
    begin, at = cpu_seconds(daemon.process.pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(daemon.process.pid) - begin) / (time.monotonic() - at) * 100


def with_flows(lab, count):
    more = 40_000
    with Daemon(FLOWS, lab.a) as daemon:
        pid, empty = daemon.process.pid, resident_kib(daemon.process.pid)
        send(lab, post("start", 0, count))
        wait_for(lambda: daemon.cli("flows", "--summary")["live"] == count, "the flows", 60)
        found = {"memory per flow, each": ((resident_kib(pid) - empty) * 1024 / count, "bytes")}
        for state in ("start", "end"):
            bodies = list(post(state, 5_000_000, more))
            before = cpu_seconds(pid)
            send(lab, bodies)
            if state == "end":
                time.sleep(7)  # until the tombstones are removed
            found[f"CPU of a{'n' * (state == 'end')} {state} (REST, arrays), each"] = ((cpu_seconds(pid) - before) / more * 1e6, "us")
        found["CPU while nothing happens"] = share_of_a_core(daemon), "% of a core"
        found["`flowd-cpp status`"] = milliseconds(lambda: daemon.cli("status")), "ms"
        found["`flowd-cpp flows --limit 100`"] = milliseconds(lambda: daemon.cli("flows", "--limit", "100")), "ms"
        found["`flowd-cpp explain` of a flow"] = milliseconds(lambda: daemon.cli("explain", "tcp", "[2001:db8:1::]:1024", "[2001:db8::]:1094")), "ms"
        before = cpu_seconds(pid)
        daemon.reload(FLOWS)
        found["CPU of a reload"] = (cpu_seconds(pid) - before) * 1000, "ms"
        begin = time.monotonic()
        daemon.stop()
        found["stop, which ends all flows"] = (time.monotonic() - begin) * 1000, "ms"
    return found


def with_backends(lab, count):
    configuration = f'plugins:\n  fireflyp: {{bindAddress: "::1", bindPort: {AT}}}\nbackends:\n' + "".join(
        f'  firefly/number{at}: {{sendToDestination: false, collectors: [{{address: "::1", port: {TO}}}]}}\n' for at in range(count))
    sink = lab.a.popen(LOAD, "sink", "::1", str(TO), stdout=subprocess.DEVNULL)
    try:
        with Daemon(configuration, lab.a) as daemon:
            pid = daemon.process.pid
            before = cpu_seconds(pid)
            out = lab.a.run(str(LOAD), "blast", "::1", str(AT), "5000", "3").stdout.split()
            time.sleep(0.5)
            return {"CPU of a firefly that each backend sends": ((cpu_seconds(pid) - before) / float(out[1]) * 1e6, "us"),
                    "resident": (resident_kib(pid) / 1024, "MiB")}
    finally:
        sink.terminate()
        sink.wait()


@contextlib.contextmanager
def started(configuration, lab):
    """(the daemon, milliseconds to READY=1)"""
    begin = time.monotonic()
    with Daemon(configuration, lab.a) as daemon:
        yield daemon, (time.monotonic() - begin) * 1000


def with_interfaces(lab, count):
    names = [f"nic{at}" for at in range(count)]
    lines = "".join(f"link add {name} type veth peer name peer-{name}\nlink set {name} up\nlink set peer-{name} up\n" for name in names)
    subprocess.run(["ip", "-n", lab.a.name, "-batch", "-"], input=lines, text=True, check=True)
    configuration = (f"plugins:\n  perfsonar: {{experimentId: 2, activityId: 2}}\nbackends:\n  marker: {{targetInterfaces: [{', '.join(names)}]}}\n"
                     "  firefly: {sendToDestination: false}\n")
    try:
        with started(configuration, lab) as (daemon, ready):
            found = {"start to READY=1, marker and meter": (ready, "ms"),
                     "resident": (resident_kib(daemon.process.pid) / 1024, "MiB"),
                     "CPU while nothing happens": (share_of_a_core(daemon), "% of a core"),
                     "`flowd-cpp status`": (milliseconds(lambda: daemon.cli("status")), "ms")}
            before = cpu_seconds(daemon.process.pid)
            daemon.reload(configuration + "  view: {}\n")
            found["CPU of a reload"] = (cpu_seconds(daemon.process.pid) - before) * 1000, "ms"
            begin = time.monotonic()
            daemon.stop()
            found["stop"] = (time.monotonic() - begin) * 1000, "ms"
            return found
    finally:
        subprocess.run(["ip", "-n", lab.a.name, "-batch", "-"], input="".join(f"link del {name}\n" for name in names), text=True, check=True)


def connect(count):
    with socket.create_server(("::1", 5201), family=socket.AF_INET6, backlog=64) as server:
        for _ in range(count):
            with socket.create_connection(("::1", 5201)), server.accept()[0]:
                pass


def with_rules(lab, count):
    connections = 2_000
    rules = "".join(f'      - {{remotePorts: ["{10_000 + at}"], experiment: atlas, activity: default}}\n' for at in range(count - 1))
    configuration = ("plugins:\n  netlink:\n    ignorePrivate: false\n    rules:\n" + rules +
                     '      - {remotePorts: ["5201"], experiment: cms, activity: default}\nbackends:\n  firefly: {sendToDestination: false}\n')
    with started(configuration, lab) as (daemon, ready):
        pid, before = daemon.process.pid, cpu_seconds(daemon.process.pid)
        lab.a.call(connect, connections)
        time.sleep(1)
        return {"start to READY=1, netlink with `early`": (ready, "ms"),
                "CPU of a connection that the last rule matches": ((cpu_seconds(pid) - before) / connections * 1e6, "us"),
                "resident": (resident_kib(pid) / 1024, "MiB")}


#: What grows, with three sizes.
GROUPS = {"flows": (with_flows, (10_000, 100_000, 1_000_000)), "backends": (with_backends, (1, 2, 8)),
          "interfaces": (with_interfaces, (1, 16, 256)), "rules": (with_rules, (1, 16, 256))}  # more rules are refused


def power(sizes, costs):
    """The k of costs that grow as n^k, between the second and the third size."""
    return math.log(costs[2] / costs[1]) / math.log(sizes[2] / sizes[1]) if min(costs) > 0 else 0


def measure(arguments):
    table = [["", "size", "cost at each size", "grows as", "linear or less"]]
    with Lab() as lab:
        for group, (way, sizes) in GROUPS.items():
            if arguments.quick:
                sizes = tuple(max(at + 1, size // 10) for at, size in enumerate(sizes[:2])) + (sizes[1] + 1,)
            found = [way(lab, size) for size in sizes]
            print(f"{group}: {sizes}", found, file=sys.stderr)
            for name in found[0]:
                each = name.endswith(", each")
                costs = [one[name][0] for one in found]
                unit = found[0][name][1]
                # What is a cost of each of n grows by one power more in all.
                k = power(sizes, costs) + each if sizes[1] < sizes[2] else 0
                table.append([f"{group}: {name.removesuffix(', each')}", " / ".join(f"{size:,}" for size in sizes),
                              " / ".join(figures.number(cost) for cost in costs) + f" {unit}", f"n^{k:.2f}", "yes" if k <= 1.1 else "no"])
    return {"growth": table}


if __name__ == "__main__":
    figures.main("scripts/bench-growth", __doc__, measure)
