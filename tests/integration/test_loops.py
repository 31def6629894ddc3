# SPDX-License-Identifier: Apache-2.0
"""Daemons that send to each other: what one says reaches the others once and does not go round."""
import json
import signal
import socket
import threading
import time

import pytest

from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for
from tests.integration.test_sources import Sender, firefly

QUIET = 1.5  # seconds; a loop turns thousands of times in this


def configuration(address=None, relay=None, binds="::"):
    receivers = f', fireflyReceivers: [{{address: "{relay}"}}]' if relay else ""
    text = f'plugins:\n  fireflyp: {{bindAddress: "{binds}", allow: ["::/0"]{receivers}}}\n'
    if address:
        text += f'backends:\n  firefly: {{sendToDestination: false, collectors: [{{address: "{address}"}}]}}\n'
    return text


def received(daemon):
    return daemon.details("plugin fireflyp")["received"]


def settles(*daemons, most):
    """No more than so many datagrams are received by each, and then none."""
    def quiet():
        before = [received(daemon) for daemon in daemons]
        time.sleep(QUIET)
        return before == [received(daemon) for daemon in daemons]
    wait_for(quiet, "silence between the daemons", 15)
    for daemon in daemons:
        assert received(daemon) <= most, [received(one) for one in daemons]


def tell_all(sender):
    for state in ("start", "ongoing", "end"):
        sender.tell(state, 2000)
    sender.tell("ongoing", 2001)  # a flow that nobody ends


def test_two_daemons_that_send_to_each_other_do_not_loop(lab):
    with Daemon(configuration(lab.b.address6), lab.a) as a, Daemon(configuration(lab.a.address6), lab.b) as b:
        tell_all(Sender(lab.a))
        wait_for(lambda: received(b) >= 4, "b to hear of it")
        settles(a, b, most=8)


def test_two_daemons_with_two_addresses_each_do_not_loop_and_name_the_peer(lab):
    other = {}
    for host in (lab.a, lab.b):
        other[host] = host.address6 + "2"
        host.run("ip", "addr", "add", f"{other[host]}/64", "dev", "eth0", "nodad")

    def both(host):
        return f"""\
plugins:
  fireflyp: {{bindAddress: "::", allow: ["::/0"]}}
backends:
  firefly:
    sendToDestination: false
    collectors: [{{address: "{host.address6}"}}, {{address: "{other[host]}"}}]
"""
    with Daemon(both(lab.b), lab.a) as a, Daemon(both(lab.a), lab.b) as b:
        tell_all(Sender(lab.a))
        wait_for(lambda: received(b) >= 8, "b to hear of it, twice")
        settles(a, b, most=24)
        assert a.details("plugin fireflyp")["turnedAway"]["own"] > 0
        wait_for(lambda: "fireflies come back from " + lab.b.address6[:-1] in a.log, "the warning that names the peer")


def test_a_relay_in_one_direction_and_a_collector_in_the_other_do_not_loop(lab):
    with Daemon(configuration(relay=lab.b.address6), lab.a) as a, Daemon(configuration(lab.a.address6), lab.b) as b:
        tell_all(Sender(lab.a))
        wait_for(lambda: received(b) >= 4, "b to hear of it")
        settles(a, b, most=8)


def test_two_relays_do_not_loop_even_if_one_was_suspended_longer_than_its_memory(lab):
    with Daemon(configuration(relay=lab.b.address6), lab.a) as a, Daemon(configuration(relay=lab.a.address6), lab.b) as b:
        b.process.send_signal(signal.SIGSTOP)
        try:
            tell_all(Sender(lab.a))
            time.sleep(6)  # what has no number is remembered for 5 s
        finally:
            b.process.send_signal(signal.SIGCONT)
        wait_for(lambda: received(b) >= 4, "b to hear of it")
        settles(a, b, most=16)


@pytest.fixture
def three(lab):
    """Two hosts, of which the first has a second address for a third daemon, which nothing else is sent from."""
    address = "fd5c:17a6:6::c"
    lab.a.run("ip", "addr", "add", f"{address}/128", "dev", "lo", "nodad")
    lab.b.run("ip", "-6", "route", "add", f"{address}/128", "via", lab.a.address6)
    yield lab, address


