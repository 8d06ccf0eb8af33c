"""A short run of every fuzz target, the same one every time: seeds, seeds with bytes changed, and what fuzzing once found.

fuzz.py searches for more, by hand, for as long as one likes.
"""
from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from findings import FINDINGS
from guard import Guard, OutOfBoundsError, guarded
from targets import TARGETS, strictly

from pcapnat.wire import via

ROUNDS = {"decode": 400, "xpress": 400, "other": 200, "track": 40, "analyze": 25, "gzip": 40, "bzip2": 40, "xz": 40, "zstd": 60, "lz4": 60}
"""Changed seeds for each target, as many as a second is enough for; 70 for those not named."""
NATIVE_EVERY = 5
NUMBERS = (0, 1, 2, 4, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, (1 << 64) - 1)


def changed(chance: random.Random, seeds: list[bytes]) -> bytes:
    """A seed with a few bytes changed, numbers put in, pieces taken out, doubled, or taken from another seed."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at, size = chance.randrange(len(data) + 1), chance.choice((1, 2, 4, 8, 16, 64))
        kind = chance.randrange(7)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at:at + 1] = bytes([chance.randrange(256)])
        elif kind == 2:
            width = chance.choice(("B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
            bits = 8 * struct.calcsize(width)
            data[at:at + bits // 8] = struct.pack(width, chance.choice(NUMBERS) & (1 << bits) - 1)
        elif kind == 3:
            del data[at:at + size]
        elif kind == 4:
            data[at:at] = data[at:at + size]
        elif kind == 5:
            other = chance.choice(seeds)
            there = chance.randrange(len(other) + 1)
            data[at:at + size] = other[there:there + size]
        else:
            del data[at:]
    return bytes(data)


@pytest.fixture(autouse=True)
def without_tshark(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """tshark is somebody else's to fuzz."""
    monkeypatch.setattr(via, "program", lambda: None)
    with strictly() as left:
        yield
    assert not left


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_what_becomes_of_them(natively: Any, tmp_path: Path, name: str) -> None:
    """No promise is broken, plain with every index looked at; and machine code says the same."""
    target, chance = TARGETS[name], random.Random(name)
    seeds = target.seeds()
    some = seeds if len(seeds) < 40 else chance.sample(seeds, 40)
    for i, data in enumerate([*some, *(changed(chance, seeds) for _ in range(ROUNDS.get(name, 70)))]):
        with guarded():
            plain = target.run(data, tmp_path)
        if i % NATIVE_EVERY == 0:
            with natively():
                assert target.run(data, tmp_path) == plain, data.hex()


@pytest.mark.parametrize(("name", "data", "what"), FINDINGS, ids=[what for _, _, what in FINDINGS])
def test_what_fuzzing_found(natively: Any, tmp_path: Path, name: str, data: str, what: str) -> None:
    """Each input that once broke a promise keeps it now, both ways."""
    with guarded():
        plain = TARGETS[name].run(bytes.fromhex(data), tmp_path)
    with natively():
        assert TARGETS[name].run(bytes.fromhex(data), tmp_path) == plain


@pytest.mark.parametrize("key", [-1, 4, slice(2, 5), slice(-1, 2), slice(3, 2)], ids=str)
def test_the_guard_itself(key: Any) -> None:
    """What a memoryview would give without a word is refused; what is there is given."""
    guard = Guard(memoryview(bytearray(b"abcd")))
    assert (guard[3], bytes(guard[1:4]), len(guard)) == (100, b"bcd", 4)
    with pytest.raises((OutOfBoundsError, IndexError)):
        guard[key]
