"""What is said about the boxes between points: the page that `pcapnat analyze` prints."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..address import common_prefix, cover, network, texts
from ..analysis import Analysis, Box
from ..flow import Port, protocol_name
from ..flow.socket import heard
from ..nat import PortUse
from ..table import Array
from ..terms import Clock
from .behaviortext import behavior_section
from .content import conversation_sections, socket_sections
from .likelytext import likely_section
from .oneside import double_line, one_sided
from .passage import passage_section
from .pathpage import path_sections
from .portuse import host_section, load_section
from .replaytext import replay_section, share_text
from .spoken import event_section, name_section, unusual_section
from .tabletext import table_sections
from .words import Section, endpoint, plural, span, when


def analysis_sections(analysis: Analysis, limit: int) -> list[Section]:
    """The page `pcapnat analyze` prints."""
    sections = [_read(analysis.points)]
    if len(analysis.points) > 1:
        sections.append(_clocks(analysis.points, analysis.clocks))
    for box in analysis.boxes:
        sections += _box(box, limit)
    sections += path_sections(analysis, limit)
    said = analysis.messages
    for port, hosts in list(zip(analysis.points, analysis.host_ports, strict=False))[: 1 if analysis.boxes else None]:
        sections += host_section(port, hosts, limit)
    if not analysis.boxes:
        for k, (port, s) in enumerate(zip(analysis.points, analysis.sockets, strict=True)):
            speech = said[k].speech if said else None
            sections += conversation_sections(port.conversations, [], limit, speech=speech)
            sections += socket_sections(s, [], limit, heard(port.conversations, speech.topics) if speech else None)
            sections += one_sided(port, analysis.behind, analysis.presence, limit)
            sections += event_section(port.name, said[k], limit) if said else []
    if said:
        sections += unusual_section(analysis.points[0].conversations, said[0].speech, limit)
        sections += name_section(analysis.points, said, limit)
    if analysis.notes:
        sections.append(Section("Notes", analysis.notes))
    return sections


def _read(points: list[Port]) -> Section:
    rows = [
        [
            p.name,
            ", ".join(p.files),
            f"{len(p.packets):,}",
            f"{len(p.conversations):,}",
            when(p.first_ns) if len(p.packets) else "-",
            span(p.last_ns - p.first_ns),
        ]
        for p in points
    ]
    return Section(
        "What was read",
        [],
        ["point", "file", "frames", "conversations", "first frame (UTC)", "lasts"],
        rows,
        ["left", "left", "right", "right", "left", "right"],
    )


def _clocks(points: list[Port], clocks: list[Clock]) -> Section:
    lines = []
    for point, clock in list(zip(points, clocks, strict=True))[1:]:
        if clock.offset_ns is None:
            lines.append(f"{point.name}: unknown")
        else:
            way = "ahead of" if clock.offset_ns >= 0 else "behind"
            sure = f"± {span(clock.uncertainty_ns)}" if clock.uncertainty_ns is not None else "uncertainty unknown"
            lines.append(
                f"{point.name} is {span(abs(clock.offset_ns))} {way} {points[0].name} ({sure}), "
                + (f"drifting {clock.drift_ppb / 1000:+.3f} ppm, " if clock.drift_ppb else "")
                + f"by {plural(clock.support, 'frame')} seen at both points"
            )
        lines += [f"  {note}" for note in clock.notes]
    return Section("Clocks", lines)


SHOWN = 5
"""Reasons why the model differs that the page shows, and frames of each."""
KINDS = {
    "nat": "a NAT",
    "proxy": "a proxy or user-space NAT",
    "tunnel": "where a tunnel begins or ends: it translates nothing",
    "router": "a router: it translates nothing",
    "switch": "a switch, a bridge or a wire: it changes nothing",
}


def _box(box: Box, limit: int) -> list[Section]:
    here, there = box.crossing.here.name, box.crossing.there.name
    t = box.translations
    kind = KINDS.get(box.kind.value or "")
    lines = sentences(box) + double_line(box)
    if not kind:
        lines = [f"What it is cannot be told: {box.kind.note}.", *lines]
    elif box.kind.value == "proxy":
        lines = [box.kind.note[0].upper() + box.kind.note[1:] + ".", *lines]
    sections = [Section(f"Between {here} and {there}: {kind or 'unknown'}", lines)]
    names = texts(box.mappings.inside), texts(box.mappings.outside)
    n = len(box.mappings) if limit == 0 else min(limit, len(box.mappings))
    rows = []
    for i in range(n):
        used = box.mapped[int(box.mappings.start[i]) : int(box.mappings.start[i] + box.mappings.count[i])]
        frames_in, frames_out = int(t.frames_inside[used].sum()), int(t.frames_outside[used].sum())
        first = box.mappings.first_ns[i] - box.crossing.here.first_ns
        rows.append(
            [
                protocol_name(int(box.mappings.proto[i])),
                endpoint(names[0][i], int(box.mappings.inside_port[i])),
                endpoint(names[1][i], int(box.mappings.outside_port[i])),
                _port_change(box, i),
                f"{len(used):,}",
                _remote(box, i, used),
                f"{frames_in:,}",
                f"{frames_out:,}",
                f"+{int(first) / 1e9:.6f}",
                f"{min(float(t.confidence[used].min()), 0.9999):.4f}",
            ]
        )
    table = Section(
        f"Mappings: {len(box.mappings):,}",
        [],
        ["proto", here, there, "port", "used", "towards", f"frames {here}", f"frames {there}", "since (s)", "confidence"],
        rows,
        ["left", "left", "left", "left", "right", "left", "right", "right", "right", "right"],
    )
    if n < len(box.mappings):
        table.after.append(f"... and {len(box.mappings) - n:,} more: --limit 0 shows all, --format json gives them to a program")
    if len(box.mappings):
        sections.append(table)
    if box.ports:
        sections.append(_ports(box.ports))
    sections += load_section(box)
    sections += table_sections(box.table, limit) if box.table else []
    if box.behavior.known():
        sections.append(behavior_section(box.behavior))
    sections += likely_section(box.likely)
    sections += passage_section(box)
    if box.replay:
        played = replay_section(box.replay, (here, there), SHOWN if limit else 0)
        played[0].title = f"The inferred model, played back: {share_text(box.replay)}"
        if box.assumed:
            played[0].lines.append(f"Not found, so left free in it: {', '.join(box.assumed)}.")
        sections += played
    sections.append(_unmatched(box, limit))
    return sections


def _port_change(box: Box, i: int) -> str:
    if box.mappings.static[i]:
        return "opened from outside"
    if box.mappings.inside_port[i] < 0:
        return "-"
    return "kept" if box.mappings.inside_port[i] == box.mappings.outside_port[i] else "changed"


def _remote(box: Box, i: int, used: Array) -> str:
    """The far end of a mapping's conversations: one of them, and how many more."""
    t = box.translations
    k = int(used[0])
    if box.mappings.static[i]:  # a door: the far end is who came
        far, port = (t.inside_src, t.inside_sport) if t.hairpin[k] else (t.outside_src, t.outside_sport)
    else:
        far, port = (t.inside_dst, t.inside_dport) if t.hairpin[k] else (t.outside_dst, t.outside_dport)
    more = len(used) - 1
    return endpoint(texts(far[k : k + 1])[0], int(port[k])) + (f" and {more:,} more" if more else "")


