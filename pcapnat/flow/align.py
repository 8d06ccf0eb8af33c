"""The kernels behind frames.py: which frame of a conversation here is which of its counterpart there.

Boxes keep frames nearly in order, so each frame is looked for around the place where the one before it was found. Retransmissions
are equal but for their IP identification and their time: where the box leaves identifications alone they decide, else the time.
"""

from typing import Any

from ..kernel import inner, kernel, signed
from ..wire import Flag, Packets
from .vote import another

KEY, TCP, UDP, FRAGMENT, QUOTE = (int(f) for f in (Flag.KEY, Flag.TCP, Flag.UDP, Flag.FRAGMENT, Flag.QUOTE))
STAMPED = int(Flag.TIMESTAMPS)
KINDS = TCP | UDP | QUOTE | int(Flag.IN_QUERY)
LOW32 = 0xFFFFFFFF

SAME, SHIFTED, CHANGED, PART, COPY = range(1, 6)
"""How two frames are one: nothing but headers that boxes rewrite differs; sequence numbers are shifted; the payload was rewritten;
they share bytes of a stream that was cut elsewhere; one is a copy of a frame that has its counterpart already."""

LOOK = 64
"""Rows of the other list that are looked at on either side of the expected place."""
NEAR_NS, LATEST_NS = 20_000_000, 3_000_000_000
"""A delay that is nothing special, and the longest one that equal frames without identification may have."""
HELD_NS = 30_000_000_000
"""The longest a frame with the same identification may have been held."""
REWRITTEN_BYTES, WHOLE_BYTES = 64, 1500
"""A box that rewrites a payload changes its length by no more, and does so in ordinary packets only."""
TELLING = 16
"""Bytes of payload that tell where a stream was moved to."""

# Slots of the state array: shift of sequence numbers by direction, the one before it, and what the clocks say.
SHIFT, BEFORE, TIMED, OFFSET, PPB, START, KEPT, STAMPS = 0, 2, 4, 5, 6, 7, 8, 9
STATE = 10


@kernel(member="i8", start="i8", order="i4")
def group(member: Any, start: Any, order: Any) -> int:
    """Rows by the group each is a member of (-1: none), in order: group c's are order[start[c] : start[c + 1]]; returns how many.

    start: zeros, one more than there are groups. order: room for all rows.
    """
    n = len(member)
    for i in range(n):
        if member[i] >= 0:
            start[member[i]] += 1
    total = 0
    for c in range(len(start)):
        total += start[c]
        start[c] = total
    for k in range(n):
        i = n - 1 - k
        if member[i] >= 0:
            start[member[i]] -= 1
            order[start[member[i]]] = i
    return total


@inner
def identified(here: Any, there: Any, i: int, j: int, kept: int, stamps: int) -> int:
    """Of two frames alike: -1 if their identifications or timestamps say that they are one, 1 if they are two, 0: not known."""
    known = another(here, there, i, j) if kept else 0
    if known == 0 and here.flags[i] & there.flags[j] & STAMPED:
        known = -1 if here.tsval[i] == there.tsval[j] and here.tsecr[i] == there.tsecr[j] else stamps
    return known


@inner
def lag(here: Any, there: Any, i: int, j: int, s: Any) -> int:
    """Time from row i to row j by one clock; 0 if the clocks are not known."""
    if not s[TIMED]:
        return 0
    drift = (here.time_ns[i] - s[START]) // 1_000_000 * s[PPB] // 1_000
    return signed(there.time_ns[j] - here.time_ns[i] - s[OFFSET] - drift)


@inner
def shifted(here: Any, there: Any, i: int, j: int, d: int, s: Any, exact: int) -> bool:
    """Whether the numbers of two TCP segments are as far apart as this conversation's are; exact: the sequence number, too."""
    if exact:
        ahead = (signed(there.seq[j]) - signed(here.seq[i])) & LOW32
        if ahead != s[SHIFT + d] and ahead != s[BEFORE + d]:
            return False
    if here.tcp_flags[i] & 16 == 0:
        return True
    ahead = (signed(there.ack[j]) - signed(here.ack[i])) & LOW32
    return True if ahead == s[SHIFT + 1 - d] else bool(ahead == s[BEFORE + 1 - d])


