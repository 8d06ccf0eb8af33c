"""Fragments: the parts of a datagram after the first have no ports, and are given its conversation, whichever came first."""

from typing import Any

from ..kernel import cold, inner, mix, signed
from .life import LOW32

LEFT = 4
"""Slot of `totals` (see track.py): parts that belong to no conversation so far."""
PARTS = 1 << 12
"""Fragmented datagrams that are remembered: a newer one may take the place of an older one."""
DATAGRAM, OWNER, LAST_PART, BATCH = range(4)
"""Columns of `parts`: hash, conversation + 1 (0: not known) with the direction in bit 40, the latest part that waits, its batch."""


@cold
def later_part(parts: Any, h: int, i: int, first_row: int, totals: Any, conversation: Any, reverse: Any) -> int:
    """A fragment after the first, row i: to its datagram's conversation, or onto the chain of those that wait for it."""
    k = h & (PARTS - 1)
    owner = parts[k, OWNER]
    if parts[k, DATAGRAM] == h and owner:
        conversation[i] = (owner & LOW32) - 1
        reverse[i] = owner >> 40
        return 1
    before = -1
    if parts[k, DATAGRAM] == h and parts[k, BATCH] == first_row:
        before = parts[k, LAST_PART]
    parts[k, DATAGRAM] = h
    parts[k, OWNER] = 0
    parts[k, LAST_PART] = i
    parts[k, BATCH] = first_row
    conversation[i] = -3 - before  # below -1: the part waits, and so does row `before`
    totals[LEFT] += 1
    return 0


@cold
def first_part(parts: Any, h: int, c: int, d: int, first_row: int, totals: Any, conversation: Any, reverse: Any) -> int:
    """A first fragment: remembered, and the parts that wait for it are given their conversation."""
    k = h & (PARTS - 1)
    if parts[k, DATAGRAM] == h and parts[k, OWNER] == 0 and parts[k, BATCH] == first_row:
        i = parts[k, LAST_PART]
        while i >= 0:
            before = -3 - conversation[i]
            conversation[i] = c
            reverse[i] = d
            totals[LEFT] -= 1
            i = before
    parts[k, DATAGRAM] = h
    parts[k, OWNER] = c + 1 | d << 40
    return 0


@inner
def datagram(p: Any, i: int) -> int:
    """What the fragments of one datagram have in common, as a number that is not 0."""
    return mix(mix(p.src[i, 0], p.src[i, 1]), mix(mix(p.dst[i, 0], p.dst[i, 1]), signed(p.proto[i]) << 32 | signed(p.ip_id[i]))) | 1 << 61
