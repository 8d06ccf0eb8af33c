"""Which outside endpoint a new session gets: its mapping's, its inside port, what was seen if that is allowed, or the model's own choice.

The order is netfilter's (nf_nat_core.c: the source's newest mapping, the address, the inside port, a search), which leaves
nothing out that others do; a behavior switches steps off.
"""

from typing import Any

from ..kernel import cold, inner, mix, signed
from .session import (
    ATTEMPTS,
    BEST_EFFORT,
    BLOCK,
    BLOCKS,
    BYTE,
    CHOICE,
    DEPTH,
    FIRST_HOST,
    FROM_OUTSIDE,
    HOLD,
    HOST,
    ID_HIGH,
    ID_LOW,
    KEEPS_ANY,
    KINDS,
    LAST_PORT,
    META,
    ORDER,
    OVERLOADS,
    PAIRED,
    PARITY,
    POOL,
    POOLED,
    PORT,
    PORTLESS_DROPS,
    PRESERVES,
    QUOTA,
    REPLY,
    SHARE,
    SHARES,
    SOURCE,
    SOURCES,
    SOURCES_END,
    STATICS,
    TUPLE,
    head,
    members,
    near,
    taken,
)
from .traffic import REASONS, Choice, Hint, Reason

FIXED, HINTED, REFUSED, FREE = (int(c) for c in (Choice.FIXED, Choice.HINTED, Choice.REFUSED, Choice.FREE))
BEFORE = int(Hint.BEFORE)
NO_PORT, OVER_QUOTA, NO_PORTLESS = (REASONS.index(r) for r in (Reason.NO_PORT, Reason.QUOTA, Reason.PORTLESS))
ANY_FREE, SEQUENTIAL, BY_BLOCK, BY_FORMULA, NO_OTHER = range(5)
"""What ORDER says."""
S_PROTO, S_LOW, S_HIGH, S_TO, S_OUTBOUND, S_ADJUST = range(6)
"""Columns of `statics`: protocol or 0, outside ports, inside port of the first or -1, whether it works outwards, NPTv6's adjustment + 1."""
W_OUTSIDE, W_MASK, W_INSIDE, W_REMOTE, W_REMOTE_MASK = range(0, 10, 2)
"""Columns of `words`: pairs of the halves of addresses and masks."""


@cold
def within(prefixes: Any, start: int, stop: int, high: Any, low: Any) -> int:
    """1 if an address lies in one of prefixes[start..stop-1]: rows of address and mask."""
    for k in range(start, stop):
        if (high & prefixes[k, 2]) == prefixes[k, 0] and (low & prefixes[k, 3]) == prefixes[k, 1]:
            return 1
    return 0


@inner
def is_v4(high: Any, low: Any) -> int:
    """1 for an IPv4 address."""
    return 1 if high == 0 and signed(low) >> 32 == 0xFFFF else 0


@inner
def aim_port(life: Any, c: int, port: int) -> None:
    """The answer to draft c comes to this port; an ICMP identifier stands in both places."""
    word = life[c, REPLY]
    if word & BYTE > 1:
        life[c, REPLY] = word & 0xFFFF | port << 40 | port << 24
    else:
        life[c, REPLY] = word & ~(PORT << 24) | port << 24


@cold
def free(
    c: int,
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
    words: Any,
    statics: Any,
) -> int:
    """1 if the endpoint that draft c would answer to may be used: nobody else has it, towards this remote endpoint or at all."""
    e = 2 * c + 1
    if taken(slots, mask, seed, keys, life, e, time):
        return 0
    if rules[OVERLOADS]:
        return 1
    if head(HOLD, c, 0, 0, groups, gmask, seed, keys, life, links, time, 0) >= 0:
        return 0
    proto = life[c, REPLY] >> 8 & BYTE
    port = life[c, REPLY] >> 24 & PORT
    for k in range(rules[STATICS]):
        if (
            (statics[k, S_PROTO] == 0 or statics[k, S_PROTO] == proto)
            and statics[k, S_LOW] <= port <= statics[k, S_HIGH]
            and (keys[e, 2] & words[k, W_MASK]) == words[k, W_OUTSIDE]
            and (keys[e, 3] & words[k, W_MASK + 1]) == words[k, W_OUTSIDE + 1]
        ):
            return 0
    return 1


