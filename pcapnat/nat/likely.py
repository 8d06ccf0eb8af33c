"""Which NAT is it: known ones in the order of how likely they make what was seen, with what speaks for and against each.

A NAT is excluded by what it does not do; unlikely, if another one explains the same a thousand times better; the others are
consistent, and those within a bit of one another fit equally well. What a site sets (times, a range of ports, a hairpin) costs, but
excludes nothing. One name is never said where several fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..flow import Crossing
from ..terms import Finding
from .behavior import Fragments, Invalid, Mapping, PortChoice, Portless
from .case import name_of
from .chance import at_least
from .fit import MOST, Fit, PortFacts, fit_ports
from .inference import Inferred
from .keeping import Tally, again, sharing
from .presets import PRESETS, Preset
from .session import TCP, Sessions, crossed_until, numbers
from .translation import Translations

CONSISTENT, UNLIKELY, EXCLUDED = "consistent", "unlikely", "excluded"
SETTABLE = ("linux", "docker", "mikrotik", "pf", "cisco", "juniper", "vpp", "cgn", "rfc")
"""Their ports can be set to any range; WinNAT's to parts of its own, as it reserves blocks of 100."""
NARROWS = ("winnat", "windows-ics", "hns", "wsl2")
FIXED_TIMES = ("aws-nat-gateway", "slirp", "passt")
FACTOR = 10.0
"""Bits by which an unlikely NAT is behind the best: a factor of a thousand."""
EQUAL = 1.0
MANY = 12
"""NATs that fit, beyond which they are not named in a sentence."""
STRAY = 0.05
"""Share of exceptions that may have causes that nobody saw."""
SLACK = 0.05
"""Timers run a little longer or shorter than they are set."""
TIMERS = {
    "udp_idle_s": ("udp_idle_s",),
    "udp_reply_idle_s": ("udp_reply_idle_s",),
    "tcp_idle_s": ("tcp_idle_s",),
    "tcp_transitory_idle_s": ("tcp_syn_s", "tcp_synack_s", "tcp_fin_s", "tcp_close_wait_s", "tcp_last_ack_s", "tcp_time_wait_s"),
    "icmp_idle_s": ("icmp_idle_s",),
}
"""Which of a NAT's times a finding may be about."""
WORDS = {
    "udp_idle_s": "unanswered UDP mappings",
    "udp_reply_idle_s": "answered UDP mappings",
    "tcp_idle_s": "established TCP connections",
    "tcp_transitory_idle_s": "TCP connections that open or close",
    "icmp_idle_s": "ICMP mappings",
}


@dataclass
class Seen:
    """What known NATs are held against. Counts are of conversations; None: not known."""

    sessions: Sessions
    tallies: dict[int, Tally] = field(default_factory=dict)
    filtering: dict[int, Finding[str]] = field(default_factory=dict)
    fixed: bool = False
    """Addresses are translated one for one: by a rule, which says nothing about how others would be."""
    found: dict[str, Finding[Any]] = field(default_factory=dict)
    """Findings by name: timeouts, pooling, parity, hairpin."""
    tcp: int = 0
    ended: int = 0
    """Of these, those that end at the box."""
    leaks: int = 0
    """Parts of translated conversations that left as they came."""
    queries: int = 0
    portless: int = 0
    errors: int = 0
    fragments: int = 0
    ttl_step: int | None = None
    shared: Finding[bool] | None = None
    """Whether outside endpoints are shared; found out from the sessions."""


@dataclass(frozen=True)
class Ranked:
    """A known NAT. bits: how far it is behind the best; rank: 1 for the best, the same for those that fit equally."""

    name: str
    verdict: str
    rank: int
    bits: float
    supports: tuple[str, ...]
    objections: tuple[str, ...]


@dataclass(frozen=True)
class Likely:
    """All known NATs, the likeliest first, and a sentence. which: those that are consistent, unknown if nothing tells them apart."""

    ranked: list[Ranked]
    which: Finding[list[str]]


def likely(crossing: Crossing, t: Translations, found: Inferred, leaks: int) -> Likely:
    """Hold a box against all known NATs."""
    return rank(seen(crossing, t, found, leaks))


