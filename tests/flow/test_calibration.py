"""Confidence holds: of the rows said with 0.99, 99 of 100 are right. By hand over folders: python tests/flow/test_calibration.py FOLDER...

The table: how many rows were said with a confidence between two bounds, and how many of them are wrong by the truth beside the
captures. Hard ones are made on top: many hosts that say the same at nearly the same moments, frames lost.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

BOUNDS = 0.0, 0.5, 0.9, 0.99, 0.999, 1.0
Rows = list[tuple[float, bool]]


def rows_of(folder: Path) -> Rows:
    """(confidence, right) of every row of a scenario's boxes whose inside conversation the truth lists."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from test_captures import key

    from pcapnat import analyze
    from pcapnat.report import analysis_json
    from pcapnat.terms import Point

    want: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    boxes = want["boxes"] if "boxes" in want else [{"between": ["inside", "outside"], "translations": want["translations"]}]
    files = want.get("points", {name: f"{name}.pcap" for name in ("inside", "outside")})
    out: Rows = []
    for one in boxes:
        points = [Point(name, (str(folder / files[name]),)) for name in one["between"]]
        found = json.loads(analysis_json(analyze(points)))["boxes"][0]["translations"]
        truth = {key(t) for t in one["translations"]}
        known = {t[:3] for t in truth}
        keys = [(key(t), t["confidence"]) for t in found]
        out += [(confidence, k in truth) for k, confidence in keys if k[:3] in known]
    return out


def table(rows: Rows) -> list[tuple[float, float, int, int]]:
    """(from, to, rows, wrong ones) by confidence."""
    confidence, right = np.array([c for c, _ in rows]), np.array([r for _, r in rows], bool)
    out = []
    for low, high in itertools.pairwise(BOUNDS):
        mask = (confidence >= low) & ((confidence < high) | (high == 1.0))
        out.append((low, high, int(mask.sum()), int((mask & ~right).sum())))
    return out


def show(rows: Rows) -> str:
    """The table as text."""
    return "\n".join(f"{low:>6} to {high:<6} {n:>7} rows {wrong:>4} wrong" for low, high, n, wrong in table(rows))


def made(folder: Path) -> Rows:
    """Rows of hosts that say the same, at moments that are ever nearer to each other."""
    from test_timing import keepalives, score

    out: Rows = []
    for seed, (hosts, period, lost) in enumerate([(40, 20.0, 0.0), (200, 20.0, 0.05), (250, 3.0, 0.05), (250, 1.0, 0.1), (120, 0.5, 0.2)]):
        inside, outside, truth = keepalives(hosts, period, max(6, int(4 * period)), seed, lost=lost)
        place = folder / str(seed)
        place.mkdir()
        c, _, _ = score(place, inside, outside, truth)
        a = [port.conversations.addresses() for port in (c.here, c.there)]
        for h, t, confidence in zip(c.matches.here.tolist(), c.matches.there.tolist(), c.matches.confidence().tolist(), strict=True):
            ends = [[(x[r], int(p)) for x, p in zip(ab, (port.conversations.a_port[r], port.conversations.b_port[r]), strict=True)]
                    for ab, port, r in zip(a, (c.here, c.there), (h, t), strict=True)]  # fmt: skip
            host = next((e for e in ends[0] if e in truth), None)
            if host is not None:
                out.append((confidence, truth[host] in ends[1]))
    return out


def test_confidence_is_kept(tmp_path: Path, capsys: Any) -> None:
    captures = sorted(p.parent for p in (Path(__file__).parents[2] / "captures").glob("*/expected.json"))
    rows = [row for folder in captures if (folder / "inside.pcap").exists() for row in rows_of(folder)] + made(tmp_path)
    with capsys.disabled():
        pass
    assert len(rows) > 500
    for low, _, n, wrong in table(rows):
        assert wrong <= (1 - low) * n + 2 * np.sqrt((1 - low) * low * n), f"said with {low}: {wrong} of {n} wrong"


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
