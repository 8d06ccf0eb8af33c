"""Link layers: from a frame's first byte to its IP header.

A link type is a row of LINKS. Most rows only say how long the header is and where it names what it carries; `layouts`
turns a row into one number, and `strip` walks from there through whatever headers follow one another: tags, labels,
LLC, PPP, a frame in a frame. It is also how the inside of a tunnel is entered (tunnel.py). Cold: a common Ethernet
frame never comes here, so its size costs no time.
"""

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from ..kernel import cold, inner, load16, load16le, load32, load32le
from ..table import Array


class How(IntEnum):
    """How a link's header names what it carries. `head` and `field` are the row's other two numbers."""

    NOTHING = 0
    """Not decoded."""
    STEP = 1
    """Behind `head` bytes begins what `field` names: an ethertype, or one of the steps below."""
    TYPE = 2
    """An ethertype lies at `field`, what it names behind `head` bytes."""
    NULL = 3
    """An address family of four bytes in either byte order, what it names behind `head` bytes."""
    FAMILY = 4
    """An address family of one byte at `field`, what it names behind `head` bytes (0: as many as the first byte says)."""
    FDDI = 5
    TOKEN_RING = 6
    ARCNET = 7
    """`field` is where the type lies."""
    FRAME_RELAY = 8
    """Behind `head` bytes."""
    WLAN = 9
    RADIOTAP = 10
    PRISM = 11
    PPI = 12
    NFLOG = 13
    PKTAP = 14
    SUNATM = 15
    CLIP = 16
    DOCSIS = 17
    JUNIPER = 18
    """`field` names the step behind Juniper's own header."""
    ERF = 19


# Steps that are no ethertype: what comes next is ...
ETHER, LLC, SNAP, PPP, VERSION, LLC_PADDED, SNAP_PADDED = range(0x10000, 0x10007)
PPPOE, MPLS, IPV4, IPV6, ARP = 0x8864, 0x8847, 0x0800, 0x86DD, 0x0806
UNKNOWN_TYPE = 0
SHORT_TYPE = -1
IN_LABELS, PROTECTED_BODY = 1, 2
"""Marks of `strip`: labels, PPPoE or a frame in a frame lay before IP; an 802.11 or MACsec body is encrypted."""


class Link(NamedTuple):
    """A link type: its number in the file, its name, where it is described, and how its header is read."""

    number: int
    name: str
    source: str
    how: How
    head: int = 0
    field: int = 0


