"""From a path to Packets: open, walk, decode, chunk by chunk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from .capture import Capture
from .decode import decode
from .link import layouts
from .packets import Outer, Packets, Quoted

Progress = Callable[[int, int | None], None]
"""Told (bytes read, size of the file or None) after each chunk."""
KEY_LIMIT = 128
READ_WITHOUT_MARK = ("proto", "sport", "dport", "tcp_flags", "payload_at", "payload_len")
"""What following conversations reads of every frame; where nothing else is kept, clearing the rest would be wasted."""


@dataclass
class Batch:
    """Decoded frames of one chunk: rows 0..count-1 of packets, 0..quotes-1 of quoted, 0..outers-1 of outer. Reused for the next batch.

    first_row: frames before this batch; the rows in `carrier` columns count from the batch's start.
    """

    packets: Packets
    count: int
    quoted: Quoted
    quotes: int
    first_row: int
    outer: Outer
    outers: int


def batches(capture: Capture, limit: int = 0, progress: Progress | None = None) -> Iterator[Batch]:
    """Decode a capture's frames batch by batch; limit is the payload bytes a fingerprint covers (0: make none)."""
    packets = quoted = outer = None
    row = 0
    for chunk in capture.chunks():
        if packets is None or quoted is None or outer is None or len(packets) < chunk.count:
            packets, quoted = Packets.empty(len(chunk.frames)), Quoted.empty(len(chunk.frames))
            outer = Outer.empty(max(2 * len(chunk.frames), 1000))
        for name in Packets.columns if limit else READ_WITHOUT_MARK:
            getattr(packets, name)[: chunk.count] = 0
        used = decode(chunk.buf, chunk.frames, chunk.count, chunk.base, layouts(capture.table[:, 0]), packets, quoted, outer, limit)
        yield Batch(packets, chunk.count, quoted, used & 0xFFFFFFFF, row, outer, used >> 32)
        row += chunk.count
        if progress:
            progress(capture.done_bytes, capture.file_bytes)


def read(path: str, limit: int = KEY_LIMIT) -> tuple[Capture, Packets, Quoted]:
    """All packets of a capture file, and what its ICMP errors quote. Raises CaptureError if it cannot be read at all."""
    capture = Capture(path)
    packets: list[Packets] = []
    quoted: list[Quoted] = []
    for batch in batches(capture, limit):
        packets.append(batch.packets.take(slice(0, batch.count)))
        quotes = batch.quoted.take(slice(0, batch.quotes))
        quotes.carrier[:] += batch.first_row
        quoted.append(quotes)
    return capture, Packets.join(packets, consume=True), Quoted.join(quoted)


class Glance(NamedTuple):
    """What the first frames of a file promise: about how many there are, and the snaplens it declares."""

    frames: int
    snaplens: list[int]


def glance(path: str) -> Glance:
    """Look at a file's first frames. Standard input and pipes are not touched: nothing is known of them."""
    if path == "-" or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)):
        return Glance(UNKNOWN_FRAMES, [])
    capture = Capture(path, GLANCE_FRAMES)
    for chunk in capture.chunks():
        mean = (int(chunk.frames.at[chunk.count - 1]) + int(chunk.frames.cap_len[chunk.count - 1])) / chunk.count
        return Glance(int((capture.file_bytes or 0) / mean) + 1, [i.snaplen for i in capture.interfaces])
    return Glance(0, [i.snaplen for i in capture.interfaces])


GLANCE_FRAMES = 100
UNKNOWN_FRAMES = 1_000_000


def key_limit(snaplens: list[int]) -> int:
    """How many payload bytes fingerprints may cover so that captures with these snaplens agree.

    Room is left for 14 bytes of Ethernet, 4 of VLAN, 40 of IPv6 and 32 of TCP with timestamps.
    """
    shortest = min([s for s in snaplens if s > 0], default=KEY_LIMIT + 90)
    return max(16, min(KEY_LIMIT, shortest - 90))
