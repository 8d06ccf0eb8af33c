"""What is said about messages: names of addresses, what is spoken on unusual ports, link events."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..address import text
from ..flow import Conversations, Port, protocol_name
from ..flow.socket import Listener, called
from ..message import Application, EventKind, LinkEvents, Messages, Source, Speech, Topic
from ..ports import agrees, service
from ..table import Array
from .words import Section, endpoint, plural, span

LONGEST_NAME = 60
EVERYWHERE = frozenset({Topic.STUN, Topic.DTLS, Topic.BITTORRENT, Topic.WIREGUARD})
"""Spoken between ports of anybody's choice: none of them is unusual."""
WITHOUT_NAME = frozenset({"dns", "mdns", "llmnr", "nbns"})
"""Their names are questions, which say nothing about the conversation's other end."""


def speaks(application: Application | None) -> str:
    """A protocol and whom it asks for, in a few words; empty if it is not known."""
    if application is None:
        return ""
    name = "" if application.protocol in WITHOUT_NAME else application.name
    if len(name) > LONGEST_NAME:
        name = name[: LONGEST_NAME - 1] + "…"
    return f"{application.protocol} {name}".rstrip()


def spoken_at(heard: Counter[int], proto: str, port: int) -> str:
    """What a socket speaks, most often first; what its usual service does not speak is marked."""
    usual = service(proto, port)
    labels = Counter[str]()
    for topic, n in heard.items():
        labels[Topic(topic).label] += n
    return ", ".join(label + ("" if agrees(usual, label) else " (unusual)") for label, _ in labels.most_common(3))


def unusual_section(c: Conversations, speech: Speech, limit: int, title: str = "What is spoken on unusual ports") -> list[Section]:
    """Sockets where something else is spoken than is usual on their port, or where nothing is usual."""
    rows = np.flatnonzero((speech.topics > 0) & (c.a_port >= 0))
    address, port = called(c, rows)
    found: dict[tuple[Listener, int], list[int]] = {}
    ends = zip(c.proto[rows].tolist(), address[:, 0].tolist(), address[:, 1].tolist(), port.tolist(), strict=True)
    told: dict[tuple[int, int, int], bool] = {}
    for row, end, topic in zip(rows.tolist(), ends, speech.topics[rows].tolist(), strict=True):
        kind = end[0], end[3], topic
        if kind not in told:
            told[kind] = topic not in EVERYWHERE and is_unusual(protocol_name(end[0]), end[3], Topic(topic).label)
        if told[kind]:
            found.setdefault((end, topic), []).append(row)
    if not found:
        return []
    listed = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    table = [
        [
            protocol_name(proto),
            endpoint(text(high, low), number),
            Topic(topic).label,
            service(protocol_name(proto), number) or "-",
            f"{len(mine):,}",
            _examples(speech, mine),
        ]
        for ((proto, high, low, number), topic), mine in listed[: limit or None]
    ]
    section = Section(
        title,
        [],
        ["proto", "socket", "speaks", "usually", "conversations", "asked for"],
        table,
        ["left", "left", "left", "left", "right", "left"],
    )
    if len(listed) > len(table):
        section.after.append(f"... and {len(listed) - len(table):,} more: --limit 0 shows all")
    return [section]


def is_unusual(proto: str, port: int, protocol: str) -> bool:
    """Whether a port is not where this protocol is expected."""
    usual = service(proto, port)
    return not usual or not agrees(usual, protocol)


def _examples(speech: Speech, rows: list[int]) -> str:
    names: dict[str, None] = {}
    for row in rows[:50]:
        application = speech.application(row)
        if application and application.name and application.protocol not in WITHOUT_NAME:
            names[application.name[:LONGEST_NAME]] = None
    listed = list(names)
    return ", ".join(listed[:3]) + (" ..." if len(listed) > 3 else "")


def name_section(points: list[Port], messages: list[Messages], limit: int) -> list[Section]:
    """Names of the addresses that conversations were held with, and how DNS queries ended."""
    lines = [line for port, said in zip(points, messages, strict=True) for line in _queries(port.name, said)]
    ends = np.concatenate([side for port in points for side in (port.conversations.a, port.conversations.b)])
    met = set(zip(ends[:, 0].tolist(), ends[:, 1].tolist(), strict=True))
    names: dict[tuple[int, int], dict[tuple[str, str], None]] = {}
    for said in messages:
        n = said.names
        addresses = zip(n.address[:, 0].tolist(), n.address[:, 1].tolist(), strict=True)
        for address, name, source in zip(addresses, n.name.tolist(), n.source.tolist(), strict=True):
            names.setdefault(address, {})[said.texts[name], Source(source).name.lower()] = None
    shown = [address for address in names if address in met]
    rows = []
    for address in sorted(shown)[: limit or None]:
        listed = list(names[address])
        called_ = ", ".join(name for name, _ in listed[:4]) + (f" and {len(listed) - 4} more" if len(listed) > 4 else "")
        rows.append([text(*address), called_, ", ".join(sorted({source for _, source in listed}))])
    if not rows and not lines:
        return []
    section = Section("Names", lines, ["address", "names", "by"], rows)
    if len(shown) > len(rows):
        section.after.append(f"... and {len(shown) - len(rows):,} more: --limit 0 shows all")
    if len(names) > len(shown):
        section.after.append(f"{plural(len(names) - len(shown), 'more address', 'more addresses')} with names had no conversation.")
    return [section]


