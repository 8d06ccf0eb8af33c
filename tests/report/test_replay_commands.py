"""`pcapnat diff`: a user's model against what was seen, as JSON and on the page; models that do not exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pcapnat.cli import cli
from pcapnat.nat.behavior import PortRange
from pcapnat.nat.chosen import chosen
from pcapnat.nat.presets import PRESETS
from pcapnat.terms import PcapnatError

CAPTURES = Path(__file__).parents[2] / "captures"


def pair(folder: str) -> list[str]:
    """The two files of a bundled pair."""
    return [str(CAPTURES / folder / f"{side}.pcap") for side in ("inside", "outside")]


def told(*args: str) -> Any:
    """The JSON a command prints."""
    ran = CliRunner().invoke(cli, [*args, "--format", "json"], catch_exceptions=False)
    assert ran.exit_code == 0
    assert ran.output.count("\n") == 1
    return json.loads(ran.output)


RIGHT = ("linux-masquerade", "linux-masquerade-ipv6", "linux-icmp-errors", "linux-port-forward", "linux-tuple-reuse", "linux-dns-failure")


@pytest.mark.parametrize("folder", RIGHT)
def test_the_right_model_differs_in_nothing(folder: str) -> None:
    d = told("diff", *pair(folder), "--through", "linux-masquerade")
    assert d["schema"] == "pcapnat.diff/1"
    assert d["explained"] == d["frames"] > 30
    assert (d["differences"], d["causes"], d["share"]) == ([], [], 1)
    assert d["model"]["name"] == "linux-masquerade"
    assert d["model"]["addresses"]
    assert [p["name"] for p in d["points"]] == ["inside", "outside"]


def test_differences_of_a_wrong_model() -> None:
    d = told("diff", *pair("linux-port-collisions"), "--through", "winnat:ports=2000-3000")
    assert d["explained"] < d["frames"]
    assert sum(c["frames"] for c in d["causes"]) == d["frames"] - d["explained"]
    assert sum(c["listed"] for c in d["causes"]) == len(d["differences"])
    assert {x["kind"] for x in d["differences"]} <= {"missing", "extra", "changed"}
    for x in d["differences"]:
        assert x.keys() >= {"kind", "field", "expected", "observed", "conversation", "frames"}
        assert x["frames"].keys() == {"inside", "outside"}
    first = d["causes"][0]
    assert first["filters"]["inside"].startswith(f"frame.number in {{{first['first']['frames']['inside'][0]}, ")
    firsts = d["first_divergences"]
    assert len(firsts) == d["conversations_diverged"] > 5
    assert len({x["conversation"] for x in firsts}) == len(firsts)
    assert [x["frames"]["inside"][0] for x in firsts] == sorted(x["frames"]["inside"][0] for x in firsts)
    earliest = {}
    for x in sorted(d["differences"], key=lambda x: x["frames"]["inside"][:1]):
        earliest.setdefault(x["conversation"], x["frames"]["inside"])
    of = {x["conversation"]: x["frames"]["inside"] for x in firsts}
    assert all(of[c] <= frames for c, frames in earliest.items())
    page = CliRunner().invoke(cli, ["diff", *pair("linux-port-collisions"), "--through", "winnat:ports=2000-3000", "--limit", "2"]).output
    assert "Replay through winnat:ports=2000-3000" in page
    assert "with another source port" in page
    assert f"First divergence of each conversation: {len(firsts)} conversations" in page
    assert "in Wireshark at outside: frame.number in {" in page


def test_a_model_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "linux-masquerade"\nport_range = [40000, 40009]\nkeeps_any_port = false\n')
    assert told("diff", *pair("demo"), "--through", str(path))["share"] == 1


def test_changes_of_a_preset() -> None:
    b = chosen("linux-masquerade:ports=1024-2047,udp_idle=30,forwards=true,addresses=192.0.2.1+192.0.2.2,mapping=address-dependent")
    assert b.port_ranges == (PortRange(1024, 2047),)
    assert (b.udp_idle_s, b.forwards, b.addresses, b.mapping.value) == (30, True, ("192.0.2.1", "192.0.2.2"), "address-dependent")
    assert b.tcp_idle_s == PRESETS["linux-masquerade"].behavior.tcp_idle_s


WRONG = {
    "nosuch": "linux-masquerade, linux-random",
    "nosuch.toml": "no such file",
    "winnat:": "no such model",
    "winnat:foo=3": "foo is no parameter",
    "winnat:udp_idle": "is no change such as",
    "winnat:udp_idle=-1": "is no number",
    "winnat:ports=9-3": "9-3 is no range",
    ".": "not a regular file",
    "a\0b": "model",
}


@pytest.mark.parametrize("said", WRONG)
def test_models_that_are_none(said: str) -> None:
    with pytest.raises(PcapnatError) as error:
        chosen(said)
    assert WRONG[said] in str(error.value)
    assert "line" not in str(error.value)


def test_a_model_file_is_text(tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PcapnatError, match="at byte 0"):
        chosen(str(path))


def test_points_that_are_too_many_or_one_sided() -> None:
    inside, outside = pair("demo")
    for points, says in (((inside,), "one side"), ((inside, outside, inside), "two points")):
        ran = CliRunner().invoke(cli, ["diff", *points, "--through", "pf"])
        assert isinstance(ran.exception, PcapnatError)
        assert says in str(ran.exception)


@pytest.mark.parametrize("folder", ["linux-masquerade", "linux-port-collisions", "linux-icmp-errors", "demo"])
def test_a_forecast_of_what_the_nat_did(folder: str) -> None:
    """Outside endpoints that the model does not leave free are those that the real NAT gave."""
    through = "linux-masquerade:ports=40000-40009" if folder == "demo" else "linux-masquerade"
    d = told("replay", pair(folder)[0], "--through", through)
    assert d["schema"] == "pcapnat.replay/1"
    assert sum(d["verdicts"].values()) == d["frames"] > 30
    assert sum(row["frames"] for row in d["dropped"]) == d["verdicts"]["dropped"]
    assert d["answers"]["let_in"] == d["answers"]["frames"] > 10
    mappings = told("analyze", *pair(folder))["boxes"][0]["mappings"]
    real = {(m["proto"], *m["inside"].values(), m["outside"]["port"]) for m in mappings}
    # A free choice binds the later sessions of its inside endpoint.
    free = {(s["proto"], *s["inside"].values()) for s in d["sessions"] if s["free_choice"]}
    fixed = [s for s in d["sessions"] if (s["proto"], *s["inside"].values()) not in free]
    same = [s for s in fixed if (s["proto"], *s["inside"].values(), s["outside"]["port"]) in real]
    assert len(same) >= len(fixed) * 0.9
    assert all(s["outside"]["address"] == "203.0.113.1" for s in d["sessions"])


def test_a_forecast_that_fails_and_one_of_nothing() -> None:
    d = told("replay", pair("demo")[0], "--through", "linux-masquerade:ports=5000-5001,mapping=address-and-port-dependent")
    assert {s["outside"]["port"] for s in d["sessions"] if s["proto"] != "icmp"} <= {5000, 5001}
    page = CliRunner().invoke(cli, ["replay", pair("linux-masquerade-ipv6")[0], "--through", "pf"]).output
    assert "taken for inside: fd00:1:1::10, fd00:1:1::11, by private addresses" in page
    assert "102 frames from inside: 100 leave translated" in page
    assert "Sessions: 68" in CliRunner().invoke(cli, ["replay", pair("linux-masquerade")[0], "--through", "linux-masquerade"]).output
