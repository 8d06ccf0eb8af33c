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
    lines,
    segment,
    stun,
)

IP, PORTS, TCP, UDP, ICMP, SHORT = (int(f) for f in (Flag.IP, Flag.PORTS, Flag.TCP, Flag.UDP, Flag.ICMP, Flag.SHORT))
MOST_EXCERPTS, MOST_BYTES = 200_000, 64 << 20
LONGEST = 2048
"""Bytes of one message that are kept: a TLS greeting with post-quantum keys is as long."""
TRIED = 48
"""What a conversation speaks is kept in a byte: its topic, or TRIED + n when n payloads did not tell; and two marks."""
TRIES = 6
"""Payloads of a conversation that are looked at."""
MORE = 64
"""Mark: what was said first goes on (TLS) or is answered (SSH) by the next payload."""
DONE = 128
"""Mark: nothing more of the conversation is looked at."""
UNKNOWN = DONE | TRIED
EACH = 1 << DHCP | 1 << DHCPV6 | 1 << DNS | 1 << MDNS | 1 << LLMNR | 1 << NBNS | 1 << STUN | 1 << SIP | 1 << DNS_TCP
"""Topics of which every message is picked."""
ONCE = 1 << TLS | 1 << HTTP | 1 << SSH
"""Topics of which only what is said first in a conversation is picked."""
SOME = 1 << SMB | 1 << FTP
"""Topics of which that is picked, and later the few messages that hold an address or a name."""


class Excerpts(Table):
    """One row per picked message, in file order; its bytes are data[start : start + size]."""

    row = column("int64", "row in Packets of the frame")
    topic = column("uint8", "what it is, see Topic")
    conversation = column("int64", "row in Conversations, -1 for none")
    start = column("int64", "where its bytes begin", unit="bytes")
    size = column("int64", "how many bytes are kept", unit="bytes")


@dataclass
class Picked:
    """Excerpts with their frames' columns and bytes.

    spoken: (c,) topic of each conversation, 0 if not known. left: messages that found no room, by topic; left_ns: when the
    first of them was captured.
    """

    excerpts: Excerpts
    packets: Packets
    data: bytes
    spoken: Array
    left: Counter[Topic] = field(default_factory=Counter)
    left_ns: int | None = None

    @classmethod
    def none(cls) -> Picked:
        """Nothing picked, of no conversations."""
        return cls(Excerpts.empty(0), Packets.empty(0), b"", np.zeros(0, np.uint8))

    def bytes_of(self, i: int) -> bytes:
        """The bytes of row i."""
        start = int(self.excerpts.start[i])
        return self.data[start : start + int(self.excerpts.size[i])]


@inner
def on_link(buf: Any, at: int, p: Any, i: int) -> int:
    """The topic of a frame without IP; what it carries begins at `at`."""
    kind = p.ethertype[i]
    if kind == 0x0806 or kind == 0x8035:
        return ARP
    if kind == 0x88CC:
        return LLDP
    if kind == 0 and p.payload_at[i] >= 17:
        target = p.eth_dst[i]
        if target == 0x0180C2000000 or target == 0x0180C2000008:
            return STP if load16(buf, at - 3) == 0x4242 else NOT_KNOWN  # IEEE 802.2's number of spanning tree
        if target == 0x01000CCCCCCD:
            return STP if load16(buf, at - 2) == 0x010B else NOT_KNOWN
        if target == 0x01000CCCCCCC:
            return CDP if load16(buf, at - 2) == 0x2000 else NOT_KNOWN  # others of Cisco's share the address
    return NOT_KNOWN


@inner
def names_an_address(buf: Any, at: int, size: int) -> bool:
    """Whether a line of FTP's control connection says where data goes: PORT, EPRT, 227 or 229 (RFC 959, RFC 2428)."""
    if size < 8:
        return False
    first = load32(buf, at)
    command = first & 0xDFDFDFDF  # in small letters, too
    return command == 0x504F5254 or command == 0x45505254 or first == 0x32323720 or first == 0x32323920


@inner
def names_a_share(buf: Any, at: int, size: int) -> bool:
    """Whether an SMB2 message tells the dialect (MS-SMB2 2.2.4) or asks to connect to a share, with the server's name (2.2.9)."""
    if size < 72 or load32(buf, at + 4) != 0xFE534D42:
        return False
    answer = buf[at + 20] & 1
    command = load16(buf, at + 16)
    return (command == 0 and answer == 1) or (command == 0x0300 and answer == 0)


@inner
def goes_on(buf: Any, at: int, have: int, size: int, topic: int, spoken: Any, c: int) -> int:
    """The topic of one more payload in a conversation that is not done, NOT_KNOWN if it is not worth reading."""
    if topic & MORE:
        topic ^= MORE
        if topic == TLS:
            if buf[at] == 0x16:  # the greeting again
                return NOT_KNOWN
        elif have < 4 or load32(buf, at) != 0x5353482D:
            topic = NOT_KNOWN
        spoken[c] = signed(spoken[c]) & ~MORE | DONE
    elif topic == STUN:  # what it opened the way for follows on the same ports
        if not stun(buf, at, have, size):
            return NOT_KNOWN
    elif topic == SIP:
        if have < 12 or lines(buf, at, have, load32(buf, at)) != SIP:
            return NOT_KNOWN
    elif topic == FTP:
        if not names_an_address(buf, at, have):
            return NOT_KNOWN
    elif topic == SMB:
        if not names_a_share(buf, at, have):
            return NOT_KNOWN
    return topic


