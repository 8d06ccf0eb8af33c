"""export: a behavior as the configuration that would do the same: a model file, nft, iptables, PowerShell.

May use nat and below, and numpy. Returns text, touches nothing. Only addresses and numbers of captures go into it, never their
words; what a language cannot say is a comment in it.
"""

from .captured import LANGUAGES, captured
from .iptables import iptables
from .model import model_text
from .nft import nft
from .powershell import powershell
from .unsaid import Site, unknown

__all__ = ["LANGUAGES", "Site", "captured", "iptables", "model_text", "nft", "powershell", "unknown"]
