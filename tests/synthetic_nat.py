"""A NAT made of random choices, over the frames of a real capture, that remembers which frame became which.

Conversations are told apart here by their 5-tuples, without any of the code under test. The truth is one of frames:
each frame of either side has the number of the frame it was in the capture that went in, -1 for one that was added.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field
from ipaddress import ip_address

from packet_script import Frame

Endpoint = tuple[bytes, int]
Tuple = tuple[int, Endpoint, Endpoint]


@dataclass(frozen=True)
class Nat:
    """What the box does and what befalls the captures. Shares are of 1; times in ns."""

    source: bool = True
    destination: bool = False
    keep_ports: bool = False
    offset_ns: int = 0
    lowers_ttl: bool = True
    lost: float = 0.0
    """Of the frames, on either side, each by itself."""
    dropped: float = 0.0
    """Of the conversations, which never leave the box."""
    delay_ns: tuple[int, int] = (20_000, 400_000)


@dataclass
class Sides:
    """Two captures and the truth about them."""

    inside: list[Frame]
    outside: list[Frame]
    inside_numbers: list[int]
    outside_numbers: list[int]
    dropped: set[int] = field(default_factory=set)
    """Numbers of the frames that never left the box."""


def headers(data: bytes) -> tuple[int, int, int, int] | None:
    """(offset of IP, version, protocol, offset of ports) of an Ethernet frame with ports or an echo identifier, else None."""
    kind = struct.unpack_from("!H", data, 12)[0]
    if kind == 0x0800:
        at, proto = 14 + (data[14] & 15) * 4, data[23]
        if struct.unpack_from("!H", data, 20)[0] & 0x1FFF:
            return None
        version = 4
    elif kind == 0x86DD:
        at, proto, version = 54, data[20], 6
    else:
        return None
    if proto in (6, 17):
        return 14, version, proto, at
    return (14, version, proto, at) if (proto == 1 and data[at] in (0, 8)) or (proto == 58 and data[at] in (128, 129)) else None


def ends(data: bytes) -> Tuple | None:
    """Protocol, source and destination of a frame that a NAT translates."""
    if (found := headers(data)) is None:
        return None
    ip, version, proto, at = found
    src, dst = (data[ip + 12 : ip + 16], data[ip + 16 : ip + 20]) if version == 4 else (data[ip + 8 : ip + 24], data[ip + 24 : ip + 40])
    if src[0] >= 224 or dst[0] >= 224:
        return None
    if proto in (1, 58):
        ident = struct.unpack_from("!H", data, at + 4)[0]
        return proto, (src, ident), (dst, ident)
    sport, dport = struct.unpack_from("!HH", data, at)
    return proto, (src, sport), (dst, dport)


def rewritten(data: bytes, src: Endpoint, dst: Endpoint, ttl: int) -> bytes:
    """The frame with other ends and its TTL changed by `ttl`. Checksums are left as they were: nothing here reads them."""
    found = headers(data)
    assert found
    ip, version, proto, at = found
    new = bytearray(data)
    if version == 4:
        new[ip + 12 : ip + 20] = src[0] + dst[0]
    else:
        new[ip + 8 : ip + 40] = src[0] + dst[0]
    hops = ip + (8 if version == 4 else 7)
    new[hops] = max(1, min(255, new[hops] + ttl))
    if proto in (1, 58):
        new[at + 4 : at + 6] = struct.pack("!H", src[1])
    else:
        new[at : at + 4] = struct.pack("!HH", src[1], dst[1])
    return bytes(new)


def cross_nat(frames: list[Frame], nat: Nat, rng: random.Random) -> Sides:
    """Send a capture's frames through a NAT: both sides as captured, losses and all."""
    mapped: dict[Tuple, tuple[Endpoint, Endpoint]] = {}
    used: set[tuple[int, Endpoint]] = set()
    dropped: set[Tuple] = set()
    gone: set[int] = set()
    out: list[tuple[int, int, Frame]] = []
    for number, frame in enumerate(frames):
        key = ends(frame.data)
        if key is None:
            continue
        proto, src, dst = key
        back = (proto, dst, src) in mapped or (proto, dst, src) in dropped
        first = (proto, dst, src) if back else key
        if first not in mapped and first not in dropped:
            if rng.random() < nat.dropped:
                dropped.add(first)
            else:
                mapped[first] = _choose(nat, rng, used, proto, first)
        if first in dropped:
            gone.add(number)
            continue
        new_src, new_dst = mapped[first]
        fall = 1 if nat.lowers_ttl else 0
        data = rewritten(frame.data, new_dst, new_src, fall) if back else rewritten(frame.data, new_src, new_dst, -fall)
        delay = rng.randrange(*nat.delay_ns) * (-1 if back else 1)
        out.append((frame.time_ns + delay + nat.offset_ns, number, Frame(frame.time_ns + delay + nat.offset_ns, data, frame.wire)))
    out.sort(key=lambda row: row[:2])
    kept_in = [i for i in range(len(frames)) if rng.random() >= nat.lost]
    kept_out = [row for row in out if rng.random() >= nat.lost]
    return Sides([frames[i] for i in kept_in], [frame for _, _, frame in kept_out], kept_in, [number for _, number, _ in kept_out], gone)


def _choose(nat: Nat, rng: random.Random, used: set[tuple[int, Endpoint]], proto: int, first: Tuple) -> tuple[Endpoint, Endpoint]:
    _, src, dst = first
    query = proto in (1, 58)
    if nat.source:
        while True:
            port = src[1] if nat.keep_ports and not query else rng.randrange(1024, 65536)
            host = rng.randrange(1, 200) if nat.keep_ports else rng.randrange(1, 4)
            new = (_host("203.0.113.0" if len(src[0]) == 4 else "2001:db8:113::", host), port)
            if (proto, new) not in used:
                break
        used.add((proto, new))
        src = new
    if nat.destination:
        dst = (_host("100.64.0.0" if len(dst[0]) == 4 else "2001:db8:64::", dst[0][-1]), dst[1] if query else dst[1] + 8000 & 0xFFFF or 1)
    if query:
        dst = dst[0], src[1]
    return src, dst


def _host(net: str, number: int) -> bytes:
    return (ip_address(net) + number).packed


def with_noise(sides: Sides, inside: list[Frame], outside: list[Frame], rng: random.Random) -> Sides:
    """Both captures with frames of others in between, moved into the captures' time."""

    def merged(mine: list[Frame], numbers: list[int], other: list[Frame]) -> tuple[list[Frame], list[int]]:
        start, end = mine[0].time_ns, mine[-1].time_ns
        moved = sorted(rng.randrange(start, end + 1) for _ in other)
        rows = list(zip(mine, numbers, strict=True)) + [
            (frame._replace(time_ns=time), -1) for frame, time in zip(other, moved, strict=True)
        ]
        rows.sort(key=lambda row: row[0].time_ns)
        return [frame for frame, _ in rows], [number for _, number in rows]

    if not sides.inside or not sides.outside:
        return sides
    one, other = merged(sides.inside, sides.inside_numbers, inside), merged(sides.outside, sides.outside_numbers, outside)
    return Sides(*one[:1], *other[:1], *one[1:], *other[1:], sides.dropped)
