"""Sessions in arrays: two tuples each, found by either, and grouped by what they share.

A session is what netfilter calls a connection: tuple 0 is its first packet as it arrived at the box, tuple 1 the answer
to it as that arrives. A packet that arrives as one of them leaves as the inverse of the other; source and destination
NAT, hairpins and changes of the address family are all said by the two tuples alone.

Groups say what an RFC says of mappings: sessions with one inside endpoint (and as much of the remote one as the mapping
depends on) share an outside endpoint; sessions with one outside endpoint hold it, and let remote endpoints in. A group
is a chain from its newest session. Nothing is removed when time runs out: a session is looked at with the time of
the packet, dead ones are skipped and unlinked on the way, and `sweep` makes room when the rows are used up.
"""

from typing import Any

from ..kernel import cold, inner, kernel, mix, signed

TUPLE, REPLY, EXPIRES, META, STARTED = range(5)
"""Columns of `life`: sport<<40 | dport<<24 | proto<<8 | kind of either tuple, the time it dies, marks, the time of its first packet."""
LIFE = 5
FROM_OUTSIDE, REPLIED, GROUPED, TRANSLATED, OWN, UNANSWERED_PICKUP, HAIRPINNED, HALF = (1 << b for b in range(8))
"""Marks in META, below the TCP state (8 bits) and the session's number. HALF: hairpinned, but the target has not sent yet."""
STATE_SHIFT, SERIAL_SHIFT = 8, 16
SOURCE, HOLD, PERMIT, HOST = range(4)
"""Kinds of groups: one inside endpoint, one outside endpoint, that and a remote address, one inside address."""
COUNT, SERIAL, CHOICE, LAST_PORT, FRAMES, SWEPT, TOUCHED, WISH = range(8)
TOTALS = 8
USED = 1 << 62
LOW32 = 0xFFFFFFFF
NOBODY = 0xFFFFFFFF
BYTE = 0xFF
PORT = 0xFFFF


@inner
def place(sh: Any, sl: Any, dh: Any, dl: Any, word: int, seed: int) -> int:
    """A hash of a tuple."""
    h = mix(seed ^ word, sl)
    if sh:
        h = mix(h, sh)
    h = mix(h, dl)
    if dh:
        h = mix(h, dh)
    return mix(h, word)


@inner
def find(slots: Any, mask: int, h: int, keys: Any, life: Any, sh: Any, sl: Any, dh: Any, dl: Any, word: int) -> tuple[int, int]:
    """(session * 2 + which tuple, or -1; slot) of a tuple; the slot is where it is or would go. Also finds the dead."""
    tag = (h | USED) >> 32
    j = h & mask
    while True:
        slot = slots[j]
        if slot == 0:
            return -1, j
        if slot >> 32 == tag:
            e = slot & LOW32
            same = (keys[e, 0] == sh) & (keys[e, 1] == sl) & (keys[e, 2] == dh) & (keys[e, 3] == dl)
            if same & (life[e >> 1, e & 1] == word):
                return e, j
        j = (j + 1) & mask


@cold
def enter(slots: Any, mask: int, seed: int, keys: Any, life: Any, e: int) -> int:
    """Put tuple e (session * 2 + which) into the table, in place of a dead session's with the same one."""
    h = place(keys[e, 0], keys[e, 1], keys[e, 2], keys[e, 3], life[e >> 1, e & 1], seed)
    _, j = find(slots, mask, h, keys, life, keys[e, 0], keys[e, 1], keys[e, 2], keys[e, 3], life[e >> 1, e & 1])
    slots[j] = (h | USED) >> 32 << 32 | e
    return signed(j)


@cold
def taken(slots: Any, mask: int, seed: int, keys: Any, life: Any, e: int, time: int) -> int:
    """1 if a living session has tuple e already."""
    h = place(keys[e, 0], keys[e, 1], keys[e, 2], keys[e, 3], life[e >> 1, e & 1], seed)
    found, _ = find(slots, mask, h, keys, life, keys[e, 0], keys[e, 1], keys[e, 2], keys[e, 3], life[e >> 1, e & 1])
    if found >= 0 and life[found >> 1, EXPIRES] > time:
        return 1
    return 0


