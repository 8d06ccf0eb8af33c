"""The road of one capture: its counts, its conversations, single frames of it. Of the rooms above flow it needs none, which is a third of
a small capture's time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import kernel
from .flow import Conversations, Show, Shown, batch_rows, pick, tracker_for
from .message import Picker, Speech
from .terms import CaptureError, Selection
from .wire import Capture, Progress, View, Witnesses, batches_ahead, checksums, compared, glance, keep_pace, own_view, selector, witnesses

Say = Callable[[str], None]


def expected(frames: int, selection: Selection) -> int:
    """About how many frames will be read of a file that promises so many."""
    return frames if selection.first is None else min(frames, selection.first)


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
    path: str,
    say: Say | None = None,
    progress: Progress | None = None,
    via: str | None = None,
    selection: Selection = Selection(),  # noqa: B008 (frozen)
) -> tuple[Capture, Conversations, Speech]:
    """The conversations of one capture and what they speak; memory grows with conversations, not with frames."""
    frames = expected(glance(path, via).frames, selection)
    kernel.prepare(frames, say)
    capture, tracker = Capture(path, via=via, most=selection.first), tracker_for(frames, selection, carriers=True)
    picker = Picker()
    for batch in batches_ahead(capture, progress, selector(capture, selection), tracker.hash):
        tracker.feed(batch)
        picker.feed(batch, tracker.conversation, tracker.rows, tracker.fresh)
    if say:
        for note in capture.notes:
            say(f"{path}: {note}")
    found, number = tracker.finish()
    return capture, found, Speech(picker.finish(np.append(number, -1), len(found)))


def show(
    path: str,
    numbers: list[int],
    say: Say | None = None,
    progress: Progress | None = None,
    via: str | None = None,
    witness: bool = False,
) -> Show:
    """The frames of a capture with these numbers (from 1), as they are read; with witness, beside what dpkt and tshark read.

    Reads no further than the last one. Raises CaptureError if one does not exist.
    """
    wanted = sorted(set(numbers))
    kernel.prepare(min(glance(path, via).frames, wanted[-1]), say)
    capture = Capture(path, batch_rows(wanted[-1]), via)
    picked = pick(capture, wanted, progress)
    if len(picked) < len(wanted):
        why = f"; {capture.problems[0]}" if capture.problems else ""
        raise CaptureError(path, f"has no frame {wanted[len(picked)]}: it holds {capture.frames}{why}")
    heard = witnesses([p.frame for p in picked], capture) if witness else None
    shown = [Shown(p, checksums(p.frame)) for p in picked]
    for one in shown if heard else []:
        _hear(one, heard or Witnesses())
    return Show(capture, shown, WITNESSES if heard else (), heard.absent if heard else {})


WITNESSES = ("dpkt", "tshark")


def _hear(one: Shown, heard: Witnesses) -> None:
    """Lay our reading of a frame beside the witnesses'."""
    member = one.picked.conversation
    ours = own_view(one.picked.frame, one.checksums, member.stream if member else None, one.picked.about_stream)
    views: dict[str, View | None] = {name: getattr(heard, name).get(one.picked.frame.number) for name in WITNESSES}
    one.wireshark_number = heard.numbers.get(one.picked.frame.number)
    one.rows = compared(ours, list(views.values()))
    one.views = {name: view for name, view in views.items() if view}
