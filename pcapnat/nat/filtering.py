"""Filtering behavior: who may send to an outside endpoint that a host inside is using (RFC 4787 5)?

Only packets tell that nobody inside asked for: from an address the socket talks to, but another port, or from another
address. They must have met a mapping that was alive, and an inside capture that would have shown them.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from ..flow import Crossing, protocol_name
from ..flow.life import RST_LETTER, SYN_LETTER
from ..table import Array
from ..terms import Finding
from .keeping import ADDRESS, INDEPENDENT, MOST, PORT
from .session import GRACE_NS, TCP, UDP, Sessions, numbers
from .translation import Translations
from .watch import Watch


@dataclass
class Knocks:
    """Unsolicited conversations to live outside endpoints of one protocol, by where they came from and what became of them."""

    same_in: int = 0
    same_out: int = 0
    other_in: int = 0
    other_out: int = 0
    answered: int = 0
    """Of those that did not get in: answered by an error or a reset, of the box itself."""
    rows: list[int] = field(default_factory=list)
    """The first of those that got in, conversations at the outer point."""
    refused: list[int] = field(default_factory=list)
    """The first of those that did not."""


LISTED = 4
"""Conversations of each kind that are named as evidence."""


class Frames:
    """Times of each conversation's frames at the outer point."""

    def __init__(self, crossing: Crossing):
        port = crossing.there
        order = np.lexsort((port.packets.time_ns, port.conversation))
        self._time = port.packets.time_ns[order]
        self._start = np.searchsorted(port.conversation[order], np.arange(len(port.conversations) + 1))

    def last_before(self, conversation: int, time_ns: int) -> int | None:
        """Time of the conversation's last frame before this time."""
        times = self._time[self._start[conversation] : self._start[conversation + 1]]
        at = int(np.searchsorted(times, time_ns, "left"))
        return int(times[at - 1]) if at else None


def filtering(found: dict[int, Finding[str]] | None) -> Finding[str]:
    """One word for all protocols; unknown if they differ, or if nobody knocked (None: nobody could have been seen to)."""
    if found is None:
        return Finding(None, 0, 0, "no session, or no common clock")
    known = {proto: f for proto, f in found.items() if f.value}
    if not known:
        notes = "; ".join(f"{protocol_name(proto)}: {f.note}" for proto, f in found.items())
        return Finding(None, 0, 0, notes or "nobody outside sent to a live outside endpoint unasked")
    values = {f.value for f in known.values()}
    note = "; ".join(f"{protocol_name(proto)}: {f.note}" for proto, f in known.items())
    if len(values) > 1:
        return Finding(None, 0, 0, f"it differs: {note}")
    return Finding(values.pop(), sum(f.support for f in known.values()), sum(f.against for f in known.values()), note)


def filtering_of(k: Knocks, seen: Watch) -> Finding[str]:
    """What the knocks of one protocol say."""
    n = k.same_in + k.same_out + k.other_in + k.other_out
    note = (
        f"from an address in use but another port {k.same_in} of {k.same_in + k.same_out} got in, "
        f"from other addresses {k.other_in} of {k.other_in + k.other_out}; the box answered {k.answered}"
    )
    sure_same = k.same_out and not k.same_in and seen.beyond_loss(k.same_out)
    sure_other = k.other_out and not k.other_in and seen.beyond_loss(k.other_out)
    if k.other_in and not k.other_out and not k.same_out:
        return Finding(INDEPENDENT, n, 0, note)
    if k.same_in and not k.same_out and sure_other:
        return Finding(ADDRESS, n, 0, note)
    if sure_same and not k.other_in:
        return Finding(PORT, n, 0, note)
    return Finding(None, 0, 0, note)


