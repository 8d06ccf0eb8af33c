"""Translations: each matched pair of conversations as what a box made of it.

Reading taken: `src` is the end that opened the conversation, at both ports, so that "source" and "destination" mean
what RFC 2663 means by them: source NAT rewrites who asks, destination NAT rewrites who is asked.
"""

from __future__ import annotations

import numpy as np

from ..flow import Conversations, Crossing
from ..table import Array, Table, column
from ..terms import Finding, Translation
from ..wire import Flag

KINDS = (Translation.NONE, Translation.SOURCE, Translation.DESTINATION, Translation.BOTH)
"""By number: 1 for a rewritten source plus 2 for a rewritten destination."""


class Translations(Table):
    """One row per conversation that crossed the box; endpoints in the direction of who opened it."""

    proto = column("uint8", "protocol above IP")
    from_outside = column("uint8", "1 if it was opened from the outside")
    inside_src = column("uint64", "source address as seen inside", width=2)
    inside_dst = column("uint64", "destination address as seen inside", width=2)
    outside_src = column("uint64", "source address as seen outside", width=2)
    outside_dst = column("uint64", "destination address as seen outside", width=2)
    inside_sport = column("int32", "source port as seen inside, -1 for none")
    inside_dport = column("int32", "destination port as seen inside, -1 for none")
    outside_sport = column("int32", "source port as seen outside, -1 for none")
    outside_dport = column("int32", "destination port as seen outside, -1 for none")
    kind = column("uint8", "1 source rewritten, 2 destination, 3 both, 0 neither")
    hairpin = column("uint8", "1 if it entered and left the box at the inside port")
    inside_row = column("int64", "conversation at the inside port")
    outside_row = column("int64", "conversation at the outside port (inside port for a hairpin)")
    first_ns = column("int64", "first frame inside", unit="ns since 1970-01-01 UTC")
    last_ns = column("int64", "last frame inside", unit="ns since 1970-01-01 UTC")
    frames_inside = column("int64", "frames of the conversation inside")
    frames_outside = column("int64", "frames of the conversation outside")
    confidence = column("float64", "probability that the two are one")
    by = column("int64", "what the match rests on, see flow.By")
    ended = column("uint8", "1 if the box ends the TCP connection and has one of its own on the other side")
    ttl_falls = column("int8", "1 if the TTL is lower behind the box than before it, 0 if equal")


def translations(crossing: Crossing) -> Translations:
    """What the box made of each conversation that crossed it, in the order they began inside."""
    m = crossing.matches
    inside = crossing.here.conversations
    hairpin = m.hairpin == 1
    there = _ends(crossing, m.there, hairpin, m.flip == 1)
    here = [inside.a[m.here], inside.b[m.here], inside.a_port[m.here], inside.b_port[m.here]]
    client = inside.client()[m.here]
    other = crossing.there.conversations.client()
    far = np.full(len(m), -1, np.int64)
    far[~hairpin] = other[m.there[~hairpin]]
    far = np.where(far < 0, -1, far ^ m.flip)
    client = np.where(client >= 0, client, np.where(far >= 0, far, 0))
    swap = client == 1
    # From here on src is the client: outward as seen from it.
    outward = np.where(swap, -m.outward, m.outward)
    in_src, in_dst, in_sport, in_dport = _turned(here, swap)
    out_src, out_dst, out_sport, out_dport = _turned(there, swap)
    query = np.isin(inside.proto[m.here], (1, 58))
    # An ICMP identifier belongs to the host that asks; it stands at both ends, and only the source's counts.
    new_src = (in_src != out_src).any(axis=1) | (in_sport != out_sport)
    new_dst = (in_dst != out_dst).any(axis=1) | ((in_dport != out_dport) & ~query)
    kind = new_src.astype(np.uint8) + 2 * new_dst.astype(np.uint8)
    # Who is inside: the TTL tells; where it does not fall (switches, user-space NATs, edited captures) the rewritten end does.
    from_outside = np.where(outward != 0, outward < 0, new_dst & ~new_src) & ~hairpin
    # A hairpin's first copy is the one that still has the higher TTL.
    back = hairpin & (outward < 0)
    in_src, out_src = _exchange(in_src, out_src, back)
    in_dst, out_dst = _exchange(in_dst, out_dst, back)
    in_sport, out_sport = _exchange(in_sport, out_sport, back)
    in_dport, out_dport = _exchange(in_dport, out_dport, back)
    inside_row, outside_row = _exchange(m.here, m.there, back)
    outside_frames = np.zeros(len(m), np.int64)
    outside_frames[~hairpin] = _frames(crossing.there.conversations)[outside_row[~hairpin]]
    outside_frames[hairpin] = _frames(inside)[outside_row[hairpin]]
    table = Translations(
        proto=inside.proto[m.here],
        from_outside=from_outside.astype(np.uint8),
        inside_src=in_src,
        inside_dst=in_dst,
        outside_src=out_src,
        outside_dst=out_dst,
        inside_sport=in_sport,
        inside_dport=in_dport,
        outside_sport=out_sport,
        outside_dport=out_dport,
        kind=kind,
        hairpin=m.hairpin,
        inside_row=inside_row,
        outside_row=outside_row,
        first_ns=inside.first_ns[inside_row],
        last_ns=inside.last_ns[inside_row],
        frames_inside=_frames(inside)[inside_row],
        frames_outside=outside_frames,
        confidence=m.confidence(),
        by=m.by,
        ended=m.ended,
        ttl_falls=(m.outward != 0).astype(np.int8),
    )
    return table.take(np.lexsort((table.outside_row, table.inside_row, table.first_ns)))


