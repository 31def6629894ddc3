# SPDX-License-Identifier: Apache-2.0
"""Whatever the others do, the daemon answers, reloads and stops: its main thread waits for nobody."""
import contextlib
import os
import pathlib
import signal
import socket
import tempfile
import threading
import time

import pytest

from tests.harness.daemon import Daemon, preloaded
from tests.harness.lab import wait_for

pytestmark = pytest.mark.usefixtures("status_answers")
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


def test_a_service_manager_that_does_not_read_delays_nothing(lab):
    with Daemon(CONFIGURATION, lab.a) as daemon, Hangups(daemon):
        wait_for(lambda: daemon.cli("status")["daemon"]["reloads"] > 20, "reloads", 60)
        answers_and_stops(daemon)


def test_a_blocked_stderr_delays_nothing(lab, unread_pipe):
    with Daemon(CONFIGURATION, lab.a, prefix=("sh", "-c", f'exec "$@" 2>{unread_pipe}', "--")) as daemon:
        daemon.conf.write_text(BROKEN)
        with Hangups(daemon):
            wait_for(lambda: daemon.cli("status")["daemon"]["reloadsFailed"] > 20, "reloads", 60)
            answers_and_stops(daemon)


def test_clients_cannot_exhaust_all_descriptors(lab):
    """1,100 idle clients of the API on a daemon that may open 1,024 files: everything else goes on."""
    configuration = CONFIGURATION + "  api: {maxConnections: 5000}\nbackends:\n  metrics: {port: 8081}\n"
    with Daemon(configuration, lab.a, prefix=("prlimit", "--nofile=1024:1024")) as daemon, contextlib.ExitStack() as clients:
        for _ in range(1100):
            client = clients.enter_context(lab.a.call(socket.socket, socket.AF_INET, socket.SOCK_STREAM))
            client.connect(("127.0.0.1", 7777))
        api = wait_for(lambda: (daemon.details("plugin api") if daemon.details("plugin api")["overCap"] else None), "503", 60)
        assert 700 < api["connections"] < 1024, api
        wait_for(lambda: "open files" in daemon.log, "a line about it")
        assert lab.a.call(fetch, 8081).startswith(b"HTTP/1.1 200"), "the scrape"
        daemon.reload(configuration + "  firefly: {sendToCollector: true, collectorAddress: 127.0.0.1}\n")
        assert len(daemon.cli("status")["instances"]) == 4, daemon.log
        assert daemon.log.count("open files") == 1, daemon.log
        clients.close()
        wait_for(lambda: lab.a.call(fetch, 7777, "/flows").startswith(b"HTTP/1.1 200"), "service again", 30)


