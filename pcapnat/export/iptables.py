"""A behavior as a file for iptables-restore or ip6tables-restore (`iptables-restore --test FILE` checks it)."""

from __future__ import annotations

from ..nat.behavior import NatBehavior, Static
from .netfilter import HEAD, MOST_SINGLE, TCP_STATES, Family, Plan, plan, protocols
from .unsaid import Site

SYSCTL = "sysctl -w net.netfilter.nf_conntrack_"


def iptables(behavior: NatBehavior, site: Site = Site()) -> str:  # noqa: B008 (frozen)
    """The rules of one IP version; if there are two, those of IPv6 stand in comments: the file is for one program."""
    p = plan(behavior, site)
    blocks = [(f, _tables(f, p)) for f in p.families]
    head = [f"# {line}" for line in (*HEAD, *site.head())]
    notes = [f"# not said here: {note}" for note in (*_times(p), *p.notes())]
    body = []
    for k, (f, lines) in enumerate(blocks):
        program = "iptables-restore" if f.version == 4 else "ip6tables-restore"
        body += [f"# for {program}" + (", in a file of its own:" if k else "")]
        body += [f"# {line}" for line in lines] if k else lines
    return "\n".join([*head, *notes, *body]) + "\n"


def _times(p: Plan) -> list[str]:
    """Timeouts as the system's settings: iptables sets none by rule alone."""
    names = {"unreplied": "udp_timeout", "replied": "udp_timeout_stream"}
    out = [f"{SYSCTL}{names[state]}={seconds}" for state, seconds in p.udp.items()]
    out += [f"{SYSCTL}tcp_timeout_{state}={p.tcp[state]}" for state in TCP_STATES if state in p.tcp]
    return out + ([f"{SYSCTL}icmp_timeout={p.icmp}"] if p.icmp is not None else [])


def _tables(f: Family, p: Plan) -> list[str]:
    out = ["*nat", ":PREROUTING ACCEPT [0:0]", ":POSTROUTING ACCEPT [0:0]", *_prerouting(f, p), *_postrouting(f, p), "COMMIT"]
    if f.neutral:
        out += ["*mangle", ":PREROUTING ACCEPT [0:0]", ":POSTROUTING ACCEPT [0:0]"]
        for r in f.neutral:
            out.append(f"-A PREROUTING -i wan0 -d {r.outside} -j DNPT --src-pfx {r.outside} --dst-pfx {r.inside}")
            out.append(f"-A POSTROUTING -o wan0 -s {r.inside} -j SNPT --src-pfx {r.inside} --dst-pfx {r.outside}")
        out.append("COMMIT")
    if p.drop_invalid:
        out += ["*filter", ":FORWARD ACCEPT [0:0]", "-A FORWARD -m conntrack --ctstate INVALID -j DROP", "COMMIT"]
    return out


def _prerouting(f: Family, p: Plan) -> list[str]:
    arriving = "" if p.hairpin else "-i wan0 "
    out = [f"-A PREROUTING {arriving}-d {r.outside} {_address('DNAT', 'destination', r.outside, r.inside)}" for r in f.both]
    for rules in f.forwards:
        first = rules[0]
        match = f"-A PREROUTING {arriving}-d {first.outside} " + (f"-s {first.remote} " if first.remote else "")
        for proto in protocols(first) or [""]:
            ported = proto.isalpha() and first.ports != (0, 65535)
            which = f"-p {proto} " if proto else ""
            which += f"--dport {_span(*first.ports)} " if ported else ""
            for k, rule in enumerate(rules):
                left = len(rules) - k
                turn = f"-m statistic --mode nth --every {left} --packet 0 " if left > 1 else ""
                out.append(match + which + turn + _forward(rule, ported))
    return out


def _forward(rule: Static, ported: bool) -> str:
    low, high = rule.ports
    if "/" in rule.inside or not ported or rule.to_port is None:
        return _address("DNAT", "destination", rule.outside, rule.inside)
    inside = f"[{rule.inside}]" if ":" in rule.inside else rule.inside
    if low == high:
        return f"-j DNAT --to-destination {inside}:{rule.to_port}"
    if rule.to_port == low:
        return f"-j DNAT --to-destination {rule.inside}"
    return f"-j DNAT --to-destination {inside}:{rule.to_port}-{rule.to_port + high - low}/{low}"


def _address(target: str, which: str, source: str, new: str) -> str:
    return f"-j NETMAP --to {new}" if "/" in source and "/" in new else f"-j {target} --to-{which} {new}"


def _postrouting(f: Family, p: Plan) -> list[str]:
    out = [f"-A POSTROUTING -o wan0 -s {r.inside} {_address('SNAT', 'source', r.inside, r.outside)}" for r in f.both]
    if f.hairpin_to and (f.forwards or f.both):
        # POSTROUTING does not know where a packet came in: what was forwarded and leaves inside, came from there or from outside.
        out.append(f"-A POSTROUTING -o lan0 -m conntrack --ctstate DNAT -j SNAT --to-source {f.hairpin_to}")
        p.told.note("hairpin: the rule for it also changes the source of what comes from outside to forwarded ports")
    if not f.dynamic:
        return out
    flags = " --random-fully" * f.fully_random + " --persistent" * (f.persistent and len(f.pool) == 1)
    if f.persistent and len(f.pool) > 1:
        p.told.note("pooling = paired: a pool with gaps is given out in turns")
    for source in f.sources or [""]:
        match = "-A POSTROUTING -o wan0 " + (f"-s {source} " if source else "")
        for proto in ("tcp", "udp") if f.ranges else ():
            for r in f.ranges:
                mine = "" if (r.of_low, r.of_high) in ((0, 65535), (1, 65535)) else f"--sport {_span(r.of_low, r.of_high)} "
                out += [f"{match}-p {proto} {mine}{x}{flags}" for x in _snat(f, p, f"{r.low}-{r.high}")]
        out += [f"{match}{x}{flags}" for x in _snat(f, p, "")]
    return out


def _snat(f: Family, p: Plan, ports: str) -> list[str]:
    if not f.pool:
        return [f"-j MASQUERADE --to-ports {ports}" if ports else "-j MASQUERADE"]
    if len(f.pool) == 1:
        low, high = f.pool[0]
        if ports and f.version == 6:
            low, high = f"[{low}]", f"[{high}]"
        whole = low if f.pool[0][0] == f.pool[0][1] else f"{low}-{high}"
        return [f"-j SNAT --to-source {whole}" + (f":{ports}" if ports else "")]
    names = f.addresses()
    if len(names) > MOST_SINGLE:
        p.told.note(f"addresses: the first {MOST_SINGLE} of {len(names)} are used")
    names = names[:MOST_SINGLE]
    out = []
    for k, name in enumerate(names):
        left = len(names) - k
        turn = f"-m statistic --mode nth --every {left} --packet 0 " if left > 1 else ""
        named = f"[{name}]" if ports and f.version == 6 else name
        out.append(f"{turn}-j SNAT --to-source {named}" + (f":{ports}" if ports else ""))
    return out


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}:{high}"
