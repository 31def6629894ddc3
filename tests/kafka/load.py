# SPDX-License-Identifier: Apache-2.0
"""What sends fireflies fast and counts them, and what is read from processes."""
import pathlib
import subprocess

from tests.harness.daemon import BUILD

LOAD = BUILD / "bin" / "firefly-load"


def words(line):
    parts = line.split()
    return dict(zip(parts[::2], map(float, parts[1::2])))


class Load:
    """with Load(...) as load: a process of firefly-load, which says what it has seen when it is stopped."""

    def __init__(self, *arguments, ready=False):
        self.process = subprocess.Popen([LOAD, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
        if ready:
            self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        self.process.terminate()
        return self.wait()

    def wait(self):
        out = words(self.process.stdout.readline())
        self.process.wait()
        return out


def highest_memory(daemon):
    """In KiB."""
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
