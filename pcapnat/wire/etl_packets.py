"""Events of Windows' capture providers become packets: ndiscap (`netsh trace`), pktmon, and VPN tunnels (Ras-NdisWan).

Layouts: the providers' manifests as Microsoft's NetMon parsers and etl2pcapng publish them. Nothing here raises on
strange bytes: an event that does not fit its layout is counted in `undecoded`.
"""

from __future__ import annotations

import ipaddress
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from typing import NamedTuple

from .reasons import NOT_SAID
from .windows import COMPONENT_KINDS, Direction, Known, interface_kind

NDIS = uuid.UUID("2ed6006e-4729-4609-b423-3ee7bcd678ef").bytes_le
PKTMON = uuid.UUID("4d4f80d9-c8bd-4d73-bb5b-19c90402c5ac").bytes_le
RAS = uuid.UUID("d84521f7-2235-4237-a7c0-14e3a9676286").bytes_le
PROVIDERS = {NDIS: "ndiscap", PKTMON: "pktmon", RAS: "ras-ndiswan"}

ETHERNET, RAW, WIFI = 1, 101, 105
LONGEST = 262_144
MOST_PARTIAL = 4096
"""Packets in several events that may be open at a time; more are lost beginnings, not traffic."""
MOST_INTERFACES = 65_536
MOST_VALUES = 65_536

# Keywords of ndiscap.
WIRELESS_WAN, TUNNEL, NATIVE_WIFI = 1 << 9, 1 << 15, 1 << 16
START, END, SEND, RECEIVE, DROPPED = 1 << 30, 1 << 31, 1 << 32, 1 << 33, 1 << 40
LOST = "part of a packet that is not there whole"
LAYOUT = "not of the layout that is known"
OOB_VLAN = 4
"""Which pointer of the out-of-band data holds priority (3 bits), canonical format (1) and VLAN (12)."""

PACKET = Struct("<QHHHHHHHIIHH")
"""pktmon: group, number, appearance, direction, type, component, edge, filter, drop reason and place, sizes."""
PACKET_LINKS = {1: ETHERNET, 2: WIFI, 3: RAW}
COMPONENT_EVENTS = {20, 30, 40, 50, 60, 65, 66, 70, 73, 75}
SILENT = {
    NDIS: {1002, 1011, 1012, 1013, 1014, 1015, 1016, 2001, 2002, 2003, 3001, 3002, 5000, 5001, 5002, 5003, 5100, 5101},
    PKTMON: {10, 80, 90, 100, 110, *COMPONENT_EVENTS},
    RAS: {5003},
}
"""Events that hold no packet: state, rules, counters, filters, what a wireless receiver measured."""
PROPERTIES = {1: "IfIndex", 2: "MiniportIfIndex", 3: "LowerIfIndex", 4: "IfGuid", 5: "NdisMedium", 6: "PhysAddress", 7: "EtherType"}
PROPERTIES |= {8: "OptDataPath", 9: "NdisObject", 10: "VMSwitchName", 11: "VmsExtIfIndex", 12: "LowestIfIndex", 13: "IpAddress"}
PROPERTIES |= {14: "IpIfIndex", 17: "CompartmentId"}


class RefusedError(Exception):
    """This event gives no packet; the text says why."""


class Event(NamedTuple):
    """A modern event of one of PROVIDERS: its header's fields and its data."""

    provider: bytes
    id: int
    keyword: int
    thread: int
    processor: int
    pointer: int
    data: bytes


class Packet(NamedTuple):
    """A packet put together. packet_id: pktmon's PktGroupId, 0: none; facts: PacketFacts' columns in their order, without the carrier."""

    data: bytes
    wire_len: int
    interface: int
    packet_id: int
    facts: Known


@dataclass
class Component:
    """A place in Windows' network stack where pktmon looks, as the trace describes it when it ends.

    kind: see COMPONENT_KINDS in windows.py.
    """

    id: int
    kind: int = 0
    name: str = ""
    description: str = ""
    properties: dict[str, list[str]] = field(default_factory=dict)


