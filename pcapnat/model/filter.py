"""Which frames filter rules stop: each rule over all frames at once.

A rule looks at what a frame is at its hook (before or after translation) and at the state of its session. The state is only known as
the frames are played, so the answer is given for every state.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np

from ..nat.filters import DNAT, INVALID, NEW, SNAT, UNTRACKED, Action, Condition, Filter, Hook
from ..table import Array
from .traffic import Disposition, Traffic, Verdicts

STATES = (NEW, NEW + 1, NEW + 2, INVALID)
FEW = 16
"""Ranges of addresses that are compared one by one; more are searched in."""
LATER = 2


def bars(filters: tuple[Filter, ...], t: Traffic, v: Verdicts) -> tuple[Array, Array]:
    """(n,) bit s for every state in which rules stop a frame, UNTRACKED for any state; (5, n) the rule that does, -1 for none.

    v: what becomes of the frames without filter rules. Of frames that no rule tells apart one is looked at.
    """
    rows, place = _unlike(t, v)
    if len(rows) * 2 > len(t):
        return _bars(filters, t, v)
    stopped, who = _bars(filters, t.take(rows), v.take(rows))
    return stopped[place], who[:, place]


def _unlike(t: Traffic, v: Verdicts) -> tuple[Array, Array]:
    """(k,) rows that stand for all, in order, and (n,) which of them stands for each row.

    Alike are whole frames of one way of a session with the same flags and the same fate, but those that turn round inside, whose two
    ways enter on one side.
    """
    n = len(t)
    alike = np.flatnonzero((v.session >= 0) & (t.fragment == 0) & (t.kind > 0) & (t.kind < 254) & ((t.side == 1) | (v.side != 0)))
    rows = np.arange(n)
    if len(alike) * 2 <= n:
        return rows, rows
    # What tells frames of one way apart takes few values: they are counted through.
    fate = v.disposition[alike].astype(np.int64) * 3 + v.side[alike]
    code = (fate * 256 + t.kind[alike]) * 512 + (t.tcp_flags[alike] & 511)
    used = np.bincount(code, minlength=1) > 0
    kinds = int(used.sum())
    session = v.session[alike] - v.session[alike].min()
    if (int(session.max()) + 1) * 2 * kinds > 8 * n:
        return rows, rows
    key = (session * 2 + t.side[alike]) * kinds + (np.cumsum(used) - 1)[code]
    first = np.empty(int(key.max()) + 1, np.int64)
    first[key[::-1]] = alike[::-1]
    rows[alike] = first[key]
    stands = np.zeros(n, bool)
    stands[rows] = True
    return np.flatnonzero(stands), (np.cumsum(stands) - 1)[rows]


def _bars(filters: tuple[Filter, ...], t: Traffic, v: Verdicts) -> tuple[Array, Array]:
    """The same, frame by frame."""
    n = len(t)
    stopped = np.zeros(n, np.uint8)
    who = np.full((UNTRACKED + 1, n), -1, np.int32)
    out = (v.disposition == int(Disposition.TRANSLATED)) | (v.disposition == int(Disposition.FORWARDED))
    local = v.disposition == int(Disposition.LOCAL)
    passes = {Hook.RAW: None, Hook.PREROUTING: None, Hook.FORWARD: out, Hook.POSTROUTING: out, Hook.INPUT: local}
    status = _status(t, v)
    numbered = list(enumerate(filters))
    for hook in passes:
        mask = passes[hook]
        rows = np.arange(n) if mask is None else np.flatnonzero(mask)
        if not len(rows):
            continue
        look = _Look(hook, t, v, status)
        mine = [pair for pair in numbered if pair[1].hook is hook]
        for _, chain in groupby(mine, key=lambda pair: pair[1].chain):
            rules = list(chain)
            asks = any(c.field == "state" for _, f in rules for c in f.conditions)
            found = _walk(rules, look, rows, UNTRACKED if hook is Hook.RAW else NEW)
            for state in (UNTRACKED,) if hook is Hook.RAW else STATES:
                if asks and state not in (NEW, UNTRACKED):
                    found = _walk(rules, look, rows, state)
                hit = (found >= 0) & (who[state, rows] < 0)
                who[state, rows[hit]] = found[hit]
                stopped[rows[hit]] |= np.uint8(1 << state)
    return stopped, who


def _walk(rules: list[tuple[int, Filter]], look: _Look, rows: Array, state: int) -> Array:
    """For each frame the number of the rule that stops it, -1 if none does."""
    found = np.full(len(rows), -1, np.int32)
    waiting: dict[int, list[Array]] = {0: [np.arange(len(rows))]}
    for k, (number, rule) in enumerate(rules):
        groups = waiting.pop(k, [])
        here = groups[0] if len(groups) == 1 else np.concatenate(groups) if groups else rows[:0]
        if not len(here):
            continue
        meets = np.ones(len(here), bool)
        for condition in rule.conditions:
            left = np.flatnonzero(meets)
            if not len(left):
                break
            meets[left] = look.meets(condition, rows[here[left]], state)
        if rule.action in (Action.DROP, Action.RESET, Action.ICMP):
            found[here[meets]] = number
        elif rule.action is Action.SKIP:
            waiting.setdefault(k + 1 + rule.skip, []).append(here[meets])
        elif rule.action is Action.ENTER:
            waiting.setdefault(k + 1, []).append(here[meets])
            waiting.setdefault(k + 1 + rule.skip, []).append(here[~meets])
            continue
        waiting.setdefault(k + 1, []).append(here[~meets])
    return found


class _Look:
    """Frames as a hook sees them: before it destinations are translated, behind the last sources are, too."""

    def __init__(self, hook: Hook, t: Traffic, v: Verdicts, status: Array):
        self.t, self.v, self.status = t, v, status
        self.source = v if hook is Hook.POSTROUTING else t
        self.destination = v if hook in (Hook.FORWARD, Hook.POSTROUTING) else t

    def meets(self, c: Condition, rows: Array, state: int) -> Array:
        """Which rows meet a condition."""
        return np.asarray(self._in(c, rows, state) != c.negated)

    def _in(self, c: Condition, rows: Array, state: int) -> Array:
        name, t = c.field, self.t
        if name == "state":
            return np.full(len(rows), any(low <= state <= high for low, high in c.ranges))
        if name in ("src", "dst"):
            return _among((self.source if name == "src" else self.destination).__dict__[name][rows], c.ranges)
        if name == "flags":
            flags = t.tcp_flags[rows]
            return np.asarray(np.logical_or.reduce([flags & mask == value for mask, value in c.ranges]))
        if name == "status":
            bits = self.status[rows]
            return np.asarray(bits & sum({1 << low for low, _ in c.ranges}) != 0)
        if name == "version":
            values = np.where((t.src[rows, 0] == 0) & (t.src[rows, 1] >> np.uint64(32) == 0xFFFF), 4, 6)
        elif name == "fragment":
            values = (t.fragment[rows] >= LATER).astype(np.int64)
        elif name in ("sport", "dport"):
            values = getattr(self.source if name == "sport" else self.destination, name)[rows]
        elif name == "leaves":
            values = self.v.side[rows]
        else:
            values = getattr(t, {"entered": "side"}.get(name, name))[rows]
        return np.asarray(
            np.logical_or.reduce([(values >= low) & (values <= high) for low, high in c.ranges] or [np.zeros(len(rows), bool)])
        )


def _among(addresses: Array, ranges: tuple[tuple[int, int], ...]) -> Array:
    """Which addresses lie in one of some ranges."""
    high, low = addresses[:, 0], addresses[:, 1]
    if len(ranges) <= FEW:
        found = np.zeros(len(addresses), bool)
        for first, last in ranges:
            fh, fl, lh, ll = (np.uint64(x) for x in (first >> 64, first & _LOW, last >> 64, last & _LOW))
            found |= ((high > fh) | ((high == fh) & (low >= fl))) & ((high < lh) | ((high == lh) & (low <= ll)))
        return found
    unique, place = np.unique(addresses, axis=0, return_inverse=True)
    merged = _merged(ranges)
    starts = [first for first, _ in merged]
    from bisect import bisect_right

    inside = []
    for a in unique.tolist():
        value = a[0] << 64 | a[1]
        k = bisect_right(starts, value) - 1
        inside.append(k >= 0 and value <= merged[k][1])
    return np.array(inside, bool)[place.reshape(-1)]


_LOW = (1 << 64) - 1


def _merged(ranges: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """In order, overlapping ones made one."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return out


def _status(t: Traffic, v: Verdicts) -> Array:
    """(n,) bits SNAT and DNAT of the session that a frame belongs to, by the first frame of it that was played."""
    bits = np.zeros(len(t), np.uint8)
    with_one = np.flatnonzero((v.session >= 0) & (v.disposition == int(Disposition.TRANSLATED)))
    if len(with_one):
        _, first, place = np.unique(v.session[with_one], return_index=True, return_inverse=True)
        f = with_one[first]
        source = (t.src[f] != v.src[f]).any(axis=1) | (t.sport[f] != v.sport[f])
        target = (t.dst[f] != v.dst[f]).any(axis=1) | (t.dport[f] != v.dport[f])
        bits[with_one] = (source.astype(np.uint8) << SNAT | target.astype(np.uint8) << DNAT)[place]
    return bits
