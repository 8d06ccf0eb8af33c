"""A NAT's own table: what its lines say, and what it confirms and contradicts of the bundled captures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from test_rules_of_captures import CAPTURES, crossing

from pcapnat.address import text
from pcapnat.cli import cli
from pcapnat.config import SessionTable, compared, session_table
from pcapnat.nat import translations
from pcapnat.nat.behavior import PortRange, Static
from pcapnat.nat.presets import PRESETS
from pcapnat.terms import PcapnatError

LINUX = PRESETS["linux-masquerade"].behavior
UDP = "src=10.0.0.2 dst=198.51.100.3 sport=5002 dport=53 {}src=198.51.100.3 dst=203.0.113.1 sport=53 dport=40932 {}mark=42 use=1"
NEW = "[1795403289.800657]\t    [NEW] ipv4     2 udp      17 30 " + UDP.format("[UNREPLIED] ", "") + " id=7"
UPDATE = "[1795403289.9]\t [UPDATE] ipv4     2 udp      17 30 " + UDP.format("", "") + " id=7"
GONE = "[1795403299.53426 ]\t[DESTROY] ipv4     2 udp      17 " + UDP.format("packets=1 bytes=29 ", "packets=1 bytes=2 ") + " id=7"
FLOW = """<?xml version="1.0" encoding="utf-8"?>
<conntrack>
<flow><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>10.0.0.2</src><dst>198.51.100.3</dst></layer3>
<layer4 protonum="17" protoname="udp"><sport>5002</sport><dport>53</dport></layer4></meta><meta direction="reply"><layer3 protonum="2">
<src>198.51.100.3</src><dst>203.0.113.1</dst></layer3><layer4 protonum="17"><sport>53</sport><dport>40932</dport></layer4></meta>
<meta direction="independent"><timeout>27</timeout><unreplied/></meta></flow>
</conntrack>
"""
OVS = "udp,orig=(src=10.0.0.2,dst=198.51.100.3,sport=5002,dport=53),reply=(src=198.51.100.3,dst=203.0.113.1,sport=53,dport=40932),zone=7"
WINDOWS = {
    "NatName": "n", "Protocol": 17, "InternalSourceAddress": "10.0.0.2", "InternalSourcePort": 5002,
    "InternalDestinationAddress": "198.51.100.3", "InternalDestinationPort": 53, "ExternalSourceAddress": "203.0.113.1",
    "ExternalSourcePort": 40932, "ExternalDestinationAddress": "198.51.100.3", "ExternalDestinationPort": 53,
}  # fmt: skip
WAYS = {
    "plain": "udp      17 27 " + UDP.format("[UNREPLIED] ", ""),
    "with counters": "udp      17 119 " + UDP.format("packets=2 bytes=58 ", "packets=2 bytes=58 [ASSURED] ")
    + " delta-time=3 [start=Mon Nov 23 03:07:29 2026]",
    "extended": "ipv4     2 udp      17 27 " + UDP.format("", "") + " id=1796104698",
    "/proc": "ipv4     2 udp      17 27 " + UDP.format("", "") + " zone=0",
    "all that conntrack can say": "[1795403289.800657]\tipv4     2 udp      17 27 "
    + UDP.format("zone-orig=3 packets=2 bytes=58 ", "packets=2 bytes=58 [ASSURED] [OFFLOAD] ")
    + " delta-time=9 [start=Mon Nov 23 03:07:29 2026] secctx=null helper=sip id=1796104698 labels=a,b",
    "offloaded to hardware": "udp      17 " + UDP.format("", "[HW_OFFLOAD] "),
    "save": "-A -t 99 -u SEEN_REPLY,ASSURED -s 10.0.0.2 -d 198.51.100.3 -r 198.51.100.3 -n 203.0.113.1 -p udp --sport 5002 --dport 53 "
    "--reply-port-src 53 --reply-port-dst 40932",
    "events": f"{NEW}\n{UPDATE}\n{GONE}",
    "an update only": UPDATE,
    "xml": FLOW,
    "open vswitch": OVS,
    "Get-NetNatSession": json.dumps(WINDOWS),
    "in a list": json.dumps([WINDOWS, {"Count": 1}]),
}  # fmt: skip


def read(tmp_path: Path, content: str) -> SessionTable:
    """The table in a file with this text."""
    path = tmp_path / "table"
    path.write_text(content)
    return session_table(str(path))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_writing_a_session(way: str, tmp_path: Path) -> None:
    summary = "\nconntrack v1.4.7 (conntrack-tools): 1 flow entries have been shown.\n"
    found = read(tmp_path, WAYS[way] + summary if way == "plain" else WAYS[way])
    (one,) = found.sessions
    assert [one.arrives[0], text(*one.arrives[1]), one.arrives[2], text(*one.arrives[3]), one.arrives[4]] == [
        17, "10.0.0.2", 5002, "198.51.100.3", 53]  # fmt: skip
    assert [text(*one.leaves[1]), one.leaves[2], text(*one.leaves[3]), one.leaves[4]] == ["203.0.113.1", 40932, "198.51.100.3", 53]
    assert found.events is (way in ("events", "an update only"))
    assert found.passed_over == (way in ("plain", "in a list"))
    if way == "events":
        assert (one.first_ns, one.last_ns, one.answered) == (1795403289_800657000, 1795403299_534260000, True)


def test_mixed_protocols(tmp_path: Path) -> None:
    """Identifiers of pings, protocols without ports, both versions of IP; expectations are no sessions."""
    found = read(tmp_path, """
