"""What a capture file tells besides its frames. All of it is bounded: a file may hold millions of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

MOST_COMMENTS, MOST_NAMES, MOST_TEXT, MOST_VERDICTS = 1_000, 10_000, 1_000, 100
"""Comments and addresses kept, characters of one text kept, kinds of verdict kept."""


@dataclass
class Facts:
    """comments: (frame number from 1, or None for one about the file or an interface; text), as written: not safe for a terminal.

    comment_count and name_count count all, kept or not. skipped: blocks that were stepped over, by kind.
    """

    sections: int = 0
    hardware: str | None = None
    system: str | None = None
    application: str | None = None
    comments: list[tuple[int | None, str]] = field(default_factory=list)
    comment_count: int = 0
    names: dict[str, list[str]] = field(default_factory=dict)
    name_count: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    skipped: dict[str, int] = field(default_factory=dict)

    def comment(self, frame: int | None, text: str) -> None:
        """Keep one comment, if there is room."""
        if len(self.comments) < MOST_COMMENTS:
            self.comments.append((frame, text))

    def name(self, address: str, names: list[str]) -> None:
        """Keep what an address is called, if there is room."""
        self.name_count += 1
        if address in self.names or len(self.names) < MOST_NAMES:
            known = self.names.setdefault(address, [])
            known += [n for n in names if n not in known and len(known) < 10]

    def verdict(self, name: str) -> None:
        """Count a verdict on a frame."""
        if name in self.verdicts or len(self.verdicts) < MOST_VERDICTS:
            self.verdicts[name] += 1


def text(value: bytes) -> str:
    """A text option: UTF-8, perhaps with zeros behind it, never longer than is kept."""
    return value[: 4 * MOST_TEXT].rstrip(b"\0").decode("utf-8", "replace")[:MOST_TEXT]
