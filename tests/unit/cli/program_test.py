#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real program, as a person or a script meets it: exit codes, streams, and files.  usage: program_test.py PROGRAM"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)


def run(*words, cwd=None):
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60, cwd=cwd)


class Program(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="flowd-cli-")
        self.addCleanup(self.folder.cleanup)

    def file(self, name, text=""):
        path = os.path.join(self.folder.name, name)
        with open(path, "w") as out:
            out.write(text)
        return path

    def test_help_and_version_succeed_on_stdout(self):
        for words in (["--help"], ["run", "--help"], ["version"], ["--version"]):
            done = run(*words)
            self.assertEqual((done.returncode, done.stderr), (0, ""), words)
            self.assertIn("flowd-cpp", done.stdout)

    def test_the_guide_lists_the_exit_codes_of_the_help(self):
        with open(os.path.join(os.path.dirname(__file__), "../../../docs/cli.md")) as guide:
            rows = guide.read()
        codes = re.findall(r"^  (\d)  (.+)$", run("--help").stdout, re.MULTILINE)
        self.assertEqual(len(codes), 10)
        for code, meaning in codes:
            self.assertIn(f"| {code} | {meaning}", rows)

    def completions(self, *words):
        """What bash offers for the last of these words, the others being complete."""
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _flowd_cpp; printf "%s\\n" "${COMPREPLY[@]}"')
        completion = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../etc/completion/flowd-cpp.bash")
        done = subprocess.run(["bash", "-c", script, "bash", completion, "flowd-cpp", *words], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return set(done.stdout.split())

    def test_the_shell_completes_every_command_and_option_that_the_help_names(self):
        usage = run("--help").stdout
        commands = set(re.findall(r"^  ([a-z-]+) {2,}", usage.split("Subcommands:")[1].split("Any other")[0], re.MULTILINE))
        everywhere = set(re.findall(r"(--[a-z-]+)", usage.split("Subcommands:")[0]))
        self.assertGreater(len(commands), 10)
        self.assertEqual(self.completions(""), commands | everywhere)
        self.assertEqual(self.completions("--conf", "x", "rel"), {"reload"})
        for command in commands:
            about = run(command, "--help").stdout
            deeper = set(re.findall(r"^  ([a-z-]+) {2,}", about.split("Subcommands:")[1].split("Options of")[0], re.MULTILINE)
                         if "Subcommands:" in about else [])
            if deeper:
                self.assertEqual(self.completions(command, ""), deeper)
            for words in [[command, one] for one in deeper] or [[command]]:
                options = set(re.findall(r"^ +(?:-\w,)?(--[a-z-]+)", run(*words, "--help").stdout, re.MULTILINE))
                self.assertLessEqual(options | everywhere - {"--version"}, self.completions(*words, "--"), words)

    def test_the_shell_completes_the_values_of_options(self):
        self.assertEqual(self.completions("new-module", "x", "--kind", ""), {"plugin", "backend", "enricher"})
        self.assertEqual(self.completions("--log-level", "w"), {"warning"})
        self.assertIn(self.file("conf.yaml"), self.completions("check", "--conf", self.folder.name + "/"))

    def test_a_wrong_command_line_is_2(self):
        for words in ([], ["--bogus"], ["run", "--bogus"], ["label", "encode", "512", "1"]):
            done = run(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertTrue(done.stderr)

    def test_a_wrong_configuration_is_3_and_says_where(self):
        conf = self.file("conf.yaml", "pidPath: /x\nplugnis: {}\n")
        for command in ("check", "conf", "run"):
            done = run(command, "--conf", conf)
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn(f"{conf}:2:1: error:", done.stdout + done.stderr)
            self.assertIn("plugins", done.stdout + done.stderr)

    def test_a_configuration_that_is_not_there_is_7(self):
        done = run("check", "--conf", os.path.join(self.folder.name, "none.yaml"))
        self.assertEqual(done.returncode, 7, done.stdout + done.stderr)

    def test_an_absent_module_is_4(self):
        conf = self.file("conf.yaml", "plugins:\n  nosuchplugin: {}\n")
        done = run("check", "--conf", conf)
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)

    def test_a_usable_configuration_is_0_in_one_line(self):
        conf = self.file("conf.yaml", "{}\n")
        done = run("check", "--conf", conf)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(done.stdout.strip().splitlines()[-1].startswith(f"{conf}: usable"))
        answer = json.loads(run("check", "--json", "--conf", conf).stdout)
        self.assertTrue(answer["usable"])

    def test_no_daemon_is_8(self):
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

    def test_a_refused_module_is_4_with_its_reason(self):
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

    def test_a_module_of_every_kind_is_written(self):
        for kind in ("plugin", "backend", "enricher"):
            done = run("new-module", "mine", "--kind", kind, cwd=self.folder.name)
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


if __name__ == "__main__":
    unittest.main(verbosity=1)
