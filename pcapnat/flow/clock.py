"""How far one capture's clock is from another's, from frames seen at both.

No frame arrives before it left. With d = time there - time here, every frame that went from here to there has d above
the clocks' true difference, every frame that came has d below it. The difference is a line over time (offset and
drift) that fits between the two clouds; the middle of the widest gap is taken, half the gap is the uncertainty.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..kernel import kernel, signed
from ..table import Array
from ..terms import Clock

STEPS = 8
"""A clock that was set more often is not followed."""
SLICE = 6
"""Frames, at least, whose median says how far the clocks are apart at some time."""
LEAST_STEP_NS = 1_000_000
LEFT_OVER = 0.2
"""Of a step, the contradiction that may be left on either side of it."""
FASTEST_DRIFT = 1e-3
"""1000 ppm; crystals are within 100 ppm, and virtual machines' clocks are slewed by up to 500."""
BINS = 512
FAR = 1 << 62


WENT, HIGH, CAME, LOW = range(4)
"""Slots of what `clouds` finds: frames that went, the least delay among them; frames that came, the greatest."""


@kernel(here_ns="i8", there_ns="i8", outward="i1", found="i8")
def clouds(here_ns: Any, there_ns: Any, outward: Any, found: Any) -> int:
    """Where the two clouds are nearest to each other; returns the frames whose direction is known."""
    went, high, came, low = found[WENT] | 0, found[HIGH] | 0, found[CAME] | 0, found[LOW] | 0
    for i in range(len(here_ns)):
        d = there_ns[i] - here_ns[i]
        if outward[i] > 0:
            went += 1
            high = d if d < high else high
        elif outward[i] < 0:
            came += 1
            low = d if d > low else low
    found[WENT], found[HIGH], found[CAME], found[LOW] = went, high, came, low
    return signed(went + came)


