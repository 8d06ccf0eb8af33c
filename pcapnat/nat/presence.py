"""Whether a NAT stands between one capture and the far ends, as what passes there says: STUN, SIP, FTP, ICMP quotes, address classes.

RFC 8489 (STUN), RFC 3581 (SIP's received and rport), RFC 5508 REQ-4 (quotes), RFC 1918, RFC 6598, RFC 4193 (addresses).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

import numpy as np

from ..address import PRIVATE, is_private, text
from ..flow import Port
from ..message import Messages
from ..message.carried import What
from ..table import Array
from ..terms import Finding
from ..wire import Flag

MOST = 20
"""Examples of one kind that are kept."""
MOST_CARRIED = 20_000
"""Addresses inside payloads that are looked at."""
TOLD_BACK = (What.STUN_MAPPED, What.SIP_RECEIVED)
OWN = (What.FTP_PORT, What.FTP_EPRT, What.FTP_PASV, What.SIP_VIA, What.SIP_CONTACT, What.SDP_MEDIA)
SHARED = ipaddress.ip_network("100.64.0.0/10")


@dataclass(frozen=True)
class Sign:
    """One sign: what it is, the address at this point and the one that was told, and the frame (from 1)."""

    kind: str
    here: str
    told: str
    port: int | None
    frame: int


@dataclass
class Presence:
    """What one point tells. beyond: a NAT between here and far ends; before: one between hosts and here. None: not told.

    outside: addresses that hosts here have beyond, inside: addresses that hosts have before this point.
    """

    beyond: Finding[bool]
    before: Finding[bool]
    signs: list[Sign] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)


def presence(port: Port, said: Messages) -> Presence:
    """The signs of one capture, and what they amount to."""
    beyond, before, none = _carried(port, said)
    quotes_beyond, quotes_before = _quotes(port)
    private, shared = _classes(port)
    beyond += quotes_beyond
    before += quotes_before
    count = len(beyond) + private
    notes = [f"{len(beyond)} answers and quotes tell another address than the host's"] if beyond else []
    notes += [f"{private} conversations of private addresses with public ones were answered"] if private else []
    notes += [f"addresses of 100.64.0.0/10, which carriers put behind a NAT of their own (RFC 6598): {shared}"] if shared else []
    if none:
        notes.append(f"{none} answers tell the address that the host has here")
    value = True if count else False if none and not shared else None
    told = ", ".join(sorted({s.kind for s in before}))
    return Presence(
        Finding(value, count or none, none if count else 0, "; ".join(notes) or "nothing here tells"),
        Finding(
            True if before else None, len(before), 0, f"other addresses than the packet's own in: {told}" if told else "nothing here tells"
        ),
        (beyond + before)[: 2 * MOST],
        sorted({s.told for s in beyond if s.kind in ("stun mapped", "sip received")})[:MOST],
        sorted({s.told for s in before})[:MOST],
    )


def _carried(port: Port, said: Messages) -> tuple[list[Sign], list[Sign], int]:
    """Signs of addresses inside payloads, and how many were told the address that they have here."""
    c, p = said.carried, port.packets
    beyond: list[Sign] = []
    before: list[Sign] = []
    same = 0
    for k in range(min(len(c), MOST_CARRIED)):
        address, row = (int(c.address[k, 0]), int(c.address[k, 1])), int(c.row[k])
        what = What(int(c.what[k]))
        if address == (0, 0) or row < 0 or row >= len(p):
            continue
        end = p.dst[row] if what in TOLD_BACK else p.src[row]
        here, told = text(int(end[0]), int(end[1])), text(*address)
        sign = Sign(what.label, here, told, int(c.port[k]) if c.port[k] >= 0 else None, row + 1)
        if what in TOLD_BACK:
            if told == here:
                same += 1
            elif (":" in told) == (":" in here) and not _unsaid(told):
                beyond.append(sign)
        elif what in OWN and told != here and is_private(told) and not is_private(here):
            before.append(sign)  # a public one may be a server's that is spoken of; a private one is nobody's out here
    return beyond, before, same


def _unsaid(address: str) -> bool:
    value = ipaddress.ip_address(address)
    return value.is_unspecified or value.is_loopback or value.is_link_local or value.is_multicast


def _quotes(port: Port) -> tuple[list[Sign], list[Sign]]:
    """ICMP errors whose quoted packet was sent by another address than the error goes to: a NAT left the quote as it was.

    A private address inside a quote belongs before this point, a public one beyond it.
    """
    p, q = port.packets, port.quoted
    differ = np.flatnonzero((p.dst[q.carrier] != q.src).any(axis=1)) if len(q) else np.zeros(0, np.int64)
    differ = differ[p.flags[q.carrier[differ]] & int(Flag.GROUP) == 0]
    beyond: list[Sign] = []
    before: list[Sign] = []
    for k in differ[:MOST].tolist():
        row = int(q.carrier[k])
        here, told = text(*p.dst[row].tolist()), text(*q.src[k].tolist())
        sign = Sign("icmp quote", here, told, int(q.sport[k]) if q.ports[k] else None, row + 1)
        if is_private(told) and not is_private(here):
            before.append(sign)
        elif is_private(here) and not is_private(told):
            beyond.append(sign)
    return beyond, before


def _classes(port: Port) -> tuple[int, int]:
    """Conversations of a private address with a public one that went both ways; and addresses of 100.64.0.0/10 among the former."""
    c = port.conversations
    rows = np.flatnonzero((c.packets_ab > 0) & (c.packets_ba > 0))
    a, b = _private(c.a[rows]), _private(c.b[rows])
    mixed = (a ^ b) & ((c.a[rows, 0] == 0) == (c.b[rows, 0] == 0)) & _public(np.where(a[:, None], c.b[rows], c.a[rows]))
    inner = np.where(a[:, None], c.a[rows], c.b[rows])[mixed]
    return int(mixed.sum()), len(np.unique(inner[_within(inner, str(SHARED))], axis=0))


def _v4(address: Array) -> Array:
    """(n,) whether each is an IPv4 address."""
    return np.asarray((address[:, 0] == 0) & (address[:, 1] >> np.uint64(32) == np.uint64(0xFFFF)))


def _within(address: Array, prefix: str) -> Array:
    """(n,) IPv4 addresses of a prefix."""
    net = ipaddress.ip_network(prefix)
    shift = np.uint64(32 - net.prefixlen)
    low = np.uint64(0xFFFF << 32 | int(net.network_address))
    return np.asarray((address[:, 0] == 0) & (address[:, 1] >> shift == low >> shift))


def _private(address: Array) -> Array:
    """(n,) addresses of RFC 1918, RFC 6598 and RFC 4193."""
    six = ~_v4(address) & (address[:, 0] >> np.uint64(57) == np.uint64(0x7E))
    return np.asarray(six | np.logical_or.reduce([_within(address, str(net)) for net in PRIVATE[4]]))


def _public(address: Array) -> Array:
    """(n,) addresses that may be anybody's: documentation prefixes are taken for such, as examples stand for the real thing."""
    never = np.logical_or.reduce([_within(address, net) for net in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")])
    four = _v4(address)
    return np.asarray(np.where(four, ~never & ~_private(address), address[:, 0] >> np.uint64(61) == np.uint64(1)))


def double_nat(outside: Array) -> Finding[bool]:
    """Whether a NAT's own outside addresses belong behind another one. outside: (n, 2) the addresses that hosts leave it with."""
    names = sorted({text(int(a[0]), int(a[1])) for a in np.unique(outside, axis=0)})
    if not names:
        return Finding(None, 0, 0, "no host left it under another address")
    private = [name for name in names if is_private(name)]
    if not private:
        return Finding(False, len(names), 0, "hosts leave it with public addresses")
    carrier = any(":" not in name and ipaddress.ip_address(name) in SHARED for name in private)
    why = ": 100.64.0.0/10 is carriers' own" if carrier else ""
    return Finding(True, len(private), len(names) - len(private), f"hosts leave it as {', '.join(private[:4])}, which are private{why}")
