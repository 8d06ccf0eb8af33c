"""Which frames passed a box, which were seen at one point only, and how long they took: in words and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np

from ..analysis import Box
from ..flow import Delay, How, Port
from ..table import Array
from .words import Section, plural, span

NAMED = 8
"""Frames that are named where there are more."""
LISTED = 1000
HOWS = {
    How.SAME: "unchanged but for what boxes rewrite",
    How.SHIFTED: "with other sequence numbers",
    How.CHANGED: "with another payload",
    How.PART: "in pieces cut elsewhere (segmentation offload)",
    How.COPY: "copies of a frame seen before",
}
assert HOWS.keys() == set(How)


def passage_section(box: Box) -> list[Section]:
    """What became of the frames of matched conversations; nothing if none was matched."""
    c = box.crossing
    if not len(c.frames):
        return []
    counts = Counter(c.frames.how.tolist())
    kinds = ", ".join(f"{counts[how]:,} {words}" for how, words in HOWS.items() if counts[how])
    lines = [f"{plural(len(c.frames), 'pair')} of frames that are one: {kinds}."]
    for port, lone, other in ((c.here, c.lone_here, c.there), (c.there, c.lone_there, c.here)):
        during = _during(box, port, lone)
        if len(lone) > len(during):
            lines.append(f"{plural(len(lone) - len(during), 'frame')} at {port.name} before or after {other.name} was captured.")
        if len(during):
            named = ", ".join(str(i + 1) for i in during[:NAMED].tolist()) + (" ..." if len(during) > NAMED else "")
            lines.append(f"{plural(len(during), 'frame')} of matched conversations at {port.name} only: {named}.")
    for d in box.delays:
        way = (c.here.name, c.there.name) if d.outward else (c.there.name, c.here.name)
        lines.append(
            f"{way[0]} → {way[1]}: {span(d.median_ns)} (median of {plural(d.frames, 'frame')}), "
            f"{span(d.least_ns)} at least, {span(d.most_of_them_ns)} for 95 of 100, {span(d.most_ns)} at most; ± {span(_unsure(box))}."
        )
    return [Section("Frames", lines)]


def passage_json(box: Box) -> dict[str, Any]:
    """`frames` and `delay` of a box."""
    c = box.crossing
    counts = Counter(c.frames.how.tolist())
    return {
        "frames": {
            "pairs": len(c.frames),
            **{how.name.lower(): counts[how] for how in How},
            "only_inside": _lone(box, c.here, c.lone_here),
            "only_outside": _lone(box, c.there, c.lone_there),
        },
        "delay": {"uncertainty_ns": _unsure(box) if box.delays else None, "out": _way(box, True), "back": _way(box, False)},
    }


def _way(box: Box, outward: bool) -> dict[str, Any] | None:
    found: list[Delay] = [d for d in box.delays if d.outward == outward]
    return {name: value for name, value in asdict(found[0]).items() if name != "outward"} if found else None


def _lone(box: Box, port: Port, lone: Array) -> dict[str, Any]:
    during = _during(box, port, lone)
    return {"count": len(lone), "while_both_captured": len(during), "frames": (during[:LISTED] + 1).tolist()}


def _unsure(box: Box) -> int:
    return box.crossing.clock.uncertainty_ns or 0


def _during(box: Box, port: Port, lone: Array) -> Array:
    """Those of some rows that were captured while the other point was, too; all if the clocks cannot be compared."""
    c = box.crossing
    if c.clock.offset_ns is None or not len(lone):
        return lone
    other, offset = (c.there, c.clock.offset_ns) if port is c.here else (c.here, -c.clock.offset_ns)
    time = port.packets.time_ns[lone] + offset
    return lone[np.flatnonzero((time >= other.first_ns) & (time <= other.last_ns))]