ipv4     2 icmp     1 27 src=10.0.0.1 dst=198.51.100.1 type=8 code=0 id=1105 src=198.51.100.1 dst=203.0.113.1 type=0 code=0 id=77 use=1 id=9
ipv6     10 udp      17 29 src=fd00:a::1 dst=2001:db8:5::1 sport=5000 dport=53 src=2001:db8:5::1 dst=2001:db8:f::1 sport=53 dport=5000 use=1
unknown  50 598 src=10.0.0.1 dst=198.51.100.1 [UNREPLIED] src=198.51.100.1 dst=203.0.113.1 mark=0 use=1
gre      47 28 src=10.0.0.1 dst=198.51.100.1 srckey=0x0 dstkey=0x0 [UNREPLIED] src=198.51.100.1 dst=203.0.113.1 srckey=0x0 dstkey=0x0 use=1
tcp      6 431997 ESTABLISHED src=10.0.0.1 dst=198.51.100.1 sport=1 dport=80 src=198.51.100.1 dst=10.0.0.1 sport=80 dport=1 [ASSURED] use=1
299 proto=6 src=198.51.100.1 dst=203.0.113.1 sport=0 dport=5121 mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535
""")  # fmt: skip
    assert [k.arrives[0] for k in found.sessions] == [1, 17, 50, 47, 6]
    assert found.sessions[0].arrives[2] == found.sessions[0].arrives[4] == 1105
    assert found.sessions[0].leaves[2] == 77
    assert found.sessions[2].arrives[2] == -1
    assert [k.translated for k in found.sessions] == [True, True, True, True, False]
    assert found.sessions[4].state == "ESTABLISHED"
    assert found.passed_over == 1


WRONG = {
    "save, a value": ("-A -t 99 -s 10.0.0.2 -d\n", "line 1: an option without a value"),
    "save, an address": ("-A -s 10.0.0.2 -d 198.51.100.3 -p udp\n", "line 1: an address is missing"),
    "save, a protocol": ("-A -s 10.0.0.2 -d 198.51.100.3\n", "line 1: no protocol"),
    "expectations": ("299 l3proto = 2 proto=6 src=198.51.100.1 dst=203.0.113.1 sport=0 dport=5121 ftp\n", "no table of sessions"),
    "nothing": ("nothing\n", "no table of sessions"),
    "one tuple": ("udp 17 3 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2\n", "line 1: not two tuples"),
    "address": (WAYS["plain"].replace("10.0.0.2", "10.0.0.x"), "line 1: 10.0.0.x or"),
    "port": (WAYS["plain"].replace("5002", "500200"), "line 1: 500200 is more than 65535"),
    "three": (WAYS["plain"] + " src=10.0.0.1", "line 1: three tuples"),
    "long": ("x" * 5000, "line 1: longer than"),
    "declarations": ('<!DOCTYPE a [<!ENTITY b "c">]>' + FLOW, "declarations"),
    "xml": (FLOW.replace("</layer3>", ""), "flow 1"),
    "json": ("[{", "no JSON"),
    "of Windows": (json.dumps({**WINDOWS, "InternalSourceAddress": "here"}), "object 1: internalsourceaddress: here is no address"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(PcapnatError) as error:
        read(tmp_path, WRONG[name][0])
    assert WRONG[name][1] in str(error.value)
    assert "\n" not in str(error.value)


def written(folder: str) -> list[str]:
    """A bundled pair's translations as conntrack -L writes them."""
    lines = []
    for t in json.loads((CAPTURES / folder / "expected.json").read_text())["translations"]:
        here, there = t["inside"], t["outside"]
        came, went = (here, there) if t["initiator"] == "inside" else (there, here)
        names = {"tcp": "tcp 6 9 ESTABLISHED", "udp": "udp 17 9", "icmp": "icmpv6 58 9" if ":" in here["src"]["address"] else "icmp 1 9"}
        proto = names[t["proto"]]

        def pair(src: dict[str, Any], dst: dict[str, Any], kind: str = t["proto"]) -> str:
            ends = f"src={src['address']} dst={dst['address']} "
            return ends + (f"type=8 code=0 id={src['port']}" if kind.startswith("icmp") else f"sport={src['port']} dport={dst['port']}")

        back = {**went["dst"], "port": went["src"]["port"]} if t["proto"].startswith("icmp") else went["dst"]
        answer = pair(back, went["src"])
        lines.append(f"{proto} {pair(came['src'], came['dst'])} {answer} mark=0 use=1")
    return lines


