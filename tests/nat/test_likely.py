"""Which NAT it is: the one that made the traffic is never excluded, and what does not fit is."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from preset_traffic import preset_seen

from pcapnat import analyze
from pcapnat.cli import cli
from pcapnat.nat import Likely
from pcapnat.nat.likely import CONSISTENT, EXCLUDED, rank
from pcapnat.nat.presets import PRESETS
from pcapnat.terms import Finding, Point

CAPTURES = Path(__file__).parents[2] / "captures"
LARGE = (
    "linux-masquerade",
    "linux-random",
    "winnat",
    "pf",
    "juniper",
    "vpp",
    "slirp",
    "cgn-pba",
    "cgn-deterministic",
    "azure",
    "rfc-strict",
)


def verdicts(found: Likely) -> dict[str, str]:
    """By name."""
    return {r.name: r.verdict for r in found.ranked}


@pytest.mark.parametrize("size", [20, 100, 1000])
def test_the_right_one_is_never_excluded(size: int) -> None:
    """Every preset's traffic; prints how many others each size leaves."""
    counted: Counter[str] = Counter()
    runs, left, bad = 0, 0, []
    for name in PRESETS if size < 1000 else LARGE:
        for seed in range(3 if size < 1000 else 1):
            found = rank(preset_seen(PRESETS[name].behavior, size, seed))
            mine = next(r for r in found.ranked if r.name == name)
            counted[mine.verdict] += 1
            runs += 1
            left += sum(r.verdict == CONSISTENT for r in found.ranked)
            if mine.verdict == EXCLUDED:
                bad.append(f"{name} {seed}: {mine.objections}")
    print(f"{size} mappings: {dict(counted)}, on average {left / runs:.1f} of {len(PRESETS)} fit")  # noqa: T201
    assert not bad
    assert counted[CONSISTENT] >= 0.95 * runs


def test_a_few_hosts_and_few_mappings() -> None:
    for name, preset in PRESETS.items():
        for hosts, size in ((1, 20), (1, 100), (2, 6), (3, 40)):
            assert verdicts(rank(preset_seen(preset.behavior, size, hosts, hosts)))[name] != EXCLUDED, f"{name}, {hosts} hosts"


REAL = {
    "linux-masquerade": (
        {"linux-masquerade", "docker", "linux-persistent", "mikrotik"},
        {"winnat", "linux-random", "pf", "slirp", "azure"},
    ),
    "linux-port-collisions": ({"linux-masquerade", "docker", "mikrotik"}, {"winnat", "linux-random", "pf", "pf-static-port", "passt"}),
    "demo": ({"linux-masquerade", "linux-random", "pf"}, {"winnat", "azure", "slirp"}),
    "linux-masquerade-ipv6": ({"linux-masquerade"}, {"winnat", "linux-random"}),
    "linux-nat64": ({"linux-masquerade"}, {"linux-random"}),
    "linux-ftp-alg": ({"linux-masquerade"}, {"slirp"}),
    "linux-dns-failure": ({"linux-masquerade", "passt"}, {"linux-random", "slirp"}),
    "linux-icmp-errors": ({"linux-masquerade"}, {"azure"}),
    "linux-netmap": ({"linux-masquerade", "winnat", "pf"}, {"slirp"}),
    "slirp-user-nat": ({"slirp"}, {"linux-masquerade", "linux-random", "winnat", "pf", "passt"}),
}


@pytest.mark.parametrize("name", REAL)
def test_real_captures(name: str) -> None:
    fits, out = REAL[name]
    box = analyze([Point(n, (str(CAPTURES / name / f"{n}.pcap"),)) for n in ("inside", "outside")]).boxes[0]
    assert box.likely is not None
    said = verdicts(box.likely)
    assert {n for n in fits if said[n] != CONSISTENT} == set()
    assert {n for n in out if said[n] != EXCLUDED} == set()
    for r in box.likely.ranked:
        assert r.objections or r.verdict != EXCLUDED, f"{r.name} is excluded for no reason"
        assert r.bits >= 0


def test_no_one_is_named_where_several_fit() -> None:
    found = rank(preset_seen(PRESETS["linux-masquerade"].behavior, 100, 1))
    equal = {r.name for r in found.ranked if r.rank == 1}
    assert {"linux-masquerade", "docker", "linux-persistent"} <= equal
    assert found.which.value is not None
    assert set(found.which.value) >= equal
    assert "which fit equally" in found.which.note


def test_a_port_outside_its_range_excludes_winnat() -> None:
    seen = preset_seen(PRESETS["winnat"].behavior, 20, 1)
    assert verdicts(rank(seen))["winnat"] == CONSISTENT
    seen.sessions.outside_port[3:5] = 1027
    mine = next(r for r in rank(seen).ranked if r.name == "winnat")
    assert mine.verdict == EXCLUDED
    assert mine.objections[0] == "port 1027 is outside its ports, 49152-65535"


def test_a_time_that_was_changed_weighs_and_excludes_nobody() -> None:
    seen = preset_seen(PRESETS["linux-masquerade"].behavior, 100, 2)
    usual = next(r for r in rank(seen).ranked if r.name == "linux-masquerade")
    changed = replace(seen, found={"udp_reply_idle_s": Finding([4.0, 15.0], 2, 0, "")})
    mine = next(r for r in rank(changed).ranked if r.name == "linux-masquerade")
    assert mine.verdict == CONSISTENT
    assert "answered UDP mappings are gone after 15 s of silence, its default is 120 s, which can be set" in mine.objections
    assert usual.objections == ()
    fitting = replace(seen, found={"udp_reply_idle_s": Finding([110.0, 125.0], 2, 0, "")})
    ranked = {r.name: r for r in rank(fitting).ranked}
    assert ranked["linux-masquerade"].bits < ranked["mikrotik"].bits, "180 s do not fit, 120 s do"


def test_nothing_seen_tells_nothing() -> None:
    seen = preset_seen(PRESETS["linux-masquerade"].behavior, 20, 3)
    found = rank(replace(seen, sessions=seen.sessions.take(slice(0, 0)), tallies={}, filtering={}))
    assert found.which.value is None
    assert {r.rank for r in found.ranked} == {1}


def test_json_and_page() -> None:
    pair = [str(CAPTURES / "linux-masquerade" / f"{side}.pcap") for side in ("inside", "outside")]
    page = CliRunner().invoke(cli, ["analyze", *pair]).output
    assert "Which NAT it is" in page
    assert "Consistent with linux-masquerade" in page
    behavior = json.loads(CliRunner().invoke(cli, ["analyze", *pair, "--format", "json"]).output)["boxes"][0]["behavior"]
    assert [p["name"] for p in behavior["presets"] if p["verdict"] == "consistent"] == behavior["which"]["value"]
    assert {tuple(p) for p in behavior["presets"]} == {("name", "verdict", "rank", "bits", "for", "against")}
