"""Collects messages from batches of packets, in file order."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..table import Array
from ..wire import Batch
from .excerpt import Collected, Excerpts
from .pick import BYTES, LEFT, LEFT_NS, MOST_BYTES, MOST_EXCERPTS, ROWS, TRIED, USED, overhear, pick
from .topic import NOT_KNOWN, Topic


class Picker:
    """Collects messages from batches of packets, in file order."""

    def __init__(self) -> None:
        self._spoken = np.zeros(1 << 10, np.uint8)
        self._out = Excerpts.empty(1 << 8)
        self._data = np.zeros(1 << 14, np.uint8)
        self._used = np.zeros(USED, np.int64)

    def feed(self, batch: Batch, conversation: Array, conversations: int, look: Array | None = None) -> None:
        """Take up the next frames. conversation: number of each, below `conversations`.

        look: rows to look at, such as the first of each end of a conversation: what it speaks is then told by these and,
        where a greeting goes on, the next; otherwise every row is looked at and every message kept that is worth reading.
        """
        if len(self._spoken) < conversations:
            self._spoken = _longer(self._spoken, conversations)
        # All that a batch may bring: a message a row, its bytes in the chunk.
        rows = min(int(self._used[ROWS]) + (batch.count if look is None else len(look) + 1), MOST_EXCERPTS)
        if rows > len(self._out):
            self._out = self._out.grown(max(rows, 2 * len(self._out)))
        chunk = batch.chunk
        most = min(int(self._used[BYTES]) + len(chunk.buf), MOST_BYTES)
        if most > len(self._data):
            self._data = _longer(self._data, most)
        here = chunk.buf, chunk.frames, batch.count, batch.first_row, batch.packets, conversation, self._spoken
        there = self._out, self._data, self._used
        if look is None:
            pick(*here, *there)
        else:
            overhear(*here, look, *there)

    def finish(self, number: Array, conversations: int) -> Collected:
        """Everything picked. number: the row in Conversations of each conversation fed (-1: dropped), -1 at its end."""
        excerpts = self._out.take(slice(0, int(self._used[ROWS])))
        if (np.diff(excerpts.row) < 0).any():  # halves of a greeting are sought ahead of what lies between them
            excerpts = excerpts.take(np.argsort(excerpts.row, kind="stable"))
        excerpts.conversation[:] = number[excerpts.conversation]
        known = self._spoken[: len(number) - 1] & 63
        known[known >= TRIED] = NOT_KNOWN
        spoken = np.zeros(conversations, np.uint8)
        kept = number[:-1][: len(known)] >= 0
        spoken[number[:-1][: len(known)][kept]] = known[kept]
        left = Counter({t: int(self._used[LEFT + t]) for t in Topic if self._used[LEFT + t]})
        data = self._data[: int(self._used[BYTES])].tobytes()
        return Collected(excerpts, data, spoken, left, int(self._used[LEFT_NS]) if left else None)


def _longer(array: Array, least: int) -> Array:
    new = np.zeros(max(least, 2 * len(array)), array.dtype)
    new[: len(array)] = array
    return new
