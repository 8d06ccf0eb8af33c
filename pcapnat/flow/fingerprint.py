"""Fingerprints: what of a frame survives a box, how much it proves, and which conversations share which.

Two families. The frame's `key` (see wire/decode.py) and the key together with the IP identification, which most boxes
leave alone and which tells equal payloads apart. A fingerprint that m conversations here and n there share proves
log2(m n) bits less; beyond MANY combinations it proves nothing and costs nothing: that keeps the work linear.
"""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple

import numpy as np

from ..table import Array
from ..wire import Flag
from .port import Port

MANY = 64
ISN_BITS, SEGMENT_BITS, PAYLOAD_BITS, ECHO_BITS, IP_ID_BITS = 32.0, 48.0, 40.0, 16.0, 12.0


class By(IntFlag):
    """What a match rests on."""

    ISN = 1
    SEQUENCE = 2
    PAYLOAD = 4
    DNS = 8
    ECHO = 16
    IP_ID = 32
    FAR_END = 64

    def names(self) -> list[str]:
        """As the JSON document writes them."""
        words = {
            By.ISN: "isn",
            By.SEQUENCE: "sequence",
            By.PAYLOAD: "payload",
            By.DNS: "dns-id",
            By.ECHO: "echo",
            By.IP_ID: "ip-id",
            By.FAR_END: "far-endpoint",
        }
        return [word for kind, word in words.items() if kind in self]


class Events(NamedTuple):
    """Frames that carry a fingerprint, as columns: row, key, refined key (0: none), conversation * 2 + direction, bits, kind."""

    row: Array
    key: Array
    refined: Array
    node: Array
    bits: Array
    by: Array


class Votes(NamedTuple):
    """One row per (frame here, frame there) with one fingerprint in their two conversations."""

    here: Array
    there: Array
    bits: Array
    by: Array


def events(port: Port, wanted: Array) -> Events:
    """The fingerprints of a port's frames in conversations where wanted[conversation]."""
    p = port.packets
    flags = p.flags
    rows = np.flatnonzero((port.conversation >= 0) & (flags & int(Flag.KEY) != 0))
    rows = rows[wanted[port.conversation[rows]]]
    flags = flags[rows]
    size = np.minimum(p.payload_len[rows].astype(np.int64), 64)
    tcp, echo = flags & int(Flag.TCP) != 0, flags & int(Flag.IN_QUERY) != 0
    bits_set = p.tcp_flags[rows]
    syn = tcp & (bits_set & 2 != 0)
    with_ack = tcp & (bits_set & 16 != 0)
    # A lone SYN proves 32 bits of sequence number; with an acknowledgment two of them, not quite independent any more.
    # A segment with neither number worth anything (seq and ack 0, as some RSTs have) proves nothing.
    bits = np.select(
        [syn & ~with_ack, with_ack, tcp, echo],
        [ISN_BITS, SEGMENT_BITS, ISN_BITS, np.minimum(ECHO_BITS + 8.0 * size, PAYLOAD_BITS)],
        np.minimum(8.0 * size, PAYLOAD_BITS),
    )
    bits = np.where(tcp & (p.seq[rows] == 0) & (p.ack[rows] == 0) & (size == 0), 0.0, bits)
    dns = (flags & int(Flag.UDP) != 0) & ((p.sport[rows] == 53) | (p.dport[rows] == 53)) & (size >= 12)
    by = np.select(
        [syn, tcp & (size > 0), tcp, echo, dns], [By.ISN, By.SEQUENCE | By.PAYLOAD, By.SEQUENCE, By.ECHO, By.DNS | By.PAYLOAD], By.PAYLOAD
    ).astype(np.int64)
    useful = bits > 0
    rows, bits, by, flags = rows[useful], bits[useful], by[useful], flags[useful]
    key = p.key[rows]
    ident = p.ip_id[rows].astype(np.int64)
    refined = np.where((ident != 0) & (flags & int(Flag.V6) == 0), key ^ (ident * 0x5851F42D4C957F2D & (1 << 62) - 1), 0)
    return Events(rows, key, refined, port.conversation[rows].astype(np.int64) * 2 + port.reverse[rows], bits, by)


def votes(here: Events, there: Events) -> Votes:
    """Every two conversations that share a rare fingerprint, once per fingerprint, with the bits it proves."""
    plain = _join(here.key, here.node, there.key, there.node)
    i, j, many = plain
    bits = np.maximum(here.bits[i] - np.log2(many), 0.0)
    with_id, with_id_there = np.flatnonzero(here.refined), np.flatnonzero(there.refined)
    ri, rj, rmany = _join(here.refined[with_id], here.node[with_id], there.refined[with_id_there], there.node[with_id_there])
    ri, rj = with_id[ri], with_id_there[rj]
    # Where the key alone was too common to count, the key's own bits were not counted either: half of them are now.
    common = ~np.isin(here.key[ri], here.key[i])
    refined_bits = np.maximum(IP_ID_BITS + np.where(common, here.bits[ri] / 2, 0.0) - np.log2(rmany), 0.0)
    return Votes(
        np.concatenate([i, ri]),
        np.concatenate([j, rj]),
        np.concatenate([bits, refined_bits]),
        np.concatenate([here.by[i], np.where(common, here.by[ri], 0) | int(By.IP_ID)]),
    )


def _join(key_a: Array, node_a: Array, key_b: Array, node_b: Array) -> tuple[Array, Array, Array]:
    """Pairs (i, j) of equal keys, each (key, node, node) once; with the number of pairs its key makes, at most MANY."""
    a, starts_a, counts_a, keys_a = _grouped(key_a, node_a)
    b, starts_b, counts_b, keys_b = _grouped(key_b, node_b)
    _, ga, gb = np.intersect1d(keys_a, keys_b, assume_unique=True, return_indices=True)
    many = counts_a[ga] * counts_b[gb]
    keep = many <= MANY
    ga, gb, many = ga[keep], gb[keep], many[keep]
    within = np.arange(int(many.sum())) - np.repeat(np.cumsum(many) - many, many)
    wide = np.repeat(counts_b[gb], many)
    i = a[np.repeat(starts_a[ga], many) + within // wide] if len(wide) else np.zeros(0, np.int64)
    j = b[np.repeat(starts_b[gb], many) + within % wide] if len(wide) else np.zeros(0, np.int64)
    return i, j, np.repeat(many, many).astype(np.float64)


def _grouped(key: Array, node: Array) -> tuple[Array, Array, Array, Array]:
    """First row of each (key, node), ordered by key, with the start and size of each key's group and the keys."""
    order = np.lexsort((node, key))
    k, n = key[order], node[order]
    first = np.ones(len(k), bool)
    first[1:] = (k[1:] != k[:-1]) | (n[1:] != n[:-1])
    order, k = order[first], k[first]
    head = np.ones(len(k), bool)
    head[1:] = k[1:] != k[:-1]
    starts = np.flatnonzero(head)
    counts = np.diff(np.append(starts, len(k)))
    return order, starts, counts, k[starts]
