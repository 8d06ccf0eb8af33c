"""The kernel that plays frames through a NAT, one after the other in the order of time."""

from typing import Any

from ..kernel import cold, inner, kernel, signed
from ..nat.filters import NEW as NEW_TO
from ..nat.filters import RELATED, UNTRACKED
from .admit import KEPT_TURNED, from_inside, from_outside
from .choose import BEFORE
from .machine import (
    ACK,
    CLOSED,
    ESTABLISHED,
    FIN,
    ICMP_QUERY,
    IGNORE,
    INVALID,
    NEW,
    NULL,
    OTHER,
    RST,
    SEGMENTS,
    SYN,
    SYN_ACK,
    SYN_SENT,
    UDP_DNS,
    UDP_NEW,
    UDP_REPLIED,
    UNANSWERED,
    WIDTH,
)
from .session import (
    ASSURED_NS,
    BYTE,
    CHOICE,
    COUNT,
    DEPTH,
    DNS,
    EXPIRES,
    FRAMES,
    FROM_OUTSIDE,
    HALF,
    IN_ORDER,
    KINDS,
    LIFE,
    LOW32,
    META,
    NETFILTER,
    NO_FRAGMENTS,
    PORT,
    REFRESH,
    REPLIED,
    REPLY,
    SERIAL,
    SERIAL_SHIFT,
    STARTED,
    STATE_SHIFT,
    SWEPT,
    TABLE_SIZE,
    TOUCHED,
    TUPLE,
    UNANSWERED_PICKUP,
    WISH,
    find,
    join,
    place,
)
from .traffic import ERROR, NEITHER, REASONS, Quotes, Reason, Traffic, Verdicts
from .verdict import BARRED, D_DROPPED, NO_ICMP, NO_SESSION, NOWHERE, UNFIT, answer_word, carry, error, leave, packet_word, to_group

STEP = 512
"""Frames hashed ahead of their look-up, so that the memory reads overlap."""
FRAGMENT, GROUP, NO_ROOM = (REASONS.index(r) for r in (Reason.FRAGMENT, Reason.GROUP, Reason.TABLE_FULL))
ANEW = -1
"""Not a reason: the session is over, and the frame may open another."""
LATER, LOST = 2, 3
"""Values of `fragment`."""


@inner
def segment(bits: int) -> int:
    """What kind of TCP segment flags make."""
    if bits & 4:
        return RST
    if bits & 2:
        return SYN_ACK if bits & 16 else SYN
    if bits & 1:
        return FIN
    return ACK if bits & 16 else NULL


@cold
def draft(c: int, i_word: int, src_high: Any, src_low: Any, dst_high: Any, dst_low: Any, keys: Any, life: Any) -> int:
    """Row c as a session of this packet and its plain answer."""
    a = 2 * c
    keys[a, 0] = src_high
    keys[a, 1] = src_low
    keys[a, 2] = dst_high
    keys[a, 3] = dst_low
    keys[a + 1, 0] = dst_high
    keys[a + 1, 1] = dst_low
    keys[a + 1, 2] = src_high
    keys[a + 1, 3] = src_low
    life[c, TUPLE] = i_word
    life[c, REPLY] = answer_word(i_word)
    life[c, META] = 0
    return 0


@inner
def lifetime(life: Any, c: int, word: int, state: int, meta: int, time: int, rules: Any, times: Any) -> int:
    """How long the session lives from now on, by protocol and state."""
    proto = word >> 8 & BYTE
    if proto == 6:
        wait = times[state]
        if meta & UNANSWERED_PICKUP and times[UNANSWERED] < wait:
            wait = times[UNANSWERED]
        return signed(wait)
    if proto == 17:
        if rules[DNS] and (word >> 24 & PORT == 53 or word >> 40 & PORT == 53):
            return signed(times[UDP_DNS])
        if meta & REPLIED and time > life[c, STARTED] + rules[ASSURED_NS]:
            return signed(times[UDP_REPLIED])
        return signed(times[UDP_NEW])
    return signed(times[ICMP_QUERY] if word & BYTE > 1 else times[OTHER])


@inner
def look_ahead(t: Any, start: int, stop: int, slots: Any, mask: int, seed: int, keys: Any, life: Any, totals: Any, hashes: Any) -> None:
    """All hashes first, touching each one's slot and then its session: the memory reads overlap instead of waiting for one another."""
    touched = 0
    for k in range(stop - start):
        i = (start + k) & LOW32
        h = place(t.src[i, 0], t.src[i, 1], t.dst[i, 0], t.dst[i, 1], packet_word(t, i), seed)
        hashes[k] = h
        touched += slots[h & mask] & 1
    for k in range(stop - start):
        slot = slots[hashes[k] & mask]
        if slot:
            e = slot & LOW32
            touched += life[e >> 1, EXPIRES] & 1
            if keys[e, 1] == 0:
                touched += 1
            if keys[e ^ 1, 1] == 0:
                touched += 1
    totals[TOUCHED] = touched & 1


