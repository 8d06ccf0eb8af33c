"""What is printed: the JSON documents have every key they promise, and nothing a capture or a path holds reaches a terminal raw."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet_script import script, write
from wire.made_files import enhanced, interface, section

from pcapnat import analyze
from pcapnat.analysis import Analysis
from pcapnat.flow import heard, observe, sockets
from pcapnat.reading import conversations, inspect
from pcapnat.report import (
    Section,
    analysis_json,
    analysis_sections,
    conversation_sections,
    conversations_json,
    info_json,
    info_sections,
    socket_sections,
    sockets_json,
    terminal,
)
from pcapnat.report.boxes import sentences
from pcapnat.report.words import endpoint, plural, span, when
from pcapnat.terms import Point, Reason, Translation, printable

CAPTURES = Path(__file__).parents[2] / "captures"
SCENARIOS = sorted(d.name for d in CAPTURES.iterdir())
ESCAPE = "\x1b[31mred\x1b[0m\r\nnext\tline\x00\x07\x9b2J\u202eright-to-left\u2028\u200bzero"


def pair(scenario: str) -> Analysis:
    """The analysis of a bundled scenario."""
    return analyze([Point(side, (str(CAPTURES / scenario / f"{side}.pcap"),)) for side in ("inside", "outside")])


def document(text: str) -> Any:
    """One JSON document, ASCII, on one line, without numbers that JSON does not have."""
    assert text.endswith("\n")
    assert text.isascii()
    assert "\n" not in text[:-1]
    assert all(32 <= ord(c) < 127 for c in text[:-1])

    def wrong(name: str) -> None:
        raise AssertionError(name)

    return json.loads(text, parse_constant=wrong)


# --- the documents: names and kinds of values; None stands for null, a list for "one of" ---

INT, TEXT, BOOL, NUMBER = int, str, bool, (int, float)
MAYBE_INT, MAYBE_TEXT = (int, type(None)), (str, type(None))
ENDPOINT = {"address": TEXT, "port": MAYBE_INT}
FINDING = {"value": (object,), "support": INT, "against": INT, "note": TEXT}
INFO = {
    "schema": TEXT,
    "file": TEXT,
    "format": TEXT,
    "compression": MAYBE_TEXT,
    "frames": INT,
    "captured_bytes": INT,
    "wire_bytes": INT,
    "first_ns": MAYBE_INT,
    "last_ns": MAYBE_INT,
    "truncated": BOOL,
    "problems": [TEXT],
    "interfaces": [{"id": INT, "name": MAYBE_TEXT, "link_type": INT, "snaplen": INT, "tick": TEXT, "frames": INT}],
}
CONVERSATION = {
    "id": INT,
    "proto": TEXT,
    "a": ENDPOINT,
    "b": ENDPOINT,
    "stream": MAYBE_INT,
    "first_ns": INT,
    "last_ns": INT,
    "packets_ab": INT,
    "packets_ba": INT,
    "bytes_ab": INT,
    "bytes_ba": INT,
    "history": TEXT,
    "state": TEXT,
    "client": MAYBE_TEXT,
    "retransmissions": INT,
    "rtt_ns": MAYBE_INT,
}
CONVERSATIONS = {"schema": TEXT, "conversations": [CONVERSATION]}
TRANSLATION = {
    "proto": TEXT,
    "initiator": TEXT,
    "inside": {"src": ENDPOINT, "dst": ENDPOINT},
    "outside": {"src": ENDPOINT, "dst": ENDPOINT},
    "kind": TEXT,
    "first_ns": INT,
    "last_ns": INT,
    "frames_inside": INT,
    "frames_outside": INT,
    "confidence": NUMBER,
    "by": [TEXT],
    "conversations": {"inside": INT, "outside": INT},
}
MAPPING = {"proto": TEXT, "inside": ENDPOINT, "outside": ENDPOINT, "static": BOOL, "first_ns": INT, "last_ns": INT, "translations": [INT]}
UNMATCHED = {"conversation": INT, "reason": TEXT}
BOX = {
    "between": [TEXT],
    "kind": FINDING,
    "translations": [TRANSLATION],
    "mappings": [MAPPING],
    "unmatched": {"inside": [UNMATCHED], "outside": [UNMATCHED]},
    "behavior": {},
    "replay": (object,),
    "diagnoses": [(object,)],
}
ANALYSIS = {
    "schema": TEXT,
    "boxes": [BOX],
    "notes": [TEXT],
    "points": [
        {"name": TEXT, "file": TEXT, "frames": INT, "clock": {"offset_ns": MAYBE_INT, "drift_ppb": INT, "uncertainty_ns": MAYBE_INT}}
    ],
}


def lacks(value: Any, shape: Any, at: str = "") -> list[str]:
    """Where a document differs from its shape; more keys are no difference."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{at} is no object"]
        return [f"{at}.{name} is missing" for name in shape if name not in value] + [
            line for name, part in shape.items() if name in value for line in lacks(value[name], part, f"{at}.{name}")
        ]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{at} is no list"]
        return [line for i, part in enumerate(value) for line in lacks(part, shape[0], f"{at}[{i}]")]
    if isinstance(value, bool) and shape not in (bool, (object,)):
        return [f"{at} is a truth value"]
    return [] if isinstance(value, shape) else [f"{at} is {type(value).__name__}"]


