# SPDX-License-Identifier: Apache-2.0
"""What an administrator installs: units, packages, manual pages. scripts/package-test runs these; they need root."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tests.harness.lab import Lab  # noqa: E402
from tests.packaging.staged import stage  # noqa: E402


@pytest.fixture(scope="session")
def staged(tmp_path_factory):
    """A folder that holds an installed flowd-cpp with the prefix /usr."""
    return stage(tmp_path_factory.mktemp("staged"))


@pytest.fixture(scope="module")
def lab():
    with Lab() as hosts:
        yield hosts
