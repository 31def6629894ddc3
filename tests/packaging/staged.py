# SPDX-License-Identifier: Apache-2.0
"""The build tree, installed below a folder as a package would lay it out; and what its unit files say."""
import pathlib
import shutil
import subprocess

import yaml

from tests.harness.daemon import BUILD, ROOT

__all__ = ["BUILD", "ROOT", "packages_of_modules", "read_unit", "run", "stage"]


def run(*command, check=True, **options):
    """A command's outcome with its output as text; its output is the message when it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}")
    return done


def stage(root):
    """Installs below `root` with the prefix /usr, and puts etc where that prefix has it."""
    run("cmake", "--install", BUILD, "--prefix", root / "usr")
    if (root / "usr/etc").is_dir():  # the build tree was configured for another prefix
        shutil.move(root / "usr/etc", root / "etc")
    return root


def read_unit(path):
    """{section: {key: [value, ...]}}; an empty value begins the list anew, as systemd.syntax(7) has it."""
    sections, section = {}, {}
    for line in pathlib.Path(path).read_text().splitlines():
        line = line.strip()
        if line.startswith("["):
            section = sections.setdefault(line[1:-1], {})
        elif line and line[0] not in "#;":
            key, value = line.split("=", 1)
            section[key] = section.get(key, []) + [value] if value else []
    return sections


def packages_of_modules():
    """{module that was built: its package, as the catalog tells users}"""
    catalog = yaml.safe_load((ROOT / "etc/catalog.yaml").read_text())
    packages = {}
    for file in (BUILD / "lib/flowd-cpp/modules").glob("*.so"):
        kind, name = file.stem.split("-")
        entry = catalog.get(f"{kind}s", {}).get(name)
        assert entry, f"etc/catalog.yaml has no entry {kind}s.{name}, which was built"
        packages[file.stem] = entry["package"]
    return packages
