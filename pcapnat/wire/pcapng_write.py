"""A pcapng file written frame by frame: interfaces, packets with nanoseconds and comments (draft-ietf-opsawg-pcapng)."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ..terms import PcapnatError

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
END = b"\0\0\0\0"
COMMENT, APPLICATION, NAME, DESCRIPTION, RESOLUTION = 1, 4, 2, 3, 9
MOST_WORDS = 10_000
PENDING = 1 << 20
"""Bytes kept before they are written."""


def option(code: int, value: bytes) -> bytes:
    """An option, padded."""
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def words(text: str) -> bytes:
    """Text as an option holds it: UTF-8, as much as fits, what a path holds that is no text replaced."""
    return text[:MOST_WORDS].encode("utf-8", "replace")


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size


class PcapngWriter:
    """A file to write frames to; a context manager. OSError while writing becomes a PcapnatError that names the file."""

    def __init__(self, path: str, application: str, comment: str = ""):
        self.path = path
        self.frames = 0
        self._interfaces = 0
        self._pending: list[bytes] = []
        self._size = 0
        try:
            self._file: BinaryIO = Path(path).open("wb")  # noqa: SIM115 (closed by __exit__)
        except (OSError, ValueError) as error:
            raise self._refused(error) from None
        options = option(APPLICATION, words(application))
        if comment:
            options = option(COMMENT, words(comment)) + options
        self._put(_block(SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options + END))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._file.close()

    def interface(self, link_type: int, name: str, description: str, snaplen: int = 0) -> int:
        """A new interface with nanoseconds; its number."""
        options = option(NAME, words(name)) + option(DESCRIPTION, words(description)) + option(RESOLUTION, b"\x09") + END
        self._put(_block(INTERFACE, struct.pack("<HHI", link_type, 0, snaplen) + options))
        self._interfaces += 1
        return self._interfaces - 1

    def frame(self, interface: int, time_ns: int, data: bytes, wire_len: int, comment: str = "") -> None:
        """A frame; comment: nothing for none. Times before 1970 are written as 1970."""
        size, when = len(data), max(0, time_ns)
        pad = -size % 4
        tail = option(COMMENT, words(comment)) + END if comment else b""
        total = 32 + size + pad + len(tail)
        head = struct.pack("<IIIIIII", PACKET, total, interface, when >> 32 & 0xFFFFFFFF, when & 0xFFFFFFFF, size, wire_len)
        self._put(b"".join((head, data, bytes(pad), tail, struct.pack("<I", total))))
        self.frames += 1

    def _put(self, data: bytes) -> None:
        self._pending.append(data)
        self._size += len(data)
        if self._size >= PENDING:
            self._flush()

    def _flush(self) -> None:
        try:
            self._file.write(b"".join(self._pending))
            self._file.flush()
        except OSError as error:
            raise self._refused(error) from None
        self._pending, self._size = [], 0

    def _refused(self, error: OSError | ValueError) -> PcapnatError:
        what = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
        return PcapnatError(f"{self.path}: {what}")
