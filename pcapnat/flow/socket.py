"""Sockets: one end of conversations. Who listens, and who connects from which ports."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..table import Array, Table, column
from . import life as t
from .conversation import Conversations

CONNECTS, LISTENS, ASKED = 1, 2, 3
ROLES = {CONNECTS: "connects", LISTENS: "listens", ASKED: "asked, no answer"}


class Sockets(Table):
    """One row per (protocol, address, port, role), for protocols with ports."""

    proto = column("uint8", "protocol above IP")
    address = column("uint64", "the socket's address", width=2)
    port = column("int32", "the socket's port")
    role = column("uint8", "1 connects, 2 listens (it answered), 3 was asked and did not answer or refused")
    conversations = column("int64", "conversations it took part in")
    peers = column("int64", "different addresses at the other end")
    packets_out = column("int64", "frames it sent")
    packets_in = column("int64", "frames it got")
    first_ns = column("int64", "time of its first frame", unit="ns since 1970-01-01 UTC")
    last_ns = column("int64", "time of its last frame", unit="ns since 1970-01-01 UTC")


def sockets(c: Conversations) -> Sockets:
    """All sockets of a capture's TCP, UDP, SCTP, DCCP and UDP-Lite conversations, ordered by address, protocol and port.

    A client not known (TCP seen only mid-stream) is taken to be the end with the higher port.
    """
    rows = np.flatnonzero((c.a_port >= 0) & ~np.isin(c.proto, (1, 58)))
    client = c.client()[rows]
    client = np.where(client < 0, (c.a_port[rows] < c.b_port[rows]).astype(np.int64), client)
    a, b, ap, bp = c.a[rows], c.b[rows], c.a_port[rows], c.b_port[rows]
    ab, ba = c.packets_ab[rows], c.packets_ba[rows]
    b_calls = client == 1
    answered = np.where(
        c.proto[rows] == 6, (c.marks[rows] & (0x10001 << t.SYNACK_LETTER | 0x10001 << t.DATA_LETTER)) != 0, (ab > 0) & (ba > 0)
    )
    caller = _end(
        c,
        rows,
        np.where(b_calls[:, None], b, a),
        np.where(b_calls, bp, ap),
        np.where(b_calls[:, None], a, b),
        np.where(b_calls, ba, ab),
        np.where(b_calls, ab, ba),
        np.full(len(rows), CONNECTS),
    )
    called = _end(
        c,
        rows,
        np.where(b_calls[:, None], a, b),
        np.where(b_calls, ap, bp),
        np.where(b_calls[:, None], b, a),
        np.where(b_calls, ab, ba),
        np.where(b_calls, ba, ab),
        np.where(answered, LISTENS, ASKED),
    )
    ends = [np.concatenate([x, y]) for x, y in zip(caller, called, strict=True)]
    return _grouped(ends)


Listener = tuple[int, int, int, int]
"""A socket that is called: protocol, address in two words, port."""


def called(c: Conversations, rows: Array) -> tuple[Array, Array]:
    """Address and port of the end that was called in some conversations, by the same rule as `sockets`."""
    client = c.client()[rows]
    client = np.where(client < 0, (c.a_port[rows] < c.b_port[rows]).astype(np.int64), client)
    b_calls = client == 1
    return np.where(b_calls[:, None], c.a[rows], c.b[rows]), np.where(b_calls, c.a_port[rows], c.b_port[rows])


def heard(c: Conversations, spoken: Array) -> dict[Listener, Counter[int]]:
    """How many conversations spoke what with each socket that was called. spoken: (c,) a number of each, 0 where it is not known."""
    rows = np.flatnonzero((spoken > 0) & (c.a_port >= 0))
    address, port = called(c, rows)
    found: dict[Listener, Counter[int]] = {}
    ends = zip(c.proto[rows].tolist(), address[:, 0].tolist(), address[:, 1].tolist(), port.tolist(), strict=True)
    for end, what in zip(ends, spoken[rows].tolist(), strict=True):
        found.setdefault(end, Counter())[what] += 1
    return found


def _end(c: Conversations, rows: Array, address: Array, port: Array, peer: Array, sent: Array, got: Array, role: Array) -> list[Array]:
    return [c.proto[rows], address, port, peer, sent, got, role, c.first_ns[rows], c.last_ns[rows]]


def _grouped(ends: list[Array]) -> Sockets:
    proto, address, port, peer, sent, got, role, first, last = ends
    if not len(proto):
        return Sockets.empty(0)
    order = np.lexsort((peer[:, 1], peer[:, 0], role, port, proto, address[:, 1], address[:, 0]))
    key = np.column_stack([address, proto.astype(np.uint64), port.astype(np.uint64), role.astype(np.uint64)])[order]
    new = np.append(True, (key[1:] != key[:-1]).any(axis=1))
    starts = np.flatnonzero(new)
    far = peer[order]
    other = np.append(True, (far[1:] != far[:-1]).any(axis=1)) | new
    first_rows = order[starts]
    return Sockets(
        proto=proto[first_rows],
        address=address[first_rows],
        port=port[first_rows],
        role=role[first_rows].astype(np.uint8),
        conversations=np.diff(np.append(starts, len(order))),
        peers=np.add.reduceat(other.astype(np.int64), starts),
        packets_out=np.add.reduceat(sent[order], starts),
        packets_in=np.add.reduceat(got[order], starts),
        first_ns=np.minimum.reduceat(first[order], starts),
        last_ns=np.maximum.reduceat(last[order], starts),
    )
