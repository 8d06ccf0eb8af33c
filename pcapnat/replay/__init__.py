"""replay: a model plays the part of the box, and what it says is compared with what was seen.

May use model and below, and numpy. Touches nothing, but for two files that read a capture again: write.py writes the expected one,
send.py sends its frames on an interface and alone has a socket and a clock.
"""

from .compare import Cause, Difference, Kind, Replay, replay
from .entered import Entered, completed, entered
from .expected import Expected, expected
from .forecast import Forecast, forecast
from .outside import forecast_outside, is_outside
from .trace import Step, Trace, trace
from .whatif import Failure, Peak, WhatIf, whatif
from .write import Written, write_expected

__all__ = [
    "Cause",
    "Difference",
    "Entered",
    "Expected",
    "Failure",
    "Forecast",
    "Kind",
    "Peak",
    "Replay",
    "Step",
    "Trace",
    "WhatIf",
    "Written",
    "completed",
    "entered",
    "expected",
    "forecast",
    "forecast_outside",
    "is_outside",
    "replay",
    "trace",
    "whatif",
    "write_expected",
]
