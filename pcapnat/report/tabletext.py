"""A NAT's own table beside what was seen: as sections of a page and as JSON."""

from __future__ import annotations

from typing import Any

from ..config import Example, Kind, Truth
from ..flow import protocol_name
from ..terms import Endpoint, printable
from .words import Section, plural

FEW = 8


def table_sections(truth: Truth, limit: int) -> list[Section]:
    """What the table confirms and contradicts."""
    t = truth.table
    what = "events" if t.events else "sessions"
    head = Section(f"Table {printable(t.file)}: {plural(len(t.sessions), 'session')}")
    head.lines.append(f"{plural(truth.agreed, 'conversation')} crossed as the table says.")
    if truth.own:
        head.lines.append(f"{plural(truth.own, 'session')} without translation, of which nothing was captured: the box's own, or others'.")
    if t.passed_over:
        head.after.append(f"{plural(t.passed_over, 'line')} of the file {'is' if t.passed_over == 1 else 'are'} no session")
    head.after += truth.notes
    sections = [head]
    gone = "" if t.events else ": they were over when it was taken, or began later"
    for kind, says in (
        (truth.unruled, "of the table: the NAT does not do what its rules say"),
        (truth.contradicted, "crossed otherwise than the table says"),
        (truth.untranslated, "crossed untranslated, though the table has a translation: after it had ended, or in no state of it"),
        (truth.unused, "of the table never used: neither capture shows a packet"),
        (truth.one_sided, "of the table seen on one side only"),
        (truth.unlisted, f"translated and not in the table of {what}{gone}"),
    ):
        if kind.count:
            sections.append(_section(kind, says, limit))
    return sections


def _section(kind: Kind, says: str, limit: int) -> Section:
    shown = kind.examples[: min(limit, FEW) if limit else None]
    one = "session" if kind.examples[0].table else "conversation"
    rows = [
        [protocol_name(e.proto), _pair(e.arrives), _pair(e.table), _pair(e.seen), e.says or (f"line {e.line}" if e.line else "")]
        for e in shown
    ]
    section = Section(f"{plural(kind.count, one)} {says}", [], ["", "arrives as", "leaves, says the table", "leaves, as seen", ""], rows)
    if kind.count > len(shown):
        section.after.append(f"... and {kind.count - len(shown):,} more")
    return section


def _pair(ends: tuple[Endpoint, Endpoint] | None) -> str:
    return f"{ends[0]} > {ends[1]}" if ends else "-"


def table_json(truth: Truth) -> dict[str, Any]:
    """The `table` object: counts of all, the first examples of each."""
    t = truth.table
    kinds = ("contradicted", "untranslated", "unlisted", "unused", "one_sided", "unruled")
    return {
        "file": t.file,
        "events": t.events,
        "sessions": len(t.sessions),
        "passed_over": t.passed_over,
        "agreed": truth.agreed,
        "untranslated_unseen": truth.own,
        **{name: _kind(getattr(truth, name)) for name in kinds},
        "notes": list(truth.notes),
    }


def _kind(kind: Kind) -> dict[str, Any]:
    return {"count": kind.count, "first": [_example(e) for e in kind.examples]}


def _example(e: Example) -> dict[str, Any]:
    return {
        "proto": e.proto,
        "arrives": _ends(e.arrives),
        "table": _ends(e.table),
        "seen": _ends(e.seen),
        "line": e.line or None,
        "says": e.says or None,
    }


def _ends(ends: tuple[Endpoint, Endpoint] | None) -> dict[str, Any] | None:
    if ends is None:
        return None
    return {name: {"address": end.address, "port": end.port} for name, end in zip(("src", "dst"), ends, strict=True)}
