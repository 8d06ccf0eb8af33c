"""A folder of captures against what other tools say of them: python tests/wire/corpus.py FOLDER [--pairs]

FOLDER holds oracle.tsv, a row a file: `path`, `packets_capinfos` (empty: refused), `packets_walked` (a plain walk over the bytes),
`tcp_pairs`, `udp_pairs` (by tshark), `container_flags`, `note`. Right is what capinfos says, and where it refuses, every whole
record up to the damage. Prints each file that differs, with the reason known, and the counts; exits with 1 if a file is slow or
raises anything but a CaptureError.
"""
from __future__ import annotations

import csv
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from pcapnat import reading
from pcapnat.terms import CaptureError

SLOW_S, LARGE_MB = 5, 500


def peak_mb() -> float:
    """The most memory this process has had so far, where the system tells."""
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def expected(row: dict[str, str]) -> tuple[int | None, str]:
    """How many frames are right, and who says so."""
    for name in ("packets_capinfos", "packets_walked", "packets_tcpdump"):
        if row.get(name, "").isdecimal():
            return int(row[name]), name.removeprefix("packets_")
    return None, "nobody"


def pairs(path: str) -> dict[str, int]:
    """Distinct pairs of endpoints, as the oracle counts them."""
    _, c, _ = reading.conversations(path)
    found = {}
    for name, proto in (("tcp_pairs", 6), ("udp_pairs", 17)):
        mine = c.proto == proto
        a, b = c.addresses()
        keys = {tuple(sorted(((a[i], int(c.a_port[i])), (b[i], int(c.b_port[i]))))) for i in np.flatnonzero(mine).tolist()}
        found[name] = len(keys)
    return found


def main(folder: str, with_pairs: bool) -> int:
    """Check every file; 0 if none misbehaves (counts that differ are told, not judged)."""
    tally: Counter[str] = Counter()
    bad = 0
    with (Path(folder) / "oracle.tsv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    for row in rows:
        path, before, started = str(Path(folder) / row["path"]), peak_mb(), time.monotonic()
        right, who = expected(row)
        try:
            capture = reading.inspect(path)
            frames, says = capture.frames, "; ".join(capture.problems)
        except CaptureError as error:
            frames, says = 0, "refused: " + str(error).removeprefix(path)
        except Exception as error:
            frames, says = -1, f"RAISED {type(error).__name__}: {error}"
            bad += 1
        took, grew = time.monotonic() - started, peak_mb() - before
        if took > SLOW_S or grew > LARGE_MB or "\n" in says:
            print(f"{row['path']}: {took:.1f} s, {grew:.0f} MB more, {says!r}")
            bad += 1
        tally[f"frames {'equal' if frames == right else 'different'} ({who})"] += 1
        if frames != right:
            print(f"{row['path']}: {frames} frames, {who} says {right}; {says or 'nothing odd seen'}", row.get("container_flags"),
                  row.get("note"), sep="; ")
        if with_pairs and row.get("tshark_exit") == "0" and frames >= 0:
            try:
                found = pairs(path)
            except CaptureError:
                found = {}
            for name, count in found.items():
                equal = str(count) == row.get(name)
                tally[f"{name} {'equal' if equal else 'different'}"] += 1
                if not equal:
                    print(f"{row['path']}: {count} {name}, tshark says {row.get(name)}")
    for name, count in sorted(tally.items()):
        print(f"{count:6} {name}")
    print(f"{len(rows):6} files, {peak_mb():.0f} MB at most, {bad} misbehaved")
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], "--pairs" in sys.argv))
