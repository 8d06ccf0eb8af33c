"""What a box answers to a packet that a rule rejects: a TCP reset or an ICMP error, from whom the packet was for."""

from __future__ import annotations

import numpy as np

from ..nat.filters import Action, Filter
from ..table import Table, column
from .traffic import Traffic, Verdicts

TCP, ICMP, ICMP6 = 6, 1, 58
CODES = {
    "net-unreachable": (0, 0), "host-unreachable": (1, 3), "prot-unreachable": (2, 4), "port-unreachable": (3, 4),
    "net-prohibited": (9, 1), "host-prohibited": (10, 1), "admin-prohibited": (13, 1), "no-route": (0, 0), "addr-unreachable": (1, 3),
    "adm-prohibited": (13, 1), "policy-fail": (13, 5), "reject-route": (13, 6),
}  # fmt: skip
"""Codes of "destination unreachable" by the words of nft and iptables: of ICMP (type 3) and of ICMPv6 (type 1)."""


class Answers(Table):
    """One row per frame that is rejected."""

    frame = column("int64", "row of Traffic that it answers")
    side = column("uint8", "where it leaves: where the frame came from")
    proto = column("uint8", "6 for a reset, 1 or 58 for ICMP")
    src = column("uint64", "source address of a reset; an ICMP error has the box's own", width=2)
    dst = column("uint64", "destination address", width=2)
    sport = column("uint16", "source port of a reset")
    dport = column("uint16", "destination port of a reset")
    icmp_type = column("uint8", "of an ICMP error")
    icmp_code = column("uint8", "of an ICMP error")


def answers(filters: tuple[Filter, ...], t: Traffic, v: Verdicts) -> Answers:
    """The answers that rejecting rules give, in the order of frames. A reset is never answered by one (nf_reject), nor an ICMP error."""
    rejects = np.array([f.action in (Action.RESET, Action.ICMP) for f in filters], bool)
    stopped = np.flatnonzero(v.barred >= 0)
    rows = stopped[rejects[v.barred[stopped]]] if len(filters) else stopped
    resets = np.array([filters[k].action is Action.RESET for k in v.barred[rows].tolist()], bool)
    right = np.where(resets, (t.proto[rows] == TCP) & (t.tcp_flags[rows] & 4 == 0), t.kind[rows] < 254) & (t.fragment[rows] < 2)
    rows, resets = rows[right], resets[right]
    out = Answers.empty(len(rows))
    v4 = (t.src[rows, 0] == 0) & (t.src[rows, 1] >> np.uint64(32) == 0xFFFF)
    out.frame[:], out.side[:] = rows, t.side[rows]
    out.src[:], out.dst[:] = t.dst[rows], t.src[rows]
    out.sport[:], out.dport[:] = t.dport[rows], t.sport[rows]
    out.proto[:] = np.where(resets, TCP, np.where(v4, ICMP, ICMP6))
    out.icmp_type[:] = np.where(resets, 0, np.where(v4, 3, 1))
    code = [CODES.get(filters[k].answer, CODES["port-unreachable"]) for k in v.barred[rows].tolist()]
    out.icmp_code[:] = np.array([a if four else b for (a, b), four in zip(code, v4.tolist(), strict=True)], np.uint8)
    return out
