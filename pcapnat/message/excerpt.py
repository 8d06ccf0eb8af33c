"""The few frames whose content is read, picked while their bytes pass by.

A kernel looks at each frame's marks and, until it is known what a conversation speaks, at its first bytes. What is picked
is copied; the rest of a capture's payload is never kept. Memory is bounded, and what found no room is counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..kernel import inner, kernel, load16, load32, signed
from ..table import Array, Table, column
from ..wire import Batch, Flag, Frames, Packets
from .topic import (
    ARP,
    CDP,
    DHCP,
    DHCPV6,
    DNS,
    DNS_TCP,
    FTP,
    HTTP,
    LLDP,
    LLMNR,
    MDNS,
    NBNS,
    NDP,
    NOT_KNOWN,
    SIP,
    SMB,
    SSH,
    STP,
    STUN,
    TLS,
    Topic,
    datagram,
    segment,
)

IP, PORTS, TCP, UDP, ICMP, SHORT = (int(f) for f in (Flag.IP, Flag.PORTS, Flag.TCP, Flag.UDP, Flag.ICMP, Flag.SHORT))
MOST_EXCERPTS, MOST_BYTES = 200_000, 64 << 20
LONGEST = 2048
"""Bytes of one message that are kept: a TLS greeting with post-quantum keys is as long."""
UNKNOWN = 255
"""What a conversation speaks was looked for and not found."""
TRIES = 3
"""Payloads of a conversation that are looked at; 240 + n in `spoken`: n of them so far."""
TRIED = 240
MORE = 128
"""Added to TLS in `spoken`: its greeting goes on in the next segment."""
EACH = 1 << DHCP | 1 << DHCPV6 | 1 << DNS | 1 << MDNS | 1 << LLMNR | 1 << NBNS | 1 << STUN | 1 << SIP | 1 << DNS_TCP
"""Topics of which every message is picked."""
ONCE = 1 << TLS | 1 << HTTP | 1 << SSH | 1 << SMB
"""Topics of which the first message of a conversation is picked."""
READ = EACH | 1 << FTP | 1 << SMB | 1 << NOT_KNOWN
"""What conversations may speak whose later payloads are looked at."""
LOW32 = 0xFFFFFFFF
COPIED = (
    "time_ns", "wire_len", "interface", "flags", "direction", "eth_dst", "eth_src", "ethertype", "vlan", "src", "dst", "proto",
    "ttl", "sport", "dport", "seq", "icmp_type", "icmp_code", "payload_at", "payload_len",
)  # fmt: skip
"""Columns of Packets that are kept of a picked frame; the others are zero."""


class Excerpts(Table):
    """One row per picked message, in file order; its bytes are data[start : start + size]."""

    row = column("int64", "row in Packets of the frame")
    topic = column("uint8", "what it is, see Topic")
    conversation = column("int64", "row in Conversations, -1 for none")
    start = column("int64", "where its bytes begin", unit="bytes")
    size = column("int64", "how many bytes are kept", unit="bytes")


@dataclass
class Picked:
    """Excerpts with their frames' columns (those of COPIED) and bytes.

    spoken: (c,) topic of each conversation, 0 if not known. left: messages that found no room, by topic.
    """

    excerpts: Excerpts
    packets: Packets
    data: bytes
    spoken: Array
    left: Counter[Topic] = field(default_factory=Counter)

    @classmethod
    def none(cls) -> Picked:
        """Nothing picked, of no conversations."""
        return cls(Excerpts.empty(0), Packets.empty(0), b"", np.zeros(0, np.uint8))

    def bytes_of(self, i: int) -> bytes:
        """The bytes of row i."""
        start = int(self.excerpts.start[i])
        return self.data[start : start + int(self.excerpts.size[i])]


@inner
def on_link(p: Any, i: int) -> int:
    """The topic of a frame without IP."""
    kind = p.ethertype[i]
    if kind == 0x0806 or kind == 0x8035:
        return ARP
    if kind == 0x88CC:
        return LLDP
    if kind == 0:
        target = p.eth_dst[i]
        if target == 0x0180C2000000 or target == 0x0180C2000008 or target == 0x01000CCCCCCD:
            return STP
        if target == 0x01000CCCCCCC:
            return CDP
    return NOT_KNOWN


@inner
def names_an_address(buf: Any, at: int, size: int) -> bool:
    """Whether a line of FTP's control connection says where data goes: PORT, EPRT, 227 or 229 (RFC 959, RFC 2428)."""
    if size < 8:
        return False
    first = load32(buf, at)
    return first == 0x504F5254 or first == 0x45505254 or first == 0x32323720 or first == 0x32323920


@inner
def asks_for_tree(buf: Any, at: int, size: int) -> bool:
    """Whether an SMB2 message asks to connect to a share (MS-SMB2 2.2.9): it has the server's name."""
    return size >= 72 and load32(buf, at + 4) == 0xFE534D42 and load16(buf, at + 16) == 0x0300 and buf[at + 20] & 1 == 0


