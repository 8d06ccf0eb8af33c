"""One capture that shows both sides of a box: taken on the router itself, on all its interfaces, or where it is attached by one leg.

A conversation and its translation are then in one file, the same numbers in both, the TTL falling from one to the other. Every
conversation is given to the side whose hardware addresses its frames have, or whose hosts it is of; what belongs to neither is left out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..message import Collected
from ..table import Array
from ..terms import Clock
from .cross import HAIRPIN_NS, judge, other_end
from .fingerprint import By, Index
from .port import Port

ENOUGH = 2
"""So many conversations seen before and after translation, or one of which so many frames were."""
CLEAR = 0.95
"""Of a link's frames so many are of one side, or it tells nothing."""
NEITHER, INSIDE, OUTSIDE = -1, 0, 1


def split(port: Port) -> tuple[Port, Port] | None:
    """The inside and the outside that one capture shows, None if it shows one side only."""
    found = _seeds(port)
    if found is None:
        return None
    side = _spread(port, *found)
    return _half(port, side, INSIDE), _half(port, side, OUTSIDE)


def _seeds(port: Port) -> tuple[Array, tuple[Array, Array]] | None:
    """(c,) side of the conversations that were seen before and after their source was translated, and their sources' hashes by side."""
    c = Index(port, None, ~port.to_group()).candidates(strict=True)
    if not len(c):
        return None
    judge(c, port, port, Clock(0, 0, 0, 0))
    conversations = port.conversations
    asks_b = conversations.client()[c.here] != 1
    far = [other_end(conversations, rows, turned, True) for rows, turned in ((c.here, ~asks_b), (c.there, (c.flip == 1) ^ ~asks_b))]
    near = [other_end(conversations, rows, turned, False) for rows, turned in ((c.here, ~asks_b), (c.there, (c.flip == 1) ^ ~asks_b))]
    kept = (far[0][0] == far[1][0]).all(axis=1) & ((far[0][1] == far[1][1]) | np.isin(conversations.proto[c.here], (1, 58)))
    rewritten = (near[0][0] != near[1][0]).any(axis=1)
    proven = c.by & int(By.ISN | By.SEQUENCE | By.IP_ID) != 0
    real = kept & rewritten & proven & (np.abs(c.outward) == c.shared) & (c.outward != 0) & (np.abs(c.delay) < HAIRPIN_NS)
    rows = np.flatnonzero(real)
    if len(rows) < ENOUGH and not (len(rows) and c.shared[rows].max() >= ENOUGH):
        return None
    out = (c.outward[rows] > 0) == asks_b[rows]  # the client's frames lose TTL from here to there
    first, second = np.where(out, c.here[rows], c.there[rows]), np.where(out, c.there[rows], c.here[rows])
    votes = np.zeros(len(conversations), np.int64)
    np.add.at(votes, first, -1)
    np.add.at(votes, second, 1)
    known = np.where(votes < 0, INSIDE, np.where(votes > 0, OUTSIDE, NEITHER))
    before, after = (np.where(out[:, None], near[k][0][rows], near[1 - k][0][rows]) for k in (0, 1))
    return known, (_hash(before), _hash(after))


def _spread(port: Port, known: Array, hosts: tuple[Array, Array]) -> Array:
    """Give the other conversations a side: by the interfaces and hardware addresses of their frames, then by their hosts.

    hosts: hashes of addresses that are of the inside, and of the outside.
    """
    p, c = port.packets, port.conversation
    member = np.flatnonzero(c >= 0)
    of = known[c[member]]
    weight = np.zeros(len(known), np.int64)
    for column in (p.interface, p.eth_src, p.eth_dst):
        _, kind = np.unique(column[member], return_inverse=True)
        inside, outside = (np.bincount(kind[of == side], minlength=int(kind.max(initial=0)) + 1) for side in (INSIDE, OUTSIDE))
        total = inside + outside
        tells = np.where(inside >= CLEAR * total, -1, np.where(outside >= CLEAR * total, 1, 0)) * (total > 0)
        np.add.at(weight, c[member], tells[kind])
    side = np.where(known != NEITHER, known, np.where(weight < 0, INSIDE, np.where(weight > 0, OUTSIDE, NEITHER)))
    a, b = _hash(port.conversations.a), _hash(port.conversations.b)
    is_inside, is_outside = (np.isin(a, h) | np.isin(b, h) for h in hosts)
    open_ = side == NEITHER
    side[open_ & is_inside & ~is_outside] = INSIDE
    side[open_ & is_outside & ~is_inside] = OUTSIDE
    return side


def _hash(address: Array) -> Array:
    """(n,) a number for each address."""
    return np.asarray((address[:, 0] * np.uint64(0x9E3779B97F4A7C15)) ^ address[:, 1])


def _half(port: Port, side: Array, which: int) -> Port:
    """What one side shows: its conversations and their frames; the others' frames keep their rows and belong to nothing."""
    rows = np.flatnonzero(side == which)
    number = np.full(len(side) + 1, -1, np.int64)  # one more: -1, "none", stays that
    number[rows] = np.arange(len(rows))
    e = port.picked.excerpts
    mine = number[e.conversation] >= 0
    excerpts = e.take(np.flatnonzero(mine))
    excerpts.conversation[:] = number[excerpts.conversation]
    spoken = port.picked.spoken[rows] if len(port.picked.spoken) == len(side) else port.picked.spoken[:0]
    return replace(
        port,
        name=("inside", "outside")[which],
        conversations=port.conversations.take(rows),
        conversation=number[port.conversation],
        about=number[port.about],
        picked=Collected(excerpts, port.picked.data, spoken),
    )
