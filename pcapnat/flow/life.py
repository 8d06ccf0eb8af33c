"""One conversation's row while it is followed: its columns, its history letters, and what a TCP segment does to it."""

from typing import Any

from ..kernel import inner, signed

# Columns of `life`, one row per conversation, arranged so that a frame touches few cache lines.
TUPLE, LAST, MARKS, FIRST, PACKETS_AB, PACKETS_BA, BYTES_AB, BYTES_BA = range(8)
SIDE_A, SIDE_B, SIDE = 8, 14, 6
NEXT, NEXT_NS, ACKED, BASE, RETRANSMITTED, REPEATED = range(SIDE)  # within a side
SYN_NS, RTT_NS, HISTORY, HISTORY_MORE, LETTERS, STREAM, FIRST_ROW, ERRORS = range(20, 28)
LIFE = 28

# History letters; bit (letter) of MARKS for side a, (letter + 16) for side b.
(
    SYN_LETTER,
    SYNACK_LETTER,
    ACK_LETTER,
    DATA_LETTER,
    FIN_LETTER,
    RST_LETTER,
    AGAIN_LETTER,
    ZERO_LETTER,
    BOTH_LETTER,
    MULTI_LETTER,
    GAP_LETTER,
) = range(1, 12)
CARRIER = 40
"""Bit of MARKS: a UDP conversation around packets in a tunnel."""
LETTERS_TEXT = "?shadfrtwiqg"
LETTERS_A_WORD = 12
LOW32 = 0xFFFFFFFF
OUT_OF_ORDER_NS = 3_000_000
"""Wireshark's threshold below which a late segment is out of order rather than retransmitted, if no RTT is known."""


@inner
def note(life: Any, c: int, d: int, letters: int) -> int:
    """Record history letters (a mask, bit 1 the first letter) that this direction has not shown before; returns those."""
    new = letters & ~(life[c, MARKS] >> 16 * d)
    if new == 0:
        return 0
    life[c, MARKS] |= new << 16 * d
    for letter in range(1, 12):
        if new >> letter & 1:
            n = life[c, LETTERS]
            life[c, LETTERS] = n + 1
            code = letter | d << 4
            if n < LETTERS_A_WORD:
                life[c, HISTORY] |= code << (5 * n)
            else:
                life[c, HISTORY_MORE] |= code << (5 * (n - LETTERS_A_WORD))
    return signed(new)


@inner
def follow_tcp(life: Any, c: int, d: int, bits: int, seq: int, ack: int, window: int, length: int, time: int) -> int:
    """One TCP segment's mark on its conversation; returns history letters of its direction that are new."""
    new = 0
    me = SIDE_A + d * SIDE
    other = SIDE_B - d * SIDE
    fin, syn, rst, has_ack = bits & 1, bits >> 1 & 1, bits >> 2 & 1, bits >> 4 & 1
    if life[c, me + BASE] < 0:
        life[c, me + BASE] = seq if syn else (seq - 1) & LOW32
    if has_ack and life[c, other + BASE] < 0:
        life[c, other + BASE] = (ack - 1) & LOW32

    plain = 1 - (syn | fin | rst)
    data = 1 if length > 0 else 0
    closed = 1 if window == 0 else 0
    alone = syn & (1 - (fin | rst))
    letters = (
        (alone & (1 - has_ack)) << SYN_LETTER
        | (alone & has_ack) << SYNACK_LETTER
        | (plain & has_ack & (1 - data)) << ACK_LETTER
        | (data & (1 - rst)) << DATA_LETTER
        | (fin & (1 - rst) & (1 - syn)) << FIN_LETTER
        | (rst & (1 - syn)) << RST_LETTER
        | (closed & plain) << ZERO_LETTER
        | (fin & rst & (1 - syn)) << BOTH_LETTER
        | (syn & (fin | rst)) << MULTI_LETTER
    )
    if letters & ~(life[c, MARKS] >> 16 * d):
        if letters & 1 << SYN_LETTER:
            life[c, SYN_NS] = time
        elif (
            life[c, RTT_NS] < 0
            and has_ack
            and life[c, SYN_NS]
            and seq == (life[c, me + BASE] + 1) & LOW32
            and ack == (life[c, other + BASE] + 1) & LOW32
            and life[c, MARKS] & 1 << (SYNACK_LETTER + 16 * (1 - d))
        ):
            life[c, RTT_NS] = time - life[c, SYN_NS]
        new = note(life, c, d, letters)
    elif letters & 1 << SYN_LETTER:
        life[c, SYN_NS] = time  # sent again: the handshake's round trip counts from the latest

    if rst:  # a reset carries no stream bytes, whatever text it holds
        return new
    span = length + (syn | fin)
    end = (seq + span) & LOW32
    expected = life[c, me + NEXT]
    if expected < 0:
        life[c, me + NEXT] = end
        life[c, me + NEXT_NS] = time
    else:
        ahead = (seq - expected) & LOW32
        if (ahead != 0) & (span != 0):
            if ahead < 0x80000000:
                note(life, c, d, 1 << GAP_LETTER)
            elif sent_again(life, c, me, other, seq, length, span, ahead, syn | fin, syn, time):
                life[c, me + RETRANSMITTED] += 1
                if length:
                    note(life, c, d, 1 << AGAIN_LETTER)
        # Without a branch, as every other segment carries data and which one cannot be predicted.
        forward = (span != 0) & (((end - expected - 1) & LOW32) < 0x7FFFFFFF)
        life[c, me + NEXT] = end if forward else expected
        life[c, me + NEXT_NS] = time if forward else life[c, me + NEXT_NS]
    if has_ack:
        repeated = (ack == life[c, me + ACKED]) & (life[c, me + REPEATED] >> 32 == window)
        life[c, me + ACKED] = ack
        life[c, me + REPEATED] = life[c, me + REPEATED] + (1 if span == 0 else 0) if repeated else window << 32
    return new


@inner
def sent_again(
    life: Any, c: int, me: int, other: int, seq: int, length: int, span: int, ahead: int, control: int, syn: int, time: int
) -> bool:
    """Whether a segment that begins before the expected sequence number is a retransmission (else reordered, or a probe)."""
    # Keep-alive and window probe repeat at most the last byte (RFC 9293 3.8.4).
    last_byte = ahead == LOW32
    if last_byte and length <= 1 and not control:
        return False
    # Acknowledged before, or asked for by repeated acknowledgments: sent again, however soon.
    acked = life[c, other + ACKED]
    if length > 0 and acked > 0 and (acked - seq - length) & LOW32 < 0x80000000:
        return True
    if last_byte and length > 1:
        return False
    if acked == seq and life[c, other + REPEATED] & LOW32 >= 2:
        return True
    threshold = life[c, RTT_NS] if life[c, RTT_NS] > 0 else OUT_OF_ORDER_NS
    late = time - life[c, me + NEXT_NS] < threshold and life[c, me + NEXT] != (seq + span) & LOW32 and not syn
    return not late
