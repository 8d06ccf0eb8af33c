"""Record walkers: where each frame lies in a chunk of a pcap, pcapng, snoop or ERF file.

All stop, and say where and why, at the first record they cannot take: the end of the chunk, a block that changes
the interfaces (the caller reads it and goes on), or damage.
"""

from typing import Any

from ..kernel import inner, kernel, load16, load16le, load32, load32le
from .packets import Flag, Frames

CUT, NO_TIME, BAD_TIME, NOTED = int(Flag.CUT), int(Flag.NO_TIME), int(Flag.BAD_TIME), int(Flag.NOTED)

# Slots of the `state` array, the walkers' memory between chunks.
BIG, TICK, STOP, WHY, MAX_LEN, LAST_NS, BASE, INTERFACES = range(8)
# pcap: bytes of a record's header; 1 if its two lengths are in the old order, 2 if they are where that makes sense.
HEADER, SWAPPED = 8, 9
# pcapng: blocks stepped over by kind, how many more of the Python-read kinds to stop at, frames with something said of them,
# comments and verdicts met, blocks whose two lengths differ, and whether any frame has a direction or an identifier.
CUSTOM, SECRETS, OTHER, ASK, NOTES, COMMENTS, VERDICTS, TWO_LENGTHS, SIDED = range(10, 19)
STATE_SIZE = 19
# Why a walker stopped (state[WHY]).
MORE, BLOCK, TOO_LONG, BAD_BLOCK, NO_INTERFACE, FULL, BAD_RECORD = range(7)
# Columns of the interface array. Ticks become nanoseconds by the first of these that is not 0: times 10**9 and shifted
# right by SHIFT; a tenth of them divided by DIV; times MUL.
# LONGEST bounds a frame; DROPS is written by the walker: frames lost before the ones that were kept, as the file tells.
LINK, MUL, DIV, SHIFT, OFFSET_NS, SNAPLEN, LONGEST, DROPS = range(8)
INTERFACE_SIZE = 8
FAR_FUTURE = (1 << 62) - 1
"""The latest time there is, in 2116, and its negative the earliest: what lies between any two fits 64 bits, whoever subtracts."""
MOST_64 = (1 << 63) - 1


@kernel(buf="u1", start="int", end="int", frames=Frames, first="int", rows="int", state="i8")
def walk_pcap(buf: Any, start: int, end: int, frames: Any, first: int, rows: int, state: Any) -> int:
    """Index the whole records of buf[start:end] from row `first` on, up to row `rows`; returns the rows filled by then."""
    big = state[BIG]
    tick = state[TICK]
    longest = state[MAX_LEN]
    header = state[HEADER]
    swapped = state[SWAPPED]
    at = start
    n = first
    state[WHY] = MORE
    while at + header <= end:
        if n >= rows:
            state[WHY] = FULL
            break
        if big:
            seconds = load32(buf, at)
            fraction = load32(buf, at + 4)
            size = load32(buf, at + 8)
            wire = load32(buf, at + 12)
        else:
            seconds = load32le(buf, at)
            fraction = load32le(buf, at + 4)
            size = load32le(buf, at + 8)
            wire = load32le(buf, at + 12)
        if swapped and (swapped == 1 or size > wire):
            other = size
            size = wire
            wire = other
        if size > longest:
            state[WHY] = TOO_LONG
            break
        if at + header + size > end:
            break
        frames.time_ns[n] = seconds * 1000000000 + fraction * tick
        frames.at[n] = at + header
        frames.cap_len[n] = size
        frames.wire_len[n] = wire
        frames.interface[n] = 0
        frames.flags[n] = CUT if size < wire else 0
        n += 1
        at += header + size
    state[STOP] = at
    return n


@inner
def half(buf: Any, at: int, big: int) -> int:
    """Two bytes in the section's byte order."""
    return load16(buf, at) if big else load16le(buf, at)


@inner
def word(buf: Any, at: int, big: int) -> int:
    """Four bytes in the section's byte order."""
    return load32(buf, at) if big else load32le(buf, at)


