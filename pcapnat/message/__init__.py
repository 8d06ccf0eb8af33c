"""message: what frames say: ARP, DHCP, NDP, STP and LLDP as link events, names from DNS, what a conversation really speaks.

May use wire and below, numpy, and dpkt to take messages apart. Touches nothing, looks nothing up. Only frames picked by
their first bytes are read; everything read is a claim of whoever sent it.
"""

from .excerpt import Excerpts, Picked, Picker
from .topic import Topic

__all__ = ["Excerpts", "Picked", "Picker", "Topic"]
