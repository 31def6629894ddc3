# SPDX-License-Identifier: Apache-2.0
"""The figures of scripts/bench-api: medians of several rounds, floor and daemon by turns in the same run."""
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile

from .daemon import BUILD, Daemon
from .lab import sh, wait_for

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
  return wrk.format(nil, nil, nil, bodies[n])
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


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(port, pid, script, seconds, connections=64):
    """(requests per second, p99 in ms, CPU us of the server per request, answers that were not 2xx)"""
    before = cpu_seconds(pid)
    out = sh("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script, f"http://127.0.0.1:{port}/flow").stdout
    spent = cpu_seconds(pid) - before
    count = int(re.search(r"(\d+) requests in", out)[1])
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return (float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), milliseconds(re.search(r"99%\s+(\S+)", out)[1]),
            spent / count * 1e6, int(bad[1]) if bad else 0)


def main():
    rounds, seconds = (int(word) for word in (sys.argv[1:] + ["5", "5"][len(sys.argv) - 1:])[:2])
    sh("ip", "link", "set", "lo", "up")
    figures = {"floor": [], "api": [], "floor, arrays": [], "api, arrays": []}
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script, tempfile.NamedTemporaryFile("w", suffix=".lua") as arrays:
        for file, text in ((script, SCRIPT), (arrays, ARRAYS)):
            file.write(text)
            file.flush()
        floor = subprocess.Popen([str(BUILD / "bin" / "beast_floor"), str(FLOOR_PORT)])
        try:
            with Daemon("plugins:\n  api: {}\nbackends:\n  firefly: {sendToDestination: false}\n") as daemon:
                wait_for(lambda: reachable(FLOOR_PORT), "the floor")
                for _ in range(rounds):
                    figures["floor"].append(measure(FLOOR_PORT, floor.pid, script.name, seconds))
                    figures["api"].append(measure(API_PORT, daemon.process.pid, script.name, seconds))
                    figures["floor, arrays"].append(measure(FLOOR_PORT, floor.pid, arrays.name, seconds, 4))
                    figures["api, arrays"].append(measure(API_PORT, daemon.process.pid, arrays.name, seconds, 4))
        finally:
            floor.terminate()
            floor.wait()
    print(f"64 connections, {rounds} rounds of {seconds} s, medians; load {os.getloadavg()[0]:.1f}")
    for name, label in (("floor", "floor: Beast alone"), ("api", "flowd-cpp, POST /flow")):
        rate, p99, cpu, bad = (statistics.median(column) for column in zip(*figures[name]))
        print(f"{label:24} {rate:8.0f} requests/s   p99 {p99:6.2f} ms   {cpu:5.1f} us CPU per request   {bad:.0f} not 2xx")
    for name, label in (("floor, arrays", "floor: Beast alone"), ("api, arrays", "flowd-cpp, POST /flow")):
        rate, p99, cpu, bad = (statistics.median(column) for column in zip(*figures[name]))
        print(f"{label:24} {rate * EACH:8.0f} flows/s      p99 {p99:6.2f} ms   {cpu / EACH:5.2f} us CPU per flow, {EACH} a request   {bad:.0f} not 2xx")


if __name__ == "__main__":
    main()
