"""Crossing a box: properties over real frames sent through a synthetic NAT, and captures that have nothing in common.

Two conversations are one if they hold frames of one conversation of the capture before it went through the NAT. A wrong
pair is never right; a conversation of which a telling frame is on both sides is always found.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from packet_script import HOSTS, MS, START_NS, Frame, ethernet, packet, read, script, write
from synthetic_nat import Nat, Sides, cross_nat, ends, headers, rewritten, with_noise

from pcapnat.flow import By, Crossing, Port, cross, fingerprint, observe
from pcapnat.flow import clock as clocks
from pcapnat.terms import Point, Reason
from pcapnat.wire import Flag

Natively = Callable[[], AbstractContextManager[None]]
CAPTURES = Path(__file__).parents[2] / "captures"
SOURCES = (
    "linux-masquerade",
    "linux-netmap",
    "linux-port-collisions",
    "linux-masquerade-ipv6",
    "linux-port-forward",
    "linux-tuple-reuse",
    "demo",
    "linux-icmp-errors",
)
HOUR = 3_600_000_000_000


@cache
def frames_of(scenario: str, side: str = "inside") -> list[Frame]:
    """The frames of a bundled capture, a hundred times as slow, so that a NAT's delay is short against any answer's.

    Without ICMP errors: their quotations would have to be translated too.
    """

    def error(data: bytes) -> bool:
        return (data[12:14] == b"\x08\0" and data[23] == 1 and data[34] in (3, 11)) or (
            data[12:14] == b"\x86\xdd" and data[20] == 58 and data[54] < 5
        )

    frames = read(CAPTURES / scenario / f"{side}.pcap")
    start = frames[0].time_ns
    return [frame._replace(time_ns=start + (frame.time_ns - start) * 100) for frame in frames if not error(frame.data)]


def observed(path: Path, frames: list[Frame], name: str = "point") -> Port:
    """What a point shows whose capture holds these frames."""
    return observe(Point(name, (write(path, frames),)), 64)[0]


class Result(NamedTuple):
    """A crossing against the truth. Pairs are (conversation here, conversation there)."""

    crossing: Crossing
    found: set[tuple[int, int]]
    wrong: set[tuple[int, int]]
    missed: set[tuple[int, int]]


def compared(folder: Path, frames: list[Frame], sides: Sides) -> Result:
    """Cross both sides and hold the result against what went in."""
    whole = observed(folder / "whole.pcap", frames)
    here, there = observed(folder / "inside.pcap", sides.inside, "inside"), observed(folder / "outside.pcap", sides.outside, "outside")
    crossing = cross(here, there)

    def rows(port: Port, numbers: list[int]) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
        """Per conversation the conversations it was, and the telling frames it has."""
        was: dict[int, set[int]] = {}
        telling: dict[int, set[int]] = {}
        tells = (port.packets.flags & int(Flag.KEY) != 0) & ((port.packets.payload_len >= 12) | (port.packets.tcp_flags & 2 != 0))
        for row, number in enumerate(numbers):
            c = int(port.conversation[row])
            if c >= 0:
                was.setdefault(c, set()).add(int(whole.conversation[number]) if number >= 0 else -1)
                if tells[row] and number >= 0:
                    telling.setdefault(c, set()).add(number)
        return was, telling

    was_here, telling_here = rows(here, sides.inside_numbers)
    was_there, telling_there = rows(there, sides.outside_numbers)
    plain = crossing.matches.hairpin == 0
    found = set(zip(crossing.matches.here[plain].tolist(), crossing.matches.there[plain].tolist(), strict=True))
    wrong = {(h, t) for h, t in found if not (was_here[h] & was_there[t]) - {-1}}
    of_number = {number: h for h, numbers in telling_here.items() for number in numbers}
    true = {(of_number[number], t) for t, numbers in telling_there.items() for number in numbers if number in of_number}
    return Result(crossing, found, wrong, true - found)


NATS = st.builds(
    Nat,
    source=st.booleans(),
    destination=st.booleans(),
    keep_ports=st.booleans(),
    lowers_ttl=st.booleans(),
    offset_ns=st.sampled_from([0, 1_250_000_000, 5 * HOUR, -7 * HOUR]),
    lost=st.sampled_from([0.0, 0.0, 0.02, 0.3]),
    dropped=st.sampled_from([0.0, 0.3]),
)


@settings(max_examples=70, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scenario=st.sampled_from(SOURCES), nat=NATS, seed=st.integers(0, 1 << 32), noise=st.booleans())
@example(scenario="linux-masquerade", nat=Nat(), seed=1, noise=False)
@example(scenario="linux-masquerade", nat=Nat(destination=True, offset_ns=5 * HOUR, dropped=0.3), seed=2, noise=True)
@example(scenario="linux-tuple-reuse", nat=Nat(keep_ports=True, offset_ns=-7 * HOUR, lost=0.3), seed=3, noise=True)
def test_a_synthetic_nat_is_seen_through(scenario: str, nat: Nat, seed: int, noise: bool, tmp_path: Path, natively: Natively) -> None:
    rng = random.Random(seed)
    frames = frames_of(scenario)
    sides = cross_nat(frames, nat, rng)
    if noise:
        sides = with_noise(
            sides,
            frames_of("linux-hairpin"),
            frames_of("linux-port-forward" if scenario != "linux-port-forward" else "demo", "outside"),
            rng,
        )
    with natively():
        result = compared(tmp_path, frames, sides)
    assert not result.wrong
    crossing = result.crossing
    if nat.lost:  # a lost SYN may put two conversations of one 5-tuple together on one side: then one of them must be found
        done_here, done_there = set(crossing.matches.here.tolist()), set(crossing.matches.there.tolist())
        # ... unless both ends are rewritten: then a frame or two left of a conversation are too little.
        assert (nat.source and nat.destination) or not {(h, t) for h, t in result.missed if h not in done_here and t not in done_there}
    else:
        assert not result.missed
    here, there = crossing.here, crossing.there
    assert crossing.unmatched_here.keys() | set(crossing.matches.here.tolist()) | set(
        crossing.matches.there[crossing.matches.hairpin == 1].tolist()
    ) == set(range(len(here.conversations)))
    assert crossing.unmatched_there.keys() | set(crossing.matches.there.tolist()) >= set(range(len(there.conversations)))
    gone = {int(here.conversation[row]) for row, number in enumerate(sides.inside_numbers) if number in sides.dropped} - {-1}
    kept = {int(here.conversation[row]) for row, number in enumerate(sides.inside_numbers) if number >= 0 and number not in sides.dropped}
    assert gone - kept <= crossing.unmatched_here.keys(), "what the box dropped has no counterpart, but a reason"
    if result.found and not nat.lost:
        clock = crossing.clock
        assert clock.offset_ns is not None
        error = abs(clock.offset_ns - nat.offset_ns)
        assert error <= (clock.uncertainty_ns if clock.uncertainty_ns is not None else nat.delay_ns[1])
        if nat.lowers_ttl and scenario != "demo":
            assert clock.uncertainty_ns is not None
            assert clock.uncertainty_ns <= nat.delay_ns[1]


@pytest.mark.parametrize("scenario", ["linux-masquerade", "linux-hairpin", "linux-mangle", "slirp-user-nat"])
def test_an_index_in_parts_says_the_same(scenario: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads share the work: candidates, clock, matches and pairs of frames are those of one."""
    here, there = (observe(Point(side, (str(CAPTURES / scenario / f"{side}.pcap"),)), 64)[0] for side in ("inside", "outside"))
    said = []
    for few, processors in ((1 << 20, 1), (0, 1), (0, 2), (0, 5)):
        monkeypatch.setattr(fingerprint, "FEW_ROWS", few)
        monkeypatch.setattr(fingerprint, "cores", lambda n=processors: n)
        found = cross(here, there)
        columns = [getattr(t, name).tolist() for t in (found.matches, found.frames) for name in t.columns]
        lone = found.lone_here.tolist(), found.lone_there.tolist()
        said.append((columns, lone, found.clock, found.unmatched_here, found.unmatched_there))
    assert said[0] == said[1] == said[2] == said[3]


