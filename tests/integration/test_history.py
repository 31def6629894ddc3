# SPDX-License-Identifier: Apache-2.0
"""Ended flows, filters, events and sums per minute, as the command line shows them, with the real daemon."""
import csv
import io
import json
import os
import pathlib
import select
import signal
import subprocess
import time

import pytest

from tests.harness.daemon import BINARY, Daemon
from tests.harness.history import write_history
from tests.harness.http import Api
from tests.harness.lab import wait_for

CONFIGURATION = "plugins:\n  api: {}\n"
HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\x07\u009b\u202e=1+1"


def flow(state, number=0, **more):
    return {"state": state, "protocol": "tcp", "source": {"address": "2001:db8::1", "port": 40000 + number},
            "destination": {"address": f"2001:db8:{number % 7:x}::2", "port": 1094}, "experiment": 2, "activity": 16} | more


def run(daemon, *words, check=True, **more):
    done = subprocess.run([str(BINARY), "--control", str(daemon.control), *words], capture_output=True, text=True, **more)
    assert not check or done.returncode == 0, done.stderr
    return done


def is_safe(text):
    """No control character but the line break, and no bidirectional override."""
    return not any((ord(c) < 32 and c not in "\r\n") or 0x7f <= ord(c) < 0xa0 or 0x202a <= ord(c) <= 0x202e for c in text)


@pytest.fixture
def pair(lab):
    with Daemon(CONFIGURATION, lab.a) as daemon, Api.at(lab.a) as api:
        yield daemon, api


def test_an_ended_flow_is_listed_with_its_reason(pair):
    daemon, api = pair
    api.post([flow("start", application="transfer"), flow("end", usage={"bytesSent": 4096, "bytesReceived": 7})])
    assert daemon.cli("flows")["flows"] == []
    answer = daemon.cli("flows", "--ended")
    ended, = answer["flows"]
    assert (ended["endReason"], ended["bytesSent"], ended["application"], ended["marked"]) == ("announced", 4096, "transfer", False)
    assert "announced" in run(daemon, "flows", "--ended").stdout


def test_the_history_is_bounded_and_can_be_switched_off(lab):
    with Daemon("flows: {history: 10}\n" + CONFIGURATION, lab.a) as daemon, Api.at(lab.a) as api:
        api.post([flow(state, n) for n in range(30) for state in ("start", "end")])
        ports = [one["source"] for one in daemon.cli("flows", "--ended")["flows"]]
        assert ports == [f"[2001:db8::1]:{40029 - n}" for n in range(10)], "the latest first"
        daemon.reload("flows: {history: 0}\n" + CONFIGURATION)
        assert daemon.cli("flows", "--ended")["flows"] == []


def test_filters_mean_the_same_on_the_command_line_and_in_rest(pair):
    daemon, api = pair
    api.post([flow("start", n, experiment=2 + n % 2, usage={"bytesSent": 10 ** n, "bytesReceived": 0}) for n in range(10)])
    quote = __import__("urllib.parse").parse.quote
    for text, count in [("", 10), ("experiment=atlas", 5), ("experiment=cms bytes>=1M", 2), ("port=1094", 10), ("port!=1094", 0),
                        ("network=2001:db8:2::/48", 2), ("source=2001:db8:3::/48", 0), ("marked=no", 10), ("age>1h", 0),
                        ("plugin=api", 10), ("sent>=1G", 1), ("port>40007", 2)]:
        for words in (("--filter", text), ("--filter", text, "--sort", "bytes", "--limit", "100000")):
            answer = daemon.cli("flows", *words)
            assert answer["matched"] == count == len(answer["flows"]), text
        assert len(api.get("/flows?filter=" + quote(text))[2]["flows"]) == count, text
    failed = run(daemon, "flows", "--filter", "port=1094 experimnt=atlas", check=False)
    assert failed.returncode == 2
    assert 'filter: column 11: "experimnt" is not a field' in failed.stderr and "did you mean experiment?" in failed.stderr
    answer = api.get("/flows?filter=" + quote("port=1094 experimnt=atlas"))
    assert answer[0] == 400 and answer[2]["detail"] == 'filter: column 11: "experimnt" is not a field'


