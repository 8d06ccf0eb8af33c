"""What the leaves of a pcap-filter mean on one link type: which bytes are compared with what.

The order of what is read follows libpcap's code generator (as `tcpdump -d` shows it, libpcap 1.10.3), as a read beyond the
captured bytes rejects the frame. vlan, mpls, pppoes and geneve move where later words of the expression look, in the order
of the text, as they do there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..table import Array
from ..terms import CaptureError
from .bpf import PORTED, Arithmetic, Ask, Field, Operation, parse
from .bpf_links import LINKS, Layout, Place, Reads, any_of, both, carried, ppp_type, wlan_data, wlan_end
from .bpf_run import WORD, Always, Binary, Chain, Compare, Const, Either, Length, Load, Not, Number, Test, select
from .bpf_words import ETHERTYPES, FilterError, LinkError

IP, IP6, ARP, RARP, VLANS = 0x800, 0x86DD, 0x806, 0x8035, (0x8100, 0x88A8, 0x9100)
DEFAULT_PROTO = {"sctp": 132, "tcp": 6, "udp": 17, "pim": 103, "ah": 51, "esp": 50}
"""Over IPv4 and IPv6."""
IP_PROTO = {"icmp": 1, "igmp": 2, "igrp": 9, "vrrp": 112, "carp": 112}
ISO_PROTO = {"esis": 0x82, "isis": 0x83, "clnp": 0x81}
ISIS_PDU = {
    "l1": (26, 24, 18, 15, 17), "l2": (27, 25, 20, 16, 17), "iih": (17, 15, 16), "lsp": (18, 20),
    "snp": (24, 25, 26, 27), "csnp": (24, 25), "psnp": (26, 27),
}  # fmt: skip
LLC_S = {"rr": 0x01, "rnr": 0x05, "rej": 0x09}
LLC_U = {"ui": 0x03, "ua": 0x63, "disc": 0x43, "dm": 0x0F, "sabme": 0x6F, "test": 0xE3, "xid": 0xAF, "frmr": 0x87}
ETHER_MTU = 1500


class Filter:
    """A pcap-filter expression for frames of any link type. Raises FilterError."""

    def __init__(self, text: str):
        self.tree = parse(text)
        self.tests: dict[int, Test] = {}
        with suppress(LinkError):  # perhaps it fits the links of the capture
            self.tests[1] = Maker(LINKS[1]).whole(self.tree)

    def select(self, link: int, path: str, buf: Array, at: Array, cap: Array, wire: Array) -> Array:
        """Which frames of one link type it accepts (columns as in Frames). Raises CaptureError where it cannot be asked of them."""
        if link not in self.tests:
            if link not in LINKS:
                raise CaptureError(path, f"-f cannot look into link type {link} (-Y may help)")
            try:
                self.tests[link] = Maker(LINKS[link]).whole(self.tree)
            except LinkError as error:
                raise CaptureError(path, str(error)) from None
        return select(self.tests[link], buf, at, cap, wire)


class Maker(Reads):
    """Makes tests of leaves, and remembers where the next header of each kind lies."""

    def __init__(self, layout: Layout):
        super().__init__()
        self.link = layout
        self.labels = 0
        self.inner = self.reached = False

    def whole(self, tree: Test) -> Test:
        """A whole expression. Where the link header's length varies it is read first, as in libpcap, if anything behind it is."""
        start = self.link.payload.at
        test = self.test(tree)
        return both(Compare(">=", start, Const(0)), test) if start and self.reached else test

    def test(self, tree: Test) -> Test:
        """A tree with every leaf made."""
        match tree:
            case Ask():
                return getattr(self, "ask_" + tree.what)(*tree.arguments, at=tree.at)  # type: ignore[no-any-return]
            case Not():
                return Not(self.test(tree.test))
            case Chain():
                return Chain(self.test(tree.first), tuple((both, self.test(test)) for both, test in tree.rest))
        return tree

    @property
    def payload(self) -> Place:
        """Where the network layer's header begins."""
        self.reached = True
        return self.link.payload.moved(self.link.network)

    def transport(self) -> Place:
        """Where the header behind the IPv4 one begins."""
        size = Binary("<<", Binary("&", self.load(self.payload, 0, 1), Const(15)), Const(2))
        at = self.payload.at
        return Place(size if at is None else Binary("+", size, at), self.payload.add)

    def unfragmented(self) -> Test:
        """Fragment offset 0."""
        return self.equal(self.payload, 6, 2, 0, 0x1FFF)

    def carries(self, protocol: int, at: int = 0) -> Test:
        """What lies behind the link header (and labels): an Ethernet type, or an LLC service access point below 1501."""
        if self.labels:
            if protocol not in (IP, IP6):
                raise FilterError("only IPv4 and IPv6 are told apart under MPLS labels", at)
            bottom = self.equal(self.payload, -2, 1, 1, 1)
            return both(bottom, self.equal(self.payload, 0, 1, 0x40 if protocol == IP else 0x60, 0xF0))
        self.reached = True
        return carried(self, self.link, protocol)

    def of_proto(self, proto: str, number: int, at: int) -> Test:
        """`proto NUMBER` under the given header, "" for both versions of IP."""
        match proto:
            case "":
                return any_of(self.of_proto("ip", number, at), self.of_proto("ip6", number, at))
            case "ip":
                return both(self.carries(IP, at), self.equal(self.payload, 9, 1, number))
            case "ip6":
                following = both(self.equal(self.payload, 6, 1, 44), self.equal(self.payload, 40, 1, number))
                return both(self.carries(IP6, at), any_of(self.equal(self.payload, 6, 1, number), following))
            case "link":
                return self.carries(number, at)
            case "iso":
                if self.link.kind == "frame relay":
                    return self.equal(self.link.header, 2, 2, 0x300 | number)
                place = self.link.snapless + (self.link.kind == "chdlc")  # a byte of padding; libpcap forgets it for IS-IS below
                return both(self.carries(ETHERTYPES["iso"], at), self.equal(self.link.payload, place, 1, number))
            case "isis":
                pdu = self.equal(self.link.payload, self.link.snapless + 4, 1, number)
                return both(self.of_proto("iso", ISO_PROTO["isis"], at), pdu)
        raise FilterError(f"`{proto} proto` asks for nothing", at)

    def directed(self, way: str, of: Any) -> Test:
        """src, dst, either or both; of: makes the test of one of them."""
        match way:
            case "src" | "dst":
                return of(way)  # type: ignore[no-any-return]
            case "and":
                return both(of("src"), of("dst"))
        return any_of(of("src"), of("dst"))

    # Leaves

    def ask_abbreviation(self, proto: str, at: int) -> Test:
        """A protocol's name alone."""
        if proto in DEFAULT_PROTO:
            return self.of_proto("", DEFAULT_PROTO[proto], at)
        if proto in IP_PROTO:
            return self.of_proto("ip", IP_PROTO[proto], at)
        if proto == "icmp6":
            return self.of_proto("ip6", 58, at)
        if proto in ISO_PROTO:
            return self.of_proto("iso", ISO_PROTO[proto], at)
        if proto in ISIS_PDU:
            return any_of(*[self.of_proto("isis", pdu, at) for pdu in ISIS_PDU[proto]])
        if proto in ETHERTYPES:
            return self.carries(ETHERTYPES[proto], at)
        raise FilterError(f"{proto!r} alone asks for nothing", at)

    def ask_proto(self, proto: str, number: int, at: int) -> Test:
        """Some header's protocol field."""
        return self.of_proto(proto, number, at)

    def ask_host(self, proto: str, way: str, address: int, mask: int, at: int) -> Test:
        """An IPv4 address or network: that of an IPv4 packet, or one that an ARP or RARP packet asks about."""
        places = {"ip": (IP, 12, 16), "arp": (ARP, 14, 24), "rarp": (RARP, 14, 24)}
        names = [proto] if proto else ["ip"] if self.labels else list(places)

        def of(ethertype: int, src: int, dst: int) -> Test:
            ends = self.directed(way, lambda end: self.equal(self.payload, src if end == "src" else dst, 4, address, mask))
            return both(self.carries(ethertype, at), ends)

        return any_of(*[of(*places[name]) for name in names])

    def ask_host6(self, way: str, address: int, mask: int, at: int) -> Test:
        """An IPv6 address or network."""

        def end(which: str) -> Test:
            start = 8 if which == "src" else 24
            words = [(start + i, address >> 8 * (12 - i) & WORD, mask >> 8 * (12 - i) & WORD) for i in range(0, 16, 4)]
            return both(*[self.equal(self.payload, where, 4, value, bits) for where, value, bits in words])

        return both(self.carries(IP6, at), self.directed(way, end))

    def ask_port(self, proto: str, way: str, low: int, high: int | None, at: int) -> Test:
        """A port, or a range of them, in the first fragment of a packet."""
        protos = [proto] if proto else PORTED

        def at_place(place: Place, which: str) -> Test:
            add = 0 if which == "src" else 2
            if high is None:
                return self.equal(place, add, 2, low)
            number = self.load(place, add, 2)
            return both(self.compare(number, low, ">="), Not(self.compare(number, high, ">")))

        def over(ethertype: int, field: int, place: Place, *whole: Test) -> Test:
            ports = self.directed(way, lambda which: at_place(place, which))
            each = [both(self.equal(self.payload, field, 1, DEFAULT_PROTO[name]), *whole, ports) for name in protos]
            return both(self.carries(ethertype, at), any_of(*each))

        return any_of(over(IP6, 6, self.payload.moved(40)), over(IP, 9, self.transport(), self.unfragmented()))

    def ask_ether(self, way: str, address: int, at: int) -> Test:
        """An Ethernet address."""
        value = address.to_bytes(6)
        test = self.directed(way, lambda end: self.hardware(end, lambda place: self.bytes_equal(self.link.header, place, value), at))
        return both(*self.framed(), test)

    def hardware(self, end: str, of: Callable[[int], Test], at: int) -> Test:
        """What `of` makes of the place of the link's source or destination address."""
        if self.link.kind == "wlan":
            return wlan_end(self, self.link, end, of)
        if self.link.addresses[0] < 0:
            raise LinkError(f"{self.link.name} has no hardware addresses", at)
        return of(self.link.addresses[0 if end == "src" else 1])

    def framed(self) -> list[Test]:
        """Under Geneve: that it carries an Ethernet frame, not a bare packet."""
        if not self.inner:
            return []
        begin, end = (place.at or Const(0) for place in (self.link.header, self.link.payload))
        return [Not(Compare("=", Binary("+", begin, Const(self.link.header.add)), Binary("+", end, Const(self.link.payload.add))))]

    def ask_broadcast(self, proto: str, at: int) -> Test:
        """Sent to all; of IPv4 only the two addresses that need no netmask."""
        if proto == "ip":
            target = self.load(self.payload, 16, 4)
            return both(self.carries(IP, at), any_of(self.compare(target, 0), self.compare(target, WORD)))
        if proto not in ("", "link"):
            raise FilterError(f"`{proto} broadcast` asks for nothing", at)
        return self.ask_ether("dst", (1 << 48) - 1, at)

    def ask_multicast(self, proto: str, at: int) -> Test:
        """Sent to a group."""
        if proto == "ip":
            return both(self.carries(IP, at), self.compare(self.load(self.payload, 16, 1), 224, ">="))
        if proto == "ip6":
            return both(self.carries(IP6, at), self.equal(self.payload, 24, 1, 255))
        if proto not in ("", "link"):
            raise FilterError(f"`{proto} multicast` asks for nothing", at)
        return both(*self.framed(), self.hardware("dst", lambda place: self.equal(self.link.header, place, 1, 1, 1), at))

    def ask_length(self, word: str, limit: int, at: int) -> Test:
        """less and greater, which both include the limit."""
        return Compare(">=", Length(), Const(limit)) if word == "greater" else Not(Compare(">", Length(), Const(limit)))

    def ask_byte(self, place: int, operator: str, value: int, at: int) -> Test:
        """byte N OP N."""
        number = self.load(self.link.header, place, 1)
        if operator in "&|":
            return Not(Compare("=", Binary(operator, number, Const(value)), Const(0)))
        return Not(self.compare(number, value, ">=")) if operator == "<" else self.compare(number, value, operator)

    def ask_inbound(self, inbound: bool, at: int) -> Test:
        """Which way the frame went, where the link header says so."""
        if self.link.way is None:
            raise LinkError(f"{self.link.name} does not say which way frames went", at)
        place, size, received, sent = self.link.way
        this, other = (received, sent) if inbound else (sent, received)
        return self.equal(self.link.header, place, size, this) if this >= 0 else Not(self.equal(self.link.header, place, size, other))

    def ask_ifindex(self, index: int, at: int) -> Test:
        """The interface's number."""
        if self.link.kind != "sll2":
            raise LinkError(f"{self.link.name} does not number interfaces", at)
        return self.equal(self.link.header, 4, 4, index)

    def ask_vlan(self, number: int | None, at: int) -> Test:
        """A VLAN tag; what follows in the expression looks behind it."""
        if self.labels:
            raise FilterError("no VLAN is looked for under MPLS labels", at)
        if number is not None and number > 4095:
            raise FilterError(f"VLAN {number} is more than 4095", at)
        if self.link.kind not in ("ether", "wlan"):
            raise LinkError(f"{self.link.name} has no VLAN tags", at)
        tests: list[Test] = [any_of(*[self.carries(tag, at) for tag in VLANS])]
        if number is not None:
            tests.append(self.equal(self.payload, 0, 2, number, 0xFFF))
        self.link = self.link._replace(payload=self.link.payload.moved(4), type=self.link.type.moved(4))
        return both(*tests)

    def ask_mpls(self, label: int | None, at: int) -> Test:
        """An MPLS label; what follows in the expression looks behind it."""
        if label is not None and label > 0xFFFFF:
            raise FilterError(f"label {label} is more than 1048575", at)
        if self.labels:
            tests = [self.equal(self.payload, -2, 1, 0, 1)]
        elif self.link.mpls:
            tests = [self.equal(self.link.type, 0, 2, self.link.mpls)]
        else:
            raise LinkError(f"{self.link.name} has no MPLS labels", at)
        if label is not None:
            tests.append(self.equal(self.payload, 0, 4, label << 12, 0xFFFFF000))
        self.labels += 1
        self.link = self.link._replace(network=self.link.network + 4, snapless=self.link.snapless + 4)
        return both(*tests)

    def ask_pppoed(self, at: int) -> Test:
        """PPPoE discovery."""
        return self.carries(0x8863, at)

    def ask_pppoes(self, session: int | None, at: int) -> Test:
        """A PPPoE session; what follows in the expression looks into it."""
        if session is not None and session > 0xFFFF:
            raise FilterError(f"session {session} is more than 65535", at)
        tests = [self.carries(0x8864, at)]
        if session is not None:
            tests.append(self.equal(self.payload, 0, 4, session, 0xFFFF))
        self.link, self.inner = ppp_type(self.payload.moved(6)), False
        return both(*tests)

    def ask_geneve(self, number: int | None, at: int) -> Test:
        """Geneve; what follows in the expression looks at the packet or frame in it."""
        if number is not None and number > 0xFFFFFF:
            raise FilterError(f"Geneve network {number} is more than 16777215", at)

        def over(port: Test, place: Place) -> Test:
            test = both(port, self.equal(place, 8, 1, 0, 0xC0))
            return test if number is None else both(test, self.equal(place, 12, 4, number << 8, 0xFFFFFF00))

        here, there = self.transport(), self.payload.moved(40)
        tests = []
        for ethertype, field, place, whole in ((IP, 9, here, [self.unfragmented()]), (IP6, 6, there, [])):
            udp = both(self.carries(ethertype, at), self.equal(self.payload, field, 1, 17), *whole, self.equal(place, 2, 2, 6081))
            tests.append(over(udp, place))
        begin = Either(self.carries(IP, at), _sum(here, 8), _sum(there, 8))
        options = Binary("<<", Binary("&", self.load(Place(begin, 0), 0, 1), Const(0x3F)), Const(2))
        after = Binary("+", Binary("+", options, Const(8)), begin)
        frame = self.equal(Place(begin, 0), 2, 2, 0x6558)
        payload = Either(frame, Binary("+", after, Const(14)), after)
        type_at = Either(frame, Binary("+", after, Const(12)), Binary("+", begin, Const(2)))
        self.link = LINKS[1]._replace(header=Place(after, 0), payload=Place(payload, 0), type=Place(type_at, 0))
        self.inner, self.labels = True, 0
        return both(any_of(*tests), Compare(">=", payload, Const(0)))  # always so, but read: libpcap computes it here

    def ask_llc(self, kind: str, at: int) -> Test:
        """An LLC header, perhaps of one kind."""
        if self.link.kind not in ("ether", "llc", "wlan"):
            raise LinkError(f"{self.link.name} has no LLC headers", at)
        tests: list[Test] = []
        if self.link.kind == "ether":
            tests = [Not(self.compare(self.load(self.link.type, 0, 2), ETHER_MTU, ">")), Not(self.equal(self.link.payload, 0, 2, 0xFFFF))]
        elif self.link.kind == "wlan":
            tests = wlan_data(self, self.link)
        match kind.lower():
            case "":
                return both(*tests or [Always(True)])
            case "i":
                return both(*tests, self.equal(self.link.payload, 2, 1, 0, 1))
            case "s" | "u":
                return both(*tests, self.equal(self.link.payload, 2, 1, 1 if kind.lower() == "s" else 3, 3))
        if kind in LLC_S:
            return both(*tests, self.equal(self.link.payload, 2, 1, LLC_S[kind], 0x0F))
        if kind in LLC_U:
            return both(*tests, self.equal(self.link.payload, 2, 1, LLC_U[kind], 0xEF))
        raise FilterError(f"no kind of LLC header is known as {kind[:40]!r}", at)

    # Relations

    def ask_relation(self, operator: str, opposite: bool, a: Arithmetic, b: Arithmetic, at: int) -> Test:
        """Two values compared, where the headers they are read from are there; opposite: the answer is turned round, that condition not."""
        needs: list[Test] = []
        left, right = self.value(a, needs), self.value(b, needs)
        if isinstance(left, Const) and isinstance(right, Const):
            compared: Test = Always(
                {"=": left.value == right.value, ">": left.value > right.value}.get(operator, left.value >= right.value)
            )
        else:
            compared = Compare(operator, left, right)
        return both(*needs, Not(compared) if opposite else compared)

    def value(self, a: Arithmetic, needs: list[Test]) -> Number:
        """A value as a number; what has to be true for it to mean something is put to `needs`."""
        match a:
            case int():
                return Const(a)
            case "len":
                return Length()
            case Operation():
                if a.operator == "negative":
                    return combined("-", Const(0), self.value(a.a, needs), a.at)
                # libpcap's way: only what is left of an operator has to be there, what is right of it is read in any case.
                return combined(a.operator, self.value(a.a, needs), self.value(a.b, []), a.at)
            case Field():
                return self.field(a, needs)
        raise TypeError(a)

    def field(self, field: Field, needs: list[Test]) -> Number:
        """proto[index:size]."""
        before, proto = len(needs), field.proto
        index = self.value(field.index, needs)
        if proto == "link":
            place = self.link.header
        elif proto == "icmp6":
            needs += [self.carries(IP6, field.at), self.equal(self.payload, 6, 1, 58)]
            place = self.payload.moved(40)
        elif proto in ("ip", "ip6", "arp", "rarp", "atalk", "decnet", "lat", "sca", "mopdl", "moprc"):
            needs.append(self.carries(ETHERTYPES[proto], field.at))
            place = self.payload
        elif proto in ("sctp", "tcp", "udp", "icmp", "igmp", "igrp", "pim", "vrrp", "carp"):
            needs.insert(before, self.carries(IP, field.at))
            needs += [self.ask_abbreviation(proto, field.at), self.unfragmented()]
            place = self.transport()
        else:
            raise FilterError(f"bytes of {proto} cannot be asked for", field.at)
        if isinstance(index, Const):
            if place.at is None:
                return self.load(Place(None, 0), place.add + index.value & WORD, field.size)
            if index.value < 1 << 16:
                return self.load(place, index.value, field.size)
        return Load(index if place.at is None else Binary("+", index, place.at), place.add, field.size)

    def ask_decnet(self, way: str, address: int, at: int) -> Test:
        """A DECnet address, of long and short headers with and without a byte of padding."""
        value = (address & 0xFF) << 8 | address >> 8

        def end(which: str) -> Test:
            short, long = (5, 17) if which == "src" else (3, 9)
            forms = ((1, 0x02, 0x07, short), (2, 0x8102, 0xFF07, short + 1), (1, 0x06, 0x07, long), (2, 0x8106, 0xFF07, long + 1))
            tests = [
                both(self.equal(self.payload, 2, size, flags, mask), self.equal(self.payload, place, 2, value))
                for size, flags, mask, place in forms
            ]
            return both(self.carries(ETHERTYPES["decnet"], at), any_of(*tests))

        return self.directed(way, end)


def _sum(place: Place, more: int) -> Number:
    return Const(place.add + more) if place.at is None else Binary("+", place.at, Const(place.add + more))


def combined(operator: str, a: Number, b: Number, at: int) -> Number:
    """Two numbers combined, at once if both are constants."""
    if isinstance(b, Const):
        if operator in "/%" and b.value == 0:
            raise FilterError("division by zero", at)
        if operator in ("<<", ">>") and b.value > 31:
            raise FilterError("a shift by more than 31 bits", at)
        if isinstance(a, Const):
            x, y = a.value, b.value
            results = {"+": x + y, "-": x - y, "*": x * y, "&": x & y, "|": x | y, "^": x ^ y}
            if operator in results:
                return Const(results[operator] & WORD)
            return Const((x // y if operator == "/" else x % y if operator == "%" else x << y if operator == "<<" else x >> y) & WORD)
    return Binary(operator, a, b)
