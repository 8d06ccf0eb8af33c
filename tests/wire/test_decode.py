"""Frames into columns: every column of every made frame, every cut of it, damage of it, in both ways to run, and what `key` means."""
from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_frames import ACK, CASES, FIN, PSH, RST, SYN, Case, echo, error, ether, ip4, ip6, linked, tcp, udp

from pcapnat.wire.decode import decode
from pcapnat.wire.link import LINKS, layouts
from pcapnat.wire.packets import Flag, Frames, Outer, Packets, Quoted

Natively = Callable[[], contextlib.AbstractContextManager[None]]
Cut = tuple[int, bytes, int]
"""(link type, captured bytes, length on the wire)"""
GAP = 64
GIVEN = {"time_ns", "offset", "cap_len", "wire_len", "interface", "flags", "key", "digest"}


def decoded(cuts: list[Cut], limit: int = 64, around: int = 0) -> tuple[Packets, Quoted, Outer]:
    """Decode frames that lie apart in a buffer whose other bytes are `around`, the last one at the buffer's very end."""
    links = sorted({link for link, _, _ in cuts})
    buf = bytearray()
    frames = Frames.empty(len(cuts))
    for i, (link, data, wire) in enumerate(cuts):
        buf += bytes([around]) * GAP
        frames.time_ns[i], frames.at[i], frames.cap_len[i], frames.wire_len[i] = i, len(buf), len(data), wire
        frames.interface[i], frames.flags[i] = links.index(link), Flag.CUT if len(data) < wire else 0
        buf += data
    packets, quoted, outer = Packets.empty(len(cuts)), Quoted.empty(len(cuts)), Outer.empty(8 * len(cuts))
    used = decode(np.frombuffer(buf, np.uint8), frames, len(cuts), 1000, layouts(links), packets, quoted, outer, limit)
    return packets, quoted.take(slice(0, used & 0xFFFFFFFF)), outer.take(slice(0, used >> 32))


def same(one: Any, other: Any) -> None:
    """Two tables are equal in every column."""
    for name in one.columns:
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def whole(case: Case) -> Cut:
    """All of a case's frame."""
    return case.link, case.frame, len(case.frame)


def headers(case: Case) -> int:
    """Bytes that must be there so that no header is incomplete."""
    if "payload_at" in case.columns:
        return int(case.columns["payload_at"])
    return {1: 14, 0: 4, 101: 1, 147: 0}[case.link]


def keys(*frames: bytes, link: int = 1, limit: int = 64) -> list[int]:
    """The keys of whole frames; every one has one."""
    packets, _, _ = decoded([(link, frame, len(frame)) for frame in frames], limit)
    assert all(packets.flags & Flag.KEY)
    return packets.key.tolist()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_column(case: Case, mode: str) -> None:
    """A frame between two others decodes to its columns and to nothing else."""
    packets, quoted, _ = decoded([whole(CASES[0]), whole(case), whole(CASES[1])])
    assert Flag(int(packets.flags[1])) == case.flags
    for name, column in Packets.columns.items():
        if name not in GIVEN:
            expected = case.columns.get(name, (0,) * column.width if column.width else 0)
            got = getattr(packets, name)[1]
            assert expected == (tuple(got.tolist()) if column.width else got), name
    assert (packets.time_ns[1], packets.cap_len[1], packets.wire_len[1]) == (1, len(case.frame), len(case.frame))
    assert packets.offset[1] == 1000 + 2 * GAP + len(CASES[0].frame)
    assert bool(packets.key[1]) == (Flag.KEY in case.flags)
    assert bool(packets.digest[1]) == bool(Flag.KEY in case.flags and packets.payload_len[1])
    assert len(quoted) == (case.quoted is not None)
    if case.quoted:
        values = {name: getattr(quoted, name)[0].tolist() for name in Quoted.columns}
        assert {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()} == {"carrier": 1, **case.quoted}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_cut(case: Case, mode: str) -> None:
    """A frame cut anywhere is SHORT exactly if a header is incomplete; no byte beyond the cut is looked at."""
    cuts = [(case.link, case.frame[:size], len(case.frame)) for size in range(len(case.frame) + 1)]
    packets, quoted, outer = decoded(cuts)
    others, other_quotes, other_outer = decoded(cuts, around=0xFF)
    same(packets, others)
    same(quoted, other_quotes)
    same(outer, other_outer)
    if Flag.BAD in case.flags or "snap" in case.name or "pppoe" in case.name or case.columns.get("ethertype") in (0x0806, 0):
        return  # headers without payload_at: not told apart here
    short = packets.flags & Flag.SHORT != 0
    assert short.tolist() == [size < headers(case) for size in range(len(case.frame) + 1)]
    assert (packets.flags & Flag.CUT != 0).tolist() == [size < len(case.frame) for size in range(len(case.frame) + 1)]
    assert not np.any(packets.flags[short] & Flag.KEY)
    if "payload_len" in case.columns and "left to the card" not in case.name:
        assert set(packets.payload_len[~short].tolist()) == {case.columns["payload_len"]}


