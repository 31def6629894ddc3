# SPDX-License-Identifier: Apache-2.0
"""A collector of fireflies, as strict as the reference one: what has no RFC 5424 header with a real timestamp is refused."""
import json
import re
import socket
import threading

from .lab import wait_for

SO_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it
HEADER = re.compile(
    r"^<(?P<priority>\d{1,3})>1 (?P<timestamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) "
    r"(?P<host>\S+) (?P<application>\S+) (?P<process>\S+) (?P<message>\S+) (?P<data>-) (?P<json>\{.*\})$", re.S)


class Collector:
    """Listens on a host until closed. `fireflies` holds what was understood, `refused` the rest."""

    def __init__(self, host, port=10514, buffer=16 << 20):
        def bind():
            sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer)  # beyond net.core.rmem_max
            sock.bind(("::", port))
            sock.settimeout(0.1)
            return sock

        self.socket = host.call(bind)
        self.fireflies, self.refused = [], []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._receive)
        self._thread.start()

    def _receive(self):
        while not self._closing.is_set():
            try:
                datagram = self.socket.recv(65536)
            except socket.timeout:
                continue
            self.take(datagram)

    def take(self, datagram):
        match = HEADER.match(datagram.decode("utf-8", "replace"))
        try:
            self.fireflies.append(json.loads(match["json"]))
        except (TypeError, ValueError):
            self.refused.append(datagram)

    def wait_for_count(self, count, seconds=10.0):
        wait_for(lambda: len(self.fireflies) >= count, f"{count} fireflies (have {len(self.fireflies)})", seconds)

    def close(self):
        self._closing.set()
        self._thread.join()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
