"""nat: what a NAT did: translations, mappings, the ports it used.

May use flow and below, and numpy. Touches nothing. Never reads a clock, draws a random number or prints.
"""

from .hostports import HostPorts, host_ports
from .hosts import Behind, hosts_behind
from .inference import Inferred, infer
from .inferred import Modelled, modelled
from .mapping import Mappings, PortUse, mappings, port_use
from .portload import Collisions, PortLoad, collisions, port_load
from .presence import Presence, double_nat, presence
from .session import sessions
from .translation import KINDS, Translations, box_kind, leaks, translations, turned

__all__ = [
    "KINDS",
    "Behind",
    "Collisions",
    "HostPorts",
    "Inferred",
    "Modelled",
    "Mappings",
    "PortLoad",
    "PortUse",
    "Presence",
    "Translations",
    "box_kind",
    "collisions",
    "double_nat",
    "host_ports",
    "hosts_behind",
    "infer",
    "leaks",
    "mappings",
    "modelled",
    "port_load",
    "port_use",
    "presence",
    "sessions",
    "translations",
    "turned",
]
