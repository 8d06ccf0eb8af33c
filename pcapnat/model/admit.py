"""What may open a session, and between whom it then is: static mappings, mappings that let others in, hairpins, the box itself.

A draft is the row after the last session: tuple 0 the packet as it arrived, tuple 1 its plain answer. Admitting it means
rewriting tuple 1.
"""

from typing import Any

from ..kernel import cold, inner, signed
from .choose import (
    BEFORE,
    NO_OTHER,
    NO_PORT,
    S_ADJUST,
    S_HIGH,
    S_LOW,
    S_OUTBOUND,
    S_PROTO,
    S_TO,
    W_INSIDE,
    W_MASK,
    W_OUTSIDE,
    W_REMOTE,
    W_REMOTE_MASK,
    choose,
    search,
    within,
)
from .session import (
    ATTEMPTS,
    BYTE,
    CHOICE,
    FILTER,
    FORWARDS,
    FROM_OUTSIDE,
    GROUPED,
    HAIRPIN,
    HAIRPIN_ANY,
    HAIRPINNED,
    HALF,
    HOLD,
    LOCAL,
    LOW32,
    META,
    NAT64,
    ORDER,
    OWN,
    OWNED,
    PERMIT,
    POOLED,
    PORT,
    PREFIXES,
    PRESERVES,
    QUERIES,
    REPLIED,
    REPLY,
    ROUTER,
    STATICS,
    TRANSLATED,
    TTL_STEP,
    TUPLE,
    WISH,
    head,
    near,
    taken,
)
from .traffic import REASONS, Choice, Reason

NO_MAPPING, FILTERED, TOO_FAR, NO_HAIRPIN, NOT_INSIDE, NO_ICMP, BOX = (
    REASONS.index(r) for r in (Reason.NO_MAPPING, Reason.FILTERED, Reason.TTL, Reason.HAIRPIN, Reason.NOT_INSIDE, Reason.ICMP, Reason.OWN)
)
HINTED = int(Choice.HINTED)
NOT_KEPT, KEPT, KEPT_TURNED = range(3)
"""What totals[WISH] says of the draft: no session, a session, a session whose first packet seen is an answer."""
FROM_ITSELF, FROM_ROUTER, FROM_EXTERNAL = 1, 2, 3
"""What HAIRPIN says; 0 none."""
V4 = 0xFFFF << 32
MOST_WORD = 0xFFFF


@inner
def neutral(word: int, adjust: int) -> int:
    """A 16-bit word of an address after one's complement addition (RFC 6296 section 3.1)."""
    total = word + adjust
    total = (total & MOST_WORD) + (total >> 16)
    return 0 if total == MOST_WORD else total


@inner
def rewrite(keys: Any, to: int, at: int, high: Any, low: Any, words: Any, k: int, before: int, after: int, adjust: int) -> None:
    """keys[to, at..] becomes an address moved from one prefix of words[k] to another, host bits kept."""
    keys[to, at] = high ^ words[k, before] ^ words[k, after]
    keys[to, at + 1] = low ^ words[k, before + 1] ^ words[k, after + 1]
    if adjust >= 0:
        if words[k, W_MASK] & 0xFFFF:
            word = signed(keys[to, at + 1]) >> 48 & MOST_WORD
            keys[to, at + 1] ^= (word ^ neutral(word, adjust)) << 48
        else:
            word = signed(keys[to, at]) & MOST_WORD
            keys[to, at] ^= word ^ neutral(word, adjust)


