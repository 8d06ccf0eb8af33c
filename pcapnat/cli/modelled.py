"""Commands that play models of NATs: models, diff, whatif."""

from __future__ import annotations

from dataclasses import replace

import click

from ..terms import Selection
from .options import FORMAT, LIMIT, SELECT, TABLE, VIA, WRITE, parse_points
from .output import Progress, coloured, put


@click.command()
@click.argument("name", required=False)
@FORMAT
@WRITE
def models(name: str | None, style: str, write: str | None) -> None:
    """List the NATs whose behavior is known; with NAME, every parameter of one, with its source.

    \b
    Examples:
      pcapnat models
      pcapnat models winnat --format json
    """
    from .. import report
    from ..nat.presets import PRESETS, preset

    chosen = [preset(name)] if name else list(PRESETS.values())
    sections = report.model_sections(chosen[0]) if name else report.models_sections(chosen)
    put(report.models_json(chosen) if style == "json" else report.terminal(sections, coloured(write)), write)


@click.command()
@click.argument("points", nargs=-1, required=True, metavar="POINT POINT")
@click.option("--through", required=True, metavar="MODEL", help="A known NAT's name, NAME:word=value,..., or a model file (TOML).")
@TABLE
@FORMAT
@WRITE
@LIMIT
@VIA
@SELECT
def diff(
    points: tuple[str, ...],
    through: str,
    table: str | None,
    style: str,
    write: str | None,
    limit: int,
    via: str | None,
    selection: Selection,
) -> None:
    """Play what entered through a model of a NAT, and compare with what came out.

    MODEL may also be what a running NAT says of its rules: a file with the output of `nft -j list ruleset`, of iptables-save, or of
    Get-NetNat, Get-NetNatStaticMapping and Get-NetNatExternalAddress as JSON; FILE:word=value,... changes what it does not say.

    \b
    Examples:
      pcapnat diff inside.pcap outside.pcap --through linux-masquerade
      pcapnat diff inside.pcap outside.pcap --through winnat:ports=1024-2047,udp_idle=30 --format json
      pcapnat diff inside.pcap outside.pcap --through ruleset.json:udp_idle=10 --table conntrack.txt
    """
    from .. import pipeline, report
    from ..config import chosen, session_table

    behavior, known, told = chosen(through), session_table(table) if table else None, Progress()
    found = pipeline.diff([replace(p, via=via, selection=selection) for p in parse_points(points)], behavior, told.say, told, known)
    told.done()
    put(report.diff_json(found) if style == "json" else report.terminal(report.diff_sections(found, limit), coloured(write)), write)


@click.command()
@click.argument("point")
@click.option("--through", required=True, multiple=True, metavar="MODEL", help="As for diff and replay; once for each model.")
@FORMAT
@WRITE
@VIA
@SELECT
def whatif(point: str, through: tuple[str, ...], style: str, write: str | None, via: str | None, selection: Selection) -> None:
    """Lay models of NATs beside one another: what of an inside capture would fail, and the ports needed at the peak.

    \b
    Example:
      pcapnat whatif inside.pcap --through winnat --through linux-masquerade:ports=1024-2047,udp_idle=30
    """
    from .. import pipeline, report
    from ..config import chosen

    models, told = [(said, chosen(said)) for said in dict.fromkeys(through)], Progress()
    found = pipeline.suppose(replace(parse_points((point,))[0], via=via, selection=selection), models, told.say, told)
    told.done()
    put(report.whatif_json(found) if style == "json" else report.terminal(report.whatif_sections(found), coloured(write)), write)
