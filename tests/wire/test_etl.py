"""Trace logs built by hand: every kind of packet event, clock, buffer and damage; real ones cannot be kept here (see README)."""
from __future__ import annotations

import gzip
import struct
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_etl import (
    BEGAN,
    END,
    NDIS,
    OTHER,
    PKTMON,
    RAS,
    RECEIVE,
    SECOND,
    SEND,
    START,
    TICKS,
    WHOLE,
    buffer,
    component,
    compress,
    event,
    fragment,
    head,
    message,
    monitored,
    switch_fragment,
    system,
    text,
)
from made_files import stdin

from pcapnat.terms import CaptureError
from pcapnat.wire import etl, glance, read
from pcapnat.wire.capture import Capture
from pcapnat.wire.notes import drop_lines
from pcapnat.wire.packets import Flag
from pcapnat.wire.windows import PacketFacts
from pcapnat.wire.xpress import unpack, unpack_kernel, unpack_plain

FRAME = bytes.fromhex("020000000002020000000001080045000023000040004011b6b80a0000010a0000021000003500 0f0000".replace(" ", "")) + b"payload"


class Found:
    """Everything a trace gives: the capture, and for each frame time, bytes, length on the wire, interface name, identifier, facts."""

    def __init__(self, data: bytes, step: int = 1 << 30, rows: int = 1000):
        self.times: list[int] = []
        self.frames: list[bytes] = []
        self.wire: list[int] = []
        self.numbers: list[int] = []
        self.facts: list[dict[str, int]] = []
        self.ids: list[int] = []
        self.sides: list[int] = []
        self.flags: list[Flag] = []
        with stdin(data, step) as path:
            self.capture = Capture(path, rows)
            offset = 0
            for chunk in self.capture.chunks():
                assert chunk.base == offset
                said = {int(row): i for i, row in enumerate(chunk.facts.carrier)} if chunk.facts else {}
                for i in range(chunk.count):
                    at, size = int(chunk.frames.at[i]), int(chunk.frames.cap_len[i])
                    self.frames.append(bytes(chunk.buf[at:at + size]))
                    self.times.append(int(chunk.frames.time_ns[i]))
                    self.wire.append(int(chunk.frames.wire_len[i]))
                    self.numbers.append(int(chunk.frames.interface[i]))
                    self.flags.append(Flag(int(chunk.frames.flags[i])))
                    facts = dict.fromkeys(PacketFacts.columns, 0)
                    if i in said:
                        facts |= {name: int(getattr(chunk.facts, name)[said[i]]) for name in PacketFacts.columns}
                    self.facts.append(facts)
                    self.ids.append(int(chunk.frames.packet_id[i]))
                    self.sides.append(int(chunk.frames.direction[i]))
                    offset += size
        assert self.capture.frames == len(self.frames)

    @property
    def names(self) -> list[str | None]:
        """The interface name of each frame."""
        return [self.capture.interfaces[n].name for n in self.numbers]


def only(events: bytes) -> Found:
    """The trace of these events in one buffer, which nothing is wrong with."""
    found = Found(head() + buffer(events, size=4096))
    assert found.capture.problems == []
    return found


# Xpress

@pytest.mark.parametrize(("packed", "plain"), [  # both from [MS-XCA] 4
    ("3f000000" + b"abcdefghijklmnopqrstuvwxyz".hex(), b"abcdefghijklmnopqrstuvwxyz"),
    ("ffffff1f61626317000fff2601", b"abc" * 100),
])
def test_xpress_as_published(packed: str, plain: bytes, mode: str) -> None:
    """The specification's examples."""
    assert unpack(bytes.fromhex(packed), len(plain)) == plain


