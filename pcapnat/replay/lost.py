"""Loss: frames that the box or the way to the other point lost, told from those that a NAT did not let out.

Proof is a session that something crossed a moment before, so that no NAT can have forgotten it, and a segment that got through later
where this one did not: the same one sent again, or, of a mere acknowledgment, any later one of its direction. So no datagram and no
opening SYN is called lost: a rule, a full table or a path's MTU may have stopped it as well.
"""

from __future__ import annotations

import numpy as np

from ..flow import Crossing
from ..nat.session import TCP, numbers
from ..table import Array
from .entered import Entered
from .leaving import column

ALIVE_NS = 4_000_000_000
"""A session is alive in any NAT so long after a frame crossed: the shortest time of any is 5 s."""
SOON_NS = 1_000_000_000
"""Within so long a later acknowledgment of the same direction must have crossed."""
SYN, FIN, RST = 2, 1, 4


def lost(crossing: Crossing, e: Entered, missing: Array) -> Array:
    """(n,) of the frames that did not leave, those whose loss is proven."""
    found = np.zeros(len(e.row), bool)
    if not missing.any():
        return found
    session = _sessions(crossing, e)
    short = np.zeros(len(crossing.here.conversations) + 1, bool)  # sessions that miss a frame; the last is "none"
    short[session[missing]] = True
    short[-1] = False
    k = np.flatnonzero(short[session])
    if not len(k):
        return found
    session, port, row, time = session[k], e.port[k], e.row[k], e.traffic.time_ns[k]
    ports, crossed = (crossing.here, crossing.there), e.exit_row[k] >= 0
    flags = column(ports, "tcp_flags", port, row)
    body = column(ports, "payload_len", port, row)
    ack = column(ports, "ack", port, row)
    tcp = (column(ports, "proto", port, row) == TCP) & (e.traffic.fragment[k] == 0)
    mere = tcp & (body == 0) & (flags & (SYN | FIN | RST) == 0)
    again = tcp & (mere | (body > 0) | (flags & (SYN | FIN) != 0)) & (flags & RST == 0)
    segment = numbers(port, session, column(ports, "seq", port, row), body, flags & (SYN | FIN), column(ports, "digest", port, row))
    later = _next(np.where(mere, numbers(port, session), segment + len(k)), crossed & tcp)
    replaced = (later >= 0) & (~mere | ((time[later] - time < SOON_NS) & ((ack[later] - ack).astype(np.int32) >= 0)))
    before = _next(session[::-1], crossed[::-1])[::-1]
    before = np.where(before >= 0, len(before) - 1 - before, -1)
    alive = (before >= 0) & (time - time[before] < ALIVE_NS)
    found[k] = missing[k] & again & replaced & alive
    return found


def _sessions(crossing: Crossing, e: Entered) -> Array:
    """(n,) the conversation of each frame, by its number at the first point where both saw it; -1 for one that did not cross."""
    m = crossing.matches
    here = np.full(len(crossing.here.conversations) + 1, -1, np.int64)
    there = np.full(len(crossing.there.conversations) + 1, -1, np.int64)
    plain = m.hairpin == 0
    here[m.here[plain]] = m.here[plain]
    there[m.there[plain]] = m.here[plain]
    out = np.full(len(e.row), -1, np.int64)
    for number, (port, name) in enumerate(((crossing.here, here), (crossing.there, there))):
        mine = e.port == number
        out[mine] = name[port.conversation[e.row[mine]]]
    return out


def _next(group: Array, good: Array) -> Array:
    """(n,) for each row the next one after it of its group that is good, -1 for none."""
    n = len(group)
    order = np.lexsort((np.arange(n), group))
    at = np.where(good[order], np.arange(n), n)
    upcoming = np.append(np.minimum.accumulate(at[::-1])[::-1], n)[1:]
    same = np.append(group[order], -1)[np.minimum(upcoming, n)] == group[order]
    out = np.full(n, -1, np.int64)
    out[order] = np.where((upcoming < n) & same, order[np.minimum(upcoming, n - 1)], -1)
    return out
