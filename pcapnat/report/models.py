"""The NATs that are known, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from enum import Enum
from typing import Any

from ..nat.behavior import MssClamp, NatBehavior, PortRange, Source, Static
from ..nat.filters import Filter
from ..nat.presets import Preset
from .words import Section


def models_sections(presets: Iterable[Preset]) -> list[Section]:
    """What `pcapnat models` says: a row each."""
    rows = []
    for p in presets:
        b = p.behavior
        mapping = b.mapping.value + (f" (tcp {b.mapping_tcp.value})" if b.mapping_tcp else "")
        times = (
            f"{b.udp_idle_s:g}/{b.seconds('udp_reply_idle_s'):g}",
            f"{b.tcp_idle_s:g}/{b.tcp_transitory_idle_s:g}",
            f"{b.icmp_idle_s:g}",
        )
        rows.append([b.name, mapping, b.filtering.value, b.port_choice.value, _ranges(b), *times, p.says])
    return [
        Section(
            "Models",
            ["Times in seconds: UDP before and after an answer, TCP established and otherwise, ICMP queries."],
            ["name", "mapping", "filtering", "ports", "range", "udp", "tcp", "icmp", "what it is"],
            rows,
            ["left", "left", "left", "left", "left", "right", "right", "right", "left"],
        )
    ]


def model_sections(p: Preset) -> list[Section]:
    """What `pcapnat models NAME` says: every parameter, as a model file has it."""
    lines = [p.says, f"source: {p.behavior.source}", f"{p.sure.value}" + (f"; believed: {', '.join(p.believed)}" if p.believed else "")]
    rows = [[name, _toml(value)] for name, value in behavior_values(p.behavior).items() if name not in ("name", "source")]
    after = ["A model file has these words, one a line as name = value, and base = " + _toml(p.name) + " for all others."]
    return [Section(p.name, lines, ["parameter", "value"], rows, ["left", "left"], after)]


def models_json(presets: Iterable[Preset]) -> str:
    """pcapnat.models/1."""
    found = [
        {"name": p.name, "says": p.says, "sure": p.sure.name.lower(), "believed": list(p.believed), "behavior": behavior_values(p.behavior)}
        for p in presets
    ]
    return json.dumps({"schema": "pcapnat.models/1", "models": found}, indent=1, ensure_ascii=False) + "\n"


def behavior_values(b: NatBehavior) -> dict[str, Any]:
    """Field by field as JSON and TOML have it; what is not given is left out, and so are rules that there are none of."""
    found = {f.name: _plain(getattr(b, f.name)) for f in fields(b)}
    return {name: value for name, value in found.items() if value is not None and not (name in RULES and not value)}


RULES = ("sources", "filters", "complete", "unmodelled", "notes")
"""What only the rules of a running NAT have."""


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Filter):
        return str(value)
    if isinstance(value, PortRange | Static | Source | MssClamp):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return value


def _toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _ranges(b: NatBehavior) -> str:
    return ", ".join(f"{r.low}-{r.high}" for r in b.port_ranges) + (f" by {b.block_size}" if b.block_size else "")
