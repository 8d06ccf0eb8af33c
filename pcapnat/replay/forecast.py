"""What a model would do with the traffic of one capture, taken inside: a forecast, without any capture from outside."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ..address import text
from ..flow import Port, protocol_name
from ..model import ERROR, NO_PORTS, PORTS, QUERY, REASONS, Choice, Disposition, Hint, NatModel, Quotes, Traffic, Verdicts
from ..nat.behavior import MOST_STATIC, Hairpin, NatBehavior, Static, protocol
from ..table import Array
from ..wire import Flag, Packets
from .behind import Behind, behind, within, words
from .entered import traffic_of

STAND_IN = ("203.0.113.1", "2001:db8::1")
"""Outside addresses where the model names none (RFC 5737, 3849)."""
MOST_TTL = 255
MOST_NAMED = 8
ROUNDS = 4
"""Plays until answers go to where their conversation left from last."""
OUT = (int(Disposition.TRANSLATED), int(Disposition.FORWARDED))


@dataclass(frozen=True)
class Leaving:
    """A session that the model makes: row of the port's conversation, its first frame (from 1), and its endpoints outside."""

    conversation: int
    proto: int
    inside: tuple[str, int]
    outside: tuple[str, int]
    remote: tuple[str, int]
    frame: int
    frames: int
    free: bool
    """Whether the outside endpoint is one of many that the behavior allows."""


@dataclass
class Played:
    """Every frame that was played, in the order of time: its row in the port's packets, the header it enters with, and its verdict.

    Traffic of side 1 are frames that the capture shows inside, as they must have come from outside. quotes: what ICMP errors quote as
    they enter; inner: as they leave.
    """

    rows: Array
    traffic: Traffic
    quotes: Quotes
    verdicts: Verdicts
    inner: Quotes

    @property
    def out(self) -> Array:
        """(n,) what the model lets through."""
        return np.asarray(np.isin(self.verdicts.disposition, OUT))


@dataclass
class Forecast:
    """Verdicts on what enters inside (rows: in the port's packets), and on its answers, which are taken as sent to where it left from."""

    behavior: NatBehavior
    who: Behind
    played: Played
    rows: Array
    verdicts: Verdicts
    answers: int
    answers_in: int
    sessions: list[Leaving] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Frames from inside by what becomes of them."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Those dropped, by reason."""
    dropped_in: Counter[str] = field(default_factory=Counter)
    """What comes from outside and is not let in, by reason."""
    from_outside: bool = False
    """Whether the capture was taken outside."""
    notes: list[str] = field(default_factory=list)


def forecast(port: Port, behavior: NatBehavior, model: Callable[[NatBehavior], NatModel] = NatModel) -> Forecast:
    """Play the frames that enter at an inside point, and those that came back, as they must have come from outside.

    An answer is taken as sent to where its conversation last left from; a frame that came unasked, to the outside endpoint that a static
    mapping of the model has for its target. model: what plays it.
    """
    who = behind(port, behavior.inside)
    notes = [who.says]
    p = port.packets
    born = who.answers & (p.ttl.astype(np.int64) + (0 if behavior.ttl_new else max(behavior.ttl_fall(1), 0)) > MOST_TTL)
    who.answers &= ~born  # nothing that passed the box has such a TTL: it speaks for itself
    who.stays |= born
    if not behavior.addresses:
        six = bool((p.src[who.enters, 0] != 0).any()) and not behavior.nat64
        behavior = replace(behavior, addresses=STAND_IN if six else STAND_IN[:1])
        notes.append(f"the model names no outside address: {' and '.join(behavior.addresses)} stands for it")
    behavior = _turned(port, who, behavior)
    if not behavior.static and not behavior.complete:
        behavior = replace(behavior, static=_supposed(port, who, behavior.addresses))
        if behavior.static:
            notes.append(f"the model names no forwarded ports: {_ports(behavior.static)} taken from conversations opened from outside")
    forwarded = _forwarded(port, np.flatnonzero(who.answers), behavior)
    asked = _unasked(port, who, forwarded[0])
    who.enters &= ~asked
    if asked.any():
        notes.append(
            f"{int(asked.sum())} frames from inside are left out, in conversations opened from outside that no static mapping "
            "of the model lets in"
        )
    rows = np.flatnonzero(who.enters)
    back = _answers(port, who)
    every = np.unique(np.concatenate([rows, back, forwarded[0]]))
    every = every[np.argsort(p.time_ns[every], kind="stable")]
    inward = ~who.enters[every]
    outward = every[~inward]
    played = _run(Played(outward, *_traffic(port, outward), Verdicts.empty(0), Quotes.empty(0)), behavior, model)
    last = np.zeros(0, np.uint64)
    for _ in range(ROUNDS):
        then = _aimed(port, every, inward, played, forwarded, behavior)
        aims = np.column_stack([then.rows, then.traffic.dst, then.traffic.dport, then.traffic.hint, then.traffic.hint_port]).ravel()
        if np.array_equal(aims, last):
            break
        last, played = aims, _run(then, behavior, model)
    answered = played.traffic.side == 1
    strangers = int(who.answers.sum()) - int(answered.sum())
    verdicts = played.verdicts.take(~answered)
    found = Forecast(behavior, who, played, played.rows[~answered], verdicts, int(answered.sum()), int((played.out & answered).sum()))
    found.notes = notes
    shut = played.verdicts.reason[answered & ~played.out]
    found.dropped_in.update({REASONS[int(r)].value: int(n) for r, n in zip(*np.unique(shut, return_counts=True), strict=True)})
    if strangers > 0:
        found.notes.append(
            f"{strangers} frames came to hosts inside in conversations that nothing leaves by, nor a static mapping of the model leads to"
        )
    if who.stays.any():
        found.notes.append(
            f"{int(who.stays.sum())} frames between hosts inside, or to and from the box itself or turned round by it, are left out"
        )
    for kind in Disposition:
        found.counts[kind.name.lower()] = int((verdicts.disposition == int(kind)).sum())
    lost = verdicts.reason[verdicts.disposition == int(Disposition.DROPPED)]
    found.dropped.update({REASONS[int(r)].value: int(n) for r, n in zip(*np.unique(lost, return_counts=True), strict=True)})
    _sessions(found, port)
    return found


