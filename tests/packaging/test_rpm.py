# SPDX-License-Identifier: Apache-2.0
"""The RPM packages: built, judged, installed with dnf below a folder, upgraded, removed; a third party's module among them."""
import pathlib
import re
import shutil
import subprocess

import pytest

from tests.packaging.source import build_environment, tarball, version
from tests.packaging.staged import BUILD, ROOT, packages_of_modules, run

HERE = pathlib.Path(__file__).parent / "rpm"
# Scripts of packages run in the install root with these.
TOOLS = ["/bin/sh", "/usr/bin/getent", "/usr/sbin/groupadd", "/usr/sbin/useradd", "/usr/bin/ls", "/usr/bin/cat"]
SYSTEMCTL = '#!/bin/sh\necho "$*" >> /var/log/systemctl\n'


class Workshop:
    """rpmbuild's folders and a repository of what was built."""

    def __init__(self, folder):
        self.folder, self.repository = folder, folder / "repository"
        self.repository.mkdir(parents=True)
        self.environment = build_environment(folder / "bin")

    def rpmbuild(self, spec, *options, check=True, prefix=()):
        return run(*prefix, "rpmbuild", "--load", HERE / "macros", "--define", f"_topdir {self.folder}",
                   "--define", f"_rpmdir {self.repository}", "--nodeps", *options, spec, check=check, env=self.environment)

    def publish(self):
        run("createrepo_c", "--update", self.repository)


def sources(folder):
    (folder / "SOURCES").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "etc/systemd/flowd-cpp.sysusers", folder / "SOURCES")
    return tarball(folder / "SOURCES")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    shop = Workshop(tmp_path_factory.mktemp("rpm"))
    sources(shop.folder)
    shop.rpmbuild(ROOT / "rpm/flowd-cpp.spec", "-bb", "--noclean")
    build_stand_in(shop)
    shop.publish()
    return shop


def package_of(shop, name):
    found = [path for path in shop.repository.glob("*/*.rpm") if re.fullmatch(rf"{re.escape(name)}-\d[^-]*-\d[^-]*\.rpm", path.name)]
    assert len(found) == 1, (name, found)
    return found[0]


