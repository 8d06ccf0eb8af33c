"""The model that two captures gave, as configuration: which of it is a finding, and what stands behind it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from ..address import texts
from ..nat import Inferred, Translations
from ..nat.behavior import MOST_STATIC, NatBehavior
from .iptables import iptables
from .model import model_text
from .nft import nft
from .powershell import powershell
from .unsaid import Site, unknown

LANGUAGES = ("nft", "iptables", "powershell", "model")


def captured(language: str, behavior: NatBehavior, found: Inferred, t: Translations, assumed: Sequence[str]) -> str:
    """One of LANGUAGES for the model of a box. assumed: questions that the captures do not answer."""
    besides = _besides(found)
    if language == "model":
        return model_text(behavior, _told(found, assumed) + [f"found, and no word of a model: {line}" for line in besides])
    source = np.flatnonzero((t.kind & 1 != 0) & (t.from_outside == 0) & (t.hairpin == 0))
    hosts = tuple(sorted(set(texts(t.inside_src[source]))))[:MOST_STATIC]
    write = {"nft": nft, "iptables": iptables, "powershell": powershell}[language]
    return write(behavior, Site(hosts, unknown(assumed), tuple(assumed), tuple(besides)))


IN_MODEL = frozenset(
    ("mapping", "filtering", "port_choice", "port_range", "address_pool", "pooling", "port_overloading", "parity", "block_size", "hairpin",
     "udp_idle_s", "udp_reply_idle_s", "tcp_idle_s", "tcp_transitory_idle_s", "icmp_idle_s", "fields_changed")
)  # fmt: skip
"""Findings that nat/inferred.py makes parameters of."""
USUAL = ("ip.ttl", "eth.src", "eth.dst")
"""Fields that every router changes."""


def _besides(found: Inferred) -> list[str]:
    """Findings that the model does not hold; our own words and numbers only."""
    known = {name: f.value for name, f in found.findings().items() if f.value is not None}
    out = [f"{name} = {json.dumps(value)}" for name, value in known.items() if name not in IN_MODEL]
    changed = [name for name, how in (known.get("fields_changed") or {}).items() if how is True and name not in USUAL]
    return out + ([f"fields changed: {', '.join(changed)}"] if changed else [])


def _told(found: Inferred, assumed: Sequence[str]) -> list[str]:
    """The findings by their weight; numbers and our own words only."""
    out = ["What two captures told of a NAT. A finding: how much speaks for it, how much against; times: survived, gone."]
    for name, f in found.findings().items():
        if f.value is None or name == "fields_changed":
            continue
        interval = ""
        if name.endswith("_idle_s"):
            low, high = f.value
            interval = f", between {'?' if low is None else f'{low:g}'} and {'?' if high is None else f'{high:g}'} s"
        out.append(f"{name}: {f.support} for it, {f.against} against{interval}")
    if assumed:
        out.append(f"left free, as these captures do not tell: {', '.join(assumed)}")
    return out
