"""Chains that drop or reject as the model's filter rules."""

from __future__ import annotations

from ..nat.filters import Action, Condition, Filter, Hook
from .ruleset import MOST_RULES, Chain, Match, RulesError, Ruleset, Step, steps
from .sides import Sides

CONNTRACK, DESTINATION, SOURCE = -200, -100, 100
"""Priorities at which netfilter looks states up and translates."""


def filters_of(rules: Ruleset, sides: Sides, unmodelled: list[str]) -> tuple[Filter, ...]:
    """The filter rules, in the order of hooks and priorities; what is left out is added to `unmodelled`."""
    found: list[Filter] = []
    number = 0
    order = ("prerouting", "input", "forward", "postrouting", "output")
    base = [c for c in rules.chains if c.hook in order and c.kind != "nat"]
    for chain in sorted(base, key=lambda c: (order.index(c.hook), c.priority)):
        row = steps(rules, chain)
        if chain.policy != "drop" and not any(s.rule.deed.kind in ("drop", "reject") for s in row):
            continue  # it lets everything through
        if chain.hook == "output":
            unmodelled.append(f"{chain.table} {chain.name}: rules for what the box itself sends")
            continue
        hook = _hook(chain)
        if hook is None:
            unmodelled.append(f"{chain.table} {chain.name}: rules between destination NAT and routing")
            continue
        found += _filters(row, chain, hook, number, sides, unmodelled)
        number += 1
        if len(found) > MOST_RULES:
            raise RulesError(f"more than {MOST_RULES} filter rules")
    return tuple(found)


def _hook(chain: Chain) -> Hook | None:
    """Where the model has a chain of this hook and priority."""
    if chain.hook == "prerouting":
        return Hook.RAW if chain.priority <= CONNTRACK else Hook.PREROUTING if chain.priority < DESTINATION else None
    if chain.hook == "postrouting":
        return Hook.POSTROUTING if chain.priority > SOURCE else Hook.FORWARD
    return Hook.INPUT if chain.hook == "input" else Hook.FORWARD


def _filters(row: list[Step], chain: Chain, hook: Hook, number: int, sides: Sides, unmodelled: list[str]) -> list[Filter]:
    """One chain. A rule that is left out leaves a hole, which is closed in the end."""
    made: list[Filter | None] = []
    for step in row:
        deed = step.rule.deed
        action = {"accept": Action.ACCEPT, "drop": Action.DROP, "jump": Action.ENTER, "goto": Action.ENTER, "return": Action.SKIP}.get(
            deed.kind
        )
        if deed.kind == "reject":
            action = Action.RESET if deed.answer == "tcp reset" else Action.ICMP
        if action is None:
            made.append(None)
            continue
        conditions, why = _conditions(step.rule.matches, sides, hook)
        if "shared" in deed.flags:
            conditions, why = None, "chosen by turns or by chance"
        if any(not part.startswith("+") for part in step.rule.unknown):
            conditions = None
        elif conditions is None and why:
            unmodelled.append(f"{step.rule.says} (not modelled: {why})")
        if conditions is None:
            # It cannot be said when this holds: it does not, and a chain that it calls is passed over.
            made.append(Filter(hook, number, Action.SKIP, (), step.skip, step.rule.says) if action is Action.ENTER else None)
            continue
        made.append(Filter(hook, number, action, conditions, step.skip, step.rule.says, deed.answer if deed.kind == "reject" else ""))
    if len(chain.versions) == 1:
        version = Condition("version", ((chain.versions[0],) * 2,), negated=True)
        made.insert(0, Filter(hook, number, Action.ACCEPT, (version,), 0, "not of this table's version of IP"))
    if chain.policy == "drop":
        made.append(Filter(hook, number, Action.DROP, (), 0, f"{chain.table} {chain.name}: policy drop"))
    return _closed(made)


def _closed(made: list[Filter | None]) -> list[Filter]:
    """Without holes; skips are counted anew."""
    place = [0]
    for f in made:
        place.append(place[-1] + (f is not None))
    out = []
    for k, f in enumerate(made):
        if f is not None:
            skip = place[min(k + 1 + f.skip, len(made))] - place[k + 1] if f.skip else 0
            out.append(Filter(f.hook, f.chain, f.action, f.conditions, skip, f.says, f.answer))
    return out


def _conditions(matches: tuple[Match, ...], sides: Sides, hook: Hook) -> tuple[tuple[Condition, ...] | None, str]:
    """Conditions as the model has them, None and why if one has no counterpart."""
    out = []
    for m in matches:
        if m.field in ("iif", "oif"):
            if m.names == ("lo",):
                if m.negated:
                    continue  # nothing that is captured crosses the loopback interface
                return None, ""
            meant = sides.meant(m)
            if meant is None:
                return None, "it cannot be told on which side its interfaces are"
            out.append(Condition("entered" if m.field == "iif" else "leaves", tuple((s, s) for s in sorted(meant))))
        elif m.field == "local":
            if hook not in (Hook.INPUT, Hook.FORWARD):
                return None, "whether the destination is the box's own"
            if (hook is Hook.INPUT) is m.negated:
                return None, ""
        else:
            out.append(Condition(m.field, m.ranges, m.negated))
    return tuple(out), ""
