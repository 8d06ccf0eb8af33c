"""Every scenario in captures/: what analyze() finds is what the NAT itself reported, whichever way the files are read.

The truth is expected.json (the kernel's conntrack events). Endpoints are compared free of orientation; an ICMP
identifier stands at both ends of a conversation, and only the one is compared.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packet_script import halves

from pcapnat import analyze
from pcapnat.report import analysis_json
from pcapnat.terms import Point

Key = tuple[Any, ...]
Json = dict[str, Any]

CAPTURES = Path(__file__).parent.parent / "captures"
NEEDS = ("about.toml", "expected.json", "inside.pcap", "outside.pcap")
SCENARIOS = sorted(d.name for d in CAPTURES.iterdir() if all((d / need).exists() for need in NEEDS))
FACTS = {"what", "device", "rule", "origin", "licence", "truth"}


def key(t: Json) -> Key:
    """A translation as a comparable value, the same from either end: protocol, both ends inside, both ends outside."""
    icmp = t["proto"].startswith("icmp")

    def end(side: Json, name: str) -> tuple[str, int | None]:
        port = side[name]["port"]
        if icmp and port is None:
            port = side["dst" if name == "src" else "src"]["port"]
        return side[name]["address"], port

    a, b, c, d = (end(t[side], name) for side in ("inside", "outside") for name in ("src", "dst"))
    if icmp:
        b, d = (b[0], a[1]), (d[0], c[1])
    proto = "icmp" if icmp else t["proto"]
    return min((proto, a, b, c, d), (proto, b, a, d, c), key=repr)


def expected(scenario: str) -> dict[Key, Json]:
    """The truth by key."""
    rows = json.loads((CAPTURES / scenario / "expected.json").read_text())["translations"]
    return {key(t): t for t in rows}


def found(inside: tuple[Path, ...], outside: tuple[Path, ...]) -> list[Json]:
    """The translations between two points, as the JSON document tells them."""
    points = [Point("inside", tuple(map(str, inside))), Point("outside", tuple(map(str, outside)))]
    rows: list[Json] = json.loads(analysis_json(analyze(points)))["boxes"][0]["translations"]
    return rows


def pair(scenario: str) -> list[Json]:
    """The translations of a scenario's two files."""
    return found((CAPTURES / scenario / "inside.pcap",), (CAPTURES / scenario / "outside.pcap",))


def test_there_are_scenarios() -> None:
    assert {"demo", "linux-masquerade", "linux-hairpin", "linux-netmap", "linux-tuple-reuse"} <= set(SCENARIOS)
    assert sorted(d.name for d in CAPTURES.iterdir() if d.is_dir()) == SCENARIOS, "a folder without all four files"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_about_says_where_it_is_from(scenario: str) -> None:
    about = tomllib.loads((CAPTURES / scenario / "about.toml").read_text(encoding="utf-8"))
    assert about.keys() >= FACTS
    assert all(isinstance(about[fact], str) and about[fact].strip() for fact in FACTS)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_translations_equal_the_truth(scenario: str, mode: str) -> None:
    truth, rows = expected(scenario), pair(scenario)
    keys = [key(row) for row in rows]
    known = {k[:3] for k in truth}  # inside tuples that the truth lists
    assert truth.keys() - set(keys) == set(), "not found"
    assert {k for k in keys if k[:3] in known} - truth.keys() == set(), "found and wrong"
    beyond = tomllib.loads((CAPTURES / scenario / "about.toml").read_text(encoding="utf-8")).get("beyond", 0)
    assert len([k for k in keys if k not in truth]) == beyond, "beyond the truth: its source lists all but so many, looked at one by one"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_the_truth_says_of_each(scenario: str) -> None:
    truth = expected(scenario)
    for row in pair(scenario):
        want = truth.get(key(row))
        if want is None:  # counted by the test above
            continue
        assert row["initiator"] == want["initiator"]
        assert row.get("hairpin", False) == want.get("hairpin", False)
        if "kind" in want:
            assert row["kind"] == want["kind"]
        # The truth tells the kind in any case, by what differs between the sides in the initiator's direction.
        changed = [want["inside"][end] != want["outside"][end] for end in ("src", "dst")]
        icmp = row["proto"].startswith("icmp")
        if icmp:
            changed[1] = want["inside"]["dst"]["address"] != want["outside"]["dst"]["address"]
        assert (
            row["kind"]
            == {(False, False): "none", (True, False): "source", (False, True): "destination", (True, True): "both"}[tuple(changed)]
        )
        for side in ("inside", "outside"):
            for end in ("src", "dst"):
                assert row[side][end]["address"] == want[side][end]["address"], "in the initiator's direction"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_both_ways_to_run_give_the_same(scenario: str, natively: Any) -> None:
    plain = pair(scenario)
    with natively():
        assert pair(scenario) == plain


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_rotated_files_in_wrong_order_give_the_same(scenario: str, tmp_path: Path, mode: str) -> None:
    sides = []
    for side in ("inside", "outside"):
        one, other = tmp_path / f"{side}-z-first.pcap", tmp_path / f"{side}-a-second.pcap"
        halves(CAPTURES / scenario / f"{side}.pcap", one, other)
        sides.append((other, one))
    assert found(*sides) == pair(scenario)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_conversation_is_told_once(scenario: str) -> None:
    points = [Point(side, (str(CAPTURES / scenario / f"{side}.pcap"),)) for side in ("inside", "outside")]
    analysis = analyze(points)
    crossing = analysis.boxes[0].crossing
    told_here = [*crossing.matches.here.tolist(), *crossing.matches.there[crossing.matches.hairpin == 1].tolist()]
    assert sorted([*set(told_here), *crossing.unmatched_here]) == list(range(len(analysis.points[0].conversations)))
    plain = crossing.matches.hairpin == 0
    assert sorted([*set(crossing.matches.there[plain].tolist()), *crossing.unmatched_there]) == list(
        range(len(analysis.points[1].conversations))
    )


@pytest.mark.parametrize("scenario", ["demo", "linux-masquerade", "linux-port-collisions", "linux-port-forward", "linux-hairpin"])
def test_points_from_the_outside_in_are_noticed(scenario: str) -> None:
    files = {name: str(CAPTURES / scenario / f"{name}.pcap") for name in ("inside", "outside")}
    right, wrong = (analyze([Point(n, (files[n],)) for n in order]) for order in (("inside", "outside"), ("outside", "inside")))
    said = "inside is inside of outside, as addresses and TTLs tell: give the points from the inside out"
    assert said not in right.notes
    assert (said in wrong.notes) == (scenario != "linux-hairpin")
