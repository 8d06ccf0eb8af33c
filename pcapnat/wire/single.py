"""One frame by itself: its bytes, its columns, its tags, and where each IP header in it lies. For a few frames, not for all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..table import Table
from . import pcapng
from .decode import DEPTH, MAY_CARRY, decode, internet
from .link import ETHER, IPV4, IPV6, LINKS, How, layouts
from .packets import Flag, Frames, Outer, Packets, Quoted
from .reader import KEY_LIMIT
from .reasons import reason_text
from .strip import strip
from .tunnel import enter, tunnel_port
from .windows import Direction, PacketFacts, Texts

if TYPE_CHECKING:
    from .capture import Capture, Chunk, Interface

PADDING = 64
MOST_SAID = 100
"""Comments and verdicts kept of one frame."""


class Header(NamedTuple):
    """An IP header: where it begins, where what may be read of its packet ends (both from the frame's first byte), and its version."""

    at: int
    end: int
    version: int


class Tag(NamedTuple):
    """A tag or label between link and IP; numbers are (name, value) as the standard calls them."""

    name: str
    numbers: tuple[tuple[str, int], ...]


@dataclass
class Single:
    """A frame: `number` counts from 1; row, outer and quoted are rows of Packets, Outer and Quoted with Python's integers.

    has_macs: which of eth_dst and eth_src were read. said: (what, text) of comments and verdicts, not safe for a terminal.
    facts: what a Windows trace says.
    """

    number: int
    row: Any
    data: bytes
    interface: Interface
    outer: list[Any]
    quoted: Any | None
    headers: list[Header]
    tags: list[Tag]
    has_macs: tuple[bool, bool]
    said: list[tuple[str, str]] = field(default_factory=list)
    facts: dict[str, int | str] = field(default_factory=dict)

    @property
    def flags(self) -> Flag:
        """The marks."""
        return Flag(self.row.flags)

    def columns(self) -> dict[str, Any]:
        """The columns of Packets that mean something in this frame, in their order."""
        return {name: value for name, value in self.row._asdict().items() if self._holds(name, value)}

    def _holds(self, name: str, value: Any) -> bool:
        flags = self.flags
        if name in NEEDS:
            return bool(flags & NEEDS[name])
        if name == "ip_id":
            return bool(flags & Flag.IP) and (not flags & Flag.V6 or bool(flags & Flag.FRAGMENT) or value > 0)
        if name in ("eth_dst", "eth_src"):
            return self.has_macs[name == "eth_src"]
        if name in ("payload_at", "payload_len"):
            return bool(self.row.payload_at or self.row.payload_len)
        return bool(value) if name in IF_GIVEN else value >= 0 if name == "offset" else True


NEEDS = {
    "vlan": Flag.VLAN,
    "src": Flag.IP,
    "dst": Flag.IP,
    "proto": Flag.IP,
    "ttl": Flag.IP,
    "tos": Flag.IP,
    "frag_offset": Flag.FRAGMENT,
    "sport": Flag.PORTS | Flag.SPI,
    "dport": Flag.PORTS | Flag.SPI,
    "tcp_flags": Flag.TCP,
    "seq": Flag.TCP | Flag.IN_QUERY,
    "ack": Flag.TCP,
    "window": Flag.TCP,
    "mss": Flag.MSS,
    "wscale": Flag.WSCALE,
    "tsval": Flag.TIMESTAMPS,
    "tsecr": Flag.TIMESTAMPS,
    "icmp_type": Flag.ICMP,
    "icmp_code": Flag.ICMP,
    "key": Flag.KEY,
}
"""Marks of which one must be set for a column to mean something."""
IF_GIVEN = {"direction", "packet_id", "ethertype", "digest"}
"""Columns whose 0 says that there is none."""


def single(capture: Capture, chunk: Chunk, row: int, number: int) -> Single:
    """Frame `number`, in row `row` of the capture's present chunk, taken out of it."""
    one = chunk.frames.take(slice(row, row + 1))
    at, size = int(one.at[0]), int(one.cap_len[0])
    found = dissect(chunk.buf[at : at + size].tobytes(), one, capture.interfaces[int(one.interface[0])], number, chunk.base + at)
    if not capture.sided:
        found.row = found.row._replace(direction=0, packet_id=0)
    if capture.trace or capture.via:  # the bytes do not lie in the file as they are
        found.row = found.row._replace(offset=-1)
    if found.flags & Flag.NOTED:
        found.said = list(pcapng.said(capture, row))[:MOST_SAID]
    if chunk.facts is not None:
        found.facts = dict(_facts(chunk.facts, capture.texts, row))
    return found


def dissect(data: bytes, one: Frames, interface: Interface, number: int = 1, offset: int = 0) -> Single:
    """A frame from its bytes and its row of Frames; offset: where the bytes lie in the file."""
    packets, quoted, outer = Packets.empty(1), Quoted.empty(1), Outer.empty(DEPTH)
    alone = one.take(slice(0, 1))
    alone.at[0] = alone.interface[0] = 0
    links = layouts([interface.link_type])
    used = decode(np.frombuffer(data + bytes(PADDING), np.uint8), alone, 1, offset, links, packets, quoted, outer, KEY_LIMIT)
    packets.interface[:] = one.interface
    packets.direction[:], packets.packet_id[:] = one.direction, one.packet_id
    layout = int(links[0])
    _, _, _, _, target, source = strip(memoryview(data), 0, len(data), layout)
    return Single(
        number,
        _row(packets, 0),
        data,
        interface,
        [_row(outer, k) for k in range(used >> 32)],
        _row(quoted, 0) if used & 0xFFFFFFFF else None,
        list(_headers(data, layout)),
        list(tags(data, interface.link_type)),
        (0 <= target <= len(data) - 6, 0 <= source <= len(data) - 6),
    )


def _row(table: Table, index: int) -> Any:
    """A row with Python's integers; an address is a pair of them."""
    row = table.row(index)
    return type(row)(*[tuple(value.tolist()) if getattr(value, "ndim", 0) else int(value) for value in row])


def _headers(data: bytes, layout: int) -> Iterator[Header]:
    """The IP headers in one another, outermost first: the way that `decode` takes, with the places it does not keep."""
    buf, end = memoryview(data), len(data)
    p, q = _plain(Packets.empty(1)), _plain(Quoted.empty(1))
    at, ethertype, *_ = strip(buf, 0, end, layout)
    for _ in range(DEPTH + 1):
        if ethertype not in (IPV4, IPV6):
            return
        p.sport[0] = p.dport[0] = p.payload_at[0] = p.payload_len[0] = 0
        flags, _ = internet(buf, at, end, ethertype, p, 0, q, 0, 0, 0)
        if not flags & Flag.IP:
            return
        yield Header(at, end, 6 if flags & Flag.V6 else 4)
        if not flags & MAY_CARRY:
            return
        at = p.payload_at[0]
        end = min(end, at + p.payload_len[0])
        port = 0
        if flags & Flag.UDP:
            port = p.dport[0] if tunnel_port(p.dport[0]) else p.sport[0]
        kind, at, inside, _ = enter(buf, at, end, p.proto[0], port)
        if not kind:
            return
        at, ethertype, *_ = strip(buf, at, end, inside)


def _plain(table: Table) -> Any:
    """A table as a kernel that runs plain gets it."""
    return table.record()(*[memoryview(getattr(table, name)) for name in table.columns])


TAGS = {0x8100: "802.1Q", 0x88A8: "802.1ad", 0x9100: "802.1Q (9100)", 0x9200: "802.1Q (9200)"}
MOST_TAGS = 16


def tags(data: bytes, link_type: int) -> Iterator[Tag]:
    """The tags and labels of a frame, outermost first, where the link names what follows by an ethertype."""
    link = LINKS.get(link_type)
    if link is None or not (link.how is How.TYPE or (link.how is How.STEP and link.field == ETHER)):
        return
    at, after = (link.field, link.head) if link.how is How.TYPE else (link.head + 12, link.head + 14)
    more_labels = False
    for _ in range(MOST_TAGS):
        if after + 4 > len(data):
            return
        kind = int.from_bytes(data[at : at + 2], "big")
        word = int.from_bytes(data[after : after + 4], "big")
        if more_labels or kind in (0x8847, 0x8848):
            yield Tag("MPLS", (("label", word >> 12), ("class", word >> 9 & 7), ("ttl", word & 0xFF)))
            if word & 0x100:  # the bottom of the stack
                return
            more_labels, after = True, after + 4
        elif kind in TAGS:
            yield Tag(TAGS[kind], (("id", word >> 16 & 0xFFF), ("priority", word >> 29), ("drop eligible", word >> 28 & 1)))
            at, after = after + 2, after + 4
        elif kind == 0x8864:
            yield Tag("PPPoE", (("session", word & 0xFFFF),))
            return
        elif kind == 0x88E7:
            yield Tag("802.1ah", (("instance", word & 0xFFFFFF), ("priority", word >> 29)))
            at, after = after + 16, after + 18
        else:
            return


def _facts(facts: PacketFacts, texts: Texts, row: int) -> Iterator[tuple[str, int | str]]:
    """What Windows' tools say of a frame, numbers with a name as their name."""
    for at in np.flatnonzero(facts.carrier == row).tolist():
        for name in PacketFacts.columns:
            value = int(getattr(facts, name)[at])
            if name == "reason":
                if facts.dropped[at]:
                    yield name, reason_text(value)
            elif name == "direction":
                if value:
                    yield name, Direction(value).name.lower() if value in set(Direction) else value
            elif name in ("nic_type", "nic", "port_name"):
                if value:
                    yield name, texts[value]
            elif value and name != "carrier":
                yield name, value
