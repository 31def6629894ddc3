# SPDX-License-Identifier: Apache-2.0
"""What the tests against a real broker share: a relay (fireflyp -> kafka), a sink, and what is read from a topic."""
import contextlib
import itertools
import json
import socket

from tests.harness import kafka
from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for

PATIENCE = 120
#: librdkafka waits up to 5 s before it connects again.
IMPATIENT = "reconnect.backoff.max.ms: '500'"
#: The least that a broker accepts: so long a group waits for a member that was killed.
SESSION = "session.timeout.ms: '6000', heartbeat.interval.ms: '2000'"
TOPICS = (f"flows{number}" for number in itertools.count())


def firefly(state, port, extra=""):
    end = ', "end-time": "2026-11-23T10:00:59.5+00:00"' if state == "end" else ""
    return (f'<134>1 2026-11-23T10:00:00Z storage test - firefly-json - {{"version":1,"flow-lifecycle":{{"state":"{state}",'
            f'"start-time":"2026-11-23T10:00:00.000000+00:00","current-time":"2026-11-23T10:00:00.000000+00:00"{end}}},'
            f'"context":{{"experiment-id":2,"activity-id":16,"application":"test"}},"flow-id":{{"afi":"ipv4",'
            f'"src-ip":"192.0.2.1","dst-ip":"198.51.100.2","protocol":"tcp","src-port":{port},"dst-port":1094}}{extra}}}').encode()


class Relay(Daemon):
    """fireflyp -> kafka, and further parts of a configuration."""

    def __init__(self, address, topic, options="", backends=""):
        self.port = kafka.free_udp_port()
        super().__init__(f"plugins:\n  fireflyp: {{bindAddress: 127.0.0.1, bindPort: {self.port}}}\nbackends:\n"
                         f"  kafka: {{brokers: ['{address}'], topic: {topic}, properties: {{{IMPATIENT}}}{options}}}\n{backends}")

    def send(self, *datagrams):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for datagram in datagrams:
                sender.sendto(datagram, ("127.0.0.1", self.port))

    def kafka(self, member):
        return self.details("backend kafka").get(member, 0)

    def wait_for_records(self, count):
        wait_for(lambda: self.kafka("records") >= count and self.kafka("waiting") == 0,
                 f"{count} acknowledged records: {self.details('backend kafka')}", PATIENCE)

    def findings(self):
        return {one["id"]: one for one in self.cli("findings") if one["id"].startswith("kafka-")}

    def wait_for_finding(self, identity):
        one = wait_for(lambda: self.findings().get(identity), f"the finding {identity}", PATIENCE)
        assert one["remedy"] and one["since"]
        return one

    def wait_for_health(self):
        wait_for(lambda: not self.findings(), "no finding of kafka", PATIENCE)


class Consumer(Daemon):
    """kafka -> firefly."""

    def __init__(self, broker, topic, firefly_backend, options="", group="readers"):
        super().__init__(f"plugins:\n  kafka: {{brokers: ['{broker.address}'], topic: {topic}, group: {group}, "
                         f"startAt: beginning, properties: {{{IMPATIENT}, {SESSION}}}{options}}}\nbackends:\n{firefly_backend}")

    def kafka(self, member):
        return self.details("plugin kafka").get(member, 0)

    def wait_for_read(self, count):
        wait_for(lambda: self.kafka("records") >= count, f"{count} records: {self.details('plugin kafka')}", PATIENCE)

    def wait_for_partitions(self, count):
        wait_for(lambda: self.kafka("partitions") == count, f"{count} partitions: {self.details('plugin kafka')}", PATIENCE)


@contextlib.contextmanager
def sink():
    """A collector that only counts, and the part of the configuration that sends to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        receiver.settimeout(PATIENCE)
        port = receiver.getsockname()[1]
        yield receiver, (f"  firefly: {{sendToDestination: false, sendToCollector: true, collectorAddress: 127.0.0.1, "
                         f"collectorPort: {port}}}\n")


def payloads(broker, topic):
    return [json.loads(record["payload"]) | {"partition": record["partition"], "key": record["key"]} for record in broker.read(topic)]


def states_by_port(records):
    seen = {}
    for record in records:
        seen.setdefault(record["flow-id"]["src-port"], []).append(record["flow-lifecycle"]["state"])
    return seen
