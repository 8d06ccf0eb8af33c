"""The kernels behind fingerprint.py: which conversations share which fingerprints, counted without listing frame pairs.

An index has parts, so that threads share the work. A part has an entry per different fingerprint, and per entry two chains
of rows: the first row here, and there, of each (conversation, direction) that shows it. Chains are as long as a fingerprint
may be common (MANY); beyond that it is only counted. Adding up votes then walks entries, not frames, and its memory grows
with conversations that share something.
"""

from typing import Any

from ..kernel import inner, kernel, mix, signed
from ..wire import Flag, Packets

KEY, TCP, UDP, IN_QUERY, V6 = (int(f) for f in (Flag.KEY, Flag.TCP, Flag.UDP, Flag.IN_QUERY, Flag.V6))
MANY = 64
"""A fingerprint that more pairs of conversations than this could share proves nothing."""

# What a match rests on; By in fingerprint.py gives the bits their names.
ISN, SEQUENCE, PAYLOAD, DNS, ECHO, IP_ID, FAR_END, PACKET_ID = 1, 2, 4, 8, 16, 32, 64, 128
IN_STREAM, ANSWERED, TIME = 256, 512, 1024
"""In what both ends say one after the other: shared from a to b, and from b to a."""

# Thousandths of a bit. A lone SYN proves its 32 bits of sequence number, an acknowledgment nearly as much again: the two
# are not quite independent. A payload proves what it holds, up to 40 bits: longer ones repeat, too.
ISN_BITS, SEGMENT_BITS, PAYLOAD_BITS, ECHO_BITS, IP_ID_BITS = 32_000, 48_000, 40_000, 16_000, 12_000

AHEAD = 256
"""Rows that are entered at a time."""

# Columns of an index entry (i4).
HEAD_HERE, HEAD_THERE, COUNT_HERE, COUNT_THERE, REPEATED = range(5)
ENTRY = 5
# Slots of the state array.
ENTRIES, NEXT_ENTRY, PAIRS, TOUCHED = range(4)
STATE = 4
# Columns of a pair's tally.
PAIR, MILLIBITS, BASIS, SHARED, OUTWARD, HERE_FIRST, HERE_LAST, THERE_FIRST, THERE_LAST, DELAY, MORE_DELAY = range(11)
TALLY = 11
"""DELAY is that of the first frames alike, MORE_DELAY the sum of what others have more: it grows slowly, and stays within twice FAR."""
FAR = 1 << 61
COPY_NS = 200_000
"""Frames of one conversation, alike to the IP identification and so near one another, are copies that the capture made."""
ANEW = 64
"""A TTL that differs by more than this was set anew by a box that makes packets of its own: it says nothing of the way."""

PLAIN, REFINED, STREAM = 0, 1, 2
"""Families of fingerprints: the frame's key; the key together with the IP identification; a TCP payload's beginning alone."""
SHORTEST = 16
"""Bytes of payload that a stream is recognised by, at least."""


@inner
def weight(p: Any, i: int, family: int) -> int:
    """What the fingerprint of row i proves by itself, in thousandths of a bit; the refined family is weighed by its key."""
    flags = p.flags[i]
    size = signed(p.payload_len[i])
    if family == STREAM:
        return PAYLOAD_BITS if flags & TCP and size >= SHORTEST and p.digest[i] != 0 else 0
    if flags & TCP:
        if p.seq[i] == 0 and p.ack[i] == 0 and size == 0:
            return 0  # as some resets have: neither number is worth anything
        return SEGMENT_BITS if p.tcp_flags[i] & 16 else ISN_BITS
    bits = 8_000 * (size if size < 8 else 8)
    if flags & IN_QUERY:
        bits += ECHO_BITS
    return bits if bits < PAYLOAD_BITS else PAYLOAD_BITS


@inner
def basis(p: Any, i: int) -> int:
    """What a match by row i's key rests on."""
    flags = p.flags[i]
    if flags & TCP:
        if p.tcp_flags[i] & 2:
            return ISN
        return SEQUENCE | PAYLOAD if p.payload_len[i] > 0 else SEQUENCE
    if flags & IN_QUERY:
        return ECHO
    if flags & UDP and p.payload_len[i] >= 12 and (p.sport[i] == 53 or p.dport[i] == 53):
        return DNS | PAYLOAD
    return PAYLOAD