_LINKTYPE = "tcpdump.org LINKTYPE_"
LINKS = {
    link.number: link
    for link in (
        Link(0, "null/loopback", _LINKTYPE + "NULL", How.NULL, 4),
        Link(1, "Ethernet", "IEEE 802.3, with 802.1Q, 802.1ad and 802.1ah tags", How.STEP, 0, ETHER),
        Link(6, "Token Ring", "IEEE 802.5", How.TOKEN_RING),
        Link(7, "ARCNET", "RFC 1201, RFC 1051", How.ARCNET, 0, 2),
        Link(8, "SLIP", _LINKTYPE + "SLIP", How.STEP, 16, VERSION),
        Link(9, "PPP", "RFC 1661, RFC 1662", How.STEP, 0, PPP),
        Link(10, "FDDI", "RFC 1390", How.FDDI),
        Link(11, "ATM", "RFC 2684, number used by some BSDs", How.STEP, 0, LLC_PADDED),
        Link(12, "raw IP", _LINKTYPE + "RAW, number used by some BSDs", How.STEP, 0, VERSION),
        Link(14, "raw IP", _LINKTYPE + "RAW, number used by OpenBSD", How.STEP, 0, VERSION),
        Link(15, "SLIP of BSD/OS", _LINKTYPE + "SLIP_BSDOS", How.STEP, 24, VERSION),
        Link(50, "PPP in HDLC", "RFC 1662, RFC 1547", How.STEP, 0, PPP),
        Link(51, "PPPoE", "RFC 2516", How.STEP, 0, PPPOE),
        Link(100, "ATM", "RFC 2684", How.STEP, 0, LLC_PADDED),
        Link(101, "raw IP", _LINKTYPE + "RAW", How.STEP, 0, VERSION),
        Link(104, "Cisco HDLC", "RFC 1547 4.3.1", How.TYPE, 4, 2),
        Link(105, "802.11", "IEEE 802.11 9.2", How.WLAN),
        Link(106, "classical IP over ATM", _LINKTYPE + "LINUX_ATM_CLIP", How.CLIP),
        Link(107, "Frame Relay", "RFC 2427", How.FRAME_RELAY),
        Link(108, "OpenBSD loopback", _LINKTYPE + "LOOP", How.NULL, 4),
        Link(109, "OpenBSD IPsec", _LINKTYPE + "ENC", How.NULL, 12),
        Link(113, "Linux cooked v1", _LINKTYPE + "LINUX_SLL", How.TYPE, 16, 14),
        Link(117, "OpenBSD pflog", _LINKTYPE + "PFLOG", How.FAMILY, 0, 1),
        Link(119, "802.11 with Prism", _LINKTYPE + "IEEE802_11_PRISM", How.PRISM),
        Link(122, "IP over Fibre Channel", "RFC 2625", How.STEP, 16, LLC),
        Link(123, "SunATM", _LINKTYPE + "SUNATM", How.SUNATM),
        Link(127, "802.11 with radiotap", "radiotap.org", How.RADIOTAP),
        Link(129, "ARCNET of Linux", _LINKTYPE + "ARCNET_LINUX", How.ARCNET, 2, 4),
        Link(138, "IP over 1394", "RFC 2734", How.TYPE, 18, 16),
        Link(143, "DOCSIS", "CM-SP-MULPIv3.1 6.2", How.DOCSIS),
        Link(149, "Apple pktap", "Darwin's number for LINKTYPE_PKTAP", How.PKTAP),
        Link(163, "802.11 with AVS", _LINKTYPE + "IEEE802_11_AVS", How.PRISM),
        Link(166, "PPP of pppd", _LINKTYPE + "PPP_PPPD", How.STEP, 2, PPP),
        Link(178, "Juniper Ethernet", _LINKTYPE + "JUNIPER_ETHER", How.JUNIPER, 0, ETHER),
        Link(179, "Juniper PPP", _LINKTYPE + "JUNIPER_PPP", How.JUNIPER, 0, PPP),
        Link(192, "PPI", _LINKTYPE + "PPI", How.PPI),
        Link(197, "ERF", _LINKTYPE + "ERF", How.ERF),
        Link(204, "PPP with direction", _LINKTYPE + "PPP_WITH_DIR", How.STEP, 1, PPP),
        Link(205, "Cisco HDLC with direction", _LINKTYPE + "C_HDLC_WITH_DIR", How.TYPE, 5, 3),
        Link(206, "Frame Relay with direction", _LINKTYPE + "FRELAY_WITH_DIR", How.FRAME_RELAY, 1),
        Link(226, "Solaris IPNET", _LINKTYPE + "IPNET", How.FAMILY, 24, 1),
        Link(228, "raw IPv4", _LINKTYPE + "IPV4", How.STEP, 0, VERSION),
        Link(229, "raw IPv6", _LINKTYPE + "IPV6", How.STEP, 0, IPV6),
        Link(239, "NFLOG", _LINKTYPE + "NFLOG", How.NFLOG),
        Link(240, "netANALYZER", _LINKTYPE + "NETANALYZER", How.STEP, 4, ETHER),
        Link(241, "netANALYZER transparent", _LINKTYPE + "NETANALYZER_TRANSPARENT", How.STEP, 12, ETHER),
        Link(242, "IP over InfiniBand", "RFC 4391", How.TYPE, 44, 40),
        Link(258, "Apple pktap", _LINKTYPE + "PKTAP", How.PKTAP),
        Link(274, "Ethernet with preamble", _LINKTYPE + "ETHERNET_MPACKET", How.STEP, 8, ETHER),
        Link(276, "Linux cooked v2", _LINKTYPE + "LINUX_SLL2", How.TYPE, 20, 0),
        Link(282, "Broadcom switch tag", _LINKTYPE + "DSA_TAG_BRCM", How.TYPE, 18, 16),
        Link(283, "Broadcom switch tag in front", _LINKTYPE + "DSA_TAG_BRCM_PREPEND", How.STEP, 4, ETHER),
        Link(284, "Marvell switch tag", _LINKTYPE + "DSA_TAG_DSA", How.TYPE, 18, 16),
        Link(285, "Marvell switch tag with ethertype", _LINKTYPE + "DSA_TAG_EDSA", How.TYPE, 22, 20),
    )
}
LAYOUT_ETHERNET = int(How.STEP) | ETHER << 24


