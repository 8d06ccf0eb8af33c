"""Selected frames: what is followed, under which numbers, and what tshark says of the same frames."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from packet_script import read, script, write
from wire.made_files import enhanced, interface, section

from pcapnat import pipeline, reading
from pcapnat.flow import Port, observe
from pcapnat.terms import CaptureError, PcapnatError, Point, Selection
from pcapnat.wire import Flag

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
ALL = Selection()


def port(path: str, selection: Selection = ALL, where: str | None = None) -> Port:
    """A file as a point."""
    return observe(Point("here", (path,), where, selection=selection), 64)[0]


def by_tshark(path: str, display: str, *options: str) -> Counter[tuple[str, int]]:
    """Frames of each stream among those that a display filter shows, streams of quoted packets left out."""
    fields = ("-T", "fields", "-e", "tcp.stream", "-e", "udp.stream", "-E", "occurrence=l", "-E", "separator=|")
    shown = f"({display}) && !icmp && !icmpv6"
    command = ["tshark", "-n", "-o", "ip.defragment:FALSE", "-r", path, *options, "-Y", shown, *fields]
    found: Counter[tuple[str, int]] = Counter()
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        for name, number in zip(("tcp", "udp"), line.split("|"), strict=True):
            if number:
                found[name, int(number)] += 1
    return found


def by_us(here: Port) -> Counter[tuple[str, int]]:
    """The same of ours."""
    c = here.conversations
    rows = [i for i in range(len(c)) if c.stream[i] >= 0]
    found = Counter({("tcp" if c.proto[i] == 6 else "udp", int(c.stream[i])): int(c.packets_ab[i] + c.packets_ba[i]) for i in rows})
    assert len(found) == len(rows), "two conversations of one stream"
    return found


def differing(a: Port, b: Port) -> list[str]:
    """Names of what differs between two ports."""
    pairs = {name: (getattr(a, name), getattr(b, name)) for name in ("conversation", "reverse", "about", "stray_fragments")}
    for table in ("packets", "conversations", "quoted", "outer"):
        one, two = getattr(a, table), getattr(b, table)
        pairs |= {f"{table}.{name}": (getattr(one, name), getattr(two, name)) for name in one.columns}
    return [name for name, (x, y) in pairs.items() if not np.array_equal(x, y)]


@pytest.fixture(scope="module")
def bundled(captures: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The frames of all bundled captures in one file, so that tshark need not be started for each."""
    path = tmp_path_factory.mktemp("bundled") / "all.pcap"
    return write(path, [frame for capture in captures for frame in read(capture)])


@needs_tshark
@pytest.mark.parametrize(
    "display",
    ["tcp.flags.syn == 0", "udp", "tcp.len > 0", "frame.number > 40", "ip.src == 192.168.1.11 || ipv6", "frame.time_relative > 1"],
)
def test_streams_of_a_display_filter(bundled: str, display: str) -> None:
    """Each stream's number and frames, reused ports among them, whatever the filter takes away from their beginnings."""
    streams = by_tshark(bundled, display)
    assert len(streams) > 5
    assert by_us(port(bundled, Selection(display=display))) == streams


@needs_tshark
def test_filters_that_mean_the_same(bundled: str, captures: list[str]) -> None:
    """A pcap-filter and a display filter, a time and a display filter."""
    for path in (bundled, captures[0]):
        for one, other in (
            (Selection(filter="tcp[13] & 2 = 0"), Selection(display="tcp.flags.syn == 0 && ip && !icmp")),
            (Selection(filter="udp and greater 60"), Selection(display="udp && !icmp && !icmpv6 && frame.len >= 60")),
            (Selection(since="+0.5", until="+1"), Selection(display="frame.time_relative >= 0.5 && frame.time_relative < 1")),
        ):
            assert differing(port(path, one), port(path, other)) == [], (path, one)


def test_everything_selected_is_nothing_selected(captures: list[str], mode: str) -> None:
    """A filter that accepts every frame changes nothing but the notes."""
    for path in captures:
        if Path(path).stat().st_size < 1 << 20:
            every = port(path, Selection(filter="greater 0", since="1970-01-01"))
            assert differing(every, port(path)) == [], path
            assert every.problems[-2:] == [f"{path}: {what} left out 0 of {len(every.packets)} frames" for what in ("--from", "-f")]


