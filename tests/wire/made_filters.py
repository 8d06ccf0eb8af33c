"""pcap-filter expressions, frames for them to choose among, and tcpdump's opinion."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from typing import NamedTuple

import numpy as np
import pytest
from made_files import pcap_head, pcap_record
from made_frames import CASES, DATA, HOST, ROUTER, ether, ip4, ip6, tcp, udp
from made_links import LINK_CASES, NO_IP, TUNNEL_CASES

from pcapnat.wire.bpf_make import Filter

needs_tcpdump = pytest.mark.skipif(not shutil.which("tcpdump"), reason="tcpdump is not installed")
INNER = ether(0x0800, ip4(6, tcp(), src="10.9.8.7", dst="10.9.8.6"))


def _label(number: int, bottom: bool) -> bytes:
    return struct.pack("!I", number << 12 | bottom << 8 | 64)


def _geneve(vni: int, kind: int, inner: bytes, options: int = 0, version: int = 0) -> bytes:
    head = struct.pack("!BBHI", version << 6 | options, 0, kind, vni << 8)
    return udp(head + bytes(4 * options) + inner, sport=50000, dport=6081)


def _llc(body: bytes) -> bytes:
    return ether(len(body), body)


_TCP, _UDP6 = ip4(6, tcp()), ip6(17, udp())
FRAMES = [
    ether(0x0800, ip4(6, tcp(flags=2, sport=443, dport=40001))),
    ether(0x0800, ip4(6, tcp(flags=18, sport=80, dport=8080), options=bytes(12))),
    ether(0x0800, ip4(17, udp(sport=53, dport=40002), src="10.1.2.3", dst="10.200.0.1")),
    ether(0x0800, ip4(132, struct.pack("!HHII", 5060, 36412, 1, 0) + DATA)),
    ether(0x0800, ip4(6, tcp(), frag=0x2000)),
    ether(0x0800, ip4(6, tcp(), frag=0x00B9)),
    ether(0x0800, ip4(17, udp(), dst="239.1.2.3")),
    ether(0x0800, ip4(17, udp(sport=68, dport=67), src="0.0.0.0", dst="255.255.255.255")),
    b"\xff" * 6
    + HOST
    + b"\x08\x06"
    + bytes.fromhex("0001080006040001")
    + HOST
    + bytes([192, 168, 1, 10])
    + bytes(6)
    + bytes([192, 168, 1, 1]),
    ether(0x8035, bytes.fromhex("0001080006040003") + HOST + bytes(4) + ROUTER + bytes([10, 1, 2, 3])),
    *[ether(0x0800, ip4(proto, DATA)) for proto in (2, 9, 47, 50, 51, 89, 103, 112)],
    b"\x33\x33\0\0\0\1" + HOST + b"\x86\xdd" + ip6(58, b"\x87\0" + bytes(22), dst="ff02::1:ff00:1"),
    ether(0x86DD, ip6(6, tcp(sport=22, dport=50000))),
    ether(0x86DD, ip6(44, b"\x06\0\0\1" + bytes(4) + tcp())),
    ether(0x86DD, ip6(0, b"\x06\0" + bytes(6) + tcp())),
    ether(0x0800, _TCP, ((0x8100, 5),)),
    ether(0x86DD, _UDP6, ((0x8100, 0x2007),)),
    ether(0x0800, _TCP, ((0x88A8, 100), (0x8100, 7))),
    ether(0x0800, _TCP, ((0x9100, 5),)),
    ether(0x8847, _label(5, True) + _TCP),
    ether(0x8847, _label(100000, False) + _label(1024, True) + _UDP6),
    ether(0x8847, _label(5, True) + _TCP, ((0x8100, 7),)),
    ether(0x8864, b"\x11\0\0\x27" + struct.pack("!H", len(_TCP) + 2) + b"\0\x21" + _TCP),
    ether(0x8864, b"\x11\0\0\x05" + struct.pack("!H", len(_UDP6) + 2) + b"\0\x57" + _UDP6),
    ether(0x8863, b"\x11\x09\0\0\0\0"),
    ether(0x0800, ip4(17, _geneve(5, 0x6558, INNER))),
    ether(0x0800, ip4(17, _geneve(11, 0x0800, _TCP, options=2), options=bytes(4))),
    ether(0x86DD, ip6(17, _geneve(11, 0x86DD, _UDP6))),
    ether(0x0800, ip4(17, _geneve(5, 0x6558, INNER, version=1))),
    _llc(b"\x42\x42\x03" + DATA),
    _llc(b"\xfe\xfe\x03\x83" + bytes(3) + b"\x0f" + DATA),
    _llc(b"\xfe\xfe\x03\x81" + DATA),
    _llc(b"\xe0\xe0\x03" + DATA),
    _llc(b"\xff\xff" + DATA),
    _llc(b"\xf0\xf0\x7f" + DATA),
    _llc(b"\xaa\xaa\x03\x08\0\x07\x80\x9b" + DATA),
    _llc(b"\xaa\xaa\x03\0\0\0\x81\x37" + DATA),
    _llc(b"\x06\x06\x01\x05" + DATA),
    *[ether(kind, DATA + DATA) for kind in (0x8137, 0x809B, 0x80F3, 0x6003, 0x6004, 0x6001, 0x6002, 0x6007, 0x9000, 0x600, 1500, 1501)],
    ether(0x6003, b"\x20\0\x02" + b"\x7b\x28" + b"\x05\x04" + DATA),
]
"""Ethernet: a frame for each word of the language that the bundled captures have none for."""

EXPRESSIONS = """
;tcp;udp;ip;ip6;arp;rarp;icmp;icmp6;sctp;igmp;igrp;pim;vrrp;carp;ah;esp;atalk;aarp;decnet;lat;sca;moprc;mopdl;iso;esis;isis;clnp;stp
;ipx;netbeui;l1;l2;iih;lsp;snp;csnp;psnp;not ip;not tcp and not udp;tcp or udp;ip and tcp or ip6 and udp;ip6 and tcp or ip and udp
;host 192.168.1.10;src host 192.168.1.10;dst host 192.168.1.10;src and dst host 192.168.1.10;src or dst 192.168.1.11
;not host 192.168.1.10;ip host 192.168.1.10;arp host 192.168.1.1;rarp src host 0.0.0.0;host 192.168.1.11 or 192.168.1.12
;host 10.1.2.3 and not 10.200.0.1;src 203.0.113.80 or dst 198.51.100.10;net 192.168;net 10;net 10.0.0.0/8;src net 192.168.1.0/24
;dst net 198.51.100.0 mask 255.255.255.0;ip net 192.168.1.8/29;net 192.168.1.0/24 and not net 198.51.0.0/16;net 0.0.0.0/0
;host 2001:db8:1::10;src net 2001:db8::/32;ip6 net 2001:db8:ffff::/48;net ff00::/8;net ::/0;ip6 host 2001:db8:1::10 and not icmp6
;dst net 2001:db8:1::/64 or 2001:db8:ffff::/64;port 80;port 53;tcp port 80;udp port 53;src port 80;dst port 443;tcp src port 443
;udp dst port 53 or 67;port 80 or 443 or 22;port not 80;not port 80 and tcp;sctp port 5060;src and dst port 53;port http;port domain
;tcp port https;port ssh or domain;udp port ntp;tcp dst port ftp or ftp-data or http;portrange 80-443;tcp portrange 1-1023
;udp src portrange 1024-65535;portrange http-https;dst portrange 40000-49151;(port 80 or port 443) and host 192.168.1.11
;tcp port 80 and not (host 192.168.1.11 or 192.168.1.12);proto 6;proto 17 or 132;ip proto 1;ip6 proto 58;ip proto \\tcp;proto \\udp
;ip6 proto \\ipv6-icmp;ip proto \\ospf or \\gre;proto 44;ether proto 0x800;ether proto \\arp;ether proto \\ip6;ether proto 0x8100
;ether proto 66;ether proto \\stp;ether proto \\loopback;ether proto 1500;iso proto 0x81;iso proto \\isis;isis proto 15
;ether host 02:00:00:00:00:01;ether src 02:00:00:00:00:01;ether dst ff:ff:ff:ff:ff:ff;ether src host 0200.0000.0001
;ether dst 02-00-00-00-00-fe;broadcast;ether broadcast;multicast;ether multicast;ip broadcast;ip multicast;ip6 multicast
;not broadcast and not multicast;less 60;greater 100;greater 60 and less 80;len > 100;len <= 74;len = 74;len & 1 = 1;byte 12 = 8
;byte 23 > 6;byte 14 < 70;vlan;vlan 5;vlan 7;not vlan;vlan and ip;vlan and tcp port 443;vlan 100 and vlan 7;vlan and vlan and ip
;vlan or ip;vlan 7 and ip6;vlan and mpls;vlan and mpls and ip;mpls;mpls 5;mpls 5 and ip;mpls and mpls 1024 and ip6
;mpls 100000 && mpls 1024;mpls and host 192.168.1.10;mpls and tcp[13] & 16 != 0;pppoed;pppoes;pppoes 0x27;pppoes and ip
;pppoes 0x27 and tcp port 443;pppoes and ip6;pppoes and udp port 53;geneve;geneve 5;geneve 0xb and ip;geneve and (tcp or udp)
;geneve 5 and ether src 02:00:00:00:00:01;geneve and ip6;geneve and host 10.9.8.7;llc;llc u;llc s;llc i;llc ui;llc xid
;llc rr or llc ui;decnet src 1.4;decnet host 10.123;tcp[tcpflags] & tcp-syn != 0;tcp[tcpflags] & (tcp-syn|tcp-fin) != 0
;tcp[tcpflags] == tcp-syn;tcp[13] = 18;tcp[13] & 7 != 0;tcp[tcpflags] & (tcp-rst|tcp-ack) == (tcp-rst|tcp-ack)
;icmp[icmptype] = icmp-echo;icmp[icmptype] != icmp-echo and icmp[0] != icmp-echoreply;icmp[0] = 3 and icmp[1] = 3
;icmp6[icmp6type] = icmp6-echo;icmp6[0] = icmp6-neighborsolicit;ip[0] & 0xf != 5;ip[6:2] & 0x1fff = 0;ip[6:2] & 0x3fff != 0
;ip[8] < 64;ip[2:2] > 60;ip[16] >= 224;ip[12:4] = 0xc0a8010b;ip6[6] = 58;ip6[40] = 135;ether[0] & 1 = 1;ether[12:2] = 0x800
;ether[6:4] = 0x02000000 and ether[10:2] = 1;arp[6:2] = 1;arp[24:4] = 0xc0a80101;udp[4:2] > 20;udp[8:2] & 0x8000 = 0
;tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0);tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420
;ip[2:2] + 14 = len;ip[2:2] * 2 > len;len / 2 > 40;len % 4 = 2;(ip[8] << 1) >= 128;ip[8] ^ 64 = 0;- ip[8] = 4294967232
;ip[-2:2] = 0x800;5 & ip[9] = 4;(tcp[0:2] | 1) = 443;1 = 1;1 > 2;(1) = 1;tcp and 1 = 1;((tcp));not not tcp;!tcp && !udp;tcp||udp
;(tcp and (port 80 or 443)) or icmp;ip and not tcp and not udp and not icmp;link[12:2] = 0x86dd;sctp[0:2] = 5060
;pim[0] = 0 or igmp[0] = 0;atalk[0] = 0xaa;tcp[0:2] = tcp[2:2]
""".replace("\n", "").split(";")
"""For Ethernet; each is also asked about the bundled captures."""
LINKS = sorted(
    {case.link for case in [*LINK_CASES, *CASES]}
    & {0, 1, 6, 8, 9, 10, 15, 50, 51, 101, 104, 105, 107, 108, 109, 113, 119, 122, 127, 163, 166, 228, 229, 240, 241, 276}
)
LINK_EXPRESSIONS = """
ip;ip6;not ip;tcp;udp port 53;host 192.168.1.10;src host 2001:db8:1::10;ip[8] = 64;udp[4:2] > 20;link[0] & 1 = 0;less 70
;ip6 and port 53;proto 17
""".replace("\n", "").split(";")
"""For any link type."""
WLAN_EXPRESSIONS = [
    "ether host 02:00:00:00:00:01",
    "wlan src 02:00:00:00:00:01",
    "ether dst 02:00:00:00:00:fe",
    "multicast",
    "broadcast",
    "llc",
    "not vlan",
]


def of_link(link: int) -> list[bytes]:
    """Frames of a link type, those of Ethernet in tunnels and the like among them."""
    cases = [case.frame for case in [*CASES, *LINK_CASES, *NO_IP, *(case for case, _ in TUNNEL_CASES)] if case.link == link]
    return [*cases, *FRAMES] if link == 1 else cases


def cut(frames: list[bytes]) -> list[bytes]:
    """Each frame cut after every byte of its first eighty."""
    return [frame[:size] for frame in frames for size in range(min(len(frame), 80))]


class Ruled(NamedTuple):
    """What a filter accepted: (bytes, length on the wire) of each frame."""

    frames: list[tuple[bytes, int]]

    @classmethod
    def by_tcpdump(cls, pcap: bytes, expression: str, *options: str) -> Ruled:
        """tcpdump's answer."""
        ran = subprocess.run(
            ["tcpdump", "-n", *options, "-r", "-", "-w", "-", "--", expression], input=pcap, capture_output=True, check=False
        )
        if b"expression rejects all packets" in ran.stderr:  # an error to tcpdump, an answer here
            return cls([])
        if ran.returncode:
            raise AssertionError(f"tcpdump {expression!r}: {ran.stderr.decode().strip()}")
        found, at, out = [], 24, ran.stdout
        while at < len(out):
            size, wire = struct.unpack_from("<II", out, at + 8)
            found.append((out[at + 16 : at + 16 + size], wire))
            at += 16 + size
        return cls(found)

    @classmethod
    def by_us(cls, link: int, frames: list[tuple[bytes, int]], expression: str) -> Ruled:
        """Ours."""
        chosen = ask(link, frames, expression)
        return cls([frame for frame, accepted in zip(frames, chosen, strict=True) if accepted])