@pytest.mark.parametrize("folder", ["linux-masquerade", "linux-port-forward", "linux-hairpin", "linux-netmap", "linux-masquerade-ipv6"])
def test_a_true_table_agrees(folder: str, tmp_path: Path) -> None:
    c = crossing(folder)
    lines = written(folder)
    truth = compared(read(tmp_path, "\n".join(lines)), c, translations(c))
    assert truth.agreed == len(lines) > 5
    assert truth.contradicted.count == truth.unused.count == truth.untranslated.count == truth.one_sided.count == 0


def test_what_a_table_shows_beside_the_captures(tmp_path: Path) -> None:
    """A session with another port contradicts, one that is missing is listed, one that nobody used is named; rules are held against it."""
    c = crossing("linux-masquerade")
    lines = [line for line in written("linux-masquerade") if line.startswith("tcp")]
    wrong = lines[0].rsplit("dport=", 1)[0] + "dport=9 mark=0 use=1"
    established = "tcp 6 9 ESTABLISHED src={} dst=198.51.100.10 sport=1 dport=80 src=198.51.100.10 dst=203.0.113.10 sport=80 dport=1 use=1"
    unused = [established.format("192.168.1.99")]
    unused += ["udp 17 9 src=198.51.100.10 dst=203.0.113.10 sport=1 dport=69 src=192.168.1.11 dst=198.51.100.10 sport=69 dport=1 use=1"]
    own = [established.format("203.0.113.10")]
    rules = replace(LINUX, addresses=("203.0.113.10",), keeps_any_port=False, port_ranges=(PortRange(1024, 65535),), complete=True,
                    static=(Static("203.0.113.10", "192.168.1.11", "udp", (53, 53)),))  # fmt: skip
    table = read(tmp_path, "\n".join([wrong, *lines[2:], *unused, *own]))
    truth = compared(table, c, translations(c), rules)
    assert truth.agreed == len(lines) - 2
    assert truth.contradicted.count == 1
    assert truth.contradicted.examples[0].line == 1
    assert truth.unused.count == 2
    assert truth.own == 1
    assert truth.unlisted.count >= 1
    assert [e.says for e in truth.unruled.examples] == [
        "no rule gives the port 9: it is not among 1024-65535",
        "no rule gives the port 1: it is not among 1024-65535",
        "no rule leads 203.0.113.10:69 to 192.168.1.11:69",
    ]
    other = compared(table, c, translations(c), replace(rules, addresses=("203.0.113.77",)))
    assert "no rule gives the address 203.0.113.10" in other.unruled.examples[0].says


