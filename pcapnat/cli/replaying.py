"""The command that plays one capture: through a model (replay), or onto a real interface (replay --send)."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from ..terms import PcapnatError, Selection
from .options import FORMAT, LIMIT, SELECT, VIA, parse_points
from .output import Progress, coloured, put


@click.command()
@click.argument("point")
@click.option("--through", metavar="MODEL", help="A known NAT's name, NAME:word=value,..., or a model file (TOML).")
@FORMAT
@click.option("--write", type=click.Path(dir_okay=False), metavar="OUT.pcapng", help="Write the expected capture, inside and outside.")
@click.option("--from-side", "side", type=click.Choice(["inside", "outside"]), help="Where the capture was taken, if that is not plain.")
@click.option("--send", metavar="INTERFACE", help="Instead, put the frames from inside on a real interface, with their timing (Linux).")
@click.option("--send-to", "to", metavar="MAC", help="Whose they are: the NAT's address there; else that of the interface's gateway.")
@click.option("--yes", is_flag=True, help="Send without asking.")
@LIMIT
@VIA
@SELECT
def replay(
    point: str,
    through: str | None,
    style: str,
    write: str | None,
    side: str | None,
    send: str | None,
    to: str | None,
    yes: bool,
    limit: int,
    via: str | None,
    selection: Selection,
) -> None:
    """Say what a NAT would do with the traffic of one capture, taken inside of it, and write the capture to expect.

    Of a capture taken outside: what it would let in. With --send nothing is forecast: a real NAT is to take the frames.

    \b
    Examples:
      pcapnat replay inside.pcap --through linux-masquerade:ports=1024-2047
      pcapnat replay inside.pcap --through winnat --write expected.pcapng
      pcapnat replay inside.pcap --send eth1 --send-to 02:00:00:00:00:01
    """
    from .. import pipeline, report
    from ..config import chosen

    if not through and not send:
        raise PcapnatError("replay needs --through MODEL, or --send INTERFACE")
    if send and (write or side):
        raise PcapnatError("--send puts frames on an interface; what --write and --from-side say is for a model alone")
    if not send and (to or yes):
        raise PcapnatError("--send-to and --yes are for --send INTERFACE")
    behavior, told = chosen(through) if through else None, Progress()
    meant = replace(parse_points((point,))[0], via=via, selection=selection)
    if send:
        sent = pipeline.live(meant, send, to, behavior.inside if behavior else (), lambda what: yes or _asked(what), told.say, told)
        told.done()
        if sent is None:
            raise click.Abort
        put(report.sent_json(sent) if style == "json" else report.terminal(report.sent_sections(sent), coloured(None)), None)
        return
    assert behavior is not None
    found = pipeline.foresee(meant, behavior, told.say, told, write, side)
    told.done()
    put(report.forecast_json(found) if style == "json" else report.terminal(report.forecast_sections(found, limit), coloured(None)), None)


def _asked(what: str) -> bool:
    """Whether the user at the terminal says yes."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise PcapnatError(f"nothing is sent without a yes: --yes would {what}")
    return click.confirm(f"{what[0].upper()}{what[1:]}?", err=True)
