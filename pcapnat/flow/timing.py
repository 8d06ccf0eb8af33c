"""Conversations that say what many others say, told apart by when they say it.

Keep-alives, time requests and probes are equal byte for byte, and nothing in them tells whose they are. Once the clocks are known,
a frame that left at this moment arrived at that one, give or take the delays that the box was seen to have. One such coincidence
proves little; conversations whose frames all coincide are one. How much a coincidence proves is what chance would have to do: the
frames alike that were expected in so short a time, as many as there are around, instead of none.
"""

from __future__ import annotations

import numpy as np

from ..table import Array
from ..terms import Clock
from ..wire import Flag
from .clock import Travel
from .fingerprint import By, Candidates
from .port import Port

KEY, TCP = int(Flag.KEY), int(Flag.TCP)
TIMED_FRAMES = 16
"""So many frames known at both points tell how long the box takes."""
ENOUGH_FRAMES = 1 << 18
"""Of more frames than these, some are enough to tell that."""
SHORTEST_NS, LONGEST_NS = 50_000, 100_000_000
"""The width of the window is at least the former; a box that takes longer than the latter tells nothing."""
AROUND = 64
"""How many windows on either side say how many frames alike are about."""
CROWD = 8
"""With more frames alike than this in one window, nothing is learned from it."""
FRAME_BITS, MISSING_BITS = 10.0, 4.0
"""The most that one coincidence proves, and what a frame without one takes away: one in sixteen is lost."""
MOST_FRAMES = 1 << 22


def by_time(here: Port, there: Port, done_here: Array, done_there: Array, clock: Clock, travel: Travel) -> Candidates:
    """Pairs of conversations without a counterpart (neither TCP nor to groups) whose equal frames were seen at the same moments.

    travel: of frames that are surely one.
    """
    nothing = Candidates.empty(0)
    if clock.offset_ns is None or len(travel.here_ns) < TIMED_FRAMES:
        return nothing
    low, high = _delays(here, clock, travel)
    if high - low > LONGEST_NS:
        return nothing
    one, other = _Said(here, done_here), _Said(there, done_there)
    if not len(one.rows) or not len(other.rows) or len(one.rows) + len(other.rows) > MOST_FRAMES:
        return nothing
    return _coincidences(one, other, clock, low, high)


