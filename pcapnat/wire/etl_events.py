"""Events in a trace log's buffer: where each ends, when it was, and what a modern one holds."""

from __future__ import annotations

from struct import Struct

from .etl_packets import PROVIDERS, Event

EVENT = Struct("<HBBHHIIq16sHBBBBHQ")
"""EVENT_HEADER as logged: size, type, marker, flags, property, thread, process, time, provider, id ... keyword."""
EVENT_SIZE = 80
EVENT_32, EVENT_64 = 18, 19
SIZE_AT_FOUR = {1, 2, 3, 4, 16, 17}
"""Header types (system, compact and performance events) whose size is at byte 4."""
TIME_AT = {**dict.fromkeys((1, 2, 10, 11, 18, 19, 20, 21), 16), 16: 8, 17: 8}
EXTENDED, THIRTY_TWO = 1, 0x20


def event_size(body: bytes, at: int) -> int:
    """An event's size; 0 if this is no event."""
    if not body[at + 3] & 0x80:
        return 0
    where = at + 4 if body[at + 2] in SIZE_AT_FOUR and body[at + 3] == 0xC0 else at
    return body[where] | body[where + 1] << 8


def first_time(body: bytes) -> int | None:
    """The time of a buffer's first event that has one; None if there is no event."""
    at = 0
    while at + 8 <= len(body) and (size := event_size(body, at)) >= 8:
        where = at + TIME_AT.get(body[at + 2], 0)
        if where > at and body[at + 3] == 0xC0 and where + 8 <= len(body):
            return int.from_bytes(body[where : where + 8], "little", signed=True)
        at += size + 7 & ~7
    return None


def event_at(body: bytes, at: int, processor: int) -> Event | None:
    """The modern event at body[at:], without the items of extended data; None if they contradict its size."""
    if at + EVENT_SIZE > len(body):
        return None
    size, kind, _, flags, _, thread, _, _, provider, number, _, _, _, _, _, keyword = EVENT.unpack_from(body, at)
    end = at + size
    here = at + EVENT_SIZE
    if size < EVENT_SIZE or end > len(body) or provider not in PROVIDERS:
        return None
    more = flags & EXTENDED
    while more:
        if here + 8 > end:
            return None
        more = body[here + 4] & 1
        here += 8 + (body[here + 6] | body[here + 7] << 8) + 7 & ~7
    if here > end:
        return None
    pointer = 4 if kind == EVENT_32 or flags & THIRTY_TWO else 8
    return Event(provider, number, keyword, thread, processor, pointer, body[here:end])
