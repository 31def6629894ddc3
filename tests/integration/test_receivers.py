# SPDX-License-Identifier: Apache-2.0
"""fireflyp with several receivers: senders of both families are distributed over its sockets, and what one sends stays in order,
also while the number of receivers changes, and across a crash."""
import os
import signal
import socket
import threading

import pytest

from tests.harness.collector import SO_RCVBUFFORCE, Collector
from tests.harness.daemon import Daemon, preloaded
from tests.harness.lab import Lab, wait_for

SENDERS = 64
PORT = 10514
IPV6_FREEBIND = 78  # linux/in6.h; Python has no name for it

DENIED = r"""
#define _GNU_SOURCE
#include <asm/socket.h>
#include <dlfcn.h>
#include <errno.h>
#include <sys/types.h>
int setsockopt(int fd, int level, int name, const void *value, unsigned length) {
    static int (*real)(int, int, int, const void *, unsigned);
    if (!real) real = dlsym((void *)-1L, "setsockopt");
    if (level == SOL_SOCKET && name == SO_ATTACH_REUSEPORT_CBPF) { errno = EPERM; return -1; }
    return real(fd, level, name, value, length);
}
"""


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        # A host may send from each address of these networks.
        for host, family, network, via in ((lab.b, "-6", "2001:db8:77::/64", lab.b.address6), (lab.b, "-4", "10.99.0.0/24", lab.b.address4)):
            host.run("ip", family, "route", "add", "local", network, "dev", "lo")
            lab.a.run("ip", family, "route", "add", network, "via", via)
        yield lab


def configuration(receivers, more=""):
    return (f'plugins:\n  fireflyp: {{bindAddress: "::", allow: ["::/0"], receiveBuffer: 8 MiB, receivers: {receivers}{more}}}\n'
            "backends:\n  firefly:\n    sendToDestination: false\n    collectors: [{address: 'fd5c:17a6:5::b', port: 20515}]\n")


def firefly(state, sender, number):
    return (f'{{"version":1,"flow-lifecycle":{{"state":"{state}","start-time":"2026-11-23T10:00:00Z",'
            '"current-time":"2026-11-23T10:00:01Z"},"context":{"experiment-id":2,"activity-id":16},'
            f'"flow-id":{{"afi":"ipv6","src-ip":"2001:db8:1::{sender + 1:x}","dst-ip":"2001:db8:2::{number + 1:x}",'
            '"protocol":"tcp","src-port":1095,"dst-port":1094}}').encode()


class Senders:
    """Each has an address of its own, and sends starts and ends from two sockets; every other one speaks IPv4."""

    def __init__(self, lab):
        self.to = [(lab.a.address4, PORT), (lab.a.address6, PORT)]
        self.sockets = {state: [lab.b.call(self.make, number) for number in range(SENDERS)] for state in ("start", "end")}

    @staticmethod
    def make(number):
        family, address = ((socket.AF_INET, f"10.99.0.{number + 1}"), (socket.AF_INET6, f"2001:db8:77::{number + 1:x}"))[number % 2]
        sock = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        sock.bind((address, 0))
        return sock

    def send(self, numbers):
        """A flow of each sender for each number: its start, and at once its end."""
        for number in numbers:
            for state, sockets in self.sockets.items():
                for sender, sock in enumerate(sockets):
                    sock.sendto(firefly(state, sender, number), self.to[sender % 2])

    def close(self):
        for sock in (*self.sockets["start"], *self.sockets["end"]):
            sock.close()


@pytest.fixture
def senders(lab):
    senders = Senders(lab)
    yield senders
    senders.close()


def expect_each_once_in_order(collector, numbers):
    collector.wait_for_count(2 * SENDERS * numbers, 60)
    told = {}
    for one in collector.fireflies:
        told.setdefault((one["flow-id"]["src-ip"], one["flow-id"]["dst-ip"]), []).append(one["flow-lifecycle"]["state"])
    assert len(told) == SENDERS * numbers
    wrong = {flow: states for flow, states in told.items() if states != ["start", "end"]}
    assert not wrong, list(wrong.items())[:5]


