"""Making machine code on all processors: kernels do not need one another, so each process compiles some of them.

Processes, not threads: compiling is mostly Python. What a child makes goes through a file of this run's own; a child that
fails (no interpreter to start, no memory) costs nothing but its time, as what is missing is then made here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine import Kernel

Compile = Callable[[Iterable["Kernel"]], bytes]
FEW = 8
"""Fewer kernels are made before a child has started."""
MOST_PROCESSES = 4
"""Each takes about 300 MB."""
CHILD = """import importlib, json, sys
job = json.load(sys.stdin)
sys.path[:] = job["path"]
importlib.import_module(job["making"]).child(job)
"""


def parts(kernels: Sequence[Kernel], compile_here: Compile, processes: int) -> list[bytes]:
    """Object files that together hold these kernels, made by so many processes at once."""
    if len(kernels) < FEW or processes < 2 or not sys.executable or getattr(sys, "frozen", False):
        return [compile_here(kernels)]
    queue = sorted(kernels, key=_work, reverse=True)  # the long ones first, so that all end at about the same time
    with tempfile.TemporaryDirectory(prefix="pcapnat-") as name:
        folder = Path(name)
        running = [_start(queue, folder, str(n)) for n in range(1, min(processes, MOST_PROCESSES))]
        mine: list[Kernel] = []
        try:
            made = [compile_here(_claimed(queue, folder, mine))]
            done = {k.name for k in mine}
            for n, child in enumerate(running, 1):
                names, data = _finished(child, folder / str(n))
                made.append(data)
                done |= names
        finally:
            for child in running:
                if child is not None and child.poll() is None:
                    child.kill()
                    child.wait()
    missing = [k for k in queue if k.name not in done]
    return [data for data in (*made, compile_here(missing) if missing else b"") if data]


def _claimed(queue: Sequence[Kernel], folder: Path, mine: list[Kernel]) -> Iterator[Kernel]:
    """The kernels that nobody else has begun with, each taken when it is asked for; `mine` gets them, too."""
    for k in queue:
        try:
            os.close(os.open(folder / f"{k.name}.claim", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError:
            continue
        mine.append(k)
        yield k


def _work(k: Kernel) -> int:
    """About what compiling a kernel costs: the bytecode of it and of everything it calls, once each."""
    seen: dict[Any, int] = {}
    left: list[Any] = [k.function]
    while left:
        function = left.pop()
        if function not in seen:
            seen[function] = len(function.__code__.co_code)
            named = (function.__globals__.get(n) for n in function.__code__.co_names)
            left += [f for f in named if hasattr(f, "__code__")]
    return sum(seen.values())


def _start(queue: Sequence[Kernel], folder: Path, to: str) -> subprocess.Popen[bytes] | None:
    job = {
        "path": sys.path,
        "making": __name__,
        "modules": sorted({k.function.__module__ for k in queue}),
        "names": [k.name for k in queue],
        "folder": str(folder),
        "to": to,
    }
    try:
        child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    with suppress(OSError):
        assert child.stdin
        child.stdin.write(json.dumps(job).encode())
        child.stdin.close()
    return child


def _finished(child: subprocess.Popen[bytes] | None, made: Path) -> tuple[set[str], bytes]:
    """The kernels that a child made, and their object file; nothing if it failed."""
    if child is None or child.wait():
        return set(), b""
    try:
        names, _, data = made.read_bytes().partition(b"\n")
    except OSError:
        return set(), b""
    return set(names.decode().split()), data


def child(job: dict[str, Any]) -> None:
    """What a child does: make kernels of some modules that are still to be made, and write them to a file, their names before."""
    from . import engine, native

    for module in job["modules"]:
        import_module(module)
    known = {k.name: k for k in engine.KERNELS}
    folder, mine = Path(job["folder"]), list[Any]()
    data = native.compiled(_claimed([known[name] for name in job["names"]], folder, mine), engine.INNER)
    (folder / job["to"]).write_bytes(" ".join(k.name for k in mine).encode() + b"\n" + data)


def packed(objects: Sequence[bytes]) -> bytes:
    """Object files as one string of bytes, the length before each."""
    return b"".join(pack("<Q", len(data)) + data for data in objects)


def unpacked(data: bytes) -> list[bytes]:
    """The object files in what `packed` made. ValueError if it is cut."""
    out, at = [], 0
    while at < len(data):
        if at + 8 > len(data) or (end := at + 8 + unpack_from("<Q", data, at)[0]) > len(data):
            raise ValueError("machine code that is cut")
        out.append(data[at + 8 : end])
        at = end
    return out