def build_stand_in(shop):
    """A package that stands in for the distribution: the libraries and tools of this machine that ours ask for."""
    root = shop.folder / "stand-in"
    wanted = set(TOOLS)
    binaries = [*TOOLS, *map(str, (BUILD / "bin").glob("flowd-*")), *map(str, (BUILD / "lib/flowd-cpp/modules").glob("*.so"))]
    for binary in binaries:
        wanted |= set(re.findall(r"(/\S+) \(0x", run("ldd", binary).stdout))
    for name in sorted(wanted):
        place = root / ("usr" + name if not name.startswith("/usr") else name[1:])
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, place)
        place.chmod(0o755)
    (root / "usr/bin/systemctl").write_text(SYSTEMCTL)
    (root / "usr/bin/systemctl").chmod(0o755)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("etc", "var/log", "dev"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    for name in ("shadow", "gshadow", "login.defs"):
        (root / "etc" / name).write_text("")
    spec = shop.folder / "host.spec"
    spec.write_text(f"""\
Name: host
Version: 1
Release: 1
Summary: Stands in for the distribution
License: none
AutoReq: no
Provides: /bin/sh, systemd, shadow-utils, cmake, binutils, rtld(GNU_HASH), /usr/bin/python3, /usr/bin/env
%define __os_install_post %{{nil}}
%description
%{{summary}}.
%install
cp -a {root}/. %{{buildroot}}
%files
/bin
/sbin
/lib
/lib64
/usr
/etc/*
%dir /var/log
%dev(c,1,3) /dev/null
""")
    shop.rpmbuild(spec, "-bb")


class InstallRoot:
    """A system below a folder, with dnf and chroot."""

    def __init__(self, folder, repository):
        self.folder = folder
        folder.mkdir(parents=True)
        self.conf = folder.parent / f"{folder.name}.conf"
        self.conf.write_text(f"[main]\ngpgcheck=0\nplugins=0\ncachedir={folder}.cache\nlogdir={folder}.log\nkeepcache=0\n"
                             f"install_weak_deps=0\nreposdir=/nonexistent\n[here]\nname=here\nbaseurl=file://{repository}\n"
                             "metadata_expire=0\n")

    def dnf(self, *words, check=True):
        return run("dnf", "-y", "-q", "-c", self.conf, "--installroot", self.folder, "--releasever", "9", *words, check=check)

    def run(self, *command, check=True):
        return run("chroot", self.folder, *command, check=check)

    def packages(self):
        return set(run("rpm", "--root", self.folder, "-qa", "--qf", "%{name}\n").stdout.split())

    def modules(self):
        return {path.stem for path in self.folder.glob("usr/lib*/flowd-cpp/modules/*.so")}

    def told_systemd(self):
        log = self.folder / "var/log/systemctl"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def root(workshop, tmp_path):
    return InstallRoot(tmp_path / "root", workshop.repository)


def test_spec_catalog_and_build_have_the_same_modules(workshop):
    rows = {file or name: f"flowd-cpp-{name}" for file, name in
            re.findall(r"^%module (?:-f (\S+) )?(?:-r \S+ )?(\S+) ", (ROOT / "rpm/flowd-cpp.spec").read_text(), re.M)}
    assert rows == packages_of_modules(), "a row `%module NAME SUMMARY` in rpm/flowd-cpp.spec for each module"
    for package in rows.values():
        assert package_of(workshop, package).is_file()


def test_rpmlint_finds_nothing(workshop):
    ours = list(workshop.repository.glob("*/flowd-cpp*.rpm"))
    assert len(ours) == 4 + len(packages_of_modules())
    done = run("rpmlint", "-c", HERE / "rpmlint.toml", ROOT / "rpm/flowd-cpp.spec", *ours, check=False)
    complaints = [line for line in done.stdout.splitlines() if re.search(r": [EW]: ", line)]
    assert complaints == [] and done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("file, old, new, about", [
    ("CMakeLists.txt", "VERSION 0.1.0", "VERSION 9.9.9", "the version"),
    ("sdk/include/flowd/abi/base.h", "#define FLOWD_ABI_MAJOR 1", "#define FLOWD_ABI_MAJOR 2", "the ABI"),
])
def test_the_build_stops_when_spec_and_source_disagree(tmp_path, file, old, new, about):
    archive = sources(tmp_path)
    run("tar", "-xzf", archive, "-C", tmp_path)
    tree = tmp_path / f"flowd-cpp-{version()}"
    text = (tree / file).read_text()
    assert old in text
    (tree / file).write_text(text.replace(old, new))
    run("tar", "-czf", archive, "-C", tmp_path, tree.name)
    done = Workshop(tmp_path / "shop").rpmbuild(ROOT / "rpm/flowd-cpp.spec", "-bp", "--define", f"_sourcedir {tmp_path}/SOURCES", check=False)
    assert done.returncode != 0 and f"disagree about {about}" in done.stderr, done.stderr


def test_the_daemon_loads_exactly_the_modules_that_are_installed(root):
    root.dnf("install", "flowd-cpp-plugin-fireflyp", "flowd-cpp-backend-marker")
    assert {"flowd-cpp", "flowd-cpp-filesystem"} <= root.packages()
    assert root.modules() == {"plugin-fireflyp", "backend-marker"}
    listed = root.run("flowd-cpp", "modules", "list", "--load").stdout
    assert re.findall(r"^(\S+)\s+loaded", listed, re.M) == ["backend-marker", "plugin-fireflyp"], listed
    # What the package ships loads, and what is missing is named with its package.
    assert root.run("flowd-cpp", "check").returncode == 0
    (root.folder / "etc/flowd-cpp/conf.d/10-relay.yaml").write_text("backends:\n  firefly: {}\n")
    done = root.run("flowd-cpp", "check", check=False)
    assert done.returncode == 4 and "install the package flowd-cpp-backend-firefly" in done.stdout + done.stderr


def test_packages_own_their_files_and_notify_systemd(root):
    root.dnf("install", "flowd-cpp-plugin-namedpipe")
    user = root.run("getent", "passwd", "flowd-cpp").stdout
    assert user.endswith("nologin\n")
    conf = root.folder / "etc/flowd-cpp/conf.yaml"
    assert (conf.stat().st_mode & 0o777, conf.stat().st_uid) == (0o640, 0)
    assert conf.stat().st_gid == int(root.run("getent", "group", "flowd-cpp").stdout.split(":")[2])
    assert "preset flowd-cpp.service" in root.told_systemd() and "preset flowd-cpp-namedpipe.socket" in root.told_systemd()
    for name in ("flowd-cpp.service", "run-bpf-flowd.mount", "flowd-cpp-namedpipe.socket", "flowd-cpp.service.d/50-namedpipe.conf"):
        assert (root.folder / "usr/lib/systemd/system" / name).is_file(), name
    manual = {path.name.removesuffix(".gz") for path in (root.folder / "usr/share/man").glob("man*/*")}
    assert {"flowd-cpp.8", "flowd-cpp.conf.5", "flowd-cpp-plugin-namedpipe.5"} == manual


def test_the_metrics_backend_brings_its_dashboard(root):
    root.dnf("install", "flowd-cpp-backend-metrics")
    dashboard = root.folder / "usr/share/flowd-cpp/grafana/flowd-cpp.json"
    assert dashboard.read_text() == (ROOT / "etc/grafana/flowd-cpp.json").read_text()
    owner = run("rpm", "--root", root.folder, "-qf", "--qf", "%{name}\n", "/usr/share/flowd-cpp/grafana").stdout.split()
    assert owner == ["flowd-cpp-backend-metrics"], "the folder goes with the package"


def test_the_metapackage_brings_everything(root):
    root.dnf("install", "flowd-cpp-all")
    assert root.modules() == set(packages_of_modules())


def rebuild_as(shop, release, change=None):
    """The same build as another release, without compiling again."""
    tree = shop.folder / "BUILD" / f"flowd-cpp-{version()}"
    if change:
        change(tree)
    spec = shop.folder / f"release-{release}.spec"
    spec.write_text((ROOT / "rpm/flowd-cpp.spec").read_text().replace("Release:        1%", f"Release:        {release}%"))
    shop.rpmbuild(spec, "-bb", "--noprep", "--noclean")
    shop.publish()


def test_an_upgrade_keeps_the_configuration_and_restarts_the_daemon(workshop, tmp_path):
    first = Workshop(tmp_path / "first")
    shutil.copytree(workshop.repository, first.repository, dirs_exist_ok=True)
    first.publish()
    root = InstallRoot(tmp_path / "root", first.repository)
    root.dnf("install", "flowd-cpp-plugin-perfsonar")
    conf = root.folder / "etc/flowd-cpp/conf.yaml"
    conf.write_text("plugins:\n  perfsonar: {experimentId: atlas, activityId: perfSONAR}\n")

    def add_a_line(tree):
        with (tree / "etc/conf.yaml").open("a") as file:
            file.write("# a line more\n")

    second = Workshop(tmp_path / "second")
    second.folder = workshop.folder
    rebuild_as(second, 2, add_a_line)
    for path in second.repository.glob("*/*.rpm"):
        shutil.copy(path, first.repository / path.parent.name)
    first.publish()
    root.dnf("upgrade")
    assert run("rpm", "--root", root.folder, "-q", "--qf", "%{release}", "flowd-cpp").stdout.startswith("2")
    assert conf.read_text().startswith("plugins:\n  perfsonar: {experimentId: atlas")
    assert "a line more" in conf.with_suffix(".yaml.rpmnew").read_text()
    assert "try-restart flowd-cpp.service" in root.told_systemd()
    assert not any("disable" in line for line in root.told_systemd())


def test_a_daemon_that_missed_a_module_is_started_after_the_transaction_that_brings_it(root):
    """case C63: the daemon ended with exit code 4, after which systemd does not start it again."""
    root.dnf("install", "flowd-cpp")
    (root.folder / "etc/flowd-cpp/conf.yaml").write_text("plugins: {fireflyp: {}}\nbackends: {firefly: {}}\n")
    (root.folder / "usr/bin/systemctl").write_text(
        SYSTEMCTL + 'case "$*" in "show -P ExecMainStatus flowd-cpp.service") echo 4;; esac\n')
    start = "--no-block start flowd-cpp.service"
    root.dnf("install", "flowd-cpp-backend-metrics", "flowd-cpp-backend-firefly")
    assert start not in root.told_systemd(), "a module is still missing"
    root.dnf("install", "flowd-cpp-plugin-fireflyp")
    assert root.told_systemd().count(start) == 1


def test_removal_stops_the_daemon_and_leaves_no_hooks_or_files(root):
    root.dnf("install", "flowd-cpp-all")
    # A stand-in for the program tells what the scripts ask of it.
    program = root.folder / "usr/bin/flowd-cpp"
    program.write_text('#!/bin/sh\necho "flowd-cpp $*" >> /var/log/systemctl\n')
    (root.folder / "etc/flowd-cpp/conf.yaml").write_text("plugins: {}\n")
    root.dnf("remove", "flowd-cpp")
    told = root.told_systemd()
    assert told.index("stop flowd-cpp.service") < told.index("flowd-cpp marker clean")
    assert "disable --now flowd-cpp.service run-bpf-flowd.mount" in told
    left = [str(path.relative_to(root.folder)) for path in root.folder.glob("**/*flowd*")
            if not str(path.relative_to(root.folder)).startswith(("var/lib/dnf", "var/log", "var/cache"))]
    # A configuration that somebody wrote is saved, whoever owns the folder goes with its last package.
    assert [name for name in left if not name.startswith("etc/flowd-cpp")] == [], left
    assert (root.folder / "etc/flowd-cpp/conf.yaml.rpmsave").is_file()


THIRD_PARTY = """\
Name: example-hello
Version: 1.0
Release: 1
Summary: A module of somebody else
License: Apache-2.0
%description
%{{summary}}.
%build
%cmake -S {project} -DCMAKE_BUILD_TYPE=Release
%cmake_build
%install
%cmake_install
%files
%{{flowd_cpp_moduledir}}/plugin-hello.so
"""


@pytest.fixture(scope="session")
def third_party(workshop, tmp_path_factory):
    """A project made by new-module, packaged in a system that has flowd-cpp-devel and this machine's compiler."""
    folder = tmp_path_factory.mktemp("third-party")
    devel = InstallRoot(folder / "devel", workshop.repository)
    devel.dnf("install", "flowd-cpp-devel")
    project = folder / "hello"
    run(BUILD / "bin/flowd-cpp", "new-module", "hello", "--kind", "plugin", project)
    (folder / "hello.spec").write_text(THIRD_PARTY.format(project=project))
    shop = Workshop(folder / "shop")

    def build(abi=None):
        if abi:  # as if it had been built against headers of another major
            base = devel.folder / "usr/include/flowd/abi/base.h"
            base.write_text(re.sub(r"(#define FLOWD_ABI_MAJOR) \d+", rf"\1 {abi}", base.read_text()))
        shutil.rmtree(shop.folder / "BUILD", ignore_errors=True)
        script = ('set -e; mount -t tmpfs tmpfs /mnt; mkdir /mnt/upper /mnt/work /mnt/root; cp -a "$1" /mnt/devel; '
                  'mount -t overlay -o "lowerdir=/mnt/devel:/,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root; '
                  'for place in proc dev tmp; do mount --rbind /$place /mnt/root/$place; done; shift; exec chroot /mnt/root "$@"')
        shop.rpmbuild(folder / "hello.spec", "-bb", "--define", "debug_package %{nil}",
                      prefix=("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", devel.folder))
        return package_of(shop, "example-hello")

    return build


def test_a_third_party_package_requires_the_abi_automatically_and_is_loaded(third_party, root):
    package = third_party()
    assert "flowd-cpp(abi) = 1" in run("rpm", "-qp", "--requires", package).stdout.splitlines()
    root.dnf("install", "flowd-cpp", package)
    assert root.modules() == {"plugin-hello"}
    assert re.search(r"^plugin-hello\s+loaded", root.run("flowd-cpp", "modules", "list", "--load").stdout, re.M)


def test_dnf_refuses_a_module_of_another_abi(third_party, root):
    package = third_party(abi=2)
    done = root.dnf("install", "flowd-cpp", package, check=False)
    assert done.returncode != 0 and "nothing provides flowd-cpp(abi) = 2" in done.stdout + done.stderr
    assert not root.modules()
