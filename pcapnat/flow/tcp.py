"""What a conversation's recorded letters say: its history and the state it was left in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..table import Array
from . import life as t

if TYPE_CHECKING:
    from .conversation import Conversations


def histories(conversations: Conversations) -> list[str]:
    """Zeek's history: upper case is the client, lower case the server; "^" in front if the server's frame came first.

    Without a known client, a counts as client. Source: Zeek, base/protocols/conn/main.zeek, field `history`.
    """
    flip = conversations.client() == 1
    keyed = np.column_stack([conversations.history, conversations.letters.astype(np.uint64), flip.astype(np.uint64)])
    kinds, back = np.unique(keyed, axis=0, return_inverse=True)  # thousands of conversations share a handful of histories
    names = np.array([_letters(int(h), int(more), int(n), bool(f)) for h, more, n, f in kinds], dtype=object)
    written: list[str] = names[back.ravel()].tolist() if len(keyed) else []
    return written


def _letters(history: int, more: int, count: int, flip: bool) -> str:
    out = "^" if flip else ""
    for n in range(count):
        code = history >> 5 * n if n < t.LETTERS_A_WORD else more >> 5 * (n - t.LETTERS_A_WORD)
        letter = t.LETTERS_TEXT[code & 15]
        out += letter if bool(code & 16) != flip else letter.upper()
    return out


def states(conversations: Conversations) -> list[str]:
    """In words how each conversation stood when the capture ended.

    TCP: attempt (SYN, no answer), refused (SYN answered by the other end's RST), half-open (SYN-ACK, but no ACK of it), established,
    closing (one FIN), closed (FIN both ways), reset, partial (seen only mid-stream). Others: one-way, two-way.
    """
    c = conversations

    def either(letter: int) -> Array:
        return np.asarray(c.marks & (0x10001 << letter) != 0)

    a_fin, b_fin = c.marks & (1 << t.FIN_LETTER) != 0, c.marks & (1 << (t.FIN_LETTER + 16)) != 0
    a_rst, b_rst = c.marks & (1 << t.RST_LETTER) != 0, c.marks & (1 << (t.RST_LETTER + 16)) != 0
    a_syn, b_syn = c.marks & (1 << t.SYN_LETTER) != 0, c.marks & (1 << (t.SYN_LETTER + 16)) != 0
    syn, syn_ack, rst = either(t.SYN_LETTER), either(t.SYNACK_LETTER), either(t.RST_LETTER)
    met = 0x10001 << t.SYNACK_LETTER  # two SYN-ACKs: a simultaneous open, done without another ACK
    went_on = either(t.ACK_LETTER) | either(t.DATA_LETTER) | (c.marks & met == met)
    tcp = np.select(
        [
            a_fin & b_fin,
            ((a_syn & b_rst) | (b_syn & a_rst)) & ~syn_ack & ~went_on,
            rst,
            a_fin | b_fin,
            syn_ack & went_on,
            syn_ack,
            syn & ~went_on,
        ],
        ["closed", "refused", "reset", "closing", "established", "half-open", "attempt"],
        "partial",
    )
    other = np.where((c.packets_ab > 0) & (c.packets_ba > 0), "two-way", "one-way")
    words: list[str] = np.where(c.proto == 6, tcp, other).tolist()
    return words