def test_the_largest_flows_come_first_and_pages_of_a_filter_are_complete(pair):
    daemon, api = pair
    api.post([flow("start", n, usage={"bytesSent": n * 1000, "bytesReceived": 0}) for n in range(500)])
    largest = daemon.cli("flows", "--sort", "bytes", "--limit", "3")
    assert [one["bytesSent"] for one in largest["flows"]] == [499000, 498000, 497000] and largest["matched"] == 500
    cursor, seen = "0", []
    while cursor:
        page = api.get(f"/flows?limit=7&filter=bytes%3E%3D250k&cursor={cursor}")[2]
        assert len(page["flows"]) <= 7
        seen += [one["id"] for one in page["flows"]]
        cursor = page.get("next")
    assert len(seen) == len(set(seen)) == 250


def test_summaries(pair):
    daemon, api = pair
    api.post([flow("start", n, experiment=2 + n % 2, usage={"bytesSent": 100, "bytesReceived": 1}) for n in range(14)])
    by_tag = daemon.cli("flows", "--summary")["groups"]
    assert [(one["flows"], one["bytesSent"]) for one in by_tag] == [(7, 700), (7, 700)]
    assert [one["flows"] for one in daemon.cli("flows", "--summary", "network")["groups"]] == [2] * 7
    assert daemon.cli("flows", "--summary", "port")["groups"][0]["group"] == "tcp/1094"
    assert daemon.cli("flows", "--summary", "plugin")["groups"] == [
        {"group": "api", "flows": 14, "marked": 0, "bytesSent": 1400, "bytesReceived": 14}]
    assert "GROUP" in run(daemon, "flows", "--summary", "plugin").stdout


def test_csv_quotes_what_a_spreadsheet_would_take_for_a_formula(pair):
    daemon, api = pair
    names = ["=1+1", "+x", "-x", "@x", 'a "b", c', "plain"]
    api.post([flow("start", n, application=name) for n, name in enumerate(names)])
    text = run(daemon, "flows", "-o", "csv", "--sort", "source").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["application"] for row in rows] == ["'=1+1", "'+x", "'-x", "'@x", 'a "b", c', "plain"]
    assert "\"'=1+1\"" in text
    lines = run(daemon, "flows", "-o", "jsonl").stdout.splitlines()
    assert sorted(json.loads(line)["application"] for line in lines) == sorted(names)


def test_hostile_text_stays_text_on_every_surface(pair):
    daemon, api = pair
    api.post([flow("start", application=HOSTILE), flow("start", 1, application=HOSTILE), flow("end", 1)])
    api.ask("POST", "/flow", HOSTILE.encode(), Content_Type="application/json")  # refused: an event with its first bytes
    for words in (("flows",), ("flows", "--wide"), ("flows", "--ended", "--wide"), ("flows", "-o", "jsonl"), ("flows", "-o", "csv"),
                  ("flows", "--json"), ("observe", "--last", "100"), ("observe", "--last", "100", "-o", "jsonl"), ("refusals",),
                  ("explain", "tcp", "[2001:db8::1]:40000", "[2001:db8:0::2]:1094")):
        out = run(daemon, *words).stdout
        assert is_safe(out), (words, out)
    assert "<img src=x onerror=alert(1)>\\x1b[31m\\x07\\x9b\\u202e=1+1" in run(daemon, "flows", "--wide").stdout
    for path in ("/flows", "/history", "/events?last=100&follow=no"):
        api.connection.request("GET", path)
        text = api.connection.getresponse().read().decode()
        assert is_safe(text), text
        assert "\\u202e" in text


def test_observe_follows_and_filters(pair):
    daemon, api = pair
    with subprocess.Popen([str(BINARY), "--control", str(daemon.control), "observe", "-f", "-o", "jsonl", "--filter",
                           "event!=ongoing"], stdout=subprocess.PIPE, text=True) as observer:
        api.post([flow("start")])
        wait_for(lambda: daemon.cli("observe", "--last", "5"), "an event")
        # The observer may begin after the first event: it shows what comes after its start.
        number = 1
        lines = ""

        def received():
            nonlocal lines, number
            api.post([flow("start", number)])
            number += 1
            while select.select([observer.stdout], [], [], 0)[0]:
                lines += os.read(observer.stdout.fileno(), 65536).decode()
            return lines.count("\n") >= 2
        wait_for(received, "two events", 20)
        first = json.loads(lines.splitlines()[0])
        assert first["event"] == "start" and first["flow"]["announcer"] == "api"
        observer.send_signal(signal.SIGINT)
        assert observer.wait(15) == 0
    api.post([flow("start", 1000), flow("ongoing", 1000, activity=17), flow("end", 1000)])
    text = run(daemon, "observe", "--last", "3").stdout.splitlines()
    assert [line.split()[1] for line in text] == ["start", "retag", "end"]
    assert "was atlas/" in text[1] and "announced" in text[2] and "not marked" in text[2]
    assert run(daemon, "observe", "--last", "2", "--filter", "event=retag").stdout.count("\n") == 1
    assert run(daemon, "observe", "--filter", "nonsense", check=False).returncode == 2


