"""wire: bytes and their meaning. Capture files become Packets, one row per frame; strange bytes become marks.

May use kernel, table, terms and numpy. Touches capture files, reading only. Never judges: a strange packet is a mark.
"""

from .capture import Capture, Interface
from .link import LINKS
from .packets import Flag, Frames, Outer, Packets, Quoted
from .reader import Batch, Glance, Progress, batches, glance, key_limit, read
from .tunnel import Tunnel

__all__ = [
    "LINKS",
    "Batch",
    "Capture",
    "Flag",
    "Frames",
    "Glance",
    "Interface",
    "Outer",
    "Packets",
    "Progress",
    "Quoted",
    "Tunnel",
    "batches",
    "glance",
    "key_limit",
    "read",
]
