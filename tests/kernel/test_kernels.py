"""Kernels run plain and native give the same numbers; primitives keep their formulas; the cache of machine code heals itself."""
from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_windows import converted, snapshots

from pcapnat.flow import cross, fingerprint, observe
from pcapnat.flow import vote as v
from pcapnat.kernel import digest, kernel, load16, load16le, load32, load32le, load64, making, mix, native, prepare, signed
from pcapnat.kernel import engine as kernel_engine
from pcapnat.kernel.engine import KERNELS, Kernel
from pcapnat.message import messages
from pcapnat.model import NatModel, Traffic
from pcapnat.nat.presets import PRESETS
from pcapnat.reading import conversations
from pcapnat.replay import replay
from pcapnat.table import Table, column
from pcapnat.terms import Point, Selection
from pcapnat.wire.xpress import unpack, unpack_plain

Natively = Callable[[], AbstractContextManager[None]]
WORD = 1 << 64
LINUX = PRESETS["linux-masquerade"].behavior
FACTOR = 3  # a constant that `scaled` below depends on


class Pair(Table):
    """Two columns, one of them wide."""
    one = column("int64", "a number")
    wide = column("uint64", "three numbers", width=3)


def _declared() -> tuple[Kernel, Kernel, Kernel]:
    @kernel(buf="u1", at="int", length="int", value="u8", state="int", out="u8")
    def primitives(buf: Any, at: int, length: int, value: Any, state: int, out: Any) -> int:
        """One of each primitive, so that both ways to run can be compared."""
        out[0] = load16(buf, at)
        out[1] = load16le(buf, at)
        out[2] = load32(buf, at)
        out[3] = load32le(buf, at)
        out[4] = load64(buf, at)
        out[5] = mix(state, value[0])
        out[6] = digest(buf, at, length)
        out[7] = mix(mix(length, state), load64(buf, at))
        return signed(value[0])

    @kernel(pair=Pair, rows="i8:2", scale="int")
    def scaled(pair: Any, rows: Any, scale: int) -> int:
        """Rows times scale times FACTOR into a table's columns; returns the sum."""
        total = 0
        for i in range(len(pair.one)):
            pair.one[i] = (rows[i, 0] + rows[i, 1]) * scale * FACTOR
            pair.wide[i, 2] = i
            total += pair.one[i]
        return total

    @kernel(count="int")
    def halved(count: int) -> int:
        """The simplest kernel."""
        return count // 2

    for k in (primitives, scaled, halved):
        KERNELS.remove(k)  # the project's kernels are what KERNELS holds
    return primitives, scaled, halved


MINE = primitives, scaled, halved = _declared()


