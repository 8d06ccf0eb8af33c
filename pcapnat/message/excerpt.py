"""What is picked: the bytes of messages whose content is read, with what their frames' headers say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from ..table import Array, Table, column
from .topic import Topic


class Excerpts(Table):
    """One row per picked message, in file order, with what its frame's headers say; its bytes are data[start : start + size]."""

    row = column("int64", "row in Packets of the frame")
    topic = column("uint8", "what it is, see Topic")
    conversation = column("int64", "row in Conversations, -1 for none")
    start = column("int64", "where its bytes begin", unit="bytes")
    size = column("int64", "how many bytes are kept", unit="bytes")
    whole = column("int64", "its length on the wire", unit="bytes")
    time_ns = column("int64", "when the frame was captured", unit="ns since 1970-01-01 UTC")
    flags = column("uint32", "marks, see Flag")
    eth_dst = column("uint64", "destination MAC address")
    eth_src = column("uint64", "source MAC address")
    ethertype = column("uint16", "type of what follows the link header and its tags")
    vlan = column("uint16", "VLAN identifier of the outermost tag")
    src = column("uint64", "source address", width=2)
    dst = column("uint64", "destination address", width=2)
    sport = column("uint16", "source port")
    dport = column("uint16", "destination port")
    seq = column("uint32", "TCP sequence number")


@dataclass
class Collected:
    """Excerpts with their bytes.

    spoken: (c,) topic of each conversation, 0 if not known. left: messages that found no room, by topic; left_ns: when the
    first of them was captured.
    """

    excerpts: Excerpts
    data: bytes
    spoken: Array
    left: Counter[Topic] = field(default_factory=Counter)
    left_ns: int | None = None

    @classmethod
    def none(cls) -> Collected:
        """Nothing picked, of no conversations."""
        return cls(Excerpts.empty(0), b"", np.zeros(0, np.uint8))

    def bytes_of(self, i: int) -> bytes:
        """The bytes of row i."""
        start = int(self.excerpts.start[i])
        return self.data[start : start + int(self.excerpts.size[i])]
