"""`nft -j list ruleset`: tables, sets, chains and rules (libnftables-json(5)).

What a rule tests or does that has no counterpart in the model makes the rule unknown, and its text says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice, product
from typing import Any

from ..nat.filters import STATES, STATUS
from ..terms import printable
from .nfttext import said, told
from .ruleset import (
    FLAG_BITS,
    MAPPED,
    MOST_PARTS,
    Chain,
    Deed,
    Match,
    Ranges,
    Rule,
    RulesError,
    Ruleset,
    UnmodelledError,
    address,
    icmp_kind,
    number,
    port,
    prefix,
    protocol_number,
)

VERSIONS = {"ip": (4,), "ip6": (6,), "inet": (4, 6)}
HOOKS = ("prerouting", "input", "forward", "output", "postrouting", "ingress", "egress")
BESIDE = {"counter", "log", "comment"}
"""Statements that change no packet's way."""
VERDICTS = ("accept", "drop", "return", "jump", "goto", "continue")
LOST = ("SNAT", "DNAT", "NETMAP", "REDIRECT")
"""Translations by iptables, of which JSON holds nothing but the name (nftables 1.0)."""
PORTED = {"tcp": 6, "udp": 17, "sctp": 132, "udplite": 136, "dccp": 33}
MARKS: tuple[dict[str, Any], ...] = ({"meta": {"key": "mark"}}, {"ct": {"key": "mark"}})
Sets = dict[tuple[str, str, str], Any]


