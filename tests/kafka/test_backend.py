# SPDX-License-Identifier: Apache-2.0
"""The backend kafka and a real broker: what it writes, how, and what happens when the broker is not there."""
import collections
import hashlib
import hmac
import json
import os
import socket
import subprocess
import time

import pytest

from tests.harness import kafka
from tests.harness.daemon import BINARY
from tests.harness.http import Api
from tests.harness.lab import wait_for
from tests.kafka.load import Load, highest_memory
from tests.kafka.relay import PATIENCE, TOPICS, Relay, firefly, payloads, sink, states_by_port

LONG = bool(os.environ.get("FLOWD_LONG"))


def fingerprint(flow):
    """As Logstash's fingerprint filter makes it from the collector's configuration."""
    names = sorted(f"[flow-id][{name}]" for name in ("src-ip", "dst-ip", "src-port", "dst-port", "protocol"))
    text = "".join(f"|{name}|{flow[name[10:-1]]}" for name in names) + "|"
    return hmac.new(b"create flowid", text.encode(), hashlib.sha256).hexdigest()


def test_kcat_reads_records_as_the_reference_collector_writes_them(broker):
    topic = next(TOPICS)
    broker.create(topic)
    with Relay(broker.address, topic) as relay:
        for port in range(1000, 1200):
            relay.send(firefly("start", port), firefly("end", port))
        relay.wait_for_records(400)
        assert relay.stop() == 0
    records = payloads(broker, topic)
    assert len(records) == 400
    assert all(states == ["start", "end"] for states in states_by_port(records).values()), "in order per flow"
    partitions = {}
    for record in records:
        flow, port = record["flow-id"], record["flow-id"]["src-port"]
        assert record["flow_fingerprint"] == fingerprint(flow)
        assert record["key"] == f"192.0.2.1|{port}|198.51.100.2|1094|tcp"
        assert record["message"].encode() == firefly(record["flow-lifecycle"]["state"], port), "the original datagram"
        assert record["context"] == {"experiment-id": 2, "activity-id": 16, "application": "test"}
        partitions.setdefault(record["key"], set()).add(record["partition"])
    assert all(len(one) == 1 for one in partitions.values()), "a flow has one partition"
    assert len({record["partition"] for record in records}) == 4


def test_compression_and_idempotence_stand_in_the_log_of_the_broker(broker):
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        topic = next(TOPICS)
        broker.create(topic, 1)
        with Relay(broker.address, topic, f", compression: {codec}, linger: 200ms") as relay:
            relay.send(*(firefly("start", port) for port in range(1000, 1100)))
            relay.wait_for_records(100)
        batches = broker.batches(topic)
        assert {batch["compresscodec"] for batch in batches} == {codec}, batches
        assert len({batch["producerId"] for batch in batches}) == 1 and int(batches[0]["producerId"]) >= 0
        assert [int(batch["baseSequence"]) for batch in batches] == [int(batch["baseOffset"]) for batch in batches]


def test_encryption(broker):
    topic = next(TOPICS)
    broker.create(topic)
    with Relay(f"127.0.0.1:{broker.ssl}", topic, f", security: {{protocol: SSL, caFile: {broker.ca}}}") as relay:
        relay.send(firefly("start", 1))
        relay.wait_for_records(1)


def scram(broker, password):
    secret = broker.directory / "password"
    secret.write_text(password + "\n")
    secret.chmod(0o600)
    return f", security: {{protocol: SASL_SSL, caFile: {broker.ca}, username: {kafka.USER}, passwordFile: {secret}}}"


def test_scram_with_kafka_3():
    with kafka.Broker(major=3) as broker:
        broker.create("flows")
        with Relay(f"127.0.0.1:{broker.sasl}", "flows", scram(broker, kafka.PASSWORD)) as relay:
            assert kafka.PASSWORD not in json.dumps(relay.cli("conf", "--conf", str(relay.conf)))
            relay.send(firefly("start", 2))
            relay.wait_for_records(1)
            relay.wait_for_health()


def test_scram_with_kafka_4_or_why_this_librdkafka_cannot(broker):
    """case C64: before 2.6.1, librdkafka repeats the nonce of the client; Kafka 4 refuses that."""
    topic = next(TOPICS)
    broker.create(topic)
    with Relay(f"127.0.0.1:{broker.sasl}", topic, scram(broker, kafka.PASSWORD)) as relay:
        relay.send(firefly("start", 2))
        if "cannot authenticate by SCRAM with brokers of Kafka 4" in relay.log:
            assert "2.6.1" in relay.wait_for_finding("kafka-authentication")["remedy"]
        else:
            relay.wait_for_records(1)
            relay.wait_for_health()


def test_a_wrong_password_is_a_finding_does_not_affect_other_backends_and_a_reload_mends_it(broker):
    """case C64"""
    topic = next(TOPICS)
    broker.create(topic)
    with sink() as (receiver, firefly_backend), \
            Relay(f"127.0.0.1:{broker.sasl}", topic, scram(broker, "wrong"), firefly_backend) as relay:
        relay.wait_for_finding("kafka-authentication")
        relay.send(firefly("start", 1))
        assert b'"src-port":1,' in receiver.recv(65536)
        lines = [line for line in relay.conf.read_text().splitlines() if "kafka:" not in line]
        relay.reload("\n".join([*lines, f"  kafka: {{brokers: ['{broker.address}'], topic: {topic}}}"]) + "\n")
        relay.wait_for_records(1)
        relay.wait_for_health()
        assert states_by_port(payloads(broker, topic)) == {1: ["start"]}