@settings(max_examples=100, deadline=None)
@example([(b"\0", 70_000)], 0)
@example([(b"ab", 200), (b"c", 1), (b"ab", 9), (b"x", 30)], 5)
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=12), st.integers(1, 400)), max_size=12), st.integers(0, 1000))
def test_xpress_round_trip(pieces: list[tuple[bytes, int]], cut: int) -> None:
    """What was packed comes back, by the kernel's source and by slices; what is cut comes back as far as it is there."""
    plain = b"".join(piece * times for piece, times in pieces)
    packed = compress(plain)
    assert unpack_plain(packed, len(plain)) == plain
    for data in (packed, packed[:len(packed) * cut // 1000]):
        out = np.zeros(len(plain), np.uint8)
        made = unpack_kernel.function(memoryview(data), len(data), memoryview(out), len(plain))
        assert out[:made].tobytes() == unpack_plain(data, len(plain)) == plain[:made]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_xpress_of_anything(data: bytes) -> None:
    """Nonsense unpacks alike both ways."""
    out = np.zeros(3000, np.uint8)
    made = unpack_kernel.function(memoryview(data), len(data), memoryview(out), 3000)
    assert out[:made].tobytes() == unpack_plain(data, 3000)


# ndiscap

def test_ndiscap() -> None:
    """Direction, interfaces by their pair of numbers, media, and what is no packet."""
    found = only(
        event(NDIS, 1001, fragment(FRAME), TICKS + SECOND, keyword=WHOLE | RECEIVE | 1)
        + event(NDIS, 1002, b"\0" * 40, TICKS + SECOND)
        + event(OTHER, 1300, b"something", TICKS + SECOND) + system() + message()
        + event(NDIS, 1001, fragment(FRAME, lower=17), TICKS + 2 * SECOND, keyword=WHOLE | SEND | 1)
        + event(NDIS, 1001, fragment(FRAME[14:], lower=18, miniport=18), TICKS + 3 * SECOND, keyword=WHOLE | SEND | 0x200)
        + event(NDIS, 1001, fragment(b"\x08\x41" + b"x" * 30, lower=19, miniport=19), TICKS + 4 * SECOND, keyword=WHOLE | 0x10000))
    assert found.times == [(BEGAN + i) * 10**9 for i in range(1, 5)]
    assert found.frames == [FRAME, FRAME, FRAME[14:], b"\x08\x01" + b"x" * 30]  # decrypted: no longer marked as protected
    assert found.names == ["eth:14:0", "eth:17:0 over 14", "mbb:18", "wifi:19"]
    assert [i.link_type for i in found.capture.interfaces] == [1, 1, 101, 105]
    assert found.sides == [1, 2, 2, 0]
    assert not any(any(f.values()) for f in found.facts)  # a direction alone is not worth a row
    assert found.capture.trace
    assert sum(found.capture.trace.other.values()) == 3
    assert found.capture.trace.other["2f07e2ee-15db-40f1-90ef-9d7ba282188a", 1300] == 1


def test_ndiscap_in_several_events() -> None:
    """Windows 7 and 8 hand a packet out in pieces, those of different threads mixed; pieces may stand in different buffers."""
    pieces = [
        event(NDIS, 1001, fragment(FRAME[:10]), TICKS + 1, keyword=START | RECEIVE),
        event(NDIS, 1001, fragment(b"AAAA"), TICKS + 2, keyword=START | SEND, thread=8),
        event(NDIS, 1001, fragment(FRAME[10:20]), TICKS + 3, keyword=RECEIVE),
        event(NDIS, 1001, fragment(b"BBBB"), TICKS + 4, keyword=END | SEND, thread=8),
        event(NDIS, 1001, fragment(FRAME[20:]), TICKS + 5, keyword=END | RECEIVE),
    ]
    for split in range(len(pieces) + 1):
        found = Found(head() + buffer(b"".join(pieces[:split]), size=2048) + buffer(b"".join(pieces[split:]), size=2048))
        assert found.frames == [b"AAAABBBB", FRAME]
        assert found.capture.problems == []
    lost = Found(head() + buffer(b"".join(pieces[1:]), size=4096))
    assert lost.frames == [b"AAAABBBB"]
    assert lost.capture.problems == ["not decoded: 2 of ndiscap's events 1001: part of a packet that is not there whole"]


@pytest.mark.parametrize("pointer", [4, 8])
@pytest.mark.parametrize("destinations", [0, 1, 3])
def test_virtual_switch(destinations: int, pointer: int) -> None:
    """A frame in the switch: its port and NIC name the interface as etl2pcapng does, the VLAN comes from beside the frame."""
    data = switch_fragment(FRAME, destinations=destinations, vlan=42, pointer=pointer)
    found = only(event(NDIS, 1003, data, kind=19 if pointer == 8 else 18) + event(NDIS, 1003, switch_fragment(FRAME)))
    assert found.frames == [FRAME, FRAME]
    assert found.names == ["vNIC:VMNic:port-a:9:42", "vNIC:VMNic:port-a:9:0"]
    assert [f["vlan"] for f in found.facts] == [42, 0]
    assert [f["port"] for f in found.facts] == [3, 3]
    assert [f["destinations"] for f in found.facts] == [destinations, 0]
    texts = found.capture.texts
    assert [texts[found.facts[0][name]] for name in ("nic_type", "nic", "port_name")] == ["VMNic", "Network Adapter", "port-a"]
    assert [(i.kind, i.description) for i in found.capture.interfaces] == [("vNIC", None)] * 2


def test_cut_frames_are_measured() -> None:
    """ndiscap does not say what it cut: the IP header does."""
    six = FRAME[:12] + b"\x86\xdd\x60" + b"\0" * 3 + b"\x01\x00" + b"\0" * 40
    large_send = FRAME[:16] + b"\0\0" + FRAME[18:]
    cut = (FRAME, FRAME[:40], six, large_send, FRAME[:20])
    found = only(b"".join(event(NDIS, 1001, fragment(f), TICKS + i) for i, f in enumerate(cut)))
    assert found.wire == [49, 49, 14 + 40 + 256, 49, 20]
    assert found.flags == [Flag(0), Flag.CUT, Flag.CUT, Flag(0), Flag(0)]


def test_tunnels() -> None:
    """Packets of the remote access server, whose events have no interface numbers."""
    data = text("{11112222-3333-4444-5555-666677778888}") + text("eve") + struct.pack("<I", len(FRAME)) + FRAME
    found = only(event(RAS, 5001, data, keyword=0) + event(RAS, 5002, data, TICKS + 1, keyword=0))
    assert found.frames == [FRAME, FRAME]
    assert found.sides == [2, 1]
    assert found.capture.interfaces[0].kind == "VPN"
    assert found.names[0] == "Rras:0:{11112222-3333-4444-5555-666677778888}:eve"


# pktmon

def test_pktmon() -> None:
    """Components by the names that come when the trace ends, and all facts."""
    found = only(
        event(PKTMON, 160, monitored(FRAME, group=0x3_0000_0000_0001), keyword=16)
        + event(PKTMON, 160, monitored(FRAME, group=0x3_0000_0000_0001, component=40, edge=2, direction=4), TICKS + 1, keyword=16)
        + event(PKTMON, 160, monitored(b"\x88\x02" + b"w" * 30, component=40, kind=2, original=900), TICKS + 2, keyword=16)
        + event(PKTMON, 170, monitored(FRAME[14:], group=1 << 63, part=2, component=98, kind=3, reason=907, place=0xE0004134), TICKS + 3)
        + event(PKTMON, 20, component(13, "Netw.sys", "Wi-Fi 6E"), TICKS + 4)
        + event(PKTMON, 20, component(40, "nwifi.sys", "Filter"), TICKS + 5)
        + event(PKTMON, 65, struct.pack("<HH", 98, 13) + bytes([10, 0, 0, 1])) + event(PKTMON, 30, struct.pack("<HHI", 98, 1, 20))
        + event(PKTMON, 66, struct.pack("<HH", 98, 13) + b"\xfe\x80" + b"\0" * 13 + b"\1")
        + event(PKTMON, 75, struct.pack("<HHH", 98, 7, 0x806))
        + event(PKTMON, 70, struct.pack("<HHI", 13, 6, 6) + bytes(range(6))) + event(PKTMON, 40, struct.pack("<HH", 13, 4) + NDIS)
        + event(PKTMON, 73, struct.pack("<HH", 13, 10) + text("vs")) + event(PKTMON, 80, b"\0" * 38) + event(PKTMON, 90, b"\0" * 50))
    assert found.names == ["component 13: Netw.sys, Wi-Fi 6E", "component 40: nwifi.sys, Filter",
                           "component 40: nwifi.sys, Filter (802.11)", "component 98 (IP)"]
    assert [i.link_type for i in found.capture.interfaces] == [1, 1, 105, 101]
    assert found.wire == [len(FRAME), len(FRAME), 900, len(FRAME) - 14]
    assert found.flags[2] == Flag.CUT
    none = dict.fromkeys(PacketFacts.columns, 0)
    assert found.facts[0] == none | {"carrier": 0, "part": 1, "appearance": 2, "direction": 3, "component": 13, "edge": 1}
    assert found.facts[3] == none | {"carrier": 3, "part": 2, "appearance": 2, "direction": 3, "dropped": 1, "reason": 907,
                                     "place": 0xE0004134, "component": 98, "edge": 1}
    assert found.ids == [0x3_0000_0000_0001, 0x3_0000_0000_0001, 1, -(1 << 63)]
    assert found.sides == [1, 2, 1, 1]
    assert [(i.kind, i.description, i.edges) for i in found.capture.interfaces] == [
        ("miniport", "Wi-Fi 6E", [1]), ("miniport", "Filter", [2]), ("miniport", "Filter", [1]), (None, None, [1])]
    assert drop_lines(found.capture) == ["interface 3 (component 98 (IP)) dropped 1 frame: NL: no route (907)"]
    assert found.capture.trace
    components = found.capture.trace.decoder.components
    assert components[98].properties == {"IpAddress": ["10.0.0.1", "fe80::1"], "IfIndex": ["20"], "EtherType": ["0x0806"]}
    assert components[13].properties == {"PhysAddress": ["00:01:02:03:04:05"], "IfGuid": ["2ed6006e-4729-4609-b423-3ee7bcd678ef"],
                                         "VMSwitchName": ["vs"]}


def test_what_is_not_decoded_is_said() -> None:
    """Per provider, event and reason."""
    found = Found(head() + buffer(
        event(PKTMON, 160, monitored(FRAME, kind=5)) + event(PKTMON, 120, b"\0" * 50) + event(PKTMON, 180, b"\0" * 50)
        + event(PKTMON, 160, monitored(FRAME) + b"x") + event(PKTMON, 160, b"x") + event(PKTMON, 999, b"") + event(PKTMON, 20, b"abcdefg")
        + event(NDIS, 1001, fragment(FRAME)[:-1]) + event(NDIS, 1003, b"x" * 40) + event(NDIS, 4242, b"")
        + event(RAS, 5001, b"x"), size=8192))
    assert found.frames == []
    assert found.capture.problems == [
        "not decoded: 1 of ndiscap's events 1001: not of the layout that is known",
        "not decoded: 1 of ndiscap's events 1003: not of the layout that is known",
        "not decoded: 1 of ndiscap's events 4242: unknown",
        "not decoded: 1 of pktmon's events 20: not of the layout that is known",
        "not decoded: 1 of pktmon's events 120: no packet bytes in it",
        "not decoded: 1 of pktmon's events 160: no frame in it (packet type 5)",
        "not decoded: 2 of pktmon's events 160: not of the layout that is known",
        "not decoded: 1 of pktmon's events 180: no packet bytes in it",
        "not decoded: 1 of pktmon's events 999: unknown",
        "not decoded: 1 of ras-ndiswan's events 5001: not of the layout that is known",
        "this trace holds no packets (0 events of other kinds were passed over)",
    ]


def test_many_kinds_are_summed_up() -> None:
    """A trace full of different nonsense is told in a few lines."""
    found = Found(head() + buffer(b"".join(event(PKTMON, 1000 + i, b"") for i in range(30)), size=8192))
    assert len(found.capture.problems) == 22
    assert found.capture.problems[20] == "not decoded: 10 more of 10 other kinds"


# the container

@pytest.mark.parametrize(("options", "ticks", "after_ns"), [
    ({"clock": 1, "frequency": 3_312_788}, TICKS + 3_312_788, 10**9),
    ({"clock": 1, "frequency": 3_312_788, "pointer": 4}, TICKS - 1, -302),
    ({"clock": 2}, BEGAN * SECOND + 116_444_736_000_000_000 + 7, 700),
    ({"clock": 3, "mhz": 2500}, TICKS + 25, 10),
    ({"clock": 3, "mhz": 2500, "pointer": 4}, TICKS + 25, 10),
])
def test_clocks(options: dict[str, int], ticks: int, after_ns: int) -> None:
    """Performance counter, system time and processor cycles; times before the beginning too; headers of 32-bit Windows."""
    found = Found(head(**options) + buffer(event(NDIS, 1001, fragment(FRAME), ticks), size=512))  # type: ignore[arg-type]
    assert found.times == [BEGAN * 10**9 + after_ns]
    assert found.capture.problems == []


def test_times_beyond_reason_are_clamped() -> None:
    """64 bits of ticks of a slow clock are more nanoseconds than fit."""
    found = Found(head(frequency=1) + buffer(event(NDIS, 1001, fragment(FRAME), (1 << 63) - 1), size=512))
    assert found.times == [(1 << 62) - 1]
    assert found.flags == [Flag.BAD_TIME]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_buffers_merge_in_time(compressed: bool, rows: int) -> None:
    """Each processor's buffers overlap the others'; frames come out in the order of time, in chunks of any size."""
    order = [0, 1, 2, 1, 0, 2, 2, 1, 1, 0, 0, 2]
    buffers = b""
    for processor in (2, 0, 1):
        mine = [i for i, p in enumerate(order) if p == processor]
        for half in (mine[2:], mine[:2]):
            events = b"".join(event(NDIS, 1001, fragment(bytes([i]) * 20), TICKS + i) for i in half)
            buffers += buffer(message() + events, processor=processor, compressed=compressed, size=None if compressed else 1024)
    found = Found(head() + buffers, rows=rows)
    assert [f[0] for f in found.frames] == list(range(len(order)))
    assert found.capture.problems == []
    assert found.capture.done_bytes == len(buffers)


def test_extended_data_is_passed_over() -> None:
    """Items between an event's header and its data; a chain that leaves the event is damage."""
    assert only(event(NDIS, 1001, fragment(FRAME), extended=(b"sid", b"12345678", b""))).frames == [FRAME]
    broken = bytearray(event(NDIS, 1001, fragment(FRAME), extended=(b"sid",)))
    broken[84] = 1
    broken[86:88] = b"\xff\xff"
    found = Found(head() + buffer(event(NDIS, 1001, fragment(FRAME)) + bytes(broken), size=1024))
    assert found.frames == [FRAME]
    assert found.capture.problems == ["damaged buffers: 1, the first at byte 512; the events before the damage were read"]


def test_what_windows_lost_and_reserved() -> None:
    """Losses that the header admits are said; buffers that were reserved and never used are nothing."""
    packet = buffer(event(NDIS, 1001, fragment(FRAME)), size=512)
    found = Found(head(lost=(5, 2)) + b"\0" * 1024 + packet + b"\0" * 512)
    assert found.frames == [FRAME]
    assert found.capture.problems == ["Windows itself lost 5 events and 2 buffers while it wrote this trace"]
    assert Found(head(written=3) + packet).capture.problems == ["the file ends after 2 of the 3 buffers that Windows wrote, at byte 1024: "
                                                                "buffers before it are read"]
    assert Found(head(written=3, mode=2) + packet).capture.problems == []


def test_too_much_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """When more overlaps than may be held, everything still comes out, and the disorder is said."""
    monkeypatch.setattr(etl, "HELD", 100)
    monkeypatch.setattr(etl, "KEEP", 100)
    first = b"".join(event(NDIS, 1001, fragment(bytes([i]) * 20), TICKS + 2 * i) for i in range(10))
    second = b"".join(event(NDIS, 1001, fragment(bytes([100 + i]) * 20), TICKS + 2 * i + 1) for i in range(10))
    found = Found(head() + buffer(first, size=2048) + buffer(second, compressed=True))
    assert sorted(f[0] for f in found.frames) == [*range(10), *range(100, 110)]
    assert found.capture.problems == ["so many processors logged at once that some packets are not in the order of time"]


def test_a_file_and_its_glance(tmp_path: Path) -> None:
    """By path as by pipe, through the reader, decoded."""
    path = tmp_path / "trace.etl"
    path.write_bytes(head() + buffer(event(NDIS, 1001, fragment(FRAME)), size=65536))
    capture, packets, _ = read(str(path))
    assert capture.format == "etl"
    assert (int(packets.proto[0]), int(packets.sport[0]), int(packets.dport[0])) == (17, 4096, 53)
    assert glance(str(path)).frames == 1
    assert glance(str(path)).snaplens == []
    path.write_bytes(head() + buffer(event(PKTMON, 160, monitored(FRAME, original=900)) + event(NDIS, 1001, fragment(FRAME)), size=65536))
    assert glance(str(path)).snaplens == [len(FRAME)]


def _small(compressed: bool) -> bytes:
    first = event(PKTMON, 160, monitored(FRAME)) + event(NDIS, 1003, switch_fragment(FRAME, destinations=1), TICKS + 2) + system()
    second = event(NDIS, 1001, fragment(FRAME), TICKS + 1, extended=(b"sid",)) + event(PKTMON, 20, component(13, "a", "b"), TICKS + 3)
    return head(written=3) + b"".join(buffer(b, compressed=compressed) for b in (first, second))


@pytest.mark.parametrize("compressed", [False, True])
def test_cut_anywhere(compressed: bool) -> None:
    """However much of a file is there: no more than an error that says so, or frames that are whole and a problem."""
    data = _small(compressed)
    assert len(Found(data).frames) == 3
    for end in range(len(data)):
        try:
            found = Found(data[:end])
        except CaptureError:
            assert end < 400
            continue
        assert set(found.frames) <= {FRAME}
        assert found.capture.problems
        assert len(found.frames) < 3 or end > len(data) - 130  # the last event names a component


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_anywhere(compressed: bool) -> None:
    """Any byte changed: an error or an answer, never anything else."""
    data = _small(compressed)
    for at in range(len(data)):
        for wrong in (0xFF, data[at] ^ 1):
            try:
                found = Found(data[:at] + bytes([wrong]) + data[at + 1:])
            except CaptureError:
                continue
            assert len(found.frames) <= 3


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(72, 1200), st.binary(min_size=1, max_size=8)), max_size=6))
def test_damaged_in_several_places(changes: list[tuple[int, bytes]]) -> None:
    """Several runs of bytes changed."""
    data = bytearray(_small(False))
    for at, new in changes:
        data[at:at + len(new)] = new
    with suppress(CaptureError):
        Found(bytes(data))