def nft(text: str) -> Ruleset:
    """The ruleset. RulesError says which object of the list cannot be read."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RulesError(f"no JSON: {printable(str(error))}") from None
    objects = given.get("nftables") if isinstance(given, dict) else None
    if not isinstance(objects, list):
        raise RulesError("JSON, but not of `nft -j list ruleset`")
    found, sets, chains = Ruleset(), Sets(), dict[tuple[str, str, str], Chain]()
    for k, item in enumerate(objects):
        try:
            _object(item, found, sets, chains)
        except (RulesError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise RulesError(f"object {k + 1}: {printable(_text(error))}") from None
    for k, item in enumerate(objects):
        rule = item.get("rule") if isinstance(item, dict) else None
        if rule is None:
            continue
        try:
            key = str(rule["family"]), str(rule["table"]), str(rule["chain"])
            if key in chains:
                chains[key].rules += _rules(rule, key, sets)
        except (RulesError, TypeError, KeyError, AttributeError, IndexError, ValueError) as error:
            raise RulesError(f"object {k + 1}, a rule: {printable(_text(error))}") from None
        except RecursionError:
            raise RulesError(f"object {k + 1}, a rule: nested too deep") from None
    found.chains = list(chains.values())
    return found


def _text(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)[:200] or type(error).__name__


def _object(item: Any, found: Ruleset, sets: Sets, chains: dict[tuple[str, str, str], Chain]) -> None:
    """A set, map or chain; rules wait until all of these are known."""
    if not isinstance(item, dict) or len(item) != 1:
        raise RulesError("not an object with one name")
    ((kind, body),) = item.items()
    if kind == "metainfo" or kind == "table":
        return
    if kind in ("set", "map"):
        sets[str(body["family"]), str(body["table"]), str(body["name"])] = body.get("elem", [])
    elif kind == "chain":
        family, table, name = str(body["family"]), str(body["table"]), str(body["name"])
        hook = str(body.get("hook", ""))
        if family not in VERSIONS:
            found.beside.append(f"chain {family} {table} {name}: {family} rules")
            return
        if hook and hook not in HOOKS:
            raise RulesError(f"chain {name}: the hook {hook}")
        if hook in ("ingress", "egress"):
            found.beside.append(f"chain {family} {table} {name}: rules at {hook}")
            return
        priority = body.get("prio", 0)
        if isinstance(priority, bool) or not isinstance(priority, int):
            raise RulesError(f"chain {name}: the priority {priority!r}")
        chains[family, table, name] = Chain(name, f"{family} {table}", VERSIONS[family], hook, str(body.get("type", "filter")), priority,
                                            str(body.get("policy", "accept")))  # fmt: skip
    elif kind == "ct helper":
        found.helpers = True
        found.beside.append(f"ct helper {body.get('name', '')} ({body.get('type', '')}): the connections that it lets others open")
    elif kind == "flowtable":
        found.beside.append(f"flowtable {body.get('name', '')}: offloaded flows pass no rules and are not timed out as others are")


def _rules(rule: dict[str, Any], key: tuple[str, str, str], sets: Sets) -> list[Rule]:
    """A rule as one or, where it tests several things at once or has a map of verdicts, several."""
    expressions = rule["expr"]
    if not isinstance(expressions, list):
        raise RulesError("expr is no list")
    says = f"{key[1]} {key[2]}: {' '.join(said(e) for e in expressions)}"[:400]
    if rule.get("comment"):
        says += f' comment "{str(rule["comment"])[:80]}"'
    says = printable(says)
    ways: list[tuple[list[Match], Deed]] = [([], Deed())]
    unknown: list[str] = []
    for e in expressions:
        if not isinstance(e, dict) or len(e) != 1:
            raise RulesError("an expression is no object with one name")
        ((kind, body),) = e.items()
        if kind == "xt" and isinstance(body, dict) and body.get("name") == "MASQUERADE":
            ways = [(w, Deed("masquerade", flags=frozenset({"random"}))) for w, _ in ways]
            unknown.append("+the options of MASQUERADE, which nft does not tell of iptables' rules: any port is allowed")
            continue
        if kind == "xt" and isinstance(body, dict) and body.get("name") == "comment":
            continue
        if kind == "xt" and isinstance(body, dict) and body.get("name") in LOST:
            raise RulesError(f"{body['name']} was made by iptables, and nft does not tell its options: give the output of iptables-save")
        try:
            if kind == "match":
                ways = _crossed(ways, _matches(body, key, sets))
            elif kind == "vmap":
                ways = [(m + list(more), deed) for m, _ in ways for more, deed in islice(_vmap(body, key, sets), MOST_PARTS)]
            elif kind in VERDICTS:
                target = str(body["target"]) if isinstance(body, dict) and "target" in body else ""
                ways = [(m, Deed("" if kind == "continue" else kind, target)) for m, _ in ways]
            elif kind in ("snat", "dnat", "masquerade", "redirect"):
                more = [(w, d) for w, d in _translation(kind, body, key, sets)]
                ways = [(m + list(w), d) for m, _ in ways for w, d in more]
            elif kind == "reject":
                ways = [(m, Deed("reject", answer=_answer(body))) for m, _ in ways]
            elif kind not in BESIDE:
                # It does something else, or (limit, xt ...) decides whether the rule goes on.
                told(kind, body, unknown)
        except UnmodelledError as error:
            unknown.append(str(error))
        if len(ways) > MOST_PARTS:
            raise RulesError(f"stands for more than {MOST_PARTS} rules")
    if any(deed.kind in ("drop", "reject") for _, deed in ways):
        unknown = [part.removeprefix("+") if part.startswith("+limit") else part for part in unknown]
    return [Rule(tuple(m), deed, says, tuple(unknown)) for m, deed in ways]


def _crossed(ways: list[tuple[list[Match], Deed]], more: list[tuple[Match, ...]]) -> list[tuple[list[Match], Deed]]:
    if len(ways) * len(more) > MOST_PARTS:
        raise RulesError(f"stands for more than {MOST_PARTS} rules")
    return [(m + list(extra), deed) for (m, deed), extra in product(ways, more)]


def _elements(value: Any, key: tuple[str, str, str], sets: Sets) -> list[Any]:
    """The members of a right side: a set, a named set, or the one value."""
    if isinstance(value, str) and value.startswith("@"):
        name = key[0], key[1], value[1:]
        if name not in sets:
            raise UnmodelledError(f"the set {value[:60]}, which is not listed")
        value = sets[name]
    elif isinstance(value, dict) and "set" in value:
        value = value["set"]
    members = value if isinstance(value, list) else [value]
    if len(members) > MOST_PARTS:
        raise RulesError(f"a set of more than {MOST_PARTS} elements")
    return [m["elem"]["val"] if isinstance(m, dict) and isinstance(m.get("elem"), dict) and "val" in m["elem"] else m for m in members]


def _matches(body: dict[str, Any], key: tuple[str, str, str], sets: Sets) -> list[tuple[Match, ...]]:
    """A match as alternatives, each a conjunction."""
    left, op, right = body["left"], body.get("op", "=="), body["right"]
    if op not in ("==", "!=", "in", "<", ">", "<=", ">="):
        raise UnmodelledError(f"a comparison with {str(op)[:20]}")
    members = _elements(right, key, sets)
    if isinstance(left, dict) and "concat" in left:
        if op == "!=":
            raise UnmodelledError("a joined key that must not be in a set")
        return [tuple(m for part, value in zip(left["concat"], _joined(member), strict=True) for m in _match(part, "==", [value]))
                for member in members]  # fmt: skip
    return [tuple(_match(left, op, members))]


def _joined(member: Any) -> list[Any]:
    if not isinstance(member, dict) or not isinstance(member.get("concat"), list):
        raise UnmodelledError("a set of another kind than its key")
    return list(member["concat"])


def _match(left: Any, op: str, members: list[Any]) -> list[Match]:
    """One field against alternatives, with what naming that field implies (the protocol of a port)."""
    negated = op == "!="
    if not isinstance(left, dict) or not left:
        raise UnmodelledError("what a match looks at")
    if ("&" in left and left["&"][0] in MARKS) or left in MARKS:
        return _unmarked(left["&"][1] if "&" in left else 0xFFFFFFFF, op, members)
    if "&" in left:
        return _flags(left["&"], op, members)
    ((kind, body),) = left.items()
    if kind == "meta":
        return _meta(str(body["key"]), op, members)
    if kind == "ct":
        which = str(body["key"])
        table = {"state": STATES, "status": STATUS}.get(which)
        if table is None or any(not isinstance(m, str) or m not in table for m in members):
            raise UnmodelledError(f"ct {which} {', '.join(said(m) for m in members[:4])}")
        return [Match(which, tuple((table[m], table[m]) for m in members), negated=negated)]
    if kind == "fib":
        flags = body.get("flags", [])
        if body.get("result") == "type" and flags in ("daddr", ["daddr"]) and members == ["local"]:
            return [Match("local", negated=negated)]
        raise UnmodelledError(f"fib {said(body.get('flags', ''))} {body.get('result', '')}")
    if kind != "payload" or not isinstance(body, dict) or "protocol" not in body:
        raise UnmodelledError(said(left))
    protocol, name = str(body["protocol"]), str(body["field"])
    if protocol in ("ip", "ip6") and name in ("saddr", "daddr"):
        version = Match("version", ((4, 4),) if protocol == "ip" else ((6, 6),))
        ranges = tuple(_range(m, address) for m in members)
        return [version, Match({"saddr": "src", "daddr": "dst"}[name], ranges, negated=negated)]
    if protocol in ("ip", "ip6") and name in ("protocol", "nexthdr"):
        return [Match("proto", tuple(_range(m, lambda x: (protocol_number(x),) * 2) for m in members), negated=negated)]
    if (protocol in PORTED or protocol == "th") and name in ("sport", "dport"):
        implied = [] if protocol == "th" else [Match("proto", ((PORTED[protocol],) * 2,))]
        return [*implied, Match(name, _ports(op, members), negated=negated)]
    if protocol in ("icmp", "icmpv6") and name == "type":
        proto = 1 if protocol == "icmp" else 58
        kinds = tuple((k, k) for k in sorted({icmp_kind(proto, m) for m in members}))
        return [Match("proto", ((proto, proto),)), Match("kind", kinds, negated=negated)]
    if protocol == "tcp" and name == "flags" and op == "in":  # any of these
        return [Match("proto", ((6, 6),)), Match("flags", ((_bits(members), 0),), negated=True)]
    if protocol == "tcp" and name == "flags" and op in ("==", "!="):
        pairs = tuple((0xFF, _bits(m)) for m in members)
        return [Match("proto", ((6, 6),)), Match("flags", pairs, negated=negated)]
    raise UnmodelledError(f"{protocol} {name}")


def _meta(key: str, op: str, members: list[Any]) -> list[Match]:
    negated = op == "!="
    if key in ("iifname", "iif", "oifname", "oif"):
        if not all(isinstance(m, str) for m in members):
            raise UnmodelledError(f"{key} by number")
        return [Match(key[:3], names=tuple(members), negated=negated)]
    if key == "l4proto":
        return [Match("proto", tuple(_range(m, lambda x: (protocol_number(x),) * 2) for m in members), negated=negated)]
    versions = {"ipv4": 4, "ipv6": 6, "ip": 4, "ip6": 6, 2: 4, 10: 6}
    if key in ("nfproto", "protocol") and all(isinstance(m, str | int) and m in versions for m in members):
        return [Match("version", tuple((versions[m],) * 2 for m in members), negated=negated)]
    raise UnmodelledError(f"meta {key}")


def _unmarked(mask: Any, op: str, members: list[Any]) -> list[Match]:
    """A test of marks, which packets are taken to have none of."""
    if op not in ("==", "!=", "in") or (0 in [number(m, 0xFFFFFFFF) for m in members]) is (op == "!=") or not isinstance(mask, int):
        raise UnmodelledError("a mark")
    return []


def _flags(parts: Any, op: str, members: list[Any]) -> list[Match]:
    """tcp flags & mask == value."""
    left, mask = parts
    if left != {"payload": {"protocol": "tcp", "field": "flags"}} or op not in ("==", "!="):
        raise UnmodelledError(said({"&": parts}))
    bits = _bits(mask)
    return [Match("proto", ((6, 6),)), Match("flags", tuple((bits, _bits(m)) for m in members), negated=op == "!=")]


def _bits(value: Any) -> int:
    """TCP flags by name, number or as several of them."""
    if isinstance(value, dict) and "|" in value:
        value = value["|"]
    if isinstance(value, list):
        total = 0
        for part in value:
            total |= _bits(part)
        return total
    if isinstance(value, str) and value in FLAG_BITS:
        return FLAG_BITS[value]
    return number(value, 0xFFF)


def _range(value: Any, read: Any) -> tuple[int, int]:
    """A value, {"range": [a, b]} or {"prefix": {"addr", "len"}} as first and last."""
    if isinstance(value, dict) and "range" in value:
        low, high = value["range"]
        first, last = read(low)[0], read(high)[1]
        if first > last:
            raise RulesError(f"{said(value)} goes backwards")
        return first, last
    if isinstance(value, dict) and "prefix" in value:
        return address(f"{value['prefix']['addr']}/{number(value['prefix']['len'], 128)}")
    if isinstance(value, dict | list):
        raise UnmodelledError(said(value))
    found: tuple[int, int] = read(value)
    return found


def _ports(op: str, members: list[Any]) -> Ranges:
    ranges = tuple(_range(m, lambda x: (port(x),) * 2) for m in members)
    if op in ("==", "!=", "in"):
        return ranges
    at = ranges[0][0]
    return {"<": ((0, at - 1),), "<=": ((0, at),), ">": ((at + 1, 65535),), ">=": ((at, 65535),)}[op]


def _vmap(body: dict[str, Any], key: tuple[str, str, str], sets: Sets) -> Iterator[tuple[tuple[Match, ...], Deed]]:
    """A map from values to verdicts: a rule each."""
    turns = isinstance(body["key"], dict) and ("numgen" in body["key"] or "jhash" in body["key"])
    for member in _elements(body["data"], key, sets):
        value, verdict = member
        if isinstance(value, dict) and isinstance(value.get("elem"), dict):
            value = value["elem"]["val"]
        ((kind, target),) = verdict.items()
        if kind not in VERDICTS:
            raise UnmodelledError(f"a map to {kind}")
        called = str(target["target"]) if isinstance(target, dict) else ""
        deed = Deed("" if kind == "continue" else kind, called, flags=frozenset({"shared"} if turns else ()))
        if turns:
            yield (), deed
            continue
        left = body["key"]
        if isinstance(left, dict) and "concat" in left:
            yield tuple(m for part, v in zip(left["concat"], _joined(value), strict=True) for m in _match(part, "==", [v])), deed
        else:
            yield tuple(_match(left, "==", [value])), deed


def _translation(kind: str, body: Any, key: tuple[str, str, str], sets: Sets) -> Iterator[tuple[tuple[Match, ...], Deed]]:
    """snat, dnat, masquerade or redirect; a map to addresses is a rule each."""
    body = body or {}
    flags = body.get("flags", [])
    flags = frozenset(str(f) for f in (flags if isinstance(flags, list) else [flags]))
    ports = _range(body["port"], lambda x: (port(x),) * 2) if "port" in body and not _is_map(body["port"]) else None
    where = body.get("addr")
    if "port" in body and ports is None:
        raise UnmodelledError("ports from a map")
    if not _is_map(where):
        yield (), Deed(kind, addresses=None if where is None else _range(where, address), ports=ports, flags=flags)
        return
    left, data = where["map"]["key"], where["map"]["data"]
    free = isinstance(left, dict) and ("numgen" in left or "jhash" in left or "symhash" in left)
    for value, to in _elements(data, key, sets):
        matches = () if free else tuple(_match(left, "==", [value]))
        at = ports
        if isinstance(to, dict) and "concat" in to:
            to, behind = to["concat"]
            at = _range(behind, lambda x: (port(x),) * 2)
        target = _range(to, address)
        if "netmap" in flags or isinstance(to, dict):
            moved = next((m for m in matches if m.field in ("src", "dst")), None)
            yield matches, Deed("netmap", kind, target, at, flags, of=moved.ranges[0] if moved else None)
        else:
            yield matches, Deed(kind, addresses=target, ports=at, flags=flags | ({"shared"} if free else frozenset()))


def _is_map(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("map"), dict)


def _answer(body: Any) -> str:
    """What a reject answers: "tcp reset" or the name of an ICMP code."""
    if not isinstance(body, dict):
        return ""
    return "tcp reset" if body.get("type") == "tcp reset" else str(body.get("expr", ""))[:40]


__all__ = ["MAPPED", "nft", "prefix"]
