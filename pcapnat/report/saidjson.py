"""What messages say as JSON: applications, names, DNS queries, link events, addresses inside payloads."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ..address import texts
from ..message import Application, EventKind, Messages, Source, What
from ..message.dns import CODES, TYPES
from .spoken import macs

Json = dict[str, Any]
MOST_LISTED = 1_000
"""Rows of each list that are written; `count` tells how many there are."""


def application(a: Application | None) -> Json | None:
    """What a conversation speaks."""
    if a is None:
        return None
    frame = a.row + 1 if a.row >= 0 else None
    return {"protocol": a.protocol, "name": a.name, "alpn": a.alpn, "frame": frame, "details": a.details}


def said(m: Messages) -> Json:
    """The part of a point's document that tells what messages say."""
    return {"names": _names(m), "dns": _queries(m), "link_events": _events(m), "carried_addresses": _carried(m)}


def _names(m: Messages) -> Json:
    n = m.names.take(slice(0, MOST_LISTED))
    rows = zip(*(getattr(n, name).tolist() for name in ("name", "source", "from_ns", "until_ns", "row", "count")), strict=True)
    listed = [
        {
            "address": address,
            "name": m.texts[name],
            "source": Source(source).name.lower(),
            "from_ns": begin,
            "until_ns": until,
            "frame": row + 1,
            "count": count,
        }
        for address, (name, source, begin, until, row, count) in zip(texts(n.address), rows, strict=True)
    ]
    return {"count": len(m.names), "listed": listed}


def _queries(m: Messages) -> Json:
    q = m.queries
    first = q.transaction == np.arange(len(q))
    ended = Counter(_code(code) or "no answer" for code in q.code[first].tolist())
    shown = q.take(slice(0, MOST_LISTED))
    columns = zip(*(getattr(shown, name).tolist() for name in q.columns), strict=True)
    listed = []
    for row, response, conversation, transaction, time, took, ident, name, qtype, code, answers in columns:
        listed.append(
            {
                "name": m.texts[name] if name >= 0 else None,
                "type": TYPES.get(qtype, str(qtype)),
                "ident": ident,
                "time_ns": time,
                "code": _code(code),
                "answers": answers,
                "answer_ns": took if took >= 0 else None,
                "frame": row + 1 if row >= 0 else None,
                "answer_frame": response + 1 if response >= 0 else None,
                "conversation": conversation,
                "transaction": transaction,
            }
        )
    return {"count": len(q), "transactions": int(first.sum()), "ended": dict(ended), "listed": listed}


def _code(code: int) -> str | None:
    """A response code by name; None where there was no answer."""
    if code == -1:
        return None
    return "unknown" if code < 0 else CODES.get(code, str(code))


def _events(m: Messages) -> Json:
    e = m.events.take(slice(0, MOST_LISTED))
    source, to = macs(e.eth_src), macs(e.eth_dst)
    sender, target = _parties(e.sender, e.sender_hw), _parties(e.target, e.target_hw)
    columns = zip(e.row.tolist(), e.time_ns.tolist(), e.kind.tolist(), e.vlan.tolist(), strict=True)
    listed = []
    for k, (row, time, kind, vlan) in enumerate(columns):
        event: Json = {"kind": EventKind(kind).label, "frame": row + 1, "time_ns": time, "eth_src": source[k], "eth_dst": to[k]}
        event |= {"vlan": vlan if vlan >= 0 else None, "sender": sender[k], "target": target[k]}
        listed.append(event | ({"details": m.details[k]} if k in m.details else {}))
    kinds = {EventKind(kind).label: n for kind, n in sorted(Counter(m.events.kind.tolist()).items())}
    return {"count": len(m.events), "kinds": kinds, "listed": listed}


def _parties(address: Any, hardware: Any) -> list[Json]:
    """Who a message says it is from or about; null for what it does not say."""
    columns = zip(texts(address), address.any(axis=1).tolist(), macs(hardware), (hardware != 0).tolist(), strict=True)
    return [{"address": name if named else None, "hardware": mac if has else None} for name, named, mac, has in columns]


def _carried(m: Messages) -> Json:
    c = m.carried.take(slice(0, MOST_LISTED))
    given = c.address.any(axis=1).tolist()
    columns = zip(c.what.tolist(), texts(c.address), given, c.port.tolist(), c.row.tolist(), c.conversation.tolist(), strict=True)
    listed = [
        {
            "what": What(what).label,
            "address": address if has else None,
            "port": port if port >= 0 else None,
            "frame": row + 1,
            "conversation": conversation if conversation >= 0 else None,
        }
        for what, address, has, port, row, conversation in columns
    ]
    return {"count": len(m.carried), "listed": listed}
