# SPDX-License-Identifier: Apache-2.0
"""The spool of the kafka backend: outages, crashes, a full one, two daemons."""
import contextlib
import itertools
import json
import signal
import subprocess

import pytest

from tests.harness import kafka
from tests.harness.daemon import BINARY
from tests.harness.lab import sh, wait_for

from tests.kafka.relay import PATIENCE, Relay, firefly, payloads, states_by_port


def spool_of(relay):
    return relay.details("backend kafka")["spool"]


def wait_for_spooled(relay, records):
    wait_for(lambda: spool_of(relay)["records"] >= records, f"{records} records in the spool: {relay.details('backend kafka')}", PATIENCE)


@pytest.fixture
def nowhere():
    """The address of a broker that never runs."""
    return f"127.0.0.1:{kafka.free_ports(1)[0]}"


def test_what_is_spooled_survives_kill_9_and_a_restart_and_arrives_in_order(absent, tmp_path):
    options = f", spool: {{path: {tmp_path}/spool}}"
    with Relay(absent.address, absent.topic, options) as relay:
        relay.wait_for_finding("kafka-unreachable")
        relay.send(*(firefly("start", port) for port in range(1000, 1100)))
        wait_for_spooled(relay, 100)
        relay.process.send_signal(signal.SIGKILL)
        relay.process.wait()
        relay.start()
        relay.wait_for_finding("kafka-unreachable")
        assert spool_of(relay)["records"] == 100, "nothing that was counted as spooled is missing"
        relay.send(*(firefly("end", port) for port in range(1000, 1100)))
        wait_for_spooled(relay, 200)
        assert relay.stop() == 0, "what is in the spool is not lost"
        shown = json.loads(subprocess.run([str(BINARY), "--json", "kafka", "spool", "--path", f"{tmp_path}/spool"],
                                          capture_output=True, text=True, check=True).stdout)
        assert shown["records"] == 200 and shown["owner"] == 0, shown
        absent.start()
        relay.start()
        relay.wait_for_records(200)
        wait_for(lambda: spool_of(relay)["records"] == 0, "the spool to be empty", PATIENCE)
        relay.wait_for_health()
        relay.send(firefly("start", 5))
        relay.wait_for_records(201)
        assert relay.kafka("spooled") == 0, "with brokers, nothing goes through the spool"
        records = payloads(absent, absent.topic)
    assert len(records) == 201
    seen = states_by_port(records)
    assert all(seen[port] == ["start", "end"] for port in range(1000, 1100))
    assert not any(record.get("redelivered") for record in records), "none had been sent before"


def test_records_that_may_have_been_written_before_a_crash_are_flagged(absent, tmp_path):
    absent.start()
    with Relay(absent.address, absent.topic, f", spool: {{path: {tmp_path}/spool}}") as relay:
        relay.send(firefly("start", 1))
        relay.wait_for_records(1)
        absent.kill()
        relay.send(firefly("start", 2))  # the client has it, and only then the brokers are known to be away
        wait_for_spooled(relay, 1)
        relay.process.send_signal(signal.SIGKILL)
        relay.process.wait()
        absent.start()
        relay.start()
        relay.wait_for_records(1)
        flags = {record["flow-id"]["src-port"]: record.get("redelivered", False) for record in payloads(absent, absent.topic)}
        assert flags == {1: False, 2: relay.kafka("redelivered") == 1}, "one that was in the client is flagged"


def test_a_full_spool_is_said_and_counted_and_other_backends_go_on(absent, tmp_path):
    options = f", spool: {{path: {tmp_path}/spool, maxBytes: 1 MiB}}"
    with Relay(absent.address, absent.topic, options) as relay:
        relay.wait_for_finding("kafka-unreachable")
        for port in range(1000, 3000):
            relay.send(firefly("start", port))
        relay.wait_for_finding("kafka-spool-full")
        assert relay.kafka("spoolFull") > 0
        absent.start()
        wait_for(lambda: relay.cli("flows")["live"] == len(states_by_port(payloads(absent, absent.topic))), "every live flow in the topic", PATIENCE)
        relay.wait_for_health()