def test_a_slow_observer_is_told_what_it_lost_and_delays_nothing(pair):
    daemon, api = pair
    api.post([flow("start")])
    position = daemon_observe(daemon, "after=0")["next"]
    for first in range(0, 20_000, 1000):
        assert api.post([flow(state, 1 + n % 20_000) for n in range(first, first + 1000) for state in ("start", "end")])[0] == 200
    answer = daemon_observe(daemon, f"after={position}")
    assert answer["lost"] == 40_000 - 32_768
    assert len(answer["events"]) == 10_000 and answer["next"] == position + answer["lost"] + 10_000


def daemon_observe(daemon, *words):
    """The control socket's own answer."""
    import socket
    import struct
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(daemon.control))
        body = b"\0".join(word.encode() for word in ("observe", *words))
        sock.sendall(struct.pack("<I", len(body)) + body)
        data = b""
        while piece := sock.recv(1 << 20):
            data += piece
    assert data[4:8] == bytes(4), data[:200]
    return json.loads(data[8:])


def sums(api):
    return sum(one["started"] for one in api.get("/history/minutes")[2]["minutes"])


def test_sums_survive_a_restart(lab, tmp_path):
    daemon = Daemon("", lab.a)
    state = daemon.directory / "state"
    daemon.conf.write_text(f"workDir: {state}\n" + CONFIGURATION)
    with daemon:
        with Api.at(lab.a) as api:
            api.post([flow("start", n) for n in range(3)])
            wait_for(lambda: sums(api) == 3, "the sums")
        assert daemon.stop() == 0
        lines = (state / "history").read_text().splitlines()
        assert lines[0] == "flowd-history 1" and lines[-1].startswith("end ")
        daemon.start()
        with Api.at(lab.a) as api:
            wait_for(lambda: sums(api) == 3, "the sums of before")
            api.post([flow("start", n) for n in range(3)])
            wait_for(lambda: sums(api) == 6, "both together")


def test_a_kill_loses_at_most_the_running_minute(lab):
    daemon = Daemon("", lab.a)
    state = daemon.directory / "state"
    daemon.conf.write_text(f"workDir: {state}\n" + CONFIGURATION)
    # A minute that has ended, written by an earlier run.
    state.mkdir()
    minute = int(time.time()) // 60 - 2
    write_history(state / "history", [f"{minute} 2 16 1 5 4 1000 10"])
    with daemon:
        with Api.at(lab.a) as api:
            wait_for(lambda: sums(api) == 5, "the sums of before")
            api.post([flow("start", n) for n in range(3)])
            wait_for(lambda: sums(api) == 8, "the sums")
        if os.environ.get("FLOWD_LONG") == "1":  # the minute ends
            wait_for(lambda: " 3 0 " in (state / "history").read_text(), "the minute to be written", 90)
        daemon.process.kill()
        daemon.process.wait(20)
        (state / "history.a1b2c3").write_text("half a f")  # as if it had been killed while it wrote
        daemon.start()
        with Api.at(lab.a) as api:
            wait_for(lambda: sums(api) >= 5, "the sums of before the kill")
        assert [one for one in daemon.cli("findings") if one["id"] == "daemon-history-unreadable"] == []


@pytest.mark.parametrize("damage", ["version", "checksum", "row", "cut", "directory"])
def test_a_file_that_cannot_be_read_is_moved_aside_and_reported(lab, damage):
    daemon = Daemon("", lab.a)
    state = daemon.directory / "state"
    state.mkdir()
    file = state / "history"
    write_history(file, ["28333333 2 16 1 5 4 1000 10"], 2 if damage == "version" else 1)
    if damage == "checksum":
        file.write_text(file.read_text().replace(" 5 4 ", " 6 4 "))
    elif damage == "row":
        write_history(file, ["28333333 2 16 nonsense"])
    elif damage == "cut":
        file.write_text(file.read_text()[:-10])
    elif damage == "directory":
        file.unlink()
        file.mkdir()
    daemon.conf.write_text(f"workDir: {state}\n" + CONFIGURATION)
    with daemon:
        def finding():
            return next((one for one in daemon.cli("findings") if one["id"] == "daemon-history-unreadable"), None)
        wait_for(finding, "the finding")
        assert str(file) in finding()["found"] and finding()["severity"] == "warning"
        assert (state / "history.unreadable").exists() and not file.exists()
        assert "cannot be read" in daemon.log
        with Api.at(lab.a) as api:
            api.post([flow("start")])
            wait_for(lambda: sums(api) == 1, "sums that begin anew")
        assert daemon.stop() == 0
        assert file.read_text().startswith("flowd-history 1\n")


