"""Packets as words a reviewer can read, and capture files made of them.

A packet is `WHO WHAT`, packets are separated by `|`:

    A S 100                 TCP from A to B: flags (S A F R P and . for none beyond ACK), sequence number
    B SA 500 101            ... and acknowledgment number, which sets ACK
    A P 101 501 x10 w0 t63  ... and ten bytes of payload, a window of 0, a TTL of 63
    A udp hello             UDP with that payload; x10 for ten bytes, none for none
    A ping 7 1 x8           ICMP echo request: identifier, sequence number, payload; pong is the reply
    R about A S 100         ICMP error (port unreachable) from R to A that quotes the packet `A S 100`
    A gre x8                a protocol without ports (47)

WHO is one of HOSTS with a port if another than its own is meant, and whom it sends to if not B (for B: A): `A`, `A:999`, `B>C`.
`+20` in front of a packet: 20 ms after the one before; without it, 1 ms.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import dpkt

HOSTS = {
    "A": ("192.168.1.10", 40000),
    "B": ("198.51.100.80", 80),
    "C": ("192.168.1.11", 40000),
    "D": ("198.51.100.90", 443),
    "R": ("192.168.1.1", 0),
    "N": ("203.0.113.7", 0),
    "X": ("2001:db8::10", 40000),
    "Y": ("2001:db8::80", 80),
    "Z": ("2001:db8:113::7", 0),
}
PEER = {"B": "A", "X": "Y", "Y": "X"}
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, ".": 0}
START_NS = 1_700_000_000_000_000_000
MS = 1_000_000


class Frame(NamedTuple):
    """A frame and when it was captured; wire: its length there, 0 if all of it is here."""

    time_ns: int
    data: bytes
    wire: int = 0


def ethernet(packet: bytes) -> bytes:
    """An IP packet in an Ethernet frame."""
    kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    return b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02" + struct.pack("!H", kind) + packet


def ip(src: str, dst: str, proto: int, body: dpkt.Packet | bytes, *, ttl: int = 64, ident: int = 0) -> bytes:
    """An IP packet, version by its addresses, with right lengths and checksums."""
    one, other = ip_address(src), ip_address(dst)
    if one.version == 6:
        six = dpkt.ip6.IP6(src=one.packed, dst=other.packed, nxt=proto, hlim=ttl, data=body)
        six.extension_hdrs = {}
        six.plen = len(bytes(body))
        return bytes(six)
    four = dpkt.ip.IP(src=one.packed, dst=other.packed, p=proto, ttl=ttl, id=ident, data=body)
    four.len = len(four)
    return bytes(four)


def ends(who: str) -> tuple[tuple[str, int], tuple[str, int]]:
    """Source and destination of `A`, `A:999`, `B>C:5`."""

    def one(text: str) -> tuple[str, int]:
        host, _, port = text.partition(":")
        address, usual = HOSTS[host]
        return address, int(port) if port else usual

    src, _, dst = who.partition(">")
    return one(src), one(dst or PEER.get(src.partition(":")[0], "B"))


def packet(text: str) -> bytes:
    """One packet, from IP on."""
    who, kind, *rest = text.split()
    (src, sport), (dst, dport) = ends(who)
    numbers = [int(word) for word in rest if word.isdecimal()]
    options = {word[0]: int(word[1:]) for word in rest if re.fullmatch(r"[xwt]\d+", word)}
    text = "".join(word for word in rest if not word.isdecimal() and not re.fullmatch(r"[xwt]\d+", word))
    payload, ttl = text.encode() + b"x" * options.get("x", 0), options.get("t", 64)
    if kind == "udp":
        return ip(src, dst, 17, dpkt.udp.UDP(sport=sport, dport=dport, data=payload, ulen=8 + len(payload)), ttl=ttl)
    if kind in ("ping", "pong"):
        v6 = ":" in src
        code = {"ping": (8, 128), "pong": (0, 129)}[kind][v6]
        echo = struct.pack("!HH", *numbers) + payload
        return ip(
            src, dst, 58 if v6 else 1, struct.pack("!BBH", code, 0, 0) + echo if v6 else dpkt.icmp.ICMP(type=code, data=echo), ttl=ttl
        )
    if kind == "about":
        quoted = packet(" ".join(rest))
        inner = ends(rest[0])[0][0]
        if ":" in inner:
            return ip("2001:db8::1", inner, 58, struct.pack("!BBHI", 1, 4, 0, 0) + quoted)
        return ip(src, inner, 1, dpkt.icmp.ICMP(type=3, code=3, data=b"\0\0\0\0" + quoted[: 28 if quoted[9] != 6 else 40]))
    if kind == "gre":
        return ip(src, dst, 47, payload, ttl=ttl)
    flags = sum(FLAGS[letter] for letter in kind) | (16 if len(numbers) > 1 else 0)
    seq, ack = [*numbers, 0, 0][:2]
    return ip(
        src,
        dst,
        6,
        dpkt.tcp.TCP(sport=sport, dport=dport, seq=seq, ack=ack, flags=flags, win=options.get("w", 64240), data=payload),
        ttl=ttl,
    )


def script(text: str, start_ns: int = START_NS) -> list[Frame]:
    """The packets of a script in Ethernet frames, with their times."""
    frames = []
    now = start_ns
    for part in text.split("|"):
        words = part.split()
        step = int(words.pop(0)[1:]) if words[0].startswith("+") else 1
        now += step * MS
        frames.append(Frame(now, ethernet(packet(" ".join(words)))))
    return frames


def pcap(frames: Iterable[Frame], link: int = 1, snaplen: int = 262144) -> bytes:
    """A pcap file with nanoseconds."""
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, snaplen, link)]
    for time, data, wire in frames:
        out.append(struct.pack("<IIII", *divmod(time, 1_000_000_000), min(len(data), snaplen), wire or len(data)) + data[:snaplen])
    return b"".join(out)


def write(path: Path, frames: Iterable[Frame], snaplen: int = 262144, link: int = 1) -> str:
    """Frames as a pcap file; its path as text."""
    path.write_bytes(pcap(frames, snaplen=snaplen, link=link))
    return str(path)


def read(path: str | Path) -> list[Frame]:
    """The frames of a little-endian pcap file, as far as captured."""
    data = Path(path).read_bytes()
    tick = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}[struct.unpack_from("<I", data)[0]]
    frames, at = [], 24
    while at < len(data):
        seconds, fraction, size, wire = struct.unpack_from("<IIII", data, at)
        frames.append(Frame(seconds * 1_000_000_000 + fraction * tick, data[at + 16 : at + 16 + size], wire))
        at += 16 + size
    return frames


def halves(path: Path, one: Path, other: Path) -> None:
    """Split a little-endian pcap file in two by frames, records as they are."""
    data = path.read_bytes()
    starts, at = [], 24
    while at < len(data):
        starts.append(at)
        at += 16 + struct.unpack_from("<I", data, at + 8)[0]
    middle = starts[len(starts) // 2]
    one.write_bytes(data[:middle])
    other.write_bytes(data[:24] + data[middle:])
