"""Crossing a box: which conversation here is which conversation there.

1. Conversations that share rare fingerprints vote for each other (fingerprint.py); nothing else is ever compared.
2. The clock comes from matches that are beyond doubt; from then on a time that does not fit speaks against a pair.
3. What boxes usually leave alone (the far endpoint) and what this box was seen to do with a host speak for a pair.
   They choose among candidates; they never make one.
4. Best pairs first, one to one in time: a conversation that the box moved to a new mapping has two counterparts, one
   after the other, never two at once. Two candidates that fit equally well are left undecided.
5. What says the same as many others is told apart by when it does, once clocks and delays are known (timing.py).
6. If the capturing system numbered the packets, its numbers outweigh all that, and what was found without them is held against
   them (identity.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ..kernel import beside, together
from ..table import Array, Table, column
from ..terms import Clock, Reason
from ..wire import Flag
from . import clock as clocks
from .assign import assign
from .clock import Step, Travel
from .coalesced import coalesced
from .conversation import Conversations
from .fingerprint import By, Candidates, Index
from .frames import FramePairs, Members, align, frame_pairs, lone
from .port import Port
from .stream import ended, streams
from .timing import by_time

if TYPE_CHECKING:
    from .identity import Identity

SURE_BITS = 60.0
SAME_FRAME_NS = 50_000_000
"""Delay that is nothing special; each doubling beyond it costs a pair one bit per fingerprint's average."""
ENOUGH_FRAMES = 1 << 18
"""What holds for one in several of so many frames holds for all."""
HAIRPIN_NS = 100_000_000
"""Copies of one frame at one port are a forwarding delay apart; ten times what a busy home router needs."""


class Matches(Table):
    """One row per matched pair of conversations."""

    here = column("int64", "conversation at the first port")
    there = column("int64", "conversation at the second port (of the first, for a hairpin)")
    flip = column("uint8", "1 if a here is b there")
    bits = column("float64", "evidence in all", unit="bits")
    margin = column("float64", "evidence beyond the best rival", unit="bits")
    by = column("int64", "what it rests on, see By")
    outward = column("int8", "direction a to b here: 1 leaves through the box, -1 comes from it, 0 unknown")
    hairpin = column("uint8", "1 if both conversations are at the first port")
    ended = column("uint8", "1 if the box ends the TCP connection and has another one of its own on the other side")

    def confidence(self) -> Array:
        """Odds of the pair against its best rival or chance, as a probability; never said to be certain."""
        return np.asarray(1.0 - np.exp2(-np.minimum(self.margin, 20.0)))


@dataclass
class Crossing:
    """Two ports of a box and what of one is what of the other."""

    here: Port
    there: Port
    matches: Matches
    clock: Clock
    unmatched_here: dict[int, Reason] = field(default_factory=dict)
    unmatched_there: dict[int, Reason] = field(default_factory=dict)
    identity: Identity | None = None
    """What packets' identifiers say, if both ports have any."""
    frames: FramePairs = field(default_factory=lambda: FramePairs.empty(0))
    lone_here: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """Rows of matched conversations at the first port that have no counterpart (not of those that the box ended)."""
    lone_there: Array = field(default_factory=lambda: np.zeros(0, np.int64))


