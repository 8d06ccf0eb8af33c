# mypy: disable-error-code="untyped-decorator,arg-type,assignment,attr-defined"
"""Machine code for the kernels: made by Numba once, kept as an object file, loaded by llvmlite.

Numba's own cache needs Numba imported (0.3 s) and its wrappers rebuilt (0.25 s) at every start. Our kernels allocate
nothing and raise nothing, so the object file depends on nothing but the C library's memory functions, and llvmlite
alone (0.05 s) can load it. Each kernel has a file of its own, so that a command needs those of the rooms it uses only; its name
carries a hash of everything the code depends on (the sources of what it calls, versions, the processor and its
features); a file that does not match its own checksum is made again.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import making, primitives
from .primitives import MIX_A, MIX_B
from .threads import cores

if TYPE_CHECKING:
    from .engine import Kernel, Param

LIBC = {"memset", "memcpy", "memmove"}
OPTIONS = {"_nrt": False, "error_model": "numpy", "boundscheck": False, "forceinline": True}
"""No runtime, no exceptions; and everything inlined: handing a record of thirty arrays to a call costs more than the call does.
Only functions marked cold are called: they take no records, and each caller would be compiled with all of them."""
NO_WRAPPERS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_engines: list[Any] = []


def cache_dir() -> Path:
    """Where machine code is kept: PCAPNAT_CACHE, else the platform's cache directory of the user."""
    if place := os.environ.get("PCAPNAT_CACHE"):
        return Path(place)
    try:
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "pcapnat"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "pcapnat"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pcapnat"
    except RuntimeError:  # a user without a home (containers): below a file no file can be, so nothing is kept
        return Path(os.devnull) / "pcapnat"


def _numba_version() -> str:
    """What tells Numba's version without importing it or parsing its metadata: the file that holds it."""
    spec = find_spec("numba")
    if spec is None or spec.origin is None:
        raise ImportError("numba is not installed")
    return Path(spec.origin).with_name("_version.py").read_text(encoding="utf-8")


@cache
def _machine() -> bytes:
    """All that machine code depends on besides its sources."""
    import llvmlite
    import llvmlite.binding as llvm

    features = ",".join(f"{k}={v}" for k, v in sorted(llvm.get_host_cpu_features().items()))
    parts = sys.version, sysconfig.get_platform(), _numba_version(), llvmlite.__version__, llvm.get_host_cpu_name(), features
    return "\0".join(parts).encode() + b"".join(Path(name).read_bytes() for name in (__file__, primitives.__file__))


def _files(kernels: list[Kernel]) -> dict[str, Path]:
    """Where the machine code of each kernel is kept, by its name."""
    sources: dict[str, bytes] = {}
    folder, known = cache_dir(), hashlib.sha256(_machine())
    found = {}
    for k in kernels:
        seen = known.copy()
        # Column layouts live in the table classes, and constants (marks, for one) may be imported: neither is in the functions' files.
        seen.update(repr(k.params).encode())
        for function in sorted(making.reached(k), key=lambda f: (f.__module__, f.__qualname__)):
            name = function.__code__.co_filename
            if name not in sources:
                sources[name] = hashlib.sha256(Path(name).read_bytes()).digest()
            names = {n: function.__globals__.get(n) for n in function.__code__.co_names}
            seen.update(sources[name])
            seen.update(repr(sorted((n, v) for n, v in names.items() if isinstance(v, int | float | tuple))).encode())
        found[k.name] = folder / f"{k.name}-{seen.hexdigest()[:24]}.o"
    return found


def _stored(path: Path) -> bytes | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data[32:] if hashlib.sha256(data[32:]).digest() == data[:32] else None


def ready(kernels: list[Kernel]) -> bool:
    """Whether machine code for all these kernels lies in the cache."""
    return all(_stored(path) is not None for path in _files(kernels).values())


