"""Verdicts: what a frame leaves as, if it leaves."""

from typing import Any

from ..kernel import cold, inner, signed
from ..nat.filters import INVALID
from .admit import BOX, FILTERED, TOO_FAR
from .choose import within
from .session import (
    BYTE,
    ERRORS,
    EXPIRES,
    FORWARDS,
    FROM_OUTSIDE,
    HAIRPINNED,
    HALF,
    INVALID_LEAVES,
    LOCAL,
    LOW32,
    META,
    OWN,
    OWNED,
    PORT,
    SERIAL_SHIFT,
    TRANSLATED,
    TTL_NEW,
    TTL_STEP,
    find,
    place,
)
from .traffic import REASONS, Disposition, Reason

NO_SESSION, UNFIT, UNQUOTED, NO_ICMP, BARRED = (
    REASONS.index(r) for r in (Reason.NO_SESSION, Reason.INVALID, Reason.UNQUOTED, Reason.ICMP, Reason.BARRED)
)
D_DROPPED, D_TRANSLATED, D_FORWARDED, D_LOCAL = (
    int(d) for d in (Disposition.DROPPED, Disposition.TRANSLATED, Disposition.FORWARDED, Disposition.LOCAL)
)
NOWHERE = 2
NOBODY_KNOWS = 0xFF
"""The kind of a quote that does not show its ports."""


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


@inner
def leave(t: Any, v: Any, i: int, reason: int, rules: Any, own: Any, bar: int) -> None:
    """The verdict on a frame that no session carries: dropped, for the box, or untranslated where nothing fits and the box lets it.

    bar: what filter rules stop, as in `play`.
    """
    v.reason[i] = reason
    v.disposition[i] = D_DROPPED
    v.side[i] = NOWHERE
    if reason == NO_SESSION or reason == UNFIT or reason == UNQUOTED or reason == NO_ICMP or reason == BOX:
        ours = within(own, 0, rules[OWNED], t.dst[i, 0], t.dst[i, 1])
        if reason != BOX and bar >> INVALID & 1:
            v.reason[i] = BARRED
            v.barred[i] = INVALID
        elif ours:
            v.disposition[i] = D_LOCAL if rules[LOCAL] else D_DROPPED
        elif rules[INVALID_LEAVES] and (t.side[i] == 0 or rules[FORWARDS]):
            if t.ttl[i] <= rules[TTL_STEP + signed(t.side[i])]:
                v.reason[i] = TOO_FAR
            else:
                v.disposition[i] = D_FORWARDED
                v.side[i] = 1 - t.side[i]
                v.ttl[i] = t.ttl[i] - rules[TTL_STEP + signed(t.side[i])]


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
def error(t: Any, i: int, q: Any, v: Any, w: Any, slots: Any, mask: int, seed: int, keys: Any, life: Any, rules: Any, time: int) -> int:
    """The verdict on an ICMP error: both headers are rewritten (RFC 5508 section 4.2), no state is touched. UNQUOTED if nobody is meant."""
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
    if t.ttl[i] <= rules[TTL_STEP + signed(t.side[i])]:
        v.reason[i] = TOO_FAR
        return 0
    if (keys[e, 0] != keys[f, 2] or keys[e, 1] != keys[f, 3]) and (
        t.side[i] == 0 or (t.src[i, 0] == keys[e, 0] and t.src[i, 1] == keys[e, 1])
    ):
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
    v.ttl[i] = t.ttl[i] - rules[TTL_STEP + signed(t.side[i])]
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
    if t.ttl[i] <= rules[TTL_STEP + signed(t.side[i])]:
        v.reason[i] = TOO_FAR
        return
    v.ttl[i] = rules[TTL_NEW] if rules[TTL_NEW] else t.ttl[i] - rules[TTL_STEP + signed(t.side[i])]
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
