"""How a box behaves, in JSON: one finding a question."""

from __future__ import annotations

from typing import Any

from ..nat import Inferred
from ..terms import Finding


def finding(f: Finding[Any]) -> dict[str, Any]:
    """A finding as programs read it; value null means unknown."""
    return {"value": f.value, "support": f.support, "against": f.against, "note": f.note}


def behavior(inferred: Inferred) -> dict[str, Any]:
    """The `behavior` of a box."""
    return {name: finding(f) for name, f in inferred.findings().items()}
