"""replay: a model plays the part of the box, and what it says is compared with what was seen.

May use model and below, and numpy. Touches nothing: no file, no interface, no clock.
"""

from .compare import Cause, Difference, Kind, Replay, replay
from .entered import Entered, completed, entered

__all__ = ["Cause", "Difference", "Entered", "Kind", "Replay", "completed", "entered", "replay"]
