# SPDX-License-Identifier: Apache-2.0
"""HTTP to a daemon in a network namespace, or at its Unix socket."""
import http.client
import json
import socket


class Api:
    """with Api(connect) as api: api.post(flow)   connect() gives a connected socket."""

    def __init__(self, connect, headers=None):
        self.connect, self.headers = connect, dict(headers or {})
        self.connection = http.client.HTTPConnection("flowd.test")
        self.connection.sock = connect()
        self.connection.auto_open = 0

    @classmethod
    def at(cls, host, port=7777, address="127.0.0.1", headers=None):
        return cls(lambda: host.call(socket.create_connection, (address, port), 10), headers)

    @classmethod
    def at_path(cls, path):
        def connect():
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.connect(str(path))
            sock.settimeout(10)
            return sock
        return cls(connect)

    def ask(self, method, path, body=None, **headers):
        """(status, headers, decoded body)"""
        self.connection.request(method, path, body, self.headers | {k.replace("_", "-"): v for k, v in headers.items()})
        response = self.connection.getresponse()
        text = response.read()
        if response.will_close:
            self.connection.sock = self.connect()
        if response.headers["Content-Type"] == "application/x-ndjson":
            return response.status, response.headers, [json.loads(line) for line in text.splitlines()]
        return response.status, response.headers, json.loads(text) if text else None

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def post(self, flow, path="/flow", **headers):
        body = flow if isinstance(flow, (bytes, str)) else json.dumps(flow)
        return self.ask("POST", path, body, **({"Content_Type": "application/json"} | headers))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()
