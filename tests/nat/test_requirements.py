"""Verdicts on the RFCs' requirements: from bundled captures, and from scripts in which one thing happens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from packet_script import MS, START_NS, Frame, ethernet, packet, write

from pcapnat import analyze
from pcapnat.cli import cli
from pcapnat.nat import Judged
from pcapnat.nat.conformance import JUDGES
from pcapnat.nat.requirements import BY_ID, REQUIREMENTS
from pcapnat.terms import Point

CAPTURES = Path(__file__).parents[2] / "captures"
Row = tuple[int, str, str]
"""When (ms), what was seen inside, what outside; empty where nothing was."""


def judged(inside: str, outside: str) -> dict[str, Judged]:
    """The verdicts on the box between two files, by requirement."""
    box = analyze([Point("inside", (inside,)), Point("outside", (outside,))]).boxes[0]
    return {row.requirement.id: row for row in box.requirements}


def play(folder: Path, rows: list[Row]) -> dict[str, Judged]:
    """The verdicts on a script."""
    sides = []
    for k, name in ((1, "i"), (2, "o")):
        frames = [Frame(START_NS + row[0] * MS + k * 1000, ethernet(packet(str(row[k])))) for row in sorted(rows) if row[k]]
        sides.append(write(folder / f"{name}.pcap", frames))
    return judged(*sides)


def talk(start: int, count: int, who: str = "A:5000", outside: str = "N:7000", to: str = "B:3478", every: int = 100) -> list[Row]:
    """A socket and a server, question and answer."""
    out = []
    for k in range(count):
        at = start + k * every
        out.append((at, f"{who}>{to} udp ask-{who}-{to}-{at}", f"{outside}>{to} udp ask-{who}-{to}-{at} t63"))
        out.append((at + 5, f"{to}>{who} udp say-{who}-{to}-{at} t62", f"{to}>{outside} udp say-{who}-{to}-{at} t63"))
    return out


def shake(start: int, who: str, outside: str, to: str, seq: int) -> list[Row]:
    """A TCP connection with data, not closed."""
    steps = (
        (who, outside, to, f"S {seq}"),
        (to, to, who, f"SA {seq + 7} {seq + 1}"),
        (who, outside, to, f"A {seq + 1} {seq + 8}"),
        (who, outside, to, f"P {seq + 1} {seq + 8} x{20 + seq % 50}"),
    )
    out = []
    for k, (src, seen, dst, what) in enumerate(steps):
        back = src == to
        out.append((start + 5 * k, f"{src}>{dst} {what}" + (" t62" if back else ""), f"{seen}>{outside if back else dst} {what} t63"))
    return out


def test_the_table() -> None:
    assert len(REQUIREMENTS) == 82
    assert set(JUDGES) <= set(BY_ID)
    levels = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "RECOMMENDED", "MAY"}
    assert {row.level for row in REQUIREMENTS} <= levels
    for row in REQUIREMENTS:
        assert row.id in JUDGES or row.unseen or row.id == "RFC6888 REQ-1", f"{row.id}: nobody says why it is untested"


REAL = {
    "linux-port-collisions": {"RFC4787 REQ-3a": "met", "RFC4787 REQ-4": "violated", "RFC7857 8": "met", "RFC5508 REQ-1": "met",
                              "RFC7857 5": "met", "RFC4787 REQ-1": "untested", "RFC4787 REQ-5b": "n/a", "RFC6888 REQ-1": "untested"},
    "linux-icmp-errors": {"RFC4787 REQ-12a": "met", "RFC4787 REQ-12b": "met", "RFC5382 REQ-9": "met", "RFC5382 REQ-10": "met",
                          "RFC5508 REQ-4": "met", "RFC5508 REQ-10a": "met"},
    "linux-hairpin": {"RFC4787 REQ-9": "met", "RFC4787 REQ-9a": "violated", "RFC5382 REQ-8": "met", "RFC5382 REQ-8a": "violated",
                      "RFC6888 REQ-1": "violated"},
    "linux-netmap": {"RFC4787 REQ-1": "met", "RFC4787 REQ-2": "met", "RFC7857 4": "met", "RFC6888 REQ-2": "met"},
    "linux-port-forward": {"RFC5382 REQ-4": "violated"},
    "linux-masquerade": {"RFC4787 REQ-8": "violated", "RFC6888 REQ-7": "violated", "RFC4787 REQ-3": "untested"},
    "demo": {"RFC5382 REQ-7": "violated", "RFC6888 REQ-15": "met", "RFC7857 9": "met"},
    "linux-ftp-alg": {"RFC5382 REQ-6": "untested"},
    "linux-nat64": {"RFC5508 REQ-4": "met"},
    "slirp-user-nat": {"RFC4787 REQ-8": "untested"},
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_captures(name: str) -> None:
    found = judged(str(CAPTURES / name / "inside.pcap"), str(CAPTURES / name / "outside.pcap"))
    assert {number: found[number].verdict.value for number in REAL[name]} == REAL[name]


def test_what_is_said_has_frames_and_a_reason(pairs: list[tuple[str, str]]) -> None:
    """Every verdict of every bundled capture; frames exist in the files."""
    for inside, outside in pairs:
        box = analyze([Point("inside", (inside,)), Point("outside", (outside,))]).boxes[0]
        counts = len(box.crossing.here.packets), len(box.crossing.there.packets)
        for row in box.requirements:
            assert row.note, f"{inside}: {row.requirement.id}"
            for numbers, count in zip(row.frames, counts, strict=True):
                assert all(1 <= n <= count for n in numbers)
            if row.verdict.value in ("met", "violated"):
                assert row.frames[0] or row.frames[1] or row.requirement.id == "RFC6888 REQ-1", f"{inside}: {row.requirement.id}"


OTHERS = talk(0, 30, "C:6000", "N:8000", "D:3478")
SOCKET = talk(0, 30)
SCRIPTS: dict[str, tuple[list[Row], dict[str, str]]] = {
    "one endpoint of its own for each destination": (
        [row for k, to in enumerate(("B:3478", "B:3479", "B:3480", "D:3478"))
         for row in talk(10 * k, 3, outside=f"N:{7000 + 977 * k}", to=to)],
        {"RFC4787 REQ-1": "violated", "RFC6888 REQ-1": "violated"},
    ),
    "a door that lets in who is not known": (
        [*SOCKET, *[(1000 + k, f"D:{9000 + k}>A:5000 udp knock{k} t62", f"D:{9000 + k}>N:7000 udp knock{k} t63") for k in (0, 50)]],
        {"RFC4787 REQ-8": "met", "RFC6888 REQ-7": "met"},
    ),
    "a UDP timer of less than two minutes": (
        [*talk(0, 30), (9_000, "", "B:3478>N:7000 udp refused t63"), *talk(0, 140, "C:6000", "N:8000", "D:3478")],
        {"RFC4787 REQ-5": "violated"},
    ),
    "a UDP mapping that outlives three minutes unanswered": (
        [(0, "A:5000>B:3478 udp ask", "N:7000>B:3478 udp ask t63"), (190_000, "B:3478>A:5000 udp late t62", "B:3478>N:7000 udp late t63"),
         *talk(0, 40, "C:6000", "N:8000", "D:3478", every=5_000)],
        {"RFC4787 REQ-5": "met", "RFC4787 REQ-5c": "untested"},
    ),
    "answered ones only are not all": (
        [*talk(0, 30), (130_000, "B:3478>A:5000 udp late t62", "B:3478>N:7000 udp late t63"),
         *talk(0, 40, "C:6000", "N:8000", "D:3478", every=5_000)],
        {"RFC4787 REQ-5": "untested"},
    ),
    "one endpoint for two hosts": (
        [row for k in range(20)
         for row in talk(100 * k, 1, "A:5000", "N:7000", "B:3478") + talk(100 * k + 50, 1, "C:6000", "N:7000", "D:3478")],
        {"RFC4787 REQ-3": "violated", "RFC7857 3": "n/a"},
    ),
    "a silent door": (
        [*OTHERS, *talk(0, 100, every=100), (1000, "", "D:999>N:22 S 5 t63")],
        {"RFC5382 REQ-4": "met"},
    ),
    "a door that says no": (
        [*OTHERS, *talk(0, 100, every=100), (1000, "", "D:999>N:22 S 5 t63"), (1001, "", "N:22>D:999 RA 0 6")],
        {"RFC5382 REQ-4": "violated"},
    ),
    "a service of the box": (
        [*OTHERS, *talk(0, 100, every=100), (1000, "", "D:999>N:22 S 5 t63"), (1001, "", "N:22>D:999 SA 9 6")],
        {"RFC5382 REQ-4": "untested"},
    ),
    "a reset that passes": (
        [*shake(0, "A:5000", "N:7000", "B:80", 700), (50, "B:80>A:5000 R 708 t62", "B:80>N:7000 R 708 t63")],
        {"RFC7857 2.2": "met"},
    ),
    "a payload that is rewritten": (
        [*talk(0, 10), (2000, "A:5000>B:3478 udp iam-192.168.1.10x t64", "N:7000>B:3478 udp iam-203.0.113.7xxxx t63")],
        {"RFC4787 REQ-10": "untested"},
    ),
    "ports that follow one another": (
        [row for k in range(12) for row in shake(100 * k, f"A:{40000 + 77 * k}", f"N:{7000 + k}", "B:80", 1000 * k + 7)],
        {"RFC6888 REQ-15": "violated", "RFC7857 9": "violated"},
    ),
    "a host that changes its identifier": (
        [row for k, to in enumerate(("B", "D")) for row in (
            (10 * k, f"A>{to} ping 7 {k} x{8 + k}", f"N>{to} ping {70 + k} {k} x{8 + k} t63"),
            (10 * k + 5, f"{to}>A pong 7 {k} x{8 + k} t62", f"{to}>N pong {70 + k} {k} x{8 + k} t63"))],
        {"RFC5508 REQ-1": "met", "RFC5508 REQ-1a": "violated"},
    ),
    "an identifier for all hosts": (
        [row for k, to in enumerate(("B", "D")) for row in (
            (10 * k, f"A>{to} ping 7 {k} x{8 + k}", f"N>{to} ping 70 {k} x{8 + k} t63"),
            (10 * k + 5, f"{to}>A pong 7 {k} x{8 + k} t62", f"{to}>N pong 70 {k} x{8 + k} t63"))],
        {"RFC5508 REQ-1a": "met"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(name: str, tmp_path: Path) -> None:
    rows, want = SCRIPTS[name]
    found = play(tmp_path, rows)
    assert {number: found[number].verdict.value for number in want} == want, {number: found[number].note for number in want}


def test_refresh(tmp_path: Path) -> None:
    """Silence of 10 s ends an answered mapping; packets outwards keep one alive for 20 s, packets inwards do not."""
    base = [*talk(0, 30), (13_000, "", "B:3478>N:7000 udp refused t63"), *talk(0, 300, "C:6000", "N:8000", "D:3478")]
    out = [*talk(0, 30, "A:5001", "N:7001", "B:3479")]
    out += [(3_000 + 4_000 * k, f"A:5001>B:3479 udp on{k}", f"N:7001>B:3479 udp on{k} t63") for k in range(6)]
    out += [(24_000, "B:3479>A:5001 udp still t62", "B:3479>N:7001 udp still t63")]
    found = play(tmp_path, base + out)
    assert found["RFC4787 REQ-6"].verdict.value == "met"


def test_refresh_by_packets_inwards(tmp_path: Path) -> None:
    """7 s of silence are survived elsewhere; here a packet inwards was 4.5 s ago, and what comes then is refused."""
    rows = [*talk(0, 30, "A:5001", "N:7001", "B:3479"), (10_000, "B:3479>A:5001 udp later t62", "B:3479>N:7001 udp later t63")]
    rows += [*talk(0, 30, "A:5002", "N:7002", "B:3480"), *talk(0, 300, "C:6000", "N:8000", "D:3478")]
    rows += [(4_000 + 2_000 * k, f"B:3480>A:5002 udp in{k} t62", f"B:3480>N:7002 udp in{k} t63") for k in range(3)]
    rows += [(12_500 + 9 * k, "", f"B:3480>N:7002 udp lost{k} t63") for k in range(3)]
    found = play(tmp_path, rows)["RFC4787 REQ-6a"]
    assert (found.verdict.value, found.note[:12]) == ("n/a", "it does not:")


def test_the_command() -> None:
    pair = [str(CAPTURES / "linux-hairpin" / f"{side}.pcap") for side in ("inside", "outside")]
    page = CliRunner().invoke(cli, ["requirements", *pair])
    assert page.exit_code == 0
    assert "RFC4787 REQ-9a MUST: what is hairpinned comes from the sender's outside endpoint (UDP)" in page.output
    assert "Untested" not in page.output
    assert "Untested: " in CliRunner().invoke(cli, ["requirements", *pair, "--all"]).output
    document = json.loads(CliRunner().invoke(cli, ["requirements", *pair, "--format", "json"]).output)
    box = document["boxes"][0]
    assert document["schema"] == "pcapnat.requirements/1"
    assert sum(box["counts"].values()) == len(box["requirements"]) == len(REQUIREMENTS)
    row = next(r for r in box["requirements"] if r["id"] == "RFC4787 REQ-9a")
    assert row["level"] == "MUST"
    assert row["filters"]["inside"].startswith("frame.number in {")
    analysis = json.loads(CliRunner().invoke(cli, ["analyze", *pair, "--format", "json"]).output)
    assert analysis["boxes"][0]["behavior"]["requirements"] == box["requirements"]
    same = CliRunner().invoke(cli, ["requirements", pair[0], pair[0]])
    assert "nothing was seen to be translated" in same.output
