"""What captures say about the RFCs' requirements, on the page of `pcapnat requirements` and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from textwrap import wrap
from typing import Any

from ..analysis import Analysis, Box
from ..nat import Judged, Verdict
from .words import Section

WIDTH = 120
ORDER = (Verdict.VIOLATED, Verdict.MET, Verdict.UNTESTED, Verdict.NOT_APPLICABLE)
SIDES = ("inside", "outside")


def judged_json(rows: list[Judged]) -> list[dict[str, Any]]:
    """The `requirements` of a box's behavior; frames and filters by side, both without a side that shows nothing."""
    return [
        {
            "id": row.requirement.id,
            "level": row.requirement.level,
            "says": row.requirement.says,
            "verdict": row.verdict.value,
            "note": row.note,
            "frames": {side: list(frames) for side, frames in zip(SIDES, row.frames, strict=True) if frames},
            "filters": {side: said for side, said in zip(SIDES, _filters(row), strict=True) if said},
        }
        for row in rows
    ]


def requirements_json(analysis: Analysis) -> str:
    """pcapnat.requirements/1."""
    boxes = [
        {
            "between": [box.crossing.here.name, box.crossing.there.name],
            "counts": {verdict.value: count for verdict, count in _counts(box.requirements).items()},
            "requirements": judged_json(box.requirements),
        }
        for box in analysis.boxes
    ]
    document = {"schema": "pcapnat.requirements/1", "boxes": boxes, "notes": analysis.notes}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True) + "\n"


def requirement_sections(analysis: Analysis, everything: bool) -> list[Section]:
    """The page: for each box a count by verdict, then the decided ones, violated first; everything: those that nothing decides as well."""
    sections = []
    for box in analysis.boxes:
        sections += _box(box, everything)
    return sections + ([Section("Notes", analysis.notes)] if analysis.notes else [])


def requirements_line(rows: list[Judged]) -> str:
    """One sentence with the counts, and which MUSTs are violated."""
    bad = [row.requirement.id for row in rows if row.verdict is Verdict.VIOLATED and row.requirement.level.startswith("MUST")]
    said = ", ".join(f"{count} {verdict.value}" for verdict, count in _counts(rows).items())
    return f"Of {len(rows)} requirements of the RFCs {said}" + (f"; violated MUSTs: {', '.join(bad)}." if bad else ".")


def _counts(rows: list[Judged]) -> dict[Verdict, int]:
    counted = Counter(row.verdict for row in rows)
    return {verdict: counted[verdict] for verdict in ORDER}


def _box(box: Box, everything: bool) -> list[Section]:
    names = box.crossing.here.name, box.crossing.there.name
    head = Section(f"Requirements of RFC 4787, 5382, 5508, 6888 and 7857, between {names[0]} and {names[1]}")
    if not box.requirements:
        head.lines.append("They are about NATs, and nothing was seen to be translated here.")
        return [head]
    head.lines += wrap(requirements_line(box.requirements), WIDTH)
    if not everything:
        head.after.append("--all shows those that these captures do not decide, too, and why.")
    sections = [head]
    for verdict in ORDER if everything else ORDER[:2]:
        rows = [row for row in box.requirements if row.verdict is verdict]
        if rows:
            section = Section(f"{verdict.value[0].upper()}{verdict.value[1:]}: {len(rows)}")
            for row in rows:
                section.lines += _lines(row, names)
            sections.append(section)
    return sections


def _lines(row: Judged, names: tuple[str, str]) -> list[str]:
    what = f"{row.requirement.id} {row.requirement.level}: {row.requirement.says}"
    lines = wrap(what, WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    if row.note:
        lines += wrap(row.note, WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    return lines + [f"  in Wireshark at {name}: {said}" for name, said in zip(names, _filters(row), strict=True) if said]


def _filters(row: Judged) -> tuple[str | None, str | None]:
    said = [f"frame.number in {{{', '.join(map(str, numbers))}}}" if numbers else None for numbers in row.frames]
    return said[0], said[1]