def layouts(links: Any) -> Array:
    """What `decode` needs to know of each interface's link type, as one number: how, head << 8, field << 24, number << 48."""
    rows = [(int(n), LINKS.get(int(n), Link(int(n), "", "", How.NOTHING))) for n in links]
    return np.array(
        [int(r.how) | r.head << 8 | r.field << 24 | (n & 0x7FFF) << 48 if n != 1 else LAYOUT_ETHERNET for n, r in rows], np.int64
    )


(NOTHING, STEP, TYPE, NULL, FAMILY, FDDI, TOKEN_RING, ARCNET, FRAME_RELAY, WLAN) = (int(h) for h in list(How)[:10])
(RADIOTAP, PRISM, PPI, NFLOG, PKTAP, SUNATM, CLIP, DOCSIS, JUNIPER, ERF) = (int(h) for h in list(How)[10:])


@inner
def family_type(family: int) -> int:
    """Ethertype for a socket address family: 2 is IPv4 everywhere, IPv6 is 24, 28 or 30 on BSDs, 10 on Linux, 26 on Solaris."""
    if family == 2:
        return IPV4
    if family == 24 or family == 28 or family == 30 or family == 10 or family == 26:
        return IPV6
    return UNKNOWN_TYPE


@inner
def wrapped(link: int) -> int:
    """The layout of a link type named inside a frame (PPI, pktap), in the host's order."""
    if link == 1:
        return LAYOUT_ETHERNET
    if link == 105:
        return WLAN
    if link == 12 or link == 14 or link == 101:
        return STEP | VERSION << 24
    if link == 0 or link == 108:
        return NULL | 4 << 8
    if link == 9:
        return STEP | PPP << 24
    return NOTHING


@inner
def wlan(buf: Any, at: int, end: int) -> tuple[int, int, int, int, int]:
    """An 802.11 frame: (where its body begins, step, marks, destination MAC, source MAC)."""
    if at + 2 > end:
        return at, SHORT_TYPE, 0, -1, -1
    kind = buf[at]
    control = buf[at + 1]
    if kind & 0x0F != 0x08 or kind & 0x40:  # management, control, or data frames without data
        return at, UNKNOWN_TYPE, 0, -1, -1
    head = 24
    if control & 3 == 3:
        head = 30
    qos = 0
    if kind & 0x80:
        if at + head + 2 > end:
            return at, SHORT_TYPE, 0, -1, -1
        qos = buf[at + head]
        head += 2
        if control & 0x80:  # HT control
            head += 4
    if at + head > end:
        return at, SHORT_TYPE, 0, -1, -1
    target = at + 4
    source = at + 10
    if control & 1:
        target = at + 16
    if control & 2:
        source = at + 16
        if control & 1:
            source = at + 24
    at += head
    if control & 0x40:
        return at, UNKNOWN_TYPE, PROTECTED_BODY, target, source
    if qos & 0x80:  # several frames in one: the first of them
        if at + 14 > end:
            return at, SHORT_TYPE, 0, target, source
        return at + 14, LLC, 0, at, at + 6
    return at, LLC, 0, target, source


@inner
def radiotap(buf: Any, at: int, end: int) -> tuple[int, int]:
    """A radiotap header: (its length or -1 if it is not whole, 1 if the 802.11 header is padded to four bytes)."""
    if at + 8 > end:
        return -1, 0
    size = load16le(buf, at + 2)
    if size < 8 or at + size > end:
        return -1, 0
    present = load32le(buf, at + 4)
    if not present & 2:
        return size, 0
    place = at + 8
    more = present
    while more >> 31 and place + 4 <= at + size:
        more = load32le(buf, place)
        place += 4
    if present & 1:
        place = at + ((place - at + 7) & ~7) + 8
    if place >= at + size:
        return size, 0
    return size, buf[place] >> 5 & 1


@inner
def payload_of_nflog(buf: Any, at: int, end: int) -> int:
    """Where an NFLOG message's payload begins, -1 if it has none within buf[at:end]."""
    at += 4
    for _ in range(64):
        if at + 4 > end:
            return -1
        size = load16le(buf, at)
        if load16le(buf, at + 2) & 0x7FFF == 9:
            return at + 4
        if size < 4:
            return -1
        at += (size + 3) & ~3
    return -1


