"""DNS messages taken apart by a kernel: questions, and the records that tie a name to an address.

RFC 1035 4.1; RFC 6762 (mDNS) and RFC 4795 (LLMNR) have its format, RFC 1002 4.2 (NetBIOS) nearly. A capture may hold as many
messages as are picked, so names stay bytes with a digest until somebody wants their text.
"""

from __future__ import annotations

from typing import Any

from ..address import parse
from ..kernel import cold, inner, kernel, load16, load32, load64, mix, signed
from ..table import Array, Table, column

A, PTR, AAAA, NETBIOS, CNAME, OPT = 1, 12, 28, 32, 5, 41
CUT, BAD, FULL = 1, 2, 4
"""Marks of a message: it ends before its records do; it contradicts itself; there was no room for all its records."""
LONGEST_NAME = 255
JUMPS = 64
"""Pointers of one name that are followed."""
V4_PREFIX = 0xFFFF00000000
MOST_RECORDS, MOST_OF_ONE = 400_000, 64
"""Records that are kept in all, and records of one message that are looked at."""
TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 32: "NB", 33: "SRV", 35: "NAPTR", 43: "DS",
    46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 52: "TLSA", 64: "SVCB", 65: "HTTPS", 99: "SPF", 251: "IXFR", 252: "AXFR", 255: "ANY", 257: "CAA",
}  # fmt: skip
CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN", 9: "NOTAUTH", 10: "NOTZONE"}


class Heads(Table):
    """One row per message."""

    marks = column("uint8", "CUT, BAD, FULL")
    ident = column("uint16", "transaction identifier", source="RFC 1035 4.1.1")
    bits = column("uint16", "QR, opcode, AA, TC, RD, RA, AD, CD, response code")
    answers = column("uint16", "records in the answer section, by the header")
    qtype = column("uint16", "type of the first question")
    question = column("int64", "digest of the first question's name, letters made small; -1 without one")
    name_at = column("int64", "where that name begins", unit="bytes")


class Records(Table):
    """One row per record that ties an address to a name."""

    message = column("int64", "row in Heads")
    rtype = column("uint16", "1 A, 28 AAAA, 12 PTR, 32 NetBIOS")
    ttl = column("uint32", "how long it is valid", unit="s")
    owner = column("int64", "digest of the owner's name")
    owner_at = column("int64", "where that name begins", unit="bytes")
    address = column("uint64", "the address; of PTR 0", width=2)
    target = column("int64", "PTR: digest of the name it points to")
    target_at = column("int64", "where that name begins", unit="bytes")
    beside = column("uint8", "1 if it is no answer, but of the authority or additional section")


@inner
def after_name(buf: Any, at: int, end: int) -> int:
    """Where a name in place ends, -1 if it is none or is cut off."""
    for _ in range(LONGEST_NAME):
        if at >= end:
            return -1
        size = buf[at] | 0
        if size == 0:
            return at + 1
        if size >= 0xC0:
            return at + 2 if at + 2 <= end else -1
        if size > 63:
            return -1
        at += 1 + size
    return -1


@cold
def name_digest(buf: Any, start: int, at: int, end: int) -> int:
    """A number that names the name at `at` of the message buf[start:end], large and small letters alike; -1 if it is none.

    A pointer leads backwards, or it is followed no further.
    """
    state = 0
    word = 1
    length = 0
    lowest = at
    jumps = 0
    while at < end:
        size = buf[at] | 0
        if size == 0:
            return mix(mix(state, word), length)
        if size >= 0xC0:
            if at + 2 > end:
                return -1
            at = start + (load16(buf, at) & 0x3FFF)
            jumps += 1
            if at >= lowest or jumps > JUMPS:
                return -1
            lowest = at
            continue
        length += size + 1
        if size > 63 or length > LONGEST_NAME or at + 1 + size > end:
            return -1
        for k in range(at, at + 1 + size):
            byte = buf[k] | 0
            if 0x41 <= byte <= 0x5A and k > at:
                byte |= 0x20
            word = word << 8 | byte
            if word >= 1 << 56:
                state = mix(state, word)
                word = 1
        at += 1 + size
    return -1


@inner
def record(buf: Any, start: int, end: int, owner_at: int, at: int, size: int, question: int, message: int, records: Any, n: int) -> int:
    """Fill row n of `records` with the record whose type is at `at` and whose data are `size` long; returns 1 if it is of a kind wanted."""
    kind = load16(buf, at)
    data = at + 10
    if (kind == A and size == 4) or (kind == NETBIOS and size >= 6):
        records.address[n, 0] = 0
        records.address[n, 1] = V4_PREFIX | load32(buf, data if kind == A else data + 2)
    elif kind == AAAA and size == 16:
        records.address[n, 0] = load64(buf, data)
        records.address[n, 1] = load64(buf, data + 8)
    elif kind == PTR:
        target = name_digest(buf, start, data, end)
        if target < 0:
            return 0
        records.address[n, 0] = 0
        records.address[n, 1] = 0
        records.target[n] = target
        records.target_at[n] = data
    else:
        return 0
    owner = question  # nearly every answer points to it
    if load16(buf, owner_at) != 0xC00C or owner < 0:
        owner = name_digest(buf, start, owner_at, end)
    if owner < 0:
        return 0
    records.message[n] = message
    records.rtype[n] = kind
    records.ttl[n] = load32(buf, at + 4)
    records.owner[n] = owner
    records.owner_at[n] = owner_at
    return 1