@inner
def fingerprint(p: Any, i: int, family: int) -> int:
    """Row i's fingerprint in a family, -1 for none.

    The IP identification refines what may repeat: payloads, echoes and lone SYNs (scanners send one sequence number to
    everybody). Segments with an acknowledgment are told apart by their numbers.
    """
    if family == PLAIN:
        return signed(p.key[i])
    if family == STREAM:
        return signed(p.digest[i])
    if p.ip_id[i] == 0 or p.flags[i] & V6 or (p.flags[i] & TCP and p.tcp_flags[i] & 16):
        return -1
    return mix(p.key[i], p.ip_id[i])


@inner
def another(here: Any, there: Any, i: int, j: int) -> int:
    """1 if two frames alike have different IP identifications, -1 if they have the same one, 0 if one of them has none."""
    if here.ip_id[i] == 0 or there.ip_id[j] == 0 or (here.flags[i] | there.flags[j]) & V6:
        return 0
    return 1 if here.ip_id[i] != there.ip_id[j] else -1


@inner
def copied(p: Any, i: int, j: int) -> bool:
    """Whether row j is row i captured again, as at a mirror or on two interfaces, and not sent again."""
    apart = p.time_ns[j] - p.time_ns[i]
    return bool(-COPY_NS <= apart <= COPY_NS and p.ip_id[i] == p.ip_id[j] and p.ttl[i] == p.ttl[j])


@inner
def locate(slots: Any, mask: int, seed: int, keys: Any, key: int) -> int:
    """Where a fingerprint's entry number stands in the hash table, or would."""
    j = mix(mix(key, seed), 0) & mask
    while slots[j] and keys[slots[j] - 1] != key:
        j = (j + 1) & mask
    return j


@inner
def part(p: Any, i: int, family: int, parts: int) -> int:
    """Which of so many parts (a power of two) of an index row i belongs to: that of its key, also in the refined family."""
    return (signed(p.digest[i] if family == STREAM else p.key[i]) >> 40) & (parts - 1)


@kernel(p=Packets, conversation="i8", wanted="u1", family="int", parts="int", counts="i8", speaking="u1")
def entering(p: Any, conversation: Any, wanted: Any, family: int, parts: int, counts: Any, speaking: Any) -> int:
    """Count one side's rows that will be entered into each part of an index; returns their number.

    speaking: set for conversations with a fingerprint.
    """
    n = 0
    for i in range(len(conversation)):
        c = conversation[i]
        if c >= 0 and p.flags[i] & KEY and wanted[c] and weight(p, i, family):
            speaking[c] = 1
            if fingerprint(p, i, family) != -1:
                counts[part(p, i, family, parts)] += 1
                n += 1
    return n


@kernel(p=Packets, conversation="i8", reverse="u1", wanted="u1", family="int", which="int", parts="int", side="int", slots="i4", mask="int",
        seed="int", keys="i8", entries=f"i4:{ENTRY}", chain="i4", ahead="i8:2", state="i8")  # fmt: skip
