"""What would have been, through one model or another: what fails, when first, and how many ports are in use at the peak.

Reading taken: a port is in use from the frame that makes its session until the session's time is over, as the model has it. What
ends for every NAT alike (TTL, multicast) is no failure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from ..address import text
from ..flow import Port
from ..model import REASONS, Disposition, NatModel, Reason
from ..model.session import BYTE, COUNT, EXPIRES, FROM_OUTSIDE, META, PORT, STARTED, TRANSLATED
from ..nat.behavior import NatBehavior, PortChoice, PortRange
from ..table import Array
from .forecast import Forecast, forecast

NO_FAILURE = {Reason.TTL, Reason.GROUP, Reason.OWN, Reason.NONE}
SCARCE = {Reason.NO_PORT, Reason.QUOTA}
WIDE = (PortRange(1, 65535),)


class Recorder(NatModel):
    """A model that keeps what it forgets: every session with its times and endpoints."""

    def __init__(self, behavior: NatBehavior):
        self._kept: list[Array] = []
        self._ends: list[Array] = []
        super().__init__(behavior)

    def _room(self, time: int) -> None:
        self._keep(self._life[: self._count, EXPIRES] <= time)
        super()._room(time)

    @property
    def _count(self) -> int:
        return int(self._totals[COUNT])

    def _keep(self, which: Array) -> None:
        c = np.flatnonzero(which)
        meta = self._life[c, META]
        o = meta & FROM_OUTSIDE
        word = self._life[c, 1 - o]  # the tuple that an answer from outside arrives as
        far = self._keys[2 * c + (1 - o)]
        self._kept.append(
            np.column_stack(
                [
                    self._life[c, STARTED],
                    self._life[c, EXPIRES],
                    word >> 8 & BYTE,
                    word >> 24 & PORT,
                    word >> 40 & PORT,
                    meta & TRANSLATED != 0,
                ]
            )
        )
        self._ends.append(np.column_stack([far[:, 2:], far[:, :2]]))

    def lived(self) -> Lived:
        """Every session there ever was."""
        self._keep(np.ones(self._count, bool))
        rows, ends = np.concatenate(self._kept), np.concatenate(self._ends)
        self._kept, self._ends = [], []
        return Lived(rows[:, 0], rows[:, 1], rows[:, 2], ends[:, :2], rows[:, 3], ends[:, 2:], rows[:, 4], rows[:, 5] == 1)


class Lived(NamedTuple):
    """Sessions: from when to when (ns), protocol, outside address and port, remote address and port, whether they are translated."""

    start: Array
    end: Array
    proto: Array
    outside: Array
    port: Array
    remote: Array
    remote_port: Array
    translated: Array


class Peak(NamedTuple):
    """How many at once. outside: address; proto: number; remote: the endpoint it is towards, None for all."""

    outside: str
    proto: int
    most: int
    remote: tuple[str, int] | None = None


class Failure(NamedTuple):
    """The first frame (from 1) that is dropped and need not be, whether it comes from outside, its conversation (-1: none), why."""

    frame: int
    inward: bool
    conversation: int
    reason: Reason


@dataclass
class WhatIf:
    """One model's part. failed: conversations of which nothing gets out; broken: of which something, in or out, is dropped later."""

    said: str
    forecast: Forecast
    made: int
    peak: int
    ports: list[Peak]
    towards: Peak | None
    conversations: int = 0
    failed: int = 0
    broken: int = 0
    first: Failure | None = None
    needed: list[Peak] = field(default_factory=list)
    """Ports that would be in use at the peak if there were enough of them; as `ports` if none was missing."""


def whatif(port: Port, behavior: NatBehavior, said: str) -> WhatIf:
    """A capture from inside, through one model."""
    found, lived = _recorded(port, behavior)
    result = WhatIf(said, found, len(lived.start), _most(lived.start, lived.end), _ports(lived), _towards(lived))
    lost = _failures(port, found, result)
    result.needed = result.ports
    if lost & SCARCE and behavior.port_choice is not PortChoice.PRESERVE:
        blocks = 65535 // behavior.block_size if behavior.block_size else behavior.blocks_per_host
        choice = PortChoice.RANDOM if behavior.port_choice is PortChoice.STATIC else behavior.port_choice
        wide = replace(
            found.behavior, port_choice=choice, port_ranges=WIDE, port_attempts=65536, ports_per_host=0, blocks_per_host=max(1, blocks)
        )
        result.needed = _ports(_recorded(port, wide)[1])
    return result


