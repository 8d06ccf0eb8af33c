"""Conversations: both directions of a 5-tuple, from first to last frame, in the order of their first frames."""

from __future__ import annotations

import numpy as np

from ..address import texts
from ..kernel import SEED
from ..table import Array, Table, column
from ..wire import Batch
from . import life as t
from .parts import LEFT, PARTS
from .tcp import histories, states
from .track import FRESH, TOTAL, TOTALS, hash_ahead, spread, track

PROTOCOLS = {
    1: "icmp",
    2: "igmp",
    4: "ipip",
    6: "tcp",
    17: "udp",
    33: "dccp",
    41: "6in4",
    47: "gre",
    50: "esp",
    51: "ah",
    58: "icmpv6",
    89: "ospf",
    132: "sctp",
    136: "udplite",
}


def protocol_name(number: int) -> str:
    """The protocol's usual name, or its number as text."""
    return PROTOCOLS.get(number, str(number))


class Conversations(Table):
    """One row per conversation; `a` sent the first frame."""

    proto = column("uint8", "protocol above IP", source="IANA protocol numbers")
    a = column("uint64", "address of the end that sent first", width=2)
    b = column("uint64", "address of the other end", width=2)
    a_port = column("int32", "port or ICMP identifier of a, -1 where there is none")
    b_port = column("int32", "port or ICMP identifier of b, -1 where there is none")
    spi = column("int64", "SPI of ESP or call of PPTP's GRE, which has one direction only; -1 for other protocols")
    stream = column("int64", "Wireshark's tcp.stream or udp.stream, -1 for other protocols")
    first_row = column("int64", "row of the first frame in Packets")
    first_ns = column("int64", "time of the first frame", unit="ns since 1970-01-01 UTC")
    last_ns = column("int64", "latest time of a frame", unit="ns since 1970-01-01 UTC")
    packets_ab = column("int64", "frames from a to b")
    packets_ba = column("int64", "frames from b to a")
    bytes_ab = column("int64", "length on the wire of the frames from a to b", unit="bytes")
    bytes_ba = column("int64", "length on the wire of the frames from b to a", unit="bytes")
    marks = column("int64", "history letters seen, see track.py")
    history = column("uint64", "history letters in order, see tcp.py", width=2)
    letters = column("int64", "how many history letters")
    retransmissions = column("int64", "TCP segments sent again, both directions")
    rtt_ns = column("int64", "from the SYN to the ACK that ends the handshake, -1 if not seen", unit="ns")
    errors = column("int64", "ICMP errors that quote this conversation")

    def ports_text(self, i: int) -> tuple[int | None, int | None]:
        """The ports of row i, None where there are none."""
        a, b = int(self.a_port[i]), int(self.b_port[i])
        return (None if a < 0 else a), (None if b < 0 else b)

    def client(self) -> Array:
        """0 if a opened the conversation, 1 if b did, -1 if the capture does not tell.

        TCP: who sent the SYN, or received a SYN-ACK. Others: who sent first; port numbers are no evidence (a client may
        well ask from port 500), so a capture that begins with an answer takes the answering end for the client.
        """
        a_syn = self.marks & (1 << t.SYN_LETTER | 1 << (t.SYNACK_LETTER + 16))
        b_syn = self.marks & (1 << (t.SYN_LETTER + 16) | 1 << t.SYNACK_LETTER)
        return np.where((self.proto != 6) | (a_syn != 0), 0, np.where(b_syn != 0, 1, -1))

    def carries(self) -> Array:
        """(n,) whether packets in a tunnel lie in this conversation's."""
        return np.asarray(self.marks >> t.CARRIER & 1 == 1)

    def states(self) -> list[str]:
        """The state each conversation was left in, in words."""
        return states(self)

    def histories(self) -> list[str]:
        """Zeek-style history of each conversation."""
        return histories(self)

    def addresses(self) -> tuple[list[str], list[str]]:
        """Both ends' addresses as text."""
        return texts(self.a), texts(self.b)


