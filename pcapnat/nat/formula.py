"""Deterministic allocation: each host's share of ports follows from its address (RFC 7422 2.2)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..address import text
from ..terms import Finding
from .blocks import SIZES
from .session import Sessions, numbers

FIRST_PORTS = (1024, 0)
SHARES = tuple(sorted({*SIZES, *(64512 // (1 << k) for k in range(1, 11)), *(65536 // (1 << k) for k in range(1, 11))}))
"""Ports a host may have: those over system ports, or all, dealt to a power of two of hosts; and the sizes that blocks have."""
HOSTS = 4
"""So many hosts tell: that fewer lie in the order of their addresses is no surprise."""
WIDTH = np.uint64(0xFFFFFFFF)


def allocation(made: Sessions) -> Finding[dict[str, Any]]:
    """first_port, ports_per_host, and first_host: whose share begins with first_port on the first of the outside addresses.

    Blocks that are dealt one after the other look the same if hosts come up in the order of their addresses: then it is unknown.
    With a value of None and support there is a formula, and its parameters are open.
    """
    n = len(made)
    host = numbers(made.inside)
    if not n or int(host.max()) + 1 < HOSTS or n < 2 * HOSTS:
        return Finding(None, 0, 0, "too few hosts")
    order = np.unique(host, return_index=True)[1]
    came = np.argsort(order)  # hosts by their first session
    low_bits = (made.inside[:, 1] & WIDTH).astype(np.int64)
    rank = np.argsort(np.argsort(low_bits[order]))[came]
    if int((np.diff(rank) < 0).sum()) == 0 or int((np.diff(rank) > 0).sum()) == 0:
        return Finding(None, 0, 0, "hosts came up in the order of their addresses: blocks dealt in turn look the same")
    port, pool = made.outside_port.astype(np.int64), numbers(made.outside)
    fits: list[tuple[int, int, int]] = []
    for first in FIRST_PORTS:
        for share in SHARES:
            number = (port - first) // share
            if port.min() < first or number.max() * share + share + first > 65536:
                continue
            origin = low_bits - number
            if all(len(np.unique(origin[pool == k])) == 1 for k in np.unique(pool).tolist()):
                fits.append((first, share, int(origin[pool == pool[np.lexsort(made.outside.T[::-1])[0]]][0])))
    if len(fits) != 1 or len(np.unique((port - fits[0][0]) // fits[0][1])) < HOSTS:
        said = ", ".join(f"{share} from {first}" for first, share, _ in fits)
        # One size, and from which port on is all that is open: there is a formula.
        return Finding(None, n if len({share for _, share, _ in fits}) == 1 else 0, 0, f"shares that fit: {said or 'none'}")
    first, share, origin = fits[0]
    high, base = int(made.inside[0, 0]), int(made.inside[0, 1]) & ~int(WIDTH)
    value = {"first_port": first, "ports_per_host": share, "first_host": text(high, base | (origin & int(WIDTH)))}
    return Finding(
        value, n, 0, f"the ports of {int(host.max()) + 1} hosts lie where their addresses put them, {share} ports each from {first}"
    )
