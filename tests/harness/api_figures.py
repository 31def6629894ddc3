# SPDX-License-Identifier: Apache-2.0
"""The figures of scripts/bench-api: medians of several rounds, floor and daemon by turns in the same run."""
import re
import socket
import subprocess
import tempfile

from . import figures
from .daemon import BUILD, Daemon
from .lab import sh, wait_for
from .process import cpu_seconds

FLOOR_PORT, API_PORT = 7776, 7777
START = ('{"state":"start","protocol":"tcp","source":{"address":"2001:db8::1","port":2345},'
         '"destination":{"address":"2001:db8::2","port":1094},"experiment":2,"activity":16}')
#: Each request has another flow; starts and ends alternate, so that the flow table has its usual load.
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local n = 0
request = function()
  n = n + 1
  local flow = math.floor(n / 2) % 60000
  return wrk.format(nil, nil, nil, string.format(
    '{"state":"%s","protocol":"tcp","source":{"address":"2001:db8::1","port":%d},' ..
    '"destination":{"address":"2001:db8::2","port":1094},"experiment":2,"activity":16}', n % 2 == 1 and "start" or "end", 1024 + flow))
end
"""

#: 1,000 flows a request; 60 requests with starts, then 60 with their ends.
EACH = 1000
ARRAYS = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local bodies, n = {}, 0
for _, state in ipairs({"start", "end"}) do
  for part = 0, 59 do
    local flows = {}
    for i = 1, %d do
      flows[i] = string.format('{"state":"%%s","protocol":"tcp","source":{"address":"2001:db8::1","port":%%d},' ..
        '"destination":{"address":"2001:db8::2","port":%%d},"experiment":2,"activity":16}', state, i, 1094 + part)
    end
    bodies[#bodies + 1] = "[" .. table.concat(flows, ",") .. "]"
  end
end
request = function()
  n = n %% #bodies + 1
  return wrk.format(nil, "/flows", nil, bodies[n])
end
""" % EACH


def reachable(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def milliseconds(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def request(port, pid, script, seconds, connections=64):
    """(requests per second, p99 in ms, CPU us of the server per request)"""
    before = cpu_seconds(pid)
    out = sh("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script, f"http://127.0.0.1:{port}/flow").stdout
    spent = cpu_seconds(pid) - before
    count = int(re.search(r"(\d+) requests in", out)[1])
    assert not (bad := re.search(r"Non-2xx or 3xx responses: (\d+)", out)), bad[0]
    return (float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), milliseconds(re.search(r"^\s*99%\s+(\S+)", out, re.M)[1]), spent / count * 1e6)


def measure(arguments):
    rounds, seconds = (1, 1) if arguments.quick else (arguments.rounds, arguments.seconds)
    sh("ip", "link", "set", "lo", "up")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script, tempfile.NamedTemporaryFile("w", suffix=".lua") as arrays:
        for file, text in ((script, SCRIPT), (arrays, ARRAYS)):
            file.write(text)
            file.flush()
        floor = subprocess.Popen([str(BUILD / "bin" / "beast_floor"), str(FLOOR_PORT)])
        try:
            with Daemon("plugins:\n  api: {}\nbackends:\n  firefly: {sendToDestination: false}\n") as daemon:
                wait_for(lambda: reachable(FLOOR_PORT), "the floor")
                found = figures.medians(figures.by_turns(rounds, {
                    "floor": lambda: request(FLOOR_PORT, floor.pid, script.name, seconds),
                    "api": lambda: request(API_PORT, daemon.process.pid, script.name, seconds),
                    "floor, arrays": lambda: request(FLOOR_PORT, floor.pid, arrays.name, seconds, 4),
                    "api, arrays": lambda: request(API_PORT, daemon.process.pid, arrays.name, seconds, 4)}))
                assert daemon.details("plugin api")["notTaken"] == 0, "a response of 200 may list refused flows"
        finally:
            floor.terminate()
            floor.wait()
    rows = []
    for what, name, each, unit, rate_aim, p99_aim in (("one flow per request", "api", 1, "requests", ">= 0.7 x floor", "<= 4"),
                                                      (f"arrays of {EACH:,} flows", "api, arrays", EACH, "flows", ">= 500000", None)):
        (rate, p99, cpu), (floor_rate, floor_p99, floor_cpu) = found[name], found[name.replace("api", "floor")]
        rows += [figures.row(f"{what}: {unit}", rate * each, "/s", floor_rate * each, rate_aim),
                 figures.row(f"{what}: p99 of a request", p99, "ms", floor_p99, p99_aim),
                 figures.row(f"{what}: CPU per {unit[:-1]}, with the backend's share", cpu / each, "us", floor_cpu / each)]
    return {"api": rows}


if __name__ == "__main__":
    figures.main("scripts/bench-api", __doc__, measure, ("--rounds", {"type": int, "default": 5}),
                 ("--seconds", {"type": int, "default": 2, "help": "of each way in a round"}))
