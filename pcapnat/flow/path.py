"""Paths: what one conversation was at each of several points in a row, joined from the crossings between neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..table import Array
from .cross import Crossing


@dataclass(frozen=True)
class Paths:
    """One row per conversation and way that it took; hairpins, which come back to where they entered, are not among them."""

    conversation: Array
    """(n, points) its row in each point's conversations, -1 where it was not matched to one."""
    turned: Array
    """(n, points) whether a of its conversation there is b at the first point that saw it."""
    confidence: Array
    """(n,) probability that all of its matches are right."""


def paths(crossings: Sequence[Crossing]) -> Paths:
    """Every conversation that was matched across at least one box, in the order of the points, then as they began."""
    rows, turned, sure = np.full((0, 1), -1, np.int64), np.zeros((0, 1), bool), np.zeros(0)
    for step, c in enumerate(crossings):
        m = c.matches.take(np.flatnonzero(c.matches.hairpin == 0))
        order = np.lexsort((m.there, m.here))
        here, there, flip, odds = m.here[order], m.there[order], m.flip[order] == 1, m.confidence()[order]
        at = rows[:, -1]
        first = np.searchsorted(here, at)
        count = np.searchsorted(here, at, "right") - first
        kept = np.repeat(np.arange(len(at)), np.maximum(count, 1))  # one that has no counterpart goes on as -1
        place = np.arange(len(kept)) - np.repeat(np.cumsum(np.maximum(count, 1)) - np.maximum(count, 1), np.maximum(count, 1))
        on = count[kept] > 0
        match = np.where(on, first[kept] + place, 0)
        fresh = np.flatnonzero(~np.isin(here, at))  # not matched further in
        before = np.full((len(fresh), step + 1), -1, np.int64)
        before[:, -1] = here[fresh]
        found = np.full(len(kept), -1, np.int64)
        found[on] = there[match[on]]
        over = np.zeros(len(kept), bool)
        over[on] = flip[match[on]]
        chance = np.ones(len(kept))
        chance[on] = odds[match[on]]
        rows = np.column_stack([np.concatenate([rows[kept], before]), np.concatenate([found, there[fresh]])])
        old, new = turned[kept], np.zeros((len(fresh), step + 1), bool)
        turned = np.column_stack([np.concatenate([old, new]), np.concatenate([old[:, -1] ^ over, flip[fresh]])])
        sure = np.concatenate([sure[kept] * chance, odds[fresh]])
    begin = np.argmax(rows >= 0, axis=1) if len(rows) else np.zeros(0, np.int64)
    first_seen = rows[np.arange(len(rows)), begin] if len(rows) else np.zeros(0, np.int64)
    order = np.lexsort((*rows.T[::-1], first_seen, begin))
    return Paths(rows[order], turned[order], sure[order])
