"""Where an answer goes: standard output or a file; progress and warnings to standard error."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import click

from ..terms import PcapnatError, printable


class Progress:
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
        """A warning, in a line of its own."""
        click.echo(f"pcapnat: {printable(line)}", err=True)

    def done(self) -> None:
        """Take away what was shown."""
        if self.shown:
            click.echo("\r\x1b[K", err=True, nl=False)


def coloured(write: str | None) -> bool:
    """Whether colour is wanted: a terminal that can, and no NO_COLOR."""
    return (
        not write and sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def put(answer: str | Iterable[str], write: str | None) -> None:
    """The answer, whole or in pieces, to a file or standard output; what cannot be written is a PcapnatError."""
    pieces = (answer,) if isinstance(answer, str) else answer
    if write:
        try:
            with Path(write).open("w", encoding="utf-8") as file:
                file.writelines(pieces)
        except OSError as error:
            raise PcapnatError(f"{write}: {(error.strerror or str(error)).lower()}") from None
        return
    if sys.stdout is None:
        raise PcapnatError("standard output is closed")
    try:
        # Bytes, not text: a console that cannot encode an arrow must not stop the answer.
        for piece in pieces:
            sys.stdout.buffer.write(piece.encode("utf-8"))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:  # a full disk, say
        forget_output()
        raise PcapnatError(f"standard output: {(error.strerror or str(error)).lower()}") from None


def forget_output() -> None:
    """What could not be written is not tried again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