@inner
def alike(here: Any, there: Any, i: int, j: int, d: int, s: Any) -> int:
    """SAME or SHIFTED if row j can be row i, by content; 0 if not."""
    f = here.flags[i]
    g = there.flags[j]
    if f & KEY and g & KEY and here.key[i] == there.key[j]:
        return SAME
    if (f ^ g) & KINDS:
        return 0
    if f & FRAGMENT and g & FRAGMENT and here.frag_offset[i]:
        return SAME if here.frag_offset[i] == there.frag_offset[j] and here.payload_len[i] == there.payload_len[j] else 0
    if f & QUOTE:  # of different IP versions, types and codes differ
        return SAME if here.proto[i] != there.proto[j] or here.icmp_type[i] == there.icmp_type[j] else 0
    if not f & TCP or (here.tcp_flags[i] ^ there.tcp_flags[j]) & 0x17 or here.payload_len[i] != there.payload_len[j]:
        return 0
    if f & KEY and g & KEY and here.digest[i] != there.digest[j]:
        return 0
    return SHIFTED if shifted(here, there, i, j, d, s, 1) else 0


@inner
def rewritten(here: Any, there: Any, i: int, j: int, d: int, s: Any, moved: int) -> int:
    """CHANGED if row j is row i with another payload, SHIFTED if it is row i with new sequence numbers (moved: both are possible)."""
    f = here.flags[i]
    if (f ^ there.flags[j]) & KINDS or not f & KEY or not there.flags[j] & KEY:
        return 0
    size, now = signed(here.payload_len[i]), signed(there.payload_len[j])
    known = another(here, there, i, j) if s[KEPT] else 0
    if known > 0 or (known == 0 and (not s[TIMED] or not -NEAR_NS <= lag(here, there, i, j, s) <= NEAR_NS)):
        return 0
    if f & UDP:
        near = size - 2 * REWRITTEN_BYTES <= now <= size + 2 * REWRITTEN_BYTES
        whole = 0 < size <= WHOLE_BYTES and 0 < now <= WHOLE_BYTES
        # Where one is the beginning of the other, as far as is known, they are no rewriting: see coalesced.py.
        return CHANGED if known < 0 and near and whole and here.digest[i] != there.digest[j] else 0
    if not f & TCP or (here.tcp_flags[i] ^ there.tcp_flags[j]) & 7:
        return 0
    if size == now and here.digest[i] == there.digest[j] and (size >= TELLING or here.tcp_flags[i] & 2):
        return SHIFTED if moved and (here.tcp_flags[i] & 2 or shifted(here, there, i, j, d, s, 0)) else 0
    near = size - REWRITTEN_BYTES <= now <= size + REWRITTEN_BYTES
    whole = 0 < size <= WHOLE_BYTES and 0 < now <= WHOLE_BYTES
    return CHANGED if near and whole and here.digest[i] != there.digest[j] and shifted(here, there, i, j, d, s, 1) else 0


@inner
def place(here: Any, there: Any, i: int, order: Any, start: int, stop: int, s: Any) -> int:
    """Where in a list of rows there, which is in the order of time, row i would stand."""
    low, high = start, stop
    while low < high:
        middle = (low + high) >> 1
        if lag(here, there, i, order[middle] | 0, s) < 0:
            low = middle + 1
        else:
            high = middle
    return low


@inner
def fits_better(
    here: Any, there: Any, x: int, stop: int, order: Any, reverse: Any, i: int, j: int, late: int, mate: Any, d: int, s: Any
) -> bool:
    """Whether a later frame like row i is nearer to row j in time: it was sent again, and only the later one came through."""
    end = x + LOOK if x + LOOK < stop else stop
    for k in range(x + 1, end):
        later = order[k] | 0
        if mate[later] < 0 and reverse[later] == reverse[i] and alike(here, there, later, j, d, s):
            wait = lag(here, there, later, j, s)
            if -late < wait < late:
                return True
    return False


@inner
def find(
    here: Any, there: Any, i: int, d: int, side: int, order: Any, start: int, stop: int, at: int, reverse: Any, mate: Any, s: Any, how: int
) -> tuple[int, int]:
    """(place in the list, or -1; how far in time) of the free row near `at` that row i is: by content (how 0), or rewritten (1)."""
    best, nearest = -1, LATEST_NS
    for k in range(2 * LOOK):
        y = at + k if k < LOOK else at - 1 - k + LOOK
        if start <= y < stop:
            j = order[y] | 0
            if mate[j] < 0 and reverse[j] == side:
                if (alike(here, there, i, j, d, s) if how == 0 else rewritten(here, there, i, j, d, s, how - 1)) == 0:
                    continue
                wait = lag(here, there, i, j, s)
                if wait < 0:
                    wait = -wait
                known = identified(here, there, i, j, signed(s[KEPT]), signed(s[STAMPS]))
                if known < 0 and wait < HELD_NS:
                    return y, 0
                if known == 0 and wait < nearest:
                    best, nearest = y, wait
                    if wait < NEAR_NS:
                        break
    return best, nearest