def compare(here_ns: Array, there_ns: Array, outward: Array, start_ns: int) -> Clock:
    """The clock there against the clock here, as of `start_ns` here.

    here_ns, there_ns: (n,) times of the same frames. outward: (n,) 1 if the frame went from here to there, -1 if it
    came, 0 if unknown. Drift is looked for only where no constant difference fits. With one direction only, delay
    cannot be told from offset: the median is taken and the uncertainty is unknown.
    """
    if not len(here_ns):
        return Clock(notes=["no frame is known at both points: the clocks cannot be compared"])
    found = np.array([0, FAR + FAR - 1, 0, -FAR - FAR], np.int64)
    clouds(here_ns, there_ns, outward.astype(np.int8, copy=False), found)
    low, high = int(found[LOW]), int(found[HIGH])
    known = found[WENT] and found[CAME]
    if known and low <= high:
        return Clock((low + high) // 2, 0, (high - low + 1) // 2, len(here_ns))
    d = there_ns - here_ns
    base = int(np.median(d))
    if not known:
        return Clock(base, 0, None, len(d), ["the direction of travel is known one way at most: the offset includes the delay"])
    went, came = outward > 0, outward < 0
    d = np.clip(d, max(base - FAR, -FAR), min(base + FAR, FAR))  # what is left of `base` fits 64 bits
    t = (here_ns - start_ns).astype(np.float64)
    above = _edge(t[went], (d[went] - base).astype(np.float64), np.minimum)
    below = _edge(t[came], (d[came] - base).astype(np.float64), np.maximum)
    drift = _widest(above, below)
    low_f, high_f = float((below[1] - drift * below[0]).max()), float((above[1] - drift * above[0]).min())
    offset = base + round((low_f + high_f) / 2)
    if low_f <= high_f:
        return Clock(offset, round(drift * 1e9), round((high_f - low_f) / 2), len(d))
    # Not even a line fits: a clock was set. What is left of the contradiction is how wrong the line may be.
    return Clock(offset, round(drift * 1e9), round(low_f - high_f), len(d), ["one of the clocks was set or steered during the capture"])


class Travel(NamedTuple):
    """When and which way some frames passed both points: (n,) each. outward: 1 from here to there, -1 back, 0 not known."""

    here_ns: Array
    there_ns: Array
    outward: Array
    here_row: Array
    there_row: Array


class Step(NamedTuple):
    """A clock that was set: from row `row` there on, times there are larger against those here by step_ns."""

    row: int
    step_ns: int


def stepped(t: Travel, start_ns: int) -> tuple[Clock, list[Step]]:
    """The clock, and where it was set, if that explains what no line does."""
    clock = compare(*t[:3], start_ns)
    found: list[Step] = []
    if not clock.notes or not clock.uncertainty_ns:
        return clock, found
    order = np.argsort(t.there_row, kind="stable")
    t = Travel(*(column[order] for column in t))
    first = clock
    while clock.notes and clock.uncertainty_ns and len(found) < STEPS:
        step = _step(t)
        if step is None:
            break
        found.append(step)
        t = t._replace(there_ns=np.where(t.there_row >= step.row, t.there_ns - step.step_ns, t.there_ns))
        clock = compare(t.here_ns, t.there_ns, t.outward, start_ns)
    explained = (clock.uncertainty_ns or 0) < LEFT_OVER * (first.uncertainty_ns or 0)
    return (clock, sorted(found)) if found and explained else (first, [])


def _step(t: Travel) -> Step | None:
    """The largest step of the clocks against each other, None if nothing stands out from what is around it."""
    d = (t.there_ns - t.here_ns).astype(np.float64)
    size = max(SLICE, -(-len(d) // BINS))
    starts = np.arange(0, len(d) - size + 1, size)
    if len(starts) < 3:
        return None
    medians = np.array([np.median(d[i : i + size]) for i in starts.tolist()])
    k = int(np.argmax(np.abs(medians[2:] - medians[:-2])))  # a step inside a slice shows around it
    low, high = int(starts[k]), min(len(d), int(starts[k]) + 3 * size)
    over = np.abs(d[low:high] - medians[k]) - np.abs(d[low:high] - medians[k + 2])  # large where the step is over
    at = low + int(np.argmin(np.concatenate([[0.0], np.cumsum(over)])))
    if not SLICE // 2 <= at <= len(d) - SLICE // 2:
        return None
    before, after = slice(max(0, at - 2 * size), at), slice(at, at + 2 * size)
    step = _level(d[after], t.outward[after]) - _level(d[before], t.outward[before])
    spread = max(np.quantile(d[s], 0.9) - np.quantile(d[s], 0.1) for s in (before, after))
    return Step(int(t.there_row[at]), round(step)) if abs(step) > LEAST_STEP_NS and spread < LEFT_OVER * abs(step) else None


def _level(d: Array, outward: Array) -> float:
    """How far the clocks are apart in a few frames: between those that went and those that came, if there are both."""
    went, came = d[outward > 0], d[outward < 0]
    return float((went.min() + came.max()) / 2 if len(went) and len(came) else np.median(d))


def _edge(t: Array, d: Array, best: np.ufunc) -> tuple[Array, Array]:
    """The points nearest to the other cloud, one per slice of time: enough to know the gap, and few."""
    span = float(np.ptp(t)) or 1.0
    slot = np.minimum(((t - t.min()) / span * BINS).astype(np.int64), BINS - 1)
    order = np.lexsort((d if best is np.minimum else -d, slot))
    first = np.append(True, slot[order][1:] != slot[order][:-1])
    return t[order][first], d[order][first]


def _widest(above: tuple[Array, Array], below: tuple[Array, Array]) -> float:
    """The drift for which the gap between the clouds is widest. The gap is concave in the drift: a ternary search finds it."""

    def gap(drift: float) -> float:
        return float((above[1] - drift * above[0]).min() - (below[1] - drift * below[0]).max())

    left, right = -FASTEST_DRIFT, FASTEST_DRIFT
    for _ in range(80):
        third = (right - left) / 3
        if gap(left + third) < gap(right - third):
            left += third
        else:
            right -= third
    return (left + right) / 2
