"""Some frames of a capture, each with the conversation it belongs to, out of a file of any length."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..address import text
from ..table import Array
from ..wire import Batch, Capture, Progress, Single, batches, single
from .conversation import Conversations, Tracker

BEHIND = 512
"""Frames read behind the last one asked for: a first fragment may come later than the others."""
LARGEST_BATCH = 1 << 15


@dataclass(frozen=True)
class Membership:
    """A frame's place in a conversation: row in Conversations (of the frames read by then), both ends, who sent this frame.

    Ports are None where there are none. stream: Wireshark's number, None where it gives none. forward: from a to b.
    """

    proto: int
    a: str
    a_port: int | None
    b: str
    b_port: int | None
    stream: int | None
    first_frame: int
    forward: bool


@dataclass
class Picked:
    """A frame; the conversation it belongs to, if any; and the one that the packet an ICMP error quotes belongs to.

    about_stream: Wireshark's number of the latter, which it has also if none of its own frames was seen.
    """

    frame: Single
    conversation: Membership | None = None
    about: Membership | None = None
    about_stream: int | None = None


@dataclass
class _Seen:
    """A frame with the numbers the tracker gave: they become rows at the end."""

    picked: Picked
    conversation: int
    reverse: int
    about: int


def batch_rows(last: int) -> int:
    """Rows of a batch that are enough where nothing behind frame `last` is asked for."""
    return min(LARGEST_BATCH, last + BEHIND)


def pick(capture: Capture, numbers: list[int], progress: Progress | None = None) -> list[Picked]:
    """The frames with these numbers (from 1, ascending), as many of them as there are; reads no further than the last."""
    tracker, seen = Tracker(), list[_Seen]()
    wanted = sorted(set(numbers))
    for batch in batches(capture, 0, progress):
        tracker.feed(batch)
        end = batch.first_row + batch.count
        while len(seen) < len(wanted) and wanted[len(seen)] <= end:
            seen.append(_seen(capture, batch, wanted[len(seen)], tracker))
        if len(seen) == len(wanted):
            break
    capture.close()  # what lies behind is not read
    conversations, rows = tracker.finish()
    for one in seen:
        picked, quoted = one.picked, one.picked.frame.quoted
        picked.conversation = _membership(conversations, rows, one.conversation)
        picked.about = _membership(conversations, rows, one.about)
        picked.about_stream = tracker.stream(one.about)
        if picked.conversation and one.reverse:
            picked.conversation = replace(picked.conversation, forward=False)
        if picked.about and quoted and (text(*quoted.src), quoted.sport) != (picked.about.a, picked.about.a_port):
            picked.about = replace(picked.about, forward=False)
    return [one.picked for one in seen]


def _seen(capture: Capture, batch: Batch, number: int, tracker: Tracker) -> _Seen:
    row = number - 1 - batch.first_row
    quotes = np.flatnonzero(batch.quoted.carrier[: batch.quotes] == row)
    about = int(tracker.about[quotes[0]]) if len(quotes) else -1
    frame = single(capture, batch.chunk, row, number)
    return _Seen(Picked(frame), int(tracker.conversation[row]), int(tracker.reverse[row]), about)


def _membership(c: Conversations, rows: Array, number: int) -> Membership | None:
    row = int(rows[number]) if number >= 0 else -1
    if row < 0:
        return None
    a_port, b_port = c.ports_text(row)
    a, b = text(*c.a[row].tolist()), text(*c.b[row].tolist())
    stream = int(c.stream[row])
    return Membership(int(c.proto[row]), a, a_port, b, b_port, stream if stream >= 0 else None, int(c.first_row[row]) + 1, True)
