"""A behavior as a user names it: a preset, a preset with changes, or a model file."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..terms import PcapnatError, printable
from .behavior import NatBehavior
from .custom import FIELDS, LARGEST, behavior
from .presets import PRESETS

LISTS = {"addresses", "inside"}


def chosen(said: str) -> NatBehavior:
    """The behavior that `NAME`, `NAME:word=value,word=value` or a TOML file's path stands for.

    Words are those of a model file; `ports=1024-2047` is its port_range, `_s` may be left out, `+` stands between addresses.
    PcapnatError in one line for what is none of these, with the names there are. config.chosen reads what a running NAT says, too.
    """
    if said in PRESETS:
        return PRESETS[said].behavior
    name, sign, changes = said.partition(":")
    if sign and name in PRESETS and changes:
        return changed(said, PRESETS[name].behavior, changes)
    path = Path(said)
    try:
        if not path.is_file():
            if path.exists():
                raise PcapnatError(f"{said}: not a regular file")
            if "/" in said or said.endswith(".toml"):
                raise PcapnatError(f"{said}: no such file")
            raise PcapnatError(f"{said}: no such model; there is {', '.join(PRESETS)}, or a model file")
        with path.open("rb") as file:
            data = file.read(4 * LARGEST + 1)
    except (OSError, ValueError) as error:
        what = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
        raise PcapnatError(f"{said}: {what}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PcapnatError(f"{said}: not a model: no UTF-8 text, at byte {error.start}") from None
    return behavior(text, said)


def changed(said: str, base: NatBehavior, changes: str) -> NatBehavior:
    """A behavior with some words changed, read as the model file that says the same. PcapnatError in one line, which begins with `said`."""
    lines = []
    for change in changes.split(","):
        word, sign, value = (part.strip() for part in change.partition("="))
        if not sign or not re.fullmatch(r"\w+", word, re.ASCII) or not value:
            raise PcapnatError(f"{said}: {printable(change)!r} is no change such as udp_idle=30")
        if word == "ports":
            word = "port_range"
        elif word not in FIELDS and word + "_s" in FIELDS:
            word += "_s"
        lines.append(f"{word} = {_toml(word, value)}")
    try:
        return behavior("\n".join(lines), said, base)
    except PcapnatError as error:
        # What would be a line of a file is a word here.
        raise PcapnatError(re.sub(re.escape(said) + r": line \d+: ", lambda _: f"{said}: ", str(error), count=1)) from None


def _toml(word: str, value: str) -> str:
    """A value as a model file writes it."""
    pair = re.fullmatch(r"(\d{1,5})-(\d{1,5})", value, re.ASCII)
    if pair and word in ("port_range", "icmp_range"):
        return f"[{int(pair[1])}, {int(pair[2])}]"
    if word in LISTS:
        return json.dumps(value.split("+"))
    if value in ("true", "false"):
        return value
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value, re.ASCII):
        return str(float(value)) if "." in value else str(int(value))
    return json.dumps(value)
