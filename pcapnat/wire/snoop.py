"""snoop files, of Solaris and of Shomiti's Surveyor (RFC 1761; link types as Wireshark's snoop.c maps them)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from .pcap import LONGEST_FRAME
from .walk import MAX_LEN, walk_snoop

if TYPE_CHECKING:
    from .capture import Capture

NO_LINK = 147
"""LINKTYPE_USER0, for link types that have no other number."""
LINKS = {0: 1, 2: 6, 4: 1, 8: 10, 9: 0, 14: 0, 16: 122, 18: 123, 26: 242, 0x80000005: 226}
SHOMITI_LINKS = {0: 1, 2: 6, 4: 1, 8: 10, 10: 1, 11: 6, 12: 1, 13: 6, 14: 6, 19: 1}
SHOMITI_TRAILER = 20
"""Where a first record has this much behind its frame, it is Surveyor's; its link types have other numbers."""


def head(capture: Capture, first: bytes) -> bool:
    """Take the file's header if it is snoop's."""
    if not first.startswith(b"snoop\0\0\0"):
        return False
    if len(first) < 16:
        capture.refuse(f"a snoop header cut short: {len(first)} of 16 bytes")
    version, link = struct.unpack(">II", first[8:16])
    if version not in (2, 3, 4, 5):
        capture.problems.append(f"snoop version {version}, read as version 2")
    shomiti = False
    if len(first) >= 40:
        size, record = struct.unpack(">4xII", first[16:28])
        shomiti = record >= 24 + size + SHOMITI_TRAILER
    links = SHOMITI_LINKS if shomiti else LINKS
    if link not in links:
        capture.notes.append(f"snoop link type {link} is not decoded")
    capture.format = "snoop"
    capture.start = 16
    capture.state[MAX_LEN] = LONGEST_FRAME
    capture.add_interface(links.get(link, NO_LINK), 0, tick="1e-06", mul=1000)
    return True


def walk(capture: Capture, first: int) -> int:
    """Fill the columns from row `first` on."""
    return walk_snoop(capture.buf, capture.start, capture.end, capture.columns, first, len(capture.columns), capture.state, capture.table)
