"""Witnesses: what dpkt and tshark say of a frame. The one file that imports dpkt.

Neither is trusted nor needed: what dpkt raises and what tshark complains of is told, and the comparison goes on with whoever is
left. dpkt is given a frame's bytes; tshark reads the file itself, once for all frames asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from ..address import text
from ..terms import PcapnatError, printable
from . import pdml, via
from .capture import Capture
from .single import Single
from .view import GO_ON, Level, Value, View

MOST_HEADERS = 16
LONGEST_TEXT = 200


@dataclass
class Witnesses:
    """What each witness says of each frame, by frame number; absent: why one says nothing at all, by its name."""

    dpkt: dict[int, View] = field(default_factory=dict)
    tshark: dict[int, View] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    """Wireshark's number of a frame where it is another than ours."""


def witnesses(frames: list[Single], capture: Capture) -> Witnesses:
    """Hear both about these frames of a capture."""
    found = Witnesses()
    try:
        import dpkt  # here: it takes a tenth of a second, and only who asks for witnesses needs it
    except ImportError:
        found.absent["dpkt"] = "is not installed: `pip install dpkt`"
    else:
        found.dpkt = {frame.number: dpkt_view(frame, dpkt) for frame in frames}
    if not capture.again:
        found.absent["tshark"] = "can only be asked about a file, which this is not"
    elif frames:
        try:
            theirs = {theirs: ours for ours, theirs in _numbers([f.number for f in frames], capture)}
            found.numbers = {ours: number for number, ours in theirs.items() if ours != number}
            for number, view in pdml.views(via.printed(capture.path, pdml.arguments(theirs))):
                if number in theirs:
                    found.tshark[theirs[number]] = view
        except PcapnatError as error:
            found.absent["tshark"] = _line(str(error))
    return found


def _numbers(wanted: list[int], capture: Capture) -> Iterator[tuple[int, int]]:
    """(our number, Wireshark's) of frames, ascending. Wireshark numbers records of a pcapng that are no packets, too."""
    if not capture.mixed:
        yield from zip(wanted, wanted, strict=True)
        return
    others = via.Others(capture.path)
    try:
        for number in wanted:
            others.upto(number)
            yield number, number + others.before
    finally:
        others.close()


def _line(said: str) -> str:
    return printable(" ".join(said.split()))[:LONGEST_TEXT]


def dpkt_view(frame: Single, dpkt: ModuleType) -> View:
    """What dpkt makes of a frame's bytes; whatever it raises becomes `problem`."""
    view = View()
    start = _starts(dpkt).get(frame.interface.link_type)
    if start is None:
        view.problem = f"does not know link type {frame.interface.link_type}"
        return view
    try:
        _walk(start(frame.data), view, dpkt, frame)
    except Exception as error:  # it is handed whatever was captured, and raises whatever comes to it
        view.problem = _line(f"{type(error).__name__}: {error}")
    return view


def _starts(dpkt: ModuleType) -> dict[int, Callable[[bytes], Any]]:
    """How a frame of each link type that dpkt knows is taken up."""

    def raw(data: bytes) -> Any:
        return (dpkt.ip6.IP6 if data[0] >> 4 == 6 else dpkt.ip.IP)(data)

    def ppp(data: bytes) -> Any:
        return dpkt.ppp.PPP(data if data[:2] == b"\xff\x03" else b"\xff\x03" + data)

    def wlan(packet: Any) -> Any:
        body = bytes(packet.data) if packet.type == 2 and packet.subtype in (0, 8) and not packet.wep else b""
        return dpkt.llc.LLC(body) if body[:3] == b"\xaa\xaa\x03" else packet

    return {
        0: dpkt.loopback.Loopback,
        1: dpkt.ethernet.Ethernet,
        9: ppp,
        12: raw,
        14: raw,
        51: dpkt.pppoe.PPPoE,
        101: raw,
        105: lambda data: wlan(dpkt.ieee80211.IEEE80211(data)),
        108: dpkt.loopback.Loopback,
        113: dpkt.sll.SLL,
        127: lambda data: wlan(dpkt.radiotap.Radiotap(data).data),
        228: dpkt.ip.IP,
        229: dpkt.ip6.IP6,
        276: dpkt.sll2.SLL2,
    }