def enter(p: Any, conversation: Any, reverse: Any, wanted: Any, family: int, which: int, parts: int, side: int, slots: Any, mask: int,
          seed: int, keys: Any, entries: Any, chain: Any, ahead: Any, state: Any) -> int:  # fmt: skip
    """Enter one side's rows (side 0 here, 1 there) of wanted conversations that belong to part `which`; returns the entries so far.

    chain: (n,) next row with the same fingerprint, -1 at the end; of rows that are entered. There must be room for as many
    entries as `entering` counted, and more slots than that. ahead: room for AHEAD rows and their fingerprints.
    """
    n = len(conversation)
    touched = 0
    for start in range(0, n, AHEAD):
        stop = start + AHEAD if start + AHEAD < n else n
        mine = 0
        for i in range(start, stop):
            c = conversation[i]
            if c >= 0 and p.flags[i] & KEY and wanted[c]:
                key = fingerprint(p, i, family)
                ahead[mine, 0] = i
                ahead[mine, 1] = key
                # Added up, not branched upon: nothing could foretell which part a key belongs to.
                mine += 1 if (part(p, i, family, parts) == which) & (key != -1) else 0
        for k in range(mine):  # so that the memory reads overlap
            touched += slots[mix(mix(ahead[k, 1], seed), 0) & mask]
        for k in range(mine):
            i = ahead[k, 0] & 0x7FFFFFFF
            if weight(p, i, family) == 0:
                continue
            c = conversation[i]
            key = ahead[k, 1]
            j = locate(slots, mask, seed, keys, key)
            if slots[j] == 0:
                e = state[ENTRIES]
                state[ENTRIES] = e + 1
                slots[j] = e + 1
                keys[e] = key
                entries[e, HEAD_HERE] = -1
                entries[e, HEAD_THERE] = -1
                entries[e, COUNT_HERE] = 0
                entries[e, COUNT_THERE] = 0
                entries[e, REPEATED] = 0
            e = slots[j] - 1
            if entries[e, COUNT_HERE + side] > MANY:
                continue
            last = -1
            row = entries[e, HEAD_HERE + side]
            same = False
            while row >= 0 and not same:
                same = conversation[row] == c and reverse[row] == reverse[i]
                last = row
                row = chain[row]
            if same:
                if not copied(p, last, i):
                    entries[e, REPEATED] |= 1 << side
                continue
            entries[e, COUNT_HERE + side] += 1
            chain[i] = -1
            if last < 0:
                entries[e, HEAD_HERE + side] = i
            else:
                chain[last] = i
    state[TOUCHED] = touched & 1  # so that the reads are not optimised away
    return signed(state[ENTRIES])


@inner
def fall(here: Any, there: Any, i: int, j: int, back: int) -> int:
    """1 if the TTL says that a to b of the first conversation leads from here to there, -1 the other way, 0 if it is equal or set anew."""
    before, after = signed(here.ttl[i]), signed(there.ttl[j])
    if before == after or before > after + ANEW or after > before + ANEW:
        return 0
    return 1 if (before > after) != (back != 0) else -1


@kernel(here=Packets, there=Packets, conversation_here="i8", conversation_there="i8", reverse_here="u1", reverse_there="u1",
        width="int", alone="int", family="int", keys="i8", entries=f"i4:{ENTRY}", chain_here="i4", chain_there="i4", plain_slots="i4",
        plain_mask="int", plain_keys="i8", plain_entries=f"i4:{ENTRY}", strict="int", log2="i8", base="int", slots="i4", mask="int",
        seed="int", tallies=f"i8:{TALLY}", state="i8")  # fmt: skip