def knocks_at(crossing: Crossing, t: Translations, s: Sessions, seen: Watch, fixed: bool = False) -> dict[int, Knocks]:
    """Who knocked at live outside endpoints, by protocol. fixed: addresses are translated one for one."""
    c = crossing.there.conversations
    came_in = np.flatnonzero((t.from_outside == 1) & (t.hairpin == 0) & (t.kind >> 1 == 1) & (t.outside_dport >= 0))
    inward = t.outside_row[came_in]
    refused = np.array(list(crossing.unmatched_there), np.int64)
    rows = np.concatenate([inward, refused])
    if not len(rows):
        return {}
    asks_b = np.concatenate([c.client()[inward] != 1, np.ones(len(refused), bool)])
    got_in = np.arange(len(rows)) < len(inward)
    letters = c.marks[rows] >> np.where(asks_b, 0, 16)
    reset = c.marks[rows] >> (RST_LETTER + np.where(asks_b, 16, 0)) & 1 == 1
    usable = np.isin(c.proto[rows], (TCP, UDP)) & ((c.proto[rows] != TCP) | (letters >> SYN_LETTER & 1 == 1))
    to, to_port = np.where(asks_b[:, None], c.b[rows], c.a[rows]), np.where(asks_b, c.b_port[rows], c.a_port[rows])
    by, by_port = np.where(asks_b[:, None], c.a[rows], c.b[rows]), np.where(asks_b, c.a_port[rows], c.b_port[rows])
    replies = np.where(asks_b, c.packets_ba[rows], c.packets_ab[rows])
    knocks: dict[int, Knocks] = defaultdict(Knocks)
    # Doors by number, those of the sessions first.
    number = numbers(*[np.concatenate(two) for two in ((s.proto, c.proto[rows]), (s.outside, to), (s.outside_port, to_port))])
    own, doors = number[: len(s)], number[len(s) :].tolist()
    times = c.first_ns[rows].tolist()
    candidates = np.flatnonzero(usable & np.isin(number[len(s) :], own)).tolist()
    if not candidates:
        return {}
    live: dict[int, list[int]] = defaultdict(list)
    for j in np.flatnonzero(np.isin(own, number[len(s) :])).tolist():
        live[int(own[j])].append(j)
    asked = {(int(own[j]), *s.remote[j].tolist()) for j in itertools.chain(*live.values())}
    frames = Frames(crossing)
    begun = {door: s.first_ns[mine].tolist() for door, mine in live.items()}
    alive = {}
    for k in candidates:
        earlier = bisect_left(begun[doors[k]], times[k])
        latest = live[doors[k]][max(0, earlier - MOST) : earlier]
        alive[k] = [j for j in latest if _alive(s, t, j, times[k], frames)]
    # One of several alike that cannot be told apart got in, too: something from the same remote endpoint was seen inside.
    inner, lone = crossing.here.conversations, np.array(list(crossing.unmatched_here), np.int64)
    came = [np.concatenate(two) for two in ((inner.proto[lone], c.proto[rows]), (inner.a[lone], by), (inner.a_port[lone], by_port))]
    origin = numbers(*came)
    blurred = np.isin(origin[len(lone) :], origin[: len(lone)]) & ~got_in
    # Somebody got in though no host inside was using it, or to another host than the one that was: a door set up for that.
    to_host = [(t.inside_dst[row], int(t.inside_dport[row])) for row in came_in.tolist()]
    forwarded = {doors[k] for k in candidates if got_in[k] and not any(_is_of(s, j, *to_host[k]) for j in alive[k])}
    by_rule = np.zeros(len(inward), bool) if fixed else _exposed(t, s, came_in)
    for k in candidates:
        partners = alive[k]
        if not partners or doors[k] in forwarded or blurred[k] or (got_in[k] and by_rule[k]):
            continue
        known = [(s.remote[j] == by[k]).all() for j in partners]
        if not any(known) and (doors[k], *by[k].tolist()) in asked:
            continue  # somebody the socket did talk to: whether the box still knows is open
        if any(known[n] and int(s.remote_port[j]) == int(by_port[k]) for n, j in enumerate(partners)):
            continue
        # Reset or quoted in an error: the box's own answer. Any other answer came from inside, unseen.
        told = bool(reset[k] or c.errors[rows[k]])
        if not got_in[k] and (not seen.covers(times[k]) or (replies[k] and not told)):
            continue
        count = knocks[int(c.proto[rows[k]])]
        count.same_in += any(known) and bool(got_in[k])
        count.same_out += any(known) and not got_in[k]
        count.other_in += not any(known) and bool(got_in[k])
        count.other_out += not any(known) and not got_in[k]
        count.answered += told and not got_in[k]
        listed = count.rows if got_in[k] else count.refused
        if len(listed) < LISTED:
            listed.append(int(rows[k]))
    return knocks


def _exposed(t: Translations, s: Sessions, came_in: Array) -> Array:
    """(n,) of what came in: let in, it may be, by a rule that forwards all ports to one host, the port kept (a DMZ host).

    Such a host was reached at a port that was nobody's service and no session of its own; its sessions' own ports tell nothing then.
    """
    kept = (t.outside_dport[came_in] == t.inside_dport[came_in]) & (t.outside_dport[came_in] >= 1024)
    end = numbers(
        np.concatenate([s.proto, t.proto[came_in]]),
        np.concatenate([s.outside, t.outside_dst[came_in]]),
        np.concatenate([s.outside_port, t.outside_dport[came_in]]),
        np.concatenate([s.inside, t.inside_dst[came_in]]),
        np.concatenate([s.inside_port, t.inside_dport[came_in]]),
    )
    foreign = kept & ~np.isin(end[len(s) :], end[: len(s)])
    host = numbers(t.proto[came_in], t.inside_dst[came_in])
    return np.asarray(kept & np.isin(host, host[foreign]))


def _is_of(s: Sessions, j: int, host: Array, port: int) -> bool:
    """Whether session j is of this inside endpoint."""
    return bool((s.inside[j] == host).all()) and int(s.inside_port[j]) == port


def _alive(s: Sessions, t: Translations, j: int, time_ns: int, frames: Frames) -> bool:
    """Whether session j's mapping was surely there: something passed a moment before, and a closed one goes on."""
    if s.first_ns[j] >= time_ns or (s.closed[j] and s.last_ns[j] < time_ns):
        return False
    last = frames.last_before(int(t.outside_row[s.row[j]]), time_ns)
    return last is not None and time_ns - last <= GRACE_NS[TCP if int(s.proto[j]) == TCP else UDP]
