"""NatBehavior: every parameter of a NAT, in the words of RFC 4787, 5382, 5508 and 7857; complete enough to run a model on it.

Reading taken: where these RFCs leave a word out (netfilter's best effort, what happens to packets without a state), the
value says what is done, not who does it. Times are seconds here and nowhere below: people set them.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum

from .filters import Filter


class Mapping(Enum):
    """Which part of the remote endpoint a new mapping depends on (RFC 4787 section 4.1)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"
    BEST_EFFORT = "endpoint-independent-best-effort"
    """The newest mapping of the inside endpoint is used again unless that outside endpoint already talks to this remote one."""

    @property
    def depth(self) -> int:
        """How much of the remote endpoint counts: 0 nothing, 1 its address, 2 its port, too."""
        return {"address-dependent": 1, "address-and-port-dependent": 2}.get(self.value, 0)


class Filtering(Enum):
    """Which remote endpoints may send to a mapping (RFC 4787 section 5)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"

    @property
    def depth(self) -> int:
        """How much of the remote endpoint counts: 0 nothing, 1 its address, 2 its port, too."""
        return list(Filtering).index(self)


class PortChoice(Enum):
    """How the outside port of a new mapping is chosen (RFC 4787 section 4.2, RFC 6056, RFC 6888)."""

    PRESERVE = "preserve"
    """The inside port or nothing."""
    PRESERVE_ELSE_RANDOM = "preserve-else-random"
    PRESERVE_ELSE_SEQUENTIAL = "preserve-else-sequential"
    RANDOM = "random"
    SEQUENTIAL = "sequential"
    BLOCK = "block"
    """Any port of a block that belongs to the inside host while it uses it (RFC 6888 section 4)."""
    STATIC = "static"
    """From the host's own share of ports, by formula (RFC 7422); with `static` rules only: none of its own."""
    HOST_EPHEMERAL = "host-ephemeral"
    """What the operating system under a NAT in user space gives a socket."""

    @property
    def preserves(self) -> bool:
        """Whether the inside port is tried first."""
        return self in (PortChoice.PRESERVE, PortChoice.PRESERVE_ELSE_RANDOM, PortChoice.PRESERVE_ELSE_SEQUENTIAL)


class Pooling(Enum):
    """Which of several outside addresses a host gets (RFC 4787 section 4.1)."""

    PAIRED = "paired"
    """One for all its mappings while it has any."""
    ARBITRARY = "arbitrary"


class Hairpin(Enum):
    """What a host sees that is reached from inside by its outside endpoint (RFC 4787 section 6)."""

    EXTERNAL_SOURCE = "external-source"
    INTERNAL_SOURCE = "internal-source"
    ROUTER_SOURCE = "router-source"
    """The NAT's own inside address, as masquerading on the inside interface does."""
    NONE = "none"


class Unsolicited(Enum):
    """What happens to a packet from outside for the NAT's own address that no mapping lets in."""

    DROP = "drop"
    LOCAL = "local"
    """It is for the NAT's own host, which answers (TCP reset, ICMP port unreachable), and for UDP holds the pair of endpoints."""


class Invalid(Enum):
    """What happens to packets that fit no state: a reset or data without a connection, errors about nothing known."""

    DROP = "drop"
    FORWARD = "forward-untranslated"
    """They leave as they came: netfilter without a rule that drops `ct state invalid`."""


class Fragments(Enum):
    """How fragments are treated (RFC 4787 section 11, RFC 8512 fragment-behavior)."""

    ANY_ORDER = "any-order"
    IN_ORDER = "in-order-only"
    DROP = "drop"


class TcpMachine(Enum):
    """Whose rules decide when a TCP connection opens and closes."""

    RFC7857 = "rfc7857"
    """RFC 7857 section 2 (the one of RFC 6146 section 3.5.2): both SYNs open, both FINs or a RST close."""
    NETFILTER = "netfilter"


class Portless(Enum):
    """What is done with protocols without ports (ESP, GRE ...)."""

    BY_ADDRESS = "by-address"
    DROP = "drop"


