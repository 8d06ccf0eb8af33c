"""Options and arguments that commands share: what to print, which frames, points and frame numbers."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import reduce, wraps
from typing import Any

import click

from ..terms import PcapnatError, Point, Selection

FORMAT = click.option(
    "--format", "style", type=click.Choice(["terminal", "json"]), default="terminal", show_default=True, help="What to print."
)
WRITE = click.option("--write", type=click.Path(dir_okay=False), metavar="FILE", help="Write the answer to FILE instead of the terminal.")
LIMIT = click.option(
    "--limit", type=click.IntRange(min=0), default=40, show_default=True, help="Rows of a table on the terminal; 0 for all."
)
TABLE = click.option(
    "--table", metavar="FILE", help="The NAT's own table: conntrack -L or -E, /proc/net/nf_conntrack, Get-NetNatSession as JSON."
)
VIA = click.option("--via", type=click.Choice(["tshark"]), help="Have tshark read the file (by itself only for formats we do not read).")
_SELECT = (
    click.option("-f", "--filter", metavar="EXPR", help="Only frames that this pcap-filter (tcpdump's) accepts."),
    click.option("-Y", "--display-filter", "display", metavar="EXPR", help="Only frames that this filter of Wireshark shows (by tshark)."),
    click.option("-c", "--count", "first", type=click.IntRange(min=1), metavar="N", help="Only the first N frames of each file."),
    click.option("--from", "since", metavar="TIME", help="Only frames from TIME on: ISO 8601, seconds since 1970, or +1.5, +2m."),
    click.option("--to", "until", metavar="TIME", help="Only frames before TIME; + counts from a file's first frame."),
)


def SELECT(command: Callable[..., None]) -> Callable[..., None]:  # noqa: N802 (a decorator like those above)
    """The options that choose frames, given to the command as one `selection`."""

    @wraps(command)
    def selecting(**given: Any) -> None:
        command(selection=Selection(**{name: given.pop(name) for name in ("filter", "display", "first", "since", "until")}), **given)

    return reduce(lambda wrapped, option: option(wrapped), reversed(_SELECT), selecting)


def parse_points(arguments: tuple[str, ...]) -> list[Point]:
    """Points from [NAME=]FILE[@INTERFACE], in the order their names are first given."""
    found: dict[str, Point] = {}
    usual = ("inside", "outside") if len(arguments) == 2 else ()
    parts = [_named(argument) for argument in arguments]
    for number, (argument, (name, rest)) in enumerate(zip(arguments, parts, strict=True)):
        if not name:
            name = usual[number] if usual else "capture" if len(arguments) == 1 else f"point{number + 1}"
            while name in {given for given, _ in parts}:  # only files that were given one name are one point
                name += "'"
        file, sign, interface = rest.rpartition("@")
        if not sign or not file or os.path.exists(rest):
            file, interface = rest, ""
        if not file:
            raise PcapnatError(f"{argument}: a point needs a file, as in inside=capture.pcap")
        if name in found and found[name].interface != (interface or None):
            raise PcapnatError(f"{name}: files of one point must name the same interface")
        files = (*found[name].files, file) if name in found else (file,)
        found[name] = Point(name, files, interface or None)
    if sum(file == "-" for point in found.values() for file in point.files) > 1:
        raise PcapnatError("-: standard input can be given once only")
    return list(found.values())


MOST_FRAMES = 1_000
"""Frames that one command shows."""


def parse_frames(arguments: tuple[str, ...]) -> list[int]:
    """Frame numbers from numbers and ranges, ascending, each once."""
    found: set[int] = set()
    for argument in arguments:
        ends = argument.split("-")
        if len(ends) > 2 or not all(end.isascii() and end.isdecimal() and len(end) < 19 for end in ends):
            raise PcapnatError(f"{argument}: not a frame number or range, as 7 or 5-9")
        first, last = int(ends[0]), int(ends[-1])
        if first < 1:
            raise PcapnatError(f"{argument}: frames are counted from 1")
        if last < first:
            raise PcapnatError(f"{argument}: a range goes upwards, as 5-9")
        if last - first >= MOST_FRAMES or len(found := found | set(range(first, last + 1))) > MOST_FRAMES:
            raise PcapnatError(f"{argument}: more than {MOST_FRAMES:,} frames are asked for")
    return sorted(found)


def _named(argument: str) -> tuple[str, str]:
    """(name or nothing, the rest) of an argument; a file whose own name holds a "=" is not cut at it."""
    name, sign, rest = argument.partition("=")
    return ("", argument) if not sign or not name or "/" in name or os.path.exists(argument) else (name, rest)
