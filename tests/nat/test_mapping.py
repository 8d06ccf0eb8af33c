"""Mappings: which inside endpoint was which outside endpoint, for whom, and what became of the source ports."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packet_script import HOSTS, read, script, write
from synthetic_nat import Nat, cross_nat

from pcapnat import analyze
from pcapnat.address import texts
from pcapnat.analysis import Box
from pcapnat.flow import protocol_name
from pcapnat.nat import Mappings, Translations, mappings, port_use
from pcapnat.ports import CLASSES
from pcapnat.terms import Point

Natively = Callable[[], AbstractContextManager[None]]
NAMES = {address: name for name, (address, _) in HOSTS.items()}
CAPTURES = Path(__file__).parents[2] / "captures"


def box_between(inside: str, outside: str) -> Box:
    """The box between two files."""
    return analyze([Point("inside", (inside,)), Point("outside", (outside,))]).boxes[0]


def tell(m: Mappings) -> list[tuple[str, str, str, str, int]]:
    """Mappings in words: protocol, inside, outside, how it came to be, how many translations use it."""
    ends = [
        [f"{NAMES[a]}:{p}" if p >= 0 else NAMES[a] for a, p in zip(texts(address), port.tolist(), strict=True)]
        for address, port in ((m.inside, m.inside_port), (m.outside, m.outside_port))
    ]
    return [
        (protocol_name(int(m.proto[i])), ends[0][i], ends[1][i], "static" if m.static[i] else "dynamic", int(m.count[i]))
        for i in range(len(m))
    ]


CASES = {
    "one conversation": ("A S 100", "N:7>B S 100 t63", [("tcp", "A:40000", "N:7", "dynamic", 1)]),
    "one socket to two servers": ("A S 100 | A>D S 200", "N:7>B S 100 t63 | N:7>D S 200 t63", [("tcp", "A:40000", "N:7", "dynamic", 2)]),
    "one socket, a mapping for each server": (
        "A S 100 | A>D S 200",
        "N:7>B S 100 t63 | N:8>D S 200 t63",
        [("tcp", "A:40000", "N:7", "dynamic", 1), ("tcp", "A:40000", "N:8", "dynamic", 1)],
    ),
    "two hosts": (
        "A S 100 | C S 200",
        "N:7>B S 100 t63 | N:8>B S 200 t63",
        [("tcp", "A:40000", "N:7", "dynamic", 1), ("tcp", "C:40000", "N:8", "dynamic", 1)],
    ),
    "one port for two protocols": (
        "A S 100 | A udp some-words-are-said",
        "N:7>B S 100 t63 | N:7>B udp some-words-are-said t63",
        [("tcp", "A:40000", "N:7", "dynamic", 1), ("udp", "A:40000", "N:7", "dynamic", 1)],
    ),
    "a door, used twice": (
        "B:5>A:8080 S 100 t62 | D:6>A:8080 S 200 t62",
        "B:5>N:80 S 100 t63 | D:6>N:80 S 200 t63",
        [("tcp", "A:8080", "N:80", "static", 2)],
    ),
    "both ends": (
        "B:5>A:8080 S 100 t62 | A:8080>B:5 SA 500 101",
        "D:6>N:80 S 100 t63 | N:80>D:6 SA 500 101 t63",
        [("tcp", "A:8080", "N:80", "static", 1), ("tcp", "B:5", "D:6", "dynamic", 1)],
    ),
    "nothing rewritten": ("A S 100", "A S 100 t63", []),
    "echo": ("A ping 7 1 x40", "N>B ping 9 1 x40 t63", [("icmp", "A:7", "N:9", "dynamic", 1)]),
    "no ports": ("A gre some-words-in-a-tunnel", "N>B gre some-words-in-a-tunnel t63", [("gre", "A", "N", "dynamic", 1)]),
    "a hairpin is a mapping and a door": (
        "A>N:80 S 12345 | +0 R:40000>C:8080 S 12345 t63 | C:8080>R:40000 SA 777 12346 | +0 N:80>A SA 777 12346 t63",
        "D udp something-else",
        [("tcp", "A:40000", "R:40000", "dynamic", 1), ("tcp", "C:8080", "N:80", "static", 1)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_mappings(name: str, tmp_path: Path) -> None:
    inside, outside, want = CASES[name]
    box = box_between(write(tmp_path / "i.pcap", script(inside)), write(tmp_path / "o.pcap", script(outside)))
    assert tell(box.mappings) == want


def check(m: Mappings, rows: np.ndarray, t: Translations) -> None:
    """What must be true of any mappings: every rewritten end in one of them, with its translations' ends and times."""
    source, destination = t.kind & 1 != 0, t.kind & 2 != 0
    assert int(m.count.sum()) == len(rows) == int(source.sum()) + int(destination.sum())
    assert sorted(rows.tolist()) == sorted([*np.flatnonzero(source).tolist(), *np.flatnonzero(destination).tolist()])
    covered = np.concatenate([np.arange(int(m.start[i]), int(m.start[i] + m.count[i])) for i in range(len(m))]) if len(m) else np.zeros(0)
    assert sorted(covered.tolist()) == list(range(len(rows)))
    keys = set()
    for i in range(len(m)):
        used = rows[int(m.start[i]) : int(m.start[i] + m.count[i])]
        inner, outer = (*m.inside[i].tolist(), int(m.inside_port[i])), (*m.outside[i].tolist(), int(m.outside_port[i]))
        assert inner != outer
        keys.add((int(m.proto[i]), inner, outer))
        for k in used.tolist():
            ends = [
                ((*t.inside_src[k].tolist(), int(t.inside_sport[k])), (*t.outside_src[k].tolist(), int(t.outside_sport[k]))),
                ((*t.inside_dst[k].tolist(), int(t.inside_dport[k])), (*t.outside_dst[k].tolist(), int(t.outside_dport[k]))),
            ]
            assert (inner, outer) in ends or (outer, inner) == ends[1]
        assert int(m.first_ns[i]) == int(t.first_ns[used].min())
        assert int(m.last_ns[i]) == int(t.last_ns[used].max())
    assert len(keys) == len(m)
    assert (np.diff(m.first_ns) >= 0).all(), "in the order they were first seen"


