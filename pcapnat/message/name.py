"""Names of addresses, and the fate of each DNS query."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from ..table import Array, Table, column
from .dns import AAAA, CUT, NETBIOS, PTR, A, Heads, Records, in_segments, name_text, read_dns, reverse_address
from .excerpt import Collected
from .topic import DNS, DNS_TCP, LLMNR, MDNS, NBNS, Topic

MOST_TEXTS = 20_000
"""Different names that are kept as text, and addresses with names."""
NO_ANSWER, NOT_TOLD = -1, -2
SLOWEST_NS = 15_000_000_000
"""A query younger than this when messages no longer found room may have been answered by one of them."""
SECOND = 1_000_000_000
LAST_NS = (1 << 63) - 1


class Source(IntEnum):
    """Who says what an address is called."""

    DNS = 1
    MDNS = 2
    LLMNR = 3
    NBNS = 4
    DHCP = 5
    """The host itself, when it was given the address."""


SOURCES = {DNS: Source.DNS, DNS_TCP: Source.DNS, MDNS: Source.MDNS, LLMNR: Source.LLMNR, NBNS: Source.NBNS}


class Names(Table):
    """One row per address, name and source, by first frame. A name is what was asked for, whatever it is an alias of."""

    address = column("uint64", "the address", width=2)
    name = column("int64", "its name: index in Messages.texts")
    source = column("uint8", "who says so, see Source")
    row = column("int64", "row in Packets of the first frame that says so")
    from_ns = column("int64", "time of that frame", unit="ns since 1970-01-01 UTC")
    until_ns = column("int64", "latest time up to which it was said to be valid", unit="ns since 1970-01-01 UTC")
    count = column("int64", "how many frames say so")


class DnsQueries(Table):
    """One row per query over DNS, in file order, and per response whose query was not seen."""

    row = column("int64", "row in Packets of the query, -1 if only its response was seen")
    response_row = column("int64", "row in Packets of the transaction's first response, -1 without one")
    conversation = column("int64", "row in Conversations")
    transaction = column("int64", "row in this table of the first query with its conversation, identifier and question")
    time_ns = column("int64", "time of the query, or of the response alone", unit="ns since 1970-01-01 UTC")
    answer_ns = column("int64", "from the query to the response, -1 without both", unit="ns")
    ident = column("uint16", "transaction identifier", source="RFC 1035 4.1.1")
    name = column("int64", "what is asked for: index in Messages.texts, -1 beyond what is kept")
    qtype = column("uint16", "type that is asked for", source="RFC 1035 3.2.3")
    code = column(
        "int16", "response code; -1 no response was seen; -2 messages were left unread, so it is not known", source="RFC 1035 4.1.1"
    )
    answers = column("int32", "records in the response's answer section")


class Texts:
    """Names as text, each different digest once, up to MOST_TEXTS; `left` counts those that found no room."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.left = 0
        self._digests = np.zeros(0, np.int64)  # known ones, in order, and their indices
        self._index = np.zeros(0, np.int64)

    def add(self, text: str) -> int:
        """Index of a further text, -1 if there is no room."""
        if len(self.texts) >= MOST_TEXTS:
            self.left += 1
            return -1
        self.texts.append(text)
        return len(self.texts) - 1

    def of(self, digests: Array, at: Array, starts: Array, netbios: Array, data: bytes) -> Array:
        """Index of the text of each name in messages; -1 where there is no room, and for digests below 0, which are no names."""
        values, first, back = np.unique(digests, return_index=True, return_inverse=True)
        new = np.flatnonzero(~np.isin(values, self._digests) & (values >= 0))
        room = min(len(new), MOST_TEXTS - len(self.texts))
        self.left += len(new) - room
        new = new[np.argsort(first[new], kind="stable")[:room]]
        rows = first[new]
        index = len(self.texts) + np.arange(room)
        for name_at, start, coded in zip(at[rows].tolist(), starts[rows].tolist(), netbios[rows].tolist(), strict=True):
            self.texts.append(name_text(data, start, name_at, coded))
        order = np.argsort(known := np.append(self._digests, values[new]))
        self._digests, self._index = known[order], np.append(self._index, index)[order]
        if not len(known):
            return np.full(len(digests), -1, np.int64)
        place = np.minimum(np.searchsorted(self._digests, values), len(known) - 1)
        return np.where(self._digests[place] == values, self._index[place], -1)[back.reshape(-1)]


