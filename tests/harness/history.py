# SPDX-License-Identifier: Apache-2.0
"""The file of the sums per minute (core/service/minutes_file.hpp), written by a test."""
import math
import random
import time

OUT, INTO = 1, 2  # FLOWD_LOCAL_SOURCE, FLOWD_LOCAL_DESTINATION


def write_history(path, rows, version=1):
    """rows: "minute experiment activity local started ended sent received" """
    text = f"flowd-history {version}\n" + "".join(row + "\n" for row in rows)
    digest = 0xcbf29ce484222325
    for byte in text.encode():
        digest = (digest ^ byte) * 0x100000001b3 % 2**64
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}end {digest:016x}\n")


def a_day(tags, seed=5):
    """Rows of the 24 hours before now: for each (experiment, activity, bytes per second) a rate that changes over the day."""
    draw, end, rows = random.Random(seed), int(time.time()) // 60, []
    shapes = [(draw.uniform(0, 6), draw.uniform(0.1, 0.5), draw.uniform(0.2, 0.8)) for _ in tags]
    bursts = [1.0] * len(tags)
    for minute in range(end - 1439, end):
        for n, ((experiment, activity, rate), (phase, depth, share)) in enumerate(zip(tags, shapes)):
            bursts[n] = max(0.2, min(2.5, bursts[n] + draw.gauss(0, 0.06) + 0.02 * (1 - bursts[n])))
            total = 60 * rate * bursts[n] * (1 + depth * math.sin(2 * math.pi * minute / 1440 + phase))
            for local, part in ((OUT, share), (INTO, 1 - share)):
                started = int(total * part / 2e9) + draw.randint(0, 2)
                rows.append(f"{minute} {experiment} {activity} {local} {started} {max(0, started - draw.randint(0, 1))} {int(total * part)} {int(total * part / 500)}")
    return rows