@dataclass(frozen=True)
class PortRange:
    """Outside ports low..high, for inside ports of_low..of_high (range preservation, RFC 4787 section 4.2.2 REQ-3a)."""

    low: int
    high: int
    of_low: int = 0
    of_high: int = 65535


@dataclass(frozen=True)
class Static:
    """A fixed mapping. outside, inside: an address or a prefix of one length (then host bits stay: 1:1, NETMAP); outside "" is each of
    the NAT's outside addresses.

    proto: "tcp", "udp", a number as text, or "" for all. ports: outside ports low..high, (0, 65535) for all; to_port: inside
    port of the first, None to keep. remote: who may use it. outbound: hosts behind it leave with it, too (1:1). neutral: the
    address is made checksum-neutral (NPTv6, RFC 6296 section 3.1).
    """

    outside: str
    inside: str
    proto: str = ""
    ports: tuple[int, int] = (0, 65535)
    to_port: int | None = None
    remote: str = ""
    outbound: bool = False
    neutral: bool = False


@dataclass(frozen=True)
class Source:
    """Hosts of a prefix inside that leave with an outside address of their own, shared among them."""

    inside: str
    address: str


@dataclass(frozen=True)
class MssClamp:
    """TCP segment sizes (RFC 9293 section 3.7.1) are lowered to `most` in SYNs that leave; they are never raised.

    most: bytes; 0: to a path MTU that is not known, so that any size up to the old one is right. leaves: "inside", "outside" or "" for
    both. version: of IP, 4, 6 or 0 for both. low, high: the sizes that it looks at.
    """

    most: int = 0
    leaves: str = ""
    version: int = 0
    low: int = 0
    high: int = 65535


