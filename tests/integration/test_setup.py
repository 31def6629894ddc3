# SPDX-License-Identifier: Apache-2.0
"""flowd-cpp setup: profiles, questions on a terminal, and a configuration that is whole at every moment. The service belongs to
tests/packaging/test_setup.py."""
import contextlib
import json
import os
import pathlib
import pty
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

from tests.harness.daemon import BINARY, BUILD, ROOT
from tests.harness.lab import wait_for

PROFILES = sorted(path.stem for path in (ROOT / "etc/profiles").glob("*.yaml"))
ANSWERS = {"perfsonar": ("--experiment", "atlas"), "storage": (), "relay": ("--allow", "2001:db8::/32,192.0.2.0/24")}
BY_HAND = "# by hand\nplugins: {}\n"


class Setup:
    """The program on one host, with a folder of its own in place of /etc/flowd-cpp."""

    def __init__(self, host, folder):
        self.folder, self.conf = folder, folder / "conf.yaml"
        self.prefix = ["ip", "netns", "exec", host.name]

    def command(self, *words):
        return [*self.prefix, str(BINARY), "setup", *words, "--conf", str(self.conf)]

    def __call__(self, *words, check=True):
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def values(self):
        return yaml.safe_load(self.conf.read_text())

    def files(self):
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder():
    path = pathlib.Path(f"/run/flowd-test-setup-{os.getpid()}")
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def setup(lab, folder):
    return Setup(lab.a, folder)


def second_link(lab):
    lab.a.run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth1", "netns", lab.b.name)


