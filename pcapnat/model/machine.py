"""TCP's states in a NAT as tables: who sends what in which state leads where.

States have one set of numbers for both machines, so that a state's time is found under its number.
"""

from __future__ import annotations

from ..nat.behavior import NatBehavior, TcpMachine
from ..table import Array

NEW, SYN_SENT, SYN_RECEIVED, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSED, BOTH_SYN = range(10)
STATES = 10
IGNORE, INVALID, REOPEN = 13, 14, 15
"""What a table may say instead of a state: pass it and change nothing; it fits no state; forget the session and begin anew."""
SYN, SYN_ACK, FIN, ACK, RST, NULL = range(6)
"""Kinds of segments: RST counts before SYN, SYN before FIN, FIN before ACK."""
SEGMENTS = 6
WIDTH = 16

UNANSWERED, UDP_NEW, UDP_REPLIED, UDP_DNS, ICMP_QUERY, OTHER = range(STATES, STATES + 6)
"""Times of what has no TCP state, after those of the states."""
TIMES = STATES + 6

Rule = tuple[str, int, dict[int, int]]

_PASS = {s: s for s in (ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSED)}
_RESET = dict.fromkeys(range(SYN_SENT, STATES), CLOSED)

# netfilter: measured on Linux 6.18 and read in nf_conntrack_proto_tcp.c; "opener" is the sender of the session's first packet.
NETFILTER: tuple[Rule, ...] = (
    ("opener", SYN, {NEW: SYN_SENT, SYN_SENT: SYN_SENT, BOTH_SYN: BOTH_SYN, TIME_WAIT: REOPEN, CLOSED: REOPEN}),
    ("opener", SYN, dict.fromkeys((SYN_RECEIVED, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK), IGNORE)),
    ("opener", SYN_ACK, {SYN_RECEIVED: SYN_RECEIVED, BOTH_SYN: SYN_RECEIVED}),
    ("both", FIN, {SYN_RECEIVED: FIN_WAIT, ESTABLISHED: FIN_WAIT, FIN_WAIT: LAST_ACK, CLOSE_WAIT: LAST_ACK, LAST_ACK: LAST_ACK}),
    ("both", FIN, {TIME_WAIT: TIME_WAIT, CLOSED: CLOSED}),
    ("opener", ACK, {SYN_RECEIVED: ESTABLISHED}),
    ("both", ACK, {ESTABLISHED: ESTABLISHED, FIN_WAIT: CLOSE_WAIT, CLOSE_WAIT: CLOSE_WAIT, LAST_ACK: TIME_WAIT, TIME_WAIT: TIME_WAIT}),
    ("both", ACK, {CLOSED: CLOSED}),
    ("both", RST, _RESET),
    ("other", SYN, {SYN_SENT: BOTH_SYN, BOTH_SYN: BOTH_SYN, TIME_WAIT: REOPEN}),
    ("other", SYN_ACK, {SYN_SENT: SYN_RECEIVED, BOTH_SYN: SYN_RECEIVED}),
    ("other", SYN_ACK, dict.fromkeys((SYN_RECEIVED, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSED), IGNORE)),
    ("other", ACK, {SYN_SENT: IGNORE, SYN_RECEIVED: SYN_RECEIVED, BOTH_SYN: IGNORE}),
)

# RFC 7857 section 2 as RFC 6146 section 3.5.2: a connection is open when both have sent SYN, closing when both have sent FIN; a reset may
# be forged, so what follows it opens the connection again. FIN_WAIT: the opener's FIN was seen, CLOSE_WAIT: the other's.
RFC: tuple[Rule, ...] = (
    ("opener", SYN, {NEW: SYN_SENT, SYN_SENT: SYN_SENT, **_PASS, TIME_WAIT: SYN_SENT, CLOSED: SYN_SENT}),
    ("other", SYN, {SYN_SENT: ESTABLISHED, **_PASS, TIME_WAIT: REOPEN, CLOSED: REOPEN}),
    ("opener", SYN_ACK, {SYN_SENT: SYN_SENT, **_PASS}),
    ("other", SYN_ACK, {SYN_SENT: ESTABLISHED, **_PASS}),
    ("opener", FIN, {SYN_SENT: SYN_SENT, ESTABLISHED: FIN_WAIT, FIN_WAIT: FIN_WAIT, CLOSE_WAIT: TIME_WAIT, TIME_WAIT: TIME_WAIT}),
    ("other", FIN, {SYN_SENT: SYN_SENT, ESTABLISHED: CLOSE_WAIT, CLOSE_WAIT: CLOSE_WAIT, FIN_WAIT: TIME_WAIT, TIME_WAIT: TIME_WAIT}),
    ("both", FIN, {CLOSED: ESTABLISHED}),
    ("both", ACK, {SYN_SENT: SYN_SENT, **_PASS, TIME_WAIT: IGNORE, CLOSED: ESTABLISHED}),
    ("both", NULL, {SYN_SENT: SYN_SENT, **_PASS}),
    ("both", RST, _RESET),
)

MACHINES = {TcpMachine.NETFILTER: NETFILTER, TcpMachine.RFC7857: RFC}
assert MACHINES.keys() == set(TcpMachine)


def machine(behavior: NatBehavior) -> Array:
    """(2 * SEGMENTS * WIDTH,) next state by direction (0 opener), segment and state; what no rule names is INVALID."""
    import numpy as np

    table = np.full((2, SEGMENTS, WIDTH), INVALID, np.uint8)
    for who, segment, leads in MACHINES[behavior.tcp_machine]:
        for direction in {"opener": (0,), "other": (1,), "both": (0, 1)}[who]:
            for state, then in leads.items():
                table[direction, segment, state] = then
    if behavior.tcp_pickup:
        table[0, ACK, NEW] = ESTABLISHED
    return np.asarray(table.ravel())


def times_ns(behavior: NatBehavior) -> Array:
    """(TIMES,) how long a session lives after its last packet, by state and by what has no state."""
    import numpy as np

    names = {
        SYN_SENT: "tcp_syn_s",
        BOTH_SYN: "tcp_syn_s",
        SYN_RECEIVED: "tcp_synack_s",
        ESTABLISHED: "tcp_idle_s",
        FIN_WAIT: "tcp_fin_s",
        CLOSE_WAIT: "tcp_close_wait_s" if behavior.tcp_machine is TcpMachine.NETFILTER else "tcp_fin_s",
        LAST_ACK: "tcp_last_ack_s",
        TIME_WAIT: "tcp_time_wait_s",
        CLOSED: "tcp_reset_s",
        UNANSWERED: "tcp_unanswered_s",
        UDP_NEW: "udp_idle_s",
        UDP_REPLIED: "udp_reply_idle_s",
        UDP_DNS: "udp_dns_s",
        ICMP_QUERY: "icmp_idle_s",
        OTHER: "other_idle_s",
    }
    times = np.zeros(TIMES, np.int64)
    for number, name in names.items():
        times[number] = round(behavior.seconds(name) * 1e9)
    return times
