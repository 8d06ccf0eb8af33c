"""A behavior from a TOML file, in the words of NatBehavior; a line that is wrong is named.

base = "linux-masquerade"
addresses = ["203.0.113.1"]
mapping = "address-and-port-dependent"
port_range = [1024, 2047]            # for all inside ports; port_ranges = [{ low, high, of_low, of_high }, ...] for classes
udp_idle_s = 30

[[static]]
proto = "tcp"
outside = "203.0.113.1:8080"
inside = "192.168.1.11:80"
"""

from __future__ import annotations

import re
import tomllib
import types
import typing
from collections.abc import Callable
from dataclasses import fields, replace
from enum import Enum
from functools import partial
from typing import Any

from ..terms import PcapnatError, printable
from .behavior import MssClamp, NatBehavior, PortRange, Static, protocol
from .presets import preset

LARGEST = 1 << 20
"""Characters of a model file; one with four thousand static mappings has a third of that."""
_HINTS = typing.get_type_hints(NatBehavior)
FIELDS = {f.name: _HINTS[f.name] for f in fields(NatBehavior) if f.name not in ("sources", "filters", "complete", "unmodelled", "notes")}


def behavior(text: str, file: str = "model", under: NatBehavior | None = None) -> NatBehavior:
    """What a TOML file says, on top of its `base` (default rfc4787) or of `under`. PcapnatError names file and line."""
    if len(text) > LARGEST:
        raise PcapnatError(f"{file}: more than {LARGEST:,} characters are no model")
    try:
        given = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error))
        what = re.sub(r"\s*\(at .*\)$", "", str(error))
        raise PcapnatError(f"{file}: line {line[1] if line else text.count(chr(10)) + 1}: {printable(what)}") from None

    def read(name: str, number: int, convert: Callable[[], Any]) -> Any:
        try:
            return convert()
        except (ValueError, TypeError) as error:
            raise PcapnatError(f"{file}: line {_line(text, name, number)}: {printable(str(error))}") from None
        except PcapnatError as error:
            raise PcapnatError(f"{file}: line {_line(text, name, number)}: {error}") from None

    base = under or read("base", 0, lambda: preset(_text("base", given.pop("base", "rfc4787"))).behavior)
    changed: dict[str, Any] = {"name": "custom", "source": file}
    for name, value in given.items():
        if name == "static":
            rules = value if isinstance(value, list) else [value]
            changed["static"] = tuple(read("static", k, partial(_static, rule)) for k, rule in enumerate(rules))
            for k, rule in enumerate(changed["static"]):
                read("static", k, partial(replace, base, static=(rule,)))
        else:
            field = "port_ranges" if name == "port_range" else name
            changed[field] = read(name, 0, partial(_value, name, value))
            # Each value alone, so that a wrong one is known by its line.
            pair = ("port_choice", "block_size")
            alone: dict[str, Any] = {k: changed[k] for k in pair if k in changed and field in pair}
            if field != "port_choice":
                alone[field] = changed[field]
                read(name, 0, partial(replace, base, **alone))
    if "port_ranges" in changed:
        changed.setdefault("keeps_any_port", False)  # netfilter keeps any port only as long as nobody gives it a range
    return typing.cast(NatBehavior, read("port_choice", 0, lambda: replace(base, **changed)))


def _line(text: str, name: str, number: int) -> int:
    """Where a key (or the number-th table of that name) stands, from 1; 1 if it is written in some other way."""
    pattern = rf"^\s*\[\[\s*{name}\s*\]\]" if name == "static" else rf"^\s*[\"']?{re.escape(name)}[\"']?\s*="
    found = [text.count("\n", 0, m.start() + len(m[0]) - len(m[0].lstrip())) + 1 for m in re.finditer(pattern, text, re.MULTILINE)]
    return found[number] if number < len(found) else found[0] if found else 1


