"""Several models beside one another over one capture, as JSON and on the page."""

from __future__ import annotations

import json
from typing import Any

from ..analysis import Supposed
from ..flow import protocol_name
from ..replay import Peak, WhatIf
from .models import behavior_values
from .words import Section, endpoint


def whatif_json(s: Supposed) -> str:
    """pcapnat.whatif/1."""
    document = {
        "schema": "pcapnat.whatif/1",
        "point": {"name": s.port.name, "file": s.port.files[0], "files": list(s.port.files), "frames": len(s.port.packets)},
        "models": [_model(w) for w in s.models],
        "notes": s.notes,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True) + "\n"


def _model(w: WhatIf) -> dict[str, Any]:
    f = w.forecast
    return {
        "through": w.said,
        "model": behavior_values(f.behavior),
        "frames": {"out": len(f.rows), "in": f.answers},
        "dropped": {
            "out": [{"reason": reason, "frames": n} for reason, n in f.dropped.most_common()],
            "in": [{"reason": reason, "frames": n} for reason, n in w.forecast.dropped_in.most_common()],
        },
        "conversations": {"opened": w.conversations, "failed": w.failed, "broken": w.broken},
        "sessions": {"made": w.made, "peak": w.peak},
        "ports": {
            "in_use_at_peak": [_peak(p) for p in w.ports],
            "needed_at_peak": [_peak(p) for p in w.needed],
            "towards_one_endpoint": _peak(w.towards) if w.towards else None,
        },
        "first_failure": w.first
        and {
            "frame": w.first.frame,
            "direction": "in" if w.first.inward else "out",
            "conversation": w.first.conversation if w.first.conversation >= 0 else None,
            "reason": w.first.reason.name.lower(),
            "says": w.first.reason.value,
        },
        "notes": f.notes,
    }


def _peak(p: Peak) -> dict[str, Any]:
    row: dict[str, Any] = {"address": p.outside, "proto": protocol_name(p.proto), "ports": p.most}
    if p.remote:
        row["remote"] = {"address": p.remote[0], "port": p.remote[1]}
    return row


def whatif_sections(s: Supposed) -> list[Section]:
    """The page `pcapnat whatif` prints: a column a model."""
    ways = s.models
    rows = [
        ["frames that go out", *[f"{len(w.forecast.rows):,}" for w in ways]],
        ["frames that come in", *[f"{w.forecast.answers:,}" for w in ways]],
    ]
    for direction, counts in (("out", [w.forecast.dropped for w in ways]), ("in", [w.forecast.dropped_in for w in ways])):
        for reason in dict.fromkeys(reason for counter in counts for reason, _ in counter.most_common()):
            rows.append([f"dropped on the way {direction}: {reason}", *[f"{c[reason]:,}" if c[reason] else "-" for c in counts]])
    rows += [
        ["conversations opened", *[f"{w.conversations:,}" for w in ways]],
        ["... of which nothing gets out", *[f"{w.failed:,}" if w.failed else "-" for w in ways]],
        ["... of which something is dropped", *[f"{w.broken:,}" if w.broken else "-" for w in ways]],
        ["sessions made", *[f"{w.made:,}" for w in ways]],
        ["sessions at the peak", *[f"{w.peak:,}" for w in ways]],
        ["ports in use at the peak", *[_most(w.ports) for w in ways]],
        ["ports needed at the peak", *[_most(w.needed) for w in ways]],
        ["most towards one endpoint", *[f"{w.towards.most:,}" if w.towards else "-" for w in ways]],
        ["which one", *[_remote(w.towards) for w in ways]],
        ["first failure", *[f"frame {w.first.frame:,}" if w.first else "none" for w in ways]],
    ]
    table = Section(
        f"What if {s.port.name} went through",
        [],
        ["", *[w.said for w in ways]],
        rows,
        ["left", *["right"] * len(ways)],
    )
    for w in ways:
        if w.first:
            way = "from outside, " if w.first.inward else ""
            table.after.append(f"{w.said}: first failure is frame {w.first.frame:,}, {way}{w.first.reason.value}")
    notes = list(dict.fromkeys(note for w in ways for note in w.forecast.notes))
    notes += [f"{w.said}: {_all(w.ports)}" for w in ways if len(w.ports) > 1]
    return [table, Section("Notes", notes + s.notes)]


def _most(peaks: list[Peak]) -> str:
    """The largest need of one protocol at one address."""
    return f"{peaks[0].most:,} ({protocol_name(peaks[0].proto)})" if peaks else "-"


MOST_PEAKS = 6


def _all(peaks: list[Peak]) -> str:
    said = ", ".join(f"{p.outside} {protocol_name(p.proto)} {p.most:,}" for p in peaks[:MOST_PEAKS])
    return f"ports in use at the peak: {said}" + (" ..." if len(peaks) > MOST_PEAKS else "")


def _remote(peak: Peak | None) -> str:
    return f"{protocol_name(peak.proto)} {endpoint(*peak.remote)}" if peak and peak.remote else "-"
