"""Packets that the capturing system itself calls the same: equal identifiers at two points (pktmon's PktGroupId, epb_packetid).

Where identifiers are right they are the truth, and everything else can be checked against them. They are not always right:
packets handed over together may share one, clones have their original's, counters begin again, some tools count for each
interface, files may come from two systems. So what two packets with one identifier hold must not contradict that they are one:

    alike    the same fingerprint (all that a NAT leaves alone), or a TCP segment that begins at the same sequence number
    fitting  protocol and payload length are the same, and nothing else has this identifier: believed if within a second
    unlike   none of these: not believed, and counted

If too many are unlike, no identifier is believed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..table import Array
from ..wire import Flag
from .fingerprint import By, Candidates
from .port import Port

FRAME_BITS = 1_000_000.0
"""More than a conversation of ten thousand frames proves without identifiers."""
MOST_COPIES = 4
"""Pairs that the copies of one packet may make: a component shows it at two edges. More are no longer copies."""
NEAR_NS = 1_000_000_000
SPREAD = np.uint64(0x9E3779B97F4A7C15)
TRUST = 3
"""So many identifiers must be alike for each one that is unlike."""
STRANGERS = 8
"""... and so many different packets, if nothing else says that both points are of one system."""


@dataclass
class Identity:
    """What identifiers say about two points. Numbers are of identifiers that occur at both, and of conversations.

    alike, fitting, unlike: see above. frames: pairs of frames that are believed. confirmed, denied: matches made without
    identifiers that they confirm or contradict; only: matches that exist because of them. believed: whether they were used.
    """

    alike: int = 0
    fitting: int = 0
    unlike: int = 0
    frames: int = 0
    believed: bool = False
    confirmed: int = 0
    denied: int = 0
    only: int = 0

    def says(self) -> list[str]:
        """Sentences for the reader."""
        if not self.alike + self.fitting + self.unlike:
            return ["packets are numbered, but no packet has one number at both points: each place counts by itself"]
        if not self.believed:
            return [
                f"packet ids are not used: {self.unlike:,} of {self.alike + self.fitting + self.unlike:,} that occur at both points are of "
                "packets that have nothing in common"
            ]
        if not self.frames:
            return ["packet ids that occur at both points tell nothing: too many packets have the same one, or they are far apart in time"]
        known = self.confirmed + self.denied
        by = f"packet ids ({self.frames:,} frame{'s' * (self.frames != 1)} with the same one at both points)"
        said = [f"{by} confirm {self.confirmed:,} of {known:,} matched conversations"]
        if self.denied:
            said.append(f"packet ids contradict {self.denied:,} of {known:,} matches that were made without them; the ids were followed")
        if self.only:
            said.append(f"{self.only:,} conversation{'s' * (self.only != 1)} matched by packet ids alone")
        if self.unlike:
            said.append(f"{self.unlike:,} packet id{'s' * (self.unlike != 1)} of packets that cannot be the same: not believed")
        return said


class _Side(NamedTuple):
    """One point's packets with identifiers, each conversation and direction once for each identifier and content, in the order of id."""

    row: Array
    id: Array
    content: Array
    size: Array
    begins: Array
    conversation: Array
    reverse: Array

    def only(self, rows: Array) -> _Side:
        """Some of them."""
        return _Side(*(a[rows] for a in self))

    def numbers(self) -> Array:
        """(n,) identifiers as numbers from 0 on, in their order."""
        return np.cumsum(np.append(0, self.id[1:] != self.id[:-1]))


