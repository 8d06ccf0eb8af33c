"""TCP conversations that have only what they say in common: the box ends connections (proxies, user-space NATs) or renumbers them.

Programs say the same things to many: that two conversations say the same proves much less than equal sequence numbers do.
So question and answer must both be shared, and the times must agree.
"""

from __future__ import annotations

import numpy as np

from ..table import Array
from ..terms import Clock
from ..wire import Flag
from .fingerprint import By, Candidates, Index
from .port import Port
from .vote import ANSWERED, STREAM

STREAM_NS = 1_000_000_000
"""What passes through a box that ends connections may wait for the other connection, but not for long."""
AGREEING_NS, ENOUGH_STREAMS, LONG_PAUSES_NS = 50_000_000, 3, 5_000_000_000
"""So many conversations within so much of one clock prove it, or a single one whose pauses of seconds are equal to a thousandth."""
RARE_BITS = 70.0
"""A question and an answer that nobody else asks or gives."""
TS, SYN_ACK = int(Flag.TIMESTAMPS), 0x12


def streams(here: Port, there: Port, done_here: Array, done_there: Array, clock: Clock) -> tuple[Candidates, Clock]:
    """Pairs of TCP conversations without a counterpart that share what both ends say, at times that agree with the clock.

    If the clock is not known, several conversations must agree on one, or a single one goes on for so long that its pauses
    prove it; the clock that comes back is that one, or says why there is none.
    """
    left_here, left_there = _left(here, done_here), _left(there, done_there)
    nothing = Candidates.empty(0)
    if not left_here.any() or not left_there.any():
        return nothing, clock
    candidates = Index(here, there, left_here, left_there, (STREAM,)).candidates(strict=False)
    both = int(By.STREAM) | ANSWERED
    candidates = candidates.take(np.flatnonzero(candidates.by & both == both))
    candidates.by[:] = int(By.STREAM)
    if clock.offset_ns is None and len(candidates):
        clock = _agreed(candidates)
        if clock.offset_ns is None:
            clock = _forwarded(here, there, candidates) or clock
    if clock.offset_ns is None:
        return nothing, clock
    expected = clock.offset_ns + clock.drift_ppb * 1e-9 * (candidates.here_first - here.first_ns)
    return candidates.take(np.flatnonzero(np.abs(candidates.delay - expected) < STREAM_NS)), clock


def _left(port: Port, done: Array) -> Array:
    """(c,) the TCP conversations of a port that have no counterpart."""
    left = np.asarray(port.conversations.proto == 6)
    left[done] = False
    return left


def _agreed(c: Candidates) -> Clock:
    """The clock that most of these conversations agree on, if that is proof enough."""
    order = np.argsort(c.delay, kind="stable")
    delay = c.delay[order]
    if not len(delay):
        return Clock()
    ends = np.searchsorted(delay, delay + AGREEING_NS, "right")
    groups = [(len(np.unique(c.here[order[i:end]])), -i) for i, end in enumerate(ends.tolist())]
    count, first = max(groups)
    rows = order[-first : ends[-first]]
    pauses = c.here_last[rows] - c.here_first[rows]
    apart = np.abs(c.there_last[rows] - c.there_first[rows] - pauses)
    proven = (pauses > LONG_PAUSES_NS) & (pauses > apart << 10) & (c.shared[rows] > 3)
    if count < ENOUGH_STREAMS and not proven.any():
        return Clock(notes=["some conversations say the same at both points, but not at times that prove more"])
    offset = int(np.median(c.delay[rows]))
    return Clock(offset, 0, None, int(c.shared[rows].sum()), ["known from conversations that the box ends: their delay is included"])


def _forwarded(here: Port, there: Port, c: Candidates) -> Clock | None:
    """The clock by conversations whose SYN the box passed on under another number, if they agree; None if there are none.

    Such a SYN keeps its timestamp, or its identification together with its window; what both ends say after it is rare, and comes
    as long after it on either side.
    """
    one, other = here.conversations.first_row[c.here], there.conversations.first_row[c.there]
    a, b = here.packets, there.packets
    syns = (a.tcp_flags[one] & SYN_ACK == 2) & (b.tcp_flags[other] & SYN_ACK == 2) & (c.packet_bits >= RARE_BITS)
    same_stamp = (a.flags[one] & b.flags[other] & TS != 0) & (a.tsval[one] == b.tsval[other]) & (a.tsval[one] != 0)
    same_id = (a.ip_id[one] != 0) & (a.ip_id[one] == b.ip_id[other]) & (a.window[one] == b.window[other])
    apart = (c.here_first - a.time_ns[one]) - (c.there_first - b.time_ns[other])
    rows = np.flatnonzero(syns & (same_stamp | same_id) & (np.abs(apart) < AGREEING_NS))
    if not len(rows) or np.ptp(c.delay[rows]) > STREAM_NS:
        return None
    offset = int(np.median(c.delay[rows]))
    return Clock(offset, 0, None, int(c.shared[rows].sum()), ["known from connections that the box renumbers: their delay is included"])


def ended(here: Port, there: Port, rows_here: Array, rows_there: Array) -> Array:
    """(k,) 1 where the box has a connection of its own on the other side, 0 where it only renumbers, or where the SYNs do not tell.

    A box that rewrites sequence numbers forwards the client's SYN, with its identification or at least its timestamp (some rewrite
    that, too); one that ends connections sends one of its own.
    """
    a, b = here.packets, there.packets
    one, other = here.conversations.first_row[rows_here], there.conversations.first_row[rows_there]
    syns = (a.tcp_flags[one] & SYN_ACK == 2) & (b.tcp_flags[other] & SYN_ACK == 2)
    stamped = a.flags[one] & b.flags[other] & TS != 0
    same_stamp = a.tsval[one] == b.tsval[other]
    identified = (a.ip_id[one] != 0) & (b.ip_id[other] != 0)
    same_id = a.ip_id[one] == b.ip_id[other]
    own = np.where(stamped, ~same_stamp & ~(identified & same_id), identified & ~same_id & (a.window[one] != b.window[other]))
    return np.asarray(syns & own).astype(np.uint8)
