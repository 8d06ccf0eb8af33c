"""What holds of any bytes whatever: of a file that is read, of its frames, of columns, of a page and of a document."""
from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn
from unittest import mock

import numpy as np

from pcapnat import kernel
from pcapnat.flow import Conversations, Tracker
from pcapnat.flow import life as t
from pcapnat.report import conversations_json, info_json, info_sections, terminal
from pcapnat.table import Table
from pcapnat.terms import PcapnatError
from pcapnat.wire import Capture, Flag, Outer, Packets, Quoted, glance, source
from pcapnat.wire.reader import batches

MOST_FRAMES = 4_000
"""Frames looked at: plain kernels take 0.1 ms each."""


@contextmanager
def small() -> Iterator[None]:
    """Nothing is compiled however many frames a file promises, and a bomb is one before it takes a plain kernel an hour."""
    with (
        mock.patch.object(kernel, "prepare", return_value="plain"),
        mock.patch.object(source, "BOMB_BYTES", 1 << 17),
        mock.patch.object(source, "BOMB_RATIO", 50),
    ):
        yield


def one_line(error: PcapnatError) -> str:
    """The line that a user gets."""
    line = str(error)
    assert line
    assert "\n" not in line
    return line


def document(text: str) -> Any:
    """The JSON document, which holds no NaN and only ASCII."""
    def refuse(name: str) -> NoReturn:
        raise AssertionError(f"{name} is no JSON")
    assert text.isascii()
    return json.loads(text, parse_constant=refuse)


def page(text: str) -> str:
    """The page for a terminal, which moves no cursor."""
    strange = {c for c in text if c not in " \n" and unicodedata.category(c)[0] in "CZ"}
    assert not strange, strange
    return text


def columns(table: Table, rows: int) -> dict[str, list[Any]]:
    """A table's first rows as plain lists, to be compared."""
    return {name: getattr(table, name)[:rows].tolist() for name in table.columns}


def packets_hold(p: Packets, count: int, q: Quoted, quotes: int, o: Outer, outers: int) -> None:
    """What is true of every decoded frame."""
    flags = p.flags[:count]

    def marked(mark: Flag) -> Any:
        return flags & int(mark) != 0
    whole, ip = ~marked(Flag.SHORT), marked(Flag.IP)
    assert (p.payload_at[:count][whole] <= p.cap_len[:count][whole]).all(), "a payload beyond the frame, and the frame not SHORT"
    for mark in (Flag.PORTS, Flag.TCP, Flag.UDP, Flag.ICMP, Flag.QUOTE, Flag.KEY, Flag.IN_QUERY, Flag.SPI, Flag.V6, Flag.FRAGMENT):
        assert ip[marked(mark)].all(), f"{mark.name} without IP"
    assert (p.key[:count] >= 0).all()
    assert ((p.key[:count] == 0) | marked(Flag.KEY)).all()
    assert q.carrier[:quotes].tolist() == np.flatnonzero(marked(Flag.QUOTE)).tolist()
    carriers, depths = o.carrier[:outers], o.depth[:outers]
    assert (np.diff(carriers) >= 0).all()
    first = np.append(True, np.diff(carriers) > 0) if outers else np.zeros(0, bool)
    assert (depths == np.arange(outers) - np.maximum.accumulate(np.where(first, np.arange(outers), 0))).all(), "tunnels out of order"
    assert (depths < 8).all()
    assert marked(Flag.TUNNEL)[carriers].all()
    assert (o.vlan[:outers] >= -1).all()


def conversations_hold(c: Conversations, of_row: Any, p: dict[str, Any]) -> None:
    """What is true of all conversations. of_row: row in `c` of each frame, -1 for none; p: columns of the frames."""
    flags = np.array(p["flags"], np.int64)
    counted = (of_row >= 0) & ((flags & int(Flag.FRAGMENT) == 0) | (np.array(p["frag_offset"]) == 0))
    assert (np.diff(c.first_row) > 0).all(), "conversations out of order"
    assert (c.packets_ab + c.packets_ba).tolist() == np.bincount(of_row[counted], minlength=len(c)).tolist()
    sizes = np.zeros(len(c), np.int64)
    np.add.at(sizes, of_row[counted], np.array(p["wire_len"], np.int64)[counted])
    assert (c.bytes_ab + c.bytes_ba).tolist() == sizes.tolist()
    assert of_row[c.first_row].tolist() == list(range(len(c)))
    times = np.array(p["time_ns"], np.int64)
    assert c.first_ns.tolist() == times[c.first_row].tolist()
    assert (c.last_ns >= c.first_ns).all()
    assert (c.letters <= 22).all()
    assert [bin(m).count("1") for m in c.marks.tolist()] == c.letters.tolist()
    for proto in (6, 17):
        streams = c.stream[c.proto == proto]
        assert len(set(streams.tolist())) == len(streams)
        assert (streams >= 0).all()
    assert (c.stream[(c.proto != 6) & (c.proto != 17)] == -1).all()
    for name in ("packets_ab", "packets_ba", "bytes_ab", "bytes_ba", "retransmissions", "errors"):
        assert (getattr(c, name) >= 0).all(), name
    assert (c.packets_ab > 0).all(), "a sent first"
    assert len(c.states()) == len(c.histories()) == len(c)
    assert all(len(h.lstrip("^")) == n for h, n in zip(c.histories(), c.letters.tolist(), strict=True))
    known = {(int(a), int(b)) for a, b in zip(of_row[of_row >= 0], np.array(p["proto"])[of_row >= 0], strict=True)}
    assert all(c.proto[row] == proto for row, proto in known)
    assert t.LIFE == 28, "a new column of `life`: what is true of it?"


