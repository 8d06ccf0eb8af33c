"""Stream numbers and membership where a frame has more than one header, or only part of one."""
from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from made_files import pcap_head, pcap_record
from made_frames import A4, B4, DATA, ether, extension, fragment6, ip4, ip6, tcp, udp
from made_links import OUTER4, TUNNELS

from pcapnat.flow import Port, Tracker, observe
from pcapnat.terms import Point
from pcapnat.wire import Capture, batches

needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
BACK = {"src": B4, "dst": A4}


def seen(folder: Path, frames: list[bytes]) -> tuple[str, Port]:
    """A capture of these frames, and what it shows."""
    path = folder / "made.pcap"
    path.write_bytes(pcap_head("<") + b"".join(pcap_record("<", n, 0, frame) for n, frame in enumerate(frames)))
    return str(path), observe(Point("here", (str(path),)), 64)[0]


def streams(port: Port) -> list[tuple[str, int]]:
    """Protocol and stream number of every frame's conversation."""
    c = port.conversations
    return [({6: "tcp", 17: "udp"}.get(int(c.proto[k]), ""), int(c.stream[k])) for k in port.conversation]


def parts4(ident: int, **ends: str) -> list[bytes]:
    """A UDP datagram in three fragments."""
    whole = udp(bytes(range(48)))
    return [ether(0x0800, ip4(17, whole[at:at + 24], ident=ident, frag=at // 8 | (0x2000 if at < 48 else 0), **ends)) for at in (0, 24, 48)]


def parts6(ident: int, **ends: str) -> list[bytes]:
    """A UDP datagram in two fragments, the second behind another extension header."""
    whole = udp(bytes(40))
    return [ether(0x86DD, ip6(44, fragment6(17, 0, 1, ident) + whole[:24], **ends)),
            ether(0x86DD, ip6(60, extension(44) + fragment6(17, 3, 0, ident) + whole[24:], **ends))]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1)])
def test_fragments_join_their_datagram(tmp_path: Path, mode: str, order: tuple[int, ...]) -> None:
    """In any order, both directions, and without being counted."""
    there, back, other = parts4(7), parts4(7, **BACK), parts4(8, dst="203.0.113.81")
    frames = [ether(0x0800, ip4(17, udp(), dst="203.0.113.82")), *(p[n] for n in order for p in (there, other))]
    reply = [ether(0x0800, ip4(17, udp(sport=53, dport=5353), **BACK))]  # of the first datagram's conversation
    _, port = seen(tmp_path, frames + reply + [back[n] for n in order])
    groups: dict[int, set[int]] = {}
    for row, k in enumerate(port.conversation.tolist()):
        groups.setdefault(k, set()).add(row)
    assert sorted(map(sorted, groups.values())) == [[0], [1, 3, 5, 7], [2, 4, 6], [8, 9, 10]]
    assert port.stray_fragments == 0
    assert int(port.conversations.packets_ab.sum() + port.conversations.packets_ba.sum()) == 5


def test_fragments_of_ipv6_join_too(tmp_path: Path, mode: str) -> None:
    """Behind other extension headers, last part first."""
    _, port = seen(tmp_path, [*parts6(1), *reversed(parts6(2, dst="2001:db8:ffff::81"))])
    assert port.conversation.tolist() == [0, 0, 1, 1]


def test_a_fragment_without_its_first_belongs_nowhere(tmp_path: Path, mode: str) -> None:
    """It is counted as stray."""
    _, port = seen(tmp_path, [parts4(1)[1], parts4(2)[0], parts4(1)[2]])
    assert port.conversation.tolist() == [-1, 0, -1]
    assert port.stray_fragments == 2


