"""Conformance with what the RFCs say about ICMP, fragments, payloads, unsolicited SYNs and resets."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..flow import How
from ..flow.life import RST_LETTER, SYN_LETTER, SYNACK_LETTER
from ..wire import Flag
from .case import Case, Facts, Judge, Verdict, name_of, rows_of, untested
from .passing import EXCEEDED, PROHIBITED, TOO_BIG, UNREACHABLE, Error
from .session import TCP, UDP, numbers

MET, VIOLATED = Verdict.MET, Verdict.VIOLATED
FTP = 21
PCP = 5351
WAIT_NS = 6_000_000_000
"""How long a NAT waits for a SYN from inside before it says no (RFC 5382 REQ-4)."""
LOOKED_AT = 16
"""Unsolicited SYNs whose answer is looked for: each costs a look through all frames."""
ICMP = (1, 58)


def _shown(verdict: Verdict, note: str, errors: list[Error]) -> Case:
    some = errors[:6]
    return Case(verdict, note, [e.here for e in some if e.here >= 0], [e.there for e in some if e.there >= 0])


def _outlived(protos: tuple[int, ...], facts: Facts) -> Case:
    for proto in protos:
        if pair := facts.passing.outlived.get(proto):
            return Case(MET, "after an error about a mapping a packet still got in through it", [], list(pair))
    return untested(f"no packet was seen to come in after an ICMP error about a {name_of(protos[0])} mapping")


def _neither(facts: Facts) -> Case:
    """RFC 5508 REQ-6: not ended is seen, not renewed is not."""
    case = _outlived(ICMP, facts)
    return Case(Verdict.UNTESTED, f"{case.note}; whether an error renews one does not show", case.here, case.there)


def _routers(facts: Facts) -> Case:
    beyond = [e for e in facts.passing.inward if e.beyond]
    if beyond:
        return _shown(MET, f"{len(beyond)} errors from other hosts than the quoted packet's addressee got in", beyond)
    return untested("no error came from another host than the quoted packet's addressee")


def _unreachable(proto: int, facts: Facts) -> Case:
    p = facts.passing
    got = [e for e in p.inward if e.kind[:2] in UNREACHABLE and e.about == proto]
    lost = [e for e in p.refused if e.kind[:2] in UNREACHABLE and e.about == proto]
    if got:
        return _shown(MET, f"{len(got)} of {len(got) + len(lost)} about mappings in use got in", got)
    if lost and facts.beyond_loss(len(lost)):
        return _shown(VIOLATED, f"{len(lost)} about mappings in use did not get in", lost)
    return untested(f"no destination unreachable about {name_of(proto)} came from outside")


def _inward(facts: Facts) -> Case:
    p = facts.passing
    bad = [e for e in p.inward if not e.restored]
    if bad:
        return _shown(VIOLATED, f"{len(bad)} of {len(p.inward)} errors got in with a quoted packet, type or code that does not fit", bad)
    if p.inward:
        return _shown(MET, f"{len(p.inward)} errors got in, rewritten as they must be", p.inward)
    if p.refused and facts.beyond_loss(len(p.refused)):
        return _shown(VIOLATED, f"{len(p.refused)} errors about mappings in use did not get in", p.refused)
    return untested("no ICMP error about a mapping came from outside")


def _outward(facts: Facts) -> Case:
    p = facts.passing
    bad = [e for e in p.outward if not e.restored]
    if bad:
        return _shown(VIOLATED, f"{len(bad)} of {len(p.outward)} errors left with an inside address, or changed type or code", bad)
    if p.outward:
        return _shown(MET, f"{len(p.outward)} errors left, rewritten as they must be", p.outward)
    return untested("no ICMP error about a mapping came from inside")


def _turned(facts: Facts) -> Case:
    f, c = facts.crossing.frames, facts.crossing
    rows = np.flatnonzero((c.matches.hairpin[f.match] == 1) & (c.here.packets.flags[f.here] & int(Flag.QUOTE) != 0))
    if len(rows):
        return Case(MET, f"{len(rows)} hairpinned errors", np.concatenate([f.here[rows[:4]], f.there[rows[:4]]]).tolist())
    return untested("no ICMP error about a hairpinned conversation")


def _too_big(facts: Facts) -> Case:
    own = [e for e in facts.passing.own if e.kind in TOO_BIG]
    if own:
        return _shown(MET, f"{len(own)} times", own)
    return untested("the box did not say that a packet is too big, and none is known to have been")


def _prohibited(facts: Facts) -> Case:
    own = [e for e in facts.passing.own if e.kind in PROHIBITED]
    if own:
        return _shown(MET, f"{len(own)} times: code {', '.join(sorted({str(e.kind[2]) for e in own}))}", own)
    return untested("no host was seen to be refused a mapping by the box")


def _datagrams(what: str, facts: Facts) -> Case:
    pairs = getattr(facts.passing, what)
    if pairs:
        how = "packets that came whole left in fragments" if what == "cut" else "datagrams whose fragments came out of order passed whole"
        return Case(MET, f"{len(pairs)} {how}", [a for a, _ in pairs[:4]], [b for _, b in pairs[:4]])
    return untested("no packet was seen to be fragmented by the box" if what == "cut" else "no fragments out of order were seen to pass")


def _payload(proto: int, facts: Facts) -> Case:
    f, c = facts.crossing.frames, facts.crossing
    a = c.here.packets
    rows = np.flatnonzero((f.how == int(How.CHANGED)) & (a.proto[f.here] == proto) & (c.matches.hairpin[f.match] == 0))
    ftp = (a.sport[f.here[rows]] == FTP) | (a.dport[f.here[rows]] == FTP)
    other = rows[~ftp]
    if len(other):
        return Case(VIOLATED, f"{len(other)} payloads were rewritten", f.here[other[:6]].tolist(), f.there[other[:6]].tolist())
    if len(rows):
        case = Case(Verdict.UNTESTED, f"{len(rows)} payloads were rewritten, all of them FTP's, which is excepted")
        case.here, case.there = f.here[rows[:4]].tolist(), f.there[rows[:4]].tolist()
        return case
    return untested("no payload was rewritten, and none is known to have given a gateway cause to")


def _opened(facts: Facts) -> Case:
    """RFC 5382 REQ-2: a SYN from either end, and both passed."""
    t = facts.t
    rows = np.flatnonzero((t.proto == TCP) & (t.hairpin == 0) & (t.ended == 0))
    both = np.ones(len(rows), bool)
    for port, at in ((facts.crossing.here, t.inside_row), (facts.crossing.there, t.outside_row)):
        marks = port.conversations.marks[at[rows]]
        both &= (marks >> SYN_LETTER & 1 == 1) & (marks >> (SYN_LETTER + 16) & 1 == 1)
    if both.any():
        return facts.case(MET, f"{int(both.sum())} connections opened by both ends at once passed", rows[both])
    return untested("connections opened by one end pass; none was opened by both at once")


def _unasked(facts: Facts) -> Case:
    """RFC 5382 REQ-4: SYNs to the NAT's outside addresses that did not get in."""
    c, seen, s = facts.crossing.there.conversations, facts.evidence.watch, facts.sessions
    rows = np.array(sorted(facts.crossing.unmatched_there), np.int64)
    none = untested("no unsolicited SYN came to the box's outside address")
    if not len(rows) or not len(s) or seen is None:
        return none
    rows = rows[(c.proto[rows] == TCP) & (c.marks[rows] >> SYN_LETTER & 1 == 1)]
    own = np.unique(s.outside, axis=0)
    number = numbers(np.concatenate([c.b[rows], c.a[rows], own]))
    n = len(rows)
    rows = rows[np.isin(number[:n], number[2 * n :]) & ~np.isin(number[n : 2 * n], number[2 * n :])]
    # Who answers with SYN and ACK offers a service of its own.
    rows = rows[c.marks[rows] >> (SYNACK_LETTER + 16) & 1 == 0]
    rows = rows[[seen.covers(int(x)) for x in c.first_ns[rows].tolist()]] if len(rows) else rows
    end = facts.crossing.there.last_ns
    answered = (c.marks[rows] >> (RST_LETTER + 16) & 1 == 1) | (c.errors[rows] > 0)
    quick = [int(row) for row in rows[answered][:LOOKED_AT].tolist() if _answer_after(facts, int(row)) < WAIT_NS]
    if quick:
        what = (
            f"{len(quick)} of {len(rows)} unsolicited SYNs"
            if int(answered.sum()) <= LOOKED_AT
            else f"{int(answered.sum())} unsolicited SYNs"
        )
        return Case(VIOLATED, f"{what} were answered by a reset or an error within 6 s", [], c.first_row[quick].tolist())
    silent = rows[(c.packets_ba[rows] == 0) & (c.errors[rows] == 0) & (c.first_ns[rows] + WAIT_NS <= end)]
    if len(silent):
        return Case(MET, f"{len(silent)} unsolicited SYNs were not answered for 6 s", [], c.first_row[silent[:6]].tolist())
    return none


