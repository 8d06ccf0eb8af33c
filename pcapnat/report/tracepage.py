"""A frame's way through a model, as JSON and on the page."""

from __future__ import annotations

import json
from typing import Any

from ..analysis import Traced
from ..flow import protocol_name
from ..replay.trace import Head
from .models import behavior_values
from .words import Section


def trace_json(found: Traced) -> str:
    """pcapnat.trace/1."""
    t, names = found.trace, found.names
    document = {
        "schema": "pcapnat.trace/1",
        "points": [{"name": p.name, "file": p.files[0], "files": list(p.files)} for p in (found.crossing.here, found.crossing.there)],
        "model": behavior_values(t.behavior),
        "frame": {"point": names[t.frame[0]], "number": t.frame[1], "role": t.role, "entered": _frame(t.entered, names)},
        "steps": [{"number": k, "name": s.name, "result": s.result, "says": s.says} for k, s in enumerate(t.steps, 1)],
        "verdict": {
            "disposition": t.disposition.name.lower() if t.disposition is not None else None,
            "reason": t.reason.name.lower(),
            "says": t.says,
            "leaves": _head(t.expected),
        },
        "observed": {**(_frame(t.observed, names) or {}), "leaves": _head(t.seen)} if t.observed else None,
        "differs": [{"field": name, "expected": expected, "observed": seen} for name, expected, seen in t.differs],
        "agrees": t.agrees,
        "notes": found.notes,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True) + "\n"


def _frame(frame: tuple[int, int] | None, names: tuple[str, str]) -> dict[str, Any] | None:
    return {"point": names[frame[0]], "frame": frame[1]} if frame else None


def _head(h: Head | None) -> dict[str, Any] | None:
    if h is None:
        return None
    return {
        "side": ("inside", "outside", "nowhere")[h.side],
        "proto": protocol_name(h.proto),
        "src": {"address": h.src, "port": h.sport if h.sport >= 0 else None},
        "dst": {"address": h.dst, "port": h.dport if h.dport >= 0 else None},
        "ttl": h.ttl,
    }


def trace_sections(found: Traced) -> list[Section]:
    """The page `pcapnat trace` prints."""
    t, names = found.trace, found.names
    name = t.behavior.source if t.behavior.name == "custom" else t.behavior.name
    lines = [f"{k}. {s.name}: {s.result}. {s.says}" for k, s in enumerate(t.steps, 1)]
    if t.role == "left" and t.entered:
        lines.insert(0, f"It is frame {t.entered[1]} of {names[t.entered[0]]} after the box.")
    lines.append(f"Verdict: {t.says}")
    if t.disposition is not None:
        if t.observed and t.seen:
            lines.append(f"Observed: frame {t.observed[1]} of {names[t.observed[0]]}, {t.seen}")
        else:
            lines.append("Observed: it was not seen to leave")
        if t.agrees is None:
            lines.append("Nothing can be said of that: the other capture had not begun, or was over.")
        elif t.agrees:
            lines.append("The model says what was seen.")
        elif t.differs:
            lines += [f"Differs in {name}: expected {expected}, observed {seen}" for name, expected, seen in t.differs]
        else:
            lines.append("Differs: the model lets it out." if t.expected else "Differs: the model does not let it out.")
    return [Section(f"Frame {t.frame[1]} of {names[t.frame[0]]} through {name}", lines, after=found.notes)]
