"""wire: bytes and their meaning. Capture files become Packets, one row per frame; strange bytes become marks.

May use kernel, table, terms and numpy; zstandard and lz4 to unpack. Touches capture files, reading only; via.py alone starts
a program, tshark. Never judges: a strange packet is a mark.
"""

from .capture import Capture, Interface
from .choose import Chosen, choose
from .link import LINKS
from .notes import drop_lines
from .packets import Flag, Frames, Outer, Packets, Quoted
from .reader import Batch, Glance, Progress, Store, batches, glance, keep_pace, key_limit, read
from .tunnel import Tunnel
from .windows import Direction, PacketFacts, Texts

__all__ = [
    "LINKS",
    "Batch",
    "Capture",
    "Chosen",
    "Direction",
    "Flag",
    "Frames",
    "Glance",
    "Interface",
    "Outer",
    "PacketFacts",
    "Packets",
    "Progress",
    "Quoted",
    "Store",
    "Texts",
    "Tunnel",
    "batches",
    "choose",
    "drop_lines",
    "glance",
    "keep_pace",
    "key_limit",
    "read",
]
