"""The kernel that puts frames into conversations and follows TCP's life.

A conversation is both directions of a 5-tuple (address pair and protocol where there are no ports). When one begins
and ends is decided as Wireshark's TCP dissector does (measured against tshark 4.0.17), so that streams have its numbers: a SYN
whose sequence number differs from the first one of its direction begins a new one, also without a FIN or RST before.
History letters are Zeek's (base/protocols/conn, `history`), each recorded once a direction.

Of a packet in a tunnel the conversation is the innermost packet's; a UDP header around it takes up a stream number, as in
Wireshark, and no more. A fragment after the first is given its datagram's conversation, whichever came first, but is not
counted there: Wireshark counts only frames that show ports, and so do packets and bytes here. One that comes before its
first fragment waits for it to the end of the batch.
"""

from typing import Any

from ..kernel import cold, inner, kernel, mix, signed
from ..wire import Flag, Outer, Packets, Quoted
from .life import (
    BASE,
    BYTES_AB,
    CARRIER,
    DATA_LETTER,
    ERRORS,
    FIRST,
    FIRST_ROW,
    LAST,
    LIFE,
    LOW32,
    MARKS,
    NEXT,
    PACKETS_AB,
    PACKETS_BA,
    RTT_NS,
    SIDE_A,
    SIDE_B,
    STREAM,
    TUPLE,
    follow_tcp,
    note,
)
from .parts import LEFT, datagram, first_part, later_part

IP, PORTS, TCP, UDP, ICMP, QUOTE, FRAGMENT, TUNNEL, SPI = (
    int(f) for f in (Flag.IP, Flag.PORTS, Flag.TCP, Flag.UDP, Flag.ICMP, Flag.QUOTE, Flag.FRAGMENT, Flag.TUNNEL, Flag.SPI)
)

TOTAL, TCP_STREAMS, UDP_STREAMS, TOUCHED = range(4)
FRESH = LEFT + 1
TOTALS = 6
USED = 1 << 62
"""Set in every used slot of the hash table: with it a slot holds the conversation's number itself, 0 included."""
# Masking an index that cannot be negative tells the compiler so; it then leaves out Python's handling of negative
# indices, which would cost an addition and a choice at each of some sixty array accesses a frame.
STEP = 512
"""Frames whose places are fetched ahead of their look-up: enough for the memory reads to overlap, few enough to stay in the L1 cache."""


@inner
def place(src_high: int, src_low: int, sport: int, dst_high: int, dst_low: int, dport: int, proto: int, seed: int) -> int:
    """A hash of a 5-tuple that is the same in both directions. Halves are added: the exclusive or of two equal ends is always 0."""
    one = mix(src_low, seed ^ sport)
    if src_high:
        one = mix(one, src_high)
    other = mix(dst_low, seed ^ dport)
    if dst_high:
        other = mix(other, dst_high)
    return mix((one >> 1) + (other >> 1), proto)


@inner
def find(
    slots: Any, mask: int, h: int, keys: Any, life: Any, sh: int, sl: int, dh: int, dl: int, there: int, back: int
) -> tuple[int, int, int]:
    """(conversation or -1, direction, slot) of a tuple; the slot is where it is or would go."""
    tag = (h | USED) >> 32
    j = h & mask
    while True:
        word = slots[j]
        if word == 0:
            return -1, 0, j
        if word >> 32 == tag:
            c = word & LOW32
            # Both directions are compared without a branch between them: which one it is cannot be predicted.
            ahead = (life[c, TUPLE] == there) & (keys[c, 0] == sh) & (keys[c, 1] == sl) & (keys[c, 2] == dh) & (keys[c, 3] == dl)
            behind = (life[c, TUPLE] == back) & (keys[c, 0] == dh) & (keys[c, 1] == dl) & (keys[c, 2] == sh) & (keys[c, 3] == sl)
            if ahead | behind:
                return c, 0 if ahead else 1, j
        j = (j + 1) & mask


