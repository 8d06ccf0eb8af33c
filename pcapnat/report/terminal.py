"""Sections as plain text for a terminal: headings, lines, tables (tabulate). Colour only where asked for."""

from __future__ import annotations

from collections.abc import Iterable

from tabulate import tabulate

from ..terms import printable
from .words import Section

BOLD, RESET = "\x1b[1m", "\x1b[0m"


def terminal(sections: Iterable[Section], colour: bool = False) -> str:
    """The page, ending in a newline."""
    out = []
    for section in sections:
        title = printable(section.title)
        lines = [f"{BOLD}{title}{RESET}" if colour else title]
        lines += [f"  {printable(line)}" for line in section.lines]
        if section.rows:
            cells = [[printable(cell) for cell in row] for row in section.rows]
            headers = [printable(header) for header in section.headers]  # points are named by the user, and files by anyone
            table = tabulate(cells, headers, "simple", disable_numparse=True, colalign=section.align or None)
            lines += [f"  {line}".rstrip() for line in table.splitlines()]
        lines += [f"  {printable(line)}" for line in section.after]
        out.append("\n".join(lines))
    return "\n\n".join(out) + "\n"