class Lease(NamedTuple):
    """An address that a host was given, and what the host calls itself."""

    address: tuple[int, int]
    name: str
    row: int
    time_ns: int
    until_ns: int


class Asked(NamedTuple):
    """What is read from DNS and its relatives. marks: of each message, with its topic."""

    names: Names
    queries: DnsQueries
    topics: Array
    marks: Array


def asked(picked: Collected, data: Array, texts: Texts, leases: Iterable[Lease]) -> Asked:
    """Names and queries of everything picked; data: the bytes of `picked` as an array."""
    e = picked.excerpts
    rows = np.flatnonzero(np.isin(e.topic, (DNS, MDNS, LLMNR, NBNS)))
    streamed = np.flatnonzero(e.topic == DNS_TCP)
    of, begins, lengths = in_segments(picked.data, e.start[streamed], e.size[streamed])
    excerpt = np.concatenate([rows, streamed[of]]) if of else rows
    starts = np.concatenate([e.start[rows], np.array(begins, np.int64)])
    sizes = np.concatenate([e.size[rows], np.array(lengths, np.int64)])
    order = np.argsort(excerpt, kind="stable")
    excerpt, starts, sizes = excerpt[order], starts[order], sizes[order]
    topics = e.topic[excerpt]
    heads, records = read_dns(data, starts, sizes)
    netbios = topics == NBNS
    question = texts.of(heads.question, heads.name_at, starts, netbios, picked.data)
    whole = e.size[excerpt] == e.whole[excerpt]
    heads.marks[:] = np.where(whole | (heads.marks != CUT), heads.marks, 0)  # the capture's doing, not the sender's
    queries = _queries(picked, excerpt, topics, heads, question)
    names = _names(picked, excerpt, topics, heads, records, question, starts, texts, leases)
    return Asked(names, queries, topics, heads.marks)


def _queries(picked: Collected, excerpt: Array, topics: Array, heads: Heads, question: Array) -> DnsQueries:
    """Queries with their responses, matched by conversation, identifier and question.

    Queries of one such key belong to one transaction until it is answered; one after that begins another.
    """
    e = picked.excerpts
    # Opcode 0 only: updates and notifications are no questions.
    rows = np.flatnonzero(((topics == DNS) | (topics == DNS_TCP)) & (heads.question >= 0) & (heads.bits & 0x7800 == 0))
    if not len(rows):
        return DnsQueries.empty(0)
    conversation, frame, time = (c[excerpt[rows]] for c in (e.conversation, e.row, e.time_ns))
    ident, response = heads.ident[rows], heads.bits[rows] >> 15 == 1
    order = np.lexsort((rows, heads.qtype[rows], heads.question[rows], ident, conversation))
    keys = np.column_stack([conversation, ident, heads.question[rows], heads.qtype[rows]])[order]
    answer = response[order]
    new = np.append(True, (keys[1:] != keys[:-1]).any(axis=1)) | (~answer & np.append(False, answer[:-1]))
    starts = np.flatnonzero(new)
    number = np.cumsum(new) - 1
    places = np.arange(len(order))
    first_answer = np.minimum.reduceat(np.where(answer, places, len(order)), starts)
    answered = first_answer < len(order)
    by = order[np.where(answered, first_answer, 0)][number]  # the response of each one's transaction
    has = answered[number]
    # A row for each query, and for a transaction without one its first response.
    lone = answer & new
    shown = np.flatnonzero(~answer | lone)
    back = np.argsort(rows[order[shown]], kind="stable")
    shown = shown[back]
    mine, its, has, lone = order[shown], by[shown], has[shown], lone[shown]
    table = DnsQueries.empty(len(shown))
    table.row[:] = np.where(lone, -1, frame[mine])
    table.response_row[:] = np.where(has, frame[its], -1)
    table.conversation[:] = conversation[mine]
    first_of = np.full(len(starts), len(shown))
    np.minimum.at(first_of, number[shown], np.arange(len(shown)))
    table.transaction[:] = first_of[number[shown]]
    table.time_ns[:] = time[mine]
    table.answer_ns[:] = np.where(has & ~lone, time[its] - time[mine], -1)
    table.ident[:] = ident[mine]
    table.name[:] = question[rows[mine]]
    table.qtype[:] = heads.qtype[rows[mine]]
    code = (heads.bits[rows[its]] & 15).astype(np.int16)
    unsure = picked.left_ns is not None and any(picked.left[Topic(t)] for t in (DNS, DNS_TCP))
    late = table.time_ns > (picked.left_ns or 0) - SLOWEST_NS if unsure else np.zeros(len(shown), bool)
    table.code[:] = np.where(has, code, np.where(late, NOT_TOLD, NO_ANSWER))
    table.answers[:] = np.where(has, heads.answers[rows[its]], 0)
    return table