def _answer_after(facts: Facts, row: int) -> int:
    """How long after its SYN a conversation at the outer point got a reset or an error."""
    port = facts.crossing.there
    mine = np.flatnonzero((port.conversation == row) & (port.reverse == 1))
    told = port.quoted.carrier[port.about == row]
    times = port.packets.time_ns[np.concatenate([mine, told])]
    return int(times.min() - port.conversations.first_ns[row]) if len(times) else WAIT_NS


def _echo(facts: Facts) -> Case:
    t, here, there = facts.t, facts.crossing.here.conversations, facts.crossing.there.conversations
    rows = np.flatnonzero(np.isin(t.proto, ICMP) & (t.kind & 1 == 1) & (t.from_outside == 0) & (t.hairpin == 0))
    asked = there.packets_ba[t.outside_row[rows]] > 0
    back = asked & (here.packets_ba[t.inside_row[rows]] > 0)
    if back.any():
        return facts.case(MET, f"{int(back.sum())} of {len(rows)} were answered, and the answers got in", rows[back])
    if facts.beyond_loss(int(there.packets_ba[t.outside_row[rows[asked]]].sum())):
        return facts.case(VIOLATED, f"{int(asked.sum())} were answered, and no answer got in", rows[asked])
    return untested("no ICMP query from inside was answered")