# -- flows --watch in a terminal ---------------------------------------------------------------------------------------


class Tmux:
    """A terminal of a given size, without a configuration, on a server of its own."""

    def __init__(self, columns, rows, directory):
        self.socket = str(pathlib.Path(directory) / "tmux")
        self.columns, self.rows = columns, rows

    def tmux(self, *words, check=True):
        done = subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", *words], capture_output=True, text=True,
                              env=os.environ | {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"})
        assert not check or done.returncode == 0, (words, done.stderr)
        return done.stdout

    def screen(self):
        return self.tmux("capture-pane", "-p").split("\n")[:self.rows]

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def __enter__(self):
        self.tmux("-u", "new-session", "-d", "-x", str(self.columns), "-y", str(self.rows), "env PS1='shell> ' sh")
        wait_for(lambda: "shell>" in self.tmux("capture-pane", "-p"), "the shell")
        return self

    def __exit__(self, *_):
        self.tmux("kill-server", check=False)


@pytest.mark.parametrize("columns, rows", [(80, 24), (200, 50)])
def test_watch_shows_a_thousand_flows_on_a_terminal(pair, tmp_path, columns, rows):
    daemon, api = pair
    flows = [flow("start", n, usage={"bytesSent": (n + 1) * 1000, "bytesReceived": n}, application=HOSTILE) for n in range(1000)]
    assert api.post(flows)[0] == 200
    with Tmux(columns, rows, tmp_path) as terminal:
        terminal.keys(f"{BINARY} --control {daemon.control} flows --watch --sort bytes", "Enter")
        wait_for(lambda: "1000 live" in "".join(terminal.screen()), "the screen", 20)
        screen = terminal.screen()
        assert screen[0] == "live flows by bytes"
        for heading in ("SOURCE", "DESTINATION", "AGE", "SENT", "RECEIVED", "MEAN RATE", "MARKED"):
            assert heading in screen[1], screen[1]
        assert "1.0M" in screen[2] and ":40999" in screen[2], "the largest first"
        assert f"{rows - 4} shown, 1000 match, 1000 live" == screen[rows - 2]
        assert screen[rows - 1].startswith("q quit")
        assert all(len(line) <= columns for line in screen)
        # Sort, filter, ended flows, and errors.
        terminal.keys("s")
        wait_for(lambda: terminal.screen()[0] == "live flows by sent", "another order")
        terminal.keys("/", "port=40007", "Enter")
        wait_for(lambda: "1 match" in "".join(terminal.screen()), "one flow")
        assert ":40007" in terminal.screen()[2]
        terminal.keys("/", "BSpace", "x", "Enter")
        wait_for(lambda: "is not a value of port" in "".join(terminal.screen()), "an error")
        terminal.keys("/", *["BSpace"] * 20, "Enter")
        terminal.keys("e")
        wait_for(lambda: "ended flows by sent" in terminal.screen()[0], "ended flows")
        terminal.keys("q")
        wait_for(lambda: "q quit" not in "".join(terminal.screen()), "the end")
        assert "shell>" in "".join(terminal.screen())
        terminal.keys("stty -a", "Enter")
        wait_for(lambda: " icanon" in " ".join(terminal.screen()), "a terminal as it was before")


@pytest.mark.parametrize("ending", ["C-c", "TERM"])
def test_watch_restores_the_terminal(pair, tmp_path, ending):
    daemon, _ = pair
    with Tmux(80, 24, tmp_path) as terminal:
        terminal.keys(f"sh -c 'echo $$ > {tmp_path}/pid; exec {BINARY} --control {daemon.control} flows --watch'", "Enter")
        wait_for(lambda: "q quit" in "".join(terminal.screen()), "the screen", 20)
        if ending == "C-c":
            terminal.keys("C-c")
        else:
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
        wait_for(lambda: "q quit" not in "".join(terminal.screen()), "the end")
        terminal.keys("stty -a", "Enter")
        wait_for(lambda: " icanon" in " ".join(terminal.screen()), "a terminal as it was before")
        assert terminal.tmux("display-message", "-p", "#{cursor_flag} #{alternate_on}").strip() == "1 0"


def test_watch_needs_a_terminal(pair):
    done = run(pair[0], "flows", "--watch", check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "needs a terminal" in done.stderr
