"""Choosing frames: times as written, display filters by tshark, and what is refused with one line."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import stat
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_etl import NDIS, buffer, event, fragment, head
from made_files import block, enhanced, interface, section, stdin
from packet_script import pcap, script, write

from pcapnat.terms import CaptureError, PcapnatError, Selection
from pcapnat.wire import Capture, batches, selector, via
from pcapnat.wire.moment import Moment, moment

needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
FRAMES = script("A S 100 | B SA 500 101 | +500 A P 101 501 x10 | A udp hello | A ping 7 1 x8 | X udp hello")

TIMES = (
    ("1970-01-01", 0),
    ("2026-11-23T03:15:11.641206789Z", 1795403711_641206789),
    ("2026-11-23 03:15:11,5", 1795403711_500000000),
    ("2026-11-23T04:15:11+01:00", 1795403711_000000000),
    ("2026-11-22t22:15:11.000000001-0500", 1795403711_000000001),
    ("2026-11-23T03:15", 1795403700_000000000),
    ("2026-11-23T03:15:11+01", 1795400111_000000000),
    ("1969-12-31T23:59:59.9", -100_000_000),
    ("1795403711.641206789", 1795403711_641206789),
    ("1795403711.6", 1795403711_600000000),
    ("0", 0),
    ("9007199254.000000001", 9007199254_000000001),
)
SPANS = (
    ("+1.5", 1_500_000_000),
    ("+1.5s", 1_500_000_000),
    ("+2m", 120_000_000_000),
    ("+1h", 3_600_000_000_000),
    ("+1d", 86_400_000_000_000),
    ("+250ms", 250_000_000),
    ("+3us", 3_000),
    ("+7ns", 7),
    ("+0.000000001", 1),
    ("+0", 0),
    ("+1.25m", 75_000_000_000),
)


def test_times() -> None:
    """What is written, as nanoseconds; nine decimals are kept."""
    for text, ns in TIMES:
        assert moment(text, "--from") == Moment(ns, False), text
    for text, ns in SPANS:
        assert moment(text, "--to") == Moment(ns, True), text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "12:00",
        "2026-13-01",
        "2026-02-30",
        "2026-11-23T24:00",
        "2026-11-23T03:15:60",
        "1.0000000001",
        "-5",
        "+",
        "+x",
        "+1w",
        "+1.5.5",
        "1e9",
        "2026-11-23T03:15:11+25:00",
        "2026-11-23T03:15:11+01:75",
        "2026-11-23T",
        "99999999999",
        "+999999999999d",
        "٣",
        "2026-11-23T03:15:11.1234567890",
        "0x10",
        "2026-11-23T03:15:11 CET",
        "9999-12-31",
    ],
)
def test_what_is_no_time(text: str) -> None:
    """One line that names the option."""
    with pytest.raises(PcapnatError) as caught:
        moment(text, "--to")
    assert str(caught.value).startswith(f"--to: {text!r} is ")
    assert "\n" not in str(caught.value)


@given(st.datetimes(datetime(1678, 1, 1), datetime(2262, 1, 1)), st.integers(0, 999), st.integers(-1439, 1439))
def test_any_time(when: datetime, nanoseconds: int, minutes: int) -> None:
    """As datetime has it, with three more digits."""
    zone = timezone(timedelta(minutes=minutes))
    text = when.replace(tzinfo=zone).isoformat(timespec="microseconds")
    text = text[:26] + f"{nanoseconds:03d}" + text[26:]
    micros = (when.replace(tzinfo=zone) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert moment(text, "--from").ns == micros * 1000 + nanoseconds


def chosen(path: str, selection: Selection) -> tuple[list[int], list[str]]:
    """Numbers of the frames that are selected, from 1, and the notes."""
    capture = Capture(path, most=selection.first)
    found: list[int] = []
    for batch in batches(capture, selector=selector(capture, selection)):
        mask = np.ones(batch.count, bool) if batch.picked is None else batch.picked.one()
        assert mask is not None
        found += (np.flatnonzero(mask) + 1 + batch.first_row).tolist()
    return found, capture.notes


def test_spans(tmp_path: Path) -> None:
    """From on, and before; absolute and from the first frame on; a file that is not in order of time."""
    path = write(tmp_path / "a.pcap", FRAMES)
    start = FRAMES[0].time_ns
    assert chosen(path, Selection(since="+0.001"))[0] == [2, 3, 4, 5, 6]
    assert chosen(path, Selection(until="+1ms")) == ([1], ["--to left out 5 of 6 frames"])
    assert chosen(path, Selection(since="+1ms", until="+502ms")) == ([2, 3], ["--from/--to left out 4 of 6 frames"])
    second, rest = divmod(FRAMES[2].time_ns, 10**9)
    assert chosen(path, Selection(since=f"{second}.{rest:09d}"))[0] == [3, 4, 5, 6]
    assert chosen(path, Selection(since=f"{second}.{rest + 1:09d}"))[0] == [4, 5, 6]
    assert chosen(path, Selection(since="2000-01-01", until="2100-01-01"))[0] == [1, 2, 3, 4, 5, 6]
    assert chosen(path, Selection(until=datetime.fromtimestamp(start // 10**9 + 3600, UTC).isoformat(), first=2))[0] == [1, 2]
    backwards = write(tmp_path / "b.pcap", FRAMES[::-1])
    assert chosen(backwards, Selection(since="+0"))[0] == [1]
    assert chosen(path, Selection(since="+9000000000"))[0] == []


def test_one_after_the_other(tmp_path: Path) -> None:
    """What one choice left is what the next one counts."""
    path = write(tmp_path / "a.pcap", FRAMES)
    assert chosen(path, Selection(since="+1ms", filter="ip and not icmp", first=5)) == (
        [2, 3, 4],
        ["-c: only the first 5 frames were read", "--from left out 1 of 5 frames", "-f left out 1 of 4 frames"],
    )


def test_links_of_one_file(tmp_path: Path) -> None:
    """Each frame is judged by its interface's link type; one that cannot be looked into is refused if a frame of it is asked about."""
    inner = FRAMES[0].data[14:]
    made = section("<") + interface("<", 1) + interface("<", 101) + interface("<", 147) + interface("<", 113, name="any")
    frames = [(FRAMES[0].data, 0), (inner, 1), (FRAMES[3].data[14:], 1), (bytes(14) + b"\x08\0" + inner, 3), (FRAMES[3].data, 0)]
    path = tmp_path / "links.pcapng"
    path.write_bytes(made + b"".join(enhanced("<", i * 1_000_000, data, iface=where) for i, (data, where) in enumerate(frames)))
    assert chosen(str(path), Selection(filter="tcp"))[0] == [1, 2, 4]
    with pytest.raises(CaptureError, match="raw IP has no VLAN tags, at character 5"):
        chosen(str(path), Selection(filter="not vlan"))
    path.write_bytes(path.read_bytes() + enhanced("<", 9_000_000, bytes(20), iface=2))
    with pytest.raises(CaptureError, match="cannot look into link type 147"):
        chosen(str(path), Selection(filter="tcp"))
    assert chosen(str(path), Selection(filter="tcp", until="+5"))[0] == [1, 2, 4]


