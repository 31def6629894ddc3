# SPDX-License-Identifier: Apache-2.0
"""scripts/bench-kafka: the kafka backend and its spool, next to floors with the same records and settings; and the chain."""
import argparse
import itertools
import os
import statistics
import subprocess
import tempfile
import time

from tests.harness import kafka
from tests.harness.daemon import BUILD
from tests.harness.firefly_figures import cpu_seconds
from tests.harness.lab import wait_for
from tests.kafka.load import Load, highest_memory, words
from tests.kafka.relay import Consumer, Relay

BENCH = BUILD / "bin" / "kafka-bench"
NUMBERS = itertools.count()


def bench(*arguments):
    out = words(subprocess.run([BENCH, *map(str, arguments)], check=True, capture_output=True, text=True).stdout)
    return out["rate"], out["cpu"]


def by_turns(rounds, **ways):
    """Medians of (records a second, microseconds of CPU), measured by turns."""
    found = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(way())
    return {name: [statistics.median(column) for column in zip(*rows)] for name, rows in found.items()}


def show(name, rate, cpu, floor=None):
    share = f"   {rate / floor[0]:4.0%} of the floor's rate, {cpu / floor[1]:5.2f} times its CPU" if floor else ""
    print(f"{name:34} {rate:9.0f} records/s  {cpu:6.2f} us CPU{share}", flush=True)


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
    found = by_turns(rounds, floor=lambda: bench("produce", broker.address, topic(), count),
                     backend=lambda: bench("backend", broker.address, topic(), count))
    show("floor: librdkafka alone", *found["floor"])
    show("kafka backend", *found["backend"], found["floor"])
    found = by_turns(rounds, floor=lambda: bench("insert", file(), count), spool=lambda: bench("spool", file(), count))
    show("floor: SQLite alone", *found["floor"])
    show("kafka backend, spool", *found["spool"], found["floor"])


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
    filled = None
    for partitions in (4, 1):
        best = None
        for rate in (5_000, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000, 80_000, 100_000):
            topic, sent, records, cpu, memory = relay_at(broker, rate, seconds, partitions)
            lost = sent["sent"] - records
            print(f"    {rate}/s, {partitions} partitions: sent {sent['sent'] / sent['seconds']:.0f}/s, lost {lost:.0f}, "
                  f"{cpu:.1f} us CPU, {memory // 1024} MiB", flush=True)
            if lost > 0 or sent["sent"] / sent["seconds"] < 0.97 * rate:
                break
            best, filled = (rate, cpu), (topic, records, partitions)
        show(f"relay, lossless, {partitions} partitions", *best or (0, 0))
    port = kafka.free_udp_port()
    sink = Load("sink", "127.0.0.1", port, ready=True)
    backend = f"  firefly: {{sendToDestination: false, sendToCollector: true, collectorAddress: 127.0.0.1, collectorPort: {port}}}\n"
    topic, records, partitions = filled
    with Consumer(broker, topic, backend, group="bench") as consumer:
        wait_for(lambda: consumer.kafka("records") > 0, "the first record", 120)
        begin, first, before = time.monotonic(), consumer.kafka("records"), cpu_seconds(consumer.process.pid)
        wait_for(lambda: consumer.kafka("records") >= records, "all records", 600)
        passed, count = time.monotonic() - begin, records - first
        show(f"consumer, {partitions} partitions, to firefly", count / passed, (cpu_seconds(consumer.process.pid) - before) / count * 1e6)
        print(f"    {highest_memory(consumer) // 1024} MiB")
    sink.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="of each rate of the chain")
    arguments = parser.parse_args()
    print(f"{arguments.records} records, medians of {arguments.rounds}; load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    with kafka.Broker(fast=True) as broker, tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        components(broker, directory, arguments.records, arguments.rounds)
        chain(broker, arguments.seconds)


if __name__ == "__main__":
    main()