def seen(crossing: Crossing, t: Translations, found: Inferred, leaks: int) -> Seen:
    """What a box shows. leaks: conversations parts of which crossed untranslated."""
    ev, findings = found.evidence, found.findings()
    s = crossed_until(crossing, t, ev.sessions)
    # What a host sends from a forwarded port leaves by the rule that forwards it.
    came = np.flatnonzero((t.from_outside == 1) & (t.kind >> 1 == 1))
    ends = (s.proto, t.proto[came]), (s.outside, t.outside_dst[came]), (s.outside_port, t.outside_dport[came])
    door = numbers(*(np.concatenate(two) for two in ends))
    s = s.take(~np.isin(door[: len(s)], door[len(s) :]))
    step = (findings["fields_changed"].value or {}).get("ip.ttl")
    tcp = (t.proto == TCP) & (t.hairpin == 0)
    source = (t.kind & 1 == 1) & (t.from_outside == 0) & (t.hairpin == 0)
    return Seen(
        sessions=s,
        tallies=ev.tallies,
        filtering=ev.filtering,
        fixed=ev.fixed,
        found={name: findings[name] for name in (*TIMERS, "pooling", "parity", "hairpin")},
        tcp=int(tcp.sum()),
        ended=int((tcp & (t.ended == 1)).sum()),
        leaks=leaks,
        queries=int((source & np.isin(t.proto, (1, 58))).sum()),
        errors=len(ev.passing.inward) + len(ev.passing.outward),
        fragments=len(ev.passing.ordered) + len(ev.passing.unordered),
        portless=int((source & (t.outside_sport < 0)).sum()),
        ttl_step=-step if isinstance(step, int) and not isinstance(step, bool) else None,
    )


def _shared(s: Sessions) -> Finding[bool]:
    """Whether outside endpoints are shared."""
    made = s.made()
    kept = made.kept()
    keeps = bool(len(made)) and float(kept.mean()) > 0.5
    changed = made.outside_port[~kept]
    return sharing(s, keeps, int(np.ptp(changed)) + 1 if not keeps and len(changed) >= 5 else 0)


def rank(seen: Seen) -> Likely:
    """All known NATs in the order of their fit."""
    seen = replace(seen, shared=_shared(seen.sessions))
    facts = PortFacts(seen.sessions.made().take(slice(0, MOST)))
    fits = {name: _fit(preset, seen, facts) for name, preset in PRESETS.items()}
    possible = [fit.bits for fit in fits.values() if not fit.fatal]
    best = max(possible or [fit.bits for fit in fits.values()])
    order = sorted(fits, key=lambda name: (bool(fits[name].fatal), -fits[name].bits))
    out: list[Ranked] = []
    place, last = 0, math.inf
    for k, name in enumerate(order):
        fit = fits[name]
        behind = best - fit.bits
        if not out or last - fit.bits > EQUAL or bool(fit.fatal) != (out[-1].verdict == EXCLUDED):
            place, last = k + 1, fit.bits
        verdict = EXCLUDED if fit.fatal else UNLIKELY if behind > FACTOR else CONSISTENT
        out.append(Ranked(name, verdict, place, round(max(behind, 0.0), 1), tuple(fit.supports), fit.objections))
    return Likely(out, _which(out, len(seen.sessions)))


def _which(ranked: list[Ranked], n: int) -> Finding[list[str]]:
    """Those that fit, and a sentence about all."""
    fitting = [r for r in ranked if r.verdict == CONSISTENT]
    others = len(ranked) - len(fitting)
    if not others:
        return Finding(None, n, 0, "these captures tell none of the known NATs from another")
    if not fitting:
        return Finding(None, n, 0, f"no known NAT does what was seen; {_why(ranked)}")
    groups: dict[int, list[str]] = {}
    for r in fitting:
        groups.setdefault(r.rank, []).append(r.name)
    parts = [_list(names) + (" (which fit equally)" if len(names) > 1 else "") for names in groups.values()]
    says = f"consistent with {parts[0]}" + (f"; less well with {', then '.join(parts[1:])}" if parts[1:] else "")
    if len(fitting) > MANY:
        says = f"consistent with {len(fitting)} of {len(ranked)} known NATs"
    return Finding([r.name for r in fitting], n, 0, f"{says}. {_why(ranked)}".strip())


