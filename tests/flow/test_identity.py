"""Packet ids: right ones confirm what is found without them and find what cannot be found otherwise; wrong ones change nothing.

The traces are made of bundled pairs (made_windows.py): which frame is which is told by the NAT's own account.
"""

from __future__ import annotations

import random
import struct
import tomllib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_windows import CAPTURES, Snapshot, again, converted, logged, snapshots
from packet_script import MS, Frame, ethernet, packet

from pcapnat.flow import By, Crossing, cross, identity, observe
from pcapnat.flow.identity import Identity
from pcapnat.terms import Point, Reason

Natively = Callable[[], AbstractContextManager[None]]
SCENARIOS = sorted(folder.name for folder in CAPTURES.iterdir() if (folder / "expected.json").exists() and "offload" not in folder.name)
"""Not where a frame is several at the other point: it has no identifier of its own there."""
COMPONENTS = ((12, "vmswitch.sys", "web 1", 5), (7, "nic.sys", "Intel(R) X710", 2))


def crossing(folder: Path, rows: list[Snapshot], **more: Any) -> Crossing:
    """What is found between the two places of one file."""
    path = folder / "trace.pcapng"
    path.write_bytes(converted(rows, **more))
    return cross(*(observe(Point(name, (str(path),), place), 64)[0] for name, place in (("in", "0"), ("out", "1"))))


def pairs(c: Crossing) -> set[tuple[int, int]]:
    """Which conversation is which."""
    plain = c.matches.hairpin == 0
    return set(zip(c.matches.here[plain].tolist(), c.matches.there[plain].tolist(), strict=True))


def numbered(rows: list[Snapshot], number: Callable[[Snapshot], int]) -> list[Snapshot]:
    """The same frames with other identifiers."""
    return [replace(s, id=number(s)) for s in rows]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_right_ids_confirm_everything(scenario: str, tmp_path: Path, mode: str) -> None:
    """The same matches as without, each that the NAT reported now by its ids too; nothing is contradicted."""
    rows, both = snapshots(scenario)
    with_ids, without = crossing(tmp_path, rows), crossing(tmp_path, numbered(rows, lambda s: 0))
    assert without.identity is None
    assert pairs(with_ids) == pairs(without)
    assert with_ids.identity is not None
    by_id = int((with_ids.matches.by & int(By.PACKET_ID) != 0).sum())
    if not both:  # a box that makes packets of its own
        assert (with_ids.identity, by_id) == (Identity(), 0)
        return
    assert with_ids.identity.alike + with_ids.identity.fitting == both
    assert replace(with_ids.identity, alike=0, fitting=0) == Identity(0, 0, 0, both, True, by_id, 0, 0)
    beyond = tomllib.loads((CAPTURES / scenario / "about.toml").read_text(encoding="utf-8")).get("beyond", 0)
    assert by_id == int((with_ids.matches.hairpin == 0).sum()) - beyond  # of which the truth says nothing, and which so have no ids
    assert (with_ids.matches.confidence()[with_ids.matches.hairpin == 0] > 0.999).all()
    assert with_ids.clock.offset_ns == without.clock.offset_ns
    assert with_ids.unmatched_here == without.unmatched_here
    assert with_ids.unmatched_there == without.unmatched_there
    assert with_ids.identity.says() == [
        f"packet ids ({both:,} frames with the same one at both points) confirm {by_id} of {by_id} matched conversations"
    ]


