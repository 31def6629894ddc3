# SPDX-License-Identifier: Apache-2.0
"""scripts/bench-marker: iperf3 over veth with the marker and without it, run after run in turn; the median of the pairs' ratios."""
import json
import statistics
import subprocess
import sys

from .daemon import Daemon
from .lab import Lab, wait_for

PAIRS, SECONDS = 9, 3
CATCH_ALL = "plugins:\n  perfsonar: {experimentId: 2, activityId: 2, flows: false}\nbackends:\n  marker: {targetInterfaces: [eth0]}\n"


def transfer(lab, seconds):
    """Bits per second that arrived."""
    done = lab.a.run("iperf3", "-6", "-c", lab.b.address6, "-t", str(seconds), "-J")
    return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]


def marked(lab, seconds):
    with Daemon(CATCH_ALL, lab.a) as daemon:
        wait_for(lambda: daemon.cli("marker", "status")["catchAll"], "the catch-all")
        rate = transfer(lab, seconds)
        counted = daemon.cli("marker", "status")
        assert counted["marked"] > 0.99 * counted["packets"] > 1000, counted
        return rate, counted["marked"] / seconds


def compare(lab, pairs, seconds):
    """Whichever comes first in a pair has no advantage over all pairs."""
    ratios, rates, packets = [], [], []
    for pair in range(pairs):
        if pair % 2 == 0:
            off = transfer(lab, seconds)
        on, per_second = marked(lab, seconds)
        if pair % 2 == 1:
            off = transfer(lab, seconds)
        ratios.append(on / off)
        rates.append(off)
        packets.append(per_second)
    return ratios, statistics.median(rates), statistics.median(packets)


def main():
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    with Lab() as lab:
        server = lab.b.popen("iperf3", "-s", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: ":5201" in lab.b.run("ss", "-Hltn").stdout, "iperf3 to listen")
            transfer(lab, 1)
            print(f"{pairs} pairs of {seconds} s{'without':>28}{'packets/s':>12}{'with/without':>14}{'middle half':>18}")
            for name, segments in (("large segments (GSO)", "65535"), ("1,500 bytes each", "1")):
                lab.a.run("ip", "link", "set", "eth0", "gso_max_segs", segments)
                ratios, rate, packets = compare(lab, pairs, seconds)
                low, _, high = statistics.quantiles(ratios, n=4)
                print(f"{name:<24}{rate / 1e9:>15.2f} Gbit/s{packets:>12,.0f}{statistics.median(ratios):>14.4f}{low:>10.3f}-{high:.3f}")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
