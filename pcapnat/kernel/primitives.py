"""The few operations that differ between plain Python and machine code; `native.py` gives each its compiled twin."""

import os
from struct import unpack_from
from typing import Any

MASK64 = 0xFFFFFFFFFFFFFFFF
MIX_A = 0x9E3779B97F4A7C15
MIX_B = 0xBF58476D1CE4E5B9
SEED = int.from_bytes(os.urandom(8), "little") >> 2
"""For hash tables that strangers fill: nobody can make a capture whose entries all meet in one place of a table whose hash begins with
a number drawn at each start. It goes to kernels as an argument, as a constant of their source would end in their machine code; two
rounds of `mix` must follow it. What tables answer does not depend on it."""


def load16(buf: Any, at: int) -> int:
    """Two bytes at `at`, network order. As all loads: no bounds check, the caller has compared lengths."""
    return int(buf[at] << 8 | buf[at + 1])


def load16le(buf: Any, at: int) -> int:
    """Two bytes at `at`, little-endian."""
    return int(buf[at] | buf[at + 1] << 8)


def load32(buf: Any, at: int) -> int:
    """Four bytes at `at`, network order."""
    return int.from_bytes(buf[at : at + 4], "big")


def load32le(buf: Any, at: int) -> int:
    """Four bytes at `at`, little-endian."""
    return int.from_bytes(buf[at : at + 4], "little")


def load64(buf: Any, at: int) -> int:
    """Eight bytes at `at`, network order, unsigned: to be stored, compared or mixed, not to be counted with."""
    return int.from_bytes(buf[at : at + 8], "big")


def signed(value: int) -> int:
    """The same 64 bits as a signed integer."""
    return value - (1 << 64) if value >= 1 << 63 else value


def mix(state: int, value: int) -> int:
    """Fold `value` into `state`: 63 well-mixed bits, never negative (multiply-xorshift, after SplitMix64)."""
    x = (state ^ (value * MIX_A)) & MASK64
    x ^= x >> 32
    x = (x * MIX_B) & MASK64
    x ^= x >> 29
    return x >> 1


def digest(buf: Any, at: int, length: int) -> int:
    """A number of 63 bits that names the bytes: `mix` folds in words of eight, then what is left, beginning with the length.

    Spelled out instead of calling `mix`: this loop is most of what a long payload costs.
    """
    x = length
    words = length >> 3
    for word in unpack_from(f">{words}Q", buf, at):
        x ^= word * MIX_A & MASK64
        x ^= x >> 32
        x = x * MIX_B & MASK64
        x = (x ^ x >> 29) >> 1
    return mix(x, int.from_bytes(buf[at + words * 8 : at + length], "big"))