def _names(
    picked: Collected,
    excerpt: Array,
    topics: Array,
    heads: Heads,
    records: Records,
    question: Array,
    starts: Array,
    texts: Texts,
    leases: Iterable[Lease],
) -> Names:
    e, message = picked.excerpts, records.message
    netbios = topics[message] == NBNS
    owner = texts.of(records.owner, records.owner_at, starts[message], netbios, picked.data)
    pointer = records.rtype == PTR
    target = texts.of(np.where(pointer, records.target, -1), records.target_at, starts[message], netbios, picked.data)
    forward = np.isin(records.rtype, (A, AAAA, NETBIOS))
    name = np.where(pointer, target, np.where((records.beside == 0) & (question[message] >= 0), question[message], owner))
    address = records.address.copy()
    reverse: dict[int, tuple[int, int] | None] = {}
    for k in np.flatnonzero(pointer & (owner >= 0)).tolist():
        i = int(owner[k])
        if i not in reverse:
            reverse[i] = reverse_address(texts.texts[i])
        address[k] = reverse[i] or (0, 0)
    good = (forward | pointer) & (name >= 0) & address.any(axis=1)
    frames = excerpt[message[good]]
    time, lasts = e.time_ns[frames], records.ttl[good].astype(np.int64) * SECOND
    parts: dict[str, list[Any]] = {
        "address": [address[good]],
        "name": [name[good]],
        "source": [np.array([SOURCES.get(t, 0) for t in range(64)], np.uint8)[topics[message[good]]]],
        "row": [e.row[frames]],
        "from_ns": [time],
        "until_ns": [np.minimum(time, LAST_NS - lasts) + lasts],
    }
    for lease in leases:
        if (index := texts.add(lease.name)) >= 0:
            told = (lease.address, index, Source.DHCP, lease.row, lease.time_ns, lease.until_ns)
            for column_name, value in zip(parts, told, strict=True):
                parts[column_name].append(np.array([value], parts[column_name][0].dtype))
    return _grouped({column_name: np.concatenate(values) for column_name, values in parts.items()})


def _grouped(all_: dict[str, Array]) -> Names:
    """One row for each address, name and source, in the order of first frames."""
    n = len(all_["row"])
    if not n:
        return Names.empty(0)
    order = np.lexsort((all_["row"], all_["source"], all_["name"], all_["address"][:, 1], all_["address"][:, 0]))
    keys = np.column_stack([all_["address"], all_["name"].astype(np.uint64), all_["source"].astype(np.uint64)])[order]
    starts = np.flatnonzero(np.append(True, (keys[1:] != keys[:-1]).any(axis=1)))
    first = order[starts]
    names = Names(
        **{name: all_[name][first] for name in ("address", "name", "source", "row")},
        from_ns=np.minimum.reduceat(all_["from_ns"][order], starts),
        until_ns=np.maximum.reduceat(all_["until_ns"][order], starts),
        count=np.diff(np.append(starts, n)),
    )
    return names.take(np.argsort(names.row, kind="stable")[:MOST_TEXTS])
