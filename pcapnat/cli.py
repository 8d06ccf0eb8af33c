"""The command line: parse, one library call, print. Nothing is computed here, and nothing heavy imported before it is needed."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import reduce, wraps
from pathlib import Path
from typing import Any

import click

from . import __version__
from .terms import PcapnatError, Point, Selection, printable

FORMAT = click.option(
    "--format", "style", type=click.Choice(["terminal", "json"]), default="terminal", show_default=True, help="What to print."
)
WRITE = click.option("--write", type=click.Path(dir_okay=False), metavar="FILE", help="Write the answer to FILE instead of the terminal.")
LIMIT = click.option(
    "--limit", type=click.IntRange(min=0), default=40, show_default=True, help="Rows of a table on the terminal; 0 for all."
)
VIA = click.option("--via", type=click.Choice(["tshark"]), help="Have tshark read the file (by itself only for formats we do not read).")
_SELECT = (
    click.option("-f", "--filter", metavar="EXPR", help="Only frames that this pcap-filter (tcpdump's) accepts."),
    click.option("-Y", "--display-filter", "display", metavar="EXPR", help="Only frames that this filter of Wireshark shows (by tshark)."),
    click.option("-c", "--count", "first", type=click.IntRange(min=1), metavar="N", help="Only the first N frames of each file."),
    click.option("--from", "since", metavar="TIME", help="Only frames from TIME on: ISO 8601, seconds since 1970, or +1.5, +2m."),
    click.option("--to", "until", metavar="TIME", help="Only frames before TIME; + counts from a file's first frame."),
)
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


def SELECT(command: Callable[..., None]) -> Callable[..., None]:  # noqa: N802 (a decorator like those above)
    """The options that choose frames, given to the command as one `selection`."""

    @wraps(command)
    def selecting(**given: Any) -> None:
        command(selection=Selection(**{name: given.pop(name) for name in ("filter", "display", "first", "since", "until")}), **given)

    return reduce(lambda wrapped, option: option(wrapped), reversed(_SELECT), selecting)


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


@cli.command()
@click.argument("points", nargs=-1, required=True, metavar="POINT...")
@FORMAT
@WRITE
@LIMIT
@VIA
@SELECT
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note", "never"]),
    default="error",
    show_default=True,
    help="Exit with status 1 if a diagnosis is at least this severe.",
)
def analyze(
    points: tuple[str, ...], style: str, write: str | None, limit: int, via: str | None, fail_on: str, selection: Selection
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
    """
    from . import pipeline, report

    told = _Progress()
    analysis = pipeline.analyze([replace(p, via=via, selection=selection) for p in parse_points(points)], told.say, told)
    told.done()
    _print(
        report.analysis_json(analysis) if style == "json" else report.terminal(report.analysis_sections(analysis, limit), _colour(write)),
        write,
    )


@cli.command()
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
    from . import pipeline, report

    told = _Progress()
    capture, found, speech = pipeline.conversations(file, told.say, told, via, selection)
    told.done()
    _print(
        report.conversations_json(found, file, capture.problems, capture.notes, speech)
        if style == "json"
        else report.terminal(report.conversation_sections(found, capture.problems, limit, speech=speech), _colour(write)),
        write,
    )


@cli.command()
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
    from . import flow, pipeline, report

    told = _Progress()
    capture, found, speech = pipeline.conversations(file, told.say, told, via, selection)
    told.done()
    ends, heard = flow.sockets(found), flow.heard(found, speech.topics)
    _print(
        report.sockets_json(ends, file, capture.problems, capture.notes, heard)
        if style == "json"
        else report.terminal(report.socket_sections(ends, capture.problems, limit, heard), _colour(write)),
        write,
    )


@cli.command()
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
    from . import pipeline, report

    told = _Progress()
    capture = pipeline.inspect(file, told.say, told, via)
    told.done()
    _print(report.info_json(capture) if style == "json" else report.terminal(report.info_sections(capture), _colour(write)), write)


@cli.command()
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
    from . import pipeline, report

    told = _Progress()
    found = pipeline.show(file, parse_frames(frames), told.say, told, via, witness)
    told.done()
    _print(report.show_json(found, size) if style == "json" else report.terminal(report.frame_sections(found, size), _colour(write)), write)


