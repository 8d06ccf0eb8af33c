"""Filter rules look at one of many frames that none of them tells apart: they stop what they stop frame by frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pcapnat import analyze
from pcapnat.model import NatModel
from pcapnat.model.filter import _bars, _unlike, bars
from pcapnat.nat.filters import Action, Condition, Filter, Hook
from pcapnat.nat.presets import PRESETS
from pcapnat.replay import entered
from pcapnat.replay.entered import completed
from pcapnat.terms import Point

CAPTURES = Path(__file__).parents[2] / "captures"
LINUX = PRESETS["linux-masquerade"].behavior
RULES = (
    Filter(Hook.PREROUTING, 0, Action.DROP, (Condition("flags", ((7, 1),)), Condition("entered", ((1, 1),))), 0, "FIN from outside"),
    Filter(Hook.FORWARD, 1, Action.ACCEPT, (Condition("state", ((1, 2),)), Condition("dport", ((53, 53),), True)), 0, "known"),
    Filter(Hook.FORWARD, 1, Action.DROP, (Condition("sport", ((0, 40000),)), Condition("leaves", ((1, 1),))), 0, "low ports"),
    Filter(Hook.FORWARD, 1, Action.DROP, (Condition("kind", ((3, 3),)),), 0, "pongs"),
    Filter(Hook.POSTROUTING, 2, Action.DROP, (Condition("status", ((1, 1),)), Condition("proto", ((17, 17),))), 0, "UDP forwarded"),
)


@pytest.mark.parametrize("folder", ["linux-masquerade", "linux-hairpin", "linux-icmp-errors", "linux-port-forward", "linux-tuple-reuse"])
def test_the_same_as_frame_by_frame(folder: str) -> None:
    points = [Point(side, (str(CAPTURES / folder / f"{side}.pcap"),)) for side in ("inside", "outside")]
    crossing = analyze(points).boxes[0].crossing
    t = entered(crossing)
    verdicts, _ = NatModel(completed(replace(LINUX, filters=()), crossing)).play(t.traffic, t.quotes)
    found, wanted = bars(RULES, t.traffic, verdicts), _bars(RULES, t.traffic, verdicts)
    assert (found[0] == wanted[0]).all()
    assert (found[1] == wanted[1]).all()
    assert wanted[0].any()
    rows, place = _unlike(t.traffic, verdicts)
    stopped, who = _bars(RULES, t.traffic.take(rows), verdicts.take(rows))
    assert (stopped[place] == wanted[0]).all()
    assert (who[:, place] == wanted[1]).all()
    assert len(rows) < len(t.traffic) or folder == "linux-hairpin"
    assert (np.diff(rows) > 0).all()
    assert (rows[place] <= np.arange(len(t.traffic))).all()
