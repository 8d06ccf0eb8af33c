"""pcapng's blocks that are not packets (draft-ietf-opsawg-pcapng), and packets' options; packet blocks are walk.py's."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .facts import MOST_COMMENTS, Facts, text
from .notes import MOST_TEXTS
from .packets import Flag
from .walk import (
    ASK,
    BASE,
    BIG,
    BLOCK,
    COMMENTS,
    CUSTOM,
    INTERFACES,
    MAX_LEN,
    NOTES,
    OTHER,
    SECRETS,
    SIDED,
    STOP,
    TWO_LENGTHS,
    VERDICTS,
    WHY,
    walk_pcapng,
)
from .windows import comment_facts, interface_kind

if TYPE_CHECKING:
    from .capture import Capture

LONGEST_BLOCK = 16 << 20
"""Wireshark's limit for one block."""
LONGEST_NAME = 256
MOST_READ = 20_000
"""Name and statistics blocks that are read; those behind are stepped over."""
OPT_END, OPT_COMMENT, EPB_VERDICT = 0, 1, 7
SHB_HARDWARE, SHB_OS, SHB_APPLICATION = 2, 3, 4
IF_NAME, IF_DESCRIPTION, IF_TSRESOL, IF_FILTER, IF_TSOFFSET = 2, 3, 9, 11, 14
ISB_RECEIVED, ISB_DROPPED, ISB_OS_DROPPED = 4, 5, 7
INTERFACE, NAMES, STATISTICS = 1, 4, 5
VERDICTS_BY = {0: "hardware", 1: "Linux eBPF TC", 2: "Linux eBPF XDP"}


def head(capture: Capture, first: bytes) -> bool:
    """Take the file if it begins as a section does."""
    if not first.startswith(b"\x0a\x0d\x0d\x0a"):
        return False
    capture.format = "pcapng"
    capture.state[[MAX_LEN, ASK]] = LONGEST_BLOCK, MOST_READ
    return True


def walk(capture: Capture, first: int) -> int:
    """Fill the columns from row `first` on."""
    state = capture.state
    if not capture.facts.sections:
        state[[STOP, WHY]] = capture.start, BLOCK  # the section header comes first, in a byte order it tells itself
        return first
    state[NOTES] = 0
    n = walk_pcapng(capture.buf, capture.start, capture.end, capture.columns, first, len(capture.columns), state, capture.table)
    if state[SIDED]:
        capture.sided = True
    if state[NOTES]:
        if len(capture.facts.comments) < MOST_COMMENTS:
            _notes(capture, first, n)
        capture.noted |= capture.windows or bool(state[VERDICTS])
    return n


def block(capture: Capture) -> bool:
    """Read the block at the buffer's start, and others behind it that are no packets, and step over them.

    False if more bytes are needed, or after telling damage.
    """
    while _block(capture):
        ahead = capture.buf[capture.start : capture.start + 4].tobytes()
        kind = int.from_bytes(ahead, "big" if capture.state[BIG] else "little")
        if capture.end - capture.start < 12 or not (ahead == b"\x0a\x0d\x0d\x0a" or kind == INTERFACE):
            return True
    return False


def _block(capture: Capture) -> bool:
    at, end, state = capture.start, capture.end, capture.state
    if at + 12 > end:
        return False
    first = capture.buf[at : at + 12].tobytes()
    section = first[:4] == b"\x0a\x0d\x0d\x0a"
    if section and first[8:] not in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a"):
        capture.problem("a section header with an unknown byte order mark")
        return False
    order = ">" if (first[8:] == b"\x1a\x2b\x3c\x4d" if section else state[BIG]) else "<"
    kind, written = struct.unpack(order + "II", first[:8])
    least, what = (28, "a section header") if section else (20, "an interface block") if kind == INTERFACE else (12, "a block")
    if written < least or written > state[MAX_LEN]:
        capture.problem(what + " whose length cannot be")
        return False
    size = written + -written % 4
    if at + size > end:
        return False
    body = capture.buf[at + 8 : at + size].tobytes()
    (trailer,) = struct.unpack_from(order + "I", body, size - 12)
    body = body[:-4]
    if section:
        _section(capture, body, order)
    elif kind != INTERFACE:
        state[ASK] -= 1
        (_names if kind == NAMES else _statistics)(capture, body, order)
    elif len(capture.interfaces) < MOST_INTERFACES:
        _interface(capture, body, order)
        state[INTERFACES] = len(capture.interfaces)
    else:
        capture.problem(f"an interface block behind {MOST_INTERFACES} others")
        return False
    state[TWO_LENGTHS] += trailer != written
    capture.start += size
    return True