@pytest.mark.parametrize("scenario", SOURCES)
def test_confidence_and_evidence(scenario: str, tmp_path: Path) -> None:
    frames = frames_of(scenario)
    result = compared(tmp_path, frames, cross_nat(frames, Nat(), random.Random(1)))
    m = result.crossing.matches
    assert ((m.confidence() > 0.8) & (m.confidence() < 1.0)).all()
    assert all(By(int(by)).names() for by in m.by)
    assert (m.outward[result.crossing.here.conversations.client()[m.here] == 0] >= 0).all(), "who asks is inside"


UNRELATED = [(one, other) for one in SOURCES for other in SOURCES if one != other]


def test_captures_that_have_nothing_in_common(tmp_path: Path, natively: Natively) -> None:
    with natively():
        for one, other in UNRELATED:
            here = observed(tmp_path / "here.pcap", frames_of(one))
            there = observed(tmp_path / "there.pcap", frames_of(other, "outside"))
            crossing = cross(here, there)
            plain = crossing.matches.hairpin == 0
            pairs = [
                (here.conversations.row(h), there.conversations.row(t), By(int(by)).names(), float(bits))
                for h, t, by, bits in zip(
                    crossing.matches.here[plain].tolist(),
                    crossing.matches.there[plain].tolist(),
                    crossing.matches.by[plain].tolist(),
                    crossing.matches.bits[plain].tolist(),
                    strict=True,
                )
            ]
            assert not pairs, (one, other)
            assert len(crossing.unmatched_there) == len(there.conversations)


