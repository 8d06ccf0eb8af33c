"""The kernels behind fingerprint.py: which conversations share which fingerprints, counted without listing frame pairs.

An index has an entry per different fingerprint, and per entry two chains of rows: the first row here, and there, of each
(conversation, direction) that shows it. Chains are as long as a fingerprint may be common (MANY); beyond that it is
only counted. Adding up votes then walks entries, not frames, and its memory grows with conversations that share something.
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


@kernel(p=Packets, conversation="i8", reverse="u1", wanted="u1", family="int", side="int", slots="i4", mask="int", seed="int", keys="i8",
        entries=f"i4:{ENTRY}", chain="i4", state="i8", speaking="u1")  # fmt: skip
def enter(p: Any, conversation: Any, reverse: Any, wanted: Any, family: int, side: int, slots: Any, mask: int, seed: int, keys: Any,
          entries: Any, chain: Any, state: Any, speaking: Any) -> int:  # fmt: skip
    """Enter one side's rows (side 0 here, 1 there) of wanted conversations; returns the entries so far.

    chain: (n,) next row with the same fingerprint, -1 at the end. speaking: set for conversations with a fingerprint.
    There must be room for as many entries as rows.
    """
    step = 256
    n = len(conversation)
    touched = 0
    for start in range(0, n, step):
        stop = start + step if start + step < n else n
        for k in range(stop - start):  # look ahead, so that the memory reads overlap
            i = (start + k) & 0x7FFFFFFF
            c = conversation[i]
            if c >= 0 and p.flags[i] & KEY:
                touched += slots[mix(mix(fingerprint(p, i, family), seed), 0) & mask]
        for k in range(stop - start):
            i = (start + k) & 0x7FFFFFFF
            chain[i] = -1
            c = conversation[i]
            if c < 0 or not p.flags[i] & KEY or not wanted[c] or weight(p, i, family) == 0:
                continue
            speaking[c] = 1
            key = fingerprint(p, i, family)
            if key == -1:
                continue
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
    """Add up what entries from state[NEXT_ENTRY] on prove, per pair of conversations; returns 1 when done, 0 when tallies are full.

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
        row_here="i8", row_there="i8", outward="i1")  # fmt: skip
def travel(here: Any, there: Any, conversation_here: Any, conversation_there: Any, trusted: Any, entries: Any, count: int, row_here: Any,
           row_there: Any, outward: Any) -> int:  # fmt: skip
    """Rows at both points of frames whose fingerprint occurs once on either side, in pairs of conversations that are trusted.

    trusted: per conversation here its counterpart there, -1 for none. Returns how many rows of the three arrays were filled.
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
        outward[n] = fall(here, there, i, j, 0)
        n += 1
    return n


@kernel(
    p=Packets, conversation="i8", left="u1", side="int", slots="i4", mask="int", seed="int", keys="i8", entries=f"i4:{ENTRY}", common="u1"
)
def echoed(p: Any, conversation: Any, left: Any, side: int, slots: Any, mask: int, seed: int, keys: Any, entries: Any, common: Any) -> int:
    """Mark the conversations of one side (where left) that say something the other side (`side`) says too."""
    n = 0
    for i in range(len(conversation)):
        c = conversation[i]
        if c < 0 or not left[c] or common[c] or not p.flags[i] & KEY or weight(p, i, PLAIN) == 0:
            continue
        e = slots[locate(slots, mask, seed, keys, signed(p.key[i]))] - 1
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
