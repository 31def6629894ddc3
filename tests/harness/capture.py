# SPDX-License-Identifier: Apache-2.0
"""A capture on one host, read by scapy."""
import os
import signal
import subprocess
import tempfile

from .lab import wait_for


class Capture:
    """with Capture(host, "ip6") as capture: ...; capture.packets()"""

    def __init__(self, host, expression="ip6", interface="eth0", snap_length=128):
        self.host, self.expression, self.interface, self.snap_length = host, expression, interface, snap_length
        handle, self.path = tempfile.mkstemp(suffix=".pcap")
        os.close(handle)

    def __enter__(self):
        self.errors = tempfile.TemporaryFile(mode="w+")
        self.process = self.host.popen("tcpdump", "-Z", "root", "--immediate-mode", "-B", "65536", "-U", "-s", str(self.snap_length),
                                       "-i", self.interface, "-w", self.path, self.expression, stdout=subprocess.DEVNULL, stderr=self.errors)

        def listening():
            self.errors.seek(0)
            return "listening on" in self.errors.read()

        wait_for(listening, "tcpdump to listen")
        return self

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(10)

    def __exit__(self, *_):
        self.stop()
        self.errors.close()

    def wait_for_count(self, count, seconds=30.0):
        """tcpdump writes packets a while after they have passed."""
        def captured():
            with open(self.path, "rb") as file:
                file.seek(24)  # behind the header of the file
                return self._count(file) >= count

        wait_for(captured, f"{count} packets in the capture", seconds)

    @staticmethod
    def _count(file):
        """Complete packets of an open pcap file, from the present position on."""
        count = 0
        while len(header := file.read(16)) == 16:
            length = int.from_bytes(header[8:12], "little")
            if len(file.read(length)) < length:
                break
            count += 1
        return count

    def packets(self):
        import scapy.layers.inet6  # noqa: F401  teaches the reader Ethernet and IPv6
        import scapy.layers.l2  # noqa: F401
        from scapy.utils import PcapReader

        self.stop()
        with PcapReader(self.path) as reader:
            return list(reader)

    def remove(self):
        os.unlink(self.path)


def flows(packets):
    """{(source, source port, destination, destination port, protocol): {label: packets}} of the IPv6 packets."""
    from scapy.layers.inet import TCP, UDP
    from scapy.layers.inet6 import IPv6

    found = {}
    for packet in packets:
        if IPv6 not in packet:
            continue
        layer = packet.getlayer(TCP) or packet.getlayer(UDP)
        if layer is None:
            continue
        key = (packet[IPv6].src, layer.sport, packet[IPv6].dst, layer.dport, "tcp" if TCP in packet else "udp")
        labels = found.setdefault(key, {})
        labels[packet[IPv6].fl] = labels.get(packet[IPv6].fl, 0) + 1
    return found
