"""A NAT's own table against what the captures show, and against its rules.

Reading taken: a session of the table and a conversation that crossed are one if the same packets arrive; then they must leave alike.
A table taken at one moment holds neither what was over by then nor what began later: only what it does hold can be wrong.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from ..address import text
from ..flow import Conversations, Crossing
from ..nat import Translations
from ..nat.behavior import NatBehavior, protocol
from ..terms import Endpoint
from .conntrack import QUERIES, Known, SessionTable, Tuple

LISTED = 50
"""Examples kept of each kind."""


@dataclass(frozen=True)
class Example:
    """A session of the table, a conversation that crossed, or both. tuples are (source, destination); row: of Translations, -1 for none."""

    proto: int
    arrives: tuple[Endpoint, Endpoint]
    table: tuple[Endpoint, Endpoint] | None
    seen: tuple[Endpoint, Endpoint] | None
    line: int = 0
    row: int = -1
    says: str = ""


@dataclass
class Kind:
    """How many there are of something, and the first of them."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, example: Example) -> None:
        """One more."""
        self.count += 1
        if len(self.examples) < LISTED:
            self.examples.append(example)


@dataclass
class Truth:
    """What a table confirms and contradicts.

    agreed: conversations that left as it says. contradicted: that left otherwise. untranslated: that left as they came, while the table
    has a translation for them: after its session had ended, or as they fitted none of its states. unlisted: translated ones that it
    does not hold.
    unused: translated sessions of which neither capture shows a packet. one_sided: of which only one does, or that were not matched.
    own: sessions without translation of which no packet was seen. unruled: sessions that the rules do not explain.
    """

    table: SessionTable
    agreed: int = 0
    contradicted: Kind = field(default_factory=Kind)
    untranslated: Kind = field(default_factory=Kind)
    unlisted: Kind = field(default_factory=Kind)
    unused: Kind = field(default_factory=Kind)
    one_sided: Kind = field(default_factory=Kind)
    unruled: Kind = field(default_factory=Kind)
    own: int = 0
    notes: list[str] = field(default_factory=list)


def compared(table: SessionTable, crossing: Crossing, t: Translations, behavior: NatBehavior | None = None) -> Truth:
    """Table, captures and, if they are known, rules side by side."""
    found = Truth(table)
    by_arrival: dict[Tuple, list[int]] = {}
    for k, known in enumerate(table.sessions):
        by_arrival.setdefault(known.arrives, []).append(k)
        if known.arrives[0] in QUERIES and known.arrives[2] < 0:
            by_arrival.pop(known.arrives)
    nameless = sum(k.arrives[0] in QUERIES and k.arrives[2] < 0 for k in table.sessions)
    if nameless:
        found.notes.append(f"{nameless} ICMP sessions of the table have no identifier (as in conntrack's XML): they are left out")
    by_leaving: dict[Tuple, list[int]] = {}
    met: set[int] = set()
    others: list[tuple[int, int, Tuple, Tuple]] = []
    agreeing: set[Tuple] = set()
    for row, (kind, arrives, leaves) in enumerate(_crossed(t)):
        candidates = by_arrival.get(arrives, [])
        if not candidates and bool(arrives[1][0]) != bool(leaves[1][0]):
            # Between versions of IP another stage than conntrack's has translated before: only what leaves is alike.
            by_leaving = by_leaving or {s.leaves: by_arrival.get(s.arrives, []) for s in table.sessions}
            candidates = by_leaving.get((QUERIES[0] if arrives[0] in QUERIES else arrives[0], *leaves[1:]), [])
            leaves = table.sessions[candidates[0]].leaves if candidates else leaves
        right = [k for k in candidates if table.sessions[k].leaves == leaves]
        if right:
            found.agreed += 1
            met.update(right)
            agreeing.add(arrives)
        else:
            others.append((row, kind, arrives, leaves))
    for row, kind, arrives, leaves in others:
        candidates = by_arrival.get(arrives, [])
        last = table.sessions[candidates[-1]] if candidates else None
        met.update(candidates)
        if last and not kind:
            found.untranslated.add(_example(last, leaves, row))
        elif last and (table.events or arrives not in agreeing):
            found.contradicted.add(_example(last, leaves, row))
        elif kind:  # a table of one moment holds only the last session between two endpoints
            found.unlisted.add(Example(arrives[0], _ends(arrives), None, _ends(leaves), row=row))
    left = [k for ks in by_arrival.values() for k in ks if k not in met]
    seen = _seen(left, table, crossing)
    for k in sorted(left):
        known = table.sessions[k]
        if not known.translated:
            found.own += k not in seen
        elif k in seen:
            found.one_sided.add(_example(known))
        else:
            found.unused.add(_example(known))
    if behavior is not None:
        for known in table.sessions:
            why = unruled(known, behavior)
            if why:
                found.unruled.add(_example(known, says=why))
    return found


