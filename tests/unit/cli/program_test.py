#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real program, as a person or a script meets it: exit codes, streams, and files.

usage: program_test.py PROGRAM Program|WithModules"""
import itertools
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1))
COMPLETION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../etc/completion")


def run(*words, cwd=None):
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60, cwd=cwd)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="flowd-cli-")
        self.addCleanup(self.folder.cleanup)

    def file(self, name, text=""):
        path = os.path.join(self.folder.name, name)
        with open(path, "w") as out:
            out.write(text)
        return path

    def completions(self, *words):
        """What bash offers for the last of these words, the others being complete."""
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _flowd_cpp; printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-c", script, "bash", os.path.join(COMPLETION, "flowd-cpp.bash"), PROGRAM, *words],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return set(done.stdout.splitlines()) - {""}

    def components(self):
        return {name.split()[1] for module in json.loads(run("modules", "list", "--json").stdout) for name in module["components"].split(", ")}


class Program(Case):
    def test_help_and_version_succeed_on_stdout(self):
        for words in (["--help"], ["run", "--help"], ["version"], ["--version"]):
            done = run(*words)
            self.assertEqual((done.returncode, done.stderr), (0, ""), words)
            self.assertIn("flowd-cpp", done.stdout)

    def test_a_daemon_of_an_earlier_version_does_not_know_a_command(self):
        answer = b'{"error":"\\"%s\\" is neither a command nor an instance","hint":"instances: marker"}'
        with socket.socket(socket.AF_UNIX) as listener:
            control = os.path.join(self.folder.name, "control")
            listener.bind(control)
            listener.settimeout(60)
            listener.listen()

            def serve():
                for _ in range(3):
                    with listener.accept()[0] as client:
                        words = client.recv(65536)[4:].split(b"\0")
                        text = answer % words[0]
                        client.sendall(struct.pack("<Ii", len(text) + 4, 2) + text)

            server = threading.Thread(target=serve)
            server.start()
            for words in (["explain", "cms"], ["observe", "--last", "1"], ["explain", "cms", "--json"]):
                done = run("--control", control, *words)
                self.assertEqual(done.returncode, 1, done)
                self.assertIn(f'the running daemon does not know the command \\"{words[0]}\\"' if "--json" in words else
                              f'the running daemon does not know the command "{words[0]}": it is of an earlier version', done.stdout + done.stderr)
                self.assertIn("restart it", done.stdout + done.stderr)
            server.join()

    def test_the_guide_lists_the_exit_codes_of_the_help(self):
        with open(os.path.join(os.path.dirname(__file__), "../../../docs/cli.md")) as guide:
            rows = guide.read()
        codes = re.findall(r"^  (\d)  (.+)$", run("--help").stdout, re.MULTILINE)
        self.assertEqual(len(codes), 10)
        for code, meaning in codes:
            self.assertIn(f"| {code} | {meaning}", rows)

    def test_the_shell_completes_every_command_and_option_that_the_help_names(self):
        usage = run("--help").stdout
        commands = set(re.findall(r"^  ([a-z-]+) {2,}", usage.split("Subcommands:")[1].split("Any other")[0], re.MULTILINE))
        everywhere = set(re.findall(r"(--[a-z-]+)", usage.split("Subcommands:")[0]))
        socket = os.path.join(self.folder.name, "control")
        self.assertGreater(len(commands), 10)
        self.assertEqual(self.completions("--control", socket, ""), commands | everywhere | self.components())
        self.assertEqual(self.completions("--conf", "x", "rel"), {"reload"})
        for command in commands:
            about = run(command, "--help").stdout
            deeper = set(re.findall(r"^  ([a-z-]+) {2,}", about.split("Subcommands:")[1].split("Options of")[0], re.MULTILINE)
                         if "Subcommands:" in about else [])
            if deeper:
                self.assertLessEqual(deeper, self.completions(command, ""))
            for words in [[command, one] for one in deeper] or [[command]]:
                options = set(re.findall(r"^ +(?:-\w,)?(--[a-z-]+)", run(*words, "--help").stdout, re.MULTILINE))
                self.assertLessEqual(options | everywhere - {"--version"}, self.completions(*words, "--"), words)

    def test_the_shell_completes_the_values_of_options(self):
        self.assertEqual(self.completions("new-module", "x", "--kind", ""), {"plugin", "backend", "enricher"})
        self.assertEqual(self.completions("--log-level", "w"), {"warning"})
        self.assertEqual(self.completions("label", "export", "--for", ""), {"clickhouse", "pmacct", "wireshark"})
        self.assertLessEqual({"perfsonar", "relay", "storage"}, self.completions("setup", ""))
        self.assertLessEqual({"--dry-run", "--experiment", "--no-firefly-receiver"}, self.completions("setup", "perfsonar", "--"))
        self.assertEqual(self.completions("setup", "perfsonar", "--experiment", "lh"), {"lhcb"})
        self.assertIn(self.file("conf.yaml"), self.completions("check", "--conf", self.folder.name + "/"))

    def test_completion_offers_nothing_for_incomplete_and_invalid_command_lines(self):
        for words in ([], [""], ["--conf"], ["--log-level", "loud", ""], ["modules", "info", "a", "b", ""], ["no", "such", "thing"],
                      ["--no-such", ""], ["-"], ["\x1b[2J"]):
            done = run("complete", *words)
            self.assertEqual((done.returncode, done.stderr), (0, ""), words)
            self.assertNotIn("\x1b", done.stdout)

    def test_an_invalid_command_line_exits_with_2(self):
        for words in ([], ["--bogus"], ["run", "--bogus"], ["label", "encode", "512", "1"]):
            done = run(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertTrue(done.stderr)

    def test_an_invalid_configuration_exits_with_3_and_a_position(self):
        conf = self.file("conf.yaml", "pidPath: /x\nplugnis: {}\n")
        for command in ("check", "conf", "run"):
            done = run(command, "--conf", conf)
            self.assertEqual(done.returncode, 3, done.stderr)
            place = f"[error] {conf}:2:1: " if command == "run" else f"{conf}:2:1: error: "  # a log line has its level
            self.assertIn(place + "plugnis: unknown key", done.stdout + done.stderr)
            self.assertIn("plugins", done.stdout + done.stderr)

    def test_a_missing_configuration_exits_with_7(self):
        done = run("check", "--conf", os.path.join(self.folder.name, "none.yaml"))
        self.assertEqual(done.returncode, 7, done.stdout + done.stderr)

    def test_an_absent_module_exits_with_4(self):
        conf = self.file("conf.yaml", "plugins:\n  nosuchplugin: {}\n")
        done = run("check", "--conf", conf)
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)

    def test_a_valid_configuration_exits_with_0_and_one_line(self):
        conf = self.file("conf.yaml", "{}\n")
        done = run("check", "--conf", conf)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(done.stdout.strip().splitlines()[-1].startswith(f"{conf}: usable"))
        answer = json.loads(run("check", "--json", "--conf", conf).stdout)
        self.assertTrue(answer["usable"])

    def test_no_daemon_exits_with_8(self):
        socket = os.path.join(self.folder.name, "control")
        for words in (["status"], ["flows", "--json"], ["reload"], ["marker", "status"]):
            self.assertEqual(run(*words, "--control", socket).returncode, 8, words)

    def test_the_control_socket_is_taken_from_the_configuration(self):
        socket = os.path.join(self.folder.name, "elsewhere")
        conf = self.file("conf.yaml", f"control:\n  path: {socket}\n")
        self.assertIn(socket, run("status", "--conf", conf).stderr)

    def test_modules_are_listed_for_people_and_programs(self):
        answer = run("modules", "list", "--json")
        self.assertIsInstance(json.loads(answer.stdout), list, answer.stderr)
        missing = run("modules", "info", "nosuchmodule")
        self.assertEqual(missing.returncode, 4)
        self.assertIn("nosuchmodule", missing.stderr)

    def test_a_refused_module_exits_with_4_and_a_reason(self):
        self.file("plugin-broken.so", "this is no shared object")
        listed = run("modules", "list", "--modules", self.folder.name)
        self.assertEqual(listed.returncode, 4, listed.stdout + listed.stderr)
        self.assertIn("failed", listed.stdout)
        self.assertEqual(run("modules", "info", "plugin-broken", "--modules", self.folder.name).returncode, 4)

    def test_names_of_the_registry_are_known(self):
        done = run("label", "encode", "cms", "default", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["experiment"], 3)
        self.assertIn("looks like a scitag", run("label", "decode", "206").stdout)
        self.assertIn("looks like a label, the scitag is 206", run("label", "decode", "--scitag", "196664").stderr)

    def test_new_module_creates_every_kind_in_each_language(self):
        for kind, language in itertools.product(("plugin", "backend", "enricher"), ("c", "c++")):
            shutil.rmtree(os.path.join(self.folder.name, f"{kind}-mine"), ignore_errors=True)
            done = run("new-module", "mine", "--kind", kind, "--language", language, cwd=self.folder.name)
            self.assertEqual(done.returncode, 0, done.stderr)
            folder = os.path.join(self.folder.name, f"{kind}-mine")
            self.assertTrue(os.path.exists(os.path.join(folder, "CMakeLists.txt")))
            for where, _, names in os.walk(folder):
                for name in names:
                    self.assertNotIn("@", name)
                    with open(os.path.join(where, name)) as text:
                        content = text.read()
                    for placeholder in ("@NAME@", "@CLASS@", "@KIND@"):
                        self.assertNotIn(placeholder, content, name)
            self.assertEqual(run("new-module", "mine", "--kind", kind, cwd=self.folder.name).returncode, 6)


class WithModules(Case):
    """What the program tells of the modules of this product."""

    def test_the_shell_completes_modules_experiments_activities_and_tools(self):
        self.assertLessEqual({"backend-firefly", "firefly", "marker"}, self.completions("modules", "info", ""))
        self.assertIn("lhcb", self.completions("label", "encode", "l"))
        self.assertIn("Analysis\\ Input", self.completions("label", "encode", "cms", "A"))
        self.assertEqual(self.completions("label", "encode", "no such experiment", "A"), set())
        self.assertIn("listen", self.completions("firefly", ""))
        self.assertLessEqual({"--port"}, self.completions("firefly", "listen", "--"))
        self.assertEqual(self.completions("explain", "s"), {"sctp", "ska"})
        self.assertIn("Analysis\\ Input", self.completions("explain", "cms", "A"))
        self.assertLessEqual({"coverage", "plan"}, self.completions(""))

    def test_a_name_that_an_installed_module_has_is_refused_for_a_new_one(self):
        for name in ("netlink", "firefly"):  # of a component, and an alias of fireflyp
            done = run("new-module", name, "--kind", "plugin", cwd=self.folder.name)
            self.assertEqual(done.returncode, 6, done.stdout)
            self.assertIn("choose another name", done.stderr)
        self.assertEqual(os.listdir(self.folder.name), [])
        done = run("new-module", "netlink", "--kind", "backend", cwd=self.folder.name)
        self.assertEqual(done.returncode, 0, done.stderr)  # names of other kinds are free

    def test_zsh_and_fish_offer_the_same_as_bash(self):
        program = os.path.dirname(PROGRAM)
        # zsh's completion functions work in its line editor only: what they are given is printed instead.
        zsh = ('_describe() { print -l -- "${(P)4[@]}" }; _files() { print :files }; words=("$@"); CURRENT=$#; source ' +
               os.path.join(COMPLETION, "_flowd-cpp"))
        fish = f"set -x PATH {program} $PATH; source {os.path.join(COMPLETION, 'flowd-cpp.fish')}; complete -C "
        for words in (["modules", ""], ["mod"], ["--log-level", ""], ["label", "encode", "cms", ""], ["firefly", "listen", "--p"]):
            wanted = {word.replace("\\ ", " ") for word in self.completions(*words)}
            self.assertTrue(wanted, words)
            done = subprocess.run(["zsh", "-f", "-c", zsh, "zsh", PROGRAM, *words], capture_output=True, text=True, timeout=60)
            self.assertEqual(({line.split(":")[0] for line in done.stdout.splitlines()}, done.stderr), (wanted, ""), words)
            line = " ".join(["flowd-cpp", *words])
            done = subprocess.run(["fish", "--no-config", "-c", fish + f"'{line}'"], capture_output=True, text=True, timeout=60)
            self.assertEqual(({line.split("\t")[0] for line in done.stdout.splitlines()}, done.stderr), (wanted, ""), words)

    def test_help_lists_the_tools_of_installed_components(self):
        self.assertIn("flowd-cpp firefly listen", run("--help").stdout)
        alone = run("--help", "--modules", self.folder.name)
        self.assertEqual(alone.returncode, 0)

    def test_help_of_a_component_of_a_tool_and_of_a_command(self):
        socket = os.path.join(self.folder.name, "control")
        for words in (["firefly"], ["firefly", "--help"], ["firefly", "-h"], ["firefly", "help"], ["firefly/regional", "--help"]):
            done = run(*words, "--control", socket)
            self.assertEqual((done.returncode, done.stderr), (0, ""), words)
            self.assertIn("flowd-cpp firefly listen --help", done.stdout)
            self.assertIn("modules info backend-firefly", done.stdout)
        self.assertIn("Usage: flowd-cpp firefly listen", run("firefly", "listen", "--help").stdout)
        without_tools = run("perfsonar", "--help", "--control", socket)
        self.assertEqual(without_tools.returncode, 0)
        self.assertIn("no daemon answers at", without_tools.stdout)
        self.assertEqual(run("nothing", "--help", "--control", socket).returncode, 8)
        rows = json.loads(run("firefly", "--json", "--control", socket).stdout)
        self.assertIn(("firefly", "listen"), [(row["component"], row["tool"]) for row in rows])

    def test_a_component_name_takes_precedence_over_an_alias(self):
        listed = json.loads(run("modules", "info", "firefly", "--json").stdout)
        self.assertEqual(listed["module"], "backend-firefly")
        self.assertNotIn("fireflyp", run("firefly", "--help", "--control", self.folder.name).stdout)


if __name__ == "__main__":
    unittest.main(verbosity=1)
