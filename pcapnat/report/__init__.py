"""report: what is known becomes text. Returns strings, writes nothing, decides nothing.

May use analysis and below; tabulate in `terminal.py` only.
"""

from .boxes import analysis_sections
from .content import conversation_sections, info_sections, socket_sections
from .forecastpage import forecast_json, forecast_sections, sent_json, sent_sections
from .frame import frame_sections
from .framejson import show_json
from .jsonfile import analysis_json, conversations_json, info_json, sockets_json
from .models import model_sections, models_json, models_sections
from .replayjson import diff_json, replay_json
from .replaytext import diff_sections, replay_section
from .requirementpage import requirement_sections, requirements_json
from .terminal import terminal
from .tracepage import trace_json, trace_sections
from .whatifpage import whatif_json, whatif_sections
from .words import Section

__all__ = [
    "Section",
    "analysis_json",
    "analysis_sections",
    "conversation_sections",
    "conversations_json",
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
