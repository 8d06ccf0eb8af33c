"""Frames built by dpkt (what dpkt cannot build, by struct), each with the marks and columns they must decode to.

Columns not named are 0, except time, lengths, interface and `key`. `payload_at` is also where the headers end: a frame
cut before it is SHORT, a frame cut later is not.
"""
from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

import dpkt

from pcapnat.wire.packets import Flag

HOST, ROUTER = bytes.fromhex("020000000001"), bytes.fromhex("0200000000fe")
A4, B4 = "192.168.1.10", "203.0.113.80"
A6, B6 = "2001:db8:1::10", "2001:db8:ffff::80"
DATA = bytes(range(37))
IP, V6, PORTS, TCP, UDP, ICMP, VLAN = Flag.IP, Flag.V6, Flag.PORTS, Flag.TCP, Flag.UDP, Flag.ICMP, Flag.VLAN
KEY, QUERY, QUOTE, OTHER = Flag.KEY, Flag.IN_QUERY, Flag.QUOTE, Flag.OTHER_LINK
TUNNEL, FRAGMENT, BAD, NONE = Flag.TUNNEL, Flag.FRAGMENT, Flag.BAD, Flag(0)
SYN, ACK, PSH, FIN, RST = 2, 16, 8, 1, 4


@dataclass(frozen=True)
class Case:
    """A frame, its link type, and what it must decode to."""
    name: str
    link: int
    frame: bytes
    flags: Flag
    columns: dict[str, Any] = field(default_factory=dict)
    quoted: dict[str, Any] | None = None


def packed(address: str) -> bytes:
    """An address's bytes."""
    return ip_address(address).packed


def words(address: str) -> tuple[int, int]:
    """An address as the two numbers of an address column."""
    whole = ip_address(address)
    number = int(whole) if whole.version == 6 else 0xFFFF << 32 | int(whole)
    return number >> 64, number & (1 << 64) - 1


def ether(kind: int, body: bytes, tags: tuple[tuple[int, int], ...] = ()) -> bytes:
    """An Ethernet frame; tags are (type, control) pairs, outermost first."""
    kinds = [t for t, _ in tags] + [kind]
    head = struct.pack("!6s6sH", ROUTER, HOST, kinds[0])
    return head + b"".join(struct.pack("!HH", control, after) for (_, control), after in zip(tags, kinds[1:], strict=True)) + body