def test_a_later_session_of_the_same_endpoints_is_no_contradiction(tmp_path: Path) -> None:
    """A table of one moment holds the last of several sessions between two endpoints; events hold them all."""
    c = crossing("linux-tuple-reuse")
    t = translations(c)
    truth = compared(read(tmp_path, "\n".join(written("linux-tuple-reuse"))), c, t)
    assert truth.agreed > len(truth.table.sessions), "several sessions of one tuple"
    assert truth.contradicted.count == 0


def test_the_command(tmp_path: Path) -> None:
    table = tmp_path / "conntrack.txt"
    table.write_text("\n".join(written("linux-masquerade")[2:]))
    points = [str(CAPTURES / "linux-masquerade" / f"{side}.pcap") for side in ("inside", "outside")]
    arguments = ["diff", *points, "--through", "linux-masquerade", "--table", str(table)]
    found = json.loads(CliRunner().invoke(cli, [*arguments, "--format", "json"], catch_exceptions=False).output)
    assert found["table"]["agreed"] == found["table"]["sessions"] > 20
    assert found["table"]["unlisted"]["count"] >= 2
    assert found["unmodelled"] == []
    page = CliRunner().invoke(cli, arguments).output
    assert "conversations crossed as the table says" in page
    assert "translated and not in the table of sessions" in page


def test_beside_what_was_inferred(tmp_path: Path) -> None:
    """`analyze --table`: the same comparison, without rules; of one box, and only where there is one."""
    table = tmp_path / "table"
    table.write_text("\n".join(written("linux-masquerade")[2:]))
    points = [str(CAPTURES / "linux-masquerade" / f"{side}.pcap") for side in ("inside", "outside")]
    arguments = ["analyze", *points, "--table", str(table)]
    (box,) = json.loads(CliRunner().invoke(cli, [*arguments, "--format", "json"], catch_exceptions=False).output)["boxes"]
    assert box["table"]["agreed"] == box["table"]["sessions"] > 20
    assert box["table"]["unlisted"]["count"] >= 2
    assert "conversations crossed as the table says" in CliRunner().invoke(cli, arguments).output
    for few, says in ((points[:1], "one side of a box only"), ([*points, f"third={points[1]}"], "not known which")):
        ran = CliRunner().invoke(cli, ["analyze", *few, "--table", str(table)])
        assert isinstance(ran.exception, PcapnatError)
        assert says in str(ran.exception)


SEEDS = [*WAYS.values()]


@settings(max_examples=200, deadline=None)
@given(seed=st.sampled_from(SEEDS), at=st.floats(0, 1), gone=st.integers(0, 12), put=st.text(max_size=5) | st.sampled_from(
    ["src=", " src=1.1.1.1", "[NEW]", "\n", "=", "(", "<flow>", "]", "99999999999999", "[1."]))  # fmt: skip
def test_changed_text_gives_a_table_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, seed: str, at: float, gone: int, put: str
) -> None:
    k = int(at * len(seed))
    path = tmp_path_factory.getbasetemp() / "changed-table"
    path.write_text(seed[:k] + put + seed[k + gone :], encoding="utf-8")
    try:
        found: object = session_table(str(path))
    except PcapnatError as error:
        found = str(error)
    assert isinstance(found, SessionTable) or "\n" not in str(found)
