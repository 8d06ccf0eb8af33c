"""Who is inside, where a model does not say: told from one capture by addresses, hop limits, and who opens conversations.

A station is a MAC address that sends (a router's stands for all whose frames it delivers), or an address where the link has none.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

import numpy as np

from ..address import PRIVATE, parse, text
from ..flow import Port
from ..table import Array
from ..wire import Flag

DIRECT = (32, 64, 128, 255)
"""TTLs that systems begin with: a frame that has one has passed no router yet."""
SPECIAL = ("0.0.0.0", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "::", "::1", "fe80::/10", "ff00::/8")
"""Addresses that tell nothing of who is inside: no host's own, or never forwarded."""
MOST_NAMED = 3


@dataclass
class Behind:
    """enters: (n,) frames that come from inside and go to somebody who is not. answers: (n,) frames from elsewhere to who is inside.
    stays: (n,) frames from inside to inside, or to and from the box itself. near: (n,) of the answers those from addresses in a network of
    hosts inside, which the box must have turned round or made. says: what was taken for inside, and why.
    """

    enters: Array
    answers: Array
    stays: Array
    near: Array
    says: str


def behind(port: Port, prefixes: tuple[str, ...]) -> Behind:
    """Which frames of a capture enter a box from inside. prefixes: whose sources are translated, if that is known; only if they tell
    some senders from others do they say who is inside.
    """
    p = port.packets
    whole = (p.flags & int(Flag.IP) != 0) & (p.flags & int(Flag.SHORT) == 0)
    found, number = np.unique(p.src[whole], axis=0, return_inverse=True)
    host = np.full(len(p), -1, np.int64)
    host[whole] = np.ravel(number)
    plain = ~within(found, SPECIAL)
    six = ~within(found, ("0.0.0.0/0",))
    private = within(found, tuple(str(net) for nets in PRIVATE.values() for net in nets))
    translated, named = within(found, prefixes), np.zeros(len(found), bool)
    for family in (plain & six, plain & ~six):  # prefixes that hold everybody, or nobody, tell nothing
        if translated[family].any() and not translated[family].all():
            private[family], named[family] = translated[family], True
    rows = np.flatnonzero(whole)
    rows = rows[plain[host[rows]]]
    macs, station = np.unique(p.eth_src[rows], return_inverse=True)
    by_mac = len(macs) > 1 and bool(macs.all())
    station = np.ravel(station) if by_mac else host[rows]
    count = len(macs) if by_mac else len(found)
    outer = np.zeros(count, bool)
    why: dict[str, str] = {}
    telling = [(v, rows[six[host[rows]] == (v == 6)], station[six[host[rows]] == (v == 6)]) for v in (4, 6)]
    for version, mine, at in telling:  # where public and private senders are told apart, that settles what the station is
        public = _any(at, ~private[host[mine]], count)
        mixed = _any(at, private[host[mine]], count) & ~public
        by_name = bool(named[host[mine]].any())
        if by_name or (public.any() and mixed.any()):
            outer |= public
            why[f"IPv{version}"] = "the model's inside prefixes" if by_name else "private addresses"
    for version, mine, at in telling:
        if not len(mine) or f"IPv{version}" in why:
            continue
        known = np.unique(at)
        if by_mac and outer[known].any() and not outer[known].all():
            why[f"IPv{version}"] = "who sends from the MAC addresses of these"
            continue
        score = _score(port, mine, at, count)
        outer |= (score <= 0) & np.isin(np.arange(count), known) & (np.max(score[known]) > 0)
        why[f"IPv{version}"] = "who opens conversations, and whose hop limits are whole"
    inner = np.zeros(len(p), bool)
    inner[rows] = ~outer[station]
    inner &= np.append(private | ~named, False)[host]
    inside = np.zeros(len(found), bool)
    inside[host[inner]] = True
    own = _own(p.ttl, rows[outer[station]], host, found, inside)
    at_home = {bytes(a) for a in found[inside | own]}
    aims, back = np.unique(p.dst[whole], axis=0, return_inverse=True)
    home = np.zeros(len(p), bool)
    home[whole] = np.array([bytes(a) in at_home for a in aims], bool)[np.ravel(back)]
    outward = whole & inner & ~home
    sent = np.zeros(len(p), bool)
    sent[rows] = outer[station]
    from_own = np.append(own, False)[host]  # -1 is nobody
    to_inside = np.zeros(len(p), bool)
    hosts = {bytes(a) for a in found[inside]}
    to_inside[whole] = np.array([bytes(a) in hosts for a in aims], bool)[np.ravel(back)]
    answers = sent & to_inside & ~from_own
    near = answers & np.append(np.isin(_net(found), _net(found)[inside]), False)[host]
    return Behind(outward, answers, (inner & home) | (sent & from_own), near, _says(found[inside], why))


