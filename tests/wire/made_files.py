"""Capture files built with struct: pcap headers and records, and pcapng blocks, in either byte order. `order` is "<" or ">"."""
from __future__ import annotations

import io
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

SHB, IDB, PB, SPB, NRB, ISB, EPB = 0x0A0D0D0A, 1, 2, 3, 4, 5, 6


def pcap_head(order: str, *, ns: bool = False, link: int = 1, snaplen: int = 65535, major: int = 2) -> bytes:
    """The 24 bytes a pcap file begins with."""
    return struct.pack(order + "IHHiIII", 0xA1B23C4D if ns else 0xA1B2C3D4, major, 4, 0, 0, snaplen, link)


def pcap_record(order: str, seconds: int, fraction: int, data: bytes, wire: int | None = None) -> bytes:
    """One record: its 16 bytes of header and its data."""
    return struct.pack(order + "IIII", seconds, fraction, len(data), len(data) if wire is None else wire) + data


def block(order: str, kind: int, body: bytes) -> bytes:
    """A pcapng block around `body`, padded to four bytes."""
    body += b"\0" * (-len(body) % 4)
    size = len(body) + 12
    return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size)


def option(order: str, code: int, value: bytes) -> bytes:
    """A pcapng option, padded."""
    return struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def section(order: str, options: bytes = b"") -> bytes:
    """A section header block of unknown section length."""
    return block(order, SHB, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + options)


def interface(order: str, link: int = 1, *, snaplen: int = 0, resolution: int | None = None, offset: int | None = None,
              name: str | None = None) -> bytes:
    """An interface description block with the options given."""
    options = b""
    if name is not None:
        options += option(order, 2, name.encode())
    if resolution is not None:
        options += option(order, 9, bytes([resolution]))
    if offset is not None:
        options += option(order, 14, struct.pack(order + "q", offset))
    if options:
        options += option(order, 0, b"")
    return block(order, IDB, struct.pack(order + "HHI", link, 0, snaplen) + options)


def enhanced(order: str, ticks: int, data: bytes, *, iface: int = 0, wire: int | None = None, options: bytes = b"") -> bytes:
    """An enhanced packet block."""
    head = struct.pack(order + "IIIII", iface, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data) if wire is None else wire)
    return block(order, EPB, head + data + b"\0" * (-len(data) % 4) + options)


def obsolete(order: str, ticks: int, data: bytes, *, iface: int = 0, drops: int = 0xFFFF, wire: int | None = None) -> bytes:
    """A packet block as written before there were enhanced ones: interface and drop count share the first word."""
    head = struct.pack(order + "HHIIII", iface, drops, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data) if wire is None else wire)
    return block(order, PB, head + data)


def simple(order: str, data: bytes, wire: int | None = None) -> bytes:
    """A simple packet block: length on the wire and data, nothing else."""
    return block(order, SPB, struct.pack(order + "I", len(data) if wire is None else wire) + data)


class Trickle(io.RawIOBase):
    """A stream that gives at most `step` bytes at a time, as a pipe may."""

    def __init__(self, data: bytes, step: int):
        super().__init__()
        self.data, self.step, self.at = data, step, 0

    def readinto(self, into: Any) -> int:
        size = min(self.step, len(into), len(self.data) - self.at)
        into[:size] = self.data[self.at:self.at + size]
        self.at += size
        return size


@contextmanager
def stdin(data: bytes, step: int = 1 << 30) -> Iterator[str]:
    """Make `data` standard input; gives the path that means it."""
    with mock.patch.object(sys, "stdin", SimpleNamespace(buffer=Trickle(data, step))):
        yield "-"


def patched_record(order: str, seconds: int, fraction: int, data: bytes, header: int, *, wire: int | None = None,
                   swapped: bool = False) -> bytes:
    """A pcap record with a header of more bytes than usual, as patched libpcaps wrote, or with its two lengths in the old order."""
    lengths = [len(data), len(data) if wire is None else wire]
    return struct.pack(order + "IIII", seconds, fraction, *(lengths[::-1] if swapped else lengths)) + bytes(header - 16) + data


def snoop_head(link: int = 4, version: int = 2) -> bytes:
    """The 16 bytes a snoop file begins with."""
    return b"snoop\0\0\0" + struct.pack(">II", version, link)


def snoop_record(seconds: int, micros: int, data: bytes, *, wire: int | None = None, drops: int = 0, pad: int | None = None) -> bytes:
    """A snoop record, padded to four bytes or by `pad`."""
    pad = -len(data) % 4 if pad is None else pad
    lengths = len(data) if wire is None else wire, len(data), 24 + len(data) + pad
    return struct.pack(">IIIIII", *lengths, drops, seconds, micros) + data + bytes(pad)


def erf_record(time: int, data: bytes, *, kind: int = 2, port: int = 0, wire: int | None = None, extensions: int = 0,
               lost: int = 0) -> bytes:
    """An ERF record; time is in 2**-32 seconds."""
    head = {2: 2, 11: 2, 16: 2, 20: 2, 5: 4}.get(kind, 0)
    more = b"".join(bytes([0x80 if n < extensions - 1 else 0]) + bytes(7) for n in range(extensions))
    size = 16 + len(more) + head + len(data)
    return struct.pack("<Q", time) + struct.pack(">BBHHH", kind | (0x80 if extensions else 0), port, size, lost,
                                                 len(data) if wire is None else wire) + more + bytes(head) + data
