#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the instructions of one piece of work each (valgrind) and compares them with tests/bench/instructions.json.

usage: check_instructions.py BUILD [--update]

More than 10 % above the baseline fails: find the cause, or run it with --update and say why in the commit. More than 10 % below fails as well, so that
the baseline stays near the truth. Instructions do not depend on the load of the machine; they do depend on the compiler and the libraries: the
baseline is of the release build on Debian 12. The C library and simdjson choose their functions by processor: here they are told which.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

BASELINE = pathlib.Path(__file__).with_name("instructions.json")
ROOT = BASELINE.parents[2]
TOLERANCE = 0.10
ANY_PROCESSOR = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX,-ERMS,-FSRM", "SIMDJSON_FORCE_IMPLEMENTATION": "westmere", "LC_ALL": "C"}
CONFIGURATION = """\
plugins:
  perfsonar: {experimentId: 2, activityId: 2, flows: false}
  fireflyp: {bindAddress: "::1"}
backends:
  firefly: {sendToCollector: true, collectorAddress: "::1"}
"""


def executed(*command):
    """Instructions in user space, of the whole program."""
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *map(str, command)], check=True, timeout=120,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | ANY_PROCESSOR)
    return int(next(line for line in done.stderr.splitlines() if "Collected" in line).split()[-1])


def one_of(program, case, few=20, many=120):
    return (executed(program, case, many) - executed(program, case, few)) // (many - few)


def counted(build):
    program = build / "bin/instructions"
    names = subprocess.run([program], stderr=subprocess.PIPE, text=True).stderr.split()[4:]
    figures = {name: one_of(program, name) for name in names}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as conf:
        conf.write(CONFIGURATION)
        conf.flush()
        figures["check"] = executed(build / "bin/flowd-cpp", "check", "--conf", conf.name)
    return figures


def main():
    build, update = pathlib.Path(sys.argv[1]), "--update" in sys.argv
    figures = counted(build)
    if update:
        BASELINE.write_text(json.dumps(figures, indent=1) + "\n")
    baseline = json.loads(BASELINE.read_text())
    wrong = sorted(set(figures) ^ set(baseline))
    for name, now in figures.items():
        change = now / baseline[name] - 1 if name in baseline else 0
        print(f"{name:20} {now:>12,} {change:+7.1%}")
        if abs(change) > TOLERANCE:
            wrong.append(name)
    if wrong:
        sys.exit(f"not within {TOLERANCE:.0%} of {BASELINE.relative_to(ROOT)}: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
