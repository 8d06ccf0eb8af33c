"""flow: frames that belong together: conversations, sockets, and which conversation here is which there.

May use wire and below, and numpy. Touches nothing. Never knows what a NAT is: it sees the ports of a box.
"""

from .conversation import Conversations, Tracker, protocol_name
from .cross import Crossing, Matches, cross
from .delay import Delay, delays
from .fingerprint import By
from .frames import FramePairs, How
from .observe import observe
from .path import Paths, paths
from .pick import Membership, Picked, batch_rows, pick
from .port import Port
from .selected import tracker_for
from .shown import Show, Shown
from .socket import Sockets, heard, sockets
from .split import split

__all__ = [
    "By",
    "Conversations",
    "Crossing",
    "Delay",
    "FramePairs",
    "How",
    "Matches",
    "Membership",
    "Paths",
    "Picked",
    "Port",
    "Show",
    "Shown",
    "Sockets",
    "Tracker",
    "batch_rows",
    "cross",
    "delays",
    "heard",
    "observe",
    "paths",
    "pick",
    "protocol_name",
    "sockets",
    "split",
    "tracker_for",
]