def test_a_topic_that_is_missing_is_a_finding_and_the_records_arrive_once_it_exists(broker):
    """case C64"""
    topic = next(TOPICS)
    with Relay(broker.address, topic) as relay:
        relay.send(*(firefly("start", port) for port in range(1, 11)))
        relay.wait_for_finding("kafka-topic-missing")
        broker.create(topic)
        relay.wait_for_records(10)
        relay.wait_for_health()
        assert len(payloads(broker, topic)) == 10


def test_a_record_that_is_too_large_is_counted_and_the_next_one_is_written(broker):
    topic = next(TOPICS)
    broker.create(topic, 1, max_message_bytes=6000)
    # The daemon reads datagrams of 4 KiB at most; the record has their content twice.
    large = ',"large":"' + os.urandom(1800).hex() + '"'
    with Relay(broker.address, topic, ", maxSize: 100000, compression: none") as relay:
        relay.send(firefly("start", 1, large))
        wait_for(lambda: relay.kafka("givenUp"), "the record to be given up", PATIENCE)
        relay.send(firefly("start", 2))
        relay.wait_for_records(1)
        assert relay.kafka("givenUp") == {"too_large": 1}
        relay.wait_for_finding("kafka-record-too-large")
        assert states_by_port(payloads(broker, topic)) == {2: ["start"]}


def test_no_broker_at_the_start_then_one_that_is_killed_nothing_is_lost_or_doubled(absent):
    """case C64"""
    with sink() as (receiver, firefly_backend), Relay(absent.address, absent.topic, "", firefly_backend) as relay:
        relay.send(*(firefly("start", port) for port in range(1000, 1100)))
        relay.wait_for_finding("kafka-unreachable")
        for _ in range(100):
            receiver.recv(65536)  # the firefly backend is not held up
        absent.start()
        relay.wait_for_records(100)
        relay.wait_for_health()
        absent.kill()
        relay.send(*(firefly("end", port) for port in range(1000, 1100)))
        wait_for(lambda: relay.kafka("waiting") == 100, "the ends to wait", PATIENCE)
        absent.start()
        relay.wait_for_records(200)
        relay.wait_for_health()
        assert relay.stop() == 0
    records = payloads(absent, absent.topic)
    assert len(records) == 200
    assert all(states == ["start", "end"] for states in states_by_port(records).values())


def test_without_brokers_at_full_rate_other_backends_and_rest_are_not_affected():
    """case C64, with FLOWD_LONG=1 at 30,000 fireflies/s (FLOWD_RATE) for a minute: the queue and the memory are bounded, the firefly backend
    misses nothing, and no request is answered 503."""
    rate, seconds = (int(os.environ.get("FLOWD_RATE", "30000")), 60) if LONG else (2000, 3)
    port, rest = kafka.free_udp_port(), kafka.free_ports(1)[0]
    backends = f"  firefly: {{sendToDestination: false, sendToCollector: true, collectorAddress: 127.0.0.1, collectorPort: {port}}}\n"
    with Load("sink", "127.0.0.1", port, ready=True) as collector, \
            Relay(f"127.0.0.1:{kafka.free_ports(1)[0]}", "flows", "" if LONG else ", queue: {records: 1000}", backends) as relay:
        relay.reload(relay.conf.read_text().replace("plugins:\n", f"plugins:\n  api: {{bindPort: {rest}}}\n"))
        emitter = Load("blast", "127.0.0.1", relay.port, rate, seconds, "numbered")
        answers = collections.Counter()
        with Api(lambda: socket.create_connection(("127.0.0.1", rest), PATIENCE)) as api:
            while emitter.process.poll() is None:
                flow = {"state": "start", "protocol": "tcp", "source": {"address": "192.0.2.1", "port": 1024 + sum(answers.values())},
                        "destination": {"address": "198.51.100.2", "port": 1094}, "experiment": 2, "activity": 16}
                answers[api.ask("POST", "/flow", json.dumps(flow), Content_Type="application/json")[0]] += 1
                time.sleep(0.02)
        sent, requests = emitter.wait()["sent"], sum(answers.values())
        status = relay.details("backend kafka")
        wait_for(lambda: relay.edge("firefly")["depth"] == 0, "the firefly backend to take everything", PATIENCE)
        dropped = relay.details("plugin fireflyp")["kernelDrops"]
        memory = highest_memory(relay)
        time.sleep(0.5)  # the last datagrams are in the buffer of the collector
        seen = collector.stop()
    print(f"{sent:.0f} fireflies at {rate}/s, {requests} requests: {dict(answers)}; {seen}, dropped by the kernel: {dropped}; "
          f"kafka: {status['full']} times full; memory {memory} KiB")
    assert 503 not in answers and max(answers) < 300, answers
    assert dropped == 0 and seen["drops"] == 0 and seen["received"] >= sent + requests
    assert status["full"] > 0 and status["waiting"] <= (100_000 if LONG else 1000)
    assert memory < 2 << 20


@pytest.mark.parametrize("kind", ["backends", "plugins"])
def test_check_of_the_host_says_what_it_finds(broker, tmp_path, kind):
    """case C64: the check tells before the start."""
    def findings(address, topic):
        conf = tmp_path / "conf.yaml"
        conf.write_text(f"{kind}:\n  kafka: {{brokers: ['{address}'], topic: {topic}}}\n")
        done = subprocess.run([str(BINARY), "check", "--host", "--json", "--conf", str(conf)], capture_output=True, text=True,
                              timeout=PATIENCE)
        return sorted(identity for identity in ("kafka-topic-missing", "kafka-unreachable") if identity in done.stdout + done.stderr)

    topic = next(TOPICS)
    assert findings(broker.address, topic) == ["kafka-topic-missing"]
    broker.create(topic)
    assert findings(broker.address, topic) == []
    assert findings(f"127.0.0.1:{kafka.free_ports(1)[0]}", topic) == ["kafka-unreachable"]
