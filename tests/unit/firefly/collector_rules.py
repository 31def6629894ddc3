#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Judges printed fireflies as others would: by the public schema, and by the rules of the reference collector (Logstash).

collector_rules.py PROGRAM SCHEMA: PROGRAM COUNT prints fireflies, one per line.
"""
import datetime
import ipaddress
import json
import re
import subprocess
import sys

import jsonschema

# What the collector's grok asks of the header: a priority, a version, an ISO 8601 time that is really there, a host, a program.
HEADER = re.compile(
    r"^<(?P<pri>[1-9][0-9]*)>(?P<version>[0-9]+) "
    r"(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})) "
    r"(?P<host>[0-9A-Za-z_.:-]+) (?P<program>[!-~]+) - firefly-json - (?P<message>\{.*\})$")


def when(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")


def problems(line, validator):
    found = HEADER.match(line)
    if not found:
        yield "the header does not match"
        return
    when(found["time"])
    if len(line.encode()) > 1452:
        yield "longer than 1452 bytes"
    firefly = json.loads(found["message"])
    for error in validator.iter_errors(firefly):
        yield "schema: " + error.message
    lifecycle, flow = firefly["flow-lifecycle"], firefly["flow-id"]
    for name in ("current-time", "start-time") + (("end-time",) if lifecycle["state"] == "end" else ()):
        when(lifecycle[name])
    if lifecycle["state"] != "end" and "end-time" in lifecycle:
        yield "only an end has an end-time"
    for name in ("src-ip", "dst-ip"):
        address = ipaddress.ip_address(flow[name])
        if str(address) != flow[name]:
            yield f"{flow[name]} is not in the form of RFC 5952, so flows would not match"
        if flow["afi"] != f"ipv{address.version}":
            yield "afi contradicts " + flow[name]
    rtt = firefly.get("netlink", {}).get("rtt", 0.0)
    if not isinstance(rtt, float):
        yield "netlink.rtt is no float, so the first one seen may fix the wrong type"


def main():
    program, schema = sys.argv[1:]
    with open(schema, encoding="utf-8") as file:
        validator = jsonschema.Draft202012Validator(json.load(file), format_checker=jsonschema.draft202012_format_checker)
    lines = subprocess.run([program, "2000"], check=True, capture_output=True, encoding="utf-8").stdout.splitlines()
    if len(lines) != 2000:
        sys.exit(f"{len(lines)} lines instead of 2000")
    bad = [(line, problem) for line in lines for problem in problems(line, validator)]
    # A judge that passes everything is none: it has to refuse these.
    for worse in (lines[0].replace("<134>1 ", "<134>1  ", 1).replace(re.split(r"\s+", lines[0])[1], "", 1),
                  re.sub(r'"src-port":[0-9]+', '"src-port":0', lines[0]), lines[0][lines[0].index("{"):]):
        if not list(problems(worse, validator)):
            bad.append((worse, "was not refused by this judge"))
    for line, problem in bad[:10]:
        print(f"{problem}\n  {line}")
    print(f"{len(lines)} fireflies, {len(bad)} problems")
    sys.exit(1 if bad else 0)


main()
