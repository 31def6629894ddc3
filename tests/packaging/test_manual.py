# SPDX-License-Identifier: Apache-2.0
"""Manual pages: well formed, and true to the program that they are about."""
import json
import re

import pytest

from tests.harness.daemon import BINARY
from tests.packaging.staged import BUILD, run


def rendered(page):
    text = run("mandoc", "-T", "ascii", "-O", "width=400", page).stdout
    return re.sub(r".\x08", "", text)


@pytest.fixture(scope="module")
def pages(staged):
    return {path.name: path for path in (staged / "usr/share/man").glob("man*/*")}


def modules():
    return sorted((BUILD / "lib/flowd-cpp/modules").glob("*.so"))


def test_there_is_a_page_for_the_program_the_file_and_each_module(pages):
    assert set(pages) == {"flowd-cpp.8", "flowd-cpp.conf.5", "flowd-module-check.1"} | {f"flowd-cpp-{module.stem}.5" for module in modules()}


def test_no_page_is_malformed(pages):
    for page in pages.values():
        # No date: pages are the same whenever they are built. Long lines are the reader's to break.
        done = run("mandoc", "-T", "lint", "-W", "warning", page, check=False)
        complaints = [line for line in (done.stdout + done.stderr).splitlines() if "missing date" not in line]
        assert complaints == []


def test_the_programs_page_has_every_command_option_and_exit_code(pages):
    text = rendered(pages["flowd-cpp.8"])
    usage = run(BINARY, "--help").stdout
    commands = re.findall(r"^  ([a-z-]+) {2,}", usage.split("Subcommands:")[1].split("Any other")[0], re.M)
    assert len(commands) > 10
    for command in commands:
        assert re.search(rf"^ +{command}\b", text, re.M), command
    for option in re.findall(r"(--[a-z-]+)", usage.split("Subcommands:")[0]):
        assert option in text, option
    for code, meaning in re.findall(r"^  (\d)  (.+)$", usage, re.M):
        assert re.search(rf"^ +{code} +{re.escape(meaning)}", text, re.M), meaning


def test_the_checkers_page_has_every_option(pages):
    text = rendered(pages["flowd-module-check.1"])
    options = set(re.findall(r"(--[a-z-]+)", run(BUILD / "bin/flowd-module-check", "--help").stdout))
    assert len(options) >= 6 and all(option in text for option in options), options


def test_the_files_page_has_every_key_of_the_daemon_with_its_default(pages, tmp_path):
    text = " ".join(rendered(pages["flowd-cpp.conf.5"]).split("KEYS OF THE DAEMON")[1].split())
    conf = tmp_path / "conf.yaml"
    conf.write_text("{}\n")
    in_force = run(BINARY, "conf", "--conf", conf).stdout
    group, found = "", 0
    for indent, key, value in re.findall(r"^( *)(\w+):(.*)$", in_force, re.M):
        if not indent:
            group = key
        if not value.strip() or value.strip() in ("{}", "[]"):
            continue
        name = f"{group}.{key}" if indent else key
        assert f" {name} " in text, name
        # The first default that is named behind a key is that key's.
        assert text.split(f" {name} ")[1].split("Default ")[1].startswith(value.strip()), (name, value)
        found += 1
    assert found >= 10


def test_the_manual_page_of_a_module_has_every_option_with_its_default(pages):
    def expect(rows, text):
        for row in rows:
            assert re.search(rf"(^|[ -]){re.escape(row['name'])}\b", text, re.M), row["name"]
            assert " ".join(row["doc"].split()) in text, row["doc"]
            if row.get("default", "") not in ("", "[]"):
                assert f"default {row['default']}" in text, row
            expect(row.get("fields", []), text)

    for module in modules():
        text = " ".join(rendered(pages[f"flowd-cpp-{module.stem}.5"]).split())
        described = json.loads(run(BUILD / "bin/flowd-module-check", "--describe", module).stdout)
        for component in described["components"]:
            expect(component["options"], text)
            for tool in component.get("tools", []):
                assert f"flowd-cpp {component['name']} {tool['name']}" in text
                expect(tool["options"], text)
