"""The kernel that plays frames through a NAT, one after the other in the order of time."""

from typing import Any

from ..kernel import cold, inner, kernel, signed
from .admit import BOX, FILTERED, KEPT_TURNED, TOO_FAR, from_inside, from_outside
from .choose import BEFORE, within
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
    REOPEN,
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
    ERRORS,
    EXPIRES,
    FORWARDS,
    FRAMES,
    FROM_OUTSIDE,
    HAIRPINNED,
    HALF,
    IN_ORDER,
    INVALID_LEAVES,
    KINDS,
    LIFE,
    LOCAL,
    LOW32,
    META,
    NETFILTER,
    NO_FRAGMENTS,
    OWN,
    OWNED,
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
    TRANSLATED,
    TTL_STEP,
    TUPLE,
    UNANSWERED_PICKUP,
    WISH,
    find,
    join,
    place,
)
from .traffic import ERROR, NEITHER, REASONS, Disposition, Quotes, Reason, Traffic, Verdicts

STEP = 512
"""Frames hashed ahead of their look-up, so that the memory reads overlap."""
NO_SESSION, UNFIT, FRAGMENT, GROUP, UNQUOTED, NO_ICMP, NO_ROOM = (
    REASONS.index(r) for r in (Reason.NO_SESSION, Reason.INVALID, Reason.FRAGMENT, Reason.GROUP, Reason.UNQUOTED, Reason.ICMP, Reason.TABLE_FULL)
)
D_DROPPED, D_TRANSLATED, D_FORWARDED, D_LOCAL = (
    int(d) for d in (Disposition.DROPPED, Disposition.TRANSLATED, Disposition.FORWARDED, Disposition.LOCAL)
)
NOWHERE = 2
ANEW = -1
"""Not a reason: the session is over, and the frame may open another."""
NOBODY_KNOWS = 0xFF
LATER, LOST = 2, 3
"""Values of `part`."""


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


@inner
def packet_word(t: Any, i: int) -> int:
    """The tuple of frame i as `life` holds it."""
    kind = signed(t.kind[i])
    if kind == 0:
        return signed(t.proto[i]) << 8
    return signed(t.sport[i]) << 40 | signed(t.dport[i]) << 24 | signed(t.proto[i]) << 8 | kind


@inner
def answer_word(word: int) -> int:
    """The tuple word of the plain answer: ports exchanged, an ICMP query's reply."""
    kind = word & BYTE
    if kind > 1:
        kind ^= 1
    return (word >> 24 & PORT) << 40 | (word >> 40 & PORT) << 24 | (word & BYTE << 8) | kind


@inner
def to_group(high: Any, low: Any, from_high: Any, from_low: Any) -> int:
    """1 to multicast and broadcast, to and from link-local addresses: no router forwards these (RFC 1812 5.3.7, RFC 3927, RFC 4291)."""
    h = signed(high)
    f = signed(from_high)
    if h | f:
        return 1 if h >> 56 & BYTE == 0xFF or h >> 54 & 0x3FF == 0x3FA or f >> 54 & 0x3FF == 0x3FA else 0
    a = signed(low) & LOW32
    return 1 if a >> 28 == 14 or a == LOW32 or a >> 16 == 0xA9FE or signed(from_low) >> 16 & 0xFFFF == 0xA9FE else 0


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
def leave(t: Any, v: Any, i: int, reason: int, rules: Any, own: Any) -> None:
    """The verdict on a frame that no session carries: dropped, for the box, or untranslated where nothing fits and the box lets it."""
    v.reason[i] = reason
    v.disposition[i] = D_DROPPED
    v.side[i] = NOWHERE
    if reason == NO_SESSION or reason == UNFIT or reason == UNQUOTED or reason == NO_ICMP or reason == BOX:
        ours = within(own, 0, rules[OWNED], t.dst[i, 0], t.dst[i, 1])
        if ours:
            v.disposition[i] = D_LOCAL if rules[LOCAL] else D_DROPPED
        elif rules[INVALID_LEAVES] and (t.side[i] == 0 or rules[FORWARDS]):
            if t.ttl[i] <= rules[TTL_STEP]:
                v.reason[i] = TOO_FAR
            else:
                v.disposition[i] = D_FORWARDED
                v.side[i] = 1 - t.side[i]
                v.ttl[i] = t.ttl[i] - rules[TTL_STEP]


@cold
def related(q: Any, r: int, slots: Any, mask: int, seed: int, keys: Any, life: Any, time: int, qsrc: Any, qdst: Any, word: int) -> int:
    """The tuple (session * 2 + which) that packets in the direction of an ICMP error about this packet have, -1 for none."""
    word = answer_word(word)
    sh, sl, dh, dl = qdst[r, 0], qdst[r, 1], qsrc[r, 0], qsrc[r, 1]
    e, _ = find(slots, mask, place(sh, sl, dh, dl, word, seed), keys, life, sh, sl, dh, dl, word)
    if e >= 0 and life[e >> 1, EXPIRES] > time:
        return e
    return -1


