"""Link layers: from a frame's first byte to its IP header.

A link type is a row of LINKS. Most rows only say how long the header is and where it names what it carries; `layouts`
turns a row into one number, and `strip` walks from there through whatever headers follow one another: tags, labels,
LLC, PPP, a frame in a frame. It is also how the inside of a tunnel is entered (tunnel.py). Cold: a common Ethernet
frame never comes here, so its size costs no time.
"""

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

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
(NOTHING, STEP, TYPE, NULL, FAMILY, FDDI, TOKEN_RING, ARCNET, FRAME_RELAY, WLAN) = (int(h) for h in list(How)[:10])
(RADIOTAP, PRISM, PPI, NFLOG, PKTAP, SUNATM, CLIP, DOCSIS, JUNIPER, ERF) = (int(h) for h in list(How)[10:])
LAYOUT_ETHERNET = int(How.STEP) | ETHER << 24


def layouts(links: Any) -> Array:
    """What `decode` needs to know of each interface's link type, as one number: how, head << 8, field << 24, number << 48."""
    rows = [(int(n), LINKS.get(int(n), Link(int(n), "", "", How.NOTHING))) for n in links]
    return np.array(
        [int(r.how) | r.head << 8 | r.field << 24 | (n & 0x7FFF) << 48 if n != 1 else LAYOUT_ETHERNET for n, r in rows], np.int64
    )
