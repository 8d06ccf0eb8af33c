"""One frame as different readers see it, laid side by side: the same names, the same units, header by header.

Readers go different ways into a tunnel. So a View keeps IP headers apart, outermost first, and the comparison takes the
witness's header at the place where ours is: its innermost is not taken for ours if it stops before, or goes on behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from ..address import text
from .checksum import Checksum, State
from .packets import Flag
from .single import Single

Value = int | str


@dataclass
class Level:
    """An IP header with what lies on it (fields), and what lies between it and the one inside it (inside: key, MACs, tag)."""

    fields: dict[str, Value]
    inside: dict[str, Value] = field(default_factory=dict)


@dataclass
class View:
    """What one reader sees: the link, IP headers outermost first, the packet the last one quotes; problem: why not more."""

    link: dict[str, Value] = field(default_factory=dict)
    levels: list[Level] = field(default_factory=list)
    quoted: dict[str, Value] | None = None
    problem: str = ""


class Agree(Enum):
    """Whether the witnesses that have a field agree with us; the value is what a table says."""

    YES = "yes"
    NO = "NO"
    ONLY_THEY = "only they"
    """We have no such field; the marks of the frame say why."""


class Row(NamedTuple):
    """One field: what we and each witness have (None: nothing), and whether that agrees."""

    field: str
    ours: Value | None
    theirs: tuple[Value | None, ...]
    agree: Agree


OF_LINK = ("time_ns", "cap_len", "wire_len", "direction", "packet_id", "eth_dst", "eth_src", "ethertype", "vlan")
OF_PACKET = (
    "src", "dst", "proto", "ttl", "tos", "ip_id", "frag_offset", "sport", "dport", "spi", "tcp_flags", "seq", "ack", "window", "mss",
    "wscale", "tsval", "tsecr", "icmp_type", "icmp_code", "payload_len", "stream", "ip_checksum", "checksum",
)  # fmt: skip
OF_OUTER = ("src", "dst", "proto", "sport", "dport", "ip_checksum", "checksum", "key", "eth_dst", "eth_src", "vlan")
OF_QUOTED = ("proto", "src", "dst", "sport", "dport", "seq", "stream")
GO_ON = {0x8100, 0x88A8, 0x9100, 0x9200, 0x8847, 0x8848, 0x8864, 0x88E7, 0x88E5, 0x8926}
"""Types of headers behind which another type counts, which a witness may not keep or not look for."""
HEADERS = "headers"
"""How many IP headers lie in one another."""
MOST_LEVELS = 32


def mac(value: int) -> str:
    """A MAC address as people write it."""
    return value.to_bytes(6, "big").hex(":")


def own_view(frame: Single, sums: list[Checksum], stream: int | None = None, quoted_stream: int | None = None) -> View:
    """Our reading of a frame. stream: Wireshark's number of its conversation, and of the one that an ICMP error is about."""
    columns = frame.columns()
    link = {name: _value(name, columns[name]) for name in OF_LINK if name in columns}
    levels = [_outer(row, frame) for row in frame.outer]
    if Flag.IP in frame.flags:
        levels.append(Level({name: _value(name, columns[name]) for name in OF_PACKET if name in columns}))
        _as_others(levels[-1].fields, frame, stream)
    for checksum in sums:
        name = "ip_checksum" if checksum.of == "IPv4 header" else "checksum"
        state = checksum.state
        if checksum.depth < len(levels) and state is not State.UNKNOWN:
            known = "wrong" if state is State.LEFT or (state is State.ZERO and checksum.expected is not None) else state.value
            levels[checksum.depth].fields[name] = known
    return View(link, levels, _quoted(frame, quoted_stream))


def _as_others(fields: dict[str, Value], frame: Single, stream: int | None) -> None:
    """What we keep in our own way, as others have it."""
    if Flag.SPI in frame.flags:
        high, low = frame.row.sport, frame.row.dport
        del fields["sport"], fields["dport"]
        if frame.row.proto == 50:
            fields["spi"] = high << 16 | low
    if not Flag.TCP & frame.flags:
        fields.pop("payload_len", None)
    if stream is not None:
        fields["stream"] = stream


def _value(name: str, value: int | tuple[int, int]) -> Value:
    if isinstance(value, tuple):
        return text(*value)
    return mac(value) if name in ("eth_dst", "eth_src") else value


def _outer(row: NamedTuple, frame: Single) -> Level:
    values = row._asdict()
    fields = {name: _value(name, values[name]) for name in ("src", "dst", "proto")}
    if values["proto"] == 17:
        fields |= {name: values[name] for name in ("sport", "dport")}
    inside = {name: _value(name, values[name]) for name in ("eth_dst", "eth_src") if values["eth_dst"] or values["eth_src"]}
    inside["key"] = values["key"]
    if values["vlan"] >= 0:
        inside["vlan"] = values["vlan"]
    return Level(fields, inside)


def _quoted(frame: Single, stream: int | None) -> dict[str, Value] | None:
    if frame.quoted is None:
        return None
    values = frame.quoted._asdict()
    names = ["proto", "src", "dst"]
    if values["ports"]:
        names += ["sport", "dport"]
        names += ["seq"] if values["proto"] == 6 else []
    found = {name: _value(name, values[name]) for name in names}
    if stream is not None:
        found["stream"] = stream
    return found


def _flat(view: View, count: int) -> dict[str, Value]:
    """A view's fields by name, where our packet lies in `count` IP headers (at least 1)."""
    out = {name: view.link[name] for name in OF_LINK if name in view.link}
    for i, level in enumerate(view.levels[: min(count - 1, MOST_LEVELS)]):
        both = {**level.fields, **level.inside}
        out |= {f"outer {i} {name}": both[name] for name in OF_OUTER if name in both}
    if len(view.levels) >= count:
        fields = view.levels[count - 1].fields
        out |= {name: fields[name] for name in OF_PACKET if name in fields}
        out |= {f"quoted {name}": view.quoted[name] for name in OF_QUOTED if view.quoted and name in view.quoted}
    return out


def _names(count: int) -> Iterator[str]:
    yield from OF_LINK
    yield HEADERS
    for i in range(count - 1):
        yield from (f"outer {i} {name}" for name in OF_OUTER)
    yield from OF_PACKET
    yield from (f"quoted {name}" for name in OF_QUOTED)


def compared(ours: View, theirs: list[View | None]) -> list[Row]:
    """Every field of which at least one witness says something. None: a witness that was not heard."""
    count = max(1, len(ours.levels))
    mine = _flat(ours, count)
    others = [_flat(view, count) if view else {} for view in theirs]
    if ours.levels:
        mine[HEADERS] = len(ours.levels)
    for view, other in zip(theirs, others, strict=True):
        if view and view.levels and len(view.levels) >= len(ours.levels):
            other[HEADERS] = len(view.levels)  # a witness that knows fewer tunnels than we has no opinion
    rows = []
    for name in _names(count):
        said = tuple(other.get(name) for other in others)
        if any(value is not None for value in said):
            own = mine.get(name)
            agree = Agree.ONLY_THEY if own is None else Agree.YES if all(v is None or v == own for v in said) else Agree.NO
            rows.append(Row(name, own, said, agree))
    return rows
