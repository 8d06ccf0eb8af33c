"""Event Trace Log files: what `netsh trace` and pktmon write. The container; its events are etl_events.py's, the packets etl_packets.py's.

The file is a row of buffers, each one processor's events for a while, so times run on inside a buffer and overlap
between buffers. A first pass notes where each buffer begins in time and what pktmon's components are called (the trace
says so at its end); the second opens buffers in the order of time and hands packets out merged. At any moment only
the buffers that overlap are in memory.
"""

from __future__ import annotations

import heapq
import re
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..table import Array
from ..terms import CaptureError
from .etl_events import EVENT_32, EVENT_64, EVENT_SIZE, event_at, event_size, first_time
from .etl_packets import COMPONENT_EVENTS, PKTMON, PROVIDERS, Decoder, Event, Packet
from .notes import count_drops, sparse
from .packets import Flag
from .walk import FAR_FUTURE as FAR
from .windows import SAYS_DIRECTION, Direction
from .xpress import MOST, unpack

if TYPE_CHECKING:
    from .capture import Capture, Chunk, Interface

BUFFER = Struct("<IIII32xIHH16x")
"""WMI_BUFFER_HEADER: bytes in the file, bytes used (unpacked), two more, offset, flags, type. At 40: the processor."""
PROCESSOR = 40
COMPRESSED = 0x40
HEADER_TYPE = 4
HEAD = 80
"""Bytes that tell a trace log: the first buffer's header and the beginning of its first event."""

QPC, SYSTEM_TIME, CYCLES = 1, 2, 3
POWERS_OF_TEN = {10**i for i in range(10)}
EPOCH = 116_444_736_000_000_000
"""1970 in Windows' count of 100 ns since 1601."""

CIRCULAR = 2
"""Mode of a log that begins again at its file's beginning when the file is full: more was written than is there."""
MOST_BUFFERS = 250_000
"""Those never used count as well."""
MOST_KINDS = 10_000
MOST_LINES = 20
LONGEST_BUFFER = 64 << 20
"""Windows' own limit is 16 MB."""
KEEP = 48 << 20
"""Traces up to this size are unpacked once and kept; of larger ones each buffer is unpacked in both passes."""
LOOKED_INTO, LOOKED_AT = 16, 1_000
"""Buffers, and packets, that a first glance takes."""
BOMB_BYTES, BOMB_RATIO = 32 << 20, 20
"""More than this in compressed buffers, at more than this ratio: real traces reach 10. Reading ends there and says so."""
HELD, HELD_EACH = 128 << 20, 400
"""The most bytes of packets, and what each takes besides, that wait for buffers that overlap; beyond it packets come out of order,
and that is said."""
CHUNK_BYTES = 1 << 20
BYTES_A_FRAME = 300


class Reference(NamedTuple):
    """The clock of a trace: at `ticks`, it was `ns`."""

    kind: int
    ticks: int
    ns: int
    frequency: int

    def nanoseconds(self, ticks: int) -> int:
        """A logged time as nanoseconds since 1970."""
        if self.kind == SYSTEM_TIME:
            return (ticks - EPOCH) * 100
        return self.ns + (ticks - self.ticks) * 1_000_000_000 // self.frequency


@dataclass(slots=True)
class Buffer:
    """Where a buffer lies in the file. size: bytes there; used: bytes of it that count, unpacked."""

    at: int
    size: int
    used: int
    processor: int
    compressed: bool
    first: int = 0
    body: bytes | None = None


def looks_like(head: bytes) -> bool:
    """Whether a file that begins so is a trace log: a header buffer, whose first event is the log file header."""
    if len(head) < HEAD:
        return False
    size, used, _, _, _, _, kind = BUFFER.unpack_from(head)
    return (
        kind == HEADER_TYPE
        and HEAD <= used <= size <= LONGEST_BUFFER
        and head[74] in (1, 2)
        and head[75] == 0xC0
        and head[78:80] == b"\0\0"
    )