@pytest.fixture(scope="module", autouse=True)
def machine_code(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[int], int]]:
    """The kernels above as machine code, through a cache: compiled first, then loaded from the file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCAPNAT_CACHE", str(tmp_path_factory.mktemp("mine")))
        assert not native.ready(list(MINE))
        native.load(list(MINE), [])
        assert native.ready(list(MINE))
        native.load(list(MINE), [])
    code = {k.name: k.native for k in MINE if k.native}
    for k in MINE:
        k.native = None
    return code


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    """Leave every kernel as it was found."""
    before = [(k, k.native) for k in (*MINE, *KERNELS)]
    yield
    for k, code in before:
        k.native = code


def both(k: Kernel, code: dict[str, Callable[[int], int]], *args: Any) -> int:
    """Call a kernel plain and native with equal arguments; returns the result after comparing it and all arrays."""
    copies = [a.take(slice(None)) if isinstance(a, Table) else a.copy() if isinstance(a, np.ndarray) else a for a in args]
    k.native = None
    plain = k(*args)
    k.native = code[k.name]
    assert plain == k(*copies)
    k.native = None
    for mine, other in zip(args, copies, strict=True):
        for a, b in [(getattr(mine, n), getattr(other, n)) for n in mine.columns] if isinstance(mine, Table) else [(mine, other)]:
            assert np.array_equal(a, b)
    return plain


def mixed(state: int, value: int) -> int:
    """mix() by multiplication, division and remainder."""
    x = (state % WORD) ^ (value * 0x9E3779B97F4A7C15 % WORD)
    x = (x ^ x // 2**32) * 0xBF58476D1CE4E5B9 % WORD
    return (x ^ x // 2**29) // 2


def digested(data: bytes) -> int:
    """The digest as its sentence says: the length, then words of eight bytes, then the number the rest makes."""
    state, rest = len(data), 0
    while len(data) >= 8:
        state, data = mixed(state, struct.unpack(">Q", data[:8])[0]), data[8:]
    for byte in data:
        rest = rest * 256 + byte
    return mixed(state, rest)


word64 = st.integers(0, WORD - 1)
signed64 = st.integers(-(1 << 63), (1 << 63) - 1)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(min_size=8, max_size=90), at=st.integers(0, 40), length=st.integers(0, 90), value=word64, state=signed64)
@example(data=b"\xff" * 64, at=0, length=64, value=WORD - 1, state=-1)
@example(data=bytes(16), at=0, length=0, value=1 << 63, state=0)
@example(data=b"\x80" * 23, at=0, length=23, value=(1 << 63) - 1, state=1)
def test_primitives(machine_code: dict[str, Callable[[int], int]], data: bytes, at: int, length: int, value: int, state: int) -> None:
    """Every primitive against an independent formula, plain and native."""
    at = min(at, len(data) - 8)
    length = min(length, len(data) - at)
    out = np.zeros(8, np.uint64)
    result = both(primitives, machine_code, np.frombuffer(data, np.uint8).copy(), at, length, np.array([value], np.uint64), state, out)
    assert result == struct.unpack("=q", struct.pack("=Q", value))[0]
    there = data[at:]
    assert out[:5].tolist() == [struct.unpack_from(f, there)[0] for f in (">H", "<H", ">I", "<I", ">Q")]
    word = struct.unpack_from(">Q", there)[0]
    assert out[5:].tolist() == [mixed(state, value), digested(there[:length]), mixed(mixed(length, state), word)]
    assert all(0 <= n < 1 << 63 for n in out[5:].tolist())


def named(data: bytes) -> int:
    """The digest of all of `data`."""
    return digest(memoryview(data), 0, len(data))


def test_digest_tells_lengths_and_places_apart() -> None:
    """Zeros of every length, and a one in every place, are all different."""
    seen = {named(bytes(n)) for n in range(200)}
    seen |= {named(bytes(at) + b"\1" + bytes(199 - at)) for at in range(200)}
    assert len(seen) == 400


@pytest.mark.parametrize("gap", range(1, 70))
def test_digest_tells_two_counters_apart(gap: int) -> None:
    """Two digits anywhere in a message: a polynomial with a structured base gave 28 names to a hundred messages."""
    assert len({named(b"a%d%b%d" % (i, b"." * gap, j)) for i in range(10) for j in range(10)}) == 100


def test_tables_wide_columns_and_counts(machine_code: dict[str, Callable[[int], int]]) -> None:
    """A table arrives as a record of arrays, a wide column as rows."""
    pair = Pair.empty(4)
    assert both(scaled, machine_code, pair, np.arange(8, dtype=np.int64).reshape(4, 2), 5) == 15 * sum(range(8))
    assert pair.one.tolist() == [15, 75, 135, 195]
    assert pair.wide[:, 2].tolist() == [0, 1, 2, 3]
    assert both(scaled, machine_code, Pair.empty(0), np.zeros((0, 2), np.int64), 1) == 0
    assert both(halved, machine_code, np.int64(9)) == 4


@pytest.mark.parametrize("way", ["plain", "native"])
@pytest.mark.parametrize(("rows", "says"), [
    (np.zeros((4, 2), np.int32), "int32"),
    (np.zeros((4, 2), np.uint64), "uint64"),
    (np.zeros((4, 3), np.int64), "(4, 3)"),
    (np.zeros(8, np.int64), "(8,)"),
    (np.zeros((4, 2, 1), np.int64), "(4, 2, 1)"),
    (np.zeros((4, 4), np.int64)[:, ::2], "not contiguous"),
    (np.zeros((2, 4), np.int64).T, "not contiguous"),
    (np.zeros((4, 2), np.dtype(np.int64).newbyteorder()), "byte order"),
    (np.frombuffer(bytearray(65), np.int64, 8, 1).reshape(4, 2), "not aligned"),
    ([[1, 2]], "list"),
    (b"12345678", "bytes"),
], ids=str)
def test_wrong_arrays_are_refused(machine_code: dict[str, Callable[[int], int]], way: str, rows: Any, says: str) -> None:
    """Machine code would read anything; so would be wrong numbers, silently."""
    scaled.native = machine_code["scaled"] if way == "native" else None
    with pytest.raises(TypeError, match="kernel argument rows") as error:
        scaled(Pair.empty(4), rows, 1)
    assert says in str(error.value)


@pytest.mark.parametrize("way", ["plain", "native"])
def test_wrong_columns_and_counts_are_refused(machine_code: dict[str, Callable[[int], int]], way: str) -> None:
    """The columns of a table are checked as well, and the number of arguments."""
    scaled.native = machine_code["scaled"] if way == "native" else None
    rows = np.zeros((4, 2), np.int64)
    with pytest.raises(TypeError, match="kernel argument wide: uint64"):
        scaled(Pair(one=np.zeros(4, np.int64), wide=np.zeros((4, 2), np.uint64)), rows, 1)
    with pytest.raises(TypeError, match="scaled takes 3 arguments, not 2"):
        scaled(Pair.empty(4), rows)
    with pytest.raises(TypeError):
        scaled(Pair.empty(4), rows, "three")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory that holds machine code for `halved`, and nothing else."""
    monkeypatch.setenv("PCAPNAT_CACHE", str(tmp_path / "deep" / "cache"))
    native.load([halved], [])
    (path,) = (tmp_path / "deep" / "cache").iterdir()
    return path


