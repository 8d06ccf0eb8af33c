"""Rejected frames and the resets that should have come back."""

from __future__ import annotations

import numpy as np

from ..address import text
from ..flow import Crossing
from ..model import Verdicts, answers
from ..nat.behavior import NatBehavior
from ..nat.filters import Action
from ..table import Array
from .entered import Entered

AFTER_NS = 1_000_000_000
"""How long after a frame its reset may come."""


def silent(behavior: NatBehavior, v: Verdicts) -> Array:
    """(n,) frames that a rule drops without a word: what the box sends then is no answer to them."""
    drops = np.array([f.action is Action.DROP for f in behavior.filters] + [False], bool)
    return np.asarray(drops[v.barred])


def unanswered(crossing: Crossing, e: Entered, v: Verdicts, behavior: NatBehavior) -> list[tuple[int, str]]:
    """(row, the reset as it should have been) of frames rejected with a reset that was not seen, and not because the capture had ended.

    ICMP errors are not asked for: hosts send only so many of them in a second.
    """
    if not any(f.action is Action.RESET for f in behavior.filters):
        return []
    expected = answers(behavior.filters, e.traffic, v)
    ports = (crossing.here, crossing.there)
    seen: dict[tuple[int, ...], list[int]] = {}
    for port, row, when in zip(e.made_port.tolist(), e.made_row.tolist(), e.made_ns.tolist(), strict=True):
        p = ports[port].packets
        if p.proto[row] == 6 and p.tcp_flags[row] & 4:
            key = (port, *p.src[row].tolist(), int(p.sport[row]), *p.dst[row].tolist(), int(p.dport[row]))
            seen.setdefault(key, []).append(when)
    out = []
    last = [int(e.traffic.time_ns[e.port == k].max(initial=0)) for k in (0, 1)]
    for k in np.flatnonzero(expected.proto == 6).tolist():
        side = int(expected.side[k])
        src, dst = expected.src[k].tolist(), expected.dst[k].tolist()
        when = int(e.traffic.time_ns[expected.frame[k]])
        times = seen.get((side, *src, int(expected.sport[k]), *dst, int(expected.dport[k])), [])
        if not any(when - 1_000_000 <= t <= when + AFTER_NS for t in times) and when < last[side]:
            out.append((int(expected.frame[k]), f"reset from {text(*src)}:{expected.sport[k]} to {text(*dst)}:{expected.dport[k]}"))
    return out