def test_nothing_against_nothing(tmp_path: Path) -> None:
    some, none = observed(tmp_path / "some.pcap", script("A S 1 | B R 0 2")), observed(tmp_path / "none.pcap", [])
    for here, there in ((some, none), (none, some), (none, none)):
        crossing = cross(here, there)
        assert len(crossing.matches) == 0
        assert crossing.clock.offset_ns is None
        assert crossing.clock.notes
        assert crossing.unmatched_here.keys() == set(range(len(here.conversations)))


def test_a_capture_against_itself(tmp_path: Path) -> None:
    port = observed(tmp_path / "one.pcap", frames_of("linux-masquerade"))
    crossing = cross(port, port)
    assert (crossing.matches.here == crossing.matches.there).all()
    assert (crossing.matches.flip == 0).all()
    assert crossing.clock.offset_ns == 0
    assert (crossing.matches.outward == 0).all()


def test_seen_from_the_other_end(tmp_path: Path) -> None:
    frames = frames_of("linux-netmap")
    sides = cross_nat(frames, Nat(offset_ns=HOUR), random.Random(5))
    one, other = observed(tmp_path / "one.pcap", sides.inside), observed(tmp_path / "other.pcap", sides.outside)
    there_and_back = [cross(one, other), cross(other, one)]
    pairs = [sorted(zip(m.here.tolist(), m.there.tolist(), strict=True)) for m in (c.matches for c in there_and_back)]
    assert pairs[0] == sorted((b, a) for a, b in pairs[1])
    assert there_and_back[0].clock.offset_ns == pytest.approx(-(there_and_back[1].clock.offset_ns or 0), abs=1)


# --- what cannot be told apart ---

SERVER = ("198.51.100.80", 53)


def datagram(src: tuple[str, int], payload: bytes, time_ns: int, ident: int = 0, ttl: int = 64) -> Frame:
    """A UDP datagram to the server."""
    import dpkt
    from packet_script import ip

    body = dpkt.udp.UDP(sport=src[1], dport=SERVER[1], data=payload, ulen=8 + len(payload))
    return Frame(time_ns, ethernet(ip(src[0], SERVER[0], 17, body, ttl=ttl, ident=ident)))


def alike(clients: int, ident: Callable[[int], int], seed: int) -> tuple[list[Frame], list[Frame], dict[tuple[str, int], tuple[str, int]]]:
    """One equal datagram from each of many clients within a moment, through a NAT with random ports; and who became which."""
    rng = random.Random(seed)
    ports = rng.sample(range(1024, 65536), clients)
    inside, outside, truth = [], [], {}
    for i in range(clients):
        src, new = (f"10.0.{i // 200}.{i % 200 + 1}", 5060), ("203.0.113.7", ports[i])
        time = START_NS + i * 10_000
        inside.append(datagram(src, b"KEEPALIV", time, ident(i)))
        outside.append(datagram(new, b"KEEPALIV", time + rng.randrange(20_000, 400_000), ident(i), 63))
        truth[src] = new
    return inside, sorted(outside), truth


