"""Fingerprints: what of a frame survives a box, how much it proves, and which conversations share which.

Two families. The frame's `key` (see wire/decode.py), and the key together with the IP identification, which most boxes
leave alone and which tells equal payloads apart. A fingerprint that m conversations here and n there share proves
log2(m n) bits less; beyond MANY combinations it proves nothing and costs nothing: that keeps the work linear.
"""

from __future__ import annotations

from enum import IntFlag
from functools import partial

import numpy as np

from ..kernel import SEED, cores, together
from ..table import Array, Table, column
from . import vote as v
from .clock import Travel
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
        self.here, self.other, self.there = here, there, there or here
        self.speaking_here = np.zeros(len(here.conversations), np.uint8)
        """(c,) 1 for conversations that have a fingerprint at all."""
        self.speaking_there = np.zeros(len(self.there.conversations), np.uint8)
        sides = [(here, wanted_here.astype(np.uint8), self.speaking_here)]
        if there is not None and wanted_there is not None:
            sides.append((there, wanted_there.astype(np.uint8), self.speaking_there))
        rows = sum(len(port.packets) for port, _, _ in sides)
        parts = min(MOST_PARTS, 1 << (cores().bit_length() - 1)) if rows > FEW_ROWS else 1
        counts = np.zeros((len(families), len(sides), parts), np.int64)

        def count(side: int) -> None:
            port, wanted, speaking = sides[side]
            for number, row in zip(families, counts, strict=True):
                v.entering(port.packets, port.conversation, wanted, number, parts, row[side], speaking)

        together(*(partial(count, side) for side in range(len(sides))))
        chains = [[np.zeros(len(port.packets), np.int32) for port, _, _ in sides] for _ in families]
        self._parts = [
            [_Family(number, int(total[part]), chain) for number, total, chain in zip(families, counts.sum(axis=1), chains, strict=True)]
            for part in range(parts)
        ]
        """Per part a family each, the first of which is the one that clocks are compared by."""

        def enter(part: int) -> None:
            for family in self._parts[part]:
                for side, (port, wanted, _) in enumerate(sides):
                    family.enter(port, side, wanted, part, parts)

        together(*(partial(enter, part) for part in range(parts)))

    def keeps_identification(self) -> bool:
        """Whether the box leaves IP identifications alone, as most do: not if many frames that can only be one another differ in it."""
        same = 0
        for plain, refined in self._parts:
            shown = refined.entries[: int(refined.state[v.ENTRIES])]
            same += int(((shown[:, v.COUNT_HERE] > 0) & (shown[:, v.COUNT_THERE] > 0)).sum())
            same += v.kept(self.here.packets, self.there.packets, plain.entries, int(plain.state[v.ENTRIES]))
        return same > -REWRITTEN

    def candidates(self, strict: bool) -> Candidates:
        """Everything that shares something, added up, in the order of the conversations.

        strict: frames that differ in their IP identification do not count as one, however equal they are otherwise.
        """
        base = self.there.first_ns - self.here.first_ns
        tallies = [_Tally() for _ in self._parts]
        together(*(partial(self._tally, number, tally, strict, base) for number, tally in enumerate(tallies)))
        tally = tallies[0]
        for more in tallies[1:]:
            tally.add(more)
        order = np.argsort(tally.rows[: tally.pairs, v.PAIR])
        rows = tally.rows[order]
        pair, width = rows[:, v.PAIR] >> 1, max(1, len(self.there.conversations))
        return Candidates(
            here=pair // width, there=pair % width, flip=(rows[:, v.PAIR] & 1).astype(np.uint8), packet_bits=rows[:, v.MILLIBITS] / 1000.0,
            bits=np.zeros(len(rows)), by=rows[:, v.BASIS].copy(), shared=rows[:, v.SHARED].copy(), outward=rows[:, v.OUTWARD].copy(),
            here_first=rows[:, v.HERE_FIRST].copy(), here_last=rows[:, v.HERE_LAST].copy(), there_first=rows[:, v.THERE_FIRST].copy(),
            there_last=rows[:, v.THERE_LAST].copy(),
            delay=base + (rows[:, v.DELAY] + rows[:, v.MORE_DELAY] / np.maximum(rows[:, v.SHARED], 1)))  # fmt: skip

    def _tally(self, part: int, tally: _Tally, strict: bool, base: int) -> None:
        """Add up what one part shares."""
        here, there, plain = self.here, self.there, self._parts[part][0]
        for family in self._parts[part]:
            family.state[v.NEXT_ENTRY] = 0
            family.state[v.PAIRS] = tally.pairs
            while not v.tally(here.packets, there.packets, here.conversation, there.conversation, here.reverse, there.reverse,
                              len(there.conversations), self.other is None, family.number, family.keys, family.entries, family.chains[0],
                              family.chains[-1], plain.slots, len(plain.slots) - 1, plain.keys, plain.entries, strict, LOG2, base,
                              tally.slots, len(tally.slots) - 1, SEED, tally.rows, family.state):  # fmt: skip
                tally.grow(int(family.state[v.PAIRS]))
            tally.pairs = int(family.state[v.PAIRS])

    def travel(self, trusted: Array) -> Travel:
        """When and which way frames passed that occur once on either side in trusted pairs.

        trusted: (c,) counterpart there of each conversation here, -1 for none.
        """
        ends = np.cumsum([0] + [int(plain.state[v.ENTRIES]) for plain, *_ in self._parts])
        found = Travel(*(np.zeros(ends[-1], dtype) for dtype in (np.int64, np.int64, np.int8, np.int32, np.int32)))
        counts = [0] * len(self._parts)

        def some(part: int) -> None:
            t = Travel(*(array[ends[part] : ends[part + 1]] for array in found))
            counts[part] = v.travel(
                self.here.packets, self.there.packets, self.here.conversation, self.there.conversation, trusted,
                self._parts[part][0].entries, len(t.outward), t.here_row, t.there_row, t.here_ns, t.there_ns, t.outward)  # fmt: skip

        together(*(partial(some, part) for part in range(len(counts))))
        n = counts[0]
        for begin, more in zip(ends[1:-1].tolist(), counts[1:], strict=True):  # close the gaps
            for array in found:
                array[n : n + more] = array[begin : begin + more]
            n += more
        return Travel(*(array[:n] for array in found))

    def echoed(self, left: Array, at_here: bool) -> Array:
        """(c,) of one side's conversations where left: 1 for those that say something the other side says too."""
        port = self.here if at_here else self.there
        common = np.zeros(len(port.conversations), np.uint8)
        for part, (f, *_) in enumerate(self._parts):
            v.echoed(port.packets, port.conversation, left.astype(np.uint8), 1 if at_here else 0, f.number, part, len(self._parts), f.slots,
                     len(f.slots) - 1, SEED, f.keys, f.entries, common)  # fmt: skip
        return common