@inner
def nanoseconds(high: int, low: int, interfaces: Any, i: int) -> Any:
    """A pcapng timestamp in nanoseconds, at most FAR_FUTURE (pcapng draft, if_tsresol and if_tsoffset).

    Its 64 bits are unsigned, so they stay in two halves until they fit. All divisions round down, in steps too.
    """
    mul = interfaces[i, MUL]
    div = interfaces[i, DIV]
    shift = interfaces[i, SHIFT]
    offset = interfaces[i, OFFSET_NS]
    if shift >= 32:
        value = high * 1000000000 + (low * 1000000000 >> 32) >> shift - 32
    elif shift > 0:
        seconds = high << 32 - shift | low >> shift
        if seconds > 9000000000:
            return FAR_FUTURE
        value = seconds * 1000000000 + ((low & (1 << shift) - 1) * 1000000000 >> shift)
    elif div > 0:
        value = ((high // 10 << 32) + (high % 10 << 32 | low) // 10) // div
    else:
        if high >= 1 << 31 or high << 32 | low > MOST_64 // mul:
            return FAR_FUTURE
        value = (high << 32 | low) * mul
    if value > FAR_FUTURE - offset:
        return FAR_FUTURE
    return value + offset


@inner
def read_options(buf: Any, at: int, stop: int, big: int, frames: Any, n: int, interfaces: Any, i: int, state: Any) -> int:
    """What a packet block's options say: direction and identifier into their columns, drops to the interface.

    Returns NOTED if there is text or a verdict, which Python reads; the length of options bounds the loop.
    """
    noted = 0
    while at + 4 <= stop:
        code = half(buf, at, big)
        size = half(buf, at + 2, big)
        at += 4
        if code == 0 or at + size > stop:
            break
        if code == 2 and size == 4:
            frames.direction[n] = word(buf, at, big) & 3
            state[SIDED] = 1
        elif code == 4 and size == 8:
            drops = (word(buf, at, big) << 32 | word(buf, at + 4, big)) if big else (word(buf, at + 4, big) << 32 | word(buf, at, big))
            if 0 < drops < 1 << 62 and interfaces[i, DROPS] < 1 << 62:
                interfaces[i, DROPS] += drops
        elif code == 5 and size == 8:
            high = word(buf, at, big) if big else word(buf, at + 4, big)
            low = word(buf, at + 4, big) if big else word(buf, at, big)
            if high < 1 << 31:  # larger ones do not fit and are left out
                frames.packet_id[n] = high << 32 | low
                state[SIDED] = 1
        elif code == 1:
            state[COMMENTS] += 1
            noted = NOTED
        elif code == 7:
            state[VERDICTS] += 1
            noted = NOTED
        at += size + (-size & 3)
    if noted:
        state[NOTES] += 1
    return noted


@kernel(buf="u1", start="int", end="int", frames=Frames, first="int", rows="int", state="i8", interfaces=f"i8:{INTERFACE_SIZE}")
def walk_pcapng(buf: Any, start: int, end: int, frames: Any, first: int, rows: int, state: Any, interfaces: Any) -> int:
    """Index the packet blocks of buf[start:end] from row `first` on, up to a block that Python reads; returns the rows filled."""
    big = state[BIG]
    base = state[BASE]
    known = state[INTERFACES]
    at = start
    n = first
    state[WHY] = MORE
    while at + 12 <= end:
        if n >= rows:
            state[WHY] = FULL
            break
        kind = word(buf, at, big)
        if kind == 0x0A0D0D0A or kind == 1 or ((kind == 4 or kind == 5) and state[ASK] > 0):
            state[WHY] = BLOCK
            break
        size = word(buf, at + 4, big)
        if size < 12 or size > state[MAX_LEN]:
            state[WHY] = BAD_BLOCK
            break
        written = size
        if size & 3:  # writers that forget to pad: the next block begins at the next multiple of four
            size += 4 - (size & 3)
        if at + size > end:
            break
        if word(buf, at + size - 4, big) != written:
            state[TWO_LENGTHS] += 1
        if kind == 6 or kind == 2:  # enhanced packet block; obsolete packet block
            if size < 32:
                state[WHY] = BAD_BLOCK
                break
            i = (word(buf, at + 8, big) if kind == 6 else half(buf, at + 8, big)) + base
            length = word(buf, at + 20, big)
            if i >= known:
                state[WHY] = NO_INTERFACE
                break
            if length > size - 32:
                state[WHY] = BAD_BLOCK
                break
            if length > interfaces[i, LONGEST]:
                state[WHY] = TOO_LONG
                break
            time = nanoseconds(word(buf, at + 12, big), word(buf, at + 16, big), interfaces, i)
            wire = word(buf, at + 24, big)
            flags = (CUT if length < wire else 0) | (BAD_TIME if time == FAR_FUTURE else 0)
            frames.at[n] = at + 28
            frames.direction[n] = 0
            frames.packet_id[n] = 0
            options = at + 28 + length + (-length & 3)
            if options + 4 < at + size:
                flags |= read_options(buf, options, at + size - 4, big, frames, n, interfaces, i, state)
            if kind == 2:
                drops = half(buf, at + 10, big)
                if drops != 0xFFFF and interfaces[i, DROPS] < 1 << 62:
                    interfaces[i, DROPS] += drops
            frames.flags[n] = flags
        elif kind == 3:  # simple packet block: first interface of the section, no time, length from the snaplen
            if size < 16:
                state[WHY] = BAD_BLOCK
                break
            i = base
            if i >= known:
                state[WHY] = NO_INTERFACE
                break
            wire = word(buf, at + 8, big)
            length = wire
            if interfaces[i, SNAPLEN] > 0 and length > interfaces[i, SNAPLEN]:
                length = interfaces[i, SNAPLEN]
            if length > size - 16:
                length = size - 16
            if length > interfaces[i, LONGEST]:
                state[WHY] = TOO_LONG
                break
            time = state[LAST_NS]
            frames.flags[n] = (CUT if length < wire else 0) | NO_TIME
            frames.at[n] = at + 12
            frames.direction[n] = 0
            frames.packet_id[n] = 0
        else:
            state[CUSTOM if kind == 0xBAD or kind == 0x40000BAD else SECRETS if kind == 10 else OTHER] += 1
            at += size
            continue
        state[LAST_NS] = time
        frames.time_ns[n] = time
        frames.cap_len[n] = length
        frames.wire_len[n] = wire
        frames.interface[n] = i
        n += 1
        at += size
    state[STOP] = at
    return n


@kernel(buf="u1", start="int", end="int", frames=Frames, first="int", rows="int", state="i8", interfaces=f"i8:{INTERFACE_SIZE}")
def walk_snoop(buf: Any, start: int, end: int, frames: Any, first: int, rows: int, state: Any, interfaces: Any) -> int:
    """Index the records of a snoop file (RFC 1761): lengths, drops so far, seconds, microseconds, data, padding."""
    longest = state[MAX_LEN]
    at = start
    n = first
    state[WHY] = MORE
    while at + 24 <= end:
        if n >= rows:
            state[WHY] = FULL
            break
        wire = load32(buf, at)
        size = load32(buf, at + 4)
        record = load32(buf, at + 8)
        if wire > longest or size > longest:
            state[WHY] = TOO_LONG
            break
        if record < 24 + size or record > 1 << 24:
            state[WHY] = BAD_RECORD
            break
        if at + record > end:
            break
        interfaces[0, DROPS] = load32(buf, at + 12)
        frames.time_ns[n] = load32(buf, at + 16) * 1000000000 + load32(buf, at + 20) * 1000
        frames.at[n] = at + 24
        frames.cap_len[n] = size
        frames.wire_len[n] = wire
        frames.interface[n] = 0
        frames.flags[n] = CUT if size < wire else 0
        n += 1
        at += record
    state[STOP] = at
    return n


ERF_PAD = 48


@kernel(buf="u1", start="int", end="int", frames=Frames, first="int", rows="int", state="i8", interfaces=f"i8:{INTERFACE_SIZE}", known="i8")
def walk_erf(buf: Any, start: int, end: int, frames: Any, first: int, rows: int, state: Any, interfaces: Any, known: Any) -> int:
    """Index the records of an ERF file; known[type * 4 + port] is an interface or -1, and then Python is asked for one."""
    at = start
    n = first
    state[WHY] = MORE
    while at + 16 <= end:
        if n >= rows:
            state[WHY] = FULL
            break
        kind = buf[at + 8] & 0x7F
        size = load16(buf, at + 10)
        if size < 16 or (size == 16 and kind != ERF_PAD):
            state[WHY] = BAD_RECORD
            break
        if at + size > end:
            break
        if kind == ERF_PAD:
            state[OTHER] += 1
            at += size
            continue
        i = known[kind * 4 + (buf[at + 9] & 3)]
        if i < 0:
            state[WHY] = BLOCK
            break
        head = 16
        more = buf[at + 8] & 0x80
        while more and head + 8 <= size:  # extension headers, each telling whether another follows
            more = buf[at + head] & 0x80
            head += 8
        if kind == 2 or kind == 11 or kind == 16 or kind == 20:
            head += 2  # Ethernet: offset and padding before the frame
        elif 5 <= kind <= 9 or kind == 12 or kind == 17 or kind == 18:
            head += 4  # multichannel header
        if more or head > size:
            state[WHY] = BAD_RECORD
            break
        if kind == 2:
            interfaces[i, DROPS] += load16(buf, at + 12)
        wire = load16(buf, at + 14)
        length = size - head
        if length > wire:
            length = wire
        frames.time_ns[n] = load32le(buf, at + 4) * 1000000000 + (load32le(buf, at) * 1000000000 + (1 << 31) >> 32)
        frames.at[n] = at + head
        frames.cap_len[n] = length
        frames.wire_len[n] = wire
        frames.interface[n] = i
        frames.flags[n] = CUT if length < wire else 0
        n += 1
        at += size
    state[STOP] = at
    return n
