# SPDX-License-Identifier: Apache-2.0
"""Whether daemons answer `status` all the time, whatever a test does to them."""
import contextlib
import json
import os
import socket
import struct
import threading
import time

from .daemon import Daemon

# One second suffices on an idle machine: FLOWD_ANSWER_SECONDS=1.
SECONDS = float(os.environ.get("FLOWD_ANSWER_SECONDS", "10"))


REQUEST = struct.pack("<I", 6) + b"status"  # core/control/protocol.hpp


def ask(control):
    """One `status`; false when the daemon is not there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(2 * SECONDS)
        try:
            connection.connect(str(control))
            connection.sendall(REQUEST)
            return len(b"".join(iter(lambda: connection.recv(65536), b""))) > 8
        except TimeoutError:
            return True  # late, and counted as such
        except OSError:
            return False


def ask_at_once(control, count):
    """The answers to so many `status`, all of them asked before the first is read."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) for _ in range(count)]
        for connection in connections:
            connection.connect(str(control))
        for connection in connections:
            connection.sendall(REQUEST)
        return [json.loads(b"".join(iter(lambda: connection.recv(65536), b""))[8:]) for connection in connections]


class Answers:
    """with Answers() as answers: ...; answers.slowest   Each daemon that becomes ready meanwhile is asked until it ends."""

    def __init__(self):
        self.slowest, self.count, self.threads = 0.0, 0, []

    def _ask(self, process, control):
        while process.poll() is None:
            asked = time.monotonic()
            if ask(control):
                self.slowest, self.count = max(self.slowest, time.monotonic() - asked), self.count + 1
            time.sleep(0.1)  # the rate of the requests

    def watch(self, daemon):
        if all(process is not daemon.process for process, _ in self.threads):
            self.threads.append((daemon.process, threading.Thread(target=self._ask, args=(daemon.process, daemon.control))))
            self.threads[-1][1].start()

    def __enter__(self):
        Daemon.observer = self
        return self

    def __exit__(self, *_):
        Daemon.observer = None
        for _, thread in self.threads:
            thread.join()
