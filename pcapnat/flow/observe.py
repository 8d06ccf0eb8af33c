"""From capture files to a Port: read, follow, and put several files of one point into one."""

from __future__ import annotations

import numpy as np

from ..message import Picker
from ..terms import CaptureError, Point
from ..wire import Batch, Capture, Outer, Progress, Quoted, Store, batches, glance
from .conversation import Tracker
from .port import Port


def observe(point: Point, limit: int, progress: Progress | None = None) -> tuple[Port, list[Capture]]:
    """Everything a capture point showed. limit: payload bytes a fingerprint covers.

    Several files are taken in the order of their first frames, whatever order they are given in. With an interface
    named, frames of other interfaces keep their numbers and belong to nothing.
    """
    opened = [Capture(file, via=point.via) for file in point.files]
    if len(opened) > 1:
        for capture in opened:
            if not capture.again:
                raise CaptureError(capture.path, "cannot be one of several files of a point, as it can be read only once")
        opened.sort(key=lambda capture: (_first_time(capture), capture.path))
    frames = sum(glance(file, point.via).frames for file in point.files)
    tracker, store, picker = Tracker(frames), Store(frames), Picker()
    quoted: list[Quoted] = []
    outer: list[Outer] = []
    conversation, reverse, about, rows = [], [], [], []
    before = 0
    for capture in opened:
        for batch in batches(capture, limit, progress, store):
            batch.first_row += before
            if point.interface is not None:
                _only(capture, point.interface, batch)
            tracker.feed(batch)
            picker.feed(batch, tracker.conversation, tracker.total)
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
        picker.finish(number, len(conversations)),
    )
    return port, opened


def _first_time(capture: Capture) -> int:
    """Time of a file's first frame; the file is opened a second time for it, as chunks can be read once only."""
    with_time = Capture(capture.path, via=capture.via)
    for chunk in with_time.chunks():
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
    packets.payload_len[: batch.count][other] = 0  # nothing of them is read either
    kept = np.flatnonzero(~other[quoted.carrier[: batch.quotes]])
    for name in Quoted.columns:
        getattr(quoted, name)[: len(kept)] = getattr(quoted, name)[kept]
    batch.quotes = len(kept)
    kept = np.flatnonzero(~other[batch.outer.carrier[: batch.outers]])
    for name in Outer.columns:
        getattr(batch.outer, name)[: len(kept)] = getattr(batch.outer, name)[kept]
    batch.outers = len(kept)