def checked(setup):
    done = subprocess.run([str(BINARY), "check", "--conf", str(setup.conf)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_writes_a_configuration_that_check_accepts_without_a_warning(setup, profile):
    setup(profile, *ANSWERS[profile])
    assert "0 warnings" in checked(setup), setup.conf.read_text()
    assert "#" in setup.conf.read_text().split("\n", 2)[2]  # the comments of the profile


@pytest.mark.parametrize("profile", ["perfsonar", "storage"])
def test_the_example_of_the_same_name_has_the_same_values(profile):
    """The one of relay shows more: it also forwards the original datagrams."""
    written = yaml.safe_load(yaml.safe_load((ROOT / f"etc/profiles/{profile}.yaml").read_text())["configuration"])
    example = yaml.safe_load((ROOT / f"etc/examples/{profile}.yaml").read_text())
    for one in (written, example):
        one["plugins"].get("perfsonar", {}).pop("experimentId", None)
    assert written == example


@pytest.mark.parametrize("profile", PROFILES)
def test_a_second_run_changes_nothing(setup, profile):
    setup.conf.write_text(BY_HAND)
    setup(profile, *ANSWERS[profile])
    before, time_of = setup.files(), setup.conf.stat().st_mtime_ns
    assert "is as it should be" in setup(profile, *ANSWERS[profile]).stderr
    setup(profile)  # what was answered once is the default
    assert setup.files() == before and setup.conf.stat().st_mtime_ns == time_of


@pytest.mark.parametrize("profile", PROFILES)
def test_remove_restores_byte_by_byte(setup, profile):
    setup.conf.write_text(BY_HAND)
    setup.conf.chmod(0o640)
    before, status = setup.files(), setup.conf.stat()
    setup(profile, *ANSWERS[profile])
    assert setup.files()["conf.yaml.before-setup"] == BY_HAND.encode()
    assert f"restored {setup.conf}" in setup("--remove").stdout
    assert setup.files() == before
    assert (setup.conf.stat().st_mode, setup.conf.stat().st_mtime_ns) == (status.st_mode, status.st_mtime_ns)
    assert "nothing to restore" in setup("--remove").stdout and setup.files() == before


def test_where_there_was_no_file_there_is_none_afterwards(setup):
    setup("storage")
    assert "removed" in setup("--remove").stdout
    assert setup.files() == {}


def test_what_was_changed_since_is_never_lost(setup):
    setup.conf.write_text(BY_HAND)
    setup("storage")
    setup.conf.write_text(setup.conf.read_text() + "# mine\n")
    changed = setup.conf.read_bytes()
    setup("storage", "--collector", "2001:db8::7")
    assert setup.files()["conf.yaml.before-setup"] == changed and setup.files()["conf.yaml.before-setup.1"] == BY_HAND.encode()
    said = setup("--remove").stdout
    assert setup.conf.read_bytes() == changed and "conf.yaml.before-setup.1, an older copy" in said


def test_the_options_of_the_osg_script_are_understood(setup):
    setup("perfsonar", "--experiment-id", "3", "--activity-id", "2", "--interfaces", "eth0", "--firefly-receiver", "2001:db8::9",
          "--firefly-receiver-port", "10515", "--firefly-bind-port", "10516", "--yes")
    values = setup.values()
    assert values["plugins"]["perfsonar"] == {"experimentId": "cms", "activityId": "perfSONAR"}
    assert values["plugins"]["fireflyp"]["bindPort"] == 10516
    assert values["backends"]["marker"] == {"targetInterfaces": ["eth0"], "policy": "keepExplicit"}
    assert values["backends"]["firefly"] == {"sendToCollector": True, "collectorAddress": "2001:db8::9", "collectorPort": 10515}
    setup("perfsonar", "--experiment-id", "3", "--no-firefly-receiver", "--yes")
    assert set(setup.values()["backends"]) == {"marker"}
    assert "nothing was changed" not in setup("perfsonar", "--yes").stderr  # none stays none
    assert set(setup.values()["backends"]) == {"marker"}
    listed = setup("--list-experiments").stdout
    assert re.search(r"^ +2 +atlas$", listed, re.M) and re.search(r"^ +14 ", listed, re.M)
    assert {"id": 2, "name": "atlas"} in json.loads(setup("--list-experiments", "--json").stdout)
    setup("--uninstall")
    assert setup.files() == {}


def test_the_script_took_an_activity_that_the_registry_lacks_for_an_experiment(setup):
    setup("perfsonar", "--experiment-id", "12")
    assert setup.values()["plugins"]["perfsonar"]["activityId"] == 2


def test_without_a_profile_the_profiles_are_listed(setup):
    done = setup(check=False)
    assert done.returncode == 2 and all(re.search(rf"^ +{profile} +a ", done.stderr, re.M) for profile in PROFILES), done


def test_without_a_terminal_what_has_no_default_is_asked_for_by_its_option(setup):
    done = setup("perfsonar", check=False)
    assert done.returncode == 2 and "--experiment is missing" in done.stderr and "--list-experiments" in done.stderr
    assert setup.files() == {}


@pytest.mark.parametrize("words, code, said", [
    (("--experiment", "atlsa"), 2, "atlas"), (("--experiment", "atlas", "--activity", "nonesuch"), 2, "--activity"),
    (("--experiment", "atlas", "--interfaces", "eth9"), 7, "eth9 is not an interface of this host"),
    (("--experiment", "atlas", "--collector", "a b"), 2, "--collector"), (("--experiment", "atlas", "--collector-port", "99999"), 2, "65535"),
    (("--experiment", "atlas", "--colector", "x"), 2, "--colector")])
def test_a_wrong_answer_is_refused_and_nothing_is_written(setup, words, code, said):
    setup.conf.write_text(BY_HAND)
    done = setup("perfsonar", *words, check=False)
    assert done.returncode == code and said in done.stderr, done
    assert setup.files() == {"conf.yaml": BY_HAND.encode()}


def test_dry_run_prints_the_file_and_what_would_be_done(setup):
    setup.conf.write_text(BY_HAND)
    done = setup("perfsonar", "--experiment", "atlas", "--dry-run")
    assert yaml.safe_load(done.stdout)["plugins"]["perfsonar"]["experimentId"] == "atlas"
    assert f"would keep {setup.conf} as {setup.conf}.before-setup" in done.stderr
    assert setup.files() == {"conf.yaml": BY_HAND.encode()}
    setup("perfsonar", "--experiment", "atlas")
    written = setup.files()
    assert "would put back" in setup("--remove", "--dry-run").stderr and setup.files() == written


def test_a_user_who_may_not_write_is_told_to_be_root_and_may_look(setup):
    setup.folder.chmod(0o755)
    as_nobody = [*setup.prefix, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    for words, code in ((["storage"], 5), (["storage", "--dry-run"], 0)):
        done = subprocess.run([*as_nobody, *setup.command(*words)[len(setup.prefix):]], capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done
        assert "run as root" in done.stderr if code else "fireflyp" in done.stdout, done


def test_files_of_conf_d_are_named_and_a_contradiction_changes_nothing(setup):
    (setup.folder / "conf.d").mkdir()
    drop_in = setup.folder / "conf.d/site.yaml"
    drop_in.write_text("backends:\n  marker: {mode: observe}\n")
    assert f"{drop_in} is read as well" in setup("storage").stderr
    drop_in.write_text("plugins:\n  fireflyp: {bindPort: 7}\n")
    before = setup.files()
    done = setup("storage", "--collector", "2001:db8::7", check=False)
    assert done.returncode == 3 and "move that away" in done.stderr and ".setup" not in done.stderr, done
    assert setup.files() == before


def test_interfaces_without_ipv6_and_hosts_without_ipv4_are_told_of(setup, lab):
    second_link(lab)
    lab.a.run("ip", "addr", "add", "10.99.0.1/24", "dev", "eth1")
    said = setup("storage", "--interfaces", "eth1").stderr
    assert "eth1 has no global IPv6 address" in said and "not chosen: eth0: " in said
    lab.a.run("ip", "-4", "addr", "flush", "dev", "eth0")
    lab.a.run("ip", "link", "del", "eth1")
    said = setup("storage", "--interfaces", "eth*").stderr
    assert "no IPv4 address: the collector has to have an IPv6 address" in said


def test_interfaces_are_those_of_the_ipv6_default_route_of_any_table_that_a_rule_reaches(setup, lab):
    second_link(lab)
    for host in (lab.a, lab.b):
        host.run("ip", "link", "set", "eth1", "up")
    lab.a.run("ip", "addr", "add", "2001:db8:1::1/64", "dev", "eth1", "nodad")
    lab.a.run("ip", "-6", "route", "add", "default", "via", "2001:db8:1::2", "dev", "eth1", "table", "201")
    lab.a.run("ip", "-6", "rule", "add", "from", "2001:db8:1::/64", "table", "201")
    setup("storage")
    assert setup.values()["backends"]["marker"]["targetInterfaces"] == ["eth1"]


def test_a_host_without_an_interface_is_told_where_to_run_setup(setup, lab):
    lab.a.run("ip", "link", "del", "eth0")
    done = setup("storage", check=False)
    assert done.returncode == 7 and "no network interface but lo" in done.stderr and "network namespace of the host" in done.stderr
    setup("relay", "--allow", "2001:db8::/32")  # which marks nothing


def test_a_running_predecessor_is_named_with_what_to_do(setup, tmp_path):
    shutil.copy("/bin/sleep", tmp_path / "flowd-go")
    other = subprocess.Popen([*setup.prefix, str(tmp_path / "flowd-go"), "600"])
    try:
        wait_for(lambda: pathlib.Path(f"/proc/{other.pid}/comm").read_text() == "flowd-go\n", "the other daemon")
        done = setup("storage", check=False)
        assert done.returncode == 6 and f"flowd-go runs (process {other.pid}" in done.stderr and "migrate" in done.stderr, done
        assert setup.files() == {}
        assert "flowd-go runs" in setup("storage", "--no-start").stderr
    finally:
        other.kill()
        other.wait()


def test_the_service_is_left_alone_when_it_does_not_read_this_file(setup):
    assert "the service reads /etc/flowd-cpp/conf.yaml" in setup("storage").stderr


def test_profiles_that_a_package_adds_are_offered_and_a_broken_one_is_told_of(folder, lab):
    """The installation of this test: links into the build tree, and a folder of profiles of its own."""
    root = folder / "prefix"
    (root / "bin").mkdir(parents=True)
    shutil.copy(BINARY, root / "bin/flowd-cpp")
    (root / "lib").symlink_to(BUILD / "lib")
    shutil.copytree(BUILD / "share/flowd-cpp", root / "share/flowd-cpp")
    (root / "share/flowd-cpp/profiles/site.yaml").write_text(
        "summary: ours\nquestions: [{name: pipe, option: plugins.namedpipe.pipePath, text: The pipe}]\n"
        "configuration: |\n  plugins:\n    namedpipe:\n      pipePath: /run/flowd # here\n  backends: {marker: {}}\n")
    program = [str(root / "bin/flowd-cpp"), "setup"]
    assert re.search(r"^ +site +ours", subprocess.run([*program, "--help"], capture_output=True, text=True).stdout, re.M)
    conf = folder / "conf.yaml"
    subprocess.run([*program, "site", "--pipe", "/run/other", "--conf", str(conf)], check=True, capture_output=True, timeout=60)
    assert "pipePath: /run/other # here" in conf.read_text()
    (root / "share/flowd-cpp/profiles/broken.yaml").write_text("questions: [{name: a, option: nowhere}]\nconfiguration: 'plugins: {}'\n")
    done = subprocess.run([*program, "site", "--dry-run", "--pipe", "/run/x", "--conf", str(conf)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "broken.yaml" in done.stderr and "nowhere" in done.stderr


def test_an_interface_may_be_named_by_its_alternative_name(setup, lab):
    lab.a.run("ip", "link", "property", "add", "dev", "eth0", "altname", "enp1s0f0np0")
    said = setup("storage", "--interfaces", "enp1s0f0np0").stderr
    assert setup.values()["backends"]["marker"]["targetInterfaces"] == ["enp1s0f0np0"] and "not chosen: eth0" not in said


@pytest.mark.parametrize("name", ["abcdefghijklmno", "eth0.100", "yes", "123", "~", "#x", "[a", "it's", "a\"b", "null", "0x10"])
def test_the_name_of_an_interface_may_be_anything_that_the_kernel_takes(setup, lab, name):
    lab.a.run("ip", "link", "add", "name", name, "type", "veth", "peer", "name", "other")
    try:
        setup("storage", f"--interfaces={name}", "--collector", "none")
    finally:
        lab.a.run("ip", "link", "del", "other")
    assert [str(one) for one in setup.values()["backends"]["marker"]["targetInterfaces"]] == [name]
    checked(setup)


def test_an_empty_answer_is_no_answer(setup):
    done = setup("storage", "--interfaces= ,", check=False)
    assert done.returncode == 2 and "--interfaces is missing" in done.stderr and setup.files() == {}


def test_two_setups_at_the_same_time(setup):
    """One is done, the other one is refused or done as well: the file is that of one of them."""
    for _ in range(5):
        setup.conf.write_text(BY_HAND)
        both = [subprocess.Popen(setup.command(*words, "--interfaces", "eth0", "--collector", "none"), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                for words in (("storage",), ("perfsonar", "--experiment", "atlas"))]
        said = [one.communicate(timeout=60)[1] for one in both]
        codes = [one.returncode for one in both]
        assert set(codes) <= {0, 6} and 0 in codes, said
        assert all("another `flowd-cpp setup` runs" in text for text, code in zip(said, codes) if code), said
        checked(setup)
        setup("--remove")
        assert setup.files() == {"conf.yaml": BY_HAND.encode()}


def test_a_full_disk_changes_nothing(setup, lab):
    disk = setup.folder / "full"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(disk)], check=True)
    try:
        small = Setup(lab.a, disk)
        small.conf.write_text(BY_HAND)
        with contextlib.suppress(OSError), open(disk / "fill", "wb", buffering=0) as fill:
            while fill.write(b"x" * 512):
                pass
        before = small.files()
        done = small("storage", check=False)
        assert done.returncode == 1 and "No space left on device" in done.stderr, done
        assert small.files() == before
        assert "would keep" in small("storage", "--dry-run").stderr and small.files() == before
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_what_is_no_file_is_refused_and_a_dangling_link_is_restored(setup):
    setup.conf.mkdir()
    for words in (("storage",), ("--remove",)):
        done = setup(*words, check=False)
        assert done.returncode == 3 and "not a regular file" in done.stderr, done
    setup.conf.rmdir()
    setup.conf.symlink_to("nowhere")
    setup("storage")
    setup("--remove")
    assert os.readlink(setup.conf) == "nowhere" and len(list(setup.folder.iterdir())) == 1


def test_remove_also_removes_what_a_killed_setup_left_beside_an_old_file(setup):
    setup.conf.write_text(BY_HAND)
    os.link(setup.conf, f"{setup.conf}.before-setup")  # killed before the last step
    (setup.folder / ".conf.yaml.setup").write_text("half")
    assert "nothing to restore" in setup("--remove").stdout
    assert setup.files() == {"conf.yaml": BY_HAND.encode()}


class Container:
    """with Container(host, "flowd-go"): a program of that name as podman and docker run it: its own PID and mount namespaces, a control group
    of its own, and the network of the host, or one of its own."""

    def __init__(self, host, name, folder, *more):
        self.program = folder / name
        self.program.write_bytes(pathlib.Path("/bin/sleep").read_bytes())
        self.program.chmod(0o755)
        mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
        group = next((words[1] for words in mounts if words[2] == "cgroup2"), None)
        if group is None:
            pytest.skip("no cgroup2 here")
        self.top = pathlib.Path(group) / f"flowd-test-{os.getpid()}.slice"
        self.group = self.top / "libpod-0123456789ab.scope"
        self.command = ["sh", "-c", 'echo $$ > "$0"/cgroup.procs; exec "$@"', str(self.group), "nsenter", f"--net=/run/netns/{host.name}",
                        "unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", *more, str(self.program), "infinity"]

    def __enter__(self):
        self.top.mkdir()
        self.group.mkdir()
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        wait_for(lambda: self.program.name in subprocess.run(["ps", "-o", "comm=", "--ppid", str(self.process.pid)], capture_output=True,
                                                             text=True).stdout, "the program in the container", 30)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(30)
        wait_for(lambda: not (self.group / "cgroup.procs").read_text().strip(), "the container to end", 30)
        self.group.rmdir()
        self.top.rmdir()


@pytest.mark.parametrize("name", ["flowd-go", "flowd"])
def test_a_predecessor_in_a_container_with_the_network_of_the_host(setup, lab, tmp_path, name):
    with Container(lab.a, name, tmp_path):
        done = setup("storage", check=False)
        assert done.returncode == 6 and setup.files() == {}, done
        assert re.search(rf"{name} runs \(process \d+, libpod-0123456789ab.scope, in a container\)", done.stderr), done.stderr
        assert "stop and remove its container" in done.stderr
        assert "in a container" in setup("storage", "--dry-run").stderr
    setup("storage")


def test_a_predecessor_in_a_container_with_a_network_of_its_own_does_not_matter(setup, lab, tmp_path):
    with Container(lab.a, "flowd-go", tmp_path, "--net"):
        said = setup("storage").stderr
    assert "in a container) with a network of its own: it does not matter here" in said
    assert setup.values()["backends"]


class Terminal:
    """setup on a terminal: text that is shown is waited for, then answered."""

    def __init__(self, setup, *words):
        master, slave = pty.openpty()
        self.master, self.shown, self.at = master, "", 0
        # setsid: the terminal controls the program, so that Ctrl-C is SIGINT.
        self.process = subprocess.Popen(["setsid", "--ctty", "--wait", *setup.command(*words)], stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        os.set_blocking(master, False)

    def _read(self):
        try:
            self.shown += os.read(self.master, 65536).decode()
        except BlockingIOError:
            pass
        except OSError:  # the other side was closed
            return False
        return True

    def expect(self, text):
        def seen():
            self._read()
            return self.shown.find(text, self.at) >= 0
        wait_for(seen, f"{text!r} in {self.shown!r}", 60)
        self.at = self.shown.find(text, self.at) + len(text)

    def answer(self, prompt, line):
        self.expect(prompt)
        os.write(self.master, line.encode() + b"\n")

    def code(self):
        wait_for(lambda: not self._read() or self.process.poll() is not None, "the end", 60)
        code = self.process.wait(60)
        self._read()
        os.close(self.master)
        return code


def test_on_a_terminal_a_person_is_asked_and_a_wrong_answer_is_asked_again(setup, lab):
    second_link(lab)
    terminal = Terminal(setup, "perfsonar")
    terminal.expect("2   atlas")
    terminal.answer("Experiment whose tests run on this host: ", "")
    terminal.expect("--experiment is missing")
    terminal.answer("on this host: ", "atlsa")
    terminal.expect("atlas")
    terminal.answer("on this host: ", "2")
    terminal.expect("perfSONAR")
    terminal.answer("Activity of the traffic [2]: ", "")
    terminal.expect("1  eth0: 10 Gb/s, 10.93.7.1/24, fd5c:17a6:5::a/64, no default route")
    terminal.answer("Interfaces of the tests [eth0]: ", "1 eth1")
    terminal.answer("Collector of fireflies (or none) [global.scitags.org]: ", "none")
    terminal.expect("targetInterfaces: [eth0, eth1]")
    terminal.answer("Do this? [Y/n]: ", "")
    assert terminal.code() == 0, terminal.shown
    values = setup.values()
    assert values["plugins"]["perfsonar"] == {"experimentId": "atlas", "activityId": "perfSONAR"}
    assert set(values["backends"]) == {"marker"}


@pytest.mark.parametrize("line", ["n\n", "\x04"])
def test_who_declines_or_hangs_up_has_changed_nothing(setup, line):
    setup.conf.write_text(BY_HAND)
    terminal = Terminal(setup, "storage", "--interfaces", "eth0", "--collector", "none")
    terminal.expect("Do this? [Y/n]: ")
    os.write(terminal.master, line.encode())
    assert terminal.code() == 1
    assert setup.files() == {"conf.yaml": BY_HAND.encode()}


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
@pytest.mark.parametrize("answered", range(5))
def test_setup_can_be_left_at_each_question(setup, answered, key):
    setup.conf.write_text(BY_HAND)
    questions = [("on this host: ", "2"), ("Activity of the traffic [2]: ", ""), ("Interfaces of the tests [eth0]: ", ""),
                 ("[global.scitags.org]: ", "none"), ("Do this? [Y/n]: ", None)]
    terminal = Terminal(setup, "perfsonar")
    for prompt, line in questions[:answered]:
        terminal.answer(prompt, line)
    terminal.expect(questions[answered][0])
    os.write(terminal.master, key.encode())
    assert terminal.code() == (-signal.SIGINT if key == "\x03" else 1), terminal.shown
    assert setup.files() == {"conf.yaml": BY_HAND.encode()}


def test_interfaces_of_the_multi_nic_file_of_perfsonar_are_the_default(setup, lab, tmp_path):
    """The file has a fixed path: this process has a view of its own of /etc."""
    second_link(lab)
    work = tmp_path / "work"
    script = ("mount -t tmpfs tmpfs $0 && mkdir $0/u $0/w && mount -t overlay -o lowerdir=/etc,upperdir=$0/u,workdir=$0/w overlay /etc && "
              "printf 'NIC_NAMES=(\"eth0\" \"eth1\")\\n' > /etc/perfSONAR-multi-nic-config.conf && exec \"$@\"")
    work.mkdir()
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(work),
                           *setup.command("perfsonar", "--experiment", "atlas")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert setup.values()["backends"]["marker"]["targetInterfaces"] == ["eth0", "eth1"]


def test_killed_at_any_moment_it_leaves_the_old_or_the_new_configuration_whole(setup):
    """30 kills, spread over the time that a run takes; each time it is run again and removed."""
    began = time.monotonic()
    setup("perfsonar", "--experiment", "atlas")
    lasts = time.monotonic() - began
    new = setup.conf.read_bytes()
    setup("--remove")
    setup.conf.write_text(BY_HAND)
    seen = {"old": 0, "new": 0}
    chance = random.Random(17)
    for number in range(30):
        process = subprocess.Popen(setup.command("perfsonar", "--experiment", "atlas"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        # Most kills where the files change, which is at the end.
        time.sleep(lasts * chance.uniform(0.6 if number % 3 else 0.0, 1.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        left = setup.conf.read_bytes()
        assert left in (BY_HAND.encode(), new), left
        seen["old" if left == BY_HAND.encode() else "new"] += 1
        setup("perfsonar", "--experiment", "atlas")
        assert setup.conf.read_bytes() == new
        setup("--remove")
        assert setup.files() == {"conf.yaml": BY_HAND.encode()}, number
    print(seen, file=sys.stderr)


@pytest.mark.parametrize("call", ["fchmod", "fsync", "link", "rename"])
def test_killed_at_a_system_call_that_counts_it_leaves_a_whole_configuration(setup, call):
    setup("perfsonar", "--experiment", "atlas")
    new = setup.conf.read_bytes()
    setup("--remove")
    setup.conf.write_text(BY_HAND)
    strace = [*setup.prefix, "strace", "-o", "/dev/null", "-e", f"inject=/^{call}(at2?)?$:signal=KILL:when=1"]
    done = subprocess.run([*strace, *setup.command("perfsonar", "--experiment", "atlas")[len(setup.prefix):]], capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done
    assert setup.conf.read_bytes() in (BY_HAND.encode(), new)
    setup("perfsonar", "--experiment", "atlas")
    assert setup.conf.read_bytes() == new
    setup("--remove")
    assert setup.files() == {"conf.yaml": BY_HAND.encode()}


def test_without_systemd_the_configuration_is_written_and_the_next_command_is_named(lab):
    """In a mount namespace with an /etc of its own, and without what shows that systemd runs."""
    script = ("mount -t tmpfs -o mode=0755 none /etc && mkdir /etc/flowd-cpp && { [ ! -d /run/systemd ] || "
              f"mount -t tmpfs none /run/systemd; }} && {BINARY} setup storage --yes && cat /etc/flowd-cpp/conf.yaml")
    done = subprocess.run(["nsenter", f"--net=/run/netns/{lab.a.name}", "unshare", "-m", "sh", "-c", script], capture_output=True,
                          text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "not started: no systemd runs here; start the daemon with `flowd-cpp run`" in done.stderr
    assert "marker" in yaml.safe_load(done.stdout[done.stdout.index("# Written by"):])["backends"]
