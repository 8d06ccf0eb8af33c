"""A capture file as a stream of chunks: a buffer and the frames in it, with everything odd about the file on record.

Memory is one chunk, whatever the file's size. Damage ends the reading, is told in `problems`, and keeps what was read.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..terms import CaptureError
from . import etl, pcapng
from .packets import Frames
from .walk import (
    BIG,
    BLOCK,
    FULL,
    INTERFACE_SIZE,
    MAX_LEN,
    MORE,
    NO_INTERFACE,
    STATE_SIZE,
    STOP,
    TICK,
    TOO_LONG,
    WHY,
    walk_pcap,
    walk_pcapng,
)
from .windows import PacketFacts

CHUNK = 1 << 20
LONGEST_FRAME = 262_144
"""What Wireshark and tcpdump take for the longest frame; a longer one is damage."""
LONGEST_BLOCK = 16 << 20
"""Wireshark's limit for one pcapng block."""
MAGICS = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}


@dataclass
class Interface:
    """Where frames were captured: one for pcap, each interface block of a pcapng."""

    id: int
    link_type: int
    snaplen: int
    name: str | None = None
    tick: str = "1e-06"
    frames: int = 0


@dataclass
class Chunk:
    """Some consecutive frames: rows 0..count-1 of `frames` lie in `buf`, whose first byte is byte `base` of the file.

    facts: what a Windows trace says of the same rows beside their bytes.
    """

    buf: np.ndarray[Any, np.dtype[np.uint8]]
    frames: Frames
    count: int
    base: int
    facts: PacketFacts | None = None


