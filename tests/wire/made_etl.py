"""Trace logs built with struct, from the layout of their events up, and an Xpress compressor to make compressed buffers with."""
from __future__ import annotations

import struct
import uuid

NDIS = uuid.UUID("2ed6006e-4729-4609-b423-3ee7bcd678ef").bytes_le
PKTMON = uuid.UUID("4d4f80d9-c8bd-4d73-bb5b-19c90402c5ac").bytes_le
RAS = uuid.UUID("d84521f7-2235-4237-a7c0-14e3a9676286").bytes_le
OTHER = uuid.UUID("2f07e2ee-15db-40f1-90ef-9d7ba282188a").bytes_le
START, END, SEND, RECEIVE = 1 << 30, 1 << 31, 1 << 32, 1 << 33
WHOLE = START | END
SECOND = 10_000_000
BEGAN = 1_600_000_000
"""When the traces made here begin, in seconds since 1970."""
TICKS = 5_000_000_000
"""What their clock shows then."""


def text(value: str) -> bytes:
    """UTF-16 with a zero behind it."""
    return value.encode("utf-16-le") + b"\0\0"


def event(provider: bytes, number: int, data: bytes, ticks: int = TICKS, *, keyword: int = WHOLE, thread: int = 7, flags: int = 0x40,
          kind: int = 19, extended: tuple[bytes, ...] = ()) -> bytes:
    """A modern event, padded to eight bytes."""
    items = b""
    for i, item in enumerate(extended):
        items += struct.pack("<HHHH", 0, 1, int(i + 1 < len(extended)), len(item)) + item
        items += b"\0" * (-len(items) % 8)
    body = items + data
    head = struct.pack("<HBBHHIIq16sHBBBBHQ", 80 + len(body), kind, 0xC0, flags | bool(extended), 0, thread, 4, ticks, provider,
                       number, 0, 0, 4, 0, 0, keyword)
    return head + b"\0" * (80 - len(head)) + body + b"\0" * (-len(body) % 8)


def system(number: int = 80, data: bytes = b"\0" * 48, ticks: int = TICKS) -> bytes:
    """An event of the old system kind."""
    return struct.pack("<HBBHHIIqII", 2, 2, 0xC0, 32 + len(data), number, 1, 2, ticks, 0, 0) + data


def message(data: bytes = b"\0" * 28) -> bytes:
    """A WPP message: a marker of its own and no time at a known place."""
    return struct.pack("<HBB", 4 + len(data), 0, 0x90) + data


def buffer(events: bytes, *, size: int | None = None, processor: int = 0, kind: int = 0, compressed: bool = False) -> bytes:
    """A buffer around events: filled up to `size`, or as small as it gets when compressed."""
    stored = compress(events) if compressed else events
    size = size or 72 + len(stored)
    flags = 0x60 if compressed else 0x20
    head = struct.pack("<IIIIqqQBBHIIHH16x", size, 72 + len(events), 0, 0, 0, 1, 0, processor, 0, 0, 3, 0, flags, kind)
    return head + stored + b"\xff" * (size - 72 - len(stored))


def head(*, clock: int = 1, frequency: int = SECOND, pointer: int = 8, lost: tuple[int, int] = (0, 0), mhz: int = 0, size: int = 512,
         ticks: int = TICKS, mode: int = 0, written: int = 0) -> bytes:
    """The first buffer, with the log file's header in it. written: how many buffers it says there are."""
    began = BEGAN * SECOND + 116_444_736_000_000_000
    body = struct.pack("<IIIIqIIIIIIII", size, 0x0500000A, 0, 1, began, 0, 0, mode, written, 1, pointer, lost[0], mhz)
    body += b"\0" * (2 * pointer + 172 + 4) + struct.pack("<qqqII", 0, frequency, began, clock, lost[1])
    return buffer(system(0, body, ticks), size=size, kind=4)


def fragment(data: bytes, *, miniport: int = 14, lower: int = 14) -> bytes:
    """ndiscap's 1001."""
    return struct.pack("<III", miniport, lower, len(data)) + data


def switch_fragment(data: bytes, *, destinations: int = 0, vlan: int = 0, pointer: int = 8, port: int = 3) -> bytes:
    """ndiscap's 1003: a frame in the virtual switch, with destinations of a layout that nothing here relies on."""
    body = struct.pack("<III", 9, 9, port) + text("port-a") + text("Network Adapter") + text("VMNic") + struct.pack("<I", destinations)
    body += b"".join(struct.pack("<I", 5 + i) + text(f"port-{i}") + text("vm two") + text("VMNic") for i in range(destinations))
    information = b"\0" * 4 * pointer + (vlan << 4).to_bytes(pointer, "little") + b"\0" * 5 * pointer
    return body + struct.pack("<I", len(data)) + data + struct.pack("<I", len(information)) + information


def monitored(data: bytes, *, group: int = 1, part: int = 1, direction: int = 3, kind: int = 1, component: int = 13, edge: int = 1,
              reason: int = 0, place: int = 0, original: int | None = None, appearance: int = 2) -> bytes:
    """pktmon's 160 and 170."""
    return struct.pack("<QHHHHHHHIIHH", group, part, appearance, direction, kind, component, edge, 0, reason, place,
                       len(data) if original is None else original, len(data)) + data


def component(number: int, name: str, description: str, kind: int = 2) -> bytes:
    """pktmon's 20."""
    return struct.pack("<HH", number, kind) + text(name) + text(description)


def compress(data: bytes) -> bytes:
    """Xpress without Huffman codes: greedy, looking for the last place that began with the same three bytes."""
    out = bytearray()
    seen: dict[bytes, int] = {}
    flags_at, flags, count, shared, at = -1, 0, 32, -1, 0
    while True:
        if count == 32:
            if flags_at >= 0:
                out[flags_at:flags_at + 4] = flags.to_bytes(4, "little")
            flags_at, flags, count = len(out), 0, 0
            out += b"\0\0\0\0"
        if at >= len(data):
            break
        found = seen.get(data[at:at + 3], -1)
        seen[data[at:at + 3]] = at
        count += 1
        if found < 0 or at - found > 8192 or at + 3 > len(data):
            out.append(data[at])
            at += 1
            continue
        length = 3
        while at + length < len(data) and data[found + length] == data[at + length]:
            length += 1
        flags |= 1 << 32 - count
        short, more = min(length - 3, 7), length - 10
        out += ((at - found - 1) << 3 | short).to_bytes(2, "little")
        if short == 7:
            if shared < 0:
                shared = len(out)
                out.append(min(more, 15))
            else:
                out[shared] |= min(more, 15) << 4
                shared = -1
            if more >= 15:
                if more - 15 < 255:
                    out.append(more - 15)
                else:
                    out += b"\xff" + ((more + 7).to_bytes(2, "little") if more + 7 < 65536 else b"\0\0" + (more + 7).to_bytes(4, "little"))
        at += length
    out[flags_at:flags_at + 4] = (flags | (1 << 32 - count) - 1).to_bytes(4, "little")
    return bytes(out)
