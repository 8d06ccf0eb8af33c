"""Rulesets as netfilter has them, whoever wrote them down: chains of rules, a rule being conditions and an action."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace

from ..nat.behavior import PROTOCOLS

LARGEST = 32 << 20
"""Bytes of a file that says what a NAT does; the largest seen (a host of containers) has three million."""
MOST_RULES = 1 << 16
"""Rules with called chains and sets written out; more are refused."""
MOST_PARTS = 1 << 14
"""Elements of one set that are written out as rules."""
DEEPEST = 16
"""Chains called from one another, as in the kernel."""

Ranges = tuple[tuple[int, int], ...]
MAPPED = 0xFFFF << 32
MULTICAST: Ranges = ((MAPPED + 0xE0000000, MAPPED + 0xEFFFFFFF), (0xFF << 120, (1 << 128) - 1))
BROADCAST: Ranges = ((MAPPED + 0xFFFFFFFF, MAPPED + 0xFFFFFFFF),)


class RulesError(ValueError):
    """Something that cannot be read; the text says what."""


class UnmodelledError(ValueError):
    """Something that is understood to be there and has no counterpart in the model; the text says what."""


@dataclass(frozen=True)
class Match:
    """A condition. iif, oif: names, `*` at the end for any rest. local: whether the destination is the box's own (ranges are not used).

    Other fields as nat.filters.Condition has them.
    """

    field: str
    ranges: Ranges = ()
    names: tuple[str, ...] = ()
    negated: bool = False


@dataclass(frozen=True)
class Deed:
    """What a rule does.

    kind: accept drop reject jump goto return snat dnat masquerade redirect netmap, or "" for nothing that concerns packets' way.
    addresses: 128-bit low and high of the target; ports: low and high of it; of: for netmap, the prefix that is moved.
    """

    kind: str = ""
    target: str = ""
    addresses: tuple[int, int] | None = None
    ports: tuple[int, int] | None = None
    flags: frozenset[str] = frozenset()
    answer: str = ""
    of: tuple[int, int] | None = None
    more: tuple[tuple[int, int], ...] = ()
    """Further addresses, of rules among which this one is chosen by turns or by chance (flag "shared", also of calls)."""


@dataclass(frozen=True)
class Rule:
    """One rule as it stands in its chain. unknown: parts of it that are not modelled, so that it cannot be said when it holds."""

    matches: tuple[Match, ...]
    deed: Deed
    says: str
    unknown: tuple[str, ...] = ()


@dataclass
class Chain:
    """Rules in order. hook "" for a chain that is only called. versions: of IP, (4,), (6,) or both."""

    name: str
    table: str
    versions: tuple[int, ...] = (4, 6)
    hook: str = ""
    kind: str = "filter"
    priority: int = 0
    policy: str = "accept"
    rules: list[Rule] = field(default_factory=list)


@dataclass
class Ruleset:
    """Everything that was said. beside: what is not modelled and belongs to no rule."""

    chains: list[Chain] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    helpers: bool = False
    """Whether connections may open others (FTP ...), which no rule names."""

    def called(self, table: str, name: str, versions: tuple[int, ...]) -> Chain | None:
        """The chain of a table by name."""
        for chain in self.chains:
            if chain.name == name and chain.table == table and set(versions) & set(chain.versions):
                return chain
        return None


@dataclass(frozen=True)
class Step:
    """A rule where packets meet it: called chains are written out. around: the conditions of the calls that lead to it."""

    rule: Rule
    around: tuple[Match, ...]
    skip: int = 0
    """For jump: so many steps are the called chain's; for return: so many are left of this chain."""


def steps(rules: Ruleset, chain: Chain) -> list[Step]:
    """A base chain as a row of steps. Raises RulesError for calls that never end or too many rules."""
    out: list[Step] = []
    _write(rules, chain, (), out, 0)
    return out


def _write(rules: Ruleset, chain: Chain, around: tuple[Match, ...], out: list[Step], depth: int) -> None:
    if depth > DEEPEST:
        raise RulesError(f"chain {chain.name}: called from more than {DEEPEST} others")
    begin = len(out)
    ends: list[int] = []
    for rule in chain.rules:
        if len(out) > MOST_RULES:
            raise RulesError(f"chain {chain.name}: more than {MOST_RULES} rules with those of called chains")
        out.append(Step(rule, around))
        if rule.deed.kind == "return":
            ends.append(len(out) - 1)
        if rule.deed.kind in ("jump", "goto"):
            at = len(out) - 1
            called = rules.called(chain.table, rule.deed.target, chain.versions)
            if called:
                _write(rules, called, around + rule.matches, out, depth + 1)
            out[at] = replace(out[at], skip=len(out) - at - 1)
            if rule.deed.kind == "goto" and not rule.unknown and "shared" not in rule.deed.flags:
                out.append(Step(Rule(rule.matches, Deed("return"), rule.says), around))
                ends.append(len(out) - 1)
    for at in ends:
        out[at] = replace(out[at], skip=len(out) - at - 1)
    assert len(out) >= begin


def address(text: object) -> tuple[int, int]:
    """An address or prefix as its first and last, 128 bits; IPv4 as ::ffff:a.b.c.d. RulesError for what is none."""
    try:
        net = ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        raise RulesError(f"{str(text)[:60]} is no address") from None
    low, high = int(net.network_address), int(net.broadcast_address)
    return (low + MAPPED, high + MAPPED) if net.version == 4 else (low, high)


def written(number: int) -> str:
    """A 128-bit address as people write it."""
    if number >> 32 == 0xFFFF:
        return str(ipaddress.IPv4Address(number & 0xFFFFFFFF))
    return str(ipaddress.IPv6Address(number))


