"""A behavior as a user names it: a known NAT, a model file, or what a running NAT says of its rules."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from ..nat.behavior import NatBehavior
from ..nat.chosen import changed
from ..nat.chosen import chosen as known
from ..nat.presets import PRESETS
from ..terms import PcapnatError, printable
from .iptables import iptables
from .nft import nft
from .powershell import powershell
from .ruleset import LARGEST, RulesError
from .sysctl import with_sysctl
from .translate import behavior_of

BESIDE = ("inside_interface", "outside_interface", "sysctl")
"""Words that are no parameters: names of interfaces, and a file with the output of `sysctl -a`."""


def chosen(said: str) -> NatBehavior:
    """The behavior that a name, `NAME:word=value,...`, `FILE` or `FILE:word=value,...` stands for.

    FILE is a model file (TOML), the output of `nft -j list ruleset` or of iptables-save, or what Get-NetNat and its like give to
    ConvertTo-Json. Words are those of a model file; inside_interface and outside_interface tell which of a ruleset's interfaces are
    meant, sysctl names a file with the output of `sysctl -a`. PcapnatError in one line, with the place, for what cannot be read.
    """
    if said.partition(":")[0] in PRESETS and not os.path.isfile(said):
        return known(said)
    file, changes = _parted(said)
    text = _text(file)
    if text is None:
        return known(said)
    kind = _kind(text)
    if kind is None:
        return changed(said, known(file), changes) if changes else known(file)
    names, sysctl, rest = _beside(said, changes)
    try:
        if kind == "powershell":
            found = powershell(text, file)
        else:
            found = behavior_of(nft(text) if kind == "nft" else iptables(text), "custom", file, *names)
    except RulesError as error:
        raise PcapnatError(f"{printable(file)}: {printable(str(error))}") from None
    except ValueError as error:
        raise PcapnatError(f"{printable(file)}: no NAT can have these rules: {printable(str(error))}") from None
    if sysctl:
        times = _text(sysctl)
        if times is None:
            raise PcapnatError(f"{printable(sysctl)}: no such text file")
        try:
            found = replace(with_sysctl(found, times), source=printable(said))
        except ValueError as error:
            raise PcapnatError(f"{printable(sysctl)}: {printable(str(error))}") from None
    return changed(said, found, rest) if rest else found


def _parted(said: str) -> tuple[str, str]:
    """A file's path and the changes behind its last colon that looks like them."""
    found = re.search(r":(?=\w+\s*=)", said, re.ASCII)
    if found and not os.path.exists(said):
        return said[: found.start()], said[found.end() :]
    return said, ""


def _text(file: str) -> str | None:
    """The text of a file, None if it is none (nat.chosen says what is wrong)."""
    path = Path(file)
    try:
        if not path.is_file():
            return None
        with path.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except (OSError, ValueError):
        return None
    if len(data) > LARGEST:
        raise PcapnatError(f"{printable(file)}: larger than {LARGEST >> 20} MiB: no rules of a NAT")
    # PowerShell 5.1 writes UTF-16 where > is used.
    code = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(code)
    except UnicodeDecodeError:
        return None


def _kind(text: str) -> str | None:
    """What a text is: nft, iptables or powershell; None for a model file."""
    head = text.lstrip()[:1]
    if head in ("{", "["):
        # A table of TOML begins with a bracket, too; a list of JSON goes on with an object.
        if head == "[" and not re.match(r"\s*\[\s*[\[{]\s*[\"\]}\[{]", text):
            return None
        return "nft" if re.search(r'"nftables"\s*:', text[:4096]) else "powershell"
    if re.search(r"^\*(?:nat|filter|mangle|raw|security)\s*$", text[: 1 << 16], re.MULTILINE):
        return "iptables"
    return "iptables" if "iptables-save" in text[:400] else None


def _beside(said: str, changes: str) -> tuple[tuple[str, str], str, str]:
    """The names of interfaces in the changes, inside and outside, the file of sysctl, and the other changes."""
    found = dict.fromkeys(BESIDE, "")
    rest = []
    for change in changes.split(",") if changes else []:
        word, _, value = (part.strip() for part in change.partition("="))
        if word in found:
            if not value:
                raise PcapnatError(f"{printable(said)}: {word}: which one?")
            found[word] = value
        else:
            rest.append(change)
    return (found[BESIDE[0]], found[BESIDE[1]]), found[BESIDE[2]], ",".join(rest)
