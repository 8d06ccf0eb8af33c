"""One frame by itself: which columns mean something, where its IP headers lie, its tags and marks."""
from __future__ import annotations

import struct

import pytest
from made_frames import CASES, DATA, Case, ether, ip4, ip6, udp
from made_links import LINK_CASES, NO_IP, TUNNEL_CASES

from pcapnat.address import text
from pcapnat.wire import MARKS, Flag, Frames, Interface, Packets, Single, marks
from pcapnat.wire.decode import DEPTH
from pcapnat.wire.single import IF_GIVEN, NEEDS, dissect, tags

EVERY = [*CASES, *LINK_CASES, *NO_IP, *(case for case, _ in TUNNEL_CASES)]


def taken(frame: bytes, link: int = 1, *, flags: int = 0, direction: int = 0, number: int = 1) -> Single:
    """A frame as `show` takes it out of a capture."""
    one = Frames.empty(1)
    one.cap_len[0], one.wire_len[0] = len(frame), len(frame)
    one.flags[0], one.direction[0], one.interface[0] = flags, direction, 3
    return dissect(frame, one, Interface(3, link, 0), number, 1000)


@pytest.mark.parametrize("case", EVERY, ids=lambda c: c.name)
def test_as_the_reader_has_it(case: Case) -> None:
    """The row is what `decode` makes of the frame; every column of the case means something, and no other that is 0 by default."""
    frame = taken(case.frame, case.link)
    assert frame.flags == case.flags
    assert (frame.row.interface, frame.row.offset, frame.number) == (3, 1000, 1)
    columns = frame.columns()
    for name, value in case.columns.items():
        assert getattr(frame.row, name) == value, name
        assert name in columns or not value, name
    always = {"time_ns", "offset", "cap_len", "wire_len", "interface", "flags", "key", "digest"}
    assert {n for n, v in columns.items() if v and v != (0, 0)} <= set(case.columns) | always
    assert (frame.quoted is None) == (case.quoted is None)


@pytest.mark.parametrize("case", EVERY, ids=lambda c: c.name)
def test_the_headers_are_those_that_were_decoded(case: Case) -> None:
    """As many as Outer has rows and one more, whole and cut anywhere; the addresses in them are those of the columns."""
    for size in {len(case.frame), *range(0, len(case.frame), 7)}:
        frame = taken(case.frame[:size], case.link)
        ends = [(row.src, row.dst) for row in frame.outer] + ([(frame.row.src, frame.row.dst)] if Flag.IP in frame.flags else [])
        assert len(frame.headers) == len(ends)
        for header, (src, dst) in zip(frame.headers, ends, strict=True):
            assert frame.data[header.at] >> 4 == header.version
            lies, width = (12, 4) if header.version == 4 else (8, 16)
            there = [frame.data[header.at + lies + k * width:header.at + lies + (k + 1) * width] for k in range(2)]
            whole = [int.from_bytes(b, "big") | (0xFFFF << 32 if width == 4 else 0) for b in there]
            assert whole == [high << 64 | low for high, low in (src, dst)]


def test_tunnels_deeper_than_are_followed() -> None:
    """The walk ends where `decode` ends."""
    packet = ip4(17, udp())
    for n in range(DEPTH + 3):
        packet = ip4(4, packet, src=f"10.0.0.{n + 1}")
    frame = taken(ether(0x0800, packet))
    assert Flag.DEEP in frame.flags
    assert len(frame.outer) == DEPTH
    assert len(frame.headers) == DEPTH + 1
    assert text(*frame.row.src) == "10.0.0.3"


def test_what_is_not_decoded_has_no_columns() -> None:
    """A link type we do not know: what the file says, and no more."""
    told = {"time_ns", "offset", "cap_len", "wire_len", "interface", "flags", "payload_at", "payload_len"}
    assert set(taken(DATA, 147).columns()) == told


def test_every_column_says_when_it_holds() -> None:
    """NEEDS and IF_GIVEN name columns that exist, and MACs of zeros are shown where a link has them."""
    assert (set(NEEDS) | IF_GIVEN) <= set(Packets.columns)
    loopback = taken(bytes(12) + b"\x08\0" + ip4(17, udp())).columns()
    assert (loopback["eth_dst"], loopback["eth_src"]) == (0, 0)
    assert "eth_src" not in taken(ip4(17, udp()), 101).columns()
    assert "direction" in taken(b"", direction=2).columns()
    assert "direction" not in taken(b"").columns()


def test_every_mark_has_a_sentence() -> None:
    """None is missing."""
    assert set(MARKS) == set(Flag)
    assert all(says.endswith(".") for says in MARKS.values())
    assert marks(Flag.IP | Flag.V6) == [("IP", MARKS[Flag.IP]), ("V6", MARKS[Flag.V6])]


TAGS = [
    (ether(0x0800, ip4(17, udp())), 1, []),
    (ether(0x0800, ip4(17, udp()), ((0x8100, 0x6123),)), 1, [("802.1Q", 0x123)]),
    (ether(0x0800, ip4(17, udp()), ((0x88A8, 100), (0x8100, 200), (0x9100, 300))), 1,
     [("802.1ad", 100), ("802.1Q", 200), ("802.1Q (9100)", 300)]),
    (ether(0x8847, bytes.fromhex("000140ff 000281ff") + ip4(17, udp())), 1, [("MPLS", 20), ("MPLS", 40)]),
    (ether(0x8848, bytes.fromhex("000141ff") + ip6(17, udp()), ((0x8100, 5),)), 1, [("802.1Q", 5), ("MPLS", 20)]),
    (ether(0x8864, bytes.fromhex("1100002a0043") + b"\0\x21" + ip4(17, udp())), 1, [("PPPoE", 42)]),
    (ether(0x88E7, b"\x60\0\1\2" + ether(0x0800, ip4(17, udp()), ((0x8100, 9),))), 1, [("802.1ah", 0x102), ("802.1Q", 9)]),
    (bytes(14) + b"\x81\0" + b"\0\x21\x08\0" + ip4(17, udp()), 113, [("802.1Q", 33)]),
    (ether(0x0800, b"", ((0x8100, 1),) * 40), 1, [("802.1Q", 1)] * 16),
    (ether(0x8100, b"\0"), 1, []),
    (ether(0, b"\0\0\0\0\0\0"), 1, []),
    (ip4(17, udp()), 101, []),
    (b"", 147, []),
    (b"", 1, []),
]


@pytest.mark.parametrize(("frame", "link", "want"), TAGS)
def test_tags(frame: bytes, link: int, want: list[tuple[str, int]]) -> None:
    """Names and first numbers, outermost first; the rest of a tag beside."""
    assert [(tag.name, tag.numbers[0][1]) for tag in tags(frame, link)] == want
    assert {n: dict(t.numbers) for n, t in enumerate(tags(TAGS[1][0], 1))} == {0: {"id": 0x123, "priority": 3, "drop eligible": 0}}


def test_whatever_bytes() -> None:
    """Junk of every link type is taken apart without an exception."""
    for link in {case.link for case in EVERY} | {147}:
        for size in (0, 1, 13, 14, 40, 90):
            for junk in (b"\xff", b"\x45", b"\x00\x81", struct.pack(">HH", 0x8847, 0x8100)):
                taken((junk * 90)[:size], link)