def _turned(port: Port, who: Behind, behavior: NatBehavior) -> NatBehavior:
    """Take frames that the box turned round from inside out of the answers; returns the behavior with the router's address they show."""
    p = port.packets
    rows = np.flatnonzero(who.answers)
    hosts = {bytes(a) for a in np.unique(p.src[who.enters], axis=0)}
    found, back = np.unique(p.src[rows], axis=0, return_inverse=True)
    ours = np.array([bytes(a) in hosts for a in found], bool) | within(found, behavior.addresses)
    if behavior.hairpin is Hairpin.ROUTER_SOURCE:
        shown = p.src[rows[who.near[rows]]]
        if not behavior.router and len(shown):
            behavior = replace(behavior, router=text(*shown[0].tolist()))
        ours |= within(found, (behavior.router,) if behavior.router else ())
    turned = rows[ours[np.ravel(back)]]
    who.answers[turned], who.stays[turned] = False, True
    return behavior


def _answers(port: Port, who: Behind) -> Array:
    """Rows of frames from elsewhere in a conversation, or about one, of which a frame enters from inside."""
    p, c = port.packets, port.conversation
    about = np.full(len(p), -1, np.int64)
    about[port.quoted.carrier] = port.about
    of = np.where(p.flags & int(Flag.QUOTE) != 0, about, c)
    led = np.zeros(len(port.conversations) + 1, bool)
    led[c[who.enters]] = True
    led[-1] = False
    return np.flatnonzero(who.answers & led[of])


def _forwarded(port: Port, rows: Array, behavior: NatBehavior) -> tuple[Array, Array, Array]:
    """Of some rows those that a static mapping leads to: row, outside address, outside port."""
    p = port.packets
    at: list[Array] = []
    address: list[Array] = []
    number: list[Array] = []
    left = rows[(p.flags[rows] & int(Flag.QUOTE)) == 0]
    for rule in behavior.static:
        if not len(left):
            break
        hit, outside, outer = _through(rule, behavior, p, left)
        at.append(left[hit])
        address.append(outside)
        number.append(outer)
        left = left[~hit]
    if not at:
        return np.zeros(0, np.int64), np.zeros((0, 2), np.uint64), np.zeros(0, np.int64)
    every, addresses, numbers = np.concatenate(at), np.concatenate(address), np.concatenate(number)
    order = np.argsort(every)
    return every[order], addresses[order], numbers[order]


def _supposed(port: Port, who: Behind, addresses: tuple[str, ...]) -> tuple[Static, ...]:
    """Forwarded ports as conversations opened from outside show them; several hosts may be behind one, as behind a load balancer."""
    p = port.packets
    rows = np.flatnonzero(who.answers & (port.conversation >= 0) & np.isin(p.proto, (6, 17)) & (p.flags & int(Flag.PORTS) != 0))
    rows = rows[_of_opener(port, rows) & (port.conversations.client()[port.conversation[rows]] >= 0)]
    _, once = np.unique(np.column_stack([p.dst[rows], p.dport[rows], p.proto[rows]]), axis=0, return_index=True)
    found: dict[tuple[str, int, int], Static] = {}
    first: dict[int, str] = {}
    for prefix in addresses:
        net = ipaddress.ip_network(prefix, strict=False)
        first.setdefault(net.version, str(net.network_address))
    for r in rows[np.sort(once)].tolist():
        host, number, proto = text(*p.dst[r].tolist()), int(p.dport[r]), int(p.proto[r])
        version = 6 if ":" in host else 4
        if version in first and len(found) < MOST_STATIC:
            found.setdefault((host, proto, number), Static(first[version], host, str(proto), (number, number), number))
    return tuple(found.values())


