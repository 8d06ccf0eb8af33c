"""What is said about single frames: everything that was read of each, what it means, and the witnesses' opinions."""

from __future__ import annotations

from typing import Any

from ..address import text
from ..flow import Membership, Picked, Show, Shown, protocol_name
from ..ports import port_class, service
from ..table import Column, Table
from ..terms import Endpoint
from ..wire import LINKS, Agree, Checksum, Flag, Outer, Packets, Quoted, Single, Tunnel, mac, marks, meaning
from .words import Section, plural, span, when

MOST_SAID = 20
BITS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE")
DIRECTIONS = {1: "inbound", 2: "outbound"}
MACS, ADDRESSES = {"eth_dst", "eth_src"}, {"src", "dst"}
TYPES = {0x0800: "IPv4", 0x86DD: "IPv6", 0x0806: "ARP", 0x88CC: "LLDP", 0x888E: "802.1X"}
OF_PORTS = {6, 17, 33, 132, 136}


def frame_sections(show: Show, size: int) -> list[Section]:
    """What `pcapnat show` prints; size: bytes of each frame that are dumped."""
    sections: list[Section] = []
    for one in show.frames:
        sections += _frame(one, show, size)
    if show.witnesses:
        sections.append(_verdict(show))
    if show.capture.notes:
        sections.append(Section("Notes", list(show.capture.notes)))
    return sections


def _frame(one: Shown, show: Show, size: int) -> list[Section]:
    frame = one.picked.frame
    sections = [_head(one, show), _columns(frame)]
    sections += [_outer(frame)] if frame.outer else []
    sections += [_quoted(frame)] if frame.quoted else []
    sections.append(Section("Marks", [], ["mark", "what it says"], [list(mark) for mark in marks(frame.row.flags)], ["left", "left"]))
    sections += [_ports(frame)] if _has_ports(frame) else []
    sections += [_checksums(one)] if one.checksums else []
    sections += [_witnesses(one, show)] if show.witnesses else []
    return [*sections, _bytes(frame, size)]


def _head(one: Shown, show: Show) -> Section:
    frame, interface = one.picked.frame, one.picked.frame.interface
    row = frame.row
    cut = f", {row.cap_len:,} of them captured" if row.cap_len < row.wire_len else ""
    link = LINKS.get(interface.link_type)
    lines = [
        f"{when(row.time_ns)} UTC{_after_start(one, show)}, {plural(row.wire_len, 'byte')} on the wire{cut}",
        f"link type {interface.link_type} ({f'{link.name}, {link.source}' if link else 'not decoded'}), interface {row.interface}"
        + (f" ({interface.name})" if interface.name else ""),
    ]
    lines += [f"tag: {tag.name} " + ", ".join(f"{name} {value}" for name, value in tag.numbers) for tag in frame.tags]
    lines += _belongs(one.picked)
    lines += [f"{what}: {words}" for what, words in frame.said[:MOST_SAID]]
    if len(frame.said) > MOST_SAID:
        lines.append(f"... and {len(frame.said) - MOST_SAID} more comments and verdicts")
    if frame.facts:
        lines.append("the trace says: " + ", ".join(f"{name} {value}" for name, value in frame.facts.items()))
    if one.wireshark_number is not None:
        lines.append(f"in Wireshark this is frame {one.wireshark_number}: it numbers the blocks that are no packets, too")
    return Section(f"Frame {frame.number}: {_title(frame)}", lines)


def _after_start(one: Shown, show: Show) -> str:
    first = show.capture.first_ns
    return f" ({span(one.picked.frame.row.time_ns - first)} after the first)" if first is not None else ""


def _title(frame: Single) -> str:
    row = frame.row
    if Flag.IP not in frame.flags:
        return TYPES.get(row.ethertype, f"type {row.ethertype:#06x}") if row.ethertype else "no protocol that is decoded"
    source, target = _end(row.src, row.sport, frame), _end(row.dst, row.dport, frame)
    return f"{protocol_name(row.proto)} {source} → {target}"


def _end(address: tuple[int, int], port: int, frame: Single) -> str:
    return str(Endpoint(text(*address), port if Flag.PORTS in frame.flags else None))


