"""model: a box played by rules: what a NAT with a given behavior does with each frame that enters it.

May use nat, kernel, table, address and numpy. Touches nothing: no clock, no random number, no file. A frame is a row of
columns, a verdict too; packets are never changed.
"""

from .nat import NatModel, Session
from .reject import Answers, answers
from .segment import clamped
from .traffic import ERROR, NEITHER, NO_PORTS, PORTS, QUERY, REASONS, Choice, Disposition, Hint, Quotes, Reason, Side, Traffic, Verdicts

__all__ = [
    "ERROR",
    "NEITHER",
    "NO_PORTS",
    "PORTS",
    "QUERY",
    "REASONS",
    "Answers",
    "Choice",
    "Disposition",
    "Hint",
    "NatModel",
    "Quotes",
    "Reason",
    "Session",
    "Side",
    "Traffic",
    "Verdicts",
    "answers",
    "clamped",
]
