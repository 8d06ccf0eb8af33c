"""Link events: what hosts, routers and switches say to a whole link, one row each, whatever the protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np

from ..table import Array, Table, column
from ..wire import Flag
from .excerpt import Excerpts

Detail = str | int | list[str]
V4 = 0xFFFF << 32
NO_ADDRESS = (0, 0)


class EventKind(IntEnum):
    """What is said. DHCP's messages are 20 and their type, DHCPv6's 40 and theirs."""

    ARP_REQUEST = 1
    ARP_REPLY = 2
    ARP_GRATUITOUS = 3
    """A request or reply whose sender asks for its own address: an announcement (RFC 5227 2.3)."""
    ARP_PROBE = 4
    """A request without a sender's address: is this one in use? (RFC 5227 2.1.1)"""
    RARP_REQUEST = 5
    RARP_REPLY = 6
    ARP_OTHER = 7
    ROUTER_SOLICITATION = 10
    ROUTER_ADVERTISEMENT = 11
    NEIGHBOR_SOLICITATION = 12
    NEIGHBOR_ADVERTISEMENT = 13
    REDIRECT = 14
    DUPLICATE_ADDRESS_DETECTION = 15
    """A neighbor solicitation from no address: is this one in use? (RFC 4862 5.4.2)"""
    UNSOLICITED_ADVERTISEMENT = 16
    """A neighbor advertisement that answers nothing: an announcement (RFC 4861 7.2.6)."""
    DHCP_OTHER = 20
    """Of another type, or cut by the capture before its type."""
    DHCP_DISCOVER = 21
    DHCP_OFFER = 22
    DHCP_REQUEST = 23
    DHCP_DECLINE = 24
    DHCP_ACK = 25
    DHCP_NAK = 26
    DHCP_RELEASE = 27
    DHCP_INFORM = 28
    DHCPV6_OTHER = 40
    DHCPV6_SOLICIT = 41
    DHCPV6_ADVERTISE = 42
    DHCPV6_REQUEST = 43
    DHCPV6_CONFIRM = 44
    DHCPV6_RENEW = 45
    DHCPV6_REBIND = 46
    DHCPV6_REPLY = 47
    DHCPV6_RELEASE = 48
    DHCPV6_DECLINE = 49
    DHCPV6_RECONFIGURE = 50
    DHCPV6_INFORMATION_REQUEST = 51
    DHCPV6_RELAY_FORWARD = 52
    DHCPV6_RELAY_REPLY = 53
    STP_CONFIGURATION = 60
    STP_TOPOLOGY_CHANGE = 61
    RSTP = 62
    MSTP = 63
    PVST = 64
    """Cisco's spanning tree of one VLAN, in whichever of the forms above."""
    LLDP = 70
    CDP = 71

    @property
    def label(self) -> str:
        """The kind in words."""
        return LABELS.get(self) or self.name.lower().replace("_", " ")


LABELS = {
    EventKind.DUPLICATE_ADDRESS_DETECTION: "duplicate address detection",
    EventKind.UNSOLICITED_ADVERTISEMENT: "unsolicited neighbor advertisement",
    EventKind.DHCPV6_INFORMATION_REQUEST: "dhcpv6 information-request",
    EventKind.DHCPV6_RELAY_FORWARD: "dhcpv6 relay-forward",
    EventKind.DHCPV6_RELAY_REPLY: "dhcpv6 relay-reply",
}
KINDS = frozenset(int(k) for k in EventKind)


class LinkEvents(Table):
    """One row per message, in file order. Addresses are what the message claims, ::, 0 where it names none.

    ARP, NDP: "sender has sender_hw" and "target" is asked for, answered or told of; the address that a neighbor advertisement
    claims is its sender. DHCP: sender is the client's own address or the server's identifier, target the address asked for or
    given, sender_hw or target_hw the client. Spanning tree: sender_hw is the bridge, target_hw the root. LLDP, CDP: sender and
    sender_hw are the device's.
    """

    row = column("int64", "row in Packets of the frame")
    time_ns = column("int64", "when the frame was captured", unit="ns since 1970-01-01 UTC")
    kind = column("uint8", "what is said, see EventKind")
    eth_src = column("uint64", "source MAC address of the frame")
    eth_dst = column("uint64", "destination MAC address of the frame")
    vlan = column("int16", "VLAN identifier of the outermost tag, -1 without one", source="IEEE 802.1Q 9.6")
    sender_hw = column("uint64", "hardware address of the sender by the message")
    target_hw = column("uint64", "hardware address of the target by the message")
    sender = column("uint64", "protocol address of the sender", width=2)
    target = column("uint64", "protocol address of the target", width=2)


@dataclass
class Event:
    """One message read by itself: a row of LinkEvents without what the frame tells, and what has no column there."""

    kind: int
    sender_hw: int = 0
    target_hw: int = 0
    sender: tuple[int, int] = NO_ADDRESS
    target: tuple[int, int] = NO_ADDRESS
    details: dict[str, Detail] = field(default_factory=dict)


def frame_columns(e: Excerpts, rows: Array) -> dict[str, Array]:
    """The columns of LinkEvents that the frames of excerpts tell."""
    vlan = np.where(e.flags[rows] & int(Flag.VLAN), e.vlan[rows], -1)
    return {
        "row": e.row[rows],
        "time_ns": e.time_ns[rows],
        "eth_src": e.eth_src[rows],
        "eth_dst": e.eth_dst[rows],
        "vlan": vlan.astype(np.int16),
    }


def from_events(e: Excerpts, rows: list[int], events: list[Event]) -> LinkEvents:
    """Events read one by one as rows; rows: their excerpts."""
    told: dict[str, Any] = {
        "kind": np.array([event.kind for event in events], np.uint8),
        "sender_hw": np.array([event.sender_hw for event in events], np.uint64),
        "target_hw": np.array([event.target_hw for event in events], np.uint64),
        "sender": np.array([event.sender for event in events], np.uint64).reshape(-1, 2),
        "target": np.array([event.target for event in events], np.uint64).reshape(-1, 2),
    }
    return LinkEvents(**told, **frame_columns(e, np.array(rows, np.int64)))
