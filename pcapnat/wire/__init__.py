"""wire: bytes and their meaning. Capture files become Packets, one row per frame; strange bytes become marks.

May use kernel, table, terms and numpy; zstandard and lz4 to unpack. Touches capture files, reading only; via.py alone starts
a program, tshark. Never judges: a strange packet is a mark.
"""

from .capture import Capture, Interface
from .link import LINKS
from .packets import Flag, Frames, Outer, Packets, Quoted
from .reader import Batch, Glance, Progress, Store, batches, glance, keep_pace, key_limit, read, selector
from .select import Picked, leave_out
from .tunnel import Tunnel
from .windows import Direction, PacketFacts

__all__ = [
    "LINKS",
    "Batch",
    "Capture",
    "Direction",
    "Flag",
    "Frames",
    "Glance",
    "Interface",
    "Outer",
    "PacketFacts",
    "Packets",
    "Picked",
    "Progress",
    "Quoted",
    "Store",
    "Tunnel",
    "batches",
    "glance",
    "keep_pace",
    "key_limit",
    "leave_out",
    "read",
    "selector",
]
