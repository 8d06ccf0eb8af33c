"""The JSON documents that programs read. Names and shapes are fixed by their schema number."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from ..address import texts
from ..analysis import Analysis, Box
from ..flow import By, Conversations, Port, Sockets, protocol_name
from ..flow.socket import CONNECTS, ROLES, Listener, heard
from ..message import Speech, Topic
from ..nat import KINDS, PortUse, Translations
from ..ports import agrees, port_class, service
from ..terms import Clock, Reason
from ..wire import Capture, Interface
from ..wire.reasons import NOT_SAID, reason_text
from .behaviorjson import behavior, finding
from .likelytext import likely_json
from .oneside import behind_json, presence_json
from .passage import passage_json
from .pathpage import path_json
from .portuse import hosts_json, ports_in_use_json
from .replayjson import replay_json
from .requirementpage import judged_json
from .saidjson import application, said
from .tabletext import table_json

Json = dict[str, Any]


def _text(document: Json | list[Json]) -> str:
    # ASCII only: names from captures may hold anything, and escapes are safe on every terminal and in every file.
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True) + "\n"


def info_json(capture: Capture) -> str:
    """pcapnat.info/1."""
    facts, names = capture.facts, [f.name for f in fields(Interface)]
    return _text(
        {
            "schema": "pcapnat.info/1",
            "file": capture.path,
            "format": capture.format,
            "compression": capture.compression,
            "via": capture.via,
            "frames": capture.frames,
            "captured_bytes": capture.captured_bytes,
            "wire_bytes": capture.wire_bytes,
            "first_ns": capture.first_ns,
            "last_ns": capture.last_ns,
            "truncated": capture.truncated,
            "problems": capture.problems,
            "notes": capture.notes,
            "interfaces": [{name: getattr(i, name) for name in names} for i in capture.interfaces],
            "dropped": facts.dropped,
            "sections": facts.sections,
            "hardware": facts.hardware,
            "os": facts.system,
            "application": facts.application,
            "comment_count": facts.comment_count,
            "comments": [{"frame": frame, "text": text} for frame, text in facts.comments],
            "name_count": facts.name_count,
            "names": facts.names,
            "verdicts": dict(facts.verdicts),
            "drops": [
                {"interface": interface, "reason": None if reason == NOT_SAID else reason, "says": reason_text(reason), "frames": n}
                for (interface, reason), n in sorted(capture.drops.items())
            ],
            "skipped_blocks": facts.skipped,
        }
    )


def conversations_json(c: Conversations, path: str, problems: list[str], notes: Sequence[str] = (), speech: Speech | None = None) -> str:
    """pcapnat.conversations/1."""
    return "".join(conversations_pieces(c, path, problems, notes, speech))


def conversations_pieces(
    c: Conversations, path: str, problems: list[str], notes: Sequence[str] = (), speech: Speech | None = None
) -> Iterator[str]:
    """The same document in pieces: whole, it takes far more memory than a large capture's conversations do."""
    head = _text({"schema": "pcapnat.conversations/1", "file": path, "problems": problems, "notes": list(notes)})
    yield head[: head.rindex("}")] + ',"conversations":['
    for start in range(0, len(c), PIECE):
        rows = _text(_conversations(c, speech, start, min(start + PIECE, len(c))))
        yield ("," if start else "") + rows[1 : rows.rindex("]")]
    yield "]}\n"


PIECE = 1 << 12
"""Conversations written at a time."""


def _conversations(whole: Conversations, speech: Speech | None, start: int = 0, stop: int | None = None) -> list[Json]:
    """Rows start..stop-1."""
    c = whole.part(start, len(whole) if stop is None else stop)
    a, b = c.addresses()
    client = {-1: None, 0: "a", 1: "b"}
    named = [None] * len(c) if speech is None else [application(speech.application(i)) for i in range(start, start + len(c))]
    server_port = np.where(c.client() == 1, c.a_port, c.b_port).tolist()
    columns = zip(
        c.proto.tolist(),
        a,
        c.a_port.tolist(),
        b,
        c.b_port.tolist(),
        c.stream.tolist(),
        c.first_ns.tolist(),
        c.last_ns.tolist(),
        c.packets_ab.tolist(),
        c.packets_ba.tolist(),
        c.bytes_ab.tolist(),
        c.bytes_ba.tolist(),
        c.histories(),
        c.states(),
        c.client().tolist(),
        c.retransmissions.tolist(),
        c.rtt_ns.tolist(),
        (c.first_row + 1).tolist(),
        c.errors.tolist(),
        c.carries().tolist(),
        strict=True,
    )
    return [
        {
            "id": start + i,
            "proto": protocol_name(proto),
            "a": _endpoint(a_text, a_port),
            "b": _endpoint(b_text, b_port),
            "stream": stream if stream >= 0 else None,
            "first_ns": first,
            "last_ns": last,
            "packets_ab": pab,
            "packets_ba": pba,
            "bytes_ab": bab,
            "bytes_ba": bba,
            "history": history,
            "state": state,
            "client": client[who],
            "retransmissions": again,
            "rtt_ns": rtt if rtt >= 0 else None,
            "first_frame": frame,
            "icmp_errors": errors,
            "carries_tunnel": carries,
            "usual_service": service(protocol_name(proto), server_port[i]) or None,
            "application": named[i],
        }
        for i, (
            proto,
            a_text,
            a_port,
            b_text,
            b_port,
            stream,
            first,
            last,
            pab,
            pba,
            bab,
            bba,
            history,
            state,
            who,
            again,
            rtt,
            frame,
            errors,
            carries,
        ) in enumerate(columns)
    ]


