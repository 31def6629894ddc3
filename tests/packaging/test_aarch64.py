# SPDX-License-Identifier: Apache-2.0
"""aarch64, as far as a cross compiler goes without that architecture's libraries: the ABI's layouts, the BPF objects, and every
source of lib/ and of the core's rooms that have layouts. Nothing is linked or run."""
import concurrent.futures
import json
import os
import re
import shlex
import subprocess

import pytest

from tests.packaging.staged import BUILD, ROOT, run

COMPILERS = {"c": "aarch64-linux-gnu-gcc", "c++": "aarch64-linux-gnu-g++"}
ROOMS = ("lib/", "core/config/", "core/flows/", "core/modules/", "backends/marker/")
# Headers of libraries are the same for both; what differs (bits/, asm/) is found in the cross compiler's own folder before.
SHARED_HEADERS = ["-idirafter", "/usr/include"]


def test_the_layouts_of_the_abi_are_the_same():
    run(COMPILERS["c"], "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/sdk/include", "-fsyntax-only", ROOT / "tests/abi/layout.c")


def test_the_assertion_of_layouts_can_fail(tmp_path):
    right = (ROOT / "tests/abi/layout.c").read_text()
    wrong = right.replace("offsetof(flowd_event, flags) == 8", "offsetof(flowd_event, flags) == 12")
    assert wrong != right
    (tmp_path / "layout.c").write_text(wrong)
    done = run(COMPILERS["c"], "-std=c11", f"-I{ROOT}/sdk/include", "-fsyntax-only", tmp_path / "layout.c", check=False)
    assert done.returncode != 0 and "flowd_event" in done.stderr


def test_every_public_header_compiles():
    headers = sorted((ROOT / "sdk/include").glob("flowd/**/*.h*"))
    assert len(headers) > 20
    text = "".join(f'#include "{header.relative_to(ROOT / "sdk/include")}"\n' for header in headers)
    run(COMPILERS["c++"], "-std=c++20", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror", f"-I{ROOT}/sdk/include", *SHARED_HEADERS,
        "-fsyntax-only", "-x", "c++", "-", input=text)


@pytest.mark.parametrize("source", sorted(path.name for path in (ROOT / "bpf").glob("*.bpf.c")))
def test_a_bpf_program_is_the_same_instructions(source, tmp_path):
    """One source, no assumption about the machine: what the kernel would run there is what it runs here."""
    def disassembled(name, headers):
        out = tmp_path / f"{name}.o"
        run("clang", "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}", "-idirafter", headers, "-idirafter",
            "/usr/include", "-c", ROOT / "bpf" / source, "-o", out)
        text = run("llvm-objdump", "-d", "-r", out).stdout
        return text[text.index("Disassembly"):]

    arm = disassembled("aarch64", "/usr/aarch64-linux-gnu/include")
    assert arm == disassembled("x86_64", "/usr/include/x86_64-linux-gnu")
    assert len(arm.splitlines()) > 100


def sources():
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        name = os.path.relpath(entry["file"], ROOT)
        if name.startswith(ROOMS):
            yield name, entry


def compiled(name, entry, folder):
    """Why it does not compile, or nothing."""
    words = shlex.split(entry["command"])
    while not re.search(r"(^|/)(c\+\+|cc|g\+\+|gcc)$", words[0]):  # a compiler launcher
        words.pop(0)
    keep = [word for word in words[1:words.index("-o")] if not word.startswith(("-O", "-g"))]
    compiler = COMPILERS["c" if name.endswith(".c") else "c++"]
    out = folder / (name.replace("/", "-") + ".o")
    done = subprocess.run(["ccache", compiler, *keep, *SHARED_HEADERS, "-O0", "-o", str(out), "-c", entry["file"]], cwd=entry["directory"],
                          capture_output=True, text=True, env=os.environ | {"CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1"})
    return f"{name}:\n{done.stderr[:2000]}" if done.returncode else ""


def test_sources_compile_without_a_warning(tmp_path):
    wanted = dict(sources())
    assert {room for room in ROOMS if any(name.startswith(room) for name in wanted)} == set(ROOMS)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        failures = [text for text in pool.map(lambda item: compiled(*item, tmp_path), wanted.items()) if text]
    assert failures == [], "\n".join(failures[:5])
    machine = run("readelf", "-h", next(tmp_path.glob("*.o"))).stdout
    assert "AArch64" in machine