def test_two_halves_make_the_whole(captures: list[str], mode: str) -> None:
    """What a filter takes and what it leaves add up, conversation by conversation."""
    for path in captures[:8]:
        whole = by_us(port(path))
        halves = [port(path, Selection(filter=text)) for text in ("less 80 and ip", "not (less 80 and ip)")]
        assert by_us(halves[0]) + by_us(halves[1]) == whole, path
        assert [int((p.packets.flags != 0).sum()) for p in halves] == [int(((p.packets.flags & Flag.IP) > 0).sum()) for p in halves]
        left = [p.packets.flags == 0 for p in halves]
        assert all((p.conversation[gone] == -1).all() for p, gone in zip(halves, left, strict=True))
        assert [len(p.packets) for p in halves] == [len(port(path).packets)] * 2


def test_first_frames_only(captures: list[str], tmp_path: Path) -> None:
    """-c N is the file cut after N frames; with another filter too, and of compressed and pcapng files."""
    for path in captures[:4]:
        cut = tmp_path / "cut.pcap"
        frames = read(path)
        if len(frames) <= 31:
            continue
        cut.write_bytes(Path(path).read_bytes()[:24] + b"".join(record(path, i) for i in range(31)))
        few = port(path, Selection(first=31))
        assert differing(few, port(str(cut))) == [], path
        assert few.problems == [f"{path}: -c: only the first 31 frames were read"]
        assert differing(port(path, Selection(first=31, filter="tcp")), port(str(cut), Selection(filter="tcp"))) == [], path
        assert differing(port(path, Selection(first=len(frames) + 1)), port(path)) == []


def test_first_frames_of_many(captures: list[str], tmp_path: Path, natively: Callable[[], AbstractContextManager[None]]) -> None:
    """-c ends the reading in the middle of a later chunk."""
    frames = read(captures[0])
    many = write(tmp_path / "many.pcap", [frames[i % len(frames)] for i in range(70_000)])
    with natively():
        assert len(port(many, Selection(first=40_001)).packets) == 40_001


def record(path: str, number: int) -> bytes:
    """A record of a little-endian pcap file."""
    data, at = Path(path).read_bytes(), 24
    for _ in range(number):
        at += 16 + int.from_bytes(data[at + 8 : at + 12], "little")
    return data[at : at + 16 + int.from_bytes(data[at + 8 : at + 12], "little")]


def test_reused_ports_stay_apart(tmp_path: Path) -> None:
    """Two conversations on the same ports, seen without what tells them apart."""
    text = "A S 100 | B SA 500 101 | A P 101 501 x10 | A RA 111 501 | A S 90000 | B SA 7000 90001 | A P 90001 7001 x20 | B . 7001 90021"
    path = write(tmp_path / "reused.pcap", script(text))
    c = port(path, Selection(filter="tcp[13] & 2 = 0")).conversations
    assert (c.stream.tolist(), c.packets_ab.tolist(), c.packets_ba.tolist()) == ([0, 1], [2, 1], [0, 1])
    assert c.first_row.tolist() == [2, 6]
    answers = port(path, Selection(filter="src host 198.51.100.80")).conversations
    assert (answers.packets_ab.tolist(), answers.packets_ba.tolist()) == ([0, 0], [1, 2])
    assert answers.addresses()[0] == ["192.168.1.10"] * 2, "who opened it is told by the whole file"


def test_errors_and_fragments(tmp_path: Path) -> None:
    """What is quoted in a frame that is left out is not told; a selected error about frames left out concerns no conversation."""
    path = write(tmp_path / "errors.pcap", script("A S 100 | R about A S 100 | A udp hello | R about A udp hello"))
    assert port(path, Selection(filter="tcp or icmp")).about.tolist() == [0, -1]
    assert port(path, Selection(filter="tcp or icmp")).conversations.errors.tolist() == [1]
    assert len(port(path, Selection(filter="not icmp")).quoted) == 0
    assert port(path, Selection(filter="icmp")).conversations.errors.tolist() == []


