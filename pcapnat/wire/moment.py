"""Times as people write them, as nanoseconds. No float on the way: nine decimals are kept."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ..terms import PcapnatError

LAST_NS = (1 << 63) - 1


class Moment(NamedTuple):
    """A time: nanoseconds since 1970-01-01 UTC, or since the file's first frame."""

    ns: int
    relative: bool


ISO_8601 = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII | re.IGNORECASE
)
SECONDS = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?", re.ASCII)
RELATIVE = re.compile(r"\+(\d{1,12})(?:\.(\d{1,9}))?(ns|us|ms|s|m|h|d)?", re.ASCII)
UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}


def moment(text: str, option: str) -> Moment:
    """A time as written: ISO 8601 with or without a zone (UTC), seconds since 1970, or + and a span from the file's first frame.

    Raises PcapnatError that names the option it was given for.
    """
    if match := RELATIVE.fullmatch(text):
        whole, fraction, unit = match[1], match[2] or "", UNITS[match[3] or "s"]
        ns = int(whole) * unit + int(fraction.ljust(9, "0")) * unit // 10**9
    elif match := SECONDS.fullmatch(text):
        ns = int(match[1]) * 10**9 + int((match[2] or "").ljust(9, "0"))
    elif match := ISO_8601.fullmatch(text.strip()):
        ns = _iso(match, text, option)
    else:
        raise PcapnatError(f"{option}: {text!r} is no time: 2026-11-23T03:15:11.25Z, 1700000000.25 and +1.5 (from the first frame on) are")
    if abs(ns) > LAST_NS:
        raise PcapnatError(f"{option}: {text!r} is too far away")
    return Moment(ns, text.startswith("+"))


def _iso(match: re.Match[str], text: str, option: str) -> int:
    day, hour, minute, second, fraction, zone = match.groups()
    try:
        when = datetime.fromisoformat(day).replace(hour=int(hour or 0), minute=int(minute or 0), second=int(second or 0), tzinfo=UTC)
    except ValueError as error:
        raise PcapnatError(f"{option}: {text!r} is no time ({error})") from None
    if zone and zone.upper() != "Z":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        if ahead >= timedelta(days=1) or int(digits[2:]) > 59:
            raise PcapnatError(f"{option}: {text!r} is no time (a zone of {zone})")
        past = when - datetime(1970, 1, 1, tzinfo=UTC) + (ahead if zone[0] == "-" else -ahead)
    else:
        past = when - datetime(1970, 1, 1, tzinfo=UTC)
    return (past.days * 86400 + past.seconds) * 10**9 + int((fraction or "").ljust(9, "0"))
