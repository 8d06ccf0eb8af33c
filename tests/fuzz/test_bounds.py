"""Hostile files in processes with limits: each command ends within seconds and 500 MB, with a word about what it met."""
from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hostile
import numpy as np
import pytest
from hostile import CONTAINERS, FLOODS, HEAD, PACKED, PACKETS, PAIRS, Hostile, Sides
from made_files import enhanced, interface, pcap_head, pcap_record, section

from pcapnat.flow import conversation as conversation_module
from pcapnat.flow import fingerprint, observe
from pcapnat.flow.track import place
from pcapnat.kernel import SEED, digest, mix
from pcapnat.pipeline import analyze
from pcapnat.terms import Point
from pcapnat.wire import Capture, glance

pytest.importorskip("resource", reason="this system has no limits to set")
CAPTURES = Path(__file__).parents[2] / "captures"
INSIDE, OUTSIDE = CAPTURES / "demo" / "inside.pcap", CAPTURES / "demo" / "outside.pcap"
DATAGRAMS = 9000
S = 10**9


@pytest.fixture(scope="module")
def commands(natively: Any) -> Iterator[Any]:
    """pcapnat with limits, where machine code has been made before."""
    from limits import Commands

    process = Commands()
    yield process
    process.close()


def kept(outcome: Any, status: int = 0) -> str:
    """What a command said that ended as expected, within what it may take."""
    assert outcome.status == status, outcome.err
    assert outcome.within(), (outcome.cpu_s, outcome.peak_mb)
    assert "Traceback" not in outcome.err
    said: str = outcome.out + outcome.err
    return said


@pytest.mark.parametrize("case", [*PACKED, *CONTAINERS, *PACKETS, *FLOODS], ids=lambda case: case.name)
def test_one_file(commands: Any, tmp_path: Path, case: Hostile) -> None:
    """`info` says what was met, with its number; `analyze`, which keeps every frame, ends as well."""
    path = tmp_path / "hostile"
    path.write_bytes(case.make())
    refused = 2 if case.says.startswith("it looks like") else 0
    said = kept(commands.run("info", str(path)), refused)
    assert case.says in said
    if case.frames is not None:
        assert f" {case.frames:,} frame" in said
    if "trace" not in case.name:  # read as often as that, and no otherwise
        kept(commands.run("analyze", str(path)), refused)


@pytest.mark.parametrize("case", FLOODS, ids=lambda case: case.name)
def test_floods_of_plain_kernels(commands: Any, tmp_path: Path, case: Hostile) -> None:
    """Where there is no machine code a look-up costs a hundred times as much."""
    path = tmp_path / "flood"
    path.write_bytes(case.make())
    kept(commands.run("conversations", str(path), plain=True))


@pytest.mark.parametrize("sides", PAIRS, ids=lambda sides: sides.name)
def test_two_files(commands: Any, tmp_path: Path, sides: Sides) -> None:
    """Matching, and every sentence about it, takes time near the number of conversations, whatever is alike."""
    paths = [str(tmp_path / name) for name in ("inside", "outside")]
    for path, data in zip(paths, sides.make(DATAGRAMS), strict=True):
        Path(path).write_bytes(data)
    said = kept(commands.run("analyze", *paths))
    assert sides.says in said or (sides.says == "colliding" and f"Mappings: {DATAGRAMS:,}" in said)
    document = json.loads(kept(commands.run("analyze", *paths, "--format", "json")))
    box = document["boxes"][0]
    assert len(box["translations"]) + len(box["leaks"]) + len(box["unmatched"]["inside"]) >= 1


def test_the_floods_would_be_floods() -> None:
    """With a seed that is known, what is made to collide does; with the one drawn at this start it does not."""
    ends = [hostile.colliding_by_known_seed(n) for n in range(2000)]
    payloads = [digest(memoryview(p), 0, 8) for p in hostile.colliding_payloads(500)]
    keys = [mix(mix(17, 8), d) for d in payloads]
    assert len(set(keys)) == 500
    for seed, different in ((0, False), (SEED, True)):
        places = {place(high, low, sport, 5, 1, 53, 17, seed) & 0xFFFF for high, low, sport in ends}
        assert (len(places) > 1500) is different
        assert (len(places) <= 2) is not different
        slots = {mix(mix(key, seed), 0) & 0xFFFF for key in keys}
        assert (len(slots) > 400) is different
        assert (len(slots) == 1) is not different


