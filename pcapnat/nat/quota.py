"""Quota: how many sessions a host may have at a time (RFC 6888 REQ-4).

A limit shows only when it is reached: a host that has so many gets no more, again and again, towards destinations that
others are let to, while others go on.
"""

from __future__ import annotations

import numpy as np

from ..flow import Crossing
from ..flow.life import SYN_LETTER
from ..terms import Finding
from .session import TCP, UDP, Sessions, numbers
from .watch import SETTLE_NS

LEAST = 5
"""Refused sessions that tell, and others' new ones between them."""
MOST = 4_000


def quota(crossing: Crossing, s: Sessions) -> Finding[int]:
    """The number; a firewall's rule or a lack of ports refuses others, too, or not at one number."""
    none: Finding[int] = Finding(None, 0, 0, "no host was seen to be refused another session while others got theirs")
    c, offset = crossing.here.conversations, crossing.clock.offset_ns
    rows = np.array(sorted(crossing.unmatched_here), np.int64)
    if offset is None or len(rows) < LEAST or not len(s):
        return none
    asks = (c.client()[rows] == 0) & ((c.proto[rows] == UDP) | ((c.proto[rows] == TCP) & (c.marks[rows] >> SYN_LETTER & 1 == 1)))
    time = c.first_ns[rows] + offset
    asks &= (time >= crossing.there.first_ns) & (time <= crossing.there.last_ns + SETTLE_NS) & (c.packets_ba[rows] == 0)
    ends = ((c.proto[rows], s.proto), (c.b[rows], s.remote), (c.b_port[rows], s.remote_port))
    target, host = numbers(*(np.concatenate(two) for two in ends)), numbers(np.concatenate([c.a[rows], s.inside]))
    n = len(rows)
    rows = np.flatnonzero(asks & np.isin(target[:n], target[n:]) & np.isin(host[:n], host[n:]))[:MOST]
    if len(rows) < LEAST:
        return none
    who, owner, until = host[:n][rows], host[n:], s.until_ns()
    live: list[int] = []
    for h in np.unique(who).tolist():
        mine = owner == h
        begin, end = np.sort(s.first_ns[mine]), np.sort(until[mine])
        refused = np.sort(time[rows[who == h]])
        had = np.searchsorted(begin, refused, "right") - np.searchsorted(end, refused, "left")
        most = int((np.arange(1, len(begin) + 1) - np.searchsorted(end, begin, "left")).max())
        others = int(((s.first_ns > refused[0]) & (s.first_ns < refused[-1]) & ~mine).sum())
        if len(refused) >= LEAST and others >= LEAST and int(had.min()) == int(had.max()) == most >= 2:
            live.append(most)
    if live and len(set(live)) == 1:
        return Finding(
            live[0], len(rows), 0, f"{len(rows)} sessions of {len(live)} hosts that had {live[0]} did not leave, and others' did"
        )
    return none
