"""Ports of hosts and of a NAT over time: the section of the page, and the JSON."""

from __future__ import annotations

from typing import Any

from ..address import text
from ..analysis import Box
from ..flow import Port, protocol_name
from ..nat.hostports import HostPorts
from ..nat.portload import PortLoad
from .behaviorjson import finding
from .words import Section, endpoint, plural, span

Json = dict[str, Any]
NS = 1_000_000_000


def hosts_json(hosts: list[HostPorts]) -> list[Json]:
    """`host_ports` of a point."""
    return [
        {
            "proto": protocol_name(h.proto),
            "address": text(*h.address),
            "ports": h.ports,
            "independent": h.draws,
            "low": h.low,
            "high": h.high,
            "range": finding(h.range),
            "system": finding(h.system),
            "choice": finding(h.choice),
        }
        for h in hosts
    ]


def ports_in_use_json(box: Box) -> Json:
    """`ports_in_use` of a box: towards null is all remote endpoints together."""
    met = box.collisions
    return {
        "collisions": {"sessions": met.sessions, "towards_one_endpoint": met.towards_one, "changed": met.changed} if met else None,
        "use": [
            {
                "proto": protocol_name(use.proto),
                "outside": text(*use.address),
                "towards": {"address": text(*use.remote), "port": use.remote_port} if use.remote else None,
                "sessions": use.made,
                "sessions_per_s": round(use.per_s, 3),
                "peak": use.peak,
                "peak_ns": use.peak_ns,
                "capacity": finding(use.capacity),
                "full": use.full,
                "exhausted_in_s": finding(use.forecast_s),
                "curve": {"start_ns": use.start_ns, "end_ns": use.end_ns, "ports": list(use.curve)},
            }
            for use in box.load
        ],
    }


def host_section(port: Port, hosts: list[HostPorts], limit: int) -> list[Section]:
    """Which host takes its ports from where; nothing if no host opened enough."""
    if not hosts:
        return []
    rows = [
        [
            text(*h.address),
            protocol_name(h.proto),
            f"{h.ports:,}",
            f"{h.low}-{h.high}",
            f"{h.range.value[0]}-{h.range.value[1]}" if h.range.value else "not told",
            h.system.value or "-",
            h.choice.value or "not told",
        ]
        for h in hosts[: limit or None]
    ]
    headers = ["host", "proto", "ports", "seen", "range", "as of", "chosen"]
    section = Section(
        f"Ports that hosts chose, at {port.name}", [], headers, rows, ["left", "left", "right", "left", "left", "left", "left"]
    )
    if len(hosts) > len(rows):
        section.after.append(f"... and {len(hosts) - len(rows):,} more: --limit 0 shows all")
    return [section]


SHOWN = 5
"""Remote endpoints on the page, unless ports ran out."""


def load_section(box: Box) -> list[Section]:
    """Outside ports in use at once: towards all, and towards the endpoints with the most, or without a free one."""
    whole, towards = ([u for u in box.load if (u.remote is None) is of] for of in (True, False))
    shown = towards[:SHOWN] + [u for u in towards[SHOWN:] if u.full or u.forecast_s.value is not None]
    if not whole:
        return []
    rows = [
        [
            protocol_name(u.proto),
            text(*u.address),
            endpoint(text(*u.remote), u.remote_port) if u.remote else "all",
            f"{u.made:,}",
            f"{u.peak:,}",
            f"{u.capacity.value:,}" if u.capacity.value else "not told",
        ]
        for u in whole[:SHOWN] + shown
    ]
    headers = ["proto", "outside", "towards", "sessions", "at once", "of"]
    section = Section("Outside ports in use", [], headers, rows, ["left", "left", "left", "right", "right", "right"])
    if len(box.load) > len(rows):
        section.after.append(f"... and {len(box.load) - len(rows):,} more: --format json gives them, with their use over time")
    for u in shown:
        section.after += _warnings(u)
    met = box.collisions
    if met and met.sessions:
        one = f", {met.towards_one:,} of them towards the same endpoint ({met.changed:,} left with another port)" if met.towards_one else ""
        section.after.append(f"{plural(met.sessions, 'session')} began with an inside port that another host was using{one}.")
    return [section]


def _warnings(u: PortLoad) -> list[str]:
    assert u.remote
    where = f"{endpoint(text(*u.remote), u.remote_port)}/{protocol_name(u.proto)}"
    if u.full:
        return [f"All {u.peak:,} ports of {text(*u.address)} towards {where} were in use at once: there was no port for one more."]
    if u.forecast_s.value is not None:
        left = span(int(u.forecast_s.value * NS))
        what = f"the {u.capacity.value:,} ports" if u.capacity.value else "ports"
        return [f"At this rate {what} of {text(*u.address)} towards {where} last {left} from the end on ({u.forecast_s.note})."]
    return []