class Trace:
    """An opened trace log. `packets()` gives its packets once, in the order of time."""

    def __init__(self, capture: Capture, file: Any, head: bytes):
        """`head` are the bytes already taken from `file`, which may be a pipe: then it is put by in a temporary file."""
        self.capture = capture
        self.file = file
        if not file.seekable():
            self.file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the capture)
            self._put_by(file, head)
        self.decoder = Decoder(self._interface, lambda text: capture.texts.number(text))
        self._other: Counter[bytes] = Counter()
        self.found = 0
        self._damaged: set[int] = set()
        try:
            self._header()
        except BaseException:  # nobody has it yet who would close it
            self.close()
            raise

    def _put_by(self, file: Any, head: bytes) -> None:
        try:
            self.file.write(head)
            while block := file.read(CHUNK_BYTES):
                self.file.write(block)
        except OSError as error:  # a full disk, say
            self.file.close()
            raise CaptureError(self.capture.path, f"cannot be put by to be read ({(error.strerror or str(error)).lower()})") from None
        if problem := getattr(file, "problem", None):
            self.capture.truncated = not file.whole
            self.capture.problems.append(problem)

    def close(self) -> None:
        """Remove the temporary file, if one was made."""
        if self.file is not self.capture._file:
            self.file.close()

    def _read(self, at: int, size: int) -> bytes:
        try:
            self.file.seek(at)
            parts = []
            while size > 0 and (part := self.file.read(size)):
                parts.append(part)
                size -= len(part)
        except OSError as error:
            raise CaptureError(self.capture.path, (error.strerror or str(error)).lower(), at) from None
        return b"".join(parts)

    def _header(self) -> None:
        """Read TRACE_LOGFILE_HEADER: the clock and what was lost. Pointers in it make it 8 bytes shorter on 32-bit Windows."""
        head = self._read(0, 4096)
        event = head[72:]
        header = event[32:]
        number = int.from_bytes
        pointer = number(header[44:48], "little")
        at = 248 if pointer == 8 else 240
        if len(header) < at + 32:
            raise CaptureError(self.capture.path, f"a trace log's header cut short: {len(head)} bytes of it are there")
        ticks = number(event[16:24], "little", signed=True)
        frequency, start = (number(header[at + i : at + i + 8], "little", signed=True) for i in (8, 16))
        clock = number(header[at + 24 : at + 28], "little")
        if clock == CYCLES:
            frequency = number(header[52:56], "little") * 1_000_000
        if clock not in (QPC, SYSTEM_TIME, CYCLES) or (clock != SYSTEM_TIME and frequency <= 0):
            raise CaptureError(self.capture.path, f"a trace log with an unknown clock (type {clock}, {frequency} ticks a second)")
        self.reference = Reference(clock, ticks, (start - EPOCH) * 100, frequency)
        self.nominal_size = BUFFER.unpack_from(head)[0]
        mode, written = number(header[32:36], "little"), number(header[36:40], "little")
        self.written = 0 if mode & CIRCULAR else written
        lost = number(header[48:52], "little"), number(header[at + 28 : at + 32], "little")
        if any(lost):
            self.capture.problems.append(f"Windows itself lost {lost[0]:,} events and {lost[1]:,} buffers while it wrote this trace")

    def expected_frames(self) -> int:
        """About how many frames there are, from the buffers' sizes."""
        return sum(min(b.used, b.size * (BOMB_RATIO if b.compressed else 1)) for b in self._buffers(quietly=True)) // BYTES_A_FRAME + 1

    def snaplens(self) -> list[int]:
        """To how many bytes packets were cut, as the first ones show; nothing if none of them was."""
        cut = packets = 0
        for buffer in islice(self._buffers(quietly=True), LOOKED_INTO):
            for packet in (self.decoder.packet(event) for _, event in self._events(buffer)):
                if packet:
                    packets += 1
                    cut = max(cut, len(packet.data) if len(packet.data) < packet.wire_len else 0)
                if packets >= LOOKED_AT:
                    break
        return [cut] if cut else []

    # buffers

    def _buffers(self, quietly: bool = False) -> Iterator[Buffer]:
        """The buffers after the first, in file order, up to the damage if there is any."""
        at = self.nominal_size
        count, unused = 1, 0
        while True:
            head = self._read(at, 72)
            if len(head) < 72:
                if head and not quietly:
                    self._ends(f"the file ends inside a buffer's header ({len(head)} bytes of it are there)", at)
                elif count - unused < self.written and not quietly:
                    self._ends(f"the file ends after {count - unused:,} of the {self.written:,} buffers that Windows wrote", at)
                return
            count += 1
            if count > MOST_BUFFERS:
                if not quietly:
                    self._ends(f"more than {MOST_BUFFERS:,} buffers", at)
                return
            if not any(head):  # room reserved and never used
                at += self.nominal_size
                unused += 1
                continue
            size, used, _, _, _, flags, _ = BUFFER.unpack(head)
            if not 72 <= size <= LONGEST_BUFFER or used > LONGEST_BUFFER:
                if not quietly:
                    self._ends("a buffer whose length cannot be", at)
                return
            yield Buffer(at, size, used, head[PROCESSOR] | head[PROCESSOR + 1] << 8, bool(flags & COMPRESSED))
            at += size

    def _ends(self, what: str, at: int) -> None:
        self.capture.truncated = True
        self.capture.problems.append(f"{what}, at byte {at}: buffers before it are read")

    def _body(self, buffer: Buffer, again: bool) -> bytes:
        """The events of a buffer. Damage is counted the first time."""
        if buffer.body is not None:
            return buffer.body
        stored = self._read(buffer.at + 72, buffer.size - 72)
        if not again and len(stored) < buffer.size - 72:
            self._ends(f"the file ends inside a buffer ({len(stored) + 72} of its {buffer.size} bytes are there)", buffer.at)
        wanted = max(0, buffer.used - 72)
        body = unpack(stored, min(wanted, len(stored) * MOST)) if buffer.compressed else stored[:wanted]
        if not again and len(body) < wanted:
            self._damaged.add(buffer.at)
        return body

    def _survey(self) -> list[Buffer]:
        """The first pass."""
        found = []
        kept = packed = unpacked = 0
        names = re.compile(re.escape(PKTMON) + rb"[" + b"".join(re.escape(bytes([i])) for i in sorted(COMPONENT_EVENTS)) + rb"]\0")
        for buffer in self._buffers():
            body = self._body(buffer, again=False)
            if buffer.compressed:
                packed, unpacked = packed + buffer.size, unpacked + len(body)
                if unpacked > BOMB_BYTES and unpacked > BOMB_RATIO * packed:
                    self._ends(f"compressed buffers that unpack to more than {BOMB_RATIO} times their size", buffer.at)
                    break
            first = first_time(body)
            if first is None:
                continue
            buffer.first = first
            for match in names.finditer(body):
                at = match.start() - 24
                if at >= 0 and at % 8 == 0 and body[at + 3] == 0xC0 and (event := event_at(body, at, 0)) is not None:
                    self.decoder.component(event.id, event.data)
            kept += len(body)
            if kept <= KEEP:
                buffer.body = body
            found.append(buffer)
        if kept > KEEP:
            for buffer in found:
                buffer.body = None
        return sorted(found, key=lambda b: b.first)

    # events

    def packets(self) -> Iterator[tuple[int, Packet]]:
        """Time in nanoseconds and packet, in the order of time."""
        waiting: list[tuple[int, int, Event]] = []
        held = serial = done = 0
        disorder = False
        for buffer in self._survey():
            while waiting and waiting[0][0] < buffer.first:
                held -= len(waiting[0][2].data) + HELD_EACH
                yield from self._out(heapq.heappop(waiting))
            for time, event in self._events(buffer):
                heapq.heappush(waiting, (time, serial, event))
                serial += 1
                held += len(event.data) + HELD_EACH
                while held > HELD:
                    disorder = True
                    held -= len(waiting[0][2].data) + HELD_EACH
                    yield from self._out(heapq.heappop(waiting))
            buffer.body = None
            done += buffer.size
            self.capture.done_bytes = done
        while waiting:
            yield from self._out(heapq.heappop(waiting))
        self._say(disorder)

    def _out(self, waiting: tuple[int, int, Event]) -> Iterator[tuple[int, Packet]]:
        if (packet := self.decoder.packet(waiting[2])) is not None:
            self.found += 1
            yield self.reference.nanoseconds(waiting[0]), packet

    def _events(self, buffer: Buffer) -> Iterator[tuple[int, Event]]:
        """The modern events of PROVIDERS in a buffer; the others are counted."""
        body = self._body(buffer, again=True)
        at = 0
        while at + 8 <= len(body):
            size = event_size(body, at)
            if size < 8 or at + size > len(body):
                if body[at : at + 4] != b"\xff\xff\xff\xff":
                    self._damaged.add(buffer.at)
                return
            kind = body[at + 2]
            if kind in (EVENT_32, EVENT_64) and body[at + 3] == 0xC0:
                if size < EVENT_SIZE:
                    self._damaged.add(buffer.at)
                    return
                provider = body[at + 24 : at + 40]
                if provider not in PROVIDERS:
                    self._pass_over(body[at + 24 : at + 42])
                elif (event := event_at(body, at, buffer.processor)) is not None:
                    yield int.from_bytes(body[at + 16 : at + 24], "little", signed=True), event
                else:
                    self._damaged.add(buffer.at)
                    return
            else:
                self._pass_over(body[at + 2 : at + 3])
            at += size + 7 & ~7

    def _pass_over(self, what: bytes) -> None:
        self._other[what if what in self._other or len(self._other) < MOST_KINDS else b""] += 1

    @property
    def other(self) -> dict[tuple[str, int], int]:
        """Events that are no packets, by provider and number; older kinds of events have their header's type as number."""
        return {_kind(key): n for key, n in self._other.items()}

    def _say(self, disorder: bool) -> None:
        """Everything seen: what was not understood."""
        self.decoder.finish()
        problems = self.capture.problems
        if self._damaged:
            where = f"the first at byte {min(self._damaged)}"
            problems.append(f"damaged buffers: {len(self._damaged):,}, {where}; the events before the damage were read")
        undecoded = sorted(self.decoder.undecoded.items())
        for (provider, event, why), n in undecoded[:MOST_LINES]:
            problems.append(f"not decoded: {n:,} of {provider}'s events {event}: {why}")
        if len(undecoded) > MOST_LINES:
            problems.append(
                f"not decoded: {sum(n for _, n in undecoded[MOST_LINES:]):,} more of {len(undecoded) - MOST_LINES:,} other kinds"
            )
        if not self.found:
            problems.append(f"this trace holds no packets ({sum(self._other.values()):,} events of other kinds were passed over)")
        if disorder:
            problems.append("so many processors logged at once that some packets are not in the order of time")

    def _interface(self, name: str, link: int, kind: str | None, description: str) -> int:
        number = len(self.capture.interfaces)
        frequency = 10_000_000 if self.reference.kind == SYSTEM_TIME else self.reference.frequency
        tick = f"{1 / frequency:.0e}" if frequency in POWERS_OF_TEN else f"1/{frequency}"
        made = self.capture.add_interface(link, 0, name, tick)
        made.kind, made.description = kind, description or None
        return number


