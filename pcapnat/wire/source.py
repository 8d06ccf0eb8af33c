"""Where a capture's bytes come from: a file or a stream, unpacked on the way if it is compressed.

A Source gives bytes into a buffer, like a raw file. Unpacking streams: memory stays at some megabytes whatever the file
holds. Damage ends the stream, is told in `problem`, and keeps what came before.
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

STEP = 1 << 16
FIRST_STEP = 1 << 11
"""What a member is given first, and twice as much each time: of many small ones, none is given all the others' bytes as well."""
ZSTD_STEP = 2048
"""zstandard gives no way to bound what comes out; a block of 4 bytes holds at most 128 KiB, so this bounds it to 64 MiB."""
ZSTD_WINDOW = 1 << 27
"""The zstd program's own limit."""
XZ_MEMORY = 256 << 20
BOMB_BYTES, BOMB_RATIO = 1 << 28, 500
"""More than this unpacked, at more than this ratio: nothing a network makes; unpacking ends there and says so."""
BOMB_FRAMES, FRAME_BYTES = 1 << 18, 2
"""So do more frames than this, if they come of fewer bytes each: a frame's time alone takes as many."""


class Engine(Protocol):
    """One member of a compressed file: bz2's decompressor is the model."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Some of what `data`, and what was given before it, unpacks to."""


class _Zlib:
    def __init__(self) -> None:
        self._engine = zlib.decompressobj(wbits=31)
        self._left = b""
        self._error: zlib.error | None = None

    eof = property(lambda self: self._engine.eof)
    unused_data = property(lambda self: self._engine.unused_data)
    needs_input = property(lambda self: not self._left)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._error:
            raise self._error
        before, data = self._engine.copy(), self._left + data
        try:
            out = self._engine.decompress(data, max_length)
            self._left = self._engine.unconsumed_tail
        except zlib.error as error:  # it is raised again by the next call
            self._error, self._left = error, data
            out = _up_to_damage(before, data)
            if not out:
                raise
        return out


def _up_to_damage(engine: Any, data: bytes) -> bytes:
    """What the bytes before the damaged one unpack to: zlib's error takes the whole call's output with it."""
    found = []
    with suppress(zlib.error):
        for k in range(len(data)):
            found.append(engine.decompress(data[k : k + 1]))
    return b"".join(found)


class _Zstd:
    def __init__(self, before: _Zstd | None = None) -> None:
        import zstandard  # here and below: only who reads such a file waits for the import

        self._maker: Any = before._maker if before else zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._engine = self._maker.decompressobj()

    eof = property(lambda self: self._engine.eof)
    unused_data = property(lambda self: self._engine.unused_data)
    needs_input = True

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._engine.decompress(data) if data else b""


def _lz4(before: Any) -> Any:
    import lz4.frame

    if before:
        before.reset()
    return before or lz4.frame.LZ4FrameDecompressor()


ENGINES: dict[str, tuple[tuple[bytes, ...], Callable[[Any], Any], int]] = {
    "gzip": ((b"\x1f\x8b\x08",), lambda _: _Zlib(), STEP),
    "bzip2": (tuple(b"BZh%d" % n for n in range(1, 10)), lambda _: bz2.BZ2Decompressor(), STEP),
    "xz": ((b"\xfd7zXZ\0",), lambda _: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY), STEP),
    "zstd": ((b"\x28\xb5\x2f\xfd",), _Zstd, ZSTD_STEP),
    "lz4": ((b"\x04\x22\x4d\x18",), _lz4, STEP),
}
"""name: (first bytes, what unpacks a member made of what unpacked the one before, how much of the file is given to it at once)."""
SKIPPABLE = tuple(bytes([n]) + b"\x2a\x4d\x18" for n in range(0x50, 0x60))
"""Frames of zstd and lz4 that hold no data (pzstd writes them); the number of their bytes follows."""


def compression(head: bytes) -> str | None:
    """Which compression these first bytes begin, if any."""
    if head.startswith(SKIPPABLE):
        return "zstd"
    return next((name for name, (magics, _, _) in ENGINES.items() if head.startswith(magics)), None)


