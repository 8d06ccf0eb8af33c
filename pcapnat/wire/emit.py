"""A frame with other addresses, ports and TTL: its bytes, with every checksum that this touches made right.

A checksum whose data is all there is made anew, so that one that was left to the network card (or was wrong) is right
afterwards; in fragments and cut frames it is moved by what changed (RFC 1624 equation 3), and stays as right as it was. UDP
over IPv4 without a checksum stays without. The quoted packet of an ICMP error is rewritten with its own checksums (RFC 5508 4.2).
"""

from __future__ import annotations

from typing import NamedTuple

from .checksum import above, folded
from .link import IPV4, IPV6, layouts
from .single import Header
from .strip import strip

SUMS = {6: 16, 17: 6, 1: 2, 58: 2, 136: 6, 33: 6}
"""Where the checksum of a protocol lies."""
PORTED = {6, 17, 132, 136, 33}
NO_PSEUDO = {1, 132}
ERRORS = {(1, 3), (1, 4), (1, 5), (1, 11), (1, 12), (58, 1), (58, 2), (58, 3), (58, 4)}
SCTP = 132
ICMP_HEAD = 8
ETHERNET = 1


class Ends(NamedTuple):
    """Addresses (4 or 16 bytes each), and ports, or the identifier of an ICMP query in both; -1 for none."""

    src: bytes
    dst: bytes
    sport: int = -1
    dport: int = -1


class DamagedError(Exception):
    """The frame's headers are not whole: it cannot be rewritten."""


def changed(data: bytes, header: Header, ends: Ends, ttl: int, quoted: Ends | None = None) -> bytes:
    """The frame with new ends and TTL; its packet begins at header.at and keeps its IP version. quoted: new ends of an error's quote.

    Raises DamagedError if a header is not whole.
    """
    out = bytearray(data)
    _packet(out, header.at, min(header.end, len(out)), ends, ttl, quoted)
    return bytes(out)


def as_ipv4(data: bytes, header: Header, ends: Ends, ttl: int) -> bytes:
    """The frame with its IPv6 packet as IPv4 (RFC 7915 section 5.1), without extension headers and padding.

    Raises DamagedError for what has no such form here: fragments, ICMPv6 but echo, headers that are not whole.
    """
    at, end = header.at, min(header.end, len(data))
    over = above(data[:end], at, 6)
    if over is None or not over.whole or over.at > end or len(ends.src) != 4 or over.size > 0xFFFF - 20:
        raise DamagedError
    body = bytearray(data[over.at : min(end, over.at + over.size)])
    proto = 1 if over.proto == 58 else over.proto
    if over.proto == 58:
        if len(body) < ICMP_HEAD or body[0] not in (128, 129):
            raise DamagedError
        old = folded(bytes(body)) + folded(over.addresses + over.size.to_bytes(4, "big") + b"\0\0\0\x3a")
        body[0] = 8 if body[0] == 128 else 0
        had = int.from_bytes(body[2:4], "big")
        body[2:4] = (0xFFFF - (((0xFFFF - had) + folded(bytes(body)) - old) % 0xFFFF or 0xFFFF)).to_bytes(2, "big")
    elif proto in SUMS and len(body) >= SUMS[proto] + 2:  # from here on it is a packet whose addresses change
        field = SUMS[proto]
        had = int.from_bytes(body[field : field + 2], "big")
        less, more = folded(over.addresses), folded(bytes(8))
        body[field : field + 2] = (0xFFFF - (((0xFFFF - had) + more - less) % 0xFFFF or 0xFFFF)).to_bytes(2, "big")
    tos = int.from_bytes(data[at : at + 2], "big") >> 4 & 0xFF
    head = bytes([0x45, tos]) + (20 + over.size).to_bytes(2, "big") + b"\0\0\x40\0" + bytes([0, proto]) + bytes(10)
    link = bytearray(data[:at])
    if at >= 2 and link[-2:] == b"\x86\xdd":
        link[-2:] = b"\x08\0"
    out = link + head + body
    _packet(out, at, len(out), ends, ttl, None)
    return bytes(out)


