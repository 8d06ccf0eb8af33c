"""Conversations as tshark sees them: streams, their numbers and counts, frame by frame and in its `-z conv` tables.

Also by hand, over any files, with round trips and segments sent again:

    python tests/flow/test_streams.py FILE...

tshark runs without putting fragments together, since a conversation here is one of frames. Where the two mean different
things the difference is left out: tshark shows a stream for the packet an ICMP error quotes, a round trip for a SYN that was
refused, and bytes of 10 kB and more in its tables rounded. Of tunnels the innermost conversation is compared; that the
tables list the outer ones too shows as a difference.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import pytest

from pcapnat.flow import Conversations, Tracker
from pcapnat.wire import Capture, batches

TSHARK = (
    "tshark",
    "-n",
    "-o",
    "ip.defragment:FALSE",
    "-o",
    "ipv6.defragment:FALSE",
    "-E",
    "occurrence=l",
    "-E",
    "separator=|",
    "-T",
    "fields",
    "-z",
    "conv,tcp",
    "-z",
    "conv,udp",
)
FIELDS = (
    "tcp.stream",
    "udp.stream",
    "ip.src",
    "ipv6.src",
    "ip.dst",
    "ipv6.dst",
    "tcp.srcport",
    "udp.srcport",
    "tcp.dstport",
    "udp.dstport",
    "frame.len",
    "icmp.type",
    "icmpv6.type",
    "tcp.analysis.initial_rtt",
    "tcp.analysis.retransmission",
)
TABLE_EXACT = 10_000
"""Bytes from which on the tables say "11 kB"."""
needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

Stream = tuple[str, int]
"""Protocol and number."""


class Row(NamedTuple):
    """A stream: both ends, then frames and bytes each way."""

    a: tuple[str, int]
    b: tuple[str, int]
    packets_ab: int
    packets_ba: int
    bytes_ab: int
    bytes_ba: int


class Streams(NamedTuple):
    """All of a file: rows by stream; the rows of the conv tables; for TCP round trips (ns) and segments sent again, where there are any."""

    rows: dict[Stream, Row]
    table: Counter[tuple[str, Row]]
    rtt_ns: dict[Stream, int]
    again: dict[Stream, int]


def conversations(path: str) -> Conversations:
    """The conversations of a file, kernels as they are."""
    tracker = Tracker(carriers=True)
    for batch in batches(Capture(path)):
        tracker.feed(batch)
    return tracker.finish()[0]


def ours(c: Conversations) -> Streams:
    """Our TCP and UDP conversations as streams."""
    a, b = c.addresses()
    out, carries = Streams({}, Counter(), {}, {}), c.carries()
    for i in range(len(c)):
        if c.stream[i] < 0:
            continue
        stream = "tcp" if c.proto[i] == 6 else "udp", int(c.stream[i])
        row = Row(
            (a[i], int(c.a_port[i])),
            (b[i], int(c.b_port[i])),
            int(c.packets_ab[i]),
            int(c.packets_ba[i]),
            int(c.bytes_ab[i]),
            int(c.bytes_ba[i]),
        )
        if not carries[i]:  # of a tunnelled packet tshark's fields name the innermost stream, its tables all of them
            out.rows[stream] = row
        sizes = {name: size if size < TABLE_EXACT else -1 for name, size in (("bytes_ab", row.bytes_ab), ("bytes_ba", row.bytes_ba))}
        out.table[stream[0], ordered(row._replace(**sizes))] += 1
        if c.rtt_ns[i] >= 0:
            out.rtt_ns[stream] = int(c.rtt_ns[i])
        if c.retransmissions[i]:
            out.again[stream] = int(c.retransmissions[i])
    return out


def theirs(path: str) -> Streams:
    """tshark's streams, added up from its frames (`a` sent the first one), and its tables."""
    counts: dict[Stream, list[int]] = {}
    who: dict[Stream, tuple[tuple[str, int], tuple[str, int]]] = {}
    rtt: dict[Stream, int] = {}
    again: dict[Stream, int] = {}
    said = subprocess.run(
        [*TSHARK, *(word for name in FIELDS for word in ("-e", name)), "-r", path], capture_output=True, text=True, check=False
    )
    lines = said.stdout.splitlines()
    for line in lines:
        cells = line.split("|")
        if len(cells) != len(FIELDS):  # the tables behind the frames
            continue
        tcp, udp, src4, src6, dst4, dst6, tcp_src, udp_src, tcp_dst, udp_dst, size, icmp, icmp6, handshake, sent_again = cells
        if icmp or icmp6 or not (tcp or udp):
            continue
        stream = ("tcp", int(tcp)) if tcp else ("udp", int(udp))
        src, dst = (src4 or src6, int(tcp_src or udp_src)), (dst4 or dst6, int(tcp_dst or udp_dst))
        who.setdefault(stream, (src, dst))
        count = counts.setdefault(stream, [0, 0, 0, 0])
        back = 0 if who[stream] == (src, dst) else 1
        count[back] += 1
        count[2 + back] += int(size)
        if handshake:
            rtt.setdefault(stream, round(float(handshake) * 1e9))
        if sent_again:  # fast and spurious ones are marked as this too
            again[stream] = again.get(stream, 0) + 1
    return Streams({stream: Row(*who[stream], *count) for stream, count in counts.items()}, tables(lines), rtt, again)