def _identifier(facts: Facts) -> Case:
    """RFC 5508 REQ-1a: one identifier of a host towards several others."""
    t = facts.t
    rows = np.flatnonzero(np.isin(t.proto, ICMP) & (t.kind & 1 == 1) & (t.from_outside == 0) & (t.hairpin == 0) & (t.inside_sport >= 0))
    key = numbers(t.proto[rows], t.inside_src[rows], t.inside_sport[rows])
    order = np.lexsort((t.first_ns[rows], key))
    rows, key = rows[order], key[order]
    a, b = rows[:-1], rows[1:]
    two = (key[1:] == key[:-1]) & (t.inside_dst[a] != t.inside_dst[b]).any(axis=1) & (t.last_ns[a] + 5_000_000_000 >= t.first_ns[b])
    same = (t.outside_sport[a] == t.outside_sport[b]) & (t.outside_src[a] == t.outside_src[b]).all(axis=1)
    told = same & (t.outside_sport[b] != t.inside_sport[b])
    if (two & ~same).any():
        k = np.flatnonzero(two & ~same)[:3]
        return facts.case(
            VIOLATED, f"{int((two & ~same).sum())} times another identifier towards another host", np.concatenate([a[k], b[k]])
        )
    if (two & told).any():
        k = np.flatnonzero(two & told)[:3]
        return facts.case(
            MET, f"{int((two & told).sum())} times the same changed identifier towards another host", np.concatenate([a[k], b[k]])
        )
    n = int(two.sum())
    if n:
        return untested(f"{n} identifiers were kept towards another host, as any box does that keeps free ones")
    return untested("no identifier was used towards two hosts")


