# SPDX-License-Identifier: Apache-2.0
"""Tests against a real broker of Apache Kafka. Traffic stays on loopback."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tests.harness import kafka  # noqa: E402
from tests.kafka.relay import TOPICS  # noqa: E402


def pytest_collection_modifyitems(items):
    if reason := kafka.missing():
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def one_broker():
    with kafka.Broker() as one:
        yield one


@pytest.fixture
def broker(one_broker):
    if one_broker.process.poll() is not None:
        one_broker.start()
    return one_broker


@pytest.fixture
def absent(broker):
    """A broker that does not run, but can be started; it has the topic."""
    broker.topic = next(TOPICS)
    broker.create(broker.topic)
    broker.kill()
    return broker
