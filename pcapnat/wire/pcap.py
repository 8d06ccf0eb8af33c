"""pcap's file header and its variants (draft-ietf-opsawg-pcap; libpcap's sf-pcap.c and Wireshark's libpcap.c for the rest).

Several patched libpcaps wrote longer record headers, some of them under the usual magic number. As Wireshark does, the first
records are tried with each header length that a magic number may mean, and the one with the fewest oddities is taken.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from .walk import BIG, HEADER, MAX_LEN, SWAPPED, TICK, walk_pcap

if TYPE_CHECKING:
    from .capture import Capture

LONGEST_FRAME = 262_144
"""What Wireshark and tcpdump take for the longest frame; a longer one is damage."""
LONGER = {231: 128 << 20, 249: 128 << 20, 279: 32 << 20}
"""Link types whose frames may be longer: D-Bus, USBPcap, EBHSCR."""
PLAIN, KUZNETZOV, SUSE, NOKIA = 16, 24, 28, 20
"""Bytes of a record's header: the usual one, Alexey Kuznetzov's patch, its variant in SuSE 6.3, Nokia's."""
AIX_LINKS = {6: 1, 9: 6, 15: 10, 24: 0}
"""AIX writes RFC 1573 interface types, version 2.2 and nanoseconds."""


class Magic(NamedTuple):
    """What a file's first four bytes tell: nanoseconds in a tick, record headers to try, bytes behind the file header."""

    tick: int
    headers: tuple[int, ...]
    extra: int = 0


MAGICS = {
    0xA1B2C3D4: Magic(1000, (PLAIN, KUZNETZOV, NOKIA)),
    0xA1B23C4D: Magic(1, (PLAIN,)),
    0xA1B2CD34: Magic(1000, (KUZNETZOV, SUSE)),
    0x1C0001AC: Magic(1000, (PLAIN,), 4),
    0x1C0001AB: Magic(1000, (PLAIN,), 4),
}


def longest(link: int) -> int:
    """The longest frame of a link type."""
    return LONGER.get(link, LONGEST_FRAME)


def head(capture: Capture, first: bytes) -> bool:
    """Take the file's header if it is pcap's."""
    for order, big in (("<", 0), (">", 1)):
        magic = MAGICS.get(struct.unpack(order + "I", first[:4])[0]) if len(first) >= 4 else None
        if magic is None:
            continue
        size = 24 + magic.extra
        if len(first) < size:
            capture.refuse(f"a pcap header cut short: {len(first)} of {size} bytes")
        tick, headers = magic.tick, magic.headers
        major, minor, _, _, snaplen, link = struct.unpack(order + "HHiIII", first[4:24])
        if (major, minor) == (2, 2) and link in AIX_LINKS:
            link, tick, headers = AIX_LINKS[link], 1, (PLAIN,)
        link &= 0xFFFF
        swapped = 1 if major == 543 or (major == 2 and minor < 3) else 2 if (major, minor) == (2, 3) else 0
        if major not in (2, 543):
            capture.problems.append(f"pcap version {major}.{minor}, read as version 2.4")
        capture.format = "pcap"
        capture.start = size
        chosen = headers[0]
        if len(headers) > 1:
            data = capture.buf.data[size : max(size, capture.end)]
            odd = {h: oddities(data, order, h, snaplen, longest(link), swapped, not capture.ended) for h in headers}
            chosen = min(headers, key=lambda h: odd[h])
            if chosen != PLAIN:
                capture.notes.append(f"pcap with record headers of {chosen} bytes, as patched libpcaps wrote them")
        state = capture.state
        state[[BIG, TICK, MAX_LEN, HEADER, SWAPPED]] = big, tick, longest(link), chosen, swapped
        capture.add_interface(link, snaplen, tick=f"1e-{9 if tick == 1 else 6:02d}", mul=tick)
        return True
    return False


def oddities(data: memoryview, order: str, header: int, snaplen: int, most: int, swapped: int, more: bool) -> int:
    """How many things are odd about the first of three records that has any, read with this length of their headers.

    more: the file may go on behind `data`.
    """
    at = 0
    for _ in range(3):
        if at == len(data):
            return 0
        if at + header > len(data):
            return 0 if more else 1
        _, fraction, size, wire = struct.unpack_from(order + "IIII", data, at)
        if swapped == 1 or (swapped == 2 and size > wire):
            size, wire = wire, size
        odd = (fraction >= 1_000_000) + (size > most) + (wire > 128 << 20) + (size > snaplen) + (size > wire)
        if odd:
            return int(odd)
        at += header + size
        if at > len(data):
            return 0 if more else 1  # as little as anything: a file that is cut is more likely than a patched libpcap's
    return 0


def walk(capture: Capture, first: int) -> int:
    """Fill the columns from row `first` on."""
    return walk_pcap(capture.buf, capture.start, capture.end, capture.columns, first, len(capture.columns), capture.state)
