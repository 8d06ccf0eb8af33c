"""Which frames of a capture are meant: of one interface, of a span of time, by pcap-filter, by one of Wireshark's display filters.

Frames that are left out keep their numbers and belong to nothing: what is said of the others has to be found in the whole file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..table import Array
from ..terms import CaptureError, PcapnatError, Selection
from .capture import Capture, Chunk
from .choose import Chosen, choose
from .packets import Outer, Packets, Quoted
from .via import Displayed

if TYPE_CHECKING:
    from .bpf_make import Filter
    from .moment import Moment


class Meant(NamedTuple):
    """here: frames of the interface that is meant; chosen: frames that are selected, all of them `here`. None: all."""

    here: Array | None
    chosen: Array | None

    def one(self) -> Array | None:
        """What is left when everything was applied."""
        return self.here if self.chosen is None else self.chosen


class Selector:
    """Says chunk by chunk, in order, which frames are meant. Raises PcapnatError for what cannot be asked of this capture."""

    def __init__(self, capture: Capture, selection: Selection, interface: str | None = None):
        self.capture, self.interface = capture, interface
        self.place: Chosen | None = None
        self.met = 0
        from .moment import moment  # here and below: only who filters waits for the import

        self.since = moment(selection.since, "--from") if selection.since is not None else None
        self.until = moment(selection.until, "--to") if selection.until is not None else None
        if self.since and self.until and self.since.relative == self.until.relative and self.since.ns >= self.until.ns:
            raise PcapnatError("--from is not before --to: no time lies between them")
        self.filter: Filter | None = None
        if selection.filter is not None:
            from .bpf_make import Filter

            self.filter = Filter(selection.filter)
        self.first_ns: int | None = None
        self.frames = 0
        self.counts: dict[str, list[int]] = {}
        self.display = selection.display
        self.displayed: Displayed | None = None
        if self.display is not None:
            self._check_display(capture)
        self.narrow = bool(self.since or self.until or self.filter or self.display is not None)

    @staticmethod
    def _check_display(capture: Capture) -> None:
        """Raise CaptureError if tshark cannot read the same file."""
        if capture.trace:
            raise CaptureError(capture.path, "-Y needs tshark to read the file, which cannot read ETL: convert it with etl2pcapng first")
        if not capture.again:
            raise CaptureError(capture.path, "-Y needs tshark to read the file as well: it has to be a file, no stream")
        if capture.compression in UNPACKERS:
            unpack = UNPACKERS[capture.compression]
            raise CaptureError(
                capture.path, f"-Y needs tshark to read the file, which cannot unpack {capture.compression}: `{unpack}` first"
            )

    def pick(self, chunk: Chunk) -> Meant:
        """The next chunk's frames that are meant."""
        count = chunk.count
        if self.first_ns is None:
            self.first_ns = int(chunk.frames.time_ns[0])
        here = None if self.interface is None else self._here(chunk, self.interface)
        chosen = np.ones(count, bool) if here is None else here.copy()
        if here is not None:
            self._count(f"@{self.interface}", count, chosen)
        if self.since or self.until:
            before = int(np.count_nonzero(chosen))
            times = chunk.frames.time_ns[:count]
            if self.since:
                chosen &= times >= self._time(self.since)
            if self.until:
                chosen &= times < self._time(self.until)
            self._count("/".join(n for n, t in (("--from", self.since), ("--to", self.until)) if t), before, chosen)
        if self.filter:
            before = int(np.count_nonzero(chosen))
            self._filter(self.filter, chunk, chosen)
            self._count("-f", before, chosen)
        if self.display is not None:
            before = int(np.count_nonzero(chosen))
            if self.displayed is None:
                self.displayed = Displayed(self.capture.path, self.display)
            numbers = np.array(self.displayed.until(self.frames + count, self.capture.mixed), np.int64) - 1 - self.frames
            shown = np.zeros(count, bool)
            shown[numbers[(numbers >= 0) & (numbers < count)]] = True
            chosen &= shown
            self._count("-Y", before, chosen)
        self.frames += count
        return Meant(here, chosen if self.narrow else None)

    def _here(self, chunk: Chunk, interface: str) -> Array:
        if len(self.capture.interfaces) > self.met:
            self.met = len(self.capture.interfaces)
            self.place = choose(self.capture, interface, self.place)
        place = self.place
        here: Array = chunk.frames.interface[: chunk.count] == (-1 if place is None else place.interface)
        if chunk.facts and place and place.edge is not None:
            there = np.zeros(chunk.count, bool)
            there[chunk.facts.carrier[chunk.facts.edge == place.edge]] = True
            here &= there
        return here

    def _time(self, wanted: Moment) -> int:
        return min(wanted.ns + (self.first_ns or 0), (1 << 63) - 1) if wanted.relative else wanted.ns

    def _filter(self, wanted: Filter, chunk: Chunk, chosen: Array) -> None:
        """Take the frames that the expression rejects out of `chosen`, each judged by the link type of its interface."""
        links, frames = self.capture.links[: len(self.capture.interfaces)], chunk.frames
        of = links[frames.interface[: chunk.count]]
        for link in np.unique(links).tolist():
            rows = np.flatnonzero(chosen & (of == link)) if len(links) > 1 else slice(None)
            if np.any(chosen[rows]):
                at, cap, wire = (column[: chunk.count][rows] for column in (frames.at, frames.cap_len, frames.wire_len))
                chosen[rows] &= wanted.select(link, self.capture.path, chunk.buf, at, cap, wire)

    def _count(self, what: str, before: int, chosen: Array) -> None:
        counted = self.counts.setdefault(what, [0, 0])
        counted[0] += before - int(np.count_nonzero(chosen))
        counted[1] += before

    def finish(self) -> None:
        """At the capture's end: check that there was such an interface, and note what was left out."""
        if self.interface is not None and self.place is None and choose(self.capture, self.interface) is None:
            known = ", ".join(f"{i.id}" + (f" ({i.name})" if i.name else "") for i in self.capture.interfaces[:8])
            raise CaptureError(self.capture.path, f"has no interface {self.interface!r} (it has {known})")
        self.capture.notes += [f"{what} left out {out} of {of} frames" for what, (out, of) in self.counts.items()]
        if self.displayed:
            if self.capture.most is None and self.displayed.until(FAR, self.capture.mixed):
                self.capture.notes.append("-Y: tshark counts more frames in this file than are read here")
            if self.displayed.problem:
                self.capture.notes.append(f"-Y: tshark says: {self.displayed.problem}")

    def close(self) -> None:
        """End what was started."""
        if self.displayed:
            self.displayed.close()


FAR = 1 << 62
UNPACKERS = {"xz": "xz -dk FILE", "bzip2": "bunzip2 -k FILE"}


def leave_out(packets: Packets, count: int, others: Array, *lists: tuple[Quoted | Outer, int]) -> list[Array]:
    """Make nothing of some of the first `count` frames, and move the rows of `lists` that belong to the rest to their beginnings.

    others: which frames, as a mask. lists: tables with a `carrier` column, and how many of their rows are used. Returns the rows
    that were kept of each.
    """
    packets.flags[:count][others] = packets.payload_len[:count][others] = 0
    kept = []
    for table, used in lists:
        rows = np.flatnonzero(~others[table.carrier[:used]])
        if len(rows) < used:
            for name in table.columns:
                getattr(table, name)[: len(rows)] = getattr(table, name)[rows]
        kept.append(rows)
    return kept
