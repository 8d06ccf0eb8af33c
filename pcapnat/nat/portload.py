"""Outside ports in use over time: how many at once, of how many, and how long they last at this rate (RFC 6888, RFC 7857 section 3).

A session is counted from its first frame to its last one and as long as every NAT keeps it (session.GRACE_NS): at least so many
ports were in use. Only a range that was found is a capacity; all ports but the system's are the most that a NAT can have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..table import Array
from ..terms import Finding
from .session import Sessions, numbers

ALL_PORTS = 65536 - 1024
FEWEST = 30
"""Sessions towards one endpoint below which nothing is foreseen."""
MOST_ENDPOINTS = 50
"""Remote endpoints that are told, those with the most ports first."""
LONGEST = 100
"""So many times as long as was watched, a forecast reaches."""
POINTS = 60
"""Points of time of a curve."""
NS = 1_000_000_000


@dataclass(frozen=True)
class PortLoad:
    """The ports of one protocol on one outside address, towards one remote endpoint (None: towards all together).

    peak: most in use at once, at peak_ns; of: ports there are. made: sessions. full: peak reached the range that was found.
    forecast_s: how long the ports last from the end on. curve: ports in use at POINTS moments from start_ns to end_ns.
    """

    proto: int
    address: tuple[int, int]
    remote: tuple[int, int] | None
    remote_port: int
    made: int
    peak: int
    peak_ns: int
    capacity: Finding[int]
    full: bool
    per_s: float
    forecast_s: Finding[float]
    start_ns: int
    end_ns: int
    curve: tuple[int, ...]


@dataclass(frozen=True)
class Collisions:
    """Inside ports that several hosts used at a time. sessions: those that met one in use; towards_one: by it towards the same endpoint.

    changed: of these, how many left with another port.
    """

    sessions: int
    towards_one: int
    changed: int


def port_load(s: Sessions, found: tuple[int, int] | None) -> list[PortLoad]:
    """Use of each outside address, and of each remote endpoint through it, the fullest first. found: the range of ports in use."""
    s = s.take(s.hairpin == 0)
    if not len(s):
        return []
    whole = (int(s.first_ns.min()), int(s.last_ns.max()))
    address = _loads(s, numbers(s.proto, s.outside), numbers(s.proto, s.outside, s.outside_port), False, found, whole)
    each = numbers(s.proto, s.outside, s.remote, s.remote_port)
    towards = _loads(s, each, numbers(each, s.outside_port), True, found, whole)
    return address + towards


def _loads(s: Sessions, group: Array, port: Array, towards: bool, found: tuple[int, int] | None, whole: tuple[int, int]) -> list[PortLoad]:
    start, until, which, owner = _in_use(s, group, port)
    time = np.concatenate([start, until + 1])  # the last moment counts
    step = np.concatenate([np.ones(len(start), np.int64), -np.ones(len(start), np.int64)])
    of = np.concatenate([which, which])
    order = np.lexsort((-step, time, of))  # what ends when another begins was still in use: until is the last moment
    level = np.cumsum(step[order])  # each group ends at 0, so that sums need no start
    head = np.flatnonzero(np.append(True, np.diff(of[order]) != 0))
    tail = np.append(head[1:], len(order))
    peaks = np.maximum.reduceat(level, head)
    out = []
    for k in np.argsort(-peaks, kind="stable")[:MOST_ENDPOINTS].tolist():
        rows, times = level[head[k] : tail[k]], time[order][head[k] : tail[k]]
        first = int(owner[int(of[order][head[k]])])
        mine = np.flatnonzero(group == group[first])
        moments = np.linspace(whole[0], whole[1], POINTS).astype(np.int64)
        at = np.searchsorted(times, moments, side="right")
        curve = np.where(at > 0, rows[np.maximum(at - 1, 0)], 0)
        capacity, peak = _capacity(s, mine, found), int(peaks[k])
        span = (whole[1] - whole[0]) / NS
        out.append(
            PortLoad(
                int(s.proto[first]),
                (int(s.outside[first, 0]), int(s.outside[first, 1])),
                (int(s.remote[first, 0]), int(s.remote[first, 1])) if towards else None,
                int(s.remote_port[first]) if towards else -1,
                len(mine),
                peak,
                int(times[int(rows.argmax())]),
                capacity,
                towards and capacity.value is not None and peak >= capacity.value,
                len(mine) / span if span > 0 else 0.0,
                _forecast(s, mine, curve, span, capacity.value or ALL_PORTS)
                if towards
                else Finding(None, 0, 0, "a port serves many endpoints"),
                whole[0],
                whole[1],
                tuple(curve.tolist()),
            )
        )
    return out


def _in_use(s: Sessions, group: Array, port: Array) -> tuple[Array, Array, Array, Array]:
    """Spans during which a port was in use, their group, and a session of each group: sessions of one port that overlap are one span."""
    order = np.lexsort((s.first_ns, port))
    start, until, mine = s.first_ns[order], s.until_ns()[order], port[order]
    # Until so far, within a port: ports are set apart in time, so that one running maximum does for all.
    low = int(start.min())
    width, rank = int(until.max()) - low + 1, np.cumsum(np.append(0, (mine[1:] != mine[:-1]).astype(np.int64)))
    unit = (width * (int(rank[-1]) + 1) >> 62) + 1  # of nanoseconds; more than one only in captures of many days
    apart = rank * (width // unit + 1)
    reach = np.maximum.accumulate((until - low) // unit + apart) - apart
    new = np.append(True, (mine[1:] != mine[:-1]) | ((start[1:] - low) // unit > reach[:-1]))
    heads = np.flatnonzero(new)
    ends = np.maximum.reduceat(until, heads)
    which = group[order][heads]
    owner = np.zeros(int(group.max()) + 1, np.int64)
    owner[group[::-1]] = np.arange(len(group))[::-1]
    return start[heads], ends, which, owner


def _capacity(s: Sessions, mine: Array, found: tuple[int, int] | None) -> Finding[int]:
    """Ports there are: the range that was found, if these sessions' ports lie in it."""
    if found is None:
        return Finding(None, 0, 0, f"the range of ports is not known; {ALL_PORTS:,} at most, without the system's")
    low, high = found
    outside = int(((s.outside_port[mine] < low) | (s.outside_port[mine] > high)).sum())
    if outside:
        return Finding(None, len(mine) - outside, outside, f"{outside} of {len(mine)} sessions have ports outside {low}-{high}")
    return Finding(high - low + 1, len(mine), 0, f"ports {low}-{high}")


