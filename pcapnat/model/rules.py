"""A NatBehavior as the arrays that the kernels read."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ..address import parse
from ..nat.behavior import (
    MOST_STATIC,
    Fragments,
    Hairpin,
    Invalid,
    Mapping,
    NatBehavior,
    Pooling,
    PortChoice,
    Portless,
    Static,
    TcpMachine,
    Unsolicited,
    protocol,
)
from ..table import Array
from . import session as s
from .admit import FROM_EXTERNAL, FROM_ITSELF, FROM_ROUTER
from .choose import ANY_FREE, BY_BLOCK, BY_FORMULA, NO_OTHER, SEQUENTIAL
from .machine import machine, times_ns

ORDERS = {
    PortChoice.PRESERVE: NO_OTHER,
    PortChoice.PRESERVE_ELSE_RANDOM: ANY_FREE,
    PortChoice.PRESERVE_ELSE_SEQUENTIAL: SEQUENTIAL,
    PortChoice.RANDOM: ANY_FREE,
    PortChoice.SEQUENTIAL: SEQUENTIAL,
    PortChoice.BLOCK: BY_BLOCK,
    PortChoice.STATIC: BY_FORMULA,
    PortChoice.HOST_EPHEMERAL: ANY_FREE,
}
assert ORDERS.keys() == set(PortChoice)
HAIRPINS = {
    Hairpin.NONE: 0,
    Hairpin.INTERNAL_SOURCE: FROM_ITSELF,
    Hairpin.ROUTER_SOURCE: FROM_ROUTER,
    Hairpin.EXTERNAL_SOURCE: FROM_EXTERNAL,
}
assert HAIRPINS.keys() == set(Hairpin)


@dataclass(frozen=True)
class Rules:
    """What stays the same while a model plays: numbers, addresses and prefixes, tables; see the columns' names in the kernels' files."""

    rules: Array
    pool: Array
    own: Array
    ranges: Array
    words: Array
    statics: Array
    machine: Array
    times: Array
    blocks: int
    """Rows of the table of block owners."""


def compile_rules(b: NatBehavior) -> Rules:
    """The arrays for a behavior that has at least one outside address; ValueError says what is missing."""
    if len(b.static) > MOST_STATIC:
        raise ValueError(f"static: more than {MOST_STATIC} of them")
    pool = _addresses(b.addresses)
    if not len(pool):
        raise ValueError("addresses: a model needs to know the outside address")
    static = _everywhere(b)
    statics, words = _statics(static)
    prefixes = [*b.addresses, *[rule.outside for rule in static], *[pair.address for pair in b.sources]]
    own = [_prefix(text) for text in prefixes]
    rules = np.zeros(s.RULES, np.int64)
    if b.router:
        rules[s.ROUTER] = len(own)
        own.append(_prefix(b.router))
    rules[s.POOLED], rules[s.OWNED] = len(b.addresses), len(own)
    own += [_prefix(text) for text in b.inside]
    rules[s.PREFIXES] = len(own)
    if b.nat64:
        rules[s.NAT64] = len(own)
        own.append(_prefix(b.nat64))
    rules[s.SOURCES], rules[s.SOURCES_END] = len(own), len(own) + len(b.sources)
    own += [_prefix(pair.inside) for pair in b.sources] + [_prefix(pair.address) for pair in b.sources]
    for tcp, mapping, filtering in ((0, b.mapping, b.filtering), (1, b.mapping_tcp or b.mapping, b.filtering_tcp or b.filtering)):
        kinds = 0
        if mapping is not Mapping.ADDRESS_AND_PORT_DEPENDENT:
            kinds |= 1 << s.SOURCE
        if not b.port_overloading or filtering.depth < 2 or (b.hairpin is not Hairpin.NONE and b.hairpin_dynamic):
            kinds |= 1 << s.HOLD
        if filtering.depth == 1:
            kinds |= 1 << s.PERMIT
        if b.ports_per_host or (b.pooling is Pooling.PAIRED and len(pool) > 1):
            kinds |= 1 << s.HOST
        rules[s.KINDS + tcp] = kinds
        rules[s.DEPTH + tcp] = mapping.depth
        rules[s.FILTER + tcp] = filtering.depth
        rules[s.BEST_EFFORT + tcp] = mapping is Mapping.BEST_EFFORT
    numbers = {
        s.ORDER: ORDERS[b.port_choice],
        s.PRESERVES: b.port_choice.preserves,
        s.KEEPS_ANY: b.keeps_any_port,
        s.OVERLOADS: b.port_overloading,
        s.PARITY: b.parity,
        s.ATTEMPTS: b.port_attempts,
        s.BLOCK: b.block_size,
        s.BLOCKS: b.blocks_per_host,
        s.QUOTA: b.ports_per_host,
        s.ID_LOW: b.icmp_range[0],
        s.ID_HIGH: b.icmp_range[1],
        s.POOL: len(pool),
        s.PAIRED: b.pooling is Pooling.PAIRED,
        s.STATICS: len(statics),
        s.HAIRPIN: HAIRPINS[b.hairpin],
        s.HAIRPIN_ANY: b.hairpin_dynamic,
        s.FORWARDS: b.forwards,
        s.ASSURED_NS: round(b.udp_assured_after_s * 1e9),
        s.REFRESH: b.refresh_outbound,
        s.REFRESH + 1: b.refresh_inbound,
        s.INVALID_LEAVES: b.invalid is Invalid.FORWARD,
        s.LOCAL: b.unsolicited is Unsolicited.LOCAL,
        s.PORTLESS_DROPS: b.portless is Portless.DROP,
        s.QUERIES: b.icmp_queries,
        s.ERRORS: b.icmp_errors,
        s.IN_ORDER: b.fragments is Fragments.IN_ORDER,
        s.NO_FRAGMENTS: b.fragments is Fragments.DROP,
        s.TTL_STEP: max(b.ttl_fall(0), 0),
        s.TTL_STEP + 1: max(b.ttl_fall(1), 0),
        s.TTL_NEW: b.ttl_new,
        s.TABLE_SIZE: b.table_size,
        s.NETFILTER: b.tcp_machine is TcpMachine.NETFILTER,
        s.DNS: b.udp_dns_s is not None,
    }
    for number, value in numbers.items():
        rules[number] = int(value)
    ranges = np.array([[r.low, r.high, r.of_low, r.of_high] for r in b.port_ranges], np.int64)
    width = int(ranges[0, 1] - ranges[0, 0]) + 1
    if b.port_choice is PortChoice.STATIC:
        _formula(b, rules, len(pool), width)
    blocks = len(pool) * (width // b.block_size) if b.port_choice is PortChoice.BLOCK else 0
    return Rules(rules, pool, np.array(own, np.uint64).reshape(-1, 4), ranges, words, statics, machine(b), times_ns(b), max(blocks, 1))


def _formula(b: NatBehavior, rules: Array, addresses: int, width: int) -> None:
    """Each host's share of the ports of an address (RFC 7422 section 2)."""
    hosts = ipaddress.ip_network(b.inside[0], strict=False) if b.inside else None
    if hosts is None or hosts.version != 4:
        rules[s.ORDER] = NO_OTHER
        return
    shares = -(-hosts.num_addresses // addresses)
    size = b.block_size or width // shares
    if not size or size * shares > width:
        raise ValueError(f"block_size: {shares} shares of {max(size, 1)} ports do not fit into {width} ports")
    rules[s.SHARES], rules[s.SHARE], rules[s.FIRST_HOST] = shares, size, parse(str(hosts.network_address))[1]


def _addresses(texts: Iterable[str]) -> Array:
    """(n, 2) every single address of some prefixes."""
    found = [parse(str(address)) for text in texts for address in ipaddress.ip_network(text, strict=False)]
    return np.array(found, np.uint64).reshape(-1, 2)


def _prefix(text: str) -> tuple[int, int, int, int]:
    """Address and mask as words; nothing is the prefix of everything."""
    if not text:
        return 0, 0, 0, 0
    net = ipaddress.ip_network(text, strict=False)
    bits = (net.prefixlen + 96 if net.version == 4 else net.prefixlen) or 0
    whole = (1 << 128) - (1 << (128 - bits))
    high, low = parse(str(net.network_address))
    return high, low, whole >> 64, whole & (1 << 64) - 1


def _everywhere(b: NatBehavior) -> tuple[Static, ...]:
    """The static mappings, those of every outside address written out. ValueError if that makes too many."""
    if all(rule.outside for rule in b.static):
        return b.static
    every = [ipaddress.ip_address(str(a)) for text in b.addresses for a in ipaddress.ip_network(text, strict=False)]
    if len(every) * len(b.static) > MOST_STATIC * 4:
        raise ValueError(f"static: more than {MOST_STATIC * 4} of them, counted for every outside address")
    out = []
    for rule in b.static:
        version = ipaddress.ip_address(rule.inside).version if not rule.outside else 0
        out += [replace(rule, outside=str(a)) for a in every if a.version == version] if not rule.outside else [rule]
    return tuple(out)


def _statics(rules: tuple[Static, ...]) -> tuple[Array, Array]:
    """Static mappings as rows for the kernels."""
    numbers, words = [], []
    for rule in rules:
        outside, inside, remote = _prefix(rule.outside), _prefix(rule.inside), _prefix(rule.remote)
        to = -1 if rule.to_port is None else rule.to_port
        adjust = _adjustment(inside, outside) + 1 if rule.neutral else 0
        numbers.append([protocol(rule.proto), *rule.ports, to, int(rule.outbound), adjust])
        words.append([*outside[:2], *outside[2:], *inside[:2], *remote[:2], *remote[2:]])
    return np.array(numbers, np.int64).reshape(-1, 6), np.array(words, np.uint64).reshape(-1, 10)


def _adjustment(inside: tuple[int, ...], outside: tuple[int, ...]) -> int:
    """What is added to a word of an address on its way out, so that its sum stays: inside prefix minus outside prefix (RFC 6296 3.1)."""
    total = sum(inside[0] >> k & 0xFFFF for k in (0, 16, 32, 48)) + sum(0xFFFF ^ (outside[0] >> k & 0xFFFF) for k in (0, 16, 32, 48))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