@cold
def static_for(c: int, keys: Any, life: Any, rules: Any, words: Any, statics: Any, hint_high: Any, hint_low: Any, hinted: int) -> int:
    """The static mapping for the endpoint that draft c asks for, -1 for none; of several, the one that leads where the hint says."""
    word = life[c, TUPLE]
    proto = word >> 8 & BYTE
    port = word >> 24 & PORT
    a = 2 * c
    found = -1
    for k in range(rules[STATICS]):
        if (
            (statics[k, S_PROTO] == 0 or statics[k, S_PROTO] == proto)
            and (statics[k, S_LOW] <= port <= statics[k, S_HIGH] or word & BYTE != 1)
            and (keys[a, 2] & words[k, W_MASK]) == words[k, W_OUTSIDE]
            and (keys[a, 3] & words[k, W_MASK + 1]) == words[k, W_OUTSIDE + 1]
            and (keys[a, 0] & words[k, W_REMOTE_MASK]) == words[k, W_REMOTE]
            and (keys[a, 1] & words[k, W_REMOTE_MASK + 1]) == words[k, W_REMOTE + 1]
        ):
            if word & BYTE != 1 and statics[k, S_LOW] > 0:
                continue  # a forwarded port says nothing of protocols without ports
            if not hinted:
                return k
            if words[k, W_INSIDE] == hint_high and words[k, W_INSIDE + 1] == hint_low:
                return k
            if found < 0:
                found = k
    return found


@cold
def point(c: int, k: int, keys: Any, life: Any, words: Any, statics: Any) -> int:
    """Draft c goes to what static mapping k leads to."""
    a = 2 * c
    adjust = statics[k, S_ADJUST]
    rewrite(keys, a + 1, 0, keys[a, 2], keys[a, 3], words, k, W_OUTSIDE, W_INSIDE, MOST_WORD - adjust + 1 if adjust else -1)
    word = life[c, REPLY]
    if word & BYTE == 1 and statics[k, S_TO] >= 0:
        port = statics[k, S_TO] + (life[c, TUPLE] >> 24 & PORT) - statics[k, S_LOW]
        life[c, REPLY] = word & 0xFFFFFFFFFF | port << 40
    return 0


@cold
def for_the_box(c: int, life: Any, rules: Any, totals: Any) -> int:
    """A packet for the box's own host. Netfilter keeps a session of UDP: it holds the pair of endpoints."""
    if not rules[LOCAL]:
        return NO_MAPPING
    if life[c, TUPLE] >> 8 & BYTE == 17:
        life[c, META] |= OWN
        totals[WISH] = KEPT
    return BOX


