"""Refresh: which direction's packets keep a UDP mapping alive (RFC 4787 REQ-6, RFC 7857 7).

Only one-sided stretches tell that last longer than the timer: it must be known how long that is at most, and at least.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..terms import Finding
from .idle import KINDS, Course, Timeouts
from .session import UDP
from .translation import Translations
from .watch import QUIET_NS, Watch, before

TIMERS = {"udp": "udp_idle_s", "reply": "udp_reply_idle_s"}
MOST = 8
"""Frames that are named as evidence."""


@dataclass(frozen=True)
class Refresh:
    """Whether packets outwards keep a mapping alive, and whether packets inwards do; frames of the outer point that tell."""

    outbound: Finding[bool]
    inbound: Finding[bool]
    outbound_frames: list[int] = field(default_factory=list)
    inbound_frames: list[int] = field(default_factory=list)


UNKNOWN: Finding[bool] = Finding(None, 0, 0, "no stretch of packets one way only outlasted a timer that is known")


def refresh(t: Translations, c: Course | None, found: Timeouts, seen: Watch | None) -> Refresh:
    """What one-sided stretches of UDP say."""
    if c is None or seen is None or not len(c.row):
        return Refresh(UNKNOWN, UNKNOWN)
    udp = t.proto[c.row] == UDP
    last_in = before(c.passed & ~c.out, c.row)
    start = np.flatnonzero(np.append(True, c.row[1:] != c.row[:-1]))
    begins = np.repeat(start, np.diff(np.append(start, len(c.row))))
    # The mapping was made by the first frame; what came in last may have kept it since.
    since_in = c.time - c.time[np.where(last_in >= 0, last_in, begins)]
    since_out = np.where(c.last_out >= 0, c.time - c.time[c.last_out], 0)
    since_any = np.where(c.last >= 0, c.time - c.time[c.last], 0)
    kept_out, kept_in, lost_in = [], [], []
    for kind, name in TIMERS.items():
        value = getattr(found, name).value or [None, None]
        survived, gone = (None if v is None else int(v * 1e9) for v in value)
        mine = udp & (c.kind == KINDS.index(kind)) & ~c.out & (c.last >= 0)
        if gone is not None:
            # Outward packets alone for longer than the timer, and what comes then still gets in.
            kept_out += np.flatnonzero(mine & c.passed & (since_in > gone) & (c.last_out >= 0) & (since_out < gone)).tolist()
            kept_in += np.flatnonzero(mine & c.passed & (since_out > gone) & (last_in >= 0) & (since_any < gone)).tolist()
        if survived is not None:
            # So short a silence was survived elsewhere, but here the last packet was one inwards, and what came then did not get in.
            one_way = (last_in >= 0) & (last_in > c.last_out)
            quiet = (since_any >= QUIET_NS) & (since_any < survived)
            lost = np.flatnonzero(mine & ~c.passed & one_way & quiet).tolist()
            lost_in += [k for k in lost if seen.covers(int(c.time[k]))]
    outbound = Finding(True, len(kept_out), 0, f"{len(kept_out)} packets got in after packets outwards only, for longer than the timer")
    if kept_in and lost_in:
        inbound: Finding[bool] = Finding(None, len(kept_in), len(lost_in), "stretches of packets inwards only contradict one another")
    elif kept_in:
        inbound = Finding(True, len(kept_in), 0, f"{len(kept_in)} packets got in after packets inwards only, for longer than the timer")
    elif lost_in and seen.beyond_loss(len(lost_in)):
        inbound = Finding(False, len(lost_in), 0, f"{len(lost_in)} packets were refused sooner after one inwards than the timer's length")
    else:
        inbound = UNKNOWN
    frames = [sorted({int(c.frame[k]) for k in rows[:MOST]}) for rows in (kept_out, kept_in or lost_in)]
    return Refresh(outbound if kept_out else UNKNOWN, inbound, *frames)
