"""nat: what a NAT did: translations, mappings, the ports it used.

May use flow and below, and numpy. Touches nothing. Never reads a clock, draws a random number or prints.
"""

from .case import Verdict
from .conformance import Judged, conformance
from .inference import Inferred, infer
from .inferred import Modelled, modelled
from .likely import Likely, Ranked, likely
from .mapping import Mappings, PortUse, mappings, port_use
from .translation import KINDS, Translations, box_kind, leaks, translations, turned

__all__ = [
    "KINDS",
    "Inferred",
    "Judged",
    "Modelled",
    "Likely",
    "Mappings",
    "PortUse",
    "Ranked",
    "Translations",
    "Verdict",
    "box_kind",
    "conformance",
    "infer",
    "leaks",
    "likely",
    "mappings",
    "modelled",
    "port_use",
    "translations",
    "turned",
]