@inner
def known(t: Any, i: int, e: int, time: int, machine: Any, times: Any, life: Any, rules: Any) -> int:
    """A frame of a living session: follow its state and set its time; 0, UNFIT, or ANEW if the session is over and a new one may begin."""
    c = (e >> 1) & LOW32
    d = e & 1
    meta = life[c, META]
    word = life[c, TUPLE]
    before = meta >> STATE_SHIFT & BYTE
    state = before
    if t.fragment[i] == LATER:
        return 0
    wait = -1
    if word >> 8 & BYTE == 6:
        s = segment(signed(t.tcp_flags[i]))
        state = signed(machine[(d * SEGMENTS + s) * WIDTH + before])
        if state > IGNORE:
            if state == INVALID:
                return UNFIT
            life[c, EXPIRES] = time
            return ANEW
        if state == IGNORE:
            return 0
        # netfilter forgets a connection whose only answer is a reset, and does not prolong one for a SYN sent again.
        if rules[NETFILTER]:
            if s == RST and not meta & REPLIED:
                wait = 0
            elif state == SYN_SENT and before == SYN_SENT:
                return 0
    if d:
        meta &= ~(UNANSWERED_PICKUP | HALF)
        if rules[NETFILTER] == 0:
            meta |= REPLIED
    if wait == 0:
        life[c, EXPIRES] = time
    elif rules[REFRESH + (d ^ (meta & FROM_OUTSIDE))] or state != before:
        life[c, EXPIRES] = time + lifetime(life, c, word, state, meta, time, rules, times)
    if d:
        meta |= REPLIED
    life[c, META] = meta & ~(BYTE << STATE_SHIFT) | state << STATE_SHIFT
    return 0


@inner
def unknown(
    t: Any,
    i: int,
    v: Any,
    time: int,
    machine: Any,
    times: Any,
    slots: Any,
    mask: int,
    groups: Any,
    gmask: int,
    seed: int,
    keys: Any,
    life: Any,
    links: Any,
    rules: Any,
    pool: Any,
    own: Any,
    ranges: Any,
    owners: Any,
    words: Any,
    statics: Any,
    totals: Any,
    bar: int,
) -> int:
    """A frame that no session has: 0 if it opens one (the last row), else why not."""
    kind = signed(t.kind[i])
    part = signed(t.fragment[i])
    hint_kind = signed(t.hint_kind[i])
    state = NEW
    if kind == NEITHER:
        return NO_ICMP
    if part == LATER and rules[IN_ORDER]:
        return FRAGMENT
    word = packet_word(t, i)
    if t.proto[i] == 6 and part != LATER:
        s = segment(signed(t.tcp_flags[i]))
        state = signed(machine[s * WIDTH + NEW])
        if state == INVALID and hint_kind == BEFORE:
            state = signed(machine[s * WIDTH + ESTABLISHED])
            if state > CLOSED:
                state = ESTABLISHED
        if state == INVALID:
            return NO_SESSION
    elif kind > 1 and kind & 1 and hint_kind != BEFORE:
        return NO_SESSION
    totals[WISH] = 0
    if bar >> NEW_TO & 1:
        v.barred[i] = NEW_TO
        return BARRED
    if rules[TABLE_SIZE] and totals[COUNT] >= rules[TABLE_SIZE]:
        return NO_ROOM
    c = totals[COUNT]
    draft(c, word, t.src[i, 0], t.src[i, 1], t.dst[i, 0], t.dst[i, 1], keys, life)
    high, low, port = t.hint[i, 0], t.hint[i, 1], signed(t.hint_port[i])
    ttl = signed(t.ttl[i])
    if t.side[i] == 0:
        why = from_inside(c, high, low, port, hint_kind, ttl, time, slots, mask, groups, gmask, seed, keys, life, links, rules, pool, own,
                          ranges, owners, words, statics, totals)  # fmt: skip
    else:
        why = from_outside(c, high, low, port, hint_kind, ttl, time, slots, mask, groups, gmask, seed, keys, life, links, rules, own,
                           words, statics, totals)  # fmt: skip
    v.choice[i] = totals[CHOICE]
    if totals[WISH] == 0:
        return why if why else NO_SESSION
    meta = signed(life[c, META])
    if state == ESTABLISHED and not meta & REPLIED:
        meta |= UNANSWERED_PICKUP
    meta |= totals[SERIAL] << SERIAL_SHIFT | state << STATE_SHIFT
    totals[SERIAL] += 1
    totals[COUNT] = c + 1
    life[c, META] = meta
    life[c, STARTED] = time
    life[c, EXPIRES] = time + lifetime(life, c, signed(life[c, TUPLE]), state, meta, time, rules, times)
    tcp = 1 if word >> 8 & BYTE == 6 else 0
    join(c, rules[KINDS + tcp], rules[DEPTH + tcp], slots, mask, groups, gmask, seed, keys, life, links)
    return 0