@inner
def stamp(here: Any, there: Any, i: int, j: int, d: int, s: Any, kind: int) -> None:
    """Learn from a rewritten pair how far sequence numbers are shifted from now on."""
    if not here.flags[i] & TCP:
        return
    ahead = (signed(there.seq[j]) - signed(here.seq[i])) & LOW32
    if kind == CHANGED:
        ahead = (s[SHIFT + d] + signed(there.payload_len[j]) - signed(here.payload_len[i])) & LOW32
    if ahead != s[SHIFT + d]:
        s[BEFORE + d] = s[SHIFT + d]
        s[SHIFT + d] = ahead


@inner
def pieces(
    here: Any, there: Any, i: int, d: int, side: int, order: Any, start: int, stop: int, at: int, reverse: Any, mate_here: Any,
    mate_there: Any, how_here: Any, how_there: Any, s: Any,
) -> int:  # fmt: skip
    """Pair a segment with those there that hold bytes of its stream: what offloading merges or cuts. Returns how many."""
    found = 0
    size = signed(here.payload_len[i])
    low = at - LOOK if at - LOOK > start else start
    high = at + LOOK if at + LOOK < stop else stop
    for y in range(low, high):
        j = order[y] | 0
        if reverse[j] != side or not there.flags[j] & TCP or (mate_there[j] >= 0 and how_there[j] != PART):
            continue
        now = signed(there.payload_len[j])
        if now == 0 or now == size or there.tcp_flags[j] & 6:
            continue
        ahead = (signed(there.seq[j]) - signed(here.seq[i]) - s[SHIFT + d]) & LOW32
        if ahead >= 1 << 31:
            ahead -= 1 << 32
        wait = lag(here, there, i, j, s)
        if not -now < ahead < size or not -LATEST_NS < wait < LATEST_NS:
            continue
        if mate_here[i] < 0:
            mate_here[i] = j
            how_here[i] = PART
        if mate_there[j] < 0:
            mate_there[j] = i
            how_there[j] = PART
        found += 1
    return found


@inner
def copies(p: Any, order: Any, start: int, stop: int, reverse: Any, mate: Any, how: Any) -> int:
    """Rows left over that are the same frame as one that has its counterpart: mirrored, or doubled on the way. Returns how many."""
    found = 0
    for x in range(start, stop):
        i = order[x] | 0
        if mate[i] >= 0 or not p.flags[i] & KEY:
            continue
        for k in range(1, LOOK):
            y = x + k if k < LOOK // 2 else x - k + LOOK // 2 - 1
            if start <= y < stop:
                j = order[y] | 0
                if reverse[j] == reverse[i] and mate[j] >= 0 and p.flags[j] & KEY and p.key[j] == p.key[i] and how[j] != COPY:
                    apart = p.time_ns[i] - p.time_ns[j]
                    if identified(p, p, i, j, 1, 1) < 0 and -LATEST_NS < apart < LATEST_NS:
                        mate[i] = mate[j]
                        how[i] = COPY
                        found += 1
                        break
    return found


@kernel(here=Packets, there=Packets, match_here="i8", match_there="i8", flip="u1", number="i8", first="int", last="int", start_here="i8",
        order_here="i4", start_there="i8", order_there="i4", reverse_here="u1", reverse_there="u1", mate_here="i4", mate_there="i4",
        how_here="u1", how_there="u1", of="i4", s="i8")  # fmt: skip