def wrong_pairs(here: Port, there: Port, truth: dict[tuple[str, int], tuple[str, int]]) -> tuple[int, int]:
    """How many pairs were claimed, and how many of them are wrong."""
    m = cross(here, there).matches
    a, b = here.conversations, there.conversations
    ours, theirs = a.addresses()[0], b.addresses()[0]
    pairs = [((ours[h], int(a.a_port[h])), (theirs[t], int(b.a_port[t]))) for h, t in zip(m.here.tolist(), m.there.tolist(), strict=True)]
    return len(pairs), sum(truth[one] != other for one, other in pairs)


@pytest.mark.parametrize("clients", [2, 3, 8, 9, 40, 2000])
def test_equal_datagrams_are_not_told_apart(clients: int, tmp_path: Path, natively: Natively) -> None:
    inside, outside, truth = alike(clients, lambda i: 0, clients)
    with natively():
        here, there = observed(tmp_path / "i.pcap", inside), observed(tmp_path / "o.pcap", outside)
        _, wrong = wrong_pairs(here, there, truth)
        crossing = cross(here, there)
    assert wrong == 0
    assert len(crossing.unmatched_here) == clients
    assert set(crossing.unmatched_here.values()) == {Reason.RIVALS if clients < 9 else Reason.NOTHING_KEPT}


def test_the_ip_identification_tells_them_apart(tmp_path: Path, natively: Natively) -> None:
    inside, outside, truth = alike(40, lambda i: 1000 + i, 3)
    with natively():
        found, wrong = wrong_pairs(observed(tmp_path / "i.pcap", inside), observed(tmp_path / "o.pcap", outside), truth)
    assert wrong == 0
    assert found == 40


@pytest.mark.parametrize("seed", range(4))
def test_some_of_many_equal_ones_are_lost(seed: int, tmp_path: Path, natively: Natively) -> None:
    # Half of the datagrams are missing outside, others inside: what is left single on a side need not be one.
    inside, outside, truth = alike(6, lambda i: 0, seed)
    rng = random.Random(seed)
    with natively():
        _, wrong = wrong_pairs(observed(tmp_path / "i.pcap", inside), observed(tmp_path / "o.pcap", rng.sample(outside, 3)), truth)
    assert wrong == 0


def test_equal_datagrams_with_other_identifications_are_others(tmp_path: Path) -> None:
    # Traceroute's probes hold the same bytes. One was lost outside, another inside: the two that are left are not one.
    probes = [datagram(("10.0.0.1", 40001 + i), b"@ABCDEFGHIJKLMNOPQRSTUVWXYZ", START_NS + i * MS, 500 + i) for i in range(2)]
    other = script("A S 100 | B SA 500 101 t63")
    seen = [datagram(("203.0.113.7", 9001 + i), b"@ABCDEFGHIJKLMNOPQRSTUVWXYZ", START_NS + i * MS + 30_000, 500 + i, 63) for i in range(2)]
    here, there = observed(tmp_path / "i.pcap", [probes[0], *other]), observed(tmp_path / "o.pcap", sorted([seen[1], *through(other)]))
    crossing = cross(here, there)
    assert crossing.matches.by.tolist() == [int(By.ISN | By.FAR_END)]
    assert list(crossing.unmatched_here) == [0]
    whole = cross(observed(tmp_path / "i.pcap", [*probes, *other]), observed(tmp_path / "o.pcap", sorted([*seen, *through(other)])))
    assert len(whole.matches) == 3


def test_a_box_that_rewrites_the_identification(tmp_path: Path) -> None:
    inside = [datagram((f"10.0.0.{i}", 5000), b"question %02d" % i, START_NS + i * MS, 100 + i) for i in range(1, 30)]
    outside = [datagram(("203.0.113.7", 6000 + i), b"question %02d" % i, START_NS + i * MS + 30_000, 7000 - i, 63) for i in range(1, 30)]
    crossing = cross(observed(tmp_path / "i.pcap", inside), observed(tmp_path / "o.pcap", outside))
    assert crossing.matches.here.tolist() == crossing.matches.there.tolist() == list(range(29))


