"""Tunnels: whether what follows an IP or UDP header is a packet of its own, and where.

By protocol number, or by a registered UDP port and a header that makes sense: a nonce on port 4789 is no VXLAN. What is
found is entered only if an IP header follows (decode.py); otherwise the packet stays what its outer header says.
"""

from enum import IntEnum
from typing import Any

from ..kernel import cold, inner, load16, load32, signed
from .link import ETHER, IPV4, IPV6, MPLS, PPP, STEP, UNKNOWN_TYPE, VERSION


class Tunnel(IntEnum):
    """What carries a packet in a packet. Kernels use the plain numbers."""

    IP = 1
    """IPv4 or IPv6 in IPv4 or IPv6 (RFC 2003, 2473, 4213)."""
    GRE = 2
    """RFC 2784, 2890; with a PPTP header RFC 2637."""
    NVGRE = 3
    """RFC 7637."""
    ERSPAN = 4
    """draft-foschiano-erspan."""
    VXLAN = 5
    """RFC 7348."""
    VXLAN_GPE = 6
    """draft-ietf-nvo3-vxlan-gpe."""
    GENEVE = 7
    """RFC 8926."""
    GTP = 8
    """GTP-U, 3GPP TS 29.281."""
    TEREDO = 9
    """RFC 4380."""
    L2TP = 10
    """RFC 2661."""
    MPLS = 11
    """MPLS in IP (RFC 4023) or in UDP (RFC 7510)."""
    ETHERIP = 12
    """RFC 3378."""
    PIM = 13
    """A multicast packet on its way to the rendezvous point (RFC 7761 4.9.3)."""


IN_IP, GRE, NVGRE, ERSPAN, VXLAN, VXLAN_GPE, GENEVE, GTP, TEREDO, L2TP, IN_MPLS, ETHERIP, IN_PIM = (int(t) for t in Tunnel)
NO_TUNNEL = 0


@inner
def tunnel_protocol(proto: int) -> bool:
    """Whether an IP protocol may carry packets."""
    return proto == 4 or proto == 41 or proto == 47 or proto == 137 or proto == 97 or proto == 103


@inner
def tunnel_port(port: int) -> bool:
    """Whether a UDP port is registered for carrying packets."""
    return 1701 <= port <= 6635 and (
        port == 4789 or port == 6081 or port == 2152 or port == 4790 or port == 1701 or port == 3544 or port == 6635 or port == 4754
    )


DEEPEST_NSH = 4
"""Service headers (RFC 8300) that may lie between VXLAN-GPE and what it carries."""


@inner
def step(what: int) -> int:
    """The layout (see link.py) of what begins right here."""
    return STEP | what << 24


@inner
def carried(ethertype: int) -> int:
    """The layout of what an ethertype names in GRE and its like."""
    if ethertype == 0x6558:
        return step(ETHER)
    if ethertype == 0x880B:
        return step(PPP)
    return step(ethertype)


@inner
def gre(buf: Any, at: int, end: int) -> tuple[int, int, int, int]:
    """As `enter`, of a GRE header."""
    if at + 4 > end:
        return NO_TUNNEL, at, 0, 0
    bits = load16(buf, at)
    kind = load16(buf, at + 2)
    if bits & 0x4000 or bits & 7 > 1:  # source routes, which nobody uses (RFC 2784 drops them)
        return NO_TUNNEL, at, 0, 0
    key = 0
    size = 4
    if bits & 0x8000:
        size += 4
    if bits & 0x2000:
        if at + size + 4 > end:
            return NO_TUNNEL, at, 0, 0
        key = load32(buf, at + size)
        size += 4
    if bits & 0x1000:
        size += 4
    if bits & 7 == 1:
        if kind != 0x880B or not bits & 0x2000:
            return NO_TUNNEL, at, 0, 0
        key &= 0xFFFF  # the call; the other half is a length
        if bits & 0x0080:
            size += 4
        return GRE, at + size, step(PPP), key
    at += size
    if kind == 0x88BE:
        if not bits & 0x1000:  # type I has no header of its own
            return ERSPAN, at, step(ETHER), 0
        if at + 8 > end:
            return NO_TUNNEL, at, 0, 0
        return ERSPAN, at + 8, step(ETHER), load16(buf, at + 2) & 0x3FF
    if kind == 0x22EB:
        if at + 12 > end:
            return NO_TUNNEL, at, 0, 0
        return ERSPAN, at + 12 + (8 if buf[at + 11] & 1 else 0), step(ETHER), load16(buf, at + 2) & 0x3FF
    if kind == 0x883E:  # WCCP: its second version puts four bytes before the packet
        if at < end and buf[at] >> 4 != 4:
            at += 4
        return GRE, at, step(IPV4), key
    if kind == 0x6558 and bits & 0x2000 and not bits & 0x9000:
        return NVGRE, at, step(ETHER), key >> 8
    return GRE, at, carried(kind), key


