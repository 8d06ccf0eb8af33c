"""The model's verdicts against what was seen, and what differs, by cause."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from ..address import text
from ..flow import Crossing, Port
from ..model import ERROR, REASONS, Choice, Disposition, NatModel, Quotes, Reason, Side, Verdicts
from ..nat.behavior import NatBehavior
from ..table import Array
from ..wire import Flag
from .entered import Entered, completed, entered
from .leaving import any_ttl, column, sizes, stated
from .lost import lost
from .rejects import silent, unanswered

ANSWER_NS = 1_000_000_000
"""How long after a frame its answer by the box itself may come."""


RST = 4


class Kind(Enum):
    """How model and capture differ."""

    MISSING = "missing"
    """The model lets it out, and it was not seen."""
    EXTRA = "extra"
    """It was seen, and the model does not let it out."""
    CHANGED = "changed"
    """It came out otherwise than the model has it."""


@dataclass(frozen=True)
class Difference:
    """One frame that the model does not explain. frames: numbers from 1 by point, as entered and as left."""

    kind: Kind
    field: str | None
    expected: str
    observed: str
    reason: Reason
    conversation: int
    """At the point where it entered (or was seen), -1 for none."""
    entered_at: int
    """0 the first point, 1 the second; -1 for a frame that only left."""
    frames: tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Cause:
    """Differences of one kind: how many, and the first of them."""

    kind: Kind
    field: str | None
    reason: Reason
    count: int
    first: Difference


@dataclass
class Replay:
    """A model's play over a crossing. frames: those judged; explained: those where the model says exactly what was seen."""

    behavior: NatBehavior
    frames: int
    explained: int
    causes: list[Cause] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    """The first LISTED of each cause."""
    diverged: int = 0
    """Conversations in which a frame differs."""
    firsts: list[Difference] = field(default_factory=list)
    """The first difference of each of them, in the order of time; MOST_FIRSTS at most."""
    unjudged: int = 0
    """Frames at the edge of the other capture's time, where nothing can be said of their absence."""
    made: int = 0
    """Frames the box sent by itself, as answers to what the model says is for it or ends there; among the explained."""
    notes: list[str] = field(default_factory=list)

    @property
    def share(self) -> float | None:
        """Explained of all, None without frames."""
        return self.explained / self.frames if self.frames else None


LISTED = 20
MOST_FIRSTS = 100
FIELDS = ("src", "sport", "dst", "dport", "ttl", "side", "mss")


def replay(crossing: Crossing, behavior: NatBehavior) -> Replay:
    """Play what entered the box between two ports through a model of it, and compare with what came out.

    Outside addresses and forwarded ports that the behavior does not name are taken as seen; NotEnough if no address was seen.
    """
    whole = completed(behavior, crossing)
    e = entered(crossing)
    if not whole.addresses:
        return Replay(whole, 0, 0, notes=["no outside address was seen: no model can be played"])
    model = NatModel(whole)
    verdicts, inner = model.play(e.traffic, e.quotes)
    return compare(crossing, whole, e, verdicts, inner)


