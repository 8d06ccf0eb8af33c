"""pcap variants, snoop, ERF, all that pcapng says, compressed files and hostile ones, built by hand."""
from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lz4.frame
import numpy as np
import pytest
import zstandard
from made_files import (
    block,
    enhanced,
    erf_record,
    interface,
    obsolete,
    option,
    patched_record,
    pcap_head,
    pcap_record,
    section,
    simple,
    snoop_head,
    snoop_record,
    stdin,
)

from pcapnat import reading
from pcapnat.report import info_json, info_sections, terminal
from pcapnat.terms import CaptureError
from pcapnat.wire import Capture, Flag, batches, glance, read, source, via
from pcapnat.wire import capture as capture_module
from pcapnat.wire.facts import MOST_COMMENTS, MOST_NAMES

S = 10**9
FRAME = bytes(12) + b"\x08\x00" + bytes(50)
ORDERS = pytest.mark.parametrize("order", ["<", ">"])
needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")


def write(folder: Path, data: bytes, name: str = "made") -> str:
    """A file of these bytes."""
    path = folder / name
    path.write_bytes(data)
    return str(path)


def found(path: str) -> tuple[Capture, list[tuple[int, int, int]]]:
    """A capture read to its end, and (time, captured, on the wire) of each frame."""
    capture, frames = Capture(path), []
    for chunk in capture.chunks():
        f = chunk.frames
        frames += list(zip(*[column[:chunk.count].tolist() for column in (f.time_ns, f.cap_len, f.wire_len)], strict=True))
    return capture, frames


def head(order: str, magic: int, version: tuple[int, int] = (2, 4), link: int = 1, extra: bytes = b"") -> bytes:
    """A pcap file header of any magic number."""
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, 65535, link) + extra


# pcap's variants: (name, header, bytes of a record's header, lengths in the old order, nanoseconds, link type expected)
VARIANTS = [
    ("Kuznetzov", 0xA1B2CD34, (2, 4), 1, 24, False, False, 1),
    ("Kuznetzov under the usual magic", 0xA1B2C3D4, (2, 4), 1, 24, False, False, 1),
    ("SuSE 6.3, one record", 0xA1B2CD34, (2, 4), 1, 28, False, False, 1),
    ("Nokia, one record", 0xA1B2C3D4, (2, 4), 1, 20, False, False, 1),
    ("version 2.2", 0xA1B2C3D4, (2, 2), 1, 16, True, False, 1),
    ("version 2.3, old order", 0xA1B2C3D4, (2, 3), 1, 16, True, False, 1),
    ("version 2.3, new order", 0xA1B2C3D4, (2, 3), 1, 16, False, False, 1),
    ("DG/UX", 0xA1B2C3D4, (543, 0), 1, 16, True, False, 1),
    ("AIX", 0xA1B2C3D4, (2, 2), 6, 16, True, True, 1),
    ("nanoseconds", 0xA1B23C4D, (2, 4), 1, 16, False, True, 1),
]


@ORDERS
@pytest.mark.parametrize(("name", "magic", "version", "link", "header", "swapped", "ns", "expected"), VARIANTS,
                         ids=[v[0] for v in VARIANTS])
