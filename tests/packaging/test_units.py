# SPDX-License-Identifier: Apache-2.0
"""The unit files by themselves, judged by systemd's own tools, and the capabilities that they give."""
import pathlib
import shutil
import subprocess

import pytest

from tests.harness.daemon import BINARY, Daemon
from tests.packaging.staged import read_unit, run

UNIT = pathlib.Path(__file__).resolve().parents[2] / "etc/systemd/flowd-cpp.service"
MARKER = "backends:\n  marker: {targetInterfaces: [eth0]}\n"


@pytest.fixture(scope="module")
def root(staged, tmp_path_factory):
    """What was staged, among the units that come with systemd."""
    root = tmp_path_factory.mktemp("units")
    shutil.copytree(staged, root, dirs_exist_ok=True)
    shutil.copytree("/usr/lib/systemd/system", root / "usr/lib/systemd/system", dirs_exist_ok=True, symlinks=True)
    (root / "bin").mkdir(exist_ok=True)
    shutil.copy("/bin/chown", root / "bin/chown")
    return root


def our_units(root):
    return sorted(path.name for path in (root / "usr/lib/systemd/system").iterdir()
                  if path.is_file() and "flowd" in path.name and not path.is_symlink())


def test_systemd_analyze_accepts_all_units(root):
    units = our_units(root)
    assert "flowd-cpp.service" in units and any(name.endswith(".socket") for name in units)
    done = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={root}", *units)
    assert done.stdout + done.stderr == "", units


def test_the_systemd_exposure_level_is_at_most_two(root):
    done = run("systemd-analyze", "security", "--offline=yes", f"--root={root}", "--threshold=20", "--no-pager", "flowd-cpp.service",
               check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    exposure = float(done.stdout.rsplit("exposure level for flowd-cpp.service: ")[1].split()[0])
    assert exposure <= 2.0


def test_only_modules_that_exist_have_units_of_their_own(staged):
    modules = {path.stem for path in (staged / "usr").glob("lib*/flowd-cpp/modules/*.so")}
    folders = {path.name for path in UNIT.parent.iterdir() if path.is_dir()}
    assert folders <= modules


def capabilities():
    service = read_unit(UNIT)["Service"]
    assert service["AmbientCapabilities"] == service["CapabilityBoundingSet"]
    return service["AmbientCapabilities"][0].split()


def as_another_user(given):
    """The command that leaves nothing but these capabilities to a user that is nobody else."""
    names = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in given)
    return ("setpriv", "--reuid", "64123", "--regid", "64123", "--clear-groups", "--no-new-privs",
            "--bounding-set", f"-all,{names}", "--inh-caps", f"-all,{names}", "--ambient-caps", f"-all,{names}")


class OtherUsersDaemon(Daemon):
    """Has its own folder below /run, as RuntimeDirectory= gives it; the configuration is root's."""

    def __init__(self, configuration, host, given):
        super().__init__(configuration, host, prefix=as_another_user(given))
        self.directory.chmod(0o755)
        self.conf.chmod(0o644)
        own = self.directory / "own"
        own.mkdir()
        shutil.chown(own, 64123, 64123)
        self.control = own / "control"


def start_fails(configuration, host, given):
    daemon = OtherUsersDaemon(configuration, host, given)
    try:
        done = subprocess.run(["ip", "netns", "exec", host.name, *daemon.prefix, str(BINARY), "run", "--conf", str(daemon.conf), "--control",
                               str(daemon.control)], capture_output=True, text=True, timeout=30)
        return done.returncode, done.stderr
    finally:
        shutil.rmtree(daemon.directory)


def test_the_marker_needs_no_more_than_the_units_capabilities(lab):
    with OtherUsersDaemon(MARKER, lab.a, capabilities()) as daemon:
        status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
        assert "Uid:\t64123\t64123" in status
        assert daemon.details("backend marker")["interfaces"], daemon.log
        assert daemon.stop() == 0


@pytest.mark.parametrize("missing", ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"])
def test_each_capability_is_needed(lab, missing):
    given = [name for name in capabilities() if name != missing]
    assert len(given) == 2
    code, log = start_fails(MARKER, lab.a, given)
    assert code == 5, log
    assert "CAP_" in log, log
