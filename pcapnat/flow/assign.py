"""Which of the candidates are matches: best ones first, one to one in time, and what fits two ways stays undecided.

Whatever the candidates are, the time it takes stays near their number: those of one conversation are looked at by rank, and,
where there are many, by time.
"""

from __future__ import annotations

import numpy as np

from ..table import Array
from .fingerprint import Candidates

ENOUGH_BITS = 24.0
"""A pair needs this much in all: one in 16 million by chance."""
PACKET_BITS = 12.0
"""... of which this much from packets, whatever the endpoints say."""
CLEAR_BITS = 3.0
"""How much better than its rival the better of two candidates must be."""
FEW = 12
"""Candidates of one conversation that are looked at one by one."""


def assign(c: Candidates) -> tuple[Array, Array, set[int], set[int]]:
    """Choose candidates, best first: (their numbers, margins, conversations left undecided here and there)."""
    good = np.flatnonzero((c.bits >= ENOUGH_BITS) & (c.packet_bits >= PACKET_BITS))
    order = good[np.lexsort((c.there[good], c.here[good], -c.bits[good]))]
    alone = np.zeros(len(c), bool)
    if len(good):
        alone[good] = (np.bincount(c.here[good])[c.here[good]] == 1) & (np.bincount(c.there[good])[c.there[good]] == 1)
    chosen: list[int] = order[alone[order]].tolist()
    margins: list[float] = c.bits[chosen].tolist()
    rest = order[~alone[order]]
    open_ = np.ones(len(c), bool)  # candidates that clash with nothing chosen so far
    here = _Side(rest, c.here, c.here_first, c.here_last, c.bits, open_)
    there = _Side(rest, c.there, c.there_first, c.there_last, c.bits, open_)
    sides = here, there
    taken: tuple[set[int], set[int]] = set(), set()
    undecided: tuple[set[int], set[int]] = set(), set()
    for i in rest.tolist():
        if not open_[i]:
            continue
        margin = float(c.bits[i]) - max(side.best_rival(i) for side in sides)
        for side, clear, unclear in zip(sides, taken, undecided, strict=True):
            (unclear if margin < CLEAR_BITS else clear).add(side.owner(i))
        if margin >= CLEAR_BITS:
            chosen.append(i)
            margins.append(margin)
            for side in sides:
                side.take(i)
    return np.array(chosen, np.int64), np.array(margins), undecided[0] - taken[0], undecided[1] - taken[1]


class _Side:
    """The candidates of each conversation at one port, best first, and which of them share a time with one another."""

    def __init__(self, rest: Array, owner: Array, first: Array, last: Array, bits: Array, open_: Array):
        self._owner, self._first, self._last, self._bits, self._open = owner, first, last, bits, open_
        self._ranked: dict[int, list[int]] = {}
        for i, whose in zip(rest.tolist(), owner[rest].tolist(), strict=True):
            self._ranked.setdefault(whose, []).append(i)
        self._in_time: dict[int, tuple[Array, Array, Array]] = {}

    def owner(self, i: int) -> int:
        """The conversation that candidate i belongs to."""
        return int(self._owner[i])

    def best_rival(self, i: int) -> float:
        """The bits of the best open candidate of the same conversation that shares a time with candidate i; 0 if there is none."""
        ranked = self._ranked[self.owner(i)]
        for j in ranked[:FEW]:
            if j != i and self._open[j] and self._first[i] <= self._last[j] and self._first[j] <= self._last[i]:
                return float(self._bits[j])
        if len(ranked) <= FEW:
            return 0.0
        rows = self._sharing(i)
        rivals = rows[self._open[rows] & (rows != i)]
        return float(self._bits[rivals].max()) if len(rivals) else 0.0

    def take(self, i: int) -> None:
        """Candidate i is chosen: whatever shares a time with it is no longer open."""
        self._open[self._sharing(i)] = False

    def _sharing(self, i: int) -> Array:
        """The candidates of the same conversation that share a time with candidate i, which is one of them."""
        whose = self.owner(i)
        if whose not in self._in_time:
            rows = np.array(self._ranked[whose])
            rows = rows[np.argsort(self._first[rows], kind="stable")]
            self._in_time[whose] = rows, self._first[rows], np.maximum.accumulate(self._last[rows])
        rows, first, reach = self._in_time[whose]
        near = rows[np.searchsorted(reach, self._first[i]) : np.searchsorted(first, self._last[i], "right")]
        return np.asarray(near[self._last[near] >= self._first[i]])