def dual(path: Path, one: str, other: str) -> str:
    """Two scripts as the interfaces lan and wan of one file, in the order of time."""
    frames = sorted([(f.time_ns, 0, f.data) for f in script(one)] + [(f.time_ns + 100, 1, f.data) for f in script(other)])
    head = section("<") + interface("<", name="lan", resolution=9) + interface("<", name="wan", resolution=9)
    path.write_bytes(head + b"".join(enhanced("<", time, data, iface=where) for time, where, data in frames))
    return str(path)


@needs_tshark
def test_one_interface_is_numbered_as_the_whole_file(tmp_path: Path) -> None:
    """Streams are counted over all interfaces, as Wireshark counts them; who belongs together is told by the interface's own frames."""
    path = dual(
        tmp_path / "dual.pcapng",
        "C S 5 | A S 100 | +3 B SA 500 101 | A P 101 501 x10 | A udp hello | X udp hello",
        "N S 5 | N S 100 | +3 B>N SA 500 101 | N P 101 501 x10 | N udp hello | Z udp hello",
    )
    for where, number in (("lan", 0), ("1", 1)):
        assert by_us(port(path, where=where)) == by_tshark(path, f"frame.interface_id == {number}")
        late = Selection(filter="tcp[13] & 2 = 0 or udp")
        assert by_us(port(path, late, where)) == by_tshark(path, f"frame.interface_id == {number} && !(tcp.flags.syn == 1)")
    assert port(path, Selection(filter="udp"), "lan").problems == [
        f"{path}: @lan left out 6 of 12 frames",
        f"{path}: -f left out 4 of 6 frames",
    ]
    with pytest.raises(CaptureError, match="has no interface 'dmz'"):
        port(path, where="dmz")


@needs_tshark
def test_a_box_that_passes_frames_on_is_one_stream(tmp_path: Path) -> None:
    """Untranslated frames on both interfaces are one stream to Wireshark; here each interface has its half."""
    text = "A S 100 | B SA 500 101 | A . 101 501"
    path = dual(tmp_path / "through.pcapng", text, text)
    for where in ("lan", "wan"):
        assert by_us(port(path, where=where)) == {("tcp", 0): 3}
    assert by_tshark(path, "tcp") == {("tcp", 0): 6}


def test_several_files(tmp_path: Path) -> None:
    """A selection is each file's own: its first frames, its beginning of time; numbers go on."""
    scripts = [f"A:{i} S 100 | +2000 A:{i} S 100 | +2000 A:{i} S 100" for i in (1, 2, 3)]
    parts = [write(tmp_path / f"{i}.pcap", script(text, i * 10**13)) for i, text in enumerate(scripts)]
    here, _ = observe(Point("here", tuple(parts), selection=Selection(since="+2", first=2)), 64)
    assert here.file_rows == (2, 2, 2)
    assert here.conversations.first_row.tolist() == [1, 3, 5]
    assert here.conversations.packets_ab.tolist() == [1, 1, 1]


def test_what_is_selected_goes_all_the_way(pairs: list[tuple[str, str]]) -> None:
    """A pair seen through a filter: fewer conversations, the same translations."""
    inside, outside = pairs[0]
    points = [Point("inside", (inside,)), Point("outside", (outside,))]
    whole = pipeline.analyze(points).boxes[0]
    some = pipeline.analyze([replace(p, selection=Selection(filter="udp")) for p in points])
    assert 0 < len(some.boxes[0].translations) < len(whole.translations)
    assert sum("-f left out" in note for note in some.notes) == 2


def test_wrong_selections(captures: list[str]) -> None:
    """One line each, before anything is read."""
    for selection, says in (
        (Selection(filter="tcp prt 80"), "-f: 'prt' where"),
        (Selection(since="yesterday"), "--from: 'yesterday' is no time"),
        (Selection(since="+2", until="+1"), "--from is not before --to"),
    ):
        with pytest.raises(PcapnatError) as caught:
            reading.conversations(captures[0], selection=selection)
        assert str(caught.value).startswith(says)
