# SPDX-License-Identifier: Apache-2.0
"""The named pipe as StoRM WebDAV, NGINX and scripts use it, with the real daemon."""
import os
import pathlib
import signal
import stat

import pytest

from tests.harness.collector import Collector
from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for
from tests.harness.pairs import destination, expect_every_pair, source_port

SAMPLE = pathlib.Path(__file__).resolve().parents[1] / "data" / "samples" / "namedpipe.txt"


class Pipe:
    """A folder of its own for a pipe, removed at the end."""

    def __init__(self):
        self.path = pathlib.Path(f"/run/flowd-test-pipe-{os.getpid()}")
        self.configuration = (f"plugins:\n  namedPipe:\n    maxReaders: 5\n    buffSize: 1000\n    pipePath: {self.path}\n"
                              "backends:\n  marker:\n    targetInterfaces: [eth0]\n  firefly:\n    sendToCollector: true\n"
                              '    collectorAddress: "fd5c:17a6:5::b"\n')

    def write(self, text):
        # As a shell or Java does it: no reader would mean waiting, a regular file would mean that nobody listens.
        descriptor = os.open(self.path, os.O_WRONLY)
        try:
            assert stat.S_ISFIFO(os.fstat(descriptor).st_mode)
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.path.unlink(missing_ok=True)


@pytest.fixture
def pipe():
    with Pipe() as one:
        yield one


def line(state, number=0):
    return f"{state} tcp fd5c:17a6:5::a {source_port(number)} {destination(number)} 1094 2 16\n"


def states(collector):
    return [message["flow-lifecycle"]["state"] for message in collector.fireflies]


def test_a_hundred_thousand_flows_reach_both_backends_once_in_order(lab, pipe):
    pairs = 100_000
    with Collector(lab.b) as collector, Daemon(pipe.configuration, lab.a) as daemon:
        with open(pipe.path, "wb", buffering=0) as writer:
            for first in range(0, pairs, 50):
                writer.write("".join(line("start", n) + line("end", n) for n in range(first, first + 50)).encode())
                # The collector, a Python program, is the slowest: keep its socket from overflowing.
                wait_for(lambda: len(collector.fireflies) > 2 * first - 5_000, "the collector to keep up")
        expect_every_pair(collector, daemon, pairs)
        status = daemon.details("plugin namedpipe")
        assert status["announced"] == {"start": pairs, "ongoing": 0, "end": pairs} and status["refused"] == 0
        assert daemon.stop() == 0


def test_every_known_form_of_line_is_parsed(lab, pipe):
    lines = [text for text in SAMPLE.read_text().splitlines() if text and not text.startswith("#")]
    with Collector(lab.b), Daemon(pipe.configuration, lab.a) as daemon:
        pipe.write("".join(text + "\n" for text in lines))
        wait_for(lambda: daemon.details("plugin namedpipe")["lines"] == len(lines), "every line")
        status = daemon.details("plugin namedpipe")
        assert status["refused"] == 0, status
        assert sum(status["announced"].values()) == len(lines)
        # StoRM's start of line 4 was ended by NGINX's line 5: brackets, case and the order of the ids are no part of a flow.
        live = {(flow["source"], flow["destination"]) for flow in daemon.cli("flows")["flows"]}
        assert not any("38084" in destination and ":8443" in source for source, destination in live), live


def test_a_writer_that_keeps_the_pipe_open_outlives_restarts(lab, pipe):
    with Collector(lab.b) as collector:
        with Daemon(pipe.configuration, lab.a) as daemon:
            nginx = os.open(pipe.path, os.O_WRONLY | os.O_APPEND)
            os.write(nginx, line("start").encode())
            collector.wait_for_count(1)
            assert daemon.stop() == 0
        assert stat.S_ISFIFO(pipe.path.stat().st_mode) and stat.S_IMODE(pipe.path.stat().st_mode) == 0o666
        with Daemon(pipe.configuration, lab.a):
            before = len(collector.fireflies)
            os.write(nginx, line("start", 1).encode())
            collector.wait_for_count(before + 1)
            os.close(nginx)


def test_after_kill_9_the_pipe_is_reused(lab, pipe):
    with Collector(lab.b) as collector:
        first = Daemon(pipe.configuration, lab.a)
        first.start()
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        first.__exit__()
        with Daemon(pipe.configuration, lab.a):
            pipe.write(line("start"))
            collector.wait_for_count(1)


def test_a_reload_keeps_the_pipe_and_every_line(lab, pipe):
    with Collector(lab.b) as collector, Daemon(pipe.configuration, lab.a) as daemon:
        with open(pipe.path, "wb", buffering=0) as writer:
            sent = 0
            for size in (100, 4096, 1000):
                writer.write("".join(line("start", sent + i) for i in range(200)).encode())
                writer.write(line("start", sent + 200)[:30].encode())
                daemon.reload(pipe.configuration.replace("buffSize: 1000", f"buffSize: {size}"))
                writer.write(line("start", sent + 200)[30:].encode())
                sent += 201
            collector.wait_for_count(sent)
        assert daemon.details("plugin namedpipe")["refused"] == 0


def test_lines_written_before_the_start_are_kept_by_systemd(lab, pipe):
    os.mkfifo(pipe.path)
    # As a socket unit with ListenFIFO= does it: the pipe is open before the daemon is there.
    held = os.open(pipe.path, os.O_RDWR)
    os.write(held, line("start").encode())
    activation = ["bash", "-c", f'exec 3<>{pipe.path}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"', "--"]
    with Collector(lab.b) as collector, Daemon(pipe.configuration, lab.a, prefix=activation):
        collector.wait_for_count(1)
        os.write(held, line("end").encode())
        collector.wait_for_count(2)
        assert states(collector) == ["start", "end"]
    os.close(held)


def test_hostile_bytes_are_counted_and_refused(lab, pipe):
    with Collector(lab.b) as collector, Daemon(pipe.configuration, lab.a) as daemon:
        for text in (b"\0" * 5000 + b"\n", b"\xff" * 100_000 + b"\n", b"\n" * 10_000, b"start tcp ::1 1 ::2 2 1\n",
                     b"start tcp :: 0 :: 0 1 2\n", b"\x1b[2Jstart\n"):
            with open(pipe.path, "wb", buffering=0) as writer:
                writer.write(text)
        pipe.write(line("start"))
        collector.wait_for_count(1)
        status = daemon.details("plugin namedpipe")
        assert status["refusals"] == {"too_long": 2, "field_count": 2, "bad_address": 1}, status
        assert len(collector.fireflies) == 1


def test_the_pipe_has_higher_precedence_than_a_meter_and_the_same_as_a_firefly(lab, pipe):
    configuration = pipe.configuration.replace("plugins:\n", "plugins:\n  perfsonar: {experimentId: 14, activityId: 2}\n")
    with Collector(lab.b) as collector, Daemon(configuration, lab.a) as daemon:
        pipe.write(line("start"))
        collector.wait_for_count(1)
        assert collector.fireflies[0]["context"]["experiment-id"] == 2
        assert daemon.cli("flows")["live"] == 1
