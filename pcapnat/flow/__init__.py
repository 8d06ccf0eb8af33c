"""flow: frames that belong together: conversations, sockets, and which conversation here is which there.

May use wire and below, and numpy. Touches nothing. Never knows what a NAT is: it sees the ports of a box.
"""

from .conversation import Conversations, Tracker, protocol_name
from .cross import Crossing, Matches, cross
from .fingerprint import By
from .observe import observe
from .port import Port
from .socket import Sockets, heard, sockets

__all__ = [
    "By",
    "Conversations",
    "Crossing",
    "Matches",
    "Port",
    "Sockets",
    "Tracker",
    "cross",
    "heard",
    "observe",
    "protocol_name",
    "sockets",
]
