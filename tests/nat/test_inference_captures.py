"""What is inferred from captures: bundled real ones, and scripts in which somebody knocks, falls silent, or rewrites a field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from packet_script import MS, START_NS, Frame, ethernet, packet, write

from pcapnat import analyze
from pcapnat.nat import Inferred
from pcapnat.terms import Point

CAPTURES = Path(__file__).parents[2] / "captures"
REAL: dict[str, dict[str, Any]] = {
    "demo": {"port_choice": "random", "address_pool": ["203.0.113.10"], "port_overloading": True, "mapping": None, "filtering": None},
    "linux-masquerade": {
        "mapping": "endpoint-independent-best-effort",
        "filtering": "address-and-port-dependent",
        "port_choice": "preserve",
        "port_range": None,
    },
    "linux-port-collisions": {"mapping": "endpoint-independent-best-effort", "port_choice": "preserve-else-random", "parity": False},
    "linux-hairpin": {"hairpin": "router-source", "port_choice": "preserve"},
    "linux-netmap": {"mapping": "endpoint-independent", "port_choice": "static", "pooling": "paired"},
    "linux-tuple-reuse": {"mapping": None},
    "linux-port-forward": {"mapping": None},
    "slirp-user-nat": {"mapping": "endpoint-independent-best-effort"},
}


def inferred(inside: str, outside: str) -> Inferred:
    """What is told about the box between two files."""
    return analyze([Point("inside", (inside,)), Point("outside", (outside,))]).boxes[0].behavior


@pytest.mark.parametrize("name", REAL)
def test_real_captures(name: str) -> None:
    folder = CAPTURES / name
    found = inferred(str(folder / "inside.pcap"), str(folder / "outside.pcap")).findings()
    assert {question: found[question].value for question in REAL[name]} == REAL[name]


def play(folder: Path, rows: list[tuple[int, str, str]]) -> Inferred:
    """What is told by packets at given ms, inside and outside; empty where one was not seen."""
    sides = []
    for k, name in ((1, "i"), (2, "o")):
        frames = [Frame(START_NS + row[0] * MS + k * 1000, ethernet(packet(str(row[k])))) for row in rows if row[k]]
        sides.append(write(folder / f"{name}.pcap", frames))
    return inferred(*sides)


def talk(
    start: int, count: int, who: str = "A:5000", outside: str = "N:7000", to: str = "B:3478", every: int = 100
) -> list[tuple[int, str, str]]:
    """A socket and a server, question and answer."""
    rows = []
    for k in range(count):
        at = start + k * every
        rows.append((at, f"{who}>{to} udp ask-{who}-{to}-{at}", f"{outside}>{to} udp ask-{who}-{to}-{at} t63"))
        rows.append((at + 5, f"{to}>{who} udp say-{who}-{to}-{at} t62", f"{to}>{outside} udp say-{who}-{to}-{at} t63"))
    return rows


def knock(at: int, src: str, enters: bool, to: str = "N:7000", inside: str = "A:5000") -> tuple[int, str, str]:
    """A packet from outside that nobody asked for."""
    return at, f"{src}>{inside} udp knock-{src}-{at} t62" if enters else "", f"{src}>{to} udp knock-{src}-{at} t63"


PORT, OTHER = "B:9999", "D:3478"
KNOCKS = {
    "nobody knocks": ([], None),
    "everybody gets in": ([(PORT, True), (OTHER, True)], "endpoint-independent"),
    "from known addresses": ([(PORT, True), (OTHER, False)], "address-dependent"),
    "only who was asked": ([(PORT, False), (OTHER, False)], "address-and-port-dependent"),
    "another port alone is enough to refuse": ([(PORT, False)], "address-and-port-dependent"),
    "another port alone is not enough to accept": ([(PORT, True)], None),
    "another address alone says that there is a filter": ([(OTHER, False)], None),
    "contradicting": ([(PORT, False), (OTHER, True)], None),
}


@pytest.mark.parametrize("name", KNOCKS)
def test_filtering(name: str, tmp_path: Path) -> None:
    who, want = KNOCKS[name]
    rows = talk(0, 30)
    rows += [knock(1000 + 50 * k, src, enters) for k, (src, enters) in enumerate(who)]
    assert play(tmp_path, sorted(rows)).filtering.value == want


EXPOSED = {
    "a socket's port is forwarded to another host": ([("N:7000", "C:7000")], None),
    "so is the port of the exposed host's own socket": ([("N:7000", "C:7000"), ("N:40000", "C:40000")], None),
    "and where nobody has a socket": ([("N:5900", "C:5900"), ("N:40000", "C:40000")], None),
    "a service of a host exposes nothing else": ([("N:80", "C:80"), ("N:40000", "C:40000")], "endpoint-independent"),
    "no more does one with another port inside": ([("N:5900", "C:22"), ("N:40000", "C:40000")], "endpoint-independent"),
    "nor one of another host": ([("N:5900", "A:5900"), ("N:40000", "C:40000")], "endpoint-independent"),
}


@pytest.mark.parametrize("name", EXPOSED)
def test_behind_a_rule_that_forwards_everything_filtering_is_unknown(name: str, tmp_path: Path) -> None:
    """C is where all that nobody asked for goes; so it came to C's own socket, but C's sockets did not let it in."""
    knocks, want = EXPOSED[name]
    rows = talk(0, 30) + talk(3, 30, "C:40000", "N:40000", "D:3478")
    for k, (door, host) in enumerate(knocks):
        rows += [knock(1000 + 50 * k + n, src, True, door, host) for n, src in enumerate(("B:9999", "D:9999"))]
    assert play(tmp_path, sorted(rows)).filtering.value == want


def test_what_was_refused_tells_only_while_the_mapping_lives_and_the_inside_is_watched(tmp_path: Path) -> None:
    late = [*talk(0, 30), *talk(40_000, 30, "C:6000", "N:8000", "D:3478"), knock(41_000, PORT, False)]
    assert play(tmp_path, sorted(late)).filtering.value is None, "30 s after the socket's last packet"
    unseen = [*talk(0, 30), knock(5_000, PORT, False)]
    assert play(tmp_path, unseen).filtering.value is None, "the inside capture may have ended"


def test_timeouts_are_bracketed(tmp_path: Path) -> None:
    other = talk(0, 400, "C:6000", "N:8000", "D:3478")  # the captures go on all the time
    rows = talk(0, 30)  # answered, for 3 s
    rows.append((15_000, "B:3478>A:5000 udp push-one t62", "B:3478>N:7000 udp push-one t63"))  # 12 s of silence survived
    rows.append((38_000, "", "B:3478>N:7000 udp push-two t63"))  # 35.1 s after the last packet outwards: refused
    found = play(tmp_path, sorted(other + rows))
    assert found.udp_reply_idle_s.value == [pytest.approx(12.095, abs=0.01), pytest.approx(35.1, abs=0.01)]
    assert found.udp_idle_s.value is None


def test_a_new_port_after_silence_is_an_end(tmp_path: Path) -> None:
    rows = talk(0, 30, every=100)
    rows += talk(60_000, 3, outside="N:7123")
    found = play(tmp_path, rows)
    assert found.udp_reply_idle_s.value == [0.005, pytest.approx(57.1, abs=0.01)]


def test_contradicting_silences_are_unknown(tmp_path: Path) -> None:
    other = talk(0, 700, "C:6000", "N:8000", "D:3478")
    rows = talk(0, 30)
    rows.append((15_000, "", "B:3478>N:7000 udp refused t63"))
    rows.append((50_000, "B:3478>A:5000 udp accepted t62", "B:3478>N:7000 udp accepted t63"))
    found = play(tmp_path, sorted(other + rows)).udp_reply_idle_s
    assert found.value is None
    assert "contradict" in found.note


def test_fields(tmp_path: Path) -> None:
    rows = [(k, f"A:{4000 + k} S {1000 * k + 7}", f"N:{7000 + k}>B S {1000 * k + 7} t63 w5000") for k in range(1, 9)]
    changed = play(tmp_path, rows).fields_changed.value
    assert changed is not None
    assert changed["ip.ttl"] == -1
    assert changed["tcp.window_size_value"] is True
    assert changed["tcp.seq"] is False
    assert changed["eth.src"] is False
    assert "payload" not in changed, "a SYN has none"
