"""Everything that picked messages say: link events, names, DNS queries, applications, addresses inside payloads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from ..table import Array
from . import carried as c
from .bridge import cdp, lldp, stp
from .dhcp import dhcp, dhcp6
from .dns import BAD, CUT, FULL
from .event import Detail, Event, EventKind, LinkEvents, from_events
from .excerpt import Collected
from .name import LAST_NS, SECOND, Asked, DnsQueries, Lease, Names, Texts, asked
from .neighbor import arp, ndp, redirect, router
from .speech import FIRST_ONLY, MALFORMED, Speech
from .topic import ARP, CDP, DHCP, DHCPV6, FTP, LLDP, NDP, SIP, STP, STUN, Topic

T = TypeVar("T")
MOST_READ = {DHCP: 5_000, DHCPV6: 3_000, STP: 5_000, LLDP: 2_000, CDP: 500, NDP: 3_000, FTP: 10_000, SIP: 1_500, STUN: 10_000}
"""Messages of one topic that are read, so that all of them together take half a second. What is said again is not read again."""
REPEATED = (STP, LLDP, CDP, NDP)


@dataclass
class Messages:
    """What the messages of one capture point say.

    details: what has no column, by row of `events`. texts: names that `names` and `queries` point to. malformed: messages
    that make no sense, by topic. cut: those that the capture cut off too early to be read. left: those that found no room when
    they were picked. unread: those that were one too many to be read.
    """

    events: LinkEvents
    details: dict[int, dict[str, Detail]]
    names: Names
    texts: list[str]
    queries: DnsQueries
    carried: c.Carried
    speech: Speech
    malformed: Counter[Topic]
    cut: Counter[Topic]
    left: Counter[Topic]
    unread: Counter[Topic]


class _Reading:
    """One pass over what was picked, counting what could not be read."""

    def __init__(self, picked: Collected):
        self.picked = picked
        self.data: Array = np.frombuffer(picked.data, np.uint8)
        self.malformed: Counter[Topic] = Counter()
        self.cut: Counter[Topic] = Counter()
        self.unread: Counter[Topic] = Counter()
        self.tables: list[LinkEvents] = []
        self.told: list[tuple[int, dict[str, Detail]]] = []
        """(row in Packets, details) of events."""
        self.leases: list[Lease] = []
        self._hosts: dict[tuple[Detail, Detail], str] = {}

    def rows_of(self, topic: int) -> Array:
        """The excerpts of a topic."""
        return np.flatnonzero(self.picked.excerpts.topic == topic)

    def bad(self, topic: int, rows: Array) -> None:
        """Count messages that could not be read: the capture's doing, or the sender's."""
        e = self.picked.excerpts
        cut = int((e.size[rows] < e.whole[rows]).sum())
        for counter, n in ((self.cut, cut), (self.malformed, len(rows) - cut)):
            if n:
                counter[Topic(topic)] += n

    def each(self, topic: int, read: Callable[[bytes], T], rows: Array | None = None) -> Iterator[tuple[int, T]]:
        """(excerpt, what it says) of the messages of a topic. Whatever a message holds ends here."""
        rows = self.rows_of(topic) if rows is None else rows
        most = MOST_READ[topic]
        known: dict[bytes, T] = {}
        for n, i in enumerate(rows.tolist()):
            if n >= most:
                self.unread[Topic(topic)] += len(rows) - n
                return
            data = self.picked.bytes_of(i)
            try:
                said = known[data] if data in known else read(data)
            except MALFORMED:
                self.bad(topic, np.array([i]))
                continue
            if topic in REPEATED:
                known[data] = said
            yield i, said

    def link(self) -> None:
        """ARP and neighbor discovery, all at once, then what routers say one by one."""
        e = self.picked.excerpts
        for topic, read in ((ARP, arp), (NDP, ndp)):
            rows = self.rows_of(topic)
            if len(rows):
                events, good = read(e, self.data, rows)
                self.bad(topic, rows[~good])
                self.tables.append(events)
        rows = np.flatnonzero((e.topic == NDP) & (e.size >= 16))
        kind = self.data[e.start[rows]]
        for i, event in self.each(NDP, _more_of_ndp, rows[(kind == 134) | (kind == 137)]):
            self.told.append((int(e.row[i]), event.details))

    def one_by_one(self, topic: int, read: Callable[[bytes], Event]) -> None:
        """Messages that are read by themselves."""
        e = self.picked.excerpts
        rows, events = [], []
        for i, event in self.each(topic, read):
            rows.append(i)
            events.append(event)
            if event.details:
                self.told.append((int(e.row[i]), event.details))
            if topic == DHCP:
                self._lease(i, event)
        if rows:
            self.tables.append(from_events(e, rows, events))

    def spanning_tree(self) -> None:
        """Bridges' messages; Cisco's form is told by the address it is sent to."""
        target = self.picked.excerpts.eth_dst
        rows = self.rows_of(STP)
        for address in np.unique(target[rows]).tolist():
            e, mine = self.picked.excerpts, rows[target[rows] == address]
            found = list(self.each(STP, partial(stp, target=address), mine))
            if found:
                self.tables.append(from_events(e, [i for i, _ in found], [event for _, event in found]))
                self.told += [(int(e.row[i]), event.details) for i, event in found]

    def _lease(self, i: int, event: Event) -> None:
        """A host's own name goes with the address it is given: the request says the one, the answer the other."""
        details = event.details
        who = details.get("transaction", ""), details.get("client", "")
        name = str(details.get("host_name") or details.get("client_name") or "")
        if event.kind == EventKind.DHCP_ACK and any(event.target) and event.target != (0, 0xFFFF << 32):
            name = self._hosts.get(who, name)
            if name:
                e, lasts = self.picked.excerpts, details.get("lease_s", 0)
                now = int(e.time_ns[i])
                until = min(now + (lasts if isinstance(lasts, int) else 0) * SECOND, LAST_NS)
                self.leases.append(Lease(event.target, name, int(e.row[i]), now, until))
        elif event.sender_hw and name:
            self._hosts[who] = name

    def events(self) -> tuple[LinkEvents, dict[int, dict[str, Detail]]]:
        """All events in file order, with their details."""
        table = LinkEvents.join(self.tables)
        table = table.take(np.argsort(table.row, kind="stable"))
        at = {row: k for k, row in enumerate(table.row.tolist())} if self.told else {}
        return table, {at[row]: details for row, details in self.told if row in at}

    def carried(self) -> c.Carried:
        """Addresses inside payloads."""
        e = self.picked.excerpts
        found = []
        for topic, read in ((FTP, c.ftp), (SIP, c.sip), (STUN, c.stun)):
            for i, places in self.each(topic, read):
                found += [(int(e.row[i]), int(e.conversation[i]), *place) for place in places]
        found.sort(key=lambda place: place[0])
        columns: list[Any] = list(zip(*found, strict=True)) or [[] for _ in c.Carried.columns]
        arrays = {name: np.array(values, kind.dtype) for (name, kind), values in zip(c.Carried.columns.items(), columns, strict=True)}
        arrays["address"] = arrays["address"].reshape(-1, 2)
        return c.Carried(**arrays)

    def asked(self, texts: Texts) -> Asked:
        """Names and queries, with the messages that made no sense counted."""
        found = asked(self.picked, self.data, texts, self.leases)
        for mark, counter in ((CUT | BAD, self.malformed), (FULL, self.unread)):
            marked = found.topics[found.marks & mark != 0]
            for topic, n in zip(*np.unique(marked, return_counts=True), strict=True):
                counter[Topic(int(topic))] += int(n)
        return found


def _more_of_ndp(data: bytes) -> Event:
    return router(data) if data[0] == 134 else redirect(data)


def messages(picked: Collected) -> Messages:
    """Read what was picked. Nothing that a message holds stops this: what makes no sense is counted."""
    reading = _Reading(picked)
    reading.link()
    for topic, read in ((DHCP, dhcp), (DHCPV6, dhcp6), (LLDP, lldp), (CDP, cdp)):
        reading.one_by_one(topic, read)
    reading.spanning_tree()
    events, details = reading.events()
    texts = Texts()
    found = reading.asked(texts)
    carried = reading.carried()
    speech = Speech(picked)
    speech.read_all()
    for mine, its in ((reading.malformed, speech.malformed), (reading.cut, speech.cut), (reading.unread, speech.unread)):
        mine += Counter({topic: n for topic, n in its.items() if topic in FIRST_ONLY})
    return Messages(
        events,
        details,
        found.names,
        texts.texts,
        found.queries,
        carried,
        speech,
        reading.malformed,
        reading.cut,
        picked.left,
        reading.unread,
    )
