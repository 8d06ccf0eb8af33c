"""The few operations that differ between plain Python and machine code; `native.py` gives each its compiled twin."""
from typing import Any

MASK64 = 0xFFFFFFFFFFFFFFFF
MIX_A = 0x9E3779B97F4A7C15
MIX_B = 0xBF58476D1CE4E5B9
PRIME = (1 << 61) - 1
"""Mersenne prime of the polynomial digest: 2**64 is 8 modulo it, so a word is folded in with a shift."""


def load16(buf: Any, at: int) -> int:
    """Two bytes at `at`, network order. As all loads: no bounds check, the caller has compared lengths."""
    return buf[at] << 8 | buf[at + 1]


def load16le(buf: Any, at: int) -> int:
    """Two bytes at `at`, little-endian."""
    return buf[at] | buf[at + 1] << 8


def load32(buf: Any, at: int) -> int:
    """Four bytes at `at`, network order."""
    return int.from_bytes(buf[at:at + 4], "big")


def load32le(buf: Any, at: int) -> int:
    """Four bytes at `at`, little-endian."""
    return int.from_bytes(buf[at:at + 4], "little")


def load64(buf: Any, at: int) -> int:
    """Eight bytes at `at`, network order, unsigned: to be stored, compared or mixed, not to be counted with."""
    return int.from_bytes(buf[at:at + 8], "big")


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
    """The bytes as a number in base 2**64, modulo 2**61 - 1, with the length mixed in: 61 bits that name a payload."""
    whole = length & ~7
    value = int.from_bytes(buf[at:at + whole], "big") if whole else 0
    rest = int.from_bytes(buf[at + whole:at + length], "big")
    return mix(((value << 64) + rest) % PRIME, length)
