"""Making machine code on all processors: kernels do not need one another, so each process compiles some of them.

Processes, not threads: compiling is mostly Python. What a child makes goes through files of this run's own; a child that
fails (no interpreter to start, no memory) costs nothing but its time, as what is missing is then made here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine import Kernel

FEW = 8
"""Fewer kernels are made before a child has started."""
MOST_PROCESSES = 4
"""Each takes about 300 MB."""
CHILD = """import importlib, json, sys
job = json.load(sys.stdin)
sys.path[:] = job["path"]
importlib.import_module(job["making"]).child(job)
"""


def objects(kernels: Sequence[Kernel], compile_here: Callable[[Kernel], bytes], processes: int) -> dict[str, bytes]:
    """An object file for each of these kernels, by name, made by so many processes at once."""
    if len(kernels) < FEW or processes < 2 or not sys.executable or getattr(sys, "frozen", False):
        return {k.name: compile_here(k) for k in kernels}
    queue = sorted(kernels, key=_work, reverse=True)  # the long ones first, so that all end at about the same time
    with tempfile.TemporaryDirectory(prefix="pcapnat-") as name:
        folder = Path(name)
        running = [_start(queue, folder) for _ in range(1, min(processes, MOST_PROCESSES))]
        try:
            made = {k.name: compile_here(k) for k in _claimed(queue, folder)}
            for child in running:
                if child is not None:
                    child.wait()
        finally:
            for child in running:
                if child is not None and child.poll() is None:
                    child.kill()
                    child.wait()
        for k in queue:
            with suppress(OSError):
                made[k.name] = (folder / f"{k.name}.o").read_bytes()
    return made | {k.name: compile_here(k) for k in queue if k.name not in made}


def _claimed(queue: Sequence[Kernel], folder: Path) -> Iterator[Kernel]:
    """The kernels that nobody else has begun with, each taken when it is asked for."""
    for k in queue:
        try:
            os.close(os.open(folder / f"{k.name}.claim", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError:
            continue
        yield k


def reached(k: Kernel) -> list[Any]:
    """A kernel's function and all it calls, once each."""
    seen: dict[Any, None] = {}
    left: list[Any] = [k.function]
    while left:
        function = left.pop()
        if function not in seen:
            seen[function] = None
            named = (function.__globals__.get(n) for n in function.__code__.co_names)
            left += [f for f in named if hasattr(f, "__code__")]
    return list(seen)


def _work(k: Kernel) -> int:
    """About what compiling a kernel costs: the bytecode of it and of everything it calls."""
    return sum(len(function.__code__.co_code) for function in reached(k))


def _start(queue: Sequence[Kernel], folder: Path) -> subprocess.Popen[bytes] | None:
    job = {
        "path": sys.path,
        "making": __name__,
        "modules": sorted({k.function.__module__ for k in queue}),
        "names": [k.name for k in queue],
        "folder": str(folder),
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


def child(job: dict[str, Any]) -> None:
    """What a child does: make kernels of some modules that are still to be made, a file for each, which is there when it is whole."""
    from . import engine, native

    for module in job["modules"]:
        import_module(module)
    known = {k.name: k for k in engine.KERNELS}
    folder = Path(job["folder"])
    for k in _claimed([known[name] for name in job["names"]], folder):
        unfinished = folder / f"{k.name}.part"
        unfinished.write_bytes(native.compiled(k, engine.INNER))
        unfinished.rename(folder / f"{k.name}.o")