def _types(facts: Facts) -> Case:
    p = facts.passing
    echo = _echo(facts)
    seen = {
        "destination unreachable": [e for e in p.inward + p.outward if e.kind[:2] in UNREACHABLE],
        "time exceeded": [e for e in p.inward + p.outward if e.kind[:2] in EXCEEDED],
    }
    passed = [name for name, errors in seen.items() if errors] + (["echo and reply"] if echo.verdict is MET else [])
    some = [e for errors in seen.values() for e in errors[:2]]
    if len(passed) == len(seen) + 1:
        case = _shown(MET, "all of them passed", some)
        return Case(MET, case.note, case.here + echo.here[:2], case.there + echo.there[:2])
    return untested(f"seen to pass: {', '.join(passed) or 'none'}")


def _port_control(facts: Facts) -> Case:
    c = facts.crossing.here.conversations
    rows = np.flatnonzero((c.proto == UDP) & (c.b_port == PCP) & (c.packets_ba > 0))
    if len(rows):
        return Case(MET, f"{len(rows)} conversations with port {PCP} were answered", c.first_row[rows[:6]].tolist())
    return untested(f"nobody asked port {PCP} and was answered")


def _resets(facts: Facts) -> Case:
    f, c, t = facts.crossing.frames, facts.crossing, facts.t
    translated = np.zeros(len(c.there.conversations), bool)
    translated[t.outside_row[(t.kind != 0) & (t.hairpin == 0) & (t.ended == 0)]] = True
    one = np.flatnonzero(c.matches.hairpin[f.match] == 0)
    i, j = f.here[one], f.there[one]
    both = c.here.packets.tcp_flags[i] & c.there.packets.tcp_flags[j] & 4 != 0
    tcp = c.here.packets.flags[i] & c.there.packets.flags[j] & int(Flag.TCP) != 0
    member = c.there.conversation[j]
    rows = one[rows_of(both & tcp & (member >= 0) & translated[np.maximum(member, 0)])].tolist()
    if rows:
        return Case(MET, "resets of translated connections passed, translated", f.here[rows].tolist(), f.there[rows].tolist())
    return untested("no reset of a translated connection passed")


ERRORS: dict[str, Judge] = {
    "RFC4787 REQ-10": partial(_payload, UDP),
    "RFC4787 REQ-12": partial(_outlived, (UDP,)),
    "RFC4787 REQ-12a": _routers,
    "RFC4787 REQ-12b": partial(_unreachable, UDP),
    "RFC4787 REQ-13": _too_big,
    "RFC4787 REQ-13a": partial(_datagrams, "cut"),
    "RFC4787 REQ-14": partial(_datagrams, "unordered"),
    "RFC5382 REQ-2": _opened,
    "RFC5382 REQ-4": _unasked,
    "RFC5382 REQ-6": partial(_payload, TCP),
    "RFC5382 REQ-9": partial(_unreachable, TCP),
    "RFC5382 REQ-10": partial(_outlived, (TCP,)),
    "RFC5508 REQ-1": _echo,
    "RFC5508 REQ-1a": _identifier,
    "RFC5508 REQ-4": _inward,
    "RFC5508 REQ-5": _outward,
    "RFC5508 REQ-6": _neither,
    "RFC5508 REQ-7": _turned,
    "RFC5508 REQ-8": _prohibited,
    "RFC5508 REQ-10a": _types,
    "RFC6888 REQ-9": _port_control,
    "RFC6888 REQ-11": lambda facts: untested(_prohibited(facts).note),
    "RFC7857 2.2": _resets,
}
"""By requirement."""