def test_three_daemons_in_a_ring_do_not_loop(three):
    lab, third = three
    with Daemon(configuration(lab.b.address6, binds=lab.a.address6), lab.a) as a, \
            Daemon(configuration(third, binds=lab.b.address6), lab.b) as b, \
            Daemon(configuration(lab.a.address6, binds=third), lab.a) as c:
        sender = lab.a.call(socket.socket, socket.AF_INET6, socket.SOCK_DGRAM)
        sender.bind(("::1", 0))
        for state, number in (("start", 1), ("ongoing", 1), ("end", 1), ("ongoing", 2)):
            sender.sendto(firefly(state, number), (lab.a.address6, 10514))
        for daemon in (b, c):
            wait_for(lambda: received(daemon) >= 4, "each to hear of it")
        settles(a, b, c, most=8)
        assert a.details("plugin fireflyp")["turnedAway"]["own"] >= 3, "and they came back to the first, which knew them"


class ForeignRelay:
    """A third-party program that receives fireflies, prints each again as its own, without members of ours, and sends it back."""

    def __init__(self, host, target, delay=0.0):
        def bind():
            sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            sock.bind((host.address6, 10515))
            sock.settimeout(0.1)
            return sock
        self.socket, self.target, self.delay, self.count = host.call(bind), target, delay, 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._closing.is_set():
            try:
                text = self.socket.recv(65536)
            except socket.timeout:
                continue
            self.count += 1
            firefly = json.loads(text[text.index(b"{"):])
            firefly.pop("flowd", None)
            now = time.time_ns()
            firefly["flow-lifecycle"]["current-time"] = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + \
                f".{now % 10**9:09d}Z"
            time.sleep(self.delay)
            self.socket.sendto(b"<134>1 - x y - firefly-json - " + json.dumps(firefly).encode(), (self.target, 10514))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._closing.set()
        self._thread.join()
        self.socket.close()


@pytest.mark.parametrize("way", ["collectors", "fireflyReceivers"])
def test_a_loop_through_a_third_party_relay_is_limited(lab, way):
    to = f'[{{address: "{lab.b.address6}", port: 10515}}]'
    plugin = f'plugins:\n  fireflyp: {{bindAddress: "::", allow: ["::/0"]{", fireflyReceivers: " + to if way != "collectors" else ""}}}\n'
    backend = f"backends:\n  firefly: {{sendToDestination: false, collectors: {to if way == 'collectors' else '[]'}}}\n"
    with ForeignRelay(lab.b, lab.a.address6) as relay, Daemon(plugin + backend, lab.a) as a:
        sender = Sender(lab.a)
        sender.tell("start", 1)
        sender.tell("ongoing", 1)
        wait_for(lambda: relay.count >= 2, "the relay to hear of it")
        time.sleep(5)
        assert relay.count <= 9, "three of each state at once, then one in five seconds"
        assert received(a) <= 12
        heard = relay.count
        sender.tell("end", 1)
        wait_for(lambda: relay.count > heard, "the end to go on")


def test_lost_datagrams_are_seen_by_the_receiver(lab):
    with Daemon(configuration(lab.b.address6), lab.a) as a, Daemon(configuration(), lab.b) as b:
        sender = Sender(lab.a)
        sender.tell("start", 1)
        wait_for(lambda: received(b) == 1, "the first")
        lab.a.run("ip", "neigh", "replace", lab.b.address6, "lladdr", "02:00:00:00:00:01", "dev", "eth0", "nud", "permanent")
        for number in range(2, 12):
            sender.tell("start", number)
        sent = lambda: a.details("backend firefly")["collectors"][0]["sent"]  # noqa: E731
        wait_for(lambda: sent() == 11, "ten to be sent to nobody", 20)
        address = lab.b.run("cat", "/sys/class/net/eth0/address").stdout.strip()
        lab.a.run("ip", "neigh", "replace", lab.b.address6, "lladdr", address, "dev", "eth0", "nud", "permanent")
        sender.tell("start", 12)
        wait_for(lambda: b.details("plugin fireflyp")["lost"] == 10, "the ten to be missed", 20)
        wait_for(lambda: [one["value"] for one in b.cli("metrics") if one["name"].endswith("fireflyp_lost_total")
                          and one["labels"].get("sender") == lab.a.address6] == [10], "the time series of the sender")
