"""pcap and pcapng files built by hand: every time unit and byte order, every cut, every chunk border, and what is no capture."""
from __future__ import annotations

import gzip
import struct
from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_files import block, enhanced, interface, obsolete, option, pcap_head, pcap_record, section, simple, stdin

from pcapnat.terms import CaptureError
from pcapnat.wire import capture as capture_module
from pcapnat.wire.capture import Capture
from pcapnat.wire.packets import Flag

CUT, NO_TIME, BAD_TIME, NONE = Flag.CUT, Flag.NO_TIME, Flag.BAD_TIME, Flag(0)
FAR_FUTURE = (1 << 62) - 1
S = 10**9
ORDERS = pytest.mark.parametrize("order", ["<", ">"])


@dataclass
class Seen:
    """One frame as the walkers found it."""
    time_ns: int
    data: bytes
    wire: int
    interface: int = 0
    flags: Flag = NONE
    offset: int = 0


def frames(data: bytes, step: int = 1 << 30) -> tuple[Capture, list[Seen]]:
    """Everything a capture holds, read from a stream that gives `step` bytes at a time."""
    seen = []
    with stdin(data, step) as path:
        capture = Capture(path)
        for chunk in capture.chunks():
            f = chunk.frames
            for i in range(chunk.count):
                at, size = int(f.at[i]), int(f.cap_len[i])
                seen.append(Seen(int(f.time_ns[i]), bytes(chunk.buf[at:at + size]), int(f.wire_len[i]), int(f.interface[i]),
                                 Flag(int(f.flags[i])), chunk.base + at))
    assert capture.frames == len(seen)
    assert all(data[s.offset:s.offset + len(s.data)] == s.data for s in seen)
    return capture, seen


def expect(data: bytes, *expected: Seen, problems: int = 0) -> Capture:
    """The capture, whose frames are exactly these (offsets are not compared), in small steps as well as in one."""
    for step in (1 << 30, 7):
        capture, seen = frames(data, step)
        for s in seen:
            s.offset = 0
        assert seen == list(expected)
        assert len(capture.problems) == problems
        assert capture.captured_bytes == sum(len(s.data) for s in expected)
        assert capture.wire_bytes == sum(s.wire for s in expected)
        assert capture.first_ns == min((s.time_ns for s in expected), default=None)
        assert capture.last_ns == max((s.time_ns for s in expected), default=None)
        assert [i.frames for i in capture.interfaces] == [sum(s.interface == i.id for s in expected) for i in capture.interfaces]
    return capture


# pcap

@ORDERS
@pytest.mark.parametrize("ns", [False, True], ids=["us", "ns"])
def test_pcap(order: str, ns: bool, mode: str) -> None:
    """Both byte orders, both units, cut frames, empty frames, times past 2038 and out of order."""
    unit = 1 if ns else 1000
    data = pcap_head(order, ns=ns, link=101, snaplen=96) + b"".join((
        pcap_record(order, 1_700_000_000, 999_999, b"abc"), pcap_record(order, 0, 0, b""),
        pcap_record(order, 4_294_967_295, 1, b"cut", wire=1514), pcap_record(order, 1, 4_294_967_295, b"x" * 96, wire=95)))
    capture = expect(
        data, Seen(1_700_000_000 * S + 999_999 * unit, b"abc", 3), Seen(0, b"", 0), Seen(4_294_967_295 * S + unit, b"cut", 1514, flags=CUT),
        Seen(S + 4_294_967_295 * unit, b"x" * 96, 95))
    (interface,) = capture.interfaces
    assert (interface.link_type, interface.snaplen, interface.tick, interface.frames) == (101, 96, "1e-09" if ns else "1e-06", 4)
    assert capture.format == "pcap"
    assert not capture.truncated


