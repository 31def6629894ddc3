# SPDX-License-Identifier: Apache-2.0
"""The load of scripts/soak: emitters as processes that can be killed at any time. What they have done is in a ledger that survives them.

usage: python3 -m tests.harness.soak_load KIND LEDGER ROW GENERATION WHERE
"""
import collections
import datetime
import http.client
import json
import mmap
import os
import pathlib
import selectors
import socket
import struct
import sys
import time

KINDS = {"pipe": 1, "firefly": 2, "api": 3}  # of announced flows; the number is in their addresses
RATES = {"pipe": 100, "firefly": 100, "api": 30, "tcp": 10, "udp": 5}  # flows a second
LIFE = 2.0       # seconds from start to end
MALFORMED = 50   # one malformed input after so many flows
PORT = 21094     # of the server; no test has it
EXPERIMENT, ACTIVITY = 2, 16


class Ledger:
    """Counts of several processes in one file: `begun` before an input is given, `done` after it was taken, so that a process that
    is killed in between is off by one. Row 0 is for all: load["pause"]."""

    NAMES = ("begun", "done", "malformed", "flows", "idle", "pause", "received")

    def __init__(self, path, rows=0):
        if rows:
            path.write_bytes(bytes(rows * self.size()))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)

    @classmethod
    def size(cls):
        return 8 * len(cls.NAMES)

    def row(self, number):
        return Row(self.map, number * self.size())


class Row:
    def __init__(self, memory, offset):
        self.memory, self.offset = memory, offset

    def __getitem__(self, name):
        return struct.unpack_from("<Q", self.memory, self.offset + 8 * Ledger.NAMES.index(name))[0]

    def __setitem__(self, name, value):
        struct.pack_into("<Q", self.memory, self.offset + 8 * Ledger.NAMES.index(name), value)


class Emitter:
    """Starts flows at a rate and ends each after LIFE. Told to pause, it ends what it has started and is idle."""

    def __init__(self, kind, all_rows, mine, generation, where):
        self.kind, self.all, self.mine, self.generation, self.where = kind, all_rows, mine, generation, where
        self.rate = RATES[kind]

    def run(self):
        live, number, due = collections.deque(), 0, time.monotonic()
        while True:
            paused, now = self.all["pause"], time.monotonic()
            while live and (paused or live[0][0] <= now):
                self.end(live.popleft()[1])
            self.mine["idle"] = int(bool(paused and not live))
            if paused:
                due = now
            elif due <= now:
                due = max(due + 1 / self.rate, now - 1)  # after a stall, at most a second's flows are made up for
                number += 1
                flow = self.start(number)
                if flow is not None:
                    live.append((now + LIFE, flow))
                    self.mine["flows"] += 1
                if number % MALFORMED == 0:
                    self.malformed()
            time.sleep(0.002 if due <= now else min(due - now, 0.05))  # the rate of the load

    def give(self, event):
        """One input, tried until it is taken."""
        while True:
            self.mine["begun"] += 1
            try:
                self.put(event)
            except OSError:  # the daemon is being restarted
                self.mine["begun"] -= self.refused_for_certain
                time.sleep(0.1)
                self.connect()
                continue
            self.mine["done"] += 1
            return

    refused_for_certain = 0  # 1: an error means that nothing was taken

    def connect(self):
        pass

    def malformed(self):
        pass

    # A flow whose start and end are two events, which differ in the word alone.
    def start(self, number):
        self.give(self.event("start", self.key(number)))
        return self.key(number)

    def end(self, key):
        self.give(self.event("end", key))

    # Announced flows: between hosts elsewhere, each with its own 5-tuple.
    def key(self, number):
        return (f"2001:db8:{KINDS[self.kind]}:{self.generation:x}::{number // 60000:x}", 1024 + number % 60000, "2001:db8:ffff::1", 1094)


class Pipe(Emitter):
    refused_for_certain = 1  # EPIPE: nobody has it open for reading

    def connect(self):
        # Blocks until a daemon has opened it.
        self.pipe = os.open(self.where, os.O_WRONLY)

    def put(self, line):
        os.write(self.pipe, line)

    def event(self, state, key):
        return f"{state} tcp {key[0]} {key[1]} {key[2]} {key[3]} {EXPERIMENT} {ACTIVITY}\n".encode()

    def malformed(self):
        self.mine["malformed"] += 1
        self.give(b"start tcp 2001:db8::1 99999 2001:db8::2 1 2 16\n")


