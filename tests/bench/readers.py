"""The benchmark of reading and conversations against the tools and libraries people use, in one run, by hand.

    python tests/bench/readers.py [--keep DIR] [--frames N] [--runs N]

Whole processes, one after the other (--pin: on one core), files in the page cache, output thrown away. Fast programs read all
frames; slow ones only as many of the first as they can in reasonable time, and so does pcapnat beside each of them: the ratio
is of wall times on the same file. Peers that are not installed are named and left out (Debian: argus-client argus-server nfdump
tcpdump tshark; pip: dpkt scapy pyshark).
"""
from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from conversations import PCAPNAT, Run, cut, make, measure, once, pin, say

PEERS = Path(__file__).resolve().with_name("peers.py")


class Peer(NamedTuple):
    """A peer: what it does, how it is called ({file}, {folder}: an empty one), how many frames it gets (0: all), and how often it runs."""
    does: str
    command: tuple[str, ...]
    frames: int
    runs: int


def library(name: str) -> tuple[str, ...]:
    """The command that runs one of peers.py."""
    return sys.executable, str(PEERS), name, "{file}"


COMMANDS = (
    Peer("counts frames", ("capinfos", "-c", "{file}"), 0, 3),
    Peer("copies frames", ("tcpdump", "-r", "{file}", "-w", "/dev/null"), 0, 3),
    Peer("flows with TCP state", ("argus", "-r", "{file}", "-w", "/dev/null"), 0, 3),
    Peer("flows", ("nfpcapd", "-r", "{file}", "-l", "{folder}"), 0, 3),
    Peer("TCP conversations", ("tshark", "-q", "-z", "conv,tcp", "-r", "{file}"), 1_000_000, 1),
    Peer("5-tuples", ("tshark", "-n", "-r", "{file}", "-T", "fields", "-e", "ip.proto", "-e", "ip.src", "-e", "ip.dst", "-e", "tcp.srcport",
                      "-e", "tcp.dstport", "-e", "udp.srcport", "-e", "udp.dstport"), 100_000, 1),
    Peer("5-tuples", library("dpkt"), 100_000, 1),
    Peer("5-tuples", library("scapy"), 20_000, 1),
    Peer("packets to objects", library("pyshark"), 5_000, 1),
)


def name(peer: Peer) -> str:
    """The program, or the library."""
    return peer.command[2] if peer.command[0] == sys.executable else peer.command[0]


def installed(peer: Peer) -> bool:
    """Whether it can be run here."""
    if peer.command[0] == sys.executable:
        return importlib.util.find_spec(name(peer)) is not None
    return shutil.which(peer.command[0]) is not None


def compare(peer: Peer, whole: Path, frames: int, ours: dict[int, Run], runs: int) -> None:
    """One peer, and pcapnat on the same file."""
    size = min(peer.frames or frames, frames)
    path = whole.with_name(f"first-{size}.pcap") if size < frames else whole
    if not path.exists():
        cut(whole, path, size)
    if size not in ours:
        ours[size] = measure([*PCAPNAT, str(path)], path, runs)
        say("pcapnat conversations", size, ours[size], runs)
    with tempfile.TemporaryDirectory() as folder:
        theirs = measure([part.format(file=path, folder=folder) for part in peer.command], path, peer.runs)
    say(f"{name(peer)}: {peer.does}", size, theirs, peer.runs)
    print(f"{'':<36} pcapnat is {theirs.seconds / ours[size].seconds:,.1f} times as fast", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Time pcapnat conversations against other tools and libraries.")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the captures here, and use those that are there")
    parser.add_argument("--frames", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=5, help="of pcapnat, per file")
    parser.add_argument("--pin", action="store_true", help="every process on one core")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = (args.keep or Path(folder)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        whole, _ = make(place, args.frames, min(1_000_000, args.frames))
        print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores, {pin(args.pin)}")
        once([*PCAPNAT, str(whole)])  # not timed: compiles the kernels if this machine has not got them yet
        ours: dict[int, Run] = {}
        for peer in COMMANDS:
            if installed(peer):
                compare(peer, whole, args.frames, ours, args.runs)
            else:
                print(f"{name(peer)} is not installed: not compared")


if __name__ == "__main__":
    main()
