"""From a frame's first byte to its IP header (or that of a frame inside a tunnel), a step at a time."""

from typing import Any

from ..kernel import cold, inner, load16, load32
from .link import (
    ARP,
    ETHER,
    IN_LABELS,
    IPV4,
    IPV6,
    LLC,
    LLC_PADDED,
    MPLS,
    PPP,
    PPPOE,
    PROTECTED_BODY,
    SHORT_TYPE,
    SNAP,
    SNAP_PADDED,
    UNKNOWN_TYPE,
    VERSION,
)
from .outset import outset


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


@inner
def mirrored(value: int) -> int:
    """A MAC address with the bits of each byte in the other order: FDDI sends the highest one first (RFC 1390, RFC 2469)."""
    value = (value & 0x555555555555) << 1 | value >> 1 & 0x555555555555
    value = (value & 0x333333333333) << 2 | value >> 2 & 0x333333333333
    return (value & 0x0F0F0F0F0F0F) << 4 | value >> 4 & 0x0F0F0F0F0F0F
