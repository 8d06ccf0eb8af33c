"""What a pcap-filter expression becomes, and running it: numbers and tests over columns, all frames of a chunk at once.

A number is 32 bits without sign and wraps, as in BPF's accumulator. A read beyond the captured bytes rejects its frame, whatever
the rest of the filter says, and so does a division by zero; but what `and` and `or` leave out is not read. Every result
therefore has two arrays: the values, and which frames got there (None: all of them).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..table import Array

FEW = 4
"""A part of a filter that concerns less than one frame in so many is run on copies of those alone."""
WORD = 0xFFFFFFFF
Fit = Array | None


@dataclass(frozen=True, eq=False)
class Number:
    """A number a frame."""


@dataclass(frozen=True, eq=False)
class Const(Number):
    """The same for every frame."""

    value: int


@dataclass(frozen=True, eq=False)
class Length(Number):
    """The frame's length on the wire."""


@dataclass(frozen=True, eq=False)
class Load(Number):
    """`size` bytes (1, 2 or 4) of the frame, most significant first, at `at` + `add` from its first."""

    at: Number | None
    add: int
    size: int


@dataclass(frozen=True, eq=False)
class Binary(Number):
    """Two numbers combined."""

    operator: str
    a: Number
    b: Number


@dataclass(frozen=True, eq=False)
class Either(Number):
    """One number where the test holds, the other where it does not."""

    test: Test
    yes: Number
    no: Number


@dataclass(frozen=True, eq=False)
class Test:
    """A yes or no a frame."""


@dataclass(frozen=True, eq=False)
class Always(Test):
    """The same for every frame."""

    value: bool


@dataclass(frozen=True, eq=False)
class Compare(Test):
    """Two numbers compared: "=", ">" or ">="."""

    operator: str
    a: Number
    b: Number


@dataclass(frozen=True, eq=False)
class Not(Test):
    """The opposite."""

    test: Test


@dataclass(frozen=True, eq=False)
class Chain(Test):
    """Tests joined by `and` (True) and `or` (False), which bind alike, from left to right."""

    first: Test
    rest: tuple[tuple[bool, Test], ...]


class Rows:
    """Frames to test. buf: the chunk's bytes. at, cap, wire: where each frame begins, its captured and its wire length."""

    def __init__(self, buf: Array, at: Array, cap: Array, wire: Array):
        self.buf, self.at, self.cap, self.wire = buf, at, cap, wire
        self.shortest = int(cap.min()) if len(cap) else 0
        self.known: dict[int, tuple[Any, Fit]] = {}

    def part(self, rows: Array) -> Rows:
        """Some of them."""
        return Rows(self.buf, self.at[rows], self.cap[rows], self.wire[rows])


def select(test: Test, buf: Array, at: Array, cap: Array, wire: Array) -> Array:
    """Which frames the test accepts. Nothing outside buf is read, whatever the columns say."""
    if not len(at):
        return np.zeros(0, bool)
    rows = Rows(buf if len(buf) else np.zeros(1, np.uint8), at.astype(np.int64, copy=False), cap.astype(np.int64, copy=False), wire)
    value, fit = _test(test, rows)
    return value if fit is None else value & fit


def _both(a: Fit, b: Fit) -> Fit:
    return b if a is None else a if b is None else a & b


def _test(test: Test, rows: Rows) -> tuple[Array, Fit]:
    """(values, fit); what a frame that does not fit has for a value means nothing."""
    if id(test) in rows.known:
        return rows.known[id(test)]
    value: Array
    fit: Fit = None
    match test:
        case Compare():
            a, fits = _number(test.a, rows)
            b, fit = _number(test.b, rows)
            value, fit = COMPARE[test.operator](a, b), _both(fits, fit)
            if value.ndim == 0:
                value = np.full(len(rows.at), bool(value))
        case Not():
            value, fit = _test(test.test, rows)
            value = ~value
        case Chain():
            value, fit = _test(test.first, rows)
            for both, more in test.rest:
                value, fit = _joined(both, value, fit, more, rows)
        case Always():
            value = np.full(len(rows.at), test.value)
        case _:
            raise TypeError(f"no test: {test}")
    rows.known[id(test)] = value, fit
    return value, fit


def _joined(both: bool, value: Array, fit: Fit, more: Test, rows: Rows) -> tuple[Array, Fit]:
    """value and more, or value or more; `more` concerns only frames for which `value` does not decide already."""
    asked = value if both else ~value
    if fit is not None:
        asked = asked & fit
    count = int(np.count_nonzero(asked))
    if not count:
        return value, fit
    if count * FEW < len(asked):
        few = np.flatnonzero(asked)
        found, fits = _test(more, rows.part(few))
        value = value.copy()
        value[few] = found
        if fits is not None:
            fit = np.ones(len(value), bool) if fit is None else fit.copy()
            fit[few] = fits
        return value, fit
    found, fits = _test(more, rows)
    return value & found if both else value | found, fit if fits is None else _both(fit, fits | ~asked)


def _number(number: Number, rows: Rows) -> tuple[Any, Fit]:
    """(an array of uint32, or one np.uint32 for all; fit)."""
    if id(number) in rows.known:
        return rows.known[id(number)]
    value: Any
    fit: Fit = None
    match number:
        case Const():
            return np.uint32(number.value), None
        case Length():
            value = rows.wire.astype(np.uint32)
        case Load():
            value, fit = _load(number, rows)
        case Binary():
            a, fits = _number(number.a, rows)
            b, fit = _number(number.b, rows)
            fit = _both(fits, fit)
            if number.operator in "/%" and not (b := np.broadcast_to(b, len(rows.at))).all():
                fit = _both(fit, b != 0)
                b = np.maximum(b, np.uint32(1))
            value = OPERATORS[number.operator](a, b)
        case Either():
            chosen, fits = _test(number.test, rows)
            a, fit = _number(number.yes, rows)
            b, other = _number(number.no, rows)
            value = np.where(chosen, a, b)
            for part, there in ((fit, chosen), (other, ~chosen)):
                fits = fits if part is None else _both(fits, part | ~there)
            fit = fits
        case _:
            raise TypeError(f"no number: {number}")
    rows.known[id(number)] = value, fit
    return value, fit


def _load(load: Load, rows: Rows) -> tuple[Array, Fit]:
    fit: Fit = None
    if load.at is None:
        if load.add + load.size > rows.shortest:
            fit = rows.cap >= load.add + load.size
        first = rows.at + load.add
    else:
        at, fit = _number(load.at, rows)
        first = np.asarray(at).astype(np.int64) + load.add
        inside = first <= rows.cap - load.size
        if not inside.all():
            fit = _both(fit, inside)
        first += rows.at
    # Clipped: a frame that does not fit gets some byte of the chunk, and then is not asked for it.
    value = rows.buf.take(first, mode="clip").astype(np.uint32)
    for _ in range(load.size - 1):
        first += 1
        value <<= np.uint32(8)
        value |= rows.buf.take(first, mode="clip")
    return value, fit


def _shift(operator: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """C leaves a shift by 32 and more open; BPF gives 0."""
    return lambda a, b: np.where(b < 32, operator(a, np.minimum(b, np.uint32(31))), np.uint32(0))


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.floor_divide,
    "%": np.remainder,
    "&": np.bitwise_and,
    "|": np.bitwise_or,
    "^": np.bitwise_xor,
    "<<": _shift(np.left_shift),
    ">>": _shift(np.right_shift),
}
COMPARE: dict[str, Callable[[Any, Any], Array]] = {"=": np.equal, ">": np.greater, ">=": np.greater_equal}
