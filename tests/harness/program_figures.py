# SPDX-License-Identifier: Apache-2.0
"""scripts/bench NAME: the figures of the C++ benchmarks, build/release/bin/NAME_benchmark."""
import json
import os
import re
import subprocess
import sys

from . import figures
from .daemon import BUILD
from .figures import row

NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def medians(program, repetitions, *words, **environment):
    """What a benchmark found, by name: {"time": ns, "cpu": ns, counter: value}."""
    done = subprocess.run([BUILD / "bin" / program, f"--benchmark_repetitions={repetitions}", "--benchmark_report_aggregates_only=true",
                           "--benchmark_format=json", *words], stdout=subprocess.PIPE, text=True, check=True, env=os.environ | environment)
    found = {}
    for one in json.loads(done.stdout)["benchmarks"]:
        if one.get("error_occurred"):
            raise AssertionError(f"{one['run_name']}: {one['error_message']}")
        if one.get("aggregate_name", "median") == "median":
            name = re.sub(r"/(iterations|repeats|manual_time).*", "", one["run_name"])
            found[name] = one | {"time": one["real_time"] * NANOSECONDS[one["time_unit"]], "cpu": one["cpu_time"] * NANOSECONDS[one["time_unit"]]}
    return found


def codec(repetitions, quick):
    found = medians("codec_benchmark", repetitions, "--benchmark_min_time=0.1")
    rows = []
    for at, firefly in enumerate(("flowd-go start, 295 bytes", "XRootD end with usage and netlink, 505 bytes", "flowd start with netlink array, 619 bytes")):
        json_alone, bytes_alone = found[f"parse_json_alone/{at}"]["cpu"], found["print_bytes_alone"]["cpu"]
        rows += [row(f"{firefly}: parse", found[f"parse/{at}"]["cpu"], "ns", json_alone, "<= 1500"),
                 row(f"{firefly}: print", found[f"print/{at}"]["cpu"], "ns", bytes_alone, "<= 1000"),
                 row(f"{firefly}: parse, event, print", found[f"parse_and_print/{at}"]["cpu"], "ns", json_alone + bytes_alone)]
    return rows


def flow_table(repetitions, quick):
    found = medians("flow_table_benchmark", 1 if quick else 3)
    start, end, insert, erase = (found[f"BM_{name}"] for name in ("TableStart", "TableEnd", "FloorMapInsert", "FloorMapErase"))
    return [row("start", start["ns_each"], "ns", insert["ns_each"], "<= 250"),
            row("end, with the later removal of its tombstone", end["ns_each"], "ns", erase["ns_each"], "<= 350"),
            row("refresh", found["BM_TableRefresh"]["ns_each"], "ns"),
            row("bytes per flow, allocated", start["bytes_per_flow"], "bytes", aim="<= 176"),
            row("bytes per flow, by resident memory", start["rss_per_flow"], "bytes", insert["rss_per_flow"])]


def bus(repetitions, quick):
    found = medians("bus_benchmark", 1 if quick else 5)
    floor, rows = found["BM_FloorMutexDeque"], []
    for what, name, aim in (("batches of 64", "batch:64/application:0", ">= 3000000"), ("batches of 64, with an application's name", "batch:64/application:1", None),
                            ("batches of 2", "batch:2/application:0", ">= 1500000")):
        one = found[f"BM_Bus/{name}"]
        rows += [row(f"{what}: events", one["items_per_second"], "/s", floor["items_per_second"], aim),
                 row(f"{what}: CPU per event, all three threads", one["cpu_ns_per_event"], "ns", floor["cpu_ns_per_event"])]
    return rows


def lock(repetitions, quick):
    out = subprocess.run([BUILD / "bin/lock_benchmark", *(["100000"] if quick else [])], stdout=subprocess.PIPE, text=True, check=True).stdout
    table = [[cell.strip() for cell in line[1:-2].split("|")] for line in out.splitlines() if line.startswith("|")]
    return [table[0], *table[2:]]


def bpf_programs(program, repetitions, aims):
    """The first program of each group is the floor of the others."""
    rows, floors = [], {}
    for name, one in medians(program, repetitions).items():
        group = name.split(": ")[0]
        if group in floors:
            rows.append(row(name, one["time"], "ns", floors[group], aims.get(name)))
        floors.setdefault(group, one["time"])
    return rows


def marker(repetitions, quick):
    return bpf_programs("marker_benchmark", repetitions, {
        "hot: match, 1 flow in the table": "<= floor + 20", "hot: match, 1,000 flows in the table": "<= floor + 20",
        "hot: match, 100,000 flows in the table": "<= floor + 20", "hot: miss, 1,000 flows in the table": "<= floor + 15",
        "hot: miss, 100,000 flows in the table": "<= floor + 15", "hot: catch-all, table empty": "<= floor + 12",
        "hot: catch-all, 1,000 flows in the table": "<= floor + 12", "hot: IPv4, passed through": "<= floor + 5"})


def meter(repetitions, quick):
    return bpf_programs("meter_benchmark", repetitions, {"hot: one flow": "<= 55"})


def enricher(repetitions, quick):
    found = medians("enricher_benchmark", 1, **{} if quick else {"FLOWD_LONG": "1"})
    rows = []
    for name, what, aim in (("netlink", "`netlink`", "<= 0.25 x floor"), ("skops", "`skops`", "<= 0.25 x floor"),
                            ("dump_received", "the kernel's part of `netlink`: the dump, unread", None)):
        for connections in (1_000, 10_000, 100_000):
            if one := found.get(f"{name}/{connections}"):
                floor = found[f"ss_tinO/{connections}"]
                rows.append(row(f"{what}, {connections:,} connections: CPU of a period", one["time"] / 1e6, "ms", floor["time"] / 1e6, aim))
                if "MiB" in one:
                    rows.append(row(f"{what}, {connections:,} connections: memory", one["MiB"], "MiB", floor["MiB"]))
    return rows


PROGRAMS = {one.__name__: one for one in (codec, flow_table, bus, lock, marker, meter, enricher)}


def measure(arguments):
    return {arguments.name: PROGRAMS[arguments.name](1 if arguments.quick else 5, arguments.quick)}


if __name__ == "__main__":
    command = "scripts/bench-enricher" if sys.argv[1:2] == ["enricher"] else " ".join(["scripts/bench", *sys.argv[1:2]])
    figures.main(command, __doc__, measure, ("name", {"choices": PROGRAMS, "metavar": "NAME", "help": ", ".join(PROGRAMS)}))
