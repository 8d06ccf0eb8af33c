"""Single frames as they are shown, with what others read in them."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..wire import Capture, Checksum, Row, View
from .pick import Picked


@dataclass
class Shown:
    """One frame, its checksums, and the comparison with the witnesses that were heard (rows; views by the witness's name).

    wireshark_number: the frame's number there, where it is known to be another than here.
    """

    picked: Picked
    checksums: list[Checksum]
    wireshark_number: int | None = None
    rows: list[Row] = field(default_factory=list)
    views: dict[str, View] = field(default_factory=dict)


@dataclass
class Show:
    """Some frames of a capture, ascending. witnesses: those that were asked; absent: why one of them says nothing at all."""

    capture: Capture
    frames: list[Shown]
    witnesses: tuple[str, ...] = ()
    absent: dict[str, str] = field(default_factory=dict)
