"""Inference: everything two captures tell about how a NAT behaves, each answer with what it rests on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..flow import Crossing
from ..terms import Finding
from .addresses import address_pool, hairpin, one_for_one, pooling
from .keeping import mapping_behavior, sharing
from .portchoice import RANDOM, ports
from .session import sessions
from .translation import Translations


@dataclass(frozen=True)
class Inferred:
    """One finding per question; the words are those of RFC 4787 and of the JSON document."""

    mapping: Finding[str]
    port_choice: Finding[str]
    port_range: Finding[list[int]]
    address_pool: Finding[list[str]]
    pooling: Finding[str]
    port_overloading: Finding[bool]
    parity: Finding[bool]
    contiguity: Finding[bool]
    block_size: Finding[int]
    hairpin: Finding[str]

    def findings(self) -> dict[str, Finding[Any]]:
        """All by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def infer(crossing: Crossing, t: Translations) -> Inferred:
    """What the translations of a box tell."""
    everything = sessions(crossing, t)
    s = everything.take(everything.hairpin == 0)
    fixed = one_for_one(s)
    tcp = t.proto == 6
    used = ports(everything, fixed, bool(tcp.any()) and int(t.ended.sum()) * 2 > int(tcp.sum()))
    span = int(np.ptp(changed)) + 1 if used.choice.value == RANDOM and len(changed := s.outside_port[~s.kept()]) else 0
    overloading = sharing(s, span)
    return Inferred(
        mapping=mapping_behavior(s, fixed, overloading.value),
        port_choice=used.choice,
        port_range=used.range,
        address_pool=address_pool(s),
        pooling=pooling(s),
        port_overloading=overloading,
        parity=used.parity,
        contiguity=used.contiguity,
        block_size=used.block_size,
        hairpin=hairpin(t, np.unique(s.outside, axis=0)),
    )
