"""ARP and neighbor discovery, all messages at once: a storm may bring as many as are picked.

RFC 826, RFC 903 (RARP), RFC 5227; RFC 4861, RFC 4862, RFC 8106.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..address import text
from ..table import Array
from .event import V4, Detail, Event, EventKind, LinkEvents, frame_columns
from .excerpt import Excerpts

FOREVER = 0xFFFFFFFF
OPTIONS = 8
"""Options of an NDP message that are looked at."""
MOST_LISTED = 8
"""Prefixes and servers of one router advertisement that are kept."""


def number(data: Array, at: Array, size: int) -> Array:
    """The big-endian numbers of `size` bytes at each of some places."""
    value = np.zeros(len(at), np.uint64)
    for k in range(size):
        value = value << np.uint64(8) | data[at + k]
    return value


def address6(data: Array, at: Array) -> Array:
    """The IPv6 addresses at some places, (n, 2)."""
    return np.column_stack([number(data, at, 8), number(data, at + 8, 8)])


ATM, FIREWIRE = 19, 24
"""Hardware types whose messages are laid out otherwise: RFC 2225 8.1 (not read), RFC 2734 5 (a target is known by its IP address alone)."""


def arp(e: Excerpts, data: Array, rows: Array) -> tuple[LinkEvents, Array]:
    """ARP and RARP for IPv4: events, and which of `rows` made sense. Hardware addresses of other than six bytes are 0."""
    good = e.size[rows] >= 16
    at = e.start[rows[good]]
    hardware, length = number(data, at, 2).astype(np.int64), data[at + 4].astype(np.int64)
    to_target = np.where(hardware == FIREWIRE, 12 + length, 12 + 2 * length)
    known = (number(data, at + 2, 2) == 0x0800) & (data[at + 5] == 4) & (hardware != ATM) & (e.size[rows[good]] >= to_target + 4)
    good[good] = known
    rows, at, length, to_target = rows[good], at[known], length[known], to_target[known]
    operation = number(data, at + 6, 2).astype(np.int64)
    sender, target = number(data, at + 8 + length, 4), number(data, at + to_target, 4)
    six = length == 6
    sender_hw, target_hw = np.zeros(len(rows), np.uint64), np.zeros(len(rows), np.uint64)
    sender_hw[six], target_hw[six] = number(data, at[six] + 8, 6), number(data, at[six] + 18, 6)
    kind = np.full(len(rows), EventKind.ARP_OTHER, np.uint8)
    plain = e.ethertype[rows] == 0x0806
    kind[plain & (operation == 1)] = EventKind.ARP_REQUEST
    kind[plain & (operation == 2)] = EventKind.ARP_REPLY
    kind[plain & (operation <= 2) & (operation >= 1) & (sender == target)] = EventKind.ARP_GRATUITOUS
    kind[plain & (operation == 1) & (sender == 0) & (target != 0)] = EventKind.ARP_PROBE
    kind[operation == 3] = EventKind.RARP_REQUEST
    kind[operation == 4] = EventKind.RARP_REPLY
    zeros = np.zeros(len(rows), np.uint64)
    events = LinkEvents(
        **frame_columns(e, rows),
        kind=kind,
        sender_hw=sender_hw,
        target_hw=target_hw,
        sender=np.column_stack([zeros, sender | np.uint64(V4)]),
        target=np.column_stack([zeros, target | np.uint64(V4)]),
    )
    return events, good


TYPES = {
    133: (EventKind.ROUTER_SOLICITATION, 8),
    134: (EventKind.ROUTER_ADVERTISEMENT, 16),
    135: (EventKind.NEIGHBOR_SOLICITATION, 24),
    136: (EventKind.NEIGHBOR_ADVERTISEMENT, 24),
    137: (EventKind.REDIRECT, 40),
}
"""By ICMPv6 type: the kind, and where options begin."""


def ndp(e: Excerpts, data: Array, rows: Array) -> tuple[LinkEvents, Array]:
    """Neighbor discovery: events, and which of `rows` made sense."""
    icmp = np.zeros(len(rows), np.uint8)
    icmp[e.size[rows] > 0] = data[e.start[rows[e.size[rows] > 0]]]
    fixed = np.zeros(256, np.int64)
    kinds = np.zeros(256, np.uint8)
    for kind, (event, head) in TYPES.items():
        kinds[kind], fixed[kind] = event, head
    good = (e.size[rows] >= fixed[icmp]) & (fixed[icmp] > 0)
    rows, icmp = rows[good], icmp[good]
    at, end = e.start[rows], e.start[rows] + e.size[rows]
    kind = kinds[icmp]
    src, dst = e.src[rows], e.dst[rows]
    named = np.isin(icmp, (135, 136, 137))
    subject = np.zeros((len(rows), 2), np.uint64)
    subject[named] = address6(data, at[named] + 8)
    nobody = (src == 0).all(axis=1)
    kind[(icmp == 135) & nobody] = EventKind.DUPLICATE_ADDRESS_DETECTION
    kind[(icmp == 136) & (data[np.minimum(at + 4, end - 1)] & 0x40 == 0)] = EventKind.UNSOLICITED_ADVERTISEMENT
    claims = (icmp == 136)[:, None]
    source, target = _link_addresses(data, at + fixed[icmp], end)
    none = np.zeros(len(rows), np.uint64)
    events = LinkEvents(
        **frame_columns(e, rows),
        kind=kind,
        sender_hw=np.where(icmp == 136, target, source),
        target_hw=np.where(icmp == 137, target, none),
        sender=np.where(claims, subject, src),
        target=np.where(claims, dst, subject),
    )
    return events, good


def _link_addresses(data: Array, at: Array, end: Array) -> tuple[Array, Array]:
    """Source and target link-layer address options (RFC 4861 4.6.1) of each message, 0 where there is none."""
    source, target = np.zeros(len(at), np.uint64), np.zeros(len(at), np.uint64)
    left = np.arange(len(at))
    for _ in range(OPTIONS):
        left = left[at[left] + 8 <= end[left]]
        here = at[left]
        kind, units = data[here], data[here + 1].astype(np.int64)
        for found, number_of in ((source, 1), (target, 2)):
            mine = (kind == number_of) & (units == 1)
            found[left[mine]] = number(data, here[mine] + 2, 6)
        at = at.copy()
        at[left] += 8 * units
        left = left[units > 0]
    return source, target


def router(data: bytes) -> Event:
    """What a router advertisement tells besides addresses (RFC 4861 4.2, RFC 8106): lifetime, prefixes, MTU, name servers."""
    flags = data[5]
    details: dict[str, Detail] = {"hop_limit": data[4], "lifetime_s": int.from_bytes(data[6:8], "big")}
    details |= {name: 1 for bit, name in ((0x80, "managed"), (0x40, "other_configuration")) if flags & bit}
    lists: dict[str, list[str]] = {}
    for kind, body in _options(data, 16):
        _router_option(kind, body, details, lists)
    details |= {name: texts[:MOST_LISTED] for name, texts in lists.items()}
    return Event(EventKind.ROUTER_ADVERTISEMENT, details=details)


def _router_option(kind: int, body: bytes, details: dict[str, Detail], lists: dict[str, list[str]]) -> None:
    if kind == 3 and len(body) >= 30:
        valid = int.from_bytes(body[2:6], "big")
        marks = ("on-link", "autonomous")
        said = [name for bit, name in zip((0x80, 0x40), marks, strict=True) if body[1] & bit]
        lists.setdefault("prefixes", []).append(f"{_address(body[14:30])}/{body[0]}")
        details.setdefault("prefix_flags", ", ".join(said))
        details.setdefault("prefix_lifetime_s", "forever" if valid == FOREVER else valid)
    elif kind == 5 and len(body) >= 6:
        details["mtu"] = int.from_bytes(body[2:6], "big")
    elif kind == 24 and len(body) >= 6:
        prefix = body[6:22].ljust(16, b"\0")
        lists.setdefault("routes", []).append(f"{_address(prefix)}/{body[0]}")
    elif kind == 25:
        lists.setdefault("dns_servers", []).extend(_address(body[k : k + 16]) for k in range(6, len(body) - 15, 16))


def redirect(data: bytes) -> Event:
    """Where a redirect sends what (RFC 4861 4.5)."""
    return Event(EventKind.REDIRECT, details={"destination": _address(data[24:40])})


def _options(data: bytes, at: int) -> Any:
    """(type, body) of the options from `at` on; the body of one that is cut off is short."""
    while at + 2 <= len(data) and data[at + 1]:
        size = 8 * data[at + 1]
        yield data[at], data[at + 2 : at + size]
        at += size


def _address(octets: bytes) -> str:
    if len(octets) < 16:
        raise ValueError("an address is cut off")
    return text(int.from_bytes(octets[:8], "big"), int.from_bytes(octets[8:16], "big"))