def ask(link: int, frames: list[tuple[bytes, int]], expression: str) -> list[bool]:
    """Which frames the filter accepts; they lie in a buffer that ends with the last one."""
    cap = np.array([len(data) for data, _ in frames], np.uint32)
    wire = np.array([length for _, length in frames], np.uint32)
    at = np.cumsum(cap, dtype=np.int64) - cap
    buf = np.frombuffer(b"".join(data for data, _ in frames), np.uint8)
    chosen: list[bool] = Filter(expression).select(link, "made", buf, at, cap, wire).tolist()
    return chosen


def pcap(link: int, frames: list[tuple[bytes, int]]) -> bytes:
    """The frames as a capture file."""
    head = pcap_head("<", link=link, snaplen=262144)
    return head + b"".join(pcap_record("<", i, 0, data, wire) for i, (data, wire) in enumerate(frames))


_WORDS = """
and or not ( ) [ ] : = != < > <= >= + - * / % & | ^ << >> tcp udp ip ip6 arp link host net port portrange src dst proto ether vlan
mpls pppoes geneve llc less greater byte len broadcast multicast mask inbound ifindex iso decnet gateway icmptype tcp-syn 0 1 2 5
13 80 443 0x800 0xffffffff 4294967296 09 10.1.2.3 192.168 10.0.0.0 255.0.0.0 /8 /24 /64 2001:db8:: ::1 1:2:3:4:5:6 aabb.ccdd.eeff
http nosuch 80-90 \\tcp \\ip \\ $ # é \x00 ~ "quoted" is-is type on oam
"""
WORDS = _WORDS.split()
HEADERS = ("ether", "ip", "tcp", "udp", "ip6", "icmp", "arp", "link", "sctp", "icmp6")


