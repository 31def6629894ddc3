# SPDX-License-Identifier: Apache-2.0
"""Whatever the others do, the daemon answers, reloads and stops: its main thread waits for nobody."""
import os
import pathlib
import signal
import tempfile
import threading
import time

import pytest

from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for

CONFIGURATION = "plugins:\n  fireflyp: {}\n"
BROKEN = CONFIGURATION + "backends:\n" + "".join(f"  nothing/{i}: {{}}\n" for i in range(100))


class Hangups:
    """with Hangups(daemon): ...   100 SIGHUPs a second."""

    def __init__(self, daemon):
        self.daemon, self.over = daemon, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.wait(0.01) and self.daemon.process.poll() is None:
            self.daemon.process.send_signal(signal.SIGHUP)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def answers_and_stops(daemon):
    """Asks for a while, whatever goes on, then stops the daemon."""
    slowest = 0.0
    for _ in range(20):
        asked = time.monotonic()
        assert daemon.cli("status")["daemon"]["pid"] == daemon.process.pid
        slowest = max(slowest, time.monotonic() - asked)
        time.sleep(0.1)
    print(f"the slowest answer took {slowest:.2f} s")
    assert slowest < 10, "a second on an idle machine"
    assert daemon.stop() == 0


@pytest.fixture
def unread_pipe():
    """A FIFO that is open, with nobody who reads."""
    with tempfile.TemporaryDirectory(prefix="flowd-test-", dir="/run") as directory:
        path = pathlib.Path(directory) / "stderr"
        os.mkfifo(path)
        end = os.open(path, os.O_RDWR)
        yield path
        os.close(end)


def test_a_service_manager_that_reads_no_notification(lab):
    with Daemon(CONFIGURATION, lab.a) as daemon, Hangups(daemon):
        wait_for(lambda: daemon.cli("status")["daemon"]["reloads"] > 20, "reloads", 60)
        answers_and_stops(daemon)


def test_a_reader_of_stderr_that_reads_nothing(lab, unread_pipe):
    with Daemon(CONFIGURATION, lab.a, prefix=("sh", "-c", f'exec "$@" 2>{unread_pipe}', "--")) as daemon:
        daemon.conf.write_text(BROKEN)
        with Hangups(daemon):
            wait_for(lambda: daemon.cli("status")["daemon"]["reloadsFailed"] > 20, "reloads", 60)
            answers_and_stops(daemon)
