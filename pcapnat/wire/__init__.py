"""wire: bytes and their meaning. Capture files become Packets, one row per frame; strange bytes become marks.

May use kernel, table, terms and numpy; zstandard and lz4 to unpack, dpkt as a witness. Touches capture files, reading only:
pcapng_write.py alone makes one, via.py alone starts a program, tshark. Never judges: a strange packet is a mark.
"""

from .ahead import batches_ahead
from .capture import Capture, Interface
from .checksum import Checksum, State, checksums, meaning
from .choose import Chosen, choose
from .emit import DamagedError, Ends, as_ipv4, changed, network_at
from .link import LINKS
from .marks import MARKS, marks
from .notes import drop_lines
from .packets import Flag, Frames, Outer, Packets, Quoted
from .pcapng_write import PcapngWriter
from .reader import Batch, Glance, Progress, Store, batches, glance, keep_pace, key_limit, read, selector
from .select import Meant, leave_out
from .single import Header, Single, Tag, single
from .tunnel import Tunnel
from .view import Agree, Row, View, compared, mac, own_view
from .windows import Direction, PacketFacts, Texts
from .witness import Witnesses, witnesses

__all__ = [
    "LINKS",
    "MARKS",
    "Agree",
    "Batch",
    "Capture",
    "Checksum",
    "Chosen",
    "Direction",
    "Flag",
    "Frames",
    "Glance",
    "Interface",
    "Outer",
    "PacketFacts",
    "Packets",
    "Meant",
    "Progress",
    "Quoted",
    "Row",
    "Single",
    "State",
    "Store",
    "Tag",
    "Texts",
    "DamagedError",
    "Ends",
    "Header",
    "PcapngWriter",
    "as_ipv4",
    "changed",
    "network_at",
    "Tunnel",
    "View",
    "Witnesses",
    "batches",
    "batches_ahead",
    "checksums",
    "compared",
    "choose",
    "drop_lines",
    "glance",
    "keep_pace",
    "key_limit",
    "mac",
    "marks",
    "meaning",
    "own_view",
    "read",
    "single",
    "witnesses",
    "leave_out",
    "selector",
]
