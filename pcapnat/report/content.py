"""What is said about one capture: sections of text and tables. Formats know sections, never captures."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..address import texts
from ..flow import Conversations, Sockets, protocol_name
from ..flow.socket import ASKED, CONNECTS, LISTENS, ROLES, Listener
from ..message import Speech
from ..ports import port_class, service
from ..wire import LINKS, Capture, Interface, drop_lines
from .spoken import speaks, spoken_at
from .words import Section, endpoint, plural, span, when


def info_sections(capture: Capture) -> list[Section]:
    """What `pcapnat info` says."""
    lines = [
        f"{capture.format}{f' in {capture.compression}' if capture.compression else ''}, {plural(capture.frames, 'frame')}, "
        f"{capture.captured_bytes:,} bytes captured of {capture.wire_bytes:,} on the wire",
        f"from {when(capture.first_ns)} to {when(capture.last_ns)} UTC"
        + (f" ({span(capture.last_ns - capture.first_ns)})" if capture.first_ns is not None and capture.last_ns is not None else ""),
    ]
    rows = [
        [
            str(i.id),
            i.name or "-",
            f"{i.link_type} ({LINKS[i.link_type].name if i.link_type in LINKS else 'not decoded'})",
            str(i.snaplen),
            i.tick,
            f"{i.frames:,}",
        ]
        for i in capture.interfaces[:MOST_INTERFACES]
    ]
    sections = [
        Section(
            capture.path,
            lines,
            ["interface", "name", "link type", "snaplen", "tick (s)", "frames"],
            rows,
            ["right", "left", "left", "right", "left", "right"],
        )
    ]
    if any(i.kind for i in capture.interfaces):
        sections[0].headers.insert(2, "kind")
        sections[0].align.insert(2, "left")
        for row, interface in zip(rows, capture.interfaces, strict=False):
            row.insert(2, _kind(interface))
    if len(capture.interfaces) > MOST_INTERFACES:
        sections[0].after.append(f"... and {len(capture.interfaces) - MOST_INTERFACES:,} more interfaces")
    if told := _told(capture):
        sections.append(Section("What the file says", told))
    if capture.problems:
        sections.append(Section("Problems", capture.problems))
    return sections


def _kind(interface: Interface) -> str:
    """What an interface of Windows is, with the edges of a component that has several."""
    edges = f", edges {', '.join(map(str, sorted(interface.edges)))}" if len(interface.edges) > 1 else ""
    return (interface.kind or "-") + edges


def _told(capture: Capture) -> list[str]:
    """What a file tells besides frames, a line each."""
    facts = capture.facts
    written = [f"{what} {text}" for what, text in (("by", facts.application), ("on", facts.system), ("with", facts.hardware)) if text]
    lines = ["written " + ", ".join(written)] if written else []
    if facts.sections > 1:
        lines.append(plural(facts.sections, "section"))
    for i in capture.interfaces[:MOST_INTERFACES]:
        counts = ((i.received, "received"), (i.dropped, "dropped"), (i.os_dropped, "dropped by the system"))
        said = [f"{n:,} {what}" for n, what in counts if n is not None]
        said += [f"{i.lost:,} lost before frames that were kept"] if i.lost else []
        named = i.description and i.description in (i.name or "")
        said = [*([i.description] if i.description and not named else []), *([f"filter {i.filter!r}"] if i.filter else []), *said]
        if said:
            lines.append(f"interface {i.id}: " + ", ".join(said))
    if facts.name_count:
        lines.append(f"{plural(facts.name_count, 'name record')}: {plural(len(facts.names), 'address', 'addresses')} kept")
    for frame, comment in facts.comments[:MOST_COMMENTS]:
        lines.append((f"frame {frame}" if frame else "comment") + f": {comment}")
    if facts.comment_count > MOST_COMMENTS:
        lines.append(f"... and {facts.comment_count - MOST_COMMENTS:,} more comments")
    lines += [f"verdict {verdict}: {plural(n, 'frame')}" for verdict, n in facts.verdicts.most_common(MOST_COMMENTS)]
    lines += drop_lines(capture)
    if facts.skipped:
        lines.append("blocks stepped over: " + ", ".join(f"{n:,} {kind}" for kind, n in facts.skipped.items()))
    return lines + capture.notes


MOST_COMMENTS = 20
MOST_INTERFACES = 50


def conversation_sections(
    c: Conversations, problems: list[str], limit: int, title: str = "Conversations", speech: Speech | None = None
) -> list[Section]:
    """A table of the first `limit` conversations (0: all), and what was not shown. speech: what each of them speaks."""
    n = len(c) if limit == 0 else min(limit, len(c))
    shown = c if n == len(c) else c.take(slice(0, n))
    a, b = shown.addresses()
    histories, states, client = shown.histories(), shown.states(), shown.client()
    rows = []
    for i in range(n):
        left, right = endpoint(a[i], int(shown.a_port[i])), endpoint(b[i], int(shown.b_port[i]))
        proto = protocol_name(int(shown.proto[i]))
        stream = str(shown.stream[i]) if shown.stream[i] >= 0 else "-"
        server_port = int(shown.a_port[i] if client[i] == 1 else shown.b_port[i])
        rows.append(
            [
                proto,
                stream,
                left,
                right,
                f"{shown.packets_ab[i]}",
                f"{shown.packets_ba[i]}",
                f"{shown.bytes_ab[i]:,}",
                f"{shown.bytes_ba[i]:,}",
                span(int(shown.last_ns[i] - shown.first_ns[i])),
                histories[i],
                states[i],
                speaks(speech.application(i)) if speech else "",
                service(proto, server_port),
            ]
        )
    count = Counter(c.proto.tolist())
    total = ", ".join(f"{number:,} {protocol_name(proto)}" for proto, number in count.most_common())
    section = Section(
        f"{title}: {total or 'none'}",
        [],
        ["proto", "stream", "a", "b", "a→b", "b→a", "bytes a→b", "bytes b→a", "lasted", "history", "state", "speaks", "usually"],
        rows,
        ["left", "right", "left", "left", "right", "right", "right", "right", "right", "left", "left", "left", "left"],
    )
    if n < len(c):
        section.after.append(f"... and {len(c) - n:,} more: --limit 0 shows all, --format json gives them to a program")
    return [section, *([Section("Problems", problems)] if problems else [])]


def socket_sections(s: Sockets, problems: list[str], limit: int, heard: dict[Listener, Counter[int]] | None = None) -> list[Section]:
    """Listening sockets one by one; connecting ones by host, with the ports they used. heard: what was spoken with each that was called."""
    names = texts(s.address)
    sections = []
    order = sorted(
        np.flatnonzero(s.role != CONNECTS).tolist(), key=lambda i: (-int(s.conversations[i]), names[i], int(s.proto[i]), int(s.port[i]))
    )
    rows = []
    for i in order[: limit or None]:
        proto, port = protocol_name(int(s.proto[i])), int(s.port[i])
        rows.append(
            [
                proto,
                endpoint(names[i], port),
                ROLES[int(s.role[i])],
                port_class(port),
                spoken_at((heard or {}).get((int(s.proto[i]), int(s.address[i, 0]), int(s.address[i, 1]), port), Counter()), proto, port),
                service(proto, port),
                f"{s.conversations[i]:,}",
                f"{s.peers[i]:,}",
            ]
        )
    listening, asked = int((s.role == LISTENS).sum()), int((s.role == ASKED).sum())
    sections.append(
        Section(
            f"Services: {listening:,} listening, {asked:,} asked without an answer",
            [],
            ["proto", "socket", "", "port class", "speaks", "usually", "conversations", "clients"],
            rows,
            ["left", "left", "left", "left", "left", "left", "right", "right"],
        )
    )
    if limit and len(order) > limit:
        sections[0].after.append(f"... and {len(order) - limit:,} more: --limit 0 shows all")
    hosts = _clients(s, names)
    rows = []
    for (host, proto), sockets_of in sorted(hosts.items(), key=lambda item: (-len(item[1]), item[0]))[: limit or None]:
        ports = sorted(int(s.port[i]) for i in sockets_of)
        classes = Counter(port_class(p) for p in ports)
        rows.append(
            [
                proto,
                host,
                f"{len(ports):,}",
                f"{ports[0]}-{ports[-1]}" if len(ports) > 1 else str(ports[0]),
                ", ".join(f"{n} {name}" for name, n in classes.items()),
                f"{int(s.conversations[sockets_of].sum()):,}",
            ]
        )
    sections.append(
        Section(
            f"Clients: {plural(len(hosts), 'host and protocol', 'hosts and protocols')}",
            [],
            ["proto", "host", "sockets", "ports used", "port classes", "conversations"],
            rows,
            ["left", "left", "right", "left", "left", "right"],
        )
    )
    return sections + ([Section("Problems", problems)] if problems else [])


def _clients(s: Sockets, names: list[str]) -> dict[tuple[str, str], list[int]]:
    hosts: dict[tuple[str, str], list[int]] = {}
    for i in np.flatnonzero(s.role == CONNECTS).tolist():
        hosts.setdefault((names[i], protocol_name(int(s.proto[i]))), []).append(i)
    return hosts
