# SPDX-License-Identifier: Apache-2.0
"""The examples of the SDK (sdk/examples): built against the installed SDK, judged by flowd-module-check, run by a real daemon."""
import collections
import itertools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading

import pytest

from tests.abi.test_out_of_tree import ROOT, build, judge, prefix, sh, work  # noqa: F401: fixtures
from tests.harness import daemon as harness
from tests.harness.lab import wait_for

EXAMPLES = ROOT / "sdk/examples"
PATIENCE = 60
JOB = """
import socket, sys
connection = socket.create_connection(("::1", int(sys.argv[1])))
print(connection.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def batchjobs(work, prefix):  # noqa: F811
    return build(work, prefix, EXAMPLES / "batchjobs", ["-DBUILD_TESTING=OFF"])


@pytest.fixture(scope="module")
def jsonlines(work, prefix):  # noqa: F811
    return build(work, prefix, EXAMPLES / "jsonlines", ["-DBUILD_TESTING=OFF"])


@pytest.fixture
def lines(work, prefix, monkeypatch):  # noqa: F811
    """The file that the backend writes, as {"event": ...} per line; in a directory of this test alone."""
    monkeypatch.setattr(harness, "BINARY", prefix / "bin/flowd-cpp")
    directory = work / "lines"
    directory.mkdir()
    yield Lines(directory / "flows.jsonl")
    shutil.rmtree(directory)


class Lines:
    def __init__(self, path):
        self.path = path

    def of(self, path=None):
        path = path or self.path
        return [with_ports(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for(self, *wanted, path=None):
        """The first line that has these members and values."""
        def found():
            return next((line for line in self.of(path) if all(line.get(name) == value for name, value in wanted)), None)
        return wait_for(found, f"a line with {wanted}", PATIENCE)


def with_ports(line):
    return line | {name + "Port": int(line[name].rpartition(":")[2]) for name in ("source", "destination")}


@pytest.fixture
def root():
    """Where control groups of version 2 are mounted."""
    mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    found = next((pathlib.Path(words[1]) for words in mounts if words[2] == "cgroup2"), None)
    if found is None:
        pytest.skip("control groups of version 2 are mounted nowhere")
    return found


@pytest.fixture
def job(root):
    """A control group as a batch system makes one, with the functions `start` and `end` for a process in it that connects to us."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        one = Job(root, listener.getsockname()[1])
        yield one
        one.remove()


