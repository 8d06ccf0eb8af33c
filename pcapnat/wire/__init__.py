"""wire: bytes and their meaning. Capture files become Packets, one row per frame; strange bytes become marks.

May use kernel, table, terms and numpy. Touches capture files, reading only. Never judges: a strange packet is a mark.
"""

from .capture import Capture, Interface
from .link import LINKS
from .packets import Flag, Frames, Packets, Quoted
from .reader import Batch, Glance, Progress, Store, batches, glance, key_limit, read
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
    "PacketFacts",
    "Packets",
    "Progress",
    "Quoted",
    "Store",
    "batches",
    "glance",
    "key_limit",
    "read",
]
