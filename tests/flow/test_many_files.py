"""Several files of one point: one is open at a time, in the order of their first frames, whatever order they are given in."""
from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from packet_script import packet

from pcapnat.flow import Tracker, observe
from pcapnat.terms import CaptureError, Point
from pcapnat.wire import Capture, batches

HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
DATAGRAM = packet("A udp hello")


def rotated(folder: Path, count: int) -> list[str]:
    """Files of five frames each, in no order of names."""
    paths = []
    for number, when in enumerate(np.random.default_rng(5).permutation(count).tolist()):
        path = folder / f"{number:05}.pcap"
        lengths = len(DATAGRAM), len(DATAGRAM)
        path.write_bytes(HEAD + b"".join(struct.pack("<IIII", 100 * when + n, 0, *lengths) + DATAGRAM for n in range(5)))
        paths.append(str(path))
    return paths


def block(kind: int, body: bytes) -> bytes:
    """A pcapng block."""
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def test_files_of_one_point_in_any_order(tmp_path: Path) -> None:
    """The same port from the files forwards and backwards; a file without frames comes where it harms nothing."""
    paths = rotated(tmp_path, 9)
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(HEAD)
    odd = tmp_path / "odd.pcapng"  # its first frame lies behind more than a glance sees
    odd.write_bytes(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 101, 0, 0))
                    + block(0xBAD, bytes(2 << 20)) + block(6, struct.pack("<IIIII", 0, 0, 350 * 10**6, 0, 0)))
    orders = [*paths, str(odd), str(empty)], [str(empty), str(odd), *paths[::-1]]
    ports = [observe(Point("here", tuple(files)), 64)[0] for files in orders]
    assert ports[0].files == ports[1].files
    assert (np.diff(ports[0].packets.time_ns) >= 0).all()
    assert ports[0].packets.time_ns.tolist() == ports[1].packets.time_ns.tolist()
    assert len(ports[0].packets) == 46


def test_files_that_cannot_be_among_several(tmp_path: Path) -> None:
    """One that is missing, and one that can be read only once."""
    paths = rotated(tmp_path, 2)
    with pytest.raises(CaptureError, match="no such file"):
        observe(Point("here", (*paths, str(tmp_path / "missing"))), 64)
    with pytest.raises(CaptureError, match="can be read only once"):
        observe(Point("here", (*paths, "-")), 64)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(CaptureError, match="can be read only once"):
            observe(Point("here", (*paths, str(tmp_path / "fifo"))), 64)


def test_one_file_is_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are."""
    paths, still_open, most = rotated(tmp_path, 20), set[int](), 0
    opening, closing = Capture._open, Capture.close

    def opened(self: Capture) -> object:
        nonlocal most
        still_open.add(id(self))
        most = max(most, len(still_open))
        return opening(self)

    def closed(self: Capture) -> None:
        still_open.discard(id(self))
        closing(self)
    monkeypatch.setattr(Capture, "_open", opened)
    monkeypatch.setattr(Capture, "close", closed)
    port, captures = observe(Point("here", tuple(paths)), 64)
    assert (len(port.packets), len(captures), most, len(still_open)) == (100, 20, 1, 0)


def test_what_was_read_is_let_go(tmp_path: Path) -> None:
    """A capture that is done keeps counts, not buffers: two thousand of them would be gigabytes."""
    capture, tracker = Capture(rotated(tmp_path, 1)[0]), Tracker()
    for batch in batches(capture):
        tracker.feed(batch)
    assert (len(capture.buf), len(capture.columns)) == (0, 0)
    assert (capture.frames, capture.interfaces[0].frames) == (5, 5)