def known(here: Port, there: Port) -> tuple[Identity, Candidates] | None:
    """What identifiers say, and the conversations that they pair; None if not both points have any.

    The candidates have `by` PACKET_ID and more packet_bits than anything else; there are none if the identifiers are not believed.
    """
    one, other = _side(here), _side(there)
    if not len(one.id) or not len(other.id):
        return None
    one, other = one.only(_among(one.id, other.id)), other.only(_among(other.id, one.id))
    identity = Identity()
    if not len(one.id):
        return identity, Candidates.empty(0)
    mine, theirs = one.numbers(), other.numbers()  # both hold the same identifiers: equal numbers are equal identifiers
    keyed = _pairs(mine, theirs, one.content, other.content)
    begun = _pairs(mine, theirs, one.begins, other.begins)
    sized = _pairs(mine, theirs, one.size, other.size)
    alike, like = np.zeros(int(mine[-1]) + 1, bool), np.zeros(int(mine[-1]) + 1, bool)
    alike[mine[keyed[0]]] = alike[mine[begun[0]]] = True
    like[mine[sized[0]]] = True
    identity.alike, identity.unlike = int(alike.sum()), int((~alike & ~like).sum())
    identity.fitting = int((~alike & like).sum())
    alone = ~alike & (np.bincount(mine) == 1) & (np.bincount(theirs) == 1)
    near = np.abs(there.packets.time_ns[other.row[sized[1]]] - here.packets.time_ns[one.row[sized[0]]]) <= NEAR_NS
    fitting = alone[mine[sized[0]]] & near
    enough = _one_system(here, there) or _different(one.content[keyed[0]]) >= STRANGERS
    identity.believed = enough and identity.unlike * TRUST <= identity.alike
    if not identity.believed:
        return identity, Candidates.empty(0)
    pairs = [np.concatenate([keyed[i], begun[i], sized[i][fitting]]) for i in (0, 1)]
    order = np.lexsort(pairs)
    first = np.append(True, (pairs[0][order][1:] != pairs[0][order][:-1]) | (pairs[1][order][1:] != pairs[1][order][:-1]))
    rows = order[first[: len(order)]]
    identity.frames = len(rows)
    return identity, _candidates(here, there, one.only(pairs[0][rows]), other.only(pairs[1][rows]))


def _one_system(here: Port, there: Port) -> bool:
    """Whether a file belongs to both points."""
    return not {os.path.abspath(f) for f in here.files}.isdisjoint(os.path.abspath(f) for f in there.files)


def _different(values: Array) -> int:
    """How many different values there are."""
    ordered = np.sort(values)
    return int((ordered[1:] != ordered[:-1]).sum()) + (len(ordered) > 0)


def _among(some: Array, others: Array) -> Array:
    """(n,) whether each of `some` is among `others`, which are sorted and not none."""
    return np.asarray(others[np.minimum(np.searchsorted(others, some), len(others) - 1)] == some)


def _side(port: Port) -> _Side:
    p = port.packets
    rows = np.flatnonzero((p.packet_id != 0) & (port.conversation >= 0))
    flags = p.flags[rows]
    proto = np.where(p.proto[rows] == 58, 1, p.proto[rows]).astype(np.int64)  # NAT64 makes one ICMP of the other
    content = np.where(flags & int(Flag.KEY) != 0, p.key[rows], -1 - rows)  # without a fingerprint, like nothing else
    begins = np.where((flags & int(Flag.TCP) != 0) & (p.seq[rows] != 0), p.seq[rows].astype(np.int64), -1 - rows)
    side = _Side(rows, p.packet_id[rows], content, proto << 32 | p.payload_len[rows], begins, port.conversation[rows], port.reverse[rows])
    side = side.only(np.lexsort((side.reverse, side.conversation, side.size, side.content, side.id)))
    new = np.ones(len(rows), bool)
    new[1:] = np.any([a[1:] != a[:-1] for a in (side.id, side.content, side.size, side.conversation, side.reverse)], axis=0)
    return side.only(new)


def _pairs(mine: Array, theirs: Array, left: Array, right: Array) -> tuple[Array, Array]:
    """Rows of both sides with equal number and equal value (negative: no value), where few enough have them to be copies."""
    a, b = np.flatnonzero(left >= 0), np.flatnonzero(right >= 0)
    # One number for both; different ones that agree by accident are sorted out at the end.
    one, other = (n.astype(np.uint64) * SPREAD ^ v.astype(np.uint64) for n, v in ((mine[a], left[a]), (theirs[b], right[b])))
    ordered, by_code = np.sort(one), np.argsort(other, kind="stable")
    many = np.searchsorted(ordered, one, "right") - np.searchsorted(ordered, one)
    start = np.searchsorted(other[by_code], one)
    copies = np.searchsorted(other[by_code], one, "right") - start
    rows = np.flatnonzero((copies > 0) & (many * copies <= MOST_COPIES))
    times = copies[rows]
    step = np.arange(int(times.sum())) - np.repeat(np.cumsum(times) - times, times)
    i, j = np.repeat(a[rows], times), b[by_code[np.repeat(start[rows], times) + step]]
    equal = (mine[i] == theirs[j]) & (left[i] == right[j])
    return i[equal], j[equal]