def _forecast(s: Sessions, mine: Array, curve: Array, span: float, capacity: int) -> Finding[float]:
    """Seconds until the ports are gone, if their use grows steadily: fewer end than begin, in each third of the time."""
    if len(mine) < FEWEST or span <= 0:
        return Finding(None, 0, 0, f"{len(mine)} sessions are too few")
    now, third = int(curve[-1]), len(curve) // 3
    made = np.histogram(s.first_ns[mine], bins=3)[0]
    if int(made.min()) * 3 < int(made.max()):
        return Finding(None, 0, 0, f"no steady rate: {made[0]}, {made[1]} and {made[2]} sessions in the thirds of their time")
    if int(s.first_ns[mine].max() - s.first_ns[mine].min()) < 0.8 * span * NS:
        return Finding(None, 0, 0, "they were made in a part of the time only")
    levels = [int(curve[0]), int(curve[third]), int(curve[2 * third]), now]
    grown = np.diff(levels)
    if now < FEWEST or int(grown.min()) * 2 < int(grown.max()):
        return Finding(None, 0, 0, f"no steady growth: {levels[1]}, {levels[2]} and {levels[3]} ports in use after each third")
    rate = (now - levels[0]) / span
    left = (capacity - now) / rate
    if left > LONGEST * span:
        return Finding(None, len(mine), 0, f"grows by {rate:.3g} ports a second: they last longer than {LONGEST} times what was watched")
    return Finding(max(left, 0.0), len(mine), 0, f"{now} in use at the end, and {rate:.3g} more each second, of {capacity:,}")


def collisions(s: Sessions) -> Collisions:
    """How often a host used a port that another one was using."""
    s = s.take(s.hairpin == 0)
    met = towards = changed = 0
    for key, same in ((numbers(s.proto, s.inside_port), False), (numbers(s.proto, s.inside_port, s.remote, s.remote_port), True)):
        order = np.lexsort((s.first_ns, key))
        k, host, until, start = key[order], numbers(s.inside)[order], s.until_ns()[order], s.first_ns[order]
        # The session before, of the same port: enough to see a meeting, as a host's own sessions in between are rare.
        hit = np.flatnonzero((k[1:] == k[:-1]) & (host[1:] != host[:-1]) & (start[1:] <= until[:-1])) + 1
        if same:
            towards, changed = len(hit), int((~s.kept()[order][hit]).sum())
        else:
            met = len(hit)
    return Collisions(met, towards, changed)
