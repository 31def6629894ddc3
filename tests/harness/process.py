# SPDX-License-Identifier: Apache-2.0
"""What /proc says about a process."""
import pathlib
import re
import time


def status_line(pid, name):
    """A number of /proc/PID/status; memory (VmRSS) in KiB."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{name}:\s+(\d+)", text, re.M)[1])


def resident_kib(pid):
    return status_line(pid, "VmRSS")


def cpu_seconds(pid):
    """All threads, in user space and in the kernel: the clock of clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)
