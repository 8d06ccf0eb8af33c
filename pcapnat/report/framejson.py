"""Single frames as a JSON document: pcapnat.show/1."""

from __future__ import annotations

from typing import Any

from ..address import text
from ..flow import Membership, Show, Shown, protocol_name
from ..wire import LINKS, Outer, Row, Tunnel, mac, marks, meaning
from .frame import counted, port_rows, quoted_values
from .jsonfile import Json, _text


def show_json(show: Show, size: int) -> str:
    """pcapnat.show/1; size: bytes of each frame that are given."""
    witnesses: Json = {}
    if show.witnesses:
        witnesses = {"witnesses": {name: {"absent": show.absent.get(name)} for name in show.witnesses}}
        witnesses["differences"] = sum(counted(one)[1] for one in show.frames)
        witnesses["only_they"] = sum(counted(one)[2] for one in show.frames)
    return _text(
        {
            "schema": "pcapnat.show/1",
            "file": show.capture.path,
            "notes": show.capture.notes,
            **witnesses,
            "frames": [_frame(one, show, size) for one in show.frames],
        }
    )


def _frame(one: Shown, show: Show, size: int) -> Json:
    picked, frame = one.picked, one.picked.frame
    link, interface = LINKS.get(frame.interface.link_type), frame.interface
    row: Json = {
        "frame": frame.number,
        "columns": {name: _value(name, value) for name, value in frame.columns().items()},
        "marks": [{"name": name, "says": says} for name, says in marks(frame.row.flags)],
        "link": {"type": interface.link_type, "name": link.name if link else None, "source": link.source if link else None},
        "tags": [{"name": tag.name, **{name.replace(" ", "_"): value for name, value in tag.numbers}} for tag in frame.tags],
        "interface": {"id": interface.id, "name": interface.name, "description": interface.description},
        "comments": [words for what, words in frame.said if what == "comment"],
        "verdicts": [words for what, words in frame.said if what == "verdict"],
        "facts": frame.facts,
        "outer": [_outer(outer) for outer in frame.outer],
        "quoted": {name: _value(name, value) for name, value in quoted_values(frame).items()} or None,
        "conversation": _member(picked.conversation),
        "about": _member(picked.about),
        "about_stream": picked.about_stream,
        "ports": [
            {"end": which, "port": port, "class": kind, "usual_service": usual or None} for which, port, kind, usual in port_rows(frame)
        ],
        "checksums": [
            {
                "depth": c.depth,
                "of": c.of,
                "found": c.found,
                "expected": c.expected,
                "is": c.state.value,
                "means": meaning(c, frame.row.direction),
            }
            for c in one.checksums
        ],
        "captured_bytes": len(frame.data),
        "bytes": frame.data[:size].hex(),
    }
    if show.witnesses:
        row["wireshark_number"] = one.wireshark_number or frame.number
        row["witness"] = {
            "differences": counted(one)[1],
            "only_they": counted(one)[2],
            "problems": {name: view.problem for name, view in one.views.items() if view.problem},
            "fields": [_compared(r, show) for r in one.rows],
        }
    return row


def _value(name: str, value: Any) -> Any:
    if name in ("src", "dst"):
        return text(*value)
    return mac(value) if name in ("eth_dst", "eth_src") else value


def _outer(row: Any) -> Json:
    values = {name: _value(name, getattr(row, name)) for name in Outer.columns if name != "carrier"}
    return {**values, "kind": Tunnel(row.kind).name, "vlan": row.vlan if row.vlan >= 0 else None}


def _member(m: Membership | None) -> Json | None:
    if m is None:
        return None
    return {
        "proto": protocol_name(m.proto),
        "a": {"address": m.a, "port": m.a_port},
        "b": {"address": m.b, "port": m.b_port},
        "sent_by": "a" if m.forward else "b",
        "stream": m.stream,
        "first_frame": m.first_frame,
    }


def _compared(row: Row, show: Show) -> Json:
    return {"field": row.field, "pcapnat": row.ours, **dict(zip(show.witnesses, row.theirs, strict=True)), "agree": row.agree.value.lower()}