def align(
    here: Any, there: Any, match_here: Any, match_there: Any, flip: Any, number: Any, first: int, last: int, start_here: Any,
    order_here: Any, start_there: Any, order_there: Any, reverse_here: Any, reverse_there: Any, mate_here: Any, mate_there: Any,
    how_here: Any, how_there: Any, of: Any, s: Any,
) -> int:  # fmt: skip
    """Find each frame's counterpart in matches first..last-1; returns how many frames here have one.

    mate_here, mate_there: (n,) row of the counterpart at the other port (of several, the first), -1 for none; how_*: see SAME.
    of: (n,) set to number[match] of each row here that has one.
    reverse_*: direction, 0 or 1, of an ICMP error 2 or 3. s: state, with the clocks and whether identifications are kept.
    """
    paired = 0
    resume = 0
    for m in range(first, last):
        a, b = match_here[m] | 0, match_there[m] | 0
        low, high = start_here[a] | 0, start_here[a + 1] | 0
        start, stop = start_there[b] | 0, start_there[b + 1] | 0
        for k in range(4):
            s[SHIFT + k] = 0
        # A conversation may have many counterparts, one after the other: each begins near where the one before it ended.
        if m > first and match_here[m - 1] == a and resume - LOOK > low:
            low = resume - LOOK
        resume = low
        at = start
        left = 0
        open_ = 0
        for y in range(start, stop):
            open_ += 1 if mate_there[order_there[y]] < 0 else 0
        end = high
        for x in range(low, high):
            i = order_here[x] | 0
            if mate_here[i] >= 0:
                continue
            if open_ == 0:
                left += 1
                end = x + LOOK if x + LOOK < high else high
                break
            side = signed(reverse_here[i]) ^ signed(flip[m])
            d = signed(reverse_here[i]) & 1
            y, late = find(here, there, i, d, side, order_there, start, stop, at, reverse_there, mate_there, s, 0)
            kind = 0
            if y < 0 and s[TIMED]:
                there_at = place(here, there, i, order_there, start, stop, s)
                if there_at < at - LOOK // 2 or there_at > at + LOOK // 2:
                    at = there_at
                    y, late = find(here, there, i, d, side, order_there, start, stop, at, reverse_there, mate_there, s, 0)
            if y < 0 and not here.flags[i] & UDP:
                y, late = find(here, there, i, d, side, order_there, start, stop, at, reverse_there, mate_there, s, 2)
                kind = 0 if y < 0 else rewritten(here, there, i, order_there[y] | 0, d, s, 1)
            elif y >= 0 and late > NEAR_NS:
                j = order_there[y] | 0
                if fits_better(here, there, x, high, order_here, reverse_here, i, j, late, mate_here, d, s):
                    y = -1
            if y < 0:
                left += 1
                continue
            j = order_there[y] | 0
            if kind:
                stamp(here, there, i, j, d, s, kind)
            else:
                kind = alike(here, there, i, j, d, s)
            mate_here[i] = j
            mate_there[j] = i
            how_here[i] = kind
            how_there[j] = kind
            of[i] = number[m]
            paired += 1
            open_ -= 1
            resume = x + 1
            at = y + 1
        if left and open_ > 0:
            at = start
            for x in range(low, end):
                i = order_here[x] | 0
                if mate_here[i] < 0 and here.flags[i] & TCP and here.payload_len[i] > 0 and here.tcp_flags[i] & 6 == 0:
                    if s[TIMED]:
                        at = place(here, there, i, order_there, start, stop, s)
                    side = signed(reverse_here[i]) ^ signed(flip[m])
                    if pieces(here, there, i, signed(reverse_here[i]) & 1, side, order_there, start, stop, at, reverse_there, mate_here,
                              mate_there, how_here, how_there, s):  # fmt: skip
                        of[i] = number[m]
                        paired += 1
                elif mate_here[i] < 0 and here.flags[i] & UDP:
                    # Identifications are all that ties these together, and those of datagrams sent at once overlap with later ones'.
                    side = signed(reverse_here[i]) ^ signed(flip[m])
                    y, _ = find(here, there, i, 0, side, order_there, start, stop, at, reverse_there, mate_there, s, 2)
                    if y >= 0:
                        j = order_there[y] | 0
                        mate_here[i] = j
                        mate_there[j] = i
                        how_here[i] = CHANGED
                        how_there[j] = CHANGED
                        of[i] = number[m]
                        paired += 1
                elif mate_here[i] >= 0:
                    at = start + x - low
        if left and copies(here, order_here, low, end, reverse_here, mate_here, how_here):
            for x in range(low, end):
                i = order_here[x] | 0
                if how_here[i] == COPY and of[i] < 0:
                    of[i] = number[m]
        if open_ > 0:
            copies(there, order_there, start, stop, reverse_there, mate_there, how_there)
    return paired


@kernel(mate="i4", how="u1", of="i4", first="int", last="int", at="int", here="i8", there="i8", match="i8", kind="u1")
def pairs(mate: Any, how: Any, of: Any, first: int, last: int, at: int, here: Any, there: Any, match: Any, kind: Any) -> int:
    """Write rows first..last-1 that have a counterpart, with it, as table rows from `at` on; returns where the next would stand."""
    for i in range(first, last):
        if mate[i] >= 0:
            here[at] = i
            there[at] = mate[i]
            match[at] = of[i]
            kind[at] = how[i]
            at += 1
    return at


@kernel(mate_here="i4", mate_there="i4", extra="u1")
def doubled(mate_here: Any, mate_there: Any, extra: Any) -> int:
    """Mark the rows there whose counterpart has another one: of a frame that was cut into several, and copies; returns their number."""
    n = 0
    for j in range(len(mate_there)):
        if mate_there[j] >= 0 and mate_here[mate_there[j]] != j:
            extra[j] = 1
            n += 1
    return n


@kernel(member="i8", wanted="u1", paired="u1", rows="i8")
def unpaired(member: Any, wanted: Any, paired: Any, rows: Any) -> int:
    """List the rows of wanted groups that have no counterpart; returns how many."""
    n = 0
    for i in range(len(member)):
        if not paired[i] and member[i] >= 0 and wanted[member[i]]:
            rows[n] = i
            n += 1
    return n