MOST_INTERFACES = 100_000
"""No machine has as many: memory for more is not spent on a file that claims them."""


MOST_OPTIONS = 10_000


def options(body: bytes, at: int, order: str) -> Iterator[tuple[int, bytes]]:
    """(code, value) of each option of a block from body[at] on, up to the first that cannot be."""
    for _ in range(MOST_OPTIONS):
        if at + 4 > len(body):
            return
        code, length = struct.unpack_from(order + "HH", body, at)
        at += 4
        if code == OPT_END or at + length > len(body):
            return
        yield code, body[at : at + length]
        at += length + -length % 4


def frame_options(capture: Capture, row: int) -> Iterator[tuple[int, bytes]]:
    """(code, value) of each option of the packet block in row `row` of the capture's present chunk (enhanced and obsolete ones)."""
    at, length = int(capture.columns.at[row]), int(capture.columns.cap_len[row])
    first = capture.buf[at - 28 : at - 20].tobytes()
    order = "<" if first[0] else ">"  # the block's kind, 6 or 2, tells: a chunk may hold several sections
    (size,) = struct.unpack(order + "I", first[4:])
    here, stop = at + length + -length % 4, at - 28 + size + -size % 4 - 4
    return options(capture.buf[here:stop].tobytes(), 0, order)


def said(capture: Capture, row: int) -> Iterator[tuple[str, str]]:
    """("comment" or "verdict", text) of all that the file says in words of a row of the present chunk."""
    for code, value in frame_options(capture, row):
        if code == OPT_COMMENT:
            yield "comment", text(value)
        elif code == EPB_VERDICT and value:
            yield "verdict", f"{VERDICTS_BY.get(value[0], str(value[0]))} {value[1:9].hex()}"


FIRST_COMMENTS = 16
"""By so many comments a file can show that Windows' tools made it; most show it by their interfaces' names."""


def _notes(capture: Capture, first: int, n: int) -> None:
    """Keep the comments and count the verdicts of rows first..n-1 (the walk that filled them saw one byte order)."""
    facts = capture.facts
    noted = np.flatnonzero(capture.columns.flags[first:n] & int(Flag.NOTED))
    for row in (noted + first).tolist():
        for what, words in said(capture, row):
            if what == "verdict":
                facts.verdict(words)
                continue
            facts.comment(capture.frames + row + 1, words)
            if not capture.windows and len(facts.comments) <= FIRST_COMMENTS:
                capture.windows = bool(comment_facts(words))
        if len(facts.comments) >= MOST_COMMENTS:
            break


def finish(capture: Capture) -> None:
    """What the walker counted, as facts."""
    state, facts = capture.state, capture.facts
    facts.comment_count += int(state[COMMENTS])
    kinds = {"custom": CUSTOM, "secrets": SECRETS, "other": OTHER}
    facts.skipped = {name: int(state[slot]) for name, slot in kinds.items() if state[slot]}
    if state[TWO_LENGTHS]:
        capture.problems.append(f"{int(state[TWO_LENGTHS])} blocks end with another length than they begin with; the first was used")
    if state[VERDICTS] and not facts.verdicts:
        facts.verdicts["not read"] = int(state[VERDICTS])
    if unread := capture.remarks.unread:
        capture.problems.append(f"comments of {unread:,} frames were not read: the file has more than {MOST_TEXTS:,} different ones")


def _section(capture: Capture, body: bytes, order: str) -> None:
    state, facts = capture.state, capture.facts
    major, minor = struct.unpack_from(order + "HH", body, 4)
    if (major, minor) not in ((1, 0), (1, 2)) and not any(p.startswith("pcapng version") for p in capture.problems):
        capture.problems.append(f"pcapng version {major}.{minor}, read as version 1.0, at byte {capture.base + capture.start}")
    for code, value in options(body, 16, order):
        if code == OPT_COMMENT:
            _comment(facts, value)
        elif code == SHB_HARDWARE:
            facts.hardware = facts.hardware or text(value)
        elif code == SHB_OS:
            facts.system = facts.system or text(value)
        elif code == SHB_APPLICATION:
            facts.application = facts.application or text(value)
    facts.sections += 1
    state[BIG] = order == ">"
    state[BASE] = state[INTERFACES] = len(capture.interfaces)  # interface numbers start again in each section


