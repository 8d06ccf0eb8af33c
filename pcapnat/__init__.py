"""pcapnat: what a NAT or a virtual switch did, from packet captures taken on both sides of it.

The rooms, from the top; imports go down only:

    cli          commands: parse, one library call, print
    pipeline     the rooms in order
    reading      the rooms in order, for one capture by itself
    report       an Analysis becomes text
    analysis     the record of everything known about the boxes
    replay       a model plays the part of the box, and what it says is compared with what was seen
    model        what a NAT with a given behavior does with each frame
    config       what a running NAT says of itself: rules become a behavior, tables the truth
    export       a NAT's behavior as configuration that would do the same
    nat          what a NAT did: translations, mappings, ports
    flow         frames that belong together: conversations, sockets, crossing a box
    message      what frames say: link events, names, what a conversation really speaks
    wire         bytes and their meaning: capture files become columns
    terms        the dictionary
    address  ports  table  kernel     what everything stands on
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "CaptureError",
    "Crossing",
    "NatBehavior",
    "NatModel",
    "PcapnatError",
    "Point",
    "Port",
    "Selection",
    "analyze",
    "conversations",
    "cross",
    "mappings",
    "observe",
    "preset",
    "read",
    "show",
    "sockets",
    "translations",
]

_WHERE = {
    "Analysis": "analysis",
    "CaptureError": "terms",
    "Crossing": "flow",
    "NatBehavior": "nat.behavior",
    "NatModel": "model",
    "PcapnatError": "terms",
    "Point": "terms",
    "Port": "flow",
    "Selection": "terms",
    "analyze": "pipeline",
    "conversations": "reading",
    "cross": "flow",
    "mappings": "nat",
    "observe": "flow",
    "preset": "nat.presets",
    "read": "wire",
    "show": "reading",
    "sockets": "flow",
    "translations": "nat",
}


def __getattr__(name: str) -> Any:
    # Names are fetched when used: `pcapnat --help` must not import NumPy.
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f".{_WHERE[name]}", __name__), name)
    raise AttributeError(f"module 'pcapnat' has no attribute {name!r}")
