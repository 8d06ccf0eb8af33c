"""UDP datagrams that the system sends or receives several at once: one large frame here is a run of small ones there.

Linux's UDP_SEGMENT and UDP_GRO and Windows' USO and URO hand several datagrams of one flow, all of one size but the last, to
or from the network card as one; a capture on that side shows them as one frame of up to 64 kB. A payload's digest covers its
beginning only, so the first of the run is known by it, and the others by their sizes, their order, and their IP
identifications, which count up from the large frame's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernel import kernel
from ..table import Array
from ..terms import Clock
from ..wire import Flag
from . import align as k
from .frames import Aligned
from .port import Port

WHOLE_BYTES = k.WHOLE_BYTES
"""No datagram fits into one frame that is larger (jumbo frames apart, whose runs must be complete)."""
RUN_NS = 1_000_000_000
"""The longest that a run takes to leave."""


@kernel(group="i8", time="i8", size="i8", digest="i8", ident="i8", group_there="i8", time_there="i8", size_there="i8",
        digest_there="i8", ident_there="i8", first="i8", owner="i8")  # fmt: skip
def unite(
    group: Any, time: Any, size: Any, digest: Any, ident: Any, group_there: Any, time_there: Any, size_there: Any, digest_there: Any,
    ident_there: Any, first: Any, owner: Any,
) -> int:  # fmt: skip
    """Find the run there of each large datagram; both lists by group, then time. ident: -1 where it says nothing.

    first: set to the place of the run's first datagram; owner: to the place of the large one; -1 before and where there is none.
    Returns how many runs were found.
    """
    found = 0
    at = 0
    n = len(group_there)
    for x in range(len(group)):
        while at < n and (group_there[at] < group[x] or owner[at] >= 0):
            at += 1
        begin = -1
        for y in range(at, at + k.LOOK if at + k.LOOK < n else n):
            if group_there[y] != group[x]:
                break
            wait = time_there[y] - time[x]
            alike = digest_there[y] == digest[x] or (ident[x] >= 0 and ident_there[y] == ident[x])
            if alike and owner[y] < 0 and size_there[y] < size[x] and -k.LATEST_NS < wait < k.LATEST_NS:
                begin = y
                break
        if begin < 0:
            continue
        piece = size_there[begin]
        wanted = (size[x] + piece - 1) // piece
        last = size[x] - piece * (wanted - 1)
        for attempt in range(2):  # counted first, then taken
            taken = 1
            total = piece
            if attempt == 1:
                first[x] = begin
                owner[begin] = x
                found += 1
            for y in range(begin + 1, begin + wanted + k.LOOK if begin + wanted + k.LOOK < n else n):
                if taken == wanted or group_there[y] != group[x] or time_there[y] - time_there[begin] > RUN_NS:
                    break
                if owner[y] >= 0 or (size_there[y] != piece and size_there[y] != last):
                    continue
                if ident[x] >= 0 and ident_there[y] >= 0:
                    if (ident_there[y] - ident[x]) & 0xFFFF >= wanted:
                        continue
                elif x + 1 < len(group) and group[x + 1] == group[x] and digest_there[y] == digest[x + 1]:
                    break  # the next run begins
                if attempt == 1:
                    owner[y] = x
                taken += 1
                total += size_there[y]
                if size_there[y] != piece:
                    break
            if total != size[x] and size[x] <= WHOLE_BYTES:
                break
    return found


def coalesced(
    here: Port, there: Port, matched: tuple[Array, Array], flip: Array, number: Array, clock: Clock, kept: bool, found: Aligned
) -> int:
    """Pair large UDP datagrams that are left over with the runs of small ones that they are, both ways; returns how many runs.

    matched: conversations here and there that are one; flip: a here is b there; number: in Crossing.matches. kept: the box leaves
    IP identifications alone. found: gets the pairs.
    """
    (one, group), (other, group_there) = _left(here, found.mate_here, matched[0]), _left(there, found.mate_there, matched[1])
    if not len(one) or not len(other):
        return 0
    time = here.packets.time_ns[one]
    sides = (
        _sorted(here, one, 2 * group + here.reverse[one], time + _ahead(here, time, clock), kept),
        _sorted(there, other, 2 * group_there + (there.reverse[other] ^ flip[group_there]), there.packets.time_ns[other], kept),
    )
    mates, how = (found.mate_here, found.mate_there), (found.how_here, found.how_there)
    runs = 0
    for large, small in ((0, 1), (1, 0)):
        (rows, a), (others, b) = (_open(*sides[x], mates[x]) for x in (large, small))
        first, owner = np.full(len(rows), -1, np.int64), np.full(len(others), -1, np.int64)
        runs += unite(*a, *b, first, owner)
        begun, parts = np.flatnonzero(first >= 0), np.flatnonzero(owner >= 0)
        mates[large][rows[begun]] = others[first[begun]]
        mates[small][others[parts]] = rows[owner[parts]]
        how[large][rows[begun]], how[small][others[parts]] = k.PART, k.PART
    new = one[found.mate_here[one] >= 0]
    found.match[new] = number[_match_of(here, matched[0])[here.conversation[new]]]
    return runs


def _open(rows: Array, columns: Array, mate: Array) -> tuple[Array, list[Array]]:
    """Those without a counterpart so far."""
    free = mate[rows] < 0
    return rows[free], [c[free] for c in columns]


def _sorted(port: Port, rows: Array, group: Array, time: Array, kept: bool) -> tuple[Array, Array]:
    """Rows by group and time, and what `unite` takes of them, an array a row."""
    p, order = port.packets, np.lexsort((rows, time, group))
    rows = rows[order]
    ident = np.where(p.flags[rows] & np.uint32(Flag.V6) != 0, -1, p.ip_id[rows].astype(np.int64)) if kept else np.full(len(rows), -1)
    return rows, np.array([group[order], time[order], p.payload_len[rows], p.digest[rows], ident], np.int64)


def _left(port: Port, mate: Array, conversations: Array) -> tuple[Array, Array]:
    """(rows, matches) of whole UDP datagrams without a counterpart, in conversations that have one."""
    number = _match_of(port, conversations)
    p = port.packets
    rows = np.flatnonzero(mate < 0)
    rows = rows[p.flags[rows] & np.uint32(Flag.UDP | Flag.KEY | Flag.FRAGMENT) == np.uint32(Flag.UDP | Flag.KEY)]
    match = number[port.conversation[rows]]
    return rows[match >= 0], match[match >= 0]


def _match_of(port: Port, conversations: Array) -> Array:
    """(conversations + 1,) the match of each, -1 for none: the last row stands for "no conversation"."""
    number = np.full(len(port.conversations) + 1, -1, np.int64)
    number[conversations] = np.arange(len(conversations))
    return number


def _ahead(port: Port, time: Array, clock: Clock) -> Array:
    """How far the other port's clock is ahead at these times."""
    if clock.offset_ns is None:
        return np.zeros(len(time), np.int64)
    return np.asarray(clock.offset_ns + (time - port.first_ns) // 1_000_000 * clock.drift_ppb // 1_000)
