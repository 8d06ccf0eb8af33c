"""A ruleset as a behavior: source NAT rules become mapping, ports and addresses, destination NAT rules static mappings, the rest filters.

Reading taken: an interface that source NAT rules name as the way out, or destination NAT rules as the way in, is outside; all others
that rules name are inside. A rule that cannot be expressed is left out and listed, never bent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ..nat.behavior import MOST_STATIC, Hairpin, Mapping, MssClamp, NatBehavior, Pooling, PortChoice, PortRange, Source, Static
from ..nat.presets import PRESETS
from .filters import filters_of
from .ruleset import BROADCAST, MULTICAST, Chain, Deed, Match, Ranges, RulesError, Ruleset, Step, prefix, prefixes, steps, written
from .sides import Sides, found_sides

MOST_LISTED = 200
MOST_SHARED = 256
"""Addresses of a range or prefix that are written out as mappings of their own."""
TCP, UDP = 6, 17
ICMPS = (1, 58)


@dataclass
class Reading:
    """What is made of a ruleset so far."""

    sides: Sides
    source: list[tuple[Step, Deed, tuple[Match, ...]]] = field(default_factory=list)
    """Source NAT rules for what leaves outside, that are modelled or merged."""
    static: list[Static] = field(default_factory=list)
    unmodelled: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    hairpin: Hairpin = Hairpin.NONE
    router: str = ""
    turned: bool = False
    """Whether a forwarded port can be reached from inside."""

    def leave(self, step: Step, why: str) -> None:
        """List a rule as not modelled."""
        self.unmodelled.append(f"{step.rule.says} ({why})")


def behavior_of(rules: Ruleset, name: str, source: str, inside: str = "", outside: str = "") -> NatBehavior:
    """The behavior. inside, outside: names of interfaces that the user gives. Raises RulesError for rules that no kernel would take."""
    nat = [(chain, steps(rules, chain)) for chain in rules.chains if chain.kind == "nat" and chain.hook]
    sides = found_sides(rules, nat, inside, outside)
    reading = Reading(sides, notes=sides.notes())
    for chain, row in sorted(nat, key=lambda pair: (min(pair[0].versions), pair[0].priority)):
        if chain.hook == "postrouting":
            _sources(row, chain, reading)
        elif chain.hook == "prerouting":
            _destinations(row, chain, reading)
        elif any(step.rule.deed.kind in ("snat", "dnat", "masquerade", "redirect", "netmap") for step in row):
            reading.unmodelled.append(f"{chain.table} {chain.name}: translations of what the box itself sends or receives")
    base = _source(reading)
    filters = filters_of(rules, sides, reading.unmodelled)
    for chain in rules.chains:
        for rule in chain.rules:
            if rule.unknown:
                reading.unmodelled.append(f"{rule.says} (not modelled: {', '.join(part.removeprefix('+') for part in rule.unknown)})")
    reading.unmodelled += rules.beside
    listed = list(dict.fromkeys(reading.unmodelled))
    if len(listed) > MOST_LISTED:
        listed = [*listed[:MOST_LISTED], f"... and {len(listed) - MOST_LISTED} more"]
    hairpin = reading.hairpin
    if reading.turned and hairpin is Hairpin.NONE:
        hairpin = Hairpin.INTERNAL_SOURCE
    if len(reading.static) > MOST_STATIC:
        raise RulesError(f"more than {MOST_STATIC} static mappings")
    base = replace(base, name=name, source=source, static=tuple(reading.static), hairpin=hairpin if reading.turned else Hairpin.NONE,
                   router=reading.router if reading.turned else "", filters=filters, complete=not rules.helpers)  # fmt: skip
    parts = [part for chain in rules.chains for rule in chain.rules for part in rule.unknown]
    if any(word in part for part in parts for word in ("maxseg", "TCPMSS")):
        base = replace(base, mss=(MssClamp(),))
        reading.notes.append("rules change TCP segment sizes: any that is lower on leaving is taken as right")
    if any(word in part for part in parts for word in ("ip ttl set", "ip6 hoplimit set", "-j TTL", "-j HL")):
        base = replace(base, ttl_step=-1)
        reading.notes.append("rules change TTLs: any is taken as right")
    if rules.helpers:
        reading.notes.append("forwarded ports that no rule names are taken as seen: a helper opens them")
    return replace(base, unmodelled=tuple(listed), notes=tuple(reading.notes))


def _sources(row: list[Step], chain: Chain, reading: Reading) -> None:
    """The rules of a postrouting chain."""
    for step, rest in _reached(row):
        rule, deed, matches = step.rule, step.rule.deed, step.around + step.rule.matches
        if len(chain.versions) == 1:
            matches += (Match("version", ((chain.versions[0],) * 2,)),)
        if deed.kind in ("accept", "return", "drop") and not _harmless(step, matches, reading.sides, rest):
            reading.leave(step, "not modelled: an exception from translation")
            continue
        if deed.kind not in ("snat", "masquerade", "netmap"):
            continue
        if _undecided(rule.unknown):
            continue  # it is listed with what is unknown of it
        came, leaves = reading.sides.of(matches, "iif"), reading.sides.of(matches, "oif")
        if came is None or leaves is None:
            reading.leave(step, "not modelled: it cannot be told on which side its interfaces are")
            continue
        if 0 in came and 0 in leaves:
            reading.hairpin = Hairpin.ROUTER_SOURCE
            if deed.addresses and 1 not in leaves:
                reading.router = written(deed.addresses[0])
        if 0 not in came or 1 not in leaves:
            if not (0 in came and 0 in leaves):
                reading.leave(step, "not modelled: it is not for what goes from inside to outside")
            continue
        if deed.kind == "netmap":
            _netmap(step, deed, matches, reading, outbound=True)
            continue
        why = _narrow(matches)
        if why:
            reading.leave(step, f"not modelled: only for some {why}")
            continue
        if deed.kind == "snat" and not deed.addresses:
            reading.leave(step, "not modelled: to no address")
            continue
        reading.source.append((step, deed, matches))


def _undecided(unknown: tuple[str, ...]) -> bool:
    """Whether a part is unknown that decides when a rule holds."""
    return any(not part.startswith("+") for part in unknown)


def _reached(row: list[Step]) -> Iterator[tuple[Step, list[Step]]]:
    """The steps that packets can come to, each with those that it keeps packets from if it is an exception."""
    at = 0
    while at < len(row):
        step = row[at]
        at += 1
        ends = step.rule.deed.kind in ("accept", "drop")
        rest = row[at:] if ends else row[at : at + step.skip]
        yield step, rest
        # Where everything leaves a chain, the rest of it is never reached.
        sure = not step.rule.matches and not step.rule.unknown and "shared" not in step.rule.deed.flags
        if sure and (step.rule.deed.kind == "return" or (ends and not step.around)):
            at += len(rest)


def _harmless(step: Step, matches: tuple[Match, ...], sides: Sides, rest: list[Step]) -> bool:
    """Whether an exception concerns nothing that goes between inside and outside, or keeps nothing from being translated."""
    if not any(other.rule.deed.kind in ("snat", "dnat", "masquerade", "redirect", "netmap") for other in rest):
        return True
    groups = _ranges(matches, "dst") or ()
    if groups and all(any(low <= a and b <= high for low, high in MULTICAST + BROADCAST) for a, b in groups):
        return True  # routers pass none of these on
    came, leaves = sides.of(matches, "iif"), sides.of(matches, "oif")
    if came is not None and leaves is not None and (0 not in came or 1 not in leaves):
        return True
    return not any(m.field != "version" for m in matches) and step.skip == 0


def _narrow(matches: tuple[Match, ...]) -> str:
    """For what a source NAT rule is too special: destinations, ports ... ("" for a rule that can be modelled)."""
    own = _ranges(matches, "src")
    for m in matches:
        if m.field == "dst" and m.negated and own and all(any(a <= low and high <= b for a, b in own) for low, high in m.ranges):
            continue  # not towards the hosts themselves: that does not go outside
        what = {"dst": "destinations", "sport": "ports", "dport": "ports", "flags": "segments", "kind": "ICMP", "state": "states",
                "status": "connections", "local": "destinations"}.get(m.field)  # fmt: skip
        if what or (m.negated and m.field in ("src", "proto")):
            return what or ("sources" if m.field == "src" else "protocols")
    return ""


def _ranges(matches: tuple[Match, ...], name: str) -> Ranges | None:
    """The ranges that a field must be in, None if no rule says; several conditions are met together."""
    found: Ranges | None = None
    for m in matches:
        if m.field == name and not m.negated:
            if found is None:
                found = m.ranges
            else:
                found = tuple((max(a, c), min(b, d)) for a, b in found for c, d in m.ranges if max(a, c) <= min(b, d))
    return found


def _source(reading: Reading) -> NatBehavior:
    """Mapping, ports, addresses and sources of the source NAT rules."""
    linux = PRESETS["linux-masquerade"].behavior
    reading.source = _joined(reading.source)
    ported = [(s, d, m) for s, d, m in reading.source if _has(m, TCP) or _has(m, UDP)]
    if not ported:
        for step, _, _ in reading.source:
            reading.leave(step, "not modelled: it is for neither TCP nor UDP")
        return replace(linux, port_choice=PortChoice.STATIC, mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT)
    # The rule for most: one for all hosts, else the first. Those before it give single hosts or networks addresses of their own.
    for_all = [k for k, (_, _, m) in enumerate(ported) if _ranges(m, "src") is None]
    size = {k: sum(high - low + 1 for low, high in _ranges(m, "src") or ()) for k, (_, _, m) in enumerate(ported)}
    both = sorted((k for k, (_, d, m) in enumerate(ported) if _for_both(d, m, ported)), key=lambda k: -size[k])
    at = (for_all or both or [0])[0]
    main, scope = ported[at][1], _ranges(ported[at][2], "src")
    sources: list[Ranges | None] = []
    own: list[Source] = []
    icmp = False
    after = {id(s) for s, _, _ in ported[at + 1 :]}
    covered: list[tuple[int, int, Ranges | None]] = []
    versions: set[int] = set()
    for step, deed, matches in reading.source:
        same = (deed.addresses, deed.ports, deed.flags) == (main.addresses, main.ports, main.flags)
        kinds = _versions(matches)
        hosts = _ranges(matches, "src")
        before = {(v, p) for v, p, those in covered if those is None or (hosts is not None and _within(hosts, those))}
        carries = {(v, p) for v in kinds for p in (TCP, UDP) if _has(matches, p)} - before
        if carries and not same:
            own_address = deed.addresses and deed.addresses[0] == deed.addresses[1] and not deed.ports and deed.flags == main.flags
            if not own_address or not hosts or _ranges(matches, "proto") or (id(step) in after and _overlap(hosts, scope)):
                reading.leave(step, "not modelled: another source NAT rule gives addresses and ports")
                icmp = icmp or (deed.addresses in (None, main.addresses) and hosts is None and any(_has(matches, p) for p in ICMPS))
                continue
            own += [Source(p, written(deed.addresses[0])) for low, high in hosts for p in prefixes(low, high)]  # type: ignore[index]
        elif not carries and any(_has(matches, p) for p in ICMPS) and deed.addresses not in (None, main.addresses):
            reading.leave(step, "not modelled: another source NAT rule gives the addresses")
            continue
        icmp = icmp or any(_has(matches, p) for p in ICMPS)
        if carries or same:
            sources.append(hosts)
            versions |= kinds
        covered += [(v, p, hosts) for v, p in carries]
    random = bool(main.flags & {"random", "fully-random"})
    changed: dict[str, object] = {"icmp_queries": icmp, "sources": tuple(own)}
    if random:
        changed |= {"mapping": Mapping.ADDRESS_AND_PORT_DEPENDENT, "port_choice": PortChoice.RANDOM, "keeps_any_port": False}
    if main.ports:
        changed |= {"port_ranges": (PortRange(*main.ports),), "keeps_any_port": False}
    if main.addresses:
        changed["addresses"] = tuple(p for pair in (main.addresses, *main.more) for p in prefixes(*pair))
    if "persistent" in main.flags:
        changed["pooling"] = Pooling.PAIRED
    if all(s is not None for s in sources):
        inside = [p for s in sources for low, high in s or () for p in prefixes(low, high)]
        changed["inside"] = tuple(dict.fromkeys(inside))
    elif len(versions) == 1:
        changed["inside"] = EVERYONE[versions.pop()]
    missing = [name for name, p in (("TCP", TCP), ("UDP", UDP)) if not any(_has(m, p) for _, _, m in ported)]
    if not icmp:
        reading.notes.append("no rule translates ICMP: queries leave as they came")
    if missing:
        reading.notes.append(f"no rule translates {missing[0]}; the model does")
    return replace(linux, **changed)  # type: ignore[arg-type]


def _for_both(deed: Deed, matches: tuple[Match, ...], rules: list[tuple[Step, Deed, tuple[Match, ...]]]) -> bool:
    """Whether a rule is for TCP and UDP, alone or with another that does the same for the same hosts."""
    carried = {p for _, d, m in rules for p in (TCP, UDP) if d == deed and _ranges(m, "src") == _ranges(matches, "src") and _has(m, p)}
    return carried == {TCP, UDP}


def _within(hosts: Ranges, those: Ranges) -> bool:
    """Whether hosts are all among those of another rule."""
    return all(any(low <= a and b <= high for low, high in those) for a, b in hosts)


def _joined(rules: list[tuple[Step, Deed, tuple[Match, ...]]]) -> list[tuple[Step, Deed, tuple[Match, ...]]]:
    """Rules among which one is chosen by turns or by chance, as one rule with all their addresses."""
    out: list[tuple[Step, Deed, tuple[Match, ...]]] = []
    open_ended = False
    for step, deed, matches in rules:
        plain = replace(deed, flags=deed.flags - {"shared"})
        if open_ended and out[-1][2] == matches and (out[-1][1].ports, out[-1][1].flags) == (plain.ports, plain.flags) and plain.addresses:
            before, known = out[-1][0], out[-1][1]
            out[-1] = before, replace(known, more=(*known.more, plain.addresses)), matches
        else:
            out.append((step, plain, matches))
        open_ended = "shared" in deed.flags
    return out


EVERYONE = {4: ("0.0.0.0/0",), 6: ("2000::/3", "fc00::/7")}
"""All hosts of a version of IP: the other one is routed as it is."""


def _versions(matches: tuple[Match, ...]) -> set[int]:
    """The versions of IP that a rule concerns."""
    ranges = _ranges(matches, "version")
    return {v for v in (4, 6) if ranges is None or any(low <= v <= high for low, high in ranges)}


def _overlap(hosts: Ranges, scope: Ranges | None) -> bool:
    """Whether hosts are among those of another rule that is for some only."""
    return scope is not None and any(low <= d and c <= high for low, high in hosts for c, d in scope)


def _has(matches: tuple[Match, ...], proto: int) -> bool:
    """Whether a rule can concern a protocol."""
    ranges = _ranges(matches, "proto")
    versions = _ranges(matches, "version")
    if proto == 1 and versions and not any(low <= 4 <= high for low, high in versions):
        return False
    return ranges is None or any(low <= proto <= high for low, high in ranges)


def _destinations(row: list[Step], chain: Chain, reading: Reading) -> None:
    """The rules of a prerouting chain."""
    outside_only = False
    forwarded = {(written(step.rule.deed.addresses[0]), step.rule.deed.ports[0] if step.rule.deed.ports else None)
                 for step in row if step.rule.deed.kind == "dnat" and step.rule.deed.addresses
                 and 1 in (reading.sides.of(step.around + step.rule.matches, "iif") or ())}  # fmt: skip
    for step, rest in _reached(row):
        rule, deed, matches = step.rule, step.rule.deed, step.around + step.rule.matches
        came = reading.sides.of(matches, "iif")
        if deed.kind in ("accept", "return", "drop"):
            if came == {0} and all(m.field == "iif" or m in step.around for m in matches):
                outside_only = True
            elif (rule.matches or step.skip) and came != set() and not _harmless(step, (), reading.sides, rest):
                reading.leave(step, "not modelled: an exception from translation")
            continue
        if deed.kind not in ("dnat", "redirect", "netmap") or _undecided(rule.unknown):
            continue
        if deed.kind == "redirect":
            reading.leave(step, "not modelled: the box itself answers, at another port")
            continue
        if came is None:
            reading.leave(step, "not modelled: it cannot be told on which side its interfaces are")
            continue
        if 1 not in came:
            # A forwarded port, reached from inside by the address outside.
            target = (written(deed.addresses[0]) if deed.addresses else "", deed.ports[0] if deed.ports else None)
            if deed.kind == "dnat" and target in forwarded:
                reading.turned = True
            else:
                reading.leave(step, "not modelled: a destination NAT for what comes from inside")
            continue
        if deed.kind == "netmap":
            _netmap(step, deed, matches, reading, outbound=False)
        else:
            _forward(step, deed, matches, reading)
        if 0 in came and not outside_only:
            reading.turned = True


def _netmap(step: Step, deed: Deed, matches: tuple[Match, ...], reading: Reading, outbound: bool) -> None:
    """A prefix moved to another: a 1:1 mapping."""
    moved = deed.of or next(iter(_ranges(matches, "src" if outbound else "dst") or ()), None)
    ends = (prefix(*moved) or "" if moved else "", prefix(*deed.addresses) or "" if deed.addresses else "")
    why = _narrow(tuple(m for m in matches if m.field != ("src" if outbound else "dst")))
    if not ends[0] or not ends[1] or why or _ranges(matches, "proto") or ("/" in ends[0]) != ("/" in ends[1]):
        reading.leave(step, "not modelled: only whole prefixes of one size are moved, for all protocols")
        return
    inside, outside = ends if outbound else (ends[1], ends[0])
    if inside.partition("/")[2] != outside.partition("/")[2]:
        reading.leave(step, "not modelled: the prefixes are not of one size")
        return
    found = Static(outside, inside, outbound=outbound)
    if replace(found, outbound=not outbound) in reading.static:
        reading.static = [replace(s, outbound=True) if (s.outside, s.inside) == (outside, inside) else s for s in reading.static]
    elif found not in reading.static:
        reading.static.append(found)


def _forward(step: Step, deed: Deed, matches: tuple[Match, ...], reading: Reading) -> None:
    """A forwarded port or address: a static mapping, or several where it is shared."""
    odd = [m.field for m in matches if (m.negated and m.field != "iif") or m.field in ("sport", "kind", "flags", "state", "status", "oif")]
    if odd:
        reading.leave(step, f"not modelled: a condition on {odd[0]}")
        return
    if not deed.addresses or deed.addresses[1] - deed.addresses[0] >= MOST_SHARED:
        reading.leave(step, "not modelled: to no address, or to too many")
        return
    outside: list[str] = [""]
    where = _ranges(matches, "dst")
    if where is not None:
        if sum(high - low + 1 for low, high in where) > MOST_SHARED:
            reading.leave(step, f"not modelled: more than {MOST_SHARED} addresses lead to one")
            return
        outside = [written(n) for low, high in where for n in range(low, high + 1)]
    remotes = [p for low, high in _ranges(matches, "src") or () for p in prefixes(low, high)] or [""]
    protos = [p for low, high in _ranges(matches, "proto") or () for p in range(low, high + 1)]
    dports = _ranges(matches, "dport")
    made = []
    if deed.ports and (dports is None or sum(high - low + 1 for low, high in dports) > MOST_SHARED):
        reading.leave(step, f"not modelled: more than {MOST_SHARED} ports lead to one")
        return
    targets: list[tuple[tuple[int, int], int | None]] = [(at, None) for at in dports or ((0, 65535),)]
    if deed.ports:
        # A port that lies in the range is kept, any other becomes its first (the kernel looks for a free one from there on).
        single = [p for low, high in dports or () for p in range(low, high + 1)]
        targets = [((p, p), p if deed.ports[0] <= p <= deed.ports[1] else deed.ports[0]) for p in single]
    for at, to in targets:
        made += [
            Static(o, written(n), str(p) if p else "", at, to, r)
            for o in outside
            for p in protos or [0]
            for r in remotes
            for n in range(deed.addresses[0], deed.addresses[1] + 1)
        ]
        if len(made) > MOST_STATIC:
            raise RulesError(f"{step.rule.says}: more than {MOST_STATIC} static mappings")
    if len(reading.static) > MOST_STATIC:
        raise RulesError(f"more than {MOST_STATIC} static mappings")
    reading.static += [s for s in made if s not in reading.static]