def test_a_compressed_buffer_that_promises_too_much() -> None:
    """A buffer of a few bytes that claims 64 MB gives what its bytes can, soon."""
    packed = compress(event(NDIS, 1001, fragment(FRAME)) + b"\0" * 100_000)
    lie = bytearray(buffer(b"", size=72 + len(packed)))
    lie[4:8] = (64 << 20).to_bytes(4, "little")
    lie[52:54] = (0x60).to_bytes(2, "little")
    found = Found(head() + bytes(lie[:72]) + packed)
    assert found.frames == [FRAME]
    assert found.capture.problems == ["damaged buffers: 1, the first at byte 512; the events before the damage were read"]


@pytest.mark.parametrize("clock", [(0, SECOND), (4, SECOND), (1, 0), (1, -5)])
def test_unknown_clocks(clock: tuple[int, int]) -> None:
    """Times that cannot be told are an error, not a guess."""
    with pytest.raises(CaptureError, match="unknown clock"):
        Found(head(clock=clock[0], frequency=clock[1]))


def test_a_refused_trace_leaves_no_file_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed one is put by in a temporary file, which nobody else would close (found by fuzzing)."""
    made: list[Any] = []
    temporary = tempfile.TemporaryFile

    def opened(*arguments: Any) -> Any:
        made.append(temporary(*arguments))
        return made[-1]

    monkeypatch.setattr(etl.tempfile, "TemporaryFile", opened)
    path = tmp_path / "cut.etl.gz"
    path.write_bytes(gzip.compress((head() + buffer(system()))[:200]))
    with pytest.raises(CaptureError, match="cut short"):
        Capture(str(path))
    assert [file.closed for file in made] == [True]
