"""nat: what a NAT did: translations, mappings, the ports it used.

May use flow and below, and numpy. Touches nothing. Never reads a clock, draws a random number or prints.
"""

from .case import Verdict
from .conformance import Judged, conformance
from .hostports import HostPorts, host_ports
from .hosts import Behind, hosts_behind
from .inference import Inferred, infer
from .inferred import Modelled, modelled
from .likely import Likely, Ranked, likely
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
    "Judged",
    "Modelled",
    "Likely",
    "Mappings",
    "PortLoad",
    "PortUse",
    "Presence",
    "Ranked",
    "Translations",
    "Verdict",
    "box_kind",
    "collisions",
    "double_nat",
    "host_ports",
    "hosts_behind",
    "conformance",
    "infer",
    "leaks",
    "likely",
    "mappings",
    "modelled",
    "port_load",
    "port_use",
    "presence",
    "sessions",
    "translations",
    "turned",
]
