# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: built, installed with dpkg on a machine of their own whose PID 1 is systemd, run, removed."""
import os
import re

import pytest

from tests.harness.lab import wait_for
from tests.packaging.machine import Machine
from tests.packaging.source import build_environment, unpack
from tests.packaging.staged import ROOT, packages_of_modules, run

# The flags of the release preset, so that what was compiled for it is not compiled again; Debian's own come in other builds.
FLAGS = {f"DEB_{name}_SET": "" for name in ("CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS")}


@pytest.fixture(scope="session")
def debs(tmp_path_factory):
    """{package: file}"""
    folder = tmp_path_factory.mktemp("deb")
    tree = unpack(folder)
    run("dpkg-buildpackage", "-b", "-us", "-uc", "-d", "-j2", cwd=tree,
        env=build_environment(folder / "bin") | FLAGS | {"DEB_BUILD_OPTIONS": "noautodbgsym parallel=2", "DPKG_DEB_COMPRESSOR_TYPE": "none"})
    return {path.name.split("_")[0]: path for path in tree.parent.glob("*.deb")}


def field(deb, name):
    return run("dpkg-deb", "-f", deb, name).stdout.strip()


def contents(deb):
    return {line.split()[-1].removeprefix(".") for line in run("dpkg-deb", "-c", deb).stdout.splitlines() if not line.endswith("/")}


def test_each_module_has_its_package(debs):
    modules = packages_of_modules()
    assert set(debs) == {"flowd-cpp", "flowd-cpp-filesystem", "flowd-cpp-dev", "flowd-cpp-all", *modules.values()}
    for module, package in modules.items():
        files = {os.path.basename(path) for path in contents(debs[package])}
        assert {f"{module}.so", f"flowd-cpp-{module}.5.gz"} <= files, files
    assert set(modules.values()) <= set(re.findall(r"flowd-cpp-[a-z0-9-]+", field(debs["flowd-cpp-all"], "Depends")))


def test_the_metrics_backend_brings_its_dashboard_and_its_alert_rules(debs):
    assert {"/usr/share/flowd-cpp/grafana/flowd-cpp.json", "/usr/share/flowd-cpp/prometheus/flowd-cpp.rules.yaml"} <= contents(
        debs["flowd-cpp-backend-metrics"])


def test_the_documents_are_installed_with_their_names(debs):
    files = {path for path in contents(debs["flowd-cpp"]) if path.startswith("/usr/share/doc/flowd-cpp/")}
    assert {f"/usr/share/doc/flowd-cpp/{name}" for name in ("README.md", "docs/monitoring.md", "backends/marker/README.md")} <= files


def test_a_package_requires_only_the_libraries_of_its_module(debs):
    assert "libbpf" in field(debs["flowd-cpp-backend-marker"], "Depends")
    assert "libbpf" not in field(debs["flowd-cpp-plugin-fireflyp"], "Depends") + field(debs["flowd-cpp"], "Depends")
    assert field(debs["flowd-cpp"], "Provides") == "flowd-cpp-abi-1"
    assert "flowd-cpp-abi-1" in field(debs["flowd-cpp-plugin-fireflyp"], "Depends")
    major = re.search(r"#define FLOWD_ABI_MAJOR (\d+)", (ROOT / "sdk/include/flowd/abi/base.h").read_text())[1]
    assert major == "1"


def test_rpm_and_debian_packages_hold_the_same_files(debs):
    """But for the folders that the distributions name differently, and what only rpmbuild reads."""
    spec = (ROOT / "rpm/flowd-cpp.spec").read_text()
    for package, deb in debs.items():
        for path in contents(deb):
            name = os.path.basename(path)
            if path.startswith("/usr/share/doc/") or "/include/" in path or "/template/" in path or "examples/" in path or "/flowd-sdk/" in path:
                continue
            stem = name.removesuffix(".gz")
            generic = stem.replace("flowd-cpp", "%{name}")
            module = package.removeprefix("flowd-cpp-")
            assert generic in spec or re.search(rf"^%module .*\b{module} ", spec, re.M), (package, path)


@pytest.fixture(scope="module")
def machine(lab):
    with Machine(lab.a) as one:
        yield one


def test_installed_configured_run_upgraded_and_removed(machine, debs, lab):
    """case C36: also with the package of the marker, nothing is left on the interfaces."""
    def files(*names):
        return [debs[name] for name in names]

    machine.run("dpkg", "-i", *files("flowd-cpp", "flowd-cpp-filesystem", "flowd-cpp-plugin-fireflyp", "flowd-cpp-backend-marker"))
    assert machine.show("flowd-cpp", "ActiveState") == "inactive"  # nobody has configured it yet
    assert machine.run("stat", "-c", "%a %U %G", "/etc/flowd-cpp/conf.yaml").stdout.strip() == "640 root flowd-cpp"
    listed = machine.run("flowd-cpp", "modules", "list", "--load").stdout
    assert re.findall(r"^(\S+)\s+loaded", listed, re.M) == ["backend-marker", "plugin-fireflyp"], listed

    configuration = "plugins:\n  fireflyp: {}\nbackends:\n  marker: {targetInterfaces: [eth0]}\n"
    machine.write("/etc/flowd-cpp/conf.yaml", configuration)
    machine.run("systemctl", "enable", "--now", "flowd-cpp")
    assert re.search(r"backend marker\s+marks on eth0", machine.run("flowd-cpp", "status").stdout)
    pid = machine.show("flowd-cpp", "MainPID")

    machine.run("dpkg", "-i", *files("flowd-cpp"))  # as an upgrade: restarted, the file of the administrator untouched
    wait_for(lambda: machine.show("flowd-cpp", "MainPID") not in (pid, "0"), "the restart")
    assert machine.run("cat", "/etc/flowd-cpp/conf.yaml").stdout == configuration

    done = machine.run("dpkg", "-r", "flowd-cpp-filesystem", check=False)
    assert done.returncode != 0 and "depends on flowd-cpp-filesystem" in done.stderr
    machine.run("dpkg", "-r", "flowd-cpp-backend-marker")
    assert machine.show("flowd-cpp", "ActiveState") == "inactive"  # it could not go on
    assert "flowd" not in machine.run("bpftool", "net", "show", "dev", "eth0", check=False).stdout
    machine.run("dpkg", "-P", "flowd-cpp-plugin-fireflyp", "flowd-cpp", "flowd-cpp-filesystem", "flowd-cpp-backend-marker")
    left = machine.run("find", "/etc", "/usr", "/var/lib/systemd", "-name", "*flowd-cpp*", "-not", "-path", "*/locale/*").stdout.split()
    assert left == [], left


