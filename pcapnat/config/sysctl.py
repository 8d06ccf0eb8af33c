"""`sysctl -a` of a Linux host: the times of its connection tracking, which no ruleset says."""

from __future__ import annotations

import re
from dataclasses import replace

from ..nat.behavior import NatBehavior
from .ruleset import RulesError, number

WORDS = {
    "udp_timeout": "udp_idle_s",
    "udp_timeout_stream": "udp_reply_idle_s",
    "icmp_timeout": "icmp_idle_s",
    "generic_timeout": "other_idle_s",
    "tcp_timeout_established": "tcp_idle_s",
    "tcp_timeout_syn_sent": "tcp_syn_s",
    "tcp_timeout_syn_recv": "tcp_synack_s",
    "tcp_timeout_fin_wait": "tcp_fin_s",
    "tcp_timeout_close_wait": "tcp_close_wait_s",
    "tcp_timeout_last_ack": "tcp_last_ack_s",
    "tcp_timeout_time_wait": "tcp_time_wait_s",
    "tcp_timeout_close": "tcp_reset_s",
    "tcp_timeout_unacknowledged": "tcp_unanswered_s",
    "max": "table_size",
    "tcp_loose": "tcp_pickup",
}
"""Parameters by the kernel's name behind nf_conntrack_ (nf_conntrack-sysctl.rst)."""


def with_sysctl(behavior: NatBehavior, text: str) -> NatBehavior:
    """The behavior with what the text says; lines about other things are passed over. RulesError names a line that cannot be."""
    changed: dict[str, object] = {}
    for k, line in enumerate(text.splitlines(), 1):
        found = re.match(r"\s*net[./]netfilter[./]nf_conntrack_(\w+)\s*[=:]\s*(\S{1,20})\s*$", line, re.ASCII)
        if found and found[1] in WORDS:
            try:
                value = number(found[2], 1_000_000_000)
            except RulesError as error:
                raise RulesError(f"line {k}: {error}") from None
            changed[WORDS[found[1]]] = bool(value) if found[1] == "tcp_loose" else value
    if not changed:
        raise RulesError("no line such as net.netfilter.nf_conntrack_udp_timeout = 30")
    return replace(behavior, **changed)  # type: ignore[arg-type]