def within(addresses: Array, prefixes: tuple[str, ...]) -> Array:
    """(n,) which addresses lie in any of some prefixes."""
    found = np.zeros(len(addresses), bool)
    for prefix in prefixes:
        mask, base = words(ipaddress.ip_network(prefix, strict=False))
        found |= ((addresses & mask) == base).all(axis=1)
    return found


def words(net: ipaddress.IPv4Network | ipaddress.IPv6Network) -> tuple[Array, Array]:
    """Mask and address of a prefix as the words of an address column."""
    bits = net.prefixlen + (96 if net.version == 4 else 0)
    mask = (1 << 128) - (1 << (128 - bits))
    return np.array([mask >> 64, mask & (1 << 64) - 1], np.uint64), np.array(parse(str(net.network_address)), np.uint64)


def _any(station: Array, what: Array, count: int) -> Array:
    """(count,) stations of which something is so."""
    return np.asarray(np.bincount(station[what], minlength=count) > 0)


def _score(port: Port, rows: Array, station: Array, count: int) -> Array:
    """(count,) how much speaks for a station's being inside: it opens conversations (-1 to 1), its frames come from near (-1 to 1)."""
    c, p = port.conversations, port.packets
    of = port.conversation[rows]
    known = of >= 0
    client = c.client()
    asks = np.zeros(len(rows), np.int64)
    opener = np.where(client[of[known]] < 0, 0, client[of[known]])
    asks[known] = np.where(port.reverse[rows[known]] == opener, 1, -1)
    # Each conversation counts once a station, not by its frames.
    key = station[known] * (len(c) + 1) + of[known]
    _, once = np.unique(key, return_index=True)
    voters = np.flatnonzero(known)[once]
    total = np.maximum(np.bincount(station[voters], minlength=count), 1)
    opens = np.bincount(station[voters], asks[voters], minlength=count) / total
    near = np.bincount(station, np.where(np.isin(p.ttl[rows], DIRECT), 1.0, -1.0), minlength=count)
    return np.asarray(opens + near / np.maximum(np.bincount(station, minlength=count), 1))


def _own(ttl: Array, rows: Array, host: Array, found: Array, inside: Array) -> Array:
    """(hosts,) addresses of the box itself: in the network of an inside host, sent by the box with a whole TTL."""
    far = np.zeros(len(found), bool)
    far[host[rows[~np.isin(ttl[rows], DIRECT)]]] = True
    sends = np.zeros(len(found), bool)
    sends[host[rows]] = True
    net = _net(found)
    return np.asarray(sends & ~far & ~inside & np.isin(net, net[inside]))


def _net(found: Array) -> Array:
    """The /24 (IPv4) or /64 of addresses, which is customary."""
    four = (found[:, 0] == 0) & (found[:, 1] >> np.uint64(32) == np.uint64(0xFFFF))
    return np.asarray(np.where(four, found[:, 1] >> np.uint64(8), found[:, 0]))


def _says(hosts: Array, why: dict[str, str]) -> str:
    """What was taken for inside, for a reader."""
    if not len(hosts):
        return "nobody was found to be inside: a model file's `inside` names the prefixes"
    names = [text(int(a[0]), int(a[1])) for a in hosts[:MOST_NAMED]]
    more = f" and {len(hosts) - len(names)} more" if len(hosts) > len(names) else ""
    reasons = list(dict.fromkeys(why.values()))
    because = reasons[0] if len(reasons) == 1 else "; ".join(f"{version}: {reason}" for version, reason in why.items())
    return f"taken for inside: {', '.join(names)}{more}, by {because}"
