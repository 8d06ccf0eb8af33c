"""The command line: parse, one library call, print. Nothing is computed here, and nothing heavy imported before it is needed."""

from __future__ import annotations

import gc
import os
import sys

import click

from .. import __version__
from ..terms import PcapnatError, printable
from . import crossing, exporting, following, modelled, reading, replaying, requirements
from .options import MOST_FRAMES, parse_frames, parse_points
from .output import forget_output

__all__ = ["MOST_FRAMES", "cli", "main", "parse_frames", "parse_points"]

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=SETTINGS, invoke_without_command=True)
@click.version_option(__version__, prog_name="pcapnat")
@click.pass_context
def cli(context: click.Context) -> None:
    """Tell what a NAT did, from packet captures taken on both sides of it.

    \b
    Start here:
      pcapnat demo
      pcapnat analyze inside.pcap outside.pcap
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _command in (
    crossing.analyze,
    reading.conversations,
    reading.sockets,
    reading.info,
    reading.show,
    modelled.models,
    modelled.diff,
    replaying.replay,
    modelled.whatif,
    following.trace,
    exporting.export,
    requirements.requirements,
    crossing.demo,
):
    cli.add_command(_command)


def main() -> None:
    """Entry point: 0 nothing found, 1 a diagnosis, 2 could not run, with one line and no traceback for what a user can cause."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's threads for matrices, of which there are none, spin for 0.1 s
    gc.disable()  # one answer and the end: looking for garbage in between costs a tenth of the time and finds none
    sys.exit(_status())


def _status() -> int:
    try:
        return int(cli.main(prog_name="pcapnat", standalone_mode=False) or 0)
    except (PcapnatError, click.ClickException) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo(f"pcapnat: {printable(text)}", err=True)
        return 2
    except MemoryError:
        click.echo("pcapnat: not enough memory for this capture", err=True)
        return 2
    except BrokenPipeError:  # the reader of our output (head, less) went away
        forget_output()
        return 0
    except (click.Abort, KeyboardInterrupt):
        return 130
