"""Checksums of the headers of one frame: what was found, what is expected, and what a difference means.

Sources: RFC 1071 (the sum), RFC 791 (IPv4), RFC 9293 3.1 (TCP), RFC 768 (UDP), RFC 792 (ICMP), RFC 8200 8.1 (the IPv6
pseudo-header), RFC 6935 (UDP without one in IPv6 tunnels). That a sender's own capture shows sums that are not yet made
is how network cards' offloads look; Linux leaves the sum of the pseudo-header in the field (CHECKSUM_PARTIAL).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from .single import Single

EXTENSIONS = 128
V4_END = 20


class State(Enum):
    """What a checksum is found to be."""

    RIGHT = "right"
    WRONG = "wrong"
    ZERO = "zero"
    LEFT = "left to the network card"
    UNKNOWN = "not knowable"


class Checksum(NamedTuple):
    """A checksum: which header's (depth 0 is the outermost packet), the two values (None: not there, not computed), and what it means."""

    depth: int
    of: str
    found: int | None
    expected: int | None
    state: State
    says: str


class Above(NamedTuple):
    """What an IP header carries: protocol, where that begins and how long it is, the addresses its pseudo-header has.

    whole: False for a fragment. unknown: why the sum cannot be computed, if so.
    """

    proto: int
    at: int
    size: int
    addresses: bytes
    whole: bool
    unknown: str


def folded(data: bytes, start: int = 0) -> int:
    """The ones' complement sum of 16-bit words, not inverted."""
    total = start + int.from_bytes(data + b"\0" * (len(data) % 2), "big")
    return total and (total % 0xFFFF or 0xFFFF)  # 65536 is 1 modulo 65535, and only nothing but zeros sums up to 0


def checksums(frame: Single) -> list[Checksum]:
    """All checksums of a frame, outermost first. A packet that carries another has been summed up whole, too."""
    found: list[Checksum] = []
    for depth, header in enumerate(frame.headers):
        data = frame.data[: header.end]
        carried = above(data, header.at, header.version)
        if header.version == 4:
            found.append(_ip(data, header.at, depth))
        if carried is not None:
            found += _transport(data, carried, depth, header.version)
    return found