@cli.command()
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
    from . import report
    from .nat.presets import PRESETS, preset

    chosen = [preset(name)] if name else list(PRESETS.values())
    sections = report.model_sections(chosen[0]) if name else report.models_sections(chosen)
    _print(report.models_json(chosen) if style == "json" else report.terminal(sections, _colour(write)), write)


@cli.command()
@click.argument("points", nargs=-1, required=True, metavar="POINT POINT")
@click.option("--through", required=True, metavar="MODEL", help="A known NAT's name, NAME:word=value,..., or a model file (TOML).")
@FORMAT
@WRITE
@LIMIT
@VIA
@SELECT
def diff(points: tuple[str, ...], through: str, style: str, write: str | None, limit: int, via: str | None, selection: Selection) -> None:
    """Play what entered through a model of a NAT, and compare with what came out.

    \b
    Examples:
      pcapnat diff inside.pcap outside.pcap --through linux-masquerade
      pcapnat diff inside.pcap outside.pcap --through winnat:ports=1024-2047,udp_idle=30 --format json
    """
    from . import pipeline, report
    from .nat.chosen import chosen

    behavior, told = chosen(through), _Progress()
    found = pipeline.diff([replace(p, via=via, selection=selection) for p in parse_points(points)], behavior, told.say, told)
    told.done()
    _print(report.diff_json(found) if style == "json" else report.terminal(report.diff_sections(found, limit), _colour(write)), write)


@cli.command()
@click.argument("point")
@click.option("--through", required=True, metavar="MODEL", help="A known NAT's name, NAME:word=value,..., or a model file (TOML).")
@FORMAT
@LIMIT
@VIA
@SELECT
def replay(point: str, through: str, style: str, limit: int, via: str | None, selection: Selection) -> None:
    """Say what a NAT would do with the traffic of one capture, taken inside of it.

    \b
    Example:
      pcapnat replay inside.pcap --through linux-masquerade:ports=1024-2047
    """
    from . import pipeline, report
    from .nat.chosen import chosen

    behavior, told = chosen(through), _Progress()
    found = pipeline.foresee(replace(parse_points((point,))[0], via=via, selection=selection), behavior, told.say, told)
    told.done()
    _print(report.forecast_json(found) if style == "json" else report.terminal(report.forecast_sections(found, limit), _colour(None)), None)


@cli.command()
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
    here = Path(__file__).parent
    for folder in (here / "demo", here.parent / "captures" / "demo"):
        if (folder / "inside.pcap").exists():
            return folder
    raise PcapnatError("the bundled captures are missing from this installation")


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
        if not sign or not file or Path(rest).exists():
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
    return ("", argument) if not sign or not name or "/" in name or Path(argument).exists() else (name, rest)


class _Progress:
    """Bytes read, shown on a terminal's standard error once a second has passed."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.shown = 0.0
        self.visible = sys.stderr is not None and sys.stderr.isatty()

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if self.visible and now - self.start > 1 and now - self.shown > 0.1:
            self.shown = now
            share = f"{100 * done // total:3d} %" if total else ""
            click.echo(f"\rreading {done / 1e6:,.0f} MB {share} ", err=True, nl=False)

    def say(self, line: str) -> None:
        click.echo(f"pcapnat: {printable(line)}", err=True)

    def done(self) -> None:
        if self.shown:
            click.echo("\r\x1b[K", err=True, nl=False)


def _colour(write: str | None) -> bool:
    return (
        not write and sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def _print(text: str, write: str | None) -> None:
    if write:
        try:
            Path(write).write_text(text, encoding="utf-8")
        except OSError as error:
            raise PcapnatError(f"{write}: {(error.strerror or str(error)).lower()}") from None
        return
    if sys.stdout is None:
        raise PcapnatError("standard output is closed")
    try:
        # Bytes, not text: a console that cannot encode an arrow must not stop the answer.
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:  # a full disk, say
        _forget_output()
        raise PcapnatError(f"standard output: {(error.strerror or str(error)).lower()}") from None


def _forget_output() -> None:
    """What could not be written is not tried again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
        _forget_output()
        return 0
    except (click.Abort, KeyboardInterrupt):
        return 130


if __name__ == "__main__":
    main()
