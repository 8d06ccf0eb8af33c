"""What tshark does for us: it rewrites formats that we do not read as pcapng, and applies display filters.

tshark is given the file's name, and what is asked of it, in a list of arguments (no shell), and is ended with us.
This is the one file that starts a program.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from threading import Timer
from typing import IO

from ..terms import CaptureError, PcapnatError, printable

PATIENCE_S = 60.0
"""tshark is ended if it gives nothing for as long."""
ASKING_S = 10.0
"""So long tshark may take to say whether it knows a file that we do not."""
OF_TSHARK = "a format of tshark's"
SLOWEST = 200_000
"""Bytes a second that tshark dissects at least."""
USUAL_PLACES = (r"C:\Program Files\Wireshark\tshark.exe", "/Applications/Wireshark.app/Contents/MacOS/tshark")
FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"RTSS", "Network Monitor 1"),
    (b"GMBU", "Network Monitor 2"),
    (b"TRSNIFF data    \x1a", "NetWare/DOS Sniffer"),
    (b"XCP\0", "Windows Sniffer"),
    (b"VL\0\0", "NetXRay"),
    (b"btsnoop\0", "Bluetooth HCI"),
    (b"iptrace 1.0", "AIX iptrace"),
    (b"iptrace 2.0", "AIX iptrace"),
    (b"\x7fver", "Peek (tagged)"),
    (b"\x05VNF", "Visual Networks"),
    (b"EyeSDN", "EyeSDN"),
    (b"\xaa\xaa\xaa\xaa", "5Views"),
    (b"LOGG", "Vector BLF"),
    (b"\x00\x00\x02\x00\x12\x05\x00\x08", "K12"),
    (b"+---------+---------------+----------+", "K12 text"),
    (b"\x54\x52\x00\x64\x00", "HP-UX nettl"),
    (b"\x01\x10\x4c\x00\x01\x05", "LANalyzer"),
    (b"\x07\x10\x4c\x00\x01\x05", "LANalyzer"),
    (b"ObserverPktBuffe", "Observer"),
)
"""(first bytes, name) of captures that tshark reads and we do not."""


def foreign(head: bytes) -> str | None:
    """Which capture format of others this is, if its first bytes tell."""
    return next((name for magic, name in FOREIGN if head.startswith(magic)), None)


def program() -> str | None:
    """Where tshark is, if it is installed."""
    return shutil.which("tshark") or next((p for p in USUAL_PLACES if os.access(p, os.X_OK)), None)


ADVICE = "Wireshark's tshark would read it if it were installed; elsewhere, `editcap -F pcapng FILE NEW.pcapng` converts it"


class Tshark:
    """tshark reading a file: by default the pcapng it makes of it, as a stream. patience: seconds without output that are waited for."""

    def __init__(self, path: str, *arguments: str, patience: float = PATIENCE_S):
        found = program()
        if found is None:
            advice = ": `editcap -F pcapng FILE NEW.pcapng`, of Wireshark, converts the file elsewhere"
            raise CaptureError(path, "tshark is not installed" + ("" if arguments else advice))
        self.problem: str | None = None
        self.whole = False
        self.patience = patience
        self._says = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close())
        # An absolute path cannot be taken for an option.
        command = [found, "-n", "-r", os.path.abspath(path), *(arguments or ("-F", "pcapng", "-w", "-"))]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._says, bufsize=0)
        except (OSError, ValueError) as error:  # ValueError: a zero byte in an argument
            self._says.close()
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise CaptureError(path, f"tshark cannot be started ({why.lower()})") from None

    def readinto(self, into: memoryview) -> int:
        """Fill `into` from its start with at least one byte; 0 at the end, and then `problem` says if it is a bad one."""
        if self._process.stdout is None or self._process.stdout.closed:
            return 0
        timer = Timer(self.patience, self._process.kill)
        timer.start()
        try:
            got = self._process.stdout.readinto(into)  # type: ignore[attr-defined]
        finally:
            timer.cancel()
        if not got and self._process.wait():
            self.problem = _complaint(self._says) or f"tshark ended with status {self._process.returncode}"
        return int(got or 0)

    def close(self) -> None:
        """End tshark, whether it is done or not."""
        if self._process.poll() is None:
            self._process.kill()
        if self._process.stdout:
            self._process.stdout.close()
        self._process.wait()
        self._says.close()


INSTALL = "is not installed: Wireshark's packages have it (`apt install tshark`, `brew install wireshark`, wireshark.org/download)"
BYTES_A_SECOND = 2_000_000
"""Slower than tshark reads on any machine: a larger file is given more time."""


def printed(path: str, arguments: list[str]) -> Iterator[bytes]:
    """What tshark prints about a file, given these arguments, piece by piece. Raises PcapnatError, at the end or instead."""
    found = program()
    if found is None:
        raise PcapnatError(INSTALL)
    with tempfile.TemporaryFile() as says:
        command = [found, "-n", "-r", os.path.abspath(path), *arguments]
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=says)
        except OSError as error:
            raise PcapnatError(f"cannot be started ({(error.strerror or str(error)).lower()})") from None
        timer = Timer(PATIENCE_S + os.path.getsize(path) / BYTES_A_SECOND, process.kill)
        timer.start()
        try:
            if process.stdout:
                while piece := process.stdout.read1(1 << 16):  # type: ignore[attr-defined]
                    yield piece
            status = process.wait()
        finally:
            timer.cancel()
            process.kill()
            if process.stdout:
                process.stdout.close()
            process.wait()
        if status:
            raise PcapnatError(_complaint(says).removeprefix("tshark: ") or f"ended with status {status}")


def _complaint(says: IO[bytes]) -> str:
    """What tshark wrote to standard error, in one line."""
    says.seek(0)
    lines = [line for line in says.read(4096).decode("utf-8", "replace").splitlines() if "Running as user" not in line]
    return printable(" ".join(lines))[:300]


class _Listed:
    """The numbers of the frames that a display filter accepts, as tshark gives them while we read the same file. Raises PcapnatError."""

    def __init__(self, path: str, expression: str):
        arguments = ("-Y", expression, "-T", "fields", "-e", "frame.number")
        self._tshark = Tshark(path, *arguments, patience=PATIENCE_S + os.path.getsize(path) / SLOWEST)  # so long may nothing match
        self._found: list[int] = []
        self._rest = b""
        self._ended = False
        self.problem: str | None = None

    def until(self, last: int) -> list[int]:
        """Those up to frame `last` that were not given before, in order. Waits for tshark to get there."""
        while not self._ended and not (self._found and self._found[-1] > last):
            self._read()
        count = bisect_right(self._found, last)
        given, self._found = self._found[:count], self._found[count:]
        return given

    def _read(self) -> None:
        buffer = bytearray(1 << 16)
        got = self._tshark.readinto(memoryview(buffer))
        *lines, self._rest = (self._rest + buffer[:got]).split(b"\n")
        self._found += [int(line) for line in lines if len(line) < 19 and line.strip().isdigit()]
        if got:
            return
        self._ended = True
        if problem := self._tshark.problem:
            problem = problem.removeprefix("tshark: ").partition("    ")[0].strip()  # behind it: the filter again, and a pointer
            if not problem.startswith("The file ") or not ("cut short" in problem or "damaged" in problem):
                raise PcapnatError(f"-Y: tshark says: {problem}")
            self.problem = problem  # we find the same damage and say where it is

    def close(self) -> None:
        """End tshark."""
        self._tshark.close()


NO_PACKET = "!frame.encap_type"
"""The display filter for what Wireshark numbers as a frame though it is no packet: custom blocks, a journal's entries, events of sysdig."""


