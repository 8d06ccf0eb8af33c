"""Port: everything one capture point showed: its packets, and the conversation each belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..message import Collected
from ..table import Array
from ..wire import Flag, Outer, PacketFacts, Packets, Quoted, Texts
from .conversation import Conversations


@dataclass
class Port:
    """One port of a box as a capture shows it. Rows of several files follow one another, in the order of time."""

    name: str
    files: tuple[str, ...]
    file_rows: tuple[int, ...]
    """How many rows each file has."""
    packets: Packets
    quoted: Quoted
    conversations: Conversations
    conversation: Array
    """(n,) row in `conversations` of each packet, -1 for none."""
    reverse: Array
    """(n,) 0 if the packet goes from a to b, 1 if from b to a."""
    about: Array
    """(q,) row in `conversations` of each quoted packet, -1 for none."""
    problems: list[str] = field(default_factory=list)
    outer: Outer = field(default_factory=lambda: Outer.empty(0))
    """The headers around packets in tunnels."""
    stray_fragments: int = 0
    """Fragments that belong to no conversation, as the first of their datagram was not seen in time."""
    picked: Collected = field(default_factory=Collected.none)
    """The messages whose content is read, and what each conversation speaks."""
    facts: PacketFacts = field(default_factory=lambda: PacketFacts.empty(0))
    """What Windows' tools say of packets; nothing in most captures."""
    texts: Texts = field(default_factory=Texts)
    """What facts refer to by number."""
    sided: bool = False
    """Whether any packet has a direction or an identifier."""

    _group: Array | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def first_ns(self) -> int:
        """Time of the earliest frame, 0 without frames."""
        return int(self.packets.time_ns.min()) if len(self.packets) else 0

    @property
    def last_ns(self) -> int:
        """Time of the latest frame, 0 without frames."""
        return int(self.packets.time_ns.max()) if len(self.packets) else 0

    def to_group(self) -> Array:
        """(c,) whether each conversation has a frame to a multicast or the broadcast address."""
        if self._group is None:
            rows = np.flatnonzero(self.packets.flags & np.uint32(Flag.GROUP) != 0)
            of = self.conversation[rows]
            self._group = np.zeros(len(self.conversations), bool)
            self._group[of[of >= 0]] = True
        return self._group
