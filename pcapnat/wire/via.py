"""Formats that we do not read ourselves, through tshark, which rewrites them as pcapng. The one file that starts a program.

tshark is given the file's name in a list of arguments (no shell), decodes nothing unless it is asked what it makes of a frame
(`printed`), and is ended with us.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from threading import Timer
from typing import IO

from ..terms import CaptureError, PcapnatError, printable

PATIENCE_S = 60.0
"""tshark is ended if it gives nothing for as long."""
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
    """The pcapng that tshark makes of a file, as a stream."""

    def __init__(self, path: str):
        found = program()
        if found is None:
            raise CaptureError(
                path, "tshark is not installed: `editcap -F pcapng FILE NEW.pcapng`, of Wireshark, converts the file elsewhere"
            )
        self.problem: str | None = None
        self.whole = False
        self._says = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close())
        # An absolute path cannot be taken for an option.
        command = [found, "-n", "-r", os.path.abspath(path), "-F", "pcapng", "-w", "-"]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._says, bufsize=0)
        except OSError as error:
            self._says.close()
            raise CaptureError(path, f"tshark cannot be started ({(error.strerror or str(error)).lower()})") from None

    def readinto(self, into: memoryview) -> int:
        """Fill `into` from its start with at least one byte; 0 at the end, and then `problem` says if it is a bad one."""
        if self._process.stdout is None or self._process.stdout.closed:
            return 0
        timer = Timer(PATIENCE_S, self._process.kill)
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
