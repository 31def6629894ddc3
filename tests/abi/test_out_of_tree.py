# SPDX-License-Identifier: Apache-2.0
"""Modules of others: built against the installed SDK by gcc with libstdc++, by clang with libc++ and in plain C11, and
against the headers of release 1.0 alone. All pass flowd-module-check; the gcc-built daemon runs them and their events pass.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = pathlib.Path(os.environ["FLOWD_BUILD"])
PAIRS = 2000


def sh(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def work():
    # /run is root's own: the daemon refuses modules that others could replace.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="flowd-abi-", dir="/run" if os.geteuid() == 0 else None))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def prefix(work):
    """What a distribution would install."""
    sh("cmake", "--install", BUILD, "--prefix", work / "prefix")
    return work / "prefix"


def cached(work):
    """The environment of a build: what an earlier run has compiled is taken from ccache, wherever `work` was then."""
    if (ccache := shutil.which("ccache")) is None:
        return dict(os.environ)
    launchers = {f"CMAKE_{language}_COMPILER_LAUNCHER": ccache for language in ("C", "CXX")}
    return os.environ | launchers | {"CCACHE_BASEDIR": str(work), "CCACHE_NOHASHDIR": "1"}


def build(work, prefix, source, compilers):
    """Builds an out-of-tree project and answers its one module."""
    directory = work / f"build-{source.name}"
    sh("cmake", "-S", source, "-B", directory, f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", *compilers,
       env=cached(work))
    # Only what is installed may be used: no path of the source tree but the project's own.
    sh("cmake", "--build", directory, env=cached(work))
    (module,) = [path for path in directory.rglob("*.so") if "CMakeFiles" not in path.parts]
    return module


@pytest.fixture(scope="module")
def c11(work, prefix):
    return build(work, prefix, HERE / "c11-module", ["-DCMAKE_C_COMPILER=gcc"])


@pytest.fixture(scope="module")
def libcxx(work, prefix):
    return build(work, prefix, HERE / "libcxx-module", ["-DCMAKE_CXX_COMPILER=clang++"])


@pytest.fixture(scope="module")
def libstdcxx(work, prefix):
    return build(work, prefix, HERE / "libstdcxx-module", ["-DCMAKE_CXX_COMPILER=g++"])


@pytest.fixture(scope="module")
def of_release_1_0(work):
    """From the snapshot of the 1.0 headers and nothing else, by hand as its author would have."""
    directory = work / "release-1.0"
    directory.mkdir()
    module = directory / "plugin-c11.so"
    sh("gcc", "-std=c11", "-O2", "-g", "-fPIC", "-shared", "-fvisibility=hidden", "-Wl,-z,defs", "-Wall", "-Wextra",
       "-Werror", f"-I{HERE / 'sdk-1.0/include'}", '-DFLOWD_MODULE_NAME="plugin-c11"', '-DFLOWD_MODULE_VERSION="1.0.0"',
       '-DFLOWD_MODULE_LICENSE="Apache-2.0"', HERE / "sdk-1.0/module.c", HERE / "sdk-1.0/note.c", "-o", module)
    return module


def judge(prefix, module, *options):
    done = subprocess.run([prefix / "bin/flowd-module-check", "--json", *options, module], capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert done.returncode == 0, [check for check in report["checks"] if check["result"] == "failed"]
    assert report["failed"] == 0 and report["passed"] > 0


@pytest.mark.parametrize("name", ["c11", "libcxx", "of_release_1_0"])
def test_each_passes_the_conformance_suite(prefix, request, name):
    judge(prefix, request.getfixturevalue(name))


def test_the_one_with_required_options_passes_the_conformance_suite(prefix, libstdcxx):
    judge(prefix, libstdcxx, "--conf", HERE / "libstdcxx-module/conf.yaml")


def libraries(module):
    return re.findall(r"\[(lib[^\]]+)\]", sh("readelf", "-d", module))


@pytest.mark.parametrize("name", ["c11", "libcxx", "libstdcxx"])
def test_each_module_exports_one_symbol(request, name):
    (symbol,) = sh("nm", "-D", "--defined-only", request.getfixturevalue(name)).splitlines()
    assert symbol.endswith(" T flowd_module_v1")


def test_each_module_links_only_its_own_standard_library(c11, libcxx, libstdcxx, of_release_1_0):
    assert not any("c++" in library for library in libraries(c11) + libraries(of_release_1_0))
    assert "libc++.so.1" in libraries(libcxx) and "libstdc++.so.6" not in libraries(libcxx)
    assert "libstdc++.so.6" in libraries(libstdcxx)


def counts(daemon):
    """What the backends say they saw, by name, from the daemon's status: starts, ends, ends without a start, and events that lack
    what the plugin or the core has to say."""
    details = {instance.removeprefix("backend "): entry.get("status", {}) for instance, entry in daemon.cli("status")["details"].items()
               if instance.startswith("backend ")}
    return {name: (status["starts"], status["ends"], status["outOfOrder"], status.get("unlike", 0)) for name, status in details.items()}


def run_daemon(prefix, monkeypatch, configuration, expected):
    from tests.harness import daemon as harness
    from tests.harness.lab import wait_for
    monkeypatch.setattr(harness, "BINARY", prefix / "bin/flowd-cpp")
    with harness.Daemon(configuration) as daemon:
        whole = {name: (number, number, 0, 0) for name, number in expected.items()}
        try:
            wait_for(lambda: counts(daemon) == whole, "every event at every backend", 30)
        except Exception:
            raise AssertionError(f"{counts(daemon)}, not {whole}\n{daemon.cli('status')}\n{daemon.log}") from None
        assert daemon.stop() == 0


def test_the_daemon_runs_modules_of_three_toolchains(prefix, c11, libcxx, libstdcxx, monkeypatch):
    run_daemon(prefix, monkeypatch, f"""\
plugins:
  c11: {{module: {c11}, pairs: {PAIRS}}}
  libcxx: {{module: {libcxx}, pairs: {PAIRS}}}
  libstdcxx: {{module: {libstdcxx}, experimentId: 2, activityId: 7}}
backends:
  c11: {{module: {c11}}}
  libcxx: {{module: {libcxx}}}
""", {"c11": 2 * PAIRS, "libcxx": 2 * PAIRS})


def test_the_daemon_runs_a_module_built_from_the_headers_of_1_0(prefix, of_release_1_0, monkeypatch):
    run_daemon(prefix, monkeypatch, f"""\
plugins:
  c11: {{module: {of_release_1_0}, pairs: {PAIRS}}}
backends:
  c11: {{module: {of_release_1_0}}}
""", {"c11": PAIRS})