@inner
def error(
    t: Any, i: int, q: Any, v: Any, w: Any, slots: Any, mask: int, seed: int, keys: Any, life: Any, rules: Any, time: int
) -> int:
    """The verdict on an ICMP error, or UNQUOTED if it is about nothing known: both headers are rewritten (RFC 5508 section 4.2); the state is not touched."""
    r = signed(t.quote[i])
    e = -1
    if q.kind[r] != NOBODY_KNOWS:
        word = signed(q.proto[r]) << 8
        if q.kind[r]:
            word |= signed(q.sport[r]) << 40 | signed(q.dport[r]) << 24 | signed(q.kind[r])
        e = related(0, r, slots, mask, seed, keys, life, time, q.src, q.dst, word)
    if e < 0:
        return UNQUOTED
    c = e >> 1
    meta = life[c, META]
    f = e ^ 1
    v.session[i] = meta >> SERIAL_SHIFT
    if meta & OWN:
        v.disposition[i] = D_LOCAL
        v.reason[i] = BOX
        return 0
    if meta & TRANSLATED and not rules[ERRORS]:
        v.reason[i] = NO_ICMP
        return 0
    if t.ttl[i] <= rules[TTL_STEP]:
        v.reason[i] = TOO_FAR
        return 0
    if (keys[e, 0] != keys[f, 2] or keys[e, 1] != keys[f, 3]) and (t.side[i] == 0 or (t.src[i, 0] == keys[e, 0] and t.src[i, 1] == keys[e, 1])):
        v.src[i, 0] = keys[f, 2]
        v.src[i, 1] = keys[f, 3]
    v.dst[i, 0] = keys[f, 0]
    v.dst[i, 1] = keys[f, 1]
    w.src[r, 0] = keys[f, 0]
    w.src[r, 1] = keys[f, 1]
    w.dst[r, 0] = keys[f, 2]
    w.dst[r, 1] = keys[f, 3]
    other = life[c, f & 1]
    if other & BYTE:
        w.sport[r] = other >> 40 & PORT
        w.dport[r] = other >> 24 & PORT
    w.proto[r] = other >> 8 & BYTE
    v.disposition[i] = D_TRANSLATED if meta & TRANSLATED else D_FORWARDED
    v.side[i] = exit_side(meta, e & 1)
    v.ttl[i] = t.ttl[i] - rules[TTL_STEP]
    return 0


@inner
def exit_side(meta: int, direction: int) -> int:
    """Where packets of a direction leave: those of the opener go to the other side, unless it is hairpinned."""
    if meta & HAIRPINNED:
        return 0
    return (meta & FROM_OUTSIDE) ^ 1 ^ direction


@inner
def carry(t: Any, i: int, v: Any, e: int, keys: Any, life: Any, rules: Any) -> None:
    """The verdict on a frame that arrived as tuple e (session * 2 + which): it leaves as the inverse of the session's other tuple."""
    c = e >> 1
    d = e & 1
    meta = life[c, META]
    v.session[i] = meta >> SERIAL_SHIFT
    if meta & OWN:
        v.disposition[i] = D_LOCAL
        v.reason[i] = BOX
        return
    if meta & HALF and d == 0:
        v.reason[i] = FILTERED
        return
    if t.ttl[i] <= rules[TTL_STEP]:
        v.reason[i] = TOO_FAR
        return
    v.ttl[i] = t.ttl[i] - rules[TTL_STEP]
    v.side[i] = exit_side(meta, d)
    if not meta & TRANSLATED:
        v.disposition[i] = D_FORWARDED
        return
    v.disposition[i] = D_TRANSLATED
    f = e ^ 1
    v.src[i, 0] = keys[f, 2]
    v.src[i, 1] = keys[f, 3]
    v.dst[i, 0] = keys[f, 0]
    v.dst[i, 1] = keys[f, 1]
    word = life[c, d ^ 1]
    v.proto[i] = word >> 8 & BYTE
    if word & BYTE:
        v.sport[i] = word >> 24 & PORT
        v.dport[i] = word >> 40 & PORT


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
    if t.part[i] == LATER:
        return 0
    wait = -1
    if word >> 8 & BYTE == 6:
        s = segment(signed(t.tcp_flags[i]))
        state = signed(machine[(d * SEGMENTS + s) * WIDTH + before])
        if state > IGNORE:
            if state == INVALID:
                return UNFIT
            life[c, EXPIRES] = 0
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
) -> int:
    """A frame that no session has: 0 if it opens one (the last row), else why not."""
    kind = signed(t.kind[i])
    part = signed(t.part[i])
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
) -> int:
    """Verdicts on rows first..count-1 of t; returns the row it stopped at, for want of room if before count.

    v and w begin as copies of what leaves unchanged: addresses, ports and protocol of t and q.
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
            if t.part[i] == LOST or (t.part[i] and rules[NO_FRAGMENTS]):
                v.reason[i] = FRAGMENT
                continue
            if to_group(t.dst[i, 0], t.dst[i, 1], t.src[i, 0], t.src[i, 1]):
                v.reason[i] = GROUP
                continue
            if t.kind[i] == ERROR:
                why = error(t, i, q, v, w, slots, mask, seed, keys, life, rules, time)
            else:
                word = packet_word(t, i)
                e, _ = find(slots, mask, hashes[k], keys, life, t.src[i, 0], t.src[i, 1], t.dst[i, 0], t.dst[i, 1], word)
                why = ANEW
                if e >= 0 and life[e >> 1, EXPIRES] > time:
                    why = known(t, i, e, time, machine, times, life, rules)
                if why == ANEW:
                    why = unknown(t, i, v, time, machine, times, slots, mask, groups, gmask, seed, keys, life, links, rules, pool, own,
                                  ranges, owners, words, statics, totals)  # fmt: skip
                    e = 2 * (totals[COUNT] - 1)
                    if totals[WISH] == KEPT_TURNED:
                        e += 1
                if why == 0:
                    carry(t, i, v, e & LOW32, keys, life, rules)
            if why:
                leave(t, v, i, why, rules, own)
    return count