def _ports(rules: tuple[Static, ...]) -> str:
    """Forwarded ports for a reader."""
    names = list(dict.fromkeys(f"{protocol_name(int(rule.proto))} {rule.ports[0]}" for rule in rules))
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more + (" are" if len(names) > 1 else " is")


def _unasked(port: Port, who: Behind, forwarded: Array) -> Array:
    """(n,) frames that enter in conversations that were opened from elsewhere, by nothing that a static mapping lets in."""
    c, opened = port.conversations, np.zeros(len(port.conversations) + 1, bool)
    first = np.flatnonzero(who.answers & (port.conversation >= 0))
    first = first[_of_opener(port, first) & (c.client()[port.conversation[first]] >= 0)]
    opened[port.conversation[first]] = True
    opened[port.conversation[forwarded]] = False
    opened[-1] = False
    return np.asarray(who.enters & opened[port.conversation] & (port.packets.flags & int(Flag.QUOTE) == 0))


def outsides(rule: Static, behavior: NatBehavior) -> tuple[str, ...]:
    """The outside addresses that a static mapping is at; one that names none is at all of the NAT's."""
    return (rule.outside,) if rule.outside else behavior.addresses


def _through(rule: Static, behavior: NatBehavior, p: Packets, rows: Array) -> tuple[Array, Array, Array]:
    """Of some rows those that a rule leads to: mask, outside address and port. Neutral prefixes (NPTv6) are not turned back."""
    inside = ipaddress.ip_network(rule.inside, strict=False)
    at = [ipaddress.ip_network(a, strict=False) for a in outsides(rule, behavior)]
    at = [net for net in at if net.version == inside.version]
    dst, dport, flags = p.dst[rows], p.dport[rows].astype(np.int64), p.flags[rows]
    kept, near = words(inside)
    hit = ((dst & kept) == near).all(axis=1) & bool(at and not rule.neutral)
    number = protocol(rule.proto)
    if number:
        hit &= p.proto[rows] == number
    if rule.remote:
        mask, base = words(ipaddress.ip_network(rule.remote, strict=False))
        hit &= ((p.src[rows] & mask) == base).all(axis=1)
    low, high = rule.ports
    first = low if rule.to_port is None else rule.to_port
    ported = flags & int(Flag.PORTS) != 0
    if (low, high) != (0, 65535):
        hit &= ported & (dport >= first) & (dport <= first + high - low)
    moved = np.where(ported & (first != low), dport - first + low, dport)
    far = words(at[0])[1] if at else near
    return hit, (dst[hit] & ~kept) | far, moved[hit]


def _sources(port: Port, every: Array, played: Played) -> Array:
    """Per frame of `every` the played frame by which its conversation last left before it, else first left after it; -1 for none."""
    p = port.packets
    quotes = p.flags & int(Flag.QUOTE) != 0
    of = port.conversation.astype(np.int64)
    of[port.quoted.carrier] = port.about
    v = played.verdicts
    left = np.flatnonzero(
        (v.disposition == int(Disposition.TRANSLATED))
        & (v.session >= 0)
        & (v.side == 1)
        & (played.traffic.side == 0)
        & ~quotes[played.rows]
        & (of[played.rows] >= 0)
    )
    place = np.full(len(p), -1, np.int64)
    place[every] = np.arange(len(every))  # the order of time
    size = len(every) + 1
    key = of[played.rows[left]] * size + place[played.rows[left]]
    order = np.argsort(key, kind="stable")
    key, left = key[order], left[order]
    before = np.searchsorted(key, of[every] * size + place[every], side="right") - 1
    source = np.full(len(every), -1, np.int64)
    for k in (before + 1, before):  # what left before wins over what left after
        good = (k >= 0) & (k < len(key)) & (of[every] >= 0)
        good[good] = key[k[good]] // size == of[every[good]]
        source[good] = left[k[good]]
    return source


