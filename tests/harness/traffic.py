# SPDX-License-Identifier: Apache-2.0
"""Real traffic between the two hosts, and the fireflies of a storage service that announces it."""
import datetime
import json
import socket
import threading


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")


class TcpServer:
    """Accepts one connection after another and reads them to their end."""

    def __init__(self, host, port):
        def listen():
            sock = socket.create_server((host.address6, port), family=socket.AF_INET6)
            sock.settimeout(10)
            return sock

        self.socket, self.received = host.call(listen), 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(65536):
                    self.received += len(data)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self._thread.join()


class UdpServer:
    """A port that takes datagrams, so that nobody is told that it is closed."""

    def __init__(self, host, port):
        def bind():
            sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            sock.bind((host.address6, port))
            return sock

        self.socket = host.call(bind)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def tcp_client(host, peer, port):
    sock = host.call(socket.create_connection, (peer.address6, port), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # one packet a write, so that packets can be counted
    return sock


def udp_client(host, peer, port):
    def connect():
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.bind((host.address6, 0))
        sock.connect((peer.address6, port))
        return sock

    return host.call(connect)


class Announcer:
    """Sends fireflies about sockets of a host to the daemon there, as XRootD and dCache do."""

    def __init__(self, host, application="xrootd", address=("127.0.0.1", 10514)):
        self.application, self.address = application, address
        self.socket = host.call(socket.socket, socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)

    def announce(self, state, sock, experiment, activity, started, sent=0, received=0):
        source, destination = sock.getsockname(), sock.getpeername()
        protocol = "tcp" if sock.type == socket.SOCK_STREAM else "udp"
        lifecycle = {"state": state, "current-time": now(), "start-time": started}
        if state == "end":
            lifecycle["end-time"] = now()
        firefly = {
            "version": 1, "flow-lifecycle": lifecycle, "usage": {"received": received, "sent": sent},
            "context": {"experiment-id": experiment, "activity-id": activity, "application": self.application},
            "flow-id": {"afi": "ipv6", "src-ip": source[0], "dst-ip": destination[0], "protocol": protocol,
                        "src-port": source[1], "dst-port": destination[1]}}
        header = f"<134>1 {now()} storage.example.org {self.application} - firefly-json - "
        self.socket.sendto((header + json.dumps(firefly)).encode(), self.address)

    def close(self):
        self.socket.close()
