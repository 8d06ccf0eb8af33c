"""`pcapnat trace`: numbered steps, one verdict, and it agrees with what replay says of the same frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from packet_script import script, write

from pcapnat import analyze
from pcapnat.cli import cli
from pcapnat.nat.presets import PRESETS
from pcapnat.replay import replay, trace
from pcapnat.terms import PcapnatError, Point

CAPTURES = Path(__file__).parents[2] / "captures"
DEMO = [str(CAPTURES / "demo" / f"{side}.pcap") for side in ("inside", "outside")]


def told(*args: str) -> Any:
    """The JSON a command prints."""
    ran = CliRunner().invoke(cli, [*args, "--format", "json"], catch_exceptions=False)
    assert ran.exit_code == 0
    return json.loads(ran.output)


def steps(t: Any) -> dict[str, str]:
    """Name and result of each step."""
    assert [s["number"] for s in t["steps"]] == list(range(1, len(t["steps"]) + 1))
    return {s["name"]: s["result"] for s in t["steps"]}


def test_a_frame_that_leaves() -> None:
    t = told("trace", *DEMO, "3", "--through", "linux-masquerade:ports=40000-40009")
    assert t["schema"] == "pcapnat.trace/1"
    assert steps(t) == {
        "arrival": "inside",
        "session lookup": "none",
        "rule": "source translation",
        "mapping": "as seen",
        "state": "SYN sent",
        "TTL": "enough",
        "output": "translated",
    }
    assert t["verdict"]["leaves"]["src"] == {"address": "203.0.113.10", "port": 40009}
    assert (t["observed"]["point"], t["observed"]["frame"], t["agrees"], t["differs"]) == ("outside", 3, True, [])


def test_without_a_model_the_inferred_one() -> None:
    """A frame by its number outside is the frame that entered inside; one that finds no port is refused."""
    t = told("trace", *DEMO, "outside:9")
    assert t["frame"] == {"point": "outside", "number": 9, "role": "left", "entered": {"point": "inside", "frame": 9}}
    assert steps(t)["session lookup"] == "found"
    assert any("leaves free" in note for note in t["notes"])
    t = told("trace", *DEMO, "77")
    assert steps(t)["mapping"] == "refused"
    assert t["verdict"] == {
        "disposition": "dropped",
        "reason": "no_port",
        "says": "dropped: no outside port is free that the behavior allows",
        "leaves": None,
    }
    assert (t["observed"], t["agrees"]) == (None, True)
    page = CliRunner().invoke(cli, ["trace", *DEMO, "77"]).output
    assert page.count("Verdict:") == 1
    assert "5. output" in page


def test_a_wrong_model_differs() -> None:
    t = told("trace", *DEMO, "3", "--through", "winnat")
    assert t["agrees"] is False
    assert [d["field"] for d in t["differs"]] == ["sport"]
    assert "what was seen is not allowed" in next(s["says"] for s in t["steps"] if s["name"] == "mapping")


@pytest.mark.parametrize(("folder", "name"), [("linux-icmp-errors", "winnat"), ("linux-port-forward", "pf"), ("linux-hairpin", "rfc4787")])
def test_it_agrees_with_the_replay(folder: str, name: str) -> None:
    """Frames that differ in a replay differ in their traces, and the first twenty others do not."""
    points = [Point(side, (str(CAPTURES / folder / f"{side}.pcap"),)) for side in ("inside", "outside")]
    crossing, behavior = analyze(points).boxes[0].crossing, PRESETS[name].behavior
    found = replay(crossing, behavior)
    wrong = {(d.entered_at, d.frames[d.entered_at][0]): d for d in found.differences if d.entered_at >= 0}
    for frame in list(wrong)[:25]:
        t = trace(crossing, behavior, frame)
        assert t.agrees is False
        assert t.reason is wrong[frame].reason
        if str(wrong[frame].field) in ("src", "sport", "dst", "dport", "ttl"):
            assert t.differs[0][0] == wrong[frame].field
    if all(c.count <= 20 for c in found.causes):  # else not all that differ are listed
        others = [t for t in (trace(crossing, behavior, (0, n)) for n in range(1, 25)) if t.role == "entered" and t.frame not in wrong]
        assert all(t.agrees is not False for t in others)
    assert all(trace(crossing, behavior, (1, n)).says for n in range(1, 15))


def test_what_comes_from_outside_unasked(tmp_path: Path) -> None:
    """Filtered, late, or with no mapping at all: each says so."""
    here = "A S 100 | B SA 500 101 t63 | A . 101 501 | A P 101 501 x9 | A udp hello | +200000 A udp more"
    there = "N:40000>B S 100 t63 | B>N:40000 SA 500 101 | N:40000>B . 101 501 t63 | N:40000>B P 101 501 x9 t63 | N:40000>B udp hello t63"
    there += " | D>N:40000 udp who | D>N:9 udp no | +100000 B>N:40000 udp late | +99997 N:40000>B udp more t63"
    inside, outside = write(tmp_path / "in.pcap", script(here)), write(tmp_path / "out.pcap", script(there))
    results = {}
    for number in (6, 7, 8):
        t = told("trace", inside, outside, f"outside:{number}", "--through", "rfc-strict")
        results[number] = (steps(t).get("filter"), t["verdict"]["reason"], t["agrees"])
    assert results == {6: ("filtered", "filtered", True), 7: ("no mapping", "no_mapping", True), 8: (None, "none", False)}
    t = told("trace", inside, outside, "outside:8", "--through", "rfc-strict:udp_idle=30")
    assert (steps(t)["filter"], t["verdict"]["reason"]) == ("no mapping", "no_mapping")
    assert "which ended" in t["steps"][1]["says"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("1",), "needs points and a frame"),
        ((*DEMO, "9999"), "has no frame 9999"),
        ((*DEMO, "middle:1"), "no such point"),
        ((*DEMO, "x"), "not a frame number"),
        ((*DEMO, "0"), "counted from 1"),
        ((*DEMO, "1-3"), "one frame at a time"),
        ((DEMO[0], "3"), "one side"),
        ((DEMO[0], DEMO[0], "3"), "no NAT was found"),
    ],
)
def test_what_cannot_be_traced(arguments: tuple[str, ...], says: str) -> None:
    ran = CliRunner().invoke(cli, ["trace", *arguments])
    assert isinstance(ran.exception, PcapnatError)
    assert says in str(ran.exception)


def test_frames_that_no_model_judges() -> None:
    t = told("trace", *DEMO, "1", "--through", "pf")
    assert (t["frame"]["role"], t["agrees"], t["steps"]) == ("none", None, [])