@pytest.mark.parametrize("name", ["snap", "snap of another house", "pppoe", "pppoe to ipv6", "arp", "arp in a vlan", "spanning tree"])
def test_cut_inside_the_link_header(name: str, mode: str) -> None:
    """Link headers that are not whole are SHORT, whole ones of other protocols are not."""
    case = next(c for c in CASES if c.name == name)
    ends = {"snap": 50, "snap of another house": 22, "pppoe": 50, "pppoe to ipv6": 70, "arp": 14, "arp in a vlan": 18, "spanning tree": 17}
    packets, _, _ = decoded([(1, case.frame[:size], len(case.frame)) for size in range(len(case.frame) + 1)])
    assert (packets.flags & Flag.SHORT != 0).tolist() == [size < ends[name] for size in range(len(case.frame) + 1)]


def test_cut_inside_tcp_options_keeps_the_segment(mode: str) -> None:
    """What the headers say about length is known although the options are not."""
    case = next(c for c in CASES if c.name == "tcp as Linux opens")
    packets, _, _ = decoded([(1, case.frame[:58], len(case.frame))])
    assert Flag(int(packets.flags[0])) == Flag.IP | Flag.PORTS | Flag.TCP | Flag.CUT | Flag.SHORT | Flag.MSS
    assert (packets.mss[0], packets.payload_at[0], packets.payload_len[0]) == (1460, case.columns["payload_at"], 37)



mutated = st.builds(
    lambda case, edits, size: (case.link, edited(case.frame, edits)[:size], len(case.frame)),
    st.sampled_from(CASES), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6), st.integers(0, 200))
nonsense = st.builds(lambda link, data, more: (link, data, len(data) + more),
                     st.sampled_from([*LINKS, 147]), st.binary(max_size=120), st.integers(0, 3))


def edited(frame: bytes, edits: list[tuple[int, int]]) -> bytes:
    """The frame with some bytes overwritten."""
    out = bytearray(frame)
    for at, value in edits:
        out[at % len(out)] = value
    return bytes(out)


@settings(max_examples=400, deadline=None)
@given(cuts=st.lists(mutated | nonsense, min_size=1, max_size=12), limit=st.sampled_from([0, 1, 16, 128]))
def test_damage_never_raises_and_both_ways_agree(natively: Natively, cuts: list[Cut], limit: int) -> None:
    """Random bytes and damaged frames: plain and native fill the same columns, and nothing outside a frame matters."""
    packets, quoted, outer = decoded(cuts, limit)
    with natively():
        for around in (0, 0xA5):
            others, other_quotes, other_outer = decoded(cuts, limit, around)
            same(packets, others)
            same(quoted, other_quotes)
            same(outer, other_outer)
    assert not np.any((packets.flags & Flag.TCP != 0) & (packets.flags & Flag.PORTS == 0))
    assert not np.any((packets.flags & (Flag.PORTS | Flag.ICMP) != 0) & (packets.flags & Flag.IP == 0))


# What `key` means