def test_pcap_link_type_shares_its_word(mode: str) -> None:
    """The upper half of the word tells the length of an Ethernet checksum, not the link type (pcap draft, LinkType)."""
    assert expect(pcap_head("<", link=0x54000001)).interfaces[0].link_type == 1


def test_pcap_of_another_version_says_so(mode: str) -> None:
    """It is read all the same."""
    assert "version 9" in expect(pcap_head(">", major=9) + pcap_record(">", 1, 2, b"a"), Seen(S + 2000, b"a", 1), problems=1).problems[0]


@ORDERS
def test_pcap_record_too_long(order: str, mode: str) -> None:
    """262144 bytes is a frame, one more is damage: what follows cannot be found."""
    longest = b"z" * 262_144
    good = pcap_head(order) + pcap_record(order, 1, 0, longest) + pcap_record(order, 2, 0, b"b")
    assert [len(s.data) for s in frames(good)[1]] == [262_144, 1]
    capture, seen = frames(good + pcap_record(order, 3, 0, longest + b"z") + pcap_record(order, 4, 0, b"c"))
    assert len(seen) == 2
    assert capture.truncated
    assert capture.problems == [f"a record longer than 262144 bytes, at byte {len(good)}: 2 frames before it were read"]


# pcapng

def exact(ticks: int, units: int, offset: int = 0) -> int:
    """Nanoseconds of a count of 1/units seconds, rounded down."""
    return ticks * S // units + offset * S


RESOLUTIONS = {None: 10**6, **{n: 10**n for n in (0, 3, 6, 9, 10, 12, 18, 27, 28, 29, 127)},
               **{0x80 + n: 2**n for n in (0, 1, 10, 31, 32, 33, 40, 60, 63, 64, 94, 127)}}
TICKS = (0, 1, 7, 999_999_999, 10**10 + 9, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 12_345_678_901_234_567_890)


