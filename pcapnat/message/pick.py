"""The few frames whose content is read, found and copied while their bytes pass by.

Kernels look at a frame's marks and, until it is known what a conversation speaks, at its first bytes. The rest of a
capture's payload is never kept. Memory is bounded, and what finds no room is counted.
"""

from typing import Any

from ..kernel import inner, kernel, load16, load32, signed
from ..wire import Flag, Frames, Packets
from .excerpt import Excerpts
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
TRIES = 4
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
# Slots of the array `used`: rows and bytes filled, conversation + 1 whose greeting goes on in the next batch, when the first
# message that found no room was captured, and how many found none, by topic.
ROWS, BYTES, WAITS, TOUCHED, LEFT_NS, LEFT = range(6)
USED = LEFT + 64
FAR = 4096
"""Rows after the first half of a greeting in which the second is looked for, if not every row is looked at."""
STEP = 64
"""Rows whose memory is touched before the first of them is looked at."""


@inner
def on_link(buf: Any, at: int, p: Any, i: int) -> int:
    """The topic of a frame without IP; what it carries begins at `at`."""
    kind = p.ethertype[i]
    if kind == 0x0806 or kind == 0x8035:
        return ARP
    if kind == 0x88CC:
        return LLDP
    if kind == 0x2000 and p.payload_at[i] < 14 and p.eth_dst[i] == 0:
        return CDP  # Cisco HDLC names it by the number that follows Cisco's mark elsewhere
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


@inner
def hear(buf: Any, at: int, have: int, size: int, p: Any, i: int, c: int, known: int, spoken: Any, later: int) -> int:
    """The topic of a payload that a conversation is not done with, if it is worth reading; what the conversation speaks is kept up."""
    if known != NOT_KNOWN and known & ~MORE < TRIED:
        return goes_on(buf, at, have, size, known, spoken, c)
    if p.flags[i] & UDP:
        topic = datagram(buf, at, have, size, signed(p.sport[i]), signed(p.dport[i]))
    else:
        topic = segment(buf, at, have, signed(p.sport[i]), signed(p.dport[i]))
    if topic == NOT_KNOWN:
        tries = (known if known >= TRIED else TRIED) + 1
        spoken[c] = UNKNOWN if tries >= TRIED + TRIES else tries
        return NOT_KNOWN
    spoken[c] = state_after(buf, at, have, size, topic, later)
    return topic if (EACH | ONCE | SOME) >> topic & 1 else NOT_KNOWN


@inner
def keep(
    buf: Any, at: int, have: int, size: int, p: Any, i: int, c: int, topic: int, first_row: int, out: Any, data: Any, used: Any
) -> Any:
    """Copy a message and what tells its place in a conversation; its row in `out`, or -1 if there is no room."""
    if have > LONGEST:
        have = LONGEST
    n = used[ROWS]
    to = used[BYTES]
    if n >= MOST_EXCERPTS or to + have > MOST_BYTES:
        if used[LEFT_NS] == 0:
            used[LEFT_NS] = p.time_ns[i]
        used[LEFT + topic] += 1
        return -1
    out.row[n] = first_row + i
    out.topic[n] = topic
    out.conversation[n] = c
    out.start[n] = to
    out.size[n] = have
    out.whole[n] = size
    out.flags[n] = p.flags[i]
    out.sport[n] = p.sport[i]
    out.dport[n] = p.dport[i]
    out.seq[n] = p.seq[i]
    for k in range(have):
        data[to + k] = buf[at + k]
    used[ROWS] = n + 1
    used[BYTES] = to + have
    return n


@inner
def keep_headers(p: Any, i: int, out: Any, n: int) -> None:
    """Copy what else row i's headers say of the message in row n of `out`."""
    out.time_ns[n] = p.time_ns[i]
    out.eth_dst[n] = p.eth_dst[i]
    out.eth_src[n] = p.eth_src[i]
    out.ethertype[n] = p.ethertype[i]
    out.vlan[n] = p.vlan[i]
    out.src[n, 0] = p.src[i, 0]
    out.src[n, 1] = p.src[i, 1]
    out.dst[n, 0] = p.dst[i, 0]
    out.dst[n, 1] = p.dst[i, 1]


@inner
def payload(buf: Any, frames: Any, p: Any, i: int, conversation: Any, spoken: Any, later: int) -> tuple[int, int, int, int]:
    """Where row i's payload begins, how much of it there is, how long it was, and its topic if it is a message worth reading."""
    c = conversation[i]
    known = signed(spoken[c])
    flags = p.flags[i]
    size = signed(p.payload_len[i])
    have = signed(p.cap_len[i]) - signed(p.payload_at[i])
    if size < have:
        have = size
    at = frames.at[i] + signed(p.payload_at[i])
    if known & DONE or flags & SHORT or have < 1 or not flags & PORTS or not flags & (UDP | TCP):
        return at, have, size, NOT_KNOWN
    return at, have, size, hear(buf, at, have, size, p, i, c, known, spoken, later)


