"""How `pcapnat analyze` grows with a pair's frames, by hand: time, memory and rate on generated pairs, and a plot.

    python tests/bench/growth.py [--keep DIR] [--most FRAMES] [--runs N]

Whole processes, start-up included, files in the page cache. Frames are those of both captures. The plot has a line a size: its bar is
the time a frame, on which linear growth leaves bars of one length once start-up no longer counts.
"""
from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from conversations import measure, once, warm

ROOT = Path(__file__).resolve().parents[2]
SIZES = (5_000, 50_000, 500_000, 1_000_000, 2_500_000, 5_000_000)
WIDTH = 50


def pair(folder: Path, frames: int) -> tuple[Path, Path]:
    """Both captures of a generated NAT, made if they are not there."""
    place = folder / f"pair-{frames}"
    files = place / "inside.pcap", place / "outside.pcap"
    if not all(f.exists() for f in files):
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, str(ROOT / "tests/bench/generate.py"), "--payload", "small", str(frames), str(place)], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
    return files


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Time pcapnat analyze on generated pairs of growing size.")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the captures here, and use those that are there")
    parser.add_argument("--most", type=int, default=SIZES[-1], help="frames of the largest capture")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.keep or Path(temporary)).resolve()
        sizes = [n for n in SIZES if n <= args.most] or [args.most]
        lines = []
        print(f"{'frames of both':>14} {'seconds':>8} {'from..to':>14} {'frames/s':>12} {'peak MB':>8}")
        for frames in sizes:
            inside, outside = pair(folder, frames)
            command = [sys.executable, "-m", "pcapnat", "analyze", str(inside), str(outside)]
            if frames == sizes[0]:
                largest = pair(folder, sizes[-1])
                once([*command[:-2], *map(str, largest)])  # not timed: compiles the kernels if this machine has not got them yet
            warm(outside)
            run = measure(command, inside, args.runs)
            print(f"{2 * frames:>14,} {run.seconds:>8.2f} {run.spread:>14} {2 * frames / run.seconds:>12,.0f} {run.peak_bytes / 1e6:>8,.0f}",
                  flush=True)
            lines.append((2 * frames, run.seconds / (2 * frames) * 1e9))
        least = max(ns for n, ns in lines if n == lines[-1][0])
        print("\nnanoseconds a frame")
        for n, ns in lines:
            bar = round(min(ns / least, 4.0) * WIDTH / 4)
            print(f"{n:>12,} {'#' * bar}{'>' if ns / least > 4 else ''} {ns:,.0f}")


if __name__ == "__main__":
    main()
