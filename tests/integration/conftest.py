# SPDX-License-Identifier: Apache-2.0
"""Integration tests: the real daemon, real sockets, two hosts in network namespaces. They need root."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tests.harness.answers import SECONDS, Answers  # noqa: E402
from tests.harness.lab import Lab  # noqa: E402


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs root: network namespaces and BPF"))


@pytest.fixture
def lab():
    with Lab() as hosts:
        yield hosts


@pytest.fixture
def status_answers():
    """Every daemon of the test answers `status` while the test runs."""
    with Answers() as answers:
        yield
    print(f"{answers.count} answers, the slowest took {answers.slowest:.2f} s")
    assert answers.slowest < SECONDS