def _walk(packet: Any, view: View, dpkt: ModuleType, frame: Single) -> None:
    """Take up header after header, from the outermost on."""
    for _ in range(8 * MOST_HEADERS):
        if not isinstance(packet, dpkt.Packet):
            return
        if isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6):
            if len(view.levels) == MOST_HEADERS:
                return
            view.levels.append(Level(_internet(packet, dpkt)))
            above = _past_ah(packet.data, dpkt)
            _transport(above, packet, view, dpkt, frame)
            if isinstance(above, dpkt.icmp.ICMP | dpkt.icmp6.ICMP6):
                view.quoted = _quote(above, dpkt)
                return
        elif not view.levels:
            _link(packet, view.link, dpkt)
        else:
            _inside(packet, view.levels[-1].inside, dpkt)
        packet = packet.data


def _link(packet: Any, link: dict[str, Value], dpkt: ModuleType) -> None:
    if isinstance(packet, dpkt.ethernet.Ethernet):
        link["eth_dst"], link["eth_src"] = packet.dst.hex(":"), packet.src.hex(":")
        tags = [tag for tag in getattr(packet, "vlan_tags", []) if isinstance(tag, dpkt.ethernet.VLANtag8021Q)]
        if tags:
            link["vlan"] = tags[0].id
        kind = tags[-1].type if tags else packet.type
        if kind >= 0x600 and kind not in GO_ON:
            link["ethertype"] = kind
    elif isinstance(packet, dpkt.llc.LLC):
        if packet.is_snap and packet.type not in GO_ON and packet.oui == 0:
            link["ethertype"] = packet.type
    elif isinstance(packet, dpkt.sll.SLL | dpkt.sll2.SLL2):
        if packet.hlen == 6:
            link["eth_src"] = packet.hdr[:6].hex(":")
        if packet.ethtype >= 0x600 and packet.ethtype not in GO_ON:
            link["ethertype"] = packet.ethtype


def _inside(packet: Any, inside: dict[str, Value], dpkt: ModuleType) -> None:
    if isinstance(packet, dpkt.gre.GRE):
        if getattr(packet, "key", None) is not None and packet.v == 0:
            inside["key"] = packet.key >> 8 if packet.p == 0x6558 and not packet.flags & 0x9000 else packet.key
        elif packet.v == 1:
            inside["key"] = packet.callid
    elif isinstance(packet, dpkt.ethernet.Ethernet):
        inside["eth_dst"], inside["eth_src"] = packet.dst.hex(":"), packet.src.hex(":")


def _address(packed: bytes) -> str:
    whole = int.from_bytes(packed, "big") | (0xFFFF << 32 if len(packed) == 4 else 0)
    return text(whole >> 64, whole & (1 << 64) - 1)


def _internet(packet: Any, dpkt: ModuleType) -> dict[str, Value]:
    fields: dict[str, Value] = {"src": _address(packet.src), "dst": _address(packet.dst)}
    if isinstance(packet, dpkt.ip.IP):
        fields |= {"proto": packet.p, "ttl": packet.ttl, "tos": packet.tos, "ip_id": packet.id}
        if packet.p == 51 and isinstance(packet.data, dpkt.ah.AH):
            fields["proto"] = packet.data.nxt
        if packet.mf or packet.offset:
            fields["frag_offset"] = packet.offset
        if len(packet.opts) == packet.hl * 4 - 20:
            fields["ip_checksum"] = "wrong" if dpkt.dpkt.in_cksum(packet.pack_hdr() + packet.opts) else "right"
        return fields
    fields |= {"ttl": packet.hlim, "tos": packet.fc}
    if getattr(packet, "p", None) is not None:
        fields["proto"] = packet.p
    part = packet.extension_hdrs.get(44)
    if part is not None:
        fields["ip_id"] = part.id
        if part.frag_off or part.m_flag:
            fields["frag_offset"] = part.frag_off
    return fields