def _kind(key: bytes) -> tuple[str, int]:
    if len(key) < 18:
        return ("old kind", key[0]) if key else ("more kinds", 0)
    return str(uuid.UUID(bytes_le=key[:16])), int.from_bytes(key[16:], "little")


SIDE = np.array([0 if d.inbound is None else 1 if d.inbound else 2 for d in Direction], np.uint8)
"""Direction as pcapng's epb_flags have it: 1 inbound, 2 outbound."""
MOST_EDGES = 16


def _edges(interfaces: list[Interface], of: Array, edge: Array) -> None:
    """Note which edges of its component an interface shows."""
    for both in np.unique(of.astype(np.int64) << 16 | edge).tolist():
        known = interfaces[both >> 16].edges
        if both & 0xFFFF and both & 0xFFFF not in known and len(known) < MOST_EDGES:
            known.append(both & 0xFFFF)


def chunks(trace: Trace, rows: int) -> Iterator[Chunk]:
    """A trace's packets as chunks like those of any capture, with facts.

    The trace may be compressed: a chunk's `base` counts the bytes of the frames handed out before it.
    """
    from .capture import Chunk

    capture, frames = trace.capture, trace.capture.columns
    capture.windows = True
    base = size = 0
    block: list[tuple[int, Packet]] = []

    def pack() -> Chunk:
        f, n = frames, len(block)
        times = [time for time, _ in block]
        lengths = np.array([len(packet.data) for _, packet in block], np.int64)
        f.time_ns[:n] = [max(-FAR, min(FAR, t)) for t in times]
        f.cap_len[:n] = lengths
        f.at[:n] = np.cumsum(lengths) - lengths
        f.wire_len[:n] = [packet.wire_len for _, packet in block]
        f.interface[:n] = [packet.interface for _, packet in block]
        f.flags[:n] = np.where(f.cap_len[:n] < f.wire_len[:n], int(Flag.CUT), 0)
        f.flags[:n] |= np.array([int(Flag.BAD_TIME) * (abs(t) > FAR) for t in times], np.uint32)
        f.packet_id[:n] = [packet.packet_id for _, packet in block]
        f.direction[:n] = SIDE[[packet.facts[SAYS_DIRECTION] for _, packet in block]]
        capture.sided |= bool(f.packet_id[:n].any() or f.direction[:n].any())
        capture._account(n)
        facts = sparse([packet.facts for _, packet in block])
        if facts:
            count_drops(capture.drops, f, facts)
            _edges(capture.interfaces, f.interface[facts.carrier], facts.edge)
        return Chunk(np.frombuffer(bytearray().join([packet.data for _, packet in block]), np.uint8), f, n, base, facts)

    for item in islice(trace.packets(), capture.most):
        block.append(item)
        size += len(item[1].data)
        if len(block) == rows or size >= CHUNK_BYTES:
            yield pack()
            base += size
            block, size = [], 0
    if block:
        yield pack()