@cold
def own_block(c: int, low: int, size: int, blocks: int, most: int, port: int, keys: Any, pool: Any, owners: Any, addresses: int) -> int:
    """The first port of the block that `port` is in if that block is the host's or may become it, else -1."""
    a = 0
    for k in range(addresses):
        if pool[k, 0] == keys[2 * c + 1, 2] and pool[k, 1] == keys[2 * c + 1, 3]:
            a = k
            break
    wanted = (port - low) // size
    if wanted >= blocks:
        return -1
    mine = 0
    for b in range(blocks):
        at = a * blocks + b
        if owners[at, 0] == keys[2 * c, 0] and owners[at, 1] == keys[2 * c, 1]:
            mine += 1
            if b == wanted:
                return low + b * size
    at = a * blocks + wanted
    if mine >= most or owners[at, 0] != 0 or owners[at, 1] != 0:
        return -1
    owners[at, 0] = keys[2 * c, 0]
    owners[at, 1] = keys[2 * c, 1]
    return low + wanted * size


@cold
def search(
    c: int,
    low: int,
    high: int,
    start: int,
    step: int,
    most: int,
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
    words: Any,
    statics: Any,
) -> int:
    """The first free port from start on, upwards and round, in steps; draft c is left aimed at it. -1 if none of `most` is free."""
    span = high - low + 1
    tries = 0
    port = start
    while tries < most and tries * step < span:
        aim_port(life, c, port)
        if free(c, time, slots, mask, groups, gmask, seed, keys, life, links, rules, words, statics):
            return port
        tries += 1
        port += step
        if port > high:
            port -= span
            if step == 2 and (port ^ start) & 1:
                port += 1 if port < high else -1
    return -1


@cold
def search_blocks(
    c: int,
    low: int,
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
    owners: Any,
    words: Any,
    statics: Any,
    blocks: int,
) -> int:
    """A free port of one of the host's blocks, a new block's first if there is none; -1 if it may have no more."""
    size = rules[BLOCK]
    a = 0
    for k in range(rules[POOL]):
        if pool[k, 0] == keys[2 * c + 1, 2] and pool[k, 1] == keys[2 * c + 1, 3]:
            a = k
    for b in range(blocks):
        if owners[a * blocks + b, 0] == keys[2 * c, 0] and owners[a * blocks + b, 1] == keys[2 * c, 1]:
            first = low + b * size
            p = search(c, first, first + size - 1, first, 1, size, time, slots, mask, groups, gmask, seed, keys, life, links, rules, words,
                       statics)  # fmt: skip
            if p >= 0:
                return p
    for b in range(blocks):
        if owners[a * blocks + b, 0] == 0 and owners[a * blocks + b, 1] == 0:
            first = own_block(c, low, size, blocks, rules[BLOCKS], low + b * size, keys, pool, owners, rules[POOL])
            if first < 0:
                return -1
            aim_port(life, c, first)
            return first
    return -1


