"""Sessions: conversations that hosts inside opened and that left the box with another source, as columns for statistics.

A session is one destination of one socket (RFC 2663 2.3); `inside` and `outside` are the two names of its source.
"""

from __future__ import annotations

import numpy as np

from ..flow import Crossing
from ..flow.life import FIN_LETTER, RST_LETTER, SYN_LETTER
from ..table import Array, Table, column
from .translation import Translations

TCP, UDP = 6, 17
GRACE_NS = {TCP: 5_000_000_000, UDP: 9_000_000_000}
"""How long after its last frame a session's mapping is alive in any NAT: RouterOS drops unanswered SYNs after 5 s, UDP after 10 s."""


class Sessions(Table):
    """One row per session with ports, in the order they began. Times are those of the outer point's clock."""

    proto = column("uint8", "protocol above IP")
    inside = column("uint64", "source address inside", width=2)
    outside = column("uint64", "source address outside", width=2)
    remote = column("uint64", "destination address as seen outside", width=2)
    inside_port = column("int32", "source port inside")
    outside_port = column("int32", "source port outside")
    remote_port = column("int32", "destination port as seen outside")
    first_ns = column("int64", "first frame outside", unit="ns since 1970-01-01 UTC")
    last_ns = column("int64", "last frame outside", unit="ns since 1970-01-01 UTC")
    opened = column("uint8", "1 if its opening was seen: not TCP, or TCP with its SYN")
    closed = column("uint8", "1 if an end sent FIN or RST: the box may forget it at once")
    hairpin = column("uint8", "1 if it came back to the inside: its times are of the inner point's clock")
    row = column("int64", "row in Translations")

    def until_ns(self) -> Array:
        """(n,) until when each one's mapping is surely alive."""
        grace = np.where(self.proto == TCP, GRACE_NS[TCP], GRACE_NS[UDP])
        return np.asarray(self.last_ns + np.where(self.closed == 1, 0, grace))

    def sockets(self) -> Array:
        """(n,) a number for each (protocol, inside endpoint)."""
        return numbers(self.proto, self.inside, self.inside_port)

    def doors(self) -> Array:
        """(n,) a number for each (protocol, outside endpoint)."""
        return numbers(self.proto, self.outside, self.outside_port)

    def kept(self) -> Array:
        """(n,) whether the port is the same on both sides."""
        return np.asarray(self.inside_port == self.outside_port)

    def made(self) -> Sessions:
        """The first session of each (protocol, inside endpoint, outside endpoint): when the box made the mapping."""
        key = numbers(self.proto, self.inside, self.inside_port, self.outside, self.outside_port)
        return self.take(np.sort(np.unique(key, return_index=True)[1]))


def numbers(*columns: Array) -> Array:
    """(n,) the same number for rows that are the same in all columns, another one otherwise."""
    mixed: Array = np.zeros(len(columns[0]), np.uint64)
    for c in columns:
        for part in c.T if c.ndim == 2 else (c,):
            # 64 bits of a mix (splitmix64's) stand for the row: equal by chance once in 10^11 captures of 20,000 sessions.
            mixed = (mixed ^ part.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(30)
            mixed *= np.uint64(0xBF58476D1CE4E5B9)
            mixed ^= mixed >> np.uint64(27)
    return np.asarray(np.unique(mixed, return_inverse=True)[1].ravel())


def crossed_until(crossing: Crossing, t: Translations, s: Sessions) -> Sessions:
    """The same sessions, each until its last frame that crossed: what came later may have met no mapping."""
    last = np.full(len(crossing.there.conversations), -1, np.int64)
    rows = crossing.frames.there[crossing.matches.hairpin[crossing.frames.match] == 0]
    member = crossing.there.conversation[rows]
    np.maximum.at(last, member[member >= 0], crossing.there.packets.time_ns[rows[member >= 0]])
    until = last[t.outside_row[s.row]]
    part = {name: getattr(s, name) for name in s.columns}
    return Sessions(**{**part, "last_ns": np.where(until >= 0, until, s.first_ns)})


def sessions(crossing: Crossing, t: Translations) -> Sessions:
    """The sessions among a box's translations: source rewritten, opened inside, with ports."""
    rows = np.flatnonzero((t.kind & 1 == 1) & (t.from_outside == 0) & (t.outside_sport >= 0) & ~np.isin(t.proto, (1, 58)))
    hairpin = t.hairpin[rows] == 1
    marks, first, last = np.zeros((3, len(rows)), np.int64)
    for c, mask in ((crossing.there.conversations, ~hairpin), (crossing.here.conversations, hairpin)):
        outer = t.outside_row[rows[mask]]
        marks[mask], first[mask], last[mask] = c.marks[outer], c.first_ns[outer], c.last_ns[outer]
    syn = marks & (1 << SYN_LETTER | 1 << (SYN_LETTER + 16))
    end = marks & (1 << FIN_LETTER | 1 << RST_LETTER | 1 << (FIN_LETTER + 16) | 1 << (RST_LETTER + 16))
    tcp = t.proto[rows] == TCP
    table = Sessions(
        proto=t.proto[rows],
        inside=t.inside_src[rows],
        outside=t.outside_src[rows],
        remote=t.outside_dst[rows],
        inside_port=t.inside_sport[rows],
        outside_port=t.outside_sport[rows],
        remote_port=t.outside_dport[rows],
        first_ns=first,
        last_ns=last,
        opened=(~tcp | (syn != 0)).astype(np.uint8),
        closed=(tcp & (end != 0)).astype(np.uint8),
        hairpin=hairpin.astype(np.uint8),
        row=rows.astype(np.int64),
    )
    return table.take(np.argsort(table.first_ns, kind="stable"))
