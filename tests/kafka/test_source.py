# SPDX-License-Identifier: Apache-2.0
"""The plugin kafka and a real broker: what it announces, commits, refuses and withdraws."""
import json
import signal
import subprocess
import time

from tests.harness import kafka
from tests.harness.lab import wait_for
from tests.kafka.relay import PATIENCE, TOPICS, Consumer, Relay, firefly, payloads, sink


def produce(broker, topic, *values):
    """Each a value, or None for a record without one."""
    for value in values:
        command = ["kcat", "-P", "-b", broker.address, "-t", topic, "-X", "message.max.bytes=20000000"]
        if value is None:
            subprocess.run([*command, "-Z", "-K:"], input=b"key:\n", check=True)
        else:
            subprocess.run([*command, "-D", "\x01"], input=value, check=True)


def read_fireflies(receiver, count):
    found = []
    while len(found) < count:
        text = receiver.recv(65536).decode()
        message = json.loads(text[text.index("{"):])
        found.append((message["flow-lifecycle"]["state"], message["flow-id"]["src-port"]))
    return found


def test_what_a_relay_writes_is_announced_and_committed_when_every_backend_has_it(broker):
    topic = next(TOPICS)
    broker.create(topic)
    with sink() as (receiver, firefly_backend), Relay(broker.address, topic) as relay, \
            Consumer(broker, topic, firefly_backend) as consumer:
        consumer.wait_for_partitions(4)
        for port in range(1000, 1100):
            relay.send(firefly("start", port), firefly("end", port))
        fireflies = read_fireflies(receiver, 200)
        seen = {}
        for state, port in fireflies:
            seen.setdefault(port, []).append(state)
        assert len(seen) == 100 and all(states == ["start", "end"] for states in seen.values())
        wait_for(lambda: broker.committed("readers", topic) == 200, "200 committed records", PATIENCE)
        assert consumer.stop() == 0
        wait_for(lambda: broker.group_state("readers") == "Empty", "the coordinator to know that it has left", 5)
        consumer.start()
        consumer.wait_for_partitions(4)
        relay.send(firefly("start", 7))
        assert read_fireflies(receiver, 1) == [("start", 7)], "what was committed is not read again"


def test_hostile_records_are_counted_and_never_block_their_partition(broker):
    topic = next(TOPICS)
    broker.create(topic, 1, max_message_bytes=20000000)
    good = firefly("start", 1).decode()
    record = json.loads(good[good.index("{"):])
    other = json.loads(firefly("start", 3).decode().partition(" firefly-json - ")[2])
    produce(broker, topic, None, b"x" * 10_000_000, b"not JSON", b"[1]", b"{}", json.dumps({"message": "nothing"}).encode(),
            json.dumps(record).encode(), json.dumps(other | {"message": firefly("start", 2).decode()}).encode(),
            json.dumps(record | {"message": 5}).encode())
    with sink() as (receiver, firefly_backend), Consumer(broker, topic, firefly_backend, group=topic) as consumer:
        consumer.wait_for_read(9)
        assert sorted(read_fireflies(receiver, 2)) == [("start", 1), ("start", 2)], "the message wins"
        status = consumer.details("plugin kafka")
        assert status["refusals"]["null_value"] == 1 and status["refusals"]["too_large"] == 1
        assert status["refusals"]["not_json"] == 2
        assert status["refused"] == 6 and status["differs"] == 1, status
        wait_for(lambda: broker.committed(topic, topic, 1) == 9, "all to be committed", PATIENCE)


def test_an_offset_that_is_not_in_the_topic_any_more_is_counted_and_reading_goes_on(broker):
    topic = next(TOPICS)
    broker.create(topic, 1)
    with sink() as (receiver, firefly_backend), Relay(broker.address, topic) as relay, \
            Consumer(broker, topic, firefly_backend, group=topic) as consumer:
        relay.send(*(firefly("start", port) for port in range(1, 11)))
        consumer.wait_for_read(10)
        wait_for(lambda: broker.committed(topic, topic, 1) == 10, "the offset", PATIENCE)
        assert consumer.stop() == 0
        read_fireflies(receiver, 10)
        relay.send(*(firefly("start", port) for port in range(11, 21)))
        relay.wait_for_records(20)
        broker.delete_records(topic, 15)
        consumer.start()
        wait_for(lambda: consumer.kafka("outOfRange") == 1, "the offset to be out of range", PATIENCE)
        consumer.wait_for_read(5)


