"""Arrays for plain kernels that refuse what machine code would do without a word: indices below 0 and slices beyond the end.

A memoryview raises for an index beyond its end, but takes -1 for its last element, and cuts a slice that is too long. Numba
compiles the first into the same wrap and the loads behind the second into reads of foreign memory, so both are bugs.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from operator import index
from typing import Any
from unittest import mock

from pcapnat.kernel import engine, primitives
from pcapnat.wire import notes, transport


class OutOfBoundsError(AssertionError):
    """A kernel left an array. No IndexError, since code that expects those of bytes must not swallow it."""


class Guard:
    """A memoryview whose every index is looked at."""

    __slots__ = ("view",)

    def __init__(self, view: memoryview):
        self.view = view

    def _check(self, key: Any) -> None:
        if key.__class__ is slice:
            wrong = not 0 <= key.start <= key.stop <= len(self.view)
        else:
            wrong = min(key) < 0 if key.__class__ is tuple else key < 0
        if wrong:
            raise OutOfBoundsError(f"{key} of {self.view.shape}")

    def __getitem__(self, key: Any) -> Any:
        if key.__class__ is not int or key < 0:
            self._check(key)
        return self.view[key]

    def __setitem__(self, key: Any, value: int) -> None:
        if key.__class__ is not int or key < 0:
            self._check(key)
        self.view[key] = value

    def __len__(self) -> int:
        return len(self.view)


def _view(param: engine.Param, arg: Any) -> Any:
    if param.fields:
        return param.record(*[_view(f, getattr(arg, f.name)) for f in param.fields])
    if not param.dtype:
        return index(arg)
    engine._check(param, arg)
    return Guard(memoryview(arg))


def _digest(buf: Any, at: int, length: int) -> int:
    if isinstance(buf, Guard):
        if not 0 <= at <= at + length <= len(buf):
            raise OutOfBoundsError(f"digest of [{at}:{at + length}] of {len(buf)}")
        buf = buf.view
    return primitives.digest(buf, at, length)


@contextmanager
def guarded() -> Iterator[None]:
    """Plain kernels get guarded arrays."""
    digests = (mock.patch.object(module, "digest", _digest) for module in (notes, transport))
    with mock.patch.object(engine, "_view", _view), next(digests), next(digests):
        yield