def test_on_a_full_disk_the_spool_is_still_written_to_the_brokers_and_spooling_goes_on_with_room(absent, tmp_path):
    """case C64"""
    disk = tmp_path / "disk"
    disk.mkdir()
    sh("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk))
    try:
        with Relay(absent.address, absent.topic, f", spool: {{path: {disk}/spool, maxBytes: 1 GiB}}") as relay:
            relay.wait_for_finding("kafka-unreachable")
            ports = iter(range(1024, 65000))
            while "kafka-spool-full" not in relay.findings():
                relay.send(*(firefly("start", port) for port in itertools.islice(ports, 500)))
            with contextlib.suppress(OSError), open(disk / "other", "wb", 0) as other:
                while True:
                    other.write(b"x" * 4096)
            assert spool_of(relay)["records"] > 0
            absent.start()
            wait_for(lambda: relay.cli("flows")["live"] == len(states_by_port(payloads(absent, absent.topic))),
                     "every live flow in the topic", PATIENCE)
            (disk / "other").unlink()
            relay.wait_for_health()
            wait_for(lambda: spool_of(relay)["records"] == 0, "the spool to be empty", PATIENCE)
    finally:
        sh("umount", "--lazy", str(disk))


@pytest.mark.parametrize("what", ["a link", "a directory"])
def test_a_path_that_is_not_a_regular_file_is_refused_at_the_start(nowhere, tmp_path, what):
    other = tmp_path / "other"
    other.write_text("other")
    (tmp_path / "spool").symlink_to(other) if what == "a link" else (tmp_path / "spool").mkdir()
    relay = Relay(nowhere, "flows", f", spool: {{path: {tmp_path}/spool}}")
    try:
        relay.start(ready=False)
        assert relay.process.wait(PATIENCE) != 0
        assert "is not a regular file" in relay.log
        assert other.read_text() == "other"
    finally:
        relay.__exit__()


def test_damage_that_is_met_while_the_spool_is_read_is_said_and_counted_and_the_rest_goes_on(absent, tmp_path):
    path = tmp_path / "spool"
    with Relay(absent.address, absent.topic, f", spool: {{path: {path}}}") as relay:
        relay.wait_for_finding("kafka-unreachable")
        for port in range(1024, 7024, 100):
            relay.send(*(firefly("start", one) for one in range(port, port + 100)))
        wait_for_spooled(relay, 6000)
        assert relay.stop() == 0
        shown = json.loads(subprocess.run([str(BINARY), "--json", "kafka", "spool", "--path", str(path)], capture_output=True, text=True,
                                          check=True).stdout)
        kept = shown["records"]  # with an end of each flow, from the stop
        with open(path, "r+b") as file:
            file.seek(path.stat().st_size // 2 // 16384 * 16384)
            file.write(b"x" * 4096)
        absent.start()
        relay.start()
        assert relay.wait_for_finding("kafka-spool-moved")["remedy"]
        wait_for(lambda: relay.kafka("waiting") == 0, "what could be read to be written", PATIENCE)
        lost = relay.kafka("givenUp")["damaged"]
        assert lost == kept - len(payloads(absent, absent.topic)) and 0 < lost < kept, relay.log
        relay.send(firefly("start", 9))
        wait_for(lambda: 9 in states_by_port(payloads(absent, absent.topic)), "the next record", PATIENCE)


def test_two_daemons_with_one_spool_the_second_exits_with_6(nowhere, tmp_path):
    options = f", spool: {{path: {tmp_path}/spool}}"
    second = Relay(nowhere, "flows", options)
    with Relay(nowhere, "flows", options):
        try:
            second.start(ready=False)
            assert second.process.wait(PATIENCE) == 6, second.log
            assert "another process uses the spool" in second.log
        finally:
            second.__exit__()


def test_a_damaged_spool_is_moved_aside_and_said(nowhere, tmp_path):
    (tmp_path / "spool").write_bytes(b"x" * 8192)
    with Relay(nowhere, "flows", f", spool: {{path: {tmp_path}/spool}}") as relay:
        relay.wait_for_finding("kafka-spool-moved")
        assert list(tmp_path.glob("spool.aside-*"))


def test_a_reload_hands_the_spool_over(absent, tmp_path):
    options = f", spool: {{path: {tmp_path}/spool}}"
    with Relay(absent.address, absent.topic, options) as relay:
        relay.wait_for_finding("kafka-unreachable")
        relay.send(firefly("start", 1))
        wait_for_spooled(relay, 1)
        relay.reload(relay.conf.read_text().replace(f"topic: {absent.topic}", f"topic: {absent.topic}, linger: 30ms"))
        wait_for(lambda: relay.details("backend kafka").get("spool"), "the successor to have the spool", PATIENCE)
        absent.start()
        relay.wait_for_records(1)
        wait_for(lambda: "kafka-spool-unusable" not in relay.findings(), "no finding of the spool", PATIENCE)
