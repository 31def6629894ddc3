# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: measuring by turns, and figures that are handed over as JSON and printed as tables.

A benchmark hands over tables by name. A table is a list of rows, one for each figure:

    row("start to READY=1", 8.5, "ms", floor=2.0, aim="<= 8")

An aim is a limit in the unit of the figure, or relative to the floor: "<= 8", ">= 0.85 x floor", "<= floor + 2". A table whose rows are not single
figures is a list of lists of texts, the first of which has the names of the columns.
"""
import argparse
import datetime
import json
import math
import os
import pathlib
import platform
import re
import statistics
import sys
import time


def by_turns(rounds, ways):
    """What each way returned in each round. By turns, and every other round from behind, so that no way has an advantage."""
    found = {name: [] for name in ways}
    for at in range(rounds):
        for name, way in list(ways.items())[::-1 if at % 2 else 1]:
            found[name].append(way())
        print(f"round {at + 1} of {rounds}", file=sys.stderr)
    return found


def medians(found):
    """Of each column of what by_turns() found."""
    return {name: [statistics.median(column) for column in zip(*rows)] for name, rows in found.items()}


def row(what, value, unit, floor=None, aim=None):
    return {"what": what, "value": value, "unit": unit} | ({} if floor is None else {"floor": floor}) | ({"aim": aim} if aim else {})


def number(value):
    """Three significant digits."""
    decimals = 2 - math.floor(math.log10(abs(value))) if value else 0
    text = f"{round(value, decimals):,.{max(0, decimals)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def quantity(value, unit):
    return number(value) + ("" if unit.startswith("/") else " ") + unit


def limit(one):
    """(whether a larger figure is better, the limit, its text)"""
    sign, number_, relative, plus = re.fullmatch(r"([<>]=) (?:([\d.]+)( x floor)?|floor \+ ([\d.]+))", one["aim"]).groups()
    if plus:
        return sign == ">=", one["floor"] + float(plus), f"{sign} floor + {quantity(float(plus), one['unit'])}"
    if relative:
        return sign == ">=", float(number_) * one["floor"], f"{sign} {number(float(number_) * 100)} % of the floor"
    return sign == ">=", float(number_), f"{sign} {quantity(float(number_), one['unit'])}"


def is_met(one):
    more, least, _ = limit(one)
    return one["value"] >= least if more else one["value"] <= least


COLUMNS = {
    "": lambda one: one["what"],
    "measured": lambda one: quantity(one["value"], one["unit"]),
    "floor in the same run": lambda one: quantity(one["floor"], one["unit"]) if "floor" in one else "",
    "of the floor": lambda one: f"{number(one['value'] / one['floor'] * 100)} %" if one.get("floor") else "",
    "aim": lambda one: limit(one)[2] if "aim" in one else "",
    "met": lambda one: ("yes" if is_met(one) else "no") if "aim" in one else "",
}


def lines_of(table):
    if table and isinstance(table[0], list):
        return table
    columns = [name for name, cell in COLUMNS.items() if any(cell(one) for one in table)]
    return [columns, *([COLUMNS[name](one) for name in columns] for one in table)]


def markdown(table):
    head, *lines = lines_of(table)
    rows = (f"| {' | '.join(cells)} |\n" for cells in (head, *lines))
    return next(rows) + f"|{'---|' * len(head)}\n" + "".join(rows)


def printed(record, name):
    """A table of a record, with where it is from."""
    load = " to ".join(dict.fromkeys(f"{one:.1f}" for one in record["load"]))
    return f"`{record['command']}`, {record['date']}, load {load}:\n\n{markdown(record['tables'][name])}"


def machine():
    cpu = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M))
    name = cpu.get("model name", platform.machine())  # arm64 has numbers of parts only
    number = f" (family {cpu['cpu family']}, model {cpu['model']})" if {"cpu family", "model"} <= cpu.keys() else ""
    return (f"{name}{number}, {os.cpu_count()} virtual cores, "
            f"Linux {'.'.join(platform.release().split('.')[:2])}")


def main(command, about, measure, *options):
    """The command line of a benchmark: measure(arguments) returns its tables. options: the words and settings of add_argument()."""
    parser = argparse.ArgumentParser(prog=command, description=about)
    for words, settings in options:
        parser.add_argument(words, **settings)
    parser.add_argument("--quick", action="store_true", help="one short round: whether it works, not how fast it is")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, help="where the figures are written as well")
    arguments = parser.parse_args()
    begin, load = time.monotonic(), os.getloadavg()[0]
    tables = measure(arguments)
    record = {"command": command, "date": datetime.date.today().isoformat(), "machine": machine(), "load": sorted([load, os.getloadavg()[0]]),
              "seconds": round(time.monotonic() - begin), "tables": tables}
    for name in tables:
        print(printed(record, name))
    if arguments.json:
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")
