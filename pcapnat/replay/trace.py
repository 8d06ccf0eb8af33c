"""Why a frame leaves as it does, or does not: the steps a model takes, one by one, and what was seen instead.

The steps are read off the model from outside: its sessions before the frame, its verdict, its sessions after.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

import numpy as np

from ..address import text
from ..flow import Crossing, Port, protocol_name
from ..model import ERROR, NEITHER, NO_PORTS, REASONS, Choice, Disposition, NatModel, Quotes, Reason, Session, Side, Traffic, Verdicts
from ..model.machine import BOTH_SYN, CLOSE_WAIT, CLOSED, ESTABLISHED, FIN_WAIT, LAST_ACK, NEW, SYN_RECEIVED, SYN_SENT, TIME_WAIT
from ..nat.behavior import Filtering, NatBehavior, Static, protocol
from .compare import FIELDS, window
from .entered import Entered, completed, entered
from .forecast import outsides
from .leaving import any_ttl, sizes, stated

STATES = {
    NEW: "new",
    SYN_SENT: "SYN sent",
    SYN_RECEIVED: "SYN received",
    ESTABLISHED: "established",
    FIN_WAIT: "one side has sent a FIN",
    CLOSE_WAIT: "the FIN is acknowledged",
    LAST_ACK: "both sides have sent a FIN",
    TIME_WAIT: "closed, waiting",
    CLOSED: "reset",
    BOTH_SYN: "both sides have sent a SYN",
}
REFUSED = {Reason.NO_PORT, Reason.QUOTA, Reason.PORTLESS, Reason.HAIRPIN, Reason.NOT_INSIDE, Reason.ICMP}
FOREVER_NS = 10**17
Tuple = tuple[int, tuple[int, int], int, tuple[int, int], int]


@dataclass(frozen=True)
class Step:
    """One step: its name, what came of it in a word, and a sentence."""

    name: str
    result: str
    says: str


@dataclass(frozen=True)
class Head:
    """A frame's header as it is compared. side: 0 inside, 1 outside."""

    side: int
    proto: int
    src: str
    sport: int
    dst: str
    dport: int
    ttl: int

    def __str__(self) -> str:
        return f"{protocol_name(self.proto)} {_end(self.src, self.sport)} to {_end(self.dst, self.dport)}, TTL {self.ttl}"


@dataclass
class Trace:
    """A frame's way. frame: (point 0 or 1, number from 1) as asked for; entered: the frame that it is the continuation of, or itself.

    verdict: the model's, None for a frame that no model judges. differs: field, expected, observed.
    """

    behavior: NatBehavior
    frame: tuple[int, int]
    role: str
    entered: tuple[int, int] | None = None
    steps: list[Step] = field(default_factory=list)
    disposition: Disposition | None = None
    reason: Reason = Reason.NONE
    says: str = ""
    expected: Head | None = None
    observed: tuple[int, int] | None = None
    seen: Head | None = None
    differs: list[tuple[str, str, str]] = field(default_factory=list)
    judged: bool = True
    """Whether the other capture was running when it would have been seen there."""

    @property
    def agrees(self) -> bool | None:
        """Whether the model says what was seen; None if nothing can be said."""
        if self.disposition is None or not self.judged:
            return None
        return not self.differs and (self.expected is None) == (self.seen is None)