def _past_ah(packet: Any, dpkt: ModuleType) -> Any:
    return packet.data if isinstance(packet, dpkt.ah.AH) else packet


def _transport(above: Any, packet: Any, view: View, dpkt: ModuleType, frame: Single) -> None:
    fields = view.levels[-1].fields
    if isinstance(above, dpkt.tcp.TCP):
        fields |= {"sport": above.sport, "dport": above.dport, "tcp_flags": above._off_flags & 0xFFF, "seq": above.seq, "ack": above.ack}
        fields["window"] = above.win
        for kind, value in dpkt.tcp.parse_opts(above.opts):
            if kind == 0:
                break
            name, form, size = OPTIONS.get(kind, ("", "", 0))
            if name and len(value) == size:
                fields.setdefault(name, struct.unpack_from(form, value)[0])
            if kind == 8 and len(value) == 8:
                fields.setdefault("tsecr", struct.unpack_from("!I", value, 4)[0])
    elif isinstance(above, dpkt.udp.UDP | dpkt.sctp.SCTP):
        fields |= {"sport": above.sport, "dport": above.dport}
    elif isinstance(above, dpkt.esp.ESP):
        fields["spi"] = above.spi
    elif isinstance(above, dpkt.icmp.ICMP | dpkt.icmp6.ICMP6):
        fields |= {"icmp_type": above.type, "icmp_code": above.code}
        if hasattr(above.data, "id") and hasattr(above.data, "seq"):
            fields |= {"sport": above.data.id, "dport": above.data.id, "seq": above.data.seq}
    if (judged := _sum(above, packet, dpkt)) and "frag_offset" not in fields:
        fields["checksum"] = judged


OPTIONS = {2: ("mss", "!H", 2), 3: ("wscale", "!B", 1), 8: ("tsval", "!I", 8)}


def _sum(above: Any, packet: Any, dpkt: ModuleType) -> str:
    """What the checksum over `above` is, with dpkt's own adding up; "" if dpkt does not have all of it."""
    four = isinstance(packet, dpkt.ip.IP)
    kinds = dpkt.tcp.TCP | dpkt.udp.UDP | dpkt.icmp6.ICMP6 | dpkt.icmp.ICMP
    if not isinstance(above, kinds) or above is not packet.data or (not four and packet.all_extension_headers):
        return ""
    if isinstance(above, dpkt.udp.UDP) and not above.sum:
        return "zero"
    if isinstance(getattr(above.data, "data", None), dpkt.ip.IP | dpkt.ip6.IP6):
        return ""  # dpkt mends a quoted packet when it makes bytes of it
    body = bytes(above)
    declared = packet.len - packet.hl * 4 if four else packet.plen
    if len(body) != declared or (isinstance(above, dpkt.udp.UDP) and above.ulen != declared) or not above.sum:
        return ""
    total = 0
    if not isinstance(above, dpkt.icmp.ICMP):
        total = dpkt.dpkt.in_cksum_add(0, packet.src + packet.dst + struct.pack("!II", len(body), packet.p))
    return "wrong" if dpkt.dpkt.in_cksum_done(dpkt.dpkt.in_cksum_add(total, body)) else "right"


def _quote(above: Any, dpkt: ModuleType) -> dict[str, Value] | None:
    """The packet that an ICMP error quotes, if dpkt took it apart."""
    quoted = getattr(above.data, "data", None)
    if not isinstance(quoted, dpkt.ip.IP | dpkt.ip6.IP6):
        return None
    fields = {name: value for name, value in _internet(quoted, dpkt).items() if name in ("src", "dst", "proto")}
    inner = quoted.data
    if isinstance(inner, dpkt.tcp.TCP | dpkt.udp.UDP | dpkt.sctp.SCTP):
        fields |= {"sport": inner.sport, "dport": inner.dport}
        if isinstance(inner, dpkt.tcp.TCP):
            fields["seq"] = inner.seq
    elif isinstance(inner, dpkt.icmp.ICMP | dpkt.icmp6.ICMP6) and hasattr(inner.data, "id"):
        fields |= {"sport": inner.data.id, "dport": inner.data.id}
    return fields
