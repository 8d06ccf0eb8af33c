"""Back to configuration: export, and the model file that analyze writes beside its answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from ..terms import PcapnatError, Selection
from .options import SELECT, VIA, WRITE, parse_points
from .output import Progress, put

WRITE_MODEL = click.option(
    "--write-model",
    "write_model",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Also write the inferred NAT as a model file (TOML), for diff and replay; several NATs get FILE's name with numbers.",
)


@click.command()
@click.argument("points", nargs=-1, required=True, metavar="POINT...")
@click.option("--as", "language", type=click.Choice(["nft", "iptables", "powershell", "model"]), required=True, help="The language.")
@click.option("--box", type=click.IntRange(min=1), metavar="N", help="Which NAT, from 1, if there are several.")
@WRITE
@VIA
@SELECT
def export(points: tuple[str, ...], language: str, box: int | None, write: str | None, via: str | None, selection: Selection) -> None:
    """Write what was found about a NAT as rules that would do the same.

    What the language cannot say, and what these captures do not tell, stands in comments.

    \b
    Examples:
      pcapnat export inside.pcap outside.pcap --as nft --write nat.nft
      pcapnat export inside.pcap outside.pcap --as powershell
    """
    from .. import pipeline

    told = Progress()
    analysis = pipeline.analyze([replace(p, via=via, selection=selection) for p in parse_points(points)], told.say, told)
    told.done()
    found = pipeline.configured(analysis, language)
    if not found:
        raise PcapnatError("no NAT was found between these points")
    if box is None and len(found) > 1:
        raise PcapnatError(f"there are {len(found)} NATs between these points: choose one with --box")
    if box is not None and box > len(found):
        raise PcapnatError(f"--box {box}: there {'is one NAT' if len(found) == 1 else f'are {len(found)} NATs'} between these points")
    put(found[(box or 1) - 1], write)


def put_models(found: list[str], file: str) -> None:
    """A model file for each NAT: FILE, or FILE with a number before its ending."""
    if not found:
        raise PcapnatError(f"{file}: no NAT was found, so there is no model to write")
    path = Path(file)
    for k, text in enumerate(found, 1):
        put(text, file if len(found) == 1 else str(path.with_name(f"{path.stem}-{k}{path.suffix}")))
