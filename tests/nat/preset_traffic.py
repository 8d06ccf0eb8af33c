"""Sessions that the model of a known NAT makes: sockets of some hosts talk to some servers, and somebody knocks.

What a capture would show of it is written down as the tables that inference works on, without packets.
"""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from pcapnat.model import Disposition, NatModel, Traffic
from pcapnat.nat.behavior import NatBehavior, PortChoice
from pcapnat.nat.filtering import Knocks, filtering_of
from pcapnat.nat.keeping import tallies
from pcapnat.nat.likely import Seen
from pcapnat.nat.session import Sessions
from pcapnat.nat.watch import Watch

V4 = 0xFFFF00000000
OUTSIDE, HOSTS, SERVERS = V4 | 0xCB00710A, V4 | 0x64400001, V4 | 0xC6336401
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def preset_seen(b: NatBehavior, mappings: int, seed: int, hosts: int = 8) -> Seen:
    """What is seen of a NAT that behaves so, with about this many mappings."""
    rng = random.Random(f"{b.name} {mappings} {seed}")
    n = int(mappings * 1.6)
    t = Traffic.empty(2 * n)
    rows: list[tuple[int, int, int, int, int, int]] = []
    time = START
    while len(rows) < n:
        proto = rng.choice((6, 17))
        host, port = HOSTS + rng.randrange(hosts), rng.choice((5060, 500, 7000)) if rng.random() < 0.1 else rng.randrange(32768, 61000)
        for _ in range(rng.choice((1, 1, 2, 4)) if proto == 17 else 1):
            time += rng.randrange(100_000, 2_000_000)
            rows.append((proto, host, port, SERVERS + rng.randrange(6), rng.choice((3478, 3479)) if proto == 17 else 443, time))
    rows = rows[:n]
    hinted = b.port_choice is PortChoice.RANDOM or (b.port_choice is PortChoice.PRESERVE_ELSE_RANDOM)
    for i, (proto, host, port, server, service, at) in enumerate(rows):
        t.proto[i], t.src[i], t.sport[i], t.dst[i], t.dport[i], t.time_ns[i] = proto, (0, host), port, (0, server), service, at
        low, high = next((r.low, r.high) for r in b.port_ranges if r.of_low <= port <= r.of_high)
        t.hint[i], t.hint_kind[i], t.hint_port[i] = (0, OUTSIDE), 1, rng.randrange(low, high + 1) if hinted else -1
        t.tcp_flags[i] = 2 if proto == 6 else 0
    t.ttl[:], t.kind[:], t.quote[:] = 64, 1, -1
    model = NatModel(replace(b, addresses=("203.0.113.10",)))
    v, _ = model.play(t.take(slice(0, n)))
    made = np.flatnonzero(v.disposition == int(Disposition.TRANSLATED))
    knocks = _knock(t, v, model, made, rows, n, rng)
    s = Sessions.empty(len(made))
    for name, values in (
        ("proto", t.proto[made]), ("inside", t.src[made]), ("outside", v.src[made]), ("remote", t.dst[made]),
        ("inside_port", t.sport[made].astype(np.int32)), ("outside_port", v.sport[made].astype(np.int32)),
        ("remote_port", t.dport[made].astype(np.int32)), ("first_ns", t.time_ns[made]),
    ):  # fmt: skip
        getattr(s, name)[:] = values
    s.last_ns[:], s.opened[:], s.closed[:], s.hairpin[:], s.row[:] = time + SECOND, 1, 0, 0, np.arange(len(made))
    key = np.column_stack([s.proto, s.inside, s.inside_port, s.remote, s.remote_port])
    s = s.take(np.sort(np.unique(key, axis=0, return_index=True)[1]))
    seen = Watch(START, time + SECOND, 0.001)
    return Seen(s, tallies(s), {proto: filtering_of(k, seen) for proto, k in knocks.items()})


def _knock(
    t: Traffic, v: object, model: NatModel, made: np.ndarray, rows: list[tuple[int, ...]], n: int, rng: random.Random
) -> dict[int, Knocks]:
    """Somebody from a server's other port, and somebody from elsewhere, at a few doors."""
    knocks: dict[int, Knocks] = {}
    chosen = [int(k) for k in made.tolist() if rows[int(k)][0] == 17]
    for k in rng.sample(chosen, min(3, len(chosen))):
        one = Traffic.empty(2)
        one.proto[:], one.side[:], one.ttl[:], one.kind[:], one.quote[:], one.hint_port[:] = 17, 1, 64, 1, -1, -1
        one.time_ns[:], one.dst[:], one.dport[:] = t.time_ns[n - 1] + 1000, v.src[k], v.sport[k]  # type: ignore[attr-defined]
        one.src[0], one.sport[0] = t.dst[k], 9999
        one.src[1], one.sport[1] = (0, SERVERS + 77), 3478
        said, _ = model.play(one)
        in_same, in_other = (int(said.disposition[j]) == int(Disposition.TRANSLATED) for j in (0, 1))
        count = knocks.setdefault(17, Knocks())
        count.same_in, count.same_out = count.same_in + in_same, count.same_out + (not in_same)
        count.other_in, count.other_out = count.other_in + in_other, count.other_out + (not in_other)
    return knocks
