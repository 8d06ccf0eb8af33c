"""A behavior as an nft file (nftables 0.9.5 or newer; `nft -c -f FILE` checks it)."""

from __future__ import annotations

from ..nat.behavior import NatBehavior, Static
from .netfilter import HEAD, MOST_SINGLE, Family, Plan, plan, protocols
from .unsaid import Site

WIDEST_MAP = 256
"""Ports of a shifted range that are listed one by one."""


def nft(behavior: NatBehavior, site: Site = Site()) -> str:  # noqa: B008 (frozen)
    """One table an IP version; comments for what netfilter does otherwise."""
    p = plan(behavior, site)
    tables = [line for family in p.families for line in _table(family, p)]
    if p.icmp is not None:
        p.told.note(f"icmp_idle_s: sysctl -w net.netfilter.nf_conntrack_icmp_timeout={p.icmp} (nft has no timeout for ICMP)")
    notes = [f"# not said here: {note}" for note in p.notes()]
    head = [f"# {line}" for line in (*HEAD, *site.head())]
    return "\n".join([*head, *notes, "", "define lan = lan0", "define wan = wan0", *tables]) + "\n"


def _table(f: Family, p: Plan) -> list[str]:
    ip = "ip" if f.version == 4 else "ip6"
    out = ["", f"table {ip} pcapnat {{"]
    times = [("udp", p.udp), ("tcp", p.tcp)]
    for proto, policy in times:
        if policy:
            states = ", ".join(f"{state} : {seconds}" for state, seconds in policy.items())
            out += [f"\tct timeout {proto}_time {{", f"\t\tprotocol {proto};", f"\t\tl3proto {ip};", f"\t\tpolicy = {{ {states} }};", "\t}"]
    if p.udp or p.tcp:
        out += ["\tchain times {", "\t\ttype filter hook prerouting priority filter; policy accept;"]
        out += [f'\t\tmeta l4proto {proto} ct timeout set "{proto}_time"' for proto, policy in times if policy]
        out += ["\t}"]
    inbound = _prerouting(f, ip, p)
    if inbound:
        out += [
            "\tchain prerouting {",
            "\t\ttype nat hook prerouting priority dstnat; policy accept;",
            *(f"\t\t{x}" for x in inbound),
            "\t}",
        ]
    outbound = _postrouting(f, ip, p)
    if outbound:
        out += [
            "\tchain postrouting {",
            "\t\ttype nat hook postrouting priority srcnat; policy accept;",
            *(f"\t\t{x}" for x in outbound),
            "\t}",
        ]
    if p.drop_invalid:
        out += ["\tchain forward {", "\t\ttype filter hook forward priority filter; policy accept;", "\t\tct state invalid drop", "\t}"]
    return [*out, "}"]


def _prerouting(f: Family, ip: str, p: Plan) -> list[str]:
    out = []
    arriving = "" if p.hairpin else "iifname $wan "
    for rule in f.both:
        out.append(f"{arriving}{ip} daddr {rule.outside} {_to('dnat', ip, 'daddr', rule.outside, rule.inside)}")
    for rules in f.forwards:
        first = rules[0]
        match = f"{arriving}{ip} daddr {first.outside} " + (f"{ip} saddr {first.remote} " if first.remote else "")
        names = protocols(first)
        if not names:
            out.append(match + _forward(rules, ip, ""))
        for name in names:
            port = f"{name} dport" if name.isalpha() else ""
            limited = first.ports != (0, 65535) and port
            which = f"{port} {_span(*first.ports)} " if limited else f"meta l4proto {name} "
            out.append(match + which + _forward(rules, ip, port if limited else ""))
    for rule in f.neutral:
        p.told.note(f"{rule.inside} to {rule.outside} checksum-neutrally (NPTv6): ip6tables has it, as SNPT and DNPT")
    return out