hosts4 = st.integers(0x01000000, 0xDFFFFFFF).map(lambda n: ".".join(str(b) for b in n.to_bytes(4, "big")))
hosts6 = st.integers(1, (1 << 128) - 1).map(lambda n: ":".join(f"{n >> s & 0xFFFF:x}" for s in range(112, -1, -16)))
port = st.integers(0, 65535)
rewrites4 = st.fixed_dictionaries({"src": hosts4, "dst": hosts4, "ttl": st.integers(0, 255), "ident": port, "tos": st.integers(0, 255),
                                   "options": st.sampled_from([b"", b"\1\1\1\1"]), "frag": st.sampled_from([0, 0x4000])})
rewrites6 = st.fixed_dictionaries({"src": hosts6, "dst": hosts6, "hops": st.integers(0, 255), "tclass": st.integers(0, 255)})
payloads = st.binary(max_size=90)
Rewrite = dict[str, Any]
number = st.integers(0, (1 << 32) - 1)


@settings(max_examples=60, deadline=None)
@given(data=payloads, seq=number, ack=number, flags=st.sampled_from([SYN, SYN | ACK, ACK, ACK | PSH, FIN | ACK, RST]), one=rewrites4,
       other=rewrites4, six=rewrites6, ports=st.tuples(port, port), window=port, stamps=st.booleans())
def test_key_of_tcp_survives_translation(data: bytes, seq: int, ack: int, flags: int, one: Rewrite, other: Rewrite, six: Rewrite,
                                         ports: tuple[int, int], window: int, stamps: bool) -> None:
    """Addresses, ports, TTL, options, window, PSH and the link layer may change, even the IP version; the key does not."""
    inside = ether(0x0800, ip4(6, tcp(data, seq=seq, ack=ack, flags=flags), **one))
    options = b"\1\1\x08\x0a" + bytes(8) if stamps else b""
    rewritten = tcp(data, sport=ports[0], dport=ports[1], seq=seq, ack=ack, flags=flags ^ PSH, window=window, options=options)
    assert len(set(keys(inside, ether(0x0800, ip4(6, rewritten, **other), ((0x8100, 5),)), ether(0x86DD, ip6(6, rewritten, **six))))) == 1


@settings(max_examples=60, deadline=None)
@given(data=payloads, one=rewrites4, other=rewrites4, six=rewrites6, ports=st.tuples(port, port),
       proto=st.sampled_from([17, 33, 132, 136, 50]))
def test_key_of_datagrams_survives_translation(data: bytes, one: Rewrite, other: Rewrite, six: Rewrite, ports: tuple[int, int],
                                               proto: int) -> None:
    """UDP and the other protocols with ports; the checksum of all but SCTP lies in bytes 6 and 7."""
    size = {132: 12, 50: 0}.get(proto, 8)
    head = udp(data)[:size].ljust(size, b"\7")
    changed = (ports[0].to_bytes(2, "big") + ports[1].to_bytes(2, "big") + head[4:6] + b"\x12\x34" + head[8:])[:size]
    frames = [ether(0x0800, ip4(proto, head + data, **one)), ether(0x0800, ip4(proto, changed + data, **other)),
              ether(0x86DD, ip6(proto, changed + data, **six))]
    assert len(set(keys(*frames))) == 1


@settings(max_examples=60, deadline=None)
@given(data=payloads, kind=st.sampled_from([0, 8, 13, 17]), seq=port, idents=st.tuples(port, port), one=rewrites4, other=rewrites4)
def test_key_of_queries_survives_translation(data: bytes, kind: int, seq: int, idents: tuple[int, int], one: Rewrite,
                                             other: Rewrite) -> None:
    """A NAT rewrites the identifier, nothing else of a query."""
    queries = [echo(kind, ident, seq, data) for ident in idents]
    first, second = keys(ether(0x0800, ip4(1, queries[0], **one)), ether(0x0800, ip4(1, queries[1], **other)))
    assert first == second


@settings(max_examples=60, deadline=None)
@given(data=st.binary(min_size=1, max_size=64), at=st.integers(0, 63), bit=st.integers(0, 7), seq=number, ack=number,
       step=st.integers(1, 1 << 31))
