"""Fit: how well one known NAT explains what was seen, and why; ports are held against its rule of choice here.

Each port costs the bits that guessing it takes by that rule: a kept port none where ports are kept, any other the logarithm of as
many as there are to choose from. What a rule does not do is an exception: a few have causes that nobody saw, so it is their number
that speaks against it, as a probability; below SURELY_NOT the NAT is excluded.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..table import Array
from .behavior import NatBehavior, PortChoice
from .blocks import SIZES
from .chance import at_least
from .session import Sessions, numbers

SURELY_NOT = 1e-6
"""A probability below which what was seen excludes a NAT."""
DOUBTFUL = 0.02
SET_BITS = 10.0
"""What it costs to suppose that somebody set a range of ports."""
UNSEEN = 0.2
"""Share of ports that others, whom no capture shows, may have taken."""
HOST_RANGES = ((32768, 60999), (49152, 65535), (10000, 65535), (1024, 65535))
"""What operating systems give to sockets: Linux, Windows and macOS, FreeBSD, others."""
FEW = 1_000
"""Mappings that blocks of every size are fitted to."""
HOPELESS = 40
"""Ports in others' blocks after which no more are looked at."""
EARLY_BITS = 4
"""What it costs to open another block while there is much room in those one has."""
MOST = 20_000
"""Mappings that are looked at."""


@dataclass
class Fit:
    """What speaks for a NAT and against it. bits: the logarithm of how likely it makes what was seen, only good for comparison."""

    bits: float = 0.0
    supports: list[str] = field(default_factory=list)
    costly: list[tuple[float, str]] = field(default_factory=list)
    """What speaks against it, with the bits it costs."""
    fatal: list[str] = field(default_factory=list)
    """What it does not do."""

    @property
    def objections(self) -> tuple[str, ...]:
        """All that speaks against it, the weightiest first."""
        return (*self.fatal, *(says for _, says in sorted(self.costly, key=lambda cost: -cost[0])))

    def test(self, chance: float, says: str, soft: bool = False) -> None:
        """Something that this NAT does with such a probability. soft: what it does is not known well enough to be excluded for it."""
        if chance >= DOUBTFUL:
            return
        cost = -math.log2(max(chance, 1e-30))
        self.bits -= cost
        if chance < SURELY_NOT and not soft:
            self.fatal.append(says)
        else:
            self.costly.append((cost, says))

    def costs(self, bits: float, says: str) -> None:
        """Something that takes an explanation, and has one."""
        self.bits -= bits
        self.costly.append((bits, says))


@dataclass(frozen=True)
class PortFacts:
    """The ports of mappings made from inside, with what is asked about them for every NAT. made: in the order of creation."""

    made: Sessions
    tried: dict[tuple[int, int, int], tuple[float, int, int]] = field(default_factory=dict)
    """Blocks that were fitted already, by size, start and how many a host may have."""

    @cached_property
    def first(self) -> PortFacts:
        """The first few."""
        return PortFacts(self.made.take(slice(0, FEW)))

    @cached_property
    def inside(self) -> Array:
        """(n,) ports inside."""
        return np.asarray(self.made.inside_port, np.int64)

    @cached_property
    def outside(self) -> Array:
        """(n,) ports outside."""
        return np.asarray(self.made.outside_port, np.int64)

    @cached_property
    def kept(self) -> Array:
        """(n,) whether the port is the same."""
        return self.made.kept()

    @cached_property
    def span(self) -> tuple[int, int]:
        """The lowest and the highest port outside."""
        return int(self.outside.min()), int(self.outside.max())

    @cached_property
    def taken(self) -> tuple[Array, Array]:
        """(n,) whether another socket had the outside port that is the inside one's before: towards any, towards the same destination."""
        m = self.made
        socket, place = m.sockets().tolist(), numbers(m.proto, m.outside).tolist()
        target = numbers(m.remote, m.remote_port).tolist()
        holders: dict[tuple[int, int], dict[int, set[int]]] = defaultdict(dict)
        of_any, of_same = np.zeros((2, len(m)), bool)
        for k, (who, where, wanted, got, to) in enumerate(
            zip(socket, place, self.inside.tolist(), self.outside.tolist(), target, strict=True)
        ):
            if wanted != got:
                held = holders.get((where, wanted), {})
                of_any[k] = any(other != who for other in held)
                of_same[k] = any(other != who and to in targets for other, targets in held.items())
            holders[where, got].setdefault(who, set()).add(to)
        return of_any, of_same

    @cached_property
    def steps(self) -> list[Array]:
        """Steps between ports that followed one another, in several groupings."""
        m = self.made
        groups = (
            np.zeros(len(m), np.int64),
            numbers(m.proto),
            numbers(m.outside, m.proto),
            numbers(m.remote, m.proto),
            numbers(m.inside, m.proto),
        )
        out = []
        for group in groups:
            order = np.argsort(group, kind="stable")
            out.append(np.diff(self.outside[order])[np.diff(group[order]) == 0])
        return out


