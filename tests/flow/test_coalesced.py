"""UDP datagrams that one side shows several at once: a real capture, and a property over made ones."""
from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from packet_script import MS, START_NS, Frame, ethernet, ip, write

from pcapnat.flow import Crossing, How, cross, observe
from pcapnat.terms import Point

OFFLOAD = Path(__file__).parents[2] / "captures" / "linux-udp-offload"
A, B, N = "192.168.1.10", "198.51.100.80", "203.0.113.7"


def points(*files: Path | str) -> Crossing:
    here, there = (observe(Point(name, (str(file),)), 64)[0] for name, file in zip(("one", "other"), files, strict=True))
    return cross(here, there)


@pytest.mark.parametrize("order", [("inside", "outside"), ("outside", "inside")])
def test_a_real_sender_of_many_at_once(order: tuple[str, str], mode: str) -> None:
    """The kernel counts identifications up within a run, so they tell the truth; every byte is accounted for."""
    c = points(*(OFFLOAD / f"{name}.pcap" for name in order))
    assert not len(c.lone_here)
    assert not len(c.lone_there)
    large, small = (c.here, c.there) if order[0] == "inside" else (c.there, c.here)
    cut = c.frames.how == How.PART
    rows = (c.frames.here[cut], c.frames.there[cut]) if order[0] == "inside" else (c.frames.there[cut], c.frames.here[cut])
    assert len(rows[0]) == 187
    place = (small.packets.ip_id[rows[1]].astype(int) - large.packets.ip_id[rows[0]]) & 0xFFFF
    for row in np.unique(rows[0]):
        mine = rows[0] == row
        assert sorted(place[mine]) == list(range(mine.sum()))
        assert small.packets.payload_len[rows[1][mine]].sum() == large.packets.payload_len[row]


def udp(src: str, payload: bytes, ident: int, port: int) -> bytes:
    head = struct.pack("!HHHH", port, 4433, 8 + len(payload), 0)
    return ethernet(ip(src, B, 17, head + payload, ttl=64 if src == A else 63, ident=ident))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    runs=st.lists(st.tuples(st.integers(1, 12), st.integers(0, 900), st.integers(0, 2)), min_size=1, max_size=12),
    lost=st.sampled_from([0.0, 0.0, 0.1]),
    kept=st.booleans(),
    turned=st.booleans(),
    seed=st.integers(0, 1 << 20),
)
@example(runs=[(3, 0, 1), (3, 0, 1), (1, 10, 0)], lost=0.0, kept=False, turned=False, seed=1)
@example(runs=[(12, 77, 2)] * 12, lost=0.1, kept=True, turned=True, seed=2)
def test_made_runs(runs: list[tuple[int, int, int]], lost: float, kept: bool, turned: bool, seed: int, tmp_path: Path) -> None:
    """Runs of 1200 bytes with a shorter last one, single datagrams between: with nothing lost all are found; never a wrong pair
    where identifications are kept, and with none lost never at all."""
    rng = random.Random(seed)
    inside: list[Frame] = []
    outside: list[Frame] = []
    truth: set[tuple[int, int]] = set()
    time, ident = START_NS, rng.randrange(1 << 16)
    for full, rest, singles in [(0, 0, 12), *runs]:  # a few whole ones first: the conversations match by them
        pieces = [rng.randbytes(1200) for _ in range(full)] + ([rng.randbytes(rest)] if rest and full else [])
        for group in ([pieces] if pieces else []) + [[rng.randbytes(300 + k)] for k in range(singles)]:
            time += 5 * MS
            row = len(inside)
            inside.append(Frame(time, udp(A, b"".join(group), ident & 0xFFFF, 5000)))
            for k, piece in enumerate(group):
                if full and rng.random() < lost:
                    continue
                truth.add((row, len(outside)))
                name = ident + k if kept else rng.randrange(1 << 16)
                outside.append(Frame(time + MS + k * 2000, udp(N, piece, name & 0xFFFF, 6000)))
            ident += len(group)
    files = write(tmp_path / "inside.pcap", inside), write(tmp_path / "outside.pcap", outside)
    c = points(*(files[::-1] if turned else files))
    a, b = (c.frames.there, c.frames.here) if turned else (c.frames.here, c.frames.there)
    found = set(zip(a.tolist(), b.tolist(), strict=True))
    if kept or not lost:
        assert found <= truth
    if not lost:
        assert found == truth
        assert not len(c.lone_here)
        assert not len(c.lone_there)


def test_a_shorter_datagram_that_begins_alike_is_no_part(tmp_path: Path) -> None:
    """Messages with one beginning and different lengths: what is left of one is not a piece of another that was lost."""
    same = bytes(range(200))
    rng = random.Random(4)
    whole = [rng.randbytes(200 + k) for k in range(6)]
    inside = [*whole, same + bytes(700)]
    outside = [*whole, same + bytes(300)]
    files = (write(tmp_path / f"{name}.pcap", [Frame(START_NS + k * 10 * MS + late, udp(src, data, 0, port))
                                               for k, data in enumerate(frames)])
             for name, frames, src, port, late in (("a", inside, A, 5000, 0), ("b", outside, N, 6000, MS)))  # fmt: skip
    c = points(*files)
    assert c.frames.how.tolist() == [How.SAME] * 6
    assert c.lone_here.tolist() == c.lone_there.tolist() == [6]
