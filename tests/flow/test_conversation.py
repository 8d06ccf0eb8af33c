"""Conversations from packet scripts: who opened them, what was counted, their history and the state they were left in.

The scripts' notation is packet_script.py's. Upper case in a history is the client, lower case the server; "^" in front
says that the server's frame came first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packet_script import HOSTS, Frame, pcap, script, write

from pcapnat.address import parse, text
from pcapnat.flow import Conversations, Port, Tracker, observe, protocol_name
from pcapnat.table import Table
from pcapnat.terms import Point
from pcapnat.wire import Capture, batches, capture

Natively = Callable[[], AbstractContextManager[None]]
LAX = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HANDSHAKE = "A S 100 | B SA 500 101 | A . 101 501"


def seen(folder: Path, packets: str | list[Frame]) -> Port:
    """What a point shows whose capture holds these packets."""
    path = write(folder / "script.pcap", script(packets) if isinstance(packets, str) else packets)
    return observe(Point("here", (path,)), 64)[0]


class Told(NamedTuple):
    """A conversation in words: proto, who `a` is, client, history, state, frames each way, segments sent again."""

    proto: str
    a: str
    client: str
    history: str
    state: str
    packets: tuple[int, int]
    again: int = 0


def tell(c: Conversations) -> list[Told]:
    """All conversations in words, hosts by their script names."""
    names = {address: name for name, (address, _) in HOSTS.items()}
    a, b = c.addresses()
    rows = zip(
        c.proto.tolist(),
        a,
        b,
        c.client().tolist(),
        c.histories(),
        c.states(),
        c.packets_ab.tolist(),
        c.packets_ba.tolist(),
        c.retransmissions.tolist(),
        strict=True,
    )
    return [
        Told(protocol_name(proto), names[one], "?" if client < 0 else names[(one, other)[client]], history, state, (there, back), again)
        for proto, one, other, client, history, state, there, back, again in rows
    ]


TCP = {
    "nothing but a SYN": ("A S 100", "A", "S", "attempt", (1, 0), 0),
    "a SYN sent three times": ("A S 100 | +1000 A S 100 | +2000 A S 100", "A", "S", "attempt", (3, 0), 2),
    "refused": ("A S 100 | B R 0 101", "A", "Sr", "refused", (1, 1), 0),
    "half-open": ("A S 100 | B SA 500 101", "A", "Sh", "half-open", (1, 1), 0),
    "half-open, answered again": ("A S 100 | B SA 500 101 | +1000 B SA 500 101", "A", "Sh", "half-open", (1, 2), 1),
    "established": (HANDSHAKE, "A", "ShA", "established", (2, 1), 0),
    "with data": (HANDSHAKE + " | A P 101 501 x10 | B . 501 111 | B P 501 111 x20 | A . 111 521", "A", "ShADad", "established", (4, 3), 0),
    "one end closed": (HANDSHAKE + " | A F 101 501 | B . 501 102", "A", "ShAFa", "closing", (3, 2), 0),
    "closed both ways": (HANDSHAKE + " | A F 101 501 | B F 501 102 | A . 102 502", "A", "ShAFf", "closed", (4, 2), 0),
    "closed by the server first": (HANDSHAKE + " | B F 501 101 | A F 101 502 | B . 502 102", "A", "ShAfFa", "closed", (3, 3), 0),
    "reset by the server": (HANDSHAKE + " | A P 101 501 x5 | B R 501", "A", "ShADr", "reset", (3, 2), 0),
    "reset after one FIN": (HANDSHAKE + " | A F 101 501 | B R 501", "A", "ShAFr", "reset", (3, 2), 0),
    "reset when all was done": (HANDSHAKE + " | A F 101 501 | B F 501 102 | A R 102", "A", "ShAFfR", "closed", (4, 2), 0),
    "given up by the client": ("A S 100 | B SA 500 101 | A R 101", "A", "ShR", "reset", (2, 1), 0),
    "mid-stream": ("A P 101 501 x5 | B . 501 106 | B P 501 106 x7", "?", "Dad", "partial", (1, 2), 0),
    "simultaneous open": ("A S 100 | B S 500 | A SA 100 501 | B SA 500 101", "A", "SsHh", "established", (2, 2), 2),
    "SYN-ACK first": ("B SA 500 101 | A . 101 501 | A P 101 501 x5", "A", "^hAD", "established", (1, 2), 0),
    "SYN-ACK only": ("B SA 500 101", "A", "^h", "half-open", (1, 0), 0),
    "SYN and RST together": ("A SR 100", "?", "Q", "partial", (1, 0), 0),
    "SYN and FIN together": ("A SF 100", "?", "Q", "partial", (1, 0), 0),
    "FIN and RST together": (HANDSHAKE + " | A FR 101 501", "A", "ShARI", "reset", (3, 1), 0),
    "retransmission": (HANDSHAKE + " | A P 101 501 x10 | +300 A P 101 501 x10", "A", "ShADT", "established", (4, 1), 1),
    "retransmission of what was acknowledged": (
        HANDSHAKE + " | A P 101 501 x10 | B . 501 111 | A P 101 501 x10",
        "A",
        "ShADaT",
        "established",
        (4, 2),
        1,
    ),
    "two repeated ACKs ask for it": (
        "A S 100 | +50 B SA 500 101 | A . 101 501 | A P 111 501 x10 | B . 501 101 | B . 501 101 | B . 501 101 | A P 101 501 x10",
        "A",
        "ShADGaT",
        "established",
        (4, 4),
        1,
    ),
    "late, not sent again": (
        "A S 100 | +50 B SA 500 101 | A . 101 501 | A P 111 501 x10 | A P 101 501 x10",
        "A",
        "ShADG",
        "established",
        (4, 1),
        0,
    ),
    "FIN sent again": (HANDSHAKE + " | A F 101 501 | +300 A F 101 501", "A", "ShAF", "closing", (4, 1), 1),
    "gap": (HANDSHAKE + " | A P 111 501 x10", "A", "ShADG", "established", (3, 1), 0),
    "keep-alive without a byte": (
        HANDSHAKE + " | +9000 A . 100 501 | B . 501 101 | +9000 A . 100 501",
        "A",
        "ShAa",
        "established",
        (4, 2),
        0,
    ),
    "keep-alive with a byte": (
        HANDSHAKE + " | A P 101 501 x9 | B . 501 110 | +9000 A . 109 501 x1 | B . 501 110",
        "A",
        "ShADa",
        "established",
        (4, 3),
        0,
    ),
    "zero window": (HANDSHAKE + " | B . 501 101 w0", "A", "ShAaw", "established", (2, 2), 0),
    "zero window in a SYN-ACK does not count": ("A S 100 | B SA 500 101 w0", "A", "Sh", "half-open", (1, 1), 0),
    "sequence numbers around zero": (
        "A S 4294967290 | B SA 4294967295 4294967291 | A . 4294967291 0 | A P 4294967291 0 x10 | B . 0 5 | A P 5 0 x4",
        "A",
        "ShADa",
        "established",
        (4, 2),
        0,
    ),
}


@pytest.mark.parametrize("name", TCP)
def test_tcp(name: str, tmp_path: Path, mode: str) -> None:
    packets, client, history, state, counts, again = TCP[name]
    port = seen(tmp_path, packets)
    (told,) = tell(port.conversations)
    assert told == Told("tcp", packets.split()[0], client, history, state, counts, again)
    assert port.conversation.tolist() == [0] * len(port.packets)
    assert port.reverse.sum() == counts[1]


OTHERS = {
    "UDP one way": ("A udp x5 | A udp x6", [Told("udp", "A", "A", "D", "one-way", (2, 0))]),
    "UDP both ways": ("A udp x5 | B udp x6", [Told("udp", "A", "A", "Dd", "two-way", (1, 1))]),
    "UDP without a byte": ("A udp | B udp", [Told("udp", "A", "A", "", "two-way", (1, 1))]),
    "UDP, ports the other way round are another conversation": (
        "A:5 udp x1 | B:5 udp x1 | A udp x1",
        [Told("udp", who, who, "D", "one-way", (1, 0)) for who in "ABA"],
    ),
    "echo by identifier": (
        "A ping 7 1 x8 | B pong 7 1 x8 | A ping 8 1 x8 | A ping 7 2 x8",
        [Told("icmp", "A", "A", "Dd", "two-way", (2, 1)), Told("icmp", "A", "A", "D", "one-way", (1, 0))],
    ),
    "echo of IPv6": ("X ping 7 1 x8 | Y pong 7 1 x8", [Told("icmpv6", "X", "X", "Dd", "two-way", (1, 1))]),
    "a protocol without ports": ("A gre x8 | B gre x9 | A gre x8", [Told("gre", "A", "A", "Dd", "two-way", (2, 1))]),
    "TCP over IPv6": ("X S 1 | Y R 0 2", [Told("tcp", "X", "X", "Sr", "refused", (1, 1))]),
    "TCP and UDP on one 5-tuple": (
        "A S 1 | A udp x1",
        [Told("tcp", "A", "A", "S", "attempt", (1, 0)), Told("udp", "A", "A", "D", "one-way", (1, 0))],
    ),
    "to itself": ("A>A udp x1 | A>A udp x1", [Told("udp", "A", "A", "D", "one-way", (2, 0))]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_others(name: str, tmp_path: Path, mode: str) -> None:
    packets, want = OTHERS[name]
    assert tell(seen(tmp_path, packets).conversations) == want


def test_ports_and_identifiers(tmp_path: Path) -> None:
    c = seen(tmp_path, "A S 1 | A ping 777 1 x8 | B pong 777 1 x8 | A gre x8").conversations
    assert [c.ports_text(i) for i in range(3)] == [(40000, 80), (777, 777), (None, None)]
    assert c.stream.tolist() == [0, -1, -1]


REUSE = {
    "a new ISN is a new conversation": (
        HANDSHAKE + " | A F 101 501 | B F 501 102 | A . 102 502 | A S 9000 | B SA 7000 9001",
        ["ShAFf", "Sh"],
        [0, 0, 0, 0, 0, 0, 1, 1],
    ),
    "also with no end to the old one": (HANDSHAKE + " | A S 9000", ["ShA", "S"], [0, 0, 0, 1]),
    "the same ISN is the same SYN again": ("A S 100 | A S 100 | B SA 500 101", ["Sh"], [0, 0, 0]),
    "from the other end": (HANDSHAKE + " | B S 9000 | A SA 4000 9001", ["ShA", "Sh"], [0, 0, 0, 1, 1]),
    "mid-stream, then a SYN": ("A P 101 501 x5 | A S 9000", ["D", "S"], [0, 1]),
    "frames go to the newest": ("A S 100 | A S 200 | A S 100", ["S", "S", "S"], [0, 1, 2]),
}


@pytest.mark.parametrize("name", REUSE)
def test_reuse_of_a_tuple(name: str, tmp_path: Path, mode: str) -> None:
    packets, histories, belongs = REUSE[name]
    port = seen(tmp_path, packets)
    assert port.conversations.histories() == histories
    assert port.conversation.tolist() == belongs
    assert port.conversations.stream.tolist() == list(range(len(histories)))


ERRORS = {
    "about one that is known": ("A udp x5 | R about A udp x5", ["udp"], [1], [0], [0, -1]),
    "twice": ("A udp x5 | R about A udp x5 | R about A udp x5", ["udp"], [2], [0, 0], [0, -1, -1]),
    "from the far end, quoting the answer": ("A S 1 | B SA 5 2 | A>B about B SA 5 2", ["tcp"], [1], [0], [0, 0, -1]),
    "about nothing that was seen": ("R about A udp x5", [], [], [-1], [-1]),
    "before the packet itself": ("R about A udp x5 | A udp x5", ["udp"], [1], [0], [-1, 0]),
    "quoted before the answer": ("R about A udp x5 | B udp x5", ["udp"], [1], [0], [-1, 0]),
    "about TCP before the packet itself": ("R about A S 100 | A S 100 | B SA 500 101", ["tcp"], [1], [0], [-1, 0, 0]),
    "about echo": ("A ping 7 1 x8 | R about A ping 7 1 x8", ["icmp"], [1], [0], [0, -1]),
    "about IPv6": ("X udp x5 | Y>X about X udp x5", ["udp"], [1], [0], [0, -1]),
}


@pytest.mark.parametrize("name", ERRORS)
def test_icmp_errors(name: str, tmp_path: Path, mode: str) -> None:
    packets, protos, errors, about, belongs = ERRORS[name]
    port = seen(tmp_path, packets)
    c = port.conversations
    assert [protocol_name(p) for p in c.proto.tolist()] == protos
    assert c.errors.tolist() == errors
    assert port.about.tolist() == about
    assert port.conversation.tolist() == belongs
    assert (c.packets_ab + c.packets_ba).sum() == sum(b >= 0 for b in belongs), "an error is no packet of what it quotes"
    assert (c.packets_ab > 0).all(), "a sent first"


def test_a_quoted_stranger_takes_a_stream_number(tmp_path: Path) -> None:
    # As in Wireshark: it counts a UDP stream for a quoted packet that it never meets.
    port = seen(tmp_path, "R about A udp x5 | A:6 udp x5 | A:7 udp x5")
    assert port.conversations.stream.tolist() == [1, 2]


def test_times_lengths_and_round_trip(tmp_path: Path) -> None:
    frames = script("A S 100 | +40 B SA 500 101 | +2 A . 101 501 | +100 A P 101 501 x10")
    c = seen(tmp_path, frames).conversations
    assert c.first_ns.tolist() == [frames[0].time_ns]
    assert c.last_ns.tolist() == [frames[-1].time_ns]
    assert c.rtt_ns.tolist() == [42_000_000]
    assert c.bytes_ab.tolist() == [sum(len(f.data) for f in (frames[0], frames[2], frames[3]))]
    assert c.bytes_ba.tolist() == [len(frames[1].data)]


ROUND_TRIPS = {
    "from the last SYN": ("A S 100 | +1000 A S 100 | +30 B SA 500 101 | +1 A . 101 501", 31),
    "not for a refusal": ("A S 100 | +30 B R 0 101", None),
    "not without a SYN": ("B SA 500 101 | +30 A . 101 501", None),
    "not for another ACK": ("A S 100 | +30 B SA 500 101 | +30 A . 150 501", None),
    "data may carry it": ("A S 100 | +30 B SA 500 101 | +5 A P 101 501 x10", 35),
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_round_trip(name: str, tmp_path: Path, mode: str) -> None:
    packets, milliseconds = ROUND_TRIPS[name]
    want = -1 if milliseconds is None else milliseconds * 1_000_000
    assert seen(tmp_path, packets).conversations.rtt_ns.tolist() == [want]


def test_first_and_last_time_of_a_file_out_of_order(tmp_path: Path) -> None:
    frames = script("A udp x1 | +50 B udp x1 | +50 A udp x1")
    c = seen(tmp_path, [frames[0], frames[2], frames[1]]).conversations
    assert c.last_ns.tolist() == [frames[2].time_ns]


def test_an_error_does_not_lend_its_time(tmp_path: Path) -> None:
    error, datagram = script("R about A udp x5 | A udp x5")
    late = Frame(datagram.time_ns + 10**9, error.data)
    c = seen(tmp_path, [late, datagram]).conversations
    assert (c.first_ns.tolist(), c.last_ns.tolist()) == ([datagram.time_ns], [datagram.time_ns])


# --- properties ---


@st.composite
def packets(draw: st.DrawFn) -> str:
    """One packet of a script; a few hosts and numbers, so that tuples meet again."""
    who = draw(st.sampled_from(["A", "B", "C", "B>C", "A:7", "B>A:7", "X", "Y"]))
    number = st.sampled_from([0, 1, 100, 101, 102, 111, 500, 4294967295])
    payload = draw(st.sampled_from(["", " x1", " x10"]))
    kind = draw(st.sampled_from(["tcp", "tcp", "tcp", "udp", "ping", "about", "gre"]))
    if kind == "tcp":
        flags = draw(st.sampled_from(["S", "SA", ".", "P", "F", "R", "SF", "SR", "FP"]))
        return f"{who} {flags} {draw(number)} {draw(number)}{payload} w{draw(st.sampled_from([0, 512]))}"
    if kind == "ping":
        return f"{who} {draw(st.sampled_from(['ping', 'pong']))} {draw(st.integers(1, 2))} 1{payload}"
    if kind == "about":
        return f"R about A S {draw(number)}" if draw(st.booleans()) else "Y>X about X udp x4"
    return f"{who} {kind}{payload}"


SCRIPT = st.lists(st.tuples(packets(), st.integers(0, 50)), min_size=1, max_size=40).map(
    lambda parts: " | ".join(f"+{gap} {p}" for p, gap in parts)
)


def columns(table: Table) -> dict[str, Any]:
    """A table to compare: its columns as lists."""
    return {name: getattr(table, name).tolist() for name in table.columns}


def everything(port: Port) -> tuple[Any, ...]:
    """What must not depend on how the frames were read."""
    return columns(port.conversations), port.conversation.tolist(), port.reverse.tolist(), port.about.tolist()


@LAX
@given(words=SCRIPT)
def test_every_frame_is_in_one_conversation_or_in_none(words: str, tmp_path: Path) -> None:
    port = seen(tmp_path, words)
    c, belongs = port.conversations, port.conversation
    frames = words.count("|") + 1
    assert len(port.packets) == frames
    assert int((c.packets_ab + c.packets_ba).sum()) + int((belongs < 0).sum()) == frames
    assert int((belongs < 0).sum()) == words.count("about")
    assert np.bincount(belongs[belongs >= 0], minlength=len(c)).tolist() == (c.packets_ab + c.packets_ba).tolist()
    sizes = port.packets.wire_len.astype(np.int64)
    for i in range(len(c)):
        for way, count, size in ((0, c.packets_ab, c.bytes_ab), (1, c.packets_ba, c.bytes_ba)):
            mine = (belongs == i) & (port.reverse == way)
            assert (int(mine.sum()), int(sizes[mine].sum())) == (int(count[i]), int(size[i]))
        first = int(np.flatnonzero(belongs == i)[0])
        assert (int(c.first_row[i]), int(c.first_ns[i]), int(port.reverse[first])) == (first, int(port.packets.time_ns[first]), 0)
        assert int(c.last_ns[i]) == int(port.packets.time_ns[belongs == i].max())
        ends = {(text(*map(int, c.a[i])), int(c.a_port[i])), (text(*map(int, c.b[i])), int(c.b_port[i]))}
        for row in np.flatnonzero(belongs == i).tolist():
            assert text(*map(int, port.packets.src[row])) in {address for address, _ in ends}
    assert (np.diff(c.first_row) > 0).all()
    assert len(c.histories()) == len(c.states()) == len(c)
    assert set(c.states()) <= {
        "attempt",
        "refused",
        "half-open",
        "established",
        "closing",
        "closed",
        "reset",
        "partial",
        "one-way",
        "two-way",
    }


@LAX
@given(words=SCRIPT, chunk=st.integers(100, 400))
def test_chunks_and_the_way_to_run_do_not_matter(words: str, chunk: int, tmp_path: Path, natively: Natively) -> None:
    path = write(tmp_path / "script.pcap", script(words))
    whole = everything(observe(Point("here", (path,)), 64)[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture, "CHUNK", chunk)
        assert everything(observe(Point("here", (path,)), 64)[0]) == whole
    with natively():
        assert everything(observe(Point("here", (path,)), 64)[0]) == whole


@LAX
@given(words=SCRIPT, at=st.integers(0, 40))
def test_a_file_cut_in_two_is_the_same(words: str, at: int, tmp_path: Path) -> None:
    frames = [
        Frame(frame.time_ns + i, frame.data) for i, frame in enumerate(script(words))
    ]  # no two at one time: files are put in order by it
    whole = seen(tmp_path, frames)
    at = min(at, len(frames) - 1)
    one, other = write(tmp_path / "z.pcap", frames[:at]), write(tmp_path / "a.pcap", frames[at:])
    joined = observe(Point("here", (other, one) if at else (other,)), 64)[0]
    assert everything(joined) == everything(whole)
    assert joined.file_rows == ((at, len(frames) - at) if at else (len(frames),))


def test_many_conversations_make_the_tables_grow(tmp_path: Path, mode: str) -> None:
    # 3,000 conversations of two frames each, all questions first: beyond the first hash table and the first rows.
    many = 3000
    frames = []
    one, other = script("A udp x1 | B udp x1")
    for answer in (0, 1):
        for i in range(many):
            data = bytearray((one, other)[answer].data)
            at = 14 + 20 + 2 * answer
            data[at : at + 2] = (1024 + i).to_bytes(2, "big")
            frames.append(Frame(one.time_ns + answer * many + i, bytes(data)))
    (tmp_path / "many.pcap").write_bytes(pcap(frames))
    tracker = Tracker()
    for batch in batches(Capture(str(tmp_path / "many.pcap"), 500)):
        tracker.feed(batch)
    c, rows = tracker.finish()
    assert len(c) == many
    assert rows.tolist() == list(range(many))
    assert c.a_port.tolist() == [1024 + i for i in range(many)]
    assert Counter(zip(c.packets_ab.tolist(), c.packets_ba.tolist(), strict=True)) == {(1, 1): many}


def test_tracker_may_be_asked_before_the_end(tmp_path: Path) -> None:
    path = write(tmp_path / "script.pcap", script(HANDSHAKE))
    tracker = Tracker()
    assert len(tracker.finish()[0]) == 0
    for batch in batches(Capture(path, 1)):
        tracker.feed(batch)
        assert len(tracker.finish()[0]) == 1
    assert tracker.finish()[0].histories() == ["ShA"]


def test_interface_of_one_point_only(tmp_path: Path) -> None:
    # The frames of another interface are nothing here, their quotations too.
    from wire.made_files import enhanced, interface, section

    frames = script("A udp x1 | R about A udp x1 | A:7 udp x1 | R about A:7 udp x1 | A:8 udp x1 | R about A:8 udp x1")
    where = (0, 1, 1, 1, 0, 0)
    path = tmp_path / "two.pcapng"
    path.write_bytes(
        section("<")
        + interface("<", name="lan")
        + interface("<", name="wan")
        + b"".join(enhanced("<", f.time_ns // 1000, f.data, iface=i) for f, i in zip(frames, where, strict=True))
    )
    lan = observe(Point("lan", (str(path),), "lan"), 64)[0]
    assert lan.conversations.a_port.tolist() == [40000, 8]
    assert lan.conversations.errors.tolist() == [0, 1]
    assert lan.conversation.tolist() == [0, -1, -1, -1, 1, -1]
    assert lan.about.tolist() == [1]
    assert lan.quoted.carrier.tolist() == [5]
    wan = observe(Point("wan", (str(path),), "1"), 64)[0]
    assert wan.conversations.a_port.tolist() == [7]
    assert wan.conversations.errors.tolist() == [1]
    assert wan.quoted.carrier.tolist() == [1, 3]
    assert wan.about.tolist() == [-1, 0]


def test_parse_and_text_agree_on_the_hosts() -> None:
    assert all(text(*parse(address)) == address for address, _ in HOSTS.values())
