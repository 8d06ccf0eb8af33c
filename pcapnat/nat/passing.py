"""What crossed a box beside plain packets: ICMP errors, fragments, resets; the facts that RFC 5508 and RFC 4787 11 to 14 ask for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..flow import Crossing
from ..table import Array
from ..terms import Finding
from ..wire import Flag, Packets
from .session import GRACE_NS, TCP, UDP, numbers
from .translation import Translations
from .watch import SETTLE_NS, Watch

UNREACHABLE = ((1, 3), (58, 1))
"""(protocol, type) of ICMP destination unreachable."""
EXCEEDED = ((1, 11), (58, 3))
PROHIBITED = ((1, 3, 13), (1, 3, 10), (1, 3, 9), (1, 3, 1), (58, 1, 1))
"""Codes with which a NAT says that it will not or cannot (RFC 5508 REQ-8: 13; RFC 6888 REQ-11: 1)."""
TOO_BIG = ((1, 3, 4), (58, 2, 0))
MOST = 20_000
"""Errors and trains of fragments that are looked at."""
FEW = 64
"""Errors that did not cross and are looked at: each costs a look through all frames."""
REASSEMBLY_NS = 30_000_000_000


@dataclass(frozen=True)
class Error:
    """An ICMP error that crossed, or (one row -1) was seen on one side only. about: protocol of the packet it quotes."""

    here: int
    there: int
    proto: int
    kind: tuple[int, int, int]
    """Protocol, type and code."""
    about: int
    restored: bool = False
    """Quoted packet, and the end that is behind the box, read as they must on the side where it left; type and code stayed."""
    beyond: bool = False
    """Its sender is not the host that the quoted packet was for: a router on the way."""


@dataclass
class Passing:
    """Errors by way, and pairs (row here, row there) of frames that prove a point."""

    inward: list[Error] = field(default_factory=list)
    outward: list[Error] = field(default_factory=list)
    refused: list[Error] = field(default_factory=list)
    """From outside, about a mapping in use, and not seen inside."""
    own: list[Error] = field(default_factory=list)
    """Sent inside by the box itself."""
    outlived: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By protocol: an error about a mapping, and a packet that got in through it later; rows at the outer point."""
    unordered: list[tuple[int, int]] = field(default_factory=list)
    """Datagrams whose fragments came out of order and left whole: first fragments."""
    ordered: list[tuple[int, int]] = field(default_factory=list)
    cut: list[tuple[int, int]] = field(default_factory=list)
    """Packets that came whole and left in fragments."""


def passing(crossing: Crossing, t: Translations, seen: Watch | None) -> Passing:
    """Look at the errors and fragments of conversations that were translated."""
    found = Passing()
    f, m = crossing.frames, crossing.matches
    translated = np.zeros(len(crossing.there.conversations), bool)
    translated[t.outside_row[(t.kind != 0) & (t.hairpin == 0)]] = True
    if not translated.any():
        return found
    rows = np.flatnonzero(m.hairpin[f.match] == 0)
    a, b = crossing.here.packets, crossing.there.packets
    here, there = f.here[rows], f.there[rows]
    _errors(crossing, here, there, translated, seen, found)
    mine = translated[np.maximum(m.there[f.match[rows]], 0)]
    flags = a.flags[here] | b.flags[there]
    parts = np.flatnonzero((flags & int(Flag.FRAGMENT) != 0) & mine)[:MOST]
    if len(parts):
        _fragments(crossing, here[parts], there[parts], f.match[rows[parts]], found)
    return found


def _quotes(crossing: Crossing, side: int) -> dict[int, int]:
    """Row in Quoted of each frame that carries one, by frame."""
    quoted = (crossing.here, crossing.there)[side].quoted
    return {int(c): k for k, c in enumerate(quoted.carrier[: 4 * MOST].tolist())}


