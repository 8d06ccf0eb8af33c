"""report: what is known becomes text. Returns strings, writes nothing, decides nothing.

May use analysis and below; tabulate in `terminal.py` only.
"""

from .boxes import analysis_sections
from .content import conversation_sections, info_sections, socket_sections
from .jsonfile import analysis_json, conversations_json, info_json, sockets_json
from .terminal import terminal
from .words import Section

__all__ = [
    "Section",
    "analysis_json",
    "analysis_sections",
    "conversation_sections",
    "conversations_json",
    "info_json",
    "info_sections",
    "socket_sections",
    "sockets_json",
    "terminal",
]
