"""Record walkers: where each frame lies in a chunk of a pcap or pcapng file.

Both stop, and say where and why, at the first record they cannot take: the end of the chunk, a block that changes
the interfaces (the caller reads it and goes on), or damage.
"""

from typing import Any

from ..kernel import inner, kernel, load16, load16le, load32, load32le
from .packets import Flag, Frames

CUT, NO_TIME, BAD_TIME = int(Flag.CUT), int(Flag.NO_TIME), int(Flag.BAD_TIME)

# Slots of the `state` array, the walkers' memory between chunks.
BIG, TICK, STOP, WHY, MAX_LEN, LAST_NS, BASE, INTERFACES, SKIPPED = range(9)
STATE_SIZE = 9
# Why a walker stopped (state[WHY]).
MORE, BLOCK, TOO_LONG, BAD_BLOCK, NO_INTERFACE, FULL = range(6)
# Columns of the interface array. Ticks become nanoseconds by the first of these that is not 0: times 10**9 and shifted
# right by SHIFT; a tenth of them divided by DIV; times MUL.
LINK, MUL, DIV, SHIFT, OFFSET_NS, SNAPLEN = range(6)
INTERFACE_SIZE = 6
FAR_FUTURE = (1 << 63) - 1


@kernel(buf="u1", start="int", end="int", frames=Frames, rows="int", state="i8")
def walk_pcap(buf: Any, start: int, end: int, frames: Any, rows: int, state: Any) -> int:
    """Index the whole records of buf[start:end]; returns their number, at most `rows`."""
    big = state[BIG]
    tick = state[TICK]
    longest = state[MAX_LEN]
    at = start
    n = 0
    state[WHY] = MORE
    while at + 16 <= end:
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
        if size > longest:
            state[WHY] = TOO_LONG
            break
        if at + 16 + size > end:
            break
        frames.time_ns[n] = seconds * 1000000000 + fraction * tick
        frames.at[n] = at + 16
        frames.cap_len[n] = size
        frames.wire_len[n] = wire
        frames.interface[n] = 0
        frames.flags[n] = CUT if size < wire else 0
        n += 1
        at += 16 + size
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
    """A pcapng timestamp in nanoseconds, FAR_FUTURE if it does not fit (pcapng draft, if_tsresol and if_tsoffset).

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
        if high >= 1 << 31 or high << 32 | low > FAR_FUTURE // mul:
            return FAR_FUTURE
        value = (high << 32 | low) * mul
    if offset > 0 and value > FAR_FUTURE - offset:
        return FAR_FUTURE
    return value + offset


@kernel(buf="u1", start="int", end="int", frames=Frames, rows="int", state="i8", interfaces=f"i8:{INTERFACE_SIZE}")
def walk_pcapng(buf: Any, start: int, end: int, frames: Any, rows: int, state: Any, interfaces: Any) -> int:
    """Index the packet blocks of buf[start:end] up to the next section or interface block; returns their number."""
    big = state[BIG]
    base = state[BASE]
    known = state[INTERFACES]
    at = start
    n = 0
    state[WHY] = MORE
    while at + 12 <= end:
        if n >= rows:
            state[WHY] = FULL
            break
        kind = word(buf, at, big)
        if kind == 0x0A0D0D0A or kind == 1:
            state[WHY] = BLOCK
            break
        size = word(buf, at + 4, big)
        if size < 12 or size > state[MAX_LEN]:
            state[WHY] = BAD_BLOCK
            break
        if size & 3:  # writers that forget to pad: the next block begins at the next multiple of four
            size += 4 - (size & 3)
        if at + size > end:
            break
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
            time = nanoseconds(word(buf, at + 12, big), word(buf, at + 16, big), interfaces, i)
            wire = word(buf, at + 24, big)
            frames.flags[n] = (CUT if length < wire else 0) | (BAD_TIME if time == FAR_FUTURE else 0)
            frames.at[n] = at + 28
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
            time = state[LAST_NS]
            frames.flags[n] = (CUT if length < wire else 0) | NO_TIME
            frames.at[n] = at + 12
        else:
            state[SKIPPED] += 1
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
