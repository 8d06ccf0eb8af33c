"""Link layers: from a frame's first byte to its IP header. One row per link type, one branch per row in `link_layer`."""

from typing import Any, NamedTuple

from ..kernel import inner, load16, load32, load32le, load64


class Link(NamedTuple):
    """A link type: its number in the file, its name, and where it is described."""

    number: int
    name: str
    source: str


LINKS = {
    link.number: link
    for link in (
        Link(0, "null/loopback", "tcpdump.org LINKTYPE_NULL"),
        Link(1, "Ethernet", "IEEE 802.3, with 802.1Q and 802.1ad tags"),
        Link(12, "raw IP", "tcpdump.org LINKTYPE_RAW, number used by some BSDs"),
        Link(14, "raw IP", "tcpdump.org LINKTYPE_RAW, number used by OpenBSD"),
        Link(101, "raw IP", "tcpdump.org LINKTYPE_RAW"),
        Link(108, "OpenBSD loopback", "tcpdump.org LINKTYPE_LOOP"),
        Link(113, "Linux cooked v1", "tcpdump.org LINKTYPE_LINUX_SLL"),
        Link(228, "raw IPv4", "tcpdump.org LINKTYPE_IPV4"),
        Link(229, "raw IPv6", "tcpdump.org LINKTYPE_IPV6"),
        Link(276, "Linux cooked v2", "tcpdump.org LINKTYPE_LINUX_SLL2"),
    )
}

UNKNOWN_TYPE = 0
SHORT_TYPE = -1
IPV4, IPV6 = 0x0800, 0x86DD


@inner
def version_type(buf: Any, at: int, end: int) -> int:
    """Ethertype by the version nibble of what should be an IP header."""
    if at >= end:
        return SHORT_TYPE
    if buf[at] >> 4 == 4:
        return IPV4
    if buf[at] >> 4 == 6:
        return IPV6
    return UNKNOWN_TYPE


@inner
def tagged(buf: Any, at: int, end: int, ethertype: int) -> tuple[int, int, int, int]:
    """Step over VLAN tags, MPLS labels and PPPoE: (at, ethertype, outermost VLAN or -1, 1 if labels or PPPoE lay there).

    At most eight steps: deeper stacks are left undecoded, as nobody builds them but fuzzers.
    """
    vlan = -1
    tunnel = 0
    for _ in range(8):
        if ethertype == 0x8100 or ethertype == 0x88A8 or ethertype == 0x9100 or ethertype == 0x9200:
            if at + 4 > end:
                return at, SHORT_TYPE, vlan, tunnel
            if vlan < 0:
                vlan = load16(buf, at) & 0xFFF
            ethertype = load16(buf, at + 2)
            at += 4
        elif ethertype == 0x8847 or ethertype == 0x8848:
            tunnel = 1
            if at + 4 > end:
                return at, SHORT_TYPE, vlan, tunnel
            at += 4
            if buf[at - 2] & 1:  # bottom of the label stack
                ethertype = version_type(buf, at, end)
                return at, ethertype, vlan, tunnel
        elif ethertype == 0x8864:
            tunnel = 1
            if at + 8 > end:
                return at, SHORT_TYPE, vlan, tunnel
            ppp = load16(buf, at + 6)
            at += 8
            if ppp == 0x0021:
                return at, IPV4, vlan, tunnel
            if ppp == 0x0057:
                return at, IPV6, vlan, tunnel
            return at, UNKNOWN_TYPE, vlan, tunnel
        else:
            return at, ethertype, vlan, tunnel
    return at, UNKNOWN_TYPE, vlan, tunnel


@inner
def family_type(family: int) -> int:
    """Ethertype for a socket address family: 2 is IPv4 everywhere, IPv6 is 24, 28 or 30 on BSDs and 10 on Linux."""
    if family == 2:
        return IPV4
    if family == 24 or family == 28 or family == 30 or family == 10:
        return IPV6
    return UNKNOWN_TYPE


@inner
def link_layer(buf: Any, at: int, end: int, link: int) -> tuple[int, int, int, int]:
    """(where the network header begins, ethertype, VLAN or -1, tunnel mark) of a frame in buf[at:end]."""
    if link == 1:
        if at + 14 > end:
            return at, SHORT_TYPE, -1, 0
        ethertype = load16(buf, at + 12)
        if ethertype == IPV4 or ethertype == IPV6:
            return at + 14, ethertype, -1, 0
        if ethertype < 0x600:  # a length: LLC follows, and IP only inside SNAP
            if at + 17 > end:
                return at, SHORT_TYPE, -1, 0
            if load16(buf, at + 14) != 0xAAAA or buf[at + 16] != 3:
                return at + 14, UNKNOWN_TYPE, -1, 0
            if at + 22 > end:
                return at, SHORT_TYPE, -1, 0
            if load32(buf, at + 16) & 0xFFFFFF:
                return at + 14, UNKNOWN_TYPE, -1, 0
            return tagged(buf, at + 22, end, load16(buf, at + 20))
        return tagged(buf, at + 14, end, ethertype)
    if link == 101 or link == 12 or link == 14 or link == 228 or link == 229:
        return at, version_type(buf, at, end), -1, 0
    if link == 113:
        if at + 16 > end:
            return at, SHORT_TYPE, -1, 0
        return tagged(buf, at + 16, end, load16(buf, at + 14))
    if link == 276:
        if at + 20 > end:
            return at, SHORT_TYPE, -1, 0
        return tagged(buf, at + 20, end, load16(buf, at))
    if link == 0 or link == 108:
        if at + 4 > end:
            return at, SHORT_TYPE, -1, 0
        family = load32(buf, at)
        if family > 0xFFFF:  # written in the other byte order
            family = load32le(buf, at)
        return at + 4, family_type(family), -1, 0
    return at, UNKNOWN_TYPE, -1, 0


@inner
def mac(buf: Any, at: int) -> int:
    """The six bytes at `at` as a number."""
    return load16(buf, at) << 32 | load32(buf, at + 2)


__all__ = ["IPV4", "IPV6", "LINKS", "SHORT_TYPE", "UNKNOWN_TYPE", "Link", "link_layer", "load64", "mac"]
