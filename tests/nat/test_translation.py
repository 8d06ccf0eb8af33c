"""Translations: what a box made of a conversation, in the direction of who opened it. Scripts of both sides, and their rows.

A row is (protocol, who opened it, source and destination inside, the same outside, what was rewritten).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from packet_script import HOSTS, MS, START_NS, script, write

from pcapnat import analyze
from pcapnat.address import texts
from pcapnat.analysis import Box
from pcapnat.flow import protocol_name
from pcapnat.nat import KINDS, Translations, box_kind, translations
from pcapnat.terms import Point, Translation

NAMES = {address: name for name, (address, _) in HOSTS.items()}
Row = tuple[str, str, str, str, str]


def box_between(folder: Path, inside: str, outside: str, offset_ms: int = 0) -> Box:
    """The box between two scripts; the outside clock is ahead."""
    files = [write(folder / "inside.pcap", script(inside)), write(folder / "outside.pcap", script(outside, START_NS + offset_ms * MS))]
    return analyze([Point("inside", (files[0],)), Point("outside", (files[1],))]).boxes[0]


def tell(t: Translations) -> list[Row]:
    """Translations in words."""

    def end(address: str, port: int) -> str:
        return f"{NAMES[address]}:{port}" if port >= 0 else NAMES[address]

    names = [texts(column) for column in (t.inside_src, t.inside_dst, t.outside_src, t.outside_dst)]
    return [
        (
            protocol_name(int(t.proto[i])),
            "outside" if t.from_outside[i] else "inside" if not t.hairpin[i] else "hairpin",
            f"{end(names[0][i], int(t.inside_sport[i]))}>{end(names[1][i], int(t.inside_dport[i]))}",
            f"{end(names[2][i], int(t.outside_sport[i]))}>{end(names[3][i], int(t.outside_dport[i]))}",
            KINDS[int(t.kind[i])].value,
        )
        for i in range(len(t))
    ]


CASES: dict[str, tuple[str, str, list[Row]]] = {
    "a client inside": (
        "A S 100 | B SA 500 101 t63 | A . 101 501",
        "N:7777>B S 100 t63 | B>N:7777 SA 500 101 | N:7777>B . 101 501 t63",
        [("tcp", "inside", "A:40000>B:80", "N:7777>B:80", "source")],
    ),
    "its port kept": ("A S 100", "N:40000>B S 100 t63", [("tcp", "inside", "A:40000>B:80", "N:40000>B:80", "source")]),
    "a forwarded port": (
        "B:5555>A:8080 S 100 t62 | A:8080>B:5555 SA 500 101",
        "B:5555>N:80 S 100 t63 | N:80>B:5555 SA 500 101 t63",
        [("tcp", "outside", "B:5555>A:8080", "B:5555>N:80", "destination")],
    ),
    "both ends": (
        "B:5555>A:8080 S 100 t62 | A:8080>B:5555 SA 500 101",
        "D:6666>N:80 S 100 t63 | N:80>D:6666 SA 500 101 t63",
        [("tcp", "outside", "B:5555>A:8080", "D:6666>N:80", "both")],
    ),
    "a server inside, asked with its answer captured first": (
        "A:80>B:5555 SA 500 101 | B:5555>A:80 . 101 501 t62",
        "N:80>B:5555 SA 500 101 t63 | B:5555>N:80 . 101 501 t63",
        [("tcp", "outside", "B:5555>A:80", "B:5555>N:80", "destination")],
    ),
    "a router": (
        "A S 100 | B SA 500 101 t63",
        "A S 100 t63 | B SA 500 101 t64",
        [("tcp", "inside", "A:40000>B:80", "A:40000>B:80", "none")],
    ),
    "mid-stream inside, opened outside": (
        "A P 101 501 first-words | B . 501 112 t63",
        "N:7777>B S 100 t63 | B>N:7777 SA 500 101 | N:7777>B P 101 501 first-words t63",
        [("tcp", "inside", "A:40000>B:80", "N:7777>B:80", "source")],
    ),
    "mid-stream on both sides, the server speaks first": (
        "B P 501 101 first-words t63 | A . 101 512",
        "B>N:7777 P 501 101 first-words | N:7777>B . 101 512 t63",
        [("tcp", "outside", "B:80>A:40000", "B:80>N:7777", "destination")],
    ),
    "UDP": (
        "A udp question-of-some-length | B udp answer-of-some-length t63",
        "N:9>B udp question-of-some-length t63 | B>N:9 udp answer-of-some-length",
        [("udp", "inside", "A:40000>B:80", "N:9>B:80", "source")],
    ),
    "echo under another identifier": (
        "A ping 7 1 x40 | B pong 7 1 x40 t63",
        "N>B ping 9 1 x40 t63 | B>N pong 9 1 x40",
        [("icmp", "inside", "A:7>B:7", "N:9>B:9", "source")],
    ),
    "echo under its own identifier": ("A ping 7 1 x40", "N>B ping 7 1 x40 t63", [("icmp", "inside", "A:7>B:7", "N:7>B:7", "source")]),
    "echo to a forwarded host": (
        "B>A ping 7 1 x40 t62",
        "B>N ping 7 1 x40 t63",
        [("icmp", "outside", "B:7>A:7", "B:7>N:7", "destination")],
    ),
    "a protocol without ports": (
        "A gre some-words-in-a-tunnel",
        "N>B gre some-words-in-a-tunnel t63",
        [("gre", "inside", "A>B", "N>B", "source")],
    ),
    "IPv6": ("X S 100 | Y SA 5 101 t63", "Z:7>Y S 100 t63 | Y>Z:7 SA 5 101", [("tcp", "inside", "X:40000>Y:80", "Z:7>Y:80", "source")]),
    "the TTL stays, the client's end is rewritten": (
        "A S 100 | B SA 500 101",
        "N:7>B S 100 | B>N:7 SA 500 101",
        [("tcp", "inside", "A:40000>B:80", "N:7>B:80", "source")],
    ),
    "the TTL stays, the server's end is rewritten": (
        "B:5>A:8080 S 100 | A:8080>B:5 SA 500 101",
        "B:5>N:80 S 100 | N:80>B:5 SA 500 101",
        [("tcp", "outside", "B:5>A:8080", "B:5>N:80", "destination")],
    ),
    "hairpin": (
        "A>N:80 S 12345 | +0 R:40000>C:8080 S 12345 t63 | C:8080>R:40000 SA 777 12346 | +0 N:80>A SA 777 12346 t63",
        "D udp something-else",
        [("tcp", "hairpin", "A:40000>N:80", "R:40000>C:8080", "both")],
    ),
    "nothing in common": ("A S 100", "D S 9999", []),
    "one 5-tuple, twice": (
        "A S 100 | B R 0 101 t63 | A S 9000 | B R 0 9001 t63",
        "N:7>B S 100 t63 | B>N:7 R 0 101 | N:8>B S 9000 t63 | B>N:8 R 0 9001",
        [("tcp", "inside", "A:40000>B:80", "N:7>B:80", "source"), ("tcp", "inside", "A:40000>B:80", "N:8>B:80", "source")],
    ),
}


@pytest.mark.parametrize("offset_ms", [0, 5_000_000], ids=["same clock", "an hour and more ahead"])
@pytest.mark.parametrize("name", CASES)
def test_translations(name: str, offset_ms: int, tmp_path: Path, mode: str) -> None:
    inside, outside, want = CASES[name]
    assert tell(box_between(tmp_path, inside, outside, offset_ms).translations) == want


def test_what_a_row_says_besides(tmp_path: Path) -> None:
    box = box_between(
        tmp_path,
        "A S 100 | B SA 500 101 t63 | A . 101 501 | A R 101",
        "N:7777>B S 100 t63 | B>N:7777 SA 500 101 | N:7777>B . 101 501 t63",
        1000,
    )
    t = box.translations
    assert (t.frames_inside.tolist(), t.frames_outside.tolist()) == ([4], [3])
    assert t.first_ns.tolist() == [START_NS + MS]
    assert t.last_ns.tolist() == [START_NS + 4 * MS]
    assert t.ttl_falls.tolist() == [1]
    assert (t.inside_row.tolist(), t.outside_row.tolist()) == ([0], [0])
    assert 0.99 < t.confidence[0] < 1
    clock = box.crossing.clock
    assert clock.offset_ns == pytest.approx(1000 * MS, abs=MS)


KIND_OF_BOX = {
    "nat": ("A S 100", "N:7>B S 100 t63", "nat", 1, 0),
    "nat with a leak": ("A S 100 | C S 200", "N:7>B S 100 t63 | C S 200 t63", "nat", 1, 1),
    "router": ("A S 100 | C S 200", "A S 100 t63 | C S 200 t63", "router", 2, 0),
    "switch": ("A S 100 | C S 200", "A S 100 | C S 200", "switch", 2, 0),
    "TTL falls for some": ("A S 100 | C S 200", "A S 100 t63 | C S 200", None, 0, 0),
    "nothing in common": ("A S 100", "D S 9999", None, 0, 0),
    "nothing at all": ("A S 100", "A>A udp", None, 0, 0),
}


@pytest.mark.parametrize("name", KIND_OF_BOX)
def test_kind_of_box(name: str, tmp_path: Path) -> None:
    inside, outside, kind, support, against = KIND_OF_BOX[name]
    found = box_between(tmp_path, inside, outside).kind
    assert (found.value, found.support, found.against) == (kind, support, against)
    assert found.note


def test_kinds_by_number() -> None:
    assert {
        1 * ("source" in k.value or k is Translation.BOTH) + 2 * ("destination" in k.value or k is Translation.BOTH) for k in KINDS
    } == {0, 1, 2, 3}
    assert [k.value for k in KINDS] == ["none", "source", "destination", "both"]
    assert set(KINDS) == set(Translation)


def test_rows_are_in_the_order_they_began_inside(pairs: list[tuple[str, str]]) -> None:
    for inside, outside in pairs:
        assert inside.endswith("inside.pcap")
        assert outside.endswith("outside.pcap")
        box = analyze([Point("inside", (inside,)), Point("outside", (outside,))]).boxes[0]
        t = box.translations
        assert (np.diff(t.first_ns) >= 0).all()
        assert len(t) == len(box.crossing.matches)
        same = (t.inside_src == t.outside_src).all(axis=1) & (t.inside_sport == t.outside_sport)
        assert (same == (t.kind & 1 == 0)).all()
        again = translations(box.crossing)
        assert all((getattr(again, name) == getattr(t, name)).all() for name in Translations.columns)
        assert box_kind(box.crossing, t).value == ("proxy" if "slirp" in inside else "nat")
