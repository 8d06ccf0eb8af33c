"""Ephemeral ports of hosts: from which range each takes the ports of what it opens, and by what rule (RFC 6056 section 3).

Order statistics decide about ranges: a known range is believed if no port lies outside, a wider one would have shown it, and the
least and greatest port lie where so many draws put them. Anything else is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..flow import Conversations
from ..table import Array
from ..terms import Finding
from .chance import at_least, unevenness
from .session import numbers

TCP, UDP = 6, 17
RANGES = (
    ("Linux (WSL, containers, Android)", 32768, 60999),
    ("Windows, macOS, newer FreeBSD (IANA's dynamic ports)", 49152, 65535),
    ("Windows XP and 2003", 1025, 5000),
    ("FreeBSD", 10000, 65535),
    ("all but system ports", 1024, 65535),
)
"""Ranges that systems have by default: ip_local_port_range; netsh's dynamicport; MaxUserPort; net.inet.ip.portrange; RFC 6056 3.2."""
FEWEST = 8
"""Ports below which nothing is said of a host."""
NEAR = 16
"""Steps up to this count as those of a counter: Linux adds up to 16 at a time."""
SURE = 1e-3
EVEN = 10
"""Independent choices that are all even once in a thousand times only."""
MOST_HOSTS = 256
"""Hosts of a point that are looked at, those with the most ports first."""


@dataclass(frozen=True)
class HostPorts:
    """The ports that one address opened conversations from, of one protocol. address: two words.

    ports: different ones; draws: choices of one, as far as they are told apart. range: the known range they come from.
    """

    proto: int
    address: tuple[int, int]
    ports: int
    draws: int
    low: int
    high: int
    range: Finding[list[int]]
    system: Finding[str]
    choice: Finding[str]


def host_ports(c: Conversations) -> list[HostPorts]:
    """Every address that opened at least FEWEST TCP or UDP conversations from ports of its own, most ports first."""
    client = c.client()
    first = client == 1
    address = np.where(first[:, None], c.b, c.a)
    port, far = np.where(first, c.b_port, c.a_port), np.where(first, c.a_port, c.b_port)
    # What is fixed by its protocol (NTP, mDNS, IKE) or below 1024 was no choice of the system's.
    rows = np.flatnonzero((client >= 0) & np.isin(c.proto, (TCP, UDP)) & (port >= 1024) & (port != far) & (far >= 0))
    if len(rows) < FEWEST:
        return []
    group = numbers(c.proto[rows], address[rows])
    order = np.argsort(group, kind="stable")
    parts = np.split(rows[order], np.flatnonzero(np.diff(group[order])) + 1)
    found = []
    for mine in sorted((p for p in parts if len(p) >= FEWEST), key=len, reverse=True)[:MOST_HOSTS]:
        mine = mine[np.argsort(c.first_ns[mine], kind="stable")]
        if c.proto[mine[0]] == UDP:  # a socket that asks many is one choice
            mine = mine[np.sort(np.unique(port[mine], return_index=True)[1])]
        if len(mine) >= FEWEST:
            remote = np.where(first[mine, None], c.a[mine], c.b[mine])
            found.append(_host(int(c.proto[mine[0]]), address[mine[0]], port[mine].astype(np.int64), numbers(remote, far[mine])))
    return sorted(found, key=lambda h: (-h.ports, h.proto, h.address))


def _host(proto: int, address: Array, port: Array, remote: Array) -> HostPorts:
    low, high = int(port.min()), int(port.max())
    choice, even = _choice(port, remote), bool((port % 2 == 0).all())
    draws = len(np.unique(port)) if choice.value == "random" else _draws(port)
    found = _range(low, high, draws, even and proto == TCP and draws >= EVEN, choice.value == "sequential")
    names = {(a, b): name for name, a, b in RANGES}
    name = names[(found.value[0], found.value[1])] if found.value else None
    return HostPorts(
        proto,
        (int(address[0]), int(address[1])),
        len(np.unique(port)),
        draws,
        low,
        high,
        found,
        Finding(name, found.support, 0, found.note),
        choice,
    )


