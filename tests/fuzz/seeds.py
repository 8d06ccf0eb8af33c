"""What fuzzing begins with: small files of every kind, made by the same functions as the tests', and beginnings of the bundled captures.

A seed of `decode`, `track` and `analyze` is what targets.py makes frames and captures of.
"""
from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import made_etl as me
import made_files as mf
import zstandard
from made_frames import CASES, ether, ip4, tcp, udp
from made_links import LINK_CASES, NO_IP, TUNNEL_CASES

from pcapnat.wire import LINKS
from pcapnat.wire.via import FOREIGN

CAPTURES = Path(__file__).parents[2] / "captures"
FRAME = ether(0x0800, ip4(17, udp()))
SEGMENT = ether(0x0800, ip4(6, tcp()))
SEPARATOR = b"\xfe\xed"
"""Between the frames of a `decode` seed."""
LINK_NUMBERS = [*sorted(LINKS), 147, 0x7FFF]
"""Link types by the first byte of a `decode` seed."""


def beginning(path: Path, size: int) -> bytes:
    """The whole records at the beginning of a little-endian pcap file, up to `size` bytes."""
    data = path.read_bytes()
    at = 24
    while at + 16 <= len(data) and (step := 16 + struct.unpack_from("<I", data, at + 8)[0]) and at + step <= size:
        at += step
    return data[:at]


def pcaps() -> list[bytes]:
    """Both byte orders and units, patched records, and the bundled captures' beginnings."""
    seeds = [beginning(path, 1200) for path in sorted(CAPTURES.glob("*/inside.pcap"))]
    for order in "<>":
        seeds.append(mf.pcap_head(order, ns=order == ">") + mf.pcap_record(order, 1, 2, FRAME) + mf.pcap_record(order, 2, 3, SEGMENT, 1500))
        for magic, version, header, swapped in ((0xA1B2CD34, (2, 4), 24, False), (0xA1B2C3D4, (2, 4), 20, False),
                                                (0xA1B2C3D4, (2, 2), 16, True), (0xA1B2C3D4, (543, 0), 16, True)):
            head = struct.pack(order + "IHHiIII", magic, *version, 0, 0, 65535, 1)
            seeds.append(head + mf.patched_record(order, 100, 5, FRAME, header, wire=90, swapped=swapped) * 2)
        seeds.append(struct.pack(order + "IHHiIIII", 0x1C0001AC, 2, 4, 0, 0, 65535, 1, 99) + mf.pcap_record(order, 1, 7, FRAME))
    return seeds


def pcapngs() -> list[bytes]:
    """Every kind of block and option, several sections, odd clocks."""
    seeds = []
    for order in "<>":
        option, block = mf.option, mf.block
        said = option(order, 2, struct.pack(order + "I", 0x105)) + option(order, 5, struct.pack(order + "Q", 77))
        lost = option(order, 4, struct.pack(order + "Q", 9)) + option(order, 1, b"gr\xc3\xbc\x1b[2J") + option(order, 0, b"")
        verdict = option(order, 7, b"\x02" + bytes(7) + b"\x01") + option(order, 2988, b"zz")
        names = block(order, 4, struct.pack(order + "HH4s", 1, 10, bytes([192, 0, 2, 1])) + b"a\0b.c\0\0\0" + struct.pack(
            order + "HH16s", 2, 18, bytes(15) + b"\1") + b"h\0\0\0" + bytes(4) + option(order, 1, b"of names"))
        counts = block(order, 5, struct.pack(order + "III", 0, 0, 0) + option(order, 4, struct.pack(order + "Q", 1000))
                       + option(order, 5, struct.pack(order + "Q", 11)))
        about = struct.pack(order + "HHI", 1, 0, 60) + option(order, 3, b"a card") + option(order, 11, b"\0tcp port 80")
        first = mf.section(order, option(order, 4, b"writer") + option(order, 1, b"of all")) + block(order, 1, about)
        seeds.append(first + names + mf.enhanced(order, 1, FRAME, options=said) + mf.enhanced(order, 2, SEGMENT, wire=2000, options=lost)
                     + mf.enhanced(order, 3, b"", options=verdict) + counts)
        seeds.append(first + mf.obsolete(order, 5, FRAME, drops=4) + mf.simple(order, FRAME) + mf.block(order, 0xBAD, b"1234")
                     + mf.block(order, 10, b"secret") + mf.section(order) + mf.interface(order, 101) + mf.simple(order, FRAME[14:]))
        for resolution, offset in ((9, -4_000_000_000), (0x8A, 4_611_686_018), (0, 0), (12, -4_611_686_018), (0xA1, 1), (0x7F, 0)):
            seeds.append(mf.section(order) + mf.interface(order, resolution=resolution, offset=offset, name="eth0")
                         + mf.enhanced(order, 1 << 40, FRAME) + mf.enhanced(order, (1 << 64) - 1, SEGMENT))
        odd = struct.pack(order + "II", 0xBAD, 14) + b"ab\0\0" + struct.pack(order + "I", 14)
        seeds.append(mf.section(order) + mf.interface(order) + odd + mf.section("<" if order == ">" else ">") + mf.enhanced(order, 1, b"x"))
    return seeds


