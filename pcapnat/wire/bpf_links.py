"""Link types for pcap-filter: where the header, the type and the payload of a frame lie, and how a type says what is carried.

Numbers are those of files (LINKTYPE_). What a protocol is called on each link is libpcap's choice, oddities included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .bpf_run import WORD, Always, Binary, Chain, Compare, Const, Either, Load, Not, Number, Test

IP, IP6, IPX_TYPE, ATALK, AARP = 0x800, 0x86DD, 0x8137, 0x809B, 0x80F3
ISO, NETBEUI, IP_SAP, IPX, STP = 0xFE, 0xF0, 0x06, 0xE0, 0x42
ETHER_MTU = 1500
PPP = {IP: 0x21, IP6: 0x57, 0x6003: 0x27, ATALK: 0x29, 0x600: 0x25, ISO: 0x23, STP: 0x31, IPX: 0x2B}
"""Ethernet types and LLC access points as PPP numbers them (RFC 1661 and IANA's PPP numbers)."""
FAMILY6 = (10, 24, 28, 30)
"""AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin."""


class Place(NamedTuple):
    """Somewhere in a frame: `add` bytes behind its first, or behind a number of bytes that the frame itself tells."""

    at: Number | None
    add: int

    def moved(self, by: int) -> Place:
        """Some bytes further."""
        return Place(self.at, self.add + by)


class Layout(NamedTuple):
    """A link's header. type: where it names what it carries. payload: behind it. network, snapless: from there to the network
    header, past LLC and SNAP or not. addresses: of source and destination in the header, -1 if they are not in one place. mpls: type
    of MPLS, 0 if unknown. way: (place, size, value if received, value if sent) in the header, -1: every other value.
    """

    name: str
    kind: str
    type: Place
    payload: Place
    header: Place = Place(None, 0)
    network: int = 0
    snapless: int = 0
    addresses: tuple[int, int] = (-1, -1)
    mpls: int = 0
    way: tuple[int, int, int, int] | None = None


def both(*tests: Test) -> Test:
    """All of them, in this order."""
    return Chain(tests[0], tuple((True, test) for test in tests[1:])) if len(tests) > 1 else tests[0]


def any_of(*tests: Test) -> Test:
    """One of them, in this order."""
    return Chain(tests[0], tuple((False, test) for test in tests[1:])) if len(tests) > 1 else tests[0]


def _at(offset: int) -> Place:
    return Place(None, offset)


def _ether(name: str, start: int = 0) -> Layout:
    return Layout(name, "ether", _at(start + 12), _at(start + 14), _at(start), 0, 3, (6, 0), 0x8847)


def _llc(name: str, payload: int, addresses: tuple[int, int]) -> Layout:
    return Layout(name, "llc", _at(payload), _at(payload), network=8, snapless=3, addresses=addresses)


def _wlan(name: str, head: Number | None, padded: bool = False) -> Layout:
    """802.11 behind a header of `head` bytes; a data frame's own header has two more with QoS. padded: as radiotap may tell."""
    control = Load(head, 0, 1)
    begin = head or Const(0)
    qos = Compare("=", Binary("&", control, Const(0x8C)), Const(0x88))
    end: Number = Either(qos, Binary("+", begin, Const(26)), Binary("+", begin, Const(24)))
    if padded:
        present = Load(None, 4, 4)  # its bytes are the other way round: flags, more presence bits, time stamp
        flags = Either(_bit(present, 0x1000000), Load(None, 16, 1), Load(None, 8, 1))
        told = both(_bit(control, 8), Not(_bit(control, 4)), _bit(present, 0x2000000), Not(_bit(present, 0x80)), _bit(flags, 0x20))
        end = Either(told, Binary("&", Binary("+", end, Const(3)), Const(0xFFFFFFFC)), end)
    return Layout(name, "wlan", Place(end, 0), Place(end, 0), Place(head, 0), network=8, snapless=3)


def _bit(number: Number, bit: int) -> Test:
    return Not(Compare("=", Binary("&", number, Const(bit)), Const(0)))


def ppp_type(header: Place) -> Layout:
    """What lies in a PPPoE session."""
    return Layout("PPP", "ppp", header, header.moved(2), header, mpls=0x281)


_RADIOTAP = Binary("|", Binary("<<", Load(None, 3, 1), Const(8)), Load(None, 2, 1))
_AVS = Load(None, 4, 4)
_PRISM = Either(Compare("=", Binary("&", Load(None, 0, 4), Const(0xFFFFF000)), Const(0x80211000)), _AVS, Const(144))
_RAW = Layout("raw IP", "raw", _at(0), _at(0))
LINKS = {
    0: Layout("null/loopback", "null", _at(0), _at(4)),
    1: _ether("Ethernet"),
    6: _llc("Token Ring", 14, (8, 2)),
    8: Layout("SLIP", "raw", _at(0), _at(16), way=(0, 1, 0, -1)),
    9: Layout("PPP", "ppp", _at(2), _at(4), mpls=0x281),
    10: _llc("FDDI", 13, (7, 1)),
    12: _RAW,
    14: _RAW,
    15: Layout("SLIP of BSD/OS", "raw", _at(0), _at(24)),
    50: Layout("PPP in HDLC", "ppp", _at(2), _at(4)),
    51: Layout("PPPoE", "ppp", _at(6), _at(8)),
    100: _llc("ATM", 0, (-1, -1)),
    101: _RAW,
    104: Layout("Cisco HDLC", "chdlc", _at(2), _at(4), mpls=0x8847),
    105: _wlan("802.11", None),
    107: Layout("Frame Relay", "frame relay", _at(2), _at(0)),
    108: Layout("OpenBSD loopback", "loop", _at(0), _at(4)),
    109: Layout("OpenBSD IPsec", "null", _at(0), _at(12)),
    113: Layout("Linux cooked v1", "sll", _at(14), _at(16), way=(0, 2, -1, 4)),
    119: _wlan("802.11 with Prism", _PRISM),
    122: _llc("IP over Fibre Channel", 16, (10, 2)),
    127: _wlan("802.11 with radiotap", _RADIOTAP, True),
    163: _wlan("802.11 with AVS", _AVS),
    166: Layout("PPP of pppd", "ppp", _at(2), _at(4), way=(0, 1, 0, 1)),
    228: Layout("raw IPv4", "ip", _at(0), _at(0)),
    229: Layout("raw IPv6", "ip6", _at(0), _at(0)),
    240: _ether("netANALYZER", 4),
    241: _ether("netANALYZER transparent", 12),
    276: Layout("Linux cooked v2", "sll2", _at(0), _at(20), way=(10, 1, -1, 4)),
}


class Reads:
    """Makes tests of bytes. Equal ones are one object, so that they are done once."""

    def __init__(self) -> None:
        self.loads: dict[tuple[int, int, int], Load] = {}
        self.compared: dict[tuple[str, int, int, int], Compare] = {}
        self.kept: list[Number] = []
        """Numbers whose id is a key above, so that it stays their own."""

    def load(self, place: Place, add: int, size: int) -> Load:
        """`size` bytes at `add` from a place."""
        key = id(place.at), place.add + add, size
        if key not in self.loads:
            self.loads[key] = Load(place.at, place.add + add, size)
            self.kept += [place.at] if place.at else []
        return self.loads[key]

    def compare(self, number: Number, value: int, operator: str = "=", mask: int = WORD) -> Test:
        """A number (the bits of it that mask has) compared with a constant."""
        key = operator, id(number), value, mask
        if key not in self.compared:
            masked = number if mask == WORD else Binary("&", number, Const(mask))
            self.compared[key] = Compare(operator, masked, Const(value))
            self.kept.append(number)
        return self.compared[key]

    def equal(self, place: Place, add: int, size: int, value: int, mask: int = WORD) -> Test:
        """Bytes that equal a value. Under an empty mask they are not looked at."""
        return self.compare(self.load(place, add, size), value, mask=mask) if mask else Always(value == 0)

    def bytes_equal(self, place: Place, add: int, value: bytes) -> Test:
        """A run of bytes; its end is looked at first."""
        tests, size = [], len(value)
        while size:
            step = 4 if size >= 4 else 2 if size >= 2 else 1
            size -= step
            tests.append(self.equal(place, add + size, step, int.from_bytes(value[size : size + step])))
        return both(*tests)


def carried(m: Reads, link: Layout, protocol: int) -> Test:
    """That a frame carries a protocol: an Ethernet type, or an LLC service access point below 1501."""
    match link.kind:
        case "ether":
            return _in_ether(m, link, protocol)
        case "sll":
            return _in_sll(m, link, protocol)
        case "llc":
            return _in_llc(m, link, protocol)
        case "wlan":
            return both(*wlan_data(m, link), _in_llc(m, link, protocol))
        case "raw":
            return m.equal(link.header, 0, 1, {IP: 0x40, IP6: 0x60}[protocol], 0xF0) if protocol in (IP, IP6) else Always(False)
        case "ip" | "ip6":
            return Always(protocol == (IP if link.kind == "ip" else IP6))
        case "null" | "loop":
            families = {IP: (2,), IP6: FAMILY6}.get(protocol, ())
            # In the byte order of the machine that captured: the other one's numbers are no families.
            values = [v for f in families for v in ((f << 24, f) if link.kind == "null" else (f,))]
            return any_of(*[m.equal(link.type, 0, 4, v) for v in values]) if values else Always(False)
        case "frame relay":
            values = {IP: [0x3CC], IP6: [0x38E], ISO: [0x381, 0x382, 0x383]}.get(protocol, [])
            return any_of(*[m.equal(link.type, 0, 2, v) for v in values]) if values else Always(False)
        case "ppp":
            protocol = PPP.get(protocol, protocol)
        case "chdlc" if protocol == ISO:
            protocol = ISO << 8 | ISO
    return m.equal(link.type, 0, 2, protocol)


def _snap(m: Reads, link: Layout, organisation: int, protocol: int) -> Test:
    return m.bytes_equal(link.payload, 0, bytes((0xAA, 0xAA, 3)) + organisation.to_bytes(3) + protocol.to_bytes(2))


def _in_ether(m: Reads, link: Layout, protocol: int) -> Test:
    framed = Not(m.compare(m.load(link.type, 0, 2), ETHER_MTU, ">"))
    match protocol:
        case 0xFE | 0xF0 | 0x06:
            return both(framed, m.equal(link.payload, 0, 2, protocol << 8 | protocol))
        case 0xE0:
            other = any_of(_snap(m, link, 0, IPX_TYPE), m.equal(link.payload, 0, 1, IPX), m.equal(link.payload, 0, 2, 0xFFFF))
            return any_of(m.equal(link.type, 0, 2, IPX_TYPE), both(framed, other))
        case 0x809B | 0x80F3:
            other = _snap(m, link, 0x080007 if protocol == ATALK else 0, protocol)
            return any_of(m.equal(link.type, 0, 2, protocol), both(framed, other))
    if protocol <= ETHER_MTU:
        return both(framed, m.equal(link.type, 2, 1, protocol))
    return m.equal(link.type, 0, 2, protocol)


def _in_sll(m: Reads, link: Layout, protocol: int) -> Test:
    framed = m.equal(link.type, 0, 2, 4)
    match protocol:
        case 0xFE | 0xF0 | 0x06:
            return both(framed, m.equal(link.payload, 0, 2, protocol << 8 | protocol))
        case 0xE0:
            other = any_of(m.equal(link.payload, 0, 1, IPX), _snap(m, link, 0, IPX_TYPE))
            return any_of(m.equal(link.type, 0, 2, IPX_TYPE), m.equal(link.type, 0, 2, 1), both(framed, other))
        case 0x809B | 0x80F3:
            other = _snap(m, link, 0x080007 if protocol == ATALK else 0, protocol)
            return any_of(m.equal(link.type, 0, 2, protocol), both(framed, other))
    if protocol <= ETHER_MTU:
        return both(framed, m.equal(link.payload, 0, 1, protocol))
    return m.equal(link.type, 0, 2, protocol)


def wlan_data(m: Reads, link: Layout) -> list[Test]:
    """An 802.11 frame with data."""
    control = m.load(link.header, 0, 1)
    return [Not(_bit(control, 4)), _bit(control, 8)]


def wlan_end(m: Reads, link: Layout, which: str, of: Callable[[int], Test]) -> Test:
    """What `of` makes of an 802.11 frame's source or destination address, wherever it lies."""
    control, ways = m.load(link.header, 0, 1), m.load(link.header, 1, 1)
    managed, data = Not(_bit(control, 8)), _bit(control, 8)
    to, out = _bit(ways, 1), _bit(ways, 2)  # to and from the distribution system
    if which == "dst":
        inside = any_of(both(Not(to), of(4)), both(to, of(16)))
    else:
        inside = any_of(both(Not(out), of(10)), both(out, any_of(both(Not(to), of(16)), both(to, of(24)))))
    return both(Not(_bit(control, 4)), any_of(both(managed, of(10 if which == "src" else 4)), both(data, inside)))


def _in_llc(m: Reads, link: Layout, protocol: int) -> Test:
    if protocol in (ISO, NETBEUI, IP_SAP):
        return m.equal(link.payload, 0, 2, protocol << 8 | protocol)
    if protocol == ATALK:
        return _snap(m, link, 0x080007, ATALK)
    if protocol <= ETHER_MTU:
        return m.equal(link.payload, 0, 1, protocol)
    return m.equal(link.payload, 6, 2, protocol)
