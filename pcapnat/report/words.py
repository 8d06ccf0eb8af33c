"""What a section is, and how times, counts and endpoints are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..terms import Endpoint


@dataclass
class Section:
    """A heading with lines, a table, and lines after it. align: "left" or "right" per column."""

    title: str
    lines: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    align: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


def when(time_ns: int | None) -> str:
    """A time as UTC with microseconds; beyond what calendars here can say, the number."""
    if time_ns is None:
        return "-"
    try:
        whole = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{time_ns} ns"
    return whole.strftime("%Y-%m-%d %H:%M:%S") + f".{time_ns % 1_000_000_000 // 1000:06d}"


def span(duration_ns: int) -> str:
    """A duration with a unit that fits."""
    size = abs(duration_ns)
    for unit, factor in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1000)):
        if size >= factor:
            return f"{duration_ns / factor:.3f} {unit}"
    return f"{duration_ns} ns"


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def endpoint(address: str, port: int) -> str:
    """Address and port as people write them."""
    return str(Endpoint(address, None if port < 0 else port))
