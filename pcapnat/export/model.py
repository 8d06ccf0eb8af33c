"""A behavior as a model file: the inverse of nat/custom.py, every parameter written out, so that it reads back equal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from ..nat.behavior import GENERAL, NatBehavior, Static
from ..nat.custom import FIELDS
from ..nat.presets import PRESETS

ALL_PORTS = (0, 65535)


def model_text(behavior: NatBehavior, told: Iterable[str] = ()) -> str:
    """TOML that custom.behavior reads back as `behavior`. told: lines that stand at its head as comments."""
    values = {name: getattr(behavior, name) for name in FIELDS}
    missing = [name for name, value in values.items() if value is None]
    # TOML has no word for "not given": the base must be one that gives nothing there, either.
    bases = [p.behavior for p in PRESETS.values() if all(getattr(p.behavior, name) is None for name in missing)]
    lines = [f"# {line}" for line in told]
    lines += [f"# not said in a model file: {f.name}" for f in fields(behavior) if f.name not in FIELDS and getattr(behavior, f.name)]
    lines += [f'base = "{bases[0].name if bases else "rfc4787"}"  # for words that stand in none of these lines']
    for name, value in values.items():
        if value is None and not bases:
            value = behavior.seconds(name) if name in GENERAL else getattr(behavior, name.removesuffix("_tcp"), None)
        if value is not None and name != "static":
            lines.append(f"{name} = {toml(value)}")
    for rule in behavior.static:
        lines += ["", "[[static]]", *(f"{name} = {toml(value)}" for name, value in _static(rule).items())]
    return "\n".join(lines) + "\n"


def _static(rule: Static) -> dict[str, Any]:
    """The words of a [[static]] table; what is not said is left out."""
    alone = rule.ports[0] == rule.ports[1]
    words = {
        "proto": rule.proto,
        "outside": _endpoint(rule.outside, rule.ports[0] if alone else None),
        "inside": _endpoint(rule.inside, rule.to_port),
        "ports": () if alone or rule.ports == ALL_PORTS else rule.ports,
        "remote": rule.remote,
        "outbound": rule.outbound,
        "neutral": rule.neutral,
    }
    return {name: value for name, value in words.items() if value or name == "outside"}


def _endpoint(address: str, port: int | None) -> str:
    host = f"[{address}]" if ":" in address else address
    return host if port is None else f"{host}:{port}"


def toml(value: Any) -> str:
    """A value as TOML 1.0 writes it."""
    if isinstance(value, Enum):
        return toml(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return repr(int(value))
    if isinstance(value, float):
        return repr(float(value))  # of NumPy's kind, too
    if isinstance(value, str):
        return '"' + "".join(_letter(c) for c in value) + '"'
    if is_dataclass(value) and not isinstance(value, type):
        return "{ " + ", ".join(f"{f.name} = {toml(getattr(value, f.name))}" for f in fields(value)) + " }"
    return "[" + ", ".join(toml(item) for item in value) + "]"


def _letter(c: str) -> str:
    """One character of a basic string: controls and what UTF-8 cannot hold are escaped or replaced (TOML 1.0, String)."""
    if c in '"\\':
        return "\\" + c
    if c < " " or c == "\x7f":
        return f"\\u{ord(c):04x}"
    return "\ufffd" if "\ud800" <= c <= "\udfff" else c