def test_a_replay_of_last_week_is_read_again_and_counted(broker):
    topic = next(TOPICS)
    broker.create(topic, 1)
    produce(broker, topic, *(json.dumps({"message": firefly(state, port).decode()}).encode() for port in range(1, 11) for state in ("start", "end")))
    last_week = int((time.time() - 7 * 86400) * 1000)
    broker.java("org.apache.kafka.tools.VerifiableProducer", "--bootstrap-server", broker.address, "--topic", topic, "--max-messages", 5,
                "--message-create-time", last_week)
    with sink() as (receiver, firefly_backend), Consumer(broker, topic, firefly_backend, group=topic) as consumer:
        first = read_fireflies(receiver, 20)
        consumer.wait_for_read(25)
        assert consumer.kafka("old") == 5
        wait_for(lambda: broker.committed(topic, topic, 1) == 25, "the offset", PATIENCE)
        assert consumer.stop() == 0
        broker.set_offset(topic, topic, 0)
        consumer.start()
        assert read_fireflies(receiver, 20) == first
        wait_for(lambda: broker.committed(topic, topic, 1) == 25, "the offset", PATIENCE)


def test_two_daemons_share_the_partitions_and_flows_of_a_lost_one_are_withdrawn(broker):
    topic = next(TOPICS)
    broker.create(topic)
    with sink() as (receiver, firefly_backend), Relay(broker.address, topic) as relay, \
            Consumer(broker, topic, firefly_backend, group=topic) as first:
        first.wait_for_partitions(4)
        relay.send(*(firefly("start", port) for port in range(1000, 1100)))
        first.wait_for_read(100)
        wait_for(lambda: first.cli("flows")["live"] == 100, "a hundred flows", PATIENCE)
        with Consumer(broker, topic, firefly_backend, group=topic) as second:
            second.wait_for_partitions(2)
            first.wait_for_partitions(2)
            wait_for(lambda: first.kafka("withdrawn") > 0, "flows to be withdrawn", PATIENCE)
            second.process.send_signal(signal.SIGKILL)
            second.process.wait()
            first.wait_for_partitions(4)


def test_a_mirror_commits_only_what_is_acknowledged_behind_it(broker):
    source, target = next(TOPICS), next(TOPICS)
    broker.create(source, 1)
    backend = f"  kafka: {{brokers: ['{broker.address}'], topic: {target}}}\n"
    with Relay(broker.address, source) as relay, Consumer(broker, source, backend, group=target) as mirror:
        relay.send(*(firefly("start", port) for port in range(1, 11)))
        mirror.wait_for_read(10)
        wait_for(lambda: "kafka-topic-missing" in [one["id"] for one in mirror.cli("findings")], "the finding", PATIENCE)
        assert mirror.details("backend kafka")["waiting"] == 10
        assert broker.committed(target, source, 1) == 0, "they are not durable anywhere"
        broker.create(target, 1)
        wait_for(lambda: mirror.details("backend kafka")["records"] == 10, "the records to be written", PATIENCE)
        wait_for(lambda: broker.committed(target, source, 1) == 10, "the offset", PATIENCE)
        assert len(payloads(broker, target)) == 10


def test_without_a_broker_it_waits_and_says_so():
    port = kafka.free_ports(1)[0]

    class Absent:
        address = f"127.0.0.1:{port}"

    with sink() as (_, firefly_backend), Consumer(Absent, "absent", firefly_backend) as consumer:
        wait_for(lambda: "kafka-unreachable" in [one["id"] for one in consumer.cli("findings")], "the finding", PATIENCE)
        assert consumer.stop() == 0


def test_a_topic_that_is_missing_at_the_start_is_a_finding_and_is_read_once_it_exists(broker):
    """case C64"""
    topic = next(TOPICS)

    def findings(consumer):
        return {one["id"]: one for one in consumer.cli("findings")}

    with sink() as (receiver, firefly_backend), Consumer(broker, topic, firefly_backend, group=topic) as consumer:
        one = wait_for(lambda: findings(consumer).get("kafka-topic-missing"), "the finding", PATIENCE)
        assert one["remedy"] and one["since"]
        broker.create(topic, 1)
        with Relay(broker.address, topic) as relay:
            relay.send(firefly("start", 1))
            assert read_fireflies(receiver, 1) == [("start", 1)]
        wait_for(lambda: "kafka-topic-missing" not in findings(consumer), "the finding to end", PATIENCE)
