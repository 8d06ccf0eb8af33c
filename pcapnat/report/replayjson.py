"""A replay as JSON: the `replay` of a box, and what `pcapnat diff` prints."""

from __future__ import annotations

import json
from typing import Any

from ..analysis import Diff
from ..replay import Cause, Difference, Kind, Replay
from .models import behavior_values
from .tabletext import table_json

MOST_NUMBERS = 20
"""Frame numbers of one filter."""


def replay_json(replay: Replay, names: tuple[str, str]) -> dict[str, Any]:
    """The `replay` object of a box; names: of its two points, inside first.

    explained is a count of frames; unjudged ones are in neither. Differences are the first of each cause, causes count them all.
    """
    return {
        "model": behavior_values(replay.behavior),
        "points": {"inside": names[0], "outside": names[1]},
        "frames": replay.frames,
        "explained": replay.explained,
        "share": None if replay.share is None else round(replay.share, 6),
        "made_by_box": replay.made,
        "unjudged": replay.unjudged,
        "causes": [_cause(c, replay) for c in replay.causes],
        "conversations_diverged": replay.diverged,
        "first_divergences": [_difference(d) for d in replay.firsts],
        "differences": [_difference(d) for d in replay.differences],
        "unmodelled": list(replay.behavior.unmodelled),
        "notes": [*replay.notes, *replay.behavior.notes],
    }


WORDS = {
    "src": "source address",
    "sport": "source port or identifier",
    "dst": "destination address",
    "dport": "destination port or identifier",
    "ttl": "TTL",
    "side": "side where it leaves",
    "mss": "TCP segment size",
}


def cause_says(cause: Cause) -> str:
    """A cause as a sentence about its frames."""
    if cause.first.entered_at < 0:
        return "the box sent it, and nothing that entered explains it"
    if cause.kind is Kind.CHANGED:
        field = cause.field or ""
        quoted = "quoted packet's " if field.startswith("quoted.") else ""
        return f"left with another {quoted}{WORDS[field.removeprefix('quoted.')]} than the model gives it"
    if cause.field == "answer":
        return "is rejected by a rule, and the reset that answers it was not seen"
    if cause.field == "lost":
        return "the model lets it out, and it was lost between the points: its session was alive, and what replaces it came out later"
    if cause.kind is Kind.MISSING:
        return "the model lets it out, and it was not seen to leave"
    return f"came out, and the model does not let it: {cause.reason.value}"


def of_cause(replay: Replay, cause: Cause) -> list[Difference]:
    """The listed differences of a cause; those of frames that only left are a cause of their own, called `origin`."""
    lone = cause.first.entered_at < 0
    return [
        d
        for d in replay.differences
        if (d.kind, d.reason, d.field) == (cause.kind, cause.reason, cause.first.field) and (d.entered_at < 0) == lone
    ]


def filters(differences: list[Difference]) -> tuple[str | None, str | None]:
    """Wireshark display filters that show their frames at either point, None where there is none to show."""
    numbers = [sorted({n for d in differences for n in d.frames[k]})[:MOST_NUMBERS] for k in (0, 1)]
    said = [f"frame.number in {{{', '.join(map(str, found))}}}" if found else None for found in numbers]
    return said[0], said[1]


def diff_json(diff: Diff) -> str:
    """pcapnat.diff/1."""
    c = diff.crossing
    points = [{"name": p.name, "file": p.files[0], "files": list(p.files), "frames": len(p.packets)} for p in (c.here, c.there)]
    found = replay_json(diff.replay, (c.here.name, c.there.name))
    found["notes"] += diff.notes
    found["table"] = table_json(diff.table) if diff.table else None
    # ASCII only, as all documents: names from captures may hold anything.
    return json.dumps({"schema": "pcapnat.diff/1", **found, "points": points}, separators=(",", ":"), ensure_ascii=True) + "\n"


def _cause(cause: Cause, replay: Replay) -> dict[str, Any]:
    listed = of_cause(replay, cause)
    inside, outside = filters(listed)
    return {
        "kind": cause.kind.value,
        "field": cause.field,
        "reason": cause.reason.name.lower(),
        "says": cause_says(cause),
        "frames": cause.count,
        "listed": len(listed),
        "first": _difference(cause.first),
        "filters": {"inside": inside, "outside": outside},
    }


def _difference(d: Difference) -> dict[str, Any]:
    return {
        "kind": d.kind.value,
        "field": d.field,
        "expected": d.expected,
        "observed": d.observed,
        "reason": d.reason.name.lower(),
        "conversation": d.conversation if d.conversation >= 0 else None,
        "entered": {0: "inside", 1: "outside"}.get(d.entered_at),
        "frames": {"inside": list(d.frames[0]), "outside": list(d.frames[1])},
    }
