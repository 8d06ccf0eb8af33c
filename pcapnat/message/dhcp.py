"""DHCP and DHCPv6 messages. RFC 2131, RFC 2132, RFC 3046, RFC 3396; RFC 8415, RFC 3646, RFC 4704.

A message that the capture cut off says what is there: its header tells the client and the transaction even without its type.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..address import text
from .event import NO_ADDRESS, V4, Detail, Event, EventKind

COOKIE = b"\x63\x82\x53\x63"
FIXED, OPTIONS = 28, 240
"""Bytes up to the client's hardware address, and up to the first option."""
MOST_LISTED = 8
"""Addresses of one option that are kept."""
LONGEST = 255
"""Bytes of a name that are kept."""
RELAYS = 8
"""Relays of DHCPv6 in one another that are followed."""


def words(octets: bytes) -> str:
    """Text from the wire: what is no UTF-8 is replaced; not safe for a terminal."""
    return octets[:LONGEST].rstrip(b"\0").decode("utf-8", "replace")


def v4(octets: bytes) -> tuple[int, int]:
    """An IPv4 address as our columns hold it."""
    return 0, V4 | int.from_bytes(octets[:4], "big")


def v4_text(octets: bytes) -> str:
    """An IPv4 address as text."""
    return text(*v4(octets))


def mac(octets: bytes) -> int:
    """The first six bytes of a hardware address as a number."""
    return int.from_bytes(octets[:6], "big")


def dhcp(data: bytes) -> Event:
    """One DHCP message."""
    if len(data) < FIXED or data[0] not in (1, 2):
        raise ValueError("no BOOTP header")
    answer = data[0] == 2
    options = _options(data)
    kind = options.get(53, b"\0")[0] if options.get(53) else 0
    own, given, relay = data[12:16], data[16:20], data[24:28]
    details: dict[str, Detail] = {"transaction": f"{int.from_bytes(data[4:8], 'big'):08x}"}
    if len(data) >= FIXED + 6:
        details["client"] = data[28 : 28 + min(data[2], 16)].hex(":")
    for name, octets in (("client_address", own), ("your_address", given), ("relay", relay)):
        if any(octets):
            details[name] = v4_text(octets)
    for code, name, how in ADDRESSES:
        if len(options.get(code, b"")) >= 4:
            octets = options[code]
            found = [v4_text(octets[k : k + 4]) for k in range(0, min(len(octets) - 3, 4 * MOST_LISTED), 4)]
            details[name] = found if how == "list" else found[0]
    for code, name in NUMBERS:
        if len(options.get(code, b"")) == 4:
            details[name] = int.from_bytes(options[code], "big")
    for code, name in TEXTS:
        if options.get(code):
            details[name] = words(options[code])
    if 81 in options and len(options[81]) > 3:  # RFC 4702: flags, two codes, the name as text or as labels
        details["client_name"] = labels(options[81][3:]) if options[81][0] & 4 else words(options[81][3:])
    server = v4(options[54]) if len(options.get(54, b"")) == 4 else NO_ADDRESS
    wanted = v4(options[50]) if len(options.get(50, b"")) == 4 else NO_ADDRESS
    client = mac(data[28:34])
    code = 20 + kind if 1 <= kind <= 8 else int(EventKind.DHCP_OTHER)
    if kind > 8:
        details["type"] = kind
    if answer:
        return Event(code, 0, client, server, v4(given) if any(given) else NO_ADDRESS, details)
    return Event(code, client, 0, v4(own) if any(own) else NO_ADDRESS, wanted, details)


ADDRESSES = (
    (1, "subnet_mask", "one"),
    (3, "routers", "list"),
    (6, "dns_servers", "list"),
    (50, "requested_address", "one"),
    (54, "server", "one"),
)
NUMBERS = ((51, "lease_s"), (58, "renew_s"), (59, "rebind_s"))
TEXTS = ((12, "host_name"), (15, "domain"), (56, "message"), (60, "vendor_class"))