def _why(ranked: list[Ranked]) -> str:
    """The commonest reasons against the others, each with those it excludes."""
    reasons: dict[str, list[str]] = {}
    for r in ranked:
        if r.verdict != CONSISTENT and r.objections:
            reasons.setdefault(r.objections[0], []).append(r.name)
    some = sorted(reasons.items(), key=lambda item: -len(item[1]))[:3]
    said = "; ".join(f"{_list([*names[:3], *([f'{len(names) - 3} more'] if len(names) > 3 else [])])}: {why}" for why, names in some)
    return f"Not {said}" if said else ""


def _list(names: Iterable[str]) -> str:
    *some, last = names
    return f"{', '.join(some)} and {last}" if some else last


def _fit(preset: Preset, seen: Seen, facts: PortFacts) -> Fit:
    b, fit = preset.behavior, Fit()
    name = preset.name
    if seen.tcp >= 3:
        if seen.ended * 2 > seen.tcp:
            fit.test(1.0 if b.ttl_new else 0.0, f"{seen.ended} of {seen.tcp} TCP connections end at it, and it passes them on")
            if b.ttl_new:
                fit.supports.append(f"{seen.ended} of {seen.tcp} TCP connections end at it")
        elif b.ttl_new and seen.ended * 10 <= seen.tcp:
            fit.test(0.0, f"{seen.tcp - seen.ended} of {seen.tcp} TCP connections pass through it, and it ends them")
    if not seen.fixed:
        # A NAT that ends TCP has ports of its own for it, whatever it does with UDP.
        fit_ports(b, facts, name.startswith(SETTABLE), name in NARROWS, _unsure(preset, "port_choice"), fit)
        _mappings(preset, seen, facts, fit)
        _filters(preset, seen, fit)
    _times(preset, seen, fit)
    _rest(preset, seen, fit)
    return fit


def _unsure(preset: Preset, name: str) -> bool:
    """Whether a value is believed only."""
    return name in preset.believed


def _mappings(preset: Preset, seen: Seen, facts: PortFacts, fit: Fit) -> None:
    b = preset.behavior
    changed = facts.outside[~facts.kept]
    width = max(int(np.ptp(changed)) + 1 if len(changed) else 0, 8)
    soft = _unsure(preset, "mapping")
    for proto, n in seen.tallies.items():
        kind = b.mapping_tcp if proto == TCP and b.mapping_tcp is not None else b.mapping
        if proto == TCP and b.ttl_new:
            continue  # its connections are its own
        if b.port_choice is PortChoice.BLOCK and b.port_overloading:
            continue  # a port of the few is used again as soon as the destination is another one
        # Where ports are not kept, one endpoint for two sessions is a coincidence, too, if the port is the socket's own.
        same = n.changed_same, n.changed_other
        if not b.port_choice.preserves:
            same = n.same_address, n.other_address
        who = f"{name_of(proto)} sessions"
        chance = max(again(seen.sessions.take(seen.sessions.proto == proto), width), 1 / width) if any(same) else 1.0
        drawn = n.same() + n.differs()
        if kind is Mapping.ADDRESS_AND_PORT_DEPENDENT:
            fit.test(at_least(sum(same), drawn, chance), f"{sum(same)} {who} have their socket's endpoint, and it gives each its own", soft)
        elif kind is Mapping.ADDRESS_DEPENDENT:
            fit.test(at_least(same[1], drawn, chance), f"{same[1]} {who} with another address have their socket's endpoint", soft)
            fit.test(0.02**n.same_address_differs, f"{n.same_address_differs} {who} with one address have different endpoints", soft)
        else:
            strict = kind is Mapping.ENDPOINT_INDEPENDENT
            bad = n.differs() + (n.forced + n.returned if strict else 0)
            total = n.same() + n.differs() + n.forced + n.returned
            fit.test(at_least(bad, total, STRAY), f"{bad} of {total} {who} have another endpoint than their socket", soft)
            if n.changed_other and bad <= n.changed_other // 20:
                fit.supports.append(f"{n.changed_other} {who} with another address have their socket's endpoint")
        if kind.depth and n.differs() and not fit.fatal:
            fit.supports.append(f"{n.differs()} {who} have another endpoint than their socket")
    _sharing(preset, seen, fit)