def fit_ports(b: NatBehavior, facts: PortFacts, settable: bool, narrows: bool, soft: bool, fit: Fit) -> None:
    """Hold ports against a NAT's choice. settable: its ports can be set to any range; narrows: to a part of its own."""
    n = len(facts.made)
    if not n:
        return
    if b.port_choice.preserves:
        _preserving(b, facts, settable, soft, fit)
        return
    changed = int((~facts.kept).sum())
    low, top = facts.span
    width = top - low + 1
    first, last = _class(b, facts.inside)
    beyond = (facts.outside < first) | (facts.outside > last)
    choices = [_own_range(b, facts, beyond)]
    if b.port_choice is PortChoice.HOST_EPHEMERAL:
        choices = [(n * math.log2(z - a + 1), 1.0, z - a + 1) for a, z in HOST_RANGES if a <= low <= top <= z]
    if settable or (narrows and not beyond.any()):
        choices.append((n * math.log2(max(width, 2)) + SET_BITS, 1.0, max(width, 2)))
    cost, chance, size = min(choices, key=lambda c: c[0] - math.log2(max(c[1], 1e-30))) if choices else (n * 16.0, 0.0, 65536)
    # Other ranges are likelier already by the bits; what is rare but possible is not held against it twice.
    if beyond.any() or chance < SURELY_NOT:
        fit.test(chance, _stray(b, facts, beyond), soft and not beyond.any())
    elif b.port_choice is PortChoice.RANDOM and len(choices) > 1 and size == max(width, 2) and size < int((last - first).max()) + 1:
        fit.costs(0, f"ports would have to be set: only {low}-{top} are used")
    # Few sockets keep their port by chance.
    kept = n - changed
    fit.test(at_least(kept, n, 1 / size), f"{kept} of {n} ports are kept, and it does not keep any", soft)
    if b.port_choice is PortChoice.SEQUENTIAL:
        cost = _sequential(facts, size, soft, fit)
    elif b.port_choice is PortChoice.BLOCK:
        cost = _blocks(b, facts, soft, fit)
    elif b.port_choice is PortChoice.STATIC:
        cost = _shares(facts, size, soft, fit)
    elif b.port_choice is PortChoice.RANDOM:
        near = max((int(((s >= 1) & (s <= 16)).sum()), len(s)) for s in facts.steps)
        fit.test(5 * at_least(near[0], near[1], min(1.0, 16 / size)), f"{near[0]} of {near[1]} ports are 1 to 16 above the last", soft)
    fit.bits -= cost
    if changed >= 5 and kept * 10 < n and not fit.fatal:
        fit.supports.append(f"{changed} of {n} ports are changed")


def _class(b: NatBehavior, inside: Array) -> tuple[Array, Array]:
    """(n,) lowest and highest outside port for each inside port."""
    first, last = np.full(len(inside), 1), np.zeros(len(inside), np.int64)
    for r in reversed(b.port_ranges):
        mine = (inside >= r.of_low) & (inside <= r.of_high)
        first, last = np.where(mine, r.low, first), np.where(mine, r.high, last)
    return first, last