def prefix(low: int, high: int) -> str | None:
    """The prefix that goes from low to high, None if there is none; a single address without a length."""
    size = high - low + 1
    if size <= 0 or size & (size - 1) or low & (size - 1):
        return None
    bits = (32 if low >> 32 == 0xFFFF else 128) - (size.bit_length() - 1)
    if bits < 0:
        return None
    return written(low) if size == 1 else f"{written(low)}/{bits}"


def prefixes(low: int, high: int) -> list[str]:
    """The prefixes that together go from low to high."""
    if low == high:
        return [written(low)]
    if low > high:
        raise RulesError(f"{written(low)} comes after {written(high)}")
    if low >> 32 == 0xFFFF and high >> 32 == 0xFFFF:
        first, last = (ipaddress.IPv4Address(n & 0xFFFFFFFF) for n in (low, high))
        return [str(net) for net in ipaddress.summarize_address_range(first, last)]
    begin, end = ipaddress.IPv6Address(low), ipaddress.IPv6Address(high)
    return [str(net) for net in ipaddress.summarize_address_range(begin, end)]


def number(text: object, most: int = 0xFFFF) -> int:
    """A number from a file, 0..most; RulesError for another."""
    if isinstance(text, bool) or not isinstance(text, int | str):
        raise RulesError(f"{str(text)[:60]!r} is no number")
    if isinstance(text, str):
        if not text.isascii() or not text.isdecimal() or len(text) > 12:
            raise RulesError(f"{text[:60]!r} is no number")
        text = int(text)
    if not 0 <= text <= most:
        raise RulesError(f"{text} is more than {most}")
    return text


def port(text: object) -> int:
    """A port given as a number or as the name of a service."""
    if isinstance(text, str) and not text.isdecimal():
        found = SERVICES.get(text)
        if found is None:
            raise UnmodelledError(f"the service {text[:40]}")
        return found
    return number(text)


def protocol_number(text: object) -> int:
    """A protocol given as a number or by name."""
    if isinstance(text, str) and text in NAMES:
        return NAMES[text]
    if isinstance(text, str) and not text.isdecimal():
        raise UnmodelledError(f"the protocol {text[:40]}")
    return number(text, 255)


NAMES = {**{k: v for k, v in PROTOCOLS.items() if k}, "ipv6-icmp": 58, "icmp6": 58, "ah": 51, "dccp": 33, "igmp": 2, "ipv6": 41, "ipip": 4,
         "ospf": 89, "vrrp": 112, "comp": 108, "udp-lite": 136}  # fmt: skip
SERVICES = {"ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "bootps": 67, "bootpc": 68,
            "tftp": 69, "http": 80, "kerberos": 88, "pop3": 110, "sunrpc": 111, "ntp": 123, "netbios-ns": 137,
            "netbios-dgm": 138, "netbios-ssn": 139, "imap2": 143, "snmp": 161, "bgp": 179, "ldap": 389, "https": 443,
            "microsoft-ds": 445, "isakmp": 500, "syslog": 514, "submission": 587, "ldaps": 636, "imaps": 993,
            "pop3s": 995, "ms-sql-s": 1433, "nfs": 2049, "mysql": 3306, "ms-wbt-server": 3389, "sip": 5060,
            "mdns": 5353, "postgresql": 5432, "http-alt": 8080}  # fmt: skip
FLAG_BITS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "ece": 64, "cwr": 128}
QUERY_KINDS = {(1, 8): 2, (1, 0): 3, (1, 13): 4, (1, 14): 5, (1, 15): 6, (1, 16): 7, (1, 17): 8, (1, 18): 9, (58, 128): 2, (58, 129): 3}
"""What the model calls the ICMP types that ask and answer; the types of errors are all one to it."""
ERROR_KIND, OTHER_KIND = 254, 255
ERROR_TYPES = {1: (3, 4, 11, 12), 58: (1, 2, 3, 4)}
ICMP_NAMES = {"echo-reply": (1, 0), "destination-unreachable": (1, 3), "source-quench": (1, 4), "redirect": (1, 5), "echo-request": (1, 8),
              "router-advertisement": (1, 9), "router-solicitation": (1, 10), "time-exceeded": (1, 11), "parameter-problem": (1, 12),
              "timestamp-request": (1, 13), "timestamp-reply": (1, 14), "info-request": (1, 15), "info-reply": (1, 16),
              "address-mask-request": (1, 17), "address-mask-reply": (1, 18)}  # fmt: skip
ICMP6_NAMES = {"destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4, "echo-request": 128,
               "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131, "mld-listener-done": 132,
               "mld-listener-reduction": 132, "nd-router-solicit": 133, "nd-router-advert": 134, "nd-neighbor-solicit": 135,
               "nd-neighbor-advert": 136, "nd-redirect": 137, "router-solicitation": 133, "router-advertisement": 134,
               "neighbour-solicitation": 135, "neighbour-advertisement": 136, "neighbor-solicitation": 135, "neighbor-advertisement": 136,
               "redirect": 137, "mld2-listener-report": 143}  # fmt: skip


def icmp_kind(proto: int, text: object) -> int:
    """What the model calls a type of ICMP; all that tells of errors is one."""
    if isinstance(text, str) and not text.isdecimal():
        names = ICMP6_NAMES if proto == 58 else {k: v for k, (_, v) in ICMP_NAMES.items()}
        if text not in names:
            raise UnmodelledError(f"the ICMP type {text[:40]}")
        kind = names[text]
    else:
        kind = number(text, 255)
    if kind in ERROR_TYPES[proto]:
        return ERROR_KIND
    return QUERY_KINDS.get((proto, kind), OTHER_KIND)
