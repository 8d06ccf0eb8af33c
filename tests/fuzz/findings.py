"""What fuzzing found, smallest form: (target, bytes in hexadecimal, what was wrong before it was fixed)."""
from __future__ import annotations

import gzip
import struct

import made_etl as me
from made_files import enhanced, interface, section
from made_frames import ip4, tcp

EARLY, LATE = -4_611_686_018, 4_611_686_018
"""if_tsoffset that leads to 1823 and to 2116: nearly as far apart as 64 bits of nanoseconds reach."""


def jumping(*offsets: int) -> bytes:
    """A connection whose segments were captured at interfaces with these offsets in turn."""
    out = section("<") + b"".join(interface("<", 101, resolution=9, offset=offset) for offset in offsets)
    return out + b"".join(enhanced("<", 10**9 * n, ip4(6, tcp(b"abcdefgh%d" % n, seq=n * 1000)), iface=n % len(offsets)) for n in range(4))


def two(inside: bytes, outside: bytes) -> str:
    """An `analyze` input."""
    return (struct.pack("<H", len(inside)) + inside + outside).hex()


FINDINGS: list[tuple[str, str, str]] = [
    ("gzip", gzip.compress(me.head() + me.buffer(me.system()), mtime=0).hex(), "a trace log in a compressed file: AttributeError"),
    ("track", "00000102000000000100011e000000ff02", "frames 292 years apart: how long a conversation lasts overflowed"),
    ("analyze", two(jumping(EARLY, LATE), jumping(EARLY, EARLY)), "clocks 292 years apart: the sum of delays overflowed, ValueError"),
    ("analyze", two(jumping(EARLY), jumping(LATE)), "the same with one interface each"),
]