def _own_range(b: NatBehavior, facts: PortFacts, beyond: Array) -> tuple[float, float, int]:
    """(bits, probability, ports to choose from) if the NAT chooses among its own ports."""
    n = len(beyond)
    first, last = _class(b, facts.inside)
    size = max(int((last - first + 1).max()), 2)
    low, top = facts.span
    share = min(1.0, (top - low + 1) / size)
    # So narrow a stretch of a range by chance: a sample's span is Beta(n - 1, 2).
    narrow = n * share ** (n - 1) - (n - 1) * share**n if n > 1 and b.port_choice is PortChoice.RANDOM else 1.0
    chance = 1e-4 ** int(beyond.sum()) if beyond.any() else min(1.0, max(narrow, 0.0))
    return n * math.log2(size), chance, size


def _stray(b: NatBehavior, facts: PortFacts, beyond: Array) -> str:
    if not beyond.any():
        return f"ports are {facts.span[0]}-{facts.span[1]} only, and it chooses among more"
    port = int(facts.outside[beyond][0])
    ranges = ", ".join(f"{r.low}-{r.high}" for r in b.port_ranges)
    return f"port {port} is outside its ports, {ranges}"


def _preserving(b: NatBehavior, facts: PortFacts, settable: bool, soft: bool, fit: Fit) -> None:
    """Ports are kept, unless they are taken or out of range."""
    n, kept = len(facts.made), int(facts.kept.sum())
    changed = ~facts.kept
    of_any, of_same = facts.taken
    first, last = _class(b, facts.inside)
    explained = of_same if b.port_overloading else of_any
    if not b.keeps_any_port:
        explained = explained | (facts.inside < first) | (facts.inside > last)
    low, top = facts.span
    out = (facts.inside < low) | (facts.inside > top)
    left = int((changed & ~explained).sum())
    if settable and left and int((changed & ~explained & ~out).sum()) < left:
        explained = explained | out
        left = int((changed & ~explained).sum())
        fit.costs(SET_BITS, f"ports would have to be set: only {low}-{top} are used, and inside ports are not among them")
        first, last = np.full(n, low), np.full(n, top)
    if b.port_choice is PortChoice.PRESERVE:
        fit.test(0.01 ** int(changed.sum()), f"{int(changed.sum())} of {n} ports are changed, and it changes none", soft)
    else:
        fit.test(at_least(left, n, UNSEEN), f"{left} of {n} ports are changed though they were free", soft)
    beyond = changed & ((facts.outside < first) | (facts.outside > last))
    if beyond.any():
        fit.test(1e-4 ** int(beyond.sum()), _stray(b, facts, beyond), soft or settable)
    width = np.log2(np.maximum(last - first + 1, 2))
    fit.bits -= float(width[changed].sum()) + left * -math.log2(UNSEEN)
    if kept and not fit.fatal:
        rest = int((changed & explained).sum())
        why = f", {rest} others could not be" if rest else ""
        fit.supports.append(f"{kept} of {n} ports are kept{why}")


def _sequential(facts: PortFacts, size: int, soft: bool, fit: Fit) -> float:
    """Bits that a counter costs, in the grouping that suits it best."""
    best, far, steps = float("inf"), 0, 0
    for s in facts.steps:
        small = (s >= 1) & (s <= 16)
        # Where a counter begins again, or skips what others have, it takes a guess.
        bits = float((~small).sum()) * (math.log2(size) + 2) + float(small.sum()) * 2 + (len(facts.made) - len(s)) * math.log2(size)
        if bits < best:
            best, far, steps = bits, int((~small).sum()), len(s)
    fit.test(at_least(far, steps, 0.5), f"{far} of {steps} ports do not follow the last one", soft)
    return best


def _blocks(b: NatBehavior, facts: PortFacts, soft: bool, fit: Fit) -> float:
    """Bits that blocks cost, of its own size or of another one that NATs offer."""
    found = []
    some = facts.first
    for size in dict.fromkeys((b.block_size, *SIZES)):
        for start in dict.fromkeys((b.port_ranges[0].low, 0)):
            if (key := (size, start, b.blocks_per_host)) not in some.tried:
                some.tried[key] = _in_blocks(some, *key)
            bits, bad, opened = some.tried[key]
            chance = 0.01**bad * at_least(opened, len(some.made), UNSEEN)
            other = 0.0 if size == b.block_size else 6.0
            found.append((bits + other - math.log2(max(chance, 1e-30)), bits + other, chance, size, bad))
        if found[0][2] >= DOUBTFUL:
            break
    _, bits, chance, size, bad = min(found)
    bits *= len(facts.made) / len(some.made)
    fit.test(chance, f"hosts have no blocks of ports of their own: {bad} ports are amid another host's", soft)
    if chance >= DOUBTFUL and size != b.block_size:
        fit.costs(0, f"blocks of {size} ports would have to be set, by default they have {b.block_size}")
    return bits


