"""Ports of hosts by order statistics, ports of a NAT over time: known behaviors are found or unknown, never taken for others."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from pcapnat.cli import cli
from pcapnat.flow import Conversations
from pcapnat.nat import collisions, port_load
from pcapnat.nat.hostports import RANGES, host_ports
from pcapnat.nat.session import Sessions

CAPTURES = Path(__file__).parents[2] / "captures"
NS = 1_000_000_000
KNOWN = {(a, b) for _, a, b in RANGES}


def opened(ports: Any, remotes: Any, proto: int = 17) -> Conversations:
    """Conversations of one host with these source ports, one a millisecond."""
    n = len(ports)
    c = Conversations.empty(n)
    c.proto[:] = proto
    c.a[:], c.b[:, 1] = (0, 0xFFFFC0A80101), np.asarray(remotes) + 0xFFFF08080000
    c.a_port[:], c.b_port[:] = ports, 443
    c.first_ns[:] = np.arange(n) * 1_000_000
    c.marks[:] = (1 << 62) - 1 if proto == 6 else 0
    return c


@pytest.mark.parametrize(("low", "high"), sorted(KNOWN))
@pytest.mark.parametrize("n", [10, 40, 200, 1000])
def test_random_ports_of_a_known_range(low: int, high: int, n: int) -> None:
    """The range, or unknown; with 200 draws always the range."""
    told: Counter[Any] = Counter()
    for seed in range(30):
        draw = np.random.default_rng(seed)
        found = host_ports(opened(draw.integers(low, high + 1, n), draw.integers(0, 4, n)))[0]
        told[tuple(found.range.value) if found.range.value else None] += 1
        assert found.choice.value in ("random", None)
    assert set(told) <= {(low, high), None}
    if n >= 200:
        assert told[(low, high)] >= 28
    if n >= 200 and high - low > 10_000:
        assert host_ports(opened(np.random.default_rng(1).integers(low, high + 1, n), np.arange(n) % 4))[0].choice.value == "random"


@pytest.mark.parametrize(("low", "high"), [(20000, 60000), (40000, 45000), (2000, 3000), (1024, 40000)])
def test_a_range_of_its_own(low: int, high: int) -> None:
    for seed in range(30):
        draw = np.random.default_rng(seed)
        for n in (10, 40, 200):
            assert host_ports(opened(draw.integers(low, high + 1, n), draw.integers(0, 4, n)))[0].range.value is None


def test_counters() -> None:
    """RFC 6056: one for all (what came before), one for each destination (algorithms 3 and 4)."""
    remotes = np.random.default_rng(3).integers(0, 5, 200)
    found = host_ports(opened(49200 + np.arange(200), remotes))[0]
    assert (found.choice.value, found.range.value) == ("sequential", None)
    offset, count, ports = np.random.default_rng(4).integers(16384, 28000, 5) * 2, Counter[int](), []
    for r in remotes.tolist():
        ports.append(int(offset[r]) + 2 * count[r])
        count[r] += 1
    assert host_ports(opened(ports, remotes, 6))[0].choice.value == "per-destination"
    one = host_ports(opened(49200 + np.arange(50), np.zeros(50, int)))[0]
    assert one.choice.value is None
    assert "one a destination" in one.choice.note


def test_even_ports_are_linuxs() -> None:
    draw = np.random.default_rng(5)
    found = host_ports(opened(2 * draw.integers(16384, 30499, 14), np.zeros(14, int), 6))[0]
    assert found.system.value is not None
    assert found.system.value.startswith("Linux")
    assert host_ports(opened(2 * draw.integers(16384, 30499, 14), np.zeros(14, int), 17))[0].range.value is None


def test_what_was_no_choice() -> None:
    """System ports, one port at both ends, too few."""
    assert host_ports(opened([123] * 20, range(20))) == []
    assert host_ports(opened([443] * 20, range(20))) == []
    assert host_ports(opened([50000, 50001], [1, 2])) == []
    assert host_ports(Conversations.empty(0)) == []


def made(ports: Any, first_s: Any, last_s: Any, **given: Any) -> Sessions:
    """TCP sessions to one endpoint, closed when they ended."""
    s = Sessions.empty(len(ports))
    s.proto[:], s.opened[:], s.closed[:] = 6, 1, 1
    s.outside[:], s.remote[:] = (0, 0xFFFFCB007100), (0, 0xFFFFC6336401)
    s.remote_port[:] = 443
    s.outside_port[:] = s.inside_port[:] = ports
    s.first_ns[:], s.last_ns[:] = np.asarray(first_s) * NS, np.asarray(last_s) * NS
    for name, value in given.items():
        getattr(s, name)[:] = value
    return s


def test_ports_at_once() -> None:
    """Against a count moment by moment."""
    draw = np.random.default_rng(6)
    for n in (1, 2, 50, 300):
        first = draw.integers(0, 1000, n)
        last = first + draw.integers(0, 200, n)
        ports, remote = draw.integers(2000, 2100, n), draw.integers(1, 4, n)
        s = made(ports, first, last, remote_port=remote)
        most: Counter[Any] = Counter()
        for t in range(1200):
            alive = (first <= t) & (t <= last)
            most[None] = max(most[None], len(set(ports[alive].tolist())))
            for r in (1, 2, 3):
                most[r] = max(most[r], len(set(ports[alive & (remote == r)].tolist())))
        found = {u.remote_port if u.remote else None: u.peak for u in port_load(s, None)}
        assert found == {k: v for k, v in most.items() if v}
    assert port_load(Sessions.empty(0), None) == []


def test_years_apart() -> None:
    """Times that no product of times and ports may overflow."""
    s = made(np.arange(500) % 250 + 2000, np.arange(500) * 10_000_000, np.arange(500) * 10_000_000 + 1)
    assert {u.peak for u in port_load(s, None)} == {1}


def test_the_forecast() -> None:
    """Steady growth is carried on; a level that stays, a burst and few sessions give none."""
    n = 600
    growing = made(2000 + np.arange(n), np.arange(n), np.full(n, n))
    whole, towards = port_load(growing, (1024, 2623 + 1000))
    assert whole.remote is None
    assert (towards.peak, towards.capacity.value, towards.full) == (600, 2600, False)
    assert towards.forecast_s.value == pytest.approx(2000, rel=0.02)
    free = port_load(growing, None)[1]
    assert free.capacity.value is None
    assert free.forecast_s.value is None or free.forecast_s.value > 60_000
    level = port_load(made(2000 + np.arange(n), np.arange(n), np.arange(n) + 60), (1024, 3623))[1]
    assert level.forecast_s.value is None
    burst = port_load(made(2000 + np.arange(n), np.where(np.arange(n) < 500, 1, np.arange(n)), np.full(n, n)), (1024, 3623))[1]
    assert burst.forecast_s.value is None
    full = port_load(made(2000 + np.arange(10), np.arange(10), np.full(10, 20)), (2000, 2009))[1]
    assert full.full
    assert full.forecast_s.value is None


def test_collisions() -> None:
    hosts = np.array([[0, 1], [0, 2], [0, 2], [0, 1]], np.uint64)
    s = made([5000, 5000, 6000, 6000], [0, 1, 2, 9], [5, 5, 3, 10], inside=hosts, outside_port=[5000, 7000, 6000, 6000])
    assert vars(collisions(s)) == {"sessions": 1, "towards_one": 1, "changed": 1}


def test_ports_that_ran_out_and_others_that_did_not() -> None:
    for folder, full in (("demo", True), ("linux-masquerade", False), ("linux-port-collisions", False)):
        files = [str(CAPTURES / folder / f"{name}.pcap") for name in ("inside", "outside")]
        box = json.loads(CliRunner().invoke(cli, ["analyze", *files, "--format", "json"]).stdout)["boxes"][0]
        use = box["ports_in_use"]["use"]
        assert any(u["full"] for u in use) is full, folder
        assert all(u["peak"] <= u["capacity"]["value"] for u in use if u["full"])
        page = CliRunner().invoke(cli, ["analyze", *files]).stdout
        assert ("there was no port for one more" in page) is full
    assert box["ports_in_use"]["collisions"]["sessions"] > 0
