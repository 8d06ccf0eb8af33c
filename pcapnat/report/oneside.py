"""What one side alone tells: hosts behind an address, and whether there is a NAT; the section of the page, and the JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..address import text
from ..analysis import Box
from ..flow import Port
from ..nat.hosts import Behind
from ..nat.presence import Presence
from .behaviorjson import finding
from .words import Section, plural

Json = dict[str, Any]
METHODS = {"tcp_timestamps": "TCP clocks", "ip_id": "IP id counters", "source_ports": "port counters", "initial_ttl": "initial TTLs"}


def behind_json(hosts: list[Behind]) -> list[Json]:
    """`hosts_behind` of a point."""
    return [
        {
            "address": text(*h.address),
            "conversations": h.conversations,
            "hosts": {"at_least": h.at_least, "at_most": None, "estimate": h.estimate},
            "methods": {name: finding(f) for name, f in h.methods.items()},
        }
        for h in hosts
    ]


def presence_json(found: Presence) -> Json:
    """`nat` of a point."""
    return {
        "beyond": finding(found.beyond),
        "before": finding(found.before),
        "outside_addresses": found.outside,
        "inside_addresses": found.inside,
        "signs": [asdict(sign) for sign in found.signs],
    }


def double_line(box: Box) -> list[str]:
    """A line if there is another NAT behind a NAT."""
    found = box.double_nat
    return [f"There is another NAT beyond it: {found.note}."] if found and found.value else []


def one_sided(port: Port, hosts: list[Behind], found: Presence | None, limit: int) -> list[Section]:
    """What this side alone tells; nothing if it tells nothing."""
    lines = []
    if found and found.beyond.value is not None:
        lines.append(f"{'A' if found.beyond.value else 'No'} NAT stands between here and the far ends: {found.beyond.note}.")
        if found.outside:
            lines.append(f"Beyond it hosts here are {', '.join(found.outside)}.")
    if found and found.before.value:
        lines.append(f"A NAT stands between here and hosts: {found.before.note}; inside are {', '.join(found.inside)}.")
    several = [h for h in hosts if h.at_least > 1]
    rows = [
        [
            text(*h.address),
            f"{h.conversations:,}",
            f"{h.at_least}" + (f" (about {h.estimate})" if h.estimate else ""),
            "; ".join(f"{METHODS[name]}: {f.value}" for name, f in h.methods.items() if f.value and f.value > 1),
        ]
        for h in several[: limit or None]
    ]
    if not lines and not rows:
        return []
    section = Section(f"What {port.name} alone tells", lines)
    if rows:
        section.headers, section.rows = ["address", "conversations", "hosts behind, at least", "by"], rows
        section.align = ["left", "right", "right", "left"]
        section.after = [
            f"Of {plural(len(hosts), 'address', 'addresses')} looked at. Virtual machines count as hosts; who shares no counter is missed."
        ]
    return [section]
