# SPDX-License-Identifier: Apache-2.0
"""A STUN server for tests (RFC 8489): tells every client one public address, or says nothing, or answers what nobody asked."""
import ipaddress
import struct

from .lab import wait_for
from .responder import Responder

BINDING_REQUEST, BINDING_SUCCESS, XOR_MAPPED_ADDRESS, IPV4 = 0x0001, 0x0101, 0x0020, 1
COOKIE = 0x2112A442


class StunServer(Responder):
    """with StunServer(host, "198.51.100.7") as server: ...   `address` None: silent. `wrong_id`: answers to another request."""

    def __init__(self, host, address=None, port=3478, wrong_id=False):
        super().__init__(host, host.address4, port)
        self.address, self.wrong_id = address, wrong_id
        self.clients, self.malformed = [], []

    @property
    def name(self):
        return f"{self.host.address4}:{self.port}"

    def wait_for_requests(self, count, seconds=10.0):
        wait_for(lambda: len(self.clients) >= count, f"{count} requests to {self.name} (have {len(self.clients)})", seconds)

    def answer(self, request, client):
        if len(request) != 20 or struct.unpack(">HHI", request[:8]) != (BINDING_REQUEST, 0, COOKIE):
            self.malformed.append(request)
            return None
        self.clients.append(client)
        return self._answer(request[8:], client[1]) if self.address else None

    def _answer(self, identity, port):
        if self.wrong_id:
            identity = bytes(12)
        address = int(ipaddress.IPv4Address(self.address)) ^ COOKIE
        attribute = struct.pack(">HHBBHI", XOR_MAPPED_ADDRESS, 8, 0, IPV4, port ^ (COOKIE >> 16), address)
        return struct.pack(">HHI", BINDING_SUCCESS, len(attribute), COOKIE) + identity + attribute
