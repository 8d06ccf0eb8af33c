"""Cases: what judges of requirements look at, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

import numpy as np

from ..flow import Crossing, protocol_name
from ..table import Array
from .inference import Evidence, Inferred
from .passing import Passing
from .session import Sessions, crossed_until
from .translation import Translations


class Verdict(Enum):
    """What the captures say about a requirement; the value is what a reader sees."""

    MET = "met"
    """No exception in a situation that would have shown one: no more is ever proven."""
    VIOLATED = "violated"
    UNTESTED = "untested"
    NOT_APPLICABLE = "n/a"


@dataclass
class Case:
    """A verdict, why, and the frames that show it: rows of the inner and of the outer point."""

    verdict: Verdict
    note: str
    here: list[int] = field(default_factory=list)
    there: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Facts:
    """All that is known of a box, for judges."""

    crossing: Crossing
    t: Translations
    found: Inferred

    @property
    def passing(self) -> Passing:
        """Errors and fragments."""
        return self.found.evidence.passing

    @property
    def evidence(self) -> Evidence:
        """What the findings rest on."""
        return self.found.evidence

    @cached_property
    def sessions(self) -> Sessions:
        """The sessions, each until its last frame that crossed: what came later may have met no mapping."""
        return crossed_until(self.crossing, self.t, self.evidence.sessions)

    def of(self, proto: int) -> Sessions:
        """The sessions of one protocol."""
        return self.sessions.take(self.sessions.proto == proto)

    def case(self, verdict: Verdict, note: str, rows: Iterable[int] = ()) -> Case:
        """A case that the first frames of these translations show."""
        case = Case(verdict, note)
        for row in list(rows)[:MOST]:
            inner, outer = self.crossing.here.conversations, self.crossing.there.conversations
            turned = bool(self.t.hairpin[row])
            case.here.append(int(inner.first_row[self.t.inside_row[row]]))
            (case.here if turned else case.there).append(int((inner if turned else outer).first_row[self.t.outside_row[row]]))
        return case

    def beyond_loss(self, packets: int) -> bool:
        """Whether so many missing packets cannot have been lost by chance."""
        return self.evidence.watch is not None and self.evidence.watch.beyond_loss(packets)


MOST = 6
"""Conversations that one case names."""
Judge = Callable[[Facts], Case]


def untested(note: str) -> Case:
    """Nothing that was seen decides it."""
    return Case(Verdict.UNTESTED, note)


def name_of(proto: int) -> str:
    """A protocol as a sentence names it."""
    return protocol_name(proto).upper().replace("ICMPV6", "ICMPv6")


def rows_of(mask: Array) -> list[int]:
    """The first rows that a mask picks."""
    return [int(k) for k in np.flatnonzero(mask)[:MOST].tolist()]
