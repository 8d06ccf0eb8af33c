"""The frames that enter, put on a real interface with the timing they had: the only file that owns a socket, and only when asked.

Frames get the interface's MAC address as their source and the box's as their destination, so that a real NAT takes them; their
checksums are made anew, as those of captured packets may have been left to a network card. Linux only (packet(7)).
"""

from __future__ import annotations

import errno
import re
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..flow import Port
from ..table import Array
from ..terms import CaptureError, PcapnatError, Point
from ..wire import Capture, DamagedError, Ends, Header, Progress, batches, changed, network_at, selector
from .behind import behind

ETHERNET = 1
MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
LONGEST_WAIT_NS = 3_600_000_000_000
"""A frame that is due later than in an hour is most likely of a clock that jumped."""


@dataclass
class Sent:
    """What was sent. left: frames that were not, by why. says: who was taken for inside."""

    interface: str
    to: str
    frames: int = 0
    size: int = 0
    lasted_ns: int = 0
    says: str = ""
    left: Counter[str] = field(default_factory=Counter)


def send(
    point: Point,
    port: Port,
    interface: str,
    to: str | None,
    prefixes: tuple[str, ...],
    agreed: Callable[[str], bool],
    progress: Progress | None = None,
) -> Sent | None:
    """Send the frames of a capture that enter from inside, once `agreed` says yes to what is asked; None if it says no.

    to: the MAC address of the box; None: that of the interface's gateway, as the system's neighbour table has it. prefixes: the inside,
    if it is known. Raises PcapnatError for what cannot be sent.
    """
    if not hasattr(socket, "AF_PACKET"):
        raise PcapnatError("frames are sent on Linux only: this system has no packet sockets")
    for file in port.files:
        if not Path(file).is_file():
            raise CaptureError(file, "cannot be read a second time, which sending frames needs")
    target = _mac(to) if to else neighbour(interface)
    who = behind(port, prefixes)
    lacks = port.packets.cap_len < port.packets.wire_len
    meant = who.enters & ~lacks
    result = Sent(interface, target.hex(":"), says=who.says)
    if cut := int((who.enters & lacks).sum()):
        result.left["cut by the snapshot length"] = cut
    times = port.packets.time_ns[meant]
    if not len(times):
        raise PcapnatError(f"{point.name}: no frame can be sent: {who.says}")
    lasts = (int(times.max()) - int(times.min())) / 1e9
    with _opened(interface) as out:
        if not agreed(f"send {len(times):,} frames to {result.to} on {interface}, for {lasts:.3f} s"):
            return None
        _all(point, port, meant, out, target + out.getsockname()[4][:6], result, progress)
    return result


def _opened(interface: str) -> socket.socket:
    """A packet socket on an interface that is up and speaks Ethernet."""
    try:
        out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        raise PcapnatError(f"{interface}: sending frames needs root, or the capability CAP_NET_RAW") from None
    try:
        out.bind((interface, 0))
        if out.getsockname()[3] not in (ETHERNET, 772):  # 772: the loopback, which is spoken to as if it were
            raise PcapnatError(f"{interface}: frames are sent on Ethernet only")
    except OSError as error:
        out.close()
        raise PcapnatError(f"{interface}: {(error.strerror or str(error)).lower()}") from None
    except PcapnatError:
        out.close()
        raise
    return out


def _all(point: Point, port: Port, meant: Array, out: Any, macs: bytes, result: Sent, progress: Progress | None) -> None:
    """Read the files again and send what is meant, each frame when it is due; one that goes back in time is sent at once."""
    before, first, begun, late = 0, 0, 0, 0
    for file, rows in zip(port.files, port.file_rows, strict=True):
        capture = Capture(file, via=point.via, most=point.selection.first)
        capture.texts = port.texts
        for batch in batches(capture, 0, progress, None, selector(capture, point.selection, point.interface)):
            f, base = batch.chunk.frames, before + batch.first_row
            for k in np.flatnonzero(meant[base : base + batch.count]).tolist():
                at, size, when = int(f.at[k]), int(f.cap_len[k]), int(f.time_ns[k])
                link = capture.interfaces[int(f.interface[k])].link_type
                frame = _frame(batch.chunk.buf[at : at + size].tobytes(), link, macs, result)
                if frame is None:
                    continue
                if not begun:
                    first, begun = when, time.monotonic_ns()
                late = max(late, when)
                wait = begun + late - first - time.monotonic_ns()
                if wait > LONGEST_WAIT_NS:
                    raise PcapnatError(f"{file}: frame {base - before + k + 1} is more than an hour behind the one before it")
                if wait > 0:
                    time.sleep(wait / 1e9)
                try:
                    result.size += out.send(frame)
                    result.frames += 1
                except OSError as error:
                    if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                        raise PcapnatError(f"{result.interface}: {(error.strerror or str(error)).lower()}") from None
                    result.left["longer than the interface takes" if error.errno == errno.EMSGSIZE else "no room in the interface"] += 1
        before += rows
    result.lasted_ns = time.monotonic_ns() - begun if begun else 0


def _frame(data: bytes, link: int, macs: bytes, result: Sent) -> bytes | None:
    """A captured frame as it is sent: Ethernet, no tags, its IP packet with right checksums and no padding."""
    at = network_at(data, link)
    if at < 0 or at >= len(data):
        result.left["not told where its IP packet begins"] += 1
        return None
    six = data[at] >> 4 == 6
    place, width = (at + 8, 16) if six else (at + 12, 4)
    ends = Ends(data[place : place + width], data[place + width : place + 2 * width])
    try:
        made = changed(data, Header(at, len(data), 6 if six else 4), ends, -1)
    except DamagedError:
        result.left["headers are not whole"] += 1
        return None
    total = int.from_bytes(made[at + 4 : at + 6], "big") + 40 if six else int.from_bytes(made[at + 2 : at + 4], "big")
    return macs + (b"\x86\xdd" if six else b"\x08\0") + made[at : at + total]


def _mac(text: str) -> bytes:
    """A MAC address from text."""
    if not MAC.fullmatch(text):
        raise PcapnatError(f"{text}: no MAC address, as 02:00:5e:00:00:01")
    return bytes.fromhex(text.replace(":", "").replace("-", ""))


def neighbour(interface: str, proc: Path = Path("/proc/net")) -> bytes:
    """The MAC address of an interface's gateway, or of the only neighbour it has, from the system's tables."""
    try:
        routes = [line.split() for line in (proc / "route").read_text().splitlines()[1:]]
        known = [line.split() for line in (proc / "arp").read_text().splitlines()[1:]]
    except OSError:
        routes, known = [], []
    gateways = {
        ".".join(str(byte) for byte in bytes.fromhex(row[2])[::-1])
        for row in routes
        if len(row) > 3 and row[0] == interface and re.fullmatch("[0-9A-Fa-f]{8}", row[2]) and int(row[2], 16)
    }
    complete = {row[0]: row[3] for row in known if len(row) > 5 and row[5] == interface and MAC.fullmatch(row[3]) and row[2] != "0x0"}
    found = {complete[g] for g in gateways if g in complete} or set(complete.values())
    if len(found) != 1:
        why = "no neighbour is known" if not found else "several neighbours are known"
        raise PcapnatError(f"{interface}: {why} there: --send-to MAC says whose the frames are")
    return _mac(found.pop())
