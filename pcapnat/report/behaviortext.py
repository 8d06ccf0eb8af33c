"""How a box behaves, on the page: what is known with its weight and reason, and what cannot be told."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

from ..nat import Inferred
from .words import Section

QUESTIONS = {
    "mapping": "mapping (RFC 4787 4.1)",
    "filtering": "filtering (RFC 4787 5)",
    "port_choice": "outside ports",
    "port_range": "port range in use",
    "block_size": "ports a block",
    "allocation": "share of ports by the host's address",
    "address_pool": "outside addresses",
    "pooling": "address of a host",
    "port_overloading": "one outside port for several hosts",
    "parity": "even stays even",
    "contiguity": "neighbouring ports stay neighbours",
    "ports_per_host": "sessions that a host may have",
    "hairpin": "hairpin",
    "udp_idle_s": "UDP timeout, unanswered",
    "udp_reply_idle_s": "UDP timeout, answered",
    "tcp_idle_s": "TCP timeout, established",
    "tcp_transitory_idle_s": "TCP timeout, opening or closing",
    "icmp_idle_s": "ICMP timeout",
    "icmp_errors": "ICMP errors (RFC 5508 4)",
    "fragments": "fragments (RFC 4787 11)",
    "refresh_outbound": "packets outwards keep a UDP mapping alive",
    "refresh_inbound": "packets inwards keep a UDP mapping alive",
    "fields_changed": "fields changed",
}
"""What is asked, in the order of the page."""


WIDTH = 120
"""Columns that a reason may take."""


def behavior_section(inferred: Inferred) -> Section:
    """Each known finding with how much speaks for and against it, and why; the others are named at the end."""
    found = inferred.findings()
    section = Section("Behavior")
    for name, question in QUESTIONS.items():
        f = found[name]
        if f.value is None:
            continue
        weight = f"{f.support:,} for it" + (f", {f.against:,} against" if f.against else "")
        section.lines.append(f"{question}: {_value(name, f.value)} ({weight})")
        if f.note and name not in ("fields_changed", "address_pool"):
            section.lines += wrap(f.note, WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    if missing := [question for name, question in QUESTIONS.items() if found[name].value is None]:
        section.after += wrap(f"Not told by these captures: {'; '.join(missing)}. --format json says why.", WIDTH)
    return section


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "port_range":
        return f"{value[0]}-{value[1]}"
    if name == "allocation":
        return f"{value['ports_per_host']} ports each from {value['first_port']}, the first for {value['first_host']}"
    if name == "address_pool":
        return ", ".join(value[:4]) + (f" and {len(value) - 4} more" if len(value) > 4 else "")
    if name.endswith("_idle_s"):
        low, high = value
        parts = [f"more than {low:g} s" if low is not None else "", f"at most {high:g} s" if high is not None else ""]
        return ", ".join(part for part in parts if part)
    if name == "fields_changed":
        changed = [key for key, how in value.items() if how is True]
        ttl = [f"ip.ttl {value['ip.ttl']:+d}"] if value.get("ip.ttl") else []
        return ", ".join(ttl + changed) or "none"
    return str(value)