class Decoder:
    """Packets from events in the order of time; meets interfaces as it goes: add_interface(name, link type, kind, description)
    numbers them, as text_number does texts.

    COMPONENT_EVENTS come at a trace's end and name what its packets refer to: they go to `component` before any packet.
    """

    def __init__(self, add_interface: Callable[[str, int, str | None, str], int], text_number: Callable[[str], int]):
        self.components: dict[int, Component] = {}
        self.undecoded: Counter[tuple[str, int, str]] = Counter()
        self._add = add_interface
        self._text_number = text_number
        self._values = 0
        self._interfaces: dict[tuple[object, ...], int] = {}
        self._partial: dict[tuple[int, int, int, int], list[bytes]] = {}

    def packet(self, event: Event) -> Packet | None:
        """The packet that this event holds or ends, if any."""
        if event.id in SILENT[event.provider]:
            return None
        try:
            if event.provider == PKTMON:
                return self._pktmon(event)
            return self._ndis(event) if event.provider == NDIS else self._ras(event)
        except (IndexError, ValueError):
            self._count(event, LAYOUT)
        except RefusedError as why:
            self._count(event, str(why))
        return None

    def _count(self, event: Event, why: str) -> None:
        self.undecoded[PROVIDERS[event.provider], event.id, why] += 1

    def finish(self) -> None:
        """No event follows: packets still open have lost their end."""
        if self._partial:
            self.undecoded[PROVIDERS[NDIS], 1001, LOST] += len(self._partial)

    # pktmon

    def _pktmon(self, event: Event) -> Packet | None:
        if event.id not in (160, 170):
            raise RefusedError("no packet bytes in it" if 120 <= event.id <= 190 else "unknown")
        data = event.data
        if len(data) < PACKET.size:
            raise RefusedError(LAYOUT)
        group, part, appearance, direction, kind, component, edge, _, reason, place, original, logged = PACKET.unpack_from(data)
        if PACKET.size + logged != len(data):
            raise RefusedError(LAYOUT)
        if kind not in PACKET_LINKS:
            raise RefusedError(f"no frame in it (packet type {kind})" if kind < 16 else "no frame in it")
        link = PACKET_LINKS[kind]
        number = self._interfaces.get((component, link))
        if number is None:
            c = self.components.get(component, Component(component))
            name = self._component_name(component, link)
            number = self._interface((component, link), name, link, COMPONENT_KINDS.get(c.kind), c.description)
        direction = direction if direction in Direction.__members__.values() else 0
        dropped = int(event.id == 170)
        signed = group - (1 << 64) if group >> 63 else group
        facts = (part, appearance, direction, dropped, reason, place, component, edge, 0, 0, 0, 0, 0, 0)
        return Packet(data[PACKET.size :], max(original, logged), number, signed, facts)

    def _component_name(self, number: int, link: int) -> str:
        c = self.components.get(number)
        name = f"component {number}" + (f": {c.name}, {c.description}" if c and c.description else "")
        return name + {ETHERNET: "", RAW: " (IP)", WIFI: " (802.11)"}[link]

    def component(self, event_id: int, data: bytes) -> None:
        """Take up what one of COMPONENT_EVENTS says."""
        try:
            self._component(event_id, data)
        except IndexError:
            self.undecoded["pktmon", event_id, LAYOUT] += 1

    def _component(self, event_id: int, data: bytes) -> None:
        if len(data) < 4:
            raise IndexError
        number, kind = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:4], "little")
        component = self.components.setdefault(number, Component(number))
        rest = data[4:]
        if event_id == 20:
            component.kind = kind
            component.name, at = _text(rest, 0)
            component.description, _ = _text(rest, at)
            return
        if len(component.properties) >= 64:
            return
        values = component.properties.setdefault(PROPERTIES.get(kind, str(kind)), [])
        value = _property(event_id, rest)
        if value not in values and len(values) < 64 and self._values < MOST_VALUES:
            values.append(value)
            self._values += 1

    # ndiscap

    def _ndis(self, event: Event) -> Packet | None:
        data = event.data
        if event.id not in (1001, 1003):
            raise RefusedError("unknown")
        miniport, lower = _number(data, 0), _number(data, 4)
        link = WIFI if event.keyword & NATIVE_WIFI else RAW if event.keyword & (WIRELESS_WAN | TUNNEL) else ETHERNET
        port = vlan = destinations = 0
        port_name = nic = nic_type = ""
        if event.id == 1001:
            medium = {ETHERNET: f"eth:{lower}:0", WIFI: f"wifi:{lower}", RAW: f"mbb:{lower}"}[link]
            at, size = 12, _number(data, 8)
        else:
            port = _number(data, 8)
            port_name, at = _text(data, 12)
            nic, at = _text(data, at)
            nic_type, at = _text(data, at)
            destinations = _number(data, at)
            at, size, vlan = _switch_fragment(data, at + 4, event.pointer)
            medium = f"vNIC:{nic_type}:{port_name}:{lower}:{vlan}"
        if at + size > len(data):
            raise IndexError
        whole = self._whole(event, (event.processor, event.thread, miniport, lower), data[at : at + size])
        if whole is None:
            return None
        if link == WIFI and len(whole) > 1 and whole[1] & 0x40:  # Windows hands the payload out decrypted, the mark still set
            whole = whole[:1] + bytes([whole[1] & 0xBF]) + whole[2:]
        if lower != miniport:
            medium += f" over {miniport}"
        number = self._interface((NDIS, miniport, lower, link, port, vlan), medium, link, interface_kind(medium), "")
        direction = Direction.SENT if event.keyword & SEND else Direction.RECEIVED if event.keyword & RECEIVE else Direction.UNKNOWN
        dropped = int(bool(event.keyword & DROPPED))
        names = (self._text_number(nic_type), self._text_number(nic), self._text_number(port_name))
        facts = (0, 0, int(direction), dropped, NOT_SAID * dropped, 0, 0, 0, vlan, port, *names, destinations)
        return Packet(whole, original_length(whole, link), number, 0, facts)

    def _whole(self, event: Event, key: tuple[int, int, int, int], piece: bytes) -> bytes | None:
        """The packet that this piece completes. Since Windows 8.1 every packet is one event with both keywords."""
        if event.keyword & START:
            if self._partial.pop(key, None) is not None:
                self._count(event, LOST)
            if event.keyword & END:
                return piece
            if len(self._partial) >= MOST_PARTIAL:
                self._partial.pop(next(iter(self._partial)))
                self._count(event, LOST)
            self._partial[key] = [piece]
            return None
        pieces = self._partial.get(key)
        if pieces is None or sum(map(len, pieces)) + len(piece) > LONGEST or len(pieces) >= 1000:
            self._partial.pop(key, None)
            raise RefusedError(LOST)
        pieces.append(piece)
        if not event.keyword & END:
            return None
        del self._partial[key]
        return b"".join(pieces)

    # tunnels of the remote access server

    def _ras(self, event: Event) -> Packet | None:
        if event.id not in (5001, 5002):
            raise RefusedError("unknown")
        domain, at = _text(event.data, 0)
        user, at = _text(event.data, at)
        size = _number(event.data, at)
        if at + 4 + size > len(event.data):
            raise IndexError
        data = event.data[at + 4 : at + 4 + size]
        number = self._interface((RAS, domain, user), f"Rras:0:{domain}:{user}", ETHERNET, "VPN", "")
        direction = Direction.SENT if event.id == 5001 else Direction.RECEIVED
        return Packet(data, original_length(data, ETHERNET), number, 0, (0, 0, int(direction), *(0,) * 11))

    def _interface(self, key: tuple[object, ...], name: str, link: int, kind: str | None, description: str) -> int:
        if key not in self._interfaces:
            if len(self._interfaces) >= MOST_INTERFACES:
                raise RefusedError("one interface too many")
            self._interfaces[key] = self._add(name, link, kind, description)
        return self._interfaces[key]


