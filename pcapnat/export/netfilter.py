"""What netfilter can do of a behavior: the plan that nft and iptables write down, each in its words (Linux 6.12, nf_nat_core.c)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace

from ..nat.behavior import Hairpin, Invalid, Mapping, NatBehavior, Pooling, PortChoice, PortRange, Static, Unsolicited, protocol
from ..nat.presets import preset
from .unsaid import Site, Told, endless

BASE = "linux-masquerade"
MOST_SINGLE = 1024
"""Addresses of a pool with gaps that are listed one by one."""
FULL = ((0, 65535), (1, 65535), (1024, 65535))
"""Ranges that are as good as none."""
TCP_STATES = {
    "established": "tcp_idle_s",
    "syn_sent": "tcp_syn_s",
    "syn_recv": "tcp_synack_s",
    "fin_wait": "tcp_fin_s",
    "close_wait": "tcp_close_wait_s",
    "last_ack": "tcp_last_ack_s",
    "time_wait": "tcp_time_wait_s",
    "close": "tcp_reset_s",
}
UDP_STATES = {"unreplied": "udp_idle_s", "replied": "udp_reply_idle_s"}


@dataclass
class Family:
    """The rules of one IP version. forwards: static rules with an outside endpoint each, those that share one side by side."""

    version: int
    both: list[Static] = field(default_factory=list)
    """Addresses translated one for one, both ways."""
    neutral: list[Static] = field(default_factory=list)
    forwards: list[list[Static]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    """Prefixes that are translated; none: all."""
    dynamic: bool = False
    pool: list[tuple[str, str]] = field(default_factory=list)
    """Outside addresses from, to; none: the interface's own (masquerade)."""
    ranges: list[PortRange] = field(default_factory=list)
    fully_random: bool = False
    persistent: bool = False
    hairpin_to: str = ""
    """What hairpinned conversations get as their source."""

    def addresses(self) -> list[str]:
        """The pool's addresses, one by one."""
        out: list[str] = []
        for low, high in self.pool:
            first, last = ipaddress.ip_address(low), ipaddress.ip_address(high)
            out += [str(first + k) for k in range(int(last) - int(first) + 1)]
        return out


@dataclass
class Plan:
    """What both languages say. hairpin: whether forwarded ports are reached from inside, too."""

    families: list[Family]
    hairpin: bool
    drop_invalid: bool
    udp: dict[str, int]
    tcp: dict[str, int]
    icmp: int | None
    told: Told

    def notes(self) -> list[str]:
        """What is left to say in comments."""
        told = self.told
        out = list(told.notes)
        out += [f"{name}: not seen to end" for name in endless(told.behavior, told.site.free)]
        return out + told.left(preset(BASE).behavior)


def plan(behavior: NatBehavior, site: Site) -> Plan:
    """Netfilter's rules for a behavior, and notes on what they do otherwise."""
    told = Told(behavior, site)
    told.said |= {"addresses", "inside", "static", "router", "nat64", "invalid"}
    hairpin = told.has("hairpin") and behavior.hairpin is not Hairpin.NONE
    families = [family for family in (_family(told, version, hairpin) for version in (4, 6)) if family]
    if behavior.nat64:
        told.note(
            f"NAT64 is no work of netfilter: Jool or TAYGA with prefix {behavior.nat64}, pool {', '.join(behavior.addresses) or 'any'}"
        )
    if hairpin and told.has("hairpin_dynamic") and behavior.hairpin_dynamic:
        told.note("hairpin: from inside, only forwarded ports are reached, not mappings that other hosts have made")
    told.said |= {"pooling", "port_choice", "port_ranges", "keeps_any_port", "block_size"}
    _mapping(told, families)
    if told.has("filtering") and behavior.filtering.depth < 2:
        told.note(f"filtering = {behavior.filtering.value}: netfilter lets in answers only (address-and-port-dependent)")
    if told.has("port_overloading") and not behavior.port_overloading:
        told.note("port_overloading = false: netfilter uses a port again towards other destinations")
    if told.has("unsolicited") and behavior.unsolicited is Unsolicited.DROP:
        told.note("unsolicited = drop: a rule of the input chain, which is the site's own matter")
    udp, tcp = ({s: n for s, name in states.items() if (n := told.seconds(name)) is not None} for states in (UDP_STATES, TCP_STATES))
    told.said.add("tcp_transitory_idle_s")
    return Plan(
        families, hairpin, behavior.invalid is Invalid.DROP and "invalid" not in site.free, udp, tcp, told.seconds("icmp_idle_s"), told
    )


def _family(told: Told, version: int, hairpin: bool) -> Family | None:
    b, site = told.behavior, told.site
    f = Family(version)
    shared: dict[tuple[str, str, tuple[int, int], str], list[Static]] = {}
    for rule in (single(r) for r in everywhere(b) if ipaddress.ip_network(r.outside, strict=False).version == version):
        whole = rule.ports == (0, 65535) and not rule.to_port
        if rule.neutral:
            f.neutral.append(rule)
        elif rule.outbound and whole and not rule.proto and not rule.remote:
            f.both.append(rule)
        else:
            if rule.outbound:
                told.note(f"static {rule.outside}: that {rule.inside} leaves with it, too, is said for whole addresses only")
            if "/" in rule.inside and rule.to_port not in (None, rule.ports[0]):
                told.note(f"static {rule.outside} to {rule.inside}: another port for a whole prefix, from {rule.to_port} on")
                rule = replace(rule, to_port=None)
            if not rule.proto and not whole:
                rule = replace(rule, proto="tcp udp")
            shared.setdefault((rule.proto, rule.outside, rule.ports, rule.remote), []).append(rule)
    f.forwards = list(shared.values())
    if any(len(rules) > 1 for rules in f.forwards):
        told.note("an outside endpoint that leads to several hosts: that they take turns is a guess, how the box chooses is not known")
    pool = [n for n in (ipaddress.ip_network(a, strict=False) for a in b.addresses) if n.version == version]
    own = [ipaddress.ip_network(r.outside, strict=False) for r in (*f.both, *f.neutral)]
    left = [n for n in pool if not any(n.version == o.version and n.subnet_of(o) for o in own)]  # type: ignore[arg-type]
    fixed = bool(own) and not left
    f.dynamic = (
        not fixed and not b.nat64 and (site.hosts is None or bool(site.hosts)) and (bool(pool) or (not b.addresses and version == 4))
    )
    f.sources = [str(n) for n in (ipaddress.ip_network(a, strict=False) for a in b.inside) if n.version == version]
    if f.dynamic:
        f.pool = _intervals(left)
        _choice(told, f)
    if hairpin:
        f.hairpin_to = _hairpin(told, version, f)
    return f if f.both or f.neutral or f.forwards or f.dynamic else None