def _ends(crossing: Crossing, rows: Array, hairpin: Array, flip: Array) -> list[Array]:
    """a, b and their ports of the conversations at the second port, turned so that a is a here."""
    ends: list[Array] = [
        np.zeros((len(rows), 2), np.uint64),
        np.zeros((len(rows), 2), np.uint64),
        np.zeros(len(rows), np.int32),
        np.zeros(len(rows), np.int32),
    ]
    for mask, c in ((hairpin, crossing.here.conversations), (~hairpin, crossing.there.conversations)):
        for end, values in zip(ends, (c.a, c.b, c.a_port, c.b_port), strict=True):
            end[mask] = values[rows[mask]]
    return _turned(ends, flip)


def _turned(ends: list[Array], swap: Array) -> list[Array]:
    a, b = _exchange(ends[0], ends[1], swap)
    a_port, b_port = _exchange(ends[2], ends[3], swap)
    return [a, b, a_port, b_port]


def _exchange(one: Array, other: Array, swap: Array) -> tuple[Array, Array]:
    mask = swap[:, None] if one.ndim == 2 else swap
    return np.where(mask, other, one), np.where(mask, one, other)


def _frames(c: Conversations) -> Array:
    return np.asarray(c.packets_ab + c.packets_ba)


def leaks(t: Translations) -> Array:
    """(n,) rows that crossed unchanged although the same conversation inside was translated before or after.

    They are no translations: a NAT whose mapping is gone, or whose rule does not match a stray segment, let them through.
    """
    translated = np.unique(t.inside_row[t.kind != 0])
    return np.asarray((t.kind == 0) & np.isin(t.inside_row, translated))


def turned(t: Translations) -> bool:
    """Whether the points were given from the outside in: hosts behind the second point leave under other addresses at the first."""
    source = (t.kind == 1) & (t.hairpin == 0)
    back = int((source & (t.from_outside == 1)).sum())
    return back >= TURNED and back >= 10 * (int(source.sum()) - back)


TURNED = 3
"""So many conversations tell the order of the points."""


def _wrapped(crossing: Crossing) -> int:
    """Frames that have headers around them at one of the points only."""
    f = crossing.frames
    differ = crossing.here.packets.flags[f.here] ^ crossing.there.packets.flags[f.there]
    return int((differ & int(Flag.TUNNEL) != 0).sum())


def box_kind(crossing: Crossing, t: Translations) -> Finding[str]:
    """What kind of box stands between the ports, as far as matched conversations tell."""
    n = len(t)
    if not n:
        return Finding(None, 0, 0, "no conversation was seen at both points")
    changed = int((t.kind != 0).sum())
    tcp, own = int((t.proto == 6).sum()), int(t.ended.sum())
    if own * 2 > tcp:
        return Finding("proxy", own, tcp - own, f"{own} of {tcp} TCP connections end at it, and it has others of its own behind it")
    if changed:
        return Finding("nat", changed, n - changed, f"{changed} of {n} conversations have other endpoints behind it")
    wrapped, frames = _wrapped(crossing), len(crossing.frames)
    if wrapped * 10 > 9 * frames:
        return Finding("tunnel", wrapped, frames - wrapped, f"{wrapped} of {frames} frames are in a tunnel on one side of it only")
    if int(t.ttl_falls.sum()) == n:
        return Finding("router", n, 0, "endpoints stay, the TTL falls")
    if not int(t.ttl_falls.sum()):
        return Finding("switch", n, 0, "endpoints and TTL stay: a switch, a bridge, or two points of one wire")
    return Finding(None, 0, 0, "endpoints stay, the TTL falls for some conversations only")
