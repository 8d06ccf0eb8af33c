"""Conversations joined over several boxes: against a plain join, and over a real NAT followed by a made one."""
from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from packet_script import read, write
from synthetic_nat import Nat, cross_nat

from pcapnat import analyze
from pcapnat.flow import Matches, paths
from pcapnat.report import analysis_json, analysis_sections, terminal
from pcapnat.terms import Point

MASQUERADE = Path(__file__).parents[2] / "captures" / "linux-masquerade"
pair = st.tuples(st.integers(0, 4), st.integers(0, 4))


def crossing(pairs: list[tuple[int, int]], hairpins: int = 0) -> SimpleNamespace:
    m = Matches.empty(len(pairs) + hairpins)
    m.here[: len(pairs)], m.there[: len(pairs)] = np.array(pairs, np.int64).reshape(-1, 2).T
    m.flip[:] = (m.here + m.there) % 2
    m.margin[:] = 3.0
    m.hairpin[len(pairs) :] = 1
    return SimpleNamespace(matches=m)


def joined(boxes: list[list[tuple[int, int]]]) -> set[tuple[int, ...]]:
    """A plain outer join."""
    rows: set[tuple[int, ...]] = set()
    for step, pairs in enumerate(boxes):
        ends = {row[-1] for row in rows if row[-1] >= 0}
        rows = {(*row, t) for row in rows for t in ([t for h, t in pairs if h == row[-1]] or [-1])} | {
            (*[-1] * step, h, t) for h, t in pairs if h not in ends
        }
    return rows


@given(st.lists(st.lists(pair, max_size=8, unique=True), min_size=1, max_size=4), st.integers(0, 2))
def test_a_plain_join_says_the_same(boxes: list[list[tuple[int, int]]], hairpins: int) -> None:
    found = paths([crossing(pairs, hairpins) for pairs in boxes])  # type: ignore[misc]
    rows = [tuple(row) for row in found.conversation.tolist()]
    assert len(rows) == len(set(rows))
    assert set(rows) == joined(boxes)
    for row, turned, sure in zip(rows, found.turned.tolist(), found.confidence.tolist(), strict=True):
        steps = [k for k in range(len(boxes)) if row[k] >= 0 and row[k + 1] >= 0]
        assert abs(sure - (1 - 2.0**-3) ** len(steps)) < 1e-9
        for k in steps:
            assert (turned[k] != turned[k + 1]) == bool((row[k] + row[k + 1]) % 2)
    assert [row.count(-1) == len(row) for row in rows].count(True) == 0


def test_two_nats(tmp_path: Path) -> None:
    """Every conversation of a real NAT goes on through a made one; the page and the JSON tell each at all three points."""
    sides = cross_nat(read(MASQUERADE / "outside.pcap"), Nat(), random.Random(3))
    files = [str(MASQUERADE / "inside.pcap"), write(tmp_path / "home.pcap", sides.inside), write(tmp_path / "isp.pcap", sides.outside)]
    analysis = analyze([Point(name, (file,)) for name, file in zip(("vm", "home", "isp"), files, strict=True)])
    found = json.loads(analysis_json(analysis))
    whole = [p["points"] for p in found["paths"] if len(p["points"]) == 3]
    truth = json.loads((MASQUERADE / "expected.json").read_text())["translations"]
    assert len(whole) == len([t for t in truth if not t["hairpin"]])
    ports = {p.name: p for p in analysis.points}
    for points in whole:
        first = {name: int(ports[name].conversations.first_row[points[name]["conversation"]]) for name in points}
        number = sides.outside_numbers[first["isp"]]
        assert int(ports["home"].conversation[sides.inside_numbers.index(number)]) == points["home"]["conversation"]
        assert len({p["dst"]["address"] for p in points.values()}) == 1
    page = terminal(analysis_sections(analysis, 3), False)
    assert f"{len(whole)} conversations from vm to isp." in page
    assert "2 NATs one behind the other: vm|home, home|isp." in page


def test_two_points_have_no_paths() -> None:
    files = [Point(name, (str(MASQUERADE / f"{name}.pcap"),)) for name in ("inside", "outside")]
    assert json.loads(analysis_json(analyze(files)))["paths"] is None
