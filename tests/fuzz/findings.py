"""What fuzzing found, smallest form: (target, bytes in hexadecimal, what was wrong before it was fixed)."""
from __future__ import annotations

import gzip

import made_etl as me

FINDINGS: list[tuple[str, str, str]] = [
    ("gzip", gzip.compress(me.head() + me.buffer(me.system()), mtime=0).hex(), "a trace log in a compressed file: AttributeError"),
]
