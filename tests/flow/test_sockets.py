"""Sockets: who listens and who connects, from packet scripts and from every bundled capture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from packet_script import HOSTS, script, write

from pcapnat.address import texts
from pcapnat.flow import Conversations, Sockets, observe, protocol_name, sockets
from pcapnat.flow.socket import ASKED, CONNECTS, LISTENS, ROLES
from pcapnat.terms import Point

NAMES = {address: name for name, (address, _) in HOSTS.items()}
HANDSHAKE = "A S 100 | B SA 500 101 | A . 101 501"


def seen(folder: Path, words: str) -> Conversations:
    """The conversations of a script."""
    return observe(Point("here", (write(folder / "script.pcap", script(words)),)), 0)[0].conversations


def tell(s: Sockets) -> list[tuple[Any, ...]]:
    """Sockets in words: protocol, host and port, role, conversations, peers, frames out and in."""
    names = [NAMES[address] for address in texts(s.address)]
    return sorted(
        (
            protocol_name(int(s.proto[i])),
            f"{names[i]}:{s.port[i]}",
            ROLES[int(s.role[i])],
            int(s.conversations[i]),
            int(s.peers[i]),
            int(s.packets_out[i]),
            int(s.packets_in[i]),
        )
        for i in range(len(s))
    )


CASES = {
    "nothing": ("A gre x8 | A ping 1 1", []),
    "TCP that answers": (HANDSHAKE, [("tcp", "A:40000", "connects", 1, 1, 2, 1), ("tcp", "B:80", "listens", 1, 1, 1, 2)]),
    "TCP seen from its SYN-ACK on": (
        "B SA 500 101 | A . 101 501",
        [("tcp", "A:40000", "connects", 1, 1, 1, 1), ("tcp", "B:80", "listens", 1, 1, 1, 1)],
    ),
    "TCP without an answer": ("A S 100", [("tcp", "A:40000", "connects", 1, 1, 1, 0), ("tcp", "B:80", "asked, no answer", 1, 1, 0, 1)]),
    "TCP refused": ("A S 100 | B R 0 101", [("tcp", "A:40000", "connects", 1, 1, 1, 1), ("tcp", "B:80", "asked, no answer", 1, 1, 1, 1)]),
    "TCP mid-stream, the higher port asks": (
        "B P 501 111 x5 | A . 111 506",
        [("tcp", "A:40000", "connects", 1, 1, 1, 1), ("tcp", "B:80", "listens", 1, 1, 1, 1)],
    ),
    "UDP that answers": ("A udp x1 | B udp x2", [("udp", "A:40000", "connects", 1, 1, 1, 1), ("udp", "B:80", "listens", 1, 1, 1, 1)]),
    "UDP without an answer": (
        "A udp x1 | A udp x2",
        [("udp", "A:40000", "connects", 1, 1, 2, 0), ("udp", "B:80", "asked, no answer", 1, 1, 0, 2)],
    ),
    "IPv6": ("X S 1 | Y SA 2 2", [("tcp", "X:40000", "connects", 1, 1, 1, 1), ("tcp", "Y:80", "listens", 1, 1, 1, 1)]),
    "two clients of one service": (
        "A udp x1 | B udp x1 | C udp x1 | B>C udp x1 | C:7 udp x1 | B>C:7 udp x1",
        [
            ("udp", "A:40000", "connects", 1, 1, 1, 1),
            ("udp", "B:80", "listens", 3, 2, 3, 3),
            ("udp", "C:40000", "connects", 1, 1, 1, 1),
            ("udp", "C:7", "connects", 1, 1, 1, 1),
        ],
    ),
    "one socket to two servers": (
        "A udp x1 | A>D udp x1",
        [
            ("udp", "A:40000", "connects", 2, 2, 2, 0),
            ("udp", "B:80", "asked, no answer", 1, 1, 0, 1),
            ("udp", "D:443", "asked, no answer", 1, 1, 0, 1),
        ],
    ),
    "answers one and not the other": (
        "A udp x1 | B udp x1 | C udp x1",
        [
            ("udp", "A:40000", "connects", 1, 1, 1, 1),
            ("udp", "B:80", "asked, no answer", 1, 1, 0, 1),
            ("udp", "B:80", "listens", 1, 1, 1, 1),
            ("udp", "C:40000", "connects", 1, 1, 1, 0),
        ],
    ),
    "one 5-tuple used twice": (
        HANDSHAKE + " | A S 9000 | B SA 1 9001",
        [("tcp", "A:40000", "connects", 2, 1, 3, 2), ("tcp", "B:80", "listens", 2, 1, 2, 3)],
    ),
    "TCP and UDP on one port": (
        "A S 1 | A udp x1",
        [
            ("tcp", "A:40000", "connects", 1, 1, 1, 0),
            ("tcp", "B:80", "asked, no answer", 1, 1, 0, 1),
            ("udp", "A:40000", "connects", 1, 1, 1, 0),
            ("udp", "B:80", "asked, no answer", 1, 1, 0, 1),
        ],
    ),
    "a host that talks to itself": (
        "A:5>A:6 udp x1 | A:6>A:5 udp x1",
        [("udp", "A:5", "connects", 1, 1, 1, 1), ("udp", "A:6", "listens", 1, 1, 1, 1)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_sockets(name: str, tmp_path: Path) -> None:
    words, want = CASES[name]
    assert tell(sockets(seen(tmp_path, words))) == want


def test_times(tmp_path: Path) -> None:
    frames = script("A udp x1 | +100 B udp x1 | +500 C udp x1")
    s = sockets(observe(Point("here", (write(tmp_path / "t.pcap", frames),)), 0)[0].conversations)
    listening = (s.role == LISTENS).nonzero()[0]
    assert s.first_ns[listening].tolist() == [frames[0].time_ns]
    assert s.last_ns[listening].tolist() == [frames[1].time_ns]
    assert s.last_ns[s.role == ASKED].tolist() == [frames[2].time_ns]


def test_every_bundled_capture_adds_up(captures: list[str]) -> None:
    for path in captures:
        c = observe(Point("here", (path,)), 0)[0].conversations
        s = sockets(c)
        with_ports = (c.a_port >= 0) & (c.proto != 1) & (c.proto != 58)
        packets = int((c.packets_ab + c.packets_ba)[with_ports].sum())
        assert s.packets_out.sum() == s.packets_in.sum() == packets
        assert int(s.conversations[s.role == CONNECTS].sum()) == int(s.conversations[s.role != CONNECTS].sum()) == int(with_ports.sum())
        assert (s.peers >= 1).all()
        assert (s.peers <= s.conversations).all()
        assert (s.first_ns <= s.last_ns).all()
        keys = list(zip(s.proto.tolist(), texts(s.address), s.port.tolist(), s.role.tolist(), strict=True))
        assert len(keys) == len(set(keys))