class Tracker:
    """Collects conversations from batches of packets, in file order."""

    def __init__(self, frames: int = 0, carriers: bool = False) -> None:
        """carriers: count the UDP conversations around tunnelled packets, too, whose frames belong to the inner ones.
        frames: about how many will come. Rows for one conversation in twenty frames are set aside: memory that is
        not used until it is written to, and that need not be copied to grow."""
        self._carriers = int(carriers)
        rows = min(max(1 << 11, frames // 20), 1 << 22)
        self._slots = np.zeros(1 << 12, np.int64)
        self._keys = np.zeros((rows, 4), np.uint64)
        self._life = np.zeros((rows, t.LIFE), np.int64)
        self._totals = np.zeros(TOTALS, np.int64)
        self._parts = np.zeros((PARTS, 4), np.int64)
        self._hashes = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.conversation = np.zeros(0, np.int32)
        """Conversation of each row of the last batch, -1 for none. Numbers are those before `finish` drops empty ones."""
        self.reverse = np.zeros(0, np.uint8)
        self.about = np.zeros(0, np.int32)
        self._fresh = np.zeros(0, np.int32)

    def hash(self, batch: Batch) -> None:
        """What `feed` needs of a batch and can be made beside it, while the one before is being fed."""
        first, other = self._hashes
        if len(first) < batch.count:
            first = np.zeros(max(batch.count, len(other)), np.int64)
        hash_ahead(batch.packets, batch.count, SEED, first)
        batch.hashes, self._hashes = first, (other, first)

    def feed(self, batch: Batch) -> None:
        """Take up the next frames."""
        if batch.hashes is None:
            self.hash(batch)
        if len(self.conversation) < batch.count:
            self.conversation, self.reverse = np.zeros(batch.count, np.int32), np.zeros(batch.count, np.uint8)
            self._fresh = np.zeros(batch.count, np.int32)
        if len(self.about) < batch.quotes:
            self.about = np.zeros(max(64, 2 * batch.quotes), np.int32)
        self._room(batch.count + batch.outers)
        track(
            batch.packets,
            batch.count,
            batch.first_row,
            batch.quoted,
            batch.outer,
            batch.outers,
            self._carriers,
            self._parts,
            self._slots,
            len(self._slots) - 1,
            SEED,
            self._keys,
            self._life,
            self._totals,
            batch.hashes,
            self.conversation,
            self.reverse,
            self.about,
            self._fresh,
        )

    def _room(self, more: int) -> None:
        need = int(self._totals[TOTAL]) + more
        if need > len(self._life):
            rows = max(need, 2 * len(self._life))
            self._keys = grown(self._keys, rows)
            self._life = grown(self._life, rows)
        if 2 * need > len(self._slots):
            wider = np.zeros(4 * len(self._slots), np.int64)
            while 2 * need > len(wider):
                wider = np.zeros(2 * len(wider), np.int64)
            spread(self._slots, wider, len(wider) - 1, SEED, self._keys, self._life)
            self._slots = wider

    @property
    def rows(self) -> int:
        """Conversations met so far, those only quoted included."""
        return int(self._totals[TOTAL])

    @property
    def fresh(self) -> Array:
        """Rows of the last batch with the first data that an end of a conversation sent."""
        return self._fresh[: int(self._totals[FRESH])]

    @property
    def stray_fragments(self) -> int:
        """Fragments whose datagram's first one was not seen, or came in a later batch: they belong to no conversation."""
        return int(self._totals[LEFT])

    def stream(self, number: int) -> int | None:
        """Wireshark's stream number of a conversation, also of one that was only quoted; None for protocols without."""
        stream = int(self._life[number, t.STREAM]) if number >= 0 else -1
        return stream if stream >= 0 else None

    def streams(self) -> Array:
        """Wireshark's stream number of each."""
        return self._life[: self.rows, t.STREAM]

    def finish(self, counted: Array | None = None, streams: Array | None = None) -> tuple[Conversations, Array]:
        """The conversations so far, and for each number given in `conversation` its row (-1: only quoted or around others, never seen).

        counted, streams: other counts, and other stream numbers, than those of the frames that were fed (selected.py).
        """
        n = self.rows
        life, keys = self._life[:n], self._keys[:n]
        if counted is not None:
            counted[:n, t.TUPLE], counted[:n, t.STREAM] = life[:, t.TUPLE], life[:, t.STREAM]
            life = counted[:n]
        if streams is not None:
            life[:, t.STREAM] = streams
        seen = (life[:, t.PACKETS_AB] + life[:, t.PACKETS_BA]) > 0
        first = life[:, t.FIRST_ROW]
        rows = np.arange(n)
        if not seen.all() or (first[1:] < first[:-1]).any():
            # Quoted in an ICMP error or around a tunnel's packets, and never seen: dropped. Seen later: to its place by first frame.
            order = np.flatnonzero(seen)[np.argsort(first[seen], kind="stable")]
            rows = np.full(n, -1)
            rows[order] = np.arange(len(order))
            life, keys = life[order], keys[order]
        found = Conversations.empty(len(life))
        for start in range(0, len(life), BLOCK):
            _settle(life[start : start + BLOCK], keys[start : start + BLOCK], found.part(start, min(start + BLOCK, len(life))))
        return found, rows


BLOCK = 2048
"""Rows turned into columns at a time: as many as stay in the cache while each is read twenty times."""
COPIED = {
    "stream": t.STREAM, "first_row": t.FIRST_ROW, "first_ns": t.FIRST, "last_ns": t.LAST, "packets_ab": t.PACKETS_AB,
    "packets_ba": t.PACKETS_BA, "bytes_ab": t.BYTES_AB, "bytes_ba": t.BYTES_BA, "marks": t.MARKS, "letters": t.LETTERS,
    "rtt_ns": t.RTT_NS, "errors": t.ERRORS,
}  # fmt: skip


def _settle(life: Array, keys: Array, to: Conversations) -> None:
    """Write the rows that were followed as rows of the table."""
    for name, at in COPIED.items():
        getattr(to, name)[:] = life[:, at]
    tuples = life[:, t.TUPLE]
    ports = (tuples & 1).astype(bool)
    to.proto[:] = tuples >> 8 & 0xFF
    to.a[:], to.b[:] = keys[:, :2], keys[:, 2:]
    to.a_port[:] = np.where(ports, tuples >> 40, -1)
    to.b_port[:] = np.where(ports, tuples >> 24 & 0xFFFF, -1)
    to.spi[:] = np.where(tuples & 2, tuples >> 24 & 0xFFFFFFFF, -1)
    to.history[:] = life[:, t.HISTORY : t.HISTORY_MORE + 1].view(np.uint64)
    to.retransmissions[:] = life[:, t.SIDE_A + t.RETRANSMITTED] + life[:, t.SIDE_B + t.RETRANSMITTED]


def grown(array: Array, rows: int) -> Array:
    """An array of `rows` rows that begins with these."""
    new = np.zeros((rows, *array.shape[1:]), array.dtype)
    new[: len(array)] = array
    return new