def _comment(facts: Facts, value: bytes) -> None:
    facts.comment_count += 1
    facts.comment(None, text(value))


def _interface(capture: Capture, body: bytes, order: str) -> None:
    link, snaplen = struct.unpack_from(order + "HxxI", body)
    name = description = only = None
    resolution, offset = 6, 0
    for code, value in options(body, 8, order):
        if code == IF_NAME:
            name = value[:LONGEST_NAME].rstrip(b"\0").decode("utf-8", "replace")
        elif code == IF_DESCRIPTION:
            description = text(value)
        elif code == IF_FILTER and value[:1] == b"\0":
            only = text(value[1:])
        elif code == IF_TSRESOL and value:
            resolution = value[0]
        elif code == IF_TSOFFSET and len(value) >= 8:
            (offset,) = struct.unpack(order + "q", value[:8])
        elif code == OPT_COMMENT:
            _comment(capture.facts, value)
    mul, div, shift, tick = _clock(resolution)
    limit = (1 << 62) // 1_000_000_000
    if abs(offset) > limit:
        if len(capture.problems) < MOST_PROBLEMS:
            capture.problems.append(f"interface {len(capture.interfaces)}: a time offset of {offset} s is beyond reason and ignored")
        offset = 0
    made = capture.add_interface(link, snaplen, name, tick, mul, div, shift, offset * 1_000_000_000)
    made.description, made.filter = description, only
    made.kind = interface_kind(name or "", description or "")
    capture.windows |= made.kind is not None or (name or "").lower().endswith(".sys")


MOST_PROBLEMS = 100


def _clock(resolution: int) -> tuple[int, int, int, str]:
    """(MUL, DIV, SHIFT of walk.py, tick in seconds as text) for an if_tsresol; what is not used is 0."""
    power = resolution & 0x7F
    if resolution & 0x80 and power:
        return 0, 0, min(power, 94), f"2^-{power}"  # from 2^-94 on all 64 bits of ticks are less than a nanosecond
    if power <= 9:
        return 10 ** (9 - power), 0, 0, f"1e-{power:02d}"
    return 0, min(10 ** (power - 10), 1 << 62), 0, f"1e-{power:02d}"


MOST_NAMES_READ = 100_000


def _names(capture: Capture, body: bytes, order: str) -> None:
    """A name resolution block: records of address and names, each name ended by a zero."""
    at = 0
    while at + 4 <= len(body) and capture.facts.name_count < MOST_NAMES_READ:
        kind, length = struct.unpack_from(order + "HH", body, at)
        at += 4
        size = {1: 4, 2: 16}.get(kind, 0)
        if kind == 0 or at + length > len(body):
            break
        value = body[at : at + length]
        if size and length > size:
            names = [text(n) for n in value[size : size + 10 * LONGEST_NAME].split(b"\0") if n]
            capture.facts.name(str(ipaddress.ip_address(value[:size])), names)
        at += length + -length % 4
    for code, value in options(body, at, order) if at < len(body) else ():
        if code == OPT_COMMENT:
            _comment(capture.facts, value)


def _statistics(capture: Capture, body: bytes, order: str) -> None:
    """An interface statistics block; the last one of an interface counts."""
    if len(body) < 12:
        return
    i = struct.unpack_from(order + "I", body)[0] + int(capture.state[BASE])
    if i >= len(capture.interfaces):
        return
    interface = capture.interfaces[i]
    for code, value in options(body, 12, order):
        if code == OPT_COMMENT:
            _comment(capture.facts, value)
        elif len(value) == 8:
            (count,) = struct.unpack(order + "Q", value)
            if code == ISB_RECEIVED:
                interface.received = count
            elif code == ISB_DROPPED:
                interface.dropped = count
            elif code == ISB_OS_DROPPED:
                interface.os_dropped = count