@cold
def choose(
    c: int,
    hint_high: Any,
    hint_low: Any,
    hint_port: int,
    hint_kind: int,
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
    """Aim draft c, opened inside, at its outside endpoint; 0, or why it gets none. totals[CHOICE] says how free the choice was."""
    word = life[c, TUPLE]
    kind = word & BYTE
    tcp = 1 if word >> 8 & BYTE == 6 else 0
    sport = word >> 40 & PORT
    e = 2 * c + 1
    in_pool = hint_kind and within(own, 0, rules[POOLED], hint_high, hint_low)
    totals[CHOICE] = FIXED
    if kind == 0 and rules[PORTLESS_DROPS]:
        return NO_PORTLESS
    if rules[QUOTA]:
        m = head(HOST, c, 0, 0, groups, gmask, seed, keys, life, links, time, 0)
        if m >= 0 and members(HOST, m, rules[QUOTA], keys, life, links, time) >= rules[QUOTA]:
            return OVER_QUOTA
    if hint_kind == BEFORE and in_pool and (hint_port >= 0 or kind == 0):
        keys[e, 2] = hint_high
        keys[e, 3] = hint_low
        aim_port(life, c, hint_port if kind else 0)
        if not taken(slots, mask, seed, keys, life, e, time):
            totals[CHOICE] = HINTED
            return 0
    if rules[KINDS + tcp] >> SOURCE & 1:
        m = head(SOURCE, c, 0, rules[DEPTH + tcp], groups, gmask, seed, keys, life, links, time, 0)
        if m >= 0:
            o = life[m, META] & FROM_OUTSIDE
            y = near(m, o) ^ 1
            keys[e, 2] = keys[y, 2]
            keys[e, 3] = keys[y, 3]
            aim_port(life, c, life[m, o ^ 1] >> 24 & PORT)
            if not taken(slots, mask, seed, keys, life, e, time):
                return 0
            if not rules[BEST_EFFORT + tcp]:
                return NO_PORT
    # The address.
    n = rules[POOL]
    order = rules[ORDER]
    a = mix(keys[2 * c, 1], keys[2 * c, 0]) % n
    host = 0
    pinned = n == 1
    if order == BY_FORMULA:
        host = signed(keys[2 * c, 1]) - rules[FIRST_HOST]
        a = host // rules[SHARES]
        if host < 0 or a >= n:
            return NO_PORT
        pinned = True
    if not pinned:
        # Of addresses of both versions of IP, one of the destination's.
        four = is_v4(keys[e, 0], keys[e, 1])
        for _ in range(n):
            if is_v4(pool[a, 0], pool[a, 1]) == four:
                break
            a = (a + 1) % n
    keys[e, 2] = pool[a, 0]
    keys[e, 3] = pool[a, 1]
    for k in range(rules[SOURCES], rules[SOURCES_END]):
        if (keys[2 * c, 0] & own[k, 2]) == own[k, 0] and (keys[2 * c, 1] & own[k, 3]) == own[k, 1]:
            keys[e, 2] = own[k + rules[SOURCES_END] - rules[SOURCES], 0]
            keys[e, 3] = own[k + rules[SOURCES_END] - rules[SOURCES], 1]
            pinned = True
            break
    if not pinned and rules[PAIRED]:
        m = head(HOST, c, 0, 0, groups, gmask, seed, keys, life, links, time, 0)
        if m >= 0:
            y = near(m, life[m, META] & FROM_OUTSIDE) ^ 1
            keys[e, 2] = keys[y, 2]
            keys[e, 3] = keys[y, 3]
            pinned = True
    if not pinned:
        totals[CHOICE] = FREE
        if in_pool:
            keys[e, 2] = hint_high
            keys[e, 3] = hint_low
            totals[CHOICE] = HINTED
        elif hint_kind:
            totals[CHOICE] = REFUSED
    if kind == 0:
        return 0 if free(c, time, slots, mask, groups, gmask, seed, keys, life, links, rules, words, statics) else NO_PORT
    # The port.
    low = rules[ID_LOW]
    high = rules[ID_HIGH]
    if kind == 1:
        low = 1
        high = 0
        for k in range(len(ranges)):
            if ranges[k, 2] <= sport <= ranges[k, 3]:
                low = ranges[k, 0]
                high = ranges[k, 1]
                break
        if high < low:
            return NO_PORT
        if order == BY_FORMULA:
            low += rules[SHARE] * (host % rules[SHARES])
            high = low + rules[SHARE] - 1
    if rules[PRESERVES] and (low <= sport <= high or rules[KEEPS_ANY]):
        aim_port(life, c, sport)
        if free(c, time, slots, mask, groups, gmask, seed, keys, life, links, rules, words, statics):
            return 0
    if order == NO_OTHER:
        return NO_PORT
    blocks = (high - low + 1) // rules[BLOCK] if order == BY_BLOCK and kind == 1 else 0
    step = 2 if rules[PARITY] and kind == 1 else 1
    counted = order == SEQUENTIAL and totals[LAST_PORT] >= 0
    if hint_kind and hint_port >= 0 and not counted:
        allowed = low <= hint_port <= high and keys[e, 2] == hint_high and keys[e, 3] == hint_low
        if allowed and step == 2 and (hint_port ^ sport) & 1:
            allowed = False
        if allowed:
            aim_port(life, c, hint_port)
            if not free(c, time, slots, mask, groups, gmask, seed, keys, life, links, rules, words, statics):
                allowed = False
        if allowed and blocks:
            allowed = own_block(c, low, rules[BLOCK], blocks, rules[BLOCKS], hint_port, keys, pool, owners, n) >= 0
        if allowed:
            totals[CHOICE] = HINTED
            totals[LAST_PORT] = hint_port
            return 0
    totals[CHOICE] = FREE
    if hint_kind and hint_port >= 0:
        totals[CHOICE] = REFUSED
    if blocks:
        p = search_blocks(c, low, time, slots, mask, groups, gmask, seed, keys, life, links, rules, pool, owners, words, statics, blocks)
    else:
        start = low + mix(word, keys[2 * c, 1]) % (high - low + 1)
        if order == SEQUENTIAL:
            start = totals[LAST_PORT] + 1
            if start < low or start > high:
                start = low
        if step == 2 and (start ^ sport) & 1:
            start += 1 if start < high else -1
        p = search(c, low, high, start, step, rules[ATTEMPTS], time, slots, mask, groups, gmask, seed, keys, life, links, rules, words,
                   statics)  # fmt: skip
    if p < 0:
        return NO_PORT
    totals[LAST_PORT] = p
    if counted:
        totals[CHOICE] = FIXED if hint_port < 0 or not hint_kind or hint_port == p else REFUSED
        if totals[CHOICE] == REFUSED:
            totals[LAST_PORT] = hint_port  # the next one is expected after what really happened
    return 0
