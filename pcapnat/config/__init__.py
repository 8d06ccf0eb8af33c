"""config: what a running NAT says of itself: its rules become a behavior, its table the truth that a capture is compared with.

May use nat and below. Reads the files that it is given and touches nothing else. Whatever is said and not modelled is listed.
"""

from .chosen import chosen
from .conntrack import Known, SessionTable, session_table
from .truth import Example, Kind, Truth, compared

__all__ = ["Example", "Kind", "Known", "SessionTable", "Truth", "chosen", "compared", "session_table"]
