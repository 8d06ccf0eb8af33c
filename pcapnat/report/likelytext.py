"""Which of the known NATs a box may be: a sentence on the page, all of them in JSON."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

from ..nat import Likely
from .behaviorjson import finding
from .words import Section

WIDTH = 120


def likely_json(likely: Likely | None) -> dict[str, Any]:
    """`which`, a finding whose value is those that are consistent, and `presets`, all of them, the likeliest first.

    bits: by how many powers of two one makes what was seen less likely than the best does. rank: the same for those that fit equally.
    """
    if likely is None:
        return {}
    presets = [
        {
            "name": r.name,
            "verdict": r.verdict,
            "rank": r.rank,
            "bits": r.bits,
            "for": list(r.supports),
            "against": list(r.objections),
        }
        for r in likely.ranked
    ]
    return {"which": finding(likely.which), "presets": presets}


def likely_section(likely: Likely | None) -> list[Section]:
    """The sentence; nothing where none of them can be told from another."""
    if likely is None or (likely.which.value is None and not any(r.verdict == "excluded" for r in likely.ranked)):
        return []
    says = likely.which.note
    lines = wrap(f"{says[0].upper()}{says[1:]}.", WIDTH, break_on_hyphens=False)
    return [Section("Which NAT it is", lines, after=["--format json ranks all known NATs, with what speaks for and against each."])]