def _draws(port: Array) -> int:
    """Ports that are no neighbours of one another: those that a counter gave in a row were one choice."""
    ports = np.unique(port)
    return int((np.diff(ports) > NEAR).sum()) + 1


def _range(low: int, high: int, n: int, even: bool, counter: bool) -> Finding[list[int]]:
    """The one known range that holds the ports and that they fill as n draws do. even: all even, as Linux's connect gives them."""
    seen = f"{low}-{high}, {n} independent choices"
    if even and low >= 32768 and high <= 60999:
        return Finding([32768, 60999], n, 0, f"{seen}, all even: what connect of Linux gives (its range begins even)")
    fitting = [(b - a + 1, a, b) for _, a, b in RANGES if a <= low and high <= b]
    if not fitting:
        return Finding(None, n, 0, f"{seen}: in no known range")
    if counter:
        return Finding(None, n, 0, f"{seen}: a counter shows its range only where it turns over")
    width, a, b = min(fitting)
    # Each end must lie as near the border as n draws reach but once in a thousand times.
    reach = width * (1 - SURE ** (1 / max(n, 1)))
    if reach > width / 5 or low - a > reach or b - high > reach:
        return Finding(None, n, 0, f"{seen}: too narrow for {a}-{b}, or too few to tell")
    for wider, start, end in fitting:
        if (start, end) != (a, b) and (width / wider) ** n > SURE:
            return Finding(None, n, 0, f"{seen}: as well in {start}-{end} as in {a}-{b}")
    return Finding([a, b], n, 0, f"{seen}; others of the known ranges would have shown ports elsewhere")


def _choice(port: Array, remote: Array) -> Finding[str]:
    """Sequential over all, a counter for each destination (RFC 6056 algorithms 3 and 4), or random (1 and 2)."""
    span = int(np.ptp(port)) + 1
    overall, towards = np.diff(port), _towards(port, remote)
    across = overall[np.diff(remote) != 0]
    every, each, other = (_counter(step, span) for step in (overall, towards, across))
    told = (
        f"steps of 1 to {NEAR}: {each[0]} of {len(towards)} towards the same destination, {other[0]} of {len(across)} towards another one"
    )
    if every[1] and other[1]:
        return Finding("sequential", every[0], len(overall) - every[0], f"{told}; most often {_usual(overall)}")
    if each[1] and len(across) >= FEWEST and other[0] <= 0.1 * len(across):
        return Finding("per-destination", each[0], len(towards) - each[0], f"{told}; most often {_usual(towards)}")
    if each[1] or every[1]:
        return Finding(None, each[0], 0, f"{told}: one counter for all, or one a destination")
    chance = min(1.0, NEAR / span)
    if len(towards) < 12 or at_least(each[0], len(towards), chance) < 0.05 or at_least(every[0], len(overall), chance) < 0.05:
        return Finding(None, 0, 0, f"{told}: too few to tell a counter from chance")
    stray, even = unevenness(port)
    if even < SURE and stray > 0.05:
        return Finding(None, 0, 0, f"{told}, but they are not spread evenly (p {even:.1g})")
    return Finding("random", len(port), 0, f"{told}, as chance gives")


def _towards(port: Array, remote: Array) -> Array:
    """Steps from each port to the next one towards the same destination."""
    order = np.argsort(remote, kind="stable")
    return np.asarray(np.diff(port[order])[np.diff(remote[order]) == 0])


def _counter(step: Array, span: int) -> tuple[int, bool]:
    """How many steps are small, and whether that is a counter's doing."""
    small = int(((step >= 1) & (step <= NEAR)).sum())
    return small, len(step) >= 5 and small >= 0.6 * len(step) and at_least(small, len(step), min(1.0, NEAR / span)) < 1e-4


def _usual(step: Array) -> int:
    small = step[(step >= 1) & (step <= NEAR)]
    return int(np.bincount(small).argmax())
