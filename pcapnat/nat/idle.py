"""Timeouts: how long a mapping outlived silence, and after which silence it was gone (RFC 4787 4.3, 5382 5, 5508 3.2).

Proof that one survived is a packet from outside that still got in; one that leaves as before proves it only where the
box would have chosen a new port. Proof that it is gone is a packet from outside that did not get in, or the same
conversation leaving with another source. Silence before a survival is counted from the last frame of either
direction and silence before an end from the last one outwards, so that both hold whatever refreshes the timer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..flow import Crossing
from ..table import Array
from ..terms import Finding
from ..wire import Flag
from .session import TCP, UDP, numbers
from .translation import Translations
from .watch import QUIET_NS, Watch, before

Interval = list[float | None]
STREAM_NS = 2_000_000_000
"""Linux gives the longer time to what goes on for 2 s; a shorter exchange is neither kind for sure."""


Silence = tuple[int, int, int]
"""Its length in ns, and the outer point's rows of the frames before and after it; -1 where the frame is not known."""


@dataclass
class Bounds:
    """What was seen of one timer."""

    survived: list[Silence] = field(default_factory=list)
    gone: list[Silence] = field(default_factory=list)

    def finding(self) -> Finding[Interval]:
        """The longest silence that was survived, and the shortest that was not."""
        longest, shortest = max((s[0] for s in self.survived), default=None), min((s[0] for s in self.gone), default=None)
        note = f"{len(self.survived)} silences survived, {len(self.gone)} did not"
        if shortest is None and (longest is None or longest < QUIET_NS):
            return Finding(None, 0, 0, "no silence that tells")
        if longest is not None and shortest is not None and longest >= shortest:
            return Finding(None, 0, 0, f"{note}, and they contradict: survived {longest / 1e9:.3f} s, gone after {shortest / 1e9:.3f} s")
        value = [None if longest is None else longest // 1_000_000 / 1000, None if shortest is None else -(-shortest // 1_000_000) / 1000]
        return Finding(value, len(self.survived) + len(self.gone), 0, note)


@dataclass(frozen=True)
class Timeouts:
    """An interval of seconds for each timer: [longest survived, shortest that was too long]."""

    udp_idle_s: Finding[Interval]
    """Of a mapping that nobody answered yet."""
    udp_reply_idle_s: Finding[Interval]
    """Of one that was answered and went on for 2 s."""
    tcp_idle_s: Finding[Interval]
    """Of an established connection."""
    tcp_transitory_idle_s: Finding[Interval]
    """Of one whose SYN nobody answered, or with a FIN."""
    icmp_idle_s: Finding[Interval]
    proofs: dict[str, tuple[Silence | None, Silence | None]]
    """By the name of a finding: the silences that give its two numbers."""


def timeouts(crossing: Crossing, t: Translations, seen: Watch | None, renews: bool | None) -> tuple[Timeouts, Course | None]:
    """What silences in conversations say, and the frames around them. renews: every session gets a port of its own; None: not known."""
    kinds = {name: Bounds() for name in ("udp", "reply", "tcp", "transitory", "icmp")}
    rows = np.flatnonzero(
        (t.kind & 1 == 1) & (t.from_outside == 0) & (t.hairpin == 0) & (t.ended == 0) & np.isin(t.proto, (1, TCP, UDP, 58))
    )
    course = None
    if seen is not None and len(rows):
        door = numbers(t.proto[rows], t.outside_src[rows], t.outside_sport[rows])
        alone = rows[np.bincount(door)[door] == 1]  # a mapping that serves several conversations may live by another one
        moved = _moved(crossing, t, rows)
        sure = renews is True or (renews is None and len(moved) > 0)
        course = _course(crossing, t, np.sort(alone))
        _survivals(course, sure, kinds)
        _refusals(course, t, seen, kinds)
        single = set(alone.tolist())
        _moves(course, t, crossing, [pair for pair in moved if pair[0] in single], kinds)
    found = {NAMES[name]: bounds.finding() for name, bounds in kinds.items()}
    proofs = {NAMES[name]: (max(b.survived, default=None), min(b.gone, default=None)) for name, b in kinds.items()}
    return Timeouts(**found, proofs=proofs), course


NAMES = {
    "udp": "udp_idle_s",
    "reply": "udp_reply_idle_s",
    "tcp": "tcp_idle_s",
    "transitory": "tcp_transitory_idle_s",
    "icmp": "icmp_idle_s",
}
"""What the finding about a kind of silence is called."""


def _moved(crossing: Crossing, t: Translations, rows: Array) -> list[tuple[int, int]]:
    """Pairs of translations of one inside conversation: it left with another source later on."""
    first = crossing.there.conversations.first_ns[t.outside_row[rows]]
    ordered = rows[np.lexsort((first, t.inside_row[rows]))]
    again = np.flatnonzero(t.inside_row[ordered[1:]] == t.inside_row[ordered[:-1]]) if len(ordered) else np.zeros(0, np.int64)
    return [(int(ordered[k]), int(ordered[k + 1])) for k in again.tolist()]


@dataclass(frozen=True)
class Course:
    """Frames of conversations at the outer point, conversation by conversation in order of time."""

    time: Array
    frame: Array
    """Its row among the outer point's packets."""
    row: Array
    """Its translation."""
    out: Array
    passed: Array
    """It was seen at the inner point too."""
    last: Array
    """The frame before it that passed, -1 for none."""
    last_out: Array
    """The last one outwards of those."""
    kind: Array
    """Which timer ran before it, an index of KINDS; -1 for none that is asked for."""


KINDS = ("udp", "exchange", "reply", "tcp", "transitory", "icmp")
"""An exchange is UDP that was answered but did not go on for long."""


def _course(crossing: Crossing, t: Translations, chosen: Array) -> Course:
    """The frames of these translations."""
    port, p, m = crossing.there, crossing.there.packets, crossing.matches
    of = np.full(len(port.conversations), -1, np.int64)
    of[t.outside_row[chosen]] = chosen
    rows = np.flatnonzero((port.conversation >= 0) & (p.flags & int(Flag.QUOTE) == 0))
    rows = rows[of[port.conversation[rows]] >= 0]
    rows = rows[np.lexsort((rows, p.time_ns[rows], of[port.conversation[rows]]))]
    crossed = np.zeros(len(p), bool)
    crossed[crossing.frames.there[m.hairpin[crossing.frames.match] == 0]] = True
    time, row, passed, flags = p.time_ns[rows], of[port.conversation[rows]], crossed[rows], p.tcp_flags[rows]
    proto = t.proto[row]
    echo = np.isin(proto, (1, 58))
    out = (p.src[rows] == t.outside_src[row]).all(axis=1) & ((p.sport[rows] == t.outside_sport[row]) | echo)
    start = np.flatnonzero(np.append(True, row[1:] != row[:-1])) if len(row) else np.zeros(0, np.int64)
    begins = np.repeat(start, np.diff(np.append(start, len(row))))
    last, last_out = before(passed, row), before(passed & out, row)
    answered = before(passed & ~out, row) >= 0
    lasted = np.where(last >= 0, time[last] - time[begins], 0)
    fins = [before((flags & 1 != 0) & side, row) >= 0 for side in (out, ~out)]
    over = (before(flags & 4 != 0, row) >= 0) | (fins[0] & fins[1])
    kind = np.select(
        [echo, proto == UDP, over, fins[0] | fins[1] | ~answered],
        [5, np.where(~answered, 0, np.where(lasted > STREAM_NS, 2, 1)), -1, 4],
        3,
    )
    return Course(time, rows, row, out, passed, last, last_out, np.where(last >= 0, kind, -1))


def _survivals(c: Course, sure: bool, bounds: dict[str, Bounds]) -> None:
    """The longest silence of each conversation after which something still passed that only a living mapping lets pass."""
    told = np.flatnonzero(c.passed & (c.kind >= 0) & (~c.out | sure))
    silence = c.time[told] - c.time[c.last[told]]
    for number, name in enumerate(KINDS):
        mine = c.kind[told] == number
        if mine.any():
            rows, quiet = told[mine], silence[mine]
            order = np.lexsort((quiet, c.row[rows]))
            most = order[np.append(np.diff(c.row[rows[order]]) != 0, True)]  # each conversation's longest
            most = most[quiet[most] > 0]
            after = rows[most]
            # Answered mappings do not live shorter than others: what an exchange survived, a stream does.
            bounds["reply" if name == "exchange" else name].survived += list(
                zip(quiet[most].tolist(), c.frame[c.last[after]].tolist(), c.frame[after].tolist(), strict=True)
            )


def _refusals(c: Course, t: Translations, seen: Watch, bounds: dict[str, Bounds]) -> None:
    """Silences after which a packet from outside did not get in."""
    lone = np.flatnonzero(~c.passed & ~c.out & (c.kind >= 0) & (c.last_out >= 0))
    lone = lone[c.time[lone] - c.time[c.last[lone]] >= QUIET_NS]
    refused: dict[int, list[int]] = {}
    for k in lone.tolist():
        if seen.covers(int(c.time[k])) and not _short_lived(t, int(c.row[k])):
            refused.setdefault(int(c.row[k]), []).append(k)
    for rows in refused.values():
        if seen.beyond_loss(len(rows)):
            name = KINDS[int(c.kind[rows[0]])]
            k = rows[0]
            silence = int(c.time[k] - c.time[c.last_out[k]]), int(c.frame[c.last_out[k]]), int(c.frame[k])
            bounds["udp" if name == "exchange" else name].gone.append(silence)


def _moves(c: Course, t: Translations, crossing: Crossing, moved: list[tuple[int, int]], bounds: dict[str, Bounds]) -> None:
    """Silences after which a conversation left with another source."""
    first = crossing.there.conversations.first_ns
    begin, end = np.searchsorted(c.row, np.arange(len(t)), "left"), np.searchsorted(c.row, np.arange(len(t)), "right")
    for old, new in moved:
        rows = np.arange(begin[old], end[old])
        new_ns = int(first[t.outside_row[new]])
        passed = rows[(c.time[rows] < new_ns) & c.passed[rows]]
        out = passed[c.out[passed]]
        if not len(out) or _short_lived(t, old):
            continue
        silence, quiet = new_ns - int(c.time[out[-1]]), new_ns - int(c.time[passed[-1]])
        if quiet < QUIET_NS:
            continue
        proof = silence, int(c.frame[out[-1]]), int(crossing.there.conversations.first_row[t.outside_row[new]])
        # The timer that ran is that of a frame after the last one; there may be none, so it is told from the last.
        answered, lasted = bool((~c.out[passed]).any()), int(c.time[passed[-1]] - c.time[passed[0]])
        if int(t.proto[old]) == UDP:
            bounds["udp" if not answered or lasted <= STREAM_NS else "reply"].gone.append(proof)
        elif int(t.proto[old]) == TCP and c.kind[passed[-1]] in (3, -1) and answered:
            bounds["tcp"].gone.append(proof)


def _short_lived(t: Translations, row: int) -> bool:
    """UDP to system ports may have a shorter time (RFC 4787 REQ-5a)."""
    return int(t.proto[row]) == UDP and 0 <= int(t.outside_dport[row]) < 1024