@inner
def outset(buf: Any, at: int, end: int, layout: int) -> tuple[int, int, int, int, int]:
    """A link's own header: (where it ends, the step or ethertype behind it, marks, destination MAC, source MAC)."""
    target = -1
    source = -1
    marks = 0
    for _ in range(3):  # PPI and pktap hold a frame of another link
        how = layout & 0xFF
        head = layout >> 8 & 0xFFFF
        field = layout >> 24 & 0xFFFFFF
        number = layout >> 48
        if how == STEP:
            return at + head, field, marks, target, source
        if how == TYPE:
            if at + head > end:
                return at, SHORT_TYPE, marks, -1, -1
            step = load16(buf, at + field)
            if number == 113:
                if load16(buf, at + 4) == 6:
                    source = at + 6
            elif number == 276:
                if buf[at + 11] == 6:
                    source = at + 12
            elif number >= 282:
                target = at
                source = at + 6
            if step < 0x600:
                step = LLC if step == 4 or number >= 282 else UNKNOWN_TYPE
            return at + head, step, marks, target, source
        if how == NULL:
            if at + head > end:
                return at, SHORT_TYPE, marks, -1, -1
            family = load32(buf, at)
            if family > 0xFFFF:  # written in the other byte order
                family = load32le(buf, at)
            return at + head, family_type(family), marks, target, source
        if how == FAMILY:
            if at + 2 > end:
                return at, SHORT_TYPE, marks, -1, -1
            if head == 0:
                head = (buf[at] + 3) & ~3
            if at + head > end:
                return at, SHORT_TYPE, marks, -1, -1
            return at + head, family_type(buf[at + field]), marks, target, source
        if how == FDDI or how == TOKEN_RING:
            head = 13 if how == FDDI else 14
            if at + head > end:
                return at, SHORT_TYPE, marks, -1, -1
            target = at + head - 12
            source = at + head - 6
            if how == FDDI:
                step = LLC if buf[at] & 0xD0 == 0x50 else UNKNOWN_TYPE
                return at + head, step, marks, target, source
            step = LLC if buf[at + 1] & 0xC0 == 0x40 else UNKNOWN_TYPE
            if buf[source] & 0x80:  # a route follows the addresses
                if at + head >= end:
                    return at, SHORT_TYPE, marks, -1, -1
                head += buf[at + head] & 0x1F
            return at + head, step, marks, target, source
        if how == ARCNET:
            if at + field >= end:
                return at, SHORT_TYPE, marks, -1, -1
            kind = buf[at + field]
            at += field + 1
            if kind == 240:
                return at, IPV4, marks, target, source
            if kind == 212 or kind == 196:
                if at >= end:
                    return at, SHORT_TYPE, marks, -1, -1
                at += 7 if buf[at] == 0xFF and head == 0 else 3
                return at, IPV4 if kind == 212 else IPV6, marks, target, source
            return at, ARP if kind == 213 or kind == 241 else UNKNOWN_TYPE, marks, target, source
        if how == FRAME_RELAY:
            at += head
            for _ in range(4):
                if at >= end:
                    return at, SHORT_TYPE, marks, -1, -1
                at += 1
                if buf[at - 1] & 1:
                    break
            if at + 2 > end:
                return at, SHORT_TYPE, marks, -1, -1
            if buf[at] != 3:
                return at + 2, load16(buf, at), marks, target, source
            at += 1
            if buf[at] == 0:
                at += 1
                if at >= end:
                    return at, SHORT_TYPE, marks, -1, -1
            kind = buf[at]
            if kind == 0xCC:
                return at + 1, IPV4, marks, target, source
            if kind == 0x8E:
                return at + 1, IPV6, marks, target, source
            if kind == 0x80:
                return at + 1, SNAP, marks, target, source
            return at + 1, PPP if kind == 0xCF else UNKNOWN_TYPE, marks, target, source
        if how == WLAN or how == RADIOTAP:
            padded = 0
            if how == RADIOTAP:
                size, padded = radiotap(buf, at, end)
                if size < 0:
                    return at, SHORT_TYPE, marks, -1, -1
                at += size
            start = at
            at, step, marks, target, source = wlan(buf, at, end)
            if padded and step == LLC:
                at = start + ((at - start + 3) & ~3)
            return at, step, marks, target, source
        if how == PRISM:
            if at + 8 > end:
                return at, SHORT_TYPE, marks, -1, -1
            size = load32(buf, at + 4)
            if size > 0xFFFF:
                size = load32le(buf, at + 4)
            if at + size > end:
                return at, SHORT_TYPE, marks, -1, -1
            if size < 8:
                return at, UNKNOWN_TYPE, marks, -1, -1
            at += size
            layout = WLAN
        elif how == PPI or how == PKTAP:
            if at + 12 > end:
                return at, SHORT_TYPE, marks, -1, -1
            if how == PPI:
                size = load16le(buf, at + 2)
                layout = wrapped(load32le(buf, at + 4))
            else:
                size = load32le(buf, at)
                layout = wrapped(load32le(buf, at + 8))
            if at + size > end:
                return at, SHORT_TYPE, marks, -1, -1
            if size < 8:
                return at, UNKNOWN_TYPE, marks, -1, -1
            at += size
        elif how == NFLOG:
            if at + 4 > end:
                return at, SHORT_TYPE, marks, -1, -1
            step = family_type(buf[at])
            if step == UNKNOWN_TYPE:
                return at, UNKNOWN_TYPE, marks, target, source
            at = payload_of_nflog(buf, at, end)
            return at, step if at >= 0 else SHORT_TYPE, marks, target, source
        elif how == SUNATM:
            if at + 4 > end:
                return at, SHORT_TYPE, marks, -1, -1
            kind = buf[at] & 15
            if kind == 1:  # LAN emulation
                return at + 6, ETHER, marks, target, source
            return at + 4, LLC_PADDED if kind == 2 else UNKNOWN_TYPE, marks, target, source
        elif how == CLIP:
            if at + 4 > end:
                return at, SHORT_TYPE, marks, -1, -1
            return at, LLC_PADDED if load32(buf, at) >> 8 == 0xAAAA03 else VERSION, marks, target, source
        elif how == DOCSIS:
            if at + 6 > end:
                return at, SHORT_TYPE, marks, -1, -1
            if buf[at] >> 1:
                return at, UNKNOWN_TYPE, marks, target, source
            return at + 6 + (buf[at + 1] if buf[at] & 1 else 0), ETHER, marks, target, source
        elif how == JUNIPER:
            if at + 6 > end:
                return at, SHORT_TYPE, marks, -1, -1
            if load32(buf, at) >> 8 != 0x4D4743 or buf[at + 3] & 2:
                return at, UNKNOWN_TYPE, marks, target, source
            return at + 4 + (2 + load16(buf, at + 4) if buf[at + 3] & 0x80 else 0), field, marks, target, source
        elif how == ERF:
            if at + 16 > end:
                return at, SHORT_TYPE, marks, -1, -1
            more = buf[at + 8] & 0x80
            kind = buf[at + 8] & 0x7F
            at += 16
            for _ in range(16):
                if not more:
                    break
                if at + 8 > end:
                    return at, SHORT_TYPE, marks, -1, -1
                more = buf[at] & 0x80
                at += 8
            if kind == 2 or kind == 11 or kind == 16 or kind == 20:
                return at + 2, ETHER, marks, target, source
            return at, VERSION if kind == 22 or kind == 23 else UNKNOWN_TYPE, marks, target, source
        else:
            return at, UNKNOWN_TYPE, marks, target, source
    return at, UNKNOWN_TYPE, marks, target, source