@cold
def turn_round(
    c: int,
    hint_high: Any,
    hint_low: Any,
    hint_port: int,
    hint_kind: int,
    ttl: int,
    time: int,
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
    """From inside to an address of the box: to whom that leads, inside again (RFC 4787 section 6)."""
    a = 2 * c
    tcp = 1 if life[c, TUPLE] >> 8 & BYTE == 6 else 0
    k = static_for(c, keys, life, rules, words, statics, hint_high, hint_low, 0)
    if k >= 0 and rules[HAIRPIN]:
        point(c, k, keys, life, words, statics)
    else:
        m = -1
        if rules[HAIRPIN] and rules[HAIRPIN_ANY]:
            m = head(HOLD, c, 1, 0, groups, gmask, seed, keys, life, links, time, 0)
        if m < 0:
            box = for_the_box(c, life, rules, totals)
            return box if box == BOX else NO_HAIRPIN
        o = life[m, META] & FROM_OUTSIDE
        keys[a + 1, 0] = keys[near(m, o), 0]
        keys[a + 1, 1] = keys[near(m, o), 1]
        word = life[c, REPLY]
        port = life[m, o] >> 40 & PORT
        life[c, REPLY] = word & 0xFFFFFFFFFF | port << 40
    if ttl <= rules[TTL_STEP]:
        return TOO_FAR
    life[c, META] |= TRANSLATED
    if rules[HAIRPIN] == FROM_ROUTER and rules[ROUTER]:
        keys[a + 1, 2] = own[rules[ROUTER], 0]
        keys[a + 1, 3] = own[rules[ROUTER], 1]
        port = life[c, TUPLE] >> 40 & PORT
        if taken(slots, mask, seed, keys, life, a + 1, time) and search(
            c, 1024, 65535, 1024 + port % 64512, 1, rules[ATTEMPTS], time, slots, mask, groups, gmask, seed, keys, life, links, rules,
            words, statics) < 0:  # fmt: skip
            return NO_PORT
    elif rules[HAIRPIN] == FROM_EXTERNAL:
        why = choose(c, hint_high, hint_low, hint_port, hint_kind, time, slots, mask, groups, gmask, seed, keys, life, links, rules, pool,
                     own, ranges, owners, words, statics, totals)  # fmt: skip
        if why:
            return why
        life[c, META] |= GROUPED
        if k < 0 and rules[FILTER + tcp]:
            permitted = -1
            if rules[FILTER + tcp] == 1:
                # Whether the target has sent to our outside address: looked up as if the packet came from there.
                high, low = keys[a, 0], keys[a, 1]
                keys[a, 0] = keys[a + 1, 2]
                keys[a, 1] = keys[a + 1, 3]
                permitted = head(PERMIT, c, 1, 0, groups, gmask, seed, keys, life, links, time, 0)
                keys[a, 0] = high
                keys[a, 1] = low
            if permitted < 0:
                life[c, META] |= HALF
    elif taken(slots, mask, seed, keys, life, a + 1, time):
        return NO_PORT
    life[c, META] |= HAIRPINNED
    totals[WISH] = KEPT
    return FILTERED if life[c, META] & HALF else 0


@cold
def from_inside(
    c: int,
    hint_high: Any,
    hint_low: Any,
    hint_port: int,
    hint_kind: int,
    ttl: int,
    time: int,
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
    """Admit draft c that arrived inside: 0 or the reason against it. totals[WISH] says whether it becomes a session."""
    a = 2 * c
    totals[WISH] = NOT_KEPT
    totals[CHOICE] = 0
    word = life[c, TUPLE]
    if within(own, 0, rules[OWNED], keys[a, 2], keys[a, 3]):
        return turn_round(c, hint_high, hint_low, hint_port, hint_kind, ttl, time, slots, mask, groups, gmask, seed, keys, life, links,
                          rules, pool, own, ranges, owners, words, statics, totals)  # fmt: skip
    if ttl <= rules[TTL_STEP]:
        return TOO_FAR
    if word & BYTE > 1 and not rules[QUERIES]:
        return NO_ICMP
    if rules[NAT64] and within(own, rules[NAT64], rules[NAT64] + 1, keys[a, 2], keys[a, 3]):
        keys[a + 1, 0] = 0
        keys[a + 1, 1] = (signed(keys[a, 3]) & LOW32) | V4
        if word >> 8 & BYTE == 58:
            life[c, REPLY] = life[c, REPLY] & ~(BYTE << 8) | 1 << 8
    for k in range(rules[STATICS]):
        if (
            statics[k, S_OUTBOUND]
            and (statics[k, S_PROTO] == 0 or statics[k, S_PROTO] == word >> 8 & BYTE)
            and (keys[a, 0] & words[k, W_MASK]) == words[k, W_INSIDE]
            and (keys[a, 1] & words[k, W_MASK + 1]) == words[k, W_INSIDE + 1]
        ):
            rewrite(keys, a + 1, 2, keys[a, 0], keys[a, 1], words, k, W_INSIDE, W_OUTSIDE, statics[k, S_ADJUST] - 1)
            if taken(slots, mask, seed, keys, life, a + 1, time):
                return NO_PORT
            life[c, META] |= TRANSLATED
            totals[WISH] = KEPT
            return 0
    translates = rules[PREFIXES] == rules[OWNED] or within(own, rules[OWNED], rules[PREFIXES], keys[a, 0], keys[a, 1])
    if not translates or (rules[ORDER] == NO_OTHER and not rules[PRESERVES]):
        if not rules[FORWARDS]:
            return NOT_INSIDE
        totals[WISH] = 0 if taken(slots, mask, seed, keys, life, a + 1, time) else KEPT
        return 0
    why = choose(c, hint_high, hint_low, hint_port, hint_kind, time, slots, mask, groups, gmask, seed, keys, life, links, rules, pool, own,
                 ranges, owners, words, statics, totals)  # fmt: skip
    if why == 0:
        life[c, META] |= GROUPED
        if (
            keys[a, 0] != keys[a + 1, 2]
            or keys[a, 1] != keys[a + 1, 3]
            or keys[a, 3] != keys[a + 1, 1]
            or word >> 40 & PORT != life[c, REPLY] >> 24 & PORT
        ):
            life[c, META] |= TRANSLATED
        totals[WISH] = KEPT
    return why


@cold
def from_outside(
    c: int,
    hint_high: Any,
    hint_low: Any,
    hint_port: int,
    hint_kind: int,
    ttl: int,
    time: int,
    slots: Any,
    mask: int,
    groups: Any,
    gmask: int,
    seed: int,
    keys: Any,
    life: Any,
    links: Any,
    rules: Any,
    own: Any,
    words: Any,
    statics: Any,
    totals: Any,
) -> int:
    """Admit draft c that arrived outside: 0 or the reason against it. totals[WISH] says whether it becomes a session."""
    a = 2 * c
    totals[WISH] = NOT_KEPT
    totals[CHOICE] = 0
    word = life[c, TUPLE]
    tcp = 1 if word >> 8 & BYTE == 6 else 0
    k = static_for(c, keys, life, rules, words, statics, hint_high, hint_low, hint_kind)
    if k >= 0:
        if ttl <= rules[TTL_STEP + 1]:
            return TOO_FAR
        point(c, k, keys, life, words, statics)
        if taken(slots, mask, seed, keys, life, a + 1, time):
            return NO_PORT
        life[c, META] |= FROM_OUTSIDE | TRANSLATED
        totals[WISH] = KEPT
        return 0
    ours = within(own, 0, rules[OWNED], keys[a, 2], keys[a, 3])
    if not ours:
        if not rules[FORWARDS]:
            return NO_MAPPING
        if ttl <= rules[TTL_STEP + 1]:
            return TOO_FAR
        life[c, META] |= FROM_OUTSIDE
        totals[WISH] = KEPT
        return 0
    m = head(HOLD, c, 1, 0, groups, gmask, seed, keys, life, links, time, 0)
    if m >= 0 and rules[FILTER + tcp] < 2 and word & BYTE == 1:
        if rules[FILTER + tcp] == 0 or head(PERMIT, c, 1, 0, groups, gmask, seed, keys, life, links, time, 0) >= 0:
            if ttl <= rules[TTL_STEP + 1]:
                return TOO_FAR
            o = life[m, META] & FROM_OUTSIDE
            keys[a + 1, 0] = keys[near(m, o), 0]
            keys[a + 1, 1] = keys[near(m, o), 1]
            life[c, REPLY] = life[c, REPLY] & 0xFFFFFFFFFF | (life[m, o] >> 40 & PORT) << 40
            if taken(slots, mask, seed, keys, life, a + 1, time):
                return NO_PORT
            life[c, META] |= FROM_OUTSIDE | GROUPED | TRANSLATED
            totals[WISH] = KEPT
            return 0
    if hint_kind == BEFORE and within(own, 0, rules[POOLED], keys[a, 2], keys[a, 3]) and ttl > rules[TTL_STEP + 1]:
        # An answer in a session that is older than the capture: it was opened inside.
        there, answer = life[c, TUPLE], life[c, REPLY]
        for n in range(4):
            keys[a + 1, n] = keys[a, n]
        keys[a, 2] = keys[a + 1, 0]
        keys[a, 3] = keys[a + 1, 1]
        keys[a, 0] = hint_high
        keys[a, 1] = hint_low
        life[c, REPLY] = there
        life[c, TUPLE] = answer
        if word & BYTE == 1:
            life[c, TUPLE] = answer & 0xFFFFFFFFFF | (hint_port & PORT) << 40
        elif word & BYTE > 1:
            life[c, TUPLE] = answer & 0xFFFF | (hint_port & PORT) << 40 | (hint_port & PORT) << 24
        if not taken(slots, mask, seed, keys, life, a, time) and not taken(slots, mask, seed, keys, life, a + 1, time):
            life[c, META] |= GROUPED | TRANSLATED | REPLIED
            totals[WISH] = KEPT_TURNED
            totals[CHOICE] = HINTED
            return 0
        life[c, META] = 0
        return NO_PORT
    if m >= 0:
        return FILTERED
    if word & BYTE > 1 and word & 1 and rules[LOCAL]:
        return BOX  # an answer to nobody
    return for_the_box(c, life, rules, totals)
