"""From capture files to a Port: read, follow, and put several files of one point into one."""

from __future__ import annotations

import numpy as np

from ..terms import CaptureError, Point
from ..wire import Capture, Outer, Progress, Quoted, Store, batches, glance, selector
from .port import Port
from .selected import tracker_for


def observe(point: Point, limit: int, progress: Progress | None = None) -> tuple[Port, list[Capture]]:
    """Everything a capture point showed. limit: payload bytes a fingerprint covers.

    Several files are taken in the order of their first frames, whatever order they are given in. Frames that are not
    selected, or of another interface than the one named, keep their numbers and belong to nothing.
    """
    opened = [Capture(file, via=point.via, most=point.selection.first) for file in point.files]
    selectors = {id(capture): selector(capture, point.selection, point.interface) for capture in opened}
    if len(opened) > 1:
        for capture in opened:
            if not capture.again:
                raise CaptureError(capture.path, "cannot be one of several files of a point, as it can be read only once")
        opened.sort(key=lambda capture: (_first_time(capture), capture.path))
    frames = sum(glance(file, point.via).frames for file in point.files)
    tracker, store = tracker_for(frames, point.selection, point.interface), Store(frames)
    quoted: list[Quoted] = []
    outer: list[Outer] = []
    conversation, reverse, about, rows = [], [], [], []
    before = 0
    for capture in opened:
        for batch in batches(capture, limit, progress, store, selectors[id(capture)]):
            batch.first_row += before
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


def _first_time(capture: Capture) -> int:
    """Time of a file's first frame; the file is opened a second time for it, as chunks can be read once only."""
    with_time = Capture(capture.path, via=capture.via)
    for chunk in with_time.chunks():
        return int(chunk.frames.time_ns[0])
    return 0