def _belongs(picked: Picked) -> list[str]:
    """The conversation of a frame, and the one an ICMP error is about, a line each."""
    lines = []
    if picked.conversation:
        lines.append(f"of the conversation {member_text(picked.conversation)}")
    elif Flag.QUOTE in picked.frame.flags:
        lines.append("of no conversation: an ICMP error is about one")
    elif Flag.FRAGMENT in picked.frame.flags and picked.frame.row.frag_offset:
        lines.append("of no conversation: the first fragment of its datagram was not seen")
    else:
        lines.append("of no conversation")
    if picked.about:
        lines.append(f"about the conversation {member_text(picked.about)}")
    elif Flag.QUOTE in picked.frame.flags:
        stream = picked.about_stream
        proto = protocol_name(picked.frame.quoted.proto) if picked.frame.quoted else ""
        lines.append("about no conversation that was seen before" + (f" ({proto}.stream eq {stream})" if stream is not None else ""))
    return lines


def member_text(m: Membership) -> str:
    """A place in a conversation in one line."""
    proto = protocol_name(m.proto)
    stream = f", {proto}.stream eq {m.stream}" if m.stream is not None else ""
    arrow = "→" if m.forward else "←"
    return f"{proto} {Endpoint(m.a, m.a_port)} {arrow} {Endpoint(m.b, m.b_port)}{stream}, begun by frame {m.first_frame}"


def value_text(name: str, value: Any) -> str:
    """A column's value as people read it."""
    if name in ADDRESSES:
        return text(*value)
    if name in MACS:
        return mac(value)
    if name == "time_ns":
        return str(value)
    if name == "ethertype":
        return f"{value:#06x}" + (f" ({TYPES[value]})" if value in TYPES else "")
    if name == "proto":
        known = protocol_name(value)
        return f"{value}" + (f" ({known})" if known != str(value) else "")
    if name == "flags":
        return f"{value:#x}"
    if name == "tcp_flags":
        return f"{value:#05x} ({' '.join(bit for n, bit in enumerate(BITS) if value >> n & 1) or 'none'})"
    if name == "tos":
        return f"{value} (DSCP {value >> 2}, ECN {value & 3})"
    if name == "direction":
        return f"{value} ({DIRECTIONS.get(value, '?')})"
    if name == "kind":
        return f"{value} ({Tunnel(value).name.replace('_', ' ')})"
    return f"{value:#x}" if name in ("key", "digest") and value > 0xFFFFFFFF else str(value)


def _rows(columns: dict[str, Column], values: dict[str, Any]) -> list[list[str]]:
    return [
        [
            name,
            value_text(name, value),
            columns[name].unit,
            columns[name].says + (f" ({columns[name].source})" if columns[name].source else ""),
        ]
        for name, value in values.items()
    ]


def _table(title: str, table: type[Table], values: dict[str, Any]) -> Section:
    return Section(title, [], ["column", "value", "unit", "what it holds"], _rows(table.columns, values), ["left"] * 4)


def _columns(frame: Single) -> Section:
    return _table("Columns", Packets, frame.columns())


def _outer(frame: Single) -> Section:
    names = [name for name in Outer.columns if name != "carrier"]
    shown = [name for name in names if name == "depth" or any(_holds(name, getattr(row, name)) for row in frame.outer)]
    rows = [[value_text(n, getattr(row, n)) if _holds(n, getattr(row, n)) else "-" for n in shown] for row in frame.outer]
    return Section("Around it, outermost first", [], shown, rows, ["left"] * len(shown))


def _holds(name: str, value: Any) -> bool:
    """Whether a value of Outer says something: 0, or -1 for a VLAN, is none."""
    return bool(value >= 0) if name == "vlan" else name == "depth" or bool(value)


def quoted_values(frame: Single) -> dict[str, Any]:
    """What is known of the packet that an ICMP error quotes."""
    if frame.quoted is None:
        return {}
    values: dict[str, Any] = frame.quoted._asdict()
    names = [
        "proto",
        "src",
        "dst",
        *(["sport", "dport"] if values["ports"] else []),
        *(["seq"] if values["proto"] == 6 and values["ports"] else []),
    ]
    return {name: values[name] for name in names}