@inner
def begin(life: Any, totals: Any, slots: Any, j: int, h: int, there: int, proto: int, time: int, row: int) -> Any:
    """A new conversation in the table; the newest one of a tuple is the one later frames find."""
    c = totals[TOTAL] & LOW32
    totals[TOTAL] = c + 1
    slots[j] = (h | USED) >> 32 << 32 | c
    life[c, TUPLE] = there
    life[c, FIRST] = time
    life[c, LAST] = time
    life[c, FIRST_ROW] = row
    life[c, SIDE_A + NEXT] = -1
    life[c, SIDE_B + NEXT] = -1
    life[c, SIDE_A + BASE] = -1
    life[c, SIDE_B + BASE] = -1
    life[c, RTT_NS] = -1
    if proto == 6:
        life[c, STREAM] = totals[TCP_STREAMS]
        totals[TCP_STREAMS] += 1
    elif proto == 17:
        life[c, STREAM] = totals[UDP_STREAMS]
        totals[UDP_STREAMS] += 1
    else:
        life[c, STREAM] = -1
    return c


@cold
def meet(
    slots: Any,
    mask: int,
    seed: int,
    keys: Any,
    life: Any,
    totals: Any,
    sh: int,
    sl: int,
    sport: int,
    dh: int,
    dl: int,
    dport: int,
    proto: int,
    may_begin: int,
    time: int,
    row: int,
) -> int:
    """The conversation of a header that is not the packet's own, begun without a frame if need be and allowed; -1 if none."""
    h = place(sh, sl, sport, dh, dl, dport, proto, seed)
    there = sport << 40 | dport << 24 | proto << 8 | 1
    back = dport << 40 | sport << 24 | proto << 8 | 1
    c, _, j = find(slots, mask, h, keys, life, sh, sl, dh, dl, there, back)
    if c < 0 and may_begin:
        c = begin(life, totals, slots, j, h, there, proto, time, row)
        keys[c, 0] = sh
        keys[c, 1] = sl
        keys[c, 2] = dh
        keys[c, 3] = dl
    return signed(c)


@cold
def carry(life: Any, keys: Any, c: int, sh: int, sl: int, there: int, size: int, time: int, row: int) -> int:
    """Count a frame in the conversation of a UDP header around its packet, as Wireshark's conversation table does."""
    d = 1
    if life[c, TUPLE] == there and keys[c, 0] == sh and keys[c, 1] == sl:
        d = 0
    if life[c, PACKETS_AB] + life[c, PACKETS_BA] == 0:
        life[c, FIRST] = time
        life[c, LAST] = time
        life[c, FIRST_ROW] = row
    life[c, MARKS] |= 1 << CARRIER
    life[c, PACKETS_AB + d] += 1
    life[c, BYTES_AB + d] += size
    if time > life[c, LAST]:
        life[c, LAST] = time
    return d


@kernel(p=Packets, count="int", seed="int", hashes="i8")
def hash_ahead(p: Any, count: int, seed: int, hashes: Any) -> int:
    """The hashes of rows 0..count-1, -1 for what is no IP packet; returns their number.

    They need no table, so that they can be made beside `track`.
    """
    for i in range(count):
        if p.flags[i] & IP:
            hashes[i] = place(p.src[i, 0], p.src[i, 1], p.sport[i], p.dst[i, 0], p.dst[i, 1], p.dport[i], p.proto[i], seed)
        else:
            hashes[i] = -1
    return count


@inner
def look_ahead(start: int, stop: int, slots: Any, mask: int, life: Any, totals: Any, hashes: Any) -> None:
    """Touch each frame's slot and then its row: the memory reads overlap instead of waiting for one another."""
    touched = 0
    for i in range(start, stop):
        h = hashes[i & LOW32]
        if h >= 0:
            touched += slots[h & mask] & 1
    for i in range(start, stop):
        h = hashes[i & LOW32]
        if h >= 0:
            word = slots[h & mask]
            if word:
                c = word & LOW32
                touched += life[c, TUPLE] + life[c, SIDE_A + NEXT] + life[c, SIDE_B + NEXT]
    totals[TOUCHED] = touched & 1  # so that the reads are not optimised away