def test_without_a_free_descriptor_listeners_wait_and_serve_again(lab):
    """case C57: 64 files, and 100 idle clients of each listener: one line in the log and a counter each, and no CPU time."""
    configuration = CONFIGURATION + "  api: {}\nbackends:\n  metrics: {port: 8081}\n"
    with Daemon(configuration, lab.a, prefix=("prlimit", "--nofile=64:64")) as daemon, contextlib.ExitStack() as clients:
        for port in (8081, 7777):
            for _ in range(100):
                client = clients.enter_context(lab.a.call(socket.socket, socket.AF_INET, socket.SOCK_STREAM))
                client.connect(("127.0.0.1", port))
        wait_for(lambda: "open files" in daemon.log, "a line about it", 30)

        def ticks():
            fields = pathlib.Path(f"/proc/{daemon.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])

        before = ticks()
        time.sleep(2)
        assert ticks() - before < 50, "a quarter of one processor"
        clients.close()
        wait_for(lambda: lab.a.call(fetch, 7777, "/flows").startswith(b"HTTP/1.1 200"), "the API", 30)
        page = wait_for(lambda: (lambda got: got if got.startswith(b"HTTP/1.1 200") else None)(lab.a.call(fetch, 8081)), "the scrape", 30)
        # Answered 503 as long as a descriptor is left for that; then they wait.
        counted = [line.rsplit(b" ", 1) for line in page.splitlines()
                   if b"_over_cap_total{" in line or b"_not_accepted_total" in line and not line.startswith(b"#")]
        assert len(counted) == 5 and sum(float(value) for _, value in counted) > 0, counted
        assert 0 < daemon.log.count("open files") <= 3, daemon.log
        assert daemon.stop() == 0


@pytest.fixture
def stalled(tmp_path):
    """stalled.begin(), .end(): look-ups of users hang meanwhile, as those of a directory service that does not answer."""
    class Stall:
        flag = tmp_path / "stalled"
        environment = preloaded(tmp_path, """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pwd.h>
#include <time.h>
#include <unistd.h>
int getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size, struct passwd **found) {
    int (*real)(const char *, struct passwd *, char *, size_t, struct passwd **) = (void *)dlsym(RTLD_NEXT, "getpwnam_r");
    const struct timespec moment = {0, 10000000};
    if (access("%s/stalled", F_OK) == 0) creat("%s/called", 0600);
    while (access("%s/stalled", F_OK) == 0) nanosleep(&moment, NULL);
    return real(name, entry, buffer, size, found);
}
""" % (tmp_path, tmp_path, tmp_path))

        def begin(self):
            self.flag.touch()

        def wait(self):
            wait_for((tmp_path / "called").exists, "the look-up")

        def end(self):
            self.flag.unlink(missing_ok=True)

    stall = Stall()
    yield stall
    stall.end()


BY_USER = CONFIGURATION + "  netlink: {early: false, rules: [{user: daemon, experiment: 2, activity: 2}]}\n"


def test_a_slow_user_look_up_delays_nothing(lab, stalled):
    with Daemon(CONFIGURATION, lab.a, environment=stalled.environment) as daemon:
        stalled.begin()
        daemon.reload(BY_USER, wait=False)
        wait_for(lambda: daemon.cli("status")["daemon"]["state"] == "reloading", "the reload")
        for _ in range(20):
            assert daemon.cli("status")["daemon"]["state"] == "reloading"
        stalled.end()
        wait_for(daemon.is_ready, "the end of the reload", 20)
        assert [one["instance"] for one in daemon.cli("status")["instances"]] == ["plugin fireflyp", "plugin netlink"]


@pytest.mark.parametrize("when", ["start", "reload"])
def test_a_stop_does_not_wait_for_a_slow_user_look_up(lab, stalled, when):
    """case C60: a stalled look-up."""
    daemon = Daemon(BY_USER if when == "start" else CONFIGURATION, lab.a, environment=stalled.environment)
    try:
        if when == "start":
            stalled.begin()
            daemon.start(ready=False)
            stalled.wait()
        else:
            daemon.start()
            stalled.begin()
            daemon.reload(BY_USER, wait=False)
            stalled.wait()
            assert daemon.cli("status")["daemon"]["state"] == "reloading"
        assert daemon.stop() == 9, daemon.log
        assert "the configuration is still being read" in daemon.log
    finally:
        daemon.__exit__()


@pytest.fixture
def busy_kernel(tmp_path):
    """busy_kernel.called(), .end(): a look at the kernel's TCP connections (sock_diag) hangs in its system call."""
    class Kernel:
        flag = tmp_path / "busy"
        environment = preloaded(tmp_path, """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = (void *)dlsym(RTLD_NEXT, "sendto");
    const struct timespec moment = {0, 10000000};
    const struct nlmsghdr *header = data;
    if (to && to->sa_family == AF_NETLINK && size > sizeof *header && header->nlmsg_type == SOCK_DIAG_BY_FAMILY) {
        if (access("%s/busy", F_OK) == 0) creat("%s/called", 0600);
        while (access("%s/busy", F_OK) == 0) nanosleep(&moment, NULL);
    }
    return real(fd, data, size, flags, to, length);
}
""" % (tmp_path, tmp_path, tmp_path))

        def called(self):
            return (tmp_path / "called").exists()

        def end(self):
            self.flag.unlink(missing_ok=True)

    kernel = Kernel()
    kernel.flag.touch()
    yield kernel
    kernel.end()


@pytest.fixture
def pipe():
    """pipe.path, pipe.write(text): a pipe for the namedpipe plugin."""
    class Pipe:
        path = pathlib.Path(f"/run/flowd-test-pipe-{os.getpid()}")
        configuration = f"plugins:\n  namedpipe: {{pipePath: {path}}}\n"

        def write(self, text):
            with open(self.path, "wb", 0) as end:
                end.write(text.encode())

    made = Pipe()
    yield made
    made.path.unlink(missing_ok=True)


def lines(state, numbers):
    return "".join(f"{state} tcp 2001:db8::{n >> 16:x} {(n & 0x3fff) + 1} 2001:db8::1:{n >> 14 & 3} 443 2 16\n" for n in numbers)


def test_a_slow_socket_dump_delays_nothing(lab, busy_kernel, pipe):
    with Daemon(pipe.configuration, lab.a, environment=busy_kernel.environment) as daemon:
        pipe.write(lines("start", [1]))
        wait_for(busy_kernel.called, "the look at the sockets", 60)
        daemon.reload(pipe.configuration + "  fireflyp: {}\n")
        assert len(daemon.cli("status")["instances"]) == 2
        for _ in range(20):
            assert daemon.cli("status")["flows"]["live"] == 1
        busy_kernel.end()
        answers_and_stops(daemon)


def test_a_stop_does_not_wait_for_a_slow_socket_dump(lab, busy_kernel, pipe):
    with Daemon(pipe.configuration, lab.a, environment=busy_kernel.environment) as daemon:
        pipe.write(lines("start", [1]))
        wait_for(busy_kernel.called, "the look at the sockets", 60)
        assert daemon.stop() == 9
        assert "sock_diag) is still running" in daemon.log


def explain_all(daemon, count):
    """The answers are bounded, however many flows there are."""
    one = daemon.cli("flows", "--limit", "1")["flows"][0]
    tag = one["experimentId"] << 6 | one["activityId"]
    for kind, words in {"flow": ("tcp", one["source"], one["destination"]), "tag": (str(tag),)}.items():
        asked = time.monotonic()
        answer = daemon.cli("explain", *words)
        print(f"explain by {kind} took {time.monotonic() - asked:.3f} s")
        assert answer["state"] == "live" if kind == "flow" else (answer["liveFlows"], len(answer["flows"])) == (count, 20)


def test_very_many_flows_start_and_end_with_their_plugin(lab, pipe):
    """100,000 flows; a million with FLOWD_LONG=1. `status` answers while they start, expire and are withdrawn."""
    count = 1_000_000 if os.environ.get("FLOWD_LONG") else 100_000
    configuration = pipe.configuration + "backends:\n  firefly: {sendToCollector: true, collectorAddress: 127.0.0.1}\n"
    slowest, over = [0.0], threading.Event()

    with Daemon(configuration, lab.a) as daemon:
        def ask():
            while not over.wait(0.1):
                asked = time.monotonic()
                daemon.cli("status")
                slowest[0] = max(slowest[0], time.monotonic() - asked)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            for first in range(0, count, 10_000):
                pipe.write(lines("start", range(first, min(first + 10_000, count))))
            wait_for(lambda: daemon.cli("status")["flows"]["live"] == count, "all flows", 120)
            daemon.cli("flows", "--limit", "100000")
            explain_all(daemon, count)
            daemon.reload(configuration.replace("firefly:", "firefly/another:"))
            wait_for(lambda: daemon.edge("firefly/another")["start"] == count, "all flows told again", 120)
            daemon.reload("plugins:\n  fireflyp: {}\n" + configuration[configuration.index("backends"):], wait=False)
            wait_for(lambda: daemon.cli("status")["flows"]["live"] == 0, "the end of the flows", 120)
            wait_for(lambda: daemon.edge("firefly")["end"] == count, "all ends told", 120)
        finally:
            over.set()
            asking.join()
        print(f"the slowest answer took {slowest[0]:.2f} s")
        assert slowest[0] < 10, "a second on an idle machine"
        assert daemon.stop() in (0, 10), "10: there is no collector that takes the fireflies"


def fetch(port, path="/metrics"):
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))