class Capture:
    """A capture file, opened. Iterate over `chunks()` once; then the counts, times and problems are complete.

    rows: the most frames in one chunk.
    """

    def __init__(self, path: str, rows: int = CHUNK // 32):
        self.path = path
        self.format = ""
        self.interfaces: list[Interface] = []
        self.table = np.zeros((0, INTERFACE_SIZE), np.int64)
        self.frames = self.captured_bytes = self.wire_bytes = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.truncated = False
        self.problems: list[str] = []
        self.file_bytes: int | None = None
        self.done_bytes = 0
        self.trace: etl.Trace | None = None
        self._file = self._open()
        self._state = np.zeros(STATE_SIZE, np.int64)
        self._buf = np.zeros(CHUNK, np.uint8)
        self._start = self._end = self._base = 0
        self._frames = Frames.empty(rows)
        try:
            self._head()
        except BaseException:
            self.close()
            raise

    def _open(self) -> Any:
        try:
            if self.path == "-":
                if sys.stdin is None:
                    raise CaptureError("-", "standard input is closed")
                return sys.stdin.buffer
            file = open(self.path, "rb", buffering=0)  # noqa: SIM115 (closed by close())
            status = os.fstat(file.fileno())
        except OSError as error:
            raise CaptureError(self.path, (error.strerror or str(error)).lower()) from None
        except ValueError:
            raise CaptureError(self.path, "no such file name") from None
        if stat.S_ISREG(status.st_mode):
            self.file_bytes = status.st_size
        return file

    def close(self) -> None:
        """Close the file (not standard input)."""
        if self.trace:
            self.trace.close()
        if self.path != "-":
            self._file.close()

    def _fill(self) -> bool:
        """Move what is left to the buffer's start and read more behind it; False at the end of the file."""
        left = self._end - self._start
        if left == len(self._buf):
            self._buf = np.concatenate([self._buf[self._start : self._end], np.zeros(len(self._buf), np.uint8)])
        elif self._start:
            self._buf[:left] = self._buf[self._start : self._end].copy()
        self._base += self._start
        self._start, self._end = 0, left
        try:
            got = self._file.readinto(self._buf[left:].data)
        except OSError as error:
            raise CaptureError(self.path, (error.strerror or str(error)).lower(), self._base + left) from None
        self._end += got or 0
        self.done_bytes = self._base + self._end
        return bool(got)

    def _head(self) -> None:
        """Read the file's header: which format, which byte order; or say what this file is instead."""
        while self._end < 24 and self._fill():
            pass
        head = bytes(self._buf[: min(self._end, 24)])
        if not head:
            raise CaptureError(self.path, "the file is empty")
        magic = head[:4]
        if magic == b"\x0a\x0d\x0d\x0a":
            self.format = "pcapng"
            self._state[MAX_LEN] = LONGEST_BLOCK
            return
        for order, big in (("<", 0), (">", 1)):
            number = struct.unpack(order + "I", magic)[0] if len(magic) == 4 else 0
            if number in MAGICS:
                if len(head) < 24:
                    raise CaptureError(self.path, f"a pcap header cut short: {len(head)} of 24 bytes")
                major, _, _, _, snaplen, link = struct.unpack(order + "HHiIII", head[4:])
                if major != 2:
                    self.problems.append(f"pcap version {major}, read as version 2")
                self.format = "pcap"
                self._state[[BIG, TICK, MAX_LEN]] = big, MAGICS[number], LONGEST_FRAME
                tick = "1e-09" if MAGICS[number] == 1 else "1e-06"
                self.add_interface(Interface(0, link & 0xFFFF, snaplen, None, tick), MAGICS[number], 0, 0, 0)
                self._start = 24
                return
        while self._end < etl.HEAD and self._fill():
            pass
        if etl.looks_like(bytes(self._buf[: min(self._end, etl.HEAD)])):
            self.format = "etl"
            self.trace = etl.Trace(self, self._file, bytes(self._buf[: self._end]))
            return
        raise CaptureError(self.path, f"not a capture file ({_looks_like(head)}); pcap and pcapng are read", 0)

    def add_interface(self, interface: Interface, mul: int, div: int, shift: int, offset_ns: int) -> None:
        """Take up one more interface with the arithmetic of its clock."""
        self.interfaces.append(interface)
        n = len(self.interfaces)
        if n > len(self.table):  # grown by doubling: files with a million interfaces exist (fuzzers make them)
            self.table = np.concatenate([self.table, np.zeros((max(4, n), INTERFACE_SIZE), np.int64)])
        self.table[n - 1] = interface.link_type, mul, div, shift, offset_ns, interface.snaplen

    def chunks(self) -> Iterator[Chunk]:
        """Give the frames, chunk by chunk; each chunk's arrays are reused for the next."""
        try:
            if self.trace:
                yield from etl.chunks(self.trace, len(self._frames))
                return
            more = True
            while True:
                count = self._walk()
                if count:
                    self._account(count)
                    yield Chunk(self._buf, self._frames, count, self._base)
                self._start = int(self._state[STOP])
                why = int(self._state[WHY])
                if why == FULL:
                    continue
                if why == BLOCK:
                    if (step := pcapng.read_block(self, self._buf, self._start, self._end, self._base, self._state)) < 0:
                        break
                    if step:
                        self._start += step
                        continue
                elif why != MORE:
                    self._damage(why)
                    break
                if not more or not (more := self._fill()):
                    self._finish()
                    break
        finally:
            self.close()

    def _walk(self) -> int:
        if self.format == "pcap":
            return walk_pcap(self._buf, self._start, self._end, self._frames, len(self._frames), self._state)
        if self._base == 0 and self._start == 0 and not self.interfaces:
            self._state[[STOP, WHY]] = 0, BLOCK  # the section header comes first, in a byte order it tells itself
            return 0
        return walk_pcapng(self._buf, self._start, self._end, self._frames, len(self._frames), self._state, self.table)

    def _account(self, count: int) -> None:
        f = self._frames
        self.frames += count
        self.captured_bytes += int(f.cap_len[:count].sum(dtype=np.int64))
        self.wire_bytes += int(f.wire_len[:count].sum(dtype=np.int64))
        times = f.time_ns[:count]
        first, last = int(times.min()), int(times.max())
        self.first_ns = first if self.first_ns is None else min(self.first_ns, first)
        self.last_ns = last if self.last_ns is None else max(self.last_ns, last)
        if len(self.interfaces) == 1:
            self.interfaces[0].frames += count
        else:
            seen, counts = np.unique(f.interface[:count], return_counts=True)
            for i, n in zip(seen.tolist(), counts.tolist(), strict=True):
                self.interfaces[i].frames += n

    def _damage(self, why: int) -> None:
        where = self._base + self._start
        what = {TOO_LONG: f"a record longer than {LONGEST_FRAME} bytes", NO_INTERFACE: "a packet of an interface that was never described"}
        self.problem(what.get(why, "a block whose length cannot be"), where)

    def problem(self, what: str, where: int) -> None:
        """Reading ends here: say what and where."""
        self.truncated = True
        self.problems.append(f"{what}, at byte {where}: {self.frames} frames before it were read")

    def _finish(self) -> None:
        left = self._end - self._start
        if left:
            self.problem(f"the file ends inside a record ({left} bytes of it are there)", self._base + self._start)


def _looks_like(head: bytes) -> str:
    """A guess at what a file is, from its first bytes, for the one line an error gets."""
    known = {
        b"\x1f\x8b": "gzip data",
        b"\x28\xb5\x2f\xfd": "zstd data",
        b"\x04\x22\x4d\x18": "lz4 data",
        b"\xfd7zXZ": "xz data",
        b"BZh": "bzip2 data",
        b"PK\x03\x04": "a zip archive",
        b"snoop\0\0\0": "a snoop capture",
        b"\x7fELF": "a program",
    }
    for magic, name in known.items():
        if head.startswith(magic):
            return f"it looks like {name}"
    if all(32 <= b < 127 or b in b"\t\r\n" for b in head):
        return "it looks like text"
    return "unknown first bytes " + head[:4].hex(" ")
