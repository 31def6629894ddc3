# SPDX-License-Identifier: Apache-2.0
"""scripts/bench-kafka: the kafka backend and its spool, next to floors with the same records and settings; and the chain."""
import itertools
import os
import subprocess
import tempfile
import time

from tests.harness import figures, kafka
from tests.harness.daemon import BUILD
from tests.harness.figures import row
from tests.harness.lab import wait_for
from tests.harness.process import cpu_seconds
from tests.kafka.load import Load, highest_memory, words
from tests.kafka.relay import Consumer, Relay

BENCH = BUILD / "bin" / "kafka-bench"
NUMBERS = itertools.count()


def bench(*arguments):
    out = words(subprocess.run([BENCH, *map(str, arguments)], check=True, capture_output=True, text=True).stdout)
    return out["rate"], out["cpu"]


def components(broker, directory, count, rounds):
    def topic():
        name = f"topic{next(NUMBERS)}"
        broker.create(name)
        return name

    def file():
        for one in os.listdir(directory):
            os.unlink(f"{directory}/{one}")
        return f"{directory}/{next(NUMBERS)}"

    bench("produce", broker.address, topic(), count)  # the broker's code is compiled meanwhile
    found = figures.medians(figures.by_turns(rounds, {
        "librdkafka": lambda: bench("produce", broker.address, topic(), count), "backend": lambda: bench("backend", broker.address, topic(), count),
        "SQLite": lambda: bench("insert", file(), count), "spool": lambda: bench("spool", file(), count)}))
    rows = []
    for name, floor, what in (("backend", "librdkafka", "kafka backend, from flow events"), ("spool", "SQLite", "kafka backend into its spool")):
        (rate, cpu), (floor_rate, floor_cpu) = found[name], found[floor]
        rows += [row(f"{what}: records (floor: {floor} alone)", rate, "/s", floor_rate, ">= 0.8 x floor"),
                 row(f"{what}: CPU per record", cpu, "us", floor_cpu)]
    return rows


def relay_at(broker, rate, seconds, partitions):
    topic = f"topic{next(NUMBERS)}"
    broker.create(topic, partitions)
    with Relay(broker.address, topic, backends="") as relay:
        before = cpu_seconds(relay.process.pid)
        emitter = Load("blast", "127.0.0.1", relay.port, rate, seconds, "numbered")
        sent = emitter.wait()
        wait_for(lambda: relay.kafka("waiting") == 0, "the records to be written", 120)
        spent = cpu_seconds(relay.process.pid) - before
        time.sleep(1)
        records = broker.ends(topic, partitions)
        return topic, sent, records, spent / max(1, records) * 1e6, highest_memory(relay)


def chain(broker, seconds):
    rows, filled = [], None
    for partitions in (4, 1):
        best = None
        for rate in (10_000, 30_000, 50_000, 100_000):
            topic, sent, records, cpu, memory = relay_at(broker, rate, seconds, partitions)
            filled = topic, records, partitions
            if sent["sent"] > records or sent["sent"] / sent["seconds"] < 0.97 * rate:
                break
            best = rate, cpu, memory / 1024
        assert best, f"the relay lost fireflies at 10,000/s, {partitions} partitions"
        what = f"relay (fireflyp -> kafka), partitions: {partitions}"
        rows += [row(f"{what}: highest lossless of the rates tried", best[0], "/s"), row(f"{what}: CPU per firefly", best[1], "us"),
                 row(f"{what}: resident", best[2], "MiB")]
    port = kafka.free_udp_port()
    sink = Load("sink", "127.0.0.1", port, ready=True)
    backend = f"  firefly: {{sendToDestination: false, sendToCollector: true, collectorAddress: 127.0.0.1, collectorPort: {port}}}\n"
    topic, records, partitions = filled
    with Consumer(broker, topic, backend, group="bench") as consumer:
        wait_for(lambda: consumer.kafka("records") > 0, "the first record", 120)
        begin, first, before = time.monotonic(), consumer.kafka("records"), cpu_seconds(consumer.process.pid)
        wait_for(lambda: consumer.kafka("records") >= records, "all records", 600)
        passed, count = time.monotonic() - begin, records - first
        rows += [row("consumer of one partition (kafka -> firefly): records", count / passed, "/s"),
                 row("consumer: CPU per record", (cpu_seconds(consumer.process.pid) - before) / count * 1e6, "us"),
                 row("consumer: resident", highest_memory(consumer) / 1024, "MiB")]
    sink.stop()
    return rows


def measure(arguments):
    records, rounds, seconds = (20_000, 1, 1) if arguments.quick else (arguments.records, arguments.rounds, arguments.seconds)
    with kafka.Broker(fast=True) as broker, tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        return {"kafka": components(broker, directory, records, rounds), "kafka-chain": chain(broker, seconds)}


if __name__ == "__main__":
    figures.main("scripts/bench-kafka", __doc__, measure, ("--records", {"type": int, "default": 300_000}),
                 ("--rounds", {"type": int, "default": 3}), ("--seconds", {"type": float, "default": 3, "help": "of each rate of the chain"}))
