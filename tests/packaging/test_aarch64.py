# SPDX-License-Identifier: Apache-2.0
"""aarch64, as far as a cross compiler goes without that architecture's libraries: the ABI's layouts, the BPF objects, and every
source of the product. Nothing is linked or run."""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess

import pytest

from tests.packaging.staged import BUILD, ROOT, run

COMPILERS = {"c": "aarch64-linux-gnu-gcc", "c++": "aarch64-linux-gnu-g++"}
UNIT = 12
ROOMS = ("lib/", "core/", "sdk/", "plugins/", "backends/")
# Headers of libraries are the same for both; what differs (bits/, asm/) is found in the cross compiler's own folder before. Debian has
# those of OpenSSL in the folder of the architecture.
SHARED_HEADERS = ["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"]


def test_the_abi_layouts_are_the_same():
    run(COMPILERS["c"], "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/sdk/include", "-fsyntax-only", ROOT / "tests/abi/layout.c")


def test_a_changed_layout_fails_the_layout_test(tmp_path):
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
def test_bpf_programs_of_both_builds_have_the_same_instructions(source, tmp_path):
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


def units():
    """[(sources, their compile command)]: a dozen of one target share a translation unit, as in the second presets; that saves most of
    the time."""
    targets = {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        name = os.path.relpath(entry["file"], ROOT)
        target = re.search(r" -o (\S+\.dir)/", entry["command"])[1]
        targets.setdefault((target, pathlib.Path(name).suffix), []).append((name, entry))
    for members in targets.values():
        for first in range(0, len(members), UNIT):
            unit = [(name, entry) for name, entry in members[first:first + UNIT] if name.startswith(ROOMS)]
            if unit:
                yield [name for name, _ in unit], unit[0][1]


def compiled(names, entry, out):
    """Why they do not compile, or nothing."""
    words = shlex.split(entry["command"])
    while not re.search(r"(^|/)(c\+\+|cc|g\+\+|gcc)$", words[0]):  # a compiler launcher
        words.pop(0)
    keep = [word for word in words[1:words.index("-o")] if not word.startswith(("-O", "-g"))]
    out.with_suffix(".c").write_text("".join(f'#include "{name}"\n' for name in names))
    language = "c" if names[0].endswith(".c") else "c++"
    # A source that is included looks to g++ like a header with an anonymous namespace.
    flags = [*keep, f"-I{ROOT}", *SHARED_HEADERS, "-O0", *(["-Wno-subobject-linkage"] if language == "c++" else [])]
    done = subprocess.run(["ccache", COMPILERS[language], *flags, "-o", str(out), "-c", "-x", language, str(out.with_suffix(".c"))],
                          cwd=entry["directory"], capture_output=True, text=True,
                          env=os.environ | {"CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1"})
    return f"{names}:\n{done.stderr[:2000]}" if done.returncode else ""


def test_sources_compile_without_a_warning():
    folder = BUILD / "aarch64"  # the same in each run, so that ccache knows them again
    folder.mkdir(exist_ok=True)
    wanted = list(units())
    names = [name for sources, _ in wanted for name in sources]
    assert {room for room in ROOMS if any(name.startswith(room) for name in names)} == set(ROOMS) and len(names) > 80
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        outcomes = pool.map(lambda item: compiled(*item[1], folder / f"{item[0]}.o"), enumerate(wanted))
        failures = [text for text in outcomes if text]
    assert failures == [], "\n".join(failures[:5])
    for number in range(len(wanted)):
        assert "AArch64" in run("readelf", "-h", folder / f"{number}.o").stdout
