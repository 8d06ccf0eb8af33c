"""When the inside capture would have shown a packet: what did not come in is evidence only then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..flow import Crossing
from ..table import Array

SETTLE_NS = 10_000_000
"""A capture that ends so soon after its last frame would be a coincidence, and so would one that ends in the next hundredth of its time."""
QUIET_NS = 1_000_000_000
"""After so much silence a frame that is missing may have been refused; before, it was lost."""


@dataclass(frozen=True)
class Watch:
    """The inside capture, in times of the outer point's clock, and how many frames get lost between the two points."""

    first_ns: int
    last_ns: int
    loss: float
    """An upper estimate of the share of frames that are lost on the way in, by those of matched conversations."""

    def covers(self, time_ns: int) -> bool:
        """Whether a packet that passed inwards at this time would have been captured."""
        return self.first_ns <= time_ns <= self.last_ns + max(SETTLE_NS, (self.last_ns - self.first_ns) // 100)

    def beyond_loss(self, packets: int) -> bool:
        """Whether so many packets cannot all have been lost by chance."""
        return self.loss**packets < 0.02


def watch(crossing: Crossing) -> Watch | None:
    """The inside capture as the outer point's clock sees it; None if the clocks are not known or nothing is there."""
    offset = crossing.clock.offset_ns
    if offset is None or not len(crossing.frames):
        return None
    here = crossing.here
    return Watch(here.first_ns + offset, here.last_ns + offset, _loss(crossing))


def _loss(crossing: Crossing) -> float:
    """The share of frames without a counterpart among those in the midst of their conversations' traffic; half a frame is added."""
    port, m = crossing.there, crossing.matches
    passed = crossing.frames.there[m.hairpin[crossing.frames.match] == 0]
    lone = crossing.lone_there
    rows = np.concatenate([passed, lone])
    crossed = np.arange(len(rows)) < len(passed)
    group, time = port.conversation[rows], port.packets.time_ns[rows]
    order = np.lexsort((time, group))
    order = order[group[order] >= 0]
    group, time, crossed = group[order], time[order], crossed[order]
    if not len(group):
        return 1.0
    last = before(crossed, group)
    missing = ~crossed & (last >= 0) & (time - time[last] < QUIET_NS)
    return (int(missing.sum()) + 0.5) / (int(crossed.sum()) + int(missing.sum()) + 1)


def before(mask: Array, group: Array) -> Array:
    """(n,) the last row before each one, of the same group, where mask is set; -1 for none. Groups are sorted."""
    if not len(mask):
        return np.zeros(0, np.int64)
    start = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    begins = np.repeat(start, np.diff(np.append(start, len(mask))))
    latest = np.append(-1, np.maximum.accumulate(np.where(mask, np.arange(len(mask)), -1))[:-1])
    return np.asarray(np.where(latest >= begins, latest, -1))
