# SPDX-License-Identifier: Apache-2.0
"""A hundred thousand flows that start and end: did each reach both backends once, in order?"""
import json

from .lab import Timeout, wait_for


def source_port(number):
    return 1024 + number % 60000


def destination(number):
    return f"2001:db8::{number // 60000:x}"


def expect_every_pair(collector, daemon, pairs):
    """The collector heard every flow start and end once and in order, and so did the marker."""
    try:
        collector.wait_for_count(2 * pairs, 60)
    except Timeout as timeout:  # the counters show where events are missing
        status = json.dumps(daemon.cli("status"), indent=1)
        raise Timeout(f"{timeout}; refused: {len(collector.refused)} {collector.refused[:2]}\n{status}") from None
    assert not collector.refused
    seen = {}
    for message in collector.fireflies:
        key = (message["flow-id"]["dst-ip"], message["flow-id"]["src-port"])
        seen.setdefault(key, []).append(message["flow-lifecycle"]["state"])
    assert len(seen) == pairs
    assert all(states == ["start", "end"] for states in seen.values())
    # The table is empty at once: a flow that has ended is not live, also before its tombstone expires.
    assert daemon.cli("flows")["live"] == 0
    wait_for(lambda: daemon.edge("marker")["delivered"] == 2 * pairs, "the marker to have taken everything")
    assert daemon.edge("marker")["start"] == pairs and daemon.edge("marker")["end"] == pairs
    assert daemon.details("backend marker")["flows"] == 0
