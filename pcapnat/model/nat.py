"""NatModel: a behavior, and the sessions it has made so far."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np

from ..kernel import SEED
from ..nat.behavior import NatBehavior
from ..table import Array
from .choose import BY_BLOCK
from .filter import bars
from .play import STEP, play
from .rules import Rules, compile_rules
from .session import COUNT, EXPIRES, FRAMES, KINDS, LAST_PORT, LIFE, ORDER, SERIAL, SWEPT, TOTALS, sweep
from .traffic import Quotes, Traffic, Verdicts

FEWEST = 1 << 8
"""Rows a model begins with."""
MANY = 1 << 12
"""Rows that are not doubled any more, for the sake of memory."""


@dataclass
class Session:
    """One session as a person reads it: two tuples (proto, source, source port, destination, destination port), see session.py."""

    number: int
    arrives: tuple[int, tuple[int, int], int, tuple[int, int], int]
    answer: tuple[int, tuple[int, int], int, tuple[int, int], int]
    state: int
    expires_ns: int
    from_outside: bool


class NatModel:
    """A NAT that behaves as told. The same frames give the same verdicts: it reads no clock and draws no random number.

    behavior: without outside addresses, the first hint gives one. Frames may be played in several parts, each later than the last.
    """

    def __init__(self, behavior: NatBehavior):
        self.behavior = behavior
        self._rules: Rules | None = compile_rules(behavior) if behavior.addresses else None
        self._totals = np.zeros(TOTALS, np.int64)
        self._totals[LAST_PORT] = -1
        self._time = 0
        self._make(FEWEST)

    def play(self, traffic: Traffic, quotes: Quotes | None = None) -> tuple[Verdicts, Quotes]:
        """Verdicts on frames in the order of time, and the quoted packets of ICMP errors as rewritten."""
        quotes = Quotes.empty(0) if quotes is None else quotes
        verdicts = Verdicts.empty(len(traffic))
        for name in ("src", "dst", "sport", "dport", "proto", "ttl"):
            getattr(verdicts, name)[:] = getattr(traffic, name)
        inner = quotes.take(slice(None))
        if self._rules is None:
            seen = np.flatnonzero((traffic.hint_kind != 0) & (traffic.side == 0))
            address = traffic.hint[seen[0]] if len(seen) else np.array([0, 0xFFFF << 32], np.uint64)
            self.behavior = replace(self.behavior, addresses=(_text(address),))
            self._rules = compile_rules(self.behavior)
            self._make(FEWEST)
        r = self._rules
        verdicts.barred[:] = -1
        stops, who = self._bars(traffic, quotes) if self.behavior.filters else (np.zeros(len(traffic), np.uint8), None)
        done = 0
        while True:
            done = play(
                traffic, quotes, verdicts, inner, done, len(traffic), r.machine, r.times, self._slots, len(self._slots) - 1, self._groups,
                len(self._groups) - 1, SEED, self._keys, self._life, self._links, r.rules, r.pool, r.own, r.ranges, self._owners, r.words,
                r.statics, self._totals, self._hashes, stops,
            )  # fmt: skip
            if done == len(traffic):
                break
            self._room(int(traffic.time_ns[done]))
        if len(traffic):
            self._time = int(traffic.time_ns[-1])
        if who is not None:
            stopped = np.flatnonzero(verdicts.barred >= 0)
            verdicts.barred[stopped] = who[verdicts.barred[stopped], stopped]
        return verdicts, inner

    def _bars(self, traffic: Traffic, quotes: Quotes) -> tuple[Array, Array]:
        """What filter rules stop. They look at what a packet becomes, too: a twin without rules is played first to know it."""
        twin = copy.copy(self)
        twin.behavior = replace(self.behavior, filters=())
        for name in ("_totals", "_slots", "_groups", "_keys", "_life", "_links", "_owners", "_hashes"):
            setattr(twin, name, getattr(self, name).copy())
        verdicts, _ = twin.play(traffic, quotes)
        return bars(self.behavior.filters, traffic, verdicts)

    @property
    def sessions_made(self) -> int:
        """How many sessions were ever made."""
        return int(self._totals[SERIAL])

    @property
    def bytes_used(self) -> int:
        """Memory of the sessions and the tables that find them."""
        return sum(a.nbytes for a in (self._slots, self._groups, self._keys, self._life, self._links, self._owners))

    def sessions(self, time_ns: int | None = None) -> list[Session]:
        """The sessions alive at a time, by default that of the last frame, oldest first."""
        now = self._time if time_ns is None else time_ns
        return [self._session(c) for c in range(int(self._totals[COUNT])) if self._life[c, EXPIRES] > now]

    def _session(self, c: int) -> Session:
        tuples = []
        for k in range(2):
            word, (sh, sl, dh, dl) = int(self._life[c, k]), self._keys[2 * c + k].tolist()
            tuples.append((word >> 8 & 0xFF, (sh, sl), word >> 40 & 0xFFFF, (dh, dl), word >> 24 & 0xFFFF))
        meta = int(self._life[c, 3])
        return Session(meta >> 16, tuples[0], tuples[1], meta >> 8 & 0xFF, int(self._life[c, EXPIRES]), bool(meta & 1))

    def _make(self, rows: int) -> None:
        """Empty tables for `rows` sessions."""
        self._keys = np.zeros((2 * rows, 4), np.uint64)
        self._life = np.zeros((rows, LIFE), np.int64)
        self._links = np.zeros((rows, 4), np.int32)
        self._hashes = np.zeros(STEP, np.int64)
        self._tables(rows)

    def _tables(self, rows: int) -> None:
        kinds = int(self._rules.rules[KINDS] | self._rules.rules[KINDS + 1]) if self._rules else 0
        self._slots = np.zeros(_power(rows * 3), np.int64)
        self._groups = np.zeros(_power(rows * kinds.bit_count() * 4 // 3), np.int64)
        self._owners = np.zeros((self._rules.blocks if self._rules else 1, 2), np.uint64)

    def _room(self, time: int) -> None:
        """Forget what has died; if that is less than half, add rows: as many again while they are few, then less."""
        count = int(self._totals[COUNT])
        alive = int((self._life[:count, EXPIRES] > time).sum())
        rows = len(self._life)
        if alive * 2 > rows and count >= rows - 1:
            more = max(rows // 8, min(rows, MANY))
            self._keys = np.concatenate([self._keys, np.zeros_like(self._keys, shape=(2 * more, 4))])
            self._life = np.concatenate([self._life, np.zeros_like(self._life, shape=(more, LIFE))])
            self._links = np.concatenate([self._links, np.zeros_like(self._links, shape=(more, 4))])
            self._tables(rows + more)
        assert self._rules is not None
        left = sweep(
            self._slots, len(self._slots) - 1, self._groups, len(self._groups) - 1, SEED, self._keys, self._life, self._links,
            self._rules.rules, time, count,
        )  # fmt: skip
        self._totals[COUNT] = left
        self._totals[SWEPT] = self._totals[FRAMES]
        if self._rules.rules[ORDER] == BY_BLOCK:
            self._own_blocks(left)

    def _own_blocks(self, count: int) -> None:
        """Who owns which block, from the sessions that live."""
        assert self._rules is not None
        pool, low, size = self._rules.pool, int(self._rules.ranges[0, 0]), self.behavior.block_size
        blocks = len(self._owners) // len(pool)
        self._owners[:] = 0
        c = np.arange(count)
        outward = self._life[:count, 3] & 1
        inside = 2 * c + outward  # the tuples that show the inside endpoint as their source
        port = (self._life[c, 1 - outward] >> 24 & 0xFFFF) - low
        address = self._keys[inside ^ 1, 2:]
        for k in range(len(pool)):
            mine = (address == pool[k]).all(axis=1) & (port >= 0) & (port // size < blocks)
            self._owners[k * blocks + port[mine] // size] = self._keys[inside[mine], :2]


def _power(least: int) -> int:
    """The next power of two, at least eight."""
    return 1 << max(3, (least - 1).bit_length())


def _text(address: Array) -> str:
    from ..address import text

    return text(int(address[0]), int(address[1]))
