"""Analysis: the record of everything known about the boxes between some capture points. It computes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from .config import Truth
from .flow import Crossing, Delay, Port, Sockets
from .message import Messages
from .nat import Behind, Collisions, HostPorts, Inferred, Judged, Likely, Mappings, PortLoad, PortUse, Presence, Translations
from .replay import Forecast, Replay, Trace, WhatIf, Written
from .replay.send import Sent
from .table import Array
from .terms import Clock, Finding


@dataclass
class Box:
    """A box between two ports, and what it did."""

    crossing: Crossing
    kind: Finding[str]
    translations: Translations
    leaks: Translations
    """Parts of translated conversations that crossed untranslated."""
    mappings: Mappings
    mapped: Array
    """Translation rows, grouped by mapping (Mappings.start and count)."""
    ports: list[PortUse]
    behavior: Inferred
    """How it behaves, as far as the captures tell."""
    delays: list[Delay] = field(default_factory=list)
    replay: Replay | None = None
    """What entered, played through the model that was inferred; None for a box that translates nothing."""
    assumed: list[str] = field(default_factory=list)
    """Questions that this model leaves free."""
    load: list[PortLoad] = field(default_factory=list)
    """Outside ports in use over time."""
    collisions: Collisions | None = None
    double_nat: Finding[bool] | None = None
    """Whether the addresses that it gives belong behind another NAT."""
    likely: Likely | None = None
    """Known NATs in the order of how well they fit; None for a box that translates nothing."""
    requirements: list[Judged] = field(default_factory=list)
    """What the captures say about the RFCs' requirements; nothing for a box that translates nothing."""
    table: Truth | None = None
    """Its own table of sessions beside what crossed, if one was given."""


@dataclass
class Analysis:
    """All points, innermost first, with their clocks against the first, and the boxes between neighbours."""

    points: list[Port]
    clocks: list[Clock]
    sockets: list[Sockets]
    boxes: list[Box]
    notes: list[str] = field(default_factory=list)
    messages: list[Messages] = field(default_factory=list)
    """What the messages of each point say; empty if they were not read."""
    host_ports: list[list[HostPorts]] = field(default_factory=list)
    """For each point, from which ports its hosts opened conversations."""
    behind: list[Behind] = field(default_factory=list)
    """Hosts behind addresses, told by a single point."""
    presence: Presence | None = None
    """Whether there is a NAT, told by a single point."""


@dataclass
class Diff:
    """A model of the user's played over the crossing of two points."""

    crossing: Crossing
    replay: Replay
    notes: list[str] = field(default_factory=list)
    table: Truth | None = None
    """The NAT's own table beside them, if one was given."""


@dataclass
class Forecasted:
    """What a model would do with the traffic of one port."""

    port: Port
    forecast: Forecast
    notes: list[str] = field(default_factory=list)
    written: Written | None = None
    """The expected capture, if one was asked for."""


@dataclass
class Live:
    """What was sent of one port."""

    port: Port
    sent: Sent
    notes: list[str] = field(default_factory=list)


@dataclass
class Supposed:
    """What several models would do with the traffic of one port."""

    port: Port
    models: list[WhatIf]
    notes: list[str] = field(default_factory=list)


@dataclass
class Traced:
    """The way of one frame through a model of the box between two points."""

    crossing: Crossing
    trace: Trace
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, str]:
        """What the points are called."""
        return self.crossing.here.name, self.crossing.there.name
