"""What tshark says of frames, from the document it prints of them (PDML), in the words of our columns.

A field may lie in several headers of a frame. PDML keeps them apart: headers follow one another, and what an ICMP error
quotes lies inside its header. Nothing of it is trusted: text that XML does not allow is replaced before it is parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..address import parse, text
from ..terms import PcapnatError
from .view import GO_ON, Level, Value, View

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SWITCHES = (
    "tcp.relative_sequence_numbers:FALSE", "ip.defragment:FALSE", "ipv6.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE",
    "ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "udp.check_checksum:TRUE", "tcp.try_heuristic_first:FALSE",
)  # fmt: skip
"""Numbers as they are in the packet, every packet by itself, every checksum looked at."""
SHOWN = (
    "frame eth vlan ieee8021ad ieee8021ah sll null loop raw ppp pppoes mpls llc fr chdlc wlan fddi tr erf ip ipv6 ah esp tcp udp udplite "
    "icmp icmpv6 sctp dccp gre vxlan vxlan_gpe geneve gtp erspan l2tp teredo etherip pim"
)
"""Protocols whose fields are asked for; of others PDML holds the name only."""


def arguments(frames: Iterable[int]) -> list[str]:
    """tshark's arguments for these frames, the file's name left out. Frames before are read too, for their streams' numbers."""
    numbers = sorted(frames)
    wanted = f"frame.number in {{{','.join(map(str, numbers))}}}"
    return ["-c", str(numbers[-1]), "-Y", wanted, "-T", "pdml", "-J", SHOWN, *(part for switch in SWITCHES for part in ("-o", switch))]


def views(pieces: Iterable[bytes]) -> Iterator[tuple[int, View]]:
    """(frame number, what tshark says of it) from the pieces of a PDML document. Raises PcapnatError if it is none."""
    import codecs
    from xml.etree.ElementTree import ParseError, XMLPullParser  # here, as only who asks for witnesses waits for the import

    parser: Any = XMLPullParser(("end",))
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        for piece in pieces:
            parser.feed(decoder.decode(piece).translate(NO_XML))
            for _, element in parser.read_events():
                if element.tag == "packet":
                    yield _packet(element)
                    element.clear()
        parser.close()
    except ParseError as error:
        raise PcapnatError(f"its answer cannot be read ({error})") from None


NO_XML = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF), "?")
Fields = dict[str, list[str]]


class _Proto:
    """One header: its name and its fields, each with its values in order; those of a header inside it are that one's."""

    def __init__(self, element: Element, quoted: bool):
        self.name = element.get("name", "")
        self.quoted = quoted
        self.fields: Fields = {}

    def first(self, name: str) -> str | None:
        values = self.fields.get(name)
        return values[0] if values else None


def _packet(element: Element) -> tuple[int, View]:
    found: list[_Proto] = []
    for child in element:
        if child.tag == "proto":
            _collect(child, False, found)
    frame = next((p for p in found if p.name == "frame"), None)
    shown = frame.first("frame.number") if frame else None
    return int(shown or 0), _view(found)


def _collect(element: Element, quoted: bool, found: list[_Proto]) -> None:
    """Add a header and those inside it, in the order of the document. (PDML is as deep as tshark goes, some dozens of levels.)"""
    proto = _Proto(element, quoted)
    found.append(proto)
    inside = quoted or proto.name in ("icmp", "icmpv6")
    waiting = list(element)[::-1]
    while waiting:
        child = waiting.pop()
        if child.tag == "proto":
            _collect(child, inside, found)
            continue
        name, show = child.get("name"), child.get("show")
        if name and show is not None:
            proto.fields.setdefault(name, []).append(show)
        waiting += list(child)[::-1]


def number(shown: str) -> int:
    """A field's number, in whatever notation tshark shows it."""
    if shown in ("True", "False"):
        return int(shown == "True")
    return int(shown.replace(":", ""), 16) if ":" in shown else int(shown, 0)


def _time(shown: str) -> int:
    """Nanoseconds of an epoch time; more than nine digits behind the point are a second or more, which tshark does not carry over."""
    seconds, _, fraction = shown.partition(".")
    whole = int(seconds) * 1_000_000_000
    part = int(fraction.ljust(9, "0") or 0)
    return whole - part if seconds.startswith("-") else whole + part


