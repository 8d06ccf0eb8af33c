"""Which frame is which: properties over real frames sent through a synthetic NAT, and a table of what boxes do to frames."""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from packet_script import MS, START_NS, Frame, ethernet, ip, read, write
from synthetic_nat import Nat, cross_nat

from pcapnat.flow import Crossing, How, Port, cross, observe
from pcapnat.terms import Point
from pcapnat.wire import Flag

Natively = Callable[[], AbstractContextManager[None]]
CAPTURES = Path(__file__).parents[2] / "captures"
SOURCES = "linux-masquerade", "linux-masquerade-ipv6", "linux-port-forward", "linux-tuple-reuse", "linux-ftp-alg", "demo"
A, B, N = "192.168.1.10", "198.51.100.80", "203.0.113.7"


def observed(path: Path, frames: list[Frame], name: str) -> Port:
    return observe(Point(name, (write(path, frames),)), 64)[0]


def crossed(folder: Path, inside: list[Frame], outside: list[Frame]) -> Crossing:
    return cross(observed(folder / "inside.pcap", inside, "inside"), observed(folder / "outside.pcap", outside, "outside"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scenario=st.sampled_from(SOURCES), lost=st.sampled_from([0.0, 0.02, 0.2]), offset=st.sampled_from([0, 1_250_000_000, -10**13]),
       seed=st.integers(0, 1 << 32))  # fmt: skip
@example(scenario="linux-tuple-reuse", lost=0.2, offset=-(10**13), seed=3)
def test_frames_of_a_synthetic_nat(scenario: str, lost: float, offset: int, seed: int, tmp_path: Path, natively: Natively) -> None:
    """Never a wrong frame, unless it cannot be told from the right one; and nearly all right ones."""
    frames = [f for f in read(CAPTURES / scenario / "inside.pcap") if f.data[12:14] != b"\x08\x06"]
    start = frames[0].time_ns
    frames = [frame._replace(time_ns=start + (frame.time_ns - start) * 100) for frame in frames]
    sides = cross_nat(frames, Nat(lost=lost, offset_ns=offset), random.Random(seed))
    with natively():
        c = crossed(tmp_path, sides.inside, sides.outside)
    body = [f.data[34:] if f.data[12:14] == b"\x08\0" else f.data[54:] for f in frames]
    pairs = list(zip(c.frames.here.tolist(), c.frames.there.tolist(), c.frames.how.tolist(), strict=True))
    truth = [(sides.inside_numbers[h], sides.outside_numbers[t]) for h, t, how in pairs if how == How.SAME]
    assert not [(a, b) for a, b in truth if a != b and body[a][4:] != body[b][4:]]
    if not lost:
        assert all(a == b for a, b in truth)
        matched = {int(x) for x in c.matches.here}
        there = set(sides.outside_numbers)
        both = [r for r, n in enumerate(sides.inside_numbers) if int(c.here.conversation[r]) in matched and n in there]
        assert len(truth) == len(both)
        assert not len(c.lone_here)
        assert not len(c.lone_there)


def tcp(who: str, flags: int, seq: int, ack: int, payload: bytes = b"", ident: int = 0, port: int = 40000) -> bytes:
    """A segment of A or of the server (80), as it stands inside or, who N, outside."""
    src, dst, sport, dport = (B, who[1:], 80, port) if who[0] == ">" else (who, B, port, 80)
    head = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 5 << 4, flags, 64240, 0, 0)
    return ethernet(ip(src, dst, 6, head + payload, ttl=64 if src != N else 63, ident=ident))


def stream(n: int, seed: int = 7) -> bytes:
    return random.Random(seed).randbytes(n)


def conversation(host: str, shift: tuple[int, int] = (0, 0), data: bytes = stream(3000), cut: int = 1000, extra: int = 0,
                 port: int = 40000) -> list[bytes]:  # fmt: skip
    """A handshake, a stream from the client cut in pieces, answers, and the end. shift: of the client's and the server's numbers."""
    s, t = 1000 + shift[0], 5000 + shift[1]
    frames = [tcp(host, 2, s, 0, ident=1, port=port), tcp(">" + host, 18, t, s + 1, ident=1, port=port),
              tcp(host, 16, s + 1, t + 1, ident=2, port=port)]  # fmt: skip
    for k, at in enumerate(range(0, len(data), cut)):
        piece = data[at : at + cut]
        frames.append(tcp(host, 24, s + 1 + at + extra * (at > 0), t + 1, piece, ident=3 + k, port=port))
    end = s + 1 + len(data) + extra
    return [*frames, tcp(">" + host, 24, t + 1, end, stream(200, port), ident=2, port=port),
            tcp(host, 17, end, t + 201, ident=60, port=port),
            tcp(">" + host, 17, t + 201, end + 1, ident=3, port=port), tcp(host, 16, end + 1, t + 202, ident=61, port=port)]  # fmt: skip


def timed(frames: list[bytes], delay: int = 0) -> list[Frame]:
    return [Frame(START_NS + k * 10 * MS + delay, data) for k, data in enumerate(frames)]


def kinds(c: Crossing) -> dict[How, int]:
    return {How(k): n for k, n in sorted(Counter(c.frames.how.tolist()).items())}


def test_a_plain_nat(tmp_path: Path, mode: str) -> None:
    c = crossed(tmp_path, timed(conversation(A)), timed(conversation(N), MS))
    assert kinds(c) == {How.SAME: 10}
    assert c.frames.here.tolist() == c.frames.there.tolist() == list(range(10))
    assert set(c.frames.match.tolist()) == {0}