def trace(crossing: Crossing, behavior: NatBehavior, frame: tuple[int, int]) -> Trace:
    """The way of a frame, by its point (0, 1) and number there, through a model of the box between two points."""
    whole, e = completed(behavior, crossing), entered(crossing)
    ports = (crossing.here, crossing.there)
    point, row = frame[0], frame[1] - 1
    found = Trace(whole, frame, "entered")
    at = np.flatnonzero((e.port == point) & (e.row == row))
    if not len(at):
        at = np.flatnonzero((e.exit_port == point) & (e.exit_row == row))
        found.role = "left"
    if not len(at):
        made = bool(((e.made_port == point) & (e.made_row == row)).any())
        found.role = "made" if made else "none"
        found.says = (
            "it left the box, and nothing that was seen to enter explains it: the box made it, or its arrival was not captured"
            if made
            else "it is no frame that a model judges: no IP, headers that are cut, or of a connection that the box ends itself"
        )
        return found
    i = int(at[0])
    found.entered = (int(e.port[i]), int(e.row[i]) + 1)
    _observed(found, e, i, ports)
    if not whole.addresses:
        found.says = "no outside address was seen: no model can be played"
        return found
    _steps(found, e, i, ports)
    if found.expected and not found.seen:
        begin, end = window(crossing)
        found.judged = bool(begin[found.expected.side] <= e.traffic.time_ns[i] <= end[found.expected.side])
    return found


def _steps(found: Trace, e: Entered, i: int, ports: tuple[Port, Port]) -> None:
    """Play up to the frame, then the frame, and say what happened."""
    t, now = e.traffic, int(e.traffic.time_ns[i])
    model = NatModel(found.behavior)
    model.play(t.part(0, i), e.quotes)
    before = {s.number: s for s in model.sessions(-FOREVER_NS)}
    verdicts, inner = model.play(t.part(i, i + 1), e.quotes)
    after = {s.number: s for s in model.sessions(-FOREVER_NS)}
    v = verdicts
    found.disposition, found.reason = Disposition(int(v.disposition[0])), REASONS[int(v.reason[0])]
    head = _head(int(t.side[i]), t, i)
    assert found.entered is not None
    found.steps.append(
        Step("arrival", Side(int(t.side[i])).name.lower(), f"frame {found.entered[1]} at {ports[found.entered[0]].name}: {head}")
    )
    looked = _tuple(t, e.quotes, i)
    number = int(v.session[0])
    old = _lookup(found, looked, before, now, t, i, number)
    new = after.get(number) if number >= 0 else None
    if old is None:
        _rule(found, t, i, v)
        if new is not None:
            _choice(found, t, i, v, new, before, now)
        elif t.side[i] == 1 and found.reason is not Reason.BARRED:
            _filter(found)
        elif found.reason in REFUSED:
            ranges = ", ".join(f"{r.low}-{r.high}" for r in found.behavior.port_ranges)
            found.steps.append(Step("mapping", "refused", f"{found.reason.value} (ports {ranges}; {found.behavior.port_choice.value})"))
    if new is not None and t.kind[i] != ERROR:
        _state(found, before.get(number), new, now)
    if v.barred[0] >= 0:
        found.steps.append(Step("filter rule", "stopped", str(found.behavior.filters[int(v.barred[0])])))
    elif found.behavior.filters and found.disposition in (Disposition.TRANSLATED, Disposition.FORWARDED):
        found.steps.append(Step("filter rule", "none", "no filter rule of the model stops it"))
    ends = found.reason is Reason.TTL
    if ends or found.disposition in (Disposition.TRANSLATED, Disposition.FORWARDED):
        falls = f"{int(t.ttl[i])} on arrival" + (f", {int(v.ttl[0])} on leaving" if found.disposition is not Disposition.DROPPED else "")
        found.steps.append(Step("TTL", "ends here" if ends else "enough", falls + (f": {found.reason.value}" if ends else "")))
    if found.disposition in (Disposition.TRANSLATED, Disposition.FORWARDED):
        found.expected = _head(int(v.side[0]), v, 0, int(t.kind[i]))
        _segment(found, e, i, v, ports)
        changed = "translated" if found.disposition is Disposition.TRANSLATED else "as it came"
        says = f"leaves {Side(int(v.side[0])).name.lower()} as {found.expected}"
        if t.kind[i] == ERROR:
            q = int(t.quote[i])
            one, other = (text(*getattr(inner, name)[q].tolist()) for name in ("src", "dst"))
            says += f", quoting {_end(one, int(inner.sport[q]))} to {_end(other, int(inner.dport[q]))}"
        found.steps.append(Step("output", changed, says))
        why = f": {found.reason.value}" if found.reason is not Reason.NONE else ""
        found.says = f"{found.disposition.name.lower()}: {says}{why}"
    else:
        found.steps.append(Step("output", "none", "nothing leaves"))
        found.says = f"{'for the box itself' if found.disposition is Disposition.LOCAL else 'dropped'}: {found.reason.value}"
    _compare(found, bool(any_ttl(found.behavior, t.part(i, i + 1))[0]))


