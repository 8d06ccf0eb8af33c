"""The expected capture as a file: what was captured inside, and what the model lets be seen outside, an interface each.

The inside capture is read a second time, chunk by chunk: nothing of it is held in memory but what the forecast needs. A frame
outside has the time of the frame inside that it belongs to: a model takes no time.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field

from ..flow import Port
from ..terms import CaptureError, PcapnatError, Point
from ..wire import (
    LINKS,
    Capture,
    DamagedError,
    Flag,
    Header,
    PcapngWriter,
    Progress,
    as_ipv4,
    batches,
    changed,
    network_at,
    selector,
)
from .expected import Expected, expected, unreadable
from .forecast import Forecast

BOX, BEYOND = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
"""MAC addresses outside, made up (locally administered): the box's, and its neighbour's."""
ETHERNET = 1
BORN = "MAC addresses are made up: 02:00:00:00:00:01 is the box"


@dataclass
class Written:
    """What a file holds: frames by side, and what could not be written, with counts."""

    path: str
    inside: int = 0
    outside: int = 0
    left: Counter[str] = field(default_factory=Counter)


def write_expected(point: Point, port: Port, forecast: Forecast, path: str, application: str, progress: Progress | None = None) -> Written:
    """Write the capture that a forecast expects, as pcapng.

    Raises PcapnatError if the point's files cannot be read twice, or `path` is one of them.
    """
    for file in port.files:
        if file == "-" or not os.path.isfile(file):
            raise CaptureError(file, "cannot be read a second time, which writing frames needs")
        if os.path.exists(path) and os.path.samefile(file, path):
            raise PcapnatError(f"{path}: is the capture that is read")
    plan, done = expected(port, forecast), Written(path)
    model = forecast.behavior.name if forecast.behavior.name != "custom" else forecast.behavior.source or "custom"
    with PcapngWriter(path, application, f"expected by pcapnat's model {model} of what {port.name} shows") as out:
        before = 0
        for file, rows in zip(port.files, port.file_rows, strict=True):
            _one_file(point, file, before, plan, out, done, model, progress)
            before += rows
    done.left.update(plan.left)
    if short := unreadable(port):
        done.left["headers are cut"] += short
    return done


def _one_file(
    point: Point, file: str, before: int, plan: Expected, out: PcapngWriter, done: Written, model: str, progress: Progress | None
) -> None:
    """Write the frames of one of the point's files."""
    capture = Capture(file, via=point.via, most=point.selection.first)
    capture.texts = plan.port.texts
    links: dict[int, tuple[int, int]] = {}
    for batch in batches(capture, 0, progress, None, selector(capture, point.selection, point.interface)):
        f, buf, base = batch.chunk.frames, batch.chunk.buf, before + batch.first_row
        meant = None if batch.picked is None else batch.picked.one()
        came = plan.forecast.who.enters[base : base + batch.count].tolist()
        columns = zip(
            *(getattr(f, name)[: batch.count].tolist() for name in ("at", "cap_len", "interface", "time_ns", "wire_len")), strict=True
        )
        for k, (at, size, interface, time, wire) in enumerate(columns):
            if meant is not None and not meant[k]:
                continue
            link = capture.interfaces[interface].link_type
            data = buf[at : at + size].tobytes()
            if link not in links:
                links[link] = _interfaces(out, link, plan.port, model, bool(links))
            inside, outside = plan.says(base + k)
            made = _made(data, base + k, link, plan, done)
            if made is None:
                out.frame(links[link][0], time, data, wire, inside)
                done.inside += 1
                continue
            for mine in (True, False) if came[k] else (False, True):  # a frame is seen first where it comes from
                if mine:
                    out.frame(links[link][0], time, data, wire, inside)
                else:
                    out.frame(links[link][1], time, made, max(len(made), wire + len(made) - size), outside)
            done.inside += 1
            done.outside += 1


def _made(data: bytes, row: int, link: int, plan: Expected, done: Written) -> bytes | None:
    """The frame as it is outside, None if it is not seen there or cannot be made."""
    wanted = plan.outside(row)
    if wanted is None:
        return None
    ends, ttl, quoted, to_four = wanted
    header = Header(network_at(data, link), len(data), 6 if plan.port.packets.flags[row] & int(Flag.V6) else 4)
    try:
        made = as_ipv4(data, header, ends, ttl) if to_four else changed(data, header, ends, ttl, quoted)
    except DamagedError:
        done.left["fragments or headers that have no form outside" if to_four else "headers are not whole"] += 1
        return None
    if link == ETHERNET and len(made) >= 12:
        made = (BEYOND + BOX if plan.forecast.who.enters[row] else BOX + BEYOND) + made[12:]
    return made


def _interfaces(out: PcapngWriter, link: int, port: Port, model: str, more: bool) -> tuple[int, int]:
    """The interfaces inside and outside of a link type."""
    kind = f" ({LINKS[link].name})" if more and link in LINKS else f" (link type {link})" if more else ""
    made = f"; {BORN}" if link == ETHERNET else ""
    return (
        out.interface(link, f"inside{kind}", f"as captured at {port.name}"),
        out.interface(link, f"outside{kind}", f"as the model {model} has it{made}"),
    )
