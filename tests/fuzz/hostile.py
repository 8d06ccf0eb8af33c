"""Files that ask for more time or memory than they should get: what they are, how they are made, and what must be said of them."""
from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple

import lz4.frame
import made_etl as me
import zstandard
from made_files import block, enhanced, erf_record, interface, obsolete, option, pcap_head, pcap_record, section, simple, snoop_head
from made_frames import error, ether, extension, ip4, ip6, tcp, udp
from made_links import TUNNELS
from seeds import PACKERS

from pcapnat.kernel.primitives import MASK64, MIX_A, MIX_B, mix

SIZE = 400_000
"""Bytes of a file made of many equal parts: as long as the longer captures in test suites, and enough for what grows by its square."""
HEAD, RAW, NG = pcap_head("<"), pcap_head("<", link=101), section("<") + interface("<")
FRAME = ether(0x0800, ip4(17, udp()))
PACKET = ip4(17, udp())


class Hostile(NamedTuple):
    """A file, what `info` must say of it, and how many frames there are (None: not told)."""

    name: str
    make: Callable[[], bytes]
    says: str = ""
    frames: int | None = None


def many(head: bytes, part: bytes, tail: bytes = b"") -> bytes:
    """As many of `part` as a file of SIZE holds."""
    return head + part * ((SIZE - len(head)) // len(part)) + tail


def records(frames: Iterable[bytes]) -> bytes:
    """A pcap of raw IP."""
    return RAW + b"".join(pcap_record("<", 1 + n // 1000, n % 1000, f) for n, f in enumerate(frames))


# Compressed

MEGA = bytes(1 << 20)


def bomb(kind: str, head: bytes = HEAD, times: int = 24) -> bytes:
    """Many megabytes of zeros, which a pcap's head makes empty frames."""
    return PACKERS[kind](head) + PACKERS[kind](MEGA) * times


def repeated_bytes(head: bytes) -> bytes:
    """zstd blocks of four bytes that stand for 128 KiB each."""
    return zstandard.compress(head) + b"\x28\xb5\x2f\xfd\x00\x58" + (struct.pack("<I", 131072 << 3 | 2)[:3] + b"\0") * 100_000


def promising_more_memory() -> bytes:
    """xz members of a byte each, with the largest dictionary that is allowed."""
    small = lzma.compress(b"\0", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 128 << 20}])
    return many(lzma.compress(HEAD), small)


ONE = bytes(1)
PACKED = [
    *(Hostile(f"a {kind} bomb of frames", lambda kind=kind: bomb(kind), "holds more frames than so few bytes can")  # type: ignore[misc]
      for kind in ("gzip", "bzip2", "xz", "zstd", "lz4")),
    *(Hostile(f"a {kind} bomb of blocks", lambda kind=kind: PACKERS[kind](NG) + PACKERS[kind](  # type: ignore[misc]
        block("<", 0xBAD, bytes((1 << 20) - 12))) * 400, "unpacks to more than 500 times", 0) for kind in ("gzip", "zstd")),
    Hostile("zstd blocks of a repeated byte", lambda: repeated_bytes(HEAD), "holds more frames than so few bytes can"),
    Hostile("a bomb in a bomb", lambda: gzip.compress(bomb("gzip")), "it looks like gzip data"),
    Hostile("gzip members of a byte", lambda: many(gzip.compress(HEAD), gzip.compress(ONE, mtime=0))),
    Hostile("gzip members of nothing", lambda: many(gzip.compress(HEAD), gzip.compress(b"", mtime=0)), "", 0),
    Hostile("gzip members and padding", lambda: many(gzip.compress(HEAD), gzip.compress(b"", mtime=0) + ONE), "", 0),
    Hostile("bzip2 members of a byte", lambda: many(bz2.compress(HEAD), bz2.compress(ONE))),
    Hostile("xz members with large dictionaries", promising_more_memory),
    Hostile("zstd members of a byte", lambda: many(zstandard.compress(HEAD), zstandard.compress(ONE))),
    Hostile("zstd frames to skip", lambda: many(zstandard.compress(HEAD), b"\x50\x2a\x4d\x18" + bytes(4)), "", 0),
    Hostile("lz4 members of a byte", lambda: many(lz4.frame.compress(HEAD), lz4.frame.compress(ONE))),
    Hostile("a frame of 100 MB in gzip", lambda: PACKERS["gzip"](pcap_head("<", link=231, snaplen=1 << 27) + struct.pack(
        "<IIII", 1, 1, 100 << 20, 100 << 20)) + PACKERS["gzip"](MEGA) * 100, "", 1),
    Hostile("a trace of nothing in gzip", lambda: bomb("gzip", me.head(size=4096), 300), "unpacks to more than 500 times"),
    Hostile("a trace of small unused buffers in gzip", lambda: bomb("gzip", me.head(), 130), "more than 250,000 buffers"),
]

# Containers

CONTAINERS = [
    Hostile("a pcap record of 4 GB", lambda: HEAD + pcap_record("<", 1, 1, b"") * 3 + struct.pack("<IIII", 1, 1, 0xFFFFFFFF, 60),
            "a record longer than", 3),
    Hostile("a block of 4 GB", lambda: NG + struct.pack("<II", 6, 0xFFFFFFFC) + bytes(99), "length cannot be", 0),
    Hostile("a frame of 4 GB in a block", lambda: NG + block("<", 6, struct.pack("<IIIII", 0, 0, 0, (1 << 32) - 1, 1)),
            "length cannot be", 0),
    Hostile("an obsolete frame of 4 GB", lambda: NG + block("<", 2, struct.pack("<IIIII", 0, 0, 0, (1 << 32) - 1, 1)),
            "length cannot be", 0),
    Hostile("a simple frame of 4 GB", lambda: NG + simple("<", b"abcd", 0xFFFFFFFF), "", 1),
    Hostile("a block of 16 MB that is not there", lambda: NG + struct.pack("<II", 6, 16 << 20) + bytes(SIZE),
            "ends inside a record", 0),
    Hostile("a snoop record of 4 GB", lambda: snoop_head() + struct.pack(">IIIIII", 60, 60, 0xFFFFFFFF, 0, 1, 1) + bytes(60),
            "length cannot be", 0),
    Hostile("a snoop frame of 4 GB", lambda: snoop_head() + struct.pack(">IIIIII", 60, 0xFFFFFFFF, 9, 0, 1, 1) + bytes(60),
            "a record longer than", 0),
    Hostile("ERF records of 64 KB that are not there", lambda: erf_record(1 << 32, FRAME) * 3 + struct.pack("<Q", 1 << 32)
            + struct.pack(">BBHHH", 2, 0, 0xFFFF, 0, 64), "ends inside a record", 3),
    Hostile("a trace's buffer of 4 GB", lambda: me.head() + struct.pack("<I", 0xFFFFFFFF) + me.buffer(b"")[4:], "length cannot be", 0),
    Hostile("trace buffers that promise 64 MB", lambda: many(me.head(), me.buffer(b"")[:4] + struct.pack("<I", 64 << 20)
            + me.buffer(b"")[8:]), "damaged buffers", 0),
    Hostile("packed trace buffers of small events", lambda: many(me.head(), me.buffer((struct.pack("<HBB", 8, 0, 0x90) + bytes(4)) * 8000,
            compressed=True)), "this trace holds no packets", 0),
    Hostile("packed trace buffers that all overlap", lambda: me.head() + me.buffer(
        me.event(me.NDIS, 1001, me.fragment(bytes(20))) * 400, compressed=True) * 2000, "unpack to more than 20 times"),
    Hostile("a trace of interfaces", lambda: me.head() + b"".join(me.buffer(b"".join(me.event(
        me.NDIS, 1001, me.fragment(b"x", miniport=500 * i + j)) for j in range(500))) for i in range(12)), "", 6000),
    Hostile("interfaces", lambda: section("<") + interface("<") * 120_000, "an interface block behind 100000 others", 0),
    Hostile("interfaces between frames", lambda: section("<") + b"".join(
        interface("<") + enhanced("<", 1, b"", iface=n) for n in range(SIZE // 52)), "", SIZE // 52),
    Hostile("sections", lambda: many(b"", section("<")), f"{SIZE // 28:,} sections", 0),
    Hostile("sections of both byte orders", lambda: many(
        b"", b"".join(section(o) + interface(o) + enhanced(o, 1, FRAME) for o in "<>")), "sections"),
    Hostile("name records", lambda: section("<") + block("<", 4, b"".join(
        struct.pack("<HHI", 1, 6, n) + b"a\0\0\0" for n in range(SIZE // 12))), f"{SIZE // 12:,} name records: 10,000 addresses kept", 0),
    Hostile("names of one address", lambda: section("<") + block("<", 4, struct.pack("<HHI", 1, 60_004, 7) + b"ab\0" * 20_000), "", 0),
    Hostile("name blocks", lambda: many(NG, block("<", 4, struct.pack("<HH4s", 1, 6, b"abcd") + b"a\0\0\0")), "1 address kept", 0),
    Hostile("comments", lambda: many(NG, enhanced("<", 1, b"", options=option("<", 1, b"hi"))),
            f"{(SIZE - 48) // 40 - 20:,} more comments"),
    Hostile("long comments", lambda: many(NG, enhanced("<", 1, b"", options=option("<", 1, b"h\x1b" * 30_000))), "comments"),
    Hostile("options of a frame", lambda: NG + enhanced("<", 1, b"", options=option("<", 1, b"") * (SIZE // 4)), "", 1),
    Hostile("options of an interface", lambda: section("<") + block(
        "<", 1, struct.pack("<HHI", 1, 0, 0) + option("<", 1, b"") * (SIZE // 4)), "", 0),
    Hostile("verdicts", lambda: NG + b"".join(enhanced("<", 1, b"", options=option("<", 7, b"\x01" + struct.pack("<Q", n)))
                                              for n in range(SIZE // 48)), "verdict"),
    Hostile("statistics", lambda: many(NG, block("<", 5, struct.pack("<III", 0, 0, 0))), "", 0),
    Hostile("drops beyond 64 bits", lambda: NG + enhanced("<", 1, b"", options=option("<", 4, b"\xff" * 8)) * 3 + enhanced(
        "<", 1, b"", options=option("<", 4, b"\xff" * 7 + b"\x3f")) * 9 + obsolete("<", 1, b"", drops=0xFFFE) * 9,
        "lost before frames", 21),
    Hostile("frames of nothing", lambda: HEAD + bytes(SIZE // 16 * 16), "", SIZE // 16),
]

# Packets


def nested(times: int) -> bytes:
    """IP in IP."""
    packet = PACKET
    for _ in range(times):
        packet = ip4(4, packet)
    return packet


def vxlans(times: int) -> bytes:
    """VXLAN in VXLAN."""
    around = next(t for t in TUNNELS if t.name == "vxlan")
    frame = FRAME
    for _ in range(times):
        frame = around.frame(frame[14:])
    return frame


PACKETS = [
    Hostile("TCP options of no length", lambda: many(RAW, pcap_record("<", 1, 1, ip4(6, tcp(options=b"\x1e\0" * 20))))),
    Hostile("TCP options one byte long", lambda: many(RAW, pcap_record("<", 1, 1, ip4(6, tcp(options=b"\1" * 40))))),
    Hostile("IP options", lambda: many(RAW, pcap_record("<", 1, 1, ip4(6, tcp(), options=b"\1" * 40)))),
    Hostile("IPv6 extension headers", lambda: many(RAW, pcap_record("<", 1, 1, ip6(0, extension(0) * 120 + extension(17) + udp())))),
    Hostile("IPv6 extension headers, 64 KB of them", lambda: many(RAW, pcap_record("<", 1, 1, ip6(0, extension(0) * 8000)))),
    Hostile("sixty tunnels in one another", lambda: many(RAW, pcap_record("<", 1, 1, nested(60)))),
    Hostile("VXLAN in VXLAN", lambda: many(HEAD, pcap_record("<", 1, 1, vxlans(9)))),
    Hostile("VLAN tags, 12 KB of them", lambda: many(HEAD, pcap_record("<", 1, 1, ether(0x8100, b"\0\1\x81\0" * 3000)))),
    Hostile("labels, 12 KB of them", lambda: many(HEAD, pcap_record("<", 1, 1, ether(0x8847, b"\0\1\0\1" * 3000)))),
    Hostile("netfilter attributes", lambda: many(pcap_head("<", link=239), pcap_record("<", 1, 1, b"\2\0\0\0" + b"\4\0\1\0" * 3000))),
    Hostile("errors about everybody", lambda: records(
        ip4(1, error(3, 1, ip4(17, udp(b"", sport=n & 0xFFFF, dport=n >> 16)))) for n in range(SIZE // 72))),
    Hostile("fragments of different datagrams", lambda: records(
        ip4(17, bytes(8), frag=0x2001, ident=n & 0xFFFF) for n in range(SIZE // 44))),
    Hostile("fragments before their first", lambda: records(
        [ip4(17, bytes(8), frag=0x2001 + n % 99) for n in range(SIZE // 44)] + [ip4(17, udp(), frag=0x2000)])),
    Hostile("connections of one pair of ports", lambda: records(ip4(6, tcp(b"", flags=2, seq=n * 7777 & 0xFFFFFFFF))
                                                              for n in range(SIZE // 56))),
    Hostile("conversations", lambda: records(ip4(17, udp(b"", sport=n & 0xFFFF, dport=n >> 16)) for n in range(SIZE // 44))),
]

# Hash tables


A_INVERSE, B_INVERSE = pow(MIX_A, -1, 1 << 64), pow(MIX_B, -1, 1 << 64)


def before(out: int) -> int:
    """What `mix` made `out` of, state and value folded into one."""
    y = out << 1
    y ^= y >> 29 ^ y >> 58
    x = y * B_INVERSE & MASK64
    return x ^ x >> 32


def value_for(state: int, out: int) -> int:
    """A value that `mix` folds into this state to make `out`."""
    return (before(out) ^ state) * A_INVERSE & MASK64


def datagram6(high: int, low: int, sport: int) -> bytes:
    """From an address of these halves and port to another, cheaper than by dpkt."""
    return struct.pack("!IHBBQQQQHHHH", 6 << 28, 8, 17, 64, high, low, 0x20010DB8 << 32, 1, sport, 53, 8, 0)


def colliding_by_known_seed(n: int, seed: int = 0) -> tuple[int, int, int]:
    """The n-th address and port whose end has the same hash, if the seed is known."""
    low, sport = 0x1234567 * (n + 1), n & 0xFFFF
    return value_for(mix(low, seed ^ sport), 0x5555), low, sport


def colliding_without_seed(n: int) -> tuple[int, int, int]:
    """The same for a hash of one round: what stands beside the seed is chosen to cancel out."""
    high = 0x9E37 * (n + 1)
    return high, 0x42 ^ high * MIX_A & MASK64, 0


def colliding_payloads(n: int, seed: int = 0) -> list[bytes]:
    """Payloads of eight bytes whose fingerprints lie in one place of every table, if the seed is known."""
    found: list[bytes] = []
    tried = 0
    while len(found) < n:
        tried += 1
        first = before(tried << 24 | 5)
        key = before(first) ^ (seed * MIX_A & MASK64)
        digest = value_for(mix(17, 8), key)
        word = before(digest)
        if max(first, key, digest, word) < 1 << 63:  # what `mix` makes is shorter by a bit
            found.append(struct.pack(">Q", value_for(8, word)))
    return found


FLOODS = [
    Hostile("addresses that collide with a known seed", lambda: records(
        datagram6(*colliding_by_known_seed(n)) for n in range(SIZE // 64))),
    Hostile("addresses that collide whatever the seed", lambda: records(datagram6(*colliding_without_seed(n)) for n in range(SIZE // 64))),
    Hostile("prefixes and ports that cancel out", lambda: records(
        datagram6(0x20010DB8 << 32 | n ^ 0x1111, 7, n & 0xFFFF) for n in range(SIZE // 64))),
    Hostile("addresses that differ in high bits", lambda: records(
        datagram6(0x20010DB8 << 32, n << 50 & MASK64 | n >> 14, 7) for n in range(SIZE // 64))),
    Hostile("datagrams to oneself", lambda: records(struct.pack(
        "!BBHHHBBHIIHHHH", 0x45, 0, 28, 1, 0, 64, 17, 0, 0x0A000000 + n, 0x0A000000 + n, 7, 7, 8, 0) for n in range(SIZE // 44))),
]

# Two sides of a box


class Sides(NamedTuple):
    """A datagram on either side, by its number: who sends, from which port, when; and what it holds."""

    name: str
    inside: Callable[[int], tuple[int, int, int]]
    outside: Callable[[int], tuple[int, int, int]]
    holds: Callable[[int], int]
    says: str

    def make(self, count: int) -> tuple[bytes, bytes]:
        """Both captures."""
        payloads = colliding_payloads(count) if self.says == "colliding" else [struct.pack(">Q", self.holds(n)) * 2 for n in range(count)]

        def capture(who: Callable[[int], tuple[int, int, int]], ttl: int) -> bytes:
            out = [RAW]
            for n, payload in enumerate(payloads):
                address, port, time = who(n)
                head = struct.pack("!BBHHHBBHII", 0x45, 0, 28 + len(payload), 0, 0, ttl, 17, 0, address, 0x08080808)
                out.append(pcap_record("<", time, ttl, head + struct.pack("!HHHH", port & 0xFFFF, 53, 8 + len(payload), 0) + payload))
            return b"".join(out)
        return capture(self.inside, 64), capture(self.outside, 63)


TEN, NINE = 10 << 24, 9 << 24
PAIRS = [
    Sides("one conversation, many counterparts, one after the other", lambda n: (TEN, 1, n), lambda n: (NINE, n, n), lambda n: n, "a NAT"),
    Sides("one conversation, many counterparts at once", lambda n: (TEN, 1, 5), lambda n: (NINE, n, 5), lambda n: n, "a NAT"),
    Sides("many hosts behind many addresses", lambda n: (TEN + n, 1, n), lambda n: (NINE + n // 2, n & 1, n), lambda n: n,
          "more such groups"),
    Sides("many hosts behind two addresses", lambda n: (TEN + n // 8, n % 8, n), lambda n: (NINE + n // 8 % 2, n, n), lambda n: n,
          "a NAT"),
    Sides("all with all", lambda n: (TEN + n % 150, 1, 5), lambda n: (NINE, n // 150, 5), lambda n: n, "Not matched"),
    Sides("every payload eight times", lambda n: (TEN + n, 1, 5), lambda n: (NINE, n, 5), lambda n: n // 8, "Not matched"),
    Sides("every payload the same", lambda n: (TEN + n, 1, n), lambda n: (NINE, n, n), lambda n: 7, "Not matched"),
    Sides("payloads that collide with a known seed", lambda n: (TEN + n, 1, n), lambda n: (NINE, n, n), lambda n: n, "colliding"),
]