def tables(lines: list[str]) -> Counter[tuple[str, Row]]:
    """The rows of tshark's conversation tables, each with its smaller end first; rounded bytes are -1."""
    out: Counter[tuple[str, Row]] = Counter()
    proto = ""
    for line in lines:
        if line.endswith(" Conversations"):
            proto = line.split()[0].lower()
        left, sign, right = line.partition("<->")
        if sign:
            words = right.split()  # the other end; frames, bytes and unit from it, to it, and both; start and duration
            back, there = (int(words[1]), _bytes(words[2:4])), (int(words[4]), _bytes(words[5:7]))
            out[proto, ordered(Row(_end(left.strip()), _end(words[0]), there[0], back[0], there[1], back[1]))] += 1
    return out


def _end(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address, int(port)


def _bytes(words: list[str]) -> int:
    return int(words[0]) if words[1] == "bytes" else -1


def ordered(row: Row) -> Row:
    """A row with its smaller end first: the tables do not say who sent first."""
    if row.a <= row.b:
        return row
    return Row(row.b, row.a, row.packets_ba, row.packets_ab, row.bytes_ba, row.bytes_ab)


def differences(path: str) -> tuple[list[str], list[str], Streams]:
    """What of a file's streams differs, a line each; what of the TCP analysis differs; and ours."""
    c = conversations(path)
    mine, yours = ours(c), theirs(path)
    refused = {("tcp", int(c.stream[i])) for i, state in enumerate(c.states()) if state == "refused"}
    out = [
        f"{stream}: {mine.rows.get(stream)} here, {yours.rows.get(stream)} there"
        for stream in sorted(mine.rows.keys() | yours.rows.keys())
        if mine.rows.get(stream) != yours.rows.get(stream)
    ]
    out += [f"table: {row} here" for row in mine.table - yours.table] + [f"table: {row} there" for row in yours.table - mine.table]
    rtt = {stream: value for stream, value in yours.rtt_ns.items() if stream not in refused}
    analysis = [
        f"{stream}: round trip {mine.rtt_ns.get(stream)} ns here, {rtt.get(stream)} ns there"
        for stream in sorted(mine.rtt_ns.keys() | rtt.keys())
        if mine.rtt_ns.get(stream) != rtt.get(stream)
    ]
    analysis += [
        f"{stream}: sent again {mine.again.get(stream, 0)} here, {yours.again.get(stream, 0)} there"
        for stream in sorted(mine.again.keys() | yours.again.keys())
        if mine.again.get(stream) != yours.again.get(stream)
    ]
    return out, analysis, mine


@needs_tshark
def test_bundled_captures_equal_tshark(captures: list[str]) -> None:
    for path in captures:
        streams, analysis, mine = differences(path)
        assert not streams, path
        assert not analysis, path
        assert mine.rows, path


@needs_tshark
def test_a_generated_capture_equals_tshark(tmp_path: Path, natively: Callable[[], AbstractContextManager[None]]) -> None:
    from bench.generate import generate

    generate(20_000, tmp_path)
    with natively():
        for side in ("inside", "outside"):
            streams, analysis, mine = differences(str(tmp_path / f"{side}.pcap"))
            assert not streams
            assert not analysis
            assert len(mine.rows) > 700
            assert sum(mine.again.values()) > 100


def test_the_table_reader() -> None:
    said = """TCP Conversations
192.168.1.11:46590         <-> 198.51.100.10:7777               3 1804 bytes       5 11 kB       8 12 kB     2.241327000         0.0008
================================================================================
UDP Conversations
fd00:1:1::10:41000         <-> 2001:db8:99::10:80           5 1992 bytes     7 654 bytes    12 2646 bytes     0.610216000       0.0022
"""
    assert tables(said.splitlines()) == Counter(
        {
            ("tcp", Row(("192.168.1.11", 46590), ("198.51.100.10", 7777), 5, 3, -1, 1804)): 1,
            ("udp", Row(("2001:db8:99::10", 80), ("fd00:1:1::10", 41000), 5, 7, 1992, 654)): 1,
        }
    )


def main(paths: list[str]) -> int:
    """Compare the files named on the command line; 1 if streams of one differ."""
    bad = 0
    for path in paths:
        streams, analysis, mine = differences(path)
        sys.stdout.write(
            f"{path}: {len(mine.rows)} streams, {len(streams)} differences; {sum(mine.again.values())} segments sent again and "
            f"{len(mine.rtt_ns)} round trips, {len(analysis)} differences\n"
        )
        sys.stdout.write("".join(f"    {line}\n" for line in [*streams[:20], *analysis[:20]]))
        sys.stdout.flush()
        bad += bool(streams)
    return min(bad, 1)


if __name__ == "__main__":
    from pcapnat.kernel import prepare

    prepare(1_000_000)
    sys.exit(main(sys.argv[1:]))