def test_bundled_captures(pairs: list[tuple[str, str]]) -> None:
    for inside, outside in pairs:
        box = box_between(inside, outside)
        check(box.mappings, box.mapped, box.translations)
        assert len(box.mappings) > 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    nat=st.builds(Nat, source=st.booleans(), destination=st.booleans(), keep_ports=st.booleans(), dropped=st.sampled_from([0.0, 0.4])),
    scenario=st.sampled_from(["linux-masquerade", "linux-masquerade-ipv6", "demo", "linux-tuple-reuse"]),
    seed=st.integers(0, 1 << 32),
)
def test_synthetic(nat: Nat, scenario: str, seed: int, tmp_path: Path, natively: Natively) -> None:
    sides = cross_nat(read(CAPTURES / scenario / "inside.pcap"), nat, random.Random(seed))
    with natively():
        box = box_between(write(tmp_path / "i.pcap", sides.inside), write(tmp_path / "o.pcap", sides.outside))
    check(box.mappings, box.mapped, box.translations)
    check(*mappings(box.translations), box.translations)
    if not nat.source and not nat.destination:
        assert len(box.mappings) == 0
    for use in box.ports:
        inside = {row for row in range(len(box.mappings)) if not box.translations.from_outside[box.mapped[box.mappings.start[row]]]}
        rows = [
            row
            for row in inside
            if box.mappings.proto[row] == use.proto and not box.mappings.static[row] and box.mappings.outside_port[row] >= 0
        ]
        ports = box.mappings.outside_port[rows]
        assert use.mappings == len(ports)
        assert (use.low, use.high) == (ports.min(), ports.max())
        assert sum(use.classes.values()) == len(ports)
        assert use.classes.keys() == CLASSES.keys()
        assert 0 <= use.preserved <= use.mappings


PORTS = [
    ("A:1000 S 1", "N:1000>B S 1 t63", [(6, 1, 1, 1000, 1000, {"system": 1, "user": 0, "dynamic": 0})]),
    (
        "A:1000 S 1 | A:2000 S 2 | A:3000 S 3",
        "N:1000>B S 1 t63 | N:50000>B S 2 t63 | N:1024>B S 3 t63",
        [(6, 3, 1, 1000, 50000, {"system": 1, "user": 1, "dynamic": 1})],
    ),
    (
        "A:1 S 1 | A:2 udp some-words-are-said",
        "N:5>B S 1 t63 | N:2>B udp some-words-are-said t63",
        [(6, 1, 0, 5, 5, {"system": 1, "user": 0, "dynamic": 0}), (17, 1, 1, 2, 2, {"system": 1, "user": 0, "dynamic": 0})],
    ),
    ("B:5>A:8080 S 100 t62", "B:5>N:80 S 100 t63", []),
    ("B:5>A:8080 S 100 t62 | A:8080>B:5 SA 500 101", "D:6>N:80 S 100 t63 | N:80>D:6 SA 500 101 t63", []),
    ("A gre some-words-in-a-tunnel", "N>B gre some-words-in-a-tunnel t63", []),
    ("A S 100", "A S 100 t63", []),
]


@pytest.mark.parametrize(("inside", "outside", "want"), PORTS)
def test_port_use(inside: str, outside: str, want: list[tuple[object, ...]], tmp_path: Path) -> None:
    box = box_between(write(tmp_path / "i.pcap", script(inside)), write(tmp_path / "o.pcap", script(outside)))
    assert [(u.proto, u.mappings, u.preserved, u.low, u.high, u.classes) for u in box.ports] == want


def test_nothing() -> None:
    table, rows = mappings(Translations.empty(0))
    assert len(table) == len(rows) == 0
    assert port_use(table, rows, Translations.empty(0)) == []
