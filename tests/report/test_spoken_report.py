"""What is said of messages: the column `speaks`, names, unusual ports, link events, and the same as JSON."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from message.made_messages import CLIENT, SERVER, arp, client_hello, dhcp, dns_query, dns_record, dns_response, option, tagged, tcp, udp
from packet_script import START_NS, Frame, write

from pcapnat import analyze
from pcapnat.flow import heard, sockets
from pcapnat.message import Application
from pcapnat.ports import agrees, service
from pcapnat.reading import conversations
from pcapnat.report import (
    analysis_json,
    analysis_sections,
    conversation_sections,
    conversations_json,
    socket_sections,
    sockets_json,
    terminal,
)
from pcapnat.report.spoken import speaks, spoken_at
from pcapnat.terms import Point

CAPTURES = Path(__file__).parents[2] / "captures"
ESCAPE = "\x1b[31mred\u202e"


@pytest.fixture
def capture(tmp_path: Path) -> str:
    """A capture with a few of everything; TLS on port 80, HTTP on 9999, a name with an escape sequence in it."""
    query = dns_query("server.example")
    answer = dns_response(query, [dns_record(b"\xc0\x0c", 1, bytes(map(int, SERVER.split("."))))])
    hostile = dns_query("x")[:12] + bytes([len(ESCAPE.encode())]) + ESCAPE.encode() + b"\0\0\1\0\1"
    made = [
        arp(1, CLIENT, "192.168.1.1"), arp(1, CLIENT, "192.168.1.1"), tagged(arp(2, "192.168.1.7", CLIENT), 20),
        arp(2, "192.168.1.7", CLIENT, b"\2\0\0\0\0\x0c"),
        udp(dhcp(1, option(12, ESCAPE.encode())), 68, 67, "0.0.0.0", "255.255.255.255"),
        udp(query, 50000, 53), udp(answer, 53, 50000, SERVER, CLIENT), udp(hostile, 50001, 53),
        tcp(client_hello("tls.example"), 50002, 80), tcp(b"x", 80, 50002, src=SERVER, dst=CLIENT),
        tcp(f"GET / HTTP/1.1\r\nHost: {ESCAPE}\r\n\r\n".encode(), 50003, 9999), tcp(b"SSH-2.0-x\r\n", 50004, 22),
        tcp(b"PORT 192,168,1,10,195,80\r\n", 50005, 21), tcp(b"220 FTP\r\n", 21, 50006, src=SERVER, dst=CLIENT),
        tcp(b"PORT 192,168,1,10,195,80\r\n", 50006, 21), udp(b"?" * 9, 50007, 50008),
    ]  # fmt: skip
    return write(tmp_path / "made.pcap", [Frame(START_NS + n * 1_000_000, frame) for n, frame in enumerate(made)])


def page(sections: Any) -> str:
    """Sections as text, in which nothing moves the cursor or hides other text."""
    text = terminal(sections)
    assert not {c for c in text if c != "\n" and unicodedata.category(c)[0] == "C"}
    return text


def test_conversations(capture: str) -> None:
    read, found, speech = conversations(capture)
    text = page(conversation_sections(found, read.problems, 0, speech=speech))
    assert re.search(r"tls tls\.example +http\n", text)
    assert "http \\x1b[31mred\\x202e" in text
    told = json.loads(conversations_json(found, capture, read.problems, (), speech))["conversations"]
    by_port = {c["a"]["port"]: c for c in told}
    tls = by_port[50002]
    assert tls["application"] == {
        "protocol": "tls", "name": "tls.example", "alpn": ["h2", "http/1.1"], "frame": 9,
        "details": {"side": "client", "version": "TLS 1.3"},
    }  # fmt: skip
    assert tls["usual_service"] == "http"
    assert by_port[50007]["application"] is None
    assert by_port[50007]["usual_service"] is None
    assert by_port[50000]["application"]["name"] == "server.example"
    assert json.loads(conversations_json(found, capture, []))["conversations"][0]["application"] is None
    assert "tls" not in page(conversation_sections(found, [], 0))


def test_sockets(capture: str) -> None:
    read, found, speech = conversations(capture)
    ends, spoken = sockets(found), heard(found, speech.topics)
    text = page(socket_sections(ends, read.problems, 0, spoken))
    assert "tls (unusual)" in text
    assert "http (unusual)" not in text, "nothing is usual on port 9999"
    told = json.loads(sockets_json(ends, capture, read.problems, (), spoken))["sockets"]
    said = {(s["endpoint"]["port"], s["role"]): (s["speaks"], s["unusual"]) for s in told}
    assert said[80, "listens"] == (["tls"], True)
    assert said[9999, "listens"] == (["http"], False)
    assert said[50002, "connects"] == ([], False)
    assert said[50008, "asked, no answer"] == ([], False)


def test_one_point(capture: str) -> None:
    analysis = analyze([Point("here", (capture,))])
    text = page(analysis_sections(analysis, 40))
    for line in (
        "Link events at here: 5", "192.168.1.1 was asked for 2 times and nobody answered",
        "192.168.1.7 is claimed by 02:00:00:00:00:0a and 02:00:00:00:00:0c", "DHCP 02:00:00:00:00:0a: discover",
        "here: 2 DNS queries: 1 answered, 1 no answer", "What is spoken on unusual ports", "198.51.100.80  server.example  dns",
    ):  # fmt: skip
        assert line in text, line
    point = json.loads(analysis_json(analysis))["points"][0]
    assert point["names"]["listed"][0] | {"from_ns": 0, "until_ns": 0} == {
        "address": SERVER, "name": "server.example", "source": "dns", "from_ns": 0, "until_ns": 0, "frame": 7, "count": 1,
    }  # fmt: skip
    dns = point["dns"]
    assert (dns["count"], dns["transactions"], dns["ended"]) == (2, 2, {"NOERROR": 1, "no answer": 1})
    assert [(q["name"], q["type"], q["code"], q["frame"], q["answer_frame"]) for q in dns["listed"]] == [
        ("server.example", "A", "NOERROR", 6, 7), (ESCAPE, "A", None, 8, None),
    ]  # fmt: skip
    events = point["link_events"]
    assert (events["count"], events["kinds"]) == (5, {"arp request": 2, "arp reply": 2, "dhcp discover": 1})
    assert events["listed"][2] | {"time_ns": 0, "eth_src": ""} == {
        "kind": "arp reply", "frame": 3, "time_ns": 0, "eth_src": "", "eth_dst": "ff:ff:ff:ff:ff:ff", "vlan": 20,
        "sender": {"address": "192.168.1.7", "hardware": "02:00:00:00:00:0a"}, "target": {"address": CLIENT, "hardware": None},
    }  # fmt: skip
    assert events["listed"][4]["details"]["host_name"] == ESCAPE
    (carried,) = point["carried_addresses"]["listed"]
    assert carried | {"conversation": 0} == {"what": "ftp port", "address": CLIENT, "port": 50000, "frame": 15, "conversation": 0}
    assert [c["application"]["protocol"] for c in point["conversations"] if c["application"]].count("dns") == 2


def test_two_points() -> None:
    folder = CAPTURES / "linux-dns-failure"
    analysis = analyze([Point(side, (str(folder / f"{side}.pcap"),)) for side in ("inside", "outside")])
    text = page(analysis_sections(analysis, 40))
    assert "inside: 19 DNS queries: 6 answered, 6 no such name, 4 no answer, 3 refused; asked again 4 times" in text
    assert "Link events" not in text
    told = json.loads(analysis_json(analysis))
    rows = told["boxes"][0]["translations"]
    assert {row["application"]["protocol"] for row in rows} == {"dns"}
    assert [p["dns"]["count"] for p in told["points"]] == [23, 23]
    quiet = page(analysis_sections(analyze([Point(side, (str(CAPTURES / "demo" / f"{side}.pcap"),)) for side in ("a", "inside")][1:]), 40))
    assert "Names" not in quiet


def test_lists_are_bounded(tmp_path: Path) -> None:
    frames = [Frame(START_NS + n, arp(1, CLIENT, f"10.0.{n >> 8}.{n & 255}")) for n in range(1500)]
    analysis = analyze([Point("here", (write(tmp_path / "storm.pcap", frames),))])
    events = json.loads(analysis_json(analysis))["points"][0]["link_events"]
    assert (events["count"], len(events["listed"])) == (1500, 1000)
    assert "... and 1,492 more such lines" in page(analysis_sections(analysis, 40))


def test_what_cannot_be_read_is_noted(tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.pcap", [Frame(START_NS, tcp(b"\x16\3\1\0\5\1\0\0\1\3", 50000, 443))])
    assert "here: 1 tls messages that make no sense" in analyze([Point("here", (bad,))]).notes


@pytest.mark.parametrize(
    ("application", "words"),
    [
        (None, ""), (Application("tls", "example.com"), "tls example.com"), (Application("dns", "example.com"), "dns"),
        (Application("http"), "http"), (Application("http", "h" * 90), "http " + "h" * 59 + "…"),
    ],
)  # fmt: skip
def test_speaks(application: Application | None, words: str) -> None:
    assert speaks(application) == words


def test_what_agrees_with_a_port() -> None:
    assert agrees(service("tcp", 443), "tls")
    assert agrees(service("tcp", 8080), "http")
    assert agrees("", "anything")
    assert not agrees(service("tcp", 443), "ssh")
    assert not agrees(service("tcp", 80), "tls")
    from pcapnat.message import Topic

    assert spoken_at(Counter({int(Topic.TLS): 3, int(Topic.SSH): 1}), "tcp", 443) == "tls, ssh (unusual)"
    assert spoken_at(Counter(), "tcp", 443) == ""