@inner
def tally(p: Any, i: int, life: Any, c: int, d: int, flags: Any, bits: int, time: int) -> int:
    """Frame i counts for conversation c in direction d; returns history letters of its direction that are new."""
    life[c, PACKETS_AB + d] += 1
    life[c, BYTES_AB + d] += p.wire_len[i]
    if time > life[c, LAST]:
        life[c, LAST] = time
    if flags & TCP:
        return follow_tcp(life, c, d, bits, signed(p.seq[i]), signed(p.ack[i]), signed(p.window[i]), signed(p.payload_len[i]), time)
    if p.payload_len[i] > 0:
        return note(life, c, d, 1 << DATA_LETTER)
    return 0


@inner
def follow(
    p: Any,
    start: int,
    stop: int,
    first_row: int,
    q: Any,
    quote: int,
    o: Any,
    outer: int,
    outers: int,
    carriers: int,
    parts: Any,
    slots: Any,
    mask: int,
    seed: int,
    keys: Any,
    life: Any,
    totals: Any,
    hashes: Any,
    conversation: Any,
    reverse: Any,
    about: Any,
    fresh: Any,
) -> tuple[int, int]:
    """The frames of one step, in order; returns the next unread rows of q and o."""
    for k in range(stop - start):
        i = (start + k) & LOW32
        conversation[i] = -1
        reverse[i] = 0
        flags = p.flags[i]
        if not flags & IP:
            continue
        time = p.time_ns[i]
        if flags & TUNNEL:
            # Wireshark counts a stream for each UDP header; those around the packet come before its own.
            while outer < outers and o.carrier[outer] <= i:
                if o.carrier[outer] == i and o.proto[outer] == 17:
                    sport = signed(o.sport[outer])
                    dport = signed(o.dport[outer])
                    sh, sl, dh, dl = o.src[outer, 0], o.src[outer, 1], o.dst[outer, 0], o.dst[outer, 1]
                    c = meet(slots, mask, seed, keys, life, totals, sh, sl, sport, dh, dl, dport, 17, 1, time, first_row + i)
                    if carriers:
                        carry(life, keys, c, sh, sl, sport << 40 | dport << 24 | 17 << 8 | 1, signed(p.wire_len[i]), time, first_row + i)
                outer += 1
        if flags & QUOTE:
            # Wireshark counts a stream for a quoted packet it has not met before; numbers follow it.
            about[quote] = -1
            if q.ports[quote]:
                proto = signed(q.proto[quote])
                sport = signed(q.sport[quote])
                dport = signed(q.dport[quote])
                may_begin = 1 if proto == 17 or q.ports[quote] == 2 else 0
                known = totals[TOTAL]
                sh, sl, dh, dl = q.src[quote, 0], q.src[quote, 1], q.dst[quote, 0], q.dst[quote, 1]
                c = meet(slots, mask, seed, keys, life, totals, sh, sl, sport, dh, dl, dport, proto, may_begin, time, first_row + i)
                if totals[TOTAL] > known and q.ports[quote] == 2:
                    life[c, SIDE_A + BASE] = q.seq[quote]
                if c >= 0:
                    life[c, ERRORS] += 1
                    about[quote] = c
            quote += 1
            continue
        if flags & FRAGMENT and p.frag_offset[i]:
            later_part(parts, datagram(p, i), i, first_row, totals, conversation, reverse)
            continue
        proto = signed(p.proto[i])
        sport = signed(p.sport[i])
        dport = signed(p.dport[i])
        if flags & PORTS:
            if (proto == 6 and not flags & TCP) or (proto == 17 and not flags & UDP):
                continue  # a header cut within its fixed part opens and proves nothing; Wireshark counts no stream for it
            there = sport << 40 | dport << 24 | proto << 8 | 1
            back = dport << 40 | sport << 24 | proto << 8 | 1
        elif flags & SPI:
            there = sport << 40 | dport << 24 | proto << 8 | 2
            back = -1  # nothing ties the SPIs of both directions together
        elif flags & ICMP or proto == 6 or proto == 17:
            continue
        else:
            there = proto << 8
            back = there
        h = hashes[i]
        c, d, j = find(slots, mask, h, keys, life, p.src[i, 0], p.src[i, 1], p.dst[i, 0], p.dst[i, 1], there, back)
        bits = signed(p.tcp_flags[i])
        if c >= 0 and flags & TCP and bits & 0x12 == 2:
            base = life[c, (SIDE_A if d == 0 else SIDE_B) + BASE]
            if base >= 0 and base != p.seq[i]:
                c = -1
        if c < 0:
            c = begin(life, totals, slots, j, h, there, proto, time, first_row + i)
            d = 0
            keys[c, 0] = p.src[i, 0]
            keys[c, 1] = p.src[i, 1]
            keys[c, 2] = p.dst[i, 0]
            keys[c, 3] = p.dst[i, 1]
        elif life[c, PACKETS_AB] + life[c, PACKETS_BA] == 0:
            # Only quoted so far: it begins now, and who sends is a.
            life[c, FIRST] = time
            life[c, LAST] = time
            life[c, FIRST_ROW] = first_row + i
            if d == 1:
                d = 0
                life[c, TUPLE] = there
                keys[c, 0] = p.src[i, 0]
                keys[c, 1] = p.src[i, 1]
                keys[c, 2] = p.dst[i, 0]
                keys[c, 3] = p.dst[i, 1]
                life[c, SIDE_B + BASE] = life[c, SIDE_A + BASE]
                life[c, SIDE_A + BASE] = -1
        c &= LOW32
        d &= 1
        conversation[i] = c
        reverse[i] = d
        if flags & FRAGMENT:
            first_part(parts, datagram(p, i), c, d, first_row, totals, conversation, reverse)
        if tally(p, i, life, c, d, flags, bits, time) & 1 << DATA_LETTER:
            fresh[totals[FRESH]] = i
            totals[FRESH] += 1
    return quote, outer