def _recorded(port: Port, behavior: NatBehavior) -> tuple[Forecast, Lived]:
    made: list[Recorder] = []

    def record(b: NatBehavior) -> NatModel:
        made.append(Recorder(b))
        return made[-1]

    found = forecast(port, behavior, record)
    return found, made[-1].lived()


def _failures(port: Port, found: Forecast, result: WhatIf) -> set[Reason]:
    """Fill in what fails; returns the reasons there are."""
    played = found.played
    v, inward = played.verdicts, played.traffic.side == 1
    dropped = v.disposition == int(Disposition.DROPPED)
    told = np.array([r in NO_FAILURE for r in REASONS], bool)
    bad = dropped & ~told[v.reason]
    c = port.conversation[played.rows].astype(np.int64)
    size = len(port.conversations)
    of = c >= 0
    out = np.bincount(c[of & ~inward & ~dropped], minlength=size)[:size] > 0
    tried = np.bincount(c[of & ~inward], minlength=size)[:size] > 0
    hurt = np.bincount(c[of & bad], minlength=size)[:size] > 0
    result.conversations, result.failed, result.broken = int(tried.sum()), int((hurt & ~out).sum()), int((hurt & out).sum())
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        result.first = Failure(int(played.rows[i]) + 1, bool(inward[i]), int(c[i]), REASONS[int(v.reason[i])])
    return {REASONS[int(r)] for r in np.unique(v.reason[bad])}


def _most(start: Array, end: Array) -> int:
    """The most intervals at once; one that ends when another begins is over."""
    if not len(start):
        return 0
    times = np.concatenate([start, end])
    step = np.concatenate([np.ones(len(start), np.int64), -np.ones(len(end), np.int64)])
    return int(np.cumsum(step[np.lexsort((step, times))]).max())


def _groups(*columns: Array) -> tuple[Array, Array]:
    """Which group each row is in by equal columns, and the first row of each group."""
    _, first, number = np.unique(np.column_stack(columns), axis=0, return_index=True, return_inverse=True)
    return np.ravel(number), first


def _ports(s: Lived) -> list[Peak]:
    """Ports in use at the peak, by outside address and protocol, most first: a port counts once, however many sessions share it."""
    ported = np.isin(s.proto, (6, 17)) & s.translated
    start, end = s.start[ported], np.maximum(s.end, s.start)[ported]
    if not len(start):
        return []
    number, _ = _groups(s.outside[ported], s.proto[ported], s.port[ported])
    # Sessions of one port that touch are one interval.
    order = np.lexsort((start, number))
    number, start, end = number[order], start[order], end[order]
    origin, span = int(start.min()), int(end.max()) - int(start.min()) + 2
    if span * (int(number[-1]) + 1) < 1 << 62:
        reached = np.maximum.accumulate(number * span + (end - origin))
        fresh = np.concatenate([[True], number[1:] * span + (start[1:] - origin) > reached[:-1]])
    else:  # years in billions of sessions
        fresh = np.concatenate([[True], number[1:] != number[:-1]])
    begin = np.flatnonzero(fresh)
    last = np.maximum.reduceat(end, begin)
    where = np.flatnonzero(ported)[order][begin]
    group, first = _groups(s.outside[where], s.proto[where])
    order = np.argsort(group, kind="stable")
    edges = np.append(np.searchsorted(group[order], np.arange(len(first))), len(order))
    start, last = start[begin][order], last[order]
    peaks = [
        Peak(text(*s.outside[where[f]].tolist()), int(s.proto[where[f]]), _most(start[low:high], last[low:high]))
        for f, low, high in zip(first.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
    return sorted(peaks, key=lambda p: (-p.most, p.outside, p.proto))


def _towards(s: Lived) -> Peak | None:
    """The remote endpoint that most sessions of one outside address are towards at once: it needs a port each."""
    ported = np.flatnonzero(np.isin(s.proto, (6, 17)) & s.translated)
    if not len(ported):
        return None
    group, first = _groups(s.outside[ported], s.proto[ported], s.remote[ported], s.remote_port[ported])
    order = np.argsort(group, kind="stable")
    edges = np.append(np.searchsorted(group[order], np.arange(len(first))), len(order))
    best = (0, 0)
    sizes = np.diff(edges)
    for g in np.argsort(-sizes, kind="stable").tolist():
        if sizes[g] <= best[0]:
            break
        rows = ported[order[edges[g] : edges[g + 1]]]
        best = max(best, (_most(s.start[rows], s.end[rows]), g), key=lambda b: b[0])
    k = int(ported[first[best[1]]])
    return Peak(text(*s.outside[k].tolist()), int(s.proto[k]), best[0], (text(*s.remote[k].tolist()), int(s.remote_port[k])))