def test_no_answer_depends_on_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conversations, directions and matches are the same whatever number is drawn."""
    points = [Point("in", (str(INSIDE),)), Point("out", (str(OUTSIDE),))]
    answers = []
    for seed in (0, 1, SEED, (1 << 62) - 1):
        monkeypatch.setattr(conversation_module, "SEED", seed)
        monkeypatch.setattr(fingerprint, "SEED", seed)
        analysis = analyze(points)
        tables = [p.conversations for p in analysis.points] + [analysis.boxes[0].translations]
        answers.append([getattr(t, name).tolist() for t in tables for name in t.columns])
    assert all(answer == answers[0] for answer in answers)


# Times

@pytest.mark.parametrize("resolution", [0, 3, 6, 9, 10, 12, 19, 20, 127, 0x80, 0x81, 0x8A, 0x9F, 0xA0, 0xA1, 0xBF, 0xC0, 0xDE, 0xFF])
@pytest.mark.parametrize("offset", [0, -1, -4_611_686_018, 4_611_686_018, -(1 << 63), (1 << 63) - 1])
def test_times_of_any_century(tmp_path: Path, mode: str, resolution: int, offset: int) -> None:
    """Any tick and offset: a time in its place between 1823 and 2116, or clamped and marked; every difference fits, every page prints."""
    ticks = (0, 1, (1 << 32) - 1, 1 << 32, 1 << 62, 1 << 63, (1 << 64) - 1)
    path = tmp_path / "times.pcapng"
    path.write_bytes(section("<") + interface("<", resolution=resolution, offset=offset) + b"".join(
        enhanced("<", t, hostile.FRAME) for t in ticks))
    units = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    kept_offset = offset if abs(offset) <= 4_611_686_018 else 0
    capture = Capture(str(path))
    (chunk,) = capture.chunks()
    for t, time, flags in zip(ticks, chunk.frames.time_ns.tolist(), chunk.frames.flags.tolist(), strict=False):
        right = t * S // units + kept_offset * S
        if flags & 1 << 22:
            assert (time, right >= time) == ((1 << 62) - 1, True)
        else:
            assert time == right
    assert ("beyond reason" in " ".join(capture.problems)) is (kept_offset != offset)


def test_captures_centuries_apart(commands: Any, tmp_path: Path) -> None:
    """A pair whose clocks differ by all the time there is; and one that jumps in the middle."""
    def shifted(offset: int, later: int) -> str:
        data = section("<") + interface("<", 101, offset=offset) + interface("<", 101, offset=later)
        for n in range(40):
            datagram = struct.pack("!HHHHQ", n, 53, 16, 0, n * 7)
            data += enhanced("<", n * 1000, hostile.PACKET[:20] + datagram, iface=n // 20)
        path = tmp_path / f"{offset}{later}"
        path.write_bytes(data)
        return str(path)
    early, late = -4_611_686_018, 4_611_686_018
    for one, other in (((early, early), (late, late)), ((early, late), (late, early)), ((0, late), (0, 0))):
        paths = shifted(*one), shifted(*other)
        kept(commands.run("analyze", *paths))
        document = json.loads(kept(commands.run("analyze", *paths, "--format", "json")))
        assert len(document["points"]) == 2


# Files that are none, that change, and that have strange names

@pytest.mark.parametrize("command", ["info", "conversations", "sockets", "analyze"])
@pytest.mark.parametrize(("device", "says"), [
    ("/dev/zero", "not a capture file"), ("/dev/urandom", "not a capture file"), ("/dev/null", "the file is empty"),
    ("/proc/self/mem", "input/output error"), (".", "is a directory")])
def test_what_is_no_file(commands: Any, command: str, device: str, says: str) -> None:
    """One line, at once."""
    outcome = commands.run(command, device)
    assert says in kept(outcome, 2)
    assert outcome.err.count("\n") == 1
    if device.startswith("/dev/"):
        assert says in kept(commands.run(command, "-", stdin=device), 2)


@pytest.mark.parametrize("size", [0, 3, 23, 30, 5000, None])
def test_a_fifo_that_closes_early(commands: Any, tmp_path: Path, size: int | None) -> None:
    """What came is read, and the end is told; nothing is waited for."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def write() -> None:
        fifo.write_bytes(INSIDE.read_bytes()[:size])
    writer = threading.Thread(target=write)
    writer.start()
    said = kept(commands.run("analyze", str(fifo)), 2 if size is not None and size < 24 else 0)
    writer.join()
    says = {0: "the file is empty", 3: "not a capture file", 23: "header cut short", None: "219"}
    assert says.get(size, "ends inside a record") in said


@pytest.mark.parametrize("name", [
    "\x1b[2J\x1b]0;owned\x07.pcap", "new\nline.pcap", "\udcff\udcfe.pcap", "-n", "a\u202egpj.pcap", "=x=@0@", "%s{}"])
