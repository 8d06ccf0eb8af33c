"""Whatever is written is what is read: files of any mix of sections, interfaces, blocks and options, and of every other container.

Hypothesis makes the list of what is written; made_files.py writes it; frames, times, lengths, interfaces and facts must come back.
"""
from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_files import (
    block,
    enhanced,
    erf_record,
    obsolete,
    option,
    patched_record,
    pcap_record,
    section,
    simple,
    snoop_head,
    snoop_record,
    stdin,
)

from pcapnat.wire import Flag
from pcapnat.wire import capture as capture_module
from pcapnat.wire.capture import Capture

S = 10**9
FAR = (1 << 62) - 1
NONE = Flag(0)
LAX = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
DATA = st.binary(max_size=70)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@dataclass
class Written:
    """A frame as it is written, and so as it must be read."""

    time_ns: int
    data: bytes
    wire: int
    interface: int = 0
    flags: Flag = NONE
    direction: int = 0
    packet_id: int = 0


@dataclass
class Port:
    """An interface as it is written."""

    link: int
    snaplen: int
    units: int
    offset: int
    name: str | None = None
    description: str | None = None
    only: str | None = None
    lost: int = 0


@dataclass
class File:
    """Bytes, and what is in them."""

    data: bytes = b""
    frames: list[Written] = field(default_factory=list)
    ports: list[Port] = field(default_factory=list)
    comments: list[tuple[int | None, str]] = field(default_factory=list)
    sections: int = 0
    skipped: dict[str, int] = field(default_factory=dict)

    def frame(self, time: int, data: bytes, wire: int, port: int, **more: Any) -> None:
        """One more frame; its marks follow from its lengths and time."""
        flags = more.pop("flags", Flag(0)) | (Flag.CUT if len(data) < wire else 0)
        if time >= FAR:
            time, flags = FAR, flags | Flag.BAD_TIME
        self.frames.append(Written(time, data, wire, port, flags, **more))


def nanoseconds(ticks: int, port: Port) -> int:
    """A count of ticks in nanoseconds, rounded down before the offset is added."""
    whole = ticks * S // port.units
    return FAR if whole > 9 * 10**18 else min(FAR, whole + port.offset * S)


def read(file: File, step: int, chunk: int, rows: int) -> Capture:
    """The capture, whose frames are those that were written, however they are cut into chunks."""
    seen: list[Written] = []
    with stdin(file.data, step) as path, pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture_module, "CHUNK", chunk)
        capture = Capture(path, rows)
        for part in capture.chunks():
            f = part.frames
            for i in range(part.count):
                at, size = int(f.at[i]), int(f.cap_len[i])
                sides = (int(f.direction[i]), int(f.packet_id[i])) if capture.sided else (0, 0)
                seen.append(Written(int(f.time_ns[i]), bytes(part.buf[at:at + size]), int(f.wire_len[i]), int(f.interface[i]),
                                    Flag(int(f.flags[i])), *sides))
                assert file.data[part.base + at:part.base + at + size] == seen[-1].data
    assert seen == file.frames
    assert capture.problems == []
    assert not capture.truncated
    assert capture.frames == len(seen)
    assert [i.frames for i in capture.interfaces] == [sum(s.interface == i.id for s in seen) for i in capture.interfaces]
    assert (capture.captured_bytes, capture.wire_bytes) == (sum(len(s.data) for s in seen), sum(s.wire for s in seen))
    return capture


CUTS = {"step": st.sampled_from([1 << 30, 61, 7]), "chunk": st.sampled_from([1 << 20, 512, 64]), "rows": st.sampled_from([1000, 3, 1])}

# pcapng