def _in_blocks(facts: PortFacts, size: int, start: int, most: int) -> tuple[float, int, int]:
    """(bits, ports in a block that another host has or beyond the blocks that one may have, blocks opened before the last was used)."""
    m, bits, bad, early, steps = facts.made, 0.0, 0, 0, 0.0
    owner: dict[tuple[int, int], int] = {}
    place = numbers(m.outside).tolist()
    user = numbers(m.inside).tolist()
    proto = m.proto.tolist()
    until: dict[tuple[int, int], int] = {}
    highest: dict[tuple[int, int], int] = {}
    top: dict[int, int] = {}
    last: dict[tuple[int, int, int], int] = {}
    used: dict[tuple[int, int, int], set[int]] = defaultdict(set)
    mine: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for k, (where, who, port, begins, ends) in enumerate(
        zip(place, user, facts.outside.tolist(), m.first_ns.tolist(), m.until_ns().tolist(), strict=True)
    ):
        if bad > HOPELESS:
            return 16.0 * len(m), bad, early
        block = (where, (port - start) // size)
        holder = owner.get(block)
        if holder == who:
            # Inside a block ports are drawn, or taken one after the other.
            offset = (port - start) % size
            upto = min(size, max(16, 2 * highest[block], offset + 1))
            highest[block] = max(highest[block], offset)
            near = 1 <= offset - last.get((*block, proto[k]), -1) <= 16
            bits, steps = bits + math.log2(size), steps + (2 if near else math.log2(upto) + 1)
        elif holder is not None and until[block] >= begins:
            bad += 1
            bits, steps = bits + 16, steps + 16
        else:
            live = [other for other in mine[who] if until[other] >= begins and owner[other] == who]
            if len(live) >= most:
                bad += 1
            elif live and all(len(used[(*other, proto[k])]) < size * 0.5 for other in live):
                early += 1
                bits, steps = bits + EARLY_BITS, steps + EARLY_BITS
            owner[block] = who
            mine[who] = {*live, block}
            highest[block] = (port - start) % size
            # Blocks are drawn, too, or given out one after the other, each from its first port on.
            follows = block[1] == top.get(where, -1) + 1
            top[where] = max(top.get(where, -1), block[1])
            steps += 4 if follows and highest[block] < 16 else 16 - math.log2(size) + 5 if highest[block] < 16 else 17
            bits += 16
        last[*block, proto[k]] = (port - start) % size
        until[block] = max(until.get(block, 0), ends)
        used[(*block, proto[k])].add(port)
    return min(bits, steps), bad, early


def _shares(facts: PortFacts, size: int, soft: bool, fit: Fit) -> float:
    """Bits that fixed shares cost: each host has a stretch of an address's ports that is nobody else's, always."""
    m = facts.made
    pool, host = numbers(m.outside), numbers(m.inside)
    hosts = int(host.max()) + 1
    both = np.unique(np.column_stack([host, pool]), axis=0)
    order = np.lexsort((facts.outside, pool))
    h, p = host[order], pool[order]
    runs = int(((h[1:] != h[:-1]) | (p[1:] != p[:-1])).sum()) + 1
    bad = runs - hosts + (len(both) - hosts)
    fit.test(0.01**bad, f"hosts have no share of ports of their own: {bad} times one's ports are amid another's", soft)
    spans = [int(np.ptp(facts.outside[host == k])) + 1 for k in range(min(hosts, 512))]
    share = max(max(spans), 16)
    return len(m) * math.log2(share) + hosts * math.log2(max(size / share, 1)) + 6
