"""A capture file as a stream of chunks: a buffer and the frames in it, with everything odd about the file on record.

Memory is one chunk, whatever the file's size. Damage ends the reading, is told in `problems`, and keeps what was read.

A container format is a module with `head` (take the file's header if it is this format's) and `walk` (index records), and
perhaps `block` (read what the walker stopped at) and `finish`; FORMATS names them all.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from ..terms import CaptureError
from . import erf, pcap, pcapng, snoop, via, xpress
from .facts import Facts
from .notes import Drops, Notes, count_drops
from .packets import Frames
from .source import TEXT, Unpacked, compression, looks_like
from .walk import (
    BAD_BLOCK,
    BAD_RECORD,
    BLOCK,
    CUSTOM,
    DROPS,
    FULL,
    INTERFACE_SIZE,
    MAX_LEN,
    MORE,
    NO_INTERFACE,
    OTHER,
    STATE_SIZE,
    STOP,
    TOO_LONG,
    WHY,
)
from .windows import PacketFacts, Texts

if TYPE_CHECKING:
    from . import etl

CHUNK = 1 << 20
_ALL_KERNELS = xpress  # etl.py is imported when it is needed; its kernel belongs to the set that machine code is made for
BROKEN = -1


@dataclass(slots=True)
class Interface:
    """Where frames were captured: one for pcap, each interface block of a pcapng.

    received, dropped and os_dropped are the last statistics the file gives; lost is the sum of the drops its frames tell of.
    kind: of an interface of Windows, what it is (a miniport, a filter, an uplink ...); edges: pktmon's boundaries of it, some of them.
    """

    id: int
    link_type: int
    snaplen: int
    name: str | None = None
    tick: str = "1e-06"
    frames: int = 0
    description: str | None = None
    filter: str | None = None
    received: int | None = None
    dropped: int | None = None
    os_dropped: int | None = None
    lost: int = 0
    kind: str | None = None
    edges: list[int] = field(default_factory=list)

    def called(self) -> str:
        """Its number and, if it has them, its name and what it is described as."""
        words = [self.name] if self.name else []
        if self.description and self.description not in (self.name or ""):
            words.append(self.description)
        return f"interface {self.id}" + (f" ({', '.join(words)})" if words else "")


@dataclass
class Chunk:
    """Some consecutive frames: rows 0..count-1 of `frames` lie in `buf`, whose first byte is byte `base` of the file.

    facts: what Windows' tools say beyond that; None for most files.
    """

    buf: np.ndarray[Any, np.dtype[np.uint8]]
    frames: Frames
    count: int
    base: int
    facts: PacketFacts | None = None


class Format(NamedTuple):
    """How a container is read. head: is it this one, and if so take its header. walk(capture, row): fill the columns from `row`
    on and return the rows filled. block: read what walk stopped at and step over it; False after `capture.problem`, or if
    more bytes are needed.
    """

    head: Callable[[Capture, bytes], bool]
    walk: Callable[[Capture, int], int]
    block: Callable[[Capture], bool] | None = None
    finish: Callable[[Capture], None] | None = None


FORMATS = [
    Format(pcap.head, pcap.walk),
    Format(pcapng.head, pcapng.walk, pcapng.block, pcapng.finish),
    Format(snoop.head, snoop.walk),
    Format(erf.head, erf.walk, erf.block),
]


class Capture:
    """A capture file, opened. Iterate over `chunks()` once; then the counts, times and problems are complete.

    rows: the most frames in one chunk. most: frames after which reading ends. via: "tshark" to have it read the file; None: only if we
    cannot and it can.
    compression, facts and notes say what the file is; sided: frames have a direction or an identifier. again: the file can be read a second
    time. windows: it was made by Windows' tools; noted: the present chunk says something of frames in words. drops: frames that the file
    says were discarded. texts: what facts refer to; several captures may share one.
    """

    def __init__(self, path: str, rows: int = CHUNK // 32, via: str | None = None, most: int | None = None):
        self.path = path
        self.most = most
        self.format = ""
        self.compression: str | None = None
        self.via: str | None = via
        self.interfaces: list[Interface] = []
        self.table = np.zeros((0, INTERFACE_SIZE), np.int64)
        self.links = np.zeros(0, np.int64)
        self.lookup = np.zeros(0, np.int64)
        self.facts = Facts()
        self.frames = self.captured_bytes = self.wire_bytes = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.sided = self.windows = self.noted = False
        self.remarks = Notes()
        self.texts = Texts()
        self.drops: Drops = Drops()
        self.truncated = False
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.file_bytes: int | None = None
        self.again = False
        self.done_bytes = 0
        self.trace: etl.Trace | None = None
        self.ended = False
        self.state = np.zeros(STATE_SIZE, np.int64)
        self.buf = np.zeros(CHUNK, np.uint8)
        self.start = self.end = self.base = 0
        self.columns = Frames.empty(rows)
        self._spare: tuple[np.ndarray[Any, np.dtype[np.uint8]], Frames] | None = None
        self._given = self._interrupted = False
        self._ending = ""
        self._file = self._open()
        try:
            self._format = self._head()
        except BaseException:
            self.close()
            raise

    def _open(self) -> Any:
        try:
            if self.path == "-":
                # Unbuffered: a live capture's frames are taken as they come.
                if sys.stdin is None:
                    raise CaptureError("-", "standard input is closed")
                return getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
            file = open(self.path, "rb", buffering=0)  # noqa: SIM115 (closed by close())
            status = os.fstat(file.fileno())
        except OSError as error:
            raise CaptureError(self.path, (error.strerror or str(error)).lower()) from None
        except ValueError:
            raise CaptureError(self.path, "no such file name") from None
        if stat.S_ISREG(status.st_mode):
            self.file_bytes = status.st_size
            self.again = True
        return file

    def close(self) -> None:
        """Close the file (not standard input)."""
        if self.trace:
            self.trace.close()
        if self.path != "-":
            self._file.close()

    def alternate(self) -> None:
        """From now on, leave a chunk's arrays alone until the next chunk but one is asked for."""
        self._spare = np.zeros(len(self.buf), np.uint8), Frames.empty(len(self.columns))

    def fill(self) -> bool:
        """Move what is left to the buffer's start and read more behind it; False at the end of the file."""
        left = self.end - self.start
        if isinstance(self._file, Unpacked):
            self._file.frames = self.frames
        if left == len(self.buf):
            larger = np.zeros(2 * left, np.uint8)  # of which only what is filled takes memory
            larger[:left] = self.buf
            self.buf = larger
        elif self._spare and self._given:
            used, rest = self.buf, self.buf[self.start : self.end]
            self.buf = self._spare[0] if len(self._spare[0]) == len(used) else np.zeros(len(used), np.uint8)
            self.buf[:left] = rest
            self._spare = used, self._spare[1]
        elif self.start:
            self.buf[:left] = self.buf[self.start : self.end].copy()
        self._given = False
        self.base += self.start
        self.start, self.end = 0, left
        try:
            got = self._read(self.buf[left:].data)
        except OSError as error:
            raise CaptureError(self.path, (error.strerror or str(error)).lower(), self.base + left) from None
        self.end += got
        self.done_bytes = self._file.done if isinstance(self._file, Unpacked) else self.base + self.end
        self.ended = not got
        return bool(got)

    def _read(self, into: memoryview) -> int:
        """Read some bytes. Interrupting a live capture ends it, not us: what it still sends is read; a second time ends us too."""
        while True:
            try:
                return int(self._file.readinto(into) or 0)
            except KeyboardInterrupt:
                if self.path != "-" or self._interrupted or not self.frames:
                    raise
                self._interrupted = True

    def _head(self) -> Format:
        """Read the file's header: which format, which byte order; or say what this file is instead."""
        if self.via:
            return self._through(via.foreign(self._first()) or "pcapng")
        first = self._first()
        if packed := compression(first):
            self.compression = packed
            self._file = Unpacked(self._file, self.buf[: self.end].tobytes(), packed)
            first = self._first(True)
            if not first and self._file.problem:
                self.refuse(self._file.problem)
        if not first:
            self.refuse(f"the {self.compression} data is empty" if self.compression else "the file is empty")
        for one in FORMATS:
            if one.head(self, first):
                return one
        from . import etl  # here, as nothing else of it is needed to read a packet capture

        if etl.looks_like(self.buf[: min(self.end, etl.HEAD)].tobytes()):
            self.format = "etl"
            self.trace = etl.Trace(self, self._file, self.buf[: self.end].tobytes())
            return FORMATS[0]  # not asked: chunks() takes the trace's own
        if (foreign := via.foreign(first)) and self.path != "-" and via.program():
            return self._through(foreign)
        if foreign:
            self.refuse(f"a capture of another kind ({foreign}); {via.ADVICE}")
        return self._asked(first)

    def _first(self, anew: bool = False) -> bytes:
        """The first bytes; of a file the buffer is filled, of a pipe no more is waited for than a header needs."""
        if anew:
            self.start = self.end = self.base = 0
        enough = len(self.buf) if self.file_bytes is not None else min(40, len(self.buf))
        while self.end < enough and self.fill():
            pass
        return self.buf[: min(self.end, 512)].tobytes()

    def _rewritten(self, name: str) -> Format:
        """Read the pcapng stream that self._file now gives."""
        first = self._first(True)
        header = int.from_bytes(first[4:8], sys.byteorder)  # behind which tshark may find that it cannot write what it reads
        while self.end <= header < len(self.buf) and self.fill():
            pass
        if not pcapng.head(self, first) or (self.end <= header and (name == via.OF_TSHARK or self._file.problem)):
            self.close()
            self.refuse(f"{name} that cannot be read ({self._file.problem or 'nothing comes of it'})")
        self.format = name
        return FORMATS[1]

    def _asked(self, first: bytes) -> Format:
        """Have tshark read a file that we do not know, if it does: the formats without a magic number, and those not in our list."""
        looks = looks_like(first)
        known = looks.startswith("it looks like") and looks != TEXT
        if self.again and not known and self.compression not in ("xz", "bzip2") and via.program():
            with suppress(CaptureError):
                return self._through(via.OF_TSHARK, via.ASKING_S)
        raise CaptureError(self.path, f"not a capture file ({looks}); pcap, pcapng, snoop, ERF and ETL are read", 0)

    def _through(self, name: str, patience: float = via.PATIENCE_S) -> Format:
        """Have tshark rewrite the file as pcapng, and read that. patience: seconds until the first of it."""
        if self.path == "-":
            self.refuse("standard input cannot be read through tshark: give it a file")
        self._file.close()
        self._file = through = via.Tshark(self.path, patience=patience)
        self.via, self.file_bytes = "tshark", None
        self.notes.append("read through tshark" + (f", as {name} captures are" if name not in ("pcapng", via.OF_TSHARK) else ""))
        found = self._rewritten(name)
        through.patience = max(patience, via.PATIENCE_S)
        return found

    @property
    def mixed(self) -> bool:
        """Whether Wireshark may number more than packets as frames, in what was read so far."""
        return self.via is not None or bool(self.state[[CUSTOM, OTHER]].any())

    def refuse(self, what: str) -> NoReturn:
        """This cannot be read at all."""
        raise CaptureError(self.path, what)

    def add_interface(
        self,
        link: int,
        snaplen: int,
        name: str | None = None,
        tick: str = "1e-06",
        mul: int = 0,
        div: int = 0,
        shift: int = 0,
        offset_ns: int = 0,
    ) -> Interface:
        """Take up one more interface with the arithmetic of its clock (see walk.py)."""
        interface = Interface(len(self.interfaces), link, snaplen, name, tick)
        self.interfaces.append(interface)
        n = len(self.interfaces)
        if n > len(self.table):  # grown by doubling: files with a million interfaces exist (fuzzers make them)
            self.table = np.concatenate([self.table, np.zeros((max(4, n), INTERFACE_SIZE), np.int64)])
            self.links = np.concatenate([self.links, np.zeros(max(4, n), np.int64)])
        self.table[n - 1] = link, mul, div, shift, offset_ns, snaplen, pcap.longest(link), 0
        self.links[n - 1] = link
        return interface

    def chunks(self) -> Generator[Chunk, None, None]:
        """Give the frames, chunk by chunk; each chunk's arrays are reused for the next."""
        try:
            if self.trace:
                from .etl import chunks

                yield from chunks(self.trace, len(self.columns))
                return
            while True:
                if self.most is not None and self._enough(self.most):
                    why = FULL
                    break
                count, why = self._walk()
                if count:
                    self._account(count)
                    facts = self.remarks.facts(self, count) if self.noted else None
                    if facts:
                        count_drops(self.drops, self.columns, facts)
                    self.noted = False
                    yield Chunk(self.buf, self.columns, count, self.base, facts)
                    if self._spare:
                        self._given = True
                        self.columns, self._spare = self._spare[1], (self._spare[0], self.columns)
                if why != FULL and (why != MORE or self.ended or not self.fill()):
                    break
            self._finish(why)
        finally:
            self.close()
            self.buf, self.columns, self._spare = np.zeros(0, np.uint8), Frames.empty(0), None  # of what was read, the counts stay

    def _enough(self, most: int) -> bool:
        """Whether so many frames were read; if not, the next chunk has room for what is missing only."""
        left = most - self.frames
        if 0 < left < len(self.columns):
            self.columns = self.columns.part(0, left)
        return left <= 0

    def _walk(self) -> tuple[int, int]:
        """Fill the columns from the buffer, whatever blocks lie between the frames: their number, and why there are not more."""
        count = 0
        while True:
            count = self._format.walk(self, count)
            self.start, why = int(self.state[STOP]), int(self.state[WHY])
            if why != BLOCK or self._format.block is None:
                return count, why
            if not self._format.block(self):
                return count, BROKEN if self._ending else MORE

    def first_chunk(self) -> Chunk:
        """The frames that the buffer holds already, perhaps none; the capture is closed then."""
        try:
            return Chunk(self.buf, self.columns, self._walk()[0], self.base)
        finally:
            self.close()

    def _account(self, count: int) -> None:
        f = self.columns
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

    def problem(self, what: str) -> None:
        """Reading ends at the buffer's start: say what is there."""
        self._ending = what

    def _finish(self, why: int) -> None:
        """Say why reading ended, unless the file simply did, and what was counted on the way."""
        left = self.end - self.start
        longest = pcap.LONGEST_FRAME if self._format.block is pcapng.block else int(self.state[MAX_LEN])
        what = {
            TOO_LONG: f"a record longer than {longest} bytes",
            NO_INTERFACE: "a packet of an interface that was never described",
            BAD_RECORD: "a record whose length cannot be",
            BAD_BLOCK: "a block whose length cannot be",
            MORE: f"the file ends inside a record ({left} bytes of it are there)" if left else "",
        }.get(why) or self._ending
        before = f"{self.frames} frames before it were read"
        if why == MORE and (problem := getattr(self._file, "problem", None)):
            self.truncated = not self._file.whole or left > 0
            self.problems.append(f"{problem}: {before}")
        elif what:
            self.truncated = True
            self.problems.append(f"{what}, at byte {self.base + self.start}: {before}")
        for interface, lost in zip(self.interfaces, self.table[: len(self.interfaces), DROPS].tolist(), strict=True):
            interface.lost = lost
            self.facts.dropped += lost
        if self._format.finish:
            self._format.finish(self)
