# SPDX-License-Identifier: Apache-2.0
"""flowd-cpp as it is run by a service manager: started, waited for by sd_notify, asked, reloaded, stopped; its descriptors kept."""
import fcntl
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

from .lab import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("FLOWD_BUILD", ROOT / "build" / "release"))
BINARY = BUILD / "bin" / "flowd-cpp"


def preloaded(directory, source):
    """The environment that puts a piece of C in front of the C library."""
    (directory / "preload.c").write_text(source)
    library = directory / "preload.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(directory / "preload.c"), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library)}


class Daemon:
    """with Daemon(configuration_text, host) as daemon: ...   host None: in the present namespace."""

    observer = None  # told of each daemon that becomes ready: tests/harness/answers.py

    def __init__(self, configuration, host=None, arguments=(), environment=None, prefix=(), pass_fds=()):
        self.host, self.prefix, self.pass_fds = host, list(prefix), tuple(pass_fds)
        # A directory of root below /run: the daemon refuses configurations that others could replace.
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="flowd-test-", dir="/run"))
        self.conf = self.directory / "conf.yaml"
        self.control = self.directory / "control"
        self.conf.write_text(configuration)
        self.arguments, self.environment = list(arguments), dict(environment or {})
        self.log_path = self.directory / "log"
        self.process, self.notified = None, []
        self.stored = {}  # name: descriptor, kept for the daemon that is started next

    def start(self, ready=True):
        self.notified.clear()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify_path = self.directory / "notify"
        notify_path.unlink(missing_ok=True)
        self.notify.bind(str(notify_path))
        notify_path.chmod(0o666)  # the daemon may run as another user
        self.notify.setblocking(False)
        command = [*self.prefix, *self.activation(), str(BINARY), "run", "--conf", str(self.conf), "--control", str(self.control),
                   *self.arguments]
        if self.host:
            command = ["ip", "netns", "exec", self.host.name, *command]
        environment = os.environ | {"NOTIFY_SOCKET": str(notify_path)} | self.environment
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment,
                                            pass_fds=[*self.pass_fds, *self.stored.values()])
        if ready:
            wait_for(self.is_ready, "READY=1 of the daemon, its log:\n" + self.log, 20)
        return self

    def activation(self):
        """The words in front of the command that give it what is stored, as sd_listen_fds(3) wants it."""
        if not self.stored:
            return []
        moves = " ".join(f"{3 + i}<&{fd} {fd}<&-" for i, fd in enumerate(self.stored.values()))
        return ["bash", "-c", f"exec {moves}; export LISTEN_PID=$$ LISTEN_FDS={len(self.stored)} "
                f"LISTEN_FDNAMES='{':'.join(self.stored)}'; exec \"$@\"", "--"]

    def states(self):
        while True:
            try:
                message, fds, _, _ = socket.recv_fds(self.notify, 65536, 16)
            except BlockingIOError:
                return self.notified
            lines = message.decode().splitlines()
            self.notified.extend(lines)
            self.keep([line.removeprefix("FDNAME=") for line in lines if line.startswith("FDNAME=")], fds,
                      "FDSTOREREMOVE=1" in lines)

    def keep(self, names, fds, removed):
        for name in names:
            if removed and name in self.stored:
                os.close(self.stored.pop(name))
        for name, fd in zip(names, fds):
            if name in self.stored:
                os.close(self.stored[name])
            self.stored[name] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100)  # above the descriptors that are passed on
        for fd in fds:
            os.close(fd)

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log}")
        ready = "READY=1" in self.states()
        if ready and self.observer:
            self.observer.watch(self)
        return ready

    @property
    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def cli(self, *words, check=True):
        """The answer of `flowd-cpp WORDS --json` from this daemon, decoded."""
        done = subprocess.run([str(BINARY), "--control", str(self.control), "--json", *words], capture_output=True, text=True)
        if check and done.returncode != 0:
            raise AssertionError(f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}\n{self.log}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def details(self, instance):
        """What an instance adds to `status`."""
        # An answer does not wait for an instance that is busy.
        def answer():
            details = self.cli("status")["details"][instance]
            return [details["status"]] if "status" in details else None

        return wait_for(answer, f"the status of {instance}", 60)[0]

    def edge(self, backend):
        """The counters in front of a backend."""
        return next(entry for entry in self.cli("status")["queues"] if entry["backend"] == backend)

    def reload(self, configuration, wait=True):
        self.conf.write_text(configuration)
        self.notified.clear()
        self.process.send_signal(signal.SIGHUP)
        if wait:
            wait_for(self.is_ready, "READY=1 after the reload", 20)

    def stop(self, number=signal.SIGTERM):
        """Exit code of the daemon."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(20)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.notify.close()
        for fd in self.stored.values():
            os.close(fd)
        shutil.rmtree(self.directory, ignore_errors=True)