def _segment(found: Trace, e: Entered, i: int, v: Verdicts, ports: tuple[Port, Port]) -> None:
    """The segment size of a SYN, if a clamp lowers it or it left with another than the model has."""
    came, left = (int(stated(ports, at[i : i + 1], row[i : i + 1])[0]) for at, row in ((e.port, e.row), (e.exit_port, e.exit_row)))
    size, free = (int(a[0]) for a in sizes(found.behavior, e.traffic.part(i, i + 1), v, np.array([came])))
    if size != came or free:
        says = f"{came} bytes on arrival, {f'at most {size}' if free else size} on leaving"
        found.steps.append(Step("segment size", "to path MTU" if free else "lowered", says))
    if found.seen is not None and (not 0 < left <= size if free and size else left != size):
        found.differs.append(("mss", str(size), str(left)))


def _lookup(found: Trace, looked: Tuple | None, before: dict[int, Session], now: int, t: Traffic, i: int, number: int) -> Session | None:
    """Which session the frame was found to belong to, if any."""
    if looked is None:
        found.steps.append(Step("session lookup", "not done", "it has no endpoints that a session is found by"))
        return None
    same = [(s, k) for s in before.values() for k, way in enumerate((s.arrives, s.answer)) if way == looked]
    live = [(s, k) for s, k in same if s.expires_ns > now]
    what = f"{protocol_name(looked[0])} {_end(text(*looked[1]), looked[2])} to {_end(text(*looked[3]), looked[4])}"
    quoted = "the quoted packet's way back, " if t.kind[i] == ERROR else ""
    if live:
        s, way = live[-1]
        if number not in (s.number, -1):
            found.steps.append(
                Step("session lookup", "over", f"{quoted}{what}: session {s.number} has it, and is over: this opens another")
            )
            return None
        left = _seconds(s.expires_ns - now)
        direction = "its first packet's direction" if way == 0 else "the answers' direction"
        found.steps.append(Step("session lookup", "found", f"{quoted}{what}: session {s.number}, {direction}; {left} left{_named(s)}"))
        return s
    dead = [s for s, _ in same]
    ended = f"; session {dead[-1].number} had it, which ended {_seconds(now - dead[-1].expires_ns)} before" if dead else ""
    found.steps.append(Step("session lookup", "none", f"{quoted}{what}: no live session among {_live(before, now):,}{ended}"))
    return None


def _rule(found: Trace, t: Traffic, i: int, v: Verdicts) -> None:
    """Which rule of the behavior speaks of a frame without a session."""
    b, src, dst = found.behavior, text(*t.src[i].tolist()), text(*t.dst[i].tolist())
    if t.kind[i] in (ERROR, NEITHER):
        found.steps.append(Step("rule", "none", "ICMP that is no query opens no session"))
        return
    if found.reason in (Reason.NO_SESSION, Reason.GROUP, Reason.FRAGMENT, Reason.TABLE_FULL, Reason.BARRED):
        found.steps.append(Step("rule", "not asked", found.reason.value))
        return
    inward = t.side[i] == 1 or _within(dst, (*b.addresses, *(a for r in b.static for a in outsides(r, b))))
    for rule in b.static:
        hit = _fits(rule, b, t, i, dst) if inward else rule.outbound and _within(src, (rule.inside,))
        if hit:
            to = f"{rule.inside}" + (f" port {rule.to_port + int(t.dport[i]) - rule.ports[0]}" if rule.to_port is not None else "")
            found.steps.append(Step("rule", "static mapping", f"{', '.join(outsides(rule, b))} stands for {to if inward else rule.inside}"))
            return
    if inward and t.side[i] == 0:
        found.steps.append(Step("rule", "hairpin", f"from inside to an outside address of the box; hairpinning: {b.hairpin.value}"))
    elif inward:
        found.steps.append(Step("rule", "none", "no static mapping leads from there"))
    elif b.nat64 and _within(dst, (b.nat64,)):
        found.steps.append(Step("rule", "NAT64", f"{dst} lies in {b.nat64}: it is IPv4 behind it"))
    elif b.inside and not _within(src, b.inside):
        found.steps.append(Step("rule", "not translated", f"{src} lies in none of {', '.join(b.inside[:4])}"))
    else:
        pool = ", ".join(b.addresses[:4]) + (" ..." if len(b.addresses) > 4 else "")
        found.steps.append(Step("rule", "source translation", f"sources from inside leave as {pool}"))


