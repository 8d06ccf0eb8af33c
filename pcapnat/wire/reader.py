"""From a path to Packets: open, walk, decode, chunk by chunk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from threading import Lock
from typing import NamedTuple

from .. import kernel
from ..table import Array
from ..terms import Selection
from .capture import Capture, Chunk
from .decode import decode
from .link import layouts
from .packets import Outer, Packets, Quoted
from .select import Meant, Selector
from .source import BOMB_FRAMES, FRAME_BYTES
from .transport import LEAST_LIMIT
from .windows import PacketFacts

Progress = Callable[[int, int | None], None]
"""Told (bytes read, size of the file or None) after each chunk."""
KEY_LIMIT = 128
READ_WITHOUT_MARK = ("proto", "sport", "dport", "tcp_flags", "payload_at", "payload_len")
"""What following conversations reads of every frame; where nothing else is kept, clearing the rest would be wasted."""


@dataclass
class Batch:
    """Decoded frames of one chunk: rows 0..count-1 of packets, 0..quotes-1 of quoted, 0..outers-1 of outer. Reused for the next batch.

    first_row: frames before this batch; the rows in `carrier` columns count from the batch's start. chunk: the bytes. facts: None for
    most files. picked: which frames are meant, None for all of them. hashes: of the rows, once `flow.Tracker.hash` made them.
    """

    packets: Packets
    count: int
    quoted: Quoted
    quotes: int
    first_row: int
    outer: Outer
    outers: int
    chunk: Chunk
    facts: PacketFacts | None = None
    picked: Meant | None = None
    hashes: Array | None = None


class Store:
    """The packets of one or several files, one after the other in one table.

    frames: about how many will come; memory for them is set aside and touched only when written to.
    """

    def __init__(self, frames: int):
        self._table = Packets.empty(max(frames, 1))
        self.count = 0

    def room(self, rows: int) -> Packets:
        """The next `rows` rows, all zero, to be written to; they count from then on."""
        if self.count + rows > len(self._table):
            self._table = self._table.grown(max(self.count + rows, 2 * len(self._table)))
        self.count += rows
        return self._table.part(self.count - rows, self.count)

    def packets(self) -> Packets:
        """Everything stored so far."""
        return self._table.part(0, self.count)


def selector(capture: Capture, selection: Selection, interface: str | None = None) -> Selector | None:
    """What chooses frames of a capture; None if all that are read are meant."""
    return None if interface is None and selection == Selection(first=selection.first) else Selector(capture, selection, interface)


def batches(
    capture: Capture,
    limit: int = 0,
    progress: Progress | None = None,
    store: Store | None = None,
    selector: Selector | None = None,
    sets: int = 1,
) -> Iterator[Batch]:
    """Decode a capture's frames batch by batch; limit is the payload bytes a fingerprint covers (0: make none).

    Without a store, each batch's packets are overwritten by the next one's (with `sets` 2 by those of the next but one). A selector
    only says which frames are meant.
    """
    try:
        yield from _batches(capture, limit, progress, store, selector, sets)
        if capture.most is not None and capture.frames >= capture.most:
            capture.notes.append(f"-c: only the first {capture.most} frames were read")
        if selector:
            selector.finish()
    finally:
        if selector:
            selector.close()


@dataclass
class _Tables:
    """What is written to for a batch, again and again; none of it before it is needed."""

    packets: Packets | None = None
    quoted: Quoted | None = None
    outer: Outer | None = None


def _batches(
    capture: Capture, limit: int, progress: Progress | None, store: Store | None, selector: Selector | None, sets: int
) -> Iterator[Batch]:
    links = layouts([])
    row = 0
    for chunk, reused in zip(capture.chunks(), cycle([_Tables() for _ in range(sets)]), strict=False):
        if reused.quoted is None or reused.outer is None or len(reused.quoted) < chunk.count:
            reused.quoted, reused.outer = Quoted.empty(len(chunk.frames)), Outer.empty(max(2 * len(chunk.frames), 1000))
        quoted, outer = reused.quoted, reused.outer
        if len(links) != len(capture.interfaces):
            links = layouts(capture.links[: len(capture.interfaces)])
        if store:
            packets = store.room(chunk.count)
        else:
            if reused.packets is None or len(reused.packets) < chunk.count:
                reused.packets = Packets.empty(len(chunk.frames))
            packets = reused.packets
            for name in Packets.columns if limit else READ_WITHOUT_MARK:
                getattr(packets, name)[: chunk.count] = 0
        used = decode(chunk.buf, chunk.frames, chunk.count, chunk.base, links, packets, quoted, outer, limit)
        if capture.sided:
            packets.direction[: chunk.count] = chunk.frames.direction[: chunk.count]
            packets.packet_id[: chunk.count] = chunk.frames.packet_id[: chunk.count]
        picked = selector.pick(chunk) if selector else None
        yield Batch(packets, chunk.count, quoted, used & 0xFFFFFFFF, row, outer, used >> 32, chunk, chunk.facts, picked)
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
    capture, store = Capture(path, via=via), Store(glance(path, via).frames)
    quoted: list[Quoted] = []
    for batch in batches(capture, limit, store=store):
        quotes = batch.quoted.take(slice(0, batch.quotes))
        quotes.carrier[:] += batch.first_row
        quoted.append(quotes)
    return capture, store.packets(), Quoted.join(quoted)


class Glance(NamedTuple):
    """What the first frames of a file promise: about how many there are, the snaplens it declares, and the time of the first.

    again: it can be read a second time.
    """

    frames: int
    snaplens: list[int]
    first_ns: int | None = None
    again: bool = True


def glance(path: str, via: str | None = None) -> Glance:
    """Look at a file's first frames. Standard input and pipes are not touched: nothing is known of them."""
    if path == "-" or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)):
        return Glance(UNKNOWN_FRAMES, [], again=False)
    capture = Capture(path, GLANCE_FRAMES, via)
    if capture.trace:  # its first frames are known when all of it was looked through
        expected, snaplens = capture.trace.expected_frames(), capture.trace.snaplens()
        capture.close()
        return Glance(expected, snaplens)
    chunk = capture.first_chunk()
    snaplens = [i.snaplen for i in capture.interfaces]
    # Programs that cut frames later do not always say so: etl2pcapng of pktmon's 128 bytes, and what rewrites pcap headers.
    lengths, cut = chunk.frames.cap_len[: chunk.count], chunk.frames.cap_len[: chunk.count] < chunk.frames.wire_len[: chunk.count]
    if cut.any():
        snaplens.append(int((lengths[cut] if capture.windows else lengths).max()))
    first = int(chunk.frames.time_ns[0]) if chunk.count else None
    if capture.file_bytes is None or (not chunk.count and not capture.ended):
        return Glance(UNKNOWN_FRAMES, snaplens, first)
    if not chunk.count:
        return Glance(0, snaplens)
    mean = (int(chunk.frames.at[chunk.count - 1]) + int(chunk.frames.cap_len[chunk.count - 1])) / chunk.count
    unpacked = (capture.base + capture.end) / capture.done_bytes  # what a byte of the file becomes
    frames = int(capture.file_bytes * unpacked / mean) + 1
    if capture.compression:  # a bomb promises more than there is memory for
        frames = min(frames, BOMB_FRAMES + capture.file_bytes // FRAME_BYTES)
    return Glance(frames, snaplens, first)


GLANCE_FRAMES = 100
UNKNOWN_FRAMES = 1_000
"""Taken for a pipe: a short one then needs no machine code, and `keep_pace` sees to a long one."""


def key_limit(snaplens: list[int]) -> int:
    """How many payload bytes fingerprints may cover so that captures with these snaplens agree.

    Room is left for 14 bytes of Ethernet, 4 of VLAN, 40 of IPv6 and 32 of TCP with timestamps.
    """
    shortest = min([s for s in snaplens if s > 0], default=KEY_LIMIT + 90)
    return max(LEAST_LIMIT, min(KEY_LIMIT, shortest - 90))