@dataclass(frozen=True)
class NatBehavior:
    """All parameters of a NAT. Times end in _s and are seconds; None means the general time named in the comment beside it."""

    name: str = "custom"
    source: str = ""
    """Where the values come from."""

    mapping: Mapping = Mapping.ENDPOINT_INDEPENDENT
    mapping_tcp: Mapping | None = None
    """For TCP, if another than `mapping`."""
    filtering: Filtering = Filtering.ENDPOINT_INDEPENDENT
    filtering_tcp: Filtering | None = None
    """For TCP, if another (RFC 5382 REQ-3b)."""

    port_choice: PortChoice = PortChoice.RANDOM
    port_ranges: tuple[PortRange, ...] = (PortRange(1024, 65535),)
    """The first whose inside ports fit counts."""
    keeps_any_port: bool = False
    """A free inside port is kept also if it lies outside these ranges, which then only bind the search for another."""
    icmp_range: tuple[int, int] = (0, 65535)
    port_overloading: bool = False
    """One outside endpoint may serve several inside ones towards different remote endpoints (RFC 7857 section 3)."""
    parity: bool = False
    """An even inside port gets an even outside port (RFC 4787 section 4.2.2 REQ-4)."""
    port_attempts: int = 1024
    """Ports tried before giving up."""
    block_size: int = 0
    """Ports of a block, or of a host's share."""
    blocks_per_host: int = 1
    ports_per_host: int = 0
    """Most sessions a host may have at once (RFC 6888 REQ-4); 0: no limit."""

    addresses: tuple[str, ...] = ()
    """Outside addresses or prefixes of them; none: the first one seen."""
    pooling: Pooling = Pooling.PAIRED
    inside: tuple[str, ...] = ()
    """Prefixes that are translated; none: every source that arrives inside."""
    sources: tuple[Source, ...] = ()
    """Hosts with other outside addresses than `addresses`; the first that fits counts."""
    router: str = ""
    """The NAT's own inside address."""
    static: tuple[Static, ...] = ()
    nat64: str = ""
    """The /96 prefix under which IPv6 hosts reach IPv4 (RFC 6146, RFC 6052 section 2.1)."""
    hairpin: Hairpin = Hairpin.NONE
    hairpin_dynamic: bool = True
    """Whether also mappings that were not set up by hand can be reached from inside."""
    forwards: bool = False
    """Whether packets for or from addresses it does not translate are routed as they are."""

    udp_idle_s: float = 300
    """Until an answer was seen."""
    udp_reply_idle_s: float | None = None
    """Afterwards; None: udp_idle_s."""
    udp_assured_after_s: float = 0
    """The latter only from packets so long after the first."""
    udp_dns_s: float | None = None
    """To port 53; None: as others (RFC 4787 REQ-5a)."""
    tcp_idle_s: float = 7440
    """Established (RFC 5382 REQ-5)."""
    tcp_transitory_idle_s: float = 240
    """Opening and closing; the times below are those of single states, None: this one."""
    tcp_syn_s: float | None = None
    tcp_synack_s: float | None = None
    tcp_fin_s: float | None = None
    """One side has sent a FIN."""
    tcp_close_wait_s: float | None = None
    tcp_last_ack_s: float | None = None
    tcp_time_wait_s: float | None = None
    """Both sides have sent a FIN, or the last one is acknowledged."""
    tcp_reset_s: float | None = None
    tcp_unanswered_s: float | None = None
    """Taken up in the middle, no answer yet."""
    icmp_idle_s: float = 60
    other_idle_s: float = 300
    refresh_outbound: bool = True
    refresh_inbound: bool = True
    """RFC 4787 REQ-6: which direction's packets keep a mapping alive."""

    tcp_machine: TcpMachine = TcpMachine.RFC7857
    tcp_pickup: bool = False
    """Whether a segment in the middle of a connection opens a session from inside."""
    invalid: Invalid = Invalid.DROP
    unsolicited: Unsolicited = Unsolicited.DROP
    portless: Portless = Portless.BY_ADDRESS
    icmp_queries: bool = True
    icmp_errors: bool = True
    """Whether ICMP errors are translated, both headers (RFC 5508 REQ-4 and 5)."""
    fragments: Fragments = Fragments.ANY_ORDER
    ttl_step: int = 1
    """By how much the TTL falls: more than 1 for several hops in one box; -1: what it leaves with is not known, and any is right."""
    ttl_step_inbound: int | None = None
    """The same for what comes from outside; None: ttl_step."""
    ttl_new: int = 0
    """The TTL with which every packet leaves, of a NAT that makes packets anew; 0: what it came with, less ttl_step."""
    mss: tuple[MssClamp, ...] = ()
    table_size: int = 0
    """Most sessions at once; 0: no limit."""
    filters: tuple[Filter, ...] = ()
    """Which packets it lets through at all."""

    complete: bool = False
    """Whether `static` names all forwarded ports: none is added from what was seen."""
    unmodelled: tuple[str, ...] = ()
    """What the source of these values says that none of them stands for."""
    notes: tuple[str, ...] = ()
    """What was concluded in reading it."""

    def __post_init__(self) -> None:
        for name in PORTS:
            _check_range(name, getattr(self, name))
        for item in self.port_ranges:
            _check_range("port_ranges", (item.low, item.high))
            _check_range("port_ranges", (item.of_low, item.of_high))
        for name in TIMES:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= LONGEST_S:
                raise ValueError(f"{name}: {value} is no time between 0 and {LONGEST_S:.0f} s")
        for name, (low, high) in NUMBERS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name}: {value} is not between {low} and {high}")
        for name in ("addresses", "inside"):
            for text in getattr(self, name):
                _network(name, text)
        if sum(_network("addresses", text).num_addresses for text in self.addresses) > MOST_ADDRESSES:
            raise ValueError(f"addresses: more than {MOST_ADDRESSES} of them")
        if self.router:
            _network("router", self.router)
        if self.nat64 and (_network("nat64", self.nat64).version, _network("nat64", self.nat64).prefixlen) != (6, 96):
            raise ValueError(f"nat64: {self.nat64} is no IPv6 prefix of 96 bits")
        if self.port_choice is PortChoice.BLOCK and not self.block_size:
            raise ValueError("block_size: blocks of how many ports?")
        if not self.port_ranges:
            raise ValueError("port_ranges: none")
        for rule in self.static:
            _check_static(rule)
        for clamp in self.mss:
            _check_range("mss", (clamp.low, clamp.high))
            if not 0 <= clamp.most <= 65535 or clamp.leaves not in ("", "inside", "outside") or clamp.version not in (0, 4, 6):
                raise ValueError(f"mss: {clamp.most} bytes of what leaves {clamp.leaves!r} in IP version {clamp.version}: no such clamp")
        if len(self.sources) > MOST_STATIC:
            raise ValueError(f"sources: more than {MOST_STATIC} of them")
        for pair in self.sources:
            if _network("sources", pair.inside).version != _network("sources", pair.address).version:
                raise ValueError(f"sources: {pair.inside} and {pair.address} are of two versions of IP")

    def seconds(self, name: str) -> float:
        """The time that counts for a field that may be None."""
        value = getattr(self, name)
        if value is None:
            value = getattr(self, GENERAL[name])
        return float(value)

    def ttl_fall(self, side: int) -> int:
        """By how much the TTL falls of what enters at a side (0 inside, 1 outside), -1 if that is not known; not for ttl_new."""
        return self.ttl_step if side == 0 or self.ttl_step_inbound is None else self.ttl_step_inbound


