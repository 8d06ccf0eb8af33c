"""pcapng's section header and interface description blocks (draft-ietf-opsawg-pcapng); packet blocks are walk.py's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .walk import BASE, BIG, INTERFACES, MAX_LEN

if TYPE_CHECKING:
    from .capture import Capture

OPT_END, IF_NAME, IF_TSRESOL, IF_TSOFFSET = 0, 2, 9, 14
LONGEST_NAME = 256


def read_block(capture: Capture, buf: Any, at: int, end: int, base: int, state: Any) -> int:
    """Read the section or interface block at buf[at:end].

    Returns its length; 0 if more bytes are needed; -1 after reporting damage to `capture`.
    """
    if at + 12 > end:
        return 0
    if bytes(buf[at : at + 4]) == b"\x0a\x0d\x0d\x0a":
        return _section(capture, buf, at, end, base, state)
    order = "big" if state[BIG] else "little"
    size = _int(buf, at + 4, 4, order)
    if size < 20 or size > state[MAX_LEN]:
        capture.problem("an interface block whose length cannot be", base + at)
        return -1
    size += -size % 4
    if at + size > end:
        return 0
    _interface(capture, buf, at, size, order)
    state[INTERFACES] = len(capture.interfaces)
    return size


def _int(buf: Any, at: int, size: int, order: Any, signed: bool = False) -> int:
    return int.from_bytes(bytes(buf[at : at + size]), order, signed=signed)


def _section(capture: Capture, buf: Any, at: int, end: int, base: int, state: Any) -> int:
    magic = bytes(buf[at + 8 : at + 12])
    if magic not in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a"):
        capture.problem("a section header with an unknown byte order mark", base + at)
        return -1
    big = magic == b"\x1a\x2b\x3c\x4d"
    size = _int(buf, at + 4, 4, "big" if big else "little")
    if size < 28 or size > state[MAX_LEN]:
        capture.problem("a section header whose length cannot be", base + at)
        return -1
    size += -size % 4
    if at + size > end:
        return 0
    state[BIG] = big
    state[BASE] = state[INTERFACES] = len(capture.interfaces)  # interface numbers start again in each section
    return size


def _interface(capture: Capture, buf: Any, at: int, size: int, order: Any) -> None:
    from .capture import Interface

    link, snaplen = _int(buf, at + 8, 2, order), _int(buf, at + 12, 4, order)
    name, resolution, offset = None, 6, 0
    here, stop = at + 16, at + size - 4
    while here + 4 <= stop:
        code, length = _int(buf, here, 2, order), _int(buf, here + 2, 2, order)
        here += 4
        if code == OPT_END or here + length > stop:
            break
        if code == IF_NAME:
            name = bytes(buf[here : here + min(length, LONGEST_NAME)]).rstrip(b"\0").decode("utf-8", "replace")
        elif code == IF_TSRESOL and length >= 1:
            resolution = int(buf[here])
        elif code == IF_TSOFFSET and length >= 8:
            offset = _int(buf, here, 8, order, signed=True)
        here += length + -length % 4
    mul, div, shift, tick = _clock(resolution)
    limit = (1 << 62) // 1_000_000_000
    if abs(offset) > limit:
        capture.problems.append(f"interface {len(capture.interfaces)}: a time offset of {offset} s is beyond reason and ignored")
        offset = 0
    capture.add_interface(Interface(len(capture.interfaces), link, snaplen, name, tick), mul, div, shift, offset * 1_000_000_000)


def _clock(resolution: int) -> tuple[int, int, int, str]:
    """(MUL, DIV, SHIFT of walk.py, tick in seconds as text) for an if_tsresol; what is not used is 0."""
    power = resolution & 0x7F
    if resolution & 0x80 and power:
        return 0, 0, min(power, 94), f"2^-{power}"  # from 2^-94 on all 64 bits of ticks are less than a nanosecond
    if power <= 9:
        return 10 ** (9 - power), 0, 0, f"1e-{power:02d}"
    return 0, min(10 ** (power - 10), 1 << 62), 0, f"1e-{power:02d}"
