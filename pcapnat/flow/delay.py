"""How long a box takes, each way and over time, from frames that are surely one and the clocks' difference."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..table import Array
from .align import SAME, SHIFTED
from .cross import Crossing

SLICES = 60
"""The capture in so many equal parts of time."""


@dataclass(frozen=True)
class Slice:
    """Frames that passed in one part of the capture. Times in ns; delays include the uncertainty of the clocks' difference."""

    start_ns: int
    frames: int
    median_ns: int
    most_ns: int


@dataclass(frozen=True)
class Delay:
    """How long frames took one way. outward: from the first port to the second."""

    outward: bool
    frames: int
    least_ns: int
    median_ns: int
    most_of_them_ns: int
    """95 of 100 took no longer."""
    most_ns: int
    slices: list[Slice] = field(default_factory=list)


def delays(c: Crossing) -> list[Delay]:
    """Both ways, as far as frames and the clocks tell: nothing if the clocks cannot be compared, or were set meanwhile.

    Frames of conversations whose direction of travel is not known, retransmissions paired by guess of time, and hairpins are left out.
    """
    clock, f, m = c.clock, c.frames, c.matches
    if clock.offset_ns is None or clock.uncertainty_ns is None or clock.notes:
        return []
    rows = np.flatnonzero(((f.how == SAME) | (f.how == SHIFTED)) & (m.hairpin[f.match] == 0) & (m.outward[f.match] != 0))
    if not len(rows):
        return []
    here, there = f.here[rows], f.there[rows]
    at = c.here.packets.time_ns[here]
    lag = c.there.packets.time_ns[there] - at - clock.offset_ns - (clock.drift_ppb * 1e-9 * (at - c.here.first_ns)).astype(np.int64)
    out = (m.outward[f.match[rows]] > 0) ^ (c.here.reverse[here] & 1 == 1)
    return [_one(way, at[mask], lag[mask] if way else -lag[mask]) for way in (True, False) for mask in [out == way] if mask.any()]


def _one(outward: bool, at: Array, delay: Array) -> Delay:
    start, stop = int(at.min()), int(at.max()) + 1
    width = max(1, -(-(stop - start) // SLICES))
    part = (at - start) // width
    order = np.lexsort((delay, part))
    part, sorted_ = part[order], delay[order]
    first = np.flatnonzero(np.append(True, part[1:] != part[:-1]))
    last = np.append(first[1:], len(part))
    slices = [Slice(start + int(part[a]) * width, b - a, int(sorted_[(a + b - 1) // 2]), int(sorted_[b - 1]))
              for a, b in zip(first.tolist(), last.tolist(), strict=True)]  # fmt: skip
    low, middle, high = (int(x) for x in np.quantile(delay, [0, 0.5, 0.95]))
    return Delay(outward, len(delay), low, middle, high, int(delay.max()), slices)
