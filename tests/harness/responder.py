# SPDX-License-Identifier: Apache-2.0
"""A UDP server for tests, on a thread of its own: whoever derives from it says what is answered."""
import socket
import threading


class Responder:
    """with Responder(host, address, port) as server: ..."""

    def __init__(self, host, address, port):
        self.host, self.bound_to, self.port = host, address, port
        self.closing = threading.Event()

    def answer(self, request, peer):
        """The datagram that goes back to `peer`; None: nothing does. On the server's thread."""
        raise NotImplementedError

    def __enter__(self):
        def bind():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((self.bound_to, self.port))
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

    def _serve(self):
        while not self.closing.is_set():
            try:
                request, peer = self.socket.recvfrom(2048)
            except socket.timeout:
                continue
            answer = self.answer(request, peer)
            if answer is not None:
                self.socket.sendto(answer, peer)
