# SPDX-License-Identifier: Apache-2.0
"""scripts/demo: what flowd-cpp is for, on real packets. Exits non-zero when anything is not as it should be."""
import socket
import sys

from . import labels, traffic
from .capture import Capture, flows
from .collector import Collector
from .daemon import Daemon
from .lab import Lab, Timeout, wait_for

CONFIGURATION = """\
plugins:
  perfsonar:                 # the catch-all: whatever has no tag of its own
    experimentId: atlas
    activityId: perfSONAR
  fireflyp: {}               # storage services announce their flows on 127.0.0.1:10514
backends:
  marker:
    targetInterfaces: [eth0]
  firefly:
    sendToCollector: true
    collectorAddress: %(collector)s
"""

# The announcement of each flow: (name, protocol, port, (experiment, activity)); the last flow is not announced.
FLOWS = [
    ("a transfer of CMS", "tcp", 1094, (3, 13)),
    ("a stream of Belle II", "udp", 5001, (6, 15)),
    ("nobody's", "tcp", 8443, None),
]
CATCH_ALL = (2, 2)
WRITES = 20


def send(lab, protocol, port, tag):
    """One flow from a to b, announced by its application when it has a tag; answers its key as the capture sees it."""
    client = traffic.tcp_client if protocol == "tcp" else traffic.udp_client
    with client(lab.a, lab.b, port) as sock:
        key = (*sock.getsockname()[:2], *sock.getpeername()[:2], protocol)
        announcer = traffic.Announcer(lab.a)
        started = traffic.now()
        if tag:
            announcer.announce("start", sock, *tag, started)
            wait_for(lambda: any(str(sock.getsockname()[1]) in str(flow) for flow in lab.daemon.cli("flows")["flows"]),
                     "the announced flow")
        total = 0
        for _ in range(WRITES):
            total += sock.send(b"x" * 1000)
        if tag:
            announcer.announce("end", sock, *tag, started, sent=total)
        announcer.close()
        if protocol == "tcp":  # waits for the last packet: the daemon must still be running when it is sent
            sock.shutdown(socket.SHUT_WR)
            sock.recv(1)
        return key


def show(lab, collector, capture, keys):
    """Prints what was seen; answers the list of what was not as it should be."""
    wrong = []
    seen = flows(capture.packets())
    print(f"\nFlow labels, captured on the other host ({lab.b.address6}):\n")
    for (name, protocol, port, tag), key in zip(FLOWS, keys):
        expected = labels.encode(*(tag or CATCH_ALL))
        marked = seen.get(key, {})
        print(f"  {protocol}  [{key[0]}]:{key[1]} -> [{key[2]}]:{key[3]}   ({name})")
        for label, packets in sorted(marked.items(), key=lambda item: -item[1]):
            print(f"       label 0x{label:05x}  {labels.names(*labels.decode(label)):<28} {packets:>4} packets")
        wanted = [label for label in marked if label & ~labels.ENTROPY == expected]
        if not wanted or sum(marked[label] for label in wanted) < WRITES:
            wrong.append(f"{name}: no {WRITES} packets with the label of {labels.names(*(tag or CATCH_ALL))}")
        if tag is None and len(marked) != 1:
            wrong.append(f"{name}: one label was expected, {len(marked)} were seen")

    print(f"\nFireflies, received by the collector there:\n")
    for firefly in collector.fireflies:
        flow, life, context = firefly["flow-id"], firefly["flow-lifecycle"], firefly["context"]
        usage = f"  sent {firefly['usage']['sent']} bytes" if life["state"] == "end" and "usage" in firefly else ""
        print(f"  {life['state']:<5} {flow['protocol']}  [{flow['src-ip']}]:{flow['src-port']} -> [{flow['dst-ip']}]:{flow['dst-port']}  "
              f"{labels.names(context['experiment-id'], context['activity-id'])}, by {context['application']}{usage}")
    for (name, _, _, tag), key in zip(FLOWS, keys):
        states = [f["flow-lifecycle"]["state"] for f in collector.fireflies if f["flow-id"]["src-port"] == key[1]]
        # Where the meter sees the first packets before the announcement arrives, an ongoing carries the new tag.
        if [state for state in states if state != "ongoing"] != ["start", "end"]:
            wrong.append(f"{name}: the collector received {states or 'nothing'}")
    if collector.refused:
        wrong.append(f"the collector refused {len(collector.refused)} datagrams, the first: {collector.refused[0][:200]}")
    return wrong


def main():
    print("Two hosts, a and b, joined by a veth pair; flowd-cpp runs on a with this configuration:\n")
    with Lab() as lab:
        configuration = CONFIGURATION % {"collector": f'"{lab.b.address6}"'}
        print("    " + configuration.replace("\n", "\n    "))
        with Collector(lab.b) as collector, Capture(lab.b, "ip6 and (tcp or udp) and not port 10514") as capture:
            servers = [(traffic.TcpServer if protocol == "tcp" else traffic.UdpServer)(lab.b, port)
                       for _, protocol, port, _ in FLOWS]
            with Daemon(configuration, lab.a) as daemon:
                lab.daemon = daemon
                keys = [send(lab, protocol, port, tag) for _, protocol, port, tag in FLOWS]
                try:
                    collector.wait_for_count(2 * len(FLOWS))
                except Timeout as error:
                    print(error)
                exit_code = daemon.stop()
            for server in servers:
                server.close()
            wrong = show(lab, collector, capture, keys)
            capture.remove()
        if exit_code != 0:
            wrong.append(f"the daemon ended with {exit_code}")
    for sentence in wrong:
        print(f"\nWRONG: {sentence}")
    print("\nEverything was as it should be." if not wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
