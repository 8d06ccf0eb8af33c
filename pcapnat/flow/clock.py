"""How far one capture's clock is from another's, from frames seen at both."""

from __future__ import annotations

import numpy as np

from ..table import Array
from ..terms import Clock


def offset(here_ns: Array, there_ns: Array, outward: Array) -> Clock:
    """The clock there against the clock here.

    here_ns, there_ns: (n,) times of the same frames. outward: (n,) 1 if the frame went from here to there, -1 if it
    came, 0 if unknown. No frame arrives before it left, so with d = there - here the offset lies between the largest
    d of frames that came and the smallest d of frames that went; the middle is taken, and half the gap is the
    uncertainty (RFC 5905 section 8, the same four timestamps). With one direction only, delay cannot be told from
    offset: the smallest difference is taken and the uncertainty is unknown.
    """
    if not len(here_ns):
        return Clock(notes=["no frame is known at both points: the clocks cannot be compared"])
    d = (there_ns - here_ns).astype(np.int64)
    went, came = d[outward > 0], d[outward < 0]
    if len(went) and len(came):
        low, high = int(came.max()), int(went.min())
        if low <= high:
            return Clock((low + high) // 2, 0, (high - low + 1) // 2, len(d))
        # The bounds contradict each other: the clocks drift or were set. The middle of both directions' medians is
        # a fair single number, and the spread is what it may be wrong by.
        middle = (int(np.median(went)) + int(np.median(came))) // 2
        return Clock(middle, 0, int(np.ptp(d)), len(d), ["the clocks drift against each other or one was set during the capture"])
    return Clock(int(np.median(d)), 0, None, len(d), ["the direction of travel is known one way at most: the offset includes the delay"])
