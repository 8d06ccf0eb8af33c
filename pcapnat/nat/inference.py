"""Inference: everything two captures tell about how a NAT behaves, each answer with what it rests on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..flow import Crossing
from ..terms import Finding
from .addresses import address_pool, hairpin, one_for_one, pooling, unturned
from .behavior import MssClamp
from .fields import fields_changed
from .filtering import Knocks, filtering, filtering_of, knocks_at
from .idle import Interval, Silence, timeouts
from .keeping import PORT, Tally, mapping_of, one_word, sharing, tallies
from .passing import Passing, errors_finding, fragments_finding, passing
from .portchoice import PRESERVE, RANDOM, ports
from .quota import quota
from .refresh import Refresh, refresh
from .segments import clamps
from .session import Sessions, sessions
from .translation import Translations
from .watch import Watch, watch


@dataclass(frozen=True)
class Evidence:
    """What the findings rest on, for those who ask further. By protocol: numbers above IP."""

    sessions: Sessions
    """Those that did not come back in, in the order they began."""
    fixed: bool
    """Addresses are translated one for one."""
    ends_tcp: bool
    """The box has TCP connections of its own."""
    watch: Watch | None
    tallies: dict[int, Tally]
    mapping: dict[int, Finding[str]]
    knocks: dict[int, Knocks]
    filtering: dict[int, Finding[str]]
    silences: dict[str, tuple[Silence | None, Silence | None]]
    """By the name of a timeout: the longest that was survived and the shortest that was not."""
    refresh: Refresh
    unturned: dict[int, list[int]]
    """Conversations inside for a forwarded port's outside endpoint that did not come back in."""
    passing: Passing
    mss: tuple[MssClamp, ...]


@dataclass(frozen=True)
class Inferred:
    """One finding per question; the words are those of RFC 4787 and of the JSON document."""

    mapping: Finding[str]
    filtering: Finding[str]
    port_choice: Finding[str]
    port_range: Finding[list[int]]
    address_pool: Finding[list[str]]
    pooling: Finding[str]
    port_overloading: Finding[bool]
    parity: Finding[bool]
    contiguity: Finding[bool]
    block_size: Finding[int]
    allocation: Finding[dict[str, Any]]
    ports_per_host: Finding[int]
    hairpin: Finding[str]
    udp_idle_s: Finding[Interval]
    udp_reply_idle_s: Finding[Interval]
    tcp_idle_s: Finding[Interval]
    tcp_transitory_idle_s: Finding[Interval]
    icmp_idle_s: Finding[Interval]
    icmp_errors: Finding[str]
    fragments: Finding[str]
    refresh_outbound: Finding[bool]
    refresh_inbound: Finding[bool]
    fields_changed: Finding[dict[str, Any]]
    evidence: Evidence

    def findings(self) -> dict[str, Finding[Any]]:
        """All by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "evidence"}

    def known(self) -> bool:
        """Whether there is any answer about translation."""
        return any(f.value is not None for name, f in self.findings().items() if name != "fields_changed")


def infer(crossing: Crossing, t: Translations) -> Inferred:
    """What the translations of a box tell."""
    everything = sessions(crossing, t)
    s = everything.take(everything.hairpin == 0)
    fixed = one_for_one(s)
    tcp = t.proto == 6
    ends_tcp = bool(tcp.any()) and int(t.ended.sum()) * 2 > int(tcp.sum())
    used = ports(everything, fixed, ends_tcp)
    span = int(np.ptp(changed)) + 1 if used.choice.value == RANDOM and len(changed := s.outside_port[~s.kept()]) else 0
    overloading = sharing(s, (used.choice.value or "").startswith(PRESERVE), span)
    counted = tallies(s)
    mapped = mapping_of(s, counted, fixed, overloading.value)
    mapping = one_word(mapped)
    seen = watch(crossing)
    renews = None if mapping.value is None and used.choice.value == RANDOM else mapping.value == PORT and used.choice.value == RANDOM
    idle, course = timeouts(crossing, t, seen, renews)
    knocked = knocks_at(crossing, t, s, seen, fixed) if seen is not None and len(s) else {}
    filters = {proto: filtering_of(k, seen) for proto, k in sorted(knocked.items())} if seen is not None else {}
    refreshed = refresh(t, course, idle, seen)
    crossed = passing(crossing, t, seen)
    turned, lost = hairpin(t, np.unique(s.outside, axis=0)), unturned(crossing, t, seen)
    if turned.value is None and not turned.against and lost:
        turned = Finding(
            "none", sum(map(len, lost.values())), 0, "conversations for a forwarded port's outside endpoint did not come back in"
        )
    return Inferred(
        mapping=mapping,
        filtering=filtering(filters if seen is not None and len(s) else None),
        port_choice=used.choice,
        port_range=used.range,
        address_pool=address_pool(s),
        pooling=pooling(s),
        port_overloading=overloading,
        parity=used.parity,
        contiguity=used.contiguity,
        block_size=used.block_size,
        allocation=used.allocation,
        ports_per_host=quota(crossing, s),
        hairpin=turned,
        **{f.name: getattr(idle, f.name) for f in fields(idle) if f.name != "proofs"},
        icmp_errors=errors_finding(crossed, seen),
        fragments=fragments_finding(crossed),
        refresh_outbound=refreshed.outbound,
        refresh_inbound=refreshed.inbound,
        fields_changed=fields_changed(crossing, t),
        evidence=Evidence(
            s, fixed, ends_tcp, seen, counted, mapped, knocked, filters, idle.proofs, refreshed, lost, crossed, clamps(crossing, t)
        ),
    )