def test_key_tells_segments_apart(data: bytes, at: int, bit: int, seq: int, ack: int, step: int) -> None:
    """Another payload, sequence number, acknowledgment, length or flag is another key."""
    changed = edited(data, [(at, data[at % len(data)] ^ 1 << bit)])
    over = 0xFFFFFFFF
    segments = [tcp(data, seq=seq, ack=ack), tcp(changed, seq=seq, ack=ack), tcp(data[:-1], seq=seq, ack=ack),
                tcp(data + b"\0", seq=seq, ack=ack), tcp(data, seq=seq + step & over, ack=ack),
                tcp(data, seq=seq, ack=ack + step & over), tcp(data, seq=seq, ack=ack, flags=ACK | FIN)]
    found = keys(*(ether(0x0800, ip4(6, s)) for s in segments))
    assert len(set(found)) == len(found)


def test_key_of_a_segment_without_ack_ignores_the_field() -> None:
    """The acknowledgment number of a segment without ACK has no meaning (RFC 9293 3.1)."""
    for flags in (SYN, FIN, RST, PSH):
        first, second = keys(*(ether(0x0800, ip4(6, tcp(flags=flags, ack=ack))) for ack in (0, 77)))
        assert first == second


def test_key_tells_queries_and_protocols_apart() -> None:
    """Type, code, sequence number, payload and protocol count."""
    queries = [echo(8), echo(0), echo(8, seq=8), echo(8, data=b"x" * 37), echo(8, code=1)]
    bodies = [*((1, query) for query in queries), (17, udp()), (136, udp()), (50, echo(8))]
    found = keys(*(ether(0x0800, ip4(proto, body)) for proto, body in bodies))
    assert len(set(found)) == len(found)


def test_key_covers_only_its_limit_and_the_length(mode: str) -> None:
    """Two captures with different snaplens agree if both hold `limit` bytes of payload; the length always counts."""
    long, other_tail, longer = (ether(0x0800, ip4(17, udp(data))) for data in (bytes(100), bytes(32) + b"\1" * 68, bytes(101)))
    cut = [(1, long, len(long)), (1, long[:42 + 32], len(long)), (1, other_tail, len(long)), (1, longer, len(longer))]
    key = decoded(cut, 32)[0].key.tolist()
    assert key[0] == key[1] == key[2] != key[3]
    assert len(set(decoded(cut, 33)[0].key.tolist())) == 4


@pytest.mark.parametrize(("wire", "expected"), [(0x10000, Flag.UDP), (0xFFFF, Flag.BAD)])
def test_udp_longer_than_its_length_field(wire: int, expected: Flag, mode: str) -> None:
    """Segments that the card is to cut are larger than the length fields hold, which are 0 then; the snaplen may cut them here."""
    frame = ether(0x0800, ip4(17, udp(length=0), total=0))
    packets, _, _ = decoded([(1, frame, wire)])
    assert Flag(int(packets.flags[0])) & (Flag.UDP | Flag.BAD) == expected


def test_no_keys_if_none_are_wanted(mode: str) -> None:
    """A limit of 0 makes no keys; nothing else changes."""
    cuts = [whole(c) for c in CASES]
    packets, quoted, outer = decoded(cuts, 0)
    with_keys, other_quotes, other_outer = decoded(cuts, 64)
    assert not np.any(packets.flags & Flag.KEY)
    assert not np.any(packets.key | packets.digest)
    with_keys.flags[:] &= ~np.uint32(Flag.KEY)
    with_keys.key[:] = with_keys.digest[:] = 0
    same(packets, with_keys)
    same(quoted, other_quotes)
    same(outer, other_outer)


def test_errors_have_no_key() -> None:
    """The quoted packet is rewritten with the rest, so nothing of an error stays."""
    packets, _, _ = decoded([(1, frame, len(frame)) for frame in (ether(0x0800, ip4(1, error(3, 1, ip4(17, udp())))),)])
    assert not packets.flags[0] & Flag.KEY
    assert linked("x", 1, ether(0x0800, b"")).flags & Flag.KEY
