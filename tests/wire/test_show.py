"""`pcapnat show`: what it prints of a frame, as text and as JSON, and what it says of a request that cannot be met."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_files import enhanced, interface, option, section, stdin
from made_frames import ether, ip4, tcp, udp
from made_links import TUNNEL_CASES
from packet_script import pcap, read, script, write

from pcapnat.cli import MOST_FRAMES, main, parse_frames
from pcapnat.terms import PcapnatError
from pcapnat.wire import via

ROOT = Path(__file__).parent.parent.parent
INSIDE = str(ROOT / "captures" / "demo" / "inside.pcap")
ERRORS = str(ROOT / "captures" / "linux-icmp-errors" / "inside.pcap")
needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
Show = Callable[..., tuple[int, str, str]]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Show:
    """Run `pcapnat show`: (status, output, complaints)."""
    monkeypatch.setenv("PCAPNAT_KERNELS", "plain")

    def do(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pcapnat", "show", *args])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsysbinary.readouterr()
        return int(left.value.code or 0), out.decode("utf-8"), err.decode("utf-8")

    return do


def page(show: Show, *args: str) -> list[str]:
    """The lines of a page, spaces run together."""
    status, out, err = show(*args)
    assert (status, err) == (0, "")
    return [" ".join(line.split()) for line in out.splitlines()]


def told(show: Show, *args: str) -> Any:
    """The JSON document."""
    status, out, err = show(*args, "--format", "json")
    assert (status, err, out.count("\n")) == (0, "", 1)
    return json.loads(out)


# --- what is asked for ---

ASKED = [
    (("7",), [7]),
    (("5-9",), [5, 6, 7, 8, 9]),
    (("9", "1-3", "2"), [1, 2, 3, 9]),
    (("4-4",), [4]),
    (("1-1000",), list(range(1, 1001))),
    (("999999999999",), [999999999999]),
]


@pytest.mark.parametrize(("arguments", "want"), ASKED)
def test_parse_frames(arguments: tuple[str, ...], want: list[int]) -> None:
    assert parse_frames(arguments) == want


WRONG = [
    ("0", "counted from 1"),
    ("0-4", "counted from 1"),
    ("x", "not a frame number"),
    ("", "not a frame number"),
    ("1-", "not a frame number"),
    ("1-2-3", "not a frame number"),
    ("1,2", "not a frame number"),
    ("²", "not a frame number"),
    ("٣", "not a frame number"),
    ("9" * 5000, "not a frame number"),
    ("9-5", "goes upwards"),
    ("1-1001", "more than 1,000"),
    ("1-999999999999999999", "more than 1,000"),
]


@pytest.mark.parametrize(("argument", "words"), WRONG, ids=[w[:20] for w, _ in WRONG])
def test_frames_that_cannot_be(argument: str, words: str, show: Show) -> None:
    with pytest.raises(PcapnatError, match=words):
        parse_frames((argument,))
    status, out, err = show(INSIDE, argument)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_too_many_frames() -> None:
    assert MOST_FRAMES == 1000
    with pytest.raises(PcapnatError, match="more than 1,000"):
        parse_frames(("1-600", "700-1200"))


def test_a_frame_that_does_not_exist(show: Show, tmp_path: Path) -> None:
    for args, words in (
        ((INSIDE, "500"), "inside.pcap: has no frame 500: it holds 219"),
        ((INSIDE, "219", "220"), "inside.pcap: has no frame 220: it holds 219"),
        ((write(tmp_path / "none.pcap", []), "1"), "none.pcap: has no frame 1: it holds 0"),
    ):
        for more in ((), ("--witness",), ("--format", "json")):
            status, out, err = show(*args, *more)
            assert (status, out, err.count("\n")) == (2, "", 1)
            assert words in err
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(Path(INSIDE).read_bytes()[:-7])
    assert "has no frame 219: it holds 218; the file ends inside a record" in show(str(cut), "219")[2]
    assert show(str(cut), "218")[0] == 0
    assert show(str(tmp_path / "missing"), "1")[2] == f"pcapnat: {tmp_path / 'missing'}: no such file or directory\n"


# --- what is said ---


def test_a_segment(show: Show) -> None:
    lines = page(show, INSIDE, "7")
    for line in (
        "Frame 7: tcp 198.51.100.10:80 → 192.168.1.11:49338",
        "of the conversation tcp 192.168.1.11:49338 ← 198.51.100.10:80, tcp.stream eq 0, begun by frame 3",
        "wire_len 66 bytes bytes the frame had on the wire",
        "eth_dst 02:4d:0d:00:00:01 destination MAC address (IEEE 802.3 3.2.3)",
        "tcp_flags 0x010 (ACK) FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128 (RFC 9293 3.1)",
        "TIMESTAMPS TCP option: timestamps.",
        "source 80 system http",
        "TCP 0xc934 0xc934 right",
        "Bytes: 66 captured",
        "0040 53 1a S.",
    ):
        assert line in lines
    assert not any(line.startswith(("mss ", "vlan ", "direction ", "Witnesses")) for line in lines), "only what means something"


def test_bytes_are_bounded(show: Show) -> None:
    assert "... and 34 more: --bytes 66 shows all" in page(show, INSIDE, "7", "--bytes", "32")
    assert "0000 02 4d 0d .M." in page(show, INSIDE, "7", "--bytes", "3")
    assert not any(line.startswith("0000") for line in page(show, INSIDE, "7", "--bytes", "0"))
    assert [len(f["bytes"]) for f in told(show, INSIDE, "7", "--bytes", "32")["frames"]] == [64]
    assert told(show, INSIDE, "7", "--bytes", "0")["frames"][0]["captured_bytes"] == 66
    assert show(INSIDE, "7", "--bytes", "-1")[0] == 2


def test_an_icmp_error(show: Show) -> None:
    found = next(f for f in told(show, ERRORS, "1-60")["frames"] if f["quoted"] and f["about"])
    assert found["conversation"] is None
    assert {"proto", "src", "dst"} <= set(found["quoted"])
    assert found["about"]["a"]["address"] in (found["quoted"]["src"], found["quoted"]["dst"])
    lines = page(show, ERRORS, str(found["frame"]))
    assert "The packet it quotes" in lines
    assert any(line.startswith("about the conversation ") for line in lines)
    assert any("its source address" in line for line in lines)


def test_a_packet_in_a_tunnel(show: Show, tmp_path: Path) -> None:
    cases = [case for case, _ in TUNNEL_CASES]
    path = tmp_path / "tunnels.pcapng"
    path.write_bytes(section("<") + interface("<") + b"".join(enhanced("<", n, case.frame) for n, case in enumerate(cases)))
    frames = told(show, str(path), f"1-{len(cases)}")["frames"]
    for (case, row), frame in zip(TUNNEL_CASES, frames, strict=True):
        (outer,) = frame["outer"]
        assert outer["key"] == row["key"], case.name
        assert (outer["vlan"] is None) == (row["vlan"] < 0)
        assert frame["columns"]["src"] in ("192.168.1.10", "2001:db8:1::10")
    at = [case.name for case in cases].index("vxlan with a vlan") + 1
    lines = page(show, str(path), str(at))
    assert "depth kind proto src dst sport dport key eth_dst eth_src vlan" in lines
    assert "0 5 (VXLAN) 17 (udp) 198.51.100.1 198.51.100.2 50000 4789 77 02:00:00:00:00:fe 02:00:00:00:00:01 9" in lines
    assert any(line.startswith("UDP (outer 0) 0x5a5a") for line in lines)


def test_what_the_file_says(show: Show, tmp_path: Path) -> None:
    said = option("<", 1, b"a comment \x1b[31mred\n") + option("<", 2, struct.pack("<I", 1)) + option("<", 5, struct.pack("<Q", 99))
    path = tmp_path / "said.pcapng"
    tagged = ether(0x0800, ip4(17, udp()), ((0x88A8, 0x4064), (0x8100, 200)))
    path.write_bytes(section("<") + interface("<", name="lan\x07") + enhanced("<", 5, tagged, options=said + option("<", 0, b"")))
    lines = page(show, str(path), "1")
    assert "comment: a comment \\x1b[31mred\\x0a" in lines
    assert "tag: 802.1ad id 100, priority 2, drop eligible 0" in lines
    assert "tag: 802.1Q id 200, priority 0, drop eligible 0" in lines
    assert any("interface 0 (lan\\x07)" in line for line in lines)
    assert "direction 1 (inbound) 0 not known, 1 inbound, 2 outbound (pcapng epb_flags)" in lines
    assert any("wrong the packet was received" in line for line in lines), "its direction is known"
    (frame,) = told(show, str(path), "1")["frames"]
    assert frame["comments"] == ["a comment \x1b[31mred\n"]
    assert frame["tags"] == [
        {"name": "802.1ad", "id": 100, "priority": 2, "drop_eligible": 0},
        {"name": "802.1Q", "id": 200, "priority": 0, "drop_eligible": 0},
    ]
    assert (frame["interface"]["name"], frame["columns"]["packet_id"]) == ("lan\x07", 99)


def test_checksums_and_what_they_mean(show: Show, tmp_path: Path) -> None:
    path = tmp_path / "sums.pcap"
    frames = [ether(0x0800, ip4(6, tcp())), ether(0x0800, ip4(17, udp(), frag=0x2000))]
    path.write_bytes(pcap([]) + b"".join(struct.pack("<IIII", 1, n, len(f), len(f)) + f for n, f in enumerate(frames)))
    one, other = told(show, str(path), "1", "2")["frames"]
    assert [(c["of"], c["is"]) for c in one["checksums"]] == [("IPv4 header", "right"), ("TCP", "wrong")]
    assert "offload" in one["checksums"][1]["means"]
    assert (one["checksums"][1]["found"], one["checksums"][1]["expected"]) == (0x5A5A, 0x4A6A)
    assert other["checksums"][1]["is"] == "not knowable"
    assert any(line.startswith("TCP 0x5a5a 0x4a6a wrong usual where the capturing host sends") for line in page(show, str(path), "1"))


def test_json(show: Show) -> None:
    document = told(show, INSIDE, "1-3", "7")
    assert (document["schema"], document["file"]) == ("pcapnat.show/1", INSIDE)
    assert [frame["frame"] for frame in document["frames"]] == [1, 2, 3, 7]
    assert "witnesses" not in document
    arp, segment = document["frames"][0], document["frames"][3]
    assert (arp["conversation"], arp["checksums"], arp["ports"], arp["columns"]["ethertype"]) == (None, [], [], 0x0806)
    assert segment["columns"]["src"] == "198.51.100.10"
    assert segment["conversation"]["sent_by"] == "b"
    assert {mark["name"] for mark in segment["marks"]} == {"IP", "PORTS", "TCP", "TIMESTAMPS", "KEY"}
    assert segment["link"]["name"] == "Ethernet"
    assert bytes.fromhex(segment["bytes"]) == read(INSIDE)[6].data


def test_write(show: Show, tmp_path: Path) -> None:
    path = tmp_path / "page.txt"
    out = show(INSIDE, "7")[1]
    assert show(INSIDE, "7", "--write", str(path)) == (0, "", "")
    assert path.read_text(encoding="utf-8") == out


def test_other_files(show: Show, tmp_path: Path) -> None:
    """Compressed, from standard input, through tshark: the same frame."""
    usual = told(show, INSIDE, "7")["frames"]
    path = tmp_path / "inside.pcap.gz"
    path.write_bytes(gzip.compress(Path(INSIDE).read_bytes()))
    assert told(show, str(path), "7")["frames"] == usual
    with stdin(Path(INSIDE).read_bytes(), 1000):
        assert told(show, "-", "7")["frames"] == usual
    if shutil.which("tshark"):
        (through,) = told(show, INSIDE, "7", "--via", "tshark")["frames"]
        assert "offset" not in through["columns"], "the bytes do not lie there in the file"
        assert through["columns"].items() <= usual[0]["columns"].items()


# --- witnesses ---


@needs_tshark
def test_witnesses(show: Show) -> None:
    lines = page(show, INSIDE, "7", "--witness")
    assert "Witnesses: 25 of 25 fields agree" in lines
    assert "field pcapnat dpkt tshark agree?" in lines
    assert "seq 1907253244 1907253244 1907253244 yes" in lines
    assert "1 frame: 0 fields differ, 25 agree, 0 only they have" in lines
    document = told(show, INSIDE, "7", "8", "--witness")
    assert document["witnesses"] == {"dpkt": {"absent": None}, "tshark": {"absent": None}}
    assert (document["differences"], document["only_they"]) == (0, 0)
    fields = {row["field"]: row for row in document["frames"][0]["witness"]["fields"]}
    assert fields["tcp_flags"] == {"field": "tcp_flags", "pcapnat": 16, "dpkt": 16, "tshark": 16, "agree": "yes"}
    assert fields["stream"]["dpkt"] is None


@needs_tshark
def test_differences_are_marked_and_counted(show: Show, tmp_path: Path) -> None:
    """An option that dpkt reads behind one that cannot be, and a header that only dpkt reads on in."""
    path = tmp_path / "odd.pcap"
    frames = [ether(0x0800, ip4(6, tcp(options=b"\1\1\2\0\2\4\5\xb4"))), ether(0x0800, b"\x55" + ip4(17, udp())[1:])]
    path.write_bytes(pcap([]) + b"".join(struct.pack("<IIII", 1, n, len(f), len(f)) + f for n, f in enumerate(frames)))
    lines = page(show, str(path), "1", "2", "--witness")
    assert "mss - 1460 - only they" in lines
    assert any(line.startswith("only they: we hold no such field of this frame") for line in lines)
    assert any(line.startswith("2 frames: 0 fields differ, ") for line in lines)
    document = told(show, str(path), "1", "2", "--witness")
    assert document["frames"][0]["witness"]["only_they"] == 1
    assert document["only_they"] == sum(frame["witness"]["only_they"] for frame in document["frames"]) > 5


def test_a_missing_witness_costs_one_line(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(via, "program", lambda: None)
    lines = page(show, INSIDE, "7", "--witness")
    assert sum("is not installed" in line for line in lines) == 1
    assert any(line.startswith("tshark is not installed: Wireshark's packages have it (`apt install tshark`") for line in lines)
    assert "apt install" in told(show, INSIDE, "7", "--witness")["witnesses"]["tshark"]["absent"]
    with stdin(Path(INSIDE).read_bytes()):
        assert "tshark can only be asked about a file, which this is not" in page(show, "-", "7", "--witness")


def test_dpkt_and_xml_wait_until_they_are_needed() -> None:
    """`show` without witnesses imports neither."""
    import subprocess

    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pcapnat", "show", INSIDE, "7"],
        capture_output=True, cwd=ROOT, check=True, env={**os.environ, "PCAPNAT_KERNELS": "plain"},
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.decode().splitlines()}
    assert "pcapnat.wire.witness" in imported
    assert not imported & {"dpkt", "xml.etree.ElementTree"}


def test_hostile_text_everywhere(show: Show, tmp_path: Path) -> None:
    """Nothing of a capture reaches the terminal as it is; no frame of junk makes a traceback."""
    path = tmp_path / "\x1b[31mred.pcapng"
    said = option("<", 1, b"\x1b]0;title\x07") + option("<", 0, b"")
    data = section("<") + interface("<", name="\x1b[2J")
    frames = [frame.data for frame in script("A S 1 | A udp \x1b[31m | R about A S 1")] + [bytes([n]) * n for n in range(60)]
    for n, frame in enumerate(frames):
        data += enhanced("<", n, frame, options=said)
    path.write_bytes(data)
    status, out, err = show(str(path), f"1-{len(frames)}")
    assert (status, err) == (0, "")
    assert not {c for c in out if ord(c) < 32} - {"\n"}
