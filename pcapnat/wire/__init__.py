"""wire: bytes and their meaning. Capture files become Packets, one row per frame; strange bytes become marks.

May use kernel, table, terms and numpy; zstandard and lz4 to unpack. Touches capture files, reading only; via.py alone starts
a program, tshark. Never judges: a strange packet is a mark.
"""

from .capture import Capture, Interface
from .link import LINKS
from .packets import Flag, Frames, Packets, Quoted
from .reader import Batch, Glance, Progress, batches, glance, keep_pace, key_limit, read

__all__ = [
    "LINKS",
    "Batch",
    "Capture",
    "Flag",
    "Frames",
    "Glance",
    "Interface",
    "Packets",
    "Progress",
    "Quoted",
    "batches",
    "glance",
    "keep_pace",
    "key_limit",
    "read",
]