def _options(data: bytes) -> dict[int, bytes]:
    """Options by code; one given in parts is joined, those in the boot fields are read where option 52 says so."""
    if len(data) < OPTIONS:
        return {}
    if data[236:240] != COOKIE:
        raise ValueError("no magic cookie")
    found: dict[int, bytes] = {}
    _walk(data[OPTIONS:], found)
    overload = found.get(52, b"\0")[:1]
    if overload in (b"\1", b"\3"):
        _walk(data[108:236], found)
    if overload in (b"\2", b"\3"):
        _walk(data[44:108], found)
    return found


def _walk(data: bytes, found: dict[int, bytes]) -> None:
    at = 0
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            return  # cut off: a part of an option is none
        size = data[at + 1]
        found[data[at]] = (found.get(data[at], b"") + data[at + 2 : at + 2 + size])[:512]
        at += 2 + size


def dhcp6(data: bytes) -> Event:
    """One DHCPv6 message; of a relayed one what the client or server said, with the first relay's addresses."""
    outer = data[0] if data else 0
    details: dict[str, Detail] = {}
    for _ in range(RELAYS):
        if len(data) < 4 or data[0] not in (12, 13):
            break
        if len(data) < 34:
            raise ValueError("a relay message is cut off")
        details.setdefault("link_address", _six(data[2:18]))
        details.setdefault("peer_address", _six(data[18:34]))
        data = next((body for code, body in _options6(data[34:]) if code == 9), b"")
    if len(data) < 4:
        if not details:
            raise ValueError("no DHCPv6 header")
        return Event(40 + outer, details=details)
    details["transaction"] = data[1:4].hex()
    given, client = NO_ADDRESS, 0
    for code, body in _options6(data[4:]):
        if code == 1:
            details["client_id"], client = body[:32].hex(), _hardware(body)
        elif code == 2:
            details["server_id"] = body[:32].hex()
        elif code in (3, 4):  # IA_NA has 12 bytes before its options, IA_TA 4
            given = _leased(body[12 if code == 3 else 4 :], details) or given
        elif code == 25:
            _leased(body[12:], details)
        elif code == 23:
            details["dns_servers"] = [_six(body[k : k + 16]) for k in range(0, min(len(body) - 15, 16 * MOST_LISTED), 16)]
        elif code == 39 and len(body) > 1:
            details["client_name"] = labels(body[1:])
        elif code == 13 and len(body) >= 2:
            details["status"] = int.from_bytes(body[:2], "big")
    kind = outer if outer in (12, 13) else data[0]
    if kind in (12, 13):
        details["relayed"] = data[0]
    known = kind if 1 <= kind <= 13 else 0
    answer = data[0] in (2, 7, 10)
    return Event(40 + known, 0 if answer else client, client if answer else 0, target=given, details=details)


def _leased(options: bytes, details: dict[str, Detail]) -> tuple[int, int] | None:
    """The first address or prefix of an identity association."""
    for code, body in _options6(options):
        if code == 5 and len(body) >= 24:
            details.setdefault("address", _six(body[:16]))
            details.setdefault("lease_s", int.from_bytes(body[20:24], "big"))
            return int.from_bytes(body[:8], "big"), int.from_bytes(body[8:16], "big")
        if code == 26 and len(body) >= 25:
            details.setdefault("prefix", f"{_six(body[9:25])}/{body[8]}")
            details.setdefault("lease_s", int.from_bytes(body[4:8], "big"))
    return None


def _options6(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        code, size = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        yield code, data[at + 4 : at + 4 + size]
        at += 4 + size


def _hardware(duid: bytes) -> int:
    """The hardware address in a DUID of type 1 or 3 (RFC 8415 11.2, 11.4), 0 without one."""
    kind = int.from_bytes(duid[:2], "big")
    start = {1: 8, 3: 4}.get(kind, len(duid))
    return mac(duid[start:]) if len(duid) == start + 6 else 0


def _six(octets: bytes) -> str:
    if len(octets) < 16:
        raise ValueError("an address is cut off")
    return text(int.from_bytes(octets[:8], "big"), int.from_bytes(octets[8:16], "big"))


def labels(data: bytes) -> str:
    """A name as labels without pointers (RFC 1035 3.1)."""
    found, at = [], 0
    while at < min(len(data), LONGEST) and 0 < data[at] < 64:
        found.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return b".".join(found).decode("utf-8", "replace")
