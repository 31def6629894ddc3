# SPDX-License-Identifier: Apache-2.0
"""What the tests of emitters share: a directory that other users can enter, and a collector."""
import pathlib
import shutil
import tempfile

import pytest

from tests.harness.collector import Collector


@pytest.fixture
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="flowd-test-emitters-", dir="/run"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def collector(lab):
    with Collector(lab.b) as one:
        yield one
