"""Three opinions on every frame: ours, tshark's and dpkt's."""
from __future__ import annotations

import os
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import dpkt
import pytest
from made_files import enhanced, interface, section
from made_frames import CASES, words
from second_opinion import differences

from pcapnat.wire import Capture, Flag, Packets, read

LARGEST = 1 << 20
"""Bytes of a capture that the others are asked about; they read some thousand frames a second."""
LINKS = {0: dpkt.loopback.Loopback, 1: dpkt.ethernet.Ethernet, 113: dpkt.sll.SLL, 276: dpkt.sll2.SLL2}
needs_wireshark = pytest.mark.skipif(not (shutil.which("tshark") and shutil.which("capinfos")), reason="tshark is not installed")
RAW = {4: dpkt.ip.IP, 6: dpkt.ip6.IP6}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A pcapng with every made frame, whole and cut in the middle, each link type an interface."""
    links = sorted({case.link for case in CASES})
    data = section("<") + b"".join(interface("<", link, resolution=9) for link in links)
    for n, case in enumerate(CASES):
        for size in (len(case.frame), len(case.frame) // 2):
            data += enhanced("<", 1_700_000_000_123_456_789 + n, case.frame[:size], iface=links.index(case.link), wire=len(case.frame))
    path = tmp_path_factory.mktemp("made") / "made.pcapng"
    path.write_bytes(data)
    return str(path)


@pytest.fixture(scope="module")
def files(captures: list[str], made: str) -> list[str]:
    """The made frames and the bundled captures, without the largest."""
    return [made, *(path for path in captures if os.path.getsize(path) <= LARGEST)]


@needs_wireshark
def test_tshark_agrees(files: list[str]) -> None:
    """Times, lengths, addresses, ports, TCP with its options, ICMP and what it quotes."""
    for path in files:
        _, packets, quoted = read(path)
        assert (path, differences(path, packets, quoted)) == (path, [])


@needs_wireshark
def test_capinfos_agrees(files: list[str]) -> None:
    """Frames, bytes and times by Wireshark's own counter."""
    for path in files:
        capture, _, _ = read(path)
        command = ["capinfos", "-T", "-r", "-B", "-c", "-d", "-a", "-e", "-S", path]
        line = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        count, size, first, last = line.removesuffix("\n").rpartition(path)[2].split("\t")[1:]
        assert (int(count), int(size)) == (capture.frames, capture.wire_bytes), path
        if count != "0":
            assert [Fraction(t) * 10**9 for t in (first, last)] == [capture.first_ns, capture.last_ns], path


def network(link: int, frame: bytes) -> Any:
    """dpkt's IP or IPv6 packet of a frame, or None."""
    try:
        packet = LINKS[link](frame) if link in LINKS else RAW.get(frame[0] >> 4, lambda _: None)(frame)
    except (dpkt.UnpackError, IndexError, KeyError, ValueError):
        return None
    while isinstance(packet, dpkt.Packet) and not isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6):
        packet = packet.data
    return packet if isinstance(packet, dpkt.Packet) else None


def dpkt_differences(capture: Capture, p: Packets, data: bytes) -> list[str]:
    """Every point on which dpkt and our columns differ, over the frames that dpkt takes apart; offsets lead into the file."""
    out, taken = [], 0
    for i in range(len(p)):
        at, flags = int(p.offset[i]), Flag(int(p.flags[i]))
        ip = network(capture.interfaces[p.interface[i]].link_type, data[at:at + int(p.cap_len[i])])
        if ip is None or flags & (Flag.SHORT | Flag.BAD):
            continue
        taken += 1
        version = 6 if isinstance(ip, dpkt.ip6.IP6) else 4
        theirs = {"src": words_of(ip.src), "dst": words_of(ip.dst), "ttl": ip.hlim if version == 6 else ip.ttl, "proto": ip.p}
        above = ip.data
        if isinstance(above, dpkt.tcp.TCP):
            theirs |= {"sport": above.sport, "dport": above.dport, "seq": above.seq, "ack": above.ack, "tcp_flags": above.flags,
                       "window": above.win}
        elif isinstance(above, dpkt.udp.UDP):
            theirs |= {"sport": above.sport, "dport": above.dport}
        elif isinstance(above, dpkt.icmp.ICMP | dpkt.icmp6.ICMP6):
            theirs |= {"icmp_type": above.type, "icmp_code": above.code}
        for name, value in theirs.items():
            mine = getattr(p, name)[i].tolist()
            if name == "tcp_flags":
                mine &= 0x1FF  # dpkt leaves out the three reserved bits
            if value != (tuple(mine) if isinstance(mine, list) else mine):
                out.append(f"frame {i + 1}: dpkt's {name} is {value}, ours {mine}")
    return out if taken or not len(p) else ["dpkt took no frame apart"]


def words_of(address: bytes) -> tuple[int, int]:
    """A packed address as the two numbers of our columns."""
    return words(".".join(map(str, address)) if len(address) == 4 else address.hex(":", 2))


def test_dpkt_agrees(files: list[str]) -> None:
    """Addresses, ports, TCP and ICMP, one frame at a time."""
    for path in files:
        capture, packets, _ = read(path)
        found = dpkt_differences(capture, packets, Path(path).read_bytes())
        assert (path, found) == (path, [])