def cross(here: Port, there: Port) -> Crossing:
    """Find which conversation at one port of a box is which at the other."""
    index = Index(here, there, ~here.to_group(), ~there.to_group())
    members = Members(here), Members(there)
    listed = [beside(one.sort) for one in members]
    kept = index.keeps_identification()
    candidates = index.candidates(kept)
    numbered = without = None
    if here.sided and there.sided:
        from . import identity  # here, as few captures number their packets

        numbered = identity.known(here, there)
        if numbered and len(numbered[1]):
            clock = clocks.compare(*_travel(index, candidates)[:3], here.first_ns)
            judge(candidates, here, there, clock)
            without, _ = _with_streams(here, there, _matches(candidates, *assign(candidates)[:2]), clock)
            candidates = identity.added(candidates, numbered[1])
    travel = _travel(index, candidates)
    clock, steps = clocks.stepped(travel, here.first_ns)
    shown = there
    if steps:
        index.other = index.there = there = _set_back(there, steps)
        candidates = index.candidates(kept)
        travel = _travel(index, candidates)
        clock = clocks.compare(*travel[:3], here.first_ns)
        clock.notes += [_says(shown, step) for step in steps]
    judge(candidates, here, there, clock)
    chosen, margin, undecided_here, undecided_there = assign(candidates)
    matches = _matches(candidates, chosen, margin)
    matches, clock = _with_streams(here, there, matches, clock)
    timed = by_time(here, there, matches.here, matches.there, clock, travel)
    judge(timed, here, there, clock)
    matches = Matches.join([matches, _matches(timed, *assign(timed)[:2])])
    hairpins = _hairpins(here, matches)
    crossing = Crossing(here, shown, Matches.join([matches, hairpins]), clock)
    if numbered:
        crossing.identity = numbered[0]
        if without is not None:
            identity.check(*numbered, (without.here, without.there), (matches.here, matches.there))
    done_here = np.concatenate([matches.here, hairpins.here, hairpins.there])
    for wait in listed:
        wait()
    _frames(crossing, there, members, (kept, _keeps_stamps(here, there, travel)))
    crossing.unmatched_here = _reasons(index, True, clock, done_here, candidates.here, undecided_here)
    crossing.unmatched_there = _reasons(index, False, clock, matches.there, candidates.there, undecided_there)
    return crossing


def _set_back(port: Port, steps: list[Step]) -> Port:
    """The same point, its times as if nobody had set a clock."""
    p = port.packets
    times = p.time_ns.copy()
    for step in steps:
        times[step.row :] -= step.step_ns
    return replace(port, packets=type(p)(**{name: times if name == "time_ns" else getattr(p, name) for name in p.columns}))


def _says(port: Port, step: Step) -> str:
    seconds = step.step_ns / 1e9
    way = "further ahead" if seconds > 0 else "further behind"
    return f"from frame {step.row + 1} at {port.name} on, its clock is {abs(seconds):.3f} s {way}: one of the two was set"


