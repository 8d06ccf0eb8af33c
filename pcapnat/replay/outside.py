"""A forecast from outside: what a model lets in of what comes to its outside addresses. Who is inside, such a capture does not tell.

What leaves the box is played as if from a host whose endpoint is the outside one, so that sessions, times and filters are as they were;
what comes is let in as an answer, to a forwarded port, or not.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import replace

import numpy as np

from ..address import text
from ..flow import Port
from ..model import ERROR, QUERY, REASONS, Disposition, Hint, NatModel
from ..nat.behavior import MOST_STATIC, NatBehavior
from ..terms import PcapnatError
from ..wire import Flag
from .behind import behind
from .entered import traffic_of
from .forecast import Forecast, Played, outsides


def is_outside(port: Port, behavior: NatBehavior) -> bool:
    """Whether most packets of a capture are from or to the model's outside addresses."""
    if not behavior.addresses:
        return False
    p = port.packets
    whole = p.flags & int(Flag.IP) != 0
    ours, total = 0, max(1, int(whole.sum()))
    for name in ("src", "dst"):
        found, counts = np.unique(getattr(p, name)[whole], axis=0, return_counts=True)
        nets = [
            ipaddress.ip_network(a, strict=False)
            for a in (*behavior.addresses, *(a for rule in behavior.static for a in outsides(rule, behavior)))
        ]
        for address, n in zip(found.tolist(), counts.tolist(), strict=True):
            ours += n * any(ipaddress.ip_address(text(*address)) in net for net in nets)
    return ours * 2 > total


def forecast_outside(port: Port, behavior: NatBehavior) -> Forecast:
    """Play what a capture from outside shows. Raises PcapnatError if the model names no outside address and the capture shows none."""
    notes = ["a capture from outside: each outside endpoint stands for a host of its own, as who is inside is not told"]
    if not behavior.addresses:
        own = _openers(port)
        if not own:
            raise PcapnatError(f"{port.name}: nothing tells which outside addresses are the box's: a model file's `addresses` names them")
        behavior = replace(behavior, addresses=own)
        notes.append(f"the model names no outside address: {', '.join(own[:4])} taken, by who opens conversations")
    who = behind(port, (*behavior.addresses, *(a for rule in behavior.static for a in outsides(rule, behavior))))
    behavior = replace(behavior, inside=())
    rows = np.flatnonzero(who.enters | who.answers)
    rows = rows[np.argsort(port.packets.time_ns[rows], kind="stable")]
    traffic, quotes = traffic_of((port,), np.zeros(len(rows), np.int64), rows, port.packets.time_ns[rows])
    inward = who.answers[rows]
    traffic.side[inward] = 1
    step = 0 if behavior.ttl_new else max(behavior.ttl_fall(0), 0)
    traffic.ttl[~inward] = np.minimum(traffic.ttl[~inward].astype(np.int64) + step, 255)
    mine = np.flatnonzero(~inward & (traffic.kind != ERROR))
    traffic.hint[mine], traffic.hint_port[mine], traffic.hint_kind[mine] = traffic.src[mine], traffic.sport[mine], int(Hint.SEEN)
    about = traffic.quote[inward & (traffic.kind == ERROR)]
    quotes.kind[about[quotes.kind[about] == QUERY + 1]] = QUERY
    verdicts, inner = NatModel(behavior).play(traffic, quotes)
    played = Played(rows, traffic, quotes, verdicts, inner)
    found = Forecast(behavior, who, played, rows[~inward], verdicts.take(~inward), int(inward.sum()), int((played.out & inward).sum()))
    found.from_outside, found.notes = True, notes
    out = found.verdicts
    for kind in Disposition:
        found.counts[kind.name.lower()] = int((out.disposition == int(kind)).sum())
    lost = out.reason[out.disposition == int(Disposition.DROPPED)]
    found.dropped = Counter({REASONS[int(r)].value: int(n) for r, n in zip(*np.unique(lost, return_counts=True), strict=True)})
    shut = verdicts.reason[inward & ~played.out]
    found.dropped_in = Counter({REASONS[int(r)].value: int(n) for r, n in zip(*np.unique(shut, return_counts=True), strict=True)})
    return found


def _openers(port: Port) -> tuple[str, ...]:
    """The addresses that open more conversations than they answer; if links have MAC addresses, those of the one that opens most."""
    p, c = port.packets, port.conversations
    client = np.maximum(c.client(), 0)
    score: dict[tuple[int, int, int], int] = {}
    for k, row in enumerate(c.first_row.tolist()):
        for end, address in enumerate((c.a[k], c.b[k])):
            from_end = port.reverse[row] == end
            mac = int(p.eth_src[row] if from_end else p.eth_dst[row])
            key = (mac, int(address[0]), int(address[1]))
            score[key] = score.get(key, 0) + (1 if client[k] == end else -1)
    opens = {key: n for key, n in score.items() if n > 0}
    by_mac: Counter[int] = Counter()
    for (mac, _, _), n in opens.items():
        by_mac[mac] += n
    best = by_mac.most_common(1)[0][0] if by_mac else 0
    return tuple(text(high, low) for mac, high, low in opens if mac == best)[:MOST_STATIC]
