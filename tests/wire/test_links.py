"""Every link type and every tunnel: each column, each cut, both ways to run, and tshark's opinion."""
from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_files import pcap_head, pcap_record
from made_frames import CASES, DATA, Case, echo, error, ether, ip4, ip6, tcp, udp, words
from made_links import LINK_CASES, NO_IP, OUTER4, TUNNEL_CASES, TUNNELS
from second_opinion import address
from test_decode import Natively, decoded, edited, same, whole

from pcapnat.wire import Flag, Packets, Tunnel, read
from pcapnat.wire.link import LINKS

BOTH = [*LINK_CASES, *NO_IP, *(case for case, _ in TUNNEL_CASES)]
needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")


def check(case: Case, packets: Packets, row: int) -> None:
    """A row holds the case's columns and nothing else."""
    assert Flag(int(packets.flags[row])) == case.flags, case.name
    for name, column in Packets.columns.items():
        if name not in {"time_ns", "offset", "cap_len", "wire_len", "interface", "flags", "key", "digest"}:
            expected = case.columns.get(name, (0,) * column.width if column.width else 0)
            got = getattr(packets, name)[row]
            assert expected == (tuple(got.tolist()) if column.width else got), (case.name, name)


def test_every_column(mode: str) -> None:
    """Each frame between two others, and the headers around tunnelled packets."""
    outer_rows = {case.name: row for case, row in TUNNEL_CASES}
    for case in BOTH:
        packets, _, outer = decoded([whole(CASES[0]), whole(case), whole(CASES[1])])
        check(case, packets, 1)
        values = [{n: getattr(outer, n)[k].tolist() for n in outer.columns} for k in range(len(outer))]
        rows = [{n: tuple(v) if isinstance(v, list) else v for n, v in row.items()} for row in values]
        assert rows == ([outer_rows[case.name]] if case.name in outer_rows else []), case.name


def test_every_cut(mode: str) -> None:
    """No byte beyond the cut is looked at; a frame whose headers are whole is not SHORT, one of a link that ends in them is."""
    for case in BOTH:
        cuts = [(case.link, case.frame[:size], len(case.frame)) for size in range(len(case.frame) + 1)]
        packets, quoted, outer = decoded(cuts)
        others, other_quotes, other_outer = decoded(cuts, around=0xFF)
        same(packets, others)
        same(quoted, other_quotes)
        same(outer, other_outer)
        short = (packets.flags & Flag.SHORT != 0).tolist()
        if case in LINK_CASES and case.name not in LIKE_ANOTHER:
            assert short == [size < case.columns["payload_at"] for size in range(len(case.frame) + 1)], case.name
        elif "payload_at" in case.columns and case.flags & Flag.IP:
            assert not any(short[case.columns["payload_at"]:]), case.name


LIKE_ANOTHER = {"pseudowire with control word", "classical ip over atm"}
"""Cut, these look like something else."""


def test_tunnel_cut_before_its_packet_stays_the_outer_packet(mode: str) -> None:
    """What is not there is not guessed: the outer header's columns remain, and the frame is SHORT if the packet was begun."""
    for case, row in TUNNEL_CASES:
        at = case.columns["payload_at"]
        packets, _, outer = decoded([(1, case.frame[:at - 9], len(case.frame))])
        assert len(outer) == 0
        assert Flag.SHORT in Flag(int(packets.flags[0]))
        assert (packets.proto[0], tuple(packets.src[0].tolist()), packets.dport[0] if row["dport"] else 0) == (
            row["proto"], row["src"], row["dport"]), case.name


def test_tunnels_in_tunnels_are_followed_to_a_depth(mode: str) -> None:
    """Eight headers are stepped over; a ninth is left, and marked."""
    def nested(depth: int) -> bytes:
        packet = ip4(6, tcp())
        for n in range(depth):
            packet = ip4(4, packet, src=f"10.0.0.{n}", dst=OUTER4[1])
        return ether(0x0800, packet)
    packets, _, outer = decoded([(1, nested(n), len(nested(n))) for n in range(11)])
    assert [Flag.DEEP in Flag(int(f)) for f in packets.flags] == [False] * 9 + [True] * 2
    assert packets.proto.tolist() == [6] * 9 + [4] * 2
    assert np.bincount(outer.carrier).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8]
    assert outer.depth.tolist() == [d for n in range(11) for d in range(min(n, 8))]
    assert tuple(outer.src[1].tolist()) == words("10.0.0.1")


def test_errors_in_tunnels_quote(mode: str) -> None:
    """An ICMP error in a tunnel has its quote; the error about a tunnel quotes the tunnel."""
    packet = ip4(1, error(3, 1, ip4(17, udp())))
    for around in TUNNELS:
        if not around.inner6:
            frame = around.frame(packet)
            packets, quoted, outer = decoded([(1, frame, len(frame))])
            assert (packets.proto[0], len(outer), quoted.sport.tolist(), quoted.dport.tolist()) == (1, 1, [5353], [53]), around.name


@pytest.mark.parametrize(("port", "payload"), [(4789, bytes(60)), (4789, b"\x08" + bytes(60)), (2152, DATA), (2152, b"\x32\x01" + bytes(9)),
                                               (3544, bytes(70)), (1701, b"\xc8\x02" + DATA), (6081, b"\xc0" + DATA), (4790, DATA),
                                               (6635, DATA)])
