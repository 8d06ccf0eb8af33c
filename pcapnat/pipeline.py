"""The road from capture files to an Analysis: the rooms in order."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from . import kernel
from .analysis import Analysis, Box
from .flow import Conversations, Port, Tracker, cross, observe, sockets
from .message import Messages, Picker, Speech, messages
from .nat import box_kind, leaks, mappings, port_use, translations
from .terms import Clock, Point
from .wire import Capture, Flag, Progress, batches, glance, keep_pace, key_limit

Say = Callable[[str], None]


def inspect(path: str, say: Say | None = None, progress: Progress | None = None, via: str | None = None) -> Capture:
    """A capture read to its end for its counts, times and problems."""
    kernel.prepare(glance(path, via).frames, say)
    capture = Capture(path, via=via)
    for _ in capture.chunks():
        keep_pace(capture)
        if progress:
            progress(capture.done_bytes, capture.file_bytes)
    return capture


def conversations(
    path: str, say: Say | None = None, progress: Progress | None = None, via: str | None = None
) -> tuple[Capture, Conversations, Speech]:
    """The conversations of one capture and what they speak; memory grows with conversations, not with frames."""
    frames = glance(path, via).frames
    kernel.prepare(frames, say)
    capture, tracker, picker = Capture(path, via=via), Tracker(frames), Picker()
    for batch in batches(capture, 0, progress):
        tracker.feed(batch)
        picker.feed(batch, tracker.conversation, tracker.total, tracker.fresh)
    if say:
        for note in capture.notes:
            say(f"{path}: {note}")
    found, number = tracker.finish()
    return capture, found, Speech(picker.finish(np.append(number, -1), len(found)))


def analyze(points: list[Point], say: Say | None = None, progress: Progress | None = None) -> Analysis:
    """Everything about the boxes between points given from the innermost to the outermost."""
    glances = [glance(file, point.via) for point in points for file in point.files]
    kernel.prepare(sum(g.frames for g in glances), say)
    limit = key_limit([s for g in glances for s in g.snaplens])
    from concurrent.futures import ThreadPoolExecutor  # here, because other commands need not wait for its import

    with ThreadPoolExecutor(2) as pool:  # kernels run outside the interpreter's lock
        ports = [port for port, _ in pool.map(lambda point: observe(point, limit, progress), points)]
    boxes = [_box(here, there) for here, there in pairwise(ports)]
    said = [messages(p.picked) for p in ports]
    return Analysis(ports, _clocks(boxes), [sockets(p.conversations) for p in ports], boxes, _notes(ports) + _unread(ports, said), said)


def _box(here: Port, there: Port) -> Box:
    crossing = cross(here, there)
    everything = translations(crossing)
    leaked = leaks(everything)
    crossed = everything.take(~leaked)
    mapped, rows = mappings(crossed)
    return Box(crossing, box_kind(crossing, crossed), crossed, everything.take(leaked), mapped, rows, port_use(mapped, rows, crossed))


def _clocks(boxes: list[Box]) -> list[Clock]:
    """Each point's clock against the first point's: steps from neighbour to neighbour, added up."""
    known = [Clock(0, 0, 0)]
    for box in boxes:
        before, step = known[-1], box.crossing.clock
        if before.offset_ns is None or step.offset_ns is None:
            known.append(Clock(None, 0, None, step.support, step.notes))
            continue
        sure = None if before.uncertainty_ns is None or step.uncertainty_ns is None else before.uncertainty_ns + step.uncertainty_ns
        known.append(Clock(before.offset_ns + step.offset_ns, before.drift_ppb + step.drift_ppb, sure, step.support, step.notes))
    return known


MARKS = (
    (Flag.CUT, "cut by the capture's snapshot length"),
    (Flag.SHORT, "with a header that ends beyond the captured bytes"),
    (Flag.BAD, "with a header that contradicts itself"),
    (Flag.OTHER_LINK, "of a protocol above the link, or a link type, that is not decoded"),
    (Flag.FRAGMENT, "that are IP fragments; all but each first one belong to no conversation here"),
    (Flag.NO_TIME, "without a time in the file"),
    (Flag.BAD_TIME, "with a time beyond the year 2262"),
)


def _notes(ports: list[Port]) -> list[str]:
    notes = [problem for port in ports for problem in port.problems]
    for port in ports:
        for flag, says in MARKS:
            if count := int((port.packets.flags & int(flag) != 0).sum()):
                notes.append(f"{port.name}: {count} frames {says}")
    return notes


def _unread(ports: list[Port], said: list[Messages]) -> list[str]:
    """Messages that nothing could be made of, by topic."""
    notes = []
    for port, m in zip(ports, said, strict=True):
        for counts, what in (
            (m.malformed, "that make no sense"),
            (m.cut, "that the capture cut off too early to be read"),
            (m.left, "that found no room and were not read"),
            (m.unread, "beyond the number that is read"),
        ):
            notes += [f"{port.name}: {n} {topic.label} messages {what}" for topic, n in counts.items()]
    return notes