def test_the_shape_checker_itself() -> None:
    assert lacks({"a": 1}, {"a": INT}) == []
    assert lacks({"a": [{"b": None}]}, {"a": [{"b": INT}], "c": TEXT}) == [".c is missing", ".a[0].b is NoneType"]
    assert lacks({"a": True}, {"a": INT}) == [".a is a truth value"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_analysis_document(scenario: str) -> None:
    analysis = pair(scenario)
    told = document(analysis_json(analysis))
    assert told["schema"] == "pcapnat.analysis/1"
    assert lacks(told, ANALYSIS) == []
    (box,) = told["boxes"]
    assert box["between"] == ["inside", "outside"]
    kinds = {kind.value for kind in Translation}
    for row in box["translations"]:
        assert row["kind"] in kinds
        assert row["initiator"] in ("inside", "outside")
        assert 0 < row["confidence"] < 1
        assert row["by"]
        assert row["first_ns"] <= row["last_ns"]
    assert all(0 <= k < len(box["translations"]) for m in box["mappings"] for k in m["translations"])
    assert {row["reason"] for side in box["unmatched"].values() for row in side} <= {reason.value for reason in Reason}
    assert [p["frames"] for p in told["points"]] == [len(p.packets) for p in analysis.points]
    assert told["points"][0]["clock"]["offset_ns"] == 0


def test_conversation_documents(captures: list[str]) -> None:
    for path in captures:
        capture, found, speech = conversations(path)
        told = document(conversations_json(found, path, capture.problems, capture.notes, speech))
        assert told["schema"] == "pcapnat.conversations/1"
        assert lacks(told, CONVERSATIONS) == []
        assert [c["id"] for c in told["conversations"]] == list(range(len(found)))
        assert {c["client"] for c in told["conversations"]} <= {"a", "b", None}


def test_info_documents(captures: list[str]) -> None:
    for path in captures:
        told = document(info_json(inspect(path)))
        assert told["schema"] == "pcapnat.info/1"
        assert lacks(told, INFO) == []
        assert told["frames"] == sum(i["frames"] for i in told["interfaces"]) > 0
        assert told["first_ns"] < told["last_ns"]
        assert (told["format"], told["truncated"], told["compression"]) == ("pcap", False, None)


def test_socket_documents(captures: list[str]) -> None:
    for path in captures:
        capture, found, speech = conversations(path)
        told = document(sockets_json(sockets(found), path, capture.problems, capture.notes, heard(found, speech.topics)))
        assert told["schema"] == "pcapnat.sockets/1"
        assert lacks(told, {"file": TEXT, "problems": [TEXT], "sockets": [{"proto": TEXT, "endpoint": ENDPOINT, "role": TEXT}]}) == []


def test_documents_of_one_point_and_of_three(tmp_path: Path) -> None:
    one = document(analysis_json(analyze([Point("here", (str(CAPTURES / "demo" / "inside.pcap"),))])))
    assert lacks(one, ANALYSIS | {"points": [{"conversations": [CONVERSATION], "sockets": [{"proto": TEXT}]}]}) == []
    assert one["boxes"] == []
    inside, middle, outside = (
        write(tmp_path / f"{i}.pcap", script(text))
        for i, text in enumerate(
            ("A S 100 | B SA 500 101 t62", "N:7>B S 100 t63 | B>N:7 SA 500 101 t63", "R:9>B S 100 t62 | B>R:9 SA 500 101 t64")
        )
    )
    three = document(analysis_json(analyze([Point("vm", (inside,)), Point("home", (middle,)), Point("isp", (outside,))])))
    assert lacks(three, ANALYSIS) == []
    assert [box["between"] for box in three["boxes"]] == [["vm", "home"], ["home", "isp"]]
    assert [len(box["translations"]) for box in three["boxes"]] == [1, 1]
    assert len(three["points"]) == 3


def test_documents_of_nothing(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.pcap", [])
    assert document(info_json(inspect(empty)))["first_ns"] is None
    assert document(conversations_json(conversations(empty)[1], empty, [])) == {
        "schema": "pcapnat.conversations/1",
        "file": empty,
        "problems": [],
        "notes": [],
        "conversations": [],
    }
    nothing = analyze([Point("a", (empty,)), Point("b", (empty,))])
    told = document(analysis_json(nothing))
    assert lacks(told, ANALYSIS) == []
    assert told["points"][0]["first_ns"] is None
    assert told["boxes"][0]["kind"]["value"] is None
    clean(terminal(analysis_sections(nothing, 40)))
    clean(terminal(info_sections(inspect(empty))))
    clean(terminal(conversation_sections(conversations(empty)[1], [], 40)))
    clean(terminal(socket_sections(sockets(conversations(empty)[1]), [], 40)))


# --- the terminal ---


def clean(page: str) -> str:
    """A page that moves no cursor: no control or format character but the ends of its lines."""
    strange = {c for c in page if c != "\n" and unicodedata.category(c)[0] in "CZ" and c != " "}
    assert not strange, [hex(ord(c)) for c in strange]
    assert page.endswith("\n")
    return page


@given(st.text())
def test_printable(text: str) -> None:
    shown = printable(text)
    assert all(c == " " or unicodedata.category(c)[0] not in "CZ" for c in shown)
    shown.encode("utf-8")
    assert printable(shown) == shown
    if all(c == " " or c.isalnum() for c in text):
        assert shown == text


@given(
    st.lists(st.text(), max_size=3),
    st.lists(st.text(), min_size=2, max_size=2),
    st.lists(st.lists(st.text(), min_size=2, max_size=2), max_size=3),
)
def test_whatever_a_section_holds(lines: list[str], headers: list[str], rows: list[list[str]]) -> None:
    page = clean(terminal([Section("".join(lines), lines, headers, rows, ["left", "right"], lines)]))
    assert "\x1b" not in page
    page.encode("utf-8")


def test_colour_is_bold_titles_only() -> None:
    sections = [Section("Title", ["a line"], ["one"], [["\x1b[1mcell"]])]
    assert terminal(sections, colour=True).startswith("\x1b[1mTitle\x1b[0m\n")
    assert terminal(sections, colour=True).replace("\x1b[1mTitle\x1b[0m", "Title") == terminal(sections)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_pages_of_bundled_captures(scenario: str) -> None:
    analysis = pair(scenario)
    page = clean(terminal(analysis_sections(analysis, 0)))
    kind = "a proxy or user-space NAT" if scenario == "slirp-user-nat" else "a NAT"
    assert f"Between inside and outside: {kind}" in page
    assert f"Mappings: {len(analysis.boxes[0].mappings):,}" in page
    limited = clean(terminal(analysis_sections(analysis, 1)))
    assert len(limited) < len(page)
    if len(analysis.boxes[0].mappings) > 1:
        assert f"... and {len(analysis.boxes[0].mappings) - 1:,} more" in limited
    for port in analysis.points:
        clean(terminal(conversation_sections(port.conversations, ["a problem"], 3)))
        clean(terminal(socket_sections(sockets(port.conversations), [], 0)))


def test_hostile_interface_names(tmp_path: Path) -> None:
    path = tmp_path / "two.pcapng"
    frames = script("A S 100 | B SA 500 101")
    path.write_bytes(
        section("<")
        + interface("<", name=ESCAPE)
        + interface("<", name="wan")
        + b"".join(enhanced("<", f.time_ns // 1000, f.data, iface=1) for f in frames)
    )
    capture = inspect(str(path))
    page = clean(terminal(info_sections(capture)))
    assert "\\x1b[31mred" in page
    told = document(info_json(capture))
    assert told["interfaces"][0]["name"] == ESCAPE
    with pytest.raises(Exception, match="has no interface") as caught:
        observe(Point("x", (str(path),), "lan"), 64)
    clean(printable(str(caught.value)) + "\n")


@pytest.mark.parametrize("name", [ESCAPE.replace("\0", ""), "\udcff\udc80.pcap", "a\nb", "\x1b]0;title\x07", "|%s{}|"])
def test_hostile_file_and_point_names(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    try:
        path.write_bytes((CAPTURES / "demo" / "inside.pcap").read_bytes()[:-7])  # with a problem, to have it named in notes
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system has no such names")
    analysis = analyze([Point(name, (str(path),)), Point("other", (str(CAPTURES / "demo" / "outside.pcap"),))])
    assert analysis.notes
    clean(terminal(analysis_sections(analysis, 40))).encode("utf-8")
    told = document(analysis_json(analysis))
    assert told["points"][0]["name"] == name
    capture, found, speech = conversations(str(path))
    clean(terminal(info_sections(inspect(str(path))))).encode("utf-8")
    clean(terminal(conversation_sections(found, capture.problems, 40, speech=speech))).encode("utf-8")
    assert document(info_json(capture))["file"] == str(path)


# --- words ---


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (None, "-"),
        (0, "1970-01-01 00:00:00.000000"),
        (1_700_000_000_123_456_789, "2023-11-14 22:13:20.123456"),
        (-1, "1969-12-31 23:59:59.999999"),
        (-1_000_000_000, "1969-12-31 23:59:59.000000"),
        ((1 << 63) - 1, "2262-04-11 23:47:16.854775"),
        (-(1 << 63), "1677-09-21 00:12:43.145224"),
        (1 << 80, f"{1 << 80} ns"),
        (-(1 << 80), f"{-(1 << 80)} ns"),
        (10**30, f"{10**30} ns"),
    ],
)
def test_when(time_ns: int | None, text: str) -> None:
    assert when(time_ns) == text


@given(st.integers(-(1 << 70), 1 << 70))
def test_when_never_fails(time_ns: int) -> None:
    assert when(time_ns).isascii()


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1000, "1.000 µs"),
        (1_500_000, "1.500 ms"),
        (2_000_000_000, "2.000 s"),
        (86_400_000_000_000, "86400.000 s"),
        (-5, "-5 ns"),
        (-1_500_000, "-1.500 ms"),
    ],
)
def test_span(duration: int, text: str) -> None:
    assert span(duration) == text


def test_plural_and_endpoint() -> None:
    assert [plural(n, "frame") for n in (0, 1, 2, 1234)] == ["0 frames", "1 frame", "2 frames", "1,234 frames"]
    assert plural(2, "host and protocol", "hosts and protocols") == "2 hosts and protocols"
    assert [endpoint("192.0.2.1", 80), endpoint("2001:db8::1", 80), endpoint("192.0.2.1", -1)] == [
        "192.0.2.1:80",
        "[2001:db8::1]:80",
        "192.0.2.1",
    ]


SENTENCES = {
    "demo": ["leaves as 203.0.113.10"],
    "linux-hairpin": ["(hairpin)", "203.0.113.10:8080/tcp leads to 192.168.1.12:80"],
    "linux-netmap": ["address for address"],
    "linux-port-forward": ["203.0.113.10:8080/tcp leads to 192.168.1.11:80", "203.0.113.10:5353/udp leads to"],
    "linux-masquerade": ["leaves as 203.0.113.10", "preserved"],
}


@pytest.mark.parametrize("scenario", SENTENCES)
def test_sentences(scenario: str) -> None:
    said = " ".join(sentences(pair(scenario).boxes[0]))
    assert [part for part in SENTENCES[scenario] if part not in said] == []