def _errors(crossing: Crossing, here: Array, there: Array, translated: Array, seen: Watch | None, found: Passing) -> None:
    inner, outer = crossing.here, crossing.there
    a, b = inner.packets, outer.packets
    if not len(inner.quoted) and not len(outer.quoted):
        return
    at_here, at_there = _quotes(crossing, 0), _quotes(crossing, 1)
    crossed = np.flatnonzero((a.flags[here] & b.flags[there] & int(Flag.QUOTE)) != 0)[:MOST]
    for i, j in zip(here[crossed].tolist(), there[crossed].tolist(), strict=True):
        p, q = at_here.get(i, -1), at_there.get(j, -1)
        about = int(outer.about[q]) if q >= 0 else -1
        if p < 0 or about < 0 or not translated[about]:
            continue
        kind = _kind(a, i)
        # An error goes to whom the quoted packet came from: at the inner point that is a host inside, or one outside.
        inside_asked = (outer.quoted.src[q] == b.dst[j]).all() and not (inner.quoted.src[p] == outer.quoted.src[q]).all()
        same = kind == _kind(b, j) or kind[0] != int(b.proto[j])  # between IPv4 and IPv6 types change (RFC 7915 4.2, 5.2)
        if inside_asked:
            restored = same and bool((inner.quoted.src[p] == a.dst[i]).all())
            beyond = not bool((outer.quoted.dst[q] == b.src[j]).all())
            found.inward.append(Error(i, j, int(a.proto[i]), kind, int(outer.quoted.proto[q]), restored, beyond))
        elif not (inner.quoted.dst[p] == outer.quoted.dst[q]).all():
            restored = same and bool((outer.quoted.dst[q] != inner.quoted.dst[p]).any()) and not bool((a.src[i] == b.src[j]).all())
            found.outward.append(Error(i, j, int(a.proto[i]), kind, int(outer.quoted.proto[q]), restored))
    met_here, met_there = np.zeros(len(a), bool), np.zeros(len(b), bool)
    met_here[here], met_there[there] = True, True
    last = _last_inward(crossing, here, there)
    known = (outer.about >= 0) & translated[np.maximum(outer.about, 0)]
    lone = np.flatnonzero(~met_there[outer.quoted.carrier] & known)[:FEW]
    quiet: set[int] = set()
    for q in lone.tolist():
        j, c = int(outer.quoted.carrier[q]), int(outer.about[q])
        proto = int(outer.quoted.proto[q])
        quiet.add(c)
        if seen is None or not seen.covers(int(b.time_ns[j])) or not (outer.quoted.src[q] == b.dst[j]).all():
            continue
        used = _near(crossing, c, int(b.time_ns[j]), met_there)
        if 0 <= used <= GRACE_NS[TCP if proto == TCP else UDP]:
            found.refused.append(Error(-1, j, int(b.proto[j]), _kind(b, j), proto))
    _own(crossing, met_here, quiet, found)
    for e in found.inward + found.refused:
        c = int(outer.about[at_there[e.there]])
        k = int(last[c])
        if k >= 0 and b.time_ns[k] > b.time_ns[e.there]:
            found.outlived.setdefault(e.about, (e.there, k))


def _kind(p: Packets, row: int) -> tuple[int, int, int]:
    return int(p.proto[row]), int(p.icmp_type[row]), int(p.icmp_code[row])


def _last_inward(crossing: Crossing, here: Array, there: Array) -> Array:
    """(c,) the last frame of each conversation at the outer point that got in (no error), -1 for none."""
    outer, m, b = crossing.there, crossing.matches, crossing.there.packets
    last = np.full(len(outer.conversations), -1, np.int64)
    outward = np.zeros(len(outer.conversations), np.int64)
    rows = np.flatnonzero(m.hairpin == 0)
    outward[m.there[rows]] = m.outward[rows] * np.where(m.flip[rows] == 1, -1, 1)  # of a to b, at the outer point
    c = outer.conversation[there]
    way = np.where(c >= 0, outward[np.maximum(c, 0)], 0) * np.where(outer.reverse[there] == 1, -1, 1)
    inward = np.flatnonzero((way < 0) & (b.flags[there] & int(Flag.QUOTE) == 0))
    order = inward[np.argsort(b.time_ns[there[inward]], kind="stable")]
    last[c[order]] = there[order]
    return last


def _near(crossing: Crossing, c: int, time_ns: int, met: Array) -> int:
    """How long before this time a frame of the conversation last crossed, -1 for never; few conversations are asked about."""
    outer = crossing.there
    rows = np.flatnonzero((outer.conversation == c) & met & (outer.packets.time_ns <= time_ns))
    return int(time_ns - outer.packets.time_ns[rows].max()) if len(rows) else -1


def _own(crossing: Crossing, met: Array, quiet: set[int], found: Passing) -> None:
    """Errors inside that nothing outside explains. quiet: conversations outside about which errors stayed outside."""
    inner, m = crossing.here, crossing.matches
    a, q = inner.packets, inner.quoted
    other = dict(zip(m.here.tolist(), m.there.tolist(), strict=True))
    offset = crossing.clock.offset_ns
    if offset is None:
        return
    first, last = crossing.there.first_ns - offset, crossing.there.last_ns - offset + SETTLE_NS
    for k in np.flatnonzero(~met[q.carrier] & (inner.about >= 0))[:MOST].tolist():
        i = int(q.carrier[k])
        told = (q.src[k] == a.dst[i]).all()
        if told and first <= int(a.time_ns[i]) <= last and other.get(int(inner.about[k]), -1) not in quiet:
            found.own.append(Error(i, -1, int(a.proto[i]), _kind(a, i), int(q.proto[k])))