CODES = {0: "answered", 1: "format error", 2: "server failure", 3: "no such name", 4: "not implemented", 5: "refused", -1: "no answer"}


def _queries(point: str, said: Messages) -> list[str]:
    """How the transactions of DNS ended, in a line."""
    first = np.flatnonzero(said.queries.transaction == np.arange(len(said.queries)))
    if not len(first):
        return []
    ended = Counter(said.queries.code[first].tolist())
    again = len(said.queries) - len(first)
    how = ", ".join(f"{n:,} {CODES.get(code, 'not known' if code < 0 else f'code {code}')}" for code, n in ended.most_common())
    return [f"{point}: {plural(len(first), 'DNS query', 'DNS queries')}: {how}" + (f"; asked again {again:,} times" if again else "")]


def event_section(point: str, said: Messages, limit: int) -> list[Section]:
    """Link events by kind, and what ARP and DHCP came to."""
    e = said.events
    if not len(e):
        return []
    start = int(e.time_ns.min())
    rows = []
    for kind in np.unique(e.kind).tolist():
        mine = np.flatnonzero(e.kind == kind)
        senders = len(np.unique(e.eth_src[mine]))
        begin, end = int(e.time_ns[mine].min()) - start, int(e.time_ns[mine].max()) - start
        rows.append([EventKind(kind).label, f"{len(mine):,}", f"{senders:,}", f"+{begin / 1e9:.6f}", span(end - begin)])
    return [
        Section(
            f"Link events at {point}: {len(e):,}",
            [*_unanswered(e, limit), *_claimed_twice(e, limit), *_leases(said, limit)],
            ["what", "frames", "senders", "since (s)", "for"],
            rows,
            ["left", "right", "right", "right", "right"],
        )
    ]


def _few(lines: list[str], limit: int) -> list[str]:
    """The first lines, and how many more there are."""
    most = min(limit, MOST_LINES) if limit else len(lines)
    return lines[:most] + ([f"... and {len(lines) - most:,} more such lines"] if len(lines) > most else [])


MOST_LINES = 8
ASKS = (EventKind.ARP_REQUEST, EventKind.NEIGHBOR_SOLICITATION)
CLAIMS = (EventKind.ARP_REPLY, EventKind.ARP_GRATUITOUS, EventKind.NEIGHBOR_ADVERTISEMENT, EventKind.UNSOLICITED_ADVERTISEMENT)


def _unanswered(e: LinkEvents, limit: int) -> list[str]:
    """Addresses that were asked for and that nobody claimed. A request names its sender's address, which is a claim as well."""
    asked = np.isin(e.kind, ASKS)
    claims = np.isin(e.kind, (*ASKS, *CLAIMS))
    known = set(zip(e.sender[claims, 0].tolist(), e.sender[claims, 1].tolist(), strict=True))
    wanted = Counter(zip(e.target[asked, 0].tolist(), e.target[asked, 1].tolist(), strict=True))
    lines = [
        f"{text(*address)} was asked for {plural(n, 'time')} and nobody answered"
        for address, n in wanted.most_common()
        if address not in known
    ]
    return _few(lines, limit)


def _claimed_twice(e: LinkEvents, limit: int) -> list[str]:
    """Addresses that more than one hardware address claims."""
    claims = np.isin(e.kind, CLAIMS) & e.sender.any(axis=1) & (e.sender_hw != 0)
    owners: dict[tuple[int, int], dict[int, None]] = {}
    pairs = zip(e.sender[claims, 0].tolist(), e.sender[claims, 1].tolist(), e.sender_hw[claims].tolist(), strict=True)
    for high, low, hardware in pairs:
        owners.setdefault((high, low), {})[hardware] = None
    return _few([f"{text(*a)} is claimed by {' and '.join(mac(h) for h in list(o)[:4])}" for a, o in owners.items() if len(o) > 1], limit)


def _leases(said: Messages, limit: int) -> list[str]:
    """How far each DHCP client came."""
    e = said.events
    got: dict[str, dict[str, None]] = {}
    for k in np.flatnonzero((e.kind >= 20) & (e.kind < 40)).tolist():
        details, word = said.details.get(k, {}), EventKind(int(e.kind[k])).label.removeprefix("dhcp ")
        if word in ("offer", "ack"):
            word += f" of {details.get('your_address', '-')} by {details.get('server', '-')}"
        got.setdefault(str(details.get("client", "-")), {})[word] = None
    return _few([f"DHCP {client}: {', '.join(list(words)[:8])}" for client, words in got.items()], limit)


def mac(address: int) -> str:
    """A MAC address as people write it."""
    return address.to_bytes(8, "big")[2:].hex(":")


def macs(column: Array) -> list[str]:
    """A column of them."""
    known = {value: mac(value) for value in np.unique(column).tolist()}
    return [known[value] for value in column.tolist()]