@pytest.mark.parametrize("damage", [
    lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
    lambda data: bytes([data[0] ^ 1]) + data[1:],
    lambda data: data[:-1],
    lambda data: data[:20],
    lambda data: b"",
    lambda data: data + b"\0",
], ids=["a byte of code", "a byte of the checksum", "one byte short", "hardly begun", "empty", "one byte more"])
def test_damaged_machine_code_is_made_again(cache: Path, damage: Callable[[bytes], bytes]) -> None:
    """A file that does not match its own checksum is not loaded, and is replaced by one that does."""
    good = cache.read_bytes()
    cache.write_bytes(damage(good))
    assert not native.ready([halved])
    halved.native = None
    native.load([halved], [])
    assert native.ready([halved])
    assert halved.native
    assert halved(41) == 20
    assert [cache] == list(cache.parent.iterdir())


def test_cache_is_the_users_alone(cache: Path) -> None:
    """Machine code is executed: nobody else may write there."""
    assert cache.stat().st_mode & 0o077 == 0 or os.name == "nt"
    assert cache.parent.stat().st_mode & 0o077 == 0 or os.name == "nt"


@pytest.mark.parametrize("where", ["below a file", "full disk", "no home"])
def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """The code is made, used and forgotten, and no half-written file stays."""
    (tmp_path / "file").write_text("in the way")
    place = tmp_path / "cache"
    if where == "below a file":
        monkeypatch.setenv("PCAPNAT_CACHE", str(tmp_path / "file" / "cache"))
    elif where == "full disk":
        monkeypatch.setenv("PCAPNAT_CACHE", str(place))

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")
        monkeypatch.setattr(os, "replace", full)
    else:
        for name in ("PCAPNAT_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
            monkeypatch.delenv(name, raising=False)

        def homeless() -> Path:
            raise RuntimeError("Could not determine home directory.")
        monkeypatch.setattr(Path, "home", homeless)
    native.load([halved], [])
    assert halved.native
    assert halved(7) == 3
    assert not native.ready([halved])
    assert not place.exists() or not list(place.iterdir())


def test_cache_follows_the_platforms_habits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PCAPNAT_CACHE overrules; otherwise the user's cache directory."""
    monkeypatch.setenv("PCAPNAT_CACHE", str(tmp_path))
    assert native.cache_dir() == tmp_path
    monkeypatch.delenv("PCAPNAT_CACHE")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for platform, variable, inside in (("linux", "XDG_CACHE_HOME", ".cache/pcapnat"), ("win32", "LOCALAPPDATA", "AppData/Local/pcapnat"),
                                       ("darwin", "", "Library/Caches/pcapnat")):
        monkeypatch.setattr(native.sys, "platform", platform)
        for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
            monkeypatch.delenv(name, raising=False)
        assert native.cache_dir() == tmp_path / inside
        if variable:
            monkeypatch.setenv(variable, str(tmp_path / "else"))
            assert native.cache_dir() == tmp_path / "else" / "pcapnat"


def test_code_of_other_sources_is_not_taken(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Another constant, another column layout, another kernel or another function that it calls is another file."""
    def file(k: Kernel) -> Path:
        return native._files([halved, scaled, k])[k.name]

    files = {file(halved), file(scaled)}
    monkeypatch.setitem(globals(), "FACTOR", 4)
    files.add(file(scaled))
    monkeypatch.setattr(scaled, "params", scaled.params[::-1])
    files.add(file(scaled))
    assert cache in files
    assert len(files) == 4
    deep = next(k for k in KERNELS if k.name == "track")
    before = file(deep)
    inside = next(f for f in making.reached(deep) if f.__name__ == "follow_tcp")
    monkeypatch.setitem(inside.__globals__, "LOW32", 1)
    assert file(deep) != before


def refused(function: Callable[[int], int], why: str) -> None:
    """This function, as a kernel of one integer, cannot become machine code."""
    k = kernel(count="int")(function)
    KERNELS.remove(k)
    with pytest.raises(RuntimeError, match=why):
        native.compiled(k, [])


def test_kernels_that_break_the_rules_are_refused() -> None:
    """Code that calls anything but the C library's memory functions could not be loaded; floats are a slip of types."""
    def divides(count: int) -> int:
        return int(count / 3 * 2)

    def prints(count: int) -> int:
        print(count)  # noqa: T201
        return count
    refused(divides, "floats")
    refused(prints, "may not allocate or raise")


def test_addresses_belong_to_one_table(machine_code: dict[str, Callable[[int], int]]) -> None:
    """Copied, unpickled and joined tables have columns of their own; one that gave its rows away and one of another kind are refused."""
    scaled.native = machine_code["scaled"]
    rows, pair = np.ones((4, 2), np.int64), Pair.empty(2)
    scaled(pair, rows, 1)
    pair.one[:] = 7
    for other in (copy.deepcopy(pair), pickle.loads(pickle.dumps(pair)), Pair.join([pair, pair]), pair.take([1, 0])):
        scaled(other, rows, 5)
        assert set(other.one.tolist()) == {30}
        assert pair.one.tolist() == [7, 7]
    pair.grown(4)
    with pytest.raises(AttributeError):
        scaled(pair, rows, 1)

    class Alone(Table):
        """Not what `scaled` declares."""
        one = column("int64", "a number")

    @kernel(table=Alone)
    def first(table: Any) -> int:
        """Takes what `scaled` does not."""
        return int(table.one[0])

    KERNELS.remove(first)
    native._link([first], [native.compiled(first, [])])
    alone = Alone(one=np.array([5]))
    assert first(alone) == 5
    with pytest.raises(AttributeError):
        scaled(alone, rows, 1)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `prepare` does, without doing it."""
    done: list[str] = []
    monkeypatch.setattr(kernel_engine, "KERNELS", [halved])
    monkeypatch.setattr(native, "ready", lambda *_: "cached" in done)
    monkeypatch.setattr(native, "load", lambda *_: done.append("load"))
    monkeypatch.delenv("PCAPNAT_KERNELS", raising=False)
    return done


@pytest.mark.parametrize(("frames", "cached", "wish", "expected"), [
    (100, False, "", "plain"), (100, True, "", "plain"), (100, False, "native", "native"), (100, True, "native", "native"),
    (20_000, False, "", "plain"), (20_000, True, "", "native"), (20_000, False, "native", "native"), (20_000, True, "plain", "plain"),
    (10**7, False, "", "native"), (10**7, True, "", "native"), (10**7, True, "plain", "plain"), (10**7, False, "plain", "plain"),
])
def test_prepare_chooses_by_size(loads: list[str], monkeypatch: pytest.MonkeyPatch, frames: int, cached: bool, wish: str,
                                 expected: str) -> None:
    """Small captures never wait for a compiler; a wish overrules; only a compilation is announced."""
    loads += ["cached"] if cached else []
    monkeypatch.setenv("PCAPNAT_KERNELS", wish)
    said: list[str] = []
    assert prepare(frames, said.append) == expected
    assert ("load" in loads) == (expected == "native")
    assert len(said) == (expected == "native" and not cached)


def test_prepare_stays_native_but_plain_can_be_wished(loads: list[str], monkeypatch: pytest.MonkeyPatch,
                                                      machine_code: dict[str, Any]) -> None:
    """Code that is loaded is used for anything, unless the wish is plain."""
    halved.native = machine_code["halved"]
    assert prepare(1) == "native"
    assert halved.native
    monkeypatch.setenv("PCAPNAT_KERNELS", "plain")
    assert prepare(10**9) == "plain"
    assert halved.native is None
    assert not loads


def columns(port: Any) -> dict[str, Any]:
    """All arrays of what a capture point showed, by name."""
    tables = {name: value for name, value in vars(port).items() if isinstance(value, Table)}
    arrays = {name: value for name, value in vars(port).items() if isinstance(value, np.ndarray)}
    tables["picked"] = port.picked.excerpts
    return arrays | {f"{name}.{column}": getattr(table, column) for name, table in tables.items() for column in table.columns}


@pytest.fixture
def crowded(tmp_path: Path) -> str:
    """A pcapng with a datagram of each of 5000 conversations: more than the first table of them holds."""
    def block(kind: int, body: bytes) -> bytes:
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
    data = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 101, 0, 0))
    for n in range(5000):
        ip = struct.pack(">BBHHHBBHII", 0x45, 0, 28, n, 0, 64, 17, 0, 0x0A000001 + n % 7, 0xCB007101)
        data += block(6, struct.pack("<IIIII", 0, 0, n, 28, 28) + ip + struct.pack(">HHHH", 1024 + n, 53, 8, 0))
    path = tmp_path / "crowded.pcapng"
    path.write_bytes(data)
    return str(path)


@pytest.fixture
def others(tmp_path: Path) -> list[str]:
    """A snoop and an ERF file with two Ethernet frames each, and a pcapng in which frames have comments."""
    frame = bytes(12) + b"\x08\x00" + struct.pack(">BBHHHBBHII", 0x45, 0, 28, 7, 0, 64, 17, 0, 0x0A000001, 0xCB007101)
    frame += struct.pack(">HHHH", 1024, 53, 8, 0)
    snoop = b"snoop\0\0\0" + struct.pack(">II", 2, 4)
    snoop += b"".join(struct.pack(">IIIIII", 42, 42, 68, 0, n, n) + frame + b"\0\0" for n in range(2))
    erf = b"".join(struct.pack("<Q", n << 32) + struct.pack(">BBHHHH", 2, 0, 60, 0, 42, 0) + frame for n in range(2))
    paths = [tmp_path / "a.snoop", tmp_path / "a.erf", tmp_path / "windows.pcapng"]
    for path, data in zip(paths, (snoop, erf, converted(snapshots("demo")[0])), strict=True):
        path.write_bytes(data)
    return [str(path) for path in paths]


def test_every_kernel_gives_the_same_both_ways(
    natively: Natively, captures: list[str], crowded: str, others: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every column of every bundled capture, walked, decoded and followed, and of every pair, crossed, plain and native."""
    monkeypatch.setattr(fingerprint, "FIRST_PAIRS", v.MANY)  # so that the tallies have to grow
    monkeypatch.setattr(fingerprint, "FEW_ROWS", 0)  # so that the index has parts
    monkeypatch.setattr(fingerprint, "cores", lambda: 2)
    called: set[str] = set()
    ports: dict[str, tuple[Any, Any]] = {}

    def counted(k: Kernel) -> Callable[[int], int]:
        code = k.native
        assert code

        def call(block: int) -> int:
            called.add(k.name)
            return code(block)
        return call
    for path in [crowded, *others, *captures, *captures[:2]]:
        if os.path.getsize(path) > 1 << 20:
            continue
        point = Point("here", (path,), selection=Selection(filter="less 100") if path in ports else Selection())
        plain, _ = observe(point, 64)
        with natively():
            for k in KERNELS:
                k.native = counted(k)
            native_way, _ = observe(point, 64)
        mine, other = columns(plain), columns(native_way)
        assert len(mine) > 40
        assert mine.keys() == other.keys()
        assert [name for name in mine if not np.array_equal(mine[name], other[name])] == [], path
        assert plain.picked.data == native_way.picked.data
        ports.setdefault(path, (plain, native_way))
    for path in captures:
        outer = path.replace("inside.", "outside.")
        if outer == path or outer not in ports:
            continue
        plain_cross = cross(ports[path][0], ports[outer][0])
        with natively():
            for k in KERNELS:
                k.native = counted(k)
            native_cross = cross(ports[path][1], ports[outer][1])
            native_replay = replay(native_cross, LINUX)
        assert replay(plain_cross, LINUX) == native_replay
        assert plain_cross.clock == native_cross.clock
        assert plain_cross.unmatched_here == native_cross.unmatched_here
        one, two = plain_cross.matches, native_cross.matches
        assert [name for name in one.columns if not np.array_equal(getattr(one, name), getattr(two, name))] == [], path
    for path in captures:
        plain_speech, said = conversations(path)[2], messages(ports[path][0].picked)
        with natively():
            for k in KERNELS:
                k.native = counted(k)
            assert np.array_equal(conversations(path)[2].topics, plain_speech.topics)
            other_said = messages(ports[path][1].picked)
        assert said.texts == other_said.texts
        for one, two in ((said.queries, other_said.queries), (said.names, other_said.names), (said.events, other_said.events)):
            assert [name for name in one.columns if not np.array_equal(getattr(one, name), getattr(two, name))] == [], path
    many = Traffic.empty(600)  # more sessions than a model begins with: it makes room
    many.time_ns[:], many.src[:, 1], many.proto[:], many.kind[:], many.ttl[:] = np.arange(600) * 10**9, np.arange(600) + 1, 17, 1, 64
    many.hint_port[:] = -1
    modelled = NatModel(dataclasses.replace(LINUX, addresses=("203.0.113.1",))).play(many)[0]
    with natively():
        for k in KERNELS:
            k.native = counted(k)
        other_modelled = NatModel(dataclasses.replace(LINUX, addresses=("203.0.113.1",))).play(many)[0]
    assert [name for name in modelled.columns if not np.array_equal(getattr(modelled, name), getattr(other_modelled, name))] == []
    packed = bytes.fromhex("ffffff1f61626317000fff2601")  # no bundled capture is compressed as Windows' traces are
    with natively():
        for k in KERNELS:
            k.native = counted(k)
        assert unpack(packed, 300) == unpack_plain(packed, 300) == b"abc" * 100
    assert {k.name for k in KERNELS} == called
