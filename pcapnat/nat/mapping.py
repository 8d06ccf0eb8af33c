"""Mappings as seen: which inside endpoint was which outside endpoint, for how long, for how many conversations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..table import Array, Table, column
from .translation import Translations


class Mappings(Table):
    """One row per (protocol, inside endpoint, outside endpoint) that a rewritten end shows."""

    proto = column("uint8", "protocol above IP")
    inside = column("uint64", "address inside", width=2)
    outside = column("uint64", "address outside", width=2)
    inside_port = column("int32", "port or ICMP identifier inside, -1 for none")
    outside_port = column("int32", "port or ICMP identifier outside, -1 for none")
    static = column("uint8", "1 if conversations were opened through it from outside: a forwarded port or fixed address")
    first_ns = column("int64", "first frame inside", unit="ns since 1970-01-01 UTC")
    last_ns = column("int64", "last frame inside", unit="ns since 1970-01-01 UTC")
    start = column("int64", "where its translations begin in the list beside")
    count = column("int64", "how many translations use it")


def mappings(t: Translations) -> tuple[Mappings, Array]:
    """All mappings in the order they were first seen, and the list of translation rows that their start and count point into."""
    src, dst = np.flatnonzero(t.kind & 1), np.flatnonzero(t.kind & 2)
    row = np.concatenate([src, dst])
    if not len(row):
        return Mappings.empty(0), np.zeros(0, np.int64)
    # A hairpinned client asks for the outside endpoint, and the second copy has the inside one.
    turn = t.hairpin[dst] == 1
    inside = np.concatenate([t.inside_src[src], np.where(turn[:, None], t.outside_dst[dst], t.inside_dst[dst])])
    outside = np.concatenate([t.outside_src[src], np.where(turn[:, None], t.inside_dst[dst], t.outside_dst[dst])])
    in_port = np.concatenate([t.inside_sport[src], np.where(turn, t.outside_dport[dst], t.inside_dport[dst])])
    out_port = np.concatenate([t.outside_sport[src], np.where(turn, t.inside_dport[dst], t.outside_dport[dst])])
    # What a client outside asks for is a door somebody set up; what a client inside asks with is a mapping it made.
    static = np.concatenate([np.zeros(len(src), bool), (t.from_outside[dst] == 1) | (t.hairpin[dst] == 1)])
    key = np.column_stack([t.proto[row].astype(np.uint64), inside, outside, in_port.astype(np.uint64), out_port.astype(np.uint64)])
    order = np.lexsort((row, *key.T[::-1]))
    k = key[order]
    starts = np.flatnonzero(np.append(True, (k[1:] != k[:-1]).any(axis=1)))
    first = np.minimum.reduceat(t.first_ns[row[order]], starts)
    last = np.maximum.reduceat(t.last_ns[row[order]], starts)
    head = order[starts]
    table = Mappings(
        proto=t.proto[row[head]],
        inside=inside[head],
        outside=outside[head],
        inside_port=in_port[head],
        outside_port=out_port[head],
        static=np.maximum.reduceat(static[order], starts).astype(np.uint8),
        first_ns=first,
        last_ns=last,
        start=starts.astype(np.int64),
        count=np.diff(np.append(starts, len(order))).astype(np.int64),
    )
    return table.take(np.lexsort((row[head], first))), row[order]


@dataclass(frozen=True)
class PortUse:
    """What a NAT did with the source ports of conversations opened inside, per protocol (ICMP: identifiers)."""

    proto: int
    mappings: int
    preserved: int
    low: int
    high: int
    classes: dict[str, int]
    """Outside ports per IANA range."""


def port_use(m: Mappings, rows_of: Array, t: Translations) -> list[PortUse]:
    """Source ports of dynamic mappings made from inside, per protocol with ports; rows_of is what comes with the mappings."""
    from ..ports import CLASSES

    used = []
    made_inside = (m.static == 0) & (m.outside_port >= 0) & (t.from_outside[rows_of[m.start]] == 0)
    for proto in np.unique(m.proto[made_inside]).tolist():
        rows = made_inside & (m.proto == proto)
        ports = m.outside_port[rows]
        classes = {name: int(((ports >= low) & (ports <= high)).sum()) for name, (low, high) in CLASSES.items()}
        used.append(PortUse(proto, int(rows.sum()), int((ports == m.inside_port[rows]).sum()), int(ports.min()), int(ports.max()), classes))
    return used
