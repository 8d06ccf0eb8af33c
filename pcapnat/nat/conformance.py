"""Conformance: what captures say about each requirement of the RFCs.

Met and violated are said only where the captures decide; a note says on what. That a MUST NOT is met means that what it forbids
would have been seen and was not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..flow import Crossing
from ..terms import Finding
from .addresses import hairpin
from .case import Case, Facts, Judge, Verdict, name_of, rows_of, untested
from .conformance_errors import ERRORS
from .inference import Inferred
from .keeping import ADDRESS, INDEPENDENT, PORT, sharing
from .portchoice import ELSE_SEQUENTIAL, PRESERVE, RANDOM, SEQUENTIAL, parity
from .requirements import REQUIREMENTS, Requirement
from .session import TCP, UDP, Sessions, numbers
from .translation import Translations

MET, VIOLATED, UNTESTED = Verdict.MET, Verdict.VIOLATED, Verdict.UNTESTED
MOST_FRAMES = 10


@dataclass(frozen=True)
class Judged:
    """A requirement with its verdict; frames: numbers as Wireshark counts them at the inner and at the outer point."""

    requirement: Requirement
    verdict: Verdict
    note: str
    frames: tuple[tuple[int, ...], tuple[int, ...]]


def conformance(crossing: Crossing, t: Translations, found: Inferred) -> list[Judged]:
    """A verdict on each requirement, in the order of the table."""
    facts = Facts(crossing, t, found)
    cases: dict[str, Case] = {}
    for row in REQUIREMENTS:
        judge = JUDGES.get(row.id)
        case = judge(facts) if judge else untested(row.unseen)
        if row.optional and case.verdict is UNTESTED:
            case = replace(case, verdict=Verdict.NOT_APPLICABLE)
        cases[row.id] = case
    cases["RFC6888 REQ-1"] = _all(cases)
    return [Judged(row, c.verdict, c.note, (_numbers(c.here), _numbers(c.there))) for row in REQUIREMENTS for c in (cases[row.id],)]


def _numbers(rows: list[int]) -> tuple[int, ...]:
    return tuple(sorted({row + 1 for row in rows if row >= 0})[:MOST_FRAMES])


def _all(cases: dict[str, Case]) -> Case:
    """RFC 6888 REQ-1: what the other three demand."""
    musts = [r.id for r in REQUIREMENTS if r.level.startswith("MUST") and r.id[:7] in ("RFC4787", "RFC5382", "RFC5508")]
    bad = [number for number in musts if cases[number].verdict is VIOLATED]
    if bad:
        first = cases[bad[0]]
        return Case(VIOLATED, f"violated: {', '.join(bad)}", first.here, first.there)
    return untested("none of their demands was seen violated, and not all of them were tested")


def _mapping(proto: int, facts: Facts) -> Case:
    found, n = facts.evidence.mapping.get(proto), facts.evidence.tallies.get(proto)
    if found is None or n is None:
        return untested(f"no {name_of(proto)} session left the box")
    if found.value == INDEPENDENT:
        rows = [row for pair in n.stayed for row in pair] or facts.of(proto).row[:4].tolist()
        return facts.case(MET, found.note, rows)
    again = n.forced + n.returned
    if found.value in (ADDRESS, PORT) or (found.value and again >= 2):
        note = f"{found.value}: {found.note}" if found.value in (ADDRESS, PORT) else f"{again} sessions got another endpoint: {found.note}"
        return facts.case(VIOLATED, note, [row for pair in n.moved for row in pair])
    return untested(f"not decided: {found.note}")


def _pooling(facts: Facts) -> Case:
    f, s = facts.found.pooling, facts.sessions
    if f.value is None:
        return untested(f.note)
    host, pool = numbers(s.inside), numbers(s.outside)
    pairs = np.unique(np.column_stack([host, pool]), axis=0)
    crowd = np.bincount(pairs[:, 0] if f.value == "arbitrary" else host)
    mine = np.flatnonzero(host == int(np.argmax(crowd)))
    first = np.sort(np.unique(pool[mine], return_index=True)[1]) if f.value == "arbitrary" else np.arange(min(len(mine), 3))
    return facts.case(MET if f.value == "paired" else VIOLATED, f"{f.value}: {f.note}", s.row[mine[first]].tolist())


ALLOWED = "; RFC 7857 3 allows it towards different destinations"


def _overloading(proto: int, facts: Facts) -> Case:
    s = facts.of(proto)
    if not len(s):
        return untested(f"no {name_of(proto)} session left the box")
    if pair := _shared(s):
        two = f"{s.inside_port[pair[0]]} and {s.inside_port[pair[1]]}"
        note = f"outside port {s.outside_port[pair[0]]} served inside ports {two} at a time{ALLOWED}"
        return facts.case(VIOLATED, note, s.row[list(pair)].tolist())
    choice = facts.found.port_choice.value or ""
    changed = s.outside_port[~s.kept()]
    span = int(np.ptp(changed)) + 1 if choice == RANDOM and len(changed) else 0
    found = sharing(s, choice.startswith(PRESERVE), span)
    return facts.case(MET, found.note, s.row[:4].tolist()) if found.value is False else untested(found.note)


def _shared(s: Sessions) -> tuple[int, int] | None:
    """Two sessions of different sockets with one outside endpoint, both in use at one time."""
    socket, door = s.sockets(), s.doors()
    order = np.lexsort((s.first_ns, door))
    longest = -1
    for k in order.tolist():
        if longest < 0 or door[longest] != door[k]:
            longest = k
        elif socket[longest] != socket[k] and s.last_ns[longest] > s.first_ns[k]:
            return longest, k
        elif s.last_ns[k] > s.last_ns[longest]:
            longest = k
    return None


def _classes(facts: Facts) -> Case:
    s = facts.of(UDP).made()
    low, out = s.inside_port < 1024, s.outside_port < 1024
    if (low != out).any():
        return facts.case(VIOLATED, f"{int((low != out).sum())} of {len(s)} UDP ports crossed 1024", s.row[rows_of(low != out)].tolist())
    if int(low.sum()) >= 2:
        return facts.case(MET, f"{int(low.sum())} ports below 1024 stayed below, {int((~low).sum())} stayed above", s.row[rows_of(low)])
    return untested(f"{int(low.sum())} UDP source ports below 1024 were seen, two would tell; {int((~low).sum())} above stayed above")


def _even(facts: Facts) -> Case:
    made = facts.of(UDP).made()
    changed = made.take(~made.kept())
    f = parity(changed)
    if f.value is None:
        return untested(f.note)
    odd = (changed.inside_port + changed.outside_port) % 2 == 1
    return facts.case(MET if f.value else VIOLATED, f.note, changed.row[rows_of(~odd if f.value else odd)].tolist())


def _even_off(facts: Facts) -> Case:
    f = facts.found.parity
    if f.value is False:
        made = facts.sessions.made()
        odd = (made.inside_port + made.outside_port) % 2 == 1
        return facts.case(MET, f"it is off: {f.note}", made.row[rows_of(odd)].tolist())
    return untested(f"it is on, by default or because it was set: {f.note}" if f.value else f.note)


def _timer(limits: dict[str, float], needed: tuple[str, ...], facts: Facts) -> Case:
    """limits: seconds by the name of a timeout; needed: those whose survival proves all."""
    short, kept, said = [], [], []
    for name, limit in limits.items():
        f: Finding[list[float | None]] = getattr(facts.found, name)
        survived, gone = f.value or (None, None)
        proof = facts.evidence.silences.get(name, (None, None))
        what = name.removesuffix("_idle_s").replace("_", " ")
        if gone is not None and gone < limit:
            short.append((f"{what}: gone after {gone:g} s of silence, less than {limit:g} s", proof[1]))
        if survived is not None:
            said.append(f"{what}: {survived:g} s of silence survived, {limit:g} s are asked for")
            if survived >= limit:
                kept.append((name, proof[0]))
    chosen, verdict = ([p for _, p in short], VIOLATED) if short else ([p for _, p in kept], MET)
    there = [row for p in chosen if p for row in p[1:]]
    if short:
        return Case(VIOLATED, "; ".join(note for note, _ in short), [], there)
    if {name for name, _ in kept} >= set(needed):
        return Case(verdict, "; ".join(said), [], there)
    return untested("; ".join(said) if said else "no silence that tells")


def _default_timer(facts: Facts) -> Case:
    f = facts.found.udp_reply_idle_s
    shown = f"answered mappings: {f.note}" if f.value is None else f"answered mappings: [survived, gone] {f.value}"
    return untested(f"whether it is the default or was set does not show; {shown}")


def _refresh(inward: bool, facts: Facts) -> Case:
    r = facts.evidence.refresh
    f, rows = (r.inbound, r.inbound_frames) if inward else (r.outbound, r.outbound_frames)
    if f.value is None:
        return untested(f.note)
    if inward:
        return Case(Verdict.NOT_APPLICABLE, ("it does: " if f.value else "it does not: ") + f.note, [], rows)
    return Case(MET if f.value else VIOLATED, f.note, [], rows)


def _filtering(protos: tuple[int, ...], facts: Facts) -> Case:
    ev, first = facts.evidence, facts.crossing.there.conversations.first_row
    known = {p: ev.filtering[p] for p in protos if p in ev.filtering and ev.filtering[p].value}
    if not known:
        said = [ev.filtering[p].note for p in protos if p in ev.filtering]
        return untested("; ".join(said) or "nobody outside sent to a live outside endpoint unasked")
    bad = {p: f for p, f in known.items() if f.value == PORT}
    shown = bad or known
    note = "; ".join(f"{name_of(p)} {f.value}: {f.note}" for p, f in shown.items())
    rows = [row for p in shown for row in ev.knocks[p].refused + ev.knocks[p].rows]
    return Case(VIOLATED if bad else MET, note, [], first[rows].tolist())


def _hairpin(proto: int, source: bool, facts: Facts) -> Case:
    t = facts.t
    rows = np.flatnonzero((t.hairpin == 1) & np.isin(t.proto, (1, 58) if proto == 1 else (proto,)))
    if not len(rows):
        lost = facts.found.evidence.unturned.get(proto, [])
        if lost and not source:
            first = facts.crossing.here.conversations.first_row
            note = f"{len(lost)} conversations to outside endpoints of forwarded ports did not come back in"
            return Case(VIOLATED, note, first[lost[:6]].tolist())
        return untested(f"no host inside asked for an outside endpoint by {name_of(proto)}, as far as that tells")
    if not source:
        return facts.case(MET, f"{len(rows)} conversations came back in", rows)
    f = hairpin(t.take(rows), np.unique(facts.sessions.outside, axis=0))
    if f.value is None:
        return untested(f.note)
    return facts.case(MET if f.value == "external-source" else VIOLATED, f"{f.value}: {f.note}", rows)


def _constant(facts: Facts) -> Case:
    """RFC 4787 REQ-11: behavior that depends on what others do."""
    for proto, n in facts.evidence.tallies.items():
        if n.forced >= 2 and n.same() and facts.evidence.mapping[proto].value not in (ADDRESS, PORT, None):
            note = f"{name_of(proto)} sockets keep their endpoint, but {n.forced} sessions found it taken and got another"
            return facts.case(VIOLATED, note, [row for pair in n.moved for row in pair])
    return untested("no collision was seen to change a behavior")


def _ports(facts: Facts) -> Case:
    f = facts.found.port_choice
    rows = facts.sessions.made().row[:4].tolist()
    if f.value == RANDOM:
        return facts.case(MET, f.note, rows)
    if f.value in (SEQUENTIAL, ELSE_SEQUENTIAL):
        return facts.case(VIOLATED, f"{f.value}: {f.note}", rows)
    return untested(f"{f.value}: as hard to guess as the hosts' own choice" if f.value else f.note)


def _reuse(facts: Facts) -> Case:
    s = facts.sessions
    order = np.lexsort((s.first_ns, s.doors()))
    a, b = order[:-1], order[1:]
    idle = s.first_ns[b] - s.last_ns[a]
    taken = (s.doors()[a] == s.doors()[b]) & (s.inside[a] != s.inside[b]).any(axis=1) & (idle > 0) & (idle < 120_000_000_000)
    taken &= s.closed[a] == 0
    kind = facts.found.filtering.value
    if not taken.any():
        return untested("no outside endpoint was given to another host")
    if kind not in (INDEPENDENT, ADDRESS):
        why = "filtering makes it harmless" if kind == PORT else "whether late packets would get in is not known"
        return untested(f"{int(taken.sum())} outside endpoints went to another host within 2 min; {why}")
    note = f"{int(taken.sum())} outside endpoints went to another host within 2 min, and filtering is {kind}"
    return facts.case(VIOLATED, note, s.row[np.concatenate([a[taken][:2], b[taken][:2]])].tolist())


def _separate(facts: Facts) -> Case:
    """RFC 7857 5: the same host and port by TCP and by UDP, with different outside ports."""
    made = facts.sessions.made()
    key = numbers(made.inside, made.inside_port)
    order = np.lexsort((made.proto, key))
    a, b = order[:-1], order[1:]
    two = (key[a] == key[b]) & (made.proto[a] != made.proto[b]) & (made.outside_port[a] != made.outside_port[b])
    if two.any():
        k = int(np.flatnonzero(two)[0])
        return facts.case(
            MET, f"{int(two.sum())} inside endpoints had another outside port by TCP than by UDP", made.row[[a[k], b[k]]].tolist()
        )
    return untested("no inside endpoint was used by both protocols and got different outside ports")


def _own_timer(facts: Facts) -> Case:
    long, short = facts.found.tcp_idle_s.value, facts.found.tcp_transitory_idle_s.value
    if long and short and long[0] is not None and short[1] is not None and long[0] > short[1]:
        proofs = facts.evidence.silences["tcp_idle_s"][0], facts.evidence.silences["tcp_transitory_idle_s"][1]
        note = f"established connections survived {long[0]:g} s of silence, others were gone after {short[1]:g} s"
        return Case(MET, f"{note}; what the default is does not show", [], [row for p in proofs if p for row in p[1:]])
    return untested("no silence tells established connections from others")


def _limited(facts: Facts) -> Case:
    f = facts.found.ports_per_host
    if f.value is None:
        return untested(f"a limit shows only when it is reached: {f.note}")
    s = facts.sessions
    crowd = np.argmax(np.bincount(numbers(s.inside)))
    return facts.case(MET, f.note, s.row[np.flatnonzero(numbers(s.inside) == crowd)[:MOST_FRAMES]].tolist())


def _overlapping(facts: Facts) -> Case:
    f = facts.found.port_overloading
    return untested(f"{'it does' if f.value else 'it does not' if f.value is False else 'not seen'}: {f.note}")


UDP_TIMERS, TCP_TIMERS = ("udp_idle_s", "udp_reply_idle_s"), ("tcp_idle_s", "tcp_transitory_idle_s")
JUDGES: dict[str, Judge] = {
    "RFC4787 REQ-1": partial(_mapping, UDP),
    "RFC4787 REQ-2": _pooling,
    "RFC4787 REQ-3": partial(_overloading, UDP),
    "RFC4787 REQ-3a": _classes,
    "RFC4787 REQ-4": _even,
    # Answered mappings live no shorter than those that nobody answered yet.
    "RFC4787 REQ-5": partial(_timer, dict.fromkeys(UDP_TIMERS, 120.0), UDP_TIMERS[:1]),
    "RFC4787 REQ-5c": _default_timer,
    "RFC4787 REQ-6": partial(_refresh, False),
    "RFC4787 REQ-6a": partial(_refresh, True),
    "RFC4787 REQ-8": partial(_filtering, (UDP,)),
    "RFC4787 REQ-9": partial(_hairpin, UDP, False),
    "RFC4787 REQ-9a": partial(_hairpin, UDP, True),
    "RFC4787 REQ-11": _constant,
    "RFC5382 REQ-1": partial(_mapping, TCP),
    "RFC5382 REQ-3": partial(_filtering, (TCP,)),
    "RFC5382 REQ-5": partial(_timer, {"tcp_idle_s": 7440.0, "tcp_transitory_idle_s": 240.0}, TCP_TIMERS),
    "RFC5382 REQ-7": partial(_overloading, TCP),
    "RFC5382 REQ-8": partial(_hairpin, TCP, False),
    "RFC5382 REQ-8a": partial(_hairpin, TCP, True),
    "RFC5508 REQ-2": partial(_timer, {"icmp_idle_s": 60.0}, ("icmp_idle_s",)),
    "RFC6888 REQ-2": _pooling,
    "RFC6888 REQ-4": _limited,
    "RFC6888 REQ-7": partial(_filtering, (UDP, TCP)),
    "RFC6888 REQ-8": _reuse,
    "RFC6888 REQ-15": _ports,
    "RFC7857 2.1": _own_timer,
    "RFC7857 3": _overlapping,
    "RFC7857 4": _pooling,
    "RFC7857 5": _separate,
    "RFC7857 8": _even_off,
    "RFC7857 9": _ports,
    "RFC7857 12": partial(_hairpin, 1, False),
    **ERRORS,
}
"""By requirement; those without a judge are untested for the reason that the table gives."""