class _Family:
    """A part of one family's entries, and the chains of rows that show them (shared by its parts, whose rows are different ones)."""

    def __init__(self, number: int, rows: int, chains: list[Array]):
        self.number, self.chains = number, chains
        self.slots = np.zeros(1 << max(8, (rows + rows // 4).bit_length()), np.int32)
        self.keys = np.zeros(rows, np.int64)
        self.entries = np.zeros((rows, v.ENTRY), np.int32)
        self.state = np.zeros(v.STATE, np.int64)

    def enter(self, port: Port, side: int, wanted: Array, part: int, parts: int) -> None:
        v.enter(port.packets, port.conversation, port.reverse, wanted, self.number, part, parts, side, self.slots, len(self.slots) - 1,
                SEED, self.keys, self.entries, self.chains[side], np.zeros((v.AHEAD, 2), np.int64), self.state)  # fmt: skip


class _Tally:
    """Pairs of conversations by number, grown when full."""

    def __init__(self) -> None:
        self.pairs = 0
        self.rows = np.zeros((FIRST_PAIRS, v.TALLY), np.int64)
        self.slots = np.zeros(4 * FIRST_PAIRS, np.int32)

    def add(self, other: _Tally) -> None:
        """What another part added up, too."""
        while len(self.rows) < self.pairs + other.pairs:
            self.grow(self.pairs)
        self.pairs = v.add(other.rows, other.pairs, self.rows, self.pairs, self.slots, len(self.slots) - 1, SEED)

    def grow(self, pairs: int) -> None:
        rows = np.zeros((4 * len(self.rows), v.TALLY), np.int64)
        rows[:pairs] = self.rows[:pairs]
        self.rows = rows
        self.slots = np.zeros(4 * len(rows), np.int32)
        v.again(self.rows, pairs, self.slots, len(self.slots) - 1, SEED)


LOG2 = np.array([0] + [round(1000 * np.log2(k)) for k in range(1, v.MANY + 1)], np.int64)
FIRST_PAIRS = 1 << 12
FEW_ROWS, MOST_PARTS = 1 << 16, 8
"""With more rows than the former an index has parts, so that all processors work on it. Each part's thread reads all rows."""
