"""From a path to Packets: open, walk, decode, chunk by chunk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

from .. import kernel
from .capture import Capture
from .decode import decode
from .packets import Packets, Quoted

Progress = Callable[[int, int | None], None]
"""Told (bytes read, size of the file or None) after each chunk."""
KEY_LIMIT = 128
READ_WITHOUT_MARK = ("proto", "sport", "dport", "tcp_flags", "payload_at", "payload_len")
"""What following conversations reads of every frame; where nothing else is kept, clearing the rest would be wasted."""


@dataclass
class Batch:
    """Decoded frames of one chunk: rows 0..count-1 of packets, 0..quotes-1 of quoted. Reused for the next batch.

    first_row: frames before this batch; the rows in `quoted.carrier` count from the batch's start.
    """

    packets: Packets
    count: int
    quoted: Quoted
    quotes: int
    first_row: int


def batches(capture: Capture, limit: int = 0, progress: Progress | None = None) -> Iterator[Batch]:
    """Decode a capture's frames batch by batch; limit is the payload bytes a fingerprint covers (0: make none)."""
    packets = quoted = None
    row = 0
    for chunk in capture.chunks():
        if packets is None or quoted is None or len(packets) < chunk.count:
            packets, quoted = Packets.empty(len(chunk.frames)), Quoted.empty(len(chunk.frames))
        for name in Packets.columns if limit else READ_WITHOUT_MARK:
            getattr(packets, name)[: chunk.count] = 0
        quotes = decode(chunk.buf, chunk.frames, chunk.count, chunk.base, capture.links, packets, quoted, limit)
        if capture.sided:
            packets.direction[: chunk.count] = chunk.frames.direction[: chunk.count]
            packets.packet_id[: chunk.count] = chunk.frames.packet_id[: chunk.count]
        yield Batch(packets, chunk.count, quoted, quotes, row)
        row += chunk.count
        keep_pace(capture)
        if progress:
            progress(capture.done_bytes, capture.file_bytes)


def keep_pace(capture: Capture) -> None:
    """Go on in machine code if a file holds many more frames than its beginning promised."""
    if capture.frames > UNPROMISED_FRAMES:
        share = (capture.file_bytes or 0) / max(1, capture.done_bytes)
        with _pace:
            kernel.prepare(int(capture.frames * max(1.0, share)))


UNPROMISED_FRAMES = 20_000
_pace = Lock()


def read(path: str, limit: int = KEY_LIMIT, via: str | None = None) -> tuple[Capture, Packets, Quoted]:
    """All packets of a capture file, and what its ICMP errors quote. Raises CaptureError if it cannot be read at all."""
    capture = Capture(path, via=via)
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


def glance(path: str, via: str | None = None) -> Glance:
    """Look at a file's first frames. Standard input and pipes are not touched: nothing is known of them."""
    if path == "-" or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)):
        return Glance(UNKNOWN_FRAMES, [])
    capture = Capture(path, GLANCE_FRAMES, via)
    chunk = capture.first_chunk()
    snaplens = [i.snaplen for i in capture.interfaces]
    if capture.file_bytes is None or (not chunk.count and not capture.ended):
        return Glance(UNKNOWN_FRAMES, snaplens)
    if not chunk.count:
        return Glance(0, snaplens)
    mean = (int(chunk.frames.at[chunk.count - 1]) + int(chunk.frames.cap_len[chunk.count - 1])) / chunk.count
    unpacked = (capture.base + capture.end) / capture.done_bytes  # what a byte of the file becomes
    return Glance(int(capture.file_bytes * unpacked / mean) + 1, snaplens)


GLANCE_FRAMES = 100
UNKNOWN_FRAMES = 1_000_000


def key_limit(snaplens: list[int]) -> int:
    """How many payload bytes fingerprints may cover so that captures with these snaplens agree.

    Room is left for 14 bytes of Ethernet, 4 of VLAN, 40 of IPv6 and 32 of TCP with timestamps.
    """
    shortest = min([s for s in snaplens if s > 0], default=KEY_LIMIT + 90)
    return max(16, min(KEY_LIMIT, shortest - 90))
