"""What Windows' capture tools say of a packet beside its bytes: directions, drop reasons, identities, comments.

The same facts come from trace logs (etl.py), and from pcapng files made of them by etl2pcapng and pktmon: there they
stand in packet comments, in the names of interfaces, and in the options epb_flags, epb_packetid and epb_verdict.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum

from ..table import Table, column
from .reasons import reason_number

Fact = int | str


class Direction(IntEnum):
    """Which way a packet was going, by pktmon's numbers. In and Out are the component's own words."""

    UNKNOWN = 0
    IN = 1
    OUT = 2
    RECEIVED = 3
    SENT = 4
    INGRESS = 5
    EGRESS = 6

    @property
    def inbound(self) -> bool | None:
        """True towards this host's upper layers, or into the switch; None where nothing is said."""
        return None if self is Direction.UNKNOWN else bool(self & 1)


class PacketFacts(Table):
    """What Windows' capture tools know of a frame beyond pcap: one row per frame of which anything is known, in file order.

    Direction and identity of packets stand in Packets, too, where any capture may have them. What is 0 is not known.
    """

    carrier = column("int64", "row in Packets of the frame")
    part = column("uint16", "pktmon's PktNumber: which packet of those that were handed over together")
    appearance = column("uint16", "pktmon's count of the snapshots of one packet, from 1; 0: it did not count")
    direction = column("uint8", "which way the packet was going, see Direction")
    dropped = column("uint8", "1: the component discarded the packet here")
    reason = column("uint32", "why it was discarded, see reasons.py; NOT_SAID where that is not known")
    place = column("uint32", "which place in the component's code discarded it")
    component = column("uint16", "pktmon's number of the component that saw it")
    edge = column("uint16", "which boundary of the component the packet crossed")
    vlan = column("uint16", "VLAN identifier kept outside the frame")
    port = column("uint32", "virtual switch port that the packet came from (SrcPortId)")
    nic_type = column("int32", "type of the NIC that it came from (SrcNicType), as a number in Texts")
    nic = column("int32", "name of that NIC (SrcNicName), as a number in Texts")
    port_name = column("int32", "name of that switch port (SrcPortName), as a number in Texts")
    destinations = column("uint32", "NICs that the switch hands the packet to (DstNicCount)")


Known = tuple[int, ...]
"""A row of PacketFacts without its carrier."""
NOTHING: Known = (0,) * (len(PacketFacts.columns) - 1)
SAYS_DIRECTION = list(PacketFacts.columns).index("direction") - 1


class Texts:
    """Names that facts refer to by number; 0 is no name. Bounded: of more texts than MOST_TEXTS the rest have number 0."""

    def __init__(self) -> None:
        self.known: list[str] = [""]
        self._numbers = {"": 0}

    def number(self, text: str) -> int:
        """The number of a text, a new one if it is new."""
        text = text[:LONGEST_TEXT]
        if text not in self._numbers:
            if len(self.known) >= MOST_TEXTS:
                return 0
            self._numbers[text] = len(self.known)
            self.known.append(text)
        return self._numbers[text]

    def __getitem__(self, number: int) -> str:
        return self.known[number]


MOST_TEXTS, LONGEST_TEXT = 65_536, 256


def _whole(text: str) -> Fact:
    try:
        return int(text, 0)
    except ValueError:
        return text


def _hexadecimal(text: str) -> Fact:
    try:
        return int(text, 16)
    except ValueError:
        return text


Keys = dict[str, tuple[str, Callable[[str], Fact]]]

ETL2PCAPNG: Keys = {
    "PID": ("process", _whole),
    "TID": ("thread", _whole),
    "VlanId": ("vlan", _whole),
    "SrcPortId": ("port", _whole),
    "SrcNicType": ("nic_type", str),
    "SrcNicName": ("nic", str),
    "SrcPortName": ("port_name", str),
    "DstNicCount": ("destinations", _whole),
    "HashValue": ("hash", _hexadecimal),
    "RoutingDomainId": ("routing_domain", str),
    "Username": ("user", str),
}
WIRELESS: Keys = {
    "ReceiveFlags": ("receive_flags", _whole),
    "PhyType": ("phy", str),
    "CenterCh": ("channel", _whole),
    "NumMPDUsReceived": ("mpdus", _whole),
    "RSSI": ("rssi", _whole),
    "DataRate": ("rate", _whole),
}
PKTMON: Keys = {
    "PktGroupId": ("packet_id", _whole),
    "PktNumber": ("part", _whole),
    "Appearance": ("appearance", _whole),
    "Direction": ("direction", str),
    "Type": ("packet_type", str),
    "Component": ("component", _whole),
    "Edge": ("edge", _whole),
    "Filter": ("filter", _whole),
    "DropReason": ("reason", str),
    "DropLocation": ("place", _whole),
    "OriginalSize": ("original_size", _whole),
    "LoggedSize": ("logged_size", _whole),
}


def _finder(keys: Keys, before: str, after: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|{before})({'|'.join(keys)}){after}")


FORMS = (
    (ETL2PCAPNG, _finder(ETL2PCAPNG, r"\s", "=")),
    (WIRELESS, _finder(WIRELESS, r"[\s,]", ":")),
)
PKTMON_FINDER = _finder(PKTMON, r"[,:]\s*", r"\s")


def comment_facts(comment: str) -> dict[str, Fact]:
    """What a packet comment of etl2pcapng, or a line of pktmon's text form, says; empty for any other comment.

    Names of ports and NICs may hold spaces: a value reaches to the next known key. The first of equal keys counts.
    """
    facts: dict[str, Fact] = {}
    if "PktGroupId" in comment:
        _collect(comment, PKTMON, PKTMON_FINDER, facts)
        if "reason" in facts or comment.lstrip().startswith("Drop:"):
            facts["dropped"] = 1
        return facts
    plain, wireless, metadata = comment.partition("Packet Metadata:")
    _collect(plain, *FORMS[0], facts)
    if wireless:
        _collect(metadata, *FORMS[1], facts)
    return facts