def snoops() -> list[bytes]:
    """RFC 1761's and Surveyor's."""
    return [mf.snoop_head(4) + mf.snoop_record(1, 2, FRAME) + mf.snoop_record(4_294_967_295, 999_999, SEGMENT, wire=99, drops=7),
            mf.snoop_head(12, 4) + mf.snoop_record(1, 2, FRAME, pad=20) * 2, mf.snoop_head(26, 9) + mf.snoop_record(1, 2, FRAME)]


def erfs() -> list[bytes]:
    """Several types and ports, extension headers, padding."""
    return [mf.erf_record(1 << 32 | 1 << 31, FRAME, lost=3) * 3,
            mf.erf_record(1 << 32, FRAME) + mf.erf_record(2 << 32 | 0xFFFFFFFF, FRAME, kind=11, extensions=2)
            + mf.erf_record(3 << 32, bytes(4), kind=48) + mf.erf_record(3 << 32, FRAME[14:], kind=22, port=1)
            + mf.erf_record(3 << 32, bytes(8), kind=27), mf.erf_record(9 << 32, b"\0\0\0\0" + FRAME, kind=5, port=3)]


def etls() -> list[bytes]:
    """Every kind of event, plain and compressed buffers, all clocks."""
    e, n, p = me.event, me.NDIS, me.PKTMON
    first = e(p, 160, me.monitored(FRAME)) + e(n, 1003, me.switch_fragment(FRAME, destinations=1, vlan=4), me.TICKS + 2) + me.system()
    second = e(n, 1001, me.fragment(FRAME), me.TICKS + 1, extended=(b"sid",)) + e(p, 20, me.component(13, "a", "b"), me.TICKS + 3)
    third = e(p, 65, struct.pack("<HH", 98, 13) + bytes([10, 0, 0, 1])) + e(p, 40, struct.pack("<HH", 13, 4) + n) + me.message()
    third += e(p, 73, struct.pack("<HH", 13, 10) + me.text("vs")) + e(p, 170, me.monitored(FRAME[14:], kind=3, group=1 << 63))
    text = me.text("{1}") + me.text("eve") + struct.pack("<I", len(FRAME)) + FRAME
    fourth = e(me.RAS, 5001, text, keyword=0) + e(me.OTHER, 1, b"xyz")
    fourth += e(n, 1001, me.fragment(FRAME[:10]), me.TICKS + 1, keyword=me.START | me.SEND)
    fourth += e(n, 1001, me.fragment(FRAME[10:]), me.TICKS + 5, keyword=me.END | me.SEND)
    seeds = [me.head(written=3) + b"".join(me.buffer(b, compressed=packed) for b in (first, second)) for packed in (False, True)]
    seeds += [me.head(clock=2) + me.buffer(third, size=1024), me.head(clock=3, mhz=2500, pointer=4) + me.buffer(fourth, compressed=True)]
    late = e(n, 1001, me.fragment(FRAME), (1 << 63) - 1)
    seeds.append(me.head(frequency=1, lost=(3, 4), mode=2) + bytes(512) + me.buffer(late, size=512))
    return seeds


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda d: gzip.compress(d, 6, mtime=0), "bzip2": bz2.compress, "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "lz4": lambda d: lz4.frame.compress(d, content_checksum=True, block_size=4)}


def packed(kind: str) -> list[bytes]:
    """A pcap, a pcapng and a trace in one member, in two, with padding, and with something behind."""
    pack = PACKERS[kind]
    bare = mf.pcap_head("<") + mf.pcap_record("<", 1, 2, FRAME) * 3
    seeds = [pack(bare), pack(bare[:40]) + bytes(8) + pack(bare[40:]), pack(bare) + b"and more", pack(pcapngs()[0]), pack(etls()[0]),
             pack(b""), pack(bare + bytes(3000))]
    if kind in ("zstd", "lz4"):
        seeds.append(b"\x50\x2a\x4d\x18" + struct.pack("<I", 5) + b"12345" + pack(bare))
    return seeds


