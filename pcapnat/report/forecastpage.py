"""A forecast as JSON and on the page: what a model would do with the traffic of one inside capture."""

from __future__ import annotations

import json
from typing import Any

from ..analysis import Forecasted, Live
from ..flow import protocol_name
from .models import behavior_values
from .replaytext import unmodelled_sections
from .words import Section, endpoint, plural


def forecast_json(f: Forecasted) -> str:
    """pcapnat.replay/1."""
    found = f.forecast
    document = {
        "schema": "pcapnat.replay/1",
        "point": {"name": f.port.name, "file": f.port.files[0], "files": list(f.port.files), "frames": len(f.port.packets)},
        "model": behavior_values(found.behavior),
        "frames": len(found.rows),
        "verdicts": dict(found.counts),
        "dropped": [{"reason": reason, "frames": n} for reason, n in found.dropped.most_common()],
        "from_side": "outside" if found.from_outside else "inside",
        "answers": {
            "frames": found.answers,
            "let_in": found.answers_in,
            "dropped": [{"reason": reason, "frames": n} for reason, n in found.dropped_in.most_common()],
        },
        "sessions": [
            {
                "proto": protocol_name(s.proto),
                "inside": _endpoint(s.inside),
                "outside": _endpoint(s.outside),
                "remote": _endpoint(s.remote),
                "free_choice": s.free,
                "conversation": s.conversation if s.conversation >= 0 else None,
                "first_frame": s.frame,
                "frames": s.frames,
            }
            for s in found.sessions
        ],
        "notes": found.notes + f.notes + list(found.behavior.notes),
        "unmodelled": list(found.behavior.unmodelled),
    }
    if f.written:
        w = f.written
        left = [{"why": why, "frames": n} for why, n in w.left.most_common()]
        document["written"] = {"file": w.path, "inside": w.inside, "outside": w.outside, "left_out": left}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True) + "\n"


def _endpoint(end: tuple[str, int]) -> dict[str, Any]:
    return {"address": end[0], "port": end[1] if end[1] >= 0 else None}


def forecast_sections(f: Forecasted, limit: int) -> list[Section]:
    """The page `pcapnat replay` prints."""
    found = f.forecast
    b, counts = found.behavior, found.counts
    lines = [
        f"{plural(len(found.rows), 'frame')} from inside: {counts['translated']:,} leave translated, {counts['forwarded']:,} as they came, "
        f"{counts['local']:,} are for the box, {counts['dropped']:,} are dropped."
    ]
    lines += [f"{plural(n, 'frame')} dropped: {reason}" for reason, n in found.dropped.most_common()]
    if found.answers:
        came = plural(found.answers, "frame from outside", "frames from outside")
        if not found.from_outside:
            came = plural(found.answers, "answer") + " that came in the capture"
        lines.append(f"Of {came}, the model lets {found.answers_in:,} in.")
        lines += [f"{plural(n, 'frame')} from outside not let in: {reason}" for reason, n in found.dropped_in.most_common()]
    if f.written:
        lines.append(
            f"{f.written.path}: {plural(f.written.inside, 'frame')} on interface inside, {plural(f.written.outside, 'frame')} on outside."
        )
        lines += [f"{plural(n, 'frame')} not written outside: {why}" for why, n in f.written.left.most_common()]
    head = Section(f"Forecast for {f.port.name} through {b.source if b.name == 'custom' else b.name}", lines, after=found.notes + f.notes)
    shown = found.sessions[: limit or None]
    rows = [
        [
            protocol_name(s.proto),
            endpoint(*s.inside),
            endpoint(*s.outside),
            endpoint(*s.remote),
            f"{s.frames:,}",
            "one of many" if s.free else "",
        ]
        for s in shown
    ]
    table = Section(
        f"Sessions: {len(found.sessions):,}",
        [],
        ["proto", "inside", "outside", "towards", "frames out", "outside endpoint"],
        rows,
        ["left", "left", "left", "left", "right", "left"],
    )
    if len(shown) < len(found.sessions):
        table.after.append(f"... and {len(found.sessions) - len(shown):,} more: --limit 0 shows all")
    return [head, *([table] if rows else []), *unmodelled_sections(b)]


def sent_json(live: Live) -> str:
    """pcapnat.replay/1, of frames that were sent."""
    s = live.sent
    document = {
        "schema": "pcapnat.replay/1",
        "point": {"name": live.port.name, "file": live.port.files[0], "files": list(live.port.files), "frames": len(live.port.packets)},
        "sent": {
            "interface": s.interface,
            "to": s.to,
            "frames": s.frames,
            "bytes": s.size,
            "lasted_ns": s.lasted_ns,
            "left_out": [{"why": why, "frames": n} for why, n in s.left.most_common()],
        },
        "notes": [s.says, *live.notes],
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True) + "\n"


def sent_sections(live: Live) -> list[Section]:
    """The page `pcapnat replay --send` prints."""
    s = live.sent
    lines = [f"{plural(s.frames, 'frame')} sent to {s.to}, {s.size:,} bytes in {s.lasted_ns / 1e9:.3f} s."]
    lines += [f"{plural(n, 'frame')} not sent: {why}" for why, n in s.left.most_common()]
    return [Section(f"Sent on {s.interface}", lines, after=[s.says, *live.notes])]