def _endpoint(address: str, port: int) -> Json:
    return {"address": address, "port": port if port >= 0 else None}


def sockets_json(
    s: Sockets, path: str, problems: list[str], notes: Sequence[str] = (), heard: dict[Listener, Counter[int]] | None = None
) -> str:
    """pcapnat.sockets/1."""
    head = {"schema": "pcapnat.sockets/1", "file": path, "problems": problems, "notes": list(notes)}
    return _text({**head, "sockets": _sockets(s, heard or {})})


def _sockets(s: Sockets, heard: dict[Listener, Counter[int]]) -> list[Json]:
    names = texts(s.address)
    out = []
    for i in range(len(s)):
        proto, port = protocol_name(int(s.proto[i])), int(s.port[i])
        usual, listener = service(proto, port), (int(s.proto[i]), int(s.address[i, 0]), int(s.address[i, 1]), port)
        spoken = sorted({Topic(t).label for t in heard.get(listener, ())}) if s.role[i] != CONNECTS else []
        out.append(
            {
                "proto": proto,
                "endpoint": _endpoint(names[i], port),
                "role": ROLES[int(s.role[i])],
                "port_class": port_class(port),
                "usual_service": usual or None,
                "speaks": spoken,
                "unusual": not all(agrees(usual, protocol) for protocol in spoken),
                "conversations": int(s.conversations[i]),
                "peers": int(s.peers[i]),
                "packets_out": int(s.packets_out[i]),
                "packets_in": int(s.packets_in[i]),
                "first_ns": int(s.first_ns[i]),
                "last_ns": int(s.last_ns[i]),
            }
        )
    return out


def analysis_json(analysis: Analysis) -> str:
    """pcapnat.analysis/1."""
    document: Json = {
        "schema": "pcapnat.analysis/1",
        "points": [_point(p, c) for p, c in zip(analysis.points, analysis.clocks, strict=True)],
        "boxes": [_box(box, analysis) for box in analysis.boxes],
        **path_json(analysis),
        "notes": analysis.notes,
    }
    for point, m in zip(document["points"], analysis.messages, strict=False):
        point |= said(m)
    for point, hosts in zip(document["points"], analysis.host_ports, strict=False):
        point["host_ports"] = hosts_json(hosts)
    if not analysis.boxes:
        speech: list[Speech | None] = [m.speech for m in analysis.messages] or [None for _ in analysis.points]
        for point, port, s, spoken in zip(document["points"], analysis.points, analysis.sockets, speech, strict=True):
            point["conversations"] = _conversations(port.conversations, spoken)
            point["hosts_behind"] = behind_json(analysis.behind)
            point["nat"] = presence_json(analysis.presence) if analysis.presence else None
            point["sockets"] = _sockets(s, heard(port.conversations, spoken.topics) if spoken else {})
    return _text(document)


def _point(port: Port, clock: Clock) -> Json:
    return {
        "name": port.name,
        "file": port.files[0],
        "files": list(port.files),
        "frames": len(port.packets),
        "first_ns": port.first_ns if len(port.packets) else None,
        "last_ns": port.last_ns if len(port.packets) else None,
        "problems": port.problems,
        "clock": {
            "offset_ns": clock.offset_ns,
            "drift_ppb": clock.drift_ppb,
            "uncertainty_ns": clock.uncertainty_ns,
            "support": clock.support,
            "notes": clock.notes,
        },
    }