def test_a_lone_payload_between_strangers_is_a_coincidence(tmp_path: Path) -> None:
    crossing = cross(
        observed(tmp_path / "i.pcap", script("C:5 udp keep-alive | A S 100 | B SA 500 101 t63")),
        observed(tmp_path / "o.pcap", script("N:6>D udp keep-alive | N:7>B S 100 t63 | B>N:7 SA 500 101")),
    )
    assert crossing.matches.here.tolist() == [1]
    assert crossing.unmatched_here == {0: Reason.FEW}


def test_a_lone_datagram_with_few_bytes_is_no_proof(tmp_path: Path) -> None:
    here = observed(tmp_path / "i.pcap", [datagram(("10.0.0.1", 5000), b"\0", START_NS)])
    there = observed(tmp_path / "o.pcap", [datagram(("203.0.113.7", 6000), b"\0", START_NS + MS)])
    crossing = cross(here, there)
    assert len(crossing.matches) == 0
    assert list(crossing.unmatched_here.values()) == [Reason.FEW]


REASONS = {
    "group": ("A>M udp x20", "A udp x30", Reason.GROUP),
    "link-local": ("A>L udp x20", "A udp x30", Reason.LINK_LOCAL),
    "before": ("A udp x20 | +60000 B udp x21", "+60000 A udp x30", None),
    "nothing kept": ("A udp", "A udp x30", Reason.NOTHING_KEPT),
    "absent": ("A udp x20", "A:5 udp x30", Reason.ABSENT),
}


@pytest.mark.parametrize("name", REASONS)
def test_reasons(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HOSTS, "M", ("224.0.0.251", 5353))
    monkeypatch.setitem(HOSTS, "L", ("169.254.3.4", 5353))
    inside, outside, reason = REASONS[name]
    crossing = cross(observed(tmp_path / "i.pcap", script(inside)), observed(tmp_path / "o.pcap", script(outside)))
    if reason is not None:
        assert list(crossing.unmatched_here.values()) == [reason]


def test_before_and_after(tmp_path: Path) -> None:
    # The outside capture holds the middle of the inside one; an hour between the clocks.
    text = "A:1 udp x20 | +5000 A:2 udp query-one-of-them | B>A:2 udp answer-one-of-them | +5000 A:3 udp x22"
    inside = script(text)
    outside = [Frame(f.time_ns + HOUR + MS * (1 if i == 0 else -1), f.data) for i, f in enumerate(inside[1:3])]
    outside = [Frame(f.time_ns, rewritten(f.data, *_moved(f.data), -1 if i == 0 else 1)) for i, f in enumerate(outside)]
    crossing = cross(observed(tmp_path / "i.pcap", inside), observed(tmp_path / "o.pcap", outside))
    assert crossing.matches.here.tolist() == [1]
    assert crossing.unmatched_here == {0: Reason.BEFORE, 2: Reason.AFTER}
    assert crossing.clock.offset_ns == pytest.approx(HOUR, abs=2 * MS)


def _moved(data: bytes) -> tuple[tuple[bytes, int], tuple[bytes, int]]:
    """The frame's ends with the inside host's as a NAT would have it."""
    found = ends(data)
    assert found
    inside, new = bytes([192, 168, 1, 10]), (bytes([203, 0, 113, 7]), 7777)
    _, src, dst = found
    return (new if src[0] == inside else src), (new if dst[0] == inside else dst)


def through(frames: list[Frame], port: int = 7777, ttl: int = -1, delay: int = MS) -> list[Frame]:
    """Frames from A (and back to it) as seen behind a NAT that gives A one port."""
    out = []
    for frame in frames:
        src, dst = _moved(frame.data)
        away = src[0][:1] == b"\xcb"
        src, dst = ((src[0], port), dst) if away else (src, (dst[0], port))
        out.append(Frame(frame.time_ns + (delay if away else -delay), rewritten(frame.data, src, dst, ttl if away else -ttl)))
    return sorted(out)