def _forward(rules: list[Static], ip: str, port: str) -> str:
    """Where a forward leads. port: what its outside port is called, if there is one."""
    first = rules[0]
    low, high = first.ports
    shifted = bool(port) and first.to_port is not None
    if len(rules) > 1 and "/" not in first.inside:
        if shifted and low == high and all(r.to_port is not None for r in rules):
            turns = ", ".join(f"{k} : {r.inside} . {r.to_port}" for k, r in enumerate(rules))
            return f"dnat {ip} addr . port to numgen inc mod {len(rules)} map {{ {turns} }}"
        turns = ", ".join(f"{k} : {r.inside}" for k, r in enumerate(rules))
        return f"dnat to numgen inc mod {len(rules)} map {{ {turns} }}"
    if not shifted or (first.to_port == low and low != high):
        return _to("dnat", ip, "daddr", first.outside, first.inside)
    inside = f"[{first.inside}]" if ip == "ip6" else first.inside
    assert first.to_port is not None
    if low == high:
        return f"dnat to {inside}:{first.to_port}"
    if high - low >= WIDEST_MAP:
        return f"dnat to {inside}:{_span(first.to_port, first.to_port + high - low)}  # {low}-{high}, each on its own"
    ports = ", ".join(f"{low + k} : {first.to_port + k}" for k in range(high - low + 1))
    return f"dnat to {inside} : {port} map {{ {ports} }}"


def _to(verb: str, ip: str, which: str, source: str, target: str) -> str:
    """Address for address: one, or a prefix with its host bits kept."""
    if "/" in source and "/" in target:
        return f"{verb} {ip} prefix to {ip} {which} map {{ {source} : {target} }}"
    return f"{verb} to {target}"


def _postrouting(f: Family, ip: str, p: Plan) -> list[str]:
    out = [f"oifname $wan {ip} saddr {r.inside} {_to('snat', ip, 'saddr', r.inside, r.outside)}" for r in f.both]
    if f.hairpin_to and (f.forwards or f.both):
        out.append(f"iifname $lan oifname $lan ct status dnat snat to {f.hairpin_to}")
    if not f.dynamic:
        return out
    sources = f"{ip} saddr {{ {', '.join(f.sources)} }} " if f.sources else ""
    flags = ",".join(["fully-random"] * f.fully_random + ["persistent"] * (f.persistent and _mapped(f) == ""))
    for r in f.ranges:
        mine = "" if (r.of_low, r.of_high) in ((0, 65535), (1, 65535)) else f"th sport {_span(r.of_low, r.of_high)} "
        out.append(f"oifname $wan {sources}meta l4proto {{ tcp, udp }} {mine}{_snat(f, ip, p, (r.low, r.high))} {flags}".rstrip())
    only = "meta l4proto != { tcp, udp } " if f.ranges else ""
    out.append(f"oifname $wan {sources}{only}{_snat(f, ip, p, None)} {flags}".rstrip())
    return out


def _mapped(f: Family) -> str:
    """The keys of a pool with gaps, by which an address is chosen; empty for others."""
    ip = "ip" if f.version == 4 else "ip6"
    if len(f.pool) < 2:
        return ""
    return f"jhash {ip} saddr" if f.persistent else f"jhash {ip} saddr . {ip} daddr"


def _snat(f: Family, ip: str, p: Plan, ports: tuple[int, int] | None) -> str:
    span = _span(*ports) if ports else ""
    if not f.pool:
        return f"masquerade to :{span}" if span else "masquerade"
    if key := _mapped(f):
        names = f.addresses()
        if len(names) > MOST_SINGLE:
            p.told.note(f"addresses: the first {MOST_SINGLE} of {len(names)} are used")
        turns = ", ".join(f"{k} : {name}" for k, name in enumerate(names[:MOST_SINGLE]))
        return f"snat to {key} mod {min(len(names), MOST_SINGLE)} map {{ {turns} }}" + (f" : {span}" if span else "")
    low, high = f.pool[0]
    if ip == "ip6" and span:
        low, high = f"[{low}]", f"[{high}]"
    return f"snat to {low if f.pool[0][0] == f.pool[0][1] else f'{low}-{high}'}" + (f":{span}" if span else "")


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"