# --- Wireshark's display filters ---


@needs_tshark
@pytest.mark.parametrize("pack", [None, gzip.compress])
def test_display_filter(tmp_path: Path, pack: object) -> None:
    """tshark's frame numbers, of a compressed file too."""
    path = tmp_path / "a.pcap"
    path.write_bytes(pack(pcap(FRAMES)) if callable(pack) else pcap(FRAMES))
    assert chosen(str(path), Selection(display="udp")) == ([4, 6], ["-Y left out 4 of 6 frames"])
    assert chosen(str(path), Selection(display="tcp.flags.syn == 1 || icmp"))[0] == [1, 2, 5]
    assert chosen(str(path), Selection(display="frame.number == 99"))[0] == []
    assert chosen(str(path), Selection(display="udp", filter="ip6")) == ([6], ["-f left out 5 of 6 frames", "-Y left out 0 of 1 frames"])
    assert chosen(str(path), Selection(display="udp", first=4))[0] == [4]


@needs_tshark
def test_display_filter_over_many_chunks(tmp_path: Path, natively: Callable[[], AbstractContextManager[None]]) -> None:
    """Its numbers keep step with our reading."""
    path = tmp_path / "many.pcap"
    path.write_bytes(pcap(FRAMES) + pcap(FRAMES)[24:] * 6_999)
    expected = [n for n in range(1, 42_001) if n % 7 == 0]
    with natively():
        assert chosen(str(path), Selection(display="frame.number % 7 == 0"))[0] == expected
        assert chosen(str(path), Selection(display="frame.number % 7 == 0", first=35_000))[0] == [n for n in expected if n <= 35_000]


