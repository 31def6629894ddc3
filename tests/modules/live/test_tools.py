# SPDX-License-Identifier: Apache-2.0
"""Commands that need no daemon: flowd-cpp COMPONENT TOOL."""
import json
import os
import signal
import subprocess

import pytest

from tests.harness.daemon import BINARY

MODULES = os.environ["FLOWD_LIVE_MODULES"]


@pytest.fixture
def conf(tmp_path):
    return tmp_path / "conf.yaml"


def command(conf, *words):
    return [str(BINARY), "--modules", MODULES, "--conf", str(conf), "--control", f"{conf}.control", *words]


def run(conf, *words):
    return subprocess.run(command(conf, *words), capture_output=True, text=True, timeout=30)


def answers(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_options_come_from_the_command_line_in_every_form(conf):
    done = run(conf, "greet", "greet", "--to", "you", "--to=me", "--loud", "--often", "2", "--json")
    assert [(a["to"], a["loud"]) for a in answers(done)] == [("you", True), ("me", True)] * 2


def test_the_configuration_and_the_registry_are_optional_for_tools(conf):
    assert answers(run(conf, "greet", "greet", "--to", "you", "--json")) == [{"word": "", "to": "you", "loud": False}]
    conf.write_text("plugins: {greet: {word: servus}}\n")
    done = run(conf, "greet", "greet", "--to", "you", "--experiment", "CMS", "--json")
    assert answers(done) == [{"word": "servus", "to": "you", "loud": False, "experiment": 3}]
    conf.write_text("plugins: {greet: {word: [}\n")
    assert answers(run(conf, "greet", "greet", "--to", "you", "--json"))[0]["word"] == ""


@pytest.mark.parametrize("words, complaint", [
    ([], "to: "),
    (["--tu", "you"], "to"),
    (["--to"], "--to requires a value"),
    (["you"], "an option was expected"),
    (["--to", "you", "--often", "10"], "1 to 9"),
    (["--to", "you", "--often", "1", "--often", "2"], "often"),
])
def test_an_invalid_command_line_exits_with_2_and_names_allowed_values(conf, words, complaint):
    done = run(conf, "greet", "greet", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "flowd-cpp greet greet: error" in done.stderr and complaint in done.stderr


def test_help_comes_from_the_option_table(conf):
    done = run(conf, "greet", "greet", "--help")
    assert done.returncode == 0
    for part in ("Greets somebody.", "--to VALUE\n      Whom to greet. Allowed: text, several times. Required.", "--loud\n",
                 "How often. Allowed: an integer, 1 to 9. Default: 1."):
        assert part in done.stdout


def test_a_component_name_without_a_daemon_lists_its_tools(conf):
    done = run(conf, "greet")
    assert done.returncode == 0 and "flowd-cpp greet wait --help" in done.stdout
    assert [t["name"] for t in json.loads(run(conf, "modules", "info", "greet", "--json").stdout)["components"][0]["tools"]] == [
        "greet", "wait", "sulk", "fail"]


def test_unknown_tools_are_forwarded_to_the_daemon(conf):
    assert run(conf, "greet", "dance").returncode == 8


def test_a_failure_has_a_reason_and_an_exit_code(conf):
    done = run(conf, "greet", "fail")
    assert (done.returncode, done.stderr) == (5, "flowd-cpp: this is not for you\n  hint: ask somebody else\n")


def test_an_instance_key_selects_the_options_of_a_tool(conf):
    conf.write_text("plugins: {greet: {word: servus}, greet/formal: {word: good day}}\n")
    for name, word in (("greet", "servus"), ("greet/formal", "good day")):
        assert answers(run(conf, name, "greet", "--to", "you", "--json"))[0]["word"] == word
    done = run(conf, "greet/other", "greet", "--to", "you")
    assert done.returncode == 7 and "greet/other" in done.stderr


def test_a_second_interrupt_ends_a_tool_that_ignores_the_first(conf):
    running = subprocess.Popen(command(conf, "greet", "sulk", "--json"), stdout=subprocess.PIPE, text=True)
    assert json.loads(running.stdout.readline()) == {"state": "sulking"}
    running.send_signal(signal.SIGINT)
    assert json.loads(running.stdout.readline()) == {"state": "interrupted"}
    running.send_signal(signal.SIGINT)
    assert running.wait(10) == -signal.SIGINT


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_tool_ends_successfully(conf, number):
    running = subprocess.Popen(command(conf, "greet", "wait", "--json"), stdout=subprocess.PIPE, text=True)
    assert json.loads(running.stdout.readline()) == {"state": "waiting"}
    running.send_signal(number)
    assert json.loads(running.stdout.readline()) == {"state": "interrupted"}
    assert running.wait(10) == 0
