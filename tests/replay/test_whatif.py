"""`pcapnat whatif`: what models drop, and how many ports are in use at once, against sums by hand and a plain count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from packet_script import script, write

from pcapnat.cli import cli
from pcapnat.replay.whatif import Lived, _most, _ports, _towards

CAPTURES = Path(__file__).parents[2] / "captures"


def told(*args: str) -> Any:
    """The JSON a command prints."""
    ran = CliRunner().invoke(cli, [*args, "--format", "json"], catch_exceptions=False)
    assert ran.exit_code == 0
    return json.loads(ran.output)


def test_models_side_by_side() -> None:
    """A range of ten ports is too small for the bundled pair, one of thousands is not; how many it takes is said for both."""
    demo = str(CAPTURES / "demo" / "inside.pcap")
    through = ["--through", "winnat", "--through", "linux-masquerade:ports=40000-40009"]
    d = told("whatif", demo, *through)
    assert d["schema"] == "pcapnat.whatif/1"
    free, tight = d["models"]
    assert [m["through"] for m in d["models"]] == ["winnat", "linux-masquerade:ports=40000-40009"]
    assert (free["dropped"], free["first_failure"]) == ({"out": [], "in": []}, None)
    assert tight["dropped"]["out"] == [{"reason": "no outside port is free that the behavior allows", "frames": 83}]
    assert tight["conversations"] == {"opened": 44, "failed": 23, "broken": 0}
    assert tight["first_failure"]["frame"] == 77
    assert tight["ports"]["in_use_at_peak"][0] == {"address": "203.0.113.1", "proto": "tcp", "ports": 10}
    assert tight["ports"]["needed_at_peak"][0]["ports"] == free["ports"]["in_use_at_peak"][0]["ports"] == 31
    assert free["ports"]["towards_one_endpoint"]["remote"] == {"address": "198.51.100.10", "port": 80}
    page = CliRunner().invoke(cli, ["whatif", demo, *through]).output
    assert "first failure is frame 77" in page


def test_a_port_is_in_use_until_its_session_is_over(tmp_path: Path) -> None:
    """Two sockets 40 s apart: together under a time of 60 s, one after the other under 30 s."""
    inside = write(tmp_path / "in.pcap", script("A:1 udp one | B>A:1 udp x t60 | +40000 A:2 udp two | B>A:2 udp x t60"))
    rows = told("whatif", inside, "--through", "rfc4787:udp_idle=60", "--through", "rfc4787:udp_idle=30")["models"]
    assert [m["ports"]["in_use_at_peak"][0]["ports"] for m in rows] == [2, 1]
    assert [m["sessions"] for m in rows] == [{"made": 2, "peak": 2}, {"made": 2, "peak": 1}]


def test_answers_that_come_too_late(tmp_path: Path) -> None:
    inside = write(tmp_path / "in.pcap", script("A udp one | +40000 B udp late t60"))
    (m,) = told("whatif", inside, "--through", "rfc4787:udp_idle=30")["models"]
    assert m["dropped"]["in"] == [{"reason": "no mapping has this outside endpoint", "frames": 1}]
    assert m["conversations"] == {"opened": 1, "failed": 0, "broken": 1}
    assert (m["first_failure"]["frame"], m["first_failure"]["direction"]) == (2, "in")


def test_sessions_that_were_forgotten_count(tmp_path: Path) -> None:
    """More sessions than the model's tables begin with, each over before the next: all are made, one lives at a time."""
    text = " | ".join(f"+2000 A:{1000 + k} udp x" for k in range(600))
    (m,) = told("whatif", write(tmp_path / "in.pcap", script(text)), "--through", "rfc4787:udp_idle=1")["models"]
    assert m["sessions"] == {"made": 600, "peak": 1}
    assert m["ports"]["in_use_at_peak"][0]["ports"] == 1


times = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)), min_size=1)


@settings(max_examples=200, deadline=None)
@given(times)
def test_peaks_against_a_count_at_every_moment(sessions: list[tuple[int, int, int, int, int]]) -> None:
    """Sessions of an outside port and a remote one: distinct ports, and sessions towards one endpoint, alive at each moment."""
    rows = np.array(sessions, np.int64)
    start, end, n = rows[:, 0], rows[:, 0] + rows[:, 1], len(rows)
    outside, remote = np.zeros((n, 2), np.uint64), np.zeros((n, 2), np.uint64)
    outside[:, 1] = remote[:, 1] = 0xFFFF << 32 | 1
    lived = Lived(start, end, np.where(rows[:, 4] == 1, 6, 17), outside, rows[:, 2], remote, rows[:, 3], np.ones(n, bool))

    def alive(t: int) -> list[tuple[int, int, int]]:
        return [(p, r, proto) for s, length, p, r, proto in sessions if s <= t < s + length]

    assert _most(start, end) == max(len(alive(t)) for t in range(30))
    for peak in _ports(lived):
        proto = 1 if peak.proto == 6 else 2
        assert peak.most == max(len({p for p, _, x in alive(t) if x == proto}) for t in range(30))
    most = _towards(lived)
    assert most is not None
    assert most.most == max(sum((r, x) == key for _, r, x in alive(t)) for t in range(30) for key in [(1, 1), (1, 2), (2, 1), (2, 2)])


@pytest.mark.parametrize("folder", ["linux-nat64", "linux-masquerade-ipv6", "slirp-user-nat"])
def test_any_capture_through_any_model(folder: str) -> None:
    d = told("whatif", str(CAPTURES / folder / "inside.pcap"), "--through", "pf", "--through", "cgn-deterministic", "--through", "azure")
    for m in d["models"]:
        assert m["conversations"]["failed"] + m["conversations"]["broken"] <= m["conversations"]["opened"]
        assert (m["first_failure"] is None) == (not m["conversations"]["failed"] + m["conversations"]["broken"])
