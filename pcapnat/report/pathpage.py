"""Conversations from end to end, where there are more than two points: in words and as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..address import texts
from ..analysis import Analysis
from ..flow import Paths, Port, paths, protocol_name
from ..table import Array
from .words import Section, endpoint, plural


def joined(analysis: Analysis) -> Paths | None:
    """The paths, if there is more than one box."""
    return paths([box.crossing for box in analysis.boxes]) if len(analysis.boxes) > 1 else None


def path_sections(analysis: Analysis, limit: int) -> list[Section]:
    """Each conversation at each point, and how many came how far."""
    found = joined(analysis)
    if found is None:
        return []
    names = [p.name for p in analysis.points]
    seen = found.conversation >= 0
    lines = [f"{plural(int(seen.all(axis=1).sum()), 'conversation')} from {names[0]} to {names[-1]}."]
    for first in range(len(names)):
        for last in range(first + 1, len(names)):
            count = int((seen[:, first : last + 1].all(axis=1) & (seen.sum(axis=1) == last - first + 1)).sum())
            if count and last - first + 1 < len(names):
                lines.append(f"{plural(count, 'conversation')} from {names[first]} to {names[last]} only.")
    translating = [box for box in analysis.boxes if box.kind.value == "nat"]
    if len(translating) > 1:
        lines.append(
            f"{len(translating)} NATs one behind the other: "
            + ", ".join(f"{b.crossing.here.name}|{b.crossing.there.name}" for b in translating)
            + "."
        )
    ends = [_ends(analysis.points, found, i) for i in range(len(analysis.points))]
    rows = [[_proto(analysis.points, found, row), *(_text(e[row]) for e in ends)] for row in range(min(len(seen), limit or len(seen)))]
    more = [f"... and {len(seen) - len(rows):,} more: --limit 0 shows all"] if len(rows) < len(seen) else []
    return [Section("End to end", lines, ["proto", *names], rows, after=more)]


def path_json(analysis: Analysis) -> dict[str, Any]:
    """`paths`: null with fewer than three points."""
    found = joined(analysis)
    if found is None:
        return {"paths": None}
    ends = [_ends(analysis.points, found, i) for i in range(len(analysis.points))]
    return {
        "paths": [
            {
                "proto": _proto(analysis.points, found, row),
                "confidence": round(float(found.confidence[row]), 6),
                "points": {
                    port.name: {"conversation": int(found.conversation[row, i]), "src": _json(end[0]), "dst": _json(end[1])}
                    for i, port in enumerate(analysis.points)
                    if (end := ends[i][row])
                },
            }
            for row in range(len(found.conversation))
        ]
    }


End = tuple[str, int]
"""An address, and a port, -1 for none."""


def _ends(points: list[Port], found: Paths, i: int) -> list[tuple[End, End] | None]:
    """(source, destination) of each path at point i, the source being who opened it; None where it was not seen."""
    c = points[i].conversations
    known = np.flatnonzero(found.conversation[:, i] >= 0)
    rows = found.conversation[known, i]
    swap = found.turned[known, i] ^ _opened_by_b(points, found)[known]
    out: list[tuple[End, End] | None] = [None] * len(found.conversation)
    ends = zip(texts(c.a[rows]), c.a_port[rows].tolist(), texts(c.b[rows]), c.b_port[rows].tolist(), strict=True)
    for row, back, (a, a_port, b, b_port) in zip(known.tolist(), swap.tolist(), ends, strict=True):
        out[row] = ((b, b_port), (a, a_port)) if back else ((a, a_port), (b, b_port))
    return out


def _opened_by_b(points: list[Port], found: Paths) -> Array:
    """(n,) whether b, as at the first point that saw it, opened the conversation: told by the first point that can tell."""
    answer = np.full(len(found.conversation), -1)
    for i, port in enumerate(points):
        rows = np.flatnonzero((answer < 0) & (found.conversation[:, i] >= 0))
        client = port.conversations.client()[found.conversation[rows, i]]
        answer[rows] = np.where(client < 0, -1, client ^ found.turned[rows, i])
    return np.asarray(answer == 1)


def _proto(points: list[Port], found: Paths, row: int) -> str:
    i = int(np.argmax(found.conversation[row] >= 0))
    return protocol_name(int(points[i].conversations.proto[found.conversation[row, i]]))


def _text(ends: tuple[End, End] | None) -> str:
    return f"{endpoint(*ends[0])} → {endpoint(*ends[1])}" if ends else "-"


def _json(end: End) -> dict[str, Any]:
    return {"address": end[0], "port": end[1] if end[1] >= 0 else None}