@kernel(
    t=Traffic,
    q=Quotes,
    v=Verdicts,
    w=Quotes,
    first="int",
    count="int",
    machine="u1",
    times="i8",
    slots="i8",
    mask="int",
    groups="i8",
    gmask="int",
    seed="int",
    keys="u8:4",
    life=f"i8:{LIFE}",
    links="i4:4",
    rules="i8",
    pool="u8:2",
    own="u8:4",
    ranges="i8:4",
    owners="u8:2",
    words="u8:10",
    statics="i8:6",
    totals="i8",
    hashes="i8",
    bars="u1",
)
def play(
    t: Any,
    q: Any,
    v: Any,
    w: Any,
    first: int,
    count: int,
    machine: Any,
    times: Any,
    slots: Any,
    mask: int,
    groups: Any,
    gmask: int,
    seed: int,
    keys: Any,
    life: Any,
    links: Any,
    rules: Any,
    pool: Any,
    own: Any,
    ranges: Any,
    owners: Any,
    words: Any,
    statics: Any,
    totals: Any,
    hashes: Any,
    bars: Any,
) -> int:
    """Verdicts on rows first..count-1 of t; returns the row it stopped at, for want of room if before count.

    v and w begin as copies of what leaves unchanged: addresses, ports and protocol of t and q. bars: bit s of a row's is set if filter
    rules stop it in state s of nat.filters (the last: whatever its state); v.barred is the state in which one was stopped.
    """
    room = len(life) - 1
    for start in range(first, count, STEP):
        stop = start + STEP
        if stop > count:
            stop = count
        look_ahead(t, start, stop, slots, mask, seed, keys, life, totals, hashes)
        for k in range(stop - start):
            i = (start + k) & LOW32
            if totals[COUNT] >= room or (
                rules[TABLE_SIZE] and totals[COUNT] >= rules[TABLE_SIZE] and (totals[FRAMES] - totals[SWEPT]) * 4 > totals[COUNT]
            ):
                return i
            totals[FRAMES] += 1
            time = t.time_ns[i]
            v.session[i] = -1
            v.disposition[i] = D_DROPPED
            v.side[i] = NOWHERE
            bar = signed(bars[i])
            if bar >> UNTRACKED & 1:
                v.barred[i] = UNTRACKED
                v.reason[i] = BARRED
                continue
            if t.fragment[i] == LOST or (t.fragment[i] and rules[NO_FRAGMENTS]):
                v.reason[i] = FRAGMENT
                continue
            if to_group(t.dst[i, 0], t.dst[i, 1], t.src[i, 0], t.src[i, 1]):
                v.reason[i] = GROUP
                continue
            if t.kind[i] == ERROR:
                why = error(t, i, q, v, w, slots, mask, seed, keys, life, rules, time)
                if why == 0 and bar >> RELATED & 1:
                    v.barred[i] = RELATED
                    why = BARRED
            else:
                word = packet_word(t, i)
                e, _ = find(slots, mask, hashes[k], keys, life, t.src[i, 0], t.src[i, 1], t.dst[i, 0], t.dst[i, 1], word)
                why = ANEW
                if e >= 0 and life[e >> 1, EXPIRES] > time:
                    replied = NEW_TO  # ESTABLISHED from the first answer on
                    if e & 1 or life[(e >> 1) & LOW32, META] & REPLIED:
                        replied = NEW_TO + 1
                    why = known(t, i, e, time, machine, times, life, rules)
                    if why == 0 and bar >> replied & 1:
                        v.barred[i] = replied
                        why = BARRED
                if why == ANEW:
                    why = unknown(t, i, v, time, machine, times, slots, mask, groups, gmask, seed, keys, life, links, rules, pool, own,
                                  ranges, owners, words, statics, totals, bar)  # fmt: skip
                    e = 2 * (totals[COUNT] - 1)
                    if totals[WISH] == KEPT_TURNED:
                        e += 1
                if why == 0:
                    carry(t, i, v, e & LOW32, keys, life, rules)
            if why:
                leave(t, v, i, why, rules, own, bar)
    return count