def _choice(found: Trace, t: Traffic, i: int, v: Verdicts, new: Session, before: dict[int, Session], now: int) -> None:
    """Where the outside endpoint of a new session comes from."""
    inside, outside = (new.arrives, new.answer)[new.from_outside], (new.answer, new.arrives)[new.from_outside]
    endpoint = _end(text(*outside[3]), outside[4])
    if new.from_outside:
        found.steps.append(
            Step("mapping", "opened from outside", f"session {new.number}: {endpoint} leads to {_end(text(*inside[1]), inside[2])}")
        )
        return
    if v.disposition[0] == int(Disposition.FORWARDED):
        found.steps.append(Step("mapping", "none", f"session {new.number} keeps its endpoints"))
        return
    shared = [
        s.number
        for s in before.values()
        if s.expires_ns > now and not s.from_outside and s.arrives[:3] == inside[:3] and s.answer[3:] == outside[3:]
    ]
    b, choice = found.behavior, Choice(int(v.choice[0]))
    kept = inside[2] == outside[4] and t.kind[i] != NO_PORTS
    if shared:
        result, why = "reused", f"{_end(text(*inside[1]), inside[2])} has it already, in session {shared[-1]} ({b.mapping.value} mapping)"
    elif kept and b.port_choice.preserves:
        result, why = "kept", f"the inside port is free there ({b.port_choice.value})"
    elif choice is Choice.HINTED:
        result, why = "as seen", f"the behavior leaves it open ({b.port_choice.value}), and what was seen is allowed"
    elif choice is Choice.REFUSED:
        result, why = "chosen", f"what was seen is not allowed ({b.port_choice.value}); this is one that is"
    elif choice is Choice.FREE:
        result, why = "chosen", f"one of many that are allowed ({b.port_choice.value})"
    else:
        result, why = "fixed", f"the behavior leaves no other ({b.port_choice.value})"
    found.steps.append(Step("mapping", result, f"session {new.number} leaves as {endpoint}: {why}"))


def _filter(found: Trace) -> None:
    """Why a packet from outside without a session does not get in."""
    rules = {
        Filtering.ENDPOINT_INDEPENDENT: "anybody may send to a mapping",
        Filtering.ADDRESS_DEPENDENT: "addresses that a mapping has sent to may send to it",
        Filtering.ADDRESS_AND_PORT_DEPENDENT: "endpoints that a mapping has sent to may send to it",
    }
    result = "filtered" if found.reason is Reason.FILTERED else "no mapping" if found.reason is Reason.NO_MAPPING else "not let in"
    found.steps.append(Step("filter", result, f"{rules[found.behavior.filtering]}: {found.reason.value}"))


