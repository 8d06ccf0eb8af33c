"""Our reading of a folder of captures beside dpkt's and tshark's: python tests/wire/corpus_witness.py FOLDER [FRAMES] [PART]

The first FRAMES (5) frames of every file that we read; PART: only paths that hold it. Prints each field on which somebody differs, and
the counts; exits with 1 if a file raises anything but a CaptureError.
"""
from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from pcapnat import reading
from pcapnat.terms import CaptureError
from pcapnat.wire import Agree, Flag


def main(folder: str, frames: int, part: str) -> int:
    """Compare every file; 0 if none misbehaves (differences are told, not judged)."""
    tally: Counter[str] = Counter()
    bad = 0
    for path in sorted(p for p in Path(folder).rglob("*") if p.is_file() and part in str(p)):
        name = path.relative_to(folder)
        try:
            there = min(frames, reading.inspect(str(path)).frames)
            if not there:
                continue
            told = reading.show(str(path), list(range(1, there + 1)), witness=True)
        except CaptureError:
            tally["files refused"] += 1
            continue
        except Exception as error:
            print(f"{name}: RAISED {type(error).__name__}: {error}", flush=True)
            bad += 1
            continue
        tally["files"] += 1
        for who, why in told.absent.items():
            tally[f"files without {who}"] += 1
            print(f"{name}: {who} {why}", flush=True)
        for one in told.frames:
            tally["frames"] += 1
            frame = one.picked.frame
            for row in one.rows:
                tally[f"fields: {row.agree.value}"] += 1
                if row.agree is not Agree.YES:
                    said = ", ".join(f"{w} {v}" for w, v in zip(told.witnesses, row.theirs, strict=True) if v is not None)
                    print(f"{name}:{frame.number}: {row.field}: {row.ours}, {said}  (link {frame.interface.link_type}, "
                          f"{Flag(frame.row.flags)!r})", flush=True)
    for name_, count in sorted(tally.items()):
        print(f"{count:8} {name_}")
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5, sys.argv[3] if len(sys.argv) > 3 else ""))
