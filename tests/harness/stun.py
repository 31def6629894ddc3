# SPDX-License-Identifier: Apache-2.0
"""A STUN server for tests (RFC 8489): tells every client one public address, or says nothing, or answers what nobody asked."""
import ipaddress
import socket
import struct
import threading

from .lab import wait_for

BINDING_REQUEST, BINDING_SUCCESS, XOR_MAPPED_ADDRESS, IPV4 = 0x0001, 0x0101, 0x0020, 1
COOKIE = 0x2112A442


class StunServer:
    """with StunServer(host, "198.51.100.7") as server: ...   `address` None: silent. `wrong_id`: answers to another request."""

    def __init__(self, host, address=None, port=3478, wrong_id=False):
        self.host, self.address, self.port, self.wrong_id = host, address, port, wrong_id
        self.clients, self.malformed = [], []
        self.closing = threading.Event()

    @property
    def name(self):
        return f"{self.host.address4}:{self.port}"

    def __enter__(self):
        def bind():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((self.host.address4, self.port))
            sock.settimeout(0.1)
            return sock

        self.socket = self.host.call(bind)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.thread.join()
        self.socket.close()

    def wait_for_requests(self, count, seconds=10.0):
        wait_for(lambda: len(self.clients) >= count, f"{count} requests to {self.name} (have {len(self.clients)})", seconds)

    def _serve(self):
        while not self.closing.is_set():
            try:
                request, client = self.socket.recvfrom(2048)
            except socket.timeout:
                continue
            if len(request) != 20 or struct.unpack(">HHI", request[:8]) != (BINDING_REQUEST, 0, COOKIE):
                self.malformed.append(request)
                continue
            self.clients.append(client)
            if self.address:
                self.socket.sendto(self._answer(request[8:], client[1]), client)

    def _answer(self, identity, port):
        if self.wrong_id:
            identity = bytes(12)
        address = int(ipaddress.IPv4Address(self.address)) ^ COOKIE
        attribute = struct.pack(">HHBBHI", XOR_MAPPED_ADDRESS, 8, 0, IPV4, port ^ (COOKIE >> 16), address)
        return struct.pack(">HHI", BINDING_SUCCESS, len(attribute), COOKIE) + identity + attribute