def test_pcap_variants(tmp_path: Path, mode: str, order: str, name: str, magic: int, version: tuple[int, int], link: int, header: int,
                       swapped: bool, ns: bool, expected: int) -> None:
    """Every patched pcap that Wireshark reads is read, and as Wireshark reads it."""
    many = 1 if "one record" in name else 4
    data = head(order, magic, version, link)
    data += b"".join(patched_record(order, 100 + n, 5, FRAME, header, wire=90, swapped=swapped) for n in range(many))
    path = write(tmp_path, data)
    capture, frames = found(path)
    assert frames == [((100 + n) * S + (5 if ns else 5000), 64, 90) for n in range(many)]
    assert capture.problems == []
    assert capture.interfaces[0].link_type == expected
    if shutil.which("tshark") and (mode, order) == ("plain", "<"):
        command = ["tshark", "-r", path, "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.cap_len", "-e", "frame.len"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert said == [word for t, cap, wire in frames for word in (f"{t // S}.{t % S:09d}", str(cap), str(wire))]


@ORDERS
@pytest.mark.parametrize("magic", [0x1C0001AC, 0x1C0001AB])
def test_pcap_of_ixia(tmp_path: Path, order: str, magic: int) -> None:
    """lcap: the length of all records lies behind the file header."""
    records = pcap_record(order, 1, 7, FRAME) * 3
    capture, frames = found(write(tmp_path, head(order, magic, extra=struct.pack(order + "I", len(records))) + records))
    assert frames == [(S + 7000, 64, 64)] * 3
    assert not capture.problems


def test_pcap_usual_headers_win_a_tie(tmp_path: Path) -> None:
    """Odd lengths in all three readings: the usual header is taken; so it is where nothing can be told yet."""
    assert len(found(write(tmp_path, pcap_head("<", snaplen=10) + pcap_record("<", 1, 1, FRAME) * 3))[1]) == 3
    with stdin(pcap_head("<") + pcap_record("<", 1, 2_000_000, FRAME) * 3, 30) as path:
        assert len(found(path)[1]) == 3


@ORDERS
def test_longer_frames_where_the_link_has_them(tmp_path: Path, order: str) -> None:
    """D-Bus and USB frames may be longer than a network's; an enhanced packet block is held to the same."""
    big = bytes(300_000)
    for link, right in ((231, 2), (249, 2), (1, 0)):
        data = pcap_head(order, link=link, snaplen=1 << 20) + pcap_record(order, 1, 1, big) * 2
        capture, frames = found(write(tmp_path, data))
        assert (len(frames), capture.truncated) == (right, not right)
        capture, frames = found(write(tmp_path, section(order) + interface(order, link) + enhanced(order, 1, big) * 2))
        assert (len(frames), capture.truncated) == (right, not right)
        assert right or "a record longer than 262144 bytes" in capture.problems[0]


# snoop and ERF

@pytest.mark.parametrize(("link", "expected"), [(0, 1), (4, 1), (2, 6), (8, 10), (18, 123), (0x80000005, 226), (77, 147)])
def test_snoop(tmp_path: Path, mode: str, link: int, expected: int) -> None:
    """RFC 1761's records, padded or not, its link types as ours, and the drops it counts."""
    data = snoop_head(link) + snoop_record(1, 2, FRAME[:61], wire=99) + snoop_record(4_294_967_295, 999_999, FRAME, drops=7, pad=6)
    capture, frames = found(write(tmp_path, data))
    assert frames == [(S + 2000, 61, 99), (4_294_967_295 * S + 999_999_000, 64, 64)]
    assert (capture.format, capture.interfaces[0].link_type, capture.facts.dropped) == ("snoop", expected, 7)
    assert not capture.problems


def test_snoop_of_surveyor(tmp_path: Path) -> None:
    """A trailer behind each frame: Shomiti's, whose link types are its own."""
    capture, frames = found(write(tmp_path, snoop_head(12, 4) + snoop_record(1, 2, FRAME, pad=20) * 2))
    assert (len(frames), capture.interfaces[0].link_type) == (2, 1)


def test_erf(tmp_path: Path, mode: str) -> None:
    """Types and ports become interfaces, extension headers and padding are stepped over, fractions are rounded."""
    data = erf_record(1 << 32 | 1 << 31, FRAME, wire=68, lost=3) + erf_record(2 << 32 | 0xFFFFFFFF, FRAME, kind=11, extensions=2)
    data += erf_record(3 << 32, bytes(4), kind=48) + erf_record(3 << 32, b"E" + bytes(30), kind=22, port=1)
    data += erf_record(3 << 32, bytes(8), kind=27) + erf_record(4 << 32, FRAME)
    capture, frames = found(write(tmp_path, data))
    assert frames == [(1_500_000_000, 64, 68), (3 * S, 64, 64), (3 * S, 31, 31), (3 * S, 8, 8), (4 * S, 64, 64)]
    assert [(i.link_type, i.name, i.frames) for i in capture.interfaces] == [
        (1, "port 0", 2), (1, "port 0", 1), (228, "port 1", 1), (147, "port 0", 1)]
    assert (capture.format, capture.facts.dropped) == ("erf", 3)


def test_erf_needs_more_than_luck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One odd field and a file is not ERF; neither is one whose only record is cut."""
    monkeypatch.setattr(via, "program", lambda: None)  # which takes some of these for ERF
    good = erf_record(5 << 32, FRAME)
    for data in (good[:-1], good + erf_record(1 << 32, FRAME), good + erf_record(5 << 32, FRAME, kind=60), bytes(500), b"\xff" * 500,
                 good + erf_record(9_000_000 << 32, FRAME)):
        with pytest.raises(CaptureError):
            Capture(write(tmp_path, data))
    capture, frames = found(write(tmp_path, good * 25 + good[:20]))
    assert (len(frames), capture.truncated) == (25, True)


# pcapng

@ORDERS
def test_pcapng_says_much(tmp_path: Path, mode: str, order: str) -> None:
    """Directions and identifiers are columns; comments, names, counts and verdicts are facts."""
    sided = option(order, 2, struct.pack(order + "I", 0x105)) + option(order, 5, struct.pack(order + "Q", 77))
    lost = option(order, 4, struct.pack(order + "Q", 9)) + option(order, 2, struct.pack(order + "I", 2)) + option(order, 0, b"")
    words = option(order, 1, "grüß\x1b[2J".encode()) + option(order, 7, b"\x02" + bytes(7) + b"\x01") + option(order, 2988, b"zz")
    huge = option(order, 5, b"\xff" * 8) + option(order, 2, b"\x01")
    names = block(order, 4, struct.pack(order + "HH4s", 1, 10, bytes([192, 0, 2, 1])) + b"a\0b.c\0\0\0" + struct.pack(
        order + "HH16s", 2, 18, bytes(15) + b"\1") + b"h\0\0\0" + bytes(4) + option(order, 1, b"of names"))
    counts = block(order, 5, struct.pack(order + "III", 0, 0, 0) + option(order, 4, struct.pack(order + "Q", 1000))
                   + option(order, 5, struct.pack(order + "Q", 11)) + option(order, 7, struct.pack(order + "Q", 1 << 63)))
    top = option(order, 2, b"box") + option(order, 3, b"system\0") + option(order, 4, b"writer") + option(order, 1, b"of all")
    about = struct.pack(order + "HHI", 1, 0, 0) + option(order, 3, b"a card") + option(order, 11, b"\0tcp port 80")
    data = section(order, top) + block(order, 1, about) + names + enhanced(order, 1, b"abc", options=sided)
    data += enhanced(order, 2, b"abcd", options=lost) + enhanced(order, 3, b"", options=words) + enhanced(order, 4, b"e", options=huge)
    data += obsolete(order, 5, b"f", drops=4) + obsolete(order, 6, b"f") + simple(order, b"g") + counts + block(order, 0xBAD, b"1234")
    data += block(order, 0x40000BAD, b"1234") + block(order, 10, b"secret") + block(order, 99, b"")
    path = write(tmp_path, data)
    capture, packets, _ = read(path)
    assert packets.direction.tolist() == [1, 2, 0, 0, 0, 0, 0]
    assert packets.packet_id.tolist() == [77, 0, 0, 0, 0, 0, 0]
    facts, one = capture.facts, capture.interfaces[0]
    assert (packets.flags & Flag.NOTED != 0).tolist() == [False, False, True, False, False, False, False]
    assert facts.comments == [(None, "of all"), (None, "of names"), (3, "grüß\x1b[2J")]
    assert facts.comment_count == 3
    assert facts.names == {"192.0.2.1": ["a", "b.c"], "::1": ["h"]}
    assert facts.verdicts == {"Linux eBPF XDP 0000000000000001": 1}
    assert (facts.hardware, facts.system, facts.application, facts.sections) == ("box", "system", "writer", 1)
    assert (one.received, one.dropped, one.os_dropped, one.lost, facts.dropped) == (1000, 11, 1 << 63, 13, 13)
    assert (one.description, one.filter) == ("a card", "tcp port 80")
    assert facts.skipped == {"custom": 2, "secrets": 1, "other": 1}
    assert not capture.problems
    page = terminal(info_sections(capture))
    assert "\x1b" not in page
    assert "frame 3: grüß\\x1b[2J" in page
    document = json.loads(info_json(capture))
    assert document["comments"][-1] == {"frame": 3, "text": "grüß\x1b[2J"}
    assert document["interfaces"][0]["lost"] == 13
    for batch in batches(Capture(path)):  # with nothing else kept, these two columns are still right
        assert batch.packets.direction[:7].tolist() == [1, 2, 0, 0, 0, 0, 0]


@ORDERS
def test_pcapng_sides_do_not_linger(tmp_path: Path, mode: str, order: str) -> None:
    """A row that is used again has the direction of its own frame."""
    sided = option(order, 2, struct.pack(order + "I", 1))
    data = section(order) + interface(order) + enhanced(order, 1, b"a", options=sided) * 3 + enhanced(order, 1, b"b") * 3
    capture, seen = Capture(write(tmp_path, data), rows=3), []
    for batch in batches(capture):
        seen += batch.packets.direction[:batch.count].tolist()
    assert seen == [1, 1, 1, 0, 0, 0]


def test_pcapng_two_lengths_and_versions(tmp_path: Path) -> None:
    """A block that ends with another length is read by its first one; an unknown version is read as the known one; both are told."""
    odd = enhanced("<", 1, b"abcd")[:-4] + struct.pack("<I", 99)
    data = section("<") + interface("<") + odd + enhanced("<", 2, b"x")
    capture, frames = found(write(tmp_path, data.replace(struct.pack("<IHH", 0x1A2B3C4D, 1, 0), struct.pack("<IHH", 0x1A2B3C4D, 2, 0))))
    assert len(frames) == 2
    assert capture.problems == ["pcapng version 2.0, read as version 1.0, at byte 0",
                                "1 blocks end with another length than they begin with; the first was used"]
    assert not capture.truncated


# Compressed files

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda d: gzip.compress(d, 6), "bzip2": bz2.compress, "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "lz4": lambda d: lz4.frame.compress(d, content_checksum=True)}
PACKED = pytest.mark.parametrize("kind", PACKERS)


def records(count: int) -> bytes:
    """A pcap file whose frames do not compress away."""
    noise = np.random.default_rng(7)
    return pcap_head("<") + b"".join(pcap_record("<", n, 0, noise.bytes(100)) for n in range(count))


@PACKED
def test_compressed(tmp_path: Path, kind: str) -> None:
    """Whole, in several members with padding between, and from a pipe that stutters: the same frames."""
    data = records(3000)
    pack = PACKERS[kind]
    many = b"".join(pack(data[at:at + 50_000]) for at in range(0, len(data), 50_000))
    for packed in (pack(data), many, many + bytes(512)):
        path = write(tmp_path, packed)
        capture, frames = found(path)
        assert (capture.compression, capture.format, len(frames), capture.problems) == (kind, "pcap", 3000, [])
        assert capture.done_bytes == capture.file_bytes == len(packed)
        assert 1000 < glance(path).frames < 9000
    with stdin(many, 1000) as path:
        assert len(found(path)[1]) == 3000


@PACKED
def test_compressed_and_cut_or_damaged(tmp_path: Path, kind: str) -> None:
    """What was unpacked before the damage is kept; the place in the file is told."""
    data, step = records(3000), 30_000 if kind == "bzip2" else 1 << 30  # bzip2's blocks come out whole or not at all
    packed = b"".join(PACKERS[kind](data[n:n + step]) for n in range(0, len(data), step))
    for at in (1, 3, 7, 20, 1000, len(packed) // 2, len(packed) - 1):
        path = write(tmp_path, packed[:at])
        try:
            capture, frames = found(path)
        except CaptureError:
            continue
        assert capture.truncated
        assert f"{kind} data ends early" in capture.problems[0]
        assert f"{len(frames)} frames before it were read" in capture.problems[0]
    assert len(frames) > 1500
    broken = bytearray(packed)
    broken[len(packed) // 2:len(packed) // 2 + 40] = b"\xa5" * 40
    capture, frames = found(write(tmp_path, bytes(broken)))
    assert capture.truncated
    assert len(capture.problems) == 1
    capture, frames = found(write(tmp_path, packed + b"and more"))
    assert (len(frames), capture.truncated) == (3000, False)
    assert "something else follows" in capture.problems[0]


def test_compressed_oddly(tmp_path: Path) -> None:
    """Skippable frames are skipped, a hungry dictionary is refused, emptiness is told, packed twice is no capture."""
    skipped = b"\x50\x2a\x4d\x18" + struct.pack("<I", 5) + b"12345"
    data = records(10)
    assert len(found(write(tmp_path, skipped + zstandard.compress(data) + skipped))[1]) == 10
    hungry = lzma.compress(data, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}])
    for packed, says in ((hungry, "Memory usage limit"), (gzip.compress(b""), "the gzip data is empty"),
                         (gzip.compress(bz2.compress(data)), "it looks like bzip2 data")):
        with pytest.raises(CaptureError, match=says):
            Capture(write(tmp_path, packed))


@PACKED
def test_bombs_are_defused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Far more data than a network makes of so few bytes: unpacking ends and says so."""
    monkeypatch.setattr(source, "BOMB_BYTES", 1 << 22)
    monkeypatch.setattr(source, "BOMB_RATIO", 100)
    monkeypatch.setattr(source, "BOMB_FRAMES", 1 << 40)
    pack = PACKERS[kind]
    path = write(tmp_path, pack(pcap_head("<") + pcap_record("<", 1, 1, bytes(200_000))) + pack(bytes(1 << 24)))
    capture = reading.inspect(path)
    assert capture.frames >= 1
    assert "unpacks to more than 100 times its size" in capture.problems[0]
    assert capture.truncated
    monkeypatch.setattr(source, "BOMB_BYTES", 1 << 40)
    monkeypatch.setattr(source, "BOMB_FRAMES", 100_000)
    capture = reading.inspect(path)
    assert 100_000 < capture.frames < 300_000
    assert "holds more frames than so few bytes can" in capture.problems[0]
    assert capture.truncated


# Through tshark

@needs_tshark
def test_via_tshark(tmp_path: Path, captures: list[str]) -> None:
    """A format that only tshark reads is read by itself; with --via tshark, any is; the frames are the same."""
    mine = Capture(captures[0])
    for _ in mine.chunks():
        pass
    foreign = str(tmp_path / "made.cap")
    subprocess.run(["editcap", "-F", "netmon2", captures[0], foreign], check=True, capture_output=True)
    for path, wish in ((foreign, None), (foreign, "tshark"), (captures[0], "tshark")):
        capture = reading.inspect(path, via=wish)
        assert (capture.frames, capture.captured_bytes, capture.via) == (mine.frames, mine.captured_bytes, "tshark")
        assert capture.format == ("pcapng" if path is not foreign else "Network Monitor 2")
        assert "read through tshark" in capture.notes[0]
    with pytest.raises(CaptureError, match="cannot be read") as error:
        Capture(write(tmp_path, b"nothing that anybody reads" * 40), via="tshark")
    assert "\n" not in str(error.value)
    capture = Capture(foreign)
    capture.close()
    assert capture._file._process.returncode is not None


@needs_tshark
@pytest.mark.parametrize("kind", ["lanalyzer", "netmon1", "ngsniffer", "ngwsniffer_2_0", "visual"])
def test_every_kind_that_editcap_makes(tmp_path: Path, captures: list[str], kind: str) -> None:
    """Formats that tshark can rewrite are read by themselves, under their names, with every frame."""
    path = str(tmp_path / "made")
    subprocess.run(["editcap", "-F", kind, captures[0], path], check=True, capture_output=True)
    capture = reading.inspect(path)
    assert (capture.frames, capture.via) == (reading.inspect(captures[0]).frames, "tshark")
    assert capture.notes[0] == f"read through tshark, as {capture.format} captures are"


@needs_tshark
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_only_tshark_knows(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """A file that none of our first bytes tell is tried: here, ERF with months between two records."""
    path = write(tmp_path, pack(erf_record(5 << 32, FRAME) + erf_record(9_000_000 << 32, FRAME)))
    capture, frames = found(path)
    assert (len(frames), capture.format, capture.via, capture.notes[0]) == (2, via.OF_TSHARK, "tshark", "read through tshark")


@needs_tshark
@pytest.mark.parametrize("data", [
    b"hello, world\n", b'{"a": 1}\n', b"<?xml version='1.0'?>\n<a/>\n", b"\x89PNG\r\n\x1a\n" + bytes(99), b"\xff\xd8\xff\xe0" + bytes(99),
    bytes(500), b"\xff" * 500, b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", b"#Format=4\r\n", b"a,b\n1,2\n" * 99,
    b"\x3e\0\x3e\0\0\xde\x07\x03\x05\x15\x37\x06" + bytes(80)])
def test_what_tshark_opens_and_is_no_capture(tmp_path: Path, data: bytes) -> None:
    """Text, pictures and what not: Wireshark opens many of them, but nothing that is a packet comes of it. One line."""
    with pytest.raises(CaptureError, match="not a capture file") as error:
        Capture(write(tmp_path, data))
    assert "\n" not in str(error.value)


def test_asking_tshark_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for long, and not asked about what is certainly something else."""
    program = tmp_path / "tshark"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nexec sleep 30\n")
    program.chmod(0o755)
    monkeypatch.setattr(via, "program", lambda: str(program))
    monkeypatch.setattr(via, "ASKING_S", 0.3)
    for data, asked in ((b"PK\x03\x04" + bytes(40), False), (bytes(100), True)):
        with pytest.raises(CaptureError, match="not a capture file"):
            Capture(write(tmp_path, data))
        assert (tmp_path / "asked").exists() == asked


def test_via_without_tshark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what would help."""
    monkeypatch.setattr(via, "program", lambda: None)
    path = write(tmp_path, b"GMBU" + bytes(200))
    with pytest.raises(CaptureError, match=r"Network Monitor 2.*editcap -F pcapng"):
        Capture(path)
    with pytest.raises(CaptureError, match="tshark is not installed"):
        Capture(path, via="tshark")


def test_via_takes_no_file_for_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a file is called, it is one argument, and an absolute path."""
    given: list[list[str]] = []

    def popen(arguments: list[str], **_: Any) -> Any:
        given.append(arguments)
        raise OSError("not now")
    monkeypatch.setattr(via, "program", lambda: "tshark")
    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.chdir(tmp_path)
    write(tmp_path, bytes(10), "-w x;y")
    with pytest.raises(CaptureError, match="not now"):
        Capture("-w x;y", via="tshark")
    assert given[0][3] == os.path.join(os.getcwd(), "-w x;y")


# Hostile files: bounded time and memory, and a word about it

HOSTILE: list[tuple[str, Callable[[], bytes], int, str]] = [
    ("interfaces", lambda: section("<") + interface("<") * 150_000 + enhanced("<", 1, b"x"), 0, "an interface block behind 100000 others"),
    ("interfaces in between", lambda: section("<") + b"".join(
        interface("<") + enhanced("<", 1, b"", iface=n) for n in range(9000)), 9000, ""),
    ("sections", lambda: (section("<") + interface("<") + enhanced("<", 1, b"x")) * 8000, 8000, ""),
    ("empty sections", lambda: section("<") * 50_000, 0, ""),
    ("statistics", lambda: section("<") + interface("<") + block("<", 5, struct.pack("<III", 0, 0, 0)) * 60_000, 0, ""),
    ("names", lambda: section("<") + block("<", 4, (struct.pack("<HH4s", 1, 6, b"abcd") + b"a\0\0\0") * 300_000), 0, ""),
    ("many names", lambda: section("<") + block("<", 4, b"".join(
        struct.pack("<HHI", 1, 6, n) + b"a\0\0\0" for n in range(MOST_NAMES + 9))), 0, ""),
    ("comments", lambda: section("<") + interface("<") + enhanced("<", 1, b"", options=option("<", 1, b"hi")) * 20_000, 20_000, ""),
    ("options", lambda: section("<") + block("<", 1, struct.pack("<HHI", 1, 0, 0) + option("<", 1, b"") * 2_000_000), 0, ""),
    ("options of a frame", lambda: section("<") + interface("<") + enhanced("<", 1, b"", options=option("<", 1, b"") * 100_000), 1, ""),
    ("a block of 4 GB", lambda: section("<") + interface("<") + struct.pack("<II", 6, 0xFFFFFFFC) + bytes(99), 0, "length cannot be"),
    ("an unknown block of 4 GB", lambda:
     section("<") + interface("<") + struct.pack("<II", 77, 0xFFFFFFFC) + bytes(99), 0, "length cannot be"),
    ("a frame of 4 GB", lambda: section("<") + interface("<") + block(
        "<", 6, struct.pack("<IIIII", 0, 0, 0, 0xFFFFFFFF, 1)), 0, "length cannot be"),
    ("a record of 4 GB", lambda:
     pcap_head("<") + pcap_record("<", 1, 1, b"") * 3 + struct.pack("<IIII", 1, 1, 0xFFFFFFFF, 60), 3, "a record longer"),
    ("a snoop record of 4 GB", lambda:
     snoop_head() + struct.pack(">IIIIII", 60, 60, 0xFFFFFFFF, 0, 1, 1) + bytes(60), 0, "length cannot be"),
    ("a snoop frame of 4 GB", lambda: snoop_head() + struct.pack(">IIIIII", 60, 0xFFFFFFFF, 9, 0, 1, 1) + bytes(60), 0, "a record longer"),
    ("only simple packets", lambda: section(">") + interface(">") + simple(">", b"abc") * 30_000, 30_000, ""),
    ("simple packets of nobody", lambda: section(">") + simple(">", b"abc") * 3, 0, "never described"),
    ("fewer frames than follow", lambda: pcap_head("<") + pcap_record("<", 1, 0, bytes(20_000)) * 60 + bytes(2_000_000), 125_060, ""),
]


@pytest.mark.parametrize(("name", "make", "frames", "says"), HOSTILE, ids=[h[0] for h in HOSTILE])
def test_hostile(tmp_path: Path, name: str, make: Callable[[], bytes], frames: int, says: str) -> None:
    """Counted, said, and over in a moment."""
    path = write(tmp_path, make())
    started = time.process_time()
    capture = reading.inspect(path)
    info_json(capture)
    terminal(info_sections(capture))
    assert time.process_time() - started < 15, "on any machine, however busy"
    assert capture.frames == frames
    assert (says in capture.problems[0]) if says else not capture.problems
    assert len(capture.facts.comments) <= MOST_COMMENTS
    assert len(capture.facts.names) <= MOST_NAMES
    assert sum(batch.count for batch in batches(Capture(path))) == frames


def test_times_before_1970_and_after_2116(tmp_path: Path, mode: str) -> None:
    """Times run from 1823 to 2116; offsets may lead there, and beyond it times are clamped and marked."""
    data = section("<") + interface("<", offset=-4_000_000_000) + interface("<", offset=4_000_000_000) + interface("<", resolution=0)
    data += enhanced("<", 1_000_000, b"") + enhanced("<", 5_300_000_000_000_000, b"", iface=1) + enhanced("<", 1 << 40, b"", iface=2)
    capture, frames = found(write(tmp_path, data))
    assert [t for t, _, _ in frames] == [-3_999_999_999 * S, (1 << 62) - 1, (1 << 62) - 1]
    document = json.loads(info_json(capture))
    assert (document["first_ns"], document["last_ns"]) == (-3_999_999_999 * S, (1 << 62) - 1)
    assert "1843-" in terminal(info_sections(capture))


# Live captures

def test_interrupting_a_live_capture_ends_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first interruption lets the rest come in; before any frame, or a second time, it ends us."""
    monkeypatch.setattr(capture_module, "CHUNK", 256)
    data = records(5)
    with stdin(data, 150) as path:
        capture = Capture(path)
        chunks = capture.chunks()
        next(chunks)
        stream, calls = capture._file, 0

        class Interrupted:
            """Interrupted once, then a stream again."""

            def readinto(self, into: Any) -> int:
                nonlocal calls
                calls += 1
                if calls == 1:
                    raise KeyboardInterrupt
                return int(stream.readinto(into))
        capture._file = Interrupted()
        for _ in chunks:
            pass
        assert capture.frames == 5
        assert not capture.problems


def test_a_pipe_of_a_growing_capture() -> None:
    """Another process writes a little at a time; the command line reads what came until it ended, compressed or not."""
    data = records(30)
    for packed in (data, gzip.compress(data)):
        writer = f"""import sys, time
data = bytes.fromhex("{packed.hex()}")
for i in range(0, len(data), 700):
    sys.stdout.buffer.write(data[i:i + 700])
    sys.stdout.flush()
    time.sleep(0.005)
"""
        with subprocess.Popen([sys.executable, "-c", writer], stdout=subprocess.PIPE) as process:
            done = subprocess.run([sys.executable, "-m", "pcapnat", "info", "-", "--format", "json"], stdin=process.stdout,
                                  capture_output=True, check=True, timeout=60)
        assert json.loads(done.stdout)["frames"] == 30


def test_gzip_damaged_check_loses_nothing(tmp_path: Path) -> None:
    """A wrong checksum behind the data is told, and every frame before it is there."""
    from pcapnat.wire.source import Unpacked

    data = bytes(range(256)) * 300
    packed = bytearray(gzip.compress(data))
    packed[-6] ^= 1
    file = tmp_path / "damaged.gz"
    file.write_bytes(packed)
    with file.open("rb") as opened:
        unpacked = Unpacked(opened, b"", "gzip")
        found = b"".join(iter(lambda: unpacked.read(1 << 16), b""))
    assert found == data
    assert unpacked.problem is not None
    assert "incorrect data check" in unpacked.problem
