# SPDX-License-Identifier: Apache-2.0
"""Two hosts, "a" and "b", joined by a veth pair, each in a network namespace of its own without any other route."""
import ctypes
import os
import subprocess
import threading
import time

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Timeout(AssertionError):
    pass


def wait_for(condition, what, seconds=10.0):
    """Polls until condition() is true and returns its value; fails with `what` when it never becomes true."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Timeout(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.02)


def sh(*command, check=True):
    return subprocess.run(command, check=check, capture_output=True, text=True)


class Host:
    def __init__(self, name, address6, address4):
        self.name, self.address6, self.address4 = name, address6, address4
        self.interface = "eth0"

    def run(self, *command, check=True):
        return sh("ip", "netns", "exec", self.name, *command, check=check)

    def popen(self, *command, **options):
        return subprocess.Popen(["ip", "netns", "exec", self.name, *command], **options)

    def call(self, function, *arguments):
        """function(*arguments) on a thread inside this namespace; a socket made there stays there."""
        outcome = {}

        def enter():
            try:
                with open(f"/run/netns/{self.name}", "rb") as handle:
                    if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), f"setns {self.name}")
                outcome["value"] = function(*arguments)
            except BaseException as error:  # raised by the caller below
                outcome["error"] = error

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if "error" in outcome:
            raise outcome["error"]
        return outcome["value"]


class Lab:
    """with Lab() as lab: lab.a, lab.b"""

    def __init__(self, tag=None):
        tag = tag or f"flowd{os.getpid()}"
        self.a = Host(f"{tag}-a", "fd5c:17a6:5::a", "10.93.7.1")
        self.b = Host(f"{tag}-b", "fd5c:17a6:5::b", "10.93.7.2")

    def __enter__(self):
        try:
            for host in (self.a, self.b):
                sh("ip", "netns", "add", host.name)
            sh("ip", "link", "add", "eth0", "netns", self.a.name, "type", "veth", "peer", "name", "eth0", "netns", self.b.name)
            for host in (self.a, self.b):
                host.run("ip", "link", "set", "lo", "up")
                host.run("ip", "addr", "add", f"{host.address6}/64", "dev", "eth0", "nodad")
                host.run("ip", "addr", "add", f"{host.address4}/24", "dev", "eth0")
                host.run("ip", "link", "set", "eth0", "up")
            for host in (self.a, self.b):
                wait_for(lambda: "state UP" in host.run("ip", "link", "show", "eth0").stdout, f"eth0 of {host.name}")
            # Fills the neighbour caches: the first packets neither wait for neighbour discovery nor are lost with many others.
            wait_for(lambda: all(self.a.run("ping", "-c", "1", "-W", "1", address, check=False).returncode == 0
                                 for address in (self.b.address6, self.b.address4)), "the other host to answer")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for host in (self.a, self.b):
            sh("ip", "netns", "del", host.name, check=False)
