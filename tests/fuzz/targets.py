"""The fuzz targets: what is done with any bytes, and what must hold of the outcome (see oracle.py).

A target takes bytes and a folder to write files in, raises AssertionError where a promise is broken, and returns what
came of it, so that a second run, in machine code or not, can be compared with the first.
"""
from __future__ import annotations

import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import made_files as mf
import numpy as np
import oracle
import seeds
from made_frames import extension, fragment6, icmp, ip4, ip6, tcp, udp
from made_links import TUNNELS
from oracle import columns, document, one_line, page

from pcapnat import pipeline
from pcapnat.flow import Conversations, Tracker, sockets
from pcapnat.report import analysis_json, analysis_sections, conversation_sections, socket_sections, sockets_json, terminal
from pcapnat.terms import Clock, PcapnatError, Point
from pcapnat.wire import Capture, Frames, Outer, Packets, Quoted
from pcapnat.wire.decode import decode
from pcapnat.wire.link import layouts
from pcapnat.wire.reader import batches
from pcapnat.wire.xpress import unpack, unpack_plain


class Target(NamedTuple):
    """What is fuzzed, with what it begins with, and the longest input that makes sense."""

    run: Callable[[bytes, Path], Any]
    seeds: Callable[[], list[bytes]]
    longest: int = 4096


def put(folder: Path, data: bytes, name: str = "made") -> str:
    """A file of these bytes."""
    path = folder / name
    path.write_bytes(data)
    return str(path)


def container(data: bytes, folder: Path) -> Any:
    """A file read as a whole, and a few frames at a time: the same."""
    path = put(folder, data)
    whole = oracle.read_file(path, 1 << 12)
    pieces = oracle.read_file(path, 3)
    if isinstance(whole, str):
        assert pieces == whole
    else:
        assert pieces[0] == whole[0]
        assert pieces[3:] == whole[3:]
    return whole


def xpress(data: bytes, folder: Path) -> Any:
    """Packed bytes, unpacked both ways."""
    size, packed = int.from_bytes(data[:2], "little"), data[2:]
    plain = unpack_plain(packed, min(size, len(packed) * 256))
    assert unpack(packed, size) == plain
    assert len(plain) <= size
    out = np.zeros(size, np.uint8)
    from pcapnat.wire.xpress import unpack_kernel

    made = unpack_kernel(np.frombuffer(packed, np.uint8), len(packed), out, size)
    assert out[:made].tobytes()[:len(plain)] == plain
    return plain


def frames_of(data: bytes) -> tuple[int, int, list[bytes]]:
    """(link type, payload bytes of a key, frames) that a `decode` input means."""
    first, around, how, limit = data[:4].ljust(4, b"\0")
    link = seeds.LINK_NUMBERS[first % len(seeds.LINK_NUMBERS)]
    frames = data[4:].split(seeds.SEPARATOR)[:8]
    if around:
        link = 1
        tunnel = TUNNELS[around % len(TUNNELS)]
        for _ in range(1 + (how >> 4)):
            frames = [tunnel.frame(f, bool(how & 1)) for f in frames if len(f) < 60_000]
            if how >> 4:  # a tunnel in a tunnel: the inner one without its Ethernet header
                frames = [f[14:] for f in frames]
        if how >> 4:
            frames = [f[:0] + bytes(12) + (b"\x86\xdd" if how & 1 else b"\x08\0") + f for f in frames]
    return link, limit, frames