def _address(shown: str) -> str:
    return text(*parse(str(ip_address(shown))))


def _status(shown: str) -> str | None:
    return {"0": "wrong", "1": "right", "3": "zero"}.get(shown)


def _direction(shown: str) -> int | None:
    return number(shown) or None


# Field of ours: the fields of tshark's that may hold it, and how their text is read.
Rows = tuple[tuple[str, tuple[str, ...], Callable[[str], Value | None]], ...]
FRAME: Rows = (
    ("time_ns", ("frame.time_epoch",), _time),
    ("cap_len", ("frame.cap_len",), number),
    ("wire_len", ("frame.len",), number),
    ("direction", ("frame.packet_flags_direction",), _direction),
    ("packet_id", ("frame.packet_id",), number),
)
MACS: Rows = (
    ("eth_dst", ("eth.dst", "wlan.da", "fddi.dst", "tr.dst"), str),
    ("eth_src", ("eth.src", "sll.src.eth", "wlan.sa", "fddi.src", "tr.src"), str),
)
TYPES = ("eth.type", "vlan.etype", "sll.etype", "llc.type", "chdlc.protocol", "ieee8021ah.etype")
TAGS = ("vlan.id", "ieee8021ad.id")
IPV4: Rows = (
    ("src", ("ip.src",), _address),
    ("dst", ("ip.dst",), _address),
    ("proto", ("ip.proto",), number),
    ("ttl", ("ip.ttl",), number),
    ("tos", ("ip.dsfield",), number),
    ("ip_id", ("ip.id",), number),
    ("ip_checksum", ("ip.checksum.status",), _status),
)
IPV6: Rows = (
    ("src", ("ipv6.src",), _address),
    ("dst", ("ipv6.dst",), _address),
    ("proto", ("ipv6.nxt",), number),
    ("ttl", ("ipv6.hlim",), number),
    ("tos", ("ipv6.tclass",), number),
)
NEXT_4 = ("ah.next_header",)
NEXT_6 = ("ipv6.hopopts.nxt", "ipv6.routing.nxt", "ipv6.dstopts.nxt", "ipv6.fraghdr.nxt", *NEXT_4)
ABOVE: dict[str, Rows] = {
    "tcp": (
        ("sport", ("tcp.srcport",), number),
        ("dport", ("tcp.dstport",), number),
        ("tcp_flags", ("tcp.flags",), number),
        ("seq", ("tcp.seq",), number),
        ("ack", ("tcp.ack",), number),
        ("window", ("tcp.window_size_value",), number),
        ("mss", ("tcp.options.mss_val",), number),
        ("wscale", ("tcp.options.wscale.shift",), number),
        ("tsval", ("tcp.options.timestamp.tsval",), number),
        ("tsecr", ("tcp.options.timestamp.tsecr",), number),
        ("payload_len", ("tcp.len",), number),
        ("stream", ("tcp.stream",), number),
        ("checksum", ("tcp.checksum.status",), _status),
    ),
    "udp": (
        ("sport", ("udp.srcport",), number),
        ("dport", ("udp.dstport",), number),
        ("stream", ("udp.stream",), number),
        ("checksum", ("udp.checksum.status",), _status),
    ),
    "udplite": (("sport", ("udp.srcport",), number), ("dport", ("udp.dstport",), number)),
    "sctp": (("sport", ("sctp.srcport",), number), ("dport", ("sctp.dstport",), number)),
    "dccp": (("sport", ("dccp.srcport",), number), ("dport", ("dccp.dstport",), number)),
    "esp": (("spi", ("esp.spi",), number),),
    "icmp": (
        ("icmp_type", ("icmp.type",), number),
        ("icmp_code", ("icmp.code",), number),
        ("sport", ("icmp.ident",), number),
        ("dport", ("icmp.ident",), number),
        ("seq", ("icmp.seq",), number),
        ("checksum", ("icmp.checksum.status",), _status),
    ),
    "icmpv6": (
        ("icmp_type", ("icmpv6.type",), number),
        ("icmp_code", ("icmpv6.code",), number),
        ("sport", ("icmpv6.echo.identifier",), number),
        ("dport", ("icmpv6.echo.identifier",), number),
        ("seq", ("icmpv6.echo.sequence_number",), number),
        ("checksum", ("icmpv6.checksum.status",), _status),
    ),
}
KEYS = ("gre.key", "gre.key.call_id", "vxlan.vni", "geneve.vni", "gtp.teid", "erspan.spanid")