def _delays(here: Port, clock: Clock, travel: Travel) -> tuple[int, int]:
    """The least and the most that a frame took from here to there; negative for those that came."""
    some = slice(None, None, 1 + len(travel.here_ns) // ENOUGH_FRAMES)
    lag = travel.there_ns[some] - _expected(travel.here_ns[some], here, clock)
    low, high = (int(x) for x in np.quantile(lag, [0.005, 0.995]))
    spare = max(SHORTEST_NS, (high - low) // 4)
    return low - spare, high + spare


def _expected(time_ns: Array, here: Port, clock: Clock) -> Array:
    """Times here as the clock there shows them."""
    drift = (clock.drift_ppb * 1e-9 * (time_ns - here.first_ns)).astype(np.int64)
    return np.asarray(time_ns + int(clock.offset_ns or 0) + drift)


class _Said:
    """The frames of a port's open conversations that say something: rows, and what each conversation has of them."""

    def __init__(self, port: Port, done: Array):
        c = port.conversations
        open_ = ~port.to_group() & (c.proto != 6)
        open_[done] = False
        p = port.packets
        rows = np.flatnonzero(np.append(open_, False)[port.conversation])  # -1, "none", finds the last
        self.port = port
        self.rows = rows[(p.flags[rows] & KEY != 0) & (p.payload_len[rows] > 0)]
        self.owner = port.conversation[self.rows]
        self.key = p.key[self.rows]
        self.time = p.time_ns[self.rows]


def _coincidences(one: _Said, other: _Said, clock: Clock, low: int, high: int) -> Candidates:
    here, there = one.port, other.port
    keys = np.intersect1d(one.key, other.key)
    a, b = np.flatnonzero(np.isin(one.key, keys)), np.flatnonzero(np.isin(other.key, keys))
    when = _expected(one.time[a], here, clock)
    start = min(int(when.min()), int(other.time[b].min())) - AROUND * (high - low) if len(a) and len(b) else 0
    stop = max(int(when.max()), int(other.time[b].max())) + AROUND * (high - low) if len(a) and len(b) else 0
    span = (stop - start) // 1000 + 2
    if not len(a) or not len(b) or span * len(keys) >= 1 << 62:
        return Candidates.empty(0)

    def code(key: Array, time: Array) -> Array:
        """Key and microsecond in one number, so that a window of one key is a range."""
        return np.asarray(np.searchsorted(keys, key) * span + (time - start) // 1000)

    order = np.argsort(code(other.key[b], other.time[b]), kind="stable")
    b = b[order]
    line = code(other.key[b], other.time[b])
    first, last = np.searchsorted(line, code(one.key[a], when + low)), np.searchsorted(line, code(one.key[a], when + high), "right")
    wide = AROUND * (high - low)
    around = np.searchsorted(line, code(one.key[a], when + wide), "right") - np.searchsorted(line, code(one.key[a], when - wide))
    many = last - first
    use = (many > 0) & (many <= CROWD)
    if not use.any():
        return Candidates.empty(0)
    count = many[use]
    left = np.repeat(np.flatnonzero(use), count)
    right = np.repeat(first[use], count) + (np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count))
    # What chance would bring: frames alike around here, others than this one, in so short a time.
    chance = np.maximum((around[left] - 1) / (2 * AROUND), 2.0**-FRAME_BITS)
    worth = np.maximum(-np.log2(chance) - np.log2(many[left]), 0.0)
    i, j = a[left], b[right]
    flip = here.reverse[one.rows[i]] ^ there.reverse[other.rows[j]]
    # A frame counts once, however many of the other side's it may be.
    pair = (one.owner[i] * len(there.conversations) + other.owner[j]) * 2 + flip
    _, kept = np.unique(np.column_stack([pair, i]), axis=0, return_index=True)
    pair, i, j, worth = pair[kept], i[kept], j[kept], worth[kept]
    number, inverse = np.unique(pair, return_inverse=True)
    n = len(number)
    shared = np.bincount(inverse, minlength=n)
    bits = np.bincount(inverse, weights=worth, minlength=n)
    mine, theirs = (number >> 1) // len(there.conversations), (number >> 1) % len(there.conversations)
    missing = _seen_by(one, there, clock, False)[mine] + _seen_by(other, here, clock, True)[theirs] - 2 * shared
    bits -= MISSING_BITS * np.maximum(missing, 0)
    here_ns, there_ns = one.time[i], other.time[j]

    def edge(values: Array, best: np.ufunc) -> Array:
        out = np.full(n, values.max() if best is np.minimum else values.min(), np.int64)
        best.at(out, inverse, values)
        return out

    table = Candidates(
        here=mine, there=theirs, flip=(number & 1).astype(np.uint8), packet_bits=bits, bits=np.zeros(n),
        by=np.full(n, int(By.TIME)), shared=shared, outward=_outward(one, other, i, j, inverse, n), here_first=edge(here_ns, np.minimum),
        here_last=edge(here_ns, np.maximum), there_first=edge(there_ns, np.minimum), there_last=edge(there_ns, np.maximum),
        delay=np.bincount(inverse, weights=(there_ns - here_ns).astype(np.float64), minlength=n) / shared)  # fmt: skip
    return table.take(np.flatnonzero(table.packet_bits > 0))


def _seen_by(said: _Said, other: Port, clock: Clock, back: bool) -> Array:
    """(c,) frames of each conversation while the other point was being captured."""
    offset = -int(clock.offset_ns or 0) if back else int(clock.offset_ns or 0)
    time = said.time + offset
    during = (time >= other.first_ns) & (time <= other.last_ns)
    return np.bincount(said.owner[during], minlength=len(said.port.conversations))


def _outward(one: _Said, other: _Said, i: Array, j: Array, inverse: Array, n: int) -> Array:
    """Per pair, frames whose TTL says that a to b leads from here to there, minus those that say the opposite."""
    before, after = one.port.packets.ttl[one.rows[i]].astype(np.int64), other.port.packets.ttl[other.rows[j]].astype(np.int64)
    way = np.sign(before - after) * np.where(one.port.reverse[one.rows[i]] == 1, -1, 1)
    return np.bincount(inverse, weights=way, minlength=n).astype(np.int64)