def chunk_holds(capture: Capture, chunk: Any, before: int) -> None:
    """What is true of the frames of any chunk; before: bytes of the file that frames were found in so far."""
    f, n = chunk.frames, chunk.count
    assert 0 < n <= len(f)
    at, size = f.at[:n], f.cap_len[:n].astype(np.int64)
    assert at[0] >= 0
    assert int(at[-1] + size[-1]) <= len(chunk.buf)
    assert (at[1:] >= at[:-1] + size[:-1]).all(), "frames that overlap"
    assert chunk.base + int(at[0]) >= before
    assert (f.interface[:n] < len(capture.interfaces)).all()
    assert ((f.cap_len[:n] < f.wire_len[:n]) == (f.flags[:n] & int(Flag.CUT) != 0)).all()
    assert (f.direction[:n] <= 3).all()
    if chunk.facts is not None:
        assert (chunk.facts.direction[:n] <= 6).all()


def read_file(path: str, rows: int) -> Any:
    """All that a file says, read as the commands `info` and `conversations` read it; a line if it is refused."""
    try:
        expected = glance(path)
        capture = Capture(path, rows)
    except PcapnatError as error:
        return one_line(error)
    assert expected.frames >= 0
    seen: list[Any] = []
    place = captured = wire = 0
    facts = []
    tracker, of_row = Tracker(expected.frames), []
    told: dict[str, list[Any]] = {name: [] for name in Packets.columns}
    walked = _Walked(capture)
    try:
        for batch in batches(walked, 64):  # type: ignore[arg-type]
            chunk = walked.chunk
            chunk_holds(capture, chunk, place)
            place = chunk.base + int(chunk.frames.at[chunk.count - 1]) + int(chunk.frames.cap_len[chunk.count - 1])
            captured += int(chunk.frames.cap_len[:chunk.count].sum(dtype=np.int64))
            wire += int(chunk.frames.wire_len[:chunk.count].sum(dtype=np.int64))
            facts += [columns(chunk.facts, chunk.count)] if chunk.facts is not None else []
            packets_hold(batch.packets, batch.count, batch.quoted, batch.quotes, batch.outer, batch.outers)
            for name, values in columns(batch.packets, batch.count).items():
                told[name] += values
            seen.append((columns(batch.quoted, batch.quotes), columns(batch.outer, batch.outers)))
            tracker.feed(batch)
            of_row += tracker.conversation[:batch.count].tolist()
            if capture.frames > MOST_FRAMES:
                break
    except PcapnatError as error:
        return one_line(error)
    finally:
        capture.close()
    if capture.frames <= MOST_FRAMES:
        assert (captured, wire) == (capture.captured_bytes, capture.wire_bytes)
        assert capture.frames == len(of_row) == sum(i.frames for i in capture.interfaces)
        assert (capture.first_ns, capture.last_ns) == (min(told["time_ns"], default=None), max(told["time_ns"], default=None))
    found, number = tracker.finish()
    conversations_hold(found, np.append(number, -1)[of_row].astype(np.int64) if of_row else np.zeros(0, np.int64), told)
    said = document(info_json(capture)), page(terminal(info_sections(capture)))
    assert all("\n" not in problem for problem in capture.problems)
    return told, seen, facts, said, document(conversations_json(found, path, []))


class _Walked:
    """A capture whose present chunk can be looked at while its batches are asked for."""

    def __init__(self, capture: Capture):
        self._capture = capture
        self.chunk: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._capture, name)

    def chunks(self) -> Iterator[Any]:
        """The capture's."""
        for chunk in self._capture.chunks():
            self.chunk = chunk
            yield chunk


