"""Which interface of a capture is meant: by number, by name, or by words of what it is called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..terms import CaptureError
from .link import LINKS

if TYPE_CHECKING:
    from .capture import Capture, Interface

COMPONENT, EDGE = r"(?i)\bcomponent\s+(\d+)\b", r"(?i)\bedge\s+(\d{1,5})\s*$"
MOST_LISTED = 8


class Chosen(NamedTuple):
    """An interface, and the edge of its component if only one is meant."""

    interface: int
    edge: int | None = None


def choose(capture: Capture, wanted: str, before: Chosen | None = None) -> Chosen | None:
    """The interface that `wanted` means among those met so far, None if none fits; CaptureError if several do.

    A number counts interfaces from 0; a name is as the file has it; otherwise every word must occur, whatever its case, in name,
    description, kind or link type, and "component 4" is pktmon's component 4 and no other; "edge 1" behind it is one of its
    boundaries. before: what was chosen when fewer interfaces were known.
    """
    edge = None
    fits = _named(capture.interfaces, wanted)
    if not fits and (match := re.search(EDGE, wanted)):
        edge = int(match[1])
        rest = wanted[: match.start()].strip()
        fits = _named(capture.interfaces, rest) or _called(capture.interfaces, rest)
    elif not fits:
        fits = _called(capture.interfaces, wanted)
    if before is not None and before.interface not in fits[:1]:
        fits = [before.interface, *fits]
    if len(fits) > 1:
        which = ", ".join(capture.interfaces[i].called().removeprefix("interface ") for i in fits[:MOST_LISTED])
        more = f" and {len(fits) - MOST_LISTED:,} more" if len(fits) > MOST_LISTED else ""
        raise CaptureError(capture.path, f"{wanted!r} can be several interfaces: {which}{more}; give a number or more words")
    return Chosen(fits[0], edge) if fits else None


def _named(interfaces: list[Interface], wanted: str) -> list[int]:
    """By number or by the whole name; of equal names the first."""
    if wanted.isascii() and wanted.isdecimal() and len(wanted) < 10 and int(wanted) < len(interfaces):
        return [int(wanted)]
    exact = next((i.id for i in interfaces if i.name == wanted), None)
    return [] if exact is None else [exact]


def _called(interfaces: list[Interface], wanted: str) -> list[int]:
    """By words."""
    component = re.search(COMPONENT, wanted)
    words = re.sub(COMPONENT, " ", wanted).lower().split()
    if not words and not component:
        return []
    number = re.compile(rf"component {component[1]}\b") if component else None
    fits = []
    for interface in interfaces:
        link = LINKS[interface.link_type].name if interface.link_type in LINKS else ""
        name = (interface.name or "").lower()
        text = f"{name} {interface.description or ''} {interface.kind or ''} {link}".lower()
        if (number is None or number.match(name)) and all(word in text for word in words):
            fits.append(interface.id)
    whole = [i for i in fits if (interfaces[i].name or "").lower() == wanted.lower()]
    return whole if len(whole) == 1 else fits
