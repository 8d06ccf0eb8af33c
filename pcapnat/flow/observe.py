"""From capture files to a Port: read, follow, and put several files of one point into one."""

from __future__ import annotations

import numpy as np

from ..message import Picker
from ..terms import CaptureError, Point
from ..wire import (
    Batch,
    Capture,
    Chosen,
    Glance,
    Outer,
    PacketFacts,
    Progress,
    Quoted,
    Store,
    Texts,
    batches,
    choose,
    drop_lines,
    glance,
)
from .conversation import Tracker
from .port import Port


def observe(point: Point, limit: int, progress: Progress | None = None) -> tuple[Port, list[Capture]]:
    """Everything a capture point showed. limit: payload bytes a fingerprint covers.

    Several files are taken in the order of their first frames, whatever order they are given in, and only one is open at a time.
    With an interface named, frames of other interfaces keep their numbers and belong to nothing.
    """
    glances = {file: glance(file, point.via) for file in point.files}
    files = _in_order(point, glances) if len(point.files) > 1 else point.files
    frames = sum(glances[file].frames for file in files)
    opened: list[Capture] = []
    tracker, store, picker = Tracker(frames), Store(frames), Picker()
    quoted: list[Quoted] = []
    outer: list[Outer] = []
    facts: list[PacketFacts] = []
    conversation, reverse, about, rows = [], [], [], []
    before = 0
    for file in files:
        capture = Capture(file, via=point.via)
        opened.append(capture)
        capture.texts = opened[0].texts
        chosen: Chosen | None = None
        met = 0
        for batch in batches(capture, limit, progress, store):
            batch.first_row += before
            if point.interface is not None:
                if len(capture.interfaces) > met:
                    met = len(capture.interfaces)
                    chosen = choose(capture, point.interface, chosen)
                _only(chosen, batch)
            tracker.feed(batch)
            picker.feed(batch, tracker.conversation, tracker.total)
            quotes = batch.quoted.take(slice(0, batch.quotes))
            quotes.carrier[:] += batch.first_row
            quoted.append(quotes)
            around = batch.outer.take(slice(0, batch.outers))
            around.carrier[:] += batch.first_row
            outer.append(around)
            if batch.facts:
                batch.facts.carrier[:] += batch.first_row
                facts.append(batch.facts)
            conversation.append(tracker.conversation[: batch.count].copy())
            reverse.append(tracker.reverse[: batch.count].copy())
            about.append(tracker.about[: batch.quotes].copy())
        if point.interface is not None and chosen is None and choose(capture, point.interface) is None:
            raise CaptureError(capture.path, f"has no interface {point.interface!r} ({_interfaces(capture)})")
        rows.append(capture.frames)
        before += capture.frames
    conversations, number = tracker.finish()
    number = np.append(number, -1).astype(np.int64)  # so that -1, "none", stays -1
    port = Port(
        point.name,
        tuple(c.path for c in opened),
        tuple(rows),
        store.packets(),
        Quoted.join(quoted),
        conversations,
        number[np.concatenate(conversation)] if conversation else np.zeros(0, np.int64),
        np.concatenate(reverse) if reverse else np.zeros(0, np.uint8),
        number[np.concatenate(about)] if about else np.zeros(0, np.int64),
        [f"{c.path}: {problem}" for c in opened for problem in (*c.problems, *c.notes, *drop_lines(c), *_repeated(c, point))],
        Outer.join(outer),
        tracker.stray_fragments,
        picker.finish(number, len(conversations)),
        PacketFacts.join(facts),
        opened[0].texts if opened else Texts(),
        any(c.sided for c in opened),
    )
    return port, opened


def _in_order(point: Point, glances: dict[str, Glance]) -> list[str]:
    """A point's files by the time of their first frames."""
    for file, seen in glances.items():
        if not seen.again:
            raise CaptureError(file, "cannot be one of several files of a point, as it can be read only once")

    def first(file: str) -> tuple[int, str]:
        seen = glances[file].first_ns
        return _first_time(file, point.via) if seen is None else seen, file

    return sorted(point.files, key=first)


def _first_time(file: str, via: str | None) -> int:
    """Time of a file's first frame, where a glance does not reach it; 0 if there is none."""
    for chunk in Capture(file, via=via).chunks():
        return int(chunk.frames.time_ns[0])
    return 0


def _interfaces(capture: Capture) -> str:
    return "it has " + ", ".join(f"{i.id}" + (f" ({i.name})" if i.name else "") for i in capture.interfaces[:8])


def _repeated(capture: Capture, point: Point) -> list[str]:
    """That a trace shows packets again at each place they pass, and which places can be had by themselves."""
    seen = [i for i in capture.interfaces if i.frames and i.kind]
    if point.interface is None:
        if len(seen) < 2:
            return []
        return [
            f"{len(seen)} interfaces of Windows taken as one point: a packet counts at each of them; `pcapnat info` lists them, "
            f"{capture.path}@{seen[0].id} takes one"
        ]
    chosen = choose(capture, point.interface)
    edges = capture.interfaces[chosen.interface].edges if chosen and chosen.edge is None else []
    if len(edges) < 2:
        return []
    return [f"{point.interface} shows packets at {len(edges)} edges, once each; '{point.interface} edge {min(edges)}' takes one"]


def _only(chosen: Chosen | None, batch: Batch) -> None:
    """Make nothing of the frames of other interfaces or edges, and drop what they quote, what is around and what is said of them."""
    packets, quoted = batch.packets, batch.quoted
    other = packets.interface[: batch.count] != (-1 if chosen is None else chosen.interface)
    if batch.facts and chosen and chosen.edge is not None:
        there = np.zeros(batch.count, bool)
        there[batch.facts.carrier[batch.facts.edge == chosen.edge]] = True
        other |= ~there
    packets.flags[: batch.count][other] = 0
    kept = np.flatnonzero(~other[quoted.carrier[: batch.quotes]])
    for name in Quoted.columns:
        getattr(quoted, name)[: len(kept)] = getattr(quoted, name)[kept]
    batch.quotes = len(kept)
    kept = np.flatnonzero(~other[batch.outer.carrier[: batch.outers]])
    for name in Outer.columns:
        getattr(batch.outer, name)[: len(kept)] = getattr(batch.outer, name)[kept]
    batch.outers = len(kept)
    if batch.facts:
        batch.facts = batch.facts.take(~other[batch.facts.carrier])
