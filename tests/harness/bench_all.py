# SPDX-License-Identifier: Apache-2.0
"""scripts/bench-all: runs the benchmarks and writes their tables into the documents.

A document has a region for each table:

    <!-- figures: NAME -->
    <!-- end -->

What is inside is printed from the figures in tests/bench/figures, which the benchmarks write; what is outside is written by hand.
"""
import argparse
import json
import re
import signal
import subprocess
import sys
import time

from .daemon import ROOT
from .figures import markdown, number, printed

RECORDS = ROOT / "tests/bench/figures"
#: The documents with figures.
DOCUMENTS = [ROOT / "docs/performance.md", ROOT / "docs/400g.md"]
#: In this order; each alone on the machine.
BENCHMARKS = {
    "daemon": ["scripts/bench-daemon"],
    "codec": ["scripts/bench", "codec"],
    "firefly": ["scripts/bench-firefly"],
    "flow_table": ["scripts/bench", "flow_table"],
    "bus": ["scripts/bench", "bus"],
    "lock": ["scripts/bench", "lock"],
    "marker": ["scripts/bench", "marker"],
    "meter": ["scripts/bench", "meter"],
    "transfer": ["scripts/bench-marker"],
    "api": ["scripts/bench-api"],
    "metrics": ["scripts/bench-metrics"],
    "enricher": ["scripts/bench-enricher"],
    "view": ["scripts/bench-view"],
    "kafka": ["scripts/bench-kafka"],
    "growth": ["scripts/bench-growth"],
}
LIMIT = 600  # seconds for one of them
REGION = re.compile(r"(<!-- figures: (\S+) -->\n)(.*?)(<!-- end -->)", re.S)


#: Of docs/400g.md: bytes of a packet as the programs see it, and its rows of the marker and the meter.
PACKETS = {
    "512 kB (BIG TCP)": (524_280, "match, 512 kB in 364 segments (BIG TCP)", "one flow, 512 kB in 364 segments (BIG TCP)"),
    "64 kB (GSO)": (65_536, "match, 64 kB in 45 segments (GSO)", "one flow, 64 kB in 45 segments (GSO)"),
    "9,000 bytes": (9_000, "match, 1,000 flows in the table", "one flow"),
    "1,500 bytes": (1_500, "match, 1,000 flows in the table", "one flow"),
}


def shares_of_a_core(marker, meter):
    """What marking and metering of a full line takes, from the time of a packet above the floor: of one flow (hot), of 131,072 in turn (cold)."""
    def above_floor(record, name):
        one = next(one for one in next(iter(record["tables"].values())) if one["what"] == name)
        return one["value"] - one["floor"]

    table = [["line rate", "packets", "packets/s", "marker: hot, cold", "meter: hot, cold", "both: hot, cold"]]
    cold = above_floor(marker, "cold, 131,072 flows in turn: match"), above_floor(meter, "cold, 131,072 flows in turn: the meter")
    for line, rate in (("100G", 100e9), ("400G", 400e9), ("1.6T", 1.6e12)):
        for packets, (size, marked, metered) in PACKETS.items():
            each, hot = rate / 8 / size, (above_floor(marker, f"hot: {marked}"), above_floor(meter, f"hot: {metered}"))
            shares = [f"{number(each * one * 1e-7)} %" for one in (hot[0], cold[0], hot[1], cold[1], sum(hot), sum(cold))]
            table.append([line, packets, number(each), *(", ".join(shares[at:at + 2]) for at in (0, 2, 4))])
    return table


def records():
    return {path.stem: json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))}


def regions(found):
    """What belongs into each region."""
    machines = dict.fromkeys(record["machine"] for record in sorted(found.values(), key=lambda record: record["date"], reverse=True))
    text = {"machine": f"Machine: {'; '.join(machines)}.\n"} if found else {}
    for record in found.values():
        text |= {name: printed(record, name) for name in record["tables"]}
    if {"marker", "meter"} <= set(found):
        text["400g"] = markdown(shares_of_a_core(found["marker"], found["meter"]))
    return text


def filled(document, text):
    """The document with its regions written anew; a region that nobody knows stays as it is."""
    return REGION.sub(lambda region: region[1] + text.get(region[2], region[3]) + region[4], document)


def write_documents():
    text = regions(records())
    for path in DOCUMENTS:
        old = path.read_text()
        new = filled(old, text)
        if new != old:
            path.write_text(new)
            print(f"written: {path.relative_to(ROOT)}", file=sys.stderr)


def ended(process):
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run(name, log, quick):
    """None, or how it failed."""
    target = log.with_suffix(".json") if quick else RECORDS / f"{name}.json"
    command = [*BENCHMARKS[name], "--json", str(target), *(["--quick"] if quick else [])]
    with open(log, "w") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
        try:
            code = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # it ends what it has started
            ended(process)
            return f"took more than {LIMIT} s"
        except KeyboardInterrupt:  # the terminal has sent it to both
            ended(process)
            raise
    return f"ended with {code}: {(log.read_text().strip().splitlines() or [''])[-1]}" if code else None


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench-all", description="Runs the benchmarks and writes the tables of the documents.")
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), default=list(BENCHMARKS), metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="short rounds, into build/figures; the documents stay as they are")
    parser.add_argument("--write", action="store_true", help="measures nothing: prints the tables again from tests/bench/figures")
    arguments = parser.parse_args()
    if arguments.write:
        return write_documents()
    subprocess.run([ROOT / "scripts/build", "release", "--target", "benchmarks"], check=True, stdout=sys.stderr)
    logs = ROOT / "build/figures"
    logs.mkdir(exist_ok=True)
    RECORDS.mkdir(exist_ok=True)
    begin, failed = time.monotonic(), []
    for at, name in enumerate(arguments.only, 1):
        print(f"{time.monotonic() - begin:5.0f} s  {at} of {len(arguments.only)}: {name}", file=sys.stderr)
        if problem := run(name, logs / f"{name}.log", arguments.quick):
            failed.append(name)
            print(f"{time.monotonic() - begin:5.0f} s  {name} {problem}; see build/figures/{name}.log", file=sys.stderr)
    print(f"{time.monotonic() - begin:5.0f} s  done", file=sys.stderr)
    if not arguments.quick:
        write_documents()
    return f"failed: {', '.join(failed)}" if failed else 0


if __name__ == "__main__":
    sys.exit(main())
