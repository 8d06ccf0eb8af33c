"""Verdicts that rest on ICMP errors, fragments, hairpins and odd handshakes, from scripts in bytes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from packet_script import MS, START_NS, Frame, ethernet, packet, write

from pcapnat import analyze
from pcapnat.nat import Inferred, Judged
from pcapnat.terms import Point

Row = tuple[float, list[bytes], list[bytes]]
"""When (ms), the packets inside, those outside."""


def play(folder: Path, rows: list[Row]) -> tuple[dict[str, Judged], Inferred]:
    """The verdicts on a script, and the findings."""
    sides = []
    for k, name in ((1, "i"), (2, "o")):
        frames = [
            Frame(START_NS + int(row[0] * MS) + k * 1000 + 100 * n, ethernet(data))
            for row in sorted(rows, key=lambda r: r[0])
            for n, data in enumerate(row[k])
        ]
        sides.append(write(folder / f"{name}.pcap", frames))
    box = analyze([Point("inside", (sides[0],)), Point("outside", (sides[1],))]).boxes[0]
    return {row.requirement.id: row for row in box.requirements}, box.behavior


def row(at: float, inside: str, outside: str) -> Row:
    """One packet a side, or none."""
    return at, [packet(inside)] if inside else [], [packet(outside)] if outside else []


def talk(start: int, count: int, who: str = "A:5000", outside: str = "N:7000", to: str = "B:3478", every: int = 100) -> list[Row]:
    """A socket and a server, question and answer."""
    out = []
    for k in range(count):
        at = start + k * every
        out.append(row(at, f"{who}>{to} udp ask-{who}-{to}-{at}", f"{outside}>{to} udp ask-{who}-{to}-{at} t63"))
        out.append(row(at + 5, f"{to}>{who} udp say-{who}-{to}-{at} t62", f"{to}>{outside} udp say-{who}-{to}-{at} t63"))
    return out


def pieces(whole: bytes, size: int, order: tuple[int, ...] = (0, 1)) -> list[bytes]:
    """An IPv4 packet cut into fragments of so many bytes, in this order."""
    head, body = whole[:20], whole[20:]
    out = []
    for at in range(0, len(body), size):
        part = body[at : at + size]
        more = 0x2000 if at + size < len(body) else 0
        new = bytearray(head)
        struct.pack_into("!HHH", new, 2, 20 + len(part), 0x4711, more | at // 8)
        out.append(bytes(new) + part)
    return [out[k] for k in order]


BIG = "x1480"
IN, OUT = f"A:5000>B:3478 udp {BIG}", f"N:7000>B:3478 udp {BIG} t63"
TALK = [*talk(0, 30), *talk(0, 30, "C:6000", "N:8000", "D:3478")]


def verdicts(found: dict[str, Judged], *ids: str) -> list[str]:
    """In this order."""
    return [found[i].verdict.value for i in ids]


def test_fragments(tmp_path: Path) -> None:
    late = [(1000.0, pieces(packet(IN), 1000, (1, 0)), pieces(packet(OUT), 1000))]
    found, behavior = play(tmp_path, TALK + late)
    assert verdicts(found, "RFC4787 REQ-14", "RFC4787 REQ-13a") == ["met", "untested"]
    assert behavior.fragments.value == "any-order"
    right = [(1000.0, pieces(packet(IN), 1000), pieces(packet(OUT), 1000))]
    found, behavior = play(tmp_path, TALK + right)
    assert verdicts(found, "RFC4787 REQ-14", "RFC4787 REQ-13a") == ["untested", "untested"]
    assert behavior.fragments.value is None
    assert "1 datagrams in fragments passed whole" in behavior.fragments.note
    cut = [(1000.0, [packet(IN)], pieces(packet(OUT), 1000))]
    found, _ = play(tmp_path, TALK + cut)
    assert verdicts(found, "RFC4787 REQ-13a") == ["met"]


def test_errors_from_inside(tmp_path: Path) -> None:
    """About a packet that came from outside: the sender and the quoted packet become what they are outside, or do not."""
    say = "B:3478>{} udp say-A:5000-B:3478-500"
    good = row(1001, f"A about {say.format('A:5000')}", f"N about {say.format('N:7000')}")
    found, behavior = play(tmp_path, [*TALK, good])
    assert verdicts(found, "RFC5508 REQ-5") == ["met"]
    assert behavior.icmp_errors.value == "translated"


def test_errors_from_outside(tmp_path: Path) -> None:
    ask = "{}>B:3478 udp ask-A:5000-B:3478-500"
    there = packet(f"B about {ask.format('N:7000')}")
    got = (1001.0, [packet(f"B about {ask.format('A:5000')}")], [there])
    found, behavior = play(tmp_path, [*TALK, got])
    ids = ("RFC4787 REQ-12", "RFC4787 REQ-12b", "RFC5508 REQ-4", "RFC4787 REQ-12a")
    assert verdicts(found, *ids) == ["met", "met", "met", "untested"]
    assert behavior.icmp_errors.value == "translated"
    # Only what lasts as long as the conversation can be told to have been kept out.
    kept_out = [(1001.0 + 2 * k, [], [packet(f"B about {ask.format('N:7000')}")]) for k in range(3)]
    found, behavior = play(tmp_path, TALK + kept_out)
    assert verdicts(found, "RFC4787 REQ-12", "RFC4787 REQ-12b", "RFC5508 REQ-4") == ["met", "violated", "violated"]
    assert behavior.icmp_errors.value == "dropped"


def test_too_big_and_prohibited(tmp_path: Path) -> None:
    for code, number in ((4, "RFC4787 REQ-13"), (13, "RFC5508 REQ-8")):
        error = bytearray(packet("R about A:5000>B:3478 udp ask-A:5000-B:3478-500"))
        error[21] = code
        found, _ = play(tmp_path, [*TALK, (1001.0, [bytes(error)], [])])
        assert found[number].verdict.value == "met"
        assert found[number].frames[0]
        assert not found[number].frames[1]


SERVED = [
    *talk(0, 30, "C:6000", "N:8000", "D:3478"),
    *[row(100 * k, f"D:{900 + k}>A:5000 udp come-{k} t62", f"D:{900 + k}>N:7000 udp come-{k} t63") for k in range(5)],
]


@pytest.mark.parametrize(
    ("source", "want", "word"),
    [("N:900", "met", "external-source"), ("C:777", "violated", "internal-source"), ("R:900", "violated", "router-source")],
)
def test_hairpins(source: str, want: str, word: str, tmp_path: Path) -> None:
    rows: list[Row] = talk(0, 30, "C:6000", "N:8000", "D:3478")
    for k in range(3):
        seq, at = 5000 * k + 77, 600 + 50 * k
        rows += [
            (at + 10 * n, [packet(f"{one} {what}"), packet(f"{other} {what} t63")], [])
            for n, (one, other, what) in enumerate(
                (
                    (f"C:{7770 + k}>N:8080", f"{source}{k}>A:80", f"S {seq}"),
                    (f"A:80>{source}{k}", f"N:8080>C:{7770 + k}", f"SA {seq + 9} {seq + 1}"),
                    (f"C:{7770 + k}>N:8080", f"{source}{k}>A:80", f"P {seq + 1} {seq + 10} x40"),
                )
            )
        ]
    found, behavior = play(tmp_path, rows)
    assert verdicts(found, "RFC5382 REQ-8", "RFC5382 REQ-8a", "RFC4787 REQ-9") == ["met", want, "untested"]
    assert behavior.hairpin.value == word


def test_no_hairpin(tmp_path: Path) -> None:
    lost: list[Row] = [row(600 + 50 * k, f"C:7777>N:7000 udp turn-{k}", "") for k in range(4)]
    found, behavior = play(tmp_path, SERVED + lost)
    assert verdicts(found, "RFC4787 REQ-9", "RFC4787 REQ-9a", "RFC5382 REQ-8") == ["violated", "untested", "untested"]
    assert behavior.hairpin.value == "none"
    short: list[Row] = [(600 + 50 * k, [packet(f"C:7777>N:7000 udp t{k}"), packet(f"N:9000>A:5000 udp t{k} t63")], []) for k in range(4)]
    found, behavior = play(tmp_path, SERVED + short)
    assert verdicts(found, "RFC4787 REQ-9") == ["untested"], "came back, but nothing tells that it is the same"
    elsewhere = [row(600 + 50 * k, f"C:7777>N:7999 udp turn-{k}", "") for k in range(4)]
    found, behavior = play(tmp_path, SERVED + elsewhere)
    assert verdicts(found, "RFC4787 REQ-9") == ["untested"], "nobody is known to be behind that port"
    assert behavior.hairpin.value is None


def test_both_ends_open(tmp_path: Path) -> None:
    rows = [
        row(1, "A:5000>B:80 S 100", "N:7000>B:80 S 100 t63"),
        row(3, "B:80>A:5000 S 500 t62", "B:80>N:7000 S 500 t63"),
        row(5, "A:5000>B:80 SA 100 501", "N:7000>B:80 SA 100 501 t63"),
        row(7, "B:80>A:5000 SA 500 101 t62", "B:80>N:7000 SA 500 101 t63"),
        row(9, "A:5000>B:80 P 101 501 x30", "N:7000>B:80 P 101 501 x30 t63"),
    ]
    found, _ = play(tmp_path, rows)
    assert verdicts(found, "RFC5382 REQ-2") == ["met"]


def test_port_control(tmp_path: Path) -> None:
    asked = [row(40, "A:5001>R:5351 udp map-me", ""), row(42, "R:5351>A:5001 udp mapped", "")]
    found, _ = play(tmp_path, TALK + asked)
    assert verdicts(found, "RFC6888 REQ-9") == ["met"]
    found, _ = play(tmp_path, TALK + asked[:1])
    assert verdicts(found, "RFC6888 REQ-9") == ["untested"]


def test_a_quota(tmp_path: Path) -> None:
    """A gets six sessions and no more while C and others get theirs; where all are refused, it is no quota."""
    rows = [r for k in range(6) for r in talk(10 * k, 10, f"A:{5000 + k}", f"N:{7000 + 77 * k}")]
    refused: list[Row] = [row(300 + 20 * k, f"A:{5100 + k}>B:3478 udp more-{k}", "") for k in range(8)]
    others = [r for k in range(9) for r in talk(290 + 20 * k, 5, f"C:{6000 + k}", f"N:{9000 + 55 * k}")]
    found, behavior = play(tmp_path, rows + refused + others)
    assert behavior.ports_per_host.value == 6
    assert verdicts(found, "RFC6888 REQ-4") == ["met"]
    found, behavior = play(tmp_path, rows + refused + others[:2])
    assert behavior.ports_per_host.value is None
    assert verdicts(found, "RFC6888 REQ-4") == ["untested"]
