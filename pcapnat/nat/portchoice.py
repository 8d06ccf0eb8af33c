"""Port choice: by what rule the box picked outside ports, in what range, and what it kept of the inside ones.

Tests and their thresholds follow RFC 6056 (algorithms) and RFC 4787 4.2 (parity, contiguity). Each answer says in its
note how many ports it rests on; below what it takes to tell rules apart it is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..address import text
from ..flow import protocol_name
from ..table import Array
from ..terms import Finding
from .blocks import block_size, clusters
from .chance import at_least, unevenness, width_bound
from .fit import DOUBTFUL, MOST, UNSEEN, PortFacts
from .formula import allocation
from .session import Sessions, numbers

PRESERVE, ELSE_RANDOM, ELSE_SEQUENTIAL = "preserve", "preserve-else-random", "preserve-else-sequential"
RANDOM, SEQUENTIAL, BLOCK, STATIC, HOST = "random", "sequential", "block", "static", "host-ephemeral"
LEAST = 5
"""Changed ports below which their order and spread say nothing."""
SURE = 1e-4
STEP = 16
"""Steps up to this count as small: a counter that skips what is taken."""
RANGES = (
    ("1024-65535, all but system ports", 1024, 65535),
    ("32768-60999, Linux's own", 32768, 60999),
    ("49152-65535, IANA's dynamic ports and Windows's own", 49152, 65535),
    ("50001-65535, pf", 50001, 65535),
    ("10000-65535, FreeBSD's own", 10000, 65535),
    ("1024-63487, SRX", 1024, 63487),
    ("1025-5000, Windows XP's own", 1025, 5000),
)
"""Ranges in use, to hold the ports against."""
HOST_RANGES = ((32768, 60999), (49152, 65535), (10000, 65535))


@dataclass(frozen=True)
class Ports:
    """What the outside ports of a box say."""

    choice: Finding[str]
    range: Finding[list[int]]
    parity: Finding[bool]
    contiguity: Finding[bool]
    block_size: Finding[int]
    allocation: Finding[dict[str, Any]]


@dataclass(frozen=True)
class Order:
    """Steps between ports that followed one another, in the grouping that shows most of them alike."""

    ones: int
    small: int
    steps: int
    grouping: str
    is_counter: bool
    is_near: bool
    """Small steps are more frequent than chance allows."""
    is_likely: bool
    """Many steps are those of a counter, and chance alone would be a surprise."""

    def rank(self) -> tuple[bool, bool, float]:
        """The greater, the more it looks like a counter."""
        return self.is_counter, self.is_near, self.small / max(self.steps, 1)


def ports(s: Sessions, fixed: bool, ends_tcp: bool) -> Ports:
    """All findings about ports. fixed: addresses are translated one for one; ends_tcp: the box has TCP connections of its own."""
    made = s.made()
    changed = made.take(~made.kept())
    high = changed.take(changed.inside_port >= 1024)  # ports below are often drawn from a class of their own
    choice = _choice(s, made, changed, high, fixed, ends_tcp)
    formula: Finding[dict[str, Any]] = Finding(None, 0, 0, "hosts have no ports of their own")
    if choice.value in (BLOCK, None) and len(changed) * 10 > 9 * len(made):
        formula = allocation(high)
        choice = Finding(STATIC, formula.support, 0, formula.note) if formula.support else choice
    size = block_size(high, choice.value == BLOCK)
    return Ports(choice, _range(high, choice.value), parity(changed), _contiguity(made, choice.value), size, formula)


def _choice(s: Sessions, made: Sessions, changed: Sessions, high: Sessions, fixed: bool, ends_tcp: bool) -> Finding[str]:
    n, kept = len(made), len(made) - len(changed)
    if n < 3:
        return Finding(None, 0, 0, f"{n} mappings are too few")
    if mixed := _differing(made):
        return Finding(None, kept, len(changed), mixed)
    if kept == n:
        if fixed:
            return Finding(STATIC, n, 0, f"address for address, all {n} ports kept")
        return Finding(PRESERVE, n, 0, f"all {n} ports kept; none was seen to be taken, so what it does then is not known")
    luck = _luck(made, changed)
    keeps = luck < SURE
    if luck < 0.02 and kept * 10 < n:
        luck, keeps = (1.0, False) if _only_own_range(made, changed) else (luck, keeps)
    how = _how(high)
    told = f"{kept} of {n} ports kept, {len(changed)} changed"
    if keeps:
        if how is None or len(changed) < 3:
            if kept >= 0.9 * n:
                return Finding(PRESERVE, kept, len(changed), f"{told}: too few to tell how others are chosen")
            return Finding(None, kept, len(changed), f"{told}: keeps some, and how others are chosen cannot be told")
        if idle := _changed_though_free(s, made):
            return Finding(None, kept, len(changed), f"{told}; {idle}")
        if how.value in (RANDOM, SEQUENTIAL):
            return Finding(ELSE_RANDOM if how.value == RANDOM else ELSE_SEQUENTIAL, n - how.against, how.against, f"{told}; {how.note}")
        return Finding(None, kept, len(changed), f"{told}; {how.note}")
    if luck < 0.02:
        return Finding(None, kept, len(changed), f"{told}: too many are kept for chance, too few for a rule")
    if how is None:
        return Finding(None, 0, 0, f"{told}: too few to tell how they are chosen")
    if ends_tcp:
        low, top = int(high.outside_port.min()), int(high.outside_port.max())
        if any(a <= low and top <= b for a, b in HOST_RANGES):
            return Finding(HOST, len(high), kept, f"{told}; it has sockets of its own, ports {low}-{top}")
        return Finding(None, len(high), kept, f"{told}; it has sockets of its own, in no known range of hosts")
    return Finding(how.value, how.support, how.against, f"{told}; {how.note}")


def _changed_though_free(s: Sessions, made: Sessions) -> str:
    """A sentence if ports were changed that nothing had taken and that no range forbids: they are kept by some rules, not by others."""
    made = made.take(slice(0, MOST))
    changed = made.take(~made.kept())
    facts = PortFacts(made)
    if not len(changed) or not facts.kept.any():
        return ""
    ports = np.concatenate([changed.outside_port, made.inside_port[facts.kept]])
    free = ~facts.kept & ~facts.taken[0] & (ports.min() <= facts.inside) & (facts.inside <= ports.max())
    if len(np.unique(numbers(s.sockets(), s.doors()))) == len(np.unique(numbers(s.sockets(), s.doors(), s.remote, s.remote_port))):
        # Each destination was given an endpoint of its own: the socket itself may have taken the port, for another.
        first = {key: k for k, key in reversed([*enumerate(zip(made.sockets().tolist(), facts.outside.tolist(), strict=True))])}
        wanted = zip(made.sockets().tolist(), facts.inside.tolist(), strict=True)
        free &= np.array([first.get(key, len(made)) > k for k, key in enumerate(wanted)])
    n, moved = int(free.sum()), len(changed)
    if at_least(n, moved, UNSEEN) >= DOUBTFUL:
        return ""
    to = np.unique(made.remote[free], axis=0)
    where = f", all of them towards {text(*to[0].tolist())}" if len(to) == 1 else ""
    return f"{n} of {moved} were changed though nobody had their port{where}: some are kept by rule, some are not"


def _luck(made: Sessions, changed: Sessions) -> float:
    """How likely chance keeps as many ports."""
    port = made.inside_port[made.kept()].astype(np.int64)
    low, top = int(changed.outside_port.min()), int(changed.outside_port.max())
    span = top - low + 1
    # What is chosen from a range meets the inside port only if that is in the range, as far as it is known.
    near = int(((port >= low - span) & (port <= top + span)).sum())
    return 0.0 if len(port) - near >= 2 else at_least(near, len(made), 1 / max(span, 10))


def _differing(made: Sessions) -> str:
    """A sentence if one protocol's ports are kept and another's are not: no word holds for both."""
    shares = {}
    for proto in np.unique(made.proto).tolist():
        rows = made.proto == proto
        if int(rows.sum()) >= 4:
            shares[proto] = float(made.kept()[rows].mean())
    if not shares or max(shares.values()) < 0.9 or min(shares.values()) > 0.1:
        return ""
    return "it differs: " + ", ".join(f"{protocol_name(proto)} keeps {share:.0%}" for proto, share in shares.items())


def _only_own_range(made: Sessions, changed: Sessions) -> bool:
    """Whether ports are kept exactly where they lie in the range that others are moved to: a range is enforced, not a port kept."""
    if not len(changed):
        return False
    low, top = int(changed.outside_port.min()), int(changed.outside_port.max())
    inside = (made.inside_port >= low) & (made.inside_port <= top)
    return bool((made.kept() <= inside).all() and not (inside & ~made.kept()).any() and int((~inside).sum()) >= 9 * int(inside.sum()))


def _how(high: Sessions) -> Finding[str] | None:
    """How changed ports follow one another; None if they are too few."""
    n = len(high)
    if n < 3:
        return None
    order = _order(high.take(high.opened == 1))
    near = f"{order.small} of {order.steps} steps {order.grouping} are 1 to {STEP}"
    group = clusters(high)
    if order.is_counter and group.blocks and "host" in order.grouping:
        return Finding(BLOCK, n, 0, f"{group.note}; inside of them ports follow one another")
    if order.is_counter:
        steps = f"{order.ones} of {order.steps} steps {order.grouping} are 1, {order.small} at most {STEP}"
        return Finding(SEQUENTIAL, order.small, order.steps - order.small, steps)
    if group.blocks:
        return Finding(BLOCK, n, 0, group.note)
    if order.is_near:
        return Finding(None, 0, 0, f"{near}: more than chance gives, fewer than a counter")
    if n < LEAST:
        return None
    if order.is_likely:
        return Finding(None, 0, 0, f"{near}: too few to tell a counter from chance")
    if not group.told:
        return Finding(None, 0, 0, group.note)
    if n < LEAST:
        return None
    stray, even = unevenness(high.outside_port)
    if even < 1e-3 and stray > 0.05:
        return Finding(None, 0, 0, f"{near}, but they are not spread evenly (p {even:.1g})")
    seen = f"{int(high.outside_port.min())}-{int(high.outside_port.max())}"
    return Finding(RANDOM, n, 0, f"changed ports are spread evenly over {seen}; {near}, as chance gives")


def _order(events: Sessions) -> Order:
    """Steps from each port to the next in the order of creation: over all, per protocol, address, host or destination."""
    best = Order(0, 0, 0, "from one to the next", False, False, False)
    likely = False
    proto, host, pool = numbers(events.proto), numbers(events.inside), numbers(events.outside)
    remote, target = numbers(events.remote), numbers(events.remote, events.remote_port)
    groupings = (
        ("from one to the next", numbers(np.zeros(len(events)))),
        ("within a protocol", proto),
        ("within an outside address", numbers(pool, proto)),
        ("within a host", numbers(host, proto)),
        ("towards one address", numbers(remote, proto)),
        ("towards one destination", numbers(target, proto)),
        ("of a host towards one address", numbers(host, remote, proto)),
    )
    for name, group in groupings:
        order = np.argsort(group, kind="stable")
        port = events.outside_port[order].astype(np.int64)
        step = np.diff(port)[np.diff(group[order]) == 0]
        if not len(step) or (len(step) < LEAST - 1 and best.steps):
            continue
        span = _spans(port, group[order])
        for sign in (1, -1):
            found = _steps(step * sign, span, name if sign == 1 else name + ", downwards")
            likely |= found.is_likely
            if found.rank() > best.rank():
                best = found
        if best.steps == 0:
            best = _steps(step, span, name)
    return replace(best, is_likely=likely)


def _spans(port: Array, group: Array) -> float:
    """Among how many ports steps are taken, on average over the steps; ports are grouped."""
    start = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    width = np.maximum.reduceat(port, start) - np.minimum.reduceat(port, start) + 1
    weight = np.diff(np.append(start, len(port))) - 1
    return float(weight.sum() / np.maximum(weight / np.maximum(width, 2), 1e-9).sum())


def _steps(step: Array, span: float, name: str) -> Order:
    n = len(step)
    ones, small = int((step == 1).sum()), int(((step >= 1) & (step <= STEP)).sum())
    by_one, by_few = at_least(ones, n, 1 / span), at_least(small, n, min(1.0, STEP / span))
    counter = (ones >= 0.5 * n and by_one < SURE) or (small >= 0.6 * n and by_few < SURE)
    near = min(by_one, by_few) < 1e-3 / 14  # as many tests are made
    likely = (ones >= 0.4 * n and by_one < 0.05) or (small >= 0.5 * n and by_few < 0.05)
    return Order(ones, small, n, name, counter, near, likely)


def _range(high: Sessions, choice: str | None) -> Finding[list[int]]:
    """The range of changed ports, given only where it is nearly whole: 30 random ports miss a quarter of it once in 500 times."""
    n = len(high)
    if n == 0:
        return Finding(None, 0, 0, "all ports are the hosts' own")
    low, top = int(high.outside_port.min()), int(high.outside_port.max())
    seen = f"{n} changed ports lie in {low}-{top}"
    if choice not in (RANDOM, ELSE_RANDOM) or n < 30:
        return Finding(None, n, 0, f"{seen}: too few, or not spread so as to show the range")
    widest = (top - low + 1) * width_bound(n)
    inside = [(name, (b - a + 1) / (top - low + 1)) for name, a, b in RANGES if a <= low and top <= b and (b - a + 1) <= widest * 1.05]
    known = f"; of known ranges fit: {', '.join(name for name, _ in inside)}" if inside else "; no known range fits"
    return Finding([low, top], n, 0, f"{seen}; with 95 % confidence the range is not wider than {widest:.0f} ports{known}")


def parity(changed: Sessions) -> Finding[bool]:
    """RFC 4787 REQ-4: even stays even. Chance keeps it for every second port."""
    n = len(changed)
    same = int((changed.inside_port % 2 == changed.outside_port % 2).sum())
    if n >= 16 and same == n:
        return Finding(True, n, 0, f"all {n} changed ports are as even or odd as the inside ones")
    if n >= 10 and n - same >= 3:
        return Finding(False, n - same, same, f"{n - same} of {n} changed ports are odd for even or even for odd")
    return Finding(None, same, n - same, f"{n} changed ports are too few")


def _contiguity(made: Sessions, choice: str | None) -> Finding[bool]:
    """RFC 4787 4.2.3: a host's neighbouring ports, open together, stay neighbours (as RTP and RTCP want)."""
    changed = made.take(~made.kept())
    host = numbers(changed.proto, changed.inside, changed.outside)
    order = np.lexsort((changed.first_ns, changed.inside_port, host))
    one, other = order[:-1], order[1:]
    pair = (host[one] == host[other]) & (changed.inside_port[other] == changed.inside_port[one] + 1) & (changed.inside_port[one] % 2 == 0)
    pair &= changed.last_ns[one] >= changed.first_ns[other] - 1_000_000_000
    together = changed.outside_port[other[pair]] == changed.outside_port[one[pair]] + 1
    yes, no = int(together.sum()), int((~together).sum())
    note = f"{yes + no} pairs of neighbouring ports were changed, {yes} stayed neighbours"
    if choice in (SEQUENTIAL, ELSE_SEQUENTIAL) or yes + no < 3 or (yes and no):
        return Finding(None, yes, no, note)
    return Finding(yes > 0, yes or no, 0, note)
