"""ERF, what Endace's DAG cards write: records without a file header, each with its own type and port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .pcap import LONGEST_FRAME
from .snoop import NO_LINK
from .walk import ERF_PAD, MAX_LEN, walk_erf

if TYPE_CHECKING:
    from .capture import Capture

LINKS = {2: 1, 11: 1, 16: 1, 20: 1, 1: 50, 10: 50, 15: 50, 17: 50, 19: 50, 21: 247, 22: 228, 23: 229}
"""Record type to link type: Ethernet; HDLC and PPP over SONET; InfiniBand; IPv4; IPv6. Others are counted, not decoded."""
TYPES = 49
RECORDS = 20
WEEK = 7 * 24 * 3600


def head(capture: Capture, first: bytes) -> bool:
    """Take the file if its first records can only be ERF's: there is no magic number, so every field must make sense."""
    if not looks_like(bytes(capture.buf[capture.start : capture.end])):
        return False
    capture.format = "erf"
    capture.state[MAX_LEN] = LONGEST_FRAME
    capture.lookup = np.full(128 * 4, -1, np.int64)
    return True


def looks_like(data: bytes) -> bool:
    """Up to twenty records, at least one whole: known types, lengths that hold their frames, times that hardly go back."""
    at = whole = 0
    before: int | None = None
    for _ in range(RECORDS):
        if at + 16 > len(data):
            break
        kind, size, wire = (
            data[at + 8] & 0x7F,
            int.from_bytes(data[at + 10 : at + 12], "big"),
            int.from_bytes(data[at + 14 : at + 16], "big"),
        )
        if not 0 < kind < TYPES or size < 16 or (size == 16 and kind != ERF_PAD):
            return False
        if kind != ERF_PAD:
            seconds = int.from_bytes(data[at + 4 : at + 8], "little")
            if before is not None and not before - 1 <= seconds <= before + WEEK:
                return False
            before = seconds
            head = 16
            more = data[at + 8] & 0x80
            while more and at + head < len(data) and head + 8 <= size:
                more = data[at + head] & 0x80
                head += 8
            if more or (kind == 2 and not wire) or (kind == 22 and data[at + head : at + head + 1] < b"\x40"):
                return False
        if at + size > len(data):
            break
        whole += kind != ERF_PAD
        at += size
    return whole >= 3 or (whole >= 1 and at == len(data))


def walk(capture: Capture, first: int) -> int:
    """Fill the columns from row `first` on."""
    rows = len(capture.columns)
    return walk_erf(capture.buf, capture.start, capture.end, capture.columns, first, rows, capture.state, capture.table, capture.lookup)


def block(capture: Capture) -> bool:
    """The record at the buffer's start is the first of its type and port: make an interface of them."""
    kind, port = int(capture.buf[capture.start + 8]) & 0x7F, int(capture.buf[capture.start + 9]) & 3
    capture.lookup[kind * 4 + port] = len(capture.interfaces)
    capture.add_interface(LINKS.get(kind, NO_LINK), 0, f"port {port}", tick="2^-32", mul=1)
    return True
