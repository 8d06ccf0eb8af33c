"""Blocks: do the outside ports of each host lie together, apart from those of others (RFC 6888 4, RFC 7422)?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..table import Array
from ..terms import Finding
from .chance import width_bound
from .session import Sessions, numbers

GAP = 512
"""Ports of one host further apart than this are in blocks of their own, or in none."""
SIZES = (16, 32, 64, 100, 128, 200, 256, 500, 512, 1000, 1008, 1024, 2000, 2016, 2048, 4000, 4032, 4096)
"""Block sizes that NATs offer."""
EXCEPTIONS = 4
"""So many ports amid another host's, or in a block more than needed, are no blocks."""
MANY = 1_000
"""Ports that say by their order whether there are blocks."""
FAR = 4096
"""Ports further apart are not in one block."""


@dataclass(frozen=True)
class Clusters:
    """blocks: each host has its own. told: whether blocks or their absence could be seen at all."""

    blocks: bool
    told: bool
    note: str


def clusters(changed: Sessions) -> Clusters:
    """Whether outside ports cluster by inside host."""
    n = len(changed)
    host = numbers(changed.inside)
    pool = numbers(changed.outside)
    port = changed.outside_port.astype(np.int64)
    order = np.lexsort((port, pool))
    h, a = host[order], pool[order]
    hosts = len(np.unique(host))
    mine, spans, _, _ = _cut(host, pool, port, GAP)
    # Who has a block fills it before the next: some ports in places far apart are in none.
    user = numbers(changed.inside, changed.proto)
    places = np.bincount(_cut(user, pool, port, FAR)[3], minlength=int(user.max()) + 1)
    apart = int(np.maximum(places - 1 - np.bincount(user) // min(SIZES), 0).sum())
    # With many ports gaps close, but they still are all over the place: more than a block cut in two, and more for each 16.
    stretches = np.unique(np.column_stack([host, pool, port // FAR]), axis=0)[:, 0]
    beyond = int(np.maximum(np.bincount(stretches) - 2, 0).sum())
    if apart >= 2 or (beyond >= 3 and beyond > n / 16):
        return Clusters(False, True, "")
    if hosts < 2:
        return Clusters(False, False, f"one host, {n} ports within {max(spans)}: a block of its own or the whole range")
    edges = (h[1:] != h[:-1]) | (a[1:] != a[:-1])
    runs = int(edges.sum()) + 1
    # Under chance a neighbour in the order of ports is of another host this often.
    share = np.bincount(host) / n
    expected = (n - 1) * (1 - float((share**2).sum())) + 1
    spread = 2 * max(1.0, expected * float((share**2).sum())) ** 0.5
    if runs <= mine and runs < expected - 2 * spread and n >= 3 * mine:
        return Clusters(True, True, f"the ports of {hosts} hosts lie in {mine} clusters, each of one host, none wider than {max(spans)}")
    if n - hosts >= 3 and runs > max(mine, hosts) and runs > expected - 2 * spread:
        return Clusters(False, True, "")
    if n <= MANY and _no_size_fits(host, user, pool, port):
        return Clusters(False, True, "")
    halfway = f"the ports of {hosts} hosts lie apart to some degree ({runs} runs, chance gives {expected:.0f})"
    return Clusters(False, False, f"{halfway}: neither blocks nor chance")


def _no_size_fits(host: Array, user: Array, pool: Array, port: Array) -> bool:
    """Whether blocks of every size, wherever they begin, would be shared by hosts, or opened while those a host has are all but empty."""
    least = np.bincount(user) // min(SIZES)
    for size in SIZES:
        for start in range(0, size, size // 16):
            block = pool << 17 | (port - start) // size + 1
            owners = np.unique(block << 10 | host)
            shared = len(owners) - len(np.unique(owners >> 10))
            opened = np.bincount(np.unique(user << 40 | block) >> 40, minlength=len(least))
            early = np.maximum(opened - 1 - least, 0)
            if shared + int(early.sum()) < EXCEPTIONS:
                return False
    return True


def _cut(host: Array, pool: Array, port: Array, gap: int) -> tuple[int, list[int], list[Array], Array]:
    """(how many clusters when each host's ports are cut at gaps, span of each, ports of each, host of each)."""
    order = np.lexsort((port, pool, host))
    h, a, p = host[order], pool[order], port[order]
    cuts = np.flatnonzero((h[1:] != h[:-1]) | (a[1:] != a[:-1]) | (p[1:] - p[:-1] > gap)) + 1
    parts = np.split(p, cuts)
    return len(parts), [int(part[-1] - part[0]) + 1 for part in parts], parts, h[np.append(0, cuts)]


def _hollow(part: Array) -> bool:
    """Whether a cluster has a gap that ports spread evenly over it would hardly leave: there are two blocks in it."""
    span, n = int(part[-1] - part[0]) + 1, len(part)
    return n > 2 and n * (1 - int(np.diff(part).max()) / span) ** n < 0.02


def block_size(changed: Sessions, blocks: bool) -> Finding[int]:
    """How many ports a block has, of the sizes that NATs offer; unknown unless only one fits."""
    if not blocks:
        return Finding(None, 0, 0, "no blocks")
    host, pool, port = numbers(changed.inside), numbers(changed.outside), changed.outside_port.astype(np.int64)
    if int(np.bincount(host).max()) < 8:
        return Finding(None, 0, 0, "fewer than 8 ports of a host")
    base = int(port.min())
    fits = []
    for size in SIZES:
        # Aligned blocks may be counted from any port; NATs count from 0, from 1024, or from their range's first.
        for start in (0, 1024, base):
            block = (port - start) // size
            owner = np.unique(np.column_stack([pool, block, host]), axis=0)
            alone = len(np.unique(owner[:, :2], axis=0)) == len(owner)
            if alone:
                fits.append(size)
                break
    _, spans, parts, _ = _cut(host, pool, port, GAP)
    widest = max(spans)
    if any(_hollow(part) for part in parts):
        return Finding(None, 0, 0, f"blocks lie too close to tell where one ends; none is wider than {widest}")
    n = int(np.bincount(host).max())
    top = widest * width_bound(n, 0.001)
    possible = [size for size in fits if widest <= size <= top]
    ordered = np.lexsort((np.arange(len(port)), pool, host))
    steps = np.diff(port[ordered])[np.diff(host[ordered]) == 0]
    counted = len(steps) and float((np.abs(steps) <= 16).mean()) > 0.5
    if counted:
        return Finding(None, 0, 0, f"ports rise inside a block, so its end was not seen: at least {widest}")
    # Two blocks side by side look like one of twice the size: another cluster must be too wide for the next smaller size.
    smaller = max((size for size in SIZES if size < possible[0]), default=0) if possible else 0
    if len(possible) == 1 and sum(span > smaller for span in spans) >= 2:
        return Finding(possible[0], len(port), 0, f"blocks span up to {widest} ports; with 99.9 % confidence no more than {top:.0f}")
    return Finding(None, 0, 0, f"blocks span up to {widest} ports; sizes that fit: {', '.join(map(str, possible)) or 'none'}")
