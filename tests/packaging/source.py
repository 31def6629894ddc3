# SPDX-License-Identifier: Apache-2.0
"""The sources as they are in this checkout: what git tracks, changed or not."""
import os
import re
import shlex
import shutil
import subprocess
import tarfile

from tests.packaging.staged import ROOT, run


def version():
    return re.search(r"^project\(flowd-cpp VERSION ([\d.]+) ", (ROOT / "CMakeLists.txt").read_text(), re.M)[1]


def tracked():
    names = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], check=True,
                           capture_output=True).stdout.split(b"\0")
    return [ROOT / name.decode() for name in names if name and (ROOT / name.decode()).exists()]


def tarball(folder):
    """folder/flowd-cpp-VERSION.tar.gz"""
    top = f"flowd-cpp-{version()}"
    path = folder / f"{top}.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for file in tracked():
            archive.add(file, f"{top}/{file.relative_to(ROOT)}", recursive=False)
    return path


def unpack(folder):
    """folder/flowd-cpp-VERSION, the sources."""
    folder.mkdir(parents=True, exist_ok=True)
    run("tar", "-xzf", tarball(folder), "-C", folder)
    return folder / f"flowd-cpp-{version()}"


def build_environment(folder):
    """For rpmbuild and dpkg-buildpackage: what they change, the locale and the home, makes ccache take everything for new. A ccache
    in front of the real one puts back what the build tree was compiled with."""
    real = shutil.which("ccache")
    locale = [f"{name}={shlex.quote(os.environ[name])}" for name in ("LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES") if name in os.environ]
    cache = run(real, "--get-config", "cache_dir").stdout.strip()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ccache").write_text(f"#!/bin/sh\nexec env -u LANG -u LC_ALL -u LC_CTYPE -u LC_MESSAGES {' '.join(locale)} "
                                   f"CCACHE_DIR={shlex.quote(cache)} {real} \"$@\"\n")
    (folder / "ccache").chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
