"""The layout rules: which room may import what, which foreign module is allowed where, and what every file must look like.

A breach is fixed in the code, not here. The floors are those of the map in pcapnat/__init__.py.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent / "pcapnat"
FILES = sorted(HOUSE.rglob("*.py"))
FLOOR = {
    "address": 0,
    "ports": 0,
    "table": 0,
    "kernel": 0,
    "terms": 1,
    "wire": 2,
    "message": 3,
    "flow": 4,
    "nat": 5,
    "config": 5.5,
    "export": 5.5,
    "model": 6,
    "replay": 6.5,
    "analysis": 7,
    "report": 9,
    "reading": 9.5,
    "pipeline": 10,
    "cli": 11,
    "__init__": 11,
    "__main__": 11,
}
TOP = {"cli", "__init__", "__main__"}
"""The door of the whole house, its command line, and the way from one to the other: these know each other."""
ONLY_IN = {
    "numba": {"kernel/native"},
    "llvmlite": {"kernel/native"},
    "click": {"cli"},
    "tabulate": {"report/terminal"},
    "time": {"cli", "replay/send"},
    "dpkt": {"wire/witness", "message/bridge"},
    "pyshark": set(),
    "random": set(),
    "secrets": set(),
    "socket": {"replay/send"},
    "subprocess": {"wire/via", "kernel/making"},
    "lz4": {"wire/source"},
    "zstandard": {"wire/source"},
    "multiprocessing": set(),
    "logging": set(),
    "urllib": set(),
    "http": set(),
    "pcapnat": set(),
}
"""Foreign modules that are tied to a place, a file or a whole room; `pcapnat` stands for importing ourselves by the whole name, past the
floors. replay/send puts frames on an interface when they are due: it has a socket and a clock."""
FOREIGN = {"numpy", "dpkt", "numba", "llvmlite", "click", "tabulate", "lz4", "zstandard"}
"""All that is not ours and not Python's."""
NO_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
LONGEST = 450


def name(path: Path) -> str:
    """A file as its place in the house: "flow/track"."""
    return path.relative_to(HOUSE).with_suffix("").as_posix()


def room(path: Path) -> str:
    """The folder at the top that a file is in, or the file itself."""
    return name(path).split("/")[0]


def parsed(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def for_types_only(tree: ast.Module) -> set[ast.AST]:
    """Every node under `if TYPE_CHECKING:`."""
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and isinstance(n.test, ast.Name) and n.test.id == "TYPE_CHECKING"]
    return {inner for block in blocks for child in block.body for inner in ast.walk(child)}


def imports(place: str, tree: ast.Module) -> Iterator[tuple[ast.AST, str | None, str | None]]:
    """(node, room or None, foreign module or None) for every import of a file, those inside functions too."""
    here = place.split("/")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, None, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node, None, (node.module or "").split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                other = base[0] if base else alias.name
                yield node, other if other in FLOOR else "__init__", None


def breaches(place: str, tree: ast.Module) -> list[str]:
    """What a file imports of ours and may not."""
    mine = place.split("/")[0]
    typing = for_types_only(tree)
    out = []
    for node, other, _ in imports(place, tree):
        if other is None:
            continue
        if node in typing and other != mine:
            out.append(f"{place} imports {other} for types only: only files of one room may go round in circles")
        if other == mine or {other, mine} <= TOP:
            continue
        if FLOOR[other] >= FLOOR[mine]:
            out.append(f"{place} (floor {FLOOR[mine]}) reaches up or sideways to {other} (floor {FLOOR[other]})")
    return out


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_go_down(path: Path) -> None:
    assert room(path) in FLOOR, f"{room(path)} is a new room: give it a floor"
    assert breaches(name(path), parsed(path)) == []


PLANTED = (
    ("flow/cross", "from ..nat import mappings", True),
    ("flow/cross", "def f():\n    from ..report import terminal", True),
    ("nat/mapping", "from ..flow import Crossing", False),
    ("nat/mapping", "from ..ports import CLASSES", False),
    ("terms", "from .table import Table", False),
    ("address", "from . import terms", True),
    ("address", "from .ports import service", True),
    ("table", "from .address import texts", True),
    ("kernel/native", "from . import primitives", False),
    ("kernel/native", "from .. import table", True),
    ("cli", "from . import __version__, pipeline", False),
    ("cli/reading", "from .. import pipeline, report", False),
    ("pipeline", "from . import cli", True),
    ("pipeline", "from . import __version__", True),
    ("wire/link", "if TYPE_CHECKING:\n    from .capture import Capture", False),
    ("wire/link", "if TYPE_CHECKING:\n    from ..terms import Clock", True),
    ("report/content", "from ..flow.socket import ROLES", False),
    ("wire/walk", "from ..flow import track", True),
)


@pytest.mark.parametrize(("place", "source", "bad"), PLANTED)
def test_the_floor_rule_itself(place: str, source: str, bad: bool) -> None:
    assert bool(breaches(place, ast.parse(source))) is bad


@pytest.mark.parametrize("path", FILES, ids=name)
def test_touches_only_what_it_may(path: Path) -> None:
    for _, _, module in imports(name(path), parsed(path)):
        if module in ONLY_IN:
            assert ONLY_IN[module] & {name(path), room(path)}, f"{name(path)} may not import {module}"
        elif module is not None:
            assert module in sys.stdlib_module_names or module in FOREIGN, f"{name(path)} imports {module}, which is not a dependency"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_is_short_and_says_what_it_holds(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST
    assert ast.get_docstring(parsed(path)), "no docstring at the head"
    assert path.stem not in NO_NAMES


def undocumented(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """Public functions, classes and methods without a docstring; what is inside functions is nobody else's."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from undocumented(node.body, f"{prefix}{node.name}.")


@pytest.mark.parametrize("path", FILES, ids=name)
def test_what_is_public_is_documented(path: Path) -> None:
    assert list(undocumented(parsed(path).body)) == []


@pytest.mark.parametrize("path", [p for p in FILES if room(p) != "cli"], ids=name)
def test_only_the_command_line_prints(path: Path) -> None:
    calls = [n.func for n in ast.walk(parsed(path)) if isinstance(n, ast.Call)]
    assert not [c for c in calls if isinstance(c, ast.Name) and c.id == "print"]
    # Our own streams; a child process has a stdout as well, which is read.
    written = [
        n
        for n in ast.walk(parsed(path))
        if isinstance(n, ast.Attribute) and n.attr in ("stdout", "stderr") and isinstance(n.value, ast.Name) and n.value.id == "sys"
    ]
    assert not written


def test_the_map_names_every_room() -> None:
    said = ast.get_docstring(parsed(HOUSE / "__init__.py")) or ""
    assert {r for r in FLOOR if not r.startswith("__")} <= set(said.split())


def test_public_names_are_fetched_where_the_door_says() -> None:
    import pcapnat

    assert sorted(pcapnat._WHERE) == sorted(pcapnat.__all__)
    for public in pcapnat.__all__:
        assert getattr(pcapnat, public) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pcapnat.nothing