@kernel(buf="u1", starts="i8", sizes="i8", heads=Heads, records=Records)
def take_apart(buf: Any, starts: Any, sizes: Any, heads: Any, records: Any) -> int:
    """Read the messages buf[start : start + size] into the rows of `heads`; returns how many rows of `records` were filled.

    Records of all sections are kept: a server puts the addresses of what it names into the last one.
    """
    filled = 0
    for m in range(len(starts)):
        start = starts[m]
        end = start + sizes[m]
        heads.question[m] = -1
        heads.name_at[m] = start
        if start + 12 > end:
            heads.marks[m] = CUT
            continue
        bits = load16(buf, start + 2)
        questions = load16(buf, start + 4)
        answers = load16(buf, start + 6)
        wanted = answers + load16(buf, start + 8) + load16(buf, start + 10)
        heads.ident[m] = load16(buf, start)
        heads.bits[m] = bits
        heads.answers[m] = answers
        marks = 0
        question = -1
        at = start + 12
        for k in range(questions):
            name = at
            at = after_name(buf, at, end)
            if at < 0 or at + 4 > end:
                marks = CUT
                break
            if k == 0:
                question = signed(name_digest(buf, start, name, end))
                heads.question[m] = question
                heads.name_at[m] = name
                heads.qtype[m] = load16(buf, at)
                if question < 0:
                    marks = BAD
                    break
            at += 4
        if bits & 0x8000 and marks == 0:
            for k in range(wanted):
                name = at
                at = after_name(buf, at, end)
                if at < 0 or at + 10 > end:
                    marks = CUT
                    break
                size = load16(buf, at + 8)
                if at + 10 + size > end:
                    marks = CUT
                    break
                if filled >= len(records.message) or k >= MOST_OF_ONE:
                    marks = FULL
                    break
                if record(buf, start, end, name, at, size, question, m, records, filled):
                    records.beside[filled] = 0 if k < answers else 1
                    filled += 1
                at += 10 + size
        heads.marks[m] = marks
    return signed(filled)


def read_dns(data: Array, starts: Array, sizes: Array) -> tuple[Heads, Records]:
    """Heads of messages, and the records in them."""
    heads = Heads.empty(len(starts))
    # A record takes up twelve bytes at least.
    records = Records.empty(min(int(sizes.sum()) // 12, MOST_RECORDS))
    filled = take_apart(data, starts, sizes, heads, records)
    return heads, records.take(slice(0, filled))


def in_segments(data: bytes, starts: Array, sizes: Array) -> tuple[list[int], list[int], list[int]]:
    """Messages in TCP segments, each with its length before it (RFC 1035 4.2.2): the row each is from, start, size."""
    rows, begins, lengths = [], [], []
    for row, (start, size) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True)):
        at, end = start, start + size
        while at + 14 <= end:
            length = int.from_bytes(data[at : at + 2], "big")
            if length < 12:
                break
            rows.append(row)
            begins.append(at + 2)
            lengths.append(min(length, end - at - 2))
            at += 2 + length
    return rows, begins, lengths


def name_text(data: bytes, start: int, at: int, netbios: bool = False) -> str:
    """The text of a name that `name_digest` took: labels with dots between them; "." for the root."""
    found: list[bytes] = []
    for _ in range(LONGEST_NAME):
        size = data[at]
        if size == 0:
            break
        if size >= 0xC0:
            at = start + (int.from_bytes(data[at : at + 2], "big") & 0x3FFF)
            continue
        found.append(data[at + 1 : at + 1 + size])
        at += 1 + size
    if netbios and found and len(found[0]) == 32:
        found[0] = _half_ascii(found[0])
    return b".".join(found).decode("utf-8", "replace") or "."


def _half_ascii(label: bytes) -> bytes:
    """A NetBIOS name (RFC 1001 14.1): two letters from A on a byte, the sixteenth of which says what it names."""
    octets = bytes((label[k] - 0x41 & 15) << 4 | (label[k + 1] - 0x41 & 15) for k in range(0, 32, 2))
    return octets[:15].rstrip(b" \0")


def reverse_address(name: str) -> tuple[int, int] | None:
    """The address whose name a PTR record gives (RFC 1035 3.5, RFC 3596 2.5); None for other names."""
    parts = name.lower().rstrip(".").split(".")
    if len(parts) == 6 and parts[4:] == ["in-addr", "arpa"]:
        digits = ".".join(reversed(parts[:4]))
    elif len(parts) == 34 and parts[32:] == ["ip6", "arpa"]:
        nibbles = "".join(reversed(parts[:32]))
        digits = ":".join(nibbles[k : k + 4] for k in range(0, 32, 4))
    else:
        return None
    try:
        return parse(digits)
    except ValueError:
        return None