def _state(found: Trace, old: Session | None, new: Session, now: int) -> None:
    """How the session's state and time change."""
    left = _seconds(new.expires_ns - now)
    if new.arrives[0] == 6:
        was, is_ = STATES.get(old.state, "?") if old else "none", STATES.get(new.state, "?")
        found.steps.append(Step("state", is_, f"{was}, then {is_}; {left} from now on" if was != is_ else f"stays; {left} from now on"))
        return
    renewed = old is None or new.expires_ns != old.expires_ns
    found.steps.append(Step("state", "renewed" if renewed else "not renewed", f"{left} from now on"))


def _observed(found: Trace, e: Entered, i: int, ports: tuple[Port, Port]) -> None:
    """Where the frame was seen to leave."""
    if e.exit_row[i] < 0:
        return
    port, row = int(e.exit_port[i]), int(e.exit_row[i])
    found.observed = port, row + 1
    p = ports[port].packets
    found.seen = _head(port, p, row, int(e.traffic.kind[i]), int(e.traffic.fragment[i]), e.traffic, i)


def _compare(found: Trace, any_ttl: bool) -> None:
    if found.expected is None or found.seen is None:
        return
    for name in FIELDS:
        if name == "mss" or (name == "ttl" and any_ttl):
            continue
        if name != "side" and "port" in name and -1 in (getattr(found.expected, name), getattr(found.seen, name)):
            continue
        expected, seen = getattr(found.expected, name), getattr(found.seen, name)
        if expected != seen:
            found.differs.append((name, str(expected), str(seen)))


def _head(side: int, t: object, i: int, kind: int | None = None, fragment: int = 0, of: Traffic | None = None, at: int = 0) -> Head:
    """A row's header; ports only where the frame has them (of a later fragment, the datagram's)."""
    src, dst = (text(*getattr(t, name)[i].tolist()) for name in ("src", "dst"))
    kind = int(t.kind[i]) if kind is None else kind  # type: ignore[attr-defined]
    sport, dport = (-1, -1) if kind in (NO_PORTS, NEITHER, ERROR) or fragment > 1 else (int(t.sport[i]), int(t.dport[i]))  # type: ignore[attr-defined]
    return Head(side, int(t.proto[i]), src, sport, dst, dport, int(t.ttl[i]))  # type: ignore[attr-defined]


def _tuple(t: Traffic, q: Quotes, i: int) -> Tuple | None:
    """The tuple that a session is looked up by; an error's is the way back of what it quotes."""
    if t.kind[i] == ERROR:
        k = int(t.quote[i])
        if q.kind[k] == NEITHER:
            return None
        (a, b), (x, y) = q.src[k].tolist(), q.dst[k].tolist()
        return int(q.proto[k]), (x, y), int(q.dport[k]), (a, b), int(q.sport[k])
    if t.kind[i] == NEITHER or t.fragment[i] == 3:
        return None
    (a, b), (x, y) = t.src[i].tolist(), t.dst[i].tolist()
    return int(t.proto[i]), (a, b), int(t.sport[i]), (x, y), int(t.dport[i])


def _fits(rule: Static, b: NatBehavior, t: Traffic, i: int, dst: str) -> bool:
    number = protocol(rule.proto)
    remote = not rule.remote or _within(text(*t.src[i].tolist()), (rule.remote,))
    ported = rule.ports == (0, 65535) or rule.ports[0] <= int(t.dport[i]) <= rule.ports[1]
    return remote and ported and number in (0, int(t.proto[i])) and _within(dst, outsides(rule, b))


def _within(address: str, prefixes: tuple[str, ...]) -> bool:
    value = ipaddress.ip_address(address)
    return any(value in ipaddress.ip_network(prefix, strict=False) for prefix in prefixes)


def _named(s: Session) -> str:
    return f", {STATES[s.state]}" if s.arrives[0] == 6 and s.state in STATES else ""


def _live(sessions: dict[int, Session], now: int) -> int:
    return sum(s.expires_ns > now for s in sessions.values())


def _seconds(ns: int) -> str:
    return "for good" if ns > FOREVER_NS // 2 else f"{ns / 1e9:.6g} s"


def _end(address: str, port: int) -> str:
    if port < 0:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