def compare(crossing: Crossing, behavior: NatBehavior, e: Entered, v: Verdicts, inner: Quotes) -> Replay:
    """Verdicts against sightings, frame by frame."""
    ports = (crossing.here, crossing.there)
    seen = e.exit_row >= 0
    out = (v.disposition == int(Disposition.TRANSLATED)) | (v.disposition == int(Disposition.FORWARDED))
    actual = {name: column(ports, name, e.exit_port, e.exit_row) for name in ("src", "dst", "sport", "dport", "ttl")}
    wrong = {
        "src": (actual["src"] != v.src).any(axis=1),
        "dst": (actual["dst"] != v.dst).any(axis=1),
        "sport": (actual["sport"] != v.sport) & (e.traffic.fragment < 2),
        "dport": (actual["dport"] != v.dport) & (e.traffic.fragment < 2),
        "ttl": (actual["ttl"] != v.ttl) & ~any_ttl(behavior, e.traffic),
        "side": e.exit_port != v.side,
    }
    size, free = sizes(behavior, e.traffic, v, stated(ports, e.port, e.row))
    actual["mss"], actual["size"] = stated(ports, e.exit_port, e.exit_row), size
    cut = (column(ports, "flags", e.port, e.row) | column(ports, "flags", e.exit_port, e.exit_row)) & int(Flag.SHORT) != 0
    wrong["mss"] = np.where(free, (actual["mss"] > size) | (actual["mss"] == 0), actual["mss"] != size) & (e.exit_port == v.side) & ~cut
    error = e.traffic.kind == ERROR
    plain = (e.traffic.kind == 0) | (e.traffic.kind == 255) | error
    wrong["sport"] &= ~plain
    wrong["dport"] &= ~plain
    changed = {name: wrong[name] & seen & out for name in FIELDS}
    quoted = _quoted(ports, e)
    for name, said in (("src", "quoted.src"), ("sport", "quoted.sport"), ("dst", "quoted.dst"), ("dport", "quoted.dport")):
        expected = getattr(inner, name)[np.maximum(e.traffic.quote, 0)] if len(inner) else getattr(v, name)
        differs = (quoted[name] != expected).reshape(len(v), -1).any(axis=1)
        changed[said] = differs & seen & out & error & quoted["known"]
    missing = out & ~seen
    # Where the other capture had not begun or was over, an absence says nothing.
    begin, end = window(crossing)
    side = np.minimum(v.side.astype(np.int64), 1)
    early = (e.traffic.time_ns < begin[side]) | (e.traffic.time_ns > end[side])
    unjudged = missing & early
    missing &= ~early
    extra = seen & ~out
    answers = extra & _of_before(crossing, e)
    extra &= ~answers
    unjudged |= answers
    bad = missing | extra | np.logical_or.reduce(list(changed.values()))
    result = Replay(behavior, int((~unjudged).sum()), int((~unjudged & ~bad).sum()), unjudged=int(unjudged.sum()) + e.early)
    found: dict[tuple[Kind, str | None, Reason], list[int]] = {}
    for name, mask in changed.items():
        for i in np.flatnonzero(mask):
            found.setdefault((Kind.CHANGED, name, _why(v, int(i))), []).append(int(i))
            for other in changed.values():
                other[i] = False  # one frame is one difference: the first field counts
    gone = lost(crossing, e, missing)
    for kind, what, mask in ((Kind.MISSING, "lost", gone), (Kind.MISSING, None, missing & ~gone), (Kind.EXTRA, None, extra)):
        for i in np.flatnonzero(mask):
            found.setdefault((kind, what, _why(v, int(i))), []).append(int(i))
    for (kind, what, reason), rows in found.items():
        listed = [_difference(kind, what, reason, i, ports, e, v, actual, quoted, inner, behavior) for i in rows[:LISTED]]
        result.causes.append(Cause(kind, what, reason, len(rows), listed[0]))
        result.differences += listed
    causes = list(found)
    bad_rows = sorted((i, k) for k, cause in enumerate(causes) for i in found[cause])
    firsts = _firsts(crossing, e, bad_rows)
    result.diverged = len(firsts)
    result.firsts = [_difference(*causes[k], i, ports, e, v, actual, quoted, inner, behavior) for i, k in firsts[:MOST_FIRSTS]]
    lacking = [(i, says) for i, says in unanswered(crossing, e, v, behavior) if not bad[i]]
    if lacking:
        result.explained -= len(lacking)
        listed = []
        for at, says in lacking[:LISTED]:
            plain = _difference(Kind.EXTRA, None, Reason.BARRED, at, ports, e, v, actual, quoted, inner, behavior)
            listed.append(replace(plain, kind=Kind.MISSING, field="answer", expected=says, observed="not seen"))
        result.causes.append(Cause(Kind.MISSING, "answer", Reason.BARRED, len(lacking), listed[0]))
        result.differences += listed
    _made(crossing, e, v, (begin, end), result)
    result.causes.sort(key=lambda c: -c.count)
    if e.unread:
        result.notes.append(f"{e.unread} frames whose headers are cut are left out")
    if e.overheard:
        result.notes.append(f"{e.overheard} frames are for other MAC addresses on its link than the box's: they are left out")
    if e.proxied:
        result.notes.append(f"{e.proxied} frames of TCP connections that the box ends are left out: it has others of its own behind it")
    return result


