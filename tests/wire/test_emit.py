"""Frames with other ends: right checksums whatever they were before, and nothing else changed."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from pathlib import Path

import dpkt
import made_frames as m
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapnat.wire import DamagedError, Ends, Frames, Header, PcapngWriter, State, as_ipv4, changed, checksums, network_at
from pcapnat.wire import read as read_capture
from pcapnat.wire.capture import Interface
from pcapnat.wire.emit import crc32c
from pcapnat.wire.single import dissect


def read(frame: bytes, wire: int = 0) -> object:
    """A frame as our reader dissects it."""
    row = Frames.empty(1)
    row.cap_len[:], row.wire_len[:] = len(frame), wire or len(frame)
    return dissect(frame, row, Interface(0, 1, 65535))


four, six = (st.binary(min_size=n, max_size=n) for n in (4, 16))
port = st.integers(0, 65535)
bodies = st.sampled_from(["tcp", "udp", "none", "icmp", "other"])


@settings(max_examples=150, deadline=None)
@given(bodies, st.binary(max_size=60), st.booleans(), st.data(), st.sampled_from([0, 0x5A5A, 0xFFFF]))
def test_whole_packets_get_right_checksums(kind: str, data: bytes, v6: bool, draw: st.DataObject, left: int) -> None:
    """Also where they were not made yet, or wrong; dpkt reads what was asked for."""
    proto, body = {
        "tcp": (6, m.tcp(data)),
        "udp": (17, m.udp(data)),
        "none": (17, m.udp(data)[:6] + b"\0\0" + data),
        "icmp": (58, m.echo(128, data=data)) if v6 else (1, m.echo(8, data=data)),
        "other": (47, data),
    }[kind]
    if kind in ("tcp", "udp"):
        at = 16 if kind == "tcp" else 6
        body = body[:at] + struct.pack("!H", left or 1) + body[at + 2 :]
    frame = m.ether(0x86DD, m.ip6(proto, body)) if v6 else m.ether(0x0800, m.ip4(proto, body))
    address = six if v6 else four
    ends = Ends(draw.draw(address), draw.draw(address), *((draw.draw(port), draw.draw(port)) if kind != "other" else (-1, -1)))
    if kind == "icmp":
        ends = ends._replace(dport=ends.sport)
    made = changed(frame, Header(14, len(frame), 6 if v6 else 4), ends, 33)
    assert len(made) == len(frame)
    for one in checksums(read(made)):  # type: ignore[arg-type]
        assert one.state is State.RIGHT or (kind == "none" and not v6 and one.state is State.ZERO)
    packet = dpkt.ethernet.Ethernet(made).data
    assert (packet.src, packet.dst) == ends[:2]
    assert (packet.hlim if v6 else packet.ttl) == 33
    assert made[14:] != frame[14:]
    assert made.endswith(data)
    if kind in ("tcp", "udp"):
        assert struct.unpack_from("!HH", made, len(made) - len(body)) == ends[2:]


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=40, max_size=60), st.integers(8, 39), four, four, port, port, st.booleans())
def test_a_cut_frames_checksum_is_moved(data: bytes, keep: int, src: bytes, dst: bytes, sport: int, dport: int, fragment: bool) -> None:
    """What changed is taken out and put in (RFC 1624): rewriting before cutting gives the same bytes as after."""
    frame = m.ether(0x0800, m.ip4(17, m.udp(data), frag=0x2000 if fragment else 0))
    whole, ends = Header(14, len(frame), 4), Ends(src, dst, sport, dport)
    right = changed(m.ether(0x0800, m.ip4(17, m.udp(data))), whole, Ends(m.packed(m.A4), m.packed(m.B4)), 64)
    if fragment:
        right = right[:20] + b"\x20\0" + right[22:]
    cut = right[: 42 + keep]
    once = changed(cut, Header(14, len(cut), 4), ends, 9)
    expected = changed(right[:20] + b"\0\0" + right[22:], whole, ends, 9)
    if fragment:
        once = once[:20] + b"\0\0" + once[22:24] + expected[24:26] + once[26:]
    assert once[:24] + once[26:] == expected[:24] + expected[26 : len(cut)]


def test_an_error_and_what_it_quotes() -> None:
    """All five checksums: IP, ICMP, and the quoted packet's two (RFC 5508 4.2); a quote of eight bytes has one."""
    inner = Ends(m.packed("203.0.113.9"), m.packed("198.51.100.9"), 1111, 2222)
    outer = Ends(m.packed("192.0.2.1"), m.packed("192.0.2.2"))
    asked = m.ether(0x0800, m.ip4(17, m.udp()))
    asked = changed(asked, Header(14, len(asked), 4), Ends(m.packed(m.A4), m.packed(m.B4), 5353, 53), 64)[14:]
    for quote in (asked, asked[:28]):
        frame = m.ether(0x0800, m.ip4(1, m.error(3, 3, quote)))
        made = changed(frame, Header(14, len(frame), 4), outer, 60, inner)
        assert all(one.state is State.RIGHT for one in checksums(read(made)))  # type: ignore[arg-type]
        packet = dpkt.ethernet.Ethernet(made).data.data.data.data
        alone = m.ether(0x0800, asked)
        assert bytes(packet)[:12] == changed(alone, Header(14, len(alone), 4), inner, 64)[14:26]
        assert made[42:][20:28] == changed(alone, Header(14, len(alone), 4), inner, 64)[34:42]