def number(random_: random.Random, depth: int = 0) -> str:
    """A random arithmetic expression."""
    kind = random_.randrange(8)
    if depth > 2 or kind < 2:
        return str(random_.choice((0, 1, 2, 5, 13, 20, 64, 255, 0x800, 443, "0x1fff", "tcp-syn")))
    if kind == 2:
        return "len"
    if kind < 6:
        header = random_.choice(HEADERS)
        index = random_.choice((0, 1, 2, 6, 9, 12, 14, 20, 40, 60)) if random_.random() < 0.8 else number(random_, depth + 1)
        return f"{header}[{index}{random_.choice(('', ':1', ':2', ':4'))}]"
    sign = random_.choice("+-*&|^/%")
    return f"({number(random_, depth + 1)} {sign} {number(random_, depth + 1)})"


def expression(random_: random.Random, depth: int = 0) -> str:
    """A random expression that should be a good one."""
    parts = []
    for place in range(random_.choice((1, 1, 2, 3))):
        if place:
            parts.append(random_.choice(("and", "or")))
        if random_.random() < 0.2:
            parts.append("not")
        kind = random_.randrange(6)
        if kind == 0 and depth < 2:
            parts.append(f"({expression(random_, depth + 1)})")
        elif kind == 1:
            parts.append(f"{number(random_)} {random_.choice(('=', '!=', '>', '<=', '<', '>='))} {number(random_)}")
        else:
            parts.append(random_.choice(EXPRESSIONS) or "ip")
    return " ".join(parts)
