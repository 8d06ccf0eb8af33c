"""Inference: everything two captures tell about how a NAT behaves, each answer with what it rests on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..flow import Crossing
from ..terms import Finding
from .addresses import address_pool, hairpin, one_for_one, pooling
from .fields import fields_changed
from .filtering import filtering
from .idle import Interval, timeouts
from .keeping import PORT, mapping_behavior, sharing
from .portchoice import PRESERVE, RANDOM, ports
from .session import sessions
from .translation import Translations
from .watch import watch


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
    hairpin: Finding[str]
    udp_idle_s: Finding[Interval]
    udp_reply_idle_s: Finding[Interval]
    tcp_idle_s: Finding[Interval]
    tcp_transitory_idle_s: Finding[Interval]
    icmp_idle_s: Finding[Interval]
    fields_changed: Finding[dict[str, Any]]

    def findings(self) -> dict[str, Finding[Any]]:
        """All by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def known(self) -> bool:
        """Whether there is any answer about translation."""
        return any(f.value is not None for name, f in self.findings().items() if name != "fields_changed")


def infer(crossing: Crossing, t: Translations) -> Inferred:
    """What the translations of a box tell."""
    everything = sessions(crossing, t)
    s = everything.take(everything.hairpin == 0)
    fixed = one_for_one(s)
    tcp = t.proto == 6
    used = ports(everything, fixed, bool(tcp.any()) and int(t.ended.sum()) * 2 > int(tcp.sum()))
    span = int(np.ptp(changed)) + 1 if used.choice.value == RANDOM and len(changed := s.outside_port[~s.kept()]) else 0
    overloading = sharing(s, (used.choice.value or "").startswith(PRESERVE), span)
    mapping = mapping_behavior(s, fixed, overloading.value)
    seen = watch(crossing)
    renews = None if mapping.value is None and used.choice.value == RANDOM else mapping.value == PORT and used.choice.value == RANDOM
    idle = timeouts(crossing, t, seen, renews)
    return Inferred(
        mapping=mapping,
        filtering=filtering(crossing, t, s, seen),
        port_choice=used.choice,
        port_range=used.range,
        address_pool=address_pool(s),
        pooling=pooling(s),
        port_overloading=overloading,
        parity=used.parity,
        contiguity=used.contiguity,
        block_size=used.block_size,
        hairpin=hairpin(t, np.unique(s.outside, axis=0)),
        **{f.name: getattr(idle, f.name) for f in fields(idle)},
        fields_changed=fields_changed(crossing),
    )
