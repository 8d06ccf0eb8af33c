"""Makes a synthetic pair of captures of any size, from both sides of a NAPT: OUTDIR/inside.pcap and OUTDIR/outside.pcap.

    python tests/bench/generate.py FRAMES OUTDIR [--payload small|big] [--seed N]

Both files hold the same frames: inside as the hosts of 192.168.0.0/16 sent and got them, outside translated to 203.0.113.10
(addresses, ports or ICMP identifiers, TTL, MAC addresses, checksums), in the order of its own clock, which is 1.25 s ahead.
`big` keeps the frames whole (about 626 bytes), `small` is the same traffic cut at 128 bytes (about 106).

The traffic is about FRAMES / 25 conversations, 200 new ones a second: TCP three in four, else DNS, QUIC-like UDP and echo. It is
made in blocks of conversations: a row per frame first, then the bytes. A block's conversations begin in its own slice of time;
rows later than the slice wait for the next one, so the files are in order and memory is a few blocks, whatever their size.
Times are microseconds since the start of the capture; lengths are bytes.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

Array = np.ndarray[Any, Any]

BLOCK, GAP = 5_000, 5_000  # conversations made at once; us from one's start to the next's
BEGIN, CLOCK_AHEAD = 1_700_000_000_000_000, 1_250_000  # us
DELAY = 20, 60  # us from one side of the NAPT to the other
SPACE = 150  # us at least between frames of a conversation: more than twice the delay, so an answer comes after its question
LONGEST_US, LONGEST_FRAMES = 120_000_000, 20_000  # of one conversation
HOSTS, SERVERS, RESOLVERS = 200, 4_000, 4
INSIDE_PORTS = np.arange(32_768, 61_000)
OUTSIDE_PORTS = np.r_[1_024:32_768, 61_000:65_536]  # none of the inside ones: every port is seen to change
OUTSIDE_ADDR = 0xCB00710A  # 203.0.113.10
SNAPLEN = {"small": 128, "big": 262_144}
TCP, DNS, QUIC, ECHO = range(4)
PROTOCOL = np.array([6, 17, 17, 1])
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
NOISE = 1 << 22  # bytes of the pool that payloads are cut from; the DNS messages lie behind them
MESSAGES, SLOT, QUERY, ANSWER = 1 << 14, 128, 40, 56

ROW = np.dtype([("time", "i8"), ("kind", "u1"), ("answer", "?"), ("flags", "u1"), ("stamps", "?"), ("host", "u2"), ("server", "u2"),
                ("iport", "u2"), ("oport", "u2"), ("sport", "u2"), ("id", "u2"), ("length", "u2"), ("at", "u4"),
                ("seq", "u4"), ("ack", "u4"), ("tsval", "u4"), ("tsecr", "u4")])
"""A frame to be: who sent it (answer: the server), its payload (pool[at:at + length]) and what else its headers say."""
RECORD = np.dtype({  # type: ignore[call-overload]
    "s": ("<u4", 0), "us": ("<u4", 4), "cap": ("<u4", 8), "wire": ("<u4", 12), "dmac": ("3>u2", 16), "smac": ("3>u2", 22),
    "type": (">u2", 28), "version": (">u2", 30), "total": (">u2", 32), "id": (">u2", 34), "df": (">u2", 36), "ttl": ("u1", 38),
    "protocol": ("u1", 39), "ipsum": (">u2", 40), "src": (">u4", 42), "dst": (">u4", 46), "sport": (">u2", 50), "dport": (">u2", 52),
    "seq": (">u4", 54), "ack": (">u4", 58), "words": ("u1", 62), "flags": ("u1", 63), "window": (">u2", 64), "tcpsum": (">u2", 66),
    "udplen": (">u2", 54), "udpsum": (">u2", 56), "echo": ("u1", 50), "echosum": (">u2", 52), "echoid": (">u2", 54),
    "echoseq": (">u2", 56), "options": ("20u1", 70), "stamps": ("2>u4", 74)})
"""A pcap record up to the payload: each field's format and offset. TCP, UDP and ICMP lie over each other."""
IP_AT, L4_AT = 30, 50
OPTIONS, OPTIONS_LEN = np.zeros((4, 20), np.uint8), np.array([0, 12, 12, 20])  # none, timestamps, of a SYN, of a SYN with timestamps
OPTIONS[1, :4] = 1, 1, 8, 10
OPTIONS[2, :12] = 2, 4, 5, 180, 1, 3, 3, 7, 1, 1, 4, 2
OPTIONS[3] = 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 5, 180, 1, 3, 3, 7


