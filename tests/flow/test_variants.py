"""Real pairs made harder in ways that other capturing programs and boxes do: what crossed is still found, and nothing else.

The truth is what the untouched pair gives, which other tests compare with what the NAT itself reported.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

import pytest
from packet_script import Frame, read

from pcapnat.flow import Crossing, Port, cross, observe
from pcapnat.terms import Point
from pcapnat.wire import glance, key_limit

Natively = Callable[[], AbstractContextManager[None]]
Change = Callable[[list[Frame]], list[Frame]]
CAPTURES = Path(__file__).parents[2] / "captures"
SOURCES = ("linux-port-forward", "linux-masquerade-ipv6", "linux-snat-port-range")
V4, V6, TCP = b"\x08\0", b"\x86\xdd", 6


def snapped(size: int) -> Change:
    """So many bytes of each frame, and 20 more of IPv6's, whose header is so much longer."""
    return lambda frames: [f._replace(data=f.data[: size + 20 * (f.data[12:14] == V6)]) for f in frames]


def same(frames: list[Frame]) -> list[Frame]:
    return frames


def twice(frames: list[Frame]) -> list[Frame]:
    """As a mirror of both directions shows them: each frame again, 7 us later."""
    return sorted([g for f in frames for g in (f, f._replace(time_ns=f.time_ns + 7000))], key=lambda f: f.time_ns)


def renumbered(frames: list[Frame]) -> list[Frame]:
    """TCP sequence numbers and timestamps of each sender shifted, IPv4 identifications left."""
    out = []
    for f in frames:
        data = bytearray(f.data)
        if data[12:14] == V4 and data[23] == TCP and len(data) >= 54:
            sender, receiver = (int.from_bytes(data[i : i + 4]) * 0x9E3779B1 for i in (26, 30))
            seq, ack = struct.unpack_from(">II", data, 38)
            answered = data[47] & 16
            struct.pack_into(">II", data, 38, (seq + sender) & 0xFFFFFFFF, (ack + receiver) & 0xFFFFFFFF if answered else ack)
            at, end = 54, min(len(data), 34 + (data[46] >> 4) * 4)
            while at + 10 <= end and data[at]:
                if data[at] == 8:
                    sent, heard = struct.unpack_from(">II", data, at + 2)
                    struct.pack_into(">II", data, at + 2, (sent + 70_001) & 0xFFFFFFFF, (heard + 90_001) & 0xFFFFFFFF if heard else 0)
                at += 1 if data[at] == 1 else max(2, data[at + 1])
        out.append(f._replace(data=bytes(data)))
    return out


def put(path: Path, frames: list[Frame], lengths: dict[bytes, int]) -> str:
    """A pcap file that promises whole frames, whatever it holds. lengths: of frames on the wire, by their first 60 bytes."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for f in frames:
            wire = max(len(f.data), lengths.get(f.data[:60], 0))
            file.write(struct.pack("<IIII", *divmod(f.time_ns, 1_000_000_000), len(f.data), wire) + f.data)
    return str(path)


def crossed(folder: Path, source: str, inside: Change, outside: Change) -> Crossing:
    files = []
    for name, change in (("inside", inside), ("outside", outside)):
        frames = read(CAPTURES / source / f"{name}.pcap")
        whole = {f.data[:60]: len(f.data) for f in frames}
        files.append(put(folder / f"{name}.pcap", change(frames), whole))
    limit = key_limit([s for file in files for s in glance(file).snaplens])
    ports = [observe(Point(name, (file,)), limit)[0] for name, file in zip(("inside", "outside"), files, strict=True)]
    return cross(*ports)


def ends(port: Port, row: int) -> tuple[object, ...]:
    c = port.conversations
    one, other = ((tuple(end[row].tolist()), int(p[row])) for end, p in ((c.a, c.a_port), (c.b, c.b_port)))
    return (int(c.proto[row]), *sorted([one, other]))


def found(x: Crossing) -> set[tuple[object, ...]]:
    m = x.matches
    return {(ends(x.here, i), ends(x.there, j)) for i, j in zip(m.here.tolist(), m.there.tolist(), strict=True)}


@cache
def untouched(folder: Path, source: str) -> set[tuple[object, ...]]:
    return found(crossed(folder, source, same, same))


VARIANTS: dict[str, tuple[Change, Change]] = {
    "64 bytes of each frame": (snapped(64), snapped(64)),
    "64 bytes inside, all outside": (snapped(64), same),
    "all inside, 68 bytes outside": (same, snapped(68)),
    "96 bytes inside, 128 outside": (snapped(96), snapped(128)),
    "each frame twice outside": (same, twice),
    "each frame twice at both": (twice, twice),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", VARIANTS)
def test_what_crossed_is_found_whatever_the_capture_kept(name: str, source: str, tmp_path: Path, natively: Natively) -> None:
    with natively():
        x = crossed(tmp_path, source, *VARIANTS[name])
        assert found(x) == untouched(tmp_path, source)


@pytest.mark.parametrize("source", SOURCES)
def test_copies_at_both_points_do_not_hide_the_clock(source: str, tmp_path: Path, natively: Natively) -> None:
    with natively():
        clock = crossed(tmp_path, source, twice, twice).clock
    assert clock.offset_ns is not None
    assert abs(clock.offset_ns) < 1_000_000


def test_a_box_that_renumbers_and_rewrites_timestamps_does_not_end_connections(tmp_path: Path, natively: Natively) -> None:
    with natively():
        x = crossed(tmp_path, "linux-port-forward", same, renumbered)
        assert found(x) <= untouched(tmp_path, "linux-port-forward")
    assert (x.here.conversations.proto[x.matches.here] == TCP).any()
    assert not x.matches.ended.any()


def test_a_renumbered_connection_is_enough_for_its_own_clock(tmp_path: Path, natively: Natively) -> None:
    """Each TCP conversation alone in both captures, with clocks an hour apart: those that say enough are found if their SYN is known."""
    source, hour = "linux-masquerade", 3_600_000_000_000
    inside, outside = (read(CAPTURES / source / f"{side}.pcap") for side in ("inside", "outside"))
    found_alone = 0
    with natively():
        whole = crossed(tmp_path, source, same, same)
        for i, j in zip(whole.matches.here.tolist(), whole.matches.there.tolist(), strict=True):
            if whole.here.conversations.proto[i] != TCP:
                continue
            here = [f for f, mine in zip(inside, whole.here.conversation == i, strict=True) if mine]
            there = [f for f, mine in zip(outside, whole.there.conversation == j, strict=True) if mine]
            late = [f._replace(time_ns=f.time_ns + hour) for f in renumbered(there)]
            x = crossed(tmp_path, source, lambda _, some=here: some, lambda _, some=late: some)  # type: ignore[misc]
            if len(x.matches):
                found_alone += 1
                assert x.clock.offset_ns is not None
                assert abs(x.clock.offset_ns - hour) < 100_000_000
            strange = [f._replace(data=f.data[:18] + b"\xbe\xef" + f.data[20:]) for f in late]  # a SYN of the box's own
            y = crossed(tmp_path, source, lambda _, some=here: some, lambda _, some=strange: some)  # type: ignore[misc]
            assert not len(y.matches)
    assert found_alone >= 10


def test_a_snaplen_is_seen_even_if_the_file_does_not_declare_it(tmp_path: Path) -> None:
    frames = read(CAPTURES / "linux-port-forward" / "inside.pcap")
    path = put(tmp_path / "cut.pcap", snapped(64)(frames), {f.data[:60]: len(f.data) for f in frames})
    assert min(glance(path).snaplens) == 64
