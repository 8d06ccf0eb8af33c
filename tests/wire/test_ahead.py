"""Batches read ahead by a second thread are those read one after the other, with their memory left alone while they are used."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcapnat import kernel
from pcapnat.wire import Capture, ahead, batches, batches_ahead
from pcapnat.wire.reader import READ_WITHOUT_MARK

CAPTURES = sorted((Path(__file__).parents[2] / "captures").glob("*/*.pcap*"))


@pytest.fixture(autouse=True)
def small_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "WORTH_BYTES", 0)
    monkeypatch.setattr(kernel, "cores", lambda: 2)
    monkeypatch.setattr(kernel, "compiled", lambda: True)


def contents(batch: Any) -> tuple[Any, ...]:
    """Everything a batch shows, copied."""
    tables = (
        (batch.packets, batch.count, (*READ_WITHOUT_MARK, "time_ns", "cap_len", "wire_len", "flags")),  # others may hold what was there
        (batch.quoted, batch.quotes, batch.quoted.columns), (batch.outer, batch.outers, batch.outer.columns),
    )  # fmt: skip
    columns = [np.copy(getattr(table, name)[:n]).tolist() for table, n, names in tables for name in names]
    at, size = batch.chunk.frames.at[: batch.count].tolist(), batch.chunk.frames.cap_len[: batch.count].tolist()
    return batch.first_row, columns, [batch.chunk.buf[a : a + n].tobytes() for a, n in zip(at, size, strict=True)]


@pytest.mark.parametrize("rows", [3, 50])
@pytest.mark.parametrize("path", CAPTURES, ids=[f"{p.parent.name}/{p.name}" for p in CAPTURES])
def test_same_batches(path: Path, rows: int) -> None:
    plain = [contents(batch) for batch in batches(Capture(str(path), rows))]
    told = []
    for batch in batches_ahead(Capture(str(path), rows)):
        told.append(contents(batch))
        assert contents(batch) == told[-1], "the batch in use was written to"
    assert told == plain


def test_small_buffers(tmp_path: Path) -> None:
    """A buffer refilled many times, grown in between for a long frame."""
    from packet_script import START_NS, Frame, write

    frames = [Frame(START_NS + i, bytes([i % 251]) * (60 + 977 * (i % 7) + 200_000 * (i == 300))) for i in range(900)]
    path = write(tmp_path / "long.pcap", frames)

    def capture() -> Capture:
        return Capture(path, 40)

    assert [contents(b) for b in batches_ahead(capture())] == [contents(b) for b in batches(capture())]


def test_what_is_raised_is_raised_here() -> None:
    def failing() -> Iterator[Any]:
        yield "first"
        raise ValueError("second")

    made = ahead.ahead(failing())
    assert next(made) == "first"
    with pytest.raises(ValueError, match="second"):
        next(made)


def test_leaving_early_closes() -> None:
    before = threading.active_count()
    capture = Capture(str(CAPTURES[0]), 3)
    for _ in batches_ahead(capture):
        break
    del _
    import gc

    gc.collect()
    assert threading.active_count() == before
    assert capture._file.closed