def test_ipv6_as_ipv4() -> None:
    for proto, body, kind in ((6, m.tcp(), 6), (17, m.udp(), 17), (58, m.echo(128), 1)):
        frame = m.ether(0x86DD, m.ip6(0, m.extension(proto) + body))
        right = changed(frame, Header(14, len(frame), 6), Ends(m.packed(m.A6), m.packed(m.B6)), 64)
        made = as_ipv4(right, Header(14, len(frame), 6), Ends(m.packed(m.A4), m.packed(m.B4), 7, 7 if kind == 1 else 8), 61)
        assert len(made) == 14 + 20 + len(body)
        row = read(made)
        assert all(one.state is State.RIGHT for one in checksums(row))  # type: ignore[arg-type]
        packet = dpkt.ethernet.Ethernet(made).data
        assert (packet.p, packet.ttl, packet.src) == (kind, 61, ip_address(m.A4).packed)
        # Cut in the middle: the same bytes as far as they are there.
        cut = right[: len(right) - 10]
        short = as_ipv4(cut, Header(14, len(cut), 6), Ends(m.packed(m.A4), m.packed(m.B4), 7, 7 if kind == 1 else 8), 61)
        assert short == made[: len(short)]


def test_lengths_left_to_the_card_are_filled_in() -> None:
    frame = m.ether(0x0800, m.ip4(6, m.tcp(), total=0))
    made = changed(frame, Header(14, len(frame), 4), Ends(m.packed(m.A4), m.packed(m.B4), 1, 2), 64)
    assert dpkt.ethernet.Ethernet(made).data.len == len(frame) - 14
    assert all(one.state is State.RIGHT for one in checksums(read(made)))  # type: ignore[arg-type]


def test_sctp_has_its_crc() -> None:
    """RFC 3720 B.4's example, and a packet."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    frame = m.ether(0x0800, m.ip4(132, struct.pack("!HHII", 1, 2, 3, 0) + bytes(8)))
    made = changed(frame, Header(14, len(frame), 4), Ends(m.packed(m.A4), m.packed(m.B4), 5, 6), 64)
    body = made[34:]
    assert int.from_bytes(body[8:12], "little") == crc32c(body[:8] + bytes(4) + body[12:])


@pytest.mark.parametrize("size", [14, 20, 33, 35, 37])
def test_headers_that_are_not_whole(size: int) -> None:
    frame = m.ether(0x0800, m.ip4(6, m.tcp()))[:size]
    with pytest.raises(DamagedError):
        changed(frame, Header(14, len(frame), 4), Ends(bytes(4), bytes(4), 1, 2), 3)


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=14, max_size=120), st.booleans())
def test_no_bytes_are_too_strange(data: bytes, v6: bool) -> None:
    frame = data[:12] + (b"\x86\xdd\x60" if v6 else b"\x08\0\x45") + data[15:]
    ends = Ends(bytes(16 if v6 else 4), bytes(16 if v6 else 4), 1, 2)
    for quoted in (None, ends):
        try:
            assert len(changed(frame, Header(network_at(frame, 1), len(frame), 6 if v6 else 4), ends, 3, quoted)) == len(frame)
            as_ipv4(frame, Header(14, len(frame), 6), Ends(bytes(4), bytes(4), 1, 2), 3)
        except DamagedError:
            pass


def test_comments_that_are_longer_than_an_option(tmp_path: Path) -> None:
    """They are cut; the file is read back as it was written, times before 1970 as 1970."""
    out = tmp_path / "out.pcapng"
    with PcapngWriter(str(out), "pcapnat", "x" * 100_000) as file:
        assert [file.interface(1, name, "") for name in ("inside", "outside")] == [0, 1]
        file.frame(1, 1_700_000_000_123_456_789, b"abc", 60, "é" * 100_000)
        file.frame(0, -5, b"", 0)
    capture, packets, _ = read_capture(str(out))
    assert packets.time_ns.tolist() == [1_700_000_000_123_456_789, 0]
    assert (packets.cap_len.tolist(), packets.wire_len.tolist(), packets.interface.tolist()) == ([3, 0], [60, 0], [1, 0])
    assert not capture.problems