class Job:
    def __init__(self, root, port):
        self.root, self.port = root, port
        self.slice = root / f"flowd-test-{os.getpid()}"
        self.group = self.slice / "job_4711/step_0"
        self.group.mkdir(parents=True)
        self.process = None

    def start(self):
        """The port of the job's end."""
        self.process = subprocess.Popen(["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', self.group, sys.executable, "-c", JOB,
                                         str(self.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return int(self.process.stdout.readline())

    def end(self):
        if self.process:
            self.process.communicate()
            self.process = None

    def remove(self):
        self.end()
        for group in (self.group, self.group.parent, self.slice):
            wait_for(lambda: not (group / "cgroup.procs").read_text(), "the processes of the group to end", PATIENCE)
            group.rmdir()


def test_batchjobs_passes_the_conformance_suite(prefix, batchjobs, root, tmp_path):  # noqa: F811
    configuration = (EXAMPLES / "batchjobs/conf.yaml").read_text().replace("    group:", f"    root: {root}\n    group:")
    (tmp_path / "conf.yaml").write_text(configuration)
    judge(prefix, batchjobs, "--conf", tmp_path / "conf.yaml")


def test_jsonlines_passes_the_conformance_suite(prefix, jsonlines, tmp_path):  # noqa: F811
    configuration = (EXAMPLES / "jsonlines/conf.yaml").read_text().replace("/var/tmp", str(tmp_path))
    (tmp_path / "conf.yaml").write_text(configuration)
    judge(prefix, jsonlines, "--conf", tmp_path / "conf.yaml")


def test_the_connections_of_a_job_are_announced_with_the_tag_of_its_instance(batchjobs, jsonlines, lines, job):
    def instance(name, group, activity):
        return f"""\
  batchjobs/{name}:
    module: {batchjobs}
    root: {job.root}
    period: 200ms
    group: {group}
    experiment: 2
    activity: {activity}
"""

    def configuration(activity):
        return f"""\
plugins:
{instance("others", "no-such-batch-system/*", 9)}{instance("jobs", f"{job.slice.name}/job_*", activity)}
backends:
  jsonlines: {{module: {jsonlines}, file: {lines.path}}}
"""
    with harness.Daemon(configuration(8)) as daemon:
        port = job.start()
        flow = ("sourcePort", port), ("destinationPort", job.port)
        start = lines.wait_for(("event", "start"), *flow)
        assert start | {"experimentId": 2, "activityId": 8, "experiment": "atlas", "rule": f"{job.slice.name}/job_*",
                        "announcer": "batchjobs/jobs", "source": f"[::1]:{port}", "destination": f"[::1]:{job.port}",
                        "protocol": "tcp"} == start
        assert daemon.details("plugin batchjobs/jobs")["connections"] == 1
        assert daemon.details("plugin batchjobs/others")["connections"] == 0

        daemon.reload(configuration(9))
        retag = lines.wait_for(("event", "retag"), *flow)
        assert (retag["experimentId"], retag["activityId"], retag["id"]) == (2, 9, start["id"])

        job.end()
        assert lines.wait_for(("event", "end"), *flow)["id"] == start["id"]
        assert daemon.stop() == 0
    assert [line["event"] for line in lines.of()] == ["start", "retag", "end"]


def test_jobs_that_end_while_groups_are_listed_do_not_end_the_flows_of_others(batchjobs, jsonlines, lines, job):
    done = threading.Event()

    def come_and_go():
        for number in itertools.count():
            groups = [job.slice / f"job_{number}_{n}" for n in range(100)]
            for group in groups:
                group.mkdir()
            for group in groups:
                group.rmdir()
            if done.is_set():
                return

    with harness.Daemon(f"""\
plugins:
  batchjobs: {{module: {batchjobs}, root: {job.slice}, period: 100ms, group: "job_*", experiment: 2, activity: 8}}
backends:
  jsonlines: {{module: {jsonlines}, file: {lines.path}}}
""") as daemon:
        job.start()
        lines.wait_for(("event", "start"))

        def looks():
            (plugin,) = daemon.cli("status")["announcers"]
            return plugin["effects"].get("refreshed", 0)

        others = threading.Thread(target=come_and_go)
        others.start()
        try:
            before = looks()
            wait_for(lambda: looks() >= before + 10, "ten lists of the groups", PATIENCE)
        finally:
            done.set()
            others.join()
        assert daemon.stop() == 0
    assert [line["event"] for line in lines.of()] == ["start", "end"]


def test_what_a_stop_leaves_open_is_withdrawn(batchjobs, jsonlines, lines, job):
    with harness.Daemon(f"""\
plugins:
  batchjobs: {{module: {batchjobs}, root: {job.root}, group: {job.slice.name}/*, experiment: 2, activity: 8}}
backends:
  jsonlines: {{module: {jsonlines}, file: {lines.path}}}
""") as daemon:
        job.start()
        lines.wait_for(("event", "start"))
        assert daemon.stop() == 0
    assert [line["event"] for line in lines.of()] == ["start", "end"]


def start_of(port):
    return f"start tcp 2001:db8::1 {port} 2001:db8::2 443 2 8\n"


def write_to(pipe, port):
    with open(pipe, "w") as writer:
        writer.write(start_of(port))


def test_after_a_reload_lines_go_to_a_new_file_and_none_is_lost(jsonlines, lines):
    pipe, rotated = lines.path.parent / "pipe", lines.path.parent / "flows.jsonl.1"
    configuration = f"""\
plugins:
  namedpipe: {{pipePath: {pipe}}}
backends:
  jsonlines: {{module: {jsonlines}, file: {lines.path}}}
"""
    with harness.Daemon(configuration) as daemon:
        write_to(pipe, 1001)
        lines.wait_for(("sourcePort", 1001))
        lines.path.rename(rotated)  # as logrotate does
        write_to(pipe, 1002)
        lines.wait_for(("sourcePort", 1002), path=rotated)
        assert not lines.path.exists(), "the renamed file is written to until the reload"
        daemon.reload(configuration)
        write_to(pipe, 1003)
        lines.wait_for(("sourcePort", 1003))
        assert [line["sourcePort"] for line in lines.of(rotated)] == [1001, 1002]
        assert daemon.stop() == 0
    assert {line["experiment"] for line in lines.of()} == {"atlas"}


def test_no_line_is_lost_over_50_rotations_under_load(jsonlines, lines):
    pipe, done, announced = lines.path.parent / "pipe", threading.Event(), []
    configuration = f"""\
plugins:
  namedpipe: {{pipePath: {pipe}}}
backends:
  jsonlines: {{module: {jsonlines}, file: {lines.path}}}
"""

    def announce():
        with open(pipe, "w") as writer:
            for flow in itertools.count():
                source, destination = flow % 60000 + 1, 1000 + flow // 60000
                for event in "start", "end":
                    writer.write(f"{event} tcp 2001:db8::1 {source} 2001:db8::2 {destination} 2 8\n")
                announced.append((source, destination))
                if flow % 20 == 0:
                    writer.flush()
                    if done.wait(0.01):
                        return

    with harness.Daemon(configuration) as daemon:
        load = threading.Thread(target=announce)
        load.start()
        try:
            for rotation in range(50):
                wait_for(lambda: lines.path.stat().st_size > 0, "lines in the new file", PATIENCE)
                lines.path.rename(f"{lines.path}.{rotation}")
                daemon.reload(configuration)
        finally:
            done.set()
            load.join()
        assert daemon.stop() == 0
    files = list(lines.path.parent.glob("flows.jsonl*"))
    assert len(files) == 51
    written = collections.Counter((line["event"], line["sourcePort"], line["destinationPort"]) for file in files for line in lines.of(file))
    assert written == collections.Counter((event, *flow) for event in ("start", "end") for flow in announced)


def test_a_full_disk_has_whole_lines_and_the_rest_follows(jsonlines, lines):
    disk = lines.path.parent / "disk"
    disk.mkdir()
    sh("mount", "-t", "tmpfs", "-o", "size=4096,mode=755", "tmpfs", disk)
    try:
        pipe, file = lines.path.parent / "pipe", disk / "flows.jsonl"
        with harness.Daemon(f"""\
plugins:
  namedpipe: {{pipePath: {pipe}}}
backends:
  jsonlines: {{module: {jsonlines}, file: {file}}}
""") as daemon:
            for port in range(1, 31):
                write_to(pipe, port)
            wait_for(lambda: daemon.details("backend jsonlines")["state"] == "degraded", "a failed write", PATIENCE)
            assert len(lines.of(file)) < 30  # each of them is whole: json.loads reads it
            sh("mount", "-o", "remount,size=1m", disk)
            lines.wait_for(("sourcePort", 30), path=file)
            assert daemon.stop() == 0
        starts = [line["sourcePort"] for line in lines.of(file) if line["event"] == "start"]
        assert starts == list(range(1, 31))
    finally:
        sh("umount", disk)


def test_what_a_full_disk_does_not_take_is_written_later(jsonlines, lines):
    pipe = lines.path.parent / "pipe"

    def configuration(file):
        return f"plugins:\n  namedpipe: {{pipePath: {pipe}}}\nbackends:\n  jsonlines: {{module: {jsonlines}, file: {file}}}\n"
    with harness.Daemon(configuration("/dev/full")) as daemon:
        write_to(pipe, 1001)
        status = wait_for(lambda: (now := daemon.details("backend jsonlines"))["state"] == "degraded" and now, "a failed write", PATIENCE)
        assert (status["summary"], status["state"]) == ("cannot write its file", "degraded")
        daemon.reload(configuration(lines.path))
        lines.wait_for(("sourcePort", 1001))
        assert daemon.stop() == 0
