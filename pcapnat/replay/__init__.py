"""replay: a model plays the part of the box, and what it says is compared with what was seen.

May use model and below, and numpy. Touches nothing: no file, no interface, no clock.
"""

from .compare import Cause, Difference, Kind, Replay, replay
from .entered import Entered, completed, entered
from .forecast import Forecast, forecast

__all__ = ["Cause", "Difference", "Entered", "Forecast", "Kind", "Replay", "completed", "entered", "forecast", "replay"]