def _box(box: Box, analysis: Analysis) -> Json:
    identity = box.crossing.identity
    speech = {port.name: m.speech for port, m in zip(analysis.points, analysis.messages, strict=False)}
    spoken = speech.get(box.crossing.here.name), speech.get(box.crossing.there.name)
    return {
        "between": [box.crossing.here.name, box.crossing.there.name],
        "kind": finding(box.kind),
        "translations": _translations(box.translations, *spoken),
        "leaks": _translations(box.leaks, *spoken),
        "mappings": _mappings(box),
        "unmatched": {"inside": _unmatched(box.crossing.unmatched_here), "outside": _unmatched(box.crossing.unmatched_there)},
        "ports": [_ports(use) for use in box.ports],
        "double_nat": finding(box.double_nat) if box.double_nat else None,
        "ports_in_use": ports_in_use_json(box),
        **passage_json(box),
        "behavior": {**behavior(box.behavior), "requirements": judged_json(box.requirements), **likely_json(box.likely)},
        "replay": _replay(box),
        "table": table_json(box.table) if box.table else None,
        "diagnoses": [],
        **({"packet_ids": asdict(identity)} if identity else {}),
    }


def _replay(box: Box) -> Json | None:
    if box.replay is None:
        return None
    return {**replay_json(box.replay, (box.crossing.here.name, box.crossing.there.name)), "left_free": box.assumed}


def _translations(t: Translations, here: Speech | None, there: Speech | None) -> list[Json]:
    """there: what conversations speak at the outer point, for those that the inner one does not tell; a hairpin has no outer one."""
    names = [texts(column) for column in (t.inside_src, t.inside_dst, t.outside_src, t.outside_dst)]
    by = {value: By(value).names() for value in np.unique(t.by).tolist()}
    columns = zip(
        t.proto.tolist(),
        t.from_outside.tolist(),
        *names,
        t.inside_sport.tolist(),
        t.inside_dport.tolist(),
        t.outside_sport.tolist(),
        t.outside_dport.tolist(),
        t.kind.tolist(),
        t.hairpin.tolist(),
        t.first_ns.tolist(),
        t.last_ns.tolist(),
        t.frames_inside.tolist(),
        t.frames_outside.tolist(),
        t.confidence.tolist(),
        t.by.tolist(),
        t.inside_row.tolist(),
        t.outside_row.tolist(),
        t.ended.tolist(),
        strict=True,
    )
    rows = []
    for (
        proto,
        from_outside,
        in_src,
        in_dst,
        out_src,
        out_dst,
        in_sport,
        in_dport,
        out_sport,
        out_dport,
        kind,
        hairpin,
        first,
        last,
        frames_in,
        frames_out,
        confidence,
        rests_on,
        inside,
        outside,
        ended,
    ) in columns:
        row = {
            "proto": protocol_name(proto),
            "initiator": "outside" if from_outside else "inside",
            "inside": {"src": _endpoint(in_src, in_sport), "dst": _endpoint(in_dst, in_dport)},
            "outside": {"src": _endpoint(out_src, out_sport), "dst": _endpoint(out_dst, out_dport)},
            "kind": KINDS[kind].value,
            "first_ns": first,
            "last_ns": last,
            "frames_inside": frames_in,
            "frames_outside": frames_out,
            "confidence": round(confidence, 6),
            "by": by[rests_on],
            "conversations": {"inside": inside, "outside": outside},
            "application": _spoken(here, inside) or (None if hairpin else _spoken(there, outside)),
        }
        if hairpin:
            row["hairpin"] = True
        if ended:
            row["tcp_ended"] = True
        rows.append(row)
    return rows


def _spoken(speech: Speech | None, conversation: int) -> Json | None:
    return application(speech.application(conversation)) if speech else None


def _mappings(box: Box) -> list[Json]:
    m = box.mappings
    inside, outside = texts(m.inside), texts(m.outside)
    return [
        {
            "proto": protocol_name(int(m.proto[i])),
            "inside": _endpoint(inside[i], int(m.inside_port[i])),
            "outside": _endpoint(outside[i], int(m.outside_port[i])),
            "static": bool(m.static[i]),
            "first_ns": int(m.first_ns[i]),
            "last_ns": int(m.last_ns[i]),
            "translations": box.mapped[int(m.start[i]) : int(m.start[i] + m.count[i])].tolist(),
        }
        for i in range(len(m))
    ]


def _unmatched(reasons: dict[int, Reason]) -> list[Json]:
    return [{"conversation": i, "reason": reason.value} for i, reason in reasons.items()]


def _ports(use: PortUse) -> Json:
    return {
        "proto": protocol_name(use.proto),
        "mappings": use.mappings,
        "preserved": use.preserved,
        "low": use.low,
        "high": use.high,
        "classes": use.classes,
    }