def _candidates(here: Port, there: Port, one: _Side, other: _Side) -> Candidates:
    """A row for each two conversations, and orientation, that have frames in common."""
    flip = one.reverse ^ other.reverse
    width = max(1, len(there.conversations))
    pair, back = np.unique((one.conversation * width + other.conversation) * 2 + flip, return_inverse=True)
    back = back.ravel()
    count = np.bincount(back, minlength=len(pair))
    c = Candidates.empty(len(pair))
    c.here[:], c.there[:], c.flip[:] = (pair >> 1) // width, (pair >> 1) % width, pair & 1
    c.packet_bits[:] = FRAME_BITS * count
    c.by[:] = int(By.PACKET_ID)
    c.shared[:] = count
    times = here.packets.time_ns[one.row], there.packets.time_ns[other.row]
    fall = np.sign(here.packets.ttl[one.row].astype(np.int64) - there.packets.ttl[other.row])
    np.add.at(c.outward, back, np.where(one.reverse != 0, -fall, fall))
    c.here_first[:], c.there_first[:] = np.iinfo(np.int64).max, np.iinfo(np.int64).max
    c.here_last[:], c.there_last[:] = np.iinfo(np.int64).min, np.iinfo(np.int64).min
    for first, last, time in ((c.here_first, c.here_last, times[0]), (c.there_first, c.there_last, times[1])):
        np.minimum.at(first, back, time)
        np.maximum.at(last, back, time)
    c.delay[:] = np.bincount(back, (times[1] - times[0]).astype(np.float64), minlength=len(pair)) / np.maximum(count, 1)
    return c


def added(c: Candidates, more: Candidates) -> Candidates:
    """Both tables' evidence in one; of a pair in both, travel and times of the frames known by identifier."""
    table = Candidates.join([c, more])
    width = int(table.there.max()) + 1 if len(table) else 1
    pair = (table.here * width + table.there) * 2 + table.flip
    order = np.argsort(pair, kind="stable")
    table, pair = table.take(order), pair[order]
    twice = np.flatnonzero(pair[1:] == pair[:-1])  # rows of c, each before its like
    table.packet_bits[twice + 1] += table.packet_bits[twice]
    table.by[twice + 1] |= table.by[twice]
    table.here_first[twice + 1] = np.minimum(table.here_first[twice + 1], table.here_first[twice])
    table.there_first[twice + 1] = np.minimum(table.there_first[twice + 1], table.there_first[twice])
    table.here_last[twice + 1] = np.maximum(table.here_last[twice + 1], table.here_last[twice])
    table.there_last[twice + 1] = np.maximum(table.there_last[twice + 1], table.there_last[twice])
    return table.take(np.delete(np.arange(len(table)), twice))


def check(identity: Identity, pairs: Candidates, without: tuple[Array, Array], decided: tuple[Array, Array]) -> None:
    """Count what identifiers say of matches made without them, and the matches that exist because of them.

    pairs: conversations paired by identifiers. without, decided: (here, there) of the matches made without and with them.
    """
    true = set(zip(pairs.here.tolist(), pairs.there.tolist(), strict=True))
    told = set(pairs.here.tolist()), set(pairs.there.tolist())
    made = set(zip(without[0].tolist(), without[1].tolist(), strict=True))
    judged = {(h, t) for h, t in made if h in told[0] or t in told[1]}
    identity.confirmed = len(judged & true)
    identity.denied = len(judged - true)
    identity.only = len((set(zip(decided[0].tolist(), decided[1].tolist(), strict=True)) & true) - made)