@inner
def gtp(buf: Any, at: int, end: int) -> tuple[int, int, int, int]:
    """As `enter`, of a GTP-U header."""
    if at + 8 > end or buf[at] & 0xF0 != 0x30 or buf[at + 1] != 0xFF:
        return NO_TUNNEL, at, 0, 0
    key = load32(buf, at + 4)
    bits = buf[at] & 7
    at += 8
    if bits:
        if at + 4 > end:
            return NO_TUNNEL, at, 0, 0
        following = buf[at + 3] if bits & 4 else 0
        at += 4
        for _ in range(16):
            if following == 0:
                break
            if at >= end or buf[at] == 0:
                return NO_TUNNEL, at, 0, 0
            at += buf[at] * 4
            if at > end:
                return NO_TUNNEL, at, 0, 0
            following = buf[at - 1]
    return GTP, at, step(VERSION), key


@inner
def teredo(buf: Any, at: int, end: int) -> tuple[int, int, int, int]:
    """As `enter`, of what may lie before a packet in Teredo: an authentication and an origin."""
    if at + 13 <= end and load16(buf, at) == 1:
        at += 13 + buf[at + 2] + buf[at + 3]
    if at + 8 <= end and load16(buf, at) == 0:
        at += 8
    if at >= end or buf[at] >> 4 != 6:
        return NO_TUNNEL, at, 0, 0
    return TEREDO, at, step(IPV6), 0


@inner
def l2tp(buf: Any, at: int, end: int) -> tuple[int, int, int, int]:
    """As `enter`, of an L2TP version 2 data header."""
    if at + 6 > end:
        return NO_TUNNEL, at, 0, 0
    bits = load16(buf, at)
    if bits & 0x800F != 2:
        return NO_TUNNEL, at, 0, 0
    at += 2
    if bits & 0x4000:
        at += 2
    if at + 4 > end:
        return NO_TUNNEL, at, 0, 0
    key = load32(buf, at)
    at += 4
    if bits & 0x0800:
        at += 4
    if bits & 0x0200:
        if at + 2 > end:
            return NO_TUNNEL, at, 0, 0
        at += 2 + load16(buf, at)
    return L2TP, at, step(PPP), key


@cold
def enter(buf: Any, at: int, end: int, proto: int, port: int) -> tuple[int, int, int, int]:
    """(tunnel or 0, where what it carries begins, its layout, key) of the bytes behind an IP header, or behind UDP with `port`.

    key: network identifier, GRE key, PPTP call, tunnel endpoint, ERSPAN session, or L2TP tunnel << 16 | session.
    """
    if proto == 4:
        return IN_IP, at, step(IPV4), 0
    if proto == 41:
        return IN_IP, at, step(IPV6), 0
    if proto == 47 or port == 4754:
        return gre(buf, at, end)
    if proto == 137 or port == 6635:
        return IN_MPLS, at, step(MPLS), 0
    if proto == 97:
        if at + 2 > end or buf[at] >> 4 != 3:
            return NO_TUNNEL, at, 0, 0
        return ETHERIP, at + 2, step(ETHER), 0
    if proto == 103:
        if at + 8 > end or buf[at] != 0x21:
            return NO_TUNNEL, at, 0, 0
        return IN_PIM, at + 8, step(VERSION), 0
    if port == 2152:
        return gtp(buf, at, end)
    if port == 3544:
        return teredo(buf, at, end)
    if port == 1701:
        return l2tp(buf, at, end)
    if at + 8 > end:
        return NO_TUNNEL, at, 0, 0
    key = load32(buf, at + 4) >> 8
    if port == 4789:
        if not buf[at] & 8 or buf[at + 7]:
            return NO_TUNNEL, at, 0, 0
        return VXLAN, at + 8, step(ETHER), key
    if port == 4790:
        if buf[at] & 0x30 or not buf[at] & 4:
            return NO_TUNNEL, at, 0, 0
        key = key if buf[at] & 8 else 0
        inside = signed(buf[at + 3])
        at += 8
        for _ in range(DEEPEST_NSH):
            if inside != 4:
                break
            size = (buf[at + 1] & 0x3F) * 4 if at + 8 <= end else 0
            if size < 8 or buf[at] >> 6:  # RFC 8300 2.2: a base and a service path header at least, version 0
                return NO_TUNNEL, at, 0, 0
            inside = signed(buf[at + 3])
            at += size
        what = UNKNOWN_TYPE
        if inside == 1:
            what = IPV4
        elif inside == 2:
            what = IPV6
        elif inside == 3:
            what = ETHER
        elif inside == 5:
            what = MPLS
        return VXLAN_GPE, at, step(what), key
    if port == 6081 and buf[at] >> 6 == 0:
        return GENEVE, at + 8 + (buf[at] & 0x3F) * 4, carried(load16(buf, at + 2)), key
    return NO_TUNNEL, at, 0, 0