@ORDERS
@pytest.mark.parametrize("resolution", RESOLUTIONS, ids=str)
def test_pcapng_every_tick(order: str, resolution: int | None, mode: str) -> None:
    """Times come out exactly, rounded down to nanoseconds; what 64 bits of them cannot hold is clamped and marked."""
    units = RESOLUTIONS[resolution]
    ticks = [t for t in (*TICKS, 1_700_000_000 * units, 1_700_000_000 * units + units // 3) if t < 1 << 64]
    data = section(order) + interface(order, resolution=resolution) + b"".join(enhanced(order, t, b"") for t in ticks)
    _, seen = frames(data)
    for t, s in zip(ticks, seen, strict=True):
        right = exact(t, units)
        if right > FAR_FUTURE or (units <= 2**31 and t // units > 9_000_000_000):
            assert (s.time_ns, s.flags) == (FAR_FUTURE, BAD_TIME)
        else:
            assert (s.time_ns, s.flags) == (right, NONE), t


@settings(max_examples=300, deadline=None)
@given(ticks=st.integers(0, (1 << 64) - 1), resolution=st.integers(0, 255), offset=st.integers(-4_000_000_000, 4_000_000_000))
def test_pcapng_any_tick(ticks: int, resolution: int, offset: int) -> None:
    """The same for any resolution, offset and time."""
    units = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    _, (seen,) = frames(section("<") + interface("<", resolution=resolution, offset=offset) + enhanced("<", ticks, b""))
    right = exact(ticks, units, offset)
    if seen.flags & BAD_TIME:
        assert seen.time_ns == FAR_FUTURE
        assert right >= FAR_FUTURE
    else:
        assert seen.time_ns == right


@ORDERS
def test_pcapng_offsets(order: str, mode: str) -> None:
    """if_tsoffset is seconds, signed, added after the ticks; one of centuries is ignored and told."""
    head = section(order) + interface(order, offset=1_000_000_000) + interface(order, resolution=9, offset=-5, name="eth0") \
        + interface(order, resolution=12, offset=1_700_000_000) + interface(order, offset=1 << 62)
    fine = 12_345_678_901_234_567_890  # picoseconds, beyond 2**63: 142 days
    data = head + enhanced(order, 500_000, b"a") + enhanced(order, 1, b"b", iface=1) + enhanced(order, fine, b"c", iface=2) \
        + enhanced(order, 7, b"d", iface=3)
    capture = expect(data, Seen(1_000_000_000 * S + S // 2, b"a", 1), Seen(1 - 5 * S, b"b", 1, 1),
                     Seen(1_700_000_000 * S + fine // 1000, b"c", 1, 2), Seen(7000, b"d", 1, 3), problems=1)
    assert "beyond reason" in capture.problems[0]
    assert not capture.truncated
    assert [i.name for i in capture.interfaces] == [None, "eth0", None, None]
    assert [i.tick for i in capture.interfaces] == ["1e-06", "1e-09", "1e-12", "1e-06"]


@ORDERS
def test_pcapng_blocks_of_all_kinds(order: str, mode: str) -> None:
    """Enhanced, simple and obsolete packet blocks; comments, names, statistics, custom and unknown blocks are stepped over."""
    comment = option(order, 1, b"a comment") + option(order, 0, b"")
    others = [block(order, 4, struct.pack(order + "HH", 0, 0)), block(order, 5, struct.pack(order + "III", 0, 0, 0)),
              block(order, 0xBAD, b"custom"), block(order, 0x40000BAD, b"custom, not to be copied"), block(order, 0x7FFFFFFF, b""),
              block(order, 10, b"decryption secrets")]
    data = section(order, comment) + others[0] + interface(order, 1, snaplen=5, name="lan 0") + others[1] \
        + interface(order, 276, resolution=9, name="wän") \
        + enhanced(order, 1_000_000, b"full", options=comment) + others[2] + enhanced(order, 2 * S, b"cut", iface=1, wire=99) + others[3] \
        + obsolete(order, 3_000_000, b"old") + obsolete(order, 4 * S, b"old, cut", iface=1, drops=0, wire=9) + others[4] \
        + simple(order, b"exact") + simple(order, b"short", wire=60) + simple(order, b"sma") + simple(order, b"") + others[5]
    capture = expect(
        data, Seen(S, b"full", 4, flags=Flag.NOTED), Seen(2 * S, b"cut", 99, 1, CUT), Seen(3 * S, b"old", 3),
        Seen(4 * S, b"old, cut", 9, 1, CUT),
        Seen(4 * S, b"exact", 5, flags=NO_TIME), Seen(4 * S, b"short", 60, flags=NO_TIME | CUT), Seen(4 * S, b"sma", 3, flags=NO_TIME),
        Seen(4 * S, b"", 0, flags=NO_TIME))
    assert [(i.id, i.link_type, i.snaplen, i.name) for i in capture.interfaces] == [(0, 1, 5, "lan 0"), (1, 276, 0, "wän")]
    assert capture.format == "pcapng"
    assert not capture.truncated


def test_pcapng_simple_block_without_snaplen_is_as_long_as_its_block(mode: str) -> None:
    """Without a snaplen the packet's length counts, never more than the block holds."""
    data = section("<") + interface("<") + simple("<", b"whole") + simple("<", b"four", wire=2000)
    expect(data, Seen(0, b"whole", 5, flags=NO_TIME), Seen(0, b"four", 2000, flags=NO_TIME | CUT))


@pytest.mark.parametrize("orders", ["<<", "<>", "><", "><>"])
def test_pcapng_sections(orders: str, mode: str) -> None:
    """Each section has its own byte order and numbers its interfaces from 0; ours are numbered over all."""
    data, expected, base = b"", [], 0
    for n, order in enumerate(orders):
        data += section(order) + interface(order, n) + enhanced(order, n, b"a") + interface(order, n, resolution=9)
        data += enhanced(order, n, b"b", iface=1) + simple(order, b"s") + section(order)  # a section may be empty
        expected += [Seen(n * 1000, b"a", 1, base), Seen(n, b"b", 1, base + 1), Seen(n, b"s", 1, base, NO_TIME)]
        base += 2
    capture = expect(data, *expected)
    assert [i.link_type for i in capture.interfaces] == [n for n in range(len(orders)) for _ in (0, 1)]


@ORDERS
@pytest.mark.parametrize(("tail", "what"), [
    (lambda o: enhanced(o, 1, b"x", iface=1), "an interface that was never described"),
    (lambda o: obsolete(o, 1, b"x", iface=65535), "an interface that was never described"),
    (lambda o: section(o) + enhanced(o, 1, b"x"), "an interface that was never described"),
    (lambda o: section(o) + simple(o, b"x"), "an interface that was never described"),
    (lambda o: enhanced(o, 1, b"x", iface=0xFFFFFFFF), "an interface that was never described"),
    (lambda o: struct.pack(o + "III", 6, 8, 8), "a block whose length cannot be"),
    (lambda o: struct.pack(o + "III", 0xBAD, 0, 0), "a block whose length cannot be"),
    (lambda o: struct.pack(o + "III", 0xBAD, 0xFFFFFFF0, 0), "a block whose length cannot be"),
    (lambda o: block(o, 6, bytes(16)), "a block whose length cannot be"),
    (lambda o: block(o, 3, b""), "a block whose length cannot be"),
    (lambda o: block(o, 6, struct.pack(o + "IIIII", 0, 0, 0, 5, 5) + b"four"), "a block whose length cannot be"),
    (lambda o: block(o, 1, b"1234"), "an interface block whose length cannot be"),
    (lambda o: struct.pack(o + "III", 1, 0xFFFFFFF0, 0), "an interface block whose length cannot be"),
    (lambda o: block(o, 0x0A0D0D0A, b"\x1a\x2b\x3c\x4e" + bytes(12)), "an unknown byte order mark"),
    (lambda o: block(o, 0x0A0D0D0A, struct.pack(o + "I", 0x1A2B3C4D)), "a section header whose length cannot be"),
    (lambda o: struct.pack(o + "III", 0x0A0D0D0A, 0xFFFFFFF0, 0x1A2B3C4D), "a section header whose length cannot be"),
])
def test_pcapng_damage(order: str, tail: Any, what: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading ends at the damage and tells where; what came before is kept."""
    good = section(order) + interface(order) + enhanced(order, 5, b"good")
    damaged = tail(order)
    capture = expect(good + damaged + enhanced(order, 6, b"lost"), Seen(5000, b"good", 4), problems=1)
    where = len(good) + (len(section(order)) if len(damaged) > 28 and damaged[:28] == section(order) else 0)
    assert capture.truncated
    assert what in capture.problems[0]
    assert capture.problems[0].endswith(f", at byte {where}: 1 frames before it were read")
    monkeypatch.setattr(capture_module, "CHUNK", 32)
    assert frames(good + damaged + enhanced(order, 6, b"lost"))[0].problems == capture.problems


@ORDERS
def test_pcapng_lengths_that_are_no_multiple_of_four(order: str, mode: str) -> None:
    """Some writers pad but count without padding: the next block begins at a multiple of four."""
    odd = struct.pack(order + "II", 0xBAD, 14) + b"ab\0\0" + struct.pack(order + "I", 14)
    head = struct.pack(order + "IIIII", 0, 0, 9, 2, 2)
    packet = struct.pack(order + "II", 6, 34) + head + b"ok\0\0" + struct.pack(order + "I", 34)
    data = section(order) + interface(order) + odd + packet + enhanced(order, 10, b"next")
    expect(data, Seen(9000, b"ok", 2), Seen(10_000, b"next", 4))


@ORDERS
@pytest.mark.parametrize("options", [
    b"\x00", b"\x02\x00\xff\xff", b"\xff\xff\xff\xff\xff", b"\x09\x00\x00\x00", b"\x00\x09\x00\x00", b"\x0e\x00\x04\x00abcd",
    b"\x02\x00\x01\x00\xff"], ids=lambda o: o.hex())
def test_pcapng_odd_interface_options(order: str, options: bytes, mode: str) -> None:
    """Options that are cut, too long or too short leave the interface as it would be without."""
    data = section(order) + block(order, 1, struct.pack(order + "HHI", 1, 0, 0) + options) + enhanced(order, 3, b"a")
    expect(data, Seen(3000, b"a", 1))


@ORDERS
def test_pcapng_options_need_no_end(order: str, mode: str) -> None:
    """Options may fill the block to its last byte without a mark of their end (pcapng draft, 3.5)."""
    options = option(order, 9, b"\x09") + option(order, 2, b"eth1")
    data = section(order) + block(order, 1, struct.pack(order + "HHI", 1, 0, 0) + options) + enhanced(order, 3, b"a")
    assert expect(data, Seen(3, b"a", 1)).interfaces[0].name == "eth1"


def test_pcapng_many_interfaces(mode: str) -> None:
    """Interfaces keep their numbers however many there are, and each counts its own frames."""
    many = 700
    data = section("<") + b"".join(interface("<", i, resolution=6 + i % 4) + enhanced("<", 1, b"", iface=i) for i in range(many))
    data += b"".join(enhanced("<", 2, b"x", iface=i) for i in range(0, many, 7))
    capture, seen = frames(data)
    assert [s.interface for s in seen] == [*range(many), *range(0, many, 7)]
    assert [s.time_ns for s in seen[:4]] == [1000, 100, 10, 1]
    assert [i.frames for i in capture.interfaces] == [2 if i % 7 == 0 else 1 for i in range(many)]
    assert capture.table[:many, 0].tolist() == list(range(many))


def test_pcapng_block_longer_than_a_chunk(mode: str) -> None:
    """The buffer grows for it; 16 MB is the longest block."""
    big = 3 << 20
    data = section("<") + block("<", 0xBAD, bytes(big)) + interface("<") + enhanced("<", 1, b"a") \
        + block("<", 0xBAD, bytes((16 << 20) - 12)) + enhanced("<", 2, b"b")
    _, seen = frames(data)
    assert [(s.data, s.time_ns) for s in seen] == [(b"a", 1000), (b"b", 2000)]
    capture, seen = frames(section("<") + interface("<") + block("<", 0xBAD, bytes(16 << 20)))
    assert capture.truncated
    assert not seen


# Cuts, chunks, streams

def small_pcap(order: str) -> tuple[bytes, list[int], list[int]]:
    """A pcap file, the places where it may end without loss, and the frames before each."""
    data, ends = pcap_head(order), [24]
    for n, size in enumerate((0, 1, 60, 3, 0, 25)):
        data += pcap_record(order, n, n, bytes([n]) * size, wire=size + n % 2)
        ends.append(len(data))
    return data, ends, list(range(len(ends)))


def small_pcapng(order: str) -> tuple[bytes, list[int], list[int]]:
    """The same for pcapng, with two sections of different byte order."""
    other = ">" if order == "<" else "<"
    blocks = [section(order), interface(order, name="a"), enhanced(order, 1, b"one"), block(order, 0xBAD, b"?"), simple(order, b"two.."),
              obsolete(order, 3, b"three"), section(other), interface(other, 101, resolution=0xA0), interface(other, 0, offset=3),
              enhanced(other, 4, b"", iface=1), enhanced(other, 1 << 40, b"five" * 5)]
    data, ends, counts = b"", [0], [0]
    for b in blocks:
        data += b
        ends.append(len(data))
        counts.append(counts[-1] + (int.from_bytes(b[:4], "big" if b[0] == 0 else "little") in (2, 3, 6)))
    return data, ends, counts


SMALL = pytest.mark.parametrize("make", [partial(make, order) for make in (small_pcap, small_pcapng) for order in "<>"],
                                ids=["pcap <", "pcap >", "pcapng <", "pcapng >"])


@SMALL
def test_every_cut(make: Any, mode: str) -> None:
    """A file that ends anywhere gives the whole records before its end, or is said to be no capture."""
    data, ends, counts = make()
    _, full = frames(data)
    assert len(full) == counts[-1]
    for cut in range(len(data) + 1):
        header = 4 if data[:4] == b"\n\r\r\n" else 24
        if cut < header:
            with pytest.raises(CaptureError) as error:
                frames(data[:cut])
            assert "\n" not in str(error.value)
            assert str(error.value).startswith("-: ")
            continue
        capture, seen = frames(data[:cut])
        assert seen == full[:max(n for end, n in zip(ends, counts, strict=True) if end <= cut)]
        assert capture.truncated == bool(capture.problems) == (cut not in ends)
        if capture.truncated:
            start = max(end for end in ends if end <= cut)
            assert capture.problems == [f"the file ends inside a record ({cut - start} bytes of it are there), at byte {start}: "
                                        f"{len(seen)} frames before it were read"]


@SMALL
def test_every_chunk_size(make: Any, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that lie across the borders of chunks are found, wherever the border is."""
    data, _, _ = make()
    whole, full = frames(data)
    for size in range(32, len(data) + 2):
        monkeypatch.setattr(capture_module, "CHUNK", size)
        capture, seen = frames(data)
        assert seen == full, size
        assert capture.problems == []
        assert capture.interfaces == whole.interfaces
        assert (capture.first_ns, capture.last_ns, capture.captured_bytes) == (whole.first_ns, whole.last_ns, whole.captured_bytes)


@SMALL
@pytest.mark.parametrize("step", [1, 2, 3, 5, 23, 24, 25, 40])
def test_every_way_a_pipe_may_stutter(make: Any, step: int, mode: str) -> None:
    """A stream that gives less than was asked for loses nothing, nor does it end early."""
    data, _, _ = make()
    _, full = frames(data)
    assert frames(data, step)[1] == full


def outcome(data: bytes) -> Any:
    """What reading these bytes comes to: a sentence, or problems, frames and interfaces."""
    try:
        capture, seen = frames(data)
    except CaptureError as error:
        return str(error)
    return capture.problems, seen, capture.interfaces


@SMALL
@settings(max_examples=150, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=8), chunk=st.sampled_from([64, 1 << 20]))
def test_damage_never_raises_and_both_ways_agree(natively: Any, make: Any, edits: list[tuple[int, int]], chunk: int) -> None:
    """Whatever byte is wrong: a CaptureError of one line, or the same frames plain and native and a note of what is odd."""
    data = bytearray(make()[0])
    for at, value in edits:
        data[at % len(data)] = value
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture_module, "CHUNK", chunk)
        plain = outcome(bytes(data))
        with natively():
            assert outcome(bytes(data)) == plain
    assert not isinstance(plain, str) or "\n" not in plain


@settings(max_examples=150, deadline=None)
@given(head=st.sampled_from([pcap_head("<"), pcap_head(">", ns=True), section("<"), section(">") + interface(">"), b""]),
       data=st.binary(max_size=200))
def test_noise_never_raises(natively: Any, head: bytes, data: bytes) -> None:
    """Random bytes behind a good header, or in place of one."""
    for way in (nullcontext, natively):
        with way():
            told = outcome(head + data)
        assert not (head and isinstance(told, str))


# Files

def test_file_and_what_it_tells(tmp_path: Path) -> None:
    """A file on disk knows its size; progress counts its bytes."""
    data, _, counts = small_pcap("<")
    path = tmp_path / "a.pcap"
    path.write_bytes(data)
    capture = Capture(str(path))
    assert capture.file_bytes == len(data)
    assert sum(chunk.count for chunk in capture.chunks()) == counts[-1]
    assert capture.done_bytes == len(data)
    assert capture._file.closed


def test_more_frames_than_a_chunk_has_rows(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames without bytes fill a chunk's rows before its buffer is used up."""
    monkeypatch.setattr(capture_module, "CHUNK", 1024)
    data = pcap_head("<") + b"".join(pcap_record("<", n, 0, b"") for n in range(500))
    capture, seen = frames(data)
    assert [s.time_ns for s in seen] == [n * S for n in range(500)]
    assert capture.interfaces[0].frames == 500


@pytest.mark.parametrize(("name", "data", "says"), [
    ("empty.pcap", b"", "the file is empty"),
    ("text.pcap", b"hello, this is no capture\n", "not a capture file (it looks like text)"),
    ("two.pcap", b"\xd4\xc3", "not a capture file (unknown first bytes d4 c3)"),
    ("short.pcap", pcap_head("<")[:23], "a pcap header cut short: 23 of 24 bytes"),
    ("swapped.pcap", pcap_head(">")[:4], "a pcap header cut short: 4 of 24 bytes"),
    ("packed.pcap.gz", gzip.compress(gzip.compress(pcap_head("<") * 3)),
     "not a capture file (it looks like gzip data)"),
    ("a.zip", b"PK\x03\x04" + bytes(40), "not a capture file (it looks like a zip archive)"),
    ("a.snoop", b"snoop\0\0\0" + bytes(4), "a snoop header cut short: 12 of 16 bytes"),
    ("zeros", bytes(100), "not a capture file (unknown first bytes 00 00 00 00)"),
])
def test_what_is_no_capture(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    """One line tells what the file is instead, as far as its first bytes show."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(CaptureError) as error:
        Capture(str(path))
    if says.startswith("not a"):
        says += "; pcap, pcapng, snoop, ERF and ETL are read, at byte 0"
    assert str(error.value) == f"{path}: {says}"
    assert error.value.path == str(path)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    """The system's reason, in one line."""
    for path, says in ((tmp_path / "missing", "no such file or directory"), (tmp_path, "is a directory"), ("a\0b", "no such file name")):
        with pytest.raises(CaptureError) as error:
            Capture(str(path))
        assert str(error.value) == f"{path}: {says}"


def test_a_disk_that_fails_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read error is told with its place."""
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap_head("<") + pcap_record("<", 1, 1, bytes(200)))
    monkeypatch.setattr(capture_module, "CHUNK", 64)
    capture = Capture(str(path))

    class Failing:
        """A file whose disk is broken."""

        def readinto(self, _: Any) -> int:
            raise OSError(5, "Input/output error")

        def close(self) -> None:
            pass
    monkeypatch.setattr(capture, "_file", Failing())
    with pytest.raises(CaptureError, match=r"a\.pcap: input/output error, at byte 64"):
        list(capture.chunks())


def test_leaving_early_closes_the_file(tmp_path: Path) -> None:
    """A reader that has seen enough leaves no open file."""
    path = tmp_path / "a.pcap"
    path.write_bytes(small_pcap("<")[0])
    capture = Capture(str(path))
    for chunk in capture.chunks():
        assert np.all(chunk.frames.time_ns[:chunk.count] >= 0)
        break
    assert capture._file.closed


def test_ticks_are_told_as_a_person_writes_them() -> None:
    """The text of a tick is its length in seconds."""
    _, *ticks = [frames(section("<") + interface("<", resolution=r))[0].interfaces[0].tick for r in (0, 3, 6, 9, 12)]
    assert [Fraction(t) for t in ticks] == [Fraction(1, 10**n) for n in (3, 6, 9, 12)]
    assert frames(section("<") + interface("<", resolution=0x8A))[0].interfaces[0].tick == "2^-10"
