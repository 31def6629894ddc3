# SPDX-License-Identifier: Apache-2.0
"""The shells complete the names of the instances of a running daemon, and their commands."""
import os
import shutil
import subprocess
import tempfile

import pytest

from tests.harness.daemon import BINARY, ROOT, Daemon

FILES = ROOT / "etc/completion"
CONFIGURATION = """\
plugins:
  fireflyp: {}
  netlink: {experiment: 2, activity: 16}
enrichers:
  netlink: {}
backends:
  marker: {targetInterfaces: [eth0]}
  firefly/regional: {sendToDestination: false, collectors: [{address: "fd5c:17a6:5::b"}]}
  metrics: {port: 9107}
"""
INSTANCES = {"fireflyp", "plugin:netlink", "enricher:netlink", "marker", "firefly/regional", "metrics"}


def bash(*words):
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _flowd_cpp; printf "%s\\n" "${COMPREPLY[@]}"'
    return ["bash", "-c", script, "bash", str(FILES / "flowd-cpp.bash"), str(BINARY), *words]


def zsh(*words):
    # Its completion functions work in its line editor only: what they are given is printed instead.
    script = f'_describe() {{ print -rl -- "${{(P)4[@]}}" }}; words=("$@"); CURRENT=$#; source {FILES / "_flowd-cpp"}'
    return ["zsh", "-fc", script, "zsh", str(BINARY), *words]


def fish(*words):
    line = " ".join(["flowd-cpp", *words])
    return ["fish", "--no-config", "-c", f"set -x PATH {BINARY.parent} $PATH; source {FILES / 'flowd-cpp.fish'}; complete -C '{line}'"]


def offered(shell, *words):
    """What it offers for the last of these words."""
    with tempfile.TemporaryDirectory() as home:  # fish writes there
        done = subprocess.run(shell(*words), capture_output=True, text=True, timeout=60, env=os.environ | {"HOME": home})
    assert (done.returncode, done.stderr) == (0, ""), (words, done.stderr)
    names = {line.split("\t")[0] for line in done.stdout.splitlines() if line}
    if shell is zsh:  # "name:what it is", where a colon of the name has a backslash
        names = {name.replace("\\:", "\0").split(":")[0].replace("\0", ":") for name in names}
    return names


@pytest.mark.parametrize("shell", [bash, zsh, fish])
def test_a_shell_completes_the_instances_of_the_running_daemon_and_their_commands(lab, shell):
    assert shutil.which(shell.__name__), "scripts/install-dependencies installs it"
    with Daemon(CONFIGURATION, lab.a) as daemon:
        control = ("--control", str(daemon.control))
        assert {one for one in offered(shell, *control, "status", "") if not one.startswith("-")} == INSTANCES
        assert offered(shell, *control, "status", "firefly/") == {"firefly/regional"}
        assert {"status", "mode"} <= offered(shell, *control, "marker", "")
        assert "firefly/regional" in offered(shell, *control, "firefly/r")
        daemon.reload(CONFIGURATION.replace("firefly/regional", "firefly/national"))
        assert offered(shell, *control, "status", "firefly/") == {"firefly/national"}
    assert not offered(shell, *control, "status", "fire"), "there is no daemon to ask"


def test_bash_completes_a_name_with_a_colon_at_which_it_breaks_words(lab):
    with Daemon(CONFIGURATION, lab.a) as daemon:
        control = ("--control", str(daemon.control))
        for words, rest in ((("status", "plugin", ":", "net"), {"netlink"}), (("status", "plugin", ":"), {"netlink"}),
                            (("status", "enricher", ":", "n"), {"netlink"})):
            assert offered(bash, *control, *words) == rest, words
