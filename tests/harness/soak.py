# SPDX-License-Identifier: Apache-2.0
"""scripts/soak: a daemon under mixed load, with reloads and faults, for minutes or hours; what must not grow and what must add up.

Kills: for the first part of the run the daemon itself is killed again and again. Steady: then one daemon lives to the end. Each cycle
of faults ends with a pause of the load in which every counter must add up. docs/soak.md describes what is judged.
"""
import argparse
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from .collector import Collector
from .daemon import BINARY, Daemon
from .dns import NameServer
from .hooks import has_clsact, our_filters
from .http import Api
from .lab import Lab, Timeout, sh, wait_for
from .process import resident_kib, status_line
from .soak_load import KINDS, Ledger

KILLS = 0.2           # of the run
SECOND_NIC = "fd5c:17a6:9::"
NAMED, THIRD = 10515, 20517  # ports of the collector that has a name and fails, and of one that is configured at times
MIB = 1 << 20
PATIENCE = 60         # seconds; a busy machine
GROWTH_MINUTE = 0.01  # MiB by which resident memory may grow for each minute, whose sums are kept


class Truth(Collector):
    """The collector that never fails: judges the order of states of each flow, and the sequence numbers, as they come."""

    SEQUENCE = re.compile(rb'"boot":"?([^",}]+)"?.*?"stream":"?([^",}]+)"?.*?"seq":(\d+)')
    STATE = re.compile(rb'"state":"(\w+)"')
    FLOW = re.compile(rb'"flow-id":\{([^}]*)\}')

    def __init__(self, host):
        self.live, self.before, self.boot, self.steady, self.lock = {}, {}, None, False, threading.Lock()
        self.count = self.starts = self.ends = self.cut = self.ended_later = self.unseen = self.retold = 0
        self.by_kind = dict.fromkeys(KINDS, 0)
        self.next_number, self.faults = {}, []
        super().__init__(host, buffer=64 << 20)

    def take(self, datagram):
        with self.lock:
            try:
                self.judge(datagram)
            except (TypeError, ValueError) as error:
                self.fault(f"not understood: {error}: {datagram[:200]}")

    def fault(self, what):
        if len(self.faults) < 20:
            self.faults.append(what)

    def judge(self, datagram):
        boot, stream, number = self.SEQUENCE.search(datagram).groups()
        state, key = self.STATE.search(datagram)[1], self.FLOW.search(datagram)[1]
        self.count += 1
        expected = self.next_number.get((boot, stream), 1)
        if int(number) != expected:
            self.fault(f"number {int(number)} after {expected - 1}: fireflies lost on the way")
        self.next_number[boot, stream] = int(number) + 1
        if boot != self.boot:
            self.cut += len(self.live)  # of a killed daemon
            self.boot, self.before, self.live = boot, self.live, {}
        if state == b"start":
            self.starts += 1
            for kind, figure in KINDS.items():
                self.by_kind[kind] += b'"2001:db8:%d:' % figure in key
            if key in self.live:
                self.fault(f"second start of {key.decode()}")
            self.retold += self.before.pop(key, None) is not None
            self.live[key] = state
        elif state == b"end":
            self.ends += 1
            if self.live.pop(key, None) is not None:
                return
            if self.before.pop(key, None) is not None:
                self.ended_later += 1
            elif self.steady:
                self.fault(f"end without a start of {key.decode()}")
            else:
                self.unseen += 1

    def begin_steady(self):
        with self.lock:
            self.before, self.steady = {}, True
            self.starts = self.ends = self.count = 0
            self.by_kind = dict.fromkeys(KINDS, 0)


class Process:
    """A program of tests/harness/soak_load.py in a host."""

    def __init__(self, soak, host, kind, row, where):
        self.soak, self.host, self.kind, self.row, self.where = soak, host, kind, row, where
        self.generation, self.counts = 0, soak.ledger.row(row)
        self.start()

    def start(self):
        self.generation += 1
        self.counts["idle"] = 0
        self.process = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.host.name}", sys.executable, "-m", "tests.harness.soak_load",
                                         self.kind, str(self.soak.ledger_path), str(self.row), str(self.generation), self.where],
                                        stderr=self.soak.errors)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def send(self, number):
        self.process.send_signal(number)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def bpf_objects(pid):
    """({id of a map: bytes}, {id of a program}) that a process holds"""
    maps, programs = {}, set()
    for path in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = path.read_text()
        except OSError:  # closed meanwhile
            continue
        about = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if "map_id" in about:
            maps[int(about["map_id"])] = int(about["memlock"])
        elif "prog_id" in about:
            programs.add(int(about["prog_id"]))
    return maps, programs