def sockets_of(daemon):
    return daemon.details("plugin fireflyp")["binds"]


def test_each_sender_stays_in_order_and_all_sockets_are_used(lab, senders):
    with Collector(lab.b, 20515, 64 << 20) as collector, Daemon(configuration(4), lab.a) as daemon:
        senders.send(range(150))
        expect_each_once_in_order(collector, 150)
        sockets = sockets_of(daemon)
        assert [one["socket"] for one in sockets] == [0, 1, 2, 3]
        assert all(one["received"] > 0 and one["kernelDrops"] == 0 for one in sockets), sockets
        assert sum(one["received"] for one in sockets) == 2 * SENDERS * 150
        assert daemon.stop() == 0


def test_a_reload_to_another_number_loses_nothing(lab, senders):
    with Collector(lab.b, 20515, 64 << 20) as collector, Daemon(configuration(1), lab.a) as daemon:
        sent = threading.Event()

        def load():
            senders.send(range(200))
            sent.set()

        thread = threading.Thread(target=load)
        thread.start()
        numbers = iter((4, 2, 1, 3, 4, 1) * 50)
        try:
            while not sent.is_set():
                number = next(numbers)
                daemon.reload(configuration(number))
                assert len(sockets_of(daemon)) == number
        finally:
            thread.join()
        collector.wait_for_count(2 * SENDERS * 200, 60)
        told = {}
        for one in collector.fireflies:
            told.setdefault((one["flow-id"]["src-ip"], one["flow-id"]["dst-ip"]), []).append(one["flow-lifecycle"]["state"])
        assert len(told) == SENDERS * 200
        assert all(sorted(states) == ["end", "start"] for states in told.values())
        assert sum(one["kernelDrops"] for one in sockets_of(daemon)) == 0
        assert daemon.stop() == 0


def test_after_a_crash_the_sockets_are_those_of_before(lab, senders):
    """What comes while no daemon runs waits in them."""
    with Collector(lab.b, 20515, 64 << 20) as collector, Daemon(configuration(4), lab.a) as daemon:
        wait_for(lambda: daemon.states() and len(daemon.stored) == 4, "four sockets in the store of the service manager")
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait()
        senders.send(range(20))
        daemon.start()
        expect_each_once_in_order(collector, 20)
        assert all(one["received"] > 0 for one in sockets_of(daemon))


def test_sockets_of_a_unit_that_shares_its_port(lab, senders):
    """As with ReusePort=yes and two equal lines ListenDatagram= in flowd-cpp-fireflyp.socket."""
    def bound():
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        sock.bind(("::", PORT))
        return sock

    held = [lab.a.call(bound) for _ in range(2)]
    daemon = Daemon(configuration(2), lab.a)
    daemon.stored = {f"unit{number}": os.dup(sock.fileno()) for number, sock in enumerate(held)}
    with Collector(lab.b, 20515, 64 << 20) as collector, daemon:
        senders.send(range(20))
        expect_each_once_in_order(collector, 20)
        assert all(one["received"] > 0 for one in sockets_of(daemon))
    for sock in held:
        sock.close()


def test_a_kernel_that_denies_the_distribution_stops_the_start_with_the_reason(lab, tmp_path):
    denied = preloaded(tmp_path, DENIED)
    daemon = Daemon(configuration(4), lab.a, environment=denied)
    with pytest.raises(AssertionError):
        daemon.start()
    assert "SO_ATTACH_REUSEPORT_CBPF" in daemon.log and "with receivers: 1 it is not needed" in daemon.log, daemon.log
    daemon.__exit__()
    with Daemon(configuration(1), lab.a, environment=denied) as daemon:
        assert len(sockets_of(daemon)) == 1
