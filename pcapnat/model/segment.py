"""The TCP segment size that a SYN leaves with: clamps are stateless, and so stand beside the kernels."""

from __future__ import annotations

import numpy as np

from ..nat.behavior import MssClamp
from ..table import Array

SIDES = {"inside": 0, "outside": 1}


def clamped(clamps: tuple[MssClamp, ...], mss: Array, syn: Array, version: Array, leaves: Array) -> tuple[Array, Array]:
    """(n,) the size on leaving, and whether any smaller one is as right, as the path MTU that it is lowered to is not known.

    mss: (n,) sizes on arrival, 0 for none. syn: which segments are SYNs. version: of IP, 4 or 6. leaves: side, as in Verdicts.
    """
    size, free = mss.astype(np.int64), np.zeros(len(mss), bool)
    for clamp in clamps:
        hit = syn & (mss > 0) & (size >= clamp.low) & (size <= clamp.high)
        if clamp.leaves:
            hit &= leaves == SIDES[clamp.leaves]
        if clamp.version:
            hit &= version == clamp.version
        if clamp.most:
            size[hit] = np.minimum(size[hit], clamp.most)
        else:
            free |= hit
    return size, free
