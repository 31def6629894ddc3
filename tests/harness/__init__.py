# SPDX-License-Identifier: Apache-2.0
"""What the demo and the integration tests share: two hosts in network namespaces, the daemon, a capture, a collector.

Nothing here uses flowd-cpp's own code to judge flowd-cpp: packets are decoded by scapy, labels by the draft's formula.
"""
