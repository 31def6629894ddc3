# SPDX-License-Identifier: Apache-2.0
"""The whole chain while its parts are killed: fireflies -> relay -> broker -> consumers -> collector. Each start and end that the relay
wrote arrives at least once and in order; what it did not write is named by the gaps in the numbers."""
import collections
import json
import re
import signal
import socket
import threading
import time

from tests.harness import kafka
from tests.harness.lab import wait_for
from tests.kafka.relay import PATIENCE, Consumer, Relay, firefly

RATE = 1000  # fireflies a second
OPEN = 300  # flows that are live at a time
BOOT = "00000000f10edca7"


class Emitter(threading.Thread):
    """A storage service: numbered starts and ends of flows, one start and one end in turn."""

    def __init__(self, port):
        super().__init__()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.sent = {}  # number: (flow, state)
        self.stopping = threading.Event()

    def send(self, state, flow):
        number = len(self.sent) + 1
        self.sent[number] = (flow, state)
        member = f', "flowd":{{"boot":"{BOOT}","stream":1,"seq":{number},"origin":"{BOOT}","hops":0}}'
        try:
            self.socket.send(firefly(state, flow, member))
        except ConnectionRefusedError:
            pass  # the relay is down

    def run(self):
        flow = 1024
        begin = time.monotonic()
        while not self.stopping.wait(max(0, begin + len(self.sent) / RATE - time.monotonic())):
            self.send("start", flow)
            if flow - OPEN >= 1024:
                self.send("end", flow - OPEN)
            flow += 1
        for rest in range(max(1024, flow - OPEN), flow):
            self.send("end", rest)

    def stop(self):
        self.stopping.set()
        self.join()


class Collector(threading.Thread):
    """What arrives for each flow, in order."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.flows = collections.defaultdict(list)
        self.received = 0
        self.wanted = re.compile(rb'"state":"(\w+)".*"src-port":(\d+)')

    def run(self):
        while True:
            found = self.wanted.search(self.socket.recv(65536))
            self.flows[int(found[2])].append(found[1].decode())
            self.received += 1

    def wait_for_more(self, count=1000):
        begin = self.received
        wait_for(lambda: self.received >= begin + count, f"{count} more fireflies at the collector", PATIENCE)

    def drops(self):
        rows = [line.split() for line in open("/proc/net/udp") if f":{self.port:04X} " in line]
        return sum(int(row[-1]) for row in rows)


def test_broker_relay_and_consumer_are_killed_and_partitions_move(tmp_path):
    collector = Collector()
    collector.start()
    backend = (f"  firefly: {{sendToDestination: false, sendToCollector: true, collectorAddress: 127.0.0.1, collectorPort: {collector.port}}}\n")
    with kafka.Broker() as broker:
        broker.create("flows")
        with Relay(broker.address, "flows", f", spool: {{path: {tmp_path}/spool}}") as relay, \
                Consumer(broker, "flows", backend) as first, Consumer(broker, "flows", backend) as second:
            second.stop()
            first.wait_for_partitions(4)
            emitter = Emitter(relay.port)
            emitter.start()
            try:
                collector.wait_for_more()
                broker.kill()
                wait_for(lambda: relay.kafka("spooled") > 1000, "records in the spool", PATIENCE)
                broker.start()
                collector.wait_for_more()

                relay.process.send_signal(signal.SIGKILL)
                relay.process.wait()
                relay.start()
                collector.wait_for_more()

                second.start()
                second.wait_for_partitions(2)
                collector.wait_for_more()

                first.process.send_signal(signal.SIGKILL)
                first.process.wait()
                first.start()
                first.wait_for_partitions(2)
                collector.wait_for_more()

                broker.kill()
                wait_for(lambda: relay.kafka("spooled") > 0, "records in the spool", PATIENCE)
                broker.start()
            finally:
                emitter.stop()
            wait_for(lambda: relay.details("backend kafka")["spool"]["records"] == 0 and relay.kafka("waiting") == 0,
                     "everything to be written", PATIENCE)
            written = numbers_in(broker, "flows")
            flows = collections.defaultdict(list)
            for number in sorted(written):
                flow, state = emitter.sent[number]
                flows[flow].append(state)
            wait_for(lambda: all(set(states) <= set(collector.flows[flow]) for flow, states in flows.items()),
                     "every start and end that was written to arrive at the collector", PATIENCE)
    gaps = set(emitter.sent) - written
    assert len(gaps) == len(emitter.sent) - len(written) and len(gaps) < len(emitter.sent) / 2
    assert collector.drops() == 0
    for flow, states in flows.items():
        seen = collector.flows[flow]
        if "start" in states and "end" in seen:
            assert seen.index("start") < seen.index("end"), (flow, seen)
        assert "end" not in states or seen[-1] == "end", (flow, seen)
    doubled = sum(len(seen) - len(set(seen)) for seen in collector.flows.values())
    print(f"sent {len(emitter.sent)}, written {len(written)}, named by gaps {len(gaps)}, delivered more than once {doubled}")


def numbers_in(broker, topic):
    """The numbers of the emitter in the messages of a topic."""
    numbers = set()
    for record in broker.read(topic):
        message = json.loads(record["payload"])["message"]
        member = json.loads(message[message.index("{"):]).get("flowd", {})
        if member.get("boot") == BOOT:
            numbers.add(member["seq"])
    return numbers
