"""What each conversation really speaks: the protocol, and whom or what it asks for, read when somebody wants to know."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..address import text
from ..terms import Endpoint
from .carried import stun
from .dhcp import labels
from .event import Detail
from .excerpt import Collected
from .greeting import Said, banner, http, sip, smb, ssh, tls
from .topic import DNS, DNS_TCP, FTP, HTTP, LLMNR, MDNS, NBNS, SIP, SMB, SSH, STUN, TLS, Topic

MALFORMED = (ValueError, IndexError, KeyError, OverflowError, struct.error)
"""What reading a message may raise; anything else is a mistake of ours."""
MOST_READ = 10_000
"""Conversations of one protocol whose application is read."""
FIRST_ONLY = (TLS, HTTP, SSH, SMB)
"""Protocols of which only this file reads messages."""
MOST_OF_ONE = 8
"""Messages of one conversation that are read for it."""


@dataclass
class Application:
    """protocol: its usual name. name: who is asked for, empty if that is not told. row: the frame in Packets, -1 if none was kept."""

    protocol: str
    name: str = ""
    alpn: list[str] = field(default_factory=list)
    row: int = -1
    details: dict[str, Detail] = field(default_factory=dict)


class Speech:
    """The applications of a capture's conversations.

    topics: (c,) Topic of each conversation, 0 if it is not known. malformed, cut, unread: conversations by topic whose
    messages made no sense, were cut off by the capture, or were one too many to be read.
    """

    def __init__(self, picked: Collected) -> None:
        self.topics = picked.spoken
        self.malformed: Counter[Topic] = Counter()
        self.cut: Counter[Topic] = Counter()
        self.unread: Counter[Topic] = Counter()
        self._picked = picked
        self._read: dict[int, Application | None] = {}
        self._count: Counter[int] = Counter()
        self._order: list[int] = []
        self._sorted: list[int] | None = None

    def read_all(self) -> None:
        """Read what nobody else reads, up to MOST_READ of a protocol, so that what makes no sense is counted."""
        for c in np.flatnonzero(np.isin(self.topics, FIRST_ONLY)).tolist():
            self.application(c)

    def application(self, conversation: int) -> Application | None:
        """What a conversation speaks; None if it is not known."""
        if conversation < 0 or not self.topics[conversation]:
            return None
        if conversation not in self._read:
            self._read[conversation] = self._application(conversation, Topic(int(self.topics[conversation])))
        return self._read[conversation]

    def _application(self, conversation: int, topic: Topic) -> Application:
        if self._sorted is None:
            of = self._picked.excerpts.conversation
            order = np.argsort(of, kind="stable")
            self._order, self._sorted = order.tolist(), of[order].tolist()
        start, stop = bisect_left(self._sorted, conversation), bisect_right(self._sorted, conversation)
        rows = self._order[start : min(stop, start + MOST_OF_ONE)]
        said = Application(topic.label)
        reader = READERS.get(int(topic))
        if not rows or not reader:
            return said
        said.row = int(self._picked.excerpts.row[rows[0]])
        if self._count[topic] >= MOST_READ:
            self.unread[topic] += 1
            return said
        self._count[topic] += 1
        try:
            told = reader(self._picked, rows)
        except MALFORMED:
            e = self._picked.excerpts
            (self.cut if e.size[rows[0]] < e.whole[rows[0]] else self.malformed)[topic] += 1
            return said
        said.name, said.alpn, said.details = told.name, told.alpn, told.details
        return said


def _greeting(picked: Collected, rows: list[int]) -> Said:
    """TLS: what is said first may go on in the next segment."""
    e, data = picked.excerpts, picked.bytes_of(rows[0])
    if len(rows) > 1 and e.size[rows[0]] == e.whole[rows[0]] and (int(e.seq[rows[0]]) + len(data)) & 0xFFFFFFFF == int(e.seq[rows[1]]):
        data += picked.bytes_of(rows[1])
    return tls(data)


def _banners(picked: Collected, rows: list[int]) -> Said:
    """SSH: the server's software, taken to be that of the lower port, and both ends' where both were seen."""
    e = picked.excerpts
    found = {(int(e.sport[i]) > int(e.dport[i])): ssh(picked.bytes_of(i)).name for i in rows[:2]}
    names = {"client" if from_client else "server": name for from_client, name in found.items()}
    return Said(names.get("server", next(iter(names.values()))), details=dict(names))


def _shares(picked: Collected, rows: list[int]) -> Said:
    """SMB: the dialect agreed on, and the first share beside the one for pipes."""
    details: dict[str, Detail] = {}
    shares: list[str] = []
    for i in rows:
        said = smb(picked.bytes_of(i))
        details |= said.details
        if said.name and said.name not in shares:
            shares.append(said.name)
    if shares:
        details["shares"] = shares
    return Said(next((s for s in shares if not s.upper().endswith("\\IPC$")), shares[0] if shares else ""), details=details)


def _mapped(picked: Collected, rows: list[int]) -> Said:
    """STUN: the address that the server saw."""
    for i in rows:
        for _, address, port in stun(picked.bytes_of(i)):
            return Said(details={"mapped": str(Endpoint(text(*address), port))})
    return Said()


def _question(picked: Collected, rows: list[int]) -> Said:
    """DNS and its relatives: the first name asked for."""
    data = picked.bytes_of(rows[0])
    if picked.excerpts.topic[rows[0]] == DNS_TCP:
        data = data[2:]
    return Said(labels(data[12:]) if data[4:6] != b"\0\0" else "")


def _one(read: Callable[[bytes], Said]) -> Callable[[Collected, list[int]], Said]:
    return lambda picked, rows: read(picked.bytes_of(rows[0]))


READERS: dict[int, Callable[[Collected, list[int]], Said]] = {
    TLS: _greeting,
    HTTP: _one(http),
    SSH: _banners,
    FTP: _one(banner),
    SIP: _one(sip),
    SMB: _shares,
    STUN: _mapped,
    DNS: _question,
    DNS_TCP: _question,
    MDNS: _question,
    LLMNR: _question,
    NBNS: lambda picked, rows: Said(),
}
