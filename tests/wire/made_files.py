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