def xpresses() -> list[bytes]:
    """How much is asked for, and packed bytes."""
    plain = [b"abc" * 100, FRAME * 4, bytes(300), bytes(range(256))]
    return [struct.pack("<H", len(d)) + me.compress(d) for d in plain] + [b"\x2c\x01" + bytes.fromhex("ffffff1f61626317000fff2601")]


def decodes() -> list[bytes]:
    """A frame of each link type and of each tunnel. Link, tunnel around it, how much of it, payload in a key; frames."""
    cases = [*CASES, *LINK_CASES, *NO_IP, *(case for case, _ in TUNNEL_CASES)]
    seeds = [bytes([LINK_NUMBERS.index(c.link), 0, 0, 64]) + c.frame for c in cases if c.link in LINK_NUMBERS]
    seeds += [bytes([LINK_NUMBERS.index(1), n, n & 1, 16]) + FRAME[14:] + SEPARATOR + SEGMENT[14:] for n in range(1, 40)]
    return [*seeds, bytes([1, 3, 0x40, 255]) + FRAME[14:]]


def tracks() -> list[bytes]:
    """Handshakes, datagrams, echoes, errors, fragments, tunnels; operations of eight bytes, see targets.py."""
    handshake = [(0, 1, 2, 1, 0, 5), (0, 4, 18, 7, 2, 5), (0, 1, 16, 2, 8, 5), (0, 1, 24, 2, 8, 5), (0, 4, 17, 8, 12, 6),
                 (0, 1, 20, 9, 9, 6)]
    others = [(1, 1, 0, 0, 0, 1), (1, 4, 0, 0, 0, 1), (2, 1, 8, 5, 0, 2), (2, 4, 0, 5, 0, 2), (3, 4, 3, 0, 0, 2), (4, 1, 0, 3, 1, 3),
              (4, 1, 8, 3, 0, 3), (4, 1, 16, 4, 0, 3), (5, 1, 47, 0, 0, 1), (5, 1, 50, 9, 0, 1), (6, 1, 0, 0, 0, 1), (7, 1, 1, 0, 0, 1)]

    def write(rows: list[tuple[int, ...]], step: int) -> bytes:
        return bytes([3]) + b"".join(bytes([kind, who, a, b, c, size, step, n & 3]) for n, (kind, who, a, b, c, size) in enumerate(rows))
    return [write(handshake, 1), write(others, 1), write(handshake + others + handshake, 200), write(others[::-1] + handshake, 77)]


def analyses() -> list[bytes]:
    """Two captures of one box: the length of the first in two bytes, then both."""
    seeds = []
    for folder in sorted(CAPTURES.iterdir()):
        if (folder / "inside.pcap").exists():
            inside, outside = (beginning(folder / f"{side}.pcap", 3000) for side in ("inside", "outside"))
            seeds.append(struct.pack("<H", len(inside)) + inside + outside)
    one = pcapngs()[4]
    return [*seeds, struct.pack("<H", len(one)) + one + one, b"\0\0" + one]


def foreign() -> list[bytes]:
    """First bytes of every format that somebody else reads, and of what is no capture."""
    return [magic + bytes(60) for magic, _ in FOREIGN] + [b"PK\x03\x04" + bytes(40), b"hello", b"\x7fELF" + bytes(20)]


MAGICS: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    ("pcap", tuple(struct.pack(order + "I", magic) for order in "<>" for magic in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34))),
    ("pcapng", (b"\x0a\x0d\x0d\x0a",)), ("snoop", (b"snoop",)), ("gzip", (b"\x1f\x8b",)), ("bzip2", (b"BZh",)),
    ("xz", (b"\xfd7zXZ",)), ("zstd", (b"\x28\xb5\x2f\xfd",)), ("lz4", (b"\x04\x22\x4d\x18",)))


def from_folder(folder: Path, target: str, most: int) -> list[bytes]:
    """Files below a folder that a target is for, by their first bytes, none longer than `most`."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size <= most):
        data = path.read_bytes()
        kind = next((name for name, magics in MAGICS if data.startswith(magics)), "")
        if kind == target or (target == "erf" and path.suffix == ".erf") or (target == "etl" and path.suffix == ".etl"):
            found.append(data)
        elif target == "analyze" and kind in ("pcap", "pcapng") and len(data) < most // 2:
            found.append(struct.pack("<H", len(data)) + data + data)
    return found