class Firefly(Emitter):
    def connect(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def put(self, datagram):
        self.socket.sendto(datagram, ("127.0.0.1", 10514))

    def datagram(self, state, key, started):
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")
        life = {"state": state, "current-time": now, "start-time": started} | ({"end-time": now} if state == "end" else {})
        return f"<134>1 {now} se xrootd - firefly-json - ".encode() + json.dumps({
            "version": 1, "flow-lifecycle": life, "usage": {"received": 1000, "sent": 2000},
            "context": {"experiment-id": EXPERIMENT, "activity-id": ACTIVITY, "application": "xrootd"},
            "flow-id": {"afi": "ipv6", "src-ip": key[0], "dst-ip": key[2], "protocol": "tcp", "src-port": key[1], "dst-port": key[3]}}).encode()

    def start(self, number):
        started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")
        self.give(self.datagram("start", self.key(number), started))
        return self.key(number), started

    def end(self, flow):
        self.give(self.datagram("end", *flow))

    def malformed(self):
        self.mine["malformed"] += 1
        self.give(b"<134>1 - se xrootd - firefly-json - {")


class Api(Emitter):
    def connect(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", 7777, timeout=60)

    def put(self, flow):
        body = flow if isinstance(flow, str) else json.dumps(flow)
        try:
            self.connection.request("POST", "/flow", body, {"Content-Type": "application/json"})
            response = self.connection.getresponse()
            response.read()
        except http.client.HTTPException as error:
            raise ConnectionError from error
        if response.status not in (200, 400):
            raise ConnectionError

    def event(self, state, key):
        return {"state": state, "protocol": "tcp", "experiment": EXPERIMENT, "activity": ACTIVITY,
                "source": {"address": key[0], "port": key[1]}, "destination": {"address": key[2], "port": key[3]}}

    def malformed(self):
        self.mine["malformed"] += 1
        self.give('{"state": "start", "protocol"')


class Sockets(Emitter):
    """Real sockets that nobody announces, over one path and then the other. WHERE: addresses of the other host."""

    def start(self, number):
        address = self.where.split(",")[number % 2]
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM if self.kind == "tcp" else socket.SOCK_DGRAM)
        sock.settimeout(1)
        try:
            sock.connect((address, PORT))
            sock.send(b"x" * 1000)
        except OSError:  # the interface is not there
            sock.close()
            return None
        return sock

    def end(self, sock):
        try:
            sock.send(b"x" * 1000)
        except OSError:
            pass
        sock.close()


def serve(mine):
    """The other end of the sockets: reads whatever comes."""
    selector = selectors.DefaultSelector()
    tcp = socket.create_server(("::", PORT), family=socket.AF_INET6, backlog=1000)
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.bind(("::", PORT))
    for sock in (tcp, udp):
        selector.register(sock, selectors.EVENT_READ)
    mine["idle"] = 1
    while True:
        for key, _ in selector.select():
            if key.fileobj is tcp:
                connection, _ = tcp.accept()
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_READ)
                continue
            try:
                data = key.fileobj.recv(65536)
            except OSError:
                data = b""
            if not data and key.fileobj is not udp:
                selector.unregister(key.fileobj)
                key.fileobj.close()


def collect(mine, port):
    """A collector that only counts."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.bind(("::", port))
    mine["idle"] = 1
    while sock.recv(65536):
        mine["received"] += 1


def main():
    kind, path, row, generation, where = sys.argv[1:]
    ledger = Ledger(pathlib.Path(path))
    mine = ledger.row(int(row))
    if kind == "server":
        serve(mine)
    elif kind == "collector":
        collect(mine, int(where))
    else:
        form = {"pipe": Pipe, "firefly": Firefly, "api": Api, "tcp": Sockets, "udp": Sockets}[kind]
        emitter = form(kind, ledger.row(0), mine, int(generation), where)
        emitter.connect()
        emitter.run()


if __name__ == "__main__":
    main()