def _quoted(frame: Single) -> Section:
    return _table("The packet it quotes", Quoted, quoted_values(frame))


def _has_ports(frame: Single) -> bool:
    return Flag.PORTS in frame.flags and frame.row.proto in OF_PORTS


def port_rows(frame: Single) -> list[tuple[str, int, str, str]]:
    """(which end, port, IANA's class, usual service) of a frame with ports."""
    proto = protocol_name(frame.row.proto)
    ends = (("source", frame.row.sport), ("destination", frame.row.dport)) if _has_ports(frame) else ()
    return [(which, port, port_class(port), service(proto, port)) for which, port in ends]


def _ports(frame: Single) -> Section:
    rows = [[which, str(port), kind, usual] for which, port, kind, usual in port_rows(frame)]
    return Section("Ports", [], ["", "port", "port class", "usually"], rows, ["left", "right", "left", "left"])


def _checksums(one: Shown) -> Section:
    frame = one.picked.frame
    rows = [[_whose(c, frame), _hex(c.found), _hex(c.expected), c.state.value, meaning(c, frame.row.direction)] for c in one.checksums]
    return Section("Checksums", [], ["of", "found", "expected", "is", "which means"], rows, ["left"] * 5)


def _whose(checksum: Checksum, frame: Single) -> str:
    return checksum.of + ("" if checksum.depth == len(frame.headers) - 1 else f" (outer {checksum.depth})")


def _hex(value: int | None) -> str:
    return "-" if value is None else f"{value:#06x}"


def _witnesses(one: Shown, show: Show) -> Section:
    rows = [[r.field, *(_said(r.field, v) for v in (r.ours, *r.theirs)), r.agree.value] for r in one.rows]
    section = Section(
        f"Witnesses: {differences_text(one)}",
        [],
        ["field", "pcapnat", *show.witnesses, "agree?"],
        rows,
        ["left"] * (3 + len(show.witnesses)),
    )
    section.after = [f"{name}: {view.problem}" for name, view in one.views.items() if view.problem]
    section.after += [f"{name}: has nothing on this frame" for name in show.witnesses if name not in one.views and name not in show.absent]
    if any(r.agree is Agree.ONLY_THEY for r in one.rows):
        section.after.append("only they: we hold no such field of this frame, see its marks")
    return section


def _said(name: str, value: Any) -> str:
    if value is None:
        return "-"
    last = name.split(" ")[-1]
    return str(value) if isinstance(value, str) or last in ("key", "time_ns") else value_text(last, value)


def counted(one: Shown) -> tuple[int, int, int]:
    """(fields on which all agree, fields on which somebody differs, fields that only witnesses have)."""
    kinds = [r.agree for r in one.rows]
    return kinds.count(Agree.YES), kinds.count(Agree.NO), kinds.count(Agree.ONLY_THEY)


def differences_text(one: Shown) -> str:
    """The count of differences in words."""
    same, other, missing = counted(one)
    said = f"{same:,} of {plural(same + other, 'field')} agree"
    return said + (f", {missing} more only they have" if missing else "")


def _verdict(show: Show) -> Section:
    counts = [counted(one) for one in show.frames]
    same, other, missing = (sum(c[k] for c in counts) for k in range(3))
    lines = [
        f"{plural(len(counts), 'frame')}: {plural(other, 'field differs', 'fields differ')}, {same:,} agree, {missing:,} only they have"
    ]
    return Section("Witnesses", lines + [f"{name} {why}" for name, why in show.absent.items()])


def _bytes(frame: Single, size: int) -> Section:
    data = frame.data[:size]
    lines = []
    for at in range(0, len(data), 16):
        piece = data[at : at + 16]
        shown = "".join(chr(b) if 32 <= b < 127 else "." for b in piece)
        lines.append(f"{at:04x}  {piece[:8].hex(' '):23}  {piece[8:].hex(' '):23}  {shown}")
    left = len(frame.data) - len(data)
    if left:
        lines.append(f"... and {left:,} more: --bytes {len(frame.data)} shows all")
    return Section(f"Bytes: {len(frame.data):,} captured", lines)