def test_numbers_shifted_from_the_start(tmp_path: Path, mode: str) -> None:
    """A box that randomises initial sequence numbers: both directions, each by its own distance."""
    inside, outside = [], []
    for port in (40000, 40001, 40002):
        data = stream(3000, port)
        inside += conversation(A, data=data, port=port)
        outside += conversation(N, (1 << 31 | port, -4711), data, port=port)
    c = crossed(tmp_path, timed(inside), timed(outside, MS))
    assert kinds(c) == {How.SHIFTED: 30}
    assert c.frames.here.tolist() == c.frames.there.tolist()
    assert not c.matches.ended.any()


def test_a_payload_that_grows(tmp_path: Path, mode: str) -> None:
    """A helper that puts a longer address into the first segment; later ones are shifted by what it added."""
    data = stream(3000)
    inside = timed(conversation(A, data=data))
    outside = conversation(N, data=data, extra=7)
    first = tcp(N, 24, 1001, 5001, b"PORT 20" + data[:1000], ident=3)
    outside[3] = first
    c = crossed(tmp_path, inside, timed(outside, MS))
    assert c.frames.here.tolist() == c.frames.there.tolist() == list(range(10))
    assert kinds(c) == {How.SAME: 3, How.SHIFTED: 6, How.CHANGED: 1}
    assert c.frames.how[3] == How.CHANGED


@pytest.mark.parametrize("turned", [False, True])
def test_segments_cut_by_offloading(turned: bool, tmp_path: Path, mode: str) -> None:
    data = stream(9000)
    large, small = timed(conversation(A, data=data, cut=4500)), timed(conversation(N, data=data, cut=1500), MS)
    if turned:
        large, small = timed(conversation(A, data=data, cut=1500)), timed(conversation(N, data=data, cut=4500), MS)
    c = crossed(tmp_path, large, small)
    assert kinds(c) == {How.SAME: 7, How.PART: 6}
    parts = c.frames.how == How.PART
    assert sorted(zip(c.frames.here[parts].tolist(), c.frames.there[parts].tolist(), strict=True)) == (
        [(3, 3), (4, 3), (5, 3), (6, 4), (7, 4), (8, 4)] if turned else [(3, 3), (3, 4), (3, 5), (4, 6), (4, 7), (4, 8)]
    )
    assert not len(c.lone_here)
    assert not len(c.lone_there)


def test_the_copy_that_was_lost(tmp_path: Path, mode: str) -> None:
    """A segment sent twice, of which the second came through: by identification, or by time where there is none."""
    for ident in (3, 0):
        inside = timed(conversation(A))
        again = Frame(inside[3].time_ns + 300 * MS, tcp(A, 24, 1001, 5001, stream(3000)[:1000], ident=ident + 40 * (ident > 0)))
        first = inside[3]._replace(data=tcp(A, 24, 1001, 5001, stream(3000)[:1000], ident=ident))
        inside = sorted([*inside[:3], first, *inside[4:], again], key=lambda f: f.time_ns)
        late = inside.index(again)
        outside = timed(conversation(N), MS)
        through = Frame(again.time_ns + MS, tcp(N, 24, 1001, 5001, stream(3000)[:1000], ident=ident + 40 * (ident > 0)))
        outside = sorted([*outside[:3], *outside[4:], through], key=lambda f: f.time_ns)
        c = crossed(tmp_path, inside, outside)
        assert c.lone_here.tolist() == [3]
        mates = dict(zip(c.frames.here.tolist(), c.frames.there.tolist(), strict=True))
        assert mates[late] == outside.index(through)


def test_frames_seen_twice_at_one_point(tmp_path: Path, mode: str) -> None:
    """A mirror port or a capture of all interfaces: each frame twice inside."""
    inside = [f for frame in timed(conversation(A)) for f in (frame, frame._replace(time_ns=frame.time_ns + 1000))]
    c = crossed(tmp_path, inside, timed(conversation(N), MS))
    assert kinds(c)[How.SAME] == 10
    assert kinds(c)[How.COPY] + len(c.lone_here) == 10
    assert kinds(c)[How.COPY] >= 9


def test_icmp_errors_are_frames_of_what_they_quote(tmp_path: Path) -> None:
    sides = [observe(Point(s, (str(CAPTURES / "linux-icmp-errors" / f"{s}.pcap"),)), 64)[0] for s in ("inside", "outside")]
    c = cross(*sides)
    errors = sides[0].packets.flags[c.frames.here] & int(Flag.QUOTE) != 0
    assert errors.sum() >= 4
    assert (sides[0].packets.icmp_type[c.frames.here[errors]] == sides[1].packets.icmp_type[c.frames.there[errors]]).all()


def test_hairpin_pairs_are_within_one_port(tmp_path: Path) -> None:
    sides = [observe(Point(s, (str(CAPTURES / "linux-hairpin" / f"{s}.pcap"),)), 64)[0] for s in ("inside", "outside")]
    c = cross(*sides)
    turned = c.matches.hairpin[c.frames.match] == 1
    assert turned.any()
    p = sides[0].packets
    assert (p.key[c.frames.here[turned]] == p.key[c.frames.there[turned]]).all()
    assert (c.frames.here[turned] != c.frames.there[turned]).all()
    assert not set(c.lone_here.tolist()) & set(c.frames.there[turned].tolist())
