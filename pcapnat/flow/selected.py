"""Following some of a capture's frames with the numbers that the whole capture gives them.

Which conversation a frame belongs to, and who opened it, is told from all frames of the interface, so that a filter
cannot join what a reused port number keeps apart; only the selected frames count. Stream numbers are those of the whole
file, all interfaces together, as Wireshark gives them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernel import kernel, signed
from ..table import Array
from ..terms import Selection
from ..wire import Batch, Flag, Meant, Packets, leave_out
from . import life as t
from .conversation import Conversations, Tracker, grown
from .life import BASE, FIRST, FIRST_ROW, LAST, LIFE, NEXT, PACKETS_AB, PACKETS_BA, RTT_NS, SIDE_A, SIDE_B
from .track import tally

FRAGMENT, QUOTE = int(Flag.FRAGMENT), int(Flag.QUOTE)


class SelectedTracker:
    """As a Tracker, for batches whose frames were picked. interface: the frames of one interface are meant; narrow: not all of those."""

    def __init__(self, frames: int, interface: bool, narrow: bool):
        self._whole = Tracker(frames) if interface else None
        self._here = Tracker(frames)
        self._narrow, self._counted = narrow, np.zeros((0, LIFE), np.int64)
        self._whole_number = np.zeros(0, np.int64)
        self.conversation: Array = np.zeros(0, np.int32)
        self.reverse: Array = np.zeros(0, np.uint8)
        self.about: Array = np.zeros(0, np.int32)
        self.stray_fragments = 0

    def hash(self, batch: Batch) -> None:
        """As Tracker.hash: frames that are left out later do no harm."""
        self._here.hash(batch)

    def feed(self, batch: Batch) -> None:
        """Take up the next frames; those that are left out are made nothing of in the batch."""
        picked = batch.picked or Meant(None, None)
        if self._whole:
            self._whole.feed(batch)
        if picked.here is not None:
            _leave_out(batch, ~picked.here)
        self._here.feed(batch)
        self.conversation, self.reverse = self._here.conversation[: batch.count], self._here.reverse[: batch.count]
        self.about = self._here.about[: batch.quotes]
        if picked.chosen is not None:
            self.about = self.about[_leave_out(batch, ~picked.chosen)]
            self.conversation = np.where(picked.chosen, self.conversation, np.int32(-1))
            self.reverse = self.reverse * picked.chosen
            self._count(batch)
        else:
            self.stray_fragments = self._here.stray_fragments
        if self._whole:
            self._remember(self._whole.conversation[: batch.count])

    def _count(self, batch: Batch) -> None:
        if len(self._counted) < self._here.rows:
            self._counted = grown(self._counted, max(1024, 2 * self._here.rows))
        conversation, reverse = self.conversation, self.reverse
        self.stray_fragments += recount(batch.packets, batch.count, batch.first_row, conversation, reverse, self._counted)
        known = self.about[self.about >= 0]
        np.add.at(self._counted[:, t.ERRORS], known, 1)

    def _remember(self, whole: Array) -> None:
        """Which of the whole file's conversations each of ours is, by the first frame of it that both know."""
        if len(self._whole_number) < self._here.rows:
            more = np.full(max(1024, 2 * self._here.rows) - len(self._whole_number), -1)
            self._whole_number = np.concatenate([self._whole_number, more])
        rows = np.flatnonzero((self.conversation >= 0) & (whole >= 0))
        rows = rows[self._whole_number[self.conversation[rows]] < 0][::-1]
        self._whole_number[self.conversation[rows]] = whole[rows]  # of several rows the last one written, the first, stays

    @property
    def rows(self) -> int:
        """Conversations so far, as they are numbered in `conversation`."""
        return self._here.rows

    @property
    def fresh(self) -> Array:
        """Rows of the last batch with the first data of an end of a conversation, selected or not."""
        return self._here.fresh

    def finish(self) -> tuple[Conversations, Array]:
        """As Tracker.finish; conversations without a selected frame are dropped."""
        streams = None
        if self._whole:
            number = self._whole_number[: self._here.rows]
            streams = np.where(number < 0, -1, self._whole.streams()[np.maximum(number, 0)]) if self._whole.rows else number
        return self._here.finish(self._counted if self._narrow else None, streams)


def tracker_for(frames: int, selection: Selection, interface: str | None = None, carriers: bool = False) -> Tracker | SelectedTracker:
    """What follows the frames that are meant. frames: about how many will come, selected or not. carriers: see Tracker; only if all are."""
    narrow = selection != Selection(first=selection.first)
    if selection.first is not None:
        frames = min(frames, selection.first)
    return Tracker(frames, carriers) if interface is None and not narrow else SelectedTracker(frames, interface is not None, narrow)


def _leave_out(batch: Batch, others: Array) -> Array:
    """Drop frames from a batch, with what they quote and what is around them; returns the quoted rows that stay."""
    quoted, outer = leave_out(batch.packets, batch.count, others, (batch.quoted, batch.quotes), (batch.outer, batch.outers))
    batch.quotes, batch.outers = len(quoted), len(outer)
    if batch.facts:
        batch.facts = batch.facts.take(~others[batch.facts.carrier])
    return quoted


@kernel(p=Packets, count="int", first_row="int", conversation="i4", reverse="u1", life=f"i8:{LIFE}")
def recount(p: Any, count: int, first_row: int, conversation: Any, reverse: Any, life: Any) -> int:
    """Count the frames that have a conversation for it in `life`; returns the fragments that have none."""
    stray = 0
    for i in range(count):
        flags = p.flags[i]
        if flags & FRAGMENT and p.frag_offset[i] and not flags & QUOTE:
            stray += 1 if conversation[i] < 0 else 0
            continue
        if conversation[i] < 0:
            continue
        c = signed(conversation[i])
        time = p.time_ns[i]
        if life[c, PACKETS_AB] + life[c, PACKETS_BA] == 0:
            life[c, FIRST] = time
            life[c, LAST] = time
            life[c, FIRST_ROW] = first_row + i
            life[c, SIDE_A + NEXT] = -1
            life[c, SIDE_B + NEXT] = -1
            life[c, SIDE_A + BASE] = -1
            life[c, SIDE_B + BASE] = -1
            life[c, RTT_NS] = -1
        tally(p, i, life, c, signed(reverse[i]) & 1, flags, signed(p.tcp_flags[i]), time)
    return stray