@kernel(
    buf="u1",
    frames=Frames,
    count="int",
    first_row="int",
    p=Packets,
    conversation="i4",
    spoken="u1",
    out=Excerpts,
    data="u1",
    used="i8",
)
def pick(buf: Any, frames: Any, count: int, first_row: int, p: Any, conversation: Any, spoken: Any, out: Any, data: Any, used: Any) -> int:
    """Copy the messages among rows 0..count-1 to `out` and `data`; returns how many rows of `out` are filled.

    conversation: number of each row, -1 for none. spoken: what each conversation speaks, kept up here.
    """
    for i in range(count):
        c = conversation[i]
        if c >= 0:
            if spoken[c] & DONE or p.payload_len[i] == 0:
                continue
            at, have, size, topic = payload(buf, frames, p, i, conversation, spoken, EACH | SOME)
        else:
            flags = p.flags[i]
            size = signed(p.payload_len[i])
            have = signed(p.cap_len[i]) - signed(p.payload_at[i])
            if size < have:
                have = size
            if flags & SHORT or (size == 0 and not flags & ICMP):
                continue
            at = frames.at[i] + signed(p.payload_at[i])
            topic = NOT_KNOWN
            if not flags & IP:
                topic = on_link(buf, at, p, i)
            elif flags & ICMP and p.proto[i] == 58 and 133 <= p.icmp_type[i] <= 137:
                topic = NDP
                at -= 8  # ICMPv6's first eight bytes belong to the message
                have += 8
                size += 8
        if topic != NOT_KNOWN:
            n = keep(buf, at, have, size, p, i, c, topic, first_row, out, data, used)
            if n >= 0:
                keep_headers(p, i, out, n)
    return signed(used[ROWS])


@inner
def look_ahead(buf: Any, frames: Any, p: Any, conversation: Any, spoken: Any, look: Any, start: int, stop: int, used: Any) -> None:
    """Touch what will be read of some rows: the memory reads overlap instead of waiting for one another."""
    touched = 0
    for k in range(start, stop):
        i = look[k]
        touched += signed(p.flags[i]) + signed(p.payload_len[i]) + signed(p.cap_len[i]) + signed(p.sport[i]) + signed(p.dport[i])
    for k in range(start, stop):
        i = look[k]
        at = signed(p.payload_at[i])
        if at < p.cap_len[i]:
            touched += signed(buf[frames.at[i] + at])
        touched += signed(spoken[conversation[i]])
    used[TOUCHED] = touched  # so that the reads are not optimised away


@inner
def seek(
    buf: Any,
    frames: Any,
    p: Any,
    start: int,
    count: int,
    c: int,
    conversation: Any,
    spoken: Any,
    first_row: int,
    out: Any,
    data: Any,
    used: Any,
) -> int:
    """Look for the rest of conversation c's greeting from row `start` on; it is waited for if the batch ends before."""
    stop = start + FAR
    for i in range(start, stop if stop < count else count):
        if conversation[i] == c and p.payload_len[i] > 0:
            at, have, size, topic = payload(buf, frames, p, i, conversation, spoken, 0)
            if topic != NOT_KNOWN:
                keep(buf, at, have, size, p, i, c, topic, first_row, out, data, used)
            if not spoken[c] & MORE:
                return i
    if stop > count:
        used[WAITS] = c + 1
    return stop


@kernel(
    buf="u1",
    frames=Frames,
    count="int",
    first_row="int",
    p=Packets,
    conversation="i4",
    spoken="u1",
    look="i4",
    out=Excerpts,
    data="u1",
    used="i8",
)
def overhear(
    buf: Any, frames: Any, count: int, first_row: int, p: Any, conversation: Any, spoken: Any, look: Any, out: Any, data: Any, used: Any
) -> int:
    """As `pick`, only what tells the conversations' protocols, and only in the rows `look`, in order; times and addresses stay 0.

    Where a greeting goes on, the rows behind it are run through for the rest; a rest in the next batch is waited for.
    """
    if used[WAITS]:
        c = used[WAITS] - 1
        used[WAITS] = 0
        if spoken[c] & MORE:
            seek(buf, frames, p, 0, count, c, conversation, spoken, first_row, out, data, used)
    for start in range(0, len(look), STEP):
        stop = start + STEP
        if stop > len(look):
            stop = len(look)
        look_ahead(buf, frames, p, conversation, spoken, look, start, stop, used)
        for k in range(start, stop):
            i = look[k] | 0
            c = conversation[i]
            at, have, size, topic = payload(buf, frames, p, i, conversation, spoken, 0)
            if topic != NOT_KNOWN:
                keep(buf, at, have, size, p, i, c, topic, first_row, out, data, used)
                if signed(spoken[c]) == TLS | MORE:
                    seek(buf, frames, p, i + 1, count, c, conversation, spoken, first_row, out, data, used)
    return signed(used[ROWS])
