# SPDX-License-Identifier: Apache-2.0
"""Findings. The clock of the machine that runs the tests may not be synchronised: that note is left out."""
CLOCK = "daemon-clock-not-synchronised"


def without_clock(findings):
    return [one for one in findings if one["id"] != CLOCK]


def by_subject(findings):
    """{(id, subject): finding}"""
    return {(one["id"], one["subject"]): one for one in without_clock(findings)}
