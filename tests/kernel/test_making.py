"""Machine code made by several processes is the same set of kernels, whatever becomes of the children."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

import pcapnat.pipeline  # noqa: F401 (all kernels)
from pcapnat.kernel import making, native
from pcapnat.kernel.engine import INNER, KERNELS, Kernel

SMALL = [k for k in KERNELS if k.name in ("again", "group", "walk_erf", "walk_snoop")]


def fake(kernels: Iterable[Kernel]) -> bytes:
    """Stands for the compiler in this process."""
    return " ".join(k.name for k in kernels).encode()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few kernels are shared out, too."""
    monkeypatch.setattr(making, "FEW", 1)


def test_two_processes_make_every_kernel_once(small: None) -> None:
    taken: list[str] = []

    def here(kernels: Iterable[Kernel]) -> bytes:
        """Make the first one only, so that the child has to make others."""
        mine = [next(iter(kernels))]
        taken.extend(k.name for k in mine)
        return native.compiled(mine, INNER)

    objects = making.parts(SMALL, here, 2)
    assert len(objects) >= 2
    assert len(taken) < len(SMALL)
    before = {k.name: k.native for k in SMALL}
    try:
        native._link(SMALL, making.packed(objects))  # raises if one is missing
    finally:
        for k in SMALL:
            k.native = before[k.name]


@pytest.mark.parametrize("trouble", ["", "raise SystemExit(3)", "import nothing_of_that_name", "open('/dev/full', 'w').write('x' * 9999)"])
def test_a_child_that_fails_leaves_nothing_undone(small: None, monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    monkeypatch.setattr(making, "CHILD", trouble)
    assert sorted(" ".join(o.decode() for o in making.parts(SMALL, fake, 2)).split()) == sorted(k.name for k in SMALL)


def test_what_a_failed_child_had_claimed_is_made_here(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "CHILD", "import json, sys; j = json.load(sys.stdin); open(j['folder'] + '/again.claim', 'x'); sys.exit(1)")
    made: list[str] = []

    def slow(kernels: Iterable[Kernel]) -> bytes:
        """Take no kernel before the child is gone."""
        if not made:
            children[0].wait()
        made.extend(k.name for k in kernels)
        return b"x"

    children: list[Any] = []
    start = making._start
    monkeypatch.setattr(making, "_start", lambda *a: children.append(start(*a)) or children[-1])
    making.parts(SMALL, slow, 2)
    assert sorted(made) == sorted(k.name for k in SMALL)
    assert made[-1] == "again"


@pytest.mark.parametrize("without", ["", None])
def test_no_interpreter_to_start(small: None, monkeypatch: pytest.MonkeyPatch, without: str | None) -> None:
    monkeypatch.setattr(making.sys, "executable", without)
    assert making.parts(SMALL, fake, 2) == [fake(SMALL)]
    monkeypatch.setattr(making.sys, "executable", "/nowhere/python")
    assert sorted(making.parts(SMALL, fake, 2)[0].decode().split()) == sorted(k.name for k in SMALL)


@pytest.mark.parametrize("objects", [[], [b""], [b"a", b"", b"cde" * 1000]])
def test_packed(objects: list[bytes]) -> None:
    assert making.unpacked(making.packed(objects)) == objects


@pytest.mark.parametrize("data", [b"x", b"\xff" * 8, making.packed([b"abc"])[:-1]])
def test_cut(data: bytes) -> None:
    with pytest.raises(ValueError, match="cut"):
        making.unpacked(data)
