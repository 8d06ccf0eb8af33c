"""One capture with both sides in it: the truth of the two, out of one file; and no capture of one side is taken for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from packet_script import read, write
from test_captures import CAPTURES, expected, key

from pcapnat import analyze
from pcapnat.report import analysis_json
from pcapnat.terms import Point

BOTH = "demo", "linux-masquerade", "linux-masquerade-ipv6", "linux-netmap", "linux-port-collisions", "linux-port-forward", "linux-ftp-alg"
EVERY = sorted(p for p in CAPTURES.glob("*/*.pcap*"))


@pytest.mark.parametrize("scenario", BOTH)
def test_two_captures_in_one_file(scenario: str, tmp_path: Path) -> None:
    frames = [f for side in ("inside", "outside") for f in read(CAPTURES / scenario / f"{side}.pcap")]
    path = write(tmp_path / "router.pcap", sorted(frames, key=lambda f: f.time_ns))
    analysis = analyze([Point("router", (path,))])
    told = json.loads(analysis_json(analysis))
    truth = expected(scenario)
    found = {key(t) for t in told["boxes"][0]["translations"]}
    known = {t[:3] for t in truth}
    assert {t for t in found if t[:3] in known} == truth.keys()
    assert [p["name"] for p in told["points"]] == ["inside", "outside"]
    assert any("one capture shows both sides of a box" in note for note in told["notes"])


@pytest.mark.parametrize("path", EVERY, ids=[f"{p.parent.name}/{p.name}" for p in EVERY])
def test_one_side_is_one_side(path: Path) -> None:
    assert not analyze([Point("here", (str(path),))]).boxes