def _ports(used: list[PortUse]) -> Section:
    rows = []
    for use in used:
        proto = protocol_name(use.proto)
        name = f"{proto} identifiers" if proto.startswith("icmp") else proto
        classes = "-" if proto.startswith("icmp") else ", ".join(f"{count:,} {kind}" for kind, count in use.classes.items() if count)
        rows.append(
            [name, f"{use.mappings:,}", f"{use.preserved:,}", f"{use.mappings - use.preserved:,}", f"{use.low}-{use.high}", classes]
        )
    return Section(
        "Outside ports of the mappings made from inside",
        [],
        ["proto", "mappings", "port kept", "port changed", "range seen", "port classes"],
        rows,
        ["left", "right", "right", "right", "left", "left"],
        ["System ports are 0-1023, user 1024-49151, dynamic 49152-65535."],
    )


def _unmatched(box: Box, limit: int) -> Section:
    rows = []
    total = 0
    for port, reasons in ((box.crossing.here, box.crossing.unmatched_here), (box.crossing.there, box.crossing.unmatched_there)):
        total += len(reasons)
        shown = list(reasons.items())[: limit or None]
        c = port.conversations.take(np.array([i for i, _ in shown], np.int64))
        a, b = c.addresses()
        for k, (_, reason) in enumerate(shown):
            stream = f"{protocol_name(int(c.proto[k]))}.stream eq {c.stream[k]}" if c.stream[k] >= 0 else f"frame {c.first_row[k] + 1}"
            rows.append(
                [
                    port.name,
                    protocol_name(int(c.proto[k])),
                    endpoint(a[k], int(c.a_port[k])),
                    endpoint(b[k], int(c.b_port[k])),
                    f"{c.packets_ab[k] + c.packets_ba[k]:,}",
                    stream,
                    reason.value,
                ]
            )
    section = Section(
        f"Not matched: {total:,}",
        [] if total else ["Every conversation was found on both sides."],
        ["at", "proto", "a", "b", "frames", "in Wireshark", "why"],
        rows,
        ["left", "left", "left", "left", "right", "left", "left"],
    )
    if limit and total > len(rows):
        section.after.append(f"... and {total - len(rows):,} more: --limit 0 shows all")
    return section


