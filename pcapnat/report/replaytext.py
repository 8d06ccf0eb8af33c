"""A replay on the page: how much a model explains, and what it does not, by cause."""

from __future__ import annotations

from ..analysis import Diff
from ..nat.behavior import NatBehavior
from ..replay import Cause, Replay
from ..terms import printable
from .replayjson import WORDS, cause_says, filters, of_cause
from .tabletext import table_sections
from .words import Section, plural


def replay_section(replay: Replay, names: tuple[str, str], limit: int) -> list[Section]:
    """How far a model explains what was seen between two points, then its differences, a section each. limit: causes and frames shown."""
    b = replay.behavior
    head = Section(f"Replay through {b.source if b.name == 'custom' else b.name}: {share_text(replay)}")
    if replay.share is None:
        head.lines.append("No frame could be judged.")
    elif replay.explained == replay.frames:
        head.lines.append("Every frame came out as the model says, or stayed in as it says.")
    else:
        left = replay.frames - replay.explained
        head.lines.append(f"{plural(left, 'frame differs', 'frames differ')} from the model, for {plural(len(replay.causes), 'reason')}.")
    if replay.made:
        head.lines.append(
            f"{plural(replay.made, 'frame')} among those explained {'are' if replay.made > 1 else 'is'} the box's own answer."
        )
    if replay.unjudged:
        head.lines.append(f"{plural(replay.unjudged, 'frame')} cannot be judged: what belongs to them was not captured.")
    head.after = [*replay.notes, *b.notes]
    shown = replay.causes[: limit or None]
    sections = [head, *(_cause(replay, cause, names, limit) for cause in shown)]
    if len(shown) < len(replay.causes):
        sections[-1].after.append(f"... and {len(replay.causes) - len(shown)} more reasons: --limit 0 shows all")
    return sections + unmodelled_sections(b)


def unmodelled_sections(behavior: NatBehavior) -> list[Section]:
    """What the rules of a NAT say that its model does not know, if there is any."""
    return [Section("Rules that are not modelled", [printable(said) for said in behavior.unmodelled])] if behavior.unmodelled else []


def diff_sections(diff: Diff, limit: int) -> list[Section]:
    """The page `pcapnat diff` prints."""
    names = diff.crossing.here.name, diff.crossing.there.name
    sections = replay_section(diff.replay, names, limit)
    if diff.replay.firsts:
        sections.append(_firsts(diff.replay, names, limit))
    sections += table_sections(diff.table, limit) if diff.table else []
    return sections + ([Section("Notes", diff.notes)] if diff.notes else [])


def share_text(replay: Replay) -> str:
    """The share of frames explained in words; never 100 % where one is not."""
    if replay.share is None:
        return "nothing to compare"
    percent = int(replay.share * 10_000) / 100
    return f"{percent:.2f} % explained ({replay.explained:,} of {plural(replay.frames, 'frame')})"


def _firsts(replay: Replay, names: tuple[str, str], limit: int) -> Section:
    """Where each conversation first goes another way than the model has it."""
    shown = replay.firsts[: limit or None]
    rows = [
        [
            f"{names[d.entered_at]} {d.conversation}",
            _numbers(d.frames[0]),
            _numbers(d.frames[1]),
            d.kind.value + (f" {WORDS.get(d.field.removeprefix('quoted.'), d.field)}" if d.field else ""),
            d.expected,
            d.observed,
        ]
        for d in shown
    ]
    section = Section(
        f"First divergence of each conversation: {plural(replay.diverged, 'conversation')}",
        [],
        ["conversation", f"frame {names[0]}", f"frame {names[1]}", "what", "expected", "observed"],
        rows,
        ["left", "right", "right", "left", "left", "left"],
    )
    if len(rows) < replay.diverged:
        section.after.append(f"... and {replay.diverged - len(rows):,} more")
    section.after.append(f"why, step by step: pcapnat trace ... {names[0]}:FRAME")
    return section


FEW = 8
"""Frames shown of one cause."""


def _cause(replay: Replay, cause: Cause, names: tuple[str, str], limit: int) -> Section:
    listed = of_cause(replay, cause)
    rows = [[_numbers(d.frames[0]), _numbers(d.frames[1]), d.expected, d.observed] for d in listed[: min(limit, FEW) if limit else None]]
    section = Section(
        f"{plural(cause.count, 'frame')} {cause_says(cause)}",
        [],
        [f"frame {names[0]}", f"frame {names[1]}", "expected", "observed"],
        rows,
        ["right", "right", "left", "left"],
    )
    if cause.count > len(rows):
        section.after.append(f"... and {cause.count - len(rows):,} more")
    section.after += [
        f"in Wireshark at {name}: {said}{' ...' if cause.count > len(listed) else ''}"
        for name, said in zip(names, filters(listed), strict=True)
        if said
    ]
    return section


def _numbers(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers)) or "-"