def _half(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _ip(data: bytes, at: int, depth: int) -> Checksum:
    size = (data[at] & 15) * 4
    found = _half(data, at + 10)
    head = data[at : at + size]
    if len(head) < size:
        return Checksum(depth, "IPv4 header", found, None, State.UNKNOWN, CUT.format(len(head), size))
    expected = 0xFFFF - folded(head[:10] + head[12:])
    return _judged(depth, "IPv4 header", found, expected, folded(head) == 0xFFFF)


def _judged(depth: int, of: str, found: int, expected: int, right: bool, partial: int | None = None) -> Checksum:
    if right:
        return Checksum(depth, of, found, expected, State.RIGHT, "")
    if found == partial:
        return Checksum(depth, of, found, expected, State.LEFT, PARTIAL)
    if found == 0:
        return Checksum(depth, of, found, expected, State.ZERO, NOT_MADE)
    return Checksum(depth, of, found, expected, State.WRONG, "")


CUT = "{} of its {} bytes are there"
PARTIAL = "the field holds the sum of the pseudo-header, as Linux leaves it to the network card"
NOT_MADE = "not made yet: left to the network card"
NO_SUM = "the sender made none"
NO_SUM_6 = "none was made, which IPv6 allows in tunnels only"
PART = "a fragment: the sum covers the whole datagram"
NO_LENGTH = "the IP length is 0: cutting into segments was left to the network card, and the sum with it"
NO_END = "the header does not tell the address or the length that the sum covers"
WRONG_SENT = "usual where the capturing host sends: its network card makes the sum afterwards (offload)"
WRONG_RECEIVED = "the packet was received: it was damaged, or changed without making the sum anew"
WRONG_EITHER = f"{WRONG_SENT}; in a packet it received: damaged, or changed without making the sum anew"


def meaning(checksum: Checksum, direction: int) -> str:
    """What a reader should make of a checksum, given which way the frame went (0 not known, 1 in, 2 out); "" if there is nothing to say."""
    if checksum.state is State.WRONG:
        return {1: WRONG_RECEIVED, 2: WRONG_SENT}.get(direction, WRONG_EITHER)
    return checksum.says


NAMES = {6: ("TCP", 16), 17: ("UDP", 6), 1: ("ICMP", 2), 58: ("ICMPv6", 2)}
"""Protocol to (name, where its checksum lies)."""


def _transport(data: bytes, above: Above, depth: int, version: int) -> Iterator[Checksum]:
    if above.proto not in NAMES:
        return
    name, field = NAMES[above.proto]
    body = data[above.at : above.at + above.size]
    if len(body) < field + 2:
        if above.whole:
            yield Checksum(depth, name, None, None, State.UNKNOWN, CUT.format(len(body), above.size))
        return
    found, size = _half(body, field), above.size
    unknown = above.unknown
    if above.proto == 17:
        size = _half(body, 4) or size
        if found == 0:
            yield Checksum(depth, name, 0, None, State.ZERO, NO_SUM if version == 4 else NO_SUM_6)
            return
        if above.whole and (size < 8 or size > above.size):
            unknown = f"its length of {size} does not fit the {above.size} bytes of its packet"
    pseudo = b"" if above.proto == 1 else above.addresses + size.to_bytes(4, "big") + above.proto.to_bytes(4, "big")
    partial = folded(pseudo) if pseudo else None
    if not above.whole:
        unknown = PART
    elif len(body) < size and not unknown:
        unknown = CUT.format(len(body), size)
    body, start = body[:size], folded(pseudo)
    right = folded(body, start) == 0xFFFF
    if unknown and not (right and unknown == NO_LENGTH):
        left = found == partial and above.whole and unknown != NO_END
        yield Checksum(depth, name, found, None, State.LEFT if left else State.UNKNOWN, PARTIAL if left else unknown)
    else:
        expected = 0xFFFF - folded(body[:field] + b"\0\0" + body[field + 2 :], start)
        if above.proto == 17:
            expected = expected or 0xFFFF
        yield _judged(depth, name, found, expected, right, partial)


def above(data: bytes, at: int, version: int) -> Above | None:
    """What the IP header at data[at:] carries; None for a later fragment."""
    return _above_4(data, at) if version == 4 else _above_6(data, at)


def _above_4(data: bytes, at: int) -> Above | None:
    head, total = (data[at] & 15) * 4, _half(data, at + 2)
    fragment, proto = _half(data, at + 6), data[at + 9]
    addresses = data[at + 12 : at + 20]
    options = data[at + V4_END : at + head]
    unknown = NO_LENGTH if not total else NO_END if _routed(options) else ""
    start, stop = at + head, at + total if total else len(data)
    if proto == 51 and not fragment & 0x1FFF and start + 2 <= len(data):
        proto, start = data[start], start + 8 + data[start + 1] * 4
    if fragment & 0x1FFF:
        return None
    return Above(proto, start, max(0, stop - start), addresses, not fragment & 0x2000, unknown)


def _routed(options: bytes) -> bool:
    """Whether IPv4 options hold a source route that is not used up: the last address is not in the header then (RFC 791 3.1)."""
    at = 0
    while at + 2 < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        if options[at] in (131, 137):
            return options[at + 2] <= options[at + 1]
        at += max(2, options[at + 1])
    return False


def _above_6(data: bytes, at: int) -> Above | None:
    total, proto = _half(data, at + 4), data[at + 6]
    source, target = data[at + 8 : at + 24], data[at + 24 : at + 40]
    start = at + 40
    stop = start + total if total else len(data)
    whole, unknown = True, "" if total else NO_LENGTH
    for _ in range(EXTENSIONS):
        if start + 8 > len(data) or proto not in (0, 43, 44, 51, 60, 140):
            break
        size = 8 if proto == 44 else 8 + data[start + 1] * (4 if proto == 51 else 8)
        if proto == 44:
            part = _half(data, start + 2)
            if part >> 3:
                return None
            whole = not part & 1
        elif proto == 43 and data[start + 3]:  # segments are left: the last one is the destination that counts
            kind = data[start + 2]
            last = start + size - 16 if kind in (0, 2) else start + 8  # RFC 8754 counts its segments down
            if kind not in (0, 2, 4) or size < 24 or start + size > len(data):
                unknown = unknown or NO_END
            target = data[last : last + 16]
        elif proto == 60:
            source = _home(data[start + 2 : start + size]) or source
        proto, start = data[start], start + size
    return Above(proto, start, max(0, stop - start), source + target, whole, unknown)


def _home(options: bytes) -> bytes | None:
    """The home address among destination options, which takes the source's place (RFC 6275 6.3)."""
    at = 0
    while at + 2 <= len(options):
        if options[at] == 0:
            at += 1
            continue
        if options[at] == 0xC9 and options[at + 1] == 16 and at + 18 <= len(options):
            return options[at + 2 : at + 18]
        at += 2 + options[at + 1]
    return None
