"""How long a box takes: against a synthetic NAT whose delays are known, and silent where the clocks are not."""

from __future__ import annotations

import random
from pathlib import Path

from packet_script import read, write
from synthetic_nat import Nat, cross_nat

from pcapnat import analyze
from pcapnat.report.passage import passage_json, passage_section
from pcapnat.terms import Point

CAPTURES = Path(__file__).parents[2] / "captures"


def box(folder: Path, nat: Nat, seed: int = 1):  # type: ignore[no-untyped-def]
    frames = read(CAPTURES / "linux-masquerade" / "inside.pcap")
    start = frames[0].time_ns
    frames = [f._replace(time_ns=start + (f.time_ns - start) * 100) for f in frames]
    sides = cross_nat(frames, nat, random.Random(seed))
    points = [Point(n, (write(folder / f"{n}.pcap", f),)) for n, f in (("inside", sides.inside), ("outside", sides.outside))]
    return analyze(points).boxes[0]


def test_both_ways(tmp_path: Path) -> None:
    found = box(tmp_path, Nat(delay_ns=(300_000, 900_000), offset_ns=5_000_000_000))
    assert [d.outward for d in found.delays] == [True, False]
    unsure = found.crossing.clock.uncertainty_ns
    for d in found.delays:
        assert 300_000 - unsure <= d.least_ns <= d.median_ns <= d.most_of_them_ns <= d.most_ns <= 900_000 + unsure
        assert sum(s.frames for s in d.slices) == d.frames
        assert len(d.slices) <= 60
        assert max(s.most_ns for s in d.slices) == d.most_ns
    told = passage_json(found)
    assert told["frames"]["pairs"] == told["frames"]["same"] == len(found.crossing.frames)
    assert told["frames"]["only_inside"] == {"count": 0, "while_both_captured": 0, "frames": []}
    assert told["delay"]["out"]["frames"] == found.delays[0].frames
    text = "\n".join(passage_section(found)[0].lines)
    assert "inside → outside: " in text
    assert "outside → inside: " in text


def test_no_clock_no_delay(tmp_path: Path) -> None:
    found = box(tmp_path, Nat(lowers_ttl=False))
    assert found.delays == []
    assert passage_json(found)["delay"] == {"uncertainty_ns": None, "out": None, "back": None}


def test_what_is_seen_at_one_point_only(tmp_path: Path) -> None:
    found = box(tmp_path, Nat(lost=0.1), 4)
    told = passage_json(found)["frames"]
    assert told["only_inside"]["count"] > 3
    assert told["only_outside"]["count"] > 3
    assert told["only_inside"]["frames"][0] == int(found.crossing.lone_here[0]) + 1
    assert "at inside only" in "\n".join(passage_section(found)[0].lines)
