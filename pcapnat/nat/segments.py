"""Which TCP segment sizes a box lowers, by SYNs that were seen on both sides (MSS clamping, as PPPoE and tunnels need it)."""

from __future__ import annotations

import numpy as np

from ..flow import Crossing, How
from ..table import Array
from ..wire import Flag
from .behavior import MssClamp
from .translation import Translations

SYN, ACK = 2, 16


def clamps(crossing: Crossing, t: Translations) -> tuple[MssClamp, ...]:
    """A clamp for each way and version of IP in which sizes were lowered.

    One size that all lowered ones became, and that none which passed exceeds, is the box's own; otherwise any smaller one is right, as
    with path MTUs that differ. Sizes that were raised, put in or taken out are no clamp's work: nothing is said of that way.
    """
    f, a, b = crossing.frames, crossing.here.packets, crossing.there.packets
    inward = np.full(len(crossing.here.conversations), -1, np.int8)  # 1 if opened from outside, -1 if that is not known
    plain = (t.hairpin == 0) & (t.ended == 0)
    inward[t.inside_row[plain]] = t.from_outside[plain]
    rows = np.flatnonzero((crossing.matches.hairpin[f.match] == 0) & ~np.isin(f.how, (int(How.PART), int(How.COPY))))
    i, j = f.here[rows], f.there[rows]
    c = crossing.here.conversation[i]
    ours = (a.flags[i] & b.flags[j] & int(Flag.TCP) != 0) & (a.tcp_flags[i] & SYN != 0) & (c >= 0)
    i, j, c = i[ours], j[ours], c[ours]
    known = inward[c] >= 0
    i, j, c = i[known], j[known], c[known]
    leaves = ((a.tcp_flags[i] & ACK == 0) ^ (inward[c] == 1)).astype(np.int8)  # the opener's goes the way it was opened
    version = np.where(a.flags[i] & int(Flag.V6) != 0, 6, 4)
    same = version == np.where(b.flags[j] & int(Flag.V6) != 0, 6, 4)
    inner = np.where(a.flags[i] & int(Flag.MSS) != 0, a.mss[i].astype(np.int64), -1)
    outer = np.where(b.flags[j] & int(Flag.MSS) != 0, b.mss[j].astype(np.int64), -1)
    before, after = np.where(leaves == 1, inner, outer), np.where(leaves == 1, outer, inner)
    found = []
    for way, name in ((1, "outside"), (0, "inside")):
        for kind in (4, 6):
            mine = same & (leaves == way) & (version == kind)
            clamp = _clamp(before[mine], after[mine])
            if clamp is not None:
                found.append(MssClamp(clamp, name, kind))
    return tuple(found)


def _clamp(before: Array, after: Array) -> int | None:
    """The size that some sizes were lowered to, 0 for several, None if nothing was lowered or something else was done."""
    changed = before != after
    if not changed.any() or (after[changed] > before[changed]).any() or (after[changed] < 0).any():
        return None
    most = np.unique(after[changed])
    return int(most[0]) if len(most) == 1 and bool((after[~changed] <= most[0]).all()) else 0
