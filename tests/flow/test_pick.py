"""Picking frames: each with the conversation that following the whole file gives it, and no more read than needed."""
from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from packet_script import pcap, script, write
from wire.made_files import enhanced, interface, section, stdin
from wire.made_frames import ether, ip4, udp

from pcapnat.flow import batch_rows, observe, pick
from pcapnat.flow.pick import LARGEST_BATCH
from pcapnat.terms import Point
from pcapnat.wire import Capture


def picked(path: str, numbers: list[int], rows: int = 1 << 15) -> list[object]:
    """(number, stream, direction) of some frames."""
    found = pick(Capture(path, rows), numbers)
    return [(p.frame.number, p.conversation and (p.conversation.stream, p.conversation.forward)) for p in found]


def test_as_the_whole_file_has_it(captures: list[str], mode: str) -> None:
    """Stream, ends and direction of every seventh frame, in batches of five frames as well as in one."""
    for path in captures:
        port, _ = observe(Point("here", (path,)), 0)
        c, numbers = port.conversations, list(range(1, len(port.packets) + 1, 7))[:60]
        a, b = c.addresses()
        for rows in (5, 1 << 15):
            for number, p in zip(numbers, pick(Capture(path, rows), numbers), strict=True):
                assert p.frame.number == number
                k, m = int(port.conversation[number - 1]), p.conversation
                assert (m is None) == (k < 0)
                if m is not None:
                    assert (m.proto, m.a, m.b, m.first_frame) == (c.proto[k], a[k], b[k], c.first_row[k] + 1)
                    assert (m.a_port, m.b_port) == c.ports_text(k)
                    assert m.stream == (int(c.stream[k]) if c.stream[k] >= 0 else None)
                    assert m.forward is not bool(port.reverse[number - 1])
                assert p.frame.row.src == tuple(port.packets.src[number - 1].tolist()) or not m


def test_icmp_errors(tmp_path: Path) -> None:
    """The conversation they are about, from either end; one never seen has a stream number only."""
    path = write(tmp_path / "e.pcap", script("A S 100 | B SA 500 101 | R about A P 101 501 | R about B P 501 101 | R about C:7 udp x30"))
    found = pick(Capture(path), [3, 4, 5])
    assert [p.conversation for p in found] == [None] * 3
    assert [p.about and p.about.forward for p in found] == [True, False, None]
    assert [p.about_stream for p in found] == [0, 0, 0]
    assert found[0].about == pick(Capture(path), [1])[0].conversation


def test_fragments(tmp_path: Path) -> None:
    """A later fragment belongs to its datagram's conversation, also if the first comes behind the last frame asked for."""
    whole = udp(bytes(40))
    parts = [ether(0x0800, ip4(17, whole[at:at + 24], ident=7, frag=at // 8 | (0x2000 if at < 24 else 0))) for at in (24, 0)]
    path = tmp_path / "parts.pcap"
    path.write_bytes(pcap(script("A S 1")) + b"".join(struct.pack("<IIII", 9, n, len(f), len(f)) + f for n, f in enumerate(parts)))
    assert picked(str(path), [2]) == [(2, (0, True))]
    assert picked(str(path), [3], batch_rows(3)) == [(3, (0, True))]


class Counting(Capture):
    """A capture that counts the bytes asked of its file."""

    def _read(self, into: memoryview) -> int:
        got = super()._read(into)
        self.taken = getattr(self, "taken", 0) + got
        return got


def test_no_more_is_read_than_needed(tmp_path: Path) -> None:
    """Reading ends with the chunk of the last frame; the file is closed."""
    frame = script("A udp x900")[0]
    path = tmp_path / "long.pcap"
    path.write_bytes(pcap([frame] * 6000))
    capture = Counting(str(path), batch_rows(3))
    assert [p.frame.number for p in pick(capture, [3])] == [3]
    assert capture.frames < 600
    assert capture.taken <= 2 << 20 < path.stat().st_size
    assert capture._file.closed
    assert batch_rows(1) < 1000 < batch_rows(10**9) == LARGEST_BATCH


def test_numbers_in_any_order_and_beyond_the_end(tmp_path: Path) -> None:
    """Ascending, each once; what is not there is left out."""
    path = write(tmp_path / "five.pcap", script("A S 1 | B SA 1 2 | A . 2 2 | A udp x9 | B udp x9"))
    assert [n for n, _ in picked(path, [5, 1, 1, 9, 3])] == [1, 3, 5]  # type: ignore[misc]
    assert picked(path, [6]) == []
    assert [n for n, _ in picked(path, [1, 2, 3, 4, 5], 2)] == [1, 2, 3, 4, 5]  # type: ignore[misc]


def test_from_a_pipe_and_compressed(tmp_path: Path) -> None:
    """The bytes are the frame's wherever they come from."""
    frames = script("A S 1 | B SA 1 2 | A . 2 2")
    path = tmp_path / "three.pcap.gz"
    path.write_bytes(gzip.compress(pcap(frames)))
    with stdin(pcap(frames), 7):
        for found in (pick(Capture(str(path)), [1, 3]), pick(Capture("-"), [1, 3])):
            assert [p.frame.data for p in found] == [frames[0].data, frames[2].data]
            assert [p.frame.row.time_ns for p in found] == [frames[0].time_ns, frames[2].time_ns]


def test_interfaces_and_what_is_said(tmp_path: Path) -> None:
    """Each frame has its own interface and comments, in both byte orders, chunk after chunk."""
    from wire.made_files import option

    frames = script(" | ".join(f"A udp x{n}" for n in range(1, 40)))
    data = b""
    for order in "<>":
        data += section(order) + interface(order, name="lan" + order, resolution=9) + interface(order, name="wan" + order, resolution=9)
        for n, frame in enumerate(frames):
            options = option(order, 1, f"{order}{n}".encode()) + option(order, 7, b"\x02" + bytes(7) + b"\x01") + option(order, 0, b"")
            data += enhanced(order, frame.time_ns, frame.data, iface=n % 2, options=options if n % 3 == 0 else b"")
    path = tmp_path / "two.pcapng"
    path.write_bytes(data)
    for rows in (4, 1000):
        for p in pick(Capture(str(path), rows), list(range(1, 79))):
            order, n = "<>"[(p.frame.number - 1) // 39], (p.frame.number - 1) % 39
            assert p.frame.interface.name == ("wan" if n % 2 else "lan") + order
            said = [("comment", f"{order}{n}"), ("verdict", "Linux eBPF XDP 0000000000000001")]
            assert p.frame.said == (said if n % 3 == 0 else [])
            assert p.frame.data == frames[n].data


@pytest.mark.parametrize("size", [0, 1, 13])
def test_frames_with_next_to_nothing(size: int, tmp_path: Path) -> None:
    """Empty ones too."""
    path = tmp_path / "empty.pcap"
    path.write_bytes(pcap(script("A S 1")) + struct.pack("<IIII", 1, 2, size, 60) + bytes(size))
    (found,) = pick(Capture(str(path)), [2])
    assert found.frame.data == bytes(size)
    assert found.frame.headers == []
    assert np.array_equal(found.frame.row.src, (0, 0))
