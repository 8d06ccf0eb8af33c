"""What packets' comments and verdicts in a pcapng say, in bulk: each different comment is read once, whatever the number of frames.

etl2pcapng writes a comment to every packet. Without its process, thread and hash numbers it is one of a few texts for each
interface: a kernel finds those texts and numbers them, Python reads one of each. Hostile files may hold a million different
comments: the first MOST_TEXTS are read, and of the others it is counted how many frames they belong to.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernel import digest, inner, kernel, load16, load16le, load32, load32le
from .packets import Flag, Frames
from .reasons import NOT_SAID, reason_text
from .windows import NOTHING, SAYS_DIRECTION, Known, PacketFacts, comment_row

if TYPE_CHECKING:
    from .capture import Capture

MOST_TEXTS = 10_000
LONGEST = 1_000
"""Bytes of a comment that are read."""
AT, SIZE, DIGEST, DROPPED = range(4)
SAID = 4
NUMBER = 24
"""Digits of a process or thread number that are passed over."""


@inner
def past(buf: Any, at: int, stop: int, first: int, second: int) -> int:
    """Behind the word at `at` if it begins with two letters and "D=" (PID=, TID=), else `at`."""
    if at + 4 > stop or buf[at] != first or buf[at + 1] != second or buf[at + 2] != 68 or buf[at + 3] != 61:
        return at
    here = at + 4
    while here < stop and here < at + NUMBER and buf[here] != 32:
        here += 1
    if here < stop and buf[here] != 32:
        return at
    return here + 1 if here < stop else here


@kernel(buf="u1", frames=Frames, rows="i8", said=f"i8:{SAID}")
def read_notes(buf: Any, frames: Any, rows: Any, said: Any) -> int:
    """What the options of packet blocks say. rows: of frames, all marked NOTED. Returns how many have a comment or are dropped.

    said, a row each: position, length and digest of the first comment without process, thread and hash; 1 if the verdict is
    etl2pcapng's and xdpdump's for "dropped" (epb_verdict type 2, XDP: 1).
    """
    n = 0
    for k in range(len(rows)):
        i = rows[k]
        start = frames.at[i] - 28
        big = buf[start] == 0  # the block's kind, 6 or 2, tells
        size = load32(buf, start + 4) if big else load32le(buf, start + 4)
        stop = start + size + (-size & 3) - 4
        length = frames.cap_len[i] | 0
        at = start + 28 + length + (-length & 3)
        while at + 4 <= stop:
            code = load16(buf, at) if big else load16le(buf, at)
            size = load16(buf, at + 2) if big else load16le(buf, at + 2)
            at += 4
            if code == 0 or at + size > stop:
                break
            if code == 1 and size > 0 and said[k, SIZE] == 0:
                here = past(buf, at, at + size, 80, 73)
                here = past(buf, here, at + size, 84, 73)
                end = at + size
                if end - 19 >= here and buf[end - 19] == 32 and buf[end - 18] == 72 and buf[end - 9] == 61:
                    end -= 19  # " HashValue=" and eight digits: the packet's flow
                if end - here > LONGEST:
                    end = here + LONGEST
                if end > here:
                    said[k, AT] = here
                    said[k, SIZE] = end - here
                    said[k, DIGEST] = digest(buf, here, end - here)
                    n += 1
            elif code == 7 and size == 9 and buf[at] == 2:
                one, other = load32(buf, at + 1), load32(buf, at + 5)
                if (one == 0x1000000 and other == 0) or (one == 0 and other == 1):  # in either byte order
                    said[k, DROPPED] = 1
                    n += 1
            at += size + (-size & 3)
    return n


class Notes:
    """Facts from the notes of a file's frames; what was read once is known for the rest of the file."""

    def __init__(self) -> None:
        self._digests = np.zeros(1, np.int64)
        """Of the comments that were read, in order; 0 of none."""
        self._numbers = np.zeros(1, np.int64)
        self._rows: list[Known] = [NOTHING]
        self._ids: list[int] = [0]
        self.unread = 0
        """Frames whose comment was not read."""

    def facts(self, capture: Capture, count: int) -> PacketFacts | None:
        """What is said of rows 0..count-1 of the capture's present chunk; None if nothing is."""
        rows = np.flatnonzero(capture.columns.flags[:count] & int(Flag.NOTED))
        said = np.zeros((len(rows), SAID), np.int64)
        if not read_notes(capture.buf, capture.columns, rows, said):
            return None
        number = np.zeros(len(rows), np.int64)
        if capture.windows:
            number = self._read(capture, said)
            ids = np.array(self._ids, np.int64)[number]
            empty = capture.columns.packet_id[rows] == 0
            if ids.any():
                capture.columns.packet_id[rows[empty]] = ids[empty]
                capture.sided = True
        table = np.array(self._rows, np.int64)
        tells = (table[number] != 0).any(axis=1) | (said[:, DROPPED] == 1)
        if not tells.any():
            return None
        facts = _filled(table[number[tells]])
        facts.carrier[:] = rows[tells]
        verdict = (said[tells, DROPPED] == 1) & (facts.dropped == 0)
        facts.reason[verdict] = NOT_SAID
        facts.dropped[verdict] = 1
        direction = capture.columns.direction[facts.carrier]
        unsaid = facts.direction == 0
        facts.direction[unsaid] = np.array([0, 3, 4, 0], np.uint8)[direction[unsaid]]  # windows.flags_direction
        return facts

    def _read(self, capture: Capture, said: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """(n,) the number in _rows of each comment; comments are told apart by their digests."""
        digests = said[:, DIGEST]
        different, first = np.unique(digests, return_index=True)
        new = np.sort(first[~np.isin(different, self._digests)])  # in the order of the file, so that chunks of any size give the same
        new = new[: max(0, MOST_TEXTS + 1 - len(self._digests))]
        if len(new):
            numbers = []
            for at, size in said[new][:, [AT, SIZE]].tolist():
                comment = capture.buf[at : at + size].tobytes().decode("utf-8", "replace")
                numbers.append(self._add(*comment_row(comment, capture.texts)))
            known = np.concatenate([self._digests, digests[new]])
            order = np.argsort(known)
            self._digests, self._numbers = known[order], np.concatenate([self._numbers, np.array(numbers, np.int64)])[order]
        place = np.minimum(np.searchsorted(self._digests, digests), len(self._digests) - 1)
        found = self._digests[place] == digests
        self.unread += int((~found).sum())
        return np.where(found, self._numbers[place], 0)

    def _add(self, row: Known, packet_id: int) -> int:
        if row == NOTHING and not packet_id:
            return 0
        self._rows.append(row)
        self._ids.append(packet_id)
        return len(self._rows) - 1


def _filled(values: np.ndarray[Any, Any]) -> PacketFacts:
    """Rows of PacketFacts from an array with a column for each of its columns but the first."""
    facts = PacketFacts.empty(len(values))
    for i, name in enumerate(list(PacketFacts.columns)[1:]):
        getattr(facts, name)[:] = values[:, i]
    return facts


def sparse(rows: list[Known]) -> PacketFacts | None:
    """The facts of those rows that say more than a direction, which stands in Packets; None if none does."""
    if not any(row[:SAYS_DIRECTION] + row[SAYS_DIRECTION + 1 :] != NOTHING[1:] for row in rows):
        return None
    values = np.array(rows, np.int64)
    other = np.delete(values, SAYS_DIRECTION, axis=1)
    tells = np.flatnonzero((other != 0).any(axis=1))
    facts = _filled(values[tells])
    facts.carrier[:] = tells
    return facts


Drops = Counter[tuple[int, int]]
"""Dropped frames by interface and reason."""
MOST_KINDS, MOST_LINES, MOST_REASONS = 10_000, 20, 4


def count_drops(drops: Drops, frames: Frames, facts: PacketFacts) -> None:
    """Add the dropped frames of a chunk. Of more than MOST_KINDS kinds the rest have no reason."""
    gone = np.flatnonzero(facts.dropped)
    if not len(gone):
        return
    pairs = np.column_stack([frames.interface[facts.carrier[gone]].astype(np.int64), facts.reason[gone].astype(np.int64)])
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    for (interface, reason), n in zip(kinds.tolist(), counts.tolist(), strict=True):
        room = (interface, reason) in drops or len(drops) < MOST_KINDS
        drops[(interface, reason) if room else (interface, NOT_SAID)] += n


def drop_lines(capture: Capture) -> list[str]:
    """What the file says was discarded: a line for each interface, the most frequent reasons first."""
    by_interface: dict[int, Counter[int]] = {}
    for (interface, reason), n in capture.drops.items():
        by_interface.setdefault(interface, Counter())[reason] += n
    ranked = sorted(by_interface.items(), key=lambda item: (-item[1].total(), item[0]))
    lines = []
    for interface, reasons in ranked[:MOST_LINES]:
        known = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        said = [f"{reason_text(reason)} {n:,}" if len(known) > 1 else reason_text(reason) for reason, n in known[:MOST_REASONS]]
        if len(known) > MOST_REASONS:
            said.append(f"{len(known) - MOST_REASONS:,} other reasons {sum(n for _, n in known[MOST_REASONS:]):,}")
        total = reasons.total()
        lines.append(f"{capture.interfaces[interface].called()} dropped {total:,} frame{'s' * (total != 1)}: {', '.join(said)}")
    if len(ranked) > MOST_LINES:
        rest = sum(reasons.total() for _, reasons in ranked[MOST_LINES:])
        lines.append(f"{len(ranked) - MOST_LINES:,} more interfaces dropped {rest:,} frames")
    return lines