@cold
def strip(buf: Any, at: int, end: int, layout: int) -> tuple[int, int, int, int, int, int]:
    """All headers before IP of a frame in buf[at:end].

    (where the network header begins, ethertype, outermost VLAN or -1, marks, where the destination and the source MAC
    lie or -1). At most sixteen steps: deeper stacks are left undecoded, as nobody builds them but fuzzers.
    """
    vlan = -1
    at, step, marks, target, source = outset(buf, at, end, layout)
    for _ in range(16):
        if step == ETHER:
            if at + 14 > end:
                step = SHORT_TYPE
                break
            if target < 0:
                target = at
                source = at + 6
            step = load16(buf, at + 12)
            at += 14
            if step < 0x600:  # a length: LLC follows
                step = LLC
        elif step == IPV4 or step == IPV6:
            break
        elif step == VERSION:
            if at >= end:
                step = SHORT_TYPE
                break
            step = UNKNOWN_TYPE
            if buf[at] >> 4 == 4:
                step = IPV4
            elif buf[at] >> 4 == 6:
                step = IPV6
            break
        elif step == LLC or step == LLC_PADDED:
            if at + 3 > end:
                step = SHORT_TYPE
                break
            sap = load16(buf, at)
            control = buf[at + 2]
            at += 3
            if control != 3:
                step = UNKNOWN_TYPE
                break
            if sap == 0xAAAA:
                step = SNAP if step == LLC else SNAP_PADDED
            elif sap == 0x0606:
                step = IPV4
            elif sap == 0xFEFE and at < end and (buf[at] == 0xCC or buf[at] == 0x8E):
                step = IPV4 if buf[at] == 0xCC else IPV6
                at += 1
            else:
                step = UNKNOWN_TYPE
                break
        elif step == SNAP or step == SNAP_PADDED:
            if at + 5 > end:
                step = SHORT_TYPE
                break
            house = load16(buf, at) << 8 | buf[at + 2]
            kind = load16(buf, at + 3)
            at += 5
            if (house == 0 or house == 0xF8) and kind >= 0x600:
                step = kind
            elif house == 0x80C2 and (kind == 1 or kind == 7):  # bridged Ethernet
                if step == SNAP_PADDED:
                    at += 2
                step = ETHER
                target = -1
                marks |= IN_LABELS
            else:
                step = UNKNOWN_TYPE
                break
        elif step == PPP:
            if at + 2 > end:
                step = SHORT_TYPE
                break
            if buf[at + 1] == 3 and buf[at] == 0xFF:
                at += 2
            elif buf[at + 1] == 0 and (buf[at] == 0x0F or buf[at] == 0x8F):  # Cisco's framing
                at += 2
                if at + 2 > end:
                    step = SHORT_TYPE
                    break
                step = load16(buf, at)
                at += 2
                if step < 0x600:
                    step = UNKNOWN_TYPE
                    break
                continue
            if at >= end:
                step = SHORT_TYPE
                break
            kind = buf[at] | 0
            at += 1
            if not kind & 1:
                if at >= end:
                    step = SHORT_TYPE
                    break
                kind = kind << 8 | buf[at]
                at += 1
            if kind == 0x21:
                step = IPV4
            elif kind == 0x57:
                step = IPV6
            elif kind == 0x281 or kind == 0x283:
                step = MPLS
            elif kind == 0x31 and at + 2 <= end:  # bridging
                at += 2
                step = ETHER
                target = -1
            elif kind == 0x3D and at + 4 <= end and buf[at] & 0x80:  # the first part of a multilink packet
                at += 4
            else:
                step = UNKNOWN_TYPE
                break
        elif step == 0x8100 or step == 0x88A8 or step == 0x9100 or step == 0x9200:
            if at + 4 > end:
                step = SHORT_TYPE
                break
            if vlan < 0:
                vlan = load16(buf, at) & 0xFFF
            step = load16(buf, at + 2)
            at += 4
            if step < 0x600:
                step = LLC
        elif step == 0x8847 or step == 0x8848:
            marks |= IN_LABELS
            if at + 4 > end:
                step = SHORT_TYPE
                break
            at += 4
            if buf[at - 2] & 1:  # bottom of the label stack
                if at >= end:
                    step = SHORT_TYPE
                    break
                step = VERSION
                if buf[at] >> 4 == 0 and at + 18 <= end and known(load16(buf, at + 16)):  # a pseudowire with its control word
                    at += 4
                    step = ETHER
                    target = -1
                elif buf[at] >> 4 != 4 and buf[at] >> 4 != 6 and at + 14 <= end and known(load16(buf, at + 12)):
                    step = ETHER
                    target = -1
        elif step == PPPOE:
            marks |= IN_LABELS
            if at + 8 > end:
                step = SHORT_TYPE
                break
            at += 6
            step = PPP
        elif step == 0x88E7:  # a provider's backbone: service instance, then the customer's frame
            marks |= IN_LABELS
            at += 4
            step = ETHER
            target = -1
        elif step == 0x88E5:  # MACsec that signs and does not encrypt
            if at + 6 > end:
                step = SHORT_TYPE
                break
            if buf[at] & 8:
                marks |= PROTECTED_BODY
                break
            at += 14 if buf[at] & 0x20 else 6
            if at + 2 > end:
                step = SHORT_TYPE
                break
            step = load16(buf, at)
            at += 2
        elif step == 0x8926:
            if at + 6 > end:
                step = SHORT_TYPE
                break
            step = load16(buf, at + 4)
            at += 6
        else:
            if 0 < step < 0x600:
                step = UNKNOWN_TYPE
            break
    else:
        step = UNKNOWN_TYPE
    return at, step, vlan, marks, target, source


@inner
def known(ethertype: int) -> bool:
    """Whether this is an ethertype that a frame in a frame is likely to have."""
    return ethertype == IPV4 or ethertype == IPV6 or ethertype == ARP or ethertype == 0x8100 or ethertype == 0x88A8


@inner
def mac(buf: Any, at: int) -> int:
    """The six bytes at `at` as a number."""
    return load16(buf, at) << 32 | load32(buf, at + 2)