def _example(known: Known, seen: Tuple | None = None, row: int = -1, says: str = "") -> Example:
    return Example(known.arrives[0], _ends(known.arrives), _ends(known.leaves), _ends(seen) if seen else None, known.line, row, says)


def _ends(of: Tuple) -> tuple[Endpoint, Endpoint]:
    _, src, sport, dst, dport = of
    target = dport if of[0] not in QUERIES else -1
    return Endpoint(text(*src), sport if sport >= 0 else None), Endpoint(text(*dst), target if target >= 0 else None)


def _crossed(t: Translations) -> list[tuple[int, Tuple, Tuple]]:
    """(kind, as it arrived, as it left) of every translation."""
    out: list[tuple[int, Tuple, Tuple]] = []
    sides = [
        zip(t.__dict__[f"{s}_src"].tolist(), t.__dict__[f"{s}_sport"].tolist(), t.__dict__[f"{s}_dst"].tolist(),
            t.__dict__[f"{s}_dport"].tolist(), strict=True)
        for s in ("inside", "outside")
    ]  # fmt: skip
    for proto, kind, back, here, there in zip(t.proto.tolist(), t.kind.tolist(), t.from_outside.tolist(), *sides, strict=True):
        pair = [_known(proto, *here), _known(proto, *there)]
        arrives, leaves = pair[::-1] if back else pair
        out.append((kind, arrives, leaves))
    return out


def _known(proto: int, src: list[int], sport: int, dst: list[int], dport: int) -> Tuple:
    """A tuple as a table has it: of an ICMP query the identifier of who asks stands twice."""
    return proto, (src[0], src[1]), sport, (dst[0], dst[1]), sport if proto in QUERIES else dport


def _seen(rows: list[int], table: SessionTable, crossing: Crossing) -> set[int]:
    """Which sessions show in either capture, on either side of their translation."""
    wanted: dict[tuple[int, frozenset[tuple[tuple[int, int], int]]], list[int]] = {}
    for k in rows:
        for of in (table.sessions[k].arrives, table.sessions[k].answer):
            wanted.setdefault((of[0], frozenset(((of[1], of[2]), (of[3], of[4])))), []).append(k)
    found: set[int] = set()
    for port in (crossing.here, crossing.there):
        c: Conversations = port.conversations
        for proto, a, p, b, q in zip(c.proto.tolist(), c.a.tolist(), c.a_port.tolist(), c.b.tolist(), c.b_port.tolist(), strict=True):
            found.update(wanted.get((proto, frozenset((((a[0], a[1]), p), ((b[0], b[1]), q)))), ()))
    return found


def unruled(known: Known, b: NatBehavior) -> str:
    """Why the rules do not explain a session, "" if they do or say nothing about it."""
    if not known.translated:
        return ""
    proto, src, sport, dst, dport = known.arrives
    _, to_src, to_sport, to_dst, to_dport = known.leaves
    source = (src, sport) != (to_src, to_sport)
    target = (dst, dport) != (to_dst, to_dport) if proto not in QUERIES else dst != to_dst
    if target and b.complete and not _forwarded(known, b):
        return f"no rule leads {Endpoint(text(*dst), _port(dport))} to {Endpoint(text(*to_dst), _port(to_dport))}"
    if not source or target:
        return ""  # a hairpin's source is the box's own choice
    lent = [*b.addresses, *(pair.address for pair in b.sources), *(rule.outside for rule in b.static if rule.outbound)]
    if b.addresses and not any(_in(to_src, net) for net in lent):
        return f"no rule gives the address {text(*to_src)}"
    if (
        any(rule.outbound and _in(to_src, rule.outside) for rule in b.static)
        or proto not in (6, 17)
        or (to_sport == sport and b.keeps_any_port)
    ):
        return ""
    if any(_in(src, pair.inside) for pair in b.sources):
        return ""
    fits = next((r for r in b.port_ranges if r.of_low <= sport <= r.of_high), None)
    if fits and not fits.low <= to_sport <= fits.high:
        return f"no rule gives the port {to_sport}: it is not among {fits.low}-{fits.high}"
    return ""


def _port(port: int) -> int | None:
    return port if port >= 0 else None


def _in(address: tuple[int, int], net: str) -> bool:
    """Whether an address lies in a prefix given as text."""
    try:
        return ipaddress.ip_address(text(*address)) in ipaddress.ip_network(net, strict=False)
    except ValueError:
        return False


def _forwarded(known: Known, b: NatBehavior) -> bool:
    """Whether a static mapping makes what a session's destination became."""
    proto, _, _, dst, dport = known.arrives
    _, _, _, to, to_port = known.leaves
    for rule in b.static:
        if (
            (not rule.proto or protocol(rule.proto) == proto)
            and (not rule.outside or _in(dst, rule.outside))
            and (dport < 0 or rule.ports[0] <= dport <= rule.ports[1])
            and _in(to, rule.inside)
        ):
            moved = dport if rule.to_port is None else rule.to_port + dport - rule.ports[0]
            if dport < 0 or proto in QUERIES or moved == to_port:
                return True
    return False
