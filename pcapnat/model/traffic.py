"""What goes into a model and what comes out: frames that entered a box, and the verdict on each."""

from __future__ import annotations

from enum import Enum, IntEnum

from ..table import Table, column

NO_PORTS, PORTS, QUERY = 0, 1, 2
ERROR, NEITHER = 254, 255
"""Values of `kind`: a packet without ports, one with ports, from QUERY on ICMP queries (echo, timestamp, information, mask; each
one's reply is the next number), an ICMP error that quotes a packet, and any other ICMP."""


class Side(IntEnum):
    """Where a frame entered or leaves the box."""

    INSIDE = 0
    OUTSIDE = 1
    NOWHERE = 2


class Hint(IntEnum):
    """What is known of the other side of a frame."""

    NONE = 0
    SEEN = 1
    """It came out so: taken where the behavior leaves the choice free."""
    BEFORE = 2
    """Its session may be older than the capture: what was seen is taken as the state that the box had."""


class Traffic(Table):
    """One row per frame that entered the box, in the order of time."""

    time_ns = column("int64", "when it entered", unit="ns")
    src = column("uint64", "source address", width=2)
    dst = column("uint64", "destination address", width=2)
    hint = column("uint64", "the rewritten endpoint as seen: source outside for frames from inside, else destination inside", width=2)
    hint_port = column("int32", "its port, -1 for none")
    quote = column("int32", "row in Quotes of the packet that an ICMP error quotes, -1 for none")
    sport = column("uint16", "source port, or ICMP query identifier in both")
    dport = column("uint16", "destination port")
    tcp_flags = column("uint16", "as in Packets")
    side = column("uint8", "0 entered inside, 1 outside")
    proto = column("uint8", "protocol above IP")
    kind = column("uint8", "0 no ports, 1 ports, from 2 on ICMP queries, 254 ICMP error with a quote, 255 other ICMP")
    ttl = column("uint8", "time to live or hop limit on arrival")
    fragment = column("uint8", "0 whole, 1 first fragment, 2 later fragment (ports are its datagram's), 3 later fragment, ports unknown")
    hint_kind = column("uint8", "what the hint is worth, see Hint")


class Quotes(Table):
    """One row per packet quoted in an ICMP error."""

    src = column("uint64", "its source address", width=2)
    dst = column("uint64", "its destination address", width=2)
    sport = column("uint16", "its source port or identifier")
    dport = column("uint16", "its destination port or identifier")
    proto = column("uint8", "its protocol")
    kind = column("uint8", "as in Traffic; 255 if the quote does not show its ports")


class Verdicts(Table):
    """One row per row of Traffic: what the model does with the frame."""

    session = column("int64", "number of the session it belongs to, from 0 in order of creation, -1 for none")
    src = column("uint64", "source address on leaving", width=2)
    dst = column("uint64", "destination address on leaving", width=2)
    sport = column("uint16", "source port on leaving")
    dport = column("uint16", "destination port on leaving")
    disposition = column("uint8", "see Disposition")
    reason = column("uint8", "row in REASONS")
    side = column("uint8", "0 leaves inside, 1 outside, 2 nowhere")
    proto = column("uint8", "protocol on leaving")
    ttl = column("uint8", "time to live on leaving")
    barred = column("int32", "row of the behavior's filters that stops it, -1 for none")
    choice = column("uint8", "how free the outside endpoint was, see Choice; in the frame that made the session")


class Disposition(IntEnum):
    """What becomes of a frame."""

    DROPPED = 0
    TRANSLATED = 1
    FORWARDED = 2
    """It leaves with the endpoints it came with."""
    LOCAL = 3
    """It is for the box itself."""


class Choice(IntEnum):
    """Where the outside endpoint of a new session comes from."""

    NONE = 0
    FIXED = 1
    """The behavior leaves no other."""
    HINTED = 2
    """The behavior leaves it open, and what was seen is allowed."""
    REFUSED = 3
    """The behavior does not allow what was seen; the model chose."""
    FREE = 4
    """The behavior leaves it open, and nothing was seen; the model's is one of many."""


class Reason(Enum):
    """Why a frame has its verdict; the value is the sentence a user reads."""

    NONE = "belongs to a session or makes one"
    NO_MAPPING = "no mapping has this outside endpoint"
    FILTERED = "the mapping does not let this remote endpoint in"
    NO_PORT = "no outside port is free that the behavior allows"
    QUOTA = "the host has as many sessions as it may"
    TABLE_FULL = "the table of sessions is full"
    TTL = "its time to live ends here"
    INVALID = "it fits no state that the session has"
    NO_SESSION = "it can neither open a session nor belongs to one"
    HAIRPIN = "an outside endpoint is not reachable from inside"
    NOT_INSIDE = "its source is not translated, and other sources are not forwarded"
    PORTLESS = "protocols without ports are not translated"
    ICMP = "this kind of ICMP is not translated"
    FRAGMENT = "fragments are dropped, or its datagram is not complete or not in order"
    GROUP = "multicast, broadcast and link-local addresses are not forwarded"
    OWN = "it is for the box itself"
    UNQUOTED = "an ICMP error about nothing that is known"
    BARRED = "a filter rule stops it"


REASONS = tuple(Reason)
"""By the number in the verdicts."""