@inner
def state_after(buf: Any, at: int, have: int, size: int, topic: int, later: int) -> int:
    """What is kept of a conversation whose first telling payload is buf[at : at + have]."""
    if topic == TLS and have >= 6 and buf[at + 5] == 1 and load16(buf, at + 3) + 5 > size:
        return TLS | MORE
    if topic == SSH:
        return SSH | MORE
    return topic if later >> topic & 1 else topic | DONE


@kernel(
    buf="u1",
    frames=Frames,
    count="int",
    p=Packets,
    conversation="i4",
    spoken="u1",
    later="int",
    links="int",
    rows="i4",
    topics="u1",
    starts="i8",
    sizes="i8",
)
def pick(
    buf: Any,
    frames: Any,
    count: int,
    p: Any,
    conversation: Any,
    spoken: Any,
    later: int,
    links: int,
    rows: Any,
    topics: Any,
    starts: Any,
    sizes: Any,
) -> int:
    """Find the messages among rows 0..count-1; returns how many of the last four columns were filled.

    conversation: number of each row, -1 for none. spoken: what each conversation speaks, kept up here. later: topics of
    which more than what is said first is looked at. links: whether frames without a conversation are.
    """
    n = 0
    for i in range(count):
        c = conversation[i]
        known = 0
        if c >= 0:
            known = signed(spoken[c])
            if known & DONE:
                continue
        elif not links:
            continue
        flags = p.flags[i]
        size = signed(p.payload_len[i])
        if flags & SHORT or (size == 0 and not flags & ICMP):
            continue
        have = signed(p.cap_len[i]) - signed(p.payload_at[i])
        if size < have:
            have = size
        at = frames.at[i] + signed(p.payload_at[i])
        topic = NOT_KNOWN
        if c >= 0:
            if have < 1 or not flags & PORTS or not flags & (UDP | TCP):
                continue
            if known == NOT_KNOWN or known & ~MORE >= TRIED:
                if flags & UDP:
                    topic = datagram(buf, at, have, size, signed(p.sport[i]), signed(p.dport[i]))
                else:
                    topic = segment(buf, at, have, signed(p.sport[i]), signed(p.dport[i]))
                if topic == NOT_KNOWN:
                    tries = (known if known >= TRIED else TRIED) + 1
                    spoken[c] = UNKNOWN if tries >= TRIED + TRIES else tries
                    continue
                spoken[c] = state_after(buf, at, have, size, topic, later)
                if not (EACH | ONCE | SOME) >> topic & 1:
                    continue
            else:
                topic = goes_on(buf, at, have, size, known, spoken, c)
        elif not flags & IP:
            topic = on_link(buf, at, p, i)
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

    def __init__(self, each: bool = True) -> None:
        """each: every message that is worth reading; otherwise only those that tell what a conversation speaks."""
        self._later = EACH | SOME if each else 1 << SMB
        self._links = int(each)
        self._spoken = np.zeros(1 << 10, np.uint8)
        self._found: tuple[Array, ...] = ()
        self._parts: list[Excerpts] = []
        self._packets: list[Packets] = []
        self._data = bytearray()
        self._count = 0
        self._left: Counter[Topic] = Counter()
        self._left_ns: int | None = None

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
        n = pick(
            chunk.buf,
            chunk.frames,
            batch.count,
            batch.packets,
            conversation,
            self._spoken,
            self._later,
            self._links,
            *self._found,
        )
        if n:
            self._keep(batch, conversation, *(column[:n] for column in self._found))

    def _keep(self, batch: Batch, conversation: Array, rows: Array, topics: Array, starts: Array, sizes: Array) -> None:
        ends = len(self._data) + np.cumsum(sizes)
        room = min(int(np.searchsorted(ends, MOST_BYTES, "right")), MOST_EXCERPTS - self._count)
        if room < len(rows):
            for topic, n in zip(*np.unique(topics[room:], return_counts=True), strict=True):
                self._left[Topic(int(topic))] += int(n)
            if self._left_ns is None:
                self._left_ns = int(batch.packets.time_ns[rows[room]])
            rows, topics, starts, sizes, ends = rows[:room], topics[:room], starts[:room], sizes[:room], ends[:room]
        if not len(rows):
            return
        buf = batch.chunk.buf.data
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
            self._data += buf[start : start + size]
        self._parts.append(
            Excerpts(
                row=rows.astype(np.int64) + batch.first_row,
                topic=topics.copy(),
                conversation=conversation[rows].astype(np.int64),
                start=ends - sizes,
                size=sizes.copy(),
            )
        )
        self._packets.append(batch.packets.take(rows))
        self._count += room

    def finish(self, number: Array, conversations: int) -> Picked:
        """Everything picked. number: the row in Conversations of each conversation fed (-1: dropped), -1 at its end."""
        excerpts = Excerpts.join(self._parts)
        excerpts.conversation[:] = number[excerpts.conversation]
        spoken = np.zeros(conversations, np.uint8)
        known = self._spoken[: len(number) - 1] & 63
        known[known >= TRIED] = NOT_KNOWN
        kept = number[:-1][: len(known)] >= 0
        spoken[number[:-1][: len(known)][kept]] = known[kept]
        return Picked(excerpts, Packets.join(self._packets), bytes(self._data), spoken, self._left, self._left_ns)