def _packet(out: bytearray, at: int, end: int, ends: Ends, ttl: int, quoted: Ends | None, inside_error: bool = False) -> None:
    """Rewrite the packet at out[at:end] in place; of one that an error quotes, little but its header may be there."""
    version = out[at] >> 4 if 0 <= at < end else 0
    size = {4: 20, 6: 40}.get(version, 0)
    if not size or at + size > end or {len(ends.src), len(ends.dst)} != {4 if version == 4 else 16}:
        raise DamagedError
    place, width = (at + 12, 4) if version == 4 else (at + 8, 16)
    if version == 4 and not int.from_bytes(out[at + 2 : at + 4], "big") and end - at <= 0xFFFF and not inside_error:
        out[at + 2 : at + 4] = (end - at).to_bytes(2, "big")  # the length was left to the network card, too
    if version == 6 and not any(out[at + 4 : at + 6]) and out[at + 6] in (6, 17) and end - at - size <= 0xFFFF and not inside_error:
        out[at + 4 : at + 6] = (end - at - size).to_bytes(2, "big")
    view = bytes(out[:end])
    over = above(view, at, version)
    old = folded(view[place : place + 2 * width])
    out[place : place + width], out[place + width : place + 2 * width] = ends.src, ends.dst
    if ttl >= 0:
        out[at + (8 if version == 4 else 7)] = ttl
    if version == 4:
        head = at + (out[at] & 15) * 4
        if head > end or head < at + size:
            raise DamagedError
        out[at + 10 : at + 12] = b"\0\0"
        out[at + 10 : at + 12] = (0xFFFF - folded(bytes(out[at:head]))).to_bytes(2, "big")
    if over is None:  # a later fragment: nothing of the header above is here
        return
    proto, start = over.proto, over.at
    stop = min(end, start + over.size)
    before = folded(bytes(out[start:stop]))
    field = start + SUMS.get(proto, 0)
    had = int.from_bytes(out[field : field + 2], "big") if field + 2 <= stop else -1
    if proto in PORTED and ends.sport >= 0:
        if start + 4 > stop:
            raise DamagedError
        out[start : start + 4] = ends.sport.to_bytes(2, "big") + ends.dport.to_bytes(2, "big")
    elif proto in (1, 58) and ends.sport >= 0 and start + 6 <= stop:
        out[start + 4 : start + 6] = ends.sport.to_bytes(2, "big")
    if quoted is not None and (proto, out[start] if start < stop else -1) in ERRORS:
        _packet(out, start + ICMP_HEAD, stop, quoted, -1, None, inside_error=True)
    if proto == SCTP:
        if over.whole and not inside_error and start + over.size <= end:
            out[start + 8 : start + 12] = b"\0\0\0\0"
            out[start + 8 : start + 12] = crc32c(bytes(out[start:stop])).to_bytes(4, "little")
        return
    if proto not in SUMS or had < 0 or (proto == 17 and had == 0 and version == 4):
        return
    pseudo = proto not in NO_PSEUDO
    length = int.from_bytes(out[start + 4 : start + 6], "big") if proto == 17 and start + 6 <= stop else over.size
    whole = over.whole and not inside_error and start + over.size <= end and over.unknown == "" and proto in (6, 17, 1, 58)
    if whole and (proto != 17 or 8 <= length <= over.size):
        out[field : field + 2] = b"\0\0"
        total = folded(bytes(out[place : place + 2 * width]) + length.to_bytes(4, "big") + proto.to_bytes(4, "big")) if pseudo else 0
        new = 0xFFFF - folded(bytes(out[start : start + (length if proto == 17 else over.size)]), total)
    else:
        after = folded(bytes(out[start:stop])) + (folded(bytes(out[place : place + 2 * width])) if pseudo else 0)
        less = before + (old if pseudo else 0)
        new = 0xFFFF - (((0xFFFF - had) + after - less) % 0xFFFF or 0xFFFF)
    if proto == 17 and new == 0:
        new = 0xFFFF
    out[field : field + 2] = (new & 0xFFFF).to_bytes(2, "big")


def _table() -> list[int]:
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


_CRC = _table()


def crc32c(data: bytes) -> int:
    """SCTP's checksum (RFC 9260 appendix A)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def network_at(data: bytes, link_type: int) -> int:
    """Where the IP header of a frame begins, behind its link header and tags; -1 if there is none."""
    if link_type == ETHERNET and data[12:14] in (b"\x08\0", b"\x86\xdd"):
        return 14
    at, kind, *_ = strip(memoryview(data), 0, len(data), int(layouts([link_type])[0]))
    return int(at) if kind in (IPV4, IPV6) else -1