def _keeps_stamps(here: Port, there: Port, t: Travel) -> bool:
    """Whether the box leaves TCP timestamps alone, by frames that are surely one."""
    a, b = here.packets, there.packets
    some = slice(None, None, 1 + len(t.here_row) // ENOUGH_FRAMES)
    i, j = t.here_row[some], t.there_row[some]
    both = a.flags[i] & b.flags[j] & np.uint32(Flag.TIMESTAMPS) != 0
    same = a.tsval[i[both]] == b.tsval[j[both]]
    return bool(same.sum() > 0.9 * len(same)) if len(same) else False


def _frames(crossing: Crossing, there: Port, members: tuple[Members, Members], kept: tuple[bool, bool]) -> None:
    """Which frame is which, in every matched conversation that is one and the same on both sides. there: with times by one clock."""
    here, m = crossing.here, crossing.matches
    at_here, at_there = members
    pairs, paired, matched_there = [], [np.zeros(len(p.packets), bool) for p in (here, there)], np.zeros(0, np.int64)
    for hairpin, port, other, clock in ((0, there, at_there, crossing.clock), (1, here, at_here, Clock(0, 0, 0, 0))):
        number = np.flatnonzero((m.hairpin == hairpin) & (m.ended == 0))
        if len(number):
            rows = m.here[number], m.there[number]
            found = align(here, port, (at_here, other), rows, m.flip[number], number, clock, kept)
            coalesced(here, port, rows, m.flip[number], number, clock, kept[0], found)
            pairs.append(frame_pairs(found))
            paired[0] |= found.mate_here >= 0
            paired[0 if hairpin else 1] |= found.mate_there >= 0
            matched_there = matched_there if hairpin else rows[1]
    crossing.frames = FramePairs.join(pairs)
    whole = m.ended == 0
    both = np.concatenate([m.here[whole], m.there[whole & (m.hairpin == 1)]])

    def lone_here() -> None:
        crossing.lone_here = lone(at_here, both, paired[0])

    def lone_there() -> None:
        crossing.lone_there = lone(at_there, matched_there, paired[1])

    together(lone_here, lone_there)


def _with_streams(here: Port, there: Port, matched: Matches, clock: Clock) -> tuple[Matches, Clock]:
    """Also the TCP conversations that a box ended or renumbered, among those without a counterpart."""
    candidates, clock = streams(here, there, matched.here, matched.there, clock)
    if not len(candidates):
        return matched, clock
    judge(candidates, here, there, clock)
    more = _matches(candidates, *assign(candidates)[:2])
    more.ended[:] = ended(here, there, more.here, more.there)
    return Matches.join([matched, more]), clock


def _travel(index: Index, candidates: Candidates) -> Travel:
    """When frames of pairs beyond doubt passed either port, and which way, each frame's fingerprint occurring once on either side."""
    trusted = np.full(len(index.here.conversations), -1, np.int64)
    if len(candidates):
        best_here = _best(candidates.here, candidates.packet_bits)
        best_there = _best(candidates.there, candidates.packet_bits)
        sure = candidates.packet_bits >= min(SURE_BITS, float(candidates.packet_bits.max()))
        sure &= (candidates.packet_bits == best_here[candidates.here]) & (candidates.packet_bits == best_there[candidates.there])
        trusted[candidates.here[sure]] = candidates.there[sure]
    return index.travel(trusted)


def _best(group: Array, value: Array) -> Array:
    """Per group number the largest value."""
    best = np.zeros(int(group.max()) + 1)
    np.maximum.at(best, group, value)
    return best


def judge(c: Candidates, here: Port, there: Port, clock: Clock) -> None:
    """Add to the packets' evidence what endpoints, clock and the box's habits say."""
    a, b = here.conversations, there.conversations
    flip = c.flip == 1
    near_address, near_port = other_end(b, c.there, flip, False)
    far_address, far_port = other_end(b, c.there, flip, True)
    same_a = same_host(a.a[c.here], near_address)
    same_b = same_host(a.b[c.here], far_address)
    same_a_port, same_b_port = a.a_port[c.here] == near_port, a.b_port[c.here] == far_port
    # ICMP identifiers stand at both ends and are translated as one: only the address counts.
    query = np.isin(a.proto[c.here], (1, 58))
    whole_a, whole_b = same_a & (same_a_port | query), same_b & (same_b_port | query)
    far = np.select([whole_a & whole_b, whole_a | whole_b, same_a | same_b], [20.0, 16.0, 4.0], -20.0)
    kept_port = np.where(same_a_port & same_b_port, 4.0, 0.0)
    c.by[:] |= np.where(far > 0, int(By.FAR_END), 0)
    expected = (clock.offset_ns or 0) + clock.drift_ppb * 1e-9 * (c.here_first - here.first_ns)
    late = np.abs(c.delay - expected) / SAME_FRAME_NS if clock.offset_ns is not None else np.zeros(len(c))
    c.bits[:] = c.packet_bits + far + kept_port - 2 * np.log2(1 + np.maximum(late - 1, 0))
    # Habits: which address a host becomes, learned from pairs beyond doubt.
    host = _pair_ids(a.a[c.here], near_address) if len(c) else np.zeros(0, np.int64)
    sure = c.packet_bits >= SURE_BITS
    usual = np.isin(host, np.unique(host[sure]))
    c.bits[:] += np.where(usual & ~sure, 6.0, 0.0)


def same_host(one: Array, other: Array) -> Array:
    """(n,) whether two addresses are the same, or an IPv4 address and an IPv6 address that ends in it (RFC 6052 2.2, /96)."""
    v4 = (one[:, 0] == 0) & (one[:, 1] >> np.uint64(32) == 0xFFFF), (other[:, 0] == 0) & (other[:, 1] >> np.uint64(32) == 0xFFFF)
    embedded = (v4[0] != v4[1]) & ((one[:, 1] ^ other[:, 1]) & np.uint64(0xFFFFFFFF) == 0)
    return np.asarray((one == other).all(axis=1) | embedded)


def other_end(c: Conversations, rows: Array, flip: Array, far: bool) -> tuple[Array, Array]:
    """(addresses, ports) at the second port of the end that is a (or b, if far) at the first."""
    use_b = flip ^ far
    address = np.where(use_b[:, None], c.b[rows], c.a[rows])
    return address, np.where(use_b, c.b_port[rows], c.a_port[rows])


def _pair_ids(one: Array, other: Array) -> Array:
    """A number per different (address, address); two that share one are as rare as any two 64-bit hashes that are equal."""
    mixed = np.zeros(len(one), np.uint64)
    for half in (one[:, 0], one[:, 1], other[:, 0], other[:, 1]):
        mixed = (mixed ^ half) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _matches(c: Candidates, chosen: Array, margin: Array) -> Matches:
    order = np.lexsort((c.there_first[chosen], c.here_first[chosen], c.here[chosen]))
    k = chosen[order]
    return Matches(
        here=c.here[k],
        there=c.there[k],
        flip=c.flip[k],
        bits=c.bits[k],
        margin=margin[order] if len(k) else np.zeros(0),
        by=c.by[k],
        outward=np.sign(c.outward[k]).astype(np.int8),
        hairpin=np.zeros(len(k), np.uint8),
        ended=np.zeros(len(k), np.uint8),
    )


def _hairpins(port: Port, matched: Matches) -> Matches:
    """Conversations that enter and leave the box at the same port: the same frames under two tuples.

    Two hosts that send alike must not pass for one. What only a hairpin shows: each shared frame's TTL fell on the way
    from one conversation to the other, requests and replies in the opposite sense; its copies are milliseconds apart;
    the box rewrote whom the client asked for (it asked for an outside address, and an inside host answered); and the
    proof is in numbers that hosts do not repeat. A traceroute looks like a hairpin but for the last two.
    """
    left = np.ones(len(port.conversations), bool)
    left[matched.here] = False
    c = Index(port, None, left & ~port.to_group()).candidates(strict=True)
    if not len(c):
        return Matches.empty(0)
    judge(c, port, port, Clock(0, 0, 0, 0))
    asks_b = port.conversations.client()[c.here] != 1
    asked, _ = other_end(port.conversations, c.here, ~asks_b, True)
    answers, _ = other_end(port.conversations, c.there, (c.flip == 1) ^ ~asks_b, True)
    rewritten = (asked != answers).any(axis=1)
    proven = c.by & int(By.ISN | By.SEQUENCE | By.IP_ID) != 0
    real = (np.abs(c.outward) == c.shared) & (np.abs(c.delay) < HAIRPIN_NS) & rewritten & proven
    c.bits[:] = np.where(real, c.bits + 8.0, 0.0)
    chosen, margin, _, _ = assign(c)
    matches = _matches(c, chosen, margin)
    matches.hairpin[:] = 1
    return matches


def _reasons(index: Index, at_here: bool, clock: Clock, done: Array, candidates: Array, undecided: set[int]) -> dict[int, Reason]:
    """Why each remaining conversation of one port has no counterpart at the other."""
    port, other = (index.here, index.there) if at_here else (index.there, index.here)
    to_mine = None if clock.offset_ns is None else -clock.offset_ns if at_here else clock.offset_ns  # None: times say nothing
    speaking = index.speaking_here if at_here else index.speaking_there
    c = port.conversations
    open_ = np.ones(len(c), bool)
    open_[done] = False
    group = port.to_group()
    common = index.echoed(open_, at_here)  # what it says occurs on the other side, too often to tell whose it is
    rated = np.zeros(len(c), bool)
    rated[candidates] = True
    comparable = to_mine is not None and len(other.packets) > 0
    begin, end = other.first_ns + (to_mine or 0), other.last_ns + (to_mine or 0)
    reasons: dict[int, Reason] = {}
    for i in np.flatnonzero(open_).tolist():
        if group[i]:
            reasons[i] = Reason.GROUP
        elif _link_local(c.a[i]) or _link_local(c.b[i]):
            reasons[i] = Reason.LINK_LOCAL
        elif i in undecided:
            reasons[i] = Reason.RIVALS
        elif comparable and c.last_ns[i] < begin:
            reasons[i] = Reason.BEFORE
        elif comparable and c.first_ns[i] > end:
            reasons[i] = Reason.AFTER
        elif rated[i]:
            reasons[i] = Reason.FEW
        else:
            reasons[i] = Reason.NOTHING_KEPT if common[i] or not speaking[i] else Reason.ABSENT
    return reasons


def _link_local(address: Array) -> bool:
    high, low = int(address[0]), int(address[1])
    return high >> 54 == 0xFE80 >> 6 or (high == 0 and low >> 16 == 0xFFFF_A9FE)