def _of_before(crossing: Crossing, e: Entered) -> Array:
    """(n,) frames that entered outside in conversations from before the inside capture began: what opened them was not seen to enter."""
    there = crossing.there
    began = np.append(there.conversations.first_ns - (crossing.clock.offset_ns or 0) < crossing.here.first_ns, False)
    outside = e.port == 1
    before = np.zeros(len(e.port), bool)
    before[outside] = began[there.conversation[e.row[outside]]]
    return before


def _firsts(crossing: Crossing, e: Entered, bad: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of some frames (row, anything), in the order of time, the first of each conversation (one number for both points)."""
    m = crossing.matches
    near = dict(zip(m.there.tolist(), m.here.tolist(), strict=True))
    ports, seen, found = (crossing.here, crossing.there), set(), []
    for i, k in bad:
        at, c = int(e.port[i]), int(ports[int(e.port[i])].conversation[e.row[i]])
        key = (0, near[c]) if at == 1 and c in near else (at, c)
        if c >= 0 and key not in seen:
            seen.add(key)
            found.append((i, k))
    return found


def _why(v: Verdicts, i: int) -> Reason:
    """The verdict's reason."""
    reason: Reason = REASONS[int(v.reason[i])]
    return reason


def _made(crossing: Crossing, e: Entered, v: Verdicts, window: tuple[Array, Array], result: Replay) -> None:
    """Frames that left and did not enter: explained as answers of the box to a frame that ended in it shortly before.

    Whole conversations of which nothing was seen to enter are of hosts that the other capture does not show, or of the box
    itself: nothing can be said of them.
    """
    ports, m = (crossing.here, crossing.there), crossing.matches
    turned = m.hairpin == 1
    crossed = set(m.here.tolist()) | set(m.there[turned].tolist()), set(m.there[~turned].tolist())
    others = 0
    ends = (v.disposition == int(Disposition.DROPPED)) | (v.disposition == int(Disposition.LOCAL))
    dropped = silent(result.behavior, v)
    ends &= ~dropped
    for number, port in enumerate(ports):  # in what a rule drops the box has no part, and what it sends there says that it does not
        crossed[number].update(port.conversation[e.row[dropped & (e.port == number)]].tolist())
    lent = [ipaddress.ip_network(a, strict=False) for a in result.behavior.addresses]
    last: dict[tuple[int, int, int], list[int]] = {}
    for i in np.flatnonzero(ends).tolist():
        key = int(e.port[i]), int(e.traffic.src[i, 0]), int(e.traffic.src[i, 1])
        last.setdefault(key, []).append(int(e.traffic.time_ns[i]))
    # Its own addresses but those that it lends: from these comes what others sent, too.
    own = {(int(a[0]), int(a[1])) for a in np.unique(e.traffic.dst[v.disposition == int(Disposition.LOCAL)], axis=0)}
    own = {a for a in own if not any(ipaddress.ip_address(text(*a)) in net for net in lent)}
    strange = []
    for port, row, when in zip(e.made_port.tolist(), e.made_row.tolist(), e.made_ns.tolist(), strict=True):
        p = ports[port].packets
        times = last.get((port, int(p.dst[row, 0]), int(p.dst[row, 1])), [])
        before = bisect_right(times, when + 1_000_000)  # a clock that is a little off
        refuses = p.proto[row] in (1, 58) or (p.proto[row] == 6 and p.tcp_flags[row] & RST != 0)
        answers = bool(refuses and before and times[before - 1] > when - ANSWER_NS)
        if answers or (int(p.src[row, 0]), int(p.src[row, 1])) in own or not _routed(p.src[row]) or not _routed(p.dst[row]):
            result.made += 1
        elif not window[0][1 - port] <= when <= window[1][1 - port]:
            result.unjudged += 1  # what it comes from was before or after the other capture
        elif int(ports[port].conversation[row]) not in crossed[port] and ports[port].conversation[row] >= 0:
            result.unjudged += 1
            others += 1
        else:
            strange.append((port, row))
    result.frames += result.made + len(strange)
    result.explained += result.made
    if others:
        result.notes.append(f"{others} frames left the box in conversations of which none entered: other hosts' than captured, or its own")
    listed = []
    for port, row in strange[:LISTED]:
        p = ports[port].packets
        seen = f"{text(*p.src[row].tolist())}:{p.sport[row]} to {text(*p.dst[row].tolist())}:{p.dport[row]}"
        frames = ((row + 1,), ()) if port == 0 else ((), (row + 1,))
        c = int(ports[port].conversation[row])
        listed.append(Difference(Kind.EXTRA, None, "nothing entered that it comes from", seen, Reason.NONE, c, -1, frames))
    if strange:
        result.causes.append(Cause(Kind.EXTRA, "origin", Reason.NONE, len(strange), listed[0]))
        result.differences += listed


def _routed(address: Array) -> bool:
    """Whether it is neither multicast, broadcast nor link-local: a box speaks for itself there."""
    value = ipaddress.ip_address(text(int(address[0]), int(address[1])))
    return not (value.is_multicast or value.is_link_local or value == ipaddress.IPv4Address(0xFFFFFFFF))


def _quoted(ports: tuple[Port, Port], e: Entered) -> dict[str, Array]:
    """The packet quoted in each frame as it left, where that is readable."""
    n = len(e.row)
    found: dict[str, Array] = {"known": np.zeros(n, bool)}
    for name in ("src", "dst", "sport", "dport"):
        sample = getattr(ports[0].quoted, name)
        found[name] = np.zeros((n, *sample.shape[1:]), sample.dtype)
    for number, p in enumerate(ports):
        which = np.full(len(p.packets), -1, np.int64)
        which[p.quoted.carrier] = np.arange(len(p.quoted))
        mine = np.flatnonzero((e.exit_port == number) & (e.exit_row >= 0))
        q = which[e.exit_row[mine]]
        mine, q = mine[q >= 0], q[q >= 0]
        mine, q = mine[p.quoted.ports[q] > 0], q[p.quoted.ports[q] > 0]
        found["known"][mine] = True
        for name in ("src", "dst", "sport", "dport"):
            found[name][mine] = getattr(p.quoted, name)[q]
    return found


def window(crossing: Crossing) -> tuple[Array, Array]:
    """First and last time of either capture, by the first point's clock."""
    here, there, c = crossing.here, crossing.there, crossing.clock
    offset = c.offset_ns or 0
    return (
        np.array([here.first_ns, there.first_ns - offset], np.int64),
        np.array([here.last_ns, there.last_ns - offset], np.int64),
    )


def _difference(
    kind: Kind,
    name: str | None,
    reason: Reason,
    i: int,
    ports: tuple[Port, Port],
    e: Entered,
    v: Verdicts,
    actual: dict[str, Array],
    quoted: dict[str, Array],
    inner: Quotes,
    behavior: NatBehavior,
) -> Difference:
    """One frame's difference in words."""
    at, row, gone = int(e.port[i]), int(e.row[i]), int(e.exit_row[i])
    numbers: tuple[list[int], list[int]] = ([], [])
    numbers[at].append(row + 1)
    if gone >= 0:
        numbers[int(e.exit_port[i])].append(gone + 1)

    def ends(src: Array, sport: int, dst: Array, dport: int) -> str:
        return f"{text(*src.tolist())}:{sport} to {text(*dst.tolist())}:{dport}"

    leaves = ends(v.src[i], v.sport[i], v.dst[i], v.dport[i])
    left = ends(actual["src"][i], actual["sport"][i], actual["dst"][i], actual["dport"][i])
    if kind is Kind.MISSING:
        expected, observed = leaves, "not seen"
    elif kind is Kind.EXTRA:
        expected, observed = reason.value, left
        if v.barred[i] >= 0:
            expected += f": {behavior.filters[v.barred[i]]}"
    elif name and name.startswith("quoted."):
        part = name.removeprefix("quoted.")
        expected, observed = _said(getattr(inner, part)[e.traffic.quote[i]]), _said(quoted[part][i])
    elif name == "side":
        expected, observed = Side(int(v.side[i])).name.lower(), Side(int(e.exit_port[i])).name.lower()
    else:
        wanted = getattr(v, str(name))[i] if name != "mss" else actual["size"][i]
        expected, observed = _said(wanted), _said(actual[str(name)][i])
        if v.choice[i] == int(Choice.REFUSED):
            expected += " or another that is allowed"
    c = int(ports[at].conversation[row])
    return Difference(kind, name, expected, observed, reason, c, at, (tuple(numbers[0]), tuple(numbers[1])))


def _said(value: Array) -> str:
    """A number, or an address as people write it."""
    return text(int(value[0]), int(value[1])) if value.ndim else str(int(value))
