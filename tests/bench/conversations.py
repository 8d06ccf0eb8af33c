"""The benchmark of `pcapnat conversations` against `tshark -q -z conv,tcp`, run by hand.

    python tests/bench/conversations.py [--keep DIR] [--frames N] [--part N] [--runs N] [--tshark-runs N] [--pin]

Times whole processes on captures made by generate.py (--pin: on one core), with the files in the page cache and output thrown
away (POSIX systems): pcapnat on all frames (5,000,000, small payload), and pcapnat and tshark on a file of the first of them
(1,000,000). Prints the median seconds and frames per second of each, the ratio, peak resident memory, and pcapnat's marginal
rate: the frames between the two files over the difference of their times, which is what is left when starting up costs nothing.
"""
from __future__ import annotations

import argparse
import os
import platform
import shlex
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
GENERATE = Path(__file__).resolve().with_name("generate.py")
PCAPNAT = [sys.executable, "-m", "pcapnat", "conversations"]
CHUNK = 1 << 20
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in what the kernel tells as ru_maxrss


class Run(NamedTuple):
    """What some runs of one command took."""
    seconds: float
    spread: str
    peak_bytes: int


def make(folder: Path, frames: int, part: int) -> tuple[Path, Path]:
    """The capture and the file of its first frames: made unless the folder has them. Another process makes them, since a
    child's peak memory is never told to be less than its parent had."""
    whole, head = folder / str(frames) / "inside.pcap", folder / str(frames) / f"first-{part}.pcap"
    if not whole.exists():
        print(f"making {frames:,} frames in {whole.parent}", flush=True)
        making = whole.parent.with_suffix(".making")
        subprocess.run([sys.executable, str(GENERATE), str(frames), str(making), "--payload", "small"], check=True)
        (making / "outside.pcap").unlink()  # not needed here
        making.rename(whole.parent)
    if not head.exists():
        cut(whole, head, part)
    return whole, head


def cut(capture: Path, to: Path, frames: int) -> None:
    """Write the first frames of a little-endian pcap file to another one."""
    with open(capture, "rb") as old, open(to.with_suffix(".part"), "wb") as new:
        new.write(old.read(24))
        for _ in range(frames):
            record = old.read(16)
            if not record:
                break
            new.write(record + old.read(struct.unpack_from("<I", record, 8)[0]))
    to.with_suffix(".part").rename(to)


def warm(path: Path) -> None:
    """Read a file, so that the page cache has it."""
    with open(path, "rb", buffering=0) as file:
        while file.read(CHUNK):
            pass


def once(command: list[str]) -> tuple[float, int]:
    """Run a command to its end, output thrown away: wall seconds and peak resident bytes."""
    begin = time.perf_counter()
    # As installed: the interpreter may keep what it compiled, wherever this one is told not to.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begin
    child.stderr.close()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{shlex.join(command)} failed ({child.returncode}): {said.decode(errors='replace').strip()}")
    return seconds, usage.ru_maxrss * RSS_UNIT


def measure(command: list[str], path: Path, runs: int) -> Run:
    """The median of some runs on a file that is in the page cache."""
    warm(path)
    results = [once(command) for _ in range(runs)]
    seconds = sorted(r[0] for r in results)
    return Run(statistics.median(seconds), f"{seconds[0]:.2f}..{seconds[-1]:.2f}", max(r[1] for r in results))


def pin(wanted: bool) -> str:
    """If wanted, keep this process and its children on one core, where the system can; says which."""
    if not wanted or not hasattr(os, "sched_setaffinity"):
        return "not pinned"
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return f"pinned to core {core}"


def say(name: str, frames: int, run: Run, runs: int) -> None:
    """One line of results."""
    print(f"{name:<36} {frames:>10,} {run.seconds:>9.2f} {run.spread:>14} {runs:>5} {frames / run.seconds:>12,.0f} "
          f"{run.peak_bytes / 1e6:>8.1f}", flush=True)


def bench(args: argparse.Namespace, folder: Path) -> None:
    """Make what is missing, measure and print."""
    whole, head = make(folder, args.frames, args.part)
    pcapnat = shlex.split(args.command) if args.command else PCAPNAT
    name = args.command or "pcapnat conversations"
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores, {pin(args.pin)}")
    once([*pcapnat, str(head)])  # not timed: compiles the kernels if this machine has not got them yet
    print(f"{'':<36} {'frames':>10} {'median s':>9} {'from..to':>14} {'runs':>5} {'frames/s':>12} {'peak MB':>8}")
    ours = measure([*pcapnat, str(whole)], whole, args.runs)
    say(name, args.frames, ours, args.runs)
    short = measure([*pcapnat, str(head)], head, args.runs)
    say(name, args.part, short, args.runs)
    if args.frames > args.part and ours.seconds > short.seconds:
        print(f"{name}, marginal: {(args.frames - args.part) / (ours.seconds - short.seconds):,.0f} frames/s")
    if not (tshark := shutil.which("tshark")):
        print("tshark is not installed: not compared")
        return
    theirs = measure([tshark, "-q", "-z", "conv,tcp", "-r", str(head)], head, args.tshark_runs)
    say("tshark -q -z conv,tcp", args.part, theirs, args.tshark_runs)
    rate = args.part / theirs.seconds
    print(f"{name}: {args.part / short.seconds / rate:.1f} times as fast as tshark on the same file; "
          f"by frames/s, its {args.frames:,} frames against tshark's {args.part:,}: {args.frames / ours.seconds / rate:.1f} times")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Time pcapnat conversations against tshark -z conv,tcp on synthetic captures.")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the captures here, and use those that are there")
    parser.add_argument("--frames", type=int, default=5_000_000)
    parser.add_argument("--part", type=int, default=1_000_000, help="frames of the file that tshark reads too")
    parser.add_argument("--runs", type=int, default=5, help="of pcapnat, per file")
    parser.add_argument("--tshark-runs", type=int, default=1)
    parser.add_argument("--pin", action="store_true", help="every process on one core")
    parser.add_argument("--command", help="what to time in place of pcapnat conversations; the capture is added as the last argument")
    args = parser.parse_args()
    args.part = min(args.part, args.frames)
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
        bench(args, args.keep.resolve())
    else:
        with tempfile.TemporaryDirectory() as folder:
            bench(args, Path(folder))


if __name__ == "__main__":
    main()
