"""Our reading beside dpkt's and tshark's, field by field: of the bundled captures, of every made frame, and when a witness fails."""
from __future__ import annotations

import gzip
import os
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

import dpkt
import pytest
from made_files import block, enhanced, interface, option, pcap_head, pcap_record, section, stdin
from made_frames import CASES, ether, icmp, ip4, ip6, packed, udp
from made_links import LINK_CASES, NO_IP, TUNNEL_CASES
from packet_script import pcap, script

from pcapnat import reading
from pcapnat.flow import Show, Shown
from pcapnat.terms import PcapnatError
from pcapnat.wire import Agree, Flag, pdml, via
from pcapnat.wire.view import Level, View, compared

needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
SAMPLE = 40
"""Frames of each bundled capture that are compared."""
Said = tuple[str, str, str]
"""(field, who, how it agrees) of a difference."""


def shown(path: str, numbers: list[int]) -> Show:
    """Some frames with their witnesses."""
    return reading.show(path, numbers, witness=True)


def differences(told: Show, one: Shown) -> list[tuple[str, Any, tuple[Any, ...]]]:
    """(field, ours, theirs) of every field on which somebody does not agree."""
    return [(row.field, row.ours, row.theirs) for row in one.rows if row.agree is not Agree.YES]


@needs_tshark
def test_the_bundled_captures(captures: list[str]) -> None:
    """Forty frames of each, spread over it: no difference at all, and both have much to say."""
    for path in captures:
        frames = reading.inspect(path).frames
        numbers = sorted({1 + (frames - 1) * k // (SAMPLE - 1) for k in range(min(SAMPLE, frames))})
        told = shown(path, numbers)
        assert told.absent == {}
        assert [one.picked.frame.number for one in told.frames] == numbers
        for one in told.frames:
            where = f"{os.path.basename(os.path.dirname(path))}/{os.path.basename(path)}:{one.picked.frame.number}"
            assert (where, differences(told, one)) == (where, [])
            for k, name in enumerate(told.witnesses):
                fields = sum(row.theirs[k] is not None for row in one.rows)
                assert fields >= 3, (where, name)


MADE = [*CASES, *LINK_CASES, *NO_IP, *(case for case, _ in TUNNEL_CASES)]
PSEUDO = "Wireshark takes the pseudo-header out of the frame's length"
NO_DATA = "we read the addresses of 802.11 frames that carry data"
CIRCUIT = "Wireshark counts streams of Frame Relay by its circuit"
BAD = "we do not read on behind a header that contradicts itself; dpkt compares neither version nor lengths, tshark shows a part"
KNOWN: dict[str, tuple[set[str], str]] = {
    "tcp option of length 0": ({"mss"}, "dpkt reads on behind an option whose length cannot be"),
    "tcp header shorter than itself": ({"seq", "payload_len", "stream"}, BAD),
    "ipv4 length left to the card": ({"checksum"}, "tshark takes a sum for wrong that is not made yet"),
    "ipv4 version 5": ({"headers", "src", "dst", "proto", "ttl", "tos", "ip_id", "sport", "dport", "ip_checksum", "checksum"}, BAD),
    "ipv4 header of 16 bytes": ({"headers"}, BAD),
    "ipv4 shorter than its header": ({"headers", "src", "dst", "proto", "ttl", "tos", "ip_id", "ip_checksum"}, BAD),
    "ipv6 version 4": ({"headers", "src", "dst", "proto", "ttl", "tos", "sport", "dport", "checksum"}, BAD),
    "null of another family": ({"eth_dst", "eth_src", "ethertype"}, "dpkt takes any other family for Ethernet"),
    "802.11 beacon": ({"eth_dst", "eth_src"}, NO_DATA),
    "802.11 without data": ({"eth_dst", "eth_src"}, NO_DATA),
    "frame relay": ({"stream"}, CIRCUIT),
    "frame relay, ipv6": ({"stream"}, CIRCUIT),
    "frame relay, four bytes of address, snap": ({"stream"}, CIRCUIT),
    "frame relay of cisco": ({"stream"}, CIRCUIT),
    "sunatm": ({"cap_len", "wire_len"}, PSEUDO),
    "sunatm, lan emulation": ({"cap_len", "wire_len"}, PSEUDO),
    "erf": ({"cap_len", "wire_len"}, PSEUDO),
    "erf, extended": ({"cap_len", "wire_len"}, PSEUDO),
    "ppp with direction": ({"cap_len", "wire_len"}, PSEUDO),
    "pseudowire with control word": ({"eth_dst", "eth_src", "ethertype"}, "tshark does not guess the control word; dpkt and we do"),
}
"""Made frames on which a witness differs: (fields, the reason)."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A pcapng of every made frame, each link type an interface."""
    links = sorted({case.link for case in MADE})
    data = section("<") + b"".join(interface("<", link, resolution=9) for link in links)
    for n, case in enumerate(MADE):
        data += enhanced("<", 1_700_000_000_123_456_789 + n, case.frame, iface=links.index(case.link))
    path = tmp_path_factory.mktemp("made") / "made.pcapng"
    path.write_bytes(data)
    return str(path)


@needs_tshark
def test_every_link_and_every_tunnel(made: str) -> None:
    """The innermost packet with the innermost packet, each header around it with its like: nothing differs that is not listed."""
    told = shown(made, list(range(1, len(MADE) + 1)))
    assert told.absent == {}
    for case, one in zip(MADE, told.frames, strict=True):
        assert {field for field, _, _ in differences(told, one)} == KNOWN.get(case.name, (set(), ""))[0], case.name
        if case.name in {c.name for c, _ in TUNNEL_CASES}:
            fields = {row.field for row in one.rows if row.theirs[1] is not None}
            assert {"outer 0 src", "outer 0 dst", "outer 0 proto", "src", "dst", "sport", "dport", "stream", "headers"} <= fields, case.name
    assert {case.name for case in MADE} >= set(KNOWN)


@needs_tshark
def test_fragments_and_quotes(tmp_path: Path) -> None:
    """A later fragment behind other headers is the one thing dpkt gets wrong; what an ICMPv6 redirect carries only tshark shows."""
    whole = udp(bytes(48))
    redirect = icmp(137, 0, bytes(4) + packed("fe80::1") + packed("fe80::2") + bytes([4, 9, 0, 0, 0, 0, 0, 0]) + ip6(17, udp())[:64])
    frames = [
        ether(0x0800, ip4(17, whole[:24], ident=7, frag=0x2000)),
        ether(0x0800, ip4(17, whole[24:], ident=7, frag=3)),
        ether(0x0800, ip4(1, icmp(3, 3, bytes(4) + ip4(17, udp())))),
        ether(0x0800, ip4(1, icmp(11, 0, bytes(4) + ip4(17, b"12345678", frag=0x2001)))),
        ether(0x86DD, ip6(58, redirect)),
    ]
    path = tmp_path / "made.pcap"
    path.write_bytes(pcap_head("<") + b"".join(pcap_record("<", n, 0, frame) for n, frame in enumerate(frames)))
    told = shown(str(path), [1, 2, 3, 4, 5])
    assert [differences(told, one) for one in told.frames[:4]] == [[]] * 4
    assert {field.split(" ")[0] for field, _, _ in differences(told, told.frames[4])} == {"quoted"}
    assert {row.field for row in told.frames[2].rows} >= {"quoted src", "quoted dport", "quoted stream"}
    assert "quoted sport" not in {row.field for row in told.frames[3].rows}


# --- numbers, kinds of files ---


def by_tshark(told: Show) -> list[bool]:
    """Of which frames tshark has something to say, all of it agreeing."""
    return [one.views["tshark"].problem == "" and not differences(told, one) if "tshark" in one.views else False for one in told.frames]


FRAMES = script("A S 100 | B SA 500 101 | A . 101 501 | A P 101 501 x10 | A F 111 501")


@needs_tshark
def test_stream_numbers_far_into_a_file(tmp_path: Path) -> None:
    """Of frames asked for alone; tshark reads those before, too."""
    many = script(" | ".join(f"A:{4000 + n} S {n} | A:{5000 + n} udp hello" for n in range(50)))
    path = tmp_path / "many.pcap"
    path.write_bytes(pcap(many))
    told = shown(str(path), [97, 98])
    assert [m.stream for one in told.frames if (m := one.picked.conversation)] == [48, 48]
    assert by_tshark(told) == [True, True]


@needs_tshark
def test_blocks_that_wireshark_numbers(tmp_path: Path) -> None:
    """A custom block is a frame there: ours keeps its number, and the right one is compared."""
    custom = block("<", 0x0BAD, struct.pack("<I", 32473) + b"anything")
    data = section("<") + interface("<", resolution=9) + custom
    for n, frame in enumerate(FRAMES):
        data += enhanced("<", frame.time_ns, frame.data) + (custom * 2 if n == 2 else b"")
    path = tmp_path / "custom.pcapng"
    path.write_bytes(data)
    told = shown(str(path), [1, 3, 4])
    assert [one.wireshark_number for one in told.frames] == [2, 4, 7]
    assert by_tshark(told) == [True] * 3


@needs_tshark
def test_a_compressed_file_and_two_interfaces(tmp_path: Path) -> None:
    """tshark unpacks gzip by itself; frames of different link types in one file; what is said of a frame."""
    said = option("<", 1, b"look \x1b[31mhere") + option("<", 2, struct.pack("<I", 2)) + option("<", 5, struct.pack("<Q", 77))
    said += option("<", 0, b"")
    data = section("<") + interface("<", name="lan", resolution=9) + interface("<", 101, name="\x01tun", resolution=6)
    data += enhanced("<", FRAMES[0].time_ns, FRAMES[0].data, options=said)
    data += enhanced("<", FRAMES[1].time_ns // 1000, FRAMES[1].data[14:], iface=1)
    path = tmp_path / "two.pcapng.gz"
    path.write_bytes(gzip.compress(data))
    told = shown(str(path), [1, 2])
    assert told.absent == {}
    assert by_tshark(told) == [True, True]
    fields = {row.field: row.ours for row in told.frames[0].rows}
    assert (fields["direction"], fields["packet_id"]) == (2, 77)
    assert told.frames[0].picked.frame.said == [("comment", "look \x1b[31mhere")]


def test_standard_input(tmp_path: Path) -> None:
    """dpkt is asked; tshark cannot be."""
    with stdin(pcap(FRAMES), 100):
        told = shown("-", [2])
    assert told.absent == {"tshark": "can only be asked about a file, which this is not"}
    assert differences(told, told.frames[0]) == []
    assert len(told.frames[0].rows) > 10


def test_a_file_that_tshark_does_not_read(tmp_path: Path) -> None:
    """What it complains of, in one line."""
    import bz2

    path = tmp_path / "a.pcap.bz2"
    path.write_bytes(bz2.compress(pcap(FRAMES)))
    told = shown(str(path), [5])
    assert "\n" not in told.absent["tshark"]
    assert told.absent["tshark"]
    assert told.frames[0].views["dpkt"].levels


# --- witnesses that fail ---


@pytest.fixture
def one_file(tmp_path: Path) -> str:
    """A small capture."""
    path = tmp_path / "one.pcap"
    path.write_bytes(pcap(FRAMES))
    return str(path)


def test_without_tshark(one_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that says what is missing and how to get it; dpkt is heard all the same."""
    monkeypatch.setattr(via, "program", lambda: None)
    told = shown(one_file, [1, 4])
    assert "apt install tshark" in told.absent["tshark"]
    assert [one.rows[0].theirs[1] for one in told.frames] == [None, None]
    assert all(not differences(told, one) for one in told.frames)


def test_without_dpkt(one_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a dependency; where it is missing all the same, that is said."""
    monkeypatch.setitem(sys.modules, "dpkt", None)
    told = shown(one_file, [1])
    assert "pip install dpkt" in told.absent["dpkt"]


PROGRAMS = [
    ("#!/bin/sh\necho '<pdml><packet>'\n", "cannot be read"),
    ("#!/bin/sh\necho no xml\n", "cannot be read"),
    ("#!/bin/sh\necho 'tshark: it hurts\nhere' >&2; exit 3\n", "it hurts here"),
    ("#!/bin/sh\nexit 4\n", "ended with status 4"),
    ("#!/nosuch/shell\n", "cannot be started"),
    ("#!/bin/sh\necho '<pdml></pdml>'\n", ""),
]


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")
@pytest.mark.parametrize(("program", "words"), PROGRAMS)
def test_a_tshark_that_fails(program: str, words: str, one_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it does, dpkt's part of the comparison is there, and one line says why tshark's is not."""
    fake = tmp_path / "tshark"
    fake.write_text(program)
    fake.chmod(0o755)
    monkeypatch.setattr(via, "program", lambda: str(fake))
    told = shown(one_file, [1])
    assert words in told.absent.get("tshark", "")
    assert told.absent.get("tshark", "").count("\n") == 0
    assert told.frames[0].views["dpkt"].levels


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")
def test_a_tshark_that_never_ends(one_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended when its time is up."""
    fake = tmp_path / "tshark"
    fake.write_text("#!/bin/sh\nexec sleep 600\n")
    fake.chmod(0o755)
    monkeypatch.setattr(via, "program", lambda: str(fake))
    monkeypatch.setattr(via, "PATIENCE_S", 0.05)
    assert "ended with status" in shown(one_file, [1]).absent["tshark"]


def test_what_dpkt_raises(monkeypatch: pytest.MonkeyPatch, one_file: str) -> None:
    """Any exception becomes a problem of that frame, in one line; a link type it does not know, too."""
    def fails(_: bytes) -> None:
        raise RuntimeError("a\nb\x1b[31m" + "c" * 999)

    monkeypatch.setattr(dpkt.ethernet, "Ethernet", fails)
    monkeypatch.setattr(via, "program", lambda: None)
    problem = shown(one_file, [1]).frames[0].views["dpkt"].problem
    assert problem.startswith("RuntimeError: a b\\x1b[31mccc")
    assert len(problem) < 250


GUESSED = {"mss", "eth_dst", "eth_src", "ethertype", "proto"}
"""What dpkt gives another value than we do in cut frames: it guesses behind labels, and reads on where we stop."""


def test_any_bytes_for_dpkt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every made frame cut anywhere, and junk: dpkt never stops us."""
    monkeypatch.setattr(via, "program", lambda: None)
    links = sorted({case.link for case in MADE})
    data = section("<") + b"".join(interface("<", link) for link in links)
    pieces = [(case.link, case.frame[:size]) for case in MADE for size in range(0, len(case.frame), 17)]
    pieces += [(link, byte * 60) for link in links for byte in (b"\0", b"\x45", b"\x60", b"\xff")]
    for link, piece in pieces:
        data += enhanced("<", 0, piece, iface=links.index(link))
    path = tmp_path / "cut.pcapng"
    path.write_bytes(data)
    problems = set()
    for start in range(1, len(pieces) + 1, 500):
        told = shown(str(path), list(range(start, min(start + 500, len(pieces) + 1))))
        problems |= {one.views["dpkt"].problem.split(":")[0] for one in told.frames}
        for one in told.frames:
            for row in one.rows:
                assert row.agree is not Agree.NO or row.field in GUESSED, (row, one.picked.frame)
    assert "NeedData" in problems


# --- the comparison itself ---


def test_readers_that_go_different_ways() -> None:
    """A witness that stops before our innermost packet has no opinion on it; one that goes on is compared where ours is."""
    outer, inner, deeper = ({"src": s, "ttl": t} for s, t in (("10.0.0.1", 1), ("10.0.0.2", 2), ("10.0.0.3", 3)))
    ours = View({}, [Level(dict(outer), {"key": 7}), Level(dict(inner))])
    short, long = View({}, [Level(dict(outer))]), View({}, [Level(dict(outer), {"key": 8}), Level(dict(inner)), Level(dict(deeper))])
    rows = {row.field: (row.ours, row.theirs, row.agree) for row in compared(ours, [short, long])}
    assert rows == {
        "headers": (2, (None, 3), Agree.NO),
        "outer 0 src": ("10.0.0.1", ("10.0.0.1", "10.0.0.1"), Agree.YES),
        "outer 0 key": (7, (None, 8), Agree.NO),
        "src": ("10.0.0.2", (None, "10.0.0.2"), Agree.YES),
        "ttl": (2, (None, 2), Agree.YES),
    }
    nothing = {row.field: row.agree for row in compared(View({}, []), [View({"vlan": 5}, [Level(dict(outer))]), None])}
    assert nothing == dict.fromkeys(("vlan", "headers", "src", "ttl"), Agree.ONLY_THEY)
    assert compared(ours, [None, View()]) == []


NUMBERS = [("True", 1), ("False", 0), ("0x1f", 31), ("12", 12), ("00:00:01:00", 256)]
TIMES = [
    ("1700000000.123456789", 1_700_000_000_123_456_789),
    ("1.5", 1_500_000_000),
    ("7", 7_000_000_000),
    ("-1.250000000", -1_250_000_000),
    ("1418145370.1000000000", 1_418_145_371_000_000_000),
]


def test_how_tshark_writes() -> None:
    """Numbers in each notation, times with what is not carried over."""
    assert [pdml.number(shown_) for shown_, _ in NUMBERS] == [n for _, n in NUMBERS]
    assert [pdml._time(shown_) for shown_, _ in TIMES] == [ns for _, ns in TIMES]


def test_text_that_xml_does_not_allow() -> None:
    """Control characters and bytes that are no UTF-8, in pieces of one byte; an unfinished document is told."""
    whole = (b'<pdml><packet><proto name="frame"><field name="frame.number" show="9"/><field name="x" show="\x01\xff\x1b"/>'
             b'</proto><proto name="eth"><field name="eth.src" show="02:00:00:00:00:01"/></proto></packet></pdml>')
    ((number, view),) = pdml.views(whole[n:n + 1] for n in range(len(whole)))
    assert (number, view.link) == (9, {"eth_src": "02:00:00:00:00:01"})
    with pytest.raises(PcapnatError, match="cannot be read"):
        list(pdml.views([b"<pdml>", b"<packet", b"<"]))


def test_marks_say_why_only_they_have_something(one_file: str) -> None:
    """A field that only witnesses have belongs to a frame with one of these marks, in the made frames."""
    explained = Flag.BAD | Flag.SHORT | Flag.OTHER_LINK
    names = {name for name, (fields, why) in KNOWN.items() if why is BAD}
    assert all(case.flags & explained for case in MADE if case.name in names)
