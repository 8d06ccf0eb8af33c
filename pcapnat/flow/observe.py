"""From capture files to a Port: read, follow, and put several files of one point into one."""

from __future__ import annotations

import numpy as np

from ..message import Picker
from ..table import Array
from ..terms import CaptureError, Point
from ..wire import (
    Capture,
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
    selector,
)
from .port import Port
from .selected import tracker_for


def observe(point: Point, limit: int, progress: Progress | None = None) -> tuple[Port, list[Capture]]:
    """Everything a capture point showed. limit: payload bytes a fingerprint covers.

    Several files are taken in the order of their first frames, whatever order they are given in, and only one is open at a time.
    Frames that are not selected, or of another interface than the one named, keep their numbers and belong to nothing.
    """
    glances = {file: glance(file, point.via) for file in point.files}
    files = _in_order(point, glances) if len(point.files) > 1 else point.files
    frames = sum(glances[file].frames for file in files)
    opened: list[Capture] = []
    tracker, store, picker = tracker_for(frames, point.selection, point.interface), Store(frames), Picker()
    quoted: list[Quoted] = []
    outer: list[Outer] = []
    facts: list[PacketFacts] = []
    conversation, reverse, about, rows = [], [], [], []
    before = 0
    for file in files:
        capture = Capture(file, via=point.via, most=point.selection.first)
        opened.append(capture)
        capture.texts = opened[0].texts
        for batch in batches(capture, limit, progress, store, selector(capture, point.selection, point.interface)):
            batch.first_row += before
            tracker.feed(batch)
            picker.feed(batch, tracker.conversation, tracker.rows)
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
        _renumbered(conversation, number),
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


def _renumbered(parts: list[Array], number: Array) -> Array:
    """The parts in one, each value replaced by its number; -1 finds the last one."""
    whole = np.empty(sum(map(len, parts)), np.int64)
    at = 0
    for part in parts:
        np.take(number, part, out=whole[at : at + len(part)], mode="wrap")
        at += len(part)
    return whole


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