def everywhere(b: NatBehavior) -> list[Static]:
    """The static rules; one of no outside address of its own, once for each of the NAT's."""
    own = [str(ipaddress.ip_network(a, strict=False)) for a in b.addresses]
    six = {a: ipaddress.ip_network(a).version == 6 for a in own}
    return [
        replace(rule, outside=a)
        for rule in b.static
        for a in ([rule.outside] if rule.outside else [a for a in own if six[a] == (":" in rule.inside)])
    ]


def single(rule: Static) -> Static:
    """A prefix of one address as that address."""
    outside, inside = (ipaddress.ip_network(a, strict=False) for a in (rule.outside, rule.inside))
    if outside.num_addresses > 1:
        return replace(rule, outside=str(outside), inside=str(inside))
    return replace(rule, outside=str(outside.network_address), inside=str(inside.network_address))


def _intervals(nets: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> list[tuple[str, str]]:
    """Address ranges that hold exactly the prefixes' addresses."""
    ends: list[list[int]] = []
    for low, high in sorted((int(n.network_address), int(n.broadcast_address)) for n in nets):
        if ends and low <= ends[-1][1] + 1:
            ends[-1][1] = max(ends[-1][1], high)
        else:
            ends.append([low, high])
    kind = ipaddress.IPv4Address if nets and nets[0].version == 4 else ipaddress.IPv6Address
    return [(str(kind(low)), str(kind(high))) for low, high in ends]


def _choice(told: Told, f: Family) -> None:
    """Ports and addresses of new mappings."""
    b = told.behavior
    several = len(f.pool) > 1 or (bool(f.pool) and f.pool[0][0] != f.pool[0][1])
    f.persistent = several and told.has("pooling") and b.pooling is Pooling.PAIRED
    own = all((r.low, r.high) in FULL for r in b.port_ranges) or b.port_ranges == preset(BASE).behavior.port_ranges
    if "port_ranges" not in told.site.free and not own:
        if not b.keeps_any_port:
            f.ranges = list(b.port_ranges)
        else:
            seen = ", ".join(f"{r.low}-{r.high}" for r in b.port_ranges)
            told.note(f"port_ranges {seen} for changed ports only: a range would move the ports that are kept, too")
    if "port_choice" in told.site.free:
        return
    # Random flags make netfilter choose anew for each destination; a range alone moves ports into it and keeps the mapping.
    again = b.mapping is Mapping.ADDRESS_AND_PORT_DEPENDENT or "mapping" in told.site.free or not f.ranges
    if b.port_choice is PortChoice.RANDOM:
        f.fully_random = again
        if not again:
            told.note("port_choice = random: inside ports that lie in the range are kept")
    elif b.port_choice is PortChoice.PRESERVE:
        told.note("port_choice = preserve: netfilter changes a port that is taken")
    elif b.port_choice is not PortChoice.PRESERVE_ELSE_RANDOM:
        size = f", block_size = {b.block_size}" if b.block_size else ""
        told.note(f"port_choice = {b.port_choice.value}{size}: netfilter keeps the inside port, or takes another at random")


def _mapping(told: Told, families: list[Family]) -> None:
    b = told.behavior
    if not told.has("mapping") or not any(f.dynamic for f in families):
        return
    anew = any(f.fully_random for f in families)
    does = Mapping.ADDRESS_AND_PORT_DEPENDENT if anew else Mapping.BEST_EFFORT
    if b.mapping is not does:
        how = "chooses a port for each destination" if anew else "keeps a port as long as no other needs it"
        told.note(f"mapping = {b.mapping.value}: netfilter {how} ({does.value})")


def _hairpin(told: Told, version: int, f: Family) -> str:
    b = told.behavior
    if b.hairpin is Hairpin.INTERNAL_SOURCE:
        return ""
    to = b.router if b.hairpin is Hairpin.ROUTER_SOURCE else (f.pool[0][0] if f.pool else "")
    if to and ipaddress.ip_network(to, strict=False).version == version:
        return str(ipaddress.ip_network(to, strict=False).network_address)
    if f.forwards:
        told.note(f"hairpin = {b.hairpin.value}: with which source is not known")
    return ""


def protocols(rule: Static) -> list[str]:
    """The protocols of a forward by the names that both languages know, or by number; none: all."""
    names = {6: "tcp", 17: "udp", 132: "sctp", 136: "udplite", 33: "dccp"}
    numbers = [protocol(word) for word in rule.proto.split()]
    return [names.get(n, str(n)) for n in numbers if n]


HEAD = (
    "Rules that do what these captures show, as far as they can be said.",
    "lan0 and wan0 stand for the interfaces inside and outside: put in their names.",
)