def decoding(data: bytes, folder: Path) -> Any:
    """Frames decoded together, and each in a buffer that ends with it: the same, and nothing beyond its end is read."""
    link, limit, frames = frames_of(data)
    how = layouts([link])

    def decoded(parts: list[bytes], gap: int) -> tuple[Packets, Quoted, int, Outer, int]:
        f = Frames.empty(len(parts))
        at, body = 0, b""
        for i, part in enumerate(parts):
            body += b"\xaa" * gap
            at = len(body)
            f.at[i], f.cap_len[i], f.wire_len[i] = at, len(part), len(part)
            body += part
        p, q, o = Packets.empty(len(parts)), Quoted.empty(len(parts)), Outer.empty(8 * len(parts))
        used = decode(np.frombuffer(bytearray(body), np.uint8), f, len(parts), 0, how, p, q, o, limit)
        oracle.packets_hold(p, len(parts), q, used & 0xFFFFFFFF, o, used >> 32)
        return p, q, used & 0xFFFFFFFF, o, used >> 32
    p, q, quotes, o, outers = decoded(frames, 5)
    together, quoted, outer = columns(p, len(frames)), columns(q, quotes), columns(o, outers)
    quote = tunnel = 0
    for i, frame in enumerate(frames):
        p, q, n, o, m = decoded([frame], 0)
        alone = columns(p, 1)
        assert {k: v[0] for k, v in alone.items() if k != "offset"} == {k: v[i] for k, v in together.items() if k != "offset"}
        for table, rows, start, count in ((columns(q, n), quoted, quote, n), (columns(o, m), outer, tunnel, m)):
            assert {k: v for k, v in table.items() if k != "carrier"} == {
                k: v[start:start + count] for k, v in rows.items() if k != "carrier"}
        quote, tunnel = quote + n, tunnel + m
    return together, quoted, outer


HOSTS4 = ("10.0.0.1", "10.0.0.2", "203.0.113.1", "239.0.0.1")
HOSTS6 = ("2001:db8::1", "2001:db8::2", "fe80::1", "ff02::1")
CLOCKS = ((6, 0), (9, -4_611_686_018), (9, 4_611_686_018), (0, -1))
"""if_tsresol and if_tsoffset of the interfaces that `track` takes frames from: times 290 years apart."""


def operations(data: bytes) -> bytes:
    """A pcapng of raw IP: each eight bytes of `data` are a frame."""
    out = mf.section("<") + b"".join(mf.interface("<", 101, resolution=r, offset=o) for r, o in CLOCKS)
    last, time = ip4(17, udp()), 0
    for at in range(0, len(data) - 7, 8):
        kind, who, a, b, c, size, step, iface = data[at:at + 8]
        six = kind & 0x80 != 0
        src, dst = (HOSTS6 if six else HOSTS4)[who & 3], (HOSTS6 if six else HOSTS4)[who >> 2 & 3]
        sport, dport = 1000 + (who & 3), 1000 + (who >> 2 & 3)
        number, numbers = kind & 15, (b * 0x01010101 if c & 1 else b, c * 0x01000001)
        body, proto = udp(bytes(size), sport=sport, dport=dport), 17
        ident, frag = b, 0
        if number == 0:
            body, proto = tcp(bytes(size), sport=sport, dport=dport, seq=numbers[0], ack=numbers[1], flags=a, window=size << 8), 6
        elif number == 2:
            body, proto = icmp(a, 0, struct.pack("!HH", b, c) + bytes(size)), 58 if six else 1
        elif number == 3:
            body, proto = icmp(a, 0, bytes(4) + last[:20 + size]), 58 if six else 1
        elif number == 4:
            body, frag = (body if not a else bytes(size)), 0x2000 * (c & 1) | a
            if six:
                body, proto = fragment6(17, a, c & 1, b) + body, 44
        elif number == 5:
            body, proto = struct.pack("!II", b, c) + bytes(size), a
        elif number == 6:
            body, proto = last, 41 if last[0] >> 4 == 6 else 4
        elif number == 7:
            body, sport = udp(struct.pack("!II", 0x08000000, b << 8) + bytes(12) + b"\x08\0" + last, sport=sport, dport=4789), 4789
        elif number == 8 and six:
            body, proto = extension(17) + body, 0
        frame = ip6(proto, body, src=src, dst=dst) if six else ip4(proto, body, src=src, dst=dst, ident=ident, frag=frag)
        last = frame if len(frame) < 20_000 else last
        time += step << (a & 31 if step > 250 else 8)
        cut = frame[:len(frame) - size % 7] if number == 9 else frame
        out += mf.enhanced("<", time & (1 << 64) - 1, cut, iface=iface & 3, wire=len(frame) + (size << 24 if number == 10 else 0))
    return out


