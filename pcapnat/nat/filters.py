"""Filter rules of a NAT: which packets it lets through, before and after translation.

A rule is a conjunction of conditions over what a packet is at the rule's hook. Rules of one chain are tried in order; a chain that is
called from another stands in its place, behind a rule that skips it (netfilter's jump and return without a stack).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Hook(Enum):
    """Where on a packet's way a rule stands, in netfilter's words."""

    RAW = "raw"
    """As it arrives, before any state is looked up: what is dropped here touches no session."""
    PREROUTING = "prerouting"
    """As it arrives, of a session or not, not translated yet."""
    FORWARD = "forward"
    """Its destination is translated, its source not yet."""
    INPUT = "input"
    """It is for the box itself."""
    POSTROUTING = "postrouting"
    """As it leaves."""


class Action(Enum):
    """What a rule does with a packet that meets its conditions."""

    ACCEPT = "accept"
    """This chain is done with it."""
    DROP = "drop"
    RESET = "reject with tcp reset"
    ICMP = "reject with icmp"
    SKIP = "skip"
    """The next rules do not concern it, so many as `skip` says."""
    ENTER = "enter"
    """The next rules concern only such packets; others pass over so many as `skip` says."""


NEW, ESTABLISHED, RELATED, INVALID, UNTRACKED = range(5)
STATES = {"new": NEW, "established": ESTABLISHED, "related": RELATED, "invalid": INVALID, "untracked": UNTRACKED}
SNAT, DNAT = range(2)
STATUS = {"snat": SNAT, "dnat": DNAT}
FIELDS = ("src", "dst", "sport", "dport", "proto", "version", "kind", "entered", "leaves", "state", "status", "flags", "fragment")


@dataclass(frozen=True)
class Condition:
    """A field in one of some ranges low..high, or in none of them.

    src, dst: 128 bits, IPv4 as ::ffff:a.b.c.d. entered, leaves: 0 inside, 1 outside. state, status: see above. version: 4 or 6. kind: ICMP
    as model.Traffic has it. flags: pairs of mask and value instead of ranges. fragment: 1 for later fragments.
    """

    field: str
    ranges: tuple[tuple[int, int], ...]
    negated: bool = False


@dataclass(frozen=True)
class Filter:
    """One rule. chain: rules of one number are one after the other; what one chain accepts, the next may still drop.

    says: the rule as it was written, for people. answer: the kind of ICMP message of a reject, "" for the usual one.
    """

    hook: Hook
    chain: int
    action: Action
    conditions: tuple[Condition, ...] = ()
    skip: int = 0
    says: str = ""
    answer: str = ""

    def __str__(self) -> str:
        return self.says or f"{self.hook.value}: {self.action.value}"
