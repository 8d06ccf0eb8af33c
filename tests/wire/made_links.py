"""A frame of every link type, and a packet in every tunnel, built with struct; what tshark is asked about as well."""
from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from made_frames import (
    A_UDP,
    DATA,
    HOST,
    LINK_COLUMNS,
    MARKS_UDP,
    OTHER,
    PPPOE,
    ROUTER,
    TUNNEL,
    V4,
    V6,
    V6_COLUMNS,
    VLAN,
    Case,
    ether,
    ip4,
    ip6,
    linked,
    udp,
    without_ip,
    words,
)

from pcapnat.wire.packets import Flag
from pcapnat.wire.tunnel import Tunnel

TO, FROM = int.from_bytes(ROUTER, "big"), int.from_bytes(HOST, "big")
MACS = {"eth_dst": TO, "eth_src": FROM}
LLC_IP, LLC_IP6 = b"\xaa\xaa\x03\0\0\0\x08\x00", b"\xaa\xaa\x03\0\0\0\x86\xdd"
BRIDGED = b"\xaa\xaa\x03\0\x80\xc2\0\x07"
THIRD = bytes.fromhex("020000000033")


def wlan(control: int = 2, kind: int = 0x08, addresses: tuple[bytes, ...] = (ROUTER, THIRD, HOST), more: bytes = b"") -> bytes:
    """An 802.11 data header; by default from the access point: to, by, from."""
    return bytes([kind, control, 0, 0]) + b"".join(addresses[:3]) + b"\x10\0" + b"".join(addresses[3:]) + more


def radiotap(flags: int | None = None, stamp: bool = False, more: int = 0) -> bytes:
    """A radiotap header with the fields given and `more` further words of presence bits."""
    present = stamp | (2 if flags is not None else 0)
    words_ = [present | (1 << 31 if more else 0), *([1 << 31] * (more - 1)), *([0] if more else [])]
    body = b"".join(struct.pack("<I", w) for w in words_)
    if stamp:
        body += bytes(-(4 + len(body)) % 8) + bytes(8)
    if flags is not None:
        body += bytes([flags])
    return struct.pack("<BBH", 0, 0, 4 + len(body)) + body


