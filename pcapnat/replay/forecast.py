"""What a model would do with the traffic of one capture, taken inside: a forecast, without any capture from outside."""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from ..address import text
from ..flow import Port
from ..model import ERROR, NO_PORTS, REASONS, Choice, Disposition, Hint, NatModel, Quotes, Traffic, Verdicts
from ..nat.behavior import NatBehavior
from ..table import Array
from ..wire import Flag
from .entered import traffic_of

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
"""Whose addresses are taken for inside where the model names none (RFC 1918, 6598, 4193)."""
STAND_IN = ("203.0.113.1", "2001:db8::1")
"""Outside addresses where the model names none (RFC 5737, 3849)."""


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
class Forecast:
    """Verdicts on what enters inside (rows: in the port's packets), and on its answers, which are taken as sent to where it left from."""

    behavior: NatBehavior
    rows: Array
    verdicts: Verdicts
    answers: int
    answers_in: int
    sessions: list[Leaving] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Frames from inside by what becomes of them."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Those dropped, by reason."""
    notes: list[str] = field(default_factory=list)


def forecast(port: Port, behavior: NatBehavior) -> Forecast:
    """Play the frames that enter at an inside point.

    A frame enters if its source is inside (the model's prefixes, else private addresses) and it has not the MAC address of the
    box, which is the one that delivers other sources' frames. Answers are played after their conversation's endpoint is known.
    """
    p = port.packets
    flags = p.flags
    whole = (flags & int(Flag.IP) != 0) & (flags & int(Flag.SHORT) == 0)
    prefixes = behavior.inside or PRIVATE
    owned = _within(p.src, whole, prefixes)
    macs = np.unique(p.eth_src[whole & ~owned])
    enters = whole & owned & ~(np.isin(p.eth_src, macs) & (p.eth_src != 0))
    notes = [] if behavior.inside else ["the model names no inside prefixes: private addresses are taken for inside"]
    if not behavior.addresses:
        v6 = bool((p.src[enters, 0] != 0).any())
        behavior = replace(behavior, addresses=STAND_IN if v6 else STAND_IN[:1])
        notes.append(f"the model names no outside address: {' and '.join(behavior.addresses)} stands for it")
    rows = np.flatnonzero(enters)
    rows = rows[np.argsort(p.time_ns[rows], kind="stable")]
    if not len(rows):
        notes.append("no frame has a source that is inside: a model file's `inside` names the prefixes")
    first, _ = NatModel(behavior).play(*_traffic(port, rows))
    left = (first.disposition == int(Disposition.TRANSLATED)) & (first.session >= 0) & (first.side == 1)
    # Where each conversation leaves from, so that its answers can be sent there: its first frame's endpoint.
    c = port.conversation[rows]
    known = np.full(len(port.conversations) + 1, -1, np.int64)
    there = np.flatnonzero(left & (c >= 0) & (p.flags[rows] & int(Flag.QUOTE) == 0))[::-1]
    known[c[there]] = there
    back = np.flatnonzero(whole & ~owned & (known[port.conversation] >= 0) & (port.conversation >= 0) & (flags & int(Flag.QUOTE) == 0))
    verdicts = first
    answers_in = 0
    if len(back):
        every = np.concatenate([rows, back])
        order = np.argsort(p.time_ns[every], kind="stable")
        traffic, quotes = _traffic(port, every[order])
        answer = (order >= len(rows)) & (traffic.kind != ERROR)
        source = known[port.conversation[every[order]]]
        mine = np.flatnonzero(answer)
        traffic.side[mine] = 1
        traffic.src[mine], traffic.dst[mine] = first.dst[source[mine]], first.src[source[mine]]
        ports = traffic.kind[mine] != NO_PORTS
        traffic.sport[mine[ports]], traffic.dport[mine[ports]] = first.dport[source[mine[ports]]], first.sport[source[mine[ports]]]
        traffic.ttl[mine] = np.minimum(traffic.ttl[mine].astype(np.int64) + behavior.ttl_step, 255)
        told = np.flatnonzero(~answer & (source >= 0))  # the same choice as before, where it is free
        traffic.hint[told], traffic.hint_port[told] = first.src[source[told]], first.sport[source[told]]
        traffic.hint_kind[told] = int(Hint.SEEN)
        both, _ = NatModel(behavior).play(traffic, quotes)
        verdicts = both.take(~answer)
        answers_in = int(np.isin(both.disposition[mine], (int(Disposition.TRANSLATED), int(Disposition.FORWARDED))).sum())
    found = Forecast(behavior, rows, verdicts, len(back), answers_in, notes=notes)
    for kind in Disposition:
        found.counts[kind.name.lower()] = int((verdicts.disposition == int(kind)).sum())
    lost = verdicts.reason[verdicts.disposition == int(Disposition.DROPPED)]
    found.dropped.update({REASONS[int(r)].value: int(n) for r, n in zip(*np.unique(lost, return_counts=True), strict=True)})
    _sessions(found, port)
    return found


def _traffic(port: Port, rows: Array) -> tuple[Traffic, Quotes]:
    return traffic_of((port,), np.zeros(len(rows), np.int64), rows, port.packets.time_ns[rows])


def _within(addresses: Array, mask: Array, prefixes: tuple[str, ...]) -> Array:
    """Which of the addresses under the mask lie in the prefixes."""
    nets = [ipaddress.ip_network(prefix, strict=False) for prefix in prefixes]
    found, inverse = np.unique(addresses[mask], axis=0, return_inverse=True)
    inside = np.array([any(ipaddress.ip_address(text(int(a[0]), int(a[1]))) in net for net in nets) for a in found], bool)
    out = np.zeros(len(addresses), bool)
    if len(found):
        out[mask] = inside[np.ravel(inverse)]
    return out


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