class Soak:
    def __init__(self, minutes, seed, memory):
        self.minutes, self.random, self.memory = minutes, random.Random(seed), memory
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="flowd-test-soak-", dir="/run"))
        self.ledger_path, self.pipe = self.directory / "ledger", self.directory / "pipe"
        self.ledger = Ledger(self.ledger_path, 16)
        self.all = self.ledger.row(0)
        self.errors = open(self.directory / "errors", "w+")
        self.counted, self.problems, self.samples, self.quiet = {}, [], [], []
        self.longest = {}
        self.programs, self.maps = set(), set()
        self.reloads = 0

    # What runs.

    def configuration(self, variant=0, attach="auto"):
        """0 is the one that counts are compared with."""
        firefly = ["", "    enrich: true\n", "    maxSize: 1400\n", "    resolveInterval: 30s\n"][variant % 4]
        more = f"  firefly/third: {{sendToDestination: false, collectors: [{{address: '::1', port: {THIRD}}}]}}\n" if variant % 3 == 2 else ""
        return f"""\
workDir: {self.directory}
flows: {{maxAge: 20s, history: 1000, idleTimeout: 30s}}
queues: {{events: {[65536, 4096, 16384][variant % 3]}}}
plugins:
  fireflyp: {{}}
  namedpipe: {{pipePath: {self.pipe}}}
  api: {{}}
  netlink:
    ignorePrivate: false
    rules: [{{remotePorts: ["21094"], experiment: atlas, activity: default}}]
  perfsonar: {{experimentId: 3, activityId: 2, interfaces: [eth0, eth1], waitForInterfaces: true, idleTimeout: 2s, tcpIdleTimeout: 20s, attach: {attach}}}
enrichers: {{period: 1s, netlink: {{}}}}
backends:
  marker: {{targetInterfaces: [eth0, eth1], attach: {attach}, mode: {"observe" if variant % 4 == 3 else "mark"}}}
  metrics: {{port: 9100, maxFlows: {100 + variant % 2}}}
  firefly:
    sendToDestination: false
    collectors: [{{address: "{self.lab.b.address6}"}}, {{address: collector.soak.example, port: {NAMED}}}]
{firefly}{more}"""

    def add_nic(self):
        a, b = self.lab.a, self.lab.b
        sh("ip", "link", "add", "eth1", "netns", a.name, "type", "veth", "peer", "name", "eth1", "netns", b.name)
        for host, last in ((a, "a"), (b, "b")):
            host.run("ip", "addr", "add", f"{SECOND_NIC}{last}/64", "dev", "eth1", "nodad")
            host.run("ip", "link", "set", "eth1", "up")

    def remember_objects(self):
        maps, programs = bpf_objects(self.daemon.process.pid)
        self.maps |= set(maps)
        self.programs |= programs

    def emitters(self):
        return [process for process in self.processes if process.kind in (*KINDS, "tcp", "udp")]

    # The faults. Each leaves everything running.

    def timed(self, name, condition, what):
        begin = time.monotonic()
        wait_for(condition, what, PATIENCE)
        self.longest[name] = max(self.longest.get(name, 0), time.monotonic() - begin)

    def kill_emitters(self):
        for process in self.emitters():
            process.kill()
            process.start()

    def reload(self, variant=None):
        self.reloads += 1
        variant = self.reloads if variant is None else variant
        self.daemon.conf.write_text(self.configuration(variant))
        before = self.daemon.cli("status")["daemon"]
        self.daemon.process.send_signal(signal.SIGHUP)
        self.timed("reload", lambda: (now := self.daemon.cli("status")["daemon"])["reloads"] > before["reloads"] and now["state"] == "running",
                   "a reload")
        assert self.daemon.cli("status")["daemon"]["reloadsFailed"] == 0

    def reload_burst(self):
        for _ in range(5):
            self.reload()

    def recreate_nic(self):
        self.lab.a.run("ip", "link", "del", "eth1")
        time.sleep(1)  # the fault lasts
        self.add_nic()
        self.timed("NIC attached", lambda: {one["interface"] for one in self.daemon.details("backend marker")["interfaces"]
                                            if one["hook"] != "absent"} == {"eth0", "eth1"}, "eth1 to be marked on again")

    def collector_counts(self):
        """Of the collector that fails: it is received there again."""
        before = self.sink.counts["received"]
        self.timed("collector received", lambda: self.sink.counts["received"] > before, "fireflies at the collector that was dead")

    def kill_collector(self):
        self.sink.kill()
        time.sleep(4)  # the fault lasts
        self.sink.start()
        wait_for(lambda: self.sink.counts["idle"], "the collector to listen", PATIENCE)
        self.collector_counts()

    def stop_collector(self):
        self.sink.send(signal.SIGSTOP)
        time.sleep(4)  # the fault lasts
        self.sink.send(signal.SIGCONT)
        self.collector_counts()

    def stop_daemon(self):
        self.daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(3)  # the fault lasts
        self.daemon.process.send_signal(signal.SIGCONT)

    def dns_silent(self):
        self.names.silent = True
        self.reload(3)
        time.sleep(3)  # the fault lasts
        self.names.silent = False

    def dns_fails(self):
        address, self.names.address = self.names.address, None
        self.reload(1)
        time.sleep(3)  # the fault lasts
        self.names.address = address

    def clients(self):
        """Clients that vanish: of the control socket, the API and the metrics, with half a request and in the middle of an answer."""
        followers = [subprocess.Popen([str(BINARY), "--control", str(self.daemon.control), "observe", "-f"], stdout=subprocess.DEVNULL)
                     for _ in range(3)]
        sockets = [Api.at(self.lab.a, port) for port in (7777, 9100) for _ in range(5)]
        for number, api in enumerate(sockets):
            api.connection.sock.sendall([b"GET /flo", b"GET /flows HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"][number % 3])
        time.sleep(1)  # the fault lasts
        for api in sockets:
            api.connection.sock.close()
        for follower in followers:
            follower.kill()
            follower.wait()

    FAULTS = {"emitters killed": kill_emitters, "reload": reload, "collector suspended": stop_collector, "NIC re-created": recreate_nic,
              "name server silent": dns_silent, "collector dead": kill_collector, "daemon suspended": stop_daemon,
              "name server fails": dns_fails, "reloads in a row": reload_burst, "clients vanish": clients}

    # What is judged.

    def problem(self, text):
        self.problems.append(text)
        self.say(f"PROBLEM: {text}")

    def say(self, text):
        print(f"{(time.monotonic() - self.began) / 60:7.1f} min  {text}", flush=True)

    def expect(self, what, found, low, high=None):
        high = low if high is None else high
        if not low <= found <= high:
            self.problem(f"{what}: {found}, expected {low}" + (f" to {high}" if high != low else ""))

    def series(self, status, instance):
        """Time series, which continue over reloads, by name without labels."""
        found = {}
        for name, value in status["details"][instance]["counters"].items():
            name = name.split("{")[0]
            found[name] = found.get(name, 0) + value
        return found

    def pause(self):
        self.all["pause"] = 1
        wait_for(lambda: all(process.counts["idle"] for process in self.emitters()), "the emitters to be idle", PATIENCE)

        latest = None
        end = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < end:
            status = self.daemon.cli("status")
            if (status["flows"]["live"] == 0 and all(queue["depth"] == 0 for queue in status["queues"]) and
                    all("status" in details for details in status["details"].values()) and
                    all(one["waiting"] == 0 for one in status["details"]["backend firefly"]["status"]["collectors"])):
                counts = status["announcers"], self.truth.count
                if counts == latest:
                    return status
                latest = counts
            time.sleep(1)  # between two looks that have to agree
        raise Timeout("the daemon is not done with what was announced")

    def add_up(self):
        """The load pauses; in = out + dropped by reason, at each step from the emitters to the collector."""
        self.reload(0)
        try:
            status = self.pause()
        except Timeout as timeout:
            self.problem(f"{timeout}: {self.daemon.cli('flows')['flows'][:3]}")
            status = self.daemon.cli("status")
        wait_for(lambda: self.truth.count >= status["details"]["backend firefly"]["status"]["collectors"][0]["sent"], "the fireflies", PATIENCE)
        rows = {kind: [p.counts for p in self.processes if p.kind == kind][0] for kind in KINDS}
        pipe, firefly, api = (self.series(status, f"plugin {name}") for name in ("namedpipe", "fireflyp", "api"))
        offered = {one["plugin"]: one for one in status["announcers"]}
        # Emitters to plugins.
        self.expect("lines in the pipe", pipe["namedpipe_lines_total"], self.filled + rows["pipe"]["done"], self.filled + rows["pipe"]["begun"])
        self.expect("fireflies sent to the daemon, received or dropped by the kernel",
                    firefly["fireflyp_received_total"] + firefly["fireflyp_kernel_drops_total"], rows["firefly"]["done"], rows["firefly"]["begun"])
        malformed = rows["api"]["malformed"]  # those of clients that vanish are counted as well
        self.expect("flow events in requests", api["api_events_total"], rows["api"]["done"] - malformed, rows["api"]["begun"] - malformed)
        # Plugins to the bus.
        self.expect("lines announced, refused or not taken", pipe["namedpipe_events_total"] + pipe["namedpipe_refused_total"] +
                    pipe["namedpipe_not_taken_total"], pipe["namedpipe_lines_total"])
        self.expect("fireflies announced, refused, turned away or not taken", firefly["fireflyp_events_total"] + firefly["fireflyp_refused_total"] +
                    firefly["fireflyp_turned_away_total"] + firefly["fireflyp_not_taken_total"], firefly["fireflyp_received_total"])
        for kind, series, name in (("pipe", pipe, "namedpipe_refused_total"), ("firefly", firefly, "fireflyp_refused_total")):
            self.expect(f"malformed input of {kind}", series[name], rows[kind]["malformed"] - self.generations(kind), rows[kind]["malformed"])
        for name, one in offered.items():
            self.expect(f"{name}: accepted and refused", one["accepted"] + sum(one["refusals"].values()), one["offered"])
        # The bus to the backends.
        effects = {}
        for one in offered.values():
            for effect, count in one["effects"].items():
                effects[effect] = effects.get(effect, 0) + count
        expired = sum(status["flows"]["expired"].values())
        unseen = effects.get("end_unseen", 0) + effects.get("end_no_start", 0)
        for queue in status["queues"]:
            lost = {name: queue[name] for name in ("refused", "failed", "missed", "givenUp") if queue[name]}
            if lost:
                self.problem(f"{queue['backend']}: {lost}")
        told = next(queue for queue in status["queues"] if queue["backend"] == "firefly")
        self.expect("starts taken by the firefly backend", told["start"], effects["started"])
        self.expect("ends taken by it", told["end"], effects.get("ended", 0) + expired + unseen)
        # The backend to the collectors.
        collectors = status["details"]["backend firefly"]["status"]["collectors"]
        sums = [one["sent"] + one["failed"] + one["dropped"] + one["waiting"] for one in collectors]
        self.expect("fireflies for the second collector: sent, failed, dropped, waiting", sums[1], sums[0])
        self.expect("fireflies dropped for the first collector", collectors[0]["dropped"] + collectors[0]["failed"], 0)
        with self.truth.lock:
            self.expect("fireflies at the collector", self.truth.count, collectors[0]["sent"])
            self.expect("starts at the collector", self.truth.starts, effects["started"])
            self.expect("flows there without an end", len(self.truth.live), 0)
            self.expect("ends there", self.truth.ends, self.truth.starts + unseen)
            for kind in KINDS:
                self.expect(f"flows of {kind} at the collector", self.truth.by_kind[kind], rows[kind]["flows"], rows[kind]["flows"] + self.generations(kind))
            for fault in self.truth.faults:
                self.problem(fault)
            self.truth.faults.clear()
        if status["details"]["backend marker"]["status"]["flows"]:
            self.problem("the marker still has flows")
        maps, programs = bpf_objects(self.daemon.process.pid)
        # A connection may be open at one moment, and a name be looked up.
        files, threads = map(min, zip(*((descriptors(self.daemon.process.pid), status_line(self.daemon.process.pid, "Threads")) for _ in self.ticks(5))))
        self.quiet.append({"maps": sum(maps.values()), "objects": len(maps) + len(programs), "descriptors": files, "threads": threads})
        self.all["pause"] = 0
        return status

    @staticmethod
    def ticks(count):
        for number in range(count):
            time.sleep(0.2)  # between two samples
            yield number

    def generations(self, kind):
        return next(process.generation for process in self.processes if process.kind == kind)

    def sample(self):
        """Once a second, on a thread, while the steady daemon lives."""
        pid = self.daemon.process.pid
        while not self.sampled.wait(1):
            self.samples.append((time.monotonic(), resident_kib(pid) * 1024, descriptors(pid), status_line(pid, "Threads")))

    # The run.

    def __enter__(self):
        self.lab = Lab(f"soak{os.getpid()}").__enter__()
        self.add_nic()
        self.names = NameServer(self.lab.a, self.lab.b.address6, timeout=1).__enter__()
        resolver = f"/etc/netns/{self.lab.a.name}/resolv.conf"
        # As `ip netns exec`, but with the control groups of the host.
        self.daemon = Daemon("", prefix=["nsenter", f"--net=/run/netns/{self.lab.a.name}", "unshare", "--mount", "sh", "-c",
                                         f'mount --bind {resolver} /etc/resolv.conf && exec "$@"', "--"])
        self.daemon.conf.write_text(self.configuration())
        self.truth = Truth(self.lab.b)
        a, b = self.lab.a, self.lab.b
        self.began = time.monotonic()
        self.daemon.start()
        addresses = f"{b.address6},{SECOND_NIC}b"
        self.processes = [Process(self, host, kind, row, where) for row, (host, kind, where) in enumerate((
            (b, "server", "-"), (b, "collector", str(NAMED)), (a, "collector", str(THIRD)), (a, "pipe", str(self.pipe)), (a, "firefly", "-"), (a, "api", "-"),
            (a, "tcp", addresses), (a, "udp", addresses)), 1)]
        self.sink = self.processes[1]
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        if self.daemon.process.poll() is None:
            self.daemon.process.send_signal(signal.SIGCONT)
        self.daemon.__exit__()
        self.truth.close()
        self.names.__exit__()
        self.lab.__exit__()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kills(self, until):
        """The daemon is killed in the middle of the load, and started again."""
        count = 0
        while count < 3 or time.monotonic() < until:
            time.sleep(self.random.uniform(3, 8))  # of load
            if count % 3 == 1:
                self.kill_emitters()
            self.remember_objects()
            self.daemon.process.kill()
            self.daemon.process.wait()
            count += 1
            if count % 10 == 0:
                self.say(f"the daemon was killed {count} times")
            self.daemon.notify.close()
            self.daemon.conf.write_text(self.configuration(attach=["auto", "clsact"][count % 2]))
            begin = time.monotonic()
            self.daemon.start()
            self.longest["start after a kill"] = max(self.longest.get("start after a kill", 0), time.monotonic() - begin)
        self.counted["daemon killed"] = count
        self.say(f"the daemon was killed {count} times; flows live then: {self.truth.cut}, ended by the next process: {self.truth.ended_later}, "
                 f"announced again: {self.truth.retold}")

    def begin_steady(self):
        self.pause()
        self.remember_objects()
        code = self.daemon.stop()
        self.expect("exit code of the daemon after the kills", code, 0)
        for process in self.emitters():  # they count from here, too
            process.kill()
            for name in ("begun", "done", "malformed", "flows"):
                process.counts[name] = 0
        self.nothing_left("after the kills")
        self.daemon.notify.close()
        self.daemon.conf.write_text(self.configuration())
        self.truth.begin_steady()
        self.all["pause"] = 0
        self.daemon.start()
        for process in self.emitters():
            process.start()
        self.fill()
        self.sampled = threading.Event()
        self.sampler = threading.Thread(target=self.sample)
        self.sampler.start()

    def fill(self):
        """So that what has a limit is full before memory is judged: the rings of ended flows and of events, and the hosts of replaced
        instances. As fast as the collector reads: a veth keeps 1,000 packets."""
        for number in range(70):
            self.reload(number % 2)
        pairs = 20000
        self.filled = 2 * pairs  # lines
        with open(self.pipe, "wb", buffering=0) as pipe:
            for first in range(0, pairs, 20):
                keys = [f"2001:db8:f::{number:x} 2000 2001:db8:ffff::1 1094 2 16\n" for number in range(first, first + 20)]
                pipe.write("".join(f"start tcp {key}end tcp {key}" for key in keys).encode())
                wait_for(lambda: self.truth.count >= 2 * first - 200, "the collector to come near", PATIENCE)

    def nothing_left(self, when):
        """Of all daemons so far."""
        for kind, ids in (("map", self.maps), ("prog", self.programs)):
            left = set(ids)
            for _ in range(10):  # the kernel frees them a while after the process has ended
                left = {number for number in left if sh("bpftool", kind, "show", "id", str(number), check=False).returncode == 0}
                if not left:
                    break
                time.sleep(1)
            self.expect(f"BPF objects ({kind}) left {when}", len(left), 0)
        for device in ("eth0", "eth1"):
            filters = [entry for direction in ("ingress", "egress") for entry in our_filters(self.lab.a, device, direction)]
            self.expect(f"filters left on {device} {when}", len(filters), 0)
            if has_clsact(self.lab.a, device):
                self.problem(f"clsact left on {device} {when}")

    def cycle(self):
        names = list(self.FAULTS)
        for name in [names[0]] + self.random.sample(names[1:], len(names) - 1):  # what was killed has expired at the end
            self.FAULTS[name](self)
            self.counted[name] = self.counted.get(name, 0) + 1
            time.sleep(1)  # of load
        return self.add_up()

    def run(self):
        end = self.began + 60 * self.minutes
        self.kills(self.began + KILLS * 60 * self.minutes)
        self.begin_steady()
        steady, cycles = time.monotonic(), 0
        try:
            while cycles < 2 or time.monotonic() < end - 30:
                status = self.cycle()
                cycles += 1
                _, memory, open_files, threads = self.samples[-1]
                self.say(f"cycle {cycles}: {self.truth.starts} flows, {self.truth.count} fireflies, {memory / MIB:.1f} MiB resident, "
                         f"{open_files} descriptors, {threads} threads, maps {self.quiet[-1]['maps'] / MIB:.1f} MiB, "
                         f"reloads {status['daemon']['reloads']}, problems {len(self.problems)}")
        finally:
            self.sampled.set()
            self.sampler.join()
        self.pause()
        self.remember_objects()
        self.expect("exit code of the daemon", self.daemon.stop(), 0)
        self.nothing_left("after the stop")
        self.judge((steady + time.monotonic()) / 2)

    def judge(self, middle):
        second = [sample for sample in self.samples if sample[0] >= middle]
        minutes = (second[-1][0] - second[0][0]) / 60
        rows = []
        allowed = self.memory + GROWTH_MINUTE * minutes
        for name, column, unit, bound in (("resident memory, MiB", 1, MIB, allowed),):
            times, values = [sample[0] / 60 for sample in second], [sample[column] / unit for sample in second]
            growth = statistics.linear_regression(times, values).slope * minutes
            rows.append((name, f"{values[0]:.1f} to {values[-1]:.1f}", f"{growth:+.2f}", f"{bound:.2f}", abs(growth) <= bound or growth < 0))
        for name in ("maps", "objects", "descriptors", "threads"):
            values = [one[name] for one in self.quiet[len(self.quiet) // 2:]]
            rows.append((f"{name} when the load pauses", f"{self.quiet[0][name]} to {values[-1]}", f"{max(values) - self.quiet[0][name]:+d}", "0",
                         max(values) <= self.quiet[0][name]))
        print(f"\nSecond half of the steady part, {minutes:.1f} min, slope by least squares:")
        print(f"{'':<36}{'':>24}{'growth':>10}{'allowed':>10}")
        for name, span, growth, bound, good in rows:
            print(f"{name:<36}{span:>24}{growth:>10}{bound:>10}  {'ok' if good else 'TOO MUCH'}")
            if not good:
                self.problems.append(f"{name} grows by {growth}, allowed is {bound}")
        print(f"\nfaults: {', '.join(f'{name} {count}' for name, count in self.counted.items())}")
        print(f"longest: {', '.join(f'{name} {seconds:.1f} s' for name, seconds in self.longest.items())}")
        print(f"steady part: {self.truth.starts} flows started and {self.truth.ends} ended at the collector, {self.truth.count} fireflies; "
              f"the other collector received {self.sink.counts['received']}")
        print(f"\n{len(self.problems)} problems")
        for problem in self.problems[:20]:
            print(f"  {problem}")
        if self.problems:
            print("".join(line + "\n" for line in self.daemon.log.splitlines()[-4000:] if "[warning]" in line or "[error]" in line)[-6000:])
            print("".join(line + "\n" for line in self.daemon.log.splitlines()[-15:]))


def main():
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=21, help="of the order of the faults")
    parser.add_argument("--memory", type=float, default=1.0, help="MiB by which resident memory may grow in the second half")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # what was started is ended
    with Soak(arguments.minutes, arguments.seed, arguments.memory) as soak:
        try:
            soak.run()
        except BaseException:
            print(soak.daemon.log[-6000:])
            soak.errors.seek(0)
            print(soak.errors.read()[-3000:])
            raise
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