OTHERS = (
    (0x0BAD, struct.pack("<I", 32473) + b"anything"),
    (0x40000BAD, struct.pack("<I", 32473) + b"not to be copied"),
    (9, b"__REALTIME_TIMESTAMP=1700000000000000\nMESSAGE=tcp\n\n"),
    (0x204, struct.pack("<HQQIH", 0, 1_700_000_000, 7, 26, 5) + bytes(8)),
    (0x80000123, b"nobody's"),
    (10, struct.pack("<II", 0x544C534B, 4) + b"# a\n"),
)
"""Blocks that are no packets, of which tshark numbers some as frames."""


@needs_tshark
@pytest.mark.parametrize("kinds", [(0,), (1,), (2,), (3,), (4,), (5,), (0, 1, 2, 3, 4, 5)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_display_filter_where_wireshark_numbers_more_than_packets(
    tmp_path: Path, kinds: tuple[int, ...], pack: Callable[[bytes], bytes]
) -> None:
    """Custom blocks, a journal's entries and events of sysdig are frames there; the packets' numbers are ours all the same."""
    data = section("<") + interface("<", resolution=9)
    for n, frame in enumerate(FRAMES):
        others = b"".join(block("<", *OTHERS[kind]) for kind in kinds)
        data += (others if n != 3 else b"") + enhanced("<", frame.time_ns, frame.data) + (others if n in (1, 5) else b"")
    path = tmp_path / "mixed.pcapng"
    path.write_bytes(pack(data))
    assert chosen(str(path), Selection(display="udp")) == ([4, 6], ["-Y left out 4 of 6 frames"])
    assert chosen(str(path), Selection(display="tcp"))[0] == [1, 2, 3]
    assert chosen(str(path), Selection(display="!tcp"))[0] == [4, 5, 6]
    assert chosen(str(path), Selection(display="!udp", first=5))[0] == [1, 2, 3, 5]


@needs_tshark
def test_display_filter_over_many_chunks_with_other_blocks(tmp_path: Path) -> None:
    """The first block that is no packet comes late, and more follow in every chunk."""
    data, custom = section("<") + interface("<", resolution=9), block("<", *OTHERS[0])
    for n in range(3_000):
        data += enhanced("<", n, FRAMES[n % 6].data) + (custom * (n % 3) if n > 1_500 else b"")
    path = tmp_path / "mixed.pcapng"
    path.write_bytes(data)
    with closing(Capture(str(path), rows=700)) as capture:
        chooses = selector(capture, Selection(display="udp"))
        assert chooses is not None
        found, before = [], 0
        for chunk in capture.chunks():
            meant = chooses.pick(chunk).chosen
            assert meant is not None
            found += (np.flatnonzero(meant) + before + 1).tolist()
            before += chunk.count
        chooses.finish()
        chooses.close()
    assert found == [n + 1 for n in range(3_000) if n % 6 in (3, 5)]
    assert capture.notes == ["-Y left out 2000 of 3000 frames"]


@needs_tshark
def test_cut_file(tmp_path: Path) -> None:
    """Damage is told by us and by tshark; what came before it is selected."""
    path = tmp_path / "cut.pcap"
    path.write_bytes(pcap(FRAMES)[:-5])
    found, notes = chosen(str(path), Selection(display="udp"))
    assert found == [4]
    assert notes[0] == "-Y left out 4 of 5 frames"
    assert notes[1].startswith("-Y: tshark says: The file ")
    assert "cut short" in notes[1]


@needs_tshark
@pytest.mark.parametrize(
    "wrong", ["udp foo", "nosuch.field", "udp.port ==", "frame.number == 1 or", "-h", "udp\n&& bar", "\x1b[31m", "é", "a\0b"]
)
def test_wrong_display_filter(tmp_path: Path, wrong: str) -> None:
    """tshark's one line, printable."""
    path = write(tmp_path / "a.pcap", FRAMES)
    with pytest.raises(PcapnatError) as caught:
        chosen(path, Selection(display=wrong))
    assert "tshark" in str(caught.value)
    assert str(caught.value).isprintable()


def test_display_filter_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What tshark cannot read a second time, or at all, and where it is missing."""
    for name, data, says in (
        ("a.xz", lzma.compress(pcap(FRAMES)), "cannot unpack xz: `xz -dk FILE` first"),
        ("a.bz2", bz2.compress(pcap(FRAMES)), "cannot unpack bzip2: `bunzip2 -k FILE` first"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(CaptureError, match=says):
            chosen(str(tmp_path / name), Selection(display="udp"))
    with stdin(pcap(FRAMES)) as path, pytest.raises(CaptureError, match="it has to be a file, no stream"):
        chosen(path, Selection(display="udp"))
    path = write(tmp_path / "a.pcap", FRAMES)
    monkeypatch.setattr(via, "program", lambda: None)
    with pytest.raises(CaptureError, match="tshark is not installed"):
        chosen(path, Selection(display="udp"))


def test_trace_logs(tmp_path: Path) -> None:
    """A trace log's packets are counted and filtered like others; tshark cannot read it."""
    path = tmp_path / "a.etl"
    events = b"".join(event(NDIS, 1001, fragment(frame.data)) for frame in FRAMES)
    path.write_bytes(head() + buffer(events, size=4096))
    assert chosen(str(path), Selection(filter="udp"))[0] == [4, 6]
    assert chosen(str(path), Selection(filter="udp", first=5)) == (
        [4],
        ["-c: only the first 5 frames were read", "-f left out 4 of 5 frames"],
    )
    with pytest.raises(CaptureError, match="cannot read ETL"):
        chosen(str(path), Selection(display="udp"))


def test_filter_of_standard_input() -> None:
    """Everything but -Y reads a stream."""
    with stdin(pcap(FRAMES)) as path:
        assert chosen(path, Selection(filter="udp", since="+1ms", first=5)) == (
            [4],
            ["-c: only the first 5 frames were read", "--from left out 1 of 5 frames", "-f left out 3 of 4 frames"],
        )


@pytest.mark.skipif(os.name == "nt", reason="a program of another kind there")
def test_tshark_that_misbehaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers out of range, words, an early end, silence; and it is ended with us."""
    path = write(tmp_path / "a.pcap", FRAMES)
    program = tmp_path / "tshark"
    monkeypatch.setattr(via, "program", lambda: str(program))
    monkeypatch.setattr(via, "PATIENCE_S", 0.5)

    def acts(script_: str) -> tuple[list[int], list[str]]:
        program.write_text(f"#!/bin/sh\n{script_}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return chosen(path, Selection(display="udp"))

    assert acts("echo 2; echo 3; echo 99") == (
        [2, 3],
        ["-Y left out 4 of 6 frames", "-Y: tshark counts more frames in this file than are read here"],
    )
    assert acts("echo 2; echo nonsense; echo -5; printf 4")[0] == [2]
    assert acts("echo 2; echo 1; echo 5")[0] == [1, 2, 5]
    assert acts("echo 0; echo 99999999999999999999")[0] == []
    for misdeed, says in (
        ("echo 2; exit 3", "tshark ended with status 3"),
        ("echo 1; exec sleep 30", "status -9"),
        ("echo bad >&2; exit 1", "bad"),
    ):
        with pytest.raises(PcapnatError, match=says):
            acts(misdeed)
    assert acts("echo 'tshark: The file \"x\" appears to be damaged or corrupt.' >&2; echo 6; exit 2")[0] == [6]
