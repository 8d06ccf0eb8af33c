"""Fingerprints: what of a frame survives a box, how much it proves, and which conversations share which.

Two families. The frame's `key` (see wire/decode.py), and the key together with the IP identification, which most boxes
leave alone and which tells equal payloads apart. A fingerprint that m conversations here and n there share proves
log2(m n) bits less; beyond MANY combinations it proves nothing and costs nothing: that keeps the work linear.
"""

from __future__ import annotations

from enum import IntFlag
from functools import partial

import numpy as np

from ..kernel import SEED, together
from ..table import Array, Table, column
from . import vote as v
from .port import Port


class By(IntFlag):
    """What a match rests on."""

    ISN = v.ISN
    SEQUENCE = v.SEQUENCE
    PAYLOAD = v.PAYLOAD
    DNS = v.DNS
    ECHO = v.ECHO
    IP_ID = v.IP_ID
    FAR_END = v.FAR_END
    PACKET_ID = v.PACKET_ID
    STREAM = v.IN_STREAM
    TIME = v.TIME

    def names(self) -> list[str]:
        """As the JSON document writes them."""
        return [word for kind, word in WORDS.items() if kind in self]


WORDS = {By.ISN: "isn", By.SEQUENCE: "sequence", By.PAYLOAD: "payload", By.DNS: "dns-id", By.ECHO: "echo", By.IP_ID: "ip-id",
         By.FAR_END: "far-endpoint", By.PACKET_ID: "packet-id", By.STREAM: "stream", By.TIME: "time"}  # fmt: skip
assert WORDS.keys() == set(By)


class Candidates(Table):
    """One row per two conversations, and orientation, that share a rare fingerprint."""

    here = column("int64", "conversation here")
    there = column("int64", "conversation there")
    flip = column("uint8", "1 if a here is b there")
    packet_bits = column("float64", "what their shared fingerprints prove", unit="bits")
    bits = column("float64", "what everything proves", unit="bits")
    by = column("int64", "what it rests on, see By")
    shared = column("int64", "fingerprints shared")
    outward = column("int64", "frames whose TTL says that a to b leads from here to there, minus those that say the opposite")
    here_first = column("int64", "first time here of a shared frame", unit="ns")
    here_last = column("int64", "last time here of a shared frame", unit="ns")
    there_first = column("int64", "first time there of a shared frame", unit="ns")
    there_last = column("int64", "last time there of a shared frame", unit="ns")
    delay = column("float64", "mean time there minus time here of shared frames", unit="ns")


USUAL = (v.PLAIN, v.REFINED)
REWRITTEN = 8
"""So many more frames with another IP identification than with the same one show a box that rewrites it: fewer may be look-alikes."""


