"""Machine code made by several processes is the same set of kernels, whatever becomes of the children."""
from __future__ import annotations

from typing import Any

import pytest

import pcapnat.pipeline  # noqa: F401 (all kernels)
from pcapnat.kernel import making, native
from pcapnat.kernel.engine import INNER, KERNELS, Kernel

SMALL = [k for k in KERNELS if k.name in ("again", "group", "walk_erf", "walk_snoop")]


def fake(k: Kernel) -> bytes:
    """Stands for the compiler in this process."""
    return k.name.encode()


ALL = {k.name: fake(k) for k in SMALL}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few kernels are shared out, too."""
    monkeypatch.setattr(making, "FEW", 1)


def test_two_processes_make_every_kernel_once(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    children: list[Any] = []
    start = making._start
    monkeypatch.setattr(making, "_start", lambda *a: children.append(start(*a)) or children[-1])

    def here(k: Kernel) -> bytes:
        """Make the first one, and no other before the child has made what it finds."""
        children[0].wait()
        taken.append(k.name)
        return native.compiled(k, INNER)

    objects = making.objects(SMALL, here, 2)
    assert set(objects) == set(ALL)
    assert len(taken) == 1
    before = {k.name: k.native for k in SMALL}
    try:
        native._link(SMALL, objects.values())  # raises if one is missing
    finally:
        for k in SMALL:
            k.native = before[k.name]


@pytest.mark.parametrize("trouble", ["", "raise SystemExit(3)", "import nothing_of_that_name", "open('/dev/full', 'w').write('x' * 9999)"])
def test_a_child_that_fails_leaves_nothing_undone(small: None, monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    monkeypatch.setattr(making, "CHILD", trouble)
    assert making.objects(SMALL, fake, 2) == ALL


BREAKS_OFF = """import json, sys
folder = json.load(sys.stdin)["folder"]
open(folder + "/again.claim", "x")
open(folder + "/again.part", "x").write("half")
open(folder + "/group.claim", "x")
open(folder + "/group.o", "x").write("whole")
sys.exit(1)"""


def test_what_a_failed_child_had_claimed_is_made_here(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had finished before is kept."""
    monkeypatch.setattr(making, "CHILD", BREAKS_OFF)
    children: list[Any] = []
    start = making._start

    def started(*args: Any) -> Any:
        """The child is gone before anything is made here."""
        children.append(start(*args))
        children[0].wait()
        return children[0]

    monkeypatch.setattr(making, "_start", started)
    made: list[str] = []
    assert making.objects(SMALL, lambda k: made.append(k.name) or fake(k), 2) == ALL | {"group": b"whole"}
    assert sorted(made) == sorted(set(ALL) - {"group"})
    assert made[-1] == "again"


@pytest.mark.parametrize("without", ["", None, "/nowhere/python"])
def test_no_interpreter_to_start(small: None, monkeypatch: pytest.MonkeyPatch, without: str | None) -> None:
    monkeypatch.setattr(making.sys, "executable", without)
    assert making.objects(SMALL, fake, 2) == ALL