def _value(name: str, value: Any) -> Any:
    """A TOML value as the field of that name has it."""
    if name == "port_range":
        return (_range(name, value),)
    if name == "port_ranges":
        return tuple(_range(name, item) for item in _list(name, value))
    if name == "mss":
        return tuple(_clamp(item) for item in ([value] if isinstance(value, int | dict) else _list(name, value)))
    if name not in FIELDS:
        from difflib import get_close_matches

        near = get_close_matches(name, [*FIELDS, "port_range", "base"], 1)
        raise ValueError(f"{name} is no parameter of a NAT" + (f", {near[0]} is" if near else ""))
    wanted = FIELDS[name]
    if isinstance(wanted, types.UnionType):
        wanted = next(t for t in typing.get_args(wanted) if t is not types.NoneType)
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        words = [str(member.value) for member in wanted]
        if value not in words:
            raise ValueError(f"{name}: {value!r} is none of {', '.join(words)}")
        return wanted(value)
    if wanted is bool:
        if not isinstance(value, bool):
            raise ValueError(f"{name}: {value!r} is neither true nor false")
        return value
    if wanted in (int, float):
        if isinstance(value, bool) or not isinstance(value, int if wanted is int else int | float):
            raise ValueError(f"{name}: {value!r} is no {'whole number' if wanted is int else 'number'}")
        return value
    if wanted is str:
        return _text(name, value)
    if name == "icmp_range":
        return _pair(name, value)
    return tuple(_text(name, item) for item in _list(name, value))


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name}: {value!r} is no text")
    return value


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name}: {value!r} is no list")
    return value


def _pair(name: str, value: Any) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(n, int) and not isinstance(n, bool) for n in value):
        raise ValueError(f"{name}: {value!r} is no range such as [1024, 65535]")
    return value[0], value[1]


def _range(name: str, value: Any) -> PortRange:
    """A range, or a table of low, high, of_low, of_high."""
    if isinstance(value, dict):
        if not {"low", "high"} <= value.keys() <= {"low", "high", "of_low", "of_high"} or not all(type(n) is int for n in value.values()):
            raise ValueError(f"{name}: a range has low and high, and of_low and of_high for inside ports")
        return PortRange(**value)
    return PortRange(*_pair(name, value))


def _clamp(value: Any) -> MssClamp:
    """A size in bytes, or a table of most, leaves, version, low, high."""
    if isinstance(value, bool) or not isinstance(value, int | dict):
        raise ValueError(f'mss: {value!r} is neither a size nor a table such as {{ most = 1452, leaves = "outside" }}')
    given = {"most": value} if isinstance(value, int) else value
    kinds = {"most": int, "leaves": str, "version": int, "low": int, "high": int}
    if not all(name in kinds and type(item) is kinds[name] for name, item in given.items()):
        raise ValueError(f"mss: a clamp has {', '.join(kinds)}")
    return MssClamp(**given)


_STATIC = {"proto": str, "outside": str, "inside": str, "remote": str, "outbound": bool, "neutral": bool, "ports": list}


def _static(value: Any) -> Static:
    """A [[static]] table; a port may stand behind outside and inside."""
    if not isinstance(value, dict):
        raise ValueError("static: a table [[static]] with outside and inside")
    for name, item in value.items():
        if name not in _STATIC:
            raise ValueError(f"static: {name} is none of {', '.join(_STATIC)}")
        if not isinstance(item, _STATIC[name]):
            raise ValueError(f"static: {name}: {item!r} is not as it should be")
    if not {"outside", "inside"} <= value.keys():
        raise ValueError("static: outside and inside are needed")
    outside, port = _endpoint(value["outside"])
    inside, to_port = _endpoint(value["inside"])
    ports = _pair("static: ports", value["ports"]) if "ports" in value else (port, port) if port is not None else (0, 65535)
    protocol(value.get("proto", ""))
    return Static(outside, inside, value.get("proto", ""), ports, to_port, value.get("remote", ""), value.get("outbound", False),
                  value.get("neutral", False))  # fmt: skip


def _endpoint(text: str) -> tuple[str, int | None]:
    """Address or prefix, and the port behind it if there is one."""
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(\d{1,5}))?", text)
    plain = re.fullmatch(r"([^:]*):(\d{1,5})", text)
    if found := bracketed or plain:
        return found[1], int(found[2]) if found[2] else None
    return text, None
