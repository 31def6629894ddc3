# SPDX-License-Identifier: Apache-2.0
"""A name server for tests: answers every AAAA query with one address, or fails, or says nothing."""
import ipaddress
import pathlib
import shutil
import struct

from .lab import wait_for
from .responder import Responder

AAAA, NOERROR, SERVFAIL = 28, 0, 2


class NameServer(Responder):
    """with NameServer(host, address): ...   `address`: what is answered; None: SERVFAIL. `silent`: nothing is.
    Programs that `ip netns exec` starts on that host ask this server; `timeout` is how long they wait for it."""

    def __init__(self, host, address, timeout=3):
        super().__init__(host, "127.0.0.1", 53)
        self.address, self.silent, self.queries = address, False, 0
        self.directory = pathlib.Path("/etc/netns") / host.name
        self.timeout = timeout

    def __enter__(self):
        self.directory.mkdir(parents=True)
        (self.directory / "resolv.conf").write_text(
            f"nameserver 127.0.0.1\noptions timeout:{self.timeout} attempts:1\n")
        return super().__enter__()

    def __exit__(self, *_):
        super().__exit__()
        shutil.rmtree(self.directory)

    def wait_for_query(self):
        before = self.queries
        wait_for(lambda: self.queries > before, "a query to the name server")

    def answer(self, query, _):
        self.queries += 1
        return None if self.silent else self._answer(query)

    def _answer(self, query):
        name_end = query.index(b"\0", 12) + 1
        question = query[12:name_end + 4]
        (kind,) = struct.unpack(">H", question[-4:-2])
        records = b""
        if self.address and kind == AAAA:
            packed = ipaddress.IPv6Address(self.address).packed
            records = struct.pack(">HHHIH", 0xC00C, AAAA, 1, 0, len(packed)) + packed
        code = NOERROR if self.address else SERVFAIL
        return query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 1 if records else 0, 0, 0) + question + records