def _read(protos: Iterable[_Proto], rows: Rows, into: dict[str, Value], last: bool = False) -> None:
    """Take up the first value of each row (or the last one)."""
    for proto in protos:
        for name, fields, convert in rows:
            shown = next((s for s in map(proto.first, fields) if s is not None), None)
            if shown is None or (name in into and not last):
                continue
            try:
                value = convert(shown)
            except ValueError:
                continue
            if value is not None:
                into[name] = value


def _view(found: list[_Proto]) -> View:
    """The headers of a frame as link, levels of IP, and what the last one quotes."""
    outside = [p for p in found if not p.quoted]
    inside = [p for p in found if p.quoted]
    starts = [i for i, p in enumerate(outside) if p.name in ("ip", "ipv6")]
    link = _link(outside[: starts[0]] if starts else outside)
    levels = [_level(outside[i:j]) for i, j in pairwise([*starts, len(outside)])]
    quotes = [i for i, p in enumerate(inside) if p.name in ("ip", "ipv6")]
    quoted = _level(inside[quotes[0] : quotes[1] if len(quotes) > 1 else None]).fields if quotes else None
    if quoted and quoted.get("proto") != 6:
        quoted.pop("seq", None)  # only TCP's is kept
    return View(link, levels, quoted)


def _all(protos: list[_Proto], names: tuple[str, ...]) -> list[int]:
    """All values of these fields, header by header."""
    return [number(shown) for p in protos for name in names for shown in p.fields.get(name, [])]


def _link(protos: list[_Proto]) -> dict[str, Value]:
    link: dict[str, Value] = {}
    _read(protos, FRAME, link)
    _read(protos, MACS, link, last=True)
    if (kinds := _all(protos, TYPES)) and kinds[-1] not in GO_ON:
        link["ethertype"] = kinds[-1]
    if ids := _all(protos, TAGS):
        link["vlan"] = ids[0]
    return link


def _level(protos: list[_Proto]) -> Level:
    """An IP header and what lies behind it, up to the next one."""
    level = Level({})
    head, fields = protos[0], level.fields
    _read([head], IPV4 if head.name == "ip" else IPV6, fields)
    more, at = _all(protos, ("ip.flags.mf", "ipv6.fraghdr.more")), _all(protos, ("ip.frag_offset", "ipv6.fraghdr.offset"))
    if more and at and (more[-1] or at[-1]):
        fields["frag_offset"] = at[-1]
    if ident := _all(protos, ("ipv6.fraghdr.ident",)):
        fields["ip_id"] = ident[-1]
    if chain := _all(protos, NEXT_4 if head.name == "ip" else NEXT_6):
        fields["proto"] = chain[-1]
    above = next((p for p in protos if p.name in ABOVE), None)
    if above is not None:
        _read([above], ABOVE[above.name], fields)
    if (key := _key(protos)) is not None:
        level.inside["key"] = key
    _read(protos, MACS, level.inside, last=True)
    if ids := _all(protos, TAGS):
        level.inside["vlan"] = ids[0]
    return level


def _key(protos: list[_Proto]) -> int | None:
    """What names a tunnel, in the way of Outer's column of this name."""
    tunnel, session = _all(protos, ("l2tp.tunnel",)), _all(protos, ("l2tp.session",))
    if tunnel and session:
        return tunnel[0] << 16 | session[0]
    keys = _all(protos, KEYS)
    if keys and _all(protos, ("gre.proto",)) == [0x6558] and not any(_all(protos, ("gre.flags.checksum", "gre.flags.sequence_number"))):
        return keys[-1] >> 8  # NVGRE: the other eight bits tell flows apart (RFC 7637 3.2)
    return keys[-1] if keys else None