@pytest.mark.parametrize("scenario", ["demo", "linux-netmap", "linux-masquerade-ipv6"])
def test_a_trace_log_says_the_same(scenario: str, tmp_path: Path) -> None:
    """pktmon's own file, chosen by components, as the pcapng made of it."""
    rows, both = snapshots(scenario)
    rows = [replace(s, frame=s.frame._replace(time_ns=s.frame.time_ns // 100 * 100)) for s in rows]  # its clock's tick
    path = tmp_path / "trace.etl"
    path.write_bytes(logged(rows, COMPONENTS))
    mine = cross(*(observe(Point(name, (str(path),), place), 64)[0] for name, place in (("in", "component 12"), ("out", "intel miniport"))))
    other = crossing(tmp_path, rows)
    assert pairs(mine) == pairs(other)
    assert mine.identity == other.identity
    assert mine.identity is not None
    assert mine.identity.frames == both
    for port in (mine.here, mine.there):
        assert (port.packets.direction == 1).all()
    assert len(mine.here.facts) + len(mine.there.facts) == len(rows)
    assert mine.here.facts.component.tolist() == [12] * len(mine.here.facts)


@pytest.mark.parametrize("scenario", ["demo", "linux-masquerade", "linux-port-collisions"])
@pytest.mark.parametrize("kind", ["shuffled", "each place counts", "each place from 1", "one for all", "few", "random"])
def test_wrong_ids_change_nothing(scenario: str, kind: str, tmp_path: Path) -> None:
    """Ids that are no identities: not used, and said so; the matches are those without ids."""
    rows, _ = snapshots(scenario)
    chance = random.Random(kind)
    ids = [s.id for s in rows]
    chance.shuffle(ids)
    count = [0, 0]

    def counted(s: Snapshot) -> int:
        count[s.place] += 1
        return count[s.place] if kind == "each place from 1" else count[s.place] * 2 + s.place

    shuffled = iter(ids)
    number: dict[str, Callable[[Snapshot], int]] = {
        "shuffled": lambda s: next(shuffled),
        "each place counts": counted,
        "each place from 1": counted,
        "one for all": lambda s: 7,
        "few": lambda s: s.id % 5 + 1,
        "random": lambda s: chance.randrange(1, 1 << 62),
    }
    wrong, without = crossing(tmp_path, numbered(rows, number[kind])), crossing(tmp_path, numbered(rows, lambda s: 0))
    assert pairs(wrong) == pairs(without)
    assert wrong.identity is not None
    assert wrong.identity.denied == wrong.identity.only == 0
    if kind in ("shuffled", "each place from 1"):
        assert not wrong.identity.believed
        assert wrong.identity.says()[0].startswith("packet ids are not used: ")
    if kind in ("each place counts", "random"):
        assert wrong.identity.says() == ["packets are numbered, but no packet has one number at both points: each place counts by itself"]


def test_ids_of_packets_that_contradict_each_other(tmp_path: Path, mode: str) -> None:
    """A few ids on packets that cannot be the same are counted and not believed; the others are."""
    rows, both = snapshots("linux-masquerade")
    later: dict[int, int] = {}
    inside = [s for s in rows if s.place == 0 and s.frame.data[23] == 6]
    outside = [s for s in rows if s.place == 1 and s.frame.data[23] == 17]
    for i, (one, other) in enumerate(zip(inside[:40:8], outside[:40:8], strict=True)):
        later |= {id(one): 1_000_000 + i, id(other): 1_000_000 + i}
    c = crossing(tmp_path, numbered(rows, lambda s: later.get(id(s), s.id)))
    right = crossing(tmp_path, rows)
    assert pairs(c) == pairs(right)
    assert c.identity is not None
    assert c.identity.believed
    assert c.identity.unlike == 5
    assert both - 10 <= c.identity.frames < both
    assert c.identity.says()[-1] == "5 packet ids of packets that cannot be the same: not believed"


def test_copies_at_two_edges(tmp_path: Path) -> None:
    """A component that shows every packet twice: still one packet."""
    rows, both = snapshots("demo")
    twice = sorted([*rows, *again(rows, 2_000)], key=lambda s: s.frame.time_ns)
    c = crossing(tmp_path, twice)
    assert c.identity == Identity(both, 0, 0, both, True, 21, 0, 0)


def test_ids_that_begin_again(tmp_path: Path) -> None:
    """The same numbers for other packets, half an hour later: they are paired by what they hold."""
    rows, both = snapshots("demo")
    other, more = snapshots("linux-netmap")
    shift = rows[-1].frame.time_ns + 1800 * 1_000_000_000 - other[0].frame.time_ns
    c = crossing(tmp_path, [*rows, *again(other, shift)])
    assert c.identity is not None
    assert c.identity.believed
    assert (c.identity.frames, c.identity.denied) == (both + more, 0)


def exchange(number: int, inside: str, outside: str, change: int = 0, at: int = 0, gap: int = 1) -> list[Snapshot]:
    """Packets of one conversation at both places, a few microseconds apart; `change` is added to the sequence numbers outside."""
    out = []
    for i, (one, other) in enumerate(zip(inside.split("|"), outside.split("|"), strict=True)):
        frames = [bytearray(ethernet(packet(text.strip()))) for text in (one, other)]
        if change:
            for offset in (38, 42):
                old = struct.unpack_from("!I", frames[1], offset)[0]
                struct.pack_into("!I", frames[1], offset, (old + change) % 2**32 if old else 0)
        for place in (0, 1):
            time = 1_700_000_000_000_000_000 + (at + i * gap) * MS + place * 20_000
            out.append(Snapshot(Frame(time, bytes(frames[place])), place, number * 100 + i + 1))
    return out


TCP = "A S 1000|B SA 5000 1001|A . 1001 5001|A P 1001 5001 x40|B . 5001 1041"
OUT = "N:7000>B S 1000|B>N:7000 SA 5000 1001|N:7000>B . 1001 5001|N:7000>B P 1001 5001 x40|B>N:7000 . 5001 1041"


def test_what_only_ids_can_match(tmp_path: Path, mode: str) -> None:
    """A box that moves sequence numbers leaves nothing to recognise but the ids."""
    rows = exchange(1, TCP.replace("x40", ""), OUT.replace("x40", ""), change=123_456_789)
    without, with_ids = crossing(tmp_path, numbered(rows, lambda s: 0)), crossing(tmp_path, rows)
    assert pairs(without) == set()
    assert pairs(with_ids) == {(0, 0)}
    assert with_ids.identity == Identity(alike=0, fitting=5, unlike=0, frames=5, believed=True, confirmed=0, denied=0, only=1)
    assert By(int(with_ids.matches.by[0])).names() == ["far-endpoint", "packet-id"]
    assert with_ids.identity.says()[-1] == "1 conversation matched by packet ids alone"
    assert with_ids.unmatched_here == {}


def test_ids_decide_between_equals(tmp_path: Path) -> None:
    """Two hosts that say the same at the same time: undecided without ids, clear with them."""
    rows = exchange(1, "A udp hello-hello|B udp answer-answer", "N:7000>B udp hello-hello|B>N:7000 udp answer-answer")
    rows += exchange(2, "C udp hello-hello|B>C udp answer-answer", "N:8000>B udp hello-hello|B>N:8000 udp answer-answer")
    rows.sort(key=lambda s: s.frame.time_ns)
    without, with_ids = crossing(tmp_path, numbered(rows, lambda s: 0)), crossing(tmp_path, rows)
    assert set(without.unmatched_here.values()) == {Reason.RIVALS}
    assert pairs(with_ids) == {(0, 0), (1, 1)}
    assert with_ids.identity is not None
    assert (with_ids.identity.only, with_ids.identity.denied) == (2, 0)


def test_ids_that_deny_a_match(tmp_path: Path) -> None:
    """What looks alike and has other ids is another packet: the ids are followed, and it is said."""
    here, there = "A udp hello-hello-hello|B udp answer-answer", "N:7000>B udp hello-hello-hello|B>N:7000 udp answer-answer"
    first = exchange(1, here, there)
    # A copy of the conversation from elsewhere comes out first; the true one comes out as another tuple with another payload.
    rows = [s for s in first if s.place == 0] + numbered([s for s in first if s.place == 1], lambda s: s.id + 5000)
    other = exchange(1, here, "N:9000>B udp HELLO-HELLO-HELLO|B>N:9000 udp ANSWER-ANSWER")
    rows += [s for s in other if s.place == 1]
    rows.sort(key=lambda s: s.frame.time_ns)
    without, with_ids = crossing(tmp_path, numbered(rows, lambda s: 0)), crossing(tmp_path, rows)
    assert len(pairs(without)) == len(pairs(with_ids)) == 1
    assert pairs(without) != pairs(with_ids)
    assert with_ids.identity is not None
    assert (with_ids.identity.confirmed, with_ids.identity.denied, with_ids.identity.only) == (0, 1, 1)
    assert "packet ids contradict 1 of 1 matches that were made without them; the ids were followed" in with_ids.identity.says()


def test_far_apart_in_time_is_not_the_same(tmp_path: Path) -> None:
    """One id on packets that fit but for an hour between them: counters that began again."""
    rows = exchange(1, TCP.replace("x40", ""), OUT.replace("x40", ""), change=99_999)
    c = crossing(tmp_path, [s for s in rows if s.place == 0] + again([s for s in rows if s.place == 1], 3600 * 1_000_000_000))
    assert pairs(c) == set()
    assert c.identity is not None
    assert c.identity.frames == 0
    assert "tell nothing" in c.identity.says()[0]


def test_two_files(tmp_path: Path) -> None:
    """Ids in two files: believed if what they pair is the same in many different packets, not if files are strangers."""

    def found(inside: list[Snapshot], outside: list[Snapshot]) -> Crossing:
        ports = []
        for name, rows in (("in", inside), ("out", outside)):
            path = tmp_path / f"{name}.pcapng"
            path.write_bytes(converted(rows))
            ports.append(observe(Point(name, (str(path),)), 64)[0])
        return cross(*ports)

    rows, both = snapshots("linux-netmap")
    other, _ = snapshots("linux-masquerade")
    ours = found([s for s in rows if s.place == 0], [s for s in rows if s.place == 1])
    assert ours.identity == Identity(both, 0, 0, both, True, 59, 0, 0)
    strangers = found([s for s in rows if s.place == 0], [s for s in other if s.place == 1])
    assert pairs(strangers) == set()
    assert strangers.identity is not None
    assert not strangers.identity.believed
    # Few packets that happen to fit do not make one system of two.
    few = exchange(1, "A udp same|B udp same", "N:1>B udp same|B>N:1 udp same")
    alone = found([s for s in few if s.place == 0], [s for s in few if s.place == 1])
    assert alone.identity is not None
    assert not alone.identity.believed


def test_segments_of_one_large_send(tmp_path: Path) -> None:
    """A segment of 64 KB here that becomes small ones there has one id: the first begins where it begins."""
    rows = exchange(1, TCP, OUT)
    big = exchange(2, "A P 1041 5001 x4000", "N:7000>B P 1041 5001 x1000", at=20)
    more = exchange(2, "A P 2041 5001 x1000", "N:7000>B P 2041 5001 x1000", at=20)
    c = crossing(tmp_path, rows + big + [s for s in more if s.place == 1])
    assert c.identity is not None
    assert (c.identity.alike, c.identity.unlike, c.identity.frames) == (6, 0, 6)


def test_ids_are_found_for_the_price_of_a_sort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs are bounded by the packets, however often a file repeats an id."""
    rows, _ = snapshots("linux-masquerade")
    made: list[int] = []
    candidates = identity._candidates

    def watched(here: Any, there: Any, one: Any, other: Any) -> Any:
        made.append(len(one.id))
        return candidates(here, there, one, other)

    monkeypatch.setattr(identity, "_candidates", watched)
    for most in (1, 3, 50):
        crossing(tmp_path, numbered(rows, lambda s, most=most: s.id % most + 1))  # type: ignore[misc]
    assert all(n <= 2 * len(rows) for n in made)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 350), st.integers(0, 40)), max_size=60))
def test_any_ids(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    """Some ids changed to anything: every match that the ids do not speak of is the one without ids, and none is made twice."""
    rows, _ = snapshots("demo")
    for at, number in changes:
        rows[at] = replace(rows[at], id=number)
    c = crossing(tmp_path, rows)
    here, there = c.matches.here.tolist(), c.matches.there.tolist()
    assert len(set(here)) == len(here) == len(set(there)) == 21
    assert c.identity is not None
    assert c.identity.denied == 0


@pytest.mark.parametrize("scenario", ["demo", "linux-tuple-reuse"])
def test_plain_and_native_agree(scenario: str, tmp_path: Path, natively: Natively) -> None:
    rows, _ = snapshots(scenario)
    plain = crossing(tmp_path, rows, order=">")
    with natively():
        native = crossing(tmp_path, rows)
    for name in plain.matches.columns:
        assert np.array_equal(getattr(plain.matches, name), getattr(native.matches, name))
    assert plain.identity == native.identity
    for name in plain.here.facts.columns:
        assert np.array_equal(getattr(plain.here.facts, name), getattr(native.here.facts, name))