@inner
def near(c: int, outward: int) -> int:
    """The tuple that shows session c as it looks inside: its source is the inside endpoint. outward: META's mark FROM_OUTSIDE."""
    return 2 * c + outward


@inner
def member_hash(kind: int, c: int, o: int, depth: int, keys: Any, life: Any, seed: int) -> int:
    """The hash of the group of a kind that session c belongs to."""
    a = near(c, o)
    b = a ^ 1
    h = mix(seed, kind)
    if kind == HOST:
        return mix(mix(h, keys[a, 0]), keys[a, 1])
    word = life[c, o]
    proto = word >> 8 & BYTE
    if kind == SOURCE:
        h = mix(mix(h ^ ((word >> 40 & PORT) << 8 | proto), keys[a, 0]), keys[a, 1])
        if depth > 0:
            h = mix(mix(h, keys[a, 2]), keys[a, 3])
        if depth > 1:
            h = mix(h, word >> 24 & PORT)
        return mix(h, proto)
    word = life[c, o ^ 1]
    h = mix(mix(h ^ ((word >> 24 & PORT) << 8 | (word >> 8 & BYTE)), keys[b, 2]), keys[b, 3])
    if kind == PERMIT:
        r = a if life[c, META] & HAIRPINNED else b
        at = 2 if life[c, META] & HAIRPINNED else 0
        h = mix(mix(h, keys[r, at]), keys[r, at + 1])
    return mix(h, word >> 8 & BYTE)


@inner
def together(kind: int, c: int, o: int, other: int, depth: int, keys: Any, life: Any) -> int:
    """1 if two sessions are of one group of a kind."""
    p = life[other, META] & FROM_OUTSIDE
    a = near(c, o)
    x = near(other, p)
    if kind == HOST:
        return 1 if (keys[a, 0] == keys[x, 0]) & (keys[a, 1] == keys[x, 1]) else 0
    if kind == SOURCE:
        word = life[c, o] ^ life[other, p]
        if (word & (PORT << 40 | BYTE << 8)) != 0 or keys[a, 0] != keys[x, 0] or keys[a, 1] != keys[x, 1]:
            return 0
        if depth > 0 and (keys[a, 2] != keys[x, 2] or keys[a, 3] != keys[x, 3]):
            return 0
        if depth > 1 and word & PORT << 24:
            return 0
        return 1
    b = a ^ 1
    y = x ^ 1
    word = life[c, o ^ 1] ^ life[other, p ^ 1]
    if (word & (PORT << 24 | BYTE << 8)) != 0 or keys[b, 2] != keys[y, 2] or keys[b, 3] != keys[y, 3]:
        return 0
    if kind == PERMIT:
        r = a if life[c, META] & HAIRPINNED else b
        at = 2 if life[c, META] & HAIRPINNED else 0
        s = x if life[other, META] & HAIRPINNED else y
        to = 2 if life[other, META] & HAIRPINNED else 0
        if keys[r, at] != keys[s, to] or keys[r, at + 1] != keys[s, to + 1]:
            return 0
    return 1


@cold
def head(
    kind: int, c: int, o: int, depth: int, groups: Any, mask: int, seed: int, keys: Any, life: Any, links: Any, time: int, add: int
) -> int:
    """The newest living session of the group that session c belongs to or, being a draft, would; -1 for none. add: c joins it."""
    h = member_hash(kind, c, o, depth, keys, life, seed)
    tag = ((h | USED) >> 32 & ~3) | kind  # a slot of another kind is never taken for one of this
    j = h & mask
    while True:
        slot = groups[j]
        if slot == 0:
            break
        if slot >> 32 == tag:
            first = signed(slot & LOW32)
            if first != NOBODY and together(kind, c, o, first, depth, keys, life):
                while first >= 0 and life[first, EXPIRES] <= time:
                    first = signed(links[first, kind])
                if add:
                    links[c, kind] = first
                    groups[j] = tag << 32 | c
                elif first < 0:
                    groups[j] = tag << 32 | NOBODY
                else:
                    groups[j] = tag << 32 | first
                return first
        j = (j + 1) & mask
    if add:
        links[c, kind] = -1
        groups[j] = tag << 32 | c
    return -1


