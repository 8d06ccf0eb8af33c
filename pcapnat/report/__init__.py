"""report: what is known becomes text. Returns strings, writes nothing, decides nothing.

May use analysis and below; tabulate in `terminal.py` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .terminal import terminal
from .words import Section

if TYPE_CHECKING:
    from .boxes import analysis_sections
    from .content import conversation_sections, info_sections, socket_sections
    from .forecastpage import forecast_json, forecast_sections, sent_json, sent_sections
    from .frame import frame_sections
    from .framejson import show_json
    from .jsonfile import analysis_json, conversations_json, conversations_pieces, info_json, sockets_json
    from .models import model_sections, models_json, models_sections
    from .replayjson import diff_json, replay_json
    from .replaytext import diff_sections, replay_section
    from .requirementpage import requirement_sections, requirements_json
    from .tracepage import trace_json, trace_sections
    from .whatifpage import whatif_json, whatif_sections

__all__ = [
    "Section",
    "analysis_json",
    "analysis_sections",
    "conversation_sections",
    "conversations_json",
    "conversations_pieces",
    "diff_json",
    "diff_sections",
    "forecast_json",
    "forecast_sections",
    "frame_sections",
    "info_json",
    "info_sections",
    "model_sections",
    "models_json",
    "models_sections",
    "replay_json",
    "replay_section",
    "sent_json",
    "sent_sections",
    "requirement_sections",
    "requirements_json",
    "show_json",
    "socket_sections",
    "sockets_json",
    "terminal",
    "trace_json",
    "trace_sections",
    "whatif_json",
    "whatif_sections",
]

_WHERE = {
    "analysis_json": "jsonfile",
    "analysis_sections": "boxes",
    "conversation_sections": "content",
    "conversations_json": "jsonfile",
    "conversations_pieces": "jsonfile",
    "diff_json": "replayjson",
    "diff_sections": "replaytext",
    "forecast_json": "forecastpage",
    "forecast_sections": "forecastpage",
    "frame_sections": "frame",
    "info_json": "jsonfile",
    "info_sections": "content",
    "model_sections": "models",
    "models_json": "models",
    "models_sections": "models",
    "replay_json": "replayjson",
    "replay_section": "replaytext",
    "requirement_sections": "requirementpage",
    "requirements_json": "requirementpage",
    "sent_json": "forecastpage",
    "sent_sections": "forecastpage",
    "show_json": "framejson",
    "socket_sections": "content",
    "sockets_json": "jsonfile",
    "trace_json": "tracepage",
    "trace_sections": "tracepage",
    "whatif_json": "whatifpage",
    "whatif_sections": "whatifpage",
}


def __getattr__(name: str) -> Any:
    """Import a page when it is first asked for: one about a single capture needs none of the rooms that the others are about."""
    from importlib import import_module

    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)
