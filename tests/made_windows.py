"""Captures of two places in one Windows host, made of a bundled pair: which frame is which is told by the NAT's own account.

Frames are paired here without the code under test: by the endpoints that expected.json gives a conversation on either side,
and by what no NAT touches in a frame.
"""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from packet_script import Frame, read
from wire import made_etl
from wire.made_files import block, enhanced, option, section

CAPTURES = Path(__file__).parent.parent / "captures"
PLACES = ("vNIC:Synthetic:5B1F-0A:12:0", "vNIC:External:Ext:7:0")
REMARKS = (
    "PID=4 TID=60 VlanId=0 SrcPortId=3 SrcNicType=Synthetic SrcNicName=web 1 SrcPortName=5B1F-0A DstNicCount=1 HashValue=00c0ffee",
    "PID=0 TID=0 VlanId=0 SrcPortId=1 SrcNicType=External SrcNicName=Intel(R) X710 SrcPortName=Ext HashValue=00000000",
)


@dataclass(frozen=True)
class Snapshot:
    """A frame as one place of the host saw it."""

    frame: Frame
    place: int
    id: int
    sent: bool = False
    dropped: int | None = None
    """Why the place discarded it, None if it did not."""
    remark: str | None = None


def parts(data: bytes) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
    """(protocol and both ends; what a NAT leaves alone) of an Ethernet frame of TCP, UDP or an echo; None for others."""
    kind = struct.unpack_from("!H", data, 12)[0]
    if kind == 0x0800:
        at, proto, src, dst = 14 + (data[14] & 15) * 4, data[23], data[26:30], data[30:34]
        end, ident = 14 + struct.unpack_from("!H", data, 16)[0], data[18:20]
        if struct.unpack_from("!H", data, 20)[0] & 0x1FFF:
            return None
    elif kind == 0x86DD:
        at, proto, src, dst, ident = 54, data[20], data[22:38], data[38:54], b""
        end = 54 + struct.unpack_from("!H", data, 18)[0]
    else:
        return None
    if proto in (6, 17):
        ports = struct.unpack_from("!HH", data, at)
        rest = data[at + 4 : at + 16] + data[at + 20 : end] if proto == 6 else data[at + 8 : end]
    elif (proto, data[at]) in ((1, 8), (1, 0), (58, 128), (58, 129)):
        ports = struct.unpack_from("!H", data, at + 4) * 2
        rest = bytes([data[at] in (8, 128)]) + data[at + 6 : end]
    else:
        return None
    return (proto, (src, ports[0]), (dst, ports[1])), (ident, rest)


def crossed(scenario: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Both directions of every conversation that crossed by itself (no hairpin): inside as outside."""
    out = {}
    numbers = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}
    for row in json.loads((CAPTURES / scenario / "expected.json").read_text())["translations"]:
        if row.get("hairpin"):
            continue
        sides = []
        for side in (row["inside"], row["outside"]):
            known = [end["port"] for end in (side["src"], side["dst"]) if end["port"] is not None]
            ends = [
                (ip_address(end["address"]).packed, known[0] if end["port"] is None else end["port"]) for end in (side["src"], side["dst"])
            ]
            if row["proto"].startswith("icmp"):
                ends = [(address, known[0]) for address, _ in ends]
            proto = 58 if row["proto"].startswith("icmp") and len(ends[0][0]) == 16 else numbers[row["proto"]]
            sides.append((proto, ends[0], ends[1]))
        inside, outside = sides
        out[inside] = outside
        out[inside[0], inside[2], inside[1]] = (outside[0], outside[2], outside[1])
    return out


def snapshots(scenario: str) -> tuple[list[Snapshot], int]:
    """Both sides of a bundled pair as two places of one host, in the order of time, each packet with one identifier wherever it was
    seen; and how many packets were seen at both.
    """
    inside, outside = (read(CAPTURES / scenario / f"{side}.pcap") for side in ("inside", "outside"))
    becomes = crossed(scenario)
    other_ip = {out for within, out in becomes.items() if len(out[1][0]) != len(within[1][0])}  # NAT64: no identification is kept
    waiting: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for number, frame in enumerate(inside):
        known = parts(frame.data)
        if known and (out := becomes.get(known[0])):
            waiting[out, known[1][1] if out in other_ip else known[1]].append(number)
    rows = [Snapshot(frame, 0, number + 1) for number, frame in enumerate(inside)]
    both = 0
    for number, frame in enumerate(outside):
        known = parts(frame.data)
        first = waiting.get((known[0], known[1][1]) if known[0] in other_ip else known, []) if known else []
        both += bool(first)
        rows.append(Snapshot(frame, 1, first.pop(0) + 1 if first else len(inside) + number + 1))
    return sorted(rows, key=lambda s: s.frame.time_ns), both


def described(order: str, name: str, description: str = "", link: int = 1) -> bytes:
    """An interface description block with a name, a description and nanoseconds."""
    options = option(order, 2, name.encode()) + option(order, 9, b"\x09")
    if description:
        options += option(order, 3, description.encode())
    return block(order, 1, struct.pack(order + "HHI", link, 0, 65535) + options + option(order, 0, b""))


def converted(rows: list[Snapshot], places: tuple[str, ...] = PLACES, remarks: tuple[str, ...] = REMARKS, order: str = "<") -> bytes:
    """What etl2pcapng makes of a trace: an interface a place, and per packet direction, identifier, comment and verdict."""
    out = [section(order), *(described(order, *place.split("|")) for place in places)]
    for s in rows:
        remark = s.remark if s.remark is not None else remarks[s.place] if remarks else ""
        options = option(order, 2, struct.pack(order + "I", 2 if s.sent else 1))
        options += option(order, 1, remark.encode()) if remark else b""
        options += option(order, 5, struct.pack(order + "Q", s.id)) if s.id else b""
        options += option(order, 7, b"\x02" + struct.pack(order + "Q", 1)) if s.dropped is not None else b""
        options += option(order, 0, b"")
        out.append(enhanced(order, s.frame.time_ns, s.frame.data, iface=s.place, wire=s.frame.wire or None, options=options))
    return b"".join(out)


def logged(rows: list[Snapshot], components: tuple[tuple[int, str, str, int], ...]) -> bytes:
    """The same as a trace log of pktmon; a component (number, driver, description, kind) for each place. Times are to 100 ns."""
    start = rows[0].frame.time_ns
    events = [
        made_etl.event(
            made_etl.PKTMON,
            160 if s.dropped is None else 170,
            made_etl.monitored(
                s.frame.data,
                group=s.id,
                component=components[s.place][0],
                direction=4 if s.sent else 3,
                reason=s.dropped or 0,
                original=s.frame.wire or None,
            ),
            made_etl.TICKS + (s.frame.time_ns - start) // 100,
            keyword=16,
        )
        for s in rows
    ]
    end = made_etl.TICKS + (rows[-1].frame.time_ns - start) // 100 + 1
    events += [made_etl.event(made_etl.PKTMON, 20, made_etl.component(n, name, says, kind), end) for n, name, says, kind in components]
    out = made_etl.head()
    for i in range(0, len(events), 500):
        out += made_etl.buffer(b"".join(events[i : i + 500]))
    return out


def again(rows: list[Snapshot], later_ns: int) -> list[Snapshot]:
    """The same snapshots later."""
    return [replace(s, frame=s.frame._replace(time_ns=s.frame.time_ns + later_ns)) for s in rows]