def test_a_mapping_that_was_made_anew(tmp_path: Path) -> None:
    # The box forgot the mapping: one conversation inside, two outside, one after the other.
    inside = script(
        "A udp first-question-of-all | B udp first-answer-of-all | +200000 A udp second-question-of-all | B udp second-answer-of-all"
    )
    outside = through(inside[:2], 5555) + through(inside[2:], 6666)
    crossing = cross(observed(tmp_path / "i.pcap", inside), observed(tmp_path / "o.pcap", outside))
    assert list(zip(crossing.matches.here.tolist(), crossing.matches.there.tolist(), strict=True)) == [(0, 0), (0, 1)]


def test_two_that_fit_equally_well_are_rivals(tmp_path: Path) -> None:
    inside = script("A udp the-one-and-only-question")
    outside = sorted(through(inside, 5555) + through(inside, 6666, delay=2 * MS))
    crossing = cross(observed(tmp_path / "i.pcap", inside), observed(tmp_path / "o.pcap", outside))
    assert len(crossing.matches) == 0
    assert set(crossing.unmatched_here.values()) | set(crossing.unmatched_there.values()) == {Reason.RIVALS}


def test_hairpin(tmp_path: Path) -> None:
    # A asks for the outside address; the box sends it on to C in its own name, through the port it came in by.
    asked, forwarded = script("A S 12345"), script("R:40000>C:80 S 12345")
    answer, back = script("C:80>R:40000 SA 777 12346"), script("B>A SA 777 12346")
    copy = [Frame(f.time_ns + 30_000, f.data[:22] + bytes([f.data[22] - 1]) + f.data[23:]) for f in forwarded]
    copy_back = [Frame(f.time_ns + 2 * MS + 30_000, f.data[:22] + bytes([f.data[22] - 1]) + f.data[23:]) for f in back]
    frames = [*asked, *copy, *(Frame(f.time_ns + 2 * MS, f.data) for f in answer), *copy_back]
    crossing = cross(observed(tmp_path / "i.pcap", frames), observed(tmp_path / "o.pcap", script("A:9 udp something-else")))
    assert crossing.matches.hairpin.tolist() == [1]
    assert (crossing.matches.here.tolist(), crossing.matches.there.tolist()) == ([0], [1])
    assert crossing.matches.outward.tolist() == [1]
    assert crossing.unmatched_here == {}


def test_different_snaplens_agree(tmp_path: Path) -> None:
    from pcapnat import analyze

    frames = [f for f in frames_of("linux-netmap") if len(f.data) == f.wire]
    sides = cross_nat(frames, Nat(), random.Random(9))
    whole = [write(tmp_path / "i.pcap", sides.inside), write(tmp_path / "o.pcap", sides.outside)]
    cut = [whole[0], write(tmp_path / "cut.pcap", sides.outside, snaplen=110)]
    counts = [len(analyze([Point("in", (one,)), Point("out", (other,))]).boxes[0].translations) for one, other in (whole, cut)]
    assert counts[0] == counts[1] > 40


# --- the clock by itself ---

START = 1_000
CLOCKS = [
    ([], (None, 0, None, 0)),
    ([(0, 110, 1), (200, 290, -1)], (100, 0, 10, 2)),
    ([(0, 110, 1), (0, 150, 1), (200, 290, -1), (200, 250, -1)], (100, 0, 10, 4)),
    ([(0, 100, 1), (0, 100, -1)], (100, 0, 0, 2)),
    ([(0, -50, 1), (0, -70, -1), (0, 5000, 0)], (-60, 0, 10, 3)),
    ([(0, 110, 1), (0, 112, 1), (0, 300, 1)], (112, 0, None, 3)),
    ([(0, 110, 0)], (110, 0, None, 1)),
]


@pytest.mark.parametrize(("rows", "want"), CLOCKS)
def test_clock(rows: list[tuple[int, int, int]], want: tuple[int | None, int, int | None, int]) -> None:
    here, there, outward = (np.array(column, np.int64) for column in (zip(*rows, strict=True) if rows else ((), (), ())))
    clock = clocks.compare(here, there, outward, START)
    assert (clock.offset_ns, clock.drift_ppb, clock.uncertainty_ns, clock.support) == want
    assert bool(clock.notes) == (clock.uncertainty_ns is None)


