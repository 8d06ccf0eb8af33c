"""What other Python libraries do with a capture, as small programs for readers.py: count the packets of each 5-tuple.

    python tests/bench/peers.py dpkt|scapy|pyshark FILE
"""
from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator

Tuple = tuple[object, ...]


def by_dpkt(path: str) -> Iterator[Tuple]:
    """Ethernet, IPv4, and the ports of TCP and UDP."""
    import dpkt

    with open(path, "rb") as file:
        for _, data in dpkt.pcap.Reader(file):
            ip = dpkt.ethernet.Ethernet(data).data
            if isinstance(ip, dpkt.ip.IP):
                ports = (ip.data.sport, ip.data.dport) if isinstance(ip.data, dpkt.tcp.TCP | dpkt.udp.UDP) else (0, 0)
                yield ip.p, ip.src, ip.dst, *ports


def by_scapy(path: str) -> Iterator[Tuple]:
    """The same with scapy's layers."""
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.utils import PcapReader

    with PcapReader(path) as packets:
        for packet in packets:
            if IP in packet:
                ip = packet[IP]
                above = next((packet[layer] for layer in (TCP, UDP) if layer in packet), None)
                yield ip.proto, ip.src, ip.dst, *((above.sport, above.dport) if above is not None else (0, 0))


def by_pyshark(path: str) -> Iterator[Tuple]:
    """The same through pyshark, which starts tshark."""
    import pyshark

    with pyshark.FileCapture(path, keep_packets=False) as packets:
        for packet in packets:
            if "IP" in packet:
                name = packet.transport_layer
                ports = (packet[name].srcport, packet[name].dstport) if name else (0, 0)
                yield packet.ip.proto, packet.ip.src, packet.ip.dst, *ports


PEERS = {"dpkt": by_dpkt, "scapy": by_scapy, "pyshark": by_pyshark}

if __name__ == "__main__":
    print(len(Counter(PEERS[sys.argv[1]](sys.argv[2]))))
