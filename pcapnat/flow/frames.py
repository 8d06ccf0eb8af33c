"""Frames in matched conversations: which frame at one port is which at the other, and what is left over."""

from __future__ import annotations

from enum import IntEnum
from functools import partial

import numpy as np

from ..kernel import together
from ..table import Array, Table, column
from ..terms import Clock
from . import align as k
from .port import Port


class How(IntEnum):
    """How two frames are one."""

    SAME = k.SAME
    """Nothing differs but what boxes rewrite: addresses, ports, TTL, options."""
    SHIFTED = k.SHIFTED
    """Sequence numbers are shifted."""
    CHANGED = k.CHANGED
    """The payload was rewritten."""
    PART = k.PART
    """They share bytes of a stream that was cut elsewhere: segmentation offload."""
    COPY = k.COPY
    """One of them is a copy of a frame that has its counterpart already."""


class FramePairs(Table):
    """One row per two frames that are one, in the order of the rows here. A frame that was cut or merged is in several rows."""

    here = column("int64", "row in the first port's packets")
    there = column("int64", "row in the second port's packets (the first's, in a hairpinned conversation)")
    match = column("int64", "row in Crossing.matches")
    how = column("uint8", "see How")


class Members:
    """A port's frames by conversation; an ICMP error is a member of the conversation that it quotes."""

    def __init__(self, port: Port):
        self.conversation = port.conversation
        self.reverse = port.reverse
        if len(port.quoted):
            q, known = port.quoted, np.flatnonzero(port.about >= 0)
            carrier, about = q.carrier[known], port.about[known]
            c = port.conversations
            from_b = (q.src[known] != c.a[about]).any(axis=1) | (q.sport[known] != np.maximum(c.a_port[about], 0))
            self.conversation, self.reverse = self.conversation.copy(), self.reverse.copy()
            self.conversation[carrier] = about
            self.reverse[carrier] = 2 + from_b
        self.start = np.zeros(len(port.conversations) + 1, np.int64)
        self.order = np.empty(len(self.conversation), np.int32)

    def sort(self) -> None:
        """Make the lists: the rows of conversation c are order[start[c] : start[c + 1]]."""
        k.group(self.conversation, self.start, self.order)


class Aligned:
    """For each row of both ports the row that it is at the other one, -1 for none, and how; for those here also the match."""

    def __init__(self, here: int, there: int):
        self.mate_here, self.mate_there, self.match = (np.empty(n, np.int32) for n in (here, there, here))
        together(*(partial(array.fill, -1) for array in (self.mate_here, self.mate_there, self.match)))
        self.how_here, self.how_there = np.zeros(here, np.uint8), np.zeros(there, np.uint8)


def align(here: Port, there: Port, members: tuple[Members, Members], rows: tuple[Array, Array], flip: Array, number: Array,
          clock: Clock, kept: tuple[bool, bool]) -> Aligned:  # fmt: skip
    """Which frame is which in pairs of conversations (rows here and there; flip: a here is b there; number: in Crossing.matches).

    kept: the box leaves IP identifications alone, and TCP timestamps.
    """
    found = Aligned(len(here.packets), len(there.packets))
    state = np.zeros(k.STATE, np.int64)
    state[k.KEPT], state[k.STAMPS] = kept
    if clock.offset_ns is not None:
        state[k.TIMED], state[k.OFFSET], state[k.PPB], state[k.START] = 1, clock.offset_ns, clock.drift_ppb, here.first_ns
    one, other = members

    order, middle = _halves(rows)
    matched = rows[0][order], rows[1][order], flip[order], number[order]

    def some(first: int, last: int) -> None:
        k.align(here.packets, there.packets, *matched, first, last, one.start, one.order, other.start, other.order,
                one.reverse, other.reverse, found.mate_here, found.mate_there, found.how_here, found.how_there, found.match,
                state.copy())  # fmt: skip

    together(partial(some, 0, middle), partial(some, middle, len(flip)))
    return found


def _halves(rows: tuple[Array, Array]) -> tuple[Array, int]:
    """The matches in an order, and where it may be cut: no conversation is in matches on both sides. Such as share one stay in order."""
    shared = np.zeros(len(rows[0]), bool)
    for side in rows:
        shared |= np.bincount(side)[side] > 1
    order = np.concatenate([np.flatnonzero(shared), np.flatnonzero(~shared)])
    return order, max(int(shared.sum()), len(order) // 2)


def frame_pairs(aligned: Aligned) -> FramePairs:
    """The pairs as a table."""
    mate, middle = aligned.mate_here, len(aligned.mate_here) // 2
    before = int(np.count_nonzero(mate[:middle] >= 0))
    table = FramePairs.empty(before + int(np.count_nonzero(mate[middle:] >= 0)))
    extra = np.zeros(len(aligned.mate_there), np.uint8)
    doubled = 0

    def some(first: int, last: int, at: int) -> None:
        k.pairs(mate, aligned.how_here, aligned.match, first, last, at, table.here, table.there, table.match, table.how)

    def doubles() -> None:
        nonlocal doubled
        some(0, middle, 0)
        doubled = k.doubled(mate, aligned.mate_there, extra)

    together(doubles, partial(some, middle, len(mate), before))
    return _with(table, aligned, np.flatnonzero(extra)) if doubled else table


def _with(table: FramePairs, aligned: Aligned, rows: Array) -> FramePairs:
    """The table, and rows there whose counterparts have other ones."""
    here = aligned.mate_there[rows].astype(np.int64)
    order = np.lexsort((rows, here))
    rows, here = rows[order], here[order]
    more = FramePairs(here=here, there=rows, match=aligned.match[here].astype(np.int64), how=aligned.how_there[rows])
    at = np.searchsorted(table.here, here, "right")
    table = FramePairs(**{name: np.insert(getattr(table, name), at, getattr(more, name)) for name in table.columns})
    shared = np.flatnonzero(np.isin(table.here, here))  # a frame's rows are together now, but not in the order of its counterparts
    order = shared[np.lexsort((table.there[shared], table.here[shared]))]
    for name in table.columns:
        column = getattr(table, name)
        column[shared] = column[order]
    return table


def lone(members: Members, matched: Array, paired: Array) -> Array:
    """Rows of matched conversations that have no counterpart, in file order; paired: (n,) whether each row has one."""
    wanted = np.zeros(len(members.start), np.uint8)
    wanted[matched] = 1
    rows = np.empty(len(paired), np.int64)
    return rows[: k.unpaired(members.conversation, wanted, paired.view(np.uint8), rows)].copy()
