"""Many who say the same: told apart by when they do, and not at all where that proves nothing."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from packet_script import START_NS, Frame, ethernet, ip, write

from pcapnat.flow import By, Crossing, cross, observe
from pcapnat.terms import Point

SERVER = "198.51.100.80"
SECOND = 1_000_000_000
Truth = dict[tuple[str, int], tuple[str, int]]


def datagram(src: tuple[str, int], dst: tuple[str, int], payload: bytes, ttl: int) -> bytes:
    return ethernet(ip(src[0], dst[0], 17, struct.pack("!HHHH", src[1], dst[1], 8 + len(payload), 0) + payload, ttl=ttl))


def keepalives(hosts: int, period_s: float, seconds: int, seed: int, answered: bool = True, lost: float = 0.0, far: bool = False,
               together: bool = False) -> tuple[list[Frame], list[Frame], Truth]:  # fmt: skip
    """Hosts behind a carrier's NAT that send eight equal bytes to one server now and then, and some traffic that tells the clock.

    far: the server's address is rewritten, too. together: all at the same moments.
    """
    rng = random.Random(seed)
    inside, outside, truth = [], [], {}
    offset = 1_700_000_000

    def both(time: int, here: bytes, there: bytes, out: bool) -> None:
        delay = rng.randrange(200_000, 900_000) * (1 if out else -1)
        if rng.random() >= lost:
            inside.append(Frame(time, here))
        if rng.random() >= lost:
            outside.append(Frame(time + delay + offset, there))

    server = (SERVER, 4500)
    seen = ("203.0.113.200", 4500) if far else server
    for n in range(hosts):
        one, new = (f"100.64.{n >> 8}.{n & 255}", rng.randrange(1024, 65536)), (f"203.0.113.{1 + n % 4}", 1024 + 61 * n % 64000)
        truth[one] = new
        phase = 0.0 if together else rng.random() * period_s
        for k in range(int((seconds - phase) / period_s) + 1):
            time = START_NS + int((phase + k * period_s + (0 if together else rng.random())) * SECOND)
            both(time, datagram(one, server, b"\xff" * 8, 64), datagram(new, seen, b"\xff" * 8, 63), True)
            if answered:
                both(time + 30_000_000, datagram(server, one, b"\0" * 8, 50), datagram(seen, new, b"\0" * 8, 51), False)
    for n in range(60):  # what tells the clock: a few conversations with something to say
        one, new, text = ("100.64.9.9", 20000 + n % 5), ("203.0.113.9", 30000 + n % 5), rng.randbytes(40)
        out = n % 2 == 0
        ends = [(one, (SERVER, 7)), (new, (SERVER, 7))]
        here, there = (datagram(*(e if out else e[::-1]), text, 64 if out ^ at else 63) for at, e in enumerate(ends))
        both(START_NS + int(rng.random() * seconds * SECOND), here, there, out)
    inside.sort(key=lambda f: f.time_ns)
    outside.sort(key=lambda f: f.time_ns)
    return inside, outside, truth


def score(folder: Path, inside: list[Frame], outside: list[Frame], truth: Truth) -> tuple[Crossing, int, int]:
    """(crossing, right pairs, wrong ones) among the conversations in the truth."""
    sides = [observe(Point(n, (write(folder / f"{n}.pcap", f),)), 64)[0] for n, f in (("inside", inside), ("outside", outside))]
    c = cross(*sides)
    ends = []
    for port, rows in zip(sides, (c.matches.here, c.matches.there), strict=True):
        a, b = port.conversations.addresses()
        ends.append([((a[r], int(port.conversations.a_port[r])), (b[r], int(port.conversations.b_port[r]))) for r in rows.tolist()])
    right = wrong = 0
    for one, other in zip(*ends, strict=True):
        host = next((e for e in one if e in truth), None)
        if host is not None:
            right, wrong = (right + 1, wrong) if truth[host] in other else (right, wrong + 1)
    return c, right, wrong


@pytest.mark.parametrize(("hosts", "lost", "far", "answered"), [(20, 0, False, True), (200, 0, False, True), (200, 0.03, False, True),
                                                                (200, 0, True, True), (60, 0, False, False)])  # fmt: skip
def test_keepalives_behind_a_carrier(hosts: int, lost: float, far: bool, answered: bool, tmp_path: Path, mode: str) -> None:
    c, right, wrong = score(tmp_path, *keepalives(hosts, 20.0, 120, hosts, answered, lost, far))
    assert wrong == 0
    assert right >= 0.97 * hosts
    assert (c.matches.by & int(By.TIME) != 0).sum() >= 0.5 * right


def test_all_at_the_same_moment_tells_nothing(tmp_path: Path) -> None:
    _, right, wrong = score(tmp_path, *keepalives(40, 20.0, 120, 3, together=True))
    assert (right, wrong) == (0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_strangers_that_say_the_same(seed: int, tmp_path: Path) -> None:
    """The keep-alives outside are those of others, at other moments."""
    inside, _, truth = keepalives(60, 20.0, 120, seed)
    tells = [f for f in keepalives(1, 20.0, 120, seed)[1] if len(f.data) > 60]
    _, others, _ = keepalives(60, 20.0, 120, seed + 100)
    # the clock is the same one, told by frames of the first kind
    inside = [f for f in inside if len(f.data) < 60] + [f for f in keepalives(1, 20.0, 120, seed)[0] if len(f.data) > 60]
    outside = [f for f in others if len(f.data) < 60] + tells
    _, right, wrong = score(tmp_path, sorted(inside, key=lambda f: f.time_ns), sorted(outside, key=lambda f: f.time_ns), truth)
    assert right + wrong == 0
