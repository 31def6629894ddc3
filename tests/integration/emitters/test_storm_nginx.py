# SPDX-License-Identifier: Apache-2.0
"""StoRM WebDAV behind NGINX: Java writes the starts into the pipe, the real NGINX the ends, in the form of StoRM's documentation."""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess

import pytest

from tests.harness.capture import Capture, flows
from tests.harness.daemon import Daemon
from tests.harness.lab import wait_for
from tests.harness.labels import decode

HERE = pathlib.Path(__file__).parent
PATIENCE = 60
TAG = 2, 8
# The log format has the ids in the wrong order, as in the documentation: an end is matched by addresses and ports.
CONFIGURATION = """\
user www-data;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    log_format flowd 'end tcp $server_addr $server_port $remote_addr $remote_port $upstream_http_x_scitag_actid $upstream_http_x_scitag_expid';
    map $remote_addr $remote {{ ~: "[$remote_addr]"; default $remote_addr; }}
    map $server_addr $local {{ ~: "[$server_addr]"; default $server_addr; }}
    server {{
        listen [::]:8443;
        listen 8443;
        location /.storm-webdav/internal/get {{
            internal;
            alias /;
            sendfile on;
            if ($upstream_http_x_scitag_actid) {{ access_log {pipe} flowd; }}
        }}
        location / {{
            proxy_pass http://127.0.0.1:{port};
            proxy_http_version 1.1;
            proxy_set_header Forwarded 'by="$local:$server_port";for="$remote:$remote_port";proto=$scheme';
        }}
    }}
}}
"""


class Storage:
    """StoRM and NGINX on host a. NGINX's configuration: the pipe's path and StoRM's port."""

    def __init__(self, lab, folder):
        self.lab, self.folder, self.pipe = lab, folder, folder / "flowd"
        self.file = folder / "file"
        self.file.write_bytes(bytes(16 << 20))
        self.processes = []

    def __enter__(self):
        storm = self.lab.a.popen("java", "-Xshare:auto", str(HERE / "Storm.java"), str(self.pipe), str(self.folder), stdout=subprocess.PIPE,
                                 text=True)
        self.processes.append(storm)
        port = int(storm.stdout.readline())
        configuration = self.folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(folder=self.folder, pipe=self.pipe, port=port))
        self.nginx = self.lab.a.popen("nginx", "-c", str(configuration), "-g", "daemon off;", stderr=subprocess.DEVNULL)
        self.processes.append(self.nginx)
        wait_for(lambda: ":8443" in self.lab.a.run("ss", "-Hltn").stdout, "nginx to listen", PATIENCE)
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
            process.wait()

    @contextlib.contextmanager
    def download(self, address, sock=None):
        """A download by host b whose answer has begun. It ends with the block; the key of its flow."""
        sock = sock or self.lab.b.call(socket.create_connection, (address, 8443), PATIENCE)
        sock.sendall(f"GET /file HTTP/1.1\r\nHost: a\r\nSciTag: {TAG[0] << 6 | TAG[1]}\r\n\r\n".encode())
        with sock.makefile("rb") as answer:
            assert answer.readline().startswith(b"HTTP/1.1 200 ")
            headers = dict(line.decode().rstrip().lower().split(": ", 1) for line in iter(answer.readline, b"\r\n"))
            yield (*sock.getpeername()[:2], *sock.getsockname()[:2])
            assert len(answer.read(int(headers["content-length"]))) == 16 << 20


def configuration(folder, lab):
    return (f"plugins:\n  namedpipe: {{pipePath: {folder / 'flowd'}}}\nbackends:\n  marker: {{targetInterfaces: [eth0]}}\n"
            f'  firefly: {{sendToDestination: false, sendToCollector: true, collectorAddress: "{lab.b.address6}"}}\n')


def heard(collector, state):
    return [(flow["src-ip"], flow["src-port"], flow["dst-ip"], flow["dst-port"])
            for one in list(collector.fireflies) if one["flow-lifecycle"]["state"] == state for flow in [one["flow-id"]]]


@pytest.mark.parametrize("version", [6, 4])
def test_a_download_is_announced_while_it_runs_and_ends_when_nginx_has_sent_it(lab, collector, folder, version):
    address = lab.a.address6 if version == 6 else lab.a.address4
    with Daemon(configuration(folder, lab), lab.a) as daemon, Storage(lab, folder) as storage, Capture(lab.b) as capture:
        with storage.download(address) as key:
            wait_for(lambda: key in heard(collector, "start"), "the start", PATIENCE)
            if version == 6:
                wait_for(lambda: daemon.cli("marker", "status")["flows"] == 1, "the flow in the marker", PATIENCE)
            assert heard(collector, "end") == []
        wait_for(lambda: key in heard(collector, "end"), "the end", PATIENCE)
        assert daemon.details("plugin namedpipe")["refused"] == 0
        assert daemon.stop() == 0
        assert heard(collector, "start") == heard(collector, "end") == [key]
        assert {(one["context"]["experiment-id"], one["context"]["activity-id"]) for one in collector.fireflies} == {TAG}
        if version == 6:
            labels = flows(capture.packets())[(*key, "tcp")]
            assert TAG in [decode(label) for label in labels], "what was sent after the announcement has the tag"
        capture.remove()


def test_downloads_on_one_connection_are_flows_one_after_the_other(lab, collector, folder):
    with Daemon(configuration(folder, lab), lab.a) as daemon, Storage(lab, folder) as storage:
        with lab.b.call(socket.create_connection, (lab.a.address6, 8443), PATIENCE) as sock:
            for count in (1, 2, 3):
                with storage.download(lab.a.address6, sock) as key:
                    wait_for(lambda: len(heard(collector, "start")) == count, "the start", PATIENCE)
                wait_for(lambda: len(heard(collector, "end")) == count, "the end", PATIENCE)
        assert daemon.stop() == 0
    states = [(one["flow-lifecycle"]["state"], *key) for one in collector.fireflies]
    assert states == [("start", *key), ("end", *key)] * 3


def test_nginx_keeps_the_pipe_over_a_restart_of_the_daemon_and_a_rotation_of_its_logs(lab, collector, folder):
    with Daemon(configuration(folder, lab), lab.a) as daemon, Storage(lab, folder) as storage:
        for count, interruption in enumerate((None, "restart", "rotation"), 1):
            if interruption == "restart":
                assert daemon.stop() == 0
                daemon.start()
            elif interruption == "rotation":
                inode = os.stat(storage.pipe).st_ino
                storage.nginx.send_signal(signal.SIGUSR1)  # opens its logs again, as logrotate asks
                wait_for(lambda: "reopening logs" in (folder / "error.log").read_text(), "the rotation", PATIENCE)
                assert os.stat(storage.pipe).st_ino == inode
            with storage.download(lab.a.address6) as key:
                wait_for(lambda: key in heard(collector, "start"), "the start", PATIENCE)
            wait_for(lambda: key in heard(collector, "end"), "the end", PATIENCE)
        assert daemon.stop() == 0
    assert len(heard(collector, "start")) == len(heard(collector, "end")) == 3