class Others:
    """The records of a file that Wireshark numbers as frames though they are no packets. Raises PcapnatError."""

    def __init__(self, path: str):
        self._listed = _Listed(path, NO_PACKET)
        self.before = 0

    def upto(self, ours: int) -> list[int]:
        """Wireshark's numbers of those before our frame `ours`, not given before; `before` counts all given."""
        found: list[int] = []
        while more := self._listed.until(ours + self.before):  # each moves our frame's number on
            found += more
            self.before += len(more)
        return found

    def close(self) -> None:
        """End tshark."""
        self._listed.close()


class Displayed:
    """Our numbers of the frames that one of Wireshark's display filters accepts. Raises PcapnatError."""

    def __init__(self, path: str, expression: str):
        self._path = path
        self._shown = _Listed(path, expression)
        self._others: Others | None = None

    @property
    def problem(self) -> str | None:
        """What tshark complained of at the end of what it read."""
        return self._shown.problem

    def until(self, last: int, mixed: bool) -> list[int]:
        """Those up to our frame `last` that were not given before. mixed: records that are no packets may lie before it."""
        if self._others is None:
            if not mixed:
                return self._shown.until(last)
            self._others = Others(self._path)
        before = self._others.before
        others = self._others.upto(last)
        numbers = self._shown.until(last + self._others.before)
        places = [(number, bisect_left(others, number)) for number in numbers]
        return [number - before - k for number, k in places if others[k : k + 1] != [number]]

    def close(self) -> None:
        """End tshark."""
        self._shown.close()
        if self._others:
            self._others.close()