@kernel(buf="u1", frames=Frames, count="int", p=Packets, conversation="i4", spoken="u1", rows="i4", topics="u1", starts="i8", sizes="i8")
def pick(buf: Any, frames: Any, count: int, p: Any, conversation: Any, spoken: Any, rows: Any, topics: Any, starts: Any, sizes: Any) -> int:
    """Find the messages among rows 0..count-1; returns how many of the last four columns were filled.

    conversation: number of each row, -1 for none. spoken: what each conversation speaks, kept up here.
    """
    n = 0
    for i in range(count):
        flags = p.flags[i]
        size = signed(p.payload_len[i])
        topic = NOT_KNOWN
        c = -1
        known = NOT_KNOWN
        if flags & (IP | PORTS) == IP | PORTS:  # most frames end here: nothing said, or known not to matter
            c = conversation[i] | 0
            if size == 0 or c < 0 or not flags & (UDP | TCP):
                continue
            known = signed(spoken[c & LOW32])
            if known == UNKNOWN or (known < TRIED and known & MORE == 0 and not READ >> known & 1):
                continue
        if flags & SHORT:
            continue
        have = signed(p.cap_len[i]) - signed(p.payload_at[i])
        if size < have:
            have = size
        at = frames.at[i] + signed(p.payload_at[i])
        if not flags & IP:
            topic = on_link(p, i)
        elif c >= 0:
            if have < 1:
                continue
            if known == NOT_KNOWN or known >= TRIED:
                if flags & UDP:
                    topic = datagram(buf, at, have, signed(p.sport[i]), signed(p.dport[i]))
                else:
                    topic = segment(buf, at, have, signed(p.sport[i]), signed(p.dport[i]))
                if topic == NOT_KNOWN:
                    tries = (known if known >= TRIED else TRIED) + 1
                    spoken[c] = UNKNOWN if tries >= TRIED + TRIES else tries
                    continue
                spoken[c] = topic
                if topic == TLS and have >= 6 and buf[at + 5] == 1 and load16(buf, at + 3) + 5 > size:
                    spoken[c] = TLS | MORE
                if not (EACH | ONCE) >> topic & 1:
                    continue
            elif known == TLS | MORE:
                if buf[at] == 0x16:  # the greeting again
                    continue
                topic = TLS
                spoken[c] = TLS
            elif EACH >> known & 1:
                topic = known
            elif known == FTP:
                if not names_an_address(buf, at, have):
                    continue
                topic = FTP
            elif known == SMB:
                if not asks_for_tree(buf, at, have):
                    continue
                topic = SMB
        elif flags & ICMP and p.proto[i] == 58 and 133 <= p.icmp_type[i] <= 137:
            topic = NDP
            at -= 8  # ICMPv6's first eight bytes belong to the message
            have += 8
        if topic == NOT_KNOWN:
            continue
        rows[n] = i
        topics[n] = topic
        starts[n] = at
        sizes[n] = have if have < LONGEST else LONGEST
        n += 1
    return n


class Picker:
    """Collects messages from batches of packets, in file order."""

    def __init__(self) -> None:
        self._spoken = np.zeros(1 << 10, np.uint8)
        self._found: tuple[Array, ...] = ()
        self._parts: list[list[Array]] = []
        self._packets: list[list[Array]] = []
        self._data = bytearray()
        self._count = 0
        self._left: Counter[Topic] = Counter()

    def feed(self, batch: Batch, conversation: Array, conversations: int) -> None:
        """Take up the next frames. conversation: number of each, below `conversations`."""
        if len(self._spoken) < conversations:
            grown = np.zeros(max(conversations, 2 * len(self._spoken)), np.uint8)
            grown[: len(self._spoken)] = self._spoken
            self._spoken = grown
        if not self._found or len(self._found[0]) < batch.count:
            kinds = np.int32, np.uint8, np.int64, np.int64
            self._found = tuple(np.zeros(batch.count, kind) for kind in kinds)
        chunk = batch.chunk
        n = pick(chunk.buf, chunk.frames, batch.count, batch.packets, conversation, self._spoken, *self._found)
        if n:
            self._keep(batch, conversation, *(column[:n] for column in self._found))

    def _keep(self, batch: Batch, conversation: Array, rows: Array, topics: Array, starts: Array, sizes: Array) -> None:
        room = MOST_EXCERPTS - self._count
        if len(self._data) + len(rows) * LONGEST > MOST_BYTES:
            room = min(room, int(np.searchsorted(len(self._data) + np.cumsum(sizes), MOST_BYTES, "right")))
        if room < len(rows):
            for topic, n in zip(*np.unique(topics[room:], return_counts=True), strict=True):
                self._left[Topic(int(topic))] += int(n)
            rows, topics, starts, sizes = rows[:room], topics[:room], starts[:room], sizes[:room]
        buf = batch.chunk.buf.data
        self._data += b"".join([buf[start : start + size] for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)])
        packets = batch.packets
        self._parts.append([rows + batch.first_row, topics.copy(), conversation[rows], sizes.copy()])
        self._packets.append([getattr(packets, name)[rows] for name in COPIED])
        self._count += len(rows)

    def finish(self, number: Array, conversations: int) -> Picked:
        """Everything picked. number: the row in Conversations of each conversation fed (-1: dropped), -1 at its end."""
        excerpts, packets = Excerpts.empty(self._count), Packets.empty(self._count)
        for name, parts in zip(("row", "topic", "conversation", "size"), zip(*self._parts, strict=True), strict=False):
            np.concatenate(parts, out=getattr(excerpts, name), casting="unsafe")
        for name, parts in zip(COPIED, zip(*self._packets, strict=True), strict=False):
            np.concatenate(parts, out=getattr(packets, name))
        excerpts.start[:] = np.cumsum(excerpts.size) - excerpts.size
        excerpts.conversation[:] = number[excerpts.conversation]
        spoken = np.zeros(conversations, np.uint8)
        known = self._spoken[: len(number) - 1] & 127
        known[self._spoken[: len(number) - 1] >= TRIED] = NOT_KNOWN
        kept = number[:-1][: len(known)] >= 0
        spoken[number[:-1][: len(known)][kept]] = known[kept]
        return Picked(excerpts, packets, bytes(self._data), spoken, self._left)