def _aimed(port: Port, every: Array, inward: Array, before: Played, forwarded: tuple[Array, Array, Array], b: NatBehavior) -> Played:
    """What is to be played next: frames from outside with the header they must have come with, the last play's choices as hints."""
    source = _sources(port, every, before)
    open_ = np.full(len(every), -1, np.int64)
    if len(forwarded[0]):
        k = np.minimum(np.searchsorted(forwarded[0], every), len(forwarded[0]) - 1)
        hit = inward & (forwarded[0][k] == every) & _of_opener(port, every)
        open_[hit] = k[hit]
        source[hit] = -1
    known = ~inward | (source >= 0) | (open_ >= 0)
    rows, source, open_, inward = every[known], source[known], open_[known], inward[known]
    traffic, quotes = _traffic(port, rows)
    v = before.verdicts
    told = np.flatnonzero(~inward & (source >= 0) & (traffic.kind != ERROR))  # the same choice as before, where it is free
    traffic.hint[told], traffic.hint_port[told] = v.src[source[told]], v.sport[source[told]]
    traffic.hint_kind[told] = int(Hint.SEEN)
    traffic.side[inward] = 1
    traffic.ttl[inward] = np.minimum(traffic.ttl[inward].astype(np.int64) + (0 if b.ttl_new else max(b.ttl_fall(1), 0)), 255)
    error = traffic.kind == ERROR
    mine = np.flatnonzero(inward & (source >= 0) & ~error)
    traffic.src[mine], traffic.dst[mine], traffic.proto[mine] = v.dst[source[mine]], v.src[source[mine]], v.proto[source[mine]]
    mine = mine[traffic.kind[mine] != NO_PORTS]
    traffic.sport[mine], traffic.dport[mine] = v.dport[source[mine]], v.sport[source[mine]]
    about = np.flatnonzero(inward & (source >= 0) & error)
    q, s = traffic.quote[about], source[about]
    traffic.dst[about] = v.src[s]
    quotes.src[q], quotes.dst[q], quotes.proto[q] = v.src[s], v.dst[s], v.proto[s]
    ported = quotes.kind[q] != NO_PORTS
    quotes.sport[q[ported]], quotes.dport[q[ported]] = v.sport[s[ported]], v.dport[s[ported]]
    quotes.kind[q[quotes.kind[q] == QUERY + 1]] = QUERY  # what was asked went out
    new = np.flatnonzero(open_ >= 0)
    traffic.hint[new], traffic.hint_port[new] = traffic.dst[new], traffic.dport[new]  # who it was led to, if several are behind a port
    traffic.hint_kind[new] = int(Hint.SEEN)
    traffic.dst[new] = forwarded[1][open_[new]]
    new = new[traffic.kind[new] == PORTS]
    traffic.dport[new] = forwarded[2][open_[new]]
    return Played(rows, traffic, quotes, Verdicts.empty(0), quotes)


def _of_opener(port: Port, rows: Array) -> Array:
    """(n,) whether the sender of these frames opened their conversation."""
    c = port.conversation[rows].astype(np.int64)
    client = np.append(np.maximum(port.conversations.client(), 0), 0)
    return np.asarray((c >= 0) & (port.reverse[rows] == client[c]))


def _run(next_: Played, behavior: NatBehavior, model: Callable[[NatBehavior], NatModel]) -> Played:
    """Let a model play what is prepared."""
    verdicts, inner = model(behavior).play(next_.traffic, next_.quotes)
    return Played(next_.rows, next_.traffic, next_.quotes, verdicts, inner)


def _traffic(port: Port, rows: Array) -> tuple[Traffic, Quotes]:
    return traffic_of((port,), np.zeros(len(rows), np.int64), rows, port.packets.time_ns[rows])


def _sessions(found: Forecast, port: Port) -> None:
    """One Leaving for each session that something leaves by."""
    v, p = found.verdicts, port.packets
    live = np.flatnonzero((v.disposition == int(Disposition.TRANSLATED)) & (v.session >= 0) & (p.flags[found.rows] & int(Flag.QUOTE) == 0))
    _, at, counts = np.unique(v.session[live], return_index=True, return_counts=True)
    for i, count in zip(live[at].tolist(), counts.tolist(), strict=True):
        r = int(found.rows[i])
        ported = bool(p.flags[r] & int(Flag.PORTS))
        found.sessions.append(
            Leaving(
                int(port.conversation[r]),
                int(p.proto[r]),
                (text(*p.src[r].tolist()), int(p.sport[r]) if ported else -1),
                (text(*v.src[i].tolist()), int(v.sport[i]) if ported else -1),
                (text(*v.dst[i].tolist()), int(v.dport[i]) if ported else -1),
                r + 1,
                count,
                int(v.choice[i]) in (int(Choice.FREE), int(Choice.HINTED)),
            )
        )