@st.composite
def packet_options(draw: st.DrawFn, order: str, file: File, port: Port) -> tuple[bytes, dict[str, Any]]:
    """Options of a packet block, and what they say of the frame."""
    out, says = b"", {"direction": 0, "packet_id": 0}
    for kind in draw(st.lists(st.sampled_from(["flags", "drops", "id", "comment", "hash", "unknown"]), max_size=4)):
        if kind == "flags":
            word = draw(st.integers(0, (1 << 32) - 1))
            out += option(order, 2, struct.pack(order + "I", word))
            says["direction"] = word & 3
        elif kind == "drops":
            lost = draw(st.integers(0, 1 << 40))
            out += option(order, 4, struct.pack(order + "Q", lost))
            port.lost += lost
        elif kind == "id":
            number = draw(st.integers(0, (1 << 63) - 1))
            out += option(order, 5, struct.pack(order + "Q", number))
            says["packet_id"] = number
        elif kind == "comment":
            text = draw(WORDS)
            out += option(order, 1, text.encode())
            file.comments.append((len(file.frames) + 1, text))
            says["flags"] = Flag.NOTED
        elif kind == "hash":
            out += option(order, 3, b"\2" + draw(st.binary(min_size=4, max_size=4)))
        else:
            out += option(order, 0x8000 | draw(st.integers(0, 99)), draw(st.binary(max_size=9)))
    if out and draw(st.booleans()):
        out += option(order, 0, b"")
    return out, says


@st.composite
def interface_block(draw: st.DrawFn, order: str, file: File) -> None:
    """One more interface."""
    resolution = draw(st.one_of(st.none(), st.integers(0, 20), st.integers(0x80, 0xC8)))
    units = 10**6 if resolution is None else 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    offset = draw(st.one_of(st.none(), st.integers(-4_611_686_018, 4_611_686_018)))
    port = Port(draw(st.sampled_from([1, 101, 113, 147])), draw(st.sampled_from([0, 40, 65535])), units, offset or 0)
    out = b""
    if draw(st.booleans()):
        port.name = draw(WORDS)
        out += option(order, 2, port.name.encode())
    if resolution is not None:
        out += option(order, 9, bytes([resolution]))
    if draw(st.booleans()):
        port.description = draw(WORDS)
        out += option(order, 3, port.description.encode())
    if offset is not None:
        out += option(order, 14, struct.pack(order + "q", offset))
    if draw(st.booleans()):
        port.only = draw(WORDS)
        out += option(order, 11, b"\0" + port.only.encode())
    if draw(st.booleans()):
        text = draw(WORDS)
        out += option(order, 1, text.encode())
        file.comments.append((None, text))
    file.data += block(order, 1, struct.pack(order + "HHI", port.link, 0, port.snaplen) + out)
    file.ports.append(port)


@st.composite
def pcapng(draw: st.DrawFn) -> File:
    """Sections of either byte order, each with interfaces and blocks in any order."""
    file, last = File(), 0
    for _ in range(draw(st.integers(1, 3))):
        order = draw(st.sampled_from("<>"))
        texts = draw(st.lists(WORDS, max_size=2))
        file.comments += [(None, text) for text in texts]
        file.data += section(order, b"".join(option(order, 1, text.encode()) for text in texts))
        file.sections += 1
        base = len(file.ports)
        for kind in draw(st.lists(st.sampled_from(["idb", "epb", "epb", "opb", "spb", "custom", "secrets", "other", "isb"]), max_size=9)):
            known = len(file.ports) - base
            if kind == "idb" or (kind in ("epb", "opb", "spb") and not known):
                draw(interface_block(order, file))
                continue
            if kind in ("custom", "secrets", "other", "isb"):
                number = {"custom": draw(st.sampled_from([0xBAD, 0x40000BAD])), "secrets": 10, "other": 0x80000123, "isb": 5}[kind]
                file.data += block(order, number, struct.pack(order + "III", 0xFFFF, 0, 0) + draw(st.binary(max_size=9)) * (kind != "isb"))
                if kind != "isb":
                    file.skipped[kind] = file.skipped.get(kind, 0) + 1
                continue
            data = draw(DATA)
            n = draw(st.integers(0, known - 1))
            port = file.ports[base + n]
            wire = max(0, len(data) + draw(st.sampled_from([0, 0, 5, 70_000, -1])))
            if kind == "spb":
                port = file.ports[base]
                data, wire = data[:port.snaplen or None], max(wire, len(data))
                if port.snaplen:
                    data = data.ljust(min(wire, port.snaplen), b"\0") if wire < 200 else data
                    wire = wire if len(data) in (wire, port.snaplen) else len(data)
                else:
                    data, wire = data, len(data)
                file.data += simple(order, data, wire)
                file.frame(last, data, wire, base, flags=Flag.NO_TIME)
                file.frames[-1].flags &= ~Flag.BAD_TIME
                continue
            ticks = draw(st.one_of(st.integers(0, (1 << 64) - 1), st.integers(0, min((1 << 64) - 1, 4 * 10**9 * port.units))))
            last = nanoseconds(ticks, port)
            if kind == "epb":
                options, says = draw(packet_options(order, file, port))
                file.data += enhanced(order, ticks, data, iface=n, wire=wire, options=options)
                file.frame(last, data, wire, base + n, **says)
            else:
                drops = draw(st.sampled_from([0, 7, 0xFFFF]))
                port.lost += drops if drops != 0xFFFF else 0
                file.data += obsolete(order, ticks, data, iface=n, wire=wire, drops=drops)
                file.frame(last, data, wire, base + n)
    return file


