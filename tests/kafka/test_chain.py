# SPDX-License-Identifier: Apache-2.0
"""The whole chain while its parts are killed: fireflies -> relay -> broker -> consumers -> collector. Each start and end that the relay
wrote arrives at least once and in order; what it did not write is named by the gaps in the numbers.

FLOWD_LONG=1: FLOWD_RATE fireflies a second (50,000), with more time between the events."""
import os
import signal
import subprocess
import time

from tests.harness import kafka
from tests.harness.lab import wait_for
from tests.kafka.load import LOAD, Load, highest_memory, words
from tests.kafka.relay import PATIENCE, Consumer, Relay

LONG = bool(os.environ.get("FLOWD_LONG"))
RATE = int(os.environ.get("FLOWD_RATE", "50000")) if LONG else 1000
STEP = RATE * (30 if LONG else 1)  # fireflies between two events
LIMIT = PATIENCE * (10 if LONG else 1)
MEMORY = 1 << 20  # KiB
def kill(daemon):
    daemon.process.send_signal(signal.SIGKILL)
    daemon.process.wait()


def test_broker_relay_and_consumer_are_killed_and_partitions_move(tmp_path):
    """case C64: what is killed starts again and goes on by itself."""
    port = kafka.free_udp_port()
    backend = f"  firefly: {{sendToDestination: false, sendToCollector: true, collectorAddress: 127.0.0.1, collectorPort: {port}}}\n"
    memory = []
    with kafka.Broker(fast=LONG) as broker, Load("sink", "127.0.0.1", port, tmp_path / "seen", ready=True) as sink:
        broker.create("flows")
        with Relay(broker.address, "flows", f", spool: {{path: {tmp_path}/spool, maxBytes: 16 GiB}}") as relay, \
                Consumer(broker, "flows", backend) as first, Consumer(broker, "flows", backend) as second, \
                Load("blast", "127.0.0.1", relay.port, RATE, 3600, "numbered") as emitter:
            second.stop()
            first.wait_for_partitions(4)

            def wait_for_more(consumer, count=STEP):
                begin = consumer.kafka("records")
                wait_for(lambda: consumer.kafka("records") >= begin + count, f"{count} more records: {consumer.details('plugin kafka')}", LIMIT)

            wait_for_more(first)
            broker.kill()
            wait_for(lambda: relay.kafka("spooled") > STEP, "records in the spool", LIMIT)
            broker.start()
            wait_for_more(first)

            memory.append(("relay", highest_memory(relay)))
            kill(relay)
            relay.start()
            wait_for_more(first)

            second.start()
            second.wait_for_partitions(2)
            wait_for_more(second, STEP // 2)

            memory.append(("consumer", highest_memory(first)))
            kill(first)
            first.start()
            first.wait_for_partitions(2)
            wait_for_more(first, STEP // 2)

            broker.kill()
            wait_for(lambda: relay.kafka("spooled") > 0, "records in the spool", LIMIT)
            broker.start()
            wait_for_more(first, STEP // 2)
            sent = emitter.stop()
            wait_for(lambda: relay.details("backend kafka")["spool"]["records"] == 0 and relay.kafka("waiting") == 0,
                     "everything to be written", LIMIT)
            wait_for(lambda: broker.committed("readers", "flows") == broker.ends("flows"), "everything to be read and sent", LIMIT)
            memory += [("relay", highest_memory(relay)), ("consumer", highest_memory(first)), ("consumer", highest_memory(second))]
            drops = relay.details("plugin fireflyp")["kernelDrops"]
            read_again = first.kafka("redelivered") + second.kafka("redelivered")
        time.sleep(0.5)  # the last datagrams are in the buffer of the sink
        seen = sink.stop()
        records = broker.ends("flows")
        # Otherwise it reads what its queue holds, and looks again a second later.
        fast = [word for name in ("fetch.message.max.bytes=8000000", "queued.max.messages.kbytes=500000", "queued.min.messages=1000000")
                for word in ("-X", name)]
        topic = subprocess.Popen(["kcat", "-C", "-b", broker.address, "-t", "flows", "-o", "beginning", "-e", "-q", *fast], stdout=subprocess.PIPE)
        judged = words(subprocess.run([LOAD, "judge", str(int(sent["sent"])), tmp_path / "seen"], stdin=topic.stdout, capture_output=True,
                                      text=True, check=True).stdout)
        assert topic.wait() == 0
    gaps = sent["sent"] - judged["produced"]
    print(f"{sent['sent']:.0f} sent in {sent['seconds']:.0f} s, {records} records, {judged['produced']:.0f} of them different, {gaps:.0f} gaps "
          f"({drops} dropped by the kernel since the relay was started again), {seen['received']:.0f} at the collector, "
          f"{seen['repeated']:.0f} of them repeated, {read_again} flagged or read again; memory in KiB {memory}")
    assert judged["missing"] == 0, "each start and end in the topic arrives"
    assert seen["disorder"] == 0 and seen["drops"] == 0
    assert gaps < sent["sent"] / 2
    assert max(kib for _, kib in memory) < MEMORY