@cold
def members(kind: int, c: int, most: int, keys: Any, life: Any, links: Any, time: int) -> int:
    """How many of a chain from session c on are alive, counted to `most`; dead ones are unlinked."""
    n = 0
    while c >= 0 and n < most:
        n += 1
        then = signed(links[c, kind])
        while then >= 0 and life[then, EXPIRES] <= time:
            then = signed(links[then, kind])
        links[c, kind] = then
        c = then
    return n


@cold
def join(
    c: int, kinds: int, depth: int, slots: Any, mask: int, groups: Any, gmask: int, seed: int, keys: Any, life: Any, links: Any
) -> int:
    """Make a draft a session: found by both tuples, and a member of its groups. kinds: which groups count for its protocol."""
    meta = life[c, META]
    enter(slots, mask, seed, keys, life, 2 * c)
    enter(slots, mask, seed, keys, life, 2 * c + 1)
    for kind in range(4):
        links[c, kind] = -2  # in no group of this kind
        if kinds >> kind & 1 and meta & GROUPED:
            head(kind, c, meta & FROM_OUTSIDE, depth, groups, gmask, seed, keys, life, links, 0, 1)
    return 0


@kernel(
    slots="i8",
    mask="int",
    groups="i8",
    gmask="int",
    seed="int",
    keys="u8:4",
    life=f"i8:{LIFE}",
    links="i4:4",
    rules="i8",
    time="int",
    count="int",
)
def sweep(
    slots: Any, mask: int, groups: Any, gmask: int, seed: int, keys: Any, life: Any, links: Any, rules: Any, time: int, count: int
) -> int:
    """Keep the sessions that live at `time`, in their order, and enter them into the emptied tables; returns their number."""
    for j in range(len(slots)):
        slots[j] = 0
    for j in range(len(groups)):
        groups[j] = 0
    n = 0
    for c in range(count):
        if life[c, EXPIRES] > time:
            for k in range(4):
                keys[2 * n, k] = keys[2 * c, k]
                keys[2 * n + 1, k] = keys[2 * c + 1, k]
            for k in range(LIFE):
                life[n, k] = life[c, k]
            tcp = 1 if life[n, TUPLE] >> 8 & BYTE == 6 else 0
            join(n, rules[KINDS + tcp], rules[DEPTH + tcp], slots, mask, groups, gmask, seed, keys, life, links)
            n += 1
    return n


(
    KINDS,
    _KINDS_TCP,
    DEPTH,
    _DEPTH_TCP,
    FILTER,
    _FILTER_TCP,
    BEST_EFFORT,
    _BEST_EFFORT_TCP,
    ORDER,
    PRESERVES,
    KEEPS_ANY,
    OVERLOADS,
    PARITY,
    ATTEMPTS,
    BLOCK,
    BLOCKS,
    QUOTA,
    ID_LOW,
    ID_HIGH,
    POOL,
    POOLED,
    PAIRED,
    SHARE,
    SHARES,
    FIRST_HOST,
    PREFIXES,
    OWNED,
    STATICS,
    ROUTER,
    HAIRPIN,
    HAIRPIN_ANY,
    FORWARDS,
    NAT64,
    ASSURED_NS,
    REFRESH,
    _REFRESH_IN,
    INVALID_LEAVES,
    LOCAL,
    PORTLESS_DROPS,
    QUERIES,
    ERRORS,
    IN_ORDER,
    NO_FRAGMENTS,
    TTL_STEP,
    _TTL_STEP_IN,
    TTL_NEW,
    TABLE_SIZE,
    NETFILTER,
    DNS,
    SOURCES,
    SOURCES_END,
) = range(51)
"""Where `rules` holds which number of the behavior; after one follows that for TCP (_TCP), or for what comes from outside (_IN)."""
RULES = 51