@given(offset=st.integers(-(10**16), 10**16), ppb=st.integers(-500_000, 500_000), seed=st.integers(0, 1 << 32), n=st.integers(20, 200))
@settings(max_examples=60, deadline=None)
def test_offset_and_drift_are_found_within_the_uncertainty(offset: int, ppb: int, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    here = START_NS + np.sort(rng.integers(0, 600 * 10**9, n))
    outward = np.where(np.arange(n) % 2 == 0, 1, -1)
    there = here + offset + ((here - START_NS) * (ppb / 1e9)).astype(np.int64) + outward * rng.integers(50_000, 2_000_000, n)
    clock = clocks.compare(here, there, outward, START_NS)
    assert clock.offset_ns is not None
    assert clock.uncertainty_ns is not None
    # The uncertainty is of the line: at the start and at the end of the capture.
    slack = 1_000_000 if ppb == 0 else 2_000_000
    assert abs(clock.offset_ns - offset) <= clock.uncertainty_ns + slack
    assert abs(clock.drift_ppb - ppb) * 600 <= 2 * (clock.uncertainty_ns + slack)


def test_a_clock_that_was_set_says_so() -> None:
    n = 100
    here = START_NS + np.arange(n) * 10**9
    outward = np.where(np.arange(n) % 2 == 0, 1, -1)
    there = here + np.where(np.arange(n) < n // 2, 0, 5 * 10**9) + outward * 1000
    clock = clocks.compare(here, there, outward, START_NS)
    assert clock.notes
    assert clock.uncertainty_ns is not None
    assert clock.uncertainty_ns >= 2 * 10**9


STEPS = st.lists(st.tuples(st.integers(1, 11), st.integers(-(10**13), 10**13)), min_size=1, max_size=3, unique_by=lambda x: x[0])


@given(steps=STEPS, ppb=st.sampled_from([0, 40_000]), seed=st.integers(0, 1 << 32))
@settings(max_examples=60, deadline=None)
def test_steps_are_found(steps: list[tuple[int, int]], ppb: int, seed: int) -> None:
    steps = [(at * 40 + seed % 7, size if abs(size) > 2 * 10**8 else 2 * 10**8) for at, size in steps]
    rng = np.random.default_rng(seed)
    n = 500
    here = START_NS + np.sort(rng.integers(0, 600 * 10**9, n))
    outward = np.where(np.arange(n) % 2 == 0, 1, -1)
    there = here + 7 + ((here - START_NS) * (ppb / 1e9)).astype(np.int64) + outward * rng.integers(50_000, 2_000_000, n)
    for at, size in steps:
        there[at:] += size
    clock, found = clocks.stepped(clocks.Travel(here, there, outward, np.arange(n), np.arange(n)), START_NS)
    assert [s.row for s in found] == sorted(at for at, _ in steps)
    for step, (_, size) in zip(found, sorted(steps), strict=True):
        assert abs(step.step_ns - size) < 5 * MS
    assert (clock.uncertainty_ns or 0) < 5 * MS


def test_a_capture_whose_clock_was_set(tmp_path: Path) -> None:
    frames = frames_of("linux-masquerade")
    sides = cross_nat(frames, Nat(offset_ns=HOUR), random.Random(5))
    half = len(sides.outside) // 2
    late = [f._replace(time_ns=f.time_ns - 3 * HOUR) for f in sides.outside[half:]]
    result = compared(tmp_path, frames, Sides(sides.inside, sides.outside[:half] + late, sides.inside_numbers, sides.outside_numbers))
    assert not result.wrong
    assert not result.missed
    assert not len(result.crossing.lone_here)
    assert any(f"from frame {half + 1} at outside on, its clock is 10800.0" in note for note in result.crossing.clock.notes)
    assert abs((result.crossing.clock.offset_ns or 0) - HOUR) < MS


def test_headers_of_what_the_synthetic_nat_leaves_alone() -> None:
    assert headers(ethernet(packet("A gre x8"))) is None
    assert ends(ethernet(packet("A>B ping 7 1"))) == (1, (bytes([192, 168, 1, 10]), 7), (bytes([198, 51, 100, 80]), 7))