@LAX
@given(file=pcapng(), native=st.booleans(), **CUTS)
def test_pcapng(natively: Any, file: File, native: bool, step: int, chunk: int, rows: int) -> None:
    """Frames, interfaces, comments in their order, losses, and what was stepped over."""
    if native:
        with natively():
            capture = read(file, step, chunk, rows)
    else:
        capture = read(file, step, chunk, rows)
    assert [(i.link_type, i.snaplen, i.name, i.description, i.filter, i.lost) for i in capture.interfaces] == [
        (p.link, p.snaplen, p.name, p.description, p.only, p.lost) for p in file.ports]
    facts = capture.facts
    assert sorted(facts.comments, key=str) == sorted(file.comments, key=str)
    assert (facts.comment_count, facts.sections, facts.skipped) == (len(file.comments), file.sections, file.skipped)
    assert facts.dropped == sum(p.lost for p in file.ports)


# pcap, snoop, ERF

PCAPS = {  # name: (magic, version, bytes of a record's header, lengths in the old order)
    "usual": (0xA1B2C3D4, (2, 4), 16, False), "nanoseconds": (0xA1B23C4D, (2, 4), 16, False), "Kuznetzov": (0xA1B2CD34, (2, 4), 24, False),
    "Nokia": (0xA1B2C3D4, (2, 4), 20, False), "version 2.2": (0xA1B2C3D4, (2, 2), 16, True), "DG/UX": (0xA1B2C3D4, (543, 0), 16, True),
    "Ixia": (0x1C0001AC, (2, 4), 16, False)}
RECORDS = st.lists(st.tuples(st.integers(0, (1 << 32) - 1), st.integers(0, 999_999), st.binary(min_size=1, max_size=70),
                             st.sampled_from([0, 0, 9, 1500])), max_size=8)


@LAX
@pytest.mark.parametrize("kind", PCAPS)
@given(order=st.sampled_from("<>"), link=st.sampled_from([1, 101, 147]), rows_of=RECORDS, rows=st.sampled_from([1000, 3, 1]))
def test_pcap(tmp_path: Path, kind: str, order: str, link: int, rows_of: list[tuple[int, int, bytes, int]], rows: int) -> None:
    """Every variant, from a file: which one it is shows in its first records."""
    magic, version, header, swapped = PCAPS[kind]
    file = File(struct.pack(order + "IHHiIII", magic, *version, 0, 0, 65535, link))
    if kind == "Ixia":
        file.data += bytes(4)
    if header != 16:  # a patched header is told from the usual one by what follows it: there must be something
        rows_of = [(1, 1, b"E" * 60, 0)] * 3 + rows_of
    for seconds, fraction, data, more in rows_of:
        file.data += patched_record(order, seconds, fraction, data, header, wire=len(data) + more, swapped=swapped)
        file.frame(seconds * S + fraction * (1 if kind == "nanoseconds" else 1000), data, len(data) + more, 0)
    path = tmp_path / "made.pcap"
    path.write_bytes(file.data)
    capture = Capture(str(path), rows)
    seen = []
    for chunk in capture.chunks():
        f = chunk.frames
        seen += [Written(int(f.time_ns[i]), bytes(chunk.buf[int(f.at[i]):int(f.at[i] + f.cap_len[i])]), int(f.wire_len[i]), 0,
                         Flag(int(f.flags[i]))) for i in range(chunk.count)]
    assert seen == file.frames
    assert capture.problems == []
    assert (capture.interfaces[0].link_type, capture.interfaces[0].snaplen) == (link, 65535)


