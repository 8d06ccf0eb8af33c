"""The command that holds a NAT against the RFCs: requirements."""

from __future__ import annotations

from dataclasses import replace

import click

from ..terms import Selection
from .options import FORMAT, SELECT, VIA, WRITE, parse_points
from .output import Progress, coloured, put


@click.command()
@click.argument("points", nargs=-1, required=True, metavar="POINT POINT...")
@FORMAT
@WRITE
@click.option("--all", "everything", is_flag=True, help="Also the requirements that these captures do not decide, and why.")
@VIA
@SELECT
def requirements(points: tuple[str, ...], style: str, write: str | None, everything: bool, via: str | None, selection: Selection) -> None:
    """Hold a NAT against what RFC 4787, 5382, 5508, 6888 and 7857 demand: met, violated, untested.

    \b
    Examples:
      pcapnat requirements inside.pcap outside.pcap
      pcapnat requirements inside.pcap outside.pcap --all --format json
    """
    from .. import pipeline, report

    told = Progress()
    analysis = pipeline.analyze([replace(p, via=via, selection=selection) for p in parse_points(points)], told.say, told)
    told.done()
    if style == "json":
        put(report.requirements_json(analysis), write)
    else:
        put(report.terminal(report.requirement_sections(analysis, everything), coloured(write)), write)
