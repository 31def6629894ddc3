# SPDX-License-Identifier: Apache-2.0
"""The documentation of an installed host: complete, and without dead links."""
import re

import pytest

from tests.packaging.staged import ROOT


@pytest.fixture(scope="module")
def documents(staged):
    return staged / "usr/share/doc/flowd-cpp"


def links(file):
    """(file, fragment) of each link that stays on the host; code is not looked at."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", file.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            path, _, fragment = target.partition("#")
            yield target, (file.parent / path if path else file).resolve(), fragment


def anchors(file):
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", file.read_text(), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_document_for_users_is_installed(documents):
    wanted = {path.relative_to(ROOT) for pattern in ("README.md", "CHANGELOG.md", "docs/*.md", "plugins/*/README.md", "backends/*/README.md")
              for path in ROOT.glob(pattern)}
    assert len(wanted) > 25
    assert {path for path in wanted if not (documents / path).is_file()} == set()


def test_no_link_is_dead(documents):
    followed = 0
    for file in documents.rglob("*.md"):
        for target, path, fragment in links(file):
            assert path.is_relative_to(documents) and path.exists(), (file, target)
            assert not fragment or path.suffix != ".md" or fragment in anchors(path), (file, target)
            followed += 1
    assert followed > 50


def test_completions_are_installed_where_shells_find_them(staged):
    for file in ("bash-completion/completions/flowd-cpp", "zsh/site-functions/_flowd-cpp", "fish/vendor_completions.d/flowd-cpp.fish"):
        assert (staged / "usr/share" / file).is_file(), file
