"""What a connection says first, by protocol: TLS, HTTP, SSH, SMB, FTP and SIP, each as a name and a few details.

Every function takes the bytes that were kept, which may end early, and raises ValueError or IndexError for what makes no sense.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import unpack_from

from .dhcp import words
from .event import Detail

LONGEST_PATH, MOST_LISTED = 200, 16


@dataclass
class Said:
    """name: who is asked for: a server's name, host, share or banner; empty if it is not told."""

    name: str = ""
    alpn: list[str] = field(default_factory=list)
    details: dict[str, Detail] = field(default_factory=dict)


VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
READ_EXTENSIONS = SERVER_NAME, ALPN, SUPPORTED_VERSIONS = 0, 16, 43


def tls(data: bytes) -> Said:
    """A ClientHello or ServerHello (RFC 8446 4.1), its records joined (5.1); SNI by RFC 6066 3, ALPN by RFC 7301."""
    body = b"".join(_records(data))
    kind = body[0]
    if kind not in (1, 2):
        return Said(details={"handshake": kind})
    said = Said(details={"side": "client" if kind == 1 else "server"})
    version = int.from_bytes(body[4:6], "big")
    at = 38
    at += 1 + body[at]  # session identifier
    if kind == 1:
        at += 2 + int.from_bytes(body[at : at + 2], "big")  # cipher suites
        at += 1 + body[at]  # compression methods
    else:
        at += 3
    for extension, value in _extensions(body, at + 2):
        if extension == SERVER_NAME and kind == 1 and len(value) > 5 and value[2] == 0:
            said.name = words(value[5 : 5 + int.from_bytes(value[3:5], "big")])
        elif extension == ALPN:
            said.alpn = list(_protocols(value[2:]))[:MOST_LISTED]
        elif extension == SUPPORTED_VERSIONS:
            listed = value[1:] if kind == 1 else value
            offered = [int.from_bytes(listed[k : k + 2], "big") for k in range(0, len(listed) - 1, 2)]
            version = max((v for v in offered if v in VERSIONS), default=version)
    said.details["version"] = VERSIONS.get(version, f"{version:04x}")
    return said


def _records(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + 5 <= len(data) and data[at] == 0x16:
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        yield data[at + 5 : at + 5 + size]
        at += 5 + size


def _extensions(body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= len(body):
        kind, size = unpack_from(">HH", body, at)
        if kind in READ_EXTENSIONS:
            yield kind, body[at + 4 : at + 4 + size]
        at += 4 + size


def _protocols(value: bytes) -> Iterator[str]:
    at = 0
    while at < len(value) and at + 1 + value[at] <= len(value):
        yield words(value[at + 1 : at + 1 + value[at]])
        at += 1 + value[at]


def http(data: bytes) -> Said:
    """A request or response (RFC 9112 2.1): host, method and path; or server and status."""
    first, headers = head(data)
    if first.startswith("PRI * HTTP/2"):
        return Said(details={"version": "2"})
    parts = first.split(" ", 2)
    if len(parts) < 2:
        raise ValueError("no start line")
    if first.startswith("HTTP/"):
        server = headers.get("server", "")
        return Said(details={"status": parts[1][:3], **({"server": server} if server else {})})
    method, path = parts[0], parts[1]
    said = Said(headers.get("host", ""), details={"method": method[:32]})
    if method == "CONNECT":
        said.name = path[:LONGEST_PATH]
    else:
        if not said.name and "://" in path:
            said.name = path.split("://", 1)[1].split("/", 1)[0][:LONGEST_PATH]
        said.details["path"] = path.split("?", 1)[0][:LONGEST_PATH]
    return said


def head(data: bytes) -> tuple[str, dict[str, str]]:
    """The first line of a message and its headers, by their names in small letters; of several the first.

    A line that is cut off counts as far as it goes.
    """
    text = data.split(b"\r\n\r\n", 1)[0].decode("utf-8", "replace")
    first, *rest = text.split("\r\n" if "\r\n" in text else "\n")
    headers: dict[str, str] = {}
    for line in rest:
        name, sign, value = line.partition(":")
        if sign:
            headers.setdefault(name.strip().lower(), value.strip()[:LONGEST_PATH])
    return first[:1024], headers


def ssh(data: bytes) -> Said:
    """The software of a version line (RFC 4253 4.2)."""
    line = words(data.split(b"\n", 1)[0]).strip()
    parts = line.split("-", 2)
    if len(parts) < 3:
        raise ValueError("no version line")
    return Said(parts[2])


def banner(data: bytes) -> Said:
    """The text of a greeting, as FTP's (RFC 959 4.2)."""
    return Said(words(data.split(b"\n", 1)[0][4:]).strip()[:LONGEST_PATH])


DIALECTS = {0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1", 0x02FF: "2.?"}
NEGOTIATE, TREE_CONNECT = 0, 3


def smb(data: bytes) -> Said:
    """The dialect (MS-SMB2 2.2.3, 2.2.4) or the share (2.2.9) of an SMB2 message; of SMB1 (MS-CIFS 2.2.4.52) the dialects."""
    message = data[4:]
    if message[:4] == b"\xffSMB":
        found = [words(d) for d in re.findall(rb"\x02([ -~]{1,40})\0", message[33:512])] if message[4] == 0x72 else []
        return Said(details={"dialect": "1", "offered": found[:MOST_LISTED]} if found else {"dialect": "1"})
    if message[:4] != b"\xfeSMB":
        raise ValueError("no SMB message")
    command, answer, body = int.from_bytes(message[12:14], "little"), message[16] & 1, message[64:]
    if command == TREE_CONNECT and not answer:
        at, size = int.from_bytes(body[4:6], "little"), int.from_bytes(body[6:8], "little")
        return Said(message[at : at + min(size, 512)].decode("utf-16-le", "replace").rstrip("\0"))
    if command == NEGOTIATE and answer:
        dialect = int.from_bytes(body[4:6], "little")
        return Said(details={"dialect": DIALECTS.get(dialect, f"{dialect:04x}")})
    if command == NEGOTIATE:
        count = min(int.from_bytes(body[2:4], "little"), MOST_LISTED)
        offered = [int.from_bytes(body[36 + 2 * k : 38 + 2 * k], "little") for k in range(count) if len(body) >= 38 + 2 * k]
        return Said(details={"offered": [DIALECTS.get(d, f"{d:04x}") for d in offered]})
    return Said()


SHORT_FORMS = {"f": "from", "t": "to", "i": "call-id", "m": "contact", "v": "via"}


def sip(data: bytes) -> Said:
    """Whom a SIP message is to, and its From, To and Call-ID (RFC 3261 8.1.1; short forms 7.3.3)."""
    first, headers = head(data)
    headers |= {long: headers[short] for short, long in SHORT_FORMS.items() if short in headers and long not in headers}
    details: dict[str, Detail] = {"first_line": first[:LONGEST_PATH]}
    details |= {name.replace("-", "_"): headers[name] for name in ("from", "to", "call-id") if name in headers}
    to = re.search(r"sips?:([^>;\s]+)", headers.get("to", ""))
    return Said(to.group(1) if to else "", details=details)