def load(kernels: list[Kernel], inners: list[Callable[..., Any]]) -> None:
    """Give every kernel its machine code, compiling what the cache does not have (a cache that cannot be written is no error)."""
    paths = _files(kernels)
    code = {name: data for name, path in paths.items() if (data := _stored(path)) is not None}
    made = making.objects([k for k in kernels if k.name not in code], lambda k: compiled(k, inners), cores())
    with suppress(OSError):
        for name, data in made.items():
            _keep(paths[name], hashlib.sha256(data).digest() + data)
    _link(kernels, [*code.values(), *made.values()])


def _keep(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as new:
        try:
            new.write(data)
            new.close()
            os.replace(new.name, path)
        except OSError:
            os.unlink(new.name)
            raise
    # Every version leaves a file behind: the last few are kept, for environments that share the cache.
    files = sorted(path.parent.glob(path.name.rpartition("-")[0] + "-*.o"), key=lambda file: file.stat().st_mtime)
    for old in files[:-KEPT]:
        old.unlink(missing_ok=True)


KEPT = 4


def _link(kernels: list[Kernel], code: Iterable[bytes]) -> None:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    for part in code:
        engine.add_object_file(llvm.ObjectFileRef.from_data(part))
    engine.finalize_object()
    _engines.append(engine)
    prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    found = {k.name: engine.get_function_address(f"pcapnat_{k.name}") for k in kernels}
    if missing := [name for name, address in found.items() if not address]:
        raise ValueError(f"the machine code was made for other kernels: it has no {missing[0]}")
    for k in kernels:
        k.native = _caller(prototype(found[k.name]))


def _caller(function: Any) -> Callable[[int], int]:
    """Numba's calling convention: where the result goes, where an exception would go, the argument; 0 is success."""

    def call(block: int) -> int:
        result, trouble = ctypes.c_int64(0), ctypes.c_void_p(0)
        status = function(ctypes.byref(result), ctypes.byref(trouble), block)
        if status:
            raise RuntimeError(f"kernel ended with status {status}")
        return result.value

    return call


@cache
def _teach(inners: tuple[Callable[..., Any], ...]) -> None:
    """Make Numba know the primitives, and what kernels call."""
    from numba.extending import register_jitable

    _teach_primitives()
    for function in inners:
        register_jitable(**{**OPTIONS, **NO_WRAPPERS, "forceinline": not getattr(function, "cold", False)})(function)


def compiled(k: Kernel, inners: list[Callable[..., Any]]) -> bytes:
    """An object file with a kernel's function, made by Numba here and now."""
    import llvmlite.binding as llvm
    import numba
    from numba.core import types
    from numba.core.registry import cpu_target

    _teach(tuple(inners))
    made = numba.njit(**NO_WRAPPERS, **OPTIONS)(_entry(k))
    signature = (types.CPointer(types.int64),)
    made.compile(signature)
    result = made.overloads[signature]
    module = llvm.parse_assembly(str(result._asdict()["library"]._final_module))
    for function in module.functions:
        if function.name == result.fndesc.llvm_func_name:
            function.name = f"pcapnat_{k.name}"
            function.linkage = llvm.Linkage.external
        elif not function.is_declaration:
            function.linkage = llvm.Linkage.internal
    for variable in module.global_variables:
        if not variable.is_declaration:
            variable.linkage = llvm.Linkage.internal
    text = str(module)
    foreign = {
        f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.") and text.count(f"@{f.name}(") > 1
    } - LIBC
    if foreign:
        raise RuntimeError(f"kernels need {sorted(foreign)}: they may not allocate or raise")
    if " double " in text:  # signed and unsigned 64-bit met in one expression or variable, and Numba chose float64
        raise RuntimeError("kernels compute with floats: an unsigned value needs signed()")
    return bytes(cpu_target.target_context.codegen()._tm.emit_object(module))


def _entry(k: Kernel) -> Callable[[Any], int]:
    """A function of one pointer that rebuilds the declared arguments from the block of words and calls the kernel."""
    from numba.extending import register_jitable

    names: dict[str, Any] = {"body": register_jitable(**NO_WRAPPERS, **OPTIONS)(k.function)}
    at = 0

    def argument(param: Param) -> str:
        nonlocal at
        if param.fields:
            names[f"record_{param.name}"] = param.record
            return f"record_{param.name}({', '.join(argument(f) for f in param.fields)})"
        if not param.dtype:
            at += 1
            return f"words[{at - 1}]"
        view = f"array_{param.dtype}_{param.width}"
        names[view] = _array_at(param.dtype, param.width)
        at += 2
        return f"{view}(words[{at - 2}], words[{at - 1}])"

    source = f"def {k.name}(words):\n    return body({', '.join(argument(p) for p in k.params)})\n"
    exec(compile(source, f"<{k.name}>", "exec"), names)  # built from our own declarations, never from input
    function: Callable[[Any], int] = names[k.name]
    return function


@cache
def _array_at(dtype: str, width: int) -> Any:
    """An intrinsic: (address, rows) -> the array that lies there. Numba's carray() needs its runtime, this does not."""
    import numpy as np
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic
    from numba.np.arrayobj import populate_array
    from numba.np.numpy_support import from_dtype

    kind = np.dtype(dtype)
    array_type = types.Array(from_dtype(kind), 2 if width else 1, "C")
    word = ir.IntType(64)

    @intrinsic
    def array_at(typing: Any, address: Any, rows: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array = context.make_array(array_type)(context, builder)
            size = kind.itemsize
            shape, strides = [args[1]], [word(size)]
            if width:
                shape, strides = [args[1], word(width)], [word(size * width), word(size)]
            data = builder.inttoptr(args[0], context.get_data_type(array_type.dtype).as_pointer())
            populate_array(array, data=data, shape=shape, strides=strides, itemsize=word(size), meminfo=None)
            return array._getvalue()

        return array_type(types.int64, types.int64), build

    return array_at


def _teach_primitives() -> None:
    """Compiled twins of primitives.py."""
    import numpy as np
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic, overload

    def load(name: str, bits: int, swap: bool) -> Any:
        # An unaligned load and a byte swap: two instructions where shifting bytes together takes a dozen.
        @intrinsic
        def unaligned(typing: Any, buf: Any, at: Any) -> Any:
            def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                array = context.make_array(signature.args[0])(context, builder, args[0])
                place = builder.bitcast(builder.gep(array.data, [args[1]]), ir.IntType(bits).as_pointer())
                value = builder.load(place)
                value.align = 1
                if swap:
                    value = builder.bswap(value)
                return builder.zext(value, ir.IntType(64)) if bits < 64 else value

            return (types.int64 if bits < 64 else types.uint64)(buf, types.int64), build

        @overload(getattr(primitives, name), jit_options=OPTIONS, strict=False)
        def _(buf: Any, at: Any) -> Any:
            return lambda buf, at: unaligned(buf, at)

        return unaligned

    for name, bits in (("load16", 16), ("load32", 32)):
        load(name, bits, True)
        load(name + "le", bits, False)
    word = load("load64", 64, True)

    u64, i64 = np.uint64, np.int64
    a, b = u64(MIX_A), u64(MIX_B)
    s1, s29, s32 = u64(1), u64(29), u64(32)

    @overload(primitives.signed, jit_options=OPTIONS, strict=False)
    def _signed(value: Any) -> Any:
        return lambda value: i64(value)

    @overload(primitives.mix, jit_options=OPTIONS, strict=False)
    def _mix(state: Any, value: Any) -> Any:
        def mix(state: Any, value: Any) -> Any:
            x = u64(state) ^ (u64(value) * a)
            x ^= x >> s32
            x *= b
            x ^= x >> s29
            return i64(x >> s1)

        return mix

    @overload(primitives.digest, jit_options=OPTIONS, strict=False)
    def _digest(buf: Any, at: Any, length: Any) -> Any:
        def digest(buf: Any, at: Any, length: Any) -> Any:
            x = i64(length)
            whole = length & -8
            for i in range(at, at + whole, 8):
                x = primitives.mix(x, word(buf, i))
            rest = i64(0)
            for i in range(at + whole, at + length):
                rest = rest << i64(8) | i64(buf[i])
            return primitives.mix(x, rest)

        return digest
