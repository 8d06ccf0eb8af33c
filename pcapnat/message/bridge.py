"""What switches say: spanning tree, LLDP and CDP.

IEEE 802.1D-2004 9 (STP, RSTP), IEEE 802.1Q 14 (MSTP), IEEE 802.1AB 8 (LLDP); PVST and CDP as Cisco's devices and dpkt have them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..address import text
from .dhcp import mac, v4, words
from .event import NO_ADDRESS, Detail, Event, EventKind

CONFIGURATION, TOPOLOGY_CHANGE, RAPID = 0, 0x80, 2
FLAGS = (
    (0x01, "topology change"),
    (0x02, "proposal"),
    (0x10, "learning"),
    (0x20, "forwarding"),
    (0x40, "agreement"),
    (0x80, "topology change acknowledged"),
)
ROLES = ("unknown", "alternate or backup", "root", "designated")
PVST_ADDRESS = 0x01000CCCCCCD


def stp(data: bytes, target: int) -> Event:
    """A bridge protocol data unit; target: the MAC address it was sent to."""
    if len(data) < 4 or data[:2] != b"\0\0":
        raise ValueError("no bridge protocol data unit")
    version, kind = data[2], data[3]
    if kind == TOPOLOGY_CHANGE:
        return Event(EventKind.PVST if target == PVST_ADDRESS else EventKind.STP_TOPOLOGY_CHANGE, details={"type": "topology change"})
    if kind not in (CONFIGURATION, RAPID) or len(data) < 35:
        raise ValueError("no configuration")
    import dpkt

    unit: Any = dpkt.stp.STP(data)
    root, bridge = bytes(unit.root_id), bytes(unit.bridge_id)
    details: dict[str, Detail] = {
        "root": _bridge(root),
        "root_cost": unit.root_path,
        "bridge": _bridge(bridge),
        "port": f"{unit.port_id:04x}",
        "age_s": unit.age,
        "max_age_s": unit.max_age,
        "hello_s": unit.hello,
        "forward_delay_s": unit.fd,
    }
    if flags := [name for bit, name in FLAGS if unit.flags & bit]:
        details["flags"] = flags
    if kind == RAPID:
        details["role"] = ROLES[unit.flags >> 2 & 3]
    event = Event(_kind(version, kind), mac(bridge[2:]), mac(root[2:]), details=details)
    if event.kind == EventKind.MSTP and len(data) >= 102:
        details["region"] = words(data[39:71])
    if target == PVST_ADDRESS:
        event.kind = EventKind.PVST
        tail = data[36 if kind == RAPID else 35 :]  # after RSTP's version 1 length; a padding byte comes first
        for at in (0, 1):
            if tail[at : at + 4] == b"\0\0\0\2" and len(tail) >= at + 6:
                details["vlan"] = int.from_bytes(tail[at + 4 : at + 6], "big")
                break
    return event


def _kind(version: int, kind: int) -> int:
    if kind == CONFIGURATION:
        return EventKind.STP_CONFIGURATION
    return EventKind.MSTP if version >= 3 else EventKind.RSTP


def _bridge(identifier: bytes) -> str:
    """Priority, system and address of a bridge as Wireshark writes them: 32768 / 1 / 02:00:00:00:00:01."""
    head = int.from_bytes(identifier[:2], "big")
    return f"{head & 0xF000} / {head & 0xFFF} / {identifier[2:8].hex(':')}"


def lldp(data: bytes) -> Event:
    """A device's own description to its neighbour."""
    event = Event(EventKind.LLDP)
    for kind, body in _described(data):
        if kind == 0:
            break
        if kind == 1 and len(body) > 1:
            event.details["chassis"] = _identifier(body, 4, 5)
            event.sender_hw = mac(body[1:]) if body[0] == 4 and len(body) == 7 else 0
        elif kind == 2 and len(body) > 1:
            event.details["port"] = _identifier(body, 3, 4)
        elif kind == 3 and len(body) >= 2:
            event.details["lifetime_s"] = int.from_bytes(body[:2], "big")
        elif kind in LLDP_TEXTS:
            event.details[LLDP_TEXTS[kind]] = words(body)
        elif kind == 8 and len(body) > 2 and event.sender == NO_ADDRESS:
            event.sender = _managed(body[2 : 1 + body[0]], body[1])
        elif kind == 127 and body[:4] == b"\x00\x80\xc2\x01" and len(body) >= 6:
            event.details["vlan"] = int.from_bytes(body[4:6], "big")
    if "chassis" not in event.details:
        raise ValueError("no chassis")
    return event


LLDP_TEXTS = {4: "port_description", 5: "system", 6: "system_description"}


def _described(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 2 <= len(data):
        head = int.from_bytes(data[at : at + 2], "big")
        yield head >> 9, data[at + 2 : at + 2 + (head & 511)]
        at += 2 + (head & 511)


def _identifier(body: bytes, hardware: int, network: int) -> str:
    """A chassis or port: a MAC address, a network address or a name, by its subtype."""
    if body[0] == hardware:
        return body[1:17].hex(":")
    if body[0] == network and len(body) > 2:
        address = _managed(body[2:], body[1])
        return text(*address) if address != NO_ADDRESS else body[1:33].hex()
    return words(body[1:])


def _managed(octets: bytes, family: int) -> tuple[int, int]:
    """An address with its family (IANA address family numbers 1 and 2)."""
    if family == 1 and len(octets) == 4:
        return v4(octets)
    if family == 2 and len(octets) == 16:
        return int.from_bytes(octets[:8], "big"), int.from_bytes(octets[8:], "big")
    return NO_ADDRESS


def cdp(data: bytes) -> Event:
    """A Cisco device's description to its neighbour. (dpkt's reader of it takes 2 ms for a hostile one, this one 20 us.)"""
    event, at = Event(EventKind.CDP), 4
    while at + 4 <= len(data):
        kind, size = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + size]
        if size < 4 or at + size > len(data):
            break  # padding, or cut off
        if kind in CDP_TEXTS:
            event.details[CDP_TEXTS[kind]] = words(body)
        elif kind == 10 and len(body) == 2:
            event.details["vlan"] = int.from_bytes(body, "big")
        elif kind in (2, 22) and body[4:9] == b"\1\1\xcc\0\4" and event.sender == NO_ADDRESS and len(body) >= 13:
            event.sender = v4(body[9:13])
        at += size
    if not event.details:
        raise ValueError("no description")
    return event


CDP_TEXTS = {1: "system", 3: "port", 5: "system_description", 6: "platform", 9: "vtp_domain"}
