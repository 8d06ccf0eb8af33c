"""Commands about two sides: analyze, demo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from ..terms import PcapnatError, Selection
from .exporting import WRITE_MODEL, put_models
from .options import FORMAT, LIMIT, SELECT, TABLE, VIA, WRITE, parse_points
from .output import Progress, coloured, put


@click.command()
@click.argument("points", nargs=-1, required=True, metavar="POINT...")
@FORMAT
@WRITE
@LIMIT
@VIA
@SELECT
@WRITE_MODEL
@TABLE
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note", "never"]),
    default="error",
    show_default=True,
    help="Exit with status 1 if a diagnosis is at least this severe.",
)
def analyze(
    points: tuple[str, ...],
    style: str,
    write: str | None,
    limit: int,
    via: str | None,
    fail_on: str,
    selection: Selection,
    write_model: str | None = None,
    table: str | None = None,
) -> None:
    """Match the conversations of two sides and print the translation table.

    POINT is [NAME=]FILE[@INTERFACE], from the innermost to the outermost; - is standard input. Files given under one name are one
    point. INTERFACE is a number, a name, or words of what `pcapnat info` calls it. A single point prints its conversations,
    sockets and services.

    \b
    Examples:
      pcapnat analyze inside.pcap outside.pcap
      pcapnat analyze vm=a.pcap home=b.pcap isp=c.pcap
      pcapnat analyze in=dual.pcapng@0 out=dual.pcapng@1 --format json
      pcapnat analyze "vm=trace.etl@component 12" "nic=trace.etl@component 7 edge 1"
      pcapnat analyze inside.pcap outside.pcap -f "tcp port 443" --from +10 --to +2m
      pcapnat analyze inside.pcap outside.pcap --table conntrack.txt
    """
    from .. import pipeline, report
    from ..config import session_table

    known, told = session_table(table) if table else None, Progress()
    analysis = pipeline.analyze([replace(p, via=via, selection=selection) for p in parse_points(points)], told.say, told, known)
    told.done()
    if write_model:
        put_models(pipeline.configured(analysis, "model"), write_model)
    put(
        report.analysis_json(analysis) if style == "json" else report.terminal(report.analysis_sections(analysis, limit), coloured(write)),
        write,
    )


@click.command()
@FORMAT
@WRITE
@LIMIT
@click.pass_context
def demo(context: click.Context, style: str, write: str | None, limit: int) -> None:
    """Analyze the bundled pair: a real Linux NAT, captured inside and outside.

    \b
    Example:
      pcapnat demo --limit 10
    """
    folder = demo_folder()
    context.invoke(
        analyze,
        points=(f"inside={folder / 'inside.pcap'}", f"outside={folder / 'outside.pcap'}"),
        style=style,
        write=write,
        limit=limit,
        via=None,
        fail_on="error",
    )


def demo_folder() -> Path:
    """Where the bundled pair lies: in the installed package, or beside it in a working copy."""
    here = Path(__file__).parent.parent
    for folder in (here / "demo", here.parent / "captures" / "demo"):
        if (folder / "inside.pcap").exists():
            return folder
    raise PcapnatError("the bundled captures are missing from this installation")
