"""The dictionary: words every room uses."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class PcapnatError(Exception):
    """Something a user can cause; its text is one line."""


class CaptureError(PcapnatError):
    """A capture that cannot be read at all."""

    def __init__(self, path: str, what: str, offset: int | None = None):
        self.path, self.what, self.offset = path, what, offset
        super().__init__(f"{path}: {what}" + (f", at byte {offset}" if offset is not None else ""))


class Endpoint(NamedTuple):
    """One end of a conversation; port is the ICMP identifier for queries and None where there is none."""

    address: str
    port: int | None

    def __str__(self) -> str:
        if self.port is None:
            return self.address
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Finding(Generic[T]):
    """An answer with its weight. value None means unknown; unknown is never guessed."""

    value: T | None
    support: int = 0
    against: int = 0
    note: str = ""


@dataclass(frozen=True)
class Selection:
    """Which frames of each file are meant; the others keep their numbers and belong to nothing.

    filter: a pcap-filter expression. display: one of Wireshark's display filters, for tshark. first: only so many frames are read.
    since, until: times from the first on and before the second, as wire/select.py reads them.
    """

    filter: str | None = None
    display: str | None = None
    first: int | None = None
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class Point:
    """A place where packets were captured: a name, its files, and the interface if only one of a file is meant.

    via: "tshark" if that is to read the files; None: only those that we do not read. selection: which of its frames.
    """

    name: str
    files: tuple[str, ...]
    interface: str | None = None
    via: str | None = None
    selection: Selection = Selection()


class Translation(Enum):
    """Which end of a conversation's first direction a box rewrote."""

    NONE = "none"
    SOURCE = "source"
    DESTINATION = "destination"
    BOTH = "both"


class Reason(Enum):
    """Why a conversation has no counterpart on the other side; the value is the sentence a user reads."""

    GROUP = "multicast or broadcast: a router does not forward it"
    LINK_LOCAL = "link-local addresses: a router does not forward them"
    BEFORE = "not seen on the other side, whose first frame is younger: that capture had not begun, or the box let nothing through"
    AFTER = "not seen on the other side, whose last frame is older: that capture had ended, or the box let nothing through"
    NOTHING_KEPT = "its packets hold nothing that a box would leave unchanged and that is rare enough to recognise"
    RIVALS = "several conversations on the other side fit equally well"
    ABSENT = "none of its packets appears on the other side"
    FEW = "too little in common with anything on the other side"


@dataclass
class Clock:
    """A point's clock against the first point's: offset = this clock minus that one; half the round trip bounds the error."""

    offset_ns: int | None = None
    drift_ppb: int = 0
    uncertainty_ns: int | None = None
    support: int = 0
    notes: list[str] = field(default_factory=list)


def printable(text: str) -> str:
    """Text from a capture or a path with everything that could move the cursor or hide other text made visible."""
    if text.isprintable():  # the same categories, at once
        return text
    return "".join(c if c == " " or unicodedata.category(c)[0] not in "CZ" else f"\\x{ord(c):02x}" for c in text)
