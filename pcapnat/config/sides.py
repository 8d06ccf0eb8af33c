"""On which side of a NAT the interfaces are that its rules name."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..terms import printable
from .ruleset import Chain, Match, Ruleset, Step

SOURCE = ("snat", "masquerade")
BOTH = frozenset((0, 1))


@dataclass(frozen=True)
class Sides:
    """Names of interfaces inside and outside; given: those that the user named. No name outside: nothing is known of any."""

    inside: frozenset[str]
    outside: frozenset[str]
    given: bool = False
    known: bool = True
    """Whether anything tells sides apart."""

    def of(self, matches: tuple[Match, ...], name: str) -> set[int] | None:
        """The sides (0 inside, 1 outside) that conditions on `iif` or `oif` leave; None if that is not known."""
        left = set(BOTH)
        for m in matches:
            if m.field == name:
                meant = self.meant(m)
                if meant is None:
                    return None
                left &= meant
        return left

    def meant(self, m: Match) -> set[int] | None:
        """The sides one condition leaves."""
        if not self.known:
            return None
        found = {side for side, names in ((0, self.inside), (1, self.outside)) if any(_fits(n, m.names) for n in names)}
        if not m.negated:
            return found
        # `!= docker0` leaves the other interfaces of that side, if there are any; one that is the capture's is meant.
        return set(BOTH) - found

    def notes(self) -> list[str]:
        """What was concluded, as a user reads it."""
        if not self.known:
            return ["no rule tells which interface is outside: rules about interfaces are left out; outside_interface=NAME says it"]
        said = f"outside is {_list(self.outside) or 'any other interface'}" + (f", inside is {_list(self.inside)}" if self.inside else "")
        return [
            f"{said}, {'as given' if self.given else 'as the rules use them'}"
            + ("; if only one of these was captured, inside_interface=NAME says which" if len(self.inside) > 1 else "")
        ]


def found_sides(rules: Ruleset, nat: list[tuple[Chain, list[Step]]], inside: str, outside: str) -> Sides:
    """Sides by what the user says, then by what translation rules do."""
    out: set[str] = set()
    within: set[str] = set()
    for chain, row in sorted(nat, key=lambda pair: pair[0].hook != "postrouting"):
        masked = frozenset(out) if chain.hook == "prerouting" else frozenset()
        for step in row:
            matches = step.around + step.rule.matches
            came, leaves = (_names(matches, f, False) for f in ("iif", "oif"))
            # What is for some destinations only, or for what was forwarded, may well turn round inside.
            special = any(m.field == "status" or (m.field == "dst" and not m.negated) for m in matches)
            if chain.hook == "postrouting" and step.rule.deed.kind in (*SOURCE, "netmap") and not came & leaves and not special:
                out |= leaves
                within |= came | _names(matches, "oif", True)
            if chain.hook == "postrouting" and step.rule.deed.kind in SOURCE and any(m.field == "status" for m in matches):
                within |= leaves  # servers that ports are forwarded to are inside
            if chain.hook == "prerouting" and step.rule.deed.kind in ("dnat", "netmap"):
                # Where source NAT tells the way out, what comes in elsewhere and is sent on (a reflected port) comes from inside.
                out |= came & masked if masked else came
                within |= _names(matches, "iif", True)
    out -= within
    if not out and not within:
        within = _of_hosts(rules, nat)
    known = bool(out or within or inside or outside)
    every = {n for c in rules.chains for r in c.rules for m in r.matches for n in m.names} - {"lo"}
    if outside:
        out = {outside}
    within = {inside} if inside else every - out
    return Sides(frozenset(within - out), frozenset(out), bool(inside or outside), known)


def _of_hosts(rules: Ruleset, nat: list[tuple[Chain, list[Step]]]) -> set[str]:
    """Interfaces that rules accept the translated hosts' packets from, or for them on their way there."""
    hosts = [span for chain, row in nat if chain.hook == "postrouting" for step in row if step.rule.deed.kind in SOURCE
             for m in step.around + step.rule.matches if m.field == "src" and not m.negated for span in m.ranges]  # fmt: skip
    found: set[str] = set()
    for rule in (rule for chain in rules.chains for rule in chain.rules if rule.deed.kind == "accept"):
        for name, end in (("iif", "src"), ("oif", "dst")):
            spans = [span for m in rule.matches if m.field == end and not m.negated for span in m.ranges]
            if spans and all(any(low <= a and b <= high for low, high in hosts) for a, b in spans):
                found |= _names(rule.matches, name, False)
    return found


def _names(matches: tuple[Match, ...], name: str, negated: bool) -> set[str]:
    return {n for m in matches if m.field == name and m.negated is negated for n in m.names} - {"lo"}


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a name is one of these; both may end in a star (nft) or plus (iptables, as a star by then)."""
    return any(name == p or fnmatchcase(name, p.replace("[", "[[]").replace("?", "[?]")) for p in patterns)


def _list(names: frozenset[str]) -> str:
    return printable(", ".join(sorted(names)[:6])) + (" ..." if len(names) > 6 else "")
