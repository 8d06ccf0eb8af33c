"""message: what frames say: ARP, DHCP, NDP, STP and LLDP as link events, names from DNS, what a conversation really speaks.

May use wire and below, numpy, and dpkt to take messages apart. Touches nothing, looks nothing up. Only frames picked by
their first bytes are read; everything read is a claim of whoever sent it.
"""

from .carried import Carried, What
from .event import EventKind, LinkEvents
from .excerpt import Collected, Excerpts
from .messages import Messages, messages
from .name import DnsQueries, Names, Source
from .picker import Picker
from .speech import Application, Speech
from .topic import Topic

__all__ = [
    "Application",
    "Carried",
    "DnsQueries",
    "EventKind",
    "Excerpts",
    "LinkEvents",
    "Messages",
    "Names",
    "Collected",
    "Picker",
    "Source",
    "Speech",
    "Topic",
    "What",
    "messages",
]
