"""From findings to a behavior that a model can run: what was inferred, and for what is not known the widest that was seen to be done.

Reading taken: a question without an answer leaves the model free (any port, a mapping that never ends), so that it explains no less
for our ignorance; what it says beyond that, every frame can contradict. `assumed` names what was left free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..address import text
from ..table import Array
from ..terms import Finding
from .behavior import (
    Filtering,
    Hairpin,
    Invalid,
    Mapping,
    NatBehavior,
    Pooling,
    PortChoice,
    PortRange,
    Static,
    TcpMachine,
    Unsolicited,
)
from .fit import PortFacts
from .inference import Inferred
from .translation import Translations

ENDLESS_S = 1e8
"""A time that no capture is long enough for: nothing was seen to end."""
V4_UPPER = 0xFFFF
ONE_FOR_ONE = 2
"""So many hosts, each with an outside address of its own and all ports kept, are a 1:1 NAT."""


@dataclass(frozen=True)
class Modelled:
    """A behavior to run, and the questions it leaves free because the captures do not answer them."""

    behavior: NatBehavior
    assumed: list[str]


def modelled(found: Inferred, t: Translations, leaks: int) -> Modelled:
    """The behavior that the findings describe. leaks: conversations parts of which crossed untranslated."""
    assumed = [name for name, finding in found.findings().items() if finding.value is None and name in ASKED]
    choice = PortChoice(found.port_choice.value) if found.port_choice.value else PortChoice.RANDOM
    if choice is PortChoice.PRESERVE:
        choice = PortChoice.PRESERVE_ELSE_RANDOM  # how the few that changed were chosen is not known
    block = found.block_size.value or 0
    if (choice is PortChoice.BLOCK and not block) or choice is PortChoice.STATIC:
        choice = PortChoice.RANDOM
    low, high = found.port_range.value or _full(t) or (0, 65535)
    keeps_any = choice.preserves
    if keeps_any and (within := _kept_within(found, low, high)):
        (low, high), keeps_any = within, False
    assumed = [name for name in assumed if name != "port_range" or (low, high) == (0, 65535)]
    fixed = _one_for_one(t)
    plain = bool((t.kind == 0).any()) or leaks > 0
    falls = _ttl(found.fields_changed)
    assumed += [name for name, fall in zip(("ttl_step", "ttl_step_inbound"), falls, strict=True) if fall < 0]
    return Modelled(
        NatBehavior(
            name="inferred",
            source="what these captures show",
            mapping=_mapping(found.mapping, choice),
            filtering=Filtering(found.filtering.value) if found.filtering.value else Filtering.ADDRESS_AND_PORT_DEPENDENT,
            port_choice=choice,
            port_ranges=(PortRange(low, high),),
            keeps_any_port=keeps_any,
            port_overloading=found.port_overloading.value is not False,
            parity=bool(found.parity.value),
            block_size=block if choice is PortChoice.BLOCK else 0,
            addresses=tuple(found.address_pool.value or ()),
            pooling=Pooling(found.pooling.value) if found.pooling.value else Pooling.ARBITRARY,
            inside=_translated(t),
            static=fixed,
            nat64=nat64_seen(t),
            hairpin=Hairpin(found.hairpin.value) if found.hairpin.value else Hairpin.NONE,
            router=router_seen(t) if found.hairpin.value == Hairpin.ROUTER_SOURCE.value else "",
            forwards=plain,
            udp_idle_s=_within(found.udp_idle_s),
            udp_reply_idle_s=_within(found.udp_reply_idle_s),
            tcp_idle_s=_within(found.tcp_idle_s),
            tcp_transitory_idle_s=_within(found.tcp_transitory_idle_s),
            icmp_idle_s=_within(found.icmp_idle_s),
            other_idle_s=ENDLESS_S,
            tcp_machine=TcpMachine.NETFILTER,
            tcp_pickup=True,
            invalid=Invalid.FORWARD if plain else Invalid.DROP,
            unsolicited=Unsolicited.LOCAL,
            ttl_step=falls[0],
            ttl_step_inbound=None if falls[0] == falls[1] else falls[1],
            mss=found.evidence.mss,
        ),
        assumed,
    )


def _mapping(found: Finding[str], choice: PortChoice) -> Mapping:
    """The mapping behavior; of a socket that has one endpoint here and several there, the one that leaves each of them free."""
    if found.value:
        return Mapping(found.value)
    return Mapping.ADDRESS_AND_PORT_DEPENDENT if found.against and choice is PortChoice.RANDOM else Mapping.BEST_EFFORT


def _kept_within(found: Inferred, low: int, high: int) -> tuple[int, int] | None:
    """The range outside which no port is kept: every port that was changed although it was free lies there, and none that was kept."""
    made = found.evidence.sessions.made()
    facts = PortFacts(made.take(np.isin(made.proto, (6, 17))))
    free = facts.inside[~facts.kept & ~facts.taken[0]]
    ports = facts.inside[facts.kept]
    low, high = int(ports.min(initial=low)), int(ports.max(initial=high))
    return (low, high) if len(free) and ((free < low) | (free > high)).all() else None


ASKED = ("mapping", "filtering", "port_choice", "port_range", "pooling", "port_overloading", "udp_idle_s", "udp_reply_idle_s", "tcp_idle_s",
         "tcp_transitory_idle_s", "icmp_idle_s")  # fmt: skip
"""Questions whose answer a model needs."""


def _translated(t: Translations) -> tuple[str, ...]:
    """The hosts whose source is translated, if others' sources are not; where nobody's is, an address that is no host inside."""
    source = np.flatnonzero((t.from_outside == 0) & (t.hairpin == 0))
    changed = t.kind[source] & 1 != 0
    if changed.all():
        return ()
    hosts, kept = (np.unique(t.inside_src[source[mask]], axis=0) for mask in (changed, ~changed))
    if not len(hosts):
        seen = np.unique(t.outside_dst[t.from_outside == 1], axis=0)
        return (text(int(seen[0, 0]), int(seen[0, 1])),) if len(seen) else ("192.0.2.255",)
    both = {bytes(a) for a in hosts} & {bytes(a) for a in kept}
    return () if both or len(hosts) > MOST_HOSTS else tuple(text(int(a[0]), int(a[1])) for a in hosts)


MOST_HOSTS = 256
"""More hosts than these are not listed one by one."""


def router_seen(t: Translations) -> str:
    """The address that hairpinned conversations reach their server from, "" if none was seen."""
    seen = t.outside_src[np.flatnonzero(t.hairpin == 1)]
    return text(int(seen[0, 0]), int(seen[0, 1])) if len(seen) else ""


def _full(t: Translations) -> tuple[int, int] | None:
    """The ports in use, if changed ones fill their range without a gap and each was used again: it holds no others."""
    rows = np.flatnonzero((t.kind & 1 != 0) & (t.from_outside == 0) & (t.hairpin == 0) & np.isin(t.proto, (6, 17)))
    changed = rows[t.inside_sport[rows] != t.outside_sport[rows]]
    ports = np.unique(t.outside_sport[changed])
    if len(ports) < FEWEST or int(ports[-1] - ports[0]) + 1 != len(ports) or len(changed) < 2 * len(ports):
        return None
    return int(ports[0]), int(ports[-1])


FEWEST = 4
"""Ports of a range that is recognised by being full."""


def _within(interval: Finding[Any]) -> float:
    """A time that fits what was seen: between the longest survived and the shortest gone."""
    survived, gone = interval.value or (None, None)
    if gone is None:
        return ENDLESS_S
    return (float(survived or 0.0) + float(gone)) / 2


def _ttl(fields: Finding[dict[str, Any]]) -> tuple[int, int]:
    """By how much the TTL falls outwards and inwards, -1 where nothing tells or the box sets it anew."""
    seen = fields.value or {}
    steps = [seen.get(name, seen.get("ip.ttl")) for name in ("ip.ttl.outbound", "ip.ttl.inbound")]
    out, back = (-step if isinstance(step, int) and -64 <= step <= 0 else -1 for step in steps)
    return out, back


def nat64_seen(t: Translations) -> str:
    """The /96 prefix under which IPv6 hosts were seen to reach IPv4 ones (RFC 6052 2.2), if there is one."""
    six, four = ~_v4(t.inside_dst), _v4(t.outside_dst)
    rows = np.flatnonzero(six & four & (t.from_outside == 0) & ((t.inside_dst[:, 1] ^ t.outside_dst[:, 1]) & np.uint64(0xFFFFFFFF) == 0))
    prefixes = {(int(a), int(b) >> 32 << 32) for a, b in t.inside_dst[rows]}
    return f"{text(*next(iter(prefixes)))}/96" if len(prefixes) == 1 else ""


def _v4(address: Array) -> Array:
    return np.asarray((address[:, 0] == 0) & (address[:, 1] >> np.uint64(32) == V4_UPPER))


def _one_for_one(t: Translations) -> tuple[Static, ...]:
    """Hosts that have an outside address each, every port kept, opened from both sides: a rule an address."""
    source = np.flatnonzero((t.kind == 1) & (t.from_outside == 0) & (t.hairpin == 0))
    if not len(source) or (t.inside_sport[source] != t.outside_sport[source]).any():
        return ()
    pairs = np.unique(np.column_stack([t.inside_src[source], t.outside_src[source]]), axis=0)
    hosts, outside = len(np.unique(pairs[:, :2], axis=0)), len(np.unique(pairs[:, 2:], axis=0))
    if len(pairs) < ONE_FOR_ONE or not len(pairs) == hosts == outside:
        return ()
    return tuple(Static(text(int(p[2]), int(p[3])), text(int(p[0]), int(p[1])), outbound=True) for p in pairs)