def tracking(data: bytes, folder: Path) -> Any:
    """Frames followed in batches of different sizes: the same conversations."""
    path = put(folder, operations(data[1:]))
    whole = oracle.read_file(path, 1 << 12)
    tables = []
    for rows in (1 << 12, 1 + data[0] % 7 if data else 1):
        tracker = Tracker()
        for batch in batches(Capture(path, rows)):
            tracker.feed(batch)
        tables.append(tracker.finish()[0])
    one, other = (columns(c, len(c)) for c in tables)
    assert one == other
    pages(tables[0])
    return whole


def pages(c: Conversations) -> None:
    """Everything that is printed of conversations."""
    ends = sockets(c)
    for limit in (0, 2):
        page(terminal(conversation_sections(c, [], limit)))
        page(terminal(socket_sections(ends, [], limit)))
    document(sockets_json(ends, "made", []))
    assert (ends.packets_out >= 0).all()
    assert (ends.peers <= ends.conversations).all()


def analyzing(data: bytes, folder: Path) -> Any:
    """Two captures as the two sides of a box, and one of them alone."""
    size = int.from_bytes(data[:2], "little")
    paths = [put(folder, part, name) for part, name in ((data[2:2 + size], "inside"), (data[2 + size:], "outside"))]
    told: list[Any] = []
    for points in ([Point("in", (paths[0],)), Point("out", (paths[1],))], [Point("only", tuple(paths))]):
        try:
            analysis = pipeline.analyze(points)
        except PcapnatError as error:
            told.append(one_line(error))
            continue
        said = document(analysis_json(analysis))
        for limit in (0, 1):
            page(terminal(analysis_sections(analysis, limit)))
        for box, written in zip(analysis.boxes, said["boxes"], strict=True):
            here, there = box.crossing.here, box.crossing.there
            rows = [row["conversations"] for row in written["translations"] + written["leaks"]]
            hairpins = [row for row in written["translations"] + written["leaks"] if row.get("hairpin")]
            inside = {row["inside"] for row in rows} | {row["conversations"]["outside"] for row in hairpins}
            left = [row["conversation"] for row in written["unmatched"]["inside"]]
            assert sorted({*inside, *left}) == list(range(len(here.conversations)))
            assert not inside & set(left)
            left = [row["conversation"] for row in written["unmatched"]["outside"]]
            outside = {row["conversations"]["outside"] for row in written["translations"] + written["leaks"] if not row.get("hairpin")}
            assert sorted({*outside, *left}) == list(range(len(there.conversations)))
            assert all(0 <= row["confidence"] <= 1 for row in written["translations"])
            assert all(0 <= row < len(box.translations) for m in written["mappings"] for row in m["translations"])
        assert [f.name for f in fields(Clock)]
        told.append(said)
    return told


TARGETS: dict[str, Target] = {
    "pcap": Target(container, seeds.pcaps),
    "pcapng": Target(container, seeds.pcapngs),
    "snoop": Target(container, seeds.snoops),
    "erf": Target(container, seeds.erfs),
    "etl": Target(container, seeds.etls, 8192),
    **{kind: Target(container, lambda kind=kind: seeds.packed(kind)) for kind in seeds.PACKERS},  # type: ignore[misc]
    "xpress": Target(xpress, seeds.xpresses, 1024),
    "other": Target(container, seeds.foreign, 1024),
    "decode": Target(decoding, seeds.decodes, 1024),
    "track": Target(tracking, seeds.tracks, 400),
    "analyze": Target(analyzing, seeds.analyses, 8192),
}


@contextmanager
def strictly() -> Iterator[list[str]]:
    """Nothing is compiled, nothing unpacks for long, and a warning that a user would see is an error.

    Gives a list of what could not be raised where it happened: files left open, for one. It should stay empty.
    """
    left: list[str] = []
    with oracle.small(), warnings.catch_warnings(), mock.patch.object(sys, "unraisablehook", lambda u: left.append(repr(u.exc_value))):
        warnings.simplefilter("error")
        yield left