class Unpacked:
    """The bytes inside a compressed stream; members behind each other are one stream, as the programs that write them have it."""

    def __init__(self, file: Any, head: bytes, kind: str):
        self.kind = kind
        self.problem: str | None = None
        self.whole = True
        self.done = len(head)
        self.made = 0
        self.frames = 0
        """Frames found in it so far: told by who reads."""
        self._file = file
        self._ahead = head
        self._at = 0
        self._size = 0
        self._magics, self._make, self._step = ENGINES[kind]
        self._engine: Any = None
        self._held = memoryview(b"")
        self._over = False

    def close(self) -> None:
        """Close the file beneath."""
        self._file.close()

    def readinto(self, into: Any) -> int:
        """Fill `into` from its start with at least one byte; 0 at the end or at the damage."""
        if self.frames > BOMB_FRAMES and self.frames * FRAME_BYTES > self.done and not self._over:
            self._held = memoryview(b"")
            self._end(f"the {self.kind} data holds more frames than so few bytes can: unpack it yourself if that is right")
        while not self._held and not self._over:
            try:
                self._held = memoryview(self._more(len(into)))
            except (OSError, EOFError, ValueError, RuntimeError, MemoryError, zlib.error, lzma.LZMAError) as error:
                self._end(f"the {self.kind} data is damaged ({_line(error)})")
            except Exception as error:
                if type(error).__module__.partition(".")[0] not in ("zstandard", "zstd", "lz4", "_lzma"):
                    raise
                self._end(f"the {self.kind} data is damaged ({_line(error)})")
        got = min(len(into), len(self._held))
        into[:got] = self._held[:got]
        self._held = self._held[got:]
        return got

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size` of them; none at the end."""
        room = bytearray(size)
        return bytes(room[: self.readinto(room)])

    def seekable(self) -> bool:
        """Never: what is unpacked comes once."""
        return False

    def _end(self, problem: str | None = None, whole: bool = False) -> None:
        self._over = True
        if problem:
            self.whole = whole
            self.problem = f"{problem}, at byte {self.done} of the file"

    def _take(self, size: int) -> bytes:
        """The next bytes of the file, at most `size`."""
        if self._at == len(self._ahead):
            self._ahead, self._at = self._file.read(STEP) or b"", 0
            self.done += len(self._ahead)
        data = self._ahead[self._at : self._at + size]
        self._at += len(data)
        return data

    def _more(self, room: int) -> bytes:
        if not self._size:
            return self._member()
        data = self._take(self._size) if self._engine.needs_input else b""
        if not data and self._engine.needs_input:
            self._end(f"the {self.kind} data ends early")
            return b""
        out: bytes = self._engine.decompress(data, min(room, 16 * self._size))
        self.made += len(out)
        self._size = min(2 * self._size, self._step)
        if self._engine.eof:
            self._at -= len(self._engine.unused_data or b"")  # they are the end of what was taken last
            self._size = 0
        if self.made > BOMB_BYTES and self.made > BOMB_RATIO * self.done:
            self._end(
                f"the {self.kind} data unpacks to more than {BOMB_RATIO} times its size ({self.made >> 20} MB so far): "
                "unpack it yourself if that is right"
            )
        return out

    def _member(self) -> bytes:
        """Begin the next member, if there is one; zeros between and behind members are padding."""
        while True:
            if self.made and self._at < len(self._ahead):
                found = NO_PADDING.search(self._ahead, self._at)
                self._at = found.start() if found else len(self._ahead)
            rest = len(self._ahead) - self._at
            if rest >= 8:
                break
            kept, self._at = self._ahead[self._at :], len(self._ahead)
            more = self._take(STEP)
            self._ahead, self._at = kept + more, 0
            if not more:
                break
        head = self._ahead[self._at : self._at + 8]
        if not head:
            self._end()
        elif head.startswith(self._magics):
            self._engine = self._make(self._engine)
            self._size = min(FIRST_STEP, self._step)
        elif self.kind in ("zstd", "lz4") and head.startswith(SKIPPABLE) and len(head) >= 8:
            left = 8 + int.from_bytes(head[4:8], "little")
            while left and (data := self._take(min(left, STEP))):
                left -= len(data)
        else:
            self._end(f"something else follows the {self.kind} data and is left out", whole=True)
        return b""


NO_PADDING = re.compile(rb"[^\0]")


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip()


TEXT = "it looks like text"


def looks_like(head: bytes) -> str:
    """A guess at what a file is, from its first bytes, for the one line an error gets."""
    known = {b"PK\x03\x04": "a zip archive", b"7z\xbc\xaf": "a 7z archive", b"\x7fELF": "a program", b"MZ": "a program"}
    for magic, name in known.items():
        if head.startswith(magic):
            return f"it looks like {name}"
    if packed := compression(head):
        return f"it looks like {packed} data"
    if all(32 <= b < 127 or b in b"\t\r\n" for b in head):
        return TEXT
    return "unknown first bytes " + head[:4].hex(" ")