def original_length(data: bytes, link: int) -> int:
    """Bytes a frame had before ndiscap cut it, which it does not say: from the IP header, if that is there and says more."""
    at = 14 if link == ETHERNET else 0
    if link == WIFI or len(data) < at + 20:
        return len(data)
    version = data[at] >> 4
    if link == ETHERNET and data[12:14] != {4: b"\x08\x00", 6: b"\x86\xdd"}.get(version):
        return len(data)
    if version == 4:
        return max(len(data), at + int.from_bytes(data[at + 2 : at + 4], "big"))
    if version == 6:
        return max(len(data), at + 40 + int.from_bytes(data[at + 4 : at + 6], "big"))
    return len(data)


def _switch_fragment(data: bytes, at: int, pointer: int) -> tuple[int, int, int]:
    """Where an event of the virtual switch holds its frame: position, size, VLAN of the out-of-band data behind it.

    Between the count of destinations, which ends at `at`, and the frame lie the destinations, whose layout no source
    at hand gives. The frame is where two sizes fit the event's end to the byte.
    """
    for here in range(at, len(data) - 7, 2):
        size = _number(data, here)
        behind = here + 4 + size
        if behind + 4 <= len(data) and behind + 4 + _number(data, behind) == len(data):
            info = data[behind + 4 + OOB_VLAN * pointer :][:4]
            return here + 4, size, int.from_bytes(info, "little") >> 4 & 0xFFF if len(info) == 4 else 0
    raise IndexError


def _number(data: bytes, at: int) -> int:
    if at + 4 > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + 4], "little")


def _text(data: bytes, at: int) -> tuple[str, int]:
    """A UTF-16 text that ends with a zero, at most 256 characters of it, and where the next field begins."""
    end = at
    while data[end : end + 2] != b"\0\0":
        if end + 2 > len(data):
            raise IndexError
        end += 2
    return data[at : min(end, at + 512)].decode("utf-16-le", "replace"), end + 2


def _property(event_id: int, value: bytes) -> str:
    if event_id == 40 and len(value) >= 16:
        return str(uuid.UUID(bytes_le=value[:16]))
    if event_id in (65, 66) and len(value) in (4, 16):
        return str(ipaddress.ip_address(value))
    if event_id == 70:
        return value[4:68].hex(":")
    if event_id == 73:
        return value.decode("utf-16-le", "replace").partition("\0")[0][:256]
    if event_id == 75:
        return f"0x{int.from_bytes(value[:2], 'little'):04x}"
    return str(int.from_bytes(value[:8], "little"))
