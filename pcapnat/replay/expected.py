"""The outside capture that a forecast expects: which frames there are, with what header, and why, in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from ..address import text
from ..flow import Port
from ..model import ERROR, REASONS, Choice, Disposition
from ..table import Array
from ..wire import Ends, Flag
from .forecast import Forecast

V = TypeVar("V")
CHOSEN = {
    int(Choice.FIXED): "the model leaves no other endpoint",
    int(Choice.HINTED): "one of many endpoints that the model allows",
    int(Choice.FREE): "one of many endpoints that the model allows",
    int(Choice.REFUSED): "one of many endpoints that the model allows",
}


@dataclass
class Expected:
    """Per row of the port's packets what to write of it; see `outside`, `says`. left: why frames are not written, with counts."""

    port: Port
    forecast: Forecast
    at: Array
    """(n,) which played frame a row is, -1 for none."""
    first: dict[int, int]
    """Session to the played frame that made it."""
    tunnelled: Array
    """(n,) rows whose packet is carried in another."""
    left: Counter[str] = field(default_factory=Counter)
    _ends: dict[tuple[int, int, int], tuple[Ends, bool]] = field(default_factory=dict)
    _said: dict[tuple[int, int, int], tuple[str, str]] = field(default_factory=dict)
    """What was made for a session's frames of one side and disposition: the next one's is the same."""

    def outside(self, row: int) -> tuple[Ends, int, Ends | None, bool] | None:
        """What the frame of a row looks like outside: ends, TTL, the ends of what it quotes, and whether its IP version changes to 4.

        None for a frame that is not seen outside.
        """
        i = int(self.at[row])
        if i < 0:
            return None
        played = self.forecast.played
        t, v = played.traffic, played.verdicts
        key = int(v.session[i]), int(t.side[i]), int(v.disposition[i])
        plain = key[0] >= 0 and t.kind[i] != ERROR and t.fragment[i] < 2
        if plain and key in self._ends and not self.tunnelled[row]:
            ends, to_four = self._ends[key]
            return ends, int((v if key[1] == 0 else t).ttl[i]), None, to_four
        outward = t.side[i] == 0
        if outward and (v.side[i] != 1 or v.disposition[i] not in (int(Disposition.TRANSLATED), int(Disposition.FORWARDED))):
            return None
        if self.tunnelled[row]:
            self.left["in a tunnel: which of the packets in one another is translated is not known"] += 1
            return None
        h = v if outward else t
        inside, outside = self.port.packets.src[row], (_is_four(h.src[i]), _is_four(h.dst[i]))
        to_four = all(outside) and not _is_four(inside)
        if outside[0] != outside[1] or (_is_four(inside) and not all(outside)) or (to_four and t.kind[i] == ERROR):
            self.left["between IPv6 and IPv4 in a way that the model does not translate (ICMP errors)"] += 1
            return None
        # Fragments after the first hold no ports.
        ported = t.kind[i] not in (0, 255, ERROR) and t.fragment[i] < 2
        ends = Ends(_bytes(h.src[i]), _bytes(h.dst[i]), int(h.sport[i]) if ported else -1, int(h.dport[i]) if ported else -1)
        quoted = None
        if t.kind[i] == ERROR:
            q, k = (played.inner if outward else played.quotes), int(t.quote[i])
            known = int(q.kind[k]) not in (0, 255)
            quoted = Ends(_bytes(q.src[k]), _bytes(q.dst[k]), int(q.sport[k]) if known else -1, int(q.dport[k]) if known else -1)
        if plain:
            _remember(self._ends, key, (ends, to_four))
        return ends, int(h.ttl[i]), quoted, to_four

    def says(self, row: int) -> tuple[str, str]:
        """Why: what is said of a row's frame inside, and outside; nothing where there is nothing to say."""
        i = int(self.at[row])
        who = self.forecast.who
        if i < 0:
            if who.stays[row]:
                return "stays inside: between hosts inside, or to or from the box itself", ""
            if who.answers[row]:
                return "came from outside in a conversation that the model knows nothing of: where it was sent to is not known", ""
            return "", ""
        played = self.forecast.played
        t, v = played.traffic, played.verdicts
        what, session = int(v.disposition[i]), int(v.session[i])
        key = session, int(t.side[i]), what
        plain = session >= 0 and t.kind[i] != ERROR and what == int(Disposition.TRANSLATED) and self.first.get(session) != i
        if plain and key in self._said:
            inside, outside = self._said[key]
            return inside, outside.replace(PLACE, str(row + 1), 1)
        if plain:
            _remember(self._said, key, self._why(i, PLACE))
        return self._why(i, str(row + 1))

    def _why(self, i: int, number: str) -> tuple[str, str]:
        """What is said of a played frame; number: its number in words."""
        played = self.forecast.played
        t, v = played.traffic, played.verdicts
        reason = REASONS[int(v.reason[i])].value
        if v.barred[i] >= 0:
            reason += f": {self.forecast.behavior.filters[int(v.barred[i])]}"
        what, session = int(v.disposition[i]), int(v.session[i])
        came = _ends(t.src[i], t.sport[i], t.dst[i], t.dport[i], int(t.kind[i]))
        gone = _ends(v.src[i], v.sport[i], v.dst[i], v.dport[i], int(t.kind[i]))
        numbered = f"frame {number} of {self.port.name}"
        if t.side[i] == 1:
            if what == int(Disposition.DROPPED):
                return f"the model would not let it in: {reason}", f"{numbered} as it came from outside; the model drops it: {reason}"
            if what == int(Disposition.LOCAL):
                return f"the model would not let it in: {reason}", f"{numbered} as it came from outside; {reason}"
            made = "makes" if self.first.get(session) == i else "in"
            return "", f"{numbered} as it came from outside; {made} session {session}: goes to {gone}"
        if what == int(Disposition.DROPPED):
            return f"the model drops it: {reason}", ""
        if what == int(Disposition.LOCAL):
            return reason, ""
        if v.side[i] == 0:
            return f"session {session}: turned round, to leave inside as {gone}", ""
        if what == int(Disposition.FORWARDED):
            why = f": {reason}" if int(v.reason[i]) else ": it is not translated"
            return "", f"{numbered}, leaves as it came{why}"
        if t.kind[i] == ERROR:
            return "", f"{numbered}: ICMP error about session {session}, both headers translated"
        if self.first.get(session) == i:
            choice = CHOSEN.get(int(v.choice[i]), "made before")
            return "", f"{numbered}: {came} leaves as {gone}; makes session {session}: {choice}"
        return "", f"{numbered}: {came} leaves as {gone}; session {session}"


