"""Declaring kernels, and choosing how they run: plain or native."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache
from operator import index
from typing import Any, NamedTuple, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

INNER: list[Callable[..., Any]] = []
KERNELS: list[Kernel] = []


class Param(NamedTuple):
    """One declared argument: an integer (`dtype` empty), an array, or a record of arrays (`fields`)."""

    name: str
    dtype: str = ""
    width: int = 0
    fields: tuple[Param, ...] = ()
    record: Any = None


def inner(function: F) -> F:
    """Mark a function that kernels call. It stays an ordinary function; native.py compiles it into its callers."""
    INNER.append(function)
    return function


def cold(function: F) -> F:
    """As `inner`, for what few frames need: compiled once and called, not into every caller. Takes arrays and numbers, no records."""
    vars(function)["cold"] = True
    return inner(function)


class Kernel:
    """A function over declared arrays that runs plain until `prepare` finds machine code worth using.

    Arrays are checked against the declaration at every call (type, width, layout), since machine code would not.
    """

    def __init__(self, function: Callable[..., int], params: tuple[Param, ...]):
        self.function = function
        self.params = params
        self.native: Callable[[int], int] | None = None
        self.__doc__ = function.__doc__
        self.name = function.__name__
        KERNELS.append(self)

    def __call__(self, *args: Any) -> int:
        if len(args) != len(self.params):
            raise TypeError(f"{self.name} takes {len(self.params)} arguments, not {len(args)}")
        if self.native is None:
            return self.function(*[_view(p, a) for p, a in zip(self.params, args, strict=True)])
        words: list[int] = []
        for param, arg in zip(self.params, args, strict=True):
            _address(param, arg, words)
        block = np.array(words, np.int64)
        return self.native(ctypes.addressof(ctypes.c_char.from_buffer(block.data)))


def _check(param: Param, array: Any) -> None:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"kernel argument {param.name}: a {type(array).__name__} is no array")
    row = (param.width,) if param.width else ()
    if array.dtype.str[1:] != param.dtype or array.ndim != 1 + len(row) or array.shape[1:] != row:
        raise TypeError(f"kernel argument {param.name}: {array.dtype}{array.shape} is not {param.dtype}:{param.width}")
    if not (array.dtype.isnative and array.flags.c_contiguous and array.flags.aligned):
        raise TypeError(f"kernel argument {param.name}: not contiguous, not aligned or not in this machine's byte order")


def _view(param: Param, arg: Any) -> Any:
    """What the plain kernel gets: memoryviews, whose elements are Python integers."""
    if param.fields:
        return param.record(*[_view(f, getattr(arg, f.name)) for f in param.fields])
    if not param.dtype:
        return index(arg)
    _check(param, arg)
    return memoryview(arg)


def _address(param: Param, arg: Any, words: list[int]) -> None:
    """What the native kernel gets: address and rows of each array, integers as they are, in one block of words."""
    if param.fields:
        # A table's arrays stay the same ones: their sixty addresses are looked up once, not at every call.
        made_for, known = vars(arg).get("_addresses", (None, []))
        if made_for is not param.record:
            known = []
            for field in param.fields:
                _address(field, getattr(arg, field.name), known)
            vars(arg)["_addresses"] = param.record, known
        words += known
    elif not param.dtype:
        words.append(index(arg))
    else:
        words += _place(param, arg)


def _place(param: Param, array: Any) -> tuple[int, int]:
    """Address and rows of an array that is as declared. Ten arrays a call: asking as _check and `array.ctypes` do costs 5 us each."""
    row = (param.width,) if param.width else ()
    if type(array) is np.ndarray and array.dtype is _type(param.dtype) and array.shape[1:] == row and array.flags.carray and array.size:
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data)), len(array)
    _check(param, array)
    return array.ctypes.data, len(array)


@cache
def _type(dtype: str) -> np.dtype[Any]:
    """The one object that stands for a type in this machine's byte order."""
    return np.dtype(dtype)


def _param(name: str, spec: Any) -> Param:
    if spec == "int":
        return Param(name)
    if isinstance(spec, str):
        dtype, _, width = spec.partition(":")
        return Param(name, dtype, int(width or 0))
    fields = tuple(_param(n, s) for n, s in spec.kernel_spec().items())
    return Param(name, "", 0, fields, spec.record())


def kernel(**specs: Any) -> Callable[[Callable[..., int]], Kernel]:
    """Declare a kernel: each argument is "int", an array ("u1", "i8", "i8:24" for rows of 24) or a Table class."""
    params = tuple(_param(name, spec) for name, spec in specs.items())
    return lambda function: Kernel(function, params)


def prepare(frames: int, say: Callable[[str], None] | None = None) -> str:
    """Choose how kernels run for about `frames` frames: returns "plain" or "native".

    Plain costs about 40 us a frame; loading machine code 0.1 s; making it, once a machine, several seconds (say() is
    told before that). PCAPNAT_KERNELS=plain or native overrules.
    """
    wish = os.environ.get("PCAPNAT_KERNELS", "")
    if wish == "plain":
        for k in KERNELS:
            k.native = None
        return "plain"
    if compiled():
        return "native"
    if wish != "native" and frames < PLAIN_WHEN_READY:
        return "plain"
    from . import native as made

    if not made.ready(KERNELS):
        if wish != "native" and frames < PLAIN_WHEN_NOT_READY:
            return "plain"
        if say:
            say("preparing: compiling the packet kernels for this machine, once (20 to 40 seconds)")
    made.load(KERNELS, INNER)
    return "native"


def compiled() -> bool:
    """Whether every kernel runs as machine code now."""
    return all(k.native for k in KERNELS)


PLAIN_WHEN_READY = 4_000
PLAIN_WHEN_NOT_READY = 60_000