def test_spis_are_conversations_of_one_direction(tmp_path: Path, mode: str) -> None:
    """Each SPI, each call."""
    def esp(spi: int, **ends: str) -> bytes:
        return ether(0x0800, ip4(50, struct.pack(">II", spi, 1) + DATA, **ends))
    call = ether(0x0800, ip4(47, bytes.fromhex("2081880b000000420000001d")))
    _, port = seen(tmp_path, [esp(0xDEADBEEF), esp(5), esp(0xDEADBEEF), esp(5, **BACK), call, esp(5)])
    assert port.conversation.tolist() == [0, 1, 0, 2, 3, 1]
    assert port.conversations.spi.tolist() == [0xDEADBEEF, 5, 5, 0x42]
    assert port.conversations.a_port.tolist() == [-1] * 4


def many_in_tunnels() -> list[bytes]:
    """Segments and datagrams in every tunnel, the tunnels' ends also talking to each other without one, and errors about both."""
    frames: list[bytes] = []
    for n, around in enumerate(TUNNELS):
        if not around.inner6 and "sequence" not in around.name and "acknowledgment" not in around.name:
            frames += [around.frame(ip4(6, tcp(sport=1000 + n))), around.frame(ip4(17, udp(bytes(24), sport=2000 + n))),
                       around.frame(ip4(6, tcp(sport=443, dport=1000 + n), **BACK)),
                       ether(0x0800, ip4(17, udp(sport=3000 + n), src=OUTER4[1], dst=OUTER4[0]))]
    return frames


def tshark_streams(path: str) -> list[tuple[str, int]]:
    """tshark's stream of every frame's innermost header."""
    command = ["tshark", "-n", "-r", path, "-o", "ip.defragment:FALSE", "-T", "fields", "-E", "occurrence=l", "-E", "separator=,"]
    output = subprocess.run([*command, "-e", "tcp.stream", "-e", "udp.stream"], capture_output=True, text=True, check=True).stdout
    pairs: list[Any] = [line.split(",") for line in output.splitlines()]
    return [("tcp", int(t)) if t else ("udp", int(u)) if u else ("", -1) for t, u in pairs]


@needs_tshark
def test_stream_numbers_in_tunnels_are_wiresharks(tmp_path: Path, mode: str) -> None:
    """UDP headers around a packet take up numbers, in the order of the headers."""
    path, port = seen(tmp_path, many_in_tunnels())
    assert streams(port) == tshark_streams(path)
    assert len(port.outer) > 50


def test_udp_around_packets_is_counted_when_asked_for(tmp_path: Path, mode: str) -> None:
    """Carriers have their own frames and bytes, both ways, and their frames belong to the packets inside."""
    around = next(t for t in TUNNELS if t.name == "vxlan")
    frames = [around.frame(ip4(6, tcp(sport=1000))), around.frame(ip4(6, tcp(sport=1001)))]
    mac, outer = frames[0][:14], frames[0][14:]
    back = mac + outer[:12] + outer[16:20] + outer[12:16] + outer[22:24] + outer[20:22] + outer[24:]
    path, port = seen(tmp_path, [*frames, back])
    assert [int(p) for p in port.conversations.proto] == [6, 6]
    tracker = Tracker(carriers=True)
    for batch in batches(Capture(path)):
        tracker.feed(batch)
    c = tracker.finish()[0]
    assert c.carries().tolist() == [True, False, False]
    assert c.stream.tolist() == [0, 0, 1]
    assert (c.packets_ab.tolist(), c.packets_ba.tolist()) == ([2, 2, 1], [1, 0, 0])
    assert c.bytes_ab.tolist()[0] == sum(map(len, frames))
    assert c.bytes_ba.tolist()[0] == len(back)


@pytest.mark.parametrize("header", [tcp()[:12], udp()[:6]], ids=["tcp", "udp"])
def test_a_header_cut_in_its_fixed_part_opens_nothing(tmp_path: Path, mode: str, header: bytes) -> None:
    """As in Wireshark: it has ports, and no stream."""
    _, port = seen(tmp_path, [ether(0x0800, ip4(6 if len(header) == 12 else 17, header))])
    assert len(port.conversations) == 0
    assert port.packets.sport.tolist() != [0]
