# SPDX-License-Identifier: Apache-2.0
"""scripts/bench-marker: iperf3 over veth without the daemon, with the marker, and with marker and meter, by turns; medians of the ratios in each round."""
import contextlib
import json
import statistics
import subprocess

from . import figures
from .daemon import Daemon
from .lab import Lab, wait_for

CONFIGURATION = "plugins:\n  perfsonar: {experimentId: 2, activityId: 2, flows: %s}\nbackends:\n  marker: {targetInterfaces: [eth0]}\n"
TCP, UDP = ("-6",), ("-6", "-u", "-b", "0")
#: What is sent: words for iperf3, MTU, most segments in a packet, most bytes in a packet.
TRAFFIC = {
    "TCP, 64 kB in each packet (GSO)": (TCP, 1500, 65535, 65536),
    "TCP, up to 512 kB in each packet (BIG TCP)": (TCP, 9000, 65535, 524280),
    "TCP, one segment of 9,000 bytes in each packet": (TCP, 9000, 1, 65536),
    "TCP, one segment of 1,500 bytes in each packet": (TCP, 1500, 1, 65536),
    "UDP, 9,000 bytes in each packet": ((*UDP, "-l", "8900"), 9000, 65535, 65536),
    "UDP, 1,500 bytes in each packet": ((*UDP, "-l", "1400"), 1500, 65535, 65536),
}


def transfer(lab, words, seconds):
    """Bits per second that arrived."""
    done = json.loads(lab.a.run("iperf3", *words, "-c", lab.b.address6, "-t", str(seconds), "-J").stdout)["end"]
    return (done.get("sum_received") or done["sum"])["bits_per_second"]


def with_daemon(lab, words, seconds, meters):
    with Daemon(CONFIGURATION % ("true" if meters else "false"), lab.a) as daemon:
        wait_for(lambda: daemon.cli("marker", "status")["catchAll"], "the catch-all")
        rate = transfer(lab, words, seconds)
        counted = daemon.cli("marker", "status")
        assert counted["marked"] > 0.99 * counted["packets"] > 1000, counted
        return rate


@contextlib.contextmanager
def server(lab):
    process = lab.b.popen("iperf3", "-s", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: ":5201" in lab.b.run("ss", "-Hltn").stdout, "iperf3 to listen")
        yield
    finally:
        process.terminate()
        process.wait()


def measure(arguments):
    rounds, seconds = (1, 1) if arguments.quick else (arguments.rounds, arguments.seconds)
    rows = []
    with Lab() as lab, server(lab):
        transfer(lab, TCP, 1)
        for what, (words, mtu, segments, size) in TRAFFIC.items():
            for host in (lab.a, lab.b):
                host.run("ip", "link", "set", "eth0", "mtu", str(mtu), "gso_max_segs", str(segments), "gso_max_size", str(size),
                         "gro_max_size", str(size))
            found = figures.by_turns(rounds, {
                "without": lambda: transfer(lab, words, seconds),
                "the marker": lambda: with_daemon(lab, words, seconds, False),
                "marker and meter": lambda: with_daemon(lab, words, seconds, True)})
            rate = statistics.median(found["without"])
            for name in ("the marker", "marker and meter"):
                lost = [(1 - with_ / without) * 100 for with_, without in zip(found[name], found["without"])]
                low, _, high = statistics.quantiles(lost, n=4) if len(lost) > 1 else lost * 3
                rows.append(figures.row(f"{what}, {figures.quantity(rate / 1e9, 'Gbit/s')}: rate lost with {name} "
                                        f"(middle half {low:.1f} to {high:.1f})", statistics.median(lost), "%", aim="<= 2"))
    return {"transfer": rows}


if __name__ == "__main__":
    figures.main("scripts/bench-marker", __doc__, measure, ("--rounds", {"type": int, "default": 5}),
                 ("--seconds", {"type": int, "default": 1, "help": "of each transfer"}))