def tally(here: Any, there: Any, conversation_here: Any, conversation_there: Any, reverse_here: Any, reverse_there: Any,
          width: int, alone: int, family: int, keys: Any, entries: Any, chain_here: Any, chain_there: Any, plain_slots: Any,
          plain_mask: int, plain_keys: Any, plain_entries: Any, strict: int, log2: Any, base: int, slots: Any, mask: int,
          seed: int, tallies: Any, state: Any) -> int:  # fmt: skip
    """Add up what a part's entries from state[NEXT_ENTRY] on prove, per pair of conversations; returns 1 if done, 0 if tallies are full.

    strict: 1 if frames with different IP identifications are different frames. width: conversations there.
    alone: 1 to pair conversations of one side with each other (there is here, each pair once).
    log2: thousandths of log2(k), k up to MANY. base: the difference of the captures' first times.
    """
    side = 0 if alone else 1
    for e in range(state[NEXT_ENTRY], state[ENTRIES]):
        many = entries[e, COUNT_HERE] * entries[e, COUNT_HERE + side]
        if many == 0 or many > MANY:
            continue
        if state[PAIRS] + many > len(tallies):
            state[NEXT_ENTRY] = e
            return 0
        # Where the key alone is too common to count, its own bits were not counted either: half of them are, refined.
        common = 0
        if family == REFINED:
            first = signed(entries[e, HEAD_HERE])
            f = plain_slots[locate(plain_slots, plain_mask, seed, plain_keys, signed(here.key[first]))] - 1
            common = 1 if plain_entries[f, COUNT_HERE] * plain_entries[f, COUNT_HERE + side] > MANY else 0
        i = signed(entries[e, HEAD_HERE])
        while i >= 0:
            if family != REFINED:
                bits = weight(here, i, family) - log2[many]
                by = basis(here, i) if family == PLAIN else ANSWERED if reverse_here[i] else IN_STREAM
            else:
                bits = IP_ID_BITS + common * (weight(here, i, PLAIN) >> 1) - log2[many]
                by = IP_ID | (basis(here, i) if common else 0)
            if bits < 0:
                bits = 0
            j = signed(entries[e, HEAD_HERE + side])
            while j >= 0:
                # Of a key that a conversation repeats only its first row is known, and other rows may agree. A segment sent
                # again is of the same conversation, whatever its identification.
                alike = family == PLAIN and entries[e, REPEATED] == 0 and not (here.flags[i] & TCP and here.tcp_flags[i] & 16)
                two = strict and alike and another(here, there, i, j) > 0
                if not two and (not alone or conversation_here[i] < conversation_there[j]):
                    flip = signed(reverse_here[i]) ^ signed(reverse_there[j])
                    pair = (conversation_here[i] * width + conversation_there[j]) * 2 + flip
                    k = mix(mix(pair, seed), 0) & mask
                    while slots[k] and tallies[slots[k] - 1, PAIR] != pair:
                        k = (k + 1) & mask
                    time_here, time_there = here.time_ns[i], there.time_ns[j]
                    lag = time_there - time_here - base
                    if lag > FAR:
                        lag = FAR
                    if lag < -FAR:
                        lag = -FAR
                    if slots[k] == 0:
                        t = state[PAIRS]
                        state[PAIRS] = t + 1
                        slots[k] = t + 1
                        tallies[t, PAIR] = pair
                        tallies[t, HERE_FIRST] = time_here
                        tallies[t, HERE_LAST] = time_here
                        tallies[t, THERE_FIRST] = time_there
                        tallies[t, THERE_LAST] = time_there
                        tallies[t, DELAY] = lag
                    t = signed(slots[k]) - 1
                    tallies[t, MILLIBITS] += bits
                    tallies[t, BASIS] |= by
                    tallies[t, SHARED] += 1
                    tallies[t, OUTWARD] += fall(here, there, i, j, signed(reverse_here[i]))
                    if -2 * FAR < tallies[t, MORE_DELAY] < 2 * FAR:
                        tallies[t, MORE_DELAY] += lag - tallies[t, DELAY]
                    if time_here < tallies[t, HERE_FIRST]:
                        tallies[t, HERE_FIRST] = time_here
                    if time_here > tallies[t, HERE_LAST]:
                        tallies[t, HERE_LAST] = time_here
                    if time_there < tallies[t, THERE_FIRST]:
                        tallies[t, THERE_FIRST] = time_there
                    if time_there > tallies[t, THERE_LAST]:
                        tallies[t, THERE_LAST] = time_there
                j = signed(chain_there[j])
            i = signed(chain_here[i])
    state[NEXT_ENTRY] = state[ENTRIES]
    return 1


@kernel(here=Packets, there=Packets, entries=f"i4:{ENTRY}", count="int")
def kept(here: Any, there: Any, entries: Any, count: int) -> int:
    """Frames whose fingerprint occurs once on either side: those that have one IP identification minus those that have two."""
    n = 0
    for e in range(count):
        if entries[e, COUNT_HERE] == 1 and entries[e, COUNT_THERE] == 1 and entries[e, REPEATED] == 0:
            n -= another(here, there, signed(entries[e, HEAD_HERE]), signed(entries[e, HEAD_THERE]))
    return n


@kernel(here=Packets, there=Packets, conversation_here="i8", conversation_there="i8", trusted="i8", entries=f"i4:{ENTRY}", count="int",
        row_here="i4", row_there="i4", here_ns="i8", there_ns="i8", outward="i1")  # fmt: skip