def ip4(proto: int, body: Any, *, src: str = A4, dst: str = B4, ttl: int = 64, tos: int = 0x28, ident: int = 0x1234, frag: int = 0,
        options: bytes = b"", total: int | None = None) -> bytes:
    """An IPv4 packet."""
    packet = dpkt.ip.IP(src=packed(src), dst=packed(dst), p=proto, ttl=ttl, tos=tos, id=ident, opts=options, hl=5 + len(options) // 4)
    packet.data = body
    packet.len = len(packet)
    raw = bytearray(bytes(packet))
    raw[6:8] = struct.pack("!H", frag)
    if total is not None:
        raw[2:4] = struct.pack("!H", total)
    return bytes(raw)


def ip6(proto: int, body: bytes, *, src: str = A6, dst: str = B6, hops: int = 63, tclass: int = 0xB8, total: int | None = None) -> bytes:
    """An IPv6 packet; extension headers are part of `body`."""
    packet = dpkt.ip6.IP6(src=packed(src), dst=packed(dst), nxt=proto, hlim=hops, plen=len(body) if total is None else total)
    head = bytearray(packet.pack_hdr())
    head[:4] = struct.pack("!I", 6 << 28 | tclass << 20 | 0x12345)
    return bytes(head) + body


def extension(following: int, size: int = 8, filler: int = 1) -> bytes:
    """An IPv6 hop-by-hop, routing or destination header of `size` bytes."""
    return bytes([following, size // 8 - 1]) + bytes([filler]) * (size - 2)


def fragment6(following: int, offset: int, more: int, ident: int = 0xABCDEF01) -> bytes:
    """An IPv6 fragment header; offset in units of 8 bytes."""
    return struct.pack("!BBHI", following, 0, offset << 3 | more, ident)


def tcp(data: bytes = DATA, *, sport: int = 40000, dport: int = 443, seq: int = 0xF0000001, ack: int = 0x80000002, flags: int = ACK | PSH,
        window: int = 501, options: bytes = b"") -> bytes:
    """A TCP segment."""
    return bytes(dpkt.tcp.TCP(sport=sport, dport=dport, seq=seq, ack=ack, flags=flags, win=window, opts=options, off=5 + len(options) // 4,
                              sum=0x5A5A, data=data))


def udp(data: bytes = DATA, *, sport: int = 5353, dport: int = 53, length: int | None = None) -> bytes:
    """A UDP datagram."""
    return bytes(dpkt.udp.UDP(sport=sport, dport=dport, ulen=8 + len(data) if length is None else length, sum=0x5A5A, data=data))


def icmp(kind: int, code: int, rest: bytes) -> bytes:
    """An ICMP or ICMPv6 message; rest begins behind the checksum."""
    return bytes(dpkt.icmp.ICMP(type=kind, code=code, sum=0x5A5A, data=rest))


def echo(kind: int, ident: int = 0xBEEF, seq: int = 7, data: bytes = DATA, code: int = 0) -> bytes:
    """An echo request or reply, or another query with identifier and sequence number."""
    return icmp(kind, code, struct.pack("!HH", ident, seq) + data)


def error(kind: int, code: int, packet: bytes) -> bytes:
    """An ICMP or ICMPv6 error about `packet`."""
    return icmp(kind, code, bytes(4) + packet)


LINK_COLUMNS = {"eth_dst": int.from_bytes(ROUTER, "big"), "eth_src": int.from_bytes(HOST, "big"), "ethertype": 0x0800}
LINK_COLUMNS6 = {**LINK_COLUMNS, "ethertype": 0x86DD}
V4 = {"src": words(A4), "dst": words(B4), "ttl": 64, "tos": 0x28, "ip_id": 0x1234}
V6_COLUMNS = {"src": words(A6), "dst": words(B6), "ttl": 63, "tos": 0xB8}
ON_4 = {**LINK_COLUMNS, **V4}
ON_6 = {**LINK_COLUMNS6, **V6_COLUMNS}
A_TCP = {"proto": 6, "sport": 40000, "dport": 443, "tcp_flags": ACK | PSH, "seq": 0xF0000001, "ack": 0x80000002, "window": 501}
A_UDP = {"proto": 17, "sport": 5353, "dport": 53}
A_QUERY = {"sport": 0xBEEF, "dport": 0xBEEF, "seq": 7}
MARKS_TCP, MARKS_UDP = IP | PORTS | TCP | KEY, IP | PORTS | UDP | KEY

MSS, WSCALE, SACK_OK, NOP, END = b"\x02\x04\x05\xb4", b"\x03\x03\x07", b"\x04\x02", b"\x01", b"\x00"
STAMPS = b"\x08\x0a" + struct.pack("!II", 0xDEADBEEF, 0x01020304)
SACK = b"\x05\x0a" + bytes(8)
STAMP_COLUMNS = {"tsval": 0xDEADBEEF, "tsecr": 0x01020304}


def tcp_case(name: str, options: bytes, marks: Flag, **columns: int) -> Case:
    """A segment over Ethernet and IPv4 with these options."""
    columns = {**A_TCP, "payload_at": 54 + len(options), "payload_len": 37, **columns}
    return Case(name, 1, ether(0x0800, ip4(6, tcp(options=options))), MARKS_TCP | marks, {**ON_4, **columns})


def linked(name: str, link: int, head: bytes, carried: int = 0x0800, marks: Flag = NONE, **columns: int) -> Case:
    """A UDP datagram over IP behind this link header."""
    body, over, more = (ip4(17, udp()), V4, NONE) if carried == 0x0800 else (ip6(17, udp()), V6_COLUMNS, V6)
    place = {"payload_at": len(head) + (28 if carried == 0x0800 else 48), "payload_len": 37, "ethertype": carried}
    return Case(name, link, head + body, MARKS_UDP | marks | more, {**over, **A_UDP, **place, **columns})


def quote_case(name: str, packet: bytes, quoted: dict[str, Any], *, kind: int = 3, code: int = 1) -> Case:
    """An ICMP error over IPv4 about `packet`."""
    body = error(kind, code, packet)
    return Case(name, 1, ether(0x0800, ip4(1, body, src=B4, dst=A4)), IP | ICMP | QUOTE,
                {**ON_4, "src": words(B4), "dst": words(A4), "proto": 1, "icmp_type": kind, "icmp_code": code, "payload_at": 42,
                 "payload_len": len(packet)}, quoted)


def quote_case6(name: str, packet: bytes, quoted: dict[str, Any], *, kind: int = 1, code: int = 4) -> Case:
    """An ICMPv6 error about `packet`."""
    return Case(name, 1, ether(0x86DD, ip6(58, error(kind, code, packet), src=B6, dst=A6)), IP | V6 | ICMP | QUOTE,
                {**ON_6, "src": words(B6), "dst": words(A6), "proto": 58, "icmp_type": kind, "icmp_code": code, "payload_at": 62,
                 "payload_len": len(packet)}, quoted)


SLL = bytes(dpkt.sll.SLL(type=4, hrd=1, hlen=6, hdr=HOST + b"\0\0", ethtype=0x0800))
SLL2 = bytes(dpkt.sll2.SLL2(ethtype=0x0800, intindex=3, hrd=1, type=4, hlen=6, hdr=HOST + b"\0\0"))
SLL_SRC = {"eth_src": int.from_bytes(HOST, "big")}
SNAP = struct.pack("!6s6sH", ROUTER, HOST, 73) + b"\xaa\xaa\x03\0\0\0\x08\x00"
PPPOE = bytes.fromhex("1100002a0043")
QUOTED_TCP = {"src": words(A4), "dst": words(B4), "proto": 6, "sport": 40000, "dport": 443, "seq": 0xF0000001, "ports": 2}
QUOTED_UDP = {"src": words(A4), "dst": words(B4), "proto": 17, "sport": 5353, "dport": 53, "seq": 0, "ports": 1}
QUOTED_ECHO = {"src": words(A4), "dst": words(B4), "proto": 1, "sport": 0xBEEF, "dport": 0xBEEF, "seq": 0, "ports": 1}
NO_PORTS = {"sport": 0, "dport": 0, "seq": 0, "ports": 0}
ON_6_QUOTED = {"src": words(A6), "dst": words(B6)}
CHAIN = extension(43) + extension(60, 16) + extension(44, 24) + fragment6(17, 0, 1) + udp()
CHAIN_AT = 54 + 8 + 16 + 24 + 8 + 8

def without_ip(at: int, case: Case) -> Case:
    """A case whose payload is all that follows the link's headers, which end at `at`."""
    places = {"payload_at": at, "payload_len": len(case.frame) - at}
    return replace(case, columns={**case.columns, **{name: value for name, value in places.items() if value}})



CASES = [
    # TCP and its options
    tcp_case("tcp", b"", NONE),
    tcp_case("tcp mss", MSS, Flag.MSS, mss=1460),
    tcp_case("tcp wscale", NOP + WSCALE, Flag.WSCALE, wscale=7),
    tcp_case("tcp sack permitted", SACK_OK + NOP + NOP, Flag.SACK_OK),
    tcp_case("tcp timestamps", NOP + NOP + STAMPS, Flag.TIMESTAMPS, **STAMP_COLUMNS),
    tcp_case("tcp timestamps at an odd place", STAMPS + NOP + NOP, Flag.TIMESTAMPS, **STAMP_COLUMNS),
    tcp_case("tcp timestamps first, more behind", NOP + NOP + STAMPS + MSS + SACK_OK + NOP + NOP, Flag.TIMESTAMPS | Flag.MSS | Flag.SACK_OK,
             mss=1460, **STAMP_COLUMNS),
    tcp_case("tcp as Linux opens", MSS + SACK_OK + STAMPS + NOP + WSCALE, Flag.MSS | Flag.SACK_OK | Flag.TIMESTAMPS | Flag.WSCALE,
             mss=1460, wscale=7, **STAMP_COLUMNS),
    tcp_case("tcp sack blocks", NOP + NOP + SACK, NONE),
    tcp_case("tcp option of an unknown kind", b"\xfd\x04\x01\x02" + MSS, Flag.MSS, mss=1460),
    tcp_case("tcp options end early", NOP * 3 + END + MSS, NONE),
    tcp_case("tcp option of length 0", NOP * 2 + b"\x02\x00" + MSS, NONE),
    tcp_case("tcp option of length 1", b"\x1e\x01" + b"\0\0" + MSS, NONE),
    tcp_case("tcp option longer than the header", MSS + b"\x08\x0a\0\0", Flag.MSS, mss=1460),
    tcp_case("tcp option kind without length", MSS + NOP * 3 + b"\x08", Flag.MSS, mss=1460),
    tcp_case("tcp options of the wrong size", b"\x02\x03\x01" + b"\x03\x04\x01\x01" + NOP, NONE),
    Case("tcp with every flag", 1, ether(0x0800, ip4(6, tcp(b"", flags=0xFF)[:12] + b"\x5f\xff" + tcp(b"")[14:])), MARKS_TCP,
         {**ON_4, **A_TCP, "tcp_flags": 0xFFF, "payload_at": 54}),
    Case("tcp header shorter than itself", 1, ether(0x0800, ip4(6, tcp()[:12] + b"\x40" + tcp()[13:])), IP | PORTS | BAD,
         {**ON_4, "proto": 6, "sport": 40000, "dport": 443}),
    # UDP, ICMP, others
    linked("udp", 1, ether(0x0800, b""), **LINK_COLUMNS),
    Case("udp without data, padded", 1, ether(0x0800, ip4(17, udp(b"")) + bytes(18)), MARKS_UDP, {**ON_4, **A_UDP, "payload_at": 42}),
    *(Case(f"udp of length {size}", 1, ether(0x0800, ip4(17, udp(length=size))), IP | PORTS | BAD, {**ON_4, **A_UDP})
      for size in (0, 1, 7)),
    *(Case(f"udp of length {size} on ipv6", 1, ether(0x86DD, ip6(17, udp(length=size))), IP | V6 | PORTS | BAD, {**ON_6, **A_UDP})
      for size in (1, 7)),
    Case("udp of length 0 on ipv6: as long as the packet", 1, ether(0x86DD, ip6(17, udp(length=0))), MARKS_UDP | V6,
         {**ON_6, **A_UDP, "payload_at": 62, "payload_len": 37}),
    Case("udp to a group", 1, ether(0x0800, ip4(17, udp(), dst="239.1.2.3")), MARKS_UDP | Flag.GROUP,
         {**ON_4, **A_UDP, "dst": words("239.1.2.3"), "payload_at": 42, "payload_len": 37}),
    Case("udp to all", 1, ether(0x0800, ip4(17, udp(), dst="255.255.255.255")), MARKS_UDP | Flag.GROUP,
         {**ON_4, **A_UDP, "dst": words("255.255.255.255"), "payload_at": 42, "payload_len": 37}),
    *(Case(f"icmp query type {kind}", 1, ether(0x0800, ip4(1, echo(kind, code=2))), IP | PORTS | ICMP | QUERY | KEY,
           {**ON_4, **A_QUERY, "proto": 1, "icmp_type": kind, "icmp_code": 2, "payload_at": 42, "payload_len": 37})
      for kind in (0, 8, 13, 14, 15, 16, 17, 18)),
    Case("icmp router advertisement", 1, ether(0x0800, ip4(1, echo(9))), IP | ICMP | KEY,
         {**ON_4, "proto": 1, "icmp_type": 9, "payload_at": 42, "payload_len": 37}),
    *(Case(f"icmpv6 echo {kind}", 1, ether(0x86DD, ip6(58, echo(kind))), IP | V6 | PORTS | ICMP | QUERY | KEY,
           {**ON_6, **A_QUERY, "proto": 58, "icmp_type": kind, "payload_at": 62, "payload_len": 37})
      for kind in (128, 129)),
    Case("icmpv6 neighbour solicitation", 1, ether(0x86DD, ip6(58, icmp(135, 0, bytes(4) + packed(B6)), dst="ff02::1:ff00:80")),
         IP | V6 | ICMP | KEY | Flag.GROUP,
         {**ON_6, "dst": words("ff02::1:ff00:80"), "proto": 58, "icmp_type": 135, "payload_at": 62, "payload_len": 16}),
    Case("sctp", 1, ether(0x0800, ip4(132, struct.pack("!HHII", 1000, 2000, 3, 4) + DATA)), IP | PORTS | KEY,
         {**ON_4, "proto": 132, "sport": 1000, "dport": 2000, "payload_at": 46, "payload_len": 37}),
    Case("dccp", 1, ether(0x0800, ip4(33, struct.pack("!HHBBH", 1000, 2000, 4, 0, 5) + DATA)), IP | PORTS | KEY,
         {**ON_4, "proto": 33, "sport": 1000, "dport": 2000, "payload_at": 42, "payload_len": 37}),
    Case("udp-lite", 1, ether(0x0800, ip4(136, udp(length=8))), IP | PORTS | KEY,
         {**ON_4, "proto": 136, "sport": 5353, "dport": 53, "payload_at": 42, "payload_len": 37}),
    Case("esp", 1, ether(0x0800, ip4(50, DATA)), IP | KEY | Flag.SPI,
         {**ON_4, "proto": 50, "sport": 0x0001, "dport": 0x0203, "payload_at": 34, "payload_len": 37}),
    # ICMP errors and what they quote
    quote_case("quoted tcp", ip4(6, tcp()), QUOTED_TCP),
    quote_case("quoted tcp, 8 bytes of it", ip4(6, tcp())[:28], {**QUOTED_TCP, "ports": 1}, code=3),
    quote_case("quoted udp", ip4(17, udp(), options=NOP * 4), QUOTED_UDP, kind=11, code=0),
    quote_case("quoted echo", ip4(1, echo(8)), QUOTED_ECHO, kind=5),
    quote_case("quoted error", ip4(1, error(3, 1, b"")), {**QUOTED_ECHO, **NO_PORTS}, kind=12, code=0),
    quote_case("quoted later fragment", ip4(17, DATA, frag=0x2001), {**QUOTED_UDP, **NO_PORTS}, kind=4, code=0),
    quote_case("quoted first fragment", ip4(17, udp(), frag=0x2000), QUOTED_UDP),
    quote_case("quoted header alone", ip4(17, b""), {**QUOTED_UDP, **NO_PORTS}),
    *(quote_case(f"quoted udp of length {size}", ip4(17, udp(length=size)), QUOTED_UDP) for size in (0, 7)),
    quote_case("quoted sctp", ip4(132, struct.pack("!HHII", 1, 2, 3, 4)), {**QUOTED_UDP, "proto": 132, "sport": 1, "dport": 2}),
    quote_case("quoted esp", ip4(50, DATA), {**QUOTED_UDP, **NO_PORTS, "proto": 50}),
    Case("icmp error with nothing quoted", 1, ether(0x0800, ip4(1, error(3, 3, b"abc"))), IP | ICMP,
         {**ON_4, "proto": 1, "icmp_type": 3, "icmp_code": 3, "payload_at": 42, "payload_len": 3}),
    quote_case6("quoted tcp over IPv6", ip6(6, tcp()), {**QUOTED_TCP, **ON_6_QUOTED}),
    quote_case6("quoted udp over IPv6", ip6(17, udp()), {**QUOTED_UDP, **ON_6_QUOTED}, kind=2, code=0),
    quote_case6("quoted udp of length 0 over IPv6", ip6(17, udp(length=0)), {**QUOTED_UDP, **ON_6_QUOTED}),
    quote_case6("quoted echo over IPv6", ip6(58, echo(128)), {**QUOTED_ECHO, **ON_6_QUOTED, "proto": 58}, kind=3, code=0),
    quote_case6("quoted first fragment over IPv6", ip6(44, fragment6(17, 0, 1) + udp()), {**QUOTED_UDP, **ON_6_QUOTED}, kind=4),
    quote_case6("quoted later fragment over IPv6", ip6(44, fragment6(17, 5, 1) + DATA), {**QUOTED_UDP, **ON_6_QUOTED, **NO_PORTS}),
    # IPv4: options, fragments, contradictions
    Case("ipv4 options", 1, ether(0x0800, ip4(17, udp(), options=NOP * 11 + END)), MARKS_UDP,
         {**ON_4, **A_UDP, "payload_at": 54, "payload_len": 37}),
    Case("ipv4 first fragment", 1, ether(0x0800, ip4(17, udp(length=3000), frag=0x2000)), MARKS_UDP | FRAGMENT,
         {**ON_4, **A_UDP, "payload_at": 42, "payload_len": 2992}),
    Case("ipv4 middle fragment", 1, ether(0x0800, ip4(17, DATA, frag=0x20B9)), IP | FRAGMENT | KEY,
         {**ON_4, "proto": 17, "frag_offset": 185, "payload_at": 34, "payload_len": 37}),
    Case("ipv4 last fragment", 1, ether(0x0800, ip4(6, DATA, frag=0x1FFF)), IP | FRAGMENT | KEY,
         {**ON_4, "proto": 6, "frag_offset": 0x1FFF, "payload_at": 34, "payload_len": 37}),
    Case("ipv4 don't fragment", 1, ether(0x0800, ip4(17, udp(), frag=0x4000)), MARKS_UDP,
         {**ON_4, **A_UDP, "payload_at": 42, "payload_len": 37}),
    Case("ipv4 length left to the card", 1, ether(0x0800, ip4(17, udp(), total=0)), MARKS_UDP,
         {**ON_4, **A_UDP, "payload_at": 42, "payload_len": 37}),
    Case("ipv4 version 5", 1, ether(0x0800, b"\x55" + ip4(17, udp())[1:]), BAD, LINK_COLUMNS),
    Case("ipv4 header of 16 bytes", 1, ether(0x0800, b"\x44" + ip4(17, udp())[1:]), BAD, LINK_COLUMNS),
    Case("ipv4 shorter than its header", 1, ether(0x0800, ip4(17, udp(), total=19)), BAD, LINK_COLUMNS),
    Case("ipv4 without payload", 1, ether(0x0800, ip4(50, b"") + bytes(26)), IP | KEY, {**ON_4, "proto": 50, "payload_at": 34}),
    # IPv6 and its extension headers
    Case("ipv6 tcp", 1, ether(0x86DD, ip6(6, tcp())), MARKS_TCP | V6, {**ON_6, **A_TCP, "payload_at": 74, "payload_len": 37}),
    Case("ipv6 hop-by-hop", 1, ether(0x86DD, ip6(0, extension(17) + udp())), MARKS_UDP | V6,
         {**ON_6, **A_UDP, "payload_at": 70, "payload_len": 37}),
    Case("ipv6 routing", 1, ether(0x86DD, ip6(43, extension(17, 24, 0) + udp())), MARKS_UDP | V6,
         {**ON_6, **A_UDP, "payload_at": 86, "payload_len": 37}),
    Case("ipv6 destination", 1, ether(0x86DD, ip6(60, extension(6, 16) + tcp())), MARKS_TCP | V6,
         {**ON_6, **A_TCP, "payload_at": 90, "payload_len": 37}),
    Case("ipv6 chain to a first fragment", 1, ether(0x86DD, ip6(0, CHAIN)), MARKS_UDP | V6 | FRAGMENT,
         {**ON_6, **A_UDP, "ip_id": 0xABCDEF01, "payload_at": CHAIN_AT, "payload_len": 37}),
    Case("ipv6 later fragment", 1, ether(0x86DD, ip6(44, fragment6(17, 181, 0) + DATA)), IP | V6 | FRAGMENT | KEY,
         {**ON_6, "proto": 17, "ip_id": 0xABCDEF01, "frag_offset": 181, "payload_at": 62, "payload_len": 37}),
    Case("ipv6 atomic fragment", 1, ether(0x86DD, ip6(44, fragment6(17, 0, 0) + udp())), MARKS_UDP | V6,
         {**ON_6, **A_UDP, "ip_id": 0xABCDEF01, "payload_at": 70, "payload_len": 37}),
    Case("ipv6 no next header", 1, ether(0x86DD, ip6(59, DATA)), IP | V6 | KEY, {**ON_6, "proto": 59, "payload_at": 54, "payload_len": 37}),
    Case("ipv6 mobility", 1, ether(0x86DD, ip6(60, extension(135) + extension(59))), IP | V6 | KEY,
         {**ON_6, "proto": 135, "payload_at": 62, "payload_len": 8}),
    Case("ipv6 hip", 1, ether(0x86DD, ip6(139, extension(59, 40))), IP | V6 | KEY,
         {**ON_6, "proto": 139, "payload_at": 54, "payload_len": 40}),
    Case("ipv6 version 4", 1, ether(0x86DD, b"\x45" + ip6(17, udp())[1:]), BAD, LINK_COLUMNS6),
    # Link layers
    linked("ipv6 over ethernet", 1, ether(0x86DD, b""), 0x86DD, **LINK_COLUMNS6),
    linked("vlan", 1, ether(0x0800, b"", ((0x8100, 0x6123),)), marks=VLAN, vlan=0x123, **LINK_COLUMNS),
    linked("vlan 0", 1, ether(0x86DD, b"", ((0x8100, 0x6000),)), 0x86DD, marks=VLAN, **LINK_COLUMNS6),
    linked("priority tag around a vlan", 1, ether(0x0800, b"", ((0x8100, 0xE000), (0x8100, 200))), marks=VLAN, **LINK_COLUMNS),
    linked("802.1ad", 1, ether(0x0800, b"", ((0x88A8, 100), (0x8100, 200))), marks=VLAN, vlan=100, **LINK_COLUMNS),
    linked("qinq 9100", 1, ether(0x0800, b"", ((0x9100, 4094), (0x8100, 200))), marks=VLAN, vlan=4094, **LINK_COLUMNS),
    linked("snap", 1, SNAP, **LINK_COLUMNS),
    linked("mpls, two labels", 1, ether(0x8847, bytes.fromhex("000140ff 000281ff")), marks=TUNNEL, **LINK_COLUMNS),
    linked("mpls to ipv6 behind a vlan", 1, ether(0x8848, bytes.fromhex("000141ff"), ((0x8100, 5),)), 0x86DD, marks=TUNNEL | VLAN, vlan=5,
           **LINK_COLUMNS6),
    linked("pppoe", 1, ether(0x8864, PPPOE + b"\x00\x21"), marks=TUNNEL, **LINK_COLUMNS),
    linked("pppoe to ipv6", 1, ether(0x8864, PPPOE + b"\x00\x57"), 0x86DD, marks=TUNNEL, **LINK_COLUMNS6),
    without_ip(22, Case("pppoe control", 1, ether(0x8864, PPPOE + b"\xc0\x21" + DATA), OTHER | TUNNEL, {**LINK_COLUMNS, "ethertype": 0})),
    without_ip(14, Case("pppoe discovery", 1, ether(0x8863, bytes(20)), OTHER, {**LINK_COLUMNS, "ethertype": 0x8863})),
    without_ip(14, Case("arp", 1, ether(0x0806, bytes(dpkt.arp.ARP(sha=HOST, spa=packed(A4), tpa=packed(B4)))), NONE,
         {**LINK_COLUMNS, "ethertype": 0x0806})),
    without_ip(18, Case("arp in a vlan", 1, ether(0x0806, bytes(dpkt.arp.ARP(sha=HOST)), ((0x8100, 7),)), VLAN,
         {**LINK_COLUMNS, "ethertype": 0x0806, "vlan": 7})),
    without_ip(17, Case("spanning tree", 1, struct.pack("!6s6sH", ROUTER, HOST, 38) + b"\x42\x42\x03" + bytes(43), OTHER,
         {**LINK_COLUMNS, "ethertype": 0})),
    without_ip(22, Case("snap of another house", 1, SNAP[:14] + b"\xaa\xaa\x03\0\0\x0c\x20\x00" + bytes(30),
         OTHER, {**LINK_COLUMNS, "ethertype": 0})),
    linked("cooked v1", 113, SLL, **SLL_SRC),
    linked("cooked v1, ipv6", 113, SLL[:14] + b"\x86\xdd", 0x86DD, **SLL_SRC),
    linked("cooked v1 without address", 113, SLL[:4] + bytes(10) + b"\x08\x00"),
    linked("cooked v1 with a vlan", 113, SLL[:14] + b"\x81\x00\x00\x21\x08\x00", marks=VLAN, vlan=33, **SLL_SRC),
    linked("cooked v2", 276, SLL2, **SLL_SRC),
    linked("cooked v2, ipv6", 276, b"\x86\xdd" + SLL2[2:], 0x86DD, **SLL_SRC),
    linked("null, little-endian", 0, bytes(dpkt.loopback.Loopback(family=2))),
    linked("null, big-endian", 0, b"\0\0\0\2"),
    *(linked(f"null, ipv6 as {family}", 0, struct.pack("<I", family), 0x86DD) for family in (24, 28, 30)),
    linked("null, ipv6 as 30, big-endian", 0, struct.pack(">I", 30), 0x86DD),
    linked("openbsd loopback", 108, b"\0\0\0\2"),
    *(linked(f"raw {link}", link, b"") for link in (12, 14, 101, 228)),
    *(linked(f"raw {link}, ipv6", link, b"", 0x86DD) for link in (12, 14, 101, 229)),
    without_ip(4, Case("null of another family", 0, struct.pack("<I", 7) + DATA, OTHER)),
    without_ip(0, Case("raw of another version", 101, b"\x20" + DATA, OTHER)),
    without_ip(0, Case("another link type", 147, DATA, OTHER)),
]
