"""Commands about one capture: info, conversations, sockets, show."""

from __future__ import annotations

import click

from ..terms import Selection
from .options import FORMAT, LIMIT, SELECT, VIA, WRITE, parse_frames
from .output import Progress, coloured, put


@click.command()
@click.argument("file")
@FORMAT
@WRITE
@VIA
def info(file: str, style: str, write: str | None, via: str | None) -> None:
    """Say what a capture file is: format, frames, times, interfaces, damage.

    \b
    Example:
      pcapnat info capture.pcapng --format json
    """
    from .. import reading, report

    told = Progress()
    capture = reading.inspect(file, told.say, told, via)
    told.done()
    put(report.info_json(capture) if style == "json" else report.terminal(report.info_sections(capture), coloured(write)), write)


@click.command()
@click.argument("file")
@FORMAT
@WRITE
@LIMIT
@VIA
@SELECT
def conversations(file: str, style: str, write: str | None, limit: int, via: str | None, selection: Selection) -> None:
    """List the conversations of one capture, numbered as Wireshark numbers its streams.

    \b
    Example:
      pcapnat conversations capture.pcapng --limit 0
    """
    from .. import reading, report

    told = Progress()
    capture, found, speech = reading.conversations(file, told.say, told, via, selection)
    told.done()
    put(
        report.conversations_pieces(found, file, capture.problems, capture.notes, speech)
        if style == "json"
        else report.terminal(report.conversation_sections(found, capture.problems, limit, speech=speech), coloured(write)),
        write,
    )


@click.command()
@click.argument("file")
@FORMAT
@WRITE
@LIMIT
@VIA
@SELECT
def sockets(file: str, style: str, write: str | None, limit: int, via: str | None, selection: Selection) -> None:
    """List the sockets of one capture: who listens, and who connects from which ports.

    \b
    Example:
      pcapnat sockets capture.pcap
    """
    from .. import flow, reading, report

    told = Progress()
    capture, found, speech = reading.conversations(file, told.say, told, via, selection)
    told.done()
    ends, heard = flow.sockets(found), flow.heard(found, speech.topics)
    put(
        report.sockets_json(ends, file, capture.problems, capture.notes, heard)
        if style == "json"
        else report.terminal(report.socket_sections(ends, capture.problems, limit, heard), coloured(write)),
        write,
    )


@click.command()
@click.argument("file")
@click.argument("frames", nargs=-1, required=True, metavar="FRAME...")
@click.option("--witness", is_flag=True, help="Lay it beside what dpkt and tshark read, field by field.")
@click.option("--bytes", "size", type=click.IntRange(min=0), default=128, show_default=True, help="Bytes of each frame to dump.")
@FORMAT
@WRITE
@VIA
def show(file: str, frames: tuple[str, ...], witness: bool, size: int, style: str, write: str | None, via: str | None) -> None:
    """Print single frames as they are read: columns, marks, tunnels, checksums, conversation, bytes.

    FRAME is a number as Wireshark counts, from 1, or a range of them (5-9).

    \b
    Examples:
      pcapnat show capture.pcapng 7
      pcapnat show capture.pcapng 1-3 250 --witness
    """
    from .. import reading, report

    told = Progress()
    found = reading.show(file, parse_frames(frames), told.say, told, via, witness)
    told.done()
    put(report.show_json(found, size) if style == "json" else report.terminal(report.frame_sections(found, size), coloured(write)), write)