GENERAL = {
    "udp_reply_idle_s": "udp_idle_s",
    "udp_dns_s": "udp_idle_s",
    "tcp_syn_s": "tcp_transitory_idle_s",
    "tcp_synack_s": "tcp_transitory_idle_s",
    "tcp_fin_s": "tcp_transitory_idle_s",
    "tcp_close_wait_s": "tcp_transitory_idle_s",
    "tcp_last_ack_s": "tcp_transitory_idle_s",
    "tcp_time_wait_s": "tcp_transitory_idle_s",
    "tcp_reset_s": "tcp_transitory_idle_s",
    "tcp_unanswered_s": "tcp_transitory_idle_s",
}
"""Which time stands for one that is not given."""
TIMES = ("udp_idle_s", "udp_assured_after_s", "tcp_idle_s", "tcp_transitory_idle_s", "icmp_idle_s", "other_idle_s", *GENERAL)
PORTS = ("icmp_range",)
NUMBERS = {
    "ttl_step": (-1, 64),
    "ttl_step_inbound": (-1, 64),
    "ttl_new": (0, 255),
    "port_attempts": (1, 65536),
    "block_size": (0, 65536),
    "blocks_per_host": (1, 65536),
    "ports_per_host": (0, 1 << 20),
    "table_size": (0, 1 << 40),
}
LONGEST_S = 1e9
MOST_ADDRESSES = 1 << 16
"""A /16 of outside addresses is more than any one box was seen with; each costs memory."""
MOST_STATIC = 4096


def _check_range(name: str, ports: tuple[int, int]) -> None:
    if not 0 <= ports[0] <= ports[1] <= 65535:
        raise ValueError(f"{name}: {ports[0]}-{ports[1]} is no range of ports")


def _network(name: str, text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{name}: {text} is no address or prefix") from None


def _check_static(rule: Static) -> None:
    inside = _network("static", rule.inside)
    outside = _network("static", rule.outside or str(inside))
    if not rule.outside and (inside.num_addresses > 1 or rule.outbound):
        raise ValueError(f"static: {rule.inside}: of every outside address only one host can be reached")
    if inside.version != outside.version or inside.prefixlen != outside.prefixlen:
        raise ValueError(f"static: {rule.outside} and {rule.inside} are not of one size")
    if rule.remote:
        _network("static", rule.remote)
    _check_range("static", rule.ports)
    if rule.to_port is not None and not 0 <= rule.to_port <= 65535 - (rule.ports[1] - rule.ports[0]):
        raise ValueError(f"static: {rule.ports[1] - rule.ports[0] + 1} ports do not fit behind {rule.to_port}")
    protocol(rule.proto)
    if rule.neutral and (inside.version != 6 or inside.prefixlen > 64):
        raise ValueError(f"static: {rule.inside}: only IPv6 prefixes up to 64 bits are translated checksum-neutrally")


PROTOCOLS = {"": 0, "icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "icmpv6": 58, "sctp": 132, "udplite": 136}


def protocol(name: str) -> int:
    """The number of a protocol given by name or number, 0 for all."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if name.isascii() and name.isdecimal() and 0 < int(name) < 256:
        return int(name)
    raise ValueError(f"proto: {name} is no protocol")