def travel(here: Any, there: Any, conversation_here: Any, conversation_there: Any, trusted: Any, entries: Any, count: int, row_here: Any,
           row_there: Any, here_ns: Any, there_ns: Any, outward: Any) -> int:  # fmt: skip
    """Rows and times at both points of frames whose fingerprint occurs once on either side, in pairs of conversations that are trusted.

    trusted: per conversation here its counterpart there, -1 for none. Returns how many rows of the arrays were filled.
    """
    n = 0
    for e in range(count):
        if entries[e, COUNT_HERE] != 1 or entries[e, COUNT_THERE] != 1 or entries[e, REPEATED]:
            continue
        i, j = signed(entries[e, HEAD_HERE]), signed(entries[e, HEAD_THERE])
        if trusted[conversation_here[i]] != conversation_there[j]:
            continue
        row_here[n] = i
        row_there[n] = j
        here_ns[n] = here.time_ns[i]
        there_ns[n] = there.time_ns[j]
        outward[n] = fall(here, there, i, j, 0)
        n += 1
    return n


@kernel(
    p=Packets, conversation="i8", left="u1", side="int", family="int", which="int", parts="int", slots="i4", mask="int", seed="int",
    keys="i8", entries=f"i4:{ENTRY}", common="u1",
)  # fmt: skip
def echoed(
    p: Any, conversation: Any, left: Any, side: int, family: int, which: int, parts: int, slots: Any, mask: int, seed: int, keys: Any,
    entries: Any, common: Any,
) -> int:  # fmt: skip
    """Mark the conversations of one side (where left) that say something of part `which` that the other side (`side`) says too."""
    n = 0
    for i in range(len(conversation)):
        c = conversation[i]
        if c < 0 or not left[c] or common[c] or not p.flags[i] & KEY or part(p, i, family, parts) != which or weight(p, i, family) == 0:
            continue
        e = slots[locate(slots, mask, seed, keys, fingerprint(p, i, family))] - 1
        if e >= 0 and entries[e, COUNT_HERE + side] > 0:
            common[c] = 1
            n += 1
    return n


@kernel(tallies=f"i8:{TALLY}", pairs="int", slots="i4", mask="int", seed="int")
def again(tallies: Any, pairs: int, slots: Any, mask: int, seed: int) -> int:
    """Enter the tallies into a larger, empty hash table; returns their number."""
    for t in range(pairs):
        k = mix(mix(tallies[t, PAIR], seed), 0) & mask
        while slots[k]:
            k = (k + 1) & mask
        slots[k] = t + 1
    return pairs


@kernel(more=f"i8:{TALLY}", count="int", tallies=f"i8:{TALLY}", pairs="int", slots="i4", mask="int", seed="int")
def add(more: Any, count: int, tallies: Any, pairs: int, slots: Any, mask: int, seed: int) -> int:
    """Add another part's tallies, for which there is room; returns the number of pairs then."""
    for m in range(count):
        pair = more[m, PAIR] | 0
        k = mix(mix(pair, seed), 0) & mask
        while slots[k] and tallies[slots[k] - 1, PAIR] != pair:
            k = (k + 1) & mask
        if slots[k] == 0:
            for c in range(TALLY):
                tallies[pairs, c] = more[m, c]
            pairs += 1
            slots[k] = pairs
            continue
        t = signed(slots[k]) - 1
        tallies[t, MILLIBITS] += more[m, MILLIBITS]
        tallies[t, BASIS] |= more[m, BASIS]
        tallies[t, SHARED] += more[m, SHARED]
        tallies[t, OUTWARD] += more[m, OUTWARD]
        later = more[m, DELAY] - tallies[t, DELAY]
        most = FAR // (more[m, SHARED] | 1)
        if -most < later < most and -FAR < more[m, MORE_DELAY] < FAR and -2 * FAR < tallies[t, MORE_DELAY] < 2 * FAR:
            tallies[t, MORE_DELAY] += more[m, MORE_DELAY] + later * more[m, SHARED]
        if more[m, HERE_FIRST] < tallies[t, HERE_FIRST]:
            tallies[t, HERE_FIRST] = more[m, HERE_FIRST]
        if more[m, HERE_LAST] > tallies[t, HERE_LAST]:
            tallies[t, HERE_LAST] = more[m, HERE_LAST]
        if more[m, THERE_FIRST] < tallies[t, THERE_FIRST]:
            tallies[t, THERE_FIRST] = more[m, THERE_FIRST]
        if more[m, THERE_LAST] > tallies[t, THERE_LAST]:
            tallies[t, THERE_LAST] = more[m, THERE_LAST]
    return pairs