@LAX
@given(order=st.sampled_from("<>"), ns=st.booleans(), rows_of=RECORDS, native=st.booleans(), **CUTS)
def test_pcap_in_pieces(natively: Any, order: str, ns: bool, rows_of: list[tuple[int, int, bytes, int]], native: bool, step: int,
                        chunk: int, rows: int) -> None:
    """The usual header, however the stream stutters and wherever chunks end."""
    file = File(struct.pack(order + "IHHiIII", 0xA1B23C4D if ns else 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    for seconds, fraction, data, more in rows_of:
        file.data += pcap_record(order, seconds, fraction, data, len(data) + more)
        file.frame(seconds * S + fraction * (1 if ns else 1000), data, len(data) + more, 0)
    if native:
        with natively():
            read(file, step, chunk, rows)
    else:
        read(file, step, chunk, rows)


@LAX
@given(rows_of=RECORDS, pads=st.lists(st.integers(0, 9), min_size=8, max_size=8), native=st.booleans(), **CUTS)
def test_snoop(natively: Any, rows_of: list[tuple[int, int, bytes, int]], pads: list[int], native: bool, step: int, chunk: int,
               rows: int) -> None:
    """Records with any padding; drops are a count so far, and the last one stays."""
    file = File(snoop_head(4))
    for n, ((seconds, fraction, data, more), pad) in enumerate(zip(rows_of, pads, strict=False)):
        file.data += snoop_record(seconds, fraction, data, wire=len(data) + more, drops=5 * n, pad=pad)
        file.frame(seconds * S + fraction * 1000, data, len(data) + more, 0)
    if native:
        with natively():
            capture = read(file, step, chunk, rows)
    else:
        capture = read(file, step, chunk, rows)
    assert capture.facts.dropped == 5 * max(0, len(rows_of) - 1)


@LAX
@given(rows_of=st.lists(st.tuples(st.integers(0, 1 << 40), st.sampled_from([2, 11, 16, 20, 21, 22, 23, 27, 5]), st.integers(0, 3),
                                  st.integers(0, 3), st.binary(min_size=1, max_size=60), st.sampled_from([0, 4])), min_size=4, max_size=9),
       rows=st.sampled_from([1000, 3, 1]))
def test_erf(tmp_path: Path, rows_of: list[tuple[int, int, int, int, bytes, int]], rows: int) -> None:
    """Types, ports and extension headers in any order, times growing: each type and port is an interface, in the order they are met."""
    file, numbers, now = File(), dict[tuple[int, int], int](), 1 << 40
    for later, kind, port, extensions, data, more in rows_of:
        data = b"\x45" + data if kind == 22 else data
        now += later if file.data else later & 0xFFFF  # ERF has no magic number: the file must not begin with another format's
        file.data += erf_record(now, data, kind=kind, port=port, extensions=extensions, wire=len(data) + more, lost=1)
        number = numbers.setdefault((kind, port), len(numbers))
        file.frame((now >> 32) * S + ((now & 0xFFFFFFFF) * S + (1 << 31) >> 32), data, len(data) + more, number)
    path = tmp_path / "made.erf"
    path.write_bytes(file.data)
    capture, seen = Capture(str(path), rows), []
    for chunk in capture.chunks():
        f = chunk.frames
        seen += [Written(int(f.time_ns[i]), bytes(chunk.buf[int(f.at[i]):int(f.at[i] + f.cap_len[i])]), int(f.wire_len[i]),
                         int(f.interface[i]), Flag(int(f.flags[i]))) for i in range(chunk.count)]
    assert seen == file.frames
    assert [i.name for i in capture.interfaces] == [f"port {port}" for _, port in numbers]
    assert capture.facts.dropped == sum(kind == 2 for _, kind, *_ in rows_of)
    assert capture.problems == []