def _sharing(preset: Preset, seen: Seen, fit: Fit) -> None:
    b, f = preset.behavior, seen.shared
    if f is None:
        return
    soft = _unsure(preset, "port_overloading")
    if f.value and not b.port_overloading:
        fit.test(1e-4**f.support, f.note, soft)
    elif f.value and b.port_overloading:
        fit.supports.append(f.note)
    elif f.value is False and b.port_overloading:
        chance = math.exp(-min(f.support, 60)) if b.port_choice is PortChoice.RANDOM else 0.05**f.support
        fit.test(chance, f.note, soft)


def _filters(preset: Preset, seen: Seen, fit: Fit) -> None:
    b = preset.behavior
    for proto, f in seen.filtering.items():
        kind = b.filtering_tcp if proto == TCP and b.filtering_tcp is not None else b.filtering
        if f.value and f.value != kind.value:
            says = f"{name_of(proto)} filtering is {f.value}, and it would be {kind.value}"
            fit.test(1e-4 ** max(f.support, 1), says, _unsure(preset, "filtering"))
        elif f.value:
            fit.supports.append(f"{name_of(proto)} filtering is {f.value}")


def _times(preset: Preset, seen: Seen, fit: Fit) -> None:
    b = preset.behavior
    can = "" if preset.name in FIXED_TIMES else ", which can be set"
    for name, about in TIMERS.items():
        survived, gone = (seen.found[name].value if name in seen.found else None) or (None, None)
        times = sorted({b.seconds(of) for of in about})
        usual = f"{times[0]:g} s" if len(times) == 1 else f"{times[0]:g} to {times[-1]:g} s"
        if gone is not None and gone < times[0] * (1 - SLACK) - 0.5:
            fit.costs(6, f"{WORDS[name]} are gone after {gone:g} s of silence, its default is {usual}{can}")
        elif survived is not None and survived > times[-1] * (1 + SLACK) + 1:
            fit.costs(6, f"{WORDS[name]} survived {survived:g} s of silence, its default is {usual}{can}")
        elif gone is not None and survived is not None and gone < 2 * times[-1]:
            fit.supports.append(f"{WORDS[name]} are gone between {survived:g} and {gone:g} s of silence: {usual} by default")


def _rest(preset: Preset, seen: Seen, fit: Fit) -> None:
    b = preset.behavior
    parity, hairpin, pooling = (seen.found.get(name) for name in ("parity", "hairpin", "pooling"))
    if parity and not seen.fixed:
        if parity.value and not b.parity:
            fit.test(0.5**parity.support, parity.note)
        elif parity.value is False and b.parity:
            fit.test(1e-3**parity.against, parity.note)
        elif parity.value:
            fit.supports.append(parity.note)
    if pooling and pooling.value and pooling.value != b.pooling.value:
        fit.costs(4, f"hosts' addresses are {pooling.value}: {pooling.note}")
    elif pooling and pooling.value:
        fit.supports.append(f"hosts' addresses are {pooling.value}")
    if hairpin and hairpin.value and hairpin.value != b.hairpin.value:
        fit.costs(4, f"hairpinning is {hairpin.value}, by default it is {b.hairpin.value}")
    if seen.leaks:
        if b.invalid is Invalid.FORWARD:
            fit.supports.append(f"{seen.leaks} translated conversations also left untranslated, as what fits no state does")
        else:
            fit.costs(8, f"{seen.leaks} translated conversations also left untranslated")
    if seen.ttl_step is not None and not b.ttl_new and seen.ttl_step < b.ttl_step:
        fit.costs(8, f"the TTL falls by {seen.ttl_step}, and it takes {b.ttl_step}")
    elif seen.ttl_step and not b.ttl_step:
        fit.costs(8, f"the TTL falls by {seen.ttl_step}, and it takes none")
    for count, can, name, what in (
        (seen.queries, b.icmp_queries, "icmp_queries", "ICMP queries"),
        (seen.portless, b.portless is not Portless.DROP, "portless", "conversations without ports"),
        (seen.errors, b.icmp_errors, "icmp_errors", "ICMP errors"),
        (seen.fragments, b.fragments is not Fragments.DROP, "fragments", "fragmented datagrams"),
    ):
        if count and not can:
            fit.test(1e-4**count, f"{count} {what} were translated, and it does not translate them", _unsure(preset, name))