def _collect(text: str, keys: Keys, finder: re.Pattern[str], facts: dict[str, Fact]) -> None:
    found = list(finder.finditer(text))
    for i, match in enumerate(found):
        end = found[i + 1].start() if i + 1 < len(found) else len(text)
        name, convert = keys[match[1]]
        facts.setdefault(name, convert(text[match.end() : end].strip(" ,\t\r\n\0")))


def interface_facts(name: str) -> dict[str, Fact]:
    """What a name that etl2pcapng gives an interface says: medium, interface index, VLAN, the virtual NIC's type and port."""
    medium, *rest = name.split(":")
    if medium == "vNIC" and len(rest) >= 4:
        return {
            "medium": medium,
            "nic_type": rest[0],
            "port_name": ":".join(rest[1:-2]),
            "index": _whole(rest[-2]),
            "vlan": _whole(rest[-1]),
        }
    if medium == "eth" and len(rest) == 2:
        return {"medium": medium, "index": _whole(rest[0]), "vlan": _whole(rest[1])}
    if medium in ("wifi", "mbb") and len(rest) == 1:
        return {"medium": medium, "index": _whole(rest[0])}
    if medium == "Rras" and len(rest) >= 3:
        return {"medium": medium, "index": _whole(rest[0]), "routing_domain": rest[1], "user": ":".join(rest[2:])}
    return {}


def comment_row(comment: str, texts: Texts) -> tuple[Known, int]:
    """What a comment says as a row of PacketFacts, and the packet's identifier (0: none)."""
    said = comment_facts(comment)

    def number(name: str, most: int) -> int:
        value = said.get(name, 0)
        return value if isinstance(value, int) and 0 <= value <= most else 0

    def text(name: str) -> int:
        return texts.number(str(said.get(name, "")))

    dropped = number("dropped", 1)
    row = (
        number("part", 0xFFFF),
        number("appearance", 0xFFFF),
        DIRECTIONS.get(str(said.get("direction", "")).lower(), 0),
        dropped,
        reason_number(str(said.get("reason", ""))) if dropped else 0,
        number("place", 0xFFFF_FFFF),
        number("component", 0xFFFF),
        number("edge", 0xFFFF),
        number("vlan", 0xFFFF),
        number("port", 0xFFFF_FFFF),
        text("nic_type"),
        text("nic"),
        text("port_name"),
        number("destinations", 0xFFFF_FFFF),
    )
    return row, number("packet_id", (1 << 63) - 1)


DIRECTIONS = {
    "in": Direction.IN,
    "out": Direction.OUT,
    "rx": Direction.RECEIVED,
    "tx": Direction.SENT,
    "ingress": Direction.INGRESS,
    "egress": Direction.EGRESS,
}
"""pktmon's words in its text form."""


def interface_kind(name: str, description: str = "") -> str | None:
    """What kind of place an interface is, from the name and description that etl2pcapng writes; None where they do not tell.

    Of pktmon's components it writes the driver's file and a description, not the kind: known drivers tell.
    """
    facts = interface_facts(name)
    medium = facts.get("medium")
    if medium == "vNIC":
        said = str(facts["nic_type"]).lower()
        return next((kind for word, kind in NIC_TYPES if word in said), "vNIC")
    if medium == "Rras":
        return "VPN"
    if medium:
        return "filter" if description.startswith("LWF over ") or re.search(r" over \d+$", name) else "miniport"
    if name.lower() == "tcpip.sys":
        return "IP" if "L3/L4" in description else "protocol"
    return DRIVERS.get(name.lower())


NIC_TYPES = (("external", "uplink"), ("internal", "host NIC"))
"""Of the types of NICs on a virtual switch (NDIS_SWITCH_NIC_TYPE) those that are no virtual machine's."""
COMPONENT_KINDS = {
    1: "NDIS",
    2: "miniport",
    3: "filter",
    4: "protocol",
    5: "vNIC",
    6: "host NIC",
    7: "switch",
    8: "uplink",
    9: "guest NIC",
    10: "HTTP",
    11: "IP",
    12: "SLB",
    13: "IPsec",
    14: "miniport",
    15: "HTTP",
}
"""PKTMON_COMPONENT_TYPE (pktmondefk.h). 6 to 8 are read from the names of the switch driver's parts: its miniport is what the
host has as NIC, its protocol is bound to the physical NIC, its extension miniport is the switch itself."""
DRIVERS = dict.fromkeys(("wfplwfs.sys", "pacer.sys", "npcap.sys", "nwifi.sys", "vwififlt.sys", "vfpext.sys"), "filter")
DRIVERS |= dict.fromkeys(("ndisuio.sys", "lltdio.sys", "rspndr.sys", "mslldp.sys", "wanarp.sys", "ndproxy.sys"), "protocol")
DRIVERS |= {"netvsc.sys": "guest NIC", "http.sys": "HTTP"}


def flags_direction(flags: int) -> Direction:
    """The direction in pcapng's epb_flags: two bits, 1 inbound, 2 outbound."""
    return (Direction.UNKNOWN, Direction.RECEIVED, Direction.SENT, Direction.UNKNOWN)[flags & 3]


def verdict_drops(verdict: bytes) -> bool:
    """Whether an epb_verdict option says that the packet was dropped, as etl2pcapng does: type 2 (XDP), 1 in 8 bytes."""
    return len(verdict) == 9 and verdict[0] == 2 and verdict[1:] in ((1).to_bytes(8, "little"), (1).to_bytes(8, "big"))