def nflog(family: int, *attributes: tuple[int, bytes]) -> bytes:
    """An NFLOG message whose last attribute, the payload, follows without its content."""
    out = struct.pack("<BBH", family, 0, 0)
    for kind, value in attributes:
        out += struct.pack("<HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
    return out + struct.pack("<HH", 4 + len(ip6(17, udp()) if family == 10 else ip4(17, udp())), 9)


def mirrored(address: bytes) -> bytes:
    """An address as FDDI sends it, the highest bit of each byte first."""
    return bytes(int(f"{byte:08b}"[::-1], 2) for byte in address)


RING = b"\x10\x40" + ROUTER + HOST
ROUTED = b"\x10\x40" + ROUTER + bytes([HOST[0] | 0x80]) + HOST[1:] + b"\x06\x30\0\x1a\0\x2b"
FIBRE = b"\x10\0" + ROUTER + b"\x10\0" + HOST
AVS = struct.pack(">II", 0x80211001, 64) + bytes(56)
PRISM = struct.pack("<II", 0x44, 144) + bytes(136)
PFLOG = bytes([61, 2]) + bytes(62)

LINK_CASES = [
    linked("token ring", 6, RING + LLC_IP, **MACS),
    linked("token ring, routed", 6, ROUTED + LLC_IP, eth_dst=TO, eth_src=FROM | 0x80 << 40),
    linked("arcnet, RFC 1201", 7, b"\1\2\xd4\0\0\1"),
    linked("arcnet, RFC 1201, exception frame", 7, b"\1\2\xd4\xff\xff\xff\xff\0\0\1"),
    linked("arcnet, RFC 1051", 7, b"\1\2\xf0"),
    linked("slip", 8, bytes(16)),
    linked("slip of bsd/os", 15, bytes(24)),
    linked("ppp", 9, b"\xff\x03\0\x21"),
    linked("ppp, ipv6", 9, b"\xff\x03\0\x57", 0x86DD),
    linked("ppp, fields compressed", 9, b"\x21"),
    linked("ppp, address left out", 9, b"\0\x21"),
    linked("ppp to mpls", 9, b"\xff\x03\x02\x81" + bytes.fromhex("000141ff"), marks=TUNNEL),
    linked("fddi", 10, b"\x50" + mirrored(ROUTER) + mirrored(HOST) + LLC_IP, **MACS),
    linked("atm, number of some BSDs", 11, LLC_IP),
    linked("ppp in hdlc", 50, b"\xff\x03\0\x21"),
    linked("ppp in cisco's hdlc", 50, b"\x0f\0\x08\0"),
    linked("pppoe as a link", 51, PPPOE + b"\0\x21", marks=TUNNEL),
    linked("atm", 100, LLC_IP),
    linked("atm, ipv6", 100, LLC_IP6, 0x86DD),
    linked("atm, bridged", 100, BRIDGED + bytes(2) + ether(0x0800, b""), marks=TUNNEL, **MACS),
    linked("cisco hdlc", 104, b"\x0f\0\x08\0"),
    linked("cisco hdlc, ipv6", 104, b"\x8f\0\x86\xdd", 0x86DD),
    linked("802.11 from the access point", 105, wlan() + LLC_IP, **MACS),
    linked("802.11 to the access point", 105, wlan(1, addresses=(THIRD, HOST, ROUTER)) + LLC_IP, **MACS),
    linked("802.11 among stations", 105, wlan(0, addresses=(ROUTER, HOST, THIRD)) + LLC_IP, **MACS),
    linked("802.11 between access points", 105, wlan(3, addresses=(THIRD, THIRD, ROUTER, HOST)) + LLC_IP, **MACS),
    linked("802.11 with quality", 105, wlan(kind=0x88, more=bytes(2)) + LLC_IP, **MACS),
    linked("802.11 with quality and HT control", 105, wlan(0x82, kind=0x88, more=bytes(6)) + LLC_IP, **MACS),
    linked("802.11 of several frames", 105, wlan(kind=0x88, more=b"\x80\0" + ROUTER + HOST + struct.pack(">H", 8 + 65)) + LLC_IP, **MACS),
    linked("802.11 with a vlan", 105, wlan() + LLC_IP[:6] + b"\x81\0\0\x07\x08\0", marks=VLAN, vlan=7, **MACS),
    linked("classical ip over atm", 106, b""),
    linked("classical ip over atm, named", 106, LLC_IP),
    linked("frame relay", 107, b"\x18\x41\x03\xcc"),
    linked("frame relay, ipv6", 107, b"\x18\x41\x03\x8e", 0x86DD),
    linked("frame relay, four bytes of address, snap", 107, b"\x18\x40\x40\x41\x03\0\x80\0\0\0\x08\0"),
    linked("frame relay of cisco", 107, b"\x18\x41\x08\0"),
    linked("enc", 109, struct.pack("<III", 2, 7, 0)),
    linked("pflog", 117, PFLOG),
    linked("prism", 119, PRISM + wlan() + LLC_IP, **MACS),
    linked("avs behind prism's number", 119, AVS + wlan() + LLC_IP, **MACS),
    linked("avs", 163, AVS + wlan() + LLC_IP, **MACS),
    linked("ip over fibre channel", 122, FIBRE + LLC_IP),
    linked("sunatm", 123, b"\x02\0\0\x20" + LLC_IP),
    linked("sunatm, lan emulation", 123, b"\x01\0\0\x20\0\0" + ether(0x0800, b""), **MACS),
    linked("radiotap", 127, radiotap() + wlan() + LLC_IP, **MACS),
    linked("radiotap with flags", 127, radiotap(0) + wlan() + LLC_IP, **MACS),
    linked("radiotap, padded", 127, radiotap(0x20, True, 3) + wlan(kind=0x88, more=bytes(2)) + bytes(2) + LLC_IP, **MACS),
    linked("arcnet of linux", 129, b"\1\2\0\0\xd4\0\0\1"),
    linked("arcnet of linux, RFC 1051", 129, b"\1\2\0\0\xf0"),
    linked("ip over 1394", 138, bytes(16) + b"\x08\0"),
    linked("docsis", 143, b"\0\0" + struct.pack(">HH", 83, 0) + ether(0x0800, b""), **MACS),
    linked("docsis, extended", 143, b"\1\3" + struct.pack(">HH", 86, 0) + b"abc" + ether(0x0800, b""), **MACS),
    linked("ppp of pppd", 166, b"\0\x03\0\x21"),
    linked("juniper ethernet", 178, b"MGC\x80\0\x04abcd" + ether(0x0800, b""), **MACS),
    linked("juniper ppp", 179, b"MGC\0\xff\x03\0\x21"),
    linked("ppi of ethernet", 192, struct.pack("<BBHI", 0, 0, 12, 1) + bytes(4) + ether(0x0800, b""), **MACS),
    linked("ppi of 802.11", 192, struct.pack("<BBHI", 0, 0, 12, 105) + bytes(4) + wlan() + LLC_IP, **MACS),
    linked("erf", 197, bytes(8) + bytes([2, 0]) + struct.pack(">HHH", 97, 0, 79) + bytes(2) + ether(0x0800, b""), **MACS),
    linked("erf, extended", 197,
           bytes(8) + bytes([0x82, 0]) + struct.pack(">HHH", 113, 0, 79) + b"\x80" + bytes(15) + bytes(2) + ether(0x0800, b""), **MACS),
    linked("ppp with direction", 204, b"\0\xff\x03\0\x21"),
    linked("cisco hdlc with direction", 205, b"\1\x0f\0\x08\0"),
    linked("frame relay with direction", 206, b"\1\x18\x41\x03\xcc"),
    linked("ipnet", 226, b"\1\2\0\0" + struct.pack(">I", 65) + bytes(16)),
    linked("ipnet, ipv6", 226, b"\1\x1a\0\0" + struct.pack(">I", 85) + bytes(16), 0x86DD),
    linked("nflog", 239, nflog(2, (1, bytes(4)), (10, b"abc\0"))),
    linked("nflog, ipv6", 239, nflog(10), 0x86DD),
    linked("nflog of a bridge", 239, nflog(7, (1, b"\x08\0\2\0"), (16, ROUTER + HOST + b"\x08\0")), **MACS),
    linked("nflog with the Ethernet header", 239, nflog(2, (1, b"\x08\0\2\0"), (16, ROUTER + HOST + b"\x08\0")), **MACS),
    linked("netanalyzer", 240, bytes(4) + ether(0x0800, b""), **MACS),
    linked("netanalyzer, transparent", 241, bytes(4) + b"\x55" * 7 + b"\xd5" + ether(0x0800, b""), **MACS),
    linked("ip over infiniband", 242, bytes(40) + b"\x08\0\0\0"),
    linked("pktap", 258, struct.pack("<III", 108, 1, 1) + bytes(96) + ether(0x0800, b""), **MACS),
    linked("pktap, Darwin's number", 149, struct.pack("<III", 108, 1, 1) + bytes(96) + ether(0x0800, b""), **MACS),
    linked("ethernet with preamble", 274, b"\x55" * 7 + b"\xd5" + ether(0x0800, b""), **MACS),
    linked("broadcom tag", 282, ROUTER + HOST + bytes(4) + b"\x08\0", **MACS),
    linked("broadcom tag in front", 283, bytes(4) + ether(0x0800, b""), **MACS),
    linked("marvell tag", 284, ROUTER + HOST + b"\xc0\0\0\1\x08\0", **MACS),
    linked("marvell tag with ethertype", 285, ROUTER + HOST + b"\xda\xda\0\0\xc0\0\0\1\x08\0", **MACS),
    # Further headers between Ethernet and IP
    linked("provider backbone", 1, ether(0x88E7, b"\0\0\1\0" + ether(0x0800, b"")), marks=TUNNEL, **LINK_COLUMNS),
    linked("pseudowire with control word", 1, ether(0x8847, bytes.fromhex("000141ff") + bytes(4) + ether(0x0800, b"")), marks=TUNNEL,
           **LINK_COLUMNS),
    linked("macsec, signed only", 1, ether(0x88E5, b"\x20\0\0\0\0\1" + bytes(8) + b"\x08\0"), **LINK_COLUMNS),
    linked("llc in a vlan", 1, ether(73, LLC_IP, ((0x8100, 7),)), marks=VLAN, vlan=7, **LINK_COLUMNS),
]
NFLOG_ARP = without_ip(36, Case(
    "nflog of a bridge, arp", 239, nflog(7, (1, b"\x08\x06\2\0"), (16, ROUTER + HOST + b"\x08\x06")) + bytes(28), Flag(0),
    {**MACS, "ethertype": 0x0806}))
NO_IP = [
    without_ip(24, Case("802.11 protected", 105, wlan(0x42) + bytes(8) + DATA, OTHER | Flag.PROTECTED, MACS)),
    without_ip(0, Case("802.11 beacon", 105, b"\x80\0" + bytes(30), OTHER)),
    without_ip(0, Case("802.11 without data", 105, wlan(kind=0x48), OTHER)),
    without_ip(14, Case("macsec, encrypted", 1, ether(0x88E5, b"\x0c\0\0\0\0\1" + DATA),
         OTHER | Flag.PROTECTED, {**LINK_COLUMNS, "ethertype": 0x88E5})),
    without_ip(8, Case("nflog of a bridge that does not say what", 239, nflog(7) + DATA, OTHER)),
    NFLOG_ARP,
    without_ip(0, Case("juniper without link header", 178, b"MGC\x02" + DATA, OTHER)),
    without_ip(8, Case("ppi of another link", 192, struct.pack("<BBHI", 0, 0, 8, 3) + bytes(40), OTHER)),
]


@dataclass(frozen=True)
class Around:
    """A tunnel: its name, kind and key, the bytes around a packet, and the ports of the UDP header among them."""
    name: str
    kind: Tunnel
    before: bytes
    """From the outer transport (UDP's payload, if there are ports) to the packet."""
    proto: int
    port: int = 0
    key: int = 0
    inner6: bool = False
    macs: bool = False
    vlan: int = -1

    def frame(self, packet: bytes, six: bool = False) -> bytes:
        """An Ethernet frame with the packet in the tunnel."""
        body = self.before + packet
        if self.port:
            body = udp(body, sport=50000, dport=self.port)
        if six:
            return ether(0x86DD, ip6(self.proto, body, src=OUTER6[0], dst=OUTER6[1]))
        return ether(0x0800, ip4(self.proto, body, src=OUTER4[0], dst=OUTER4[1]))

    def header(self, packet: bytes, six: bool = False) -> int:
        """Bytes before the packet."""
        return len(self.frame(packet, six)) - len(packet)


OUTER4 = ("198.51.100.1", "198.51.100.2")
OUTER6 = ("2001:db8:9::1", "2001:db8:9::2")
INSIDE = ether(0x0800, b"")
INSIDE6 = ether(0x86DD, b"")
ERSPAN_III = struct.pack(">HHIHH", 0x2000, 7, 0, 0, 0)


def gre(proto: int, bits: int = 0, *fields: int) -> bytes:
    """A GRE header with these optional words."""
    return struct.pack(">HH", bits, proto) + b"".join(struct.pack(">I", f) for f in fields)


def gtp(bits: int = 0, more: bytes = b"", size: int = 65) -> bytes:
    """A GTP-U header of a packet of 65 bytes."""
    return struct.pack(">BBHI", 0x30 | bits, 0xFF, size + len(more), 0xCAFE) + more


TUNNELS = [
    Around("ip in ip", Tunnel.IP, b"", 4),
    Around("ipv6 in ip", Tunnel.IP, b"", 41, inner6=True),
    Around("gre", Tunnel.GRE, gre(0x0800), 47),
    Around("gre to ipv6", Tunnel.GRE, gre(0x86DD), 47, inner6=True),
    Around("gre with everything", Tunnel.GRE, gre(0x0800, 0xB000, 0, 77, 3), 47, key=77),
    Around("gre to mpls", Tunnel.GRE, gre(0x8847) + bytes.fromhex("000141ff"), 47),
    Around("gre bridged", Tunnel.GRE, gre(0x6558) + INSIDE, 47, macs=True),
    Around("nvgre", Tunnel.NVGRE, gre(0x6558, 0x2000, 5001 << 8 | 9) + INSIDE, 47, key=5001, macs=True),
    Around("pptp", Tunnel.GRE, struct.pack(">HHHHI", 0x3001, 0x880B, 69, 0x4242, 1) + b"\xff\x03\0\x21", 47, key=0x4242),
    Around("pptp with acknowledgment", Tunnel.GRE, struct.pack(">HHHHII", 0x3081, 0x880B, 66, 7, 1, 2) + b"\x21", 47, key=7),
    Around("erspan I", Tunnel.ERSPAN, gre(0x88BE) + INSIDE, 47, macs=True),
    Around("erspan II", Tunnel.ERSPAN, gre(0x88BE, 0x1000, 5) + struct.pack(">HHI", 0x1000, 0x0807, 0) + INSIDE, 47, key=7, macs=True),
    Around("erspan III", Tunnel.ERSPAN, gre(0x22EB, 0x1000, 5) + ERSPAN_III + INSIDE, 47, key=7, macs=True),
    Around("vxlan", Tunnel.VXLAN, struct.pack(">II", 0x08000000, 77 << 8) + INSIDE, 17, 4789, key=77, macs=True),
    Around("vxlan with a vlan", Tunnel.VXLAN, struct.pack(">II", 0x08000000, 77 << 8) + ether(0x86DD, b"", ((0x8100, 9),)), 17, 4789,
           key=77, inner6=True, macs=True, vlan=9),
    Around("vxlan-gpe", Tunnel.VXLAN_GPE, struct.pack(">II", 0x0C000001, 77 << 8), 17, 4790, key=77),
    Around("vxlan-gpe, service header", Tunnel.VXLAN_GPE, struct.pack(">IIII", 0x0C000004, 77 << 8, 0x0FC20201, 5 << 8), 17, 4790, key=77),
    Around("vxlan-gpe, two service headers, ethernet", Tunnel.VXLAN_GPE,
           struct.pack(">IIIIII16x", 0x0C000004, 77 << 8, 0x0FC20204, 5 << 8, 0x0FC60103, 5 << 8) + INSIDE, 17, 4790, key=77, macs=True),
    Around("vxlan-gpe, ethernet", Tunnel.VXLAN_GPE, struct.pack(">II", 0x0C000003, 77 << 8) + INSIDE, 17, 4790, key=77, macs=True),
    Around("geneve", Tunnel.GENEVE, struct.pack(">BBHI", 2, 0, 0x6558, 99 << 8) + bytes(8) + INSIDE, 17, 6081, key=99, macs=True),
    Around("geneve, ip", Tunnel.GENEVE, struct.pack(">BBHI", 0, 0, 0x0800, 99 << 8), 17, 6081, key=99),
    Around("gtp-u", Tunnel.GTP, gtp(), 17, 2152, key=0xCAFE),
    Around("gtp-u with sequence", Tunnel.GTP, gtp(2, bytes(4)), 17, 2152, key=0xCAFE),
    Around("gtp-u with extension", Tunnel.GTP, gtp(4, b"\0\0\0\x85" + b"\x01\0\x09\0"), 17, 2152, key=0xCAFE),
    Around("teredo", Tunnel.TEREDO, b"", 17, 3544, inner6=True),
    Around("teredo with origin", Tunnel.TEREDO, b"\0\0" + bytes(6), 17, 3544, inner6=True),
    Around("teredo with authentication and origin", Tunnel.TEREDO, b"\0\1\2\3ididx" + bytes(9) + b"\0\0" + bytes(6), 17, 3544, inner6=True),
    Around("l2tp", Tunnel.L2TP, struct.pack(">HHH", 2, 5, 6) + b"\xff\x03\0\x21", 17, 1701, key=5 << 16 | 6),
    Around("l2tp with length, sequence and offset", Tunnel.L2TP,
           struct.pack(">HHHHHHH", 0x4A02, 14 + 2 + 4 + 65, 5, 6, 1, 2, 2) + b"ab" + b"\xff\x03\0\x21", 17, 1701, key=5 << 16 | 6),
    Around("mpls in ip", Tunnel.MPLS, bytes.fromhex("000141ff"), 137),
    Around("mpls in udp", Tunnel.MPLS, bytes.fromhex("000141ff"), 17, 6635),
    Around("etherip", Tunnel.ETHERIP, b"\x30\0" + INSIDE, 97, macs=True),
    Around("pim register", Tunnel.PIM, b"\x21\0\xde\xff" + bytes(4), 103),
]


def tunnelled(around: Around, six: bool = False) -> tuple[Case, dict[str, Any]]:
    """A UDP datagram in the tunnel over IPv4 or IPv6: the case, and the row of Outer."""
    packet = ip6(17, udp()) if around.inner6 else ip4(17, udp())
    at = around.header(packet, six)
    columns = {**(V6_COLUMNS if around.inner6 else V4), **A_UDP, **MACS, "ethertype": 0x86DD if six else 0x0800, "payload_len": 37,
               "payload_at": at + (48 if around.inner6 else 28)}
    src, dst = OUTER6 if six else OUTER4
    row = {"carrier": 1, "depth": 0, "kind": int(around.kind), "proto": around.proto, "src": words(src), "dst": words(dst),
           "sport": 50000 if around.port else 0, "dport": around.port, "key": around.key, "vlan": around.vlan,
           "eth_dst": TO if around.macs else 0, "eth_src": FROM if around.macs else 0}
    name = f"{around.name}{', over ipv6' if six else ''}"
    return Case(name, 1, around.frame(packet, six), MARKS_UDP | TUNNEL | (V6 if around.inner6 else Flag(0)), columns), row


TUNNEL_CASES = [tunnelled(around, six) for around in TUNNELS for six in (False, True)]