PLACE = "\0"
"""Where the frame's number goes in what is remembered; no name of a point holds it, as none on a command line does."""
MOST_REMEMBERED = 100_000


def _remember(where: dict[tuple[int, int, int], V], key: tuple[int, int, int], value: V) -> None:
    """Keep a value; nothing else if there are too many."""
    if len(where) >= MOST_REMEMBERED:
        where.clear()
    where[key] = value


def expected(port: Port, forecast: Forecast) -> Expected:
    """What is to be written of a forecast."""
    played = forecast.played
    at = np.full(len(port.packets), -1, np.int64)
    at[played.rows] = np.arange(len(played.rows))
    made = np.flatnonzero(played.verdicts.session >= 0)
    sessions, where = np.unique(played.verdicts.session[made], return_index=True)
    tunnelled = np.zeros(len(port.packets), bool)
    tunnelled[port.outer.carrier] = True
    return Expected(port, forecast, at, dict(zip(sessions.tolist(), made[where].tolist(), strict=True)), tunnelled)


def unreadable(port: Port) -> int:
    """Frames of IP whose headers are cut."""
    flags = port.packets.flags
    return int(((flags & int(Flag.IP) != 0) & (flags & int(Flag.SHORT) != 0)).sum())


def _is_four(address: Array) -> bool:
    return int(address[0]) == 0 and int(address[1]) >> 32 == 0xFFFF


def _bytes(address: Array) -> bytes:
    high, low = int(address[0]), int(address[1])
    return (low & 0xFFFFFFFF).to_bytes(4, "big") if high == 0 and low >> 32 == 0xFFFF else (high << 64 | low).to_bytes(16, "big")


def _ends(src: Array, sport: int, dst: Array, dport: int, kind: int) -> str:
    """Two endpoints as people write them."""
    one, other = text(*src.tolist()), text(*dst.tolist())
    if kind in (0, 255, ERROR):
        return f"{one} to {other}"
    if kind > 1:
        return f"{one} to {other}, identifier {sport}"
    return f"{_end(one, int(sport))} to {_end(other, int(dport))}"


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
