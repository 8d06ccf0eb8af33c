"""From capture files to a Port: read, follow, and put several files of one point into one."""

from __future__ import annotations

import numpy as np

from ..terms import CaptureError, Point
from ..wire import Batch, Capture, Glance, Outer, Progress, Quoted, Store, batches, glance
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
    tracker, store = Tracker(frames), Store(frames)
    quoted: list[Quoted] = []
    outer: list[Outer] = []
    conversation, reverse, about, rows = [], [], [], []
    before = 0
    for file in files:
        capture = Capture(file, via=point.via)
        opened.append(capture)
        for batch in batches(capture, limit, progress, store):
            batch.first_row += before
            if point.interface is not None:
                _only(capture, point.interface, batch)
            tracker.feed(batch)
            quotes = batch.quoted.take(slice(0, batch.quotes))
            quotes.carrier[:] += batch.first_row
            quoted.append(quotes)
            around = batch.outer.take(slice(0, batch.outers))
            around.carrier[:] += batch.first_row
            outer.append(around)
            conversation.append(tracker.conversation[: batch.count].copy())
            reverse.append(tracker.reverse[: batch.count].copy())
            about.append(tracker.about[: batch.quotes].copy())
        if point.interface is not None and _number(capture, point.interface) is None:
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
        [f"{c.path}: {problem}" for c in opened for problem in (*c.problems, *c.notes)],
        Outer.join(outer),
        tracker.stray_fragments,
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


def _number(capture: Capture, interface: str) -> int | None:
    if interface.isdecimal() and int(interface) < len(capture.interfaces):
        return int(interface)
    return next((i.id for i in capture.interfaces if i.name == interface), None)


def _interfaces(capture: Capture) -> str:
    return "it has " + ", ".join(f"{i.id}" + (f" ({i.name})" if i.name else "") for i in capture.interfaces[:8])


def _only(capture: Capture, interface: str, batch: Batch) -> None:
    """Make nothing of the other interfaces' frames, and drop what they quote and what is around them."""
    number = _number(capture, interface)
    packets, quoted = batch.packets, batch.quoted
    other = packets.interface[: batch.count] != (-1 if number is None else number)
    packets.flags[: batch.count][other] = 0
    kept = np.flatnonzero(~other[quoted.carrier[: batch.quotes]])
    for name in Quoted.columns:
        getattr(quoted, name)[: len(kept)] = getattr(quoted, name)[kept]
    batch.quotes = len(kept)
    kept = np.flatnonzero(~other[batch.outer.carrier[: batch.outers]])
    for name in Outer.columns:
        getattr(batch.outer, name)[: len(kept)] = getattr(batch.outer, name)[kept]
    batch.outers = len(kept)