def _fragments(crossing: Crossing, here: Array, there: Array, match: Array, found: Passing) -> None:
    """Trains of fragments of which one frame was seen on both sides."""
    packets = (crossing.here.packets, crossing.there.packets)
    trains = [_trains(p) for p in packets]
    reverse = crossing.here.reverse[here]
    outward = crossing.matches.outward[match].astype(np.int64) * np.where(reverse == 1, -1, 1)
    done: set[tuple[int, ...]] = set()
    for i, j, way in zip(here.tolist(), there.tolist(), outward.tolist(), strict=True):
        if not way:
            continue
        ends = (i, j) if way > 0 else (j, i)
        sides = (0, 1) if way > 0 else (1, 0)
        p, q = packets[sides[0]], packets[sides[1]]
        key = tuple((int(trains[s][r][0]) if r in trains[s] else r) for s, r in zip(sides, ends, strict=True))
        key = (*key, int(p.time_ns[ends[0]]) // REASSEMBLY_NS)
        if key in done:
            continue
        done.add(key)
        came, left = (_train(packets[s], trains[s], r) for s, r in zip(sides, ends, strict=True))
        if len(came) == 1 and len(left) > 1:
            found.cut.append((i, j))
        if len(came) < 2 or not _end(p, came) or _end(p, came) != _end(q, left):
            continue
        (found.ordered if (np.diff(p.frag_offset[came].astype(np.int64)) > 0).all() else found.unordered).append((i, j))


def _trains(p: Packets) -> dict[int, Array]:
    """Rows of each datagram in fragments, by each of its rows."""
    rows = np.flatnonzero(p.flags & int(Flag.FRAGMENT) != 0)[: 8 * MOST]
    if not len(rows):
        return {}
    group = numbers(*(getattr(p, name)[rows] for name in ("src", "dst", "proto", "ip_id")))
    order = np.lexsort((rows, group))
    parts = np.split(rows[order], np.flatnonzero(np.diff(group[order])) + 1)
    return {int(r): part for part in parts for r in part.tolist()}


def _train(p: Packets, trains: dict[int, Array], row: int) -> Array:
    """The rows of this frame's datagram."""
    whole = trains.get(row, np.array([row]))
    time = p.time_ns
    return np.asarray(whole[np.abs(time[whole] - time[row]) <= REASSEMBLY_NS])


def _end(p: Packets, rows: Array) -> int:
    """Where the datagram's last byte lies, 0 if its first or a middle part is missing."""
    offset = p.frag_offset[rows].astype(np.int64) * 8
    head = np.where((offset == 0) & (p.flags[rows] & int(Flag.UDP) != 0), 8, 0)
    length = p.payload_len[rows].astype(np.int64) + head
    if (offset == 0).sum() == 0:
        return 0
    end = int((offset + length).max())
    order = np.argsort(offset, kind="stable")
    covered = 0
    for at, n in zip(offset[order].tolist(), length[order].tolist(), strict=True):
        if at > covered:
            return 0
        covered = max(covered, at + n)
    return end


def errors_finding(p: Passing, seen: Watch | None) -> Finding[str]:
    """What becomes of ICMP errors about mappings (RFC 5508 4.2): "translated", "quote-unchanged", or "dropped"."""
    crossed = p.inward + p.outward
    good = sum(1 for e in crossed if e.restored)
    note = f"{len(p.inward)} from outside and {len(p.outward)} from inside passed, {good} of them with the quoted packet as it must be"
    note += f"; {len(p.refused)} from outside about mappings in use did not get in"
    if crossed and good == len(crossed):
        return Finding("translated", good, len(p.refused), note)
    if crossed:
        return Finding("quote-unchanged" if not good else None, len(crossed) - good, good, note)
    if p.refused and seen is not None and seen.beyond_loss(len(p.refused)):
        return Finding("dropped", len(p.refused), 0, note)
    return Finding(None, 0, 0, note)


def fragments_finding(p: Passing) -> Finding[str]:
    """What becomes of fragments (RFC 4787 11), in the words of RFC 8512's fragment-behavior; only "any-order" can be told for sure."""
    passed = len(p.ordered) + len(p.unordered)
    note = f"{passed} datagrams in fragments passed whole, {len(p.unordered)} of them came out of order"
    return Finding("any-order" if p.unordered else None, len(p.unordered), 0, note)
