# SPDX-License-Identifier: Apache-2.0
"""A machine whose PID 1 is systemd: namespaces of its own over a copy-on-write view of this machine's files, on one host of
the lab. Only the units that the test is about exist in it, so it touches neither this machine's devices nor its settings."""
import os
import pathlib
import shutil
import signal
import subprocess

from tests.harness.lab import sh, wait_for

UNITS = ("basic.target sysinit.target sockets.target slices.target paths.target timers.target local-fs.target "
         "local-fs-pre.target multi-user.target network.target network-pre.target network-online.target umount.target "
         "shutdown.target final.target user.slice systemd-journald.service systemd-journald.socket "
         "systemd-journald-dev-log.socket").split()

# Runs in the new mount and PID namespaces; $1 is the folder of this machine.
INIT = r"""
set -e
mount -t tmpfs -o mode=0755 tmpfs "$1"
mkdir "$1"/upper "$1"/work "$1"/root "$1"/units "$1"/none
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1"/root
cd "$1"/root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs -o mode=0755 tmpfs run
for unit in $2; do cp usr/lib/systemd/system/$unit "$1"/units/; done
mkdir "$1"/units/sysinit.target.wants
ln -s ../systemd-journald.service "$1"/units/sysinit.target.wants/
mount --bind "$1"/units usr/lib/systemd/system
mount --bind "$1"/none etc/systemd/system
printf '[Journal]\nReadKMsg=no\nStorage=volatile\nForwardToConsole=no\n' > etc/systemd/journald.conf
rm -f usr/sbin/policy-rc.d  # which forbids packages to start anything where no systemd runs
container=flowd-test; export container
pivot_root . mnt
cd /
umount -l /mnt
exec /lib/systemd/systemd --system --unit=basic.target --log-target=null --show-status=no
"""


class Machine:
    """with Machine(host) as machine: machine.install(staged); machine.run("systemctl", "start", "flowd-cpp")"""

    def __init__(self, host):
        self.host = host
        self.name = f"flowd-machine-{os.getpid()}"
        self.base = pathlib.Path("/run") / self.name
        mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
        self.group = pathlib.Path(next(words[1] for words in mounts if words[2] == "cgroup2")) / self.name

    def __enter__(self):
        self.base.mkdir()
        self.group.mkdir()
        try:
            self.process = subprocess.Popen(
                ["sh", "-c", 'echo $$ > "$0"/cgroup.procs; exec "$@"', str(self.group), "ip", "netns", "exec", self.host.name,
                 "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--ipc", "--uts", "--cgroup",
                 "sh", "-c", INIT, "init", str(self.base), " ".join(UNITS)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
            wait_for(self._init_is_up, "systemd to come up", 30)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _init_is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the machine did not come up: {self.process.stderr.read()}")
        children = sh("pgrep", "-P", str(self.process.pid), check=False).stdout.split()
        if not children:
            return False
        self.init = int(children[0])
        return self.run("systemctl", "is-active", "basic.target", check=False).stdout.strip() == "active"

    def run(self, *command, check=True, timeout=60):
        done = subprocess.run(["nsenter", "-t", str(self.init), "-m", "-p", "-n", "-i", "-u", "-C", *map(str, command)],
                              capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}\n{self.journal()}")
        return done

    def journal(self, unit="flowd-cpp"):
        return self.run("journalctl", "-u", unit, "--no-pager", "-o", "cat", check=False).stdout

    def show(self, unit, key):
        return self.run("systemctl", "show", "-P", key, unit).stdout.strip()

    def write(self, path, text):
        self.run("sh", "-c", 'mkdir -p "$(dirname "$0")"; printf %s "$1" > "$0"', path, text)

    def install(self, staged):
        """What a package does: files, the user, a reload of systemd."""
        self.run("cp", "-r", "--no-preserve=ownership", f"{staged}/.", "/")
        self.run("systemd-sysusers", "/usr/lib/sysusers.d/flowd-cpp.conf")
        self.run("chgrp", "flowd-cpp", "/etc/flowd-cpp/conf.yaml")
        self.run("systemctl", "daemon-reload")

    def __exit__(self, *_):
        if self.process.poll() is None:
            # With the first process of its PID namespace, every other one ends.
            os.kill(getattr(self, "init", self.process.pid), signal.SIGKILL)
        self.process.wait(20)
        self.process.stderr.close()
        wait_for(lambda: not (self.group / "cgroup.procs").read_text().strip(), "the machine's processes to end")
        for folder in sorted(self.group.glob("**/"), reverse=True):
            folder.rmdir()
        shutil.rmtree(self.base, ignore_errors=True)