class Counters:
    """A running count for each of some keys."""

    def __init__(self, first: Array):
        self.next = first

    def take(self, keys: Array) -> Array:
        """The next number of each row's key, in row order."""
        order = np.argsort(keys, kind="stable")
        counts = np.bincount(keys, minlength=len(self.next))
        numbers = np.empty(len(keys), np.int64)
        numbers[order] = np.arange(len(keys)) + np.repeat(self.next - np.cumsum(counts) + counts, counts)
        self.next = self.next + counts
        return numbers


class Traffic:
    """Draws conversations and turns them into rows, block after block."""

    def __init__(self, seed: int):
        self.rng = rng = np.random.default_rng(seed)
        noise = rng.integers(0, 256, NOISE, np.uint8)
        noise[::2] |= 0xC0  # payloads begin at an even byte: none looks like a protocol that tshark would try
        self.pool = np.concatenate([noise, _messages(rng)])
        self.inside_addr = 0xC0A80001 + rng.choice(65_000, HOSTS, replace=False)
        self.server_addr = 0x14000000 + rng.choice(0x4B000000, SERVERS, replace=False)
        self.outside_ports = rng.permutation(OUTSIDE_PORTS)
        self.ports, self.mappings = Counters(rng.integers(0, 1 << 14, HOSTS)), Counters(np.zeros(256, np.int64))
        self.ids = Counters(rng.integers(0, 1 << 16, HOSTS + SERVERS))
        self.blocks = 0

    def conversations(self) -> dict[str, Array]:
        """The next block of conversations, by start, as columns."""
        rng, n = self.rng, BLOCK
        start = np.sort(rng.integers(0, n * GAP, n)) + self.blocks * n * GAP
        self.blocks += 1
        kind = np.searchsorted([0.75, 0.89, 0.97], rng.random(n), side="right")
        end = rng.choice(np.array([3, 1, 0]), n, p=[0.8, 0.15, 0.05])  # frames that close a TCP connection: FINs, RST, not seen
        tcp = 3 + end + np.minimum(rng.lognormal(2.39, 1.2, n) + 0.5, LONGEST_FRAMES)
        quic = 2 + np.minimum(rng.lognormal(3.1, 1.1, n), LONGEST_FRAMES)
        frames = np.choose(kind, [tcp, 2, quic, 2 * rng.integers(1, 8, n)]).astype(np.int64)
        lasts = np.minimum(rng.lognormal(15.7, 1.4, n), LONGEST_US)
        lasts = np.choose(kind, [lasts, rng.integers(2_000, 80_000, n), lasts, frames * 500_000])
        host = rng.integers(0, HOSTS, n)
        server = np.where(kind == DNS, rng.integers(0, RESOLVERS, n), RESOLVERS + (SERVERS - RESOLVERS) * rng.random(n) ** 3)
        iport = INSIDE_PORTS[self.ports.take(host) % len(INSIDE_PORTS)]
        oport = self.outside_ports[self.mappings.take(PROTOCOL[kind]) % len(OUTSIDE_PORTS)]
        sport = np.choose(kind, [rng.choice(np.array([443, 80, 993, 8443]), n, p=[0.75, 0.13, 0.05, 0.07]), 53, 443, 0])
        return {"kind": kind, "frames": frames, "start": start, "lasts": lasts, "host": host, "server": server, "iport": iport,
                "oport": oport, "sport": sport, "end": end, "stamps": (kind == TCP) & (rng.random(n) < 0.7),
                "isn": rng.integers(0, 1 << 32, (2, n)), "clock": rng.integers(0, 1 << 32, (2, n))}

    def rows(self, conv: dict[str, Array]) -> Array:
        """The frames of these conversations, conversation by conversation; IP identifications are not given yet."""
        rng, frames = self.rng, conv["frames"]
        n = int(frames.sum())
        c = np.repeat(np.arange(len(frames)), frames)  # each frame's conversation, and its number there: k
        begin = np.cumsum(frames) - frames
        first = begin[c]
        k = np.arange(n) - first
        kind, end, tail = conv["kind"][c], conv["end"][c], (frames - conv["end"])[c]
        opening, closing = (kind == TCP) & (k < 3), (kind == TCP) & (k >= tail)
        body = ~opening & ~closing
        what = rng.random(n, np.float32)  # frames of the body: 61 % server's data, 14 % client's, 20 % client's ACK, 5 % server's
        what[(kind == TCP) & (k == 3) | (kind == QUIC) & (k == 0)] = 0.7
        answer = np.where(closing, (c & 1 == 1) ^ (k == tail + 1), (what < 0.61) | (what > 0.95))
        answer = np.where(opening | (kind == DNS) | (kind == ECHO), k & 1 == 1, answer)

        draw = rng.random(n, np.float32)
        data = np.where(answer, np.where(draw < 0.57, np.where(conv["stamps"][c], 1448, 1460), 1 + draw * 700), 30 + draw * 600)
        quic = np.where(answer, np.where(draw < 0.6, 1250, 20 + draw * 900), 24 + draw ** 3 * 1000)
        length = body * np.choose(kind, [data * (what < 0.75), np.where(answer, ANSWER, QUERY), quic, 56]).astype(np.int64)
        at = rng.integers(0, (NOISE - 2048) // 2, n) * 2
        at = np.where(kind == DNS, NOISE + conv["isn"][0, c] % MESSAGES * SLOT + answer * (SLOT // 2), at)
        again = np.flatnonzero((rng.random(n, np.float32) < 0.02) & (kind == TCP) & body & (k > 3))
        again = again[(length[again - 1] > 0) & ~np.isin(again - 1, again)]
        answer[again] = answer[again - 1]
        copied = np.concatenate([again, np.flatnonzero((kind == ECHO) & answer)])
        length[copied], at[copied] = length[copied - 1], at[copied - 1]

        rows = np.zeros(n, ROW)
        syn, fin = opening & (k < 2), closing & (end == 3) & (k < tail + 2)
        rows["flags"] = np.where(k > 0, ACK, 0) + SYN * syn + FIN * fin + RST * (closing & (end == 1)) + PSH * (length > 0)
        step = length + syn + fin
        step[again] = 0
        sent = []  # by the client and by the server: the next sequence number before this frame
        for side, isn in enumerate(conv["isn"]):
            before = np.cumsum(step * (answer == side)) - step * (answer == side)
            sent.append(before - before[first] + isn[c] & 0xFFFFFFFF)
        seq = np.where(answer, sent[1], sent[0])
        seq[again] = seq[again - 1]
        rows["seq"] = np.where(kind == ECHO, k // 2 + 1, seq)
        rows["ack"] = np.where(k > 0, np.where(answer, sent[0], sent[1]), 0)

        wait = np.cumsum(rng.standard_exponential(n, np.float32) ** 3 * np.where(k < 4, 0.02, 1.0))
        whole = np.maximum(wait[begin + frames - 1] - wait[begin], 1e-9)
        rows["time"] = conv["start"][c] + k * SPACE + (conv["lasts"] / whole)[c] * (wait - wait[first])
        rows["tsval"] = conv["clock"][answer.astype(np.int8), c] + rows["time"] // 1000 & 0xFFFFFFFF
        i = np.arange(n)
        heard = np.where(answer, np.maximum.accumulate(np.where(answer, -1, i)), np.maximum.accumulate(np.where(answer, i, -1)))
        rows["tsecr"] = np.where(heard >= first, rows["tsval"][heard], 0)
        rows["answer"], rows["length"], rows["at"] = answer, length, at
        for name in ("kind", "stamps", "host", "server", "iport", "oport", "sport"):
            rows[name] = conv[name][c]
        return rows


def _messages(rng: np.random.Generator) -> Array:
    """DNS queries and their answers, each at the start of half a slot."""
    query = bytes.fromhex("0000 0100 0001 0000 0000 0000 0a") + b"a" * 10 + b"\x07example\x03com" + bytes.fromhex("00 0001 0001")
    answer = query[:2] + bytes.fromhex("8180 0001 0001") + query[8:] + bytes.fromhex("c00c 0001 0001 0000012c 0004 c6336400")
    table = np.zeros((MESSAGES, 2, SLOT // 2), np.uint8)
    table[:, 0, :QUERY], table[:, 1, :ANSWER] = list(query), list(answer)
    table[:, :, :2] = rng.integers(0, 256, (MESSAGES, 1, 2), np.uint8)
    table[:, :, 13:23] = rng.integers(ord("a"), ord("z") + 1, (MESSAGES, 1, 10), np.uint8)
    table[:, 1, ANSWER - 1] = rng.integers(1, 255, MESSAGES)
    return table.reshape(-1)


class Side:
    """One of the two capture files."""

    def __init__(self, file: BinaryIO, traffic: Traffic, outside: bool, snaplen: int):
        self.file, self.traffic, self.outside, self.snaplen = file, traffic, outside, snaplen
        self.sums = np.concatenate([[0], np.cumsum(traffic.pool.view(">u2"), dtype=np.int64)])
        self.pending = np.zeros(0, ROW)
        file.write(np.array([0xA1B2C3D4, 4 << 16 | 2, 0, 0, snaplen, 1], "<u4").tobytes())

    def merge(self, rows: Array, until: int) -> Array:
        """Take rows, none earlier than what was written; give those before `until` in order, the others stay pending."""
        rows = np.concatenate([self.pending, rows])
        rows = rows.take(np.argsort(rows["time"], kind="stable"))
        cut = int(np.searchsorted(rows["time"], until))
        self.pending = rows[cut:].copy()
        return rows[:cut]

    def write(self, rows: Array) -> None:
        """Write these rows' frames."""
        records, head = self._records(rows)
        payload = records["cap"].astype(np.int64) + 16 - head
        end = np.cumsum(head + payload)
        out = np.empty((head + payload).sum(), np.uint8)
        _copy(out, end - payload - head, records.view(np.uint8), np.arange(len(rows)) * RECORD.itemsize, head)
        _copy(out, end - payload, self.traffic.pool, rows["at"], payload)
        self.file.write(out.data)

    def _records(self, rows: Array) -> tuple[Array, Array]:
        """Each row's record up to the payload, and the length of that."""
        r = np.zeros(len(rows), RECORD)
        kind, answer, length, at = rows["kind"], rows["answer"], rows["length"].astype(np.int64), rows["at"].astype(np.int64)
        tcp, udp, echo = (np.flatnonzero(is_it) for is_it in (kind == TCP, (kind == DNS) | (kind == QUIC), kind == ECHO))
        options = 2 * ((rows["flags"] & SYN) > 0) + rows["stamps"]
        l4 = np.where(kind == TCP, 20 + OPTIONS_LEN[options], 8)
        port, near, mac, gateway = ((rows["oport"], OUTSIDE_ADDR, 1, 2) if self.outside else
                                    (rows["iport"], self.traffic.inside_addr[rows["host"]], 256 + rows["host"], 0))
        r["s"], r["us"] = np.divmod(rows["time"] + BEGIN + (CLOCK_AHEAD if self.outside else 0), 1_000_000)
        r["wire"] = 34 + l4 + length
        r["cap"] = np.minimum(r["wire"], self.snaplen)
        r["smac"] = r["dmac"] = 0x0200, 0x5E00, 0
        r["smac"][:, 2], r["dmac"][:, 2] = _ends(answer, mac, gateway)
        r["type"], r["version"], r["df"], r["id"], r["protocol"] = 0x0800, 0x4500, 0x4000, rows["id"], PROTOCOL[kind]
        r["total"] = 20 + l4 + length
        r["ttl"] = np.where(answer, 60 - rows["server"] % 20, 64) - (answer ^ self.outside)
        r["src"], r["dst"] = _ends(answer, near, self.traffic.server_addr[rows["server"]])
        r["ipsum"] = _checksum(_words(r, IP_AT, L4_AT))
        sport, dport = _ends(answer, port, rows["sport"])
        _set(r, tcp, sport=sport, dport=dport, seq=rows["seq"], ack=rows["ack"], words=l4 << 2, flags=rows["flags"],
             window=502 + 4 * rows["host"], options=OPTIONS[options])
        _set(r, np.flatnonzero(rows["stamps"]), stamps=np.stack([rows["tsval"], rows["tsecr"]], axis=1))
        _set(r, udp, sport=sport, dport=dport, udplen=8 + length)
        _set(r, echo, echo=np.where(answer, 0, 8), echoid=port, echoseq=rows["seq"])
        total = _words(r, L4_AT, RECORD.itemsize) + self.sums[(at + length) // 2] - self.sums[at // 2]
        total += (length & 1) * self.traffic.pool[at + length - 1] << 8
        l4sum = _checksum(total + _words(r, L4_AT - 8, L4_AT) + r["protocol"] + l4 + length)
        _set(r, tcp, tcpsum=l4sum)
        _set(r, udp, udpsum=np.where(l4sum, l4sum, 0xFFFF))
        _set(r, echo, echosum=_checksum(total))
        return r, L4_AT + l4


def _ends(answer: Array, near: Array | int, far: Array | int) -> tuple[Array, Array]:
    """Source and destination of each frame, of what the near end has and the far end has."""
    return np.where(answer, far, near), np.where(answer, near, far)


def _set(records: Array, some: Array, **columns: Array) -> None:
    """Set columns of some rows."""
    for name, values in columns.items():
        records[name][some] = values[some]


def _words(records: Array, begin: int, end: int) -> Array:
    """The sum of the 16-bit words of these bytes of each record."""
    return np.asarray(records.view(">u2").reshape(len(records), -1)[:, begin // 2:end // 2].sum(axis=1, dtype=np.int64))


def _checksum(total: Array) -> Array:
    """The internet checksum, of a sum of words: ones' complement arithmetic is arithmetic modulo 65535."""
    return np.asarray(-total % 0xFFFF)


def _copy(to: Array, to_at: Array, source: Array, source_at: Array, sizes: Array) -> None:
    """Copy a piece of bytes for each row; all pieces of one size move at once, as items that overlap (one begins at each byte)."""
    order = np.argsort(sizes.astype(np.uint16), kind="stable")
    values, begin = np.unique(sizes[order], return_index=True)
    for size, some in zip(values.tolist(), np.split(order, begin[1:]), strict=True):
        if size:
            old, new = (np.ndarray((len(data) - size + 1,), f"V{size}", data, strides=(1,)) for data in (source, to))
            new[to_at[some]] = old[source_at[some]]


def generate(frames: int, folder: Path, payload: str = "small", seed: int = 1) -> None:
    """Write inside.pcap and outside.pcap of `frames` frames each to the folder; the same arguments give the same bytes."""
    traffic = Traffic(seed)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "inside.pcap", "wb") as inside_file, open(folder / "outside.pcap", "wb") as outside_file:
        inside, outside = (Side(file, traffic, file is outside_file, SNAPLEN[payload]) for file in (inside_file, outside_file))
        while frames > 0:
            rows = traffic.rows(traffic.conversations())[:frames]
            frames -= len(rows)
            until = traffic.blocks * BLOCK * GAP if frames else 1 << 62
            rows = inside.merge(rows, until)
            rows["id"] = traffic.ids.take(np.where(rows["answer"], HOSTS + rows["server"], rows["host"])) & 0xFFFF
            inside.write(rows)
            delay = traffic.rng.integers(*DELAY, len(rows))
            rows["time"] += np.where(rows["answer"], -delay, delay)
            outside.write(outside.merge(rows, until - DELAY[1]))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make a synthetic pair of captures from both sides of a NAPT.")
    parser.add_argument("frames", type=int, help="frames in each capture")
    parser.add_argument("folder", type=Path, metavar="outdir", help="where inside.pcap and outside.pcap go")
    parser.add_argument("--payload", choices=sorted(SNAPLEN), default="small", help="frames whole (big) or cut at 128 bytes (small)")
    parser.add_argument("--seed", type=int, default=1)
    generate(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