@pytest.mark.parametrize("good", [True, False])
def test_strange_names(commands: Any, tmp_path: Path, name: str, good: bool) -> None:
    """What is printed of a name moves no cursor; JSON says it as it is."""
    path = tmp_path / name
    path.write_bytes(INSIDE.read_bytes() if good else b"\xd4\xc3\xb2\xa1")
    for command in ("info", "conversations", "sockets", "analyze"):
        said = kept(commands.run(command, str(path)), 0 if good else 2)
        assert not set(said) & set("\x1b\x07\r\u202e")
    if good:
        assert json.loads(kept(commands.run("info", str(path), "--format", "json")))["file"] == str(path)


def test_a_note_about_a_strange_name(commands: Any, tmp_path: Path) -> None:
    """Standard error is a terminal, too."""
    path = tmp_path / "\x1b[2J.pcap"
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65535, 1) + (pcap_record("<", 1, 1, bytes(8))[:16] + bytes(16)) * 3)
    assert "record headers of 24 bytes" in (said := kept(commands.run("conversations", str(path))))
    assert "\x1b" not in said


def many_records(count: int) -> bytes:
    """A pcap longer than a chunk."""
    return HEAD + b"".join(pcap_record("<", n, 0, bytes([n & 255]) * 100) for n in range(count))


def frames_while(path: Path, change: Callable[[], object]) -> tuple[Capture, int]:
    """The capture and its frames, if the file changes once its first chunk is read."""
    capture = Capture(str(path))
    total = 0
    for chunk in capture.chunks():
        total += chunk.count
        change()
    return capture, total


def test_a_file_that_grows_or_shrinks_while_it_is_read(tmp_path: Path) -> None:
    """What is added is read, to the record that is not whole; what is gone is told."""
    path, data = tmp_path / "growing.pcap", many_records(30_000)
    path.write_bytes(data)
    more = iter([pcap_record("<", 1, 1, bytes(50)) * 3 + bytes(20)])

    def append() -> None:
        with path.open("ab") as file:
            file.write(next(more, b""))
    capture, total = frames_while(path, append)
    assert total == capture.frames == 30_004  # the last bytes are a record's header of no bytes, and four more
    assert capture.problems == [f"the file ends inside a record (4 bytes of it are there), at byte {len(data) + 3 * 66 + 16}: "
                                "30004 frames before it were read"]
    for size in (2_000_000, 100, 0):
        path.write_bytes(data)
        capture, total = frames_while(path, lambda size=size: os.truncate(path, size))  # type: ignore[misc]
        assert total == capture.frames > 5000
        assert not size or capture.truncated or total * 116 + 24 >= size
    path.write_bytes(data)
    assert glance(str(path)).frames > 20_000
    path.write_bytes(data[:24 + 116 * 3])
    port, _ = observe(Point("here", (str(path),)), 64)
    assert len(port.packets) == 3


def test_a_file_that_another_process_appends_to(tmp_path: Path, commands: Any) -> None:
    """Reading ends although the file does not."""
    path = tmp_path / "live.pcap"
    path.write_bytes(many_records(1000))
    writer = f"""
import time
with open({str(path)!r}, "ab", buffering=0) as file:
    record = {pcap_record("<", 1, 1, bytes(100))!r}
    print(flush=True)
    while True:
        file.write(record[:50])
        file.write(record[50:])
        time.sleep(0.0005)
"""
    with subprocess.Popen([sys.executable, "-c", writer], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            for command in ("info", "analyze"):
                kept(commands.run(command, str(path)))
        finally:
            process.kill()


# Many files of one point

def rotated(folder: Path, count: int) -> tuple[list[str], list[int]]:
    """Files of five frames each, in no order of names, and the order that their times have."""
    order = np.random.default_rng(5).permutation(count).tolist()
    paths = []
    for number, when in enumerate(order):
        path = folder / f"{number:05}.pcap"
        path.write_bytes(pcap_head("<", link=101) + b"".join(
            pcap_record("<", 100 * when + n, 0, hostile.PACKET[:20] + struct.pack("!HHHH", when & 0xFFFF, 53, 8, 0)) for n in range(5)))
        paths.append(str(path))
    return paths, order


def test_a_thousand_files_of_one_point(commands: Any, tmp_path: Path) -> None:
    """One is open at a time, in the order of their first frames."""
    paths, order = rotated(tmp_path, 1000)
    said = json.loads(kept(commands.run("analyze", *[f"here={p}" for p in paths], "--format", "json", files=64)))
    (point,) = said["points"]
    assert point["frames"] == 5000
    assert point["files"] == [paths[i] for i in np.argsort(order).tolist()]
    assert len(point["conversations"]) == 1000
    assert [c["first_frame"] for c in point["conversations"]] == list(range(1, 5001, 5))