def test_the_port_alone_makes_no_tunnel(port: int, payload: bytes, mode: str) -> None:
    """Nonsense on a registered port stays UDP."""
    frame = ether(0x0800, ip4(17, udp(payload, dport=port)))
    packets, _, outer = decoded([(1, frame, len(frame))])
    assert (len(outer), packets.dport[0], Flag.TUNNEL in Flag(int(packets.flags[0]))) == (0, port, False)


def test_what_takes_the_place_of_ports(mode: str) -> None:
    """ESP has its SPI, PPTP's GRE without a packet its call; AH is stepped over."""
    pptp = ip4(47, bytes.fromhex("2081880b000000420000001d"))
    signed = bytes([17, 4, 0, 0]) + bytes(20) + udp()
    frames = [ether(0x0800, ip4(50, bytes.fromhex("deadbeef00000001") + DATA)), ether(0x0800, pptp), ether(0x0800, ip4(51, signed)),
              ether(0x86DD, ip6(51, signed))]
    packets, _, _ = decoded([(1, f, len(f)) for f in frames])
    assert packets.proto.tolist() == [50, 47, 17, 17]
    assert list(zip(packets.sport.tolist(), packets.dport.tolist(), strict=True)) == [(0xDEAD, 0xBEEF), (0, 0x42), (5353, 53), (5353, 53)]
    assert [(Flag.SPI in Flag(f), Flag.PORTS in Flag(f)) for f in packets.flags.tolist()] == [(True, False)] * 2 + [(False, True)] * 2
    assert packets.payload_len.tolist()[2:] == [37, 37]


def test_every_link_type_has_a_frame() -> None:
    """A link type in the table is one that decodes."""
    assert {c.link for c in [*CASES, *LINK_CASES] if Flag.IP in c.flags} == set(LINKS)


DEEP = [around.frame(ip4(17, udp(echo(8))) if not around.inner6 else ip6(6, tcp())) for around in TUNNELS]
mutated = st.builds(lambda frame, edits, size: (frame[0], edited(frame[1], edits)[:size], len(frame[1])),
                    st.sampled_from([(c.link, c.frame) for c in BOTH] + [(1, frame) for frame in DEEP]),
                    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=5), st.integers(0, 250))


@settings(max_examples=200, deadline=None)
@given(cuts=st.lists(mutated, min_size=1, max_size=12), limit=st.sampled_from([0, 64]))
def test_damage_never_raises_and_both_ways_agree(natively: Natively, cuts: list[Any], limit: int) -> None:
    """Damaged frames: plain and native fill the same columns, and nothing outside a frame matters."""
    tables = decoded(cuts, limit)
    with natively():
        for around in (0, 0xA5):
            for one, other in zip(tables, decoded(cuts, limit, around), strict=True):
                same(one, other)


# tshark

UNREAD = {15, 166, 205, 206, 282, 284, 285}
"""Link types that tshark 4.0 does not know; 283 is another one to it."""
UNLIKE_TSHARK = {"token ring, routed", "pseudowire with control word", "slip", "classical ip over atm, named", "netanalyzer",
                 "netanalyzer, transparent", "ethernet with preamble", "broadcom tag in front", "docsis", "docsis, extended"}
"""tshark leaves these as data, or wants checksums and lengths in the header right."""


@needs_tshark
def test_tshark_agrees(tmp_path: Path) -> None:
    """The innermost addresses and ports of every link type and tunnel, by tshark."""
    wrong = []
    for link in sorted({case.link for case in BOTH} - UNREAD):
        cases = [case for case in BOTH if case.link == link and case.name not in UNLIKE_TSHARK]
        path = tmp_path / f"{link}.pcap"
        path.write_bytes(pcap_head("<", link=link) + b"".join(pcap_record("<", 1, 0, case.frame) for case in cases))
        fields = ["ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport", "frame.protocols"]
        command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=|", "-E", "separator=/t"]
        output = subprocess.run(command + [part for f in fields for part in ("-e", f)], capture_output=True, text=True, check=False).stdout
        _, packets, _ = read(str(path))
        for i, (case, line) in enumerate(zip(cases, output.split("\n"), strict=False)):
            if line.count("\t") + 1 < len(fields):
                wrong.append(f"{case.name}: tshark reads none of link type {link}")
                break
            said = dict(zip(fields, (value.split("|") for value in line.split("\t")), strict=True))
            ip = "ipv6" if Flag.V6 in case.flags else "ip"
            mine = [address(packets.src[i]), address(packets.dst[i]), str(packets.sport[i]), str(packets.dport[i])]
            theirs = [said[name][-1] for name in (f"{ip}.src", f"{ip}.dst", "udp.srcport", "udp.dstport")]
            if Flag.IP in case.flags and mine != theirs:
                wrong.append(f"{case.name}: {mine}, tshark {theirs} ({said['frame.protocols'][0]})")
            elif Flag.IP not in case.flags and said["ip.src"] != [""]:
                wrong.append(f"{case.name}: tshark sees IP")
    assert not wrong, "\n".join(wrong)


def test_kinds_have_names() -> None:
    """Every kind of tunnel is made above."""
    assert {around.kind for around in TUNNELS} == set(Tunnel)
