"""The command that follows one frame through a model: trace."""

from __future__ import annotations

from dataclasses import replace

import click

from ..terms import PcapnatError, Selection
from .options import FORMAT, SELECT, VIA, WRITE, parse_frames, parse_points
from .output import Progress, coloured, put


@click.command()
@click.argument("points", nargs=-1, required=True, metavar="POINT POINT FRAME")
@click.option("--through", metavar="MODEL", help="As for diff; without it, the model that is inferred from the two captures.")
@FORMAT
@WRITE
@VIA
@SELECT
def trace(points: tuple[str, ...], through: str | None, style: str, write: str | None, via: str | None, selection: Selection) -> None:
    """Say step by step what a NAT makes of one frame, and what was seen.

    FRAME is a number at the first point, or NAME:NUMBER at the one of that name.

    \b
    Examples:
      pcapnat trace inside.pcap outside.pcap 7
      pcapnat trace inside.pcap outside.pcap outside:9 --through linux-masquerade
    """
    from .. import pipeline, report
    from ..config import chosen

    if len(points) < 2:
        raise PcapnatError("a trace needs points and a frame, as in `pcapnat trace inside.pcap outside.pcap 7`")
    *files, said = points
    given = parse_points(tuple(files))
    name, _, number = said.rpartition(":")
    numbers = parse_frames((number,))
    if len(numbers) > 1:
        raise PcapnatError(f"{said}: one frame at a time")
    if not name:
        name = given[0].name if len(given) > 1 else "inside"
    behavior, told = chosen(through) if through else None, Progress()
    found = pipeline.follow([replace(p, via=via, selection=selection) for p in given], (name, numbers[0]), behavior, told.say, told)
    told.done()
    put(report.trace_json(found) if style == "json" else report.terminal(report.trace_sections(found), coloured(write)), write)