class Index:
    """The fingerprints of two ports' frames in wanted conversations (one port: to find conversations that are copies of others)."""

    def __init__(
        self, here: Port, there: Port | None, wanted_here: Array, wanted_there: Array | None = None, families: tuple[int, ...] = USUAL
    ):
        """The first of `families` is the one that clocks are compared by."""
        self.here, self.other, self.there = here, there, there or here
        self.speaking_here = np.zeros(len(here.conversations), np.uint8)
        """(c,) 1 for conversations that have a fingerprint at all."""
        self.speaking_there = np.zeros(len(self.there.conversations), np.uint8)
        self._families = [_Family(number, self) for number in families]
        self._plain = self._families[0]

        def enter(family: _Family) -> None:
            family.enter(here, 0, wanted_here, self.speaking_here)
            if there is not None and wanted_there is not None:
                family.enter(there, 1, wanted_there, self.speaking_there)

        together(*(partial(enter, family) for family in self._families))

    def keeps_identification(self) -> bool:
        """Whether the box leaves IP identifications alone, as most do: not if many frames that can only be one another differ in it."""
        plain, refined = self._families
        shown = refined.entries[: int(refined.state[v.ENTRIES])]
        same = int(((shown[:, v.COUNT_HERE] > 0) & (shown[:, v.COUNT_THERE] > 0)).sum())
        return same + v.kept(self.here.packets, self.there.packets, plain.entries, int(plain.state[v.ENTRIES])) > -REWRITTEN

    def candidates(self, strict: bool) -> Candidates:
        """Everything that shares something, added up, in the order of the conversations.

        strict: frames that differ in their IP identification do not count as one, however equal they are otherwise.
        """
        tally = _Tally()
        base = self.there.first_ns - self.here.first_ns
        here, there, plain = self.here, self.there, self._plain
        for family in self._families:
            family.state[v.NEXT_ENTRY] = 0
            family.state[v.PAIRS] = tally.pairs
            while not v.tally(here.packets, there.packets, here.conversation, there.conversation, here.reverse, there.reverse,
                              len(there.conversations), self.other is None, family.number, family.keys, family.entries, family.chains[0],
                              family.chains[1], plain.slots, len(plain.slots) - 1, plain.keys, plain.entries, strict, LOG2, base,
                              tally.slots, len(tally.slots) - 1, SEED, tally.rows, family.state):  # fmt: skip
                tally.grow(int(family.state[v.PAIRS]))
            tally.pairs = int(family.state[v.PAIRS])
        rows = tally.rows[: tally.pairs]
        rows = rows[np.argsort(rows[:, v.PAIR])]
        pair = rows[:, v.PAIR] >> 1
        width = max(1, len(self.there.conversations))
        return Candidates(
            here=pair // width, there=pair % width, flip=(rows[:, v.PAIR] & 1).astype(np.uint8), packet_bits=rows[:, v.MILLIBITS] / 1000.0,
            bits=np.zeros(len(rows)), by=rows[:, v.BASIS].copy(), shared=rows[:, v.SHARED].copy(), outward=rows[:, v.OUTWARD].copy(),
            here_first=rows[:, v.HERE_FIRST].copy(), here_last=rows[:, v.HERE_LAST].copy(), there_first=rows[:, v.THERE_FIRST].copy(),
            there_last=rows[:, v.THERE_LAST].copy(),
            delay=base + (rows[:, v.DELAY] + rows[:, v.MORE_DELAY] / np.maximum(rows[:, v.SHARED], 1)))  # fmt: skip

    def travel(self, trusted: Array) -> tuple[Array, Array, Array]:
        """Times here and there, and directions (1 from here to there), of frames that occur once on either side in trusted pairs.

        trusted: (c,) counterpart there of each conversation here, -1 for none.
        """
        f = self._plain
        count = int(f.state[v.ENTRIES])
        here_ns, there_ns, outward = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int8)
        n = v.travel(self.here.packets, self.there.packets, self.here.conversation, self.there.conversation, trusted, f.entries, count,
                     here_ns, there_ns, outward)  # fmt: skip
        return here_ns[:n], there_ns[:n], outward[:n]

    def echoed(self, left: Array, at_here: bool) -> Array:
        """(c,) of one side's conversations where left: 1 for those that say something the other side says too."""
        port = self.here if at_here else self.there
        common = np.zeros(len(port.conversations), np.uint8)
        f = self._plain
        v.echoed(
            port.packets,
            port.conversation,
            left.astype(np.uint8),
            1 if at_here else 0,
            f.slots,
            len(f.slots) - 1,
            SEED,
            f.keys,
            f.entries,
            common,
        )
        return common


class _Family:
    """One family's entries, and the chains of rows that show them."""

    def __init__(self, number: int, index: Index):
        rows = len(index.here.packets) + (len(index.there.packets) if index.other else 0)
        self.number = number
        self.slots = np.zeros(1 << max(8, (2 * rows - 1).bit_length()), np.int32)
        self.keys = np.zeros(rows, np.int64)
        self.entries = np.zeros((rows, v.ENTRY), np.int32)
        self.state = np.zeros(v.STATE, np.int64)
        self.chains = [np.zeros(len(index.here.packets), np.int32)]
        self.chains.append(np.zeros(len(index.there.packets), np.int32) if index.other else self.chains[0])

    def enter(self, port: Port, side: int, wanted: Array, speaking: Array) -> None:
        v.enter(port.packets, port.conversation, port.reverse, wanted.astype(np.uint8), self.number, side, self.slots, len(self.slots) - 1,
                SEED, self.keys, self.entries, self.chains[side], self.state, speaking)  # fmt: skip


class _Tally:
    """Pairs of conversations by number, grown when full."""

    def __init__(self) -> None:
        self.pairs = 0
        self.rows = np.zeros((FIRST_PAIRS, v.TALLY), np.int64)
        self.slots = np.zeros(4 * FIRST_PAIRS, np.int32)

    def grow(self, pairs: int) -> None:
        rows = np.zeros((4 * len(self.rows), v.TALLY), np.int64)
        rows[:pairs] = self.rows[:pairs]
        self.rows = rows
        self.slots = np.zeros(4 * len(rows), np.int32)
        v.again(self.rows, pairs, self.slots, len(self.slots) - 1, SEED)


LOG2 = np.array([0] + [round(1000 * np.log2(k)) for k in range(1, v.MANY + 1)], np.int64)
FIRST_PAIRS = 1 << 12