def sentences(box: Box) -> list[str]:
    """The NAT in plain words: who leaves as whom, with how many ports kept; which doors lead where."""
    t = box.translations
    out = []
    source = np.flatnonzero((t.kind & 1 != 0) & (t.from_outside == 0) & (t.hairpin == 0))
    groups: dict[str, list[int]] = {}
    members: dict[str, set[str]] = {}
    for i, name, host in zip(source.tolist(), texts(t.outside_src[source]), texts(t.inside_src[source]), strict=True):
        groups.setdefault(name, []).append(i)
        members.setdefault(name, set()).add(host)
    inside_of = {name: frozenset(hosts) for name, hosts in members.items()}
    if len(groups) > 2 and all(len(hosts) == 1 for hosts in inside_of.values()) and len(set().union(*inside_of.values())) == len(groups):
        single = sorted(next(iter(h)) for h in inside_of.values())
        out.append(f"{', '.join(cover(single))} leaves as {', '.join(cover(groups))}, address for address; {_kept(box, source)}.")
    else:
        merged: dict[frozenset[str], list[str]] = {}
        for name, hosts in inside_of.items():
            merged.setdefault(hosts, []).append(name)
        crowd = Counter(network(host) for host in set().union(*merged))
        for hosts, names in list(merged.items())[:MOST_GROUPS]:
            rows = np.array([i for name in names for i in groups[name]])
            who = _some(_hosts(hosts, crowd), len(hosts))
            whom = _some(cover(names) if len(names) > 4 else sorted(names), len(names))
            out.append(f"{who} {'leave' if ', ' in who or ' hosts in ' in who else 'leaves'} as {whom}; {_kept(box, rows)}.")
        if len(merged) > MOST_GROUPS:
            out.append(f"... and {len(merged) - MOST_GROUPS:,} more such groups of hosts.")
    doors: dict[tuple[str, str, str], int] = {}
    for i in np.flatnonzero((t.kind & 2 != 0) & ((t.from_outside == 1) | (t.hairpin == 1))).tolist():
        outer, inner = (t.inside_dst, t.outside_dst) if t.hairpin[i] else (t.outside_dst, t.inside_dst)
        outer_port, inner_port = (t.inside_dport, t.outside_dport) if t.hairpin[i] else (t.outside_dport, t.inside_dport)
        door = (
            protocol_name(int(t.proto[i])),
            endpoint(texts(outer[i : i + 1])[0], int(outer_port[i])),
            endpoint(texts(inner[i : i + 1])[0], int(inner_port[i])),
        )
        doors[door] = doors.get(door, 0) + 1
    listed = sorted(doors.items(), key=lambda item: (-item[1], item[0]))
    out += [f"{outer}/{proto} leads to {inner} ({plural(n, 'conversation')})." for (proto, outer, inner), n in listed[:MOST_DOORS]]
    if len(listed) > MOST_DOORS:
        out.append(f"... and {len(listed) - MOST_DOORS} more such doors.")
    if hairpins := int(t.hairpin.sum()):
        out.append(f"{plural(hairpins, 'conversation')} went in and out at {box.crossing.here.name} (hairpin).")
    if len(box.leaks):
        who, what = plural(len(box.leaks), "translated conversation"), "also crossed untranslated for a while"
        out.append(f"{who} {what}: {_some(sorted(set(texts(box.leaks.outside_src))), len(box.leaks))} shows outside.")
    if same := int((t.kind == 0).sum()):
        out.append(f"{plural(same, 'conversation')} crossed without a change of endpoints.")
    return out


MOST_DOORS = 8
MOST_GROUPS = 20


def _kept(box: Box, rows: Array) -> str:
    t = box.translations
    with_port = rows[t.inside_sport[rows] >= 0]
    ports = with_port[~np.isin(t.proto[with_port], (1, 58))]
    if not len(ports):
        return "no ports to keep"
    pairs = np.unique(
        np.column_stack(
            [
                t.proto[ports].astype(np.uint64),
                t.inside_src[ports],
                t.inside_sport[ports].astype(np.uint64),
                t.outside_src[ports],
                t.outside_sport[ports].astype(np.uint64),
            ]
        ),
        axis=0,
    )
    kept = int((pairs[:, 3] == pairs[:, 6]).sum())
    used = pairs[:, 6]
    others = "" if kept == len(pairs) else f", outside ports {used.min()}-{used.max()} in use"
    return f"{kept:,} of {plural(len(pairs), 'port')} preserved{others}"


def _hosts(hosts: frozenset[str], crowd: Counter[str]) -> list[str]:
    """Prefixes that hold the hosts, or the hosts themselves where a prefix would claim others too. crowd: hosts of each prefix in all."""
    mine = Counter(network(host) for host in hosts)
    claims = any(count > 1 and crowd[prefix] > count for prefix, count in mine.items())
    return sorted(hosts) if claims else cover(hosts)


def _some(names: list[str], hosts: int) -> str:
    """A few prefixes by name; many as a count of hosts in the one prefix that holds them, where it says something."""
    if len(names) <= MOST_PREFIXES:
        return ", ".join(names)
    whole = common_prefix(names)
    return f"{hosts} hosts in {whole}" if whole else f"{', '.join(names[:MOST_PREFIXES])} and {len(names) - MOST_PREFIXES} more"


MOST_PREFIXES = 6
