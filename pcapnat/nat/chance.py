"""Chance: how likely an observation is if nothing is behind it."""

from __future__ import annotations

import math

import numpy as np

from ..table import Array


def at_least(hits: int, trials: int, chance: float) -> float:
    """An upper bound of the probability of `hits` or more in `trials` of this chance each (Chernoff)."""
    if not trials or hits <= trials * chance:
        return 1.0
    if chance <= 0:
        return 0.0
    share = hits / trials
    divergence = share * math.log(share / chance)
    if share < 1:
        divergence += (1 - share) * math.log((1 - share) / (1 - chance))
    return math.exp(-trials * divergence)


def unevenness(values: Array) -> tuple[float, float]:
    """How far values stray from evenly spread between their least and greatest, and how likely chance does that (Kolmogorov-Smirnov)."""
    n = len(values)
    low, high = int(values.min()), int(values.max())
    if n < 5 or low == high:
        return 0.0, 1.0
    seen, counts = np.unique(values, return_counts=True)
    upto = np.cumsum(counts)
    width = high - low + 1
    # Ports are whole numbers: what is at or below a value, and what is below it.
    d = float(max(np.max(np.abs(upto / n - (seen - low + 1) / width)), np.max(np.abs((upto - counts) / n - (seen - low) / width))))
    return d, min(1.0, 2 * math.exp(-2 * n * d * d))


def all_alike(groups: Array, values: Array) -> float:
    """An upper bound of how likely every group has one value only if the values were dealt out to the rows at random.

    groups, values: (n,) numbers from 0; each group must have one value.
    """
    size = np.bincount(values)
    owner = np.unique(np.column_stack([groups, values]), axis=0)[:, 1]
    log = math.lgamma(len(np.unique(groups)) + 1) - sum(math.lgamma(k + 1) for k in np.bincount(owner).tolist())
    return min(1.0, math.exp(log + sum(math.lgamma(k + 1) for k in size.tolist()) - math.lgamma(len(values) + 1)))


def width_bound(n: int, doubt: float = 0.05) -> float:
    """By what factor a range may be wider than what n uniform draws from it spanned, but for this doubt.

    The root of n q^(n-1) - (n-1) q^n = doubt: a sample's span over the range's width is Beta(n - 1, 2).
    """
    low, high = 0.0, 1.0
    for _ in range(60):
        q = (low + high) / 2
        if n * q ** (n - 1) - (n - 1) * q**n < doubt:
            low = q
        else:
            high = q
    return 1 / max(high, 1e-9)
