"""Which header fields the box changes, by frames that were seen on both sides."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..flow import Crossing, How
from ..table import Array
from ..terms import Finding
from ..wire import Flag
from .translation import Translations

LEAST = 3
"""Frames that show a field, below which it is left out."""
STRAY = 0.01
"""Share of frames that may differ because a copy sent again was taken for the one that was lost."""


def fields_changed(crossing: Crossing, t: Translations) -> Finding[dict[str, Any]]:
    """Names as in Wireshark: ip.ttl the usual difference behind the box, others whether they ever differ.

    Where no difference of the TTL is usual, ip.ttl.outbound and ip.ttl.inbound are those of one way, null in a box that sets TTLs anew.

    Addresses and ports are not among them: they are what translations are about. The note counts the frames that differ.
    """
    f = crossing.frames
    rows = np.flatnonzero((crossing.matches.hairpin[f.match] == 0) & ~np.isin(f.how, (int(How.PART), int(How.COPY))))
    if len(rows) < LEAST:
        return Finding(None, 0, 0, "too few frames were seen on both sides")
    a, b = crossing.here.packets, crossing.there.packets
    i, j = f.here[rows], f.there[rows]
    outward = crossing.matches.outward[f.match[rows]].astype(np.int64) * np.where(crossing.here.reverse[i] == 1, -1, 1)
    both = a.flags[i] & b.flags[j]
    asked = _way(crossing, t)[crossing.here.conversation[i]] * np.where(crossing.here.reverse[i] == 1, -1, 1)
    outward = np.where(outward != 0, outward, asked)
    outward[a.flags[i] & int(Flag.QUOTE) != 0] = 0  # an error goes the other way than what it is about
    v6 = (a.flags[i] | b.flags[j]) & int(Flag.V6) != 0
    tcp, ip = both & int(Flag.TCP) != 0, both & int(Flag.IP) != 0
    syn = tcp & (a.tcp_flags[i] & 2 != 0)
    value: dict[str, Any] = {}
    count: dict[str, tuple[int, int]] = {}

    def differs(name: str, mask: Array, one: Array, other: Array) -> None:
        n = int(mask.sum())
        if n >= LEAST:
            changed = int((one[mask] != other[mask]).sum())
            value[name], count[name] = changed > STRAY * n, (changed, n)

    step = (b.ttl[j].astype(np.int64) - a.ttl[i]) * outward
    known = step[ip & (outward != 0)]
    if len(known) >= LEAST:
        steps, often = np.unique(known, return_counts=True)
        usual = int(steps[np.argmax(often)])
        count["ip.ttl"] = int(often.max()), len(known)
        if often.max() >= 0.9 * len(known):
            value["ip.ttl"] = usual
        else:
            anew = int((known > 0).sum()) > STRAY * len(known)  # no router raises it
            for name, way in (("ip.ttl.outbound", 1), ("ip.ttl.inbound", -1)):
                value[name] = None if anew else _usual(step[ip & (outward == way)])
    elif not int((a.ttl[i][ip] != b.ttl[j][ip]).sum()) and int(ip.sum()) >= LEAST:
        value["ip.ttl"], count["ip.ttl"] = 0, (int(ip.sum()), int(ip.sum()))
    differs("eth.src", (a.eth_src[i] != 0) & (b.eth_src[j] != 0), a.eth_src[i], b.eth_src[j])
    differs("eth.dst", (a.eth_dst[i] != 0) & (b.eth_dst[j] != 0), a.eth_dst[i], b.eth_dst[j])
    differs("vlan.id", ip & ((a.flags[i] | b.flags[j]) & int(Flag.VLAN) != 0), a.vlan[i], b.vlan[j])
    differs("ip.id", ip & ~v6, a.ip_id[i], b.ip_id[j])
    differs("ip.dsfield", ip, a.tos[i], b.tos[j])
    differs("tcp.seq", tcp, a.seq[i], b.seq[j])
    differs("tcp.ack", tcp & (a.tcp_flags[i] & 16 != 0), a.ack[i], b.ack[j])
    differs("tcp.flags", tcp, a.tcp_flags[i], b.tcp_flags[j])
    differs("tcp.window_size_value", tcp, a.window[i], b.window[j])
    for name, flag, column in (
        ("tcp.options.mss", Flag.MSS, "mss"),
        ("tcp.options.wscale", Flag.WSCALE, "wscale"),
        ("tcp.options.timestamp.tsval", Flag.TIMESTAMPS, "tsval"),
    ):
        has = [p.flags[k] & int(flag) != 0 for p, k in ((a, i), (b, j))]
        # An option that one side lacks was put in or taken out.
        values = [np.where(h, getattr(p, column)[k].astype(np.int64), -1) for h, p, k in zip(has, (a, b), (i, j), strict=True)]
        differs(name, (syn if flag != Flag.TIMESTAMPS else tcp) & (has[0] | has[1]), *values)
    differs("tcp.options.sack_perm", syn, a.flags[i] & int(Flag.SACK_OK), b.flags[j] & int(Flag.SACK_OK))
    whole = ip & (a.payload_len[i] > 0) & (b.payload_len[j] > 0) & (a.digest[i] != 0) & (b.digest[j] != 0)
    changed = (f.how[rows] == int(How.CHANGED)) | (a.payload_len[i] != b.payload_len[j])
    differs("payload", whole, changed, np.zeros(len(rows), bool))
    if "payload" in count:
        value["payload"] = count["payload"][0] > 0  # such pairs were made for that reason
    if not value:
        return Finding(None, 0, 0, "too few frames were seen on both sides")
    note = "; ".join(f"{name} {n} of {total}" for name, (n, total) in count.items() if n)
    return Finding(value, len(rows), 0, f"frames: {note}" if note else f"nothing differs in {len(rows)} frames")


def _usual(steps: Array) -> int | None:
    """The difference of the TTL that nine of ten frames of one way have."""
    if len(steps) < LEAST:
        return None
    found, often = np.unique(steps, return_counts=True)
    return int(found[np.argmax(often)]) if often.max() >= 0.9 * len(steps) else None


def _way(crossing: Crossing, t: Translations) -> Array:
    """Per conversation at the first point, and a last one for none: 1 if its a sends outwards, -1 inwards, by whose end was rewritten."""
    c = crossing.here.conversations
    way = np.zeros(len(c) + 1, np.int64)
    told = (t.hairpin == 0) & (t.kind != 0) & (c.client()[t.inside_row] >= 0)
    rows = t.inside_row[told]
    way[rows] = np.where((t.from_outside[told] == 1) ^ (c.client()[rows] == 1), -1, 1)
    return way
