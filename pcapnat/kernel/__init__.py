"""kernel: one source, two ways to run it.

A kernel is a plain Python function over integers and arrays, written in the subset that Numba compiles. It runs

* plain, on memoryviews: no compiler is imported, right for a capture of a few thousand frames;
* native: compiled once by Numba, the machine code kept in the user's cache directory and loaded from there by
  llvmlite, without importing Numba (0.3 s) ever again on that machine.

Both ways give the same numbers; a test runs every kernel in both. May use numpy; numba and llvmlite in `native.py`
only. Knows nothing about packets.

Rules of a kernel: arguments are those it declares; integers are int64 (an unsigned element may be compared, stored,
masked or given to `mix`; it goes through `signed` before it is shifted or kept in a variable with others, or Numba
turns it into a float: making the code fails then); no allocation, no exception, no slice; 64-bit arithmetic that may
wrap goes through `mix`; branches that few frames take are `cold` functions of arrays and numbers.
"""

from .engine import Kernel, cold, compiled, inner, kernel, prepare
from .primitives import SEED, digest, load16, load16le, load32, load32le, load64, mix, signed
from .threads import beside, cores, together

__all__ = [
    "SEED",
    "Kernel",
    "beside",
    "cold",
    "compiled",
    "cores",
    "inner",
    "kernel",
    "prepare",
    "digest",
    "load16",
    "load16le",
    "load32",
    "load32le",
    "load64",
    "mix",
    "signed",
    "together",
]