def test_an_update_that_stops_half_way_is_healed_by_the_package_of_the_module(machine, debs):
    """case C63: the daemon is restarted while a module is missing, and ends with exit code 4. It is started when the module comes."""
    needed = "flowd-cpp", "flowd-cpp-filesystem", "flowd-cpp-plugin-fireflyp", "flowd-cpp-backend-firefly"

    def state():
        return machine.show("flowd-cpp", "ActiveState")

    def pid():
        return machine.show("flowd-cpp", "MainPID")

    machine.run("dpkg", "-i", *(debs[name] for name in needed))
    assert state() == "inactive", "nobody has started it"
    machine.write("/etc/flowd-cpp/conf.yaml", "plugins:\n  fireflyp: {}\nbackends:\n  firefly: {sendToDestination: false}\n")
    machine.run("systemctl", "enable", "--now", "flowd-cpp")
    # Between the core and the module of an update.
    machine.run("dpkg", "-r", "flowd-cpp-backend-firefly")
    assert state() == "active", "what is loaded is in memory"
    machine.run("dpkg", "-i", debs["flowd-cpp"])
    wait_for(lambda: state() == "failed", "the restart to fail", 60)
    assert machine.show("flowd-cpp", "ExecMainStatus") == "4"
    machine.run("dpkg", "-i", debs["flowd-cpp-plugin-fireflyp"])
    assert state() == "failed", "the module that is missing is another one"
    machine.run("dpkg", "-i", debs["flowd-cpp-backend-firefly"])
    wait_for(lambda: state() == "active", "the daemon to be started", 60)
    before = pid()
    machine.run("dpkg", "-i", debs["flowd-cpp-plugin-fireflyp"])
    wait_for(lambda: state() == "active" and pid() not in (before, "0"), "the restart with the module that was replaced", 60)
    before = pid()
    machine.run("dpkg", "-i", debs["flowd-cpp-backend-metrics"])
    assert (state(), pid()) == ("active", before), "nothing that it uses was changed"
    machine.run("systemctl", "disable", "--now", "flowd-cpp")
    machine.run("dpkg", "-P", "flowd-cpp-backend-metrics", *reversed(needed))


def test_a_module_is_built_against_the_dev_package_packaged_installed_and_removed(machine, debs, tmp_path):
    """As the guide has it, without an option for a directory."""
    machine.run("dpkg", "-i", *(debs[name] for name in ("flowd-cpp", "flowd-cpp-filesystem", "flowd-cpp-dev")))
    ours = next(path for path in contents(debs["flowd-cpp-plugin-fireflyp"]) if path.endswith(".so"))
    for name, language in ("hello", "c++"), ("greeting", "c"):
        project = tmp_path / name  # in the machine's own view of the files
        machine.run("sh", "-ec", 'flowd-cpp new-module "$0" --kind plugin --language "$1" "$2"; cd "$2"; cmake -B build -DBUILD_TESTING=OFF '
                    "> log; cmake --build build >> log; cd build; cpack -G DEB >> log; mv *.deb module.deb", name, language, project, timeout=300)
        package = project / "build/module.deb"
        assert "flowd-cpp-abi-1" in machine.run("dpkg-deb", "-f", package, "Depends").stdout.strip().split(", ")
        listed = machine.run("dpkg-deb", "-c", package).stdout.split()
        assert f".{os.path.dirname(ours)}/plugin-{name}.so" in listed, listed

        machine.run("dpkg", "-i", package)
        done = machine.run("dpkg", "-r", "flowd-cpp", check=False)
        assert done.returncode != 0 and f"flowd-cpp-plugin-{name} depends on flowd-cpp-abi-1" in done.stderr, done.stderr
        machine.run("cp", "--no-preserve=mode,ownership", project / "conf.yaml", "/etc/flowd-cpp/conf.yaml")
        machine.run("systemctl", "restart", "flowd-cpp")
        assert re.search(rf"plugin {name}\s+announces one flow", machine.run("flowd-cpp", "status").stdout)
        machine.run("systemctl", "stop", "flowd-cpp")
        machine.run("dpkg", "-r", f"flowd-cpp-plugin-{name}")
        assert name not in machine.run("flowd-cpp", "modules", "list").stdout