@kernel(
    p=Packets,
    count="int",
    first_row="int",
    q=Quoted,
    o=Outer,
    outers="int",
    carriers="int",
    parts="i8:4",
    slots="i8",
    mask="int",
    seed="int",
    keys="u8:4",
    life=f"i8:{LIFE}",
    totals="i8",
    hashes="i8",
    conversation="i4",
    reverse="u1",
    about="i4",
    fresh="i4",
)
def track(
    p: Any,
    count: int,
    first_row: int,
    q: Any,
    o: Any,
    outers: int,
    carriers: int,
    parts: Any,
    slots: Any,
    mask: int,
    seed: int,
    keys: Any,
    life: Any,
    totals: Any,
    hashes: Any,
    conversation: Any,
    reverse: Any,
    about: Any,
    fresh: Any,
) -> int:
    """Give rows 0..count-1 of p their conversation (-1: none) and direction; returns the rows of q read. hashes: of `hash_ahead`.

    about: conversation that a quoted packet belongs to. parts: fragmented datagrams. carriers: 1 to count the UDP
    conversations around packets in tunnels, too. fresh: rows with the first data of an end of a conversation. There must be
    room for count + outers new conversations.
    """
    quote = 0
    outer = 0
    waiting = totals[LEFT]
    totals[FRESH] = 0
    for start in range(0, count, STEP):
        stop = start + STEP
        if stop > count:
            stop = count
        look_ahead(start, stop, slots, mask, life, totals, hashes)
        quote, outer = follow(p, start, stop, first_row, q, quote, o, outer, outers, carriers, parts, slots, mask, seed, keys, life,
                              totals, hashes, conversation, reverse, about, fresh)  # fmt: skip
    if totals[LEFT] != waiting:
        for i in range(count):
            if conversation[i] < -1:
                conversation[i] = -1
    return quote


@kernel(old="i8", slots="i8", mask="int", seed="int", keys="u8:4", life=f"i8:{LIFE}")
def spread(old: Any, slots: Any, mask: int, seed: int, keys: Any, life: Any) -> int:
    """Enter what a hash table holds into a larger one; returns the number of entries."""
    n = 0
    for i in range(len(old)):
        word = old[i]
        if word:
            c = word & LOW32
            ports = life[c, TUPLE]
            sport = ports >> 40 if ports & 3 else 0
            dport = ports >> 24 & 0xFFFF if ports & 3 else 0
            j = place(keys[c, 0], keys[c, 1], sport, keys[c, 2], keys[c, 3], dport, ports >> 8 & 0xFF, seed) & mask
            while slots[j]:
                j = (j + 1) & mask
            slots[j] = word
            n += 1
    return n
