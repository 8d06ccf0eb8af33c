"""Addresses written inside payloads, which a NAT leaves wrong unless it knows the protocol: FTP, SIP with SDP, and STUN.

RFC 959 and RFC 2428; RFC 3261, RFC 3581 and RFC 4566; RFC 8489 and RFC 8656 (STUN's mapped address is what the other side saw).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum

from ..address import parse
from ..table import Table, column
from .event import NO_ADDRESS, V4
from .greeting import SHORT_FORMS

Place = tuple[int, tuple[int, int], int]
"""What it is, the address, the port (-1: none)."""
MOST_OF_ONE = 32
"""Addresses of one message that are kept."""


class What(IntEnum):
    """What an address inside a payload is for."""

    FTP_PORT = 1
    FTP_EPRT = 2
    FTP_PASV = 3
    FTP_EPSV = 4
    """A port only: the address is the connection's own."""
    SIP_VIA = 5
    """Where responses are to go."""
    SIP_RECEIVED = 6
    """Where a request came from, as the other side saw it (`received` and `rport` of Via)."""
    SIP_CONTACT = 7
    SDP_MEDIA = 8
    STUN_MAPPED = 9
    """Where a request came from, as the server saw it."""
    STUN_RELAYED = 10
    """Where a relay receives for the client."""

    @property
    def label(self) -> str:
        """In words."""
        return self.name.lower().replace("_", " ")


class Carried(Table):
    """One row per address written inside a payload, in file order."""

    row = column("int64", "row in Packets of the frame")
    conversation = column("int64", "row in Conversations, -1 for none")
    what = column("uint8", "what it is for, see What")
    address = column("uint64", "the address, :: where there is none", width=2)
    port = column("int32", "the port, -1 where there is none")


def ftp(data: bytes) -> list[Place]:
    """PORT, EPRT and the answers to PASV and EPSV; nothing for another line."""
    line = data.split(b"\n", 1)[0].decode("ascii", "replace").strip()
    command = line[:4].upper()
    if command in ("PORT", "227 "):
        six = re.search(r"(?<!\d)(\d{1,3}(?:,\d{1,3}){5})(?!\d)", line)
        octets = [int(n) for n in six.group(1).split(",")] if six else [256]
        if max(octets) > 255:
            raise ValueError("no address")
        address = 0, V4 | int.from_bytes(bytes(octets[:4]), "big")
        return [(What.FTP_PORT if command == "PORT" else What.FTP_PASV, address, octets[4] << 8 | octets[5])]
    if command == "EPRT":
        parts = line[5:].split(line[5]) if len(line) > 5 else []
        if len(parts) < 4:
            raise ValueError("no address")
        return [(What.FTP_EPRT, parse(parts[2]), _port(parts[3]))]
    if command == "229 ":
        port = re.search(r"\((.)\1\1(\d{1,5})\1\)", line)
        if not port:
            raise ValueError("no port")
        return [(What.FTP_EPSV, NO_ADDRESS, _port(port.group(2)))]
    return []


def _port(digits: str) -> int:
    port = int(digits)
    if not 0 <= port <= 65535:
        raise ValueError("no port")
    return port


HOST = r"(\[[0-9A-Fa-f:.]{2,45}\]|\d{1,3}(?:\.\d{1,3}){3})(?::(\d{1,5}))?"
VIA = re.compile(r"SIP\s*/\s*2\.0\s*/\s*\w+\s+" + HOST)
RECEIVED = re.compile(r"received=(\[?[0-9A-Fa-f:.]{2,45}\]?)")
RPORT = re.compile(r"rport=(\d{1,5})")
CONTACT = re.compile(r"sips?:(?:[^@>\s;]{1,200}@)?" + HOST)


def sip(data: bytes) -> list[Place]:
    """Via, Contact and SDP of a SIP message; names of hosts are not looked up and left out."""
    text, _, body = data.decode("utf-8", "replace").replace("\r\n", "\n").partition("\n\n")
    found: list[Place] = []
    for line in text.split("\n")[1:]:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        name = SHORT_FORMS.get(name, name)
        if name == "via":
            found += _via(value[:500])
        elif name == "contact":
            found += [(What.SIP_CONTACT, address, port) for address, port in _hosts(CONTACT, value[:500])]
    return (found + list(_sdp(body)))[:MOST_OF_ONE]


def _via(value: str) -> list[Place]:
    found: list[Place] = [(What.SIP_VIA, address, port) for address, port in _hosts(VIA, value)[:1]]
    seen, rport = RECEIVED.search(value), RPORT.search(value)
    if seen or rport:
        address = _address(seen.group(1)) if seen else found[0][1] if found else None
        if address:
            found.append((What.SIP_RECEIVED, address, _port(rport.group(1)) if rport else -1))
    return found


def _hosts(pattern: re.Pattern[str], value: str) -> list[tuple[tuple[int, int], int]]:
    found = []
    for match in pattern.finditer(value):
        if address := _address(match.group(1)):
            found.append((address, _port(match.group(2)) if match.group(2) else -1))
    return found


def _address(text: str) -> tuple[int, int] | None:
    try:
        return parse(text.strip("[]"))
    except ValueError:
        return None


def _sdp(body: str) -> Iterator[Place]:
    """Where media is to go: the port of each m= line, with the c= line of its own or else of the session (RFC 4566 5.7, 5.14)."""
    session: tuple[int, int] | None = None
    media: list[tuple[int, tuple[int, int] | None]] = []
    for line in body.split("\n")[:400]:
        kind, value = line[:2], line[2:200].split()
        if kind == "c=" and len(value) >= 3:
            address = _address(value[2].split("/", 1)[0])
            if media:
                media[-1] = media[-1][0], address
            else:
                session = address
        elif kind == "m=" and len(value) >= 2:
            digits = value[1].split("/", 1)[0]
            media.append((_port(digits) if digits.isdecimal() else -1, None))
    for port, own in media:
        if own or session:
            yield What.SDP_MEDIA, own or session or NO_ADDRESS, port


MAPPED, XOR_MAPPED, XOR_MAPPED_OLD, XOR_RELAYED = 0x0001, 0x0020, 0x8020, 0x0016


def stun(data: bytes) -> list[Place]:
    """The mapped and relayed addresses of a success response (RFC 8489 14.1, 14.2; RFC 8656 18.5); nothing for other messages."""
    if len(data) < 20:
        raise ValueError("no STUN header")
    if int.from_bytes(data[:2], "big") & 0x0110 != 0x0100:
        return []
    found: dict[Place, None] = {}  # a server may give one address in both forms
    at = 20
    while at + 4 <= len(data):
        kind, size = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        value = data[at + 4 : at + 4 + size]
        if kind in (MAPPED, XOR_MAPPED, XOR_MAPPED_OLD, XOR_RELAYED) and len(value) == size:
            mask = bytes(16) if kind == MAPPED else data[4:20]
            if size not in (8, 20):
                raise ValueError("no address")
            whole = int.from_bytes(value[4:], "big") ^ int.from_bytes(mask[: size - 4], "big")
            address = (0, V4 | whole) if size == 8 else (whole >> 64, whole & (1 << 64) - 1)
            port = int.from_bytes(value[2:4], "big") ^ int.from_bytes(mask[:2], "big")
            found[What.STUN_RELAYED if kind == XOR_RELAYED else What.STUN_MAPPED, address, port] = None
        at += 4 + size + (-size & 3)
    return list(found)[:MOST_OF_ONE]
