"""A folder of captures, filtered here and by tcpdump: python tests/wire/corpus_filters.py FOLDER [EXPRESSION...]

Every file that both of us read, with every expression (by default one in five of the test's table, each file beginning at another
one). The answers are the same frames, bytes and lengths, in the same order. Prints each difference, and whether tcpdump without its
optimiser (-O) says what we say; then the counts. Exits with 1 if anything but a PcapnatError was raised.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from made_filters import EXPRESSIONS, LINK_EXPRESSIONS

from pcapnat.terms import PcapnatError
from pcapnat.wire import Capture
from pcapnat.wire.bpf_make import Filter

MOST_FRAMES, PATIENCE_S = 20_000, 20
OTHERS = (".tsv", ".md", ".gz", ".zst", ".lz4", ".xz", ".etl")
Frames = list[tuple[bytes, int]]


def ours(path: str, expression: str) -> tuple[Frames, str]:
    """The frames that we accept, or why we accept none."""
    found: Frames = []
    try:
        wanted, capture = Filter(expression), Capture(path, most=MOST_FRAMES)
        for chunk in capture.chunks():
            f, n = chunk.frames, chunk.count
            links = capture.links[f.interface[:n]]
            for i in range(n):
                if i == 0 or links[i] != links[i - 1]:
                    rows = slice(i, next((k for k in range(i, n) if links[k] != links[i]), n))
                    chosen = wanted.select(int(links[i]), path, chunk.buf, f.at[rows], f.cap_len[rows], f.wire_len[rows])
                    for k in (chosen.nonzero()[0] + i).tolist():
                        found.append((chunk.buf[f.at[k] : f.at[k] + f.cap_len[k]].tobytes(), int(f.wire_len[k])))
    except PcapnatError as error:
        return [], str(error)
    return found, ""


def theirs(path: str, expression: str, *options: str) -> tuple[Frames, str]:
    """The frames that tcpdump accepts, or why it accepts none."""
    with open(path, "rb") as file:
        command = ["tcpdump", "-n", *options, "-r", "-", "-w", "-", "--", expression]
        ran = subprocess.run(command, stdin=file, capture_output=True, check=False, timeout=PATIENCE_S)
    said = [line for line in ran.stderr.decode("utf-8", "replace").splitlines() if not line.startswith(("reading from", "Warning"))]
    why = said[-1] if ran.returncode and said else ""
    found: Frames = []
    at, out = 24, ran.stdout
    while at + 16 <= len(out):
        size, wire = (int.from_bytes(out[at + k : at + k + 4], sys.byteorder) for k in (8, 12))
        found.append((out[at + 16 : at + 16 + size], wire))
        at += 16 + size
    return found, why


def main(folder: str, given: list[str]) -> int:
    """Compare every file; 0 if nothing was raised that should not be."""
    tally: Counter[str] = Counter()
    bad = 0
    paths = [str(p) for p in sorted(Path(folder).rglob("*")) if p.is_file() and p.suffix not in OTHERS]
    for number, path in enumerate(paths):
        try:
            capture = Capture(path)
        except PcapnatError:
            tally["files not read here"] += 1
            continue
        capture.close()
        everything, why = theirs(path, "")
        mine, _ = ours(path, "")
        if len(mine) >= MOST_FRAMES or everything != mine:
            tally["files with other frames without any filter: " + (why.split(":")[-1].strip()[:40] if why else "cut or damaged")] += 1
            continue
        tally["files"] += 1
        for expression in given or [*LINK_EXPRESSIONS, *EXPRESSIONS[number % 5 :: 5]]:
            try:
                mine, refused = ours(path, expression)
            except Exception as error:  # what this looks for
                print(f"RAISED {path}: {expression!r}: {type(error).__name__}: {error}")
                bad += 1
                continue
            other, why = theirs(path, expression)
            if "rejects all" in why:
                why = ""
            if refused or why:
                kind = f"refused by {'both' if refused and why else 'us' if refused else 'tcpdump'}"
                tally[kind] += 1
                if kind == "refused by us":
                    tally[f"refused by us: {refused.split(': ', 1)[-1].split(', at')[0][:60]}"] += 1
                elif kind == "refused by tcpdump":
                    tally[f"refused by tcpdump: {why.split(': ', 1)[-1][:60]}"] += 1
            elif mine == other:
                tally["equal"] += 1
                tally["frames accepted"] += len(mine)
            else:
                plain, _ = theirs(path, expression, "-O")
                kind = "equal to -O only" if plain == mine else "DIFFERENT"
                tally[kind] += 1
                print(f"{kind}: {path}: {expression!r}: {len(mine)} frames here, {len(other)} by tcpdump, {len(plain)} without optimiser")
    for name, count in sorted(tally.items()):
        print(f"{count:8,} {name}")
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
