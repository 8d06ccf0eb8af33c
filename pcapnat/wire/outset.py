"""The outermost header: from a frame's first byte to the first step of strip.py, whatever the link type."""

from typing import Any

from ..kernel import inner, load16, load16le, load32, load32le
from .link import (
    ARCNET,
    ARP,
    CLIP,
    DOCSIS,
    ERF,
    ETHER,
    FAMILY,
    FDDI,
    FRAME_RELAY,
    IPV4,
    IPV6,
    JUNIPER,
    LAYOUT_ETHERNET,
    LLC,
    LLC_PADDED,
    NFLOG,
    NOTHING,
    NULL,
    PKTAP,
    PPI,
    PPP,
    PRISM,
    PROTECTED_BODY,
    RADIOTAP,
    SHORT_TYPE,
    SNAP,
    STEP,
    SUNATM,
    TOKEN_RING,
    TYPE,
    UNKNOWN_TYPE,
    VERSION,
    WLAN,
)


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
def nflog(buf: Any, at: int, end: int) -> tuple[int, int, int]:
    """(where an NFLOG message's payload begins, -1 if not within buf[at:end]; its ethertype; where the Ethernet header lies or -1)."""
    at += 4
    kind = UNKNOWN_TYPE
    header = -1
    for _ in range(64):
        if at + 4 > end:
            break
        size = load16le(buf, at)
        what = load16le(buf, at + 2) & 0x7FFF
        if what == 9:
            return at + 4, kind, header
        if size < 4:
            break
        if what == 1 and at + 6 <= end:
            kind = load16(buf, at + 4)
        elif what == 16 and size == 18 and at + 18 <= end:
            header = at + 4
        at += (size + 3) & ~3
    return -1, kind, header


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
            if kind == 212 or kind == 196 or kind == 213:
                if at >= end:
                    return at, SHORT_TYPE, marks, -1, -1
                at += 7 if buf[at] == 0xFF and head == 0 else 3
                return at, IPV4 if kind == 212 else IPV6 if kind == 196 else ARP, marks, target, source
            return at, ARP if kind == 241 else UNKNOWN_TYPE, marks, target, source
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
            place, kind, header = nflog(buf, at, end)
            if header >= 0:
                target = header
                source = header + 6
            if step == UNKNOWN_TYPE and kind >= 0x600:  # of a bridge: the message names what it logged
                step = kind
            return place, step if place >= 0 else SHORT_TYPE, marks, target, source
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
