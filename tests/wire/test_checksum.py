"""Checksums: each state of each header's, with packets whose sums dpkt made right."""
from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_frames import A6, B6, ether, extension, fragment6, ip4, ip6, packed
from made_links import TUNNELS
from packet_script import packet
from test_single import taken

from pcapnat.wire import Checksum, State, checksums, meaning
from pcapnat.wire.checksum import NO_END, NO_LENGTH, PART, folded

RIGHT, WRONG, ZERO, LEFT, UNKNOWN = State.RIGHT, State.WRONG, State.ZERO, State.LEFT, State.UNKNOWN
TCP4, UDP4, PING4, ERROR4 = (packet(text) for text in ("A P 1 2 x9", "A udp hello", "A ping 7 1 x8", "R about A S 100"))
TCP6, UDP6 = packet("X P 1 2 x9"), packet("X udp hello")


def by_hand(data: bytes) -> int:
    """The sum of RFC 1071, word by word."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at:at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(st.binary(max_size=64) | st.sampled_from([b"", b"\0" * 4, b"\xff\xff", b"\xff\xfe\0\1"]), st.integers(0, 0xFFFF))
def test_the_sum(data: bytes, start: int) -> None:
    """As the words added one after the other, all zeros and all ones told apart."""
    assert folded(data) == by_hand(data)
    assert folded(data, start) == by_hand(struct.pack(">H", start) + data)


def found(raw: bytes, link: int = 101, cut: int = 0) -> list[Checksum]:
    """The checksums of a bare packet, cut by some bytes at its end."""
    return checksums(taken(raw[:len(raw) - cut], link))


def states(raw: bytes, link: int = 101, cut: int = 0) -> list[tuple[str, State]]:
    """(header, state) of each."""
    return [(c.of, c.state) for c in found(raw, link, cut)]


def edited(raw: bytes, at: int, value: int, size: int = 2) -> bytes:
    """A packet with some bytes overwritten."""
    return raw[:at] + value.to_bytes(size, "big") + raw[at + size:]


def pseudo(raw: bytes) -> int:
    """The sum of the pseudo-header alone, of a packet without options."""
    if raw[0] >> 4 == 6:
        return by_hand(raw[8:40] + struct.pack(">II", len(raw) - 40, raw[6]))
    return by_hand(raw[12:20] + struct.pack(">HH", raw[9], len(raw) - 20))


IPV4 = ("IPv4 header", RIGHT)
TABLE = [
    ("tcp", TCP4, [IPV4, ("TCP", RIGHT)]),
    ("tcp over ipv6", TCP6, [("TCP", RIGHT)]),
    ("udp", UDP4, [IPV4, ("UDP", RIGHT)]),
    ("udp over ipv6", UDP6, [("UDP", RIGHT)]),
    ("icmp", PING4, [IPV4, ("ICMP", RIGHT)]),
    ("icmp error", ERROR4, [IPV4, ("ICMP", RIGHT)]),
    ("gre has none", packet("A gre x8"), [IPV4]),
    ("header changed", edited(TCP4, 8, 63, 1), [("IPv4 header", WRONG), ("TCP", RIGHT)]),
    ("address changed", edited(TCP4, 12, 0x0A000001, 4), [("IPv4 header", WRONG), ("TCP", WRONG)]),
    ("payload changed", edited(UDP4, 28, ord("j"), 1), [IPV4, ("UDP", WRONG)]),
    ("icmp's addresses do not count", edited(PING4, 12, 0x0A000001, 4), [("IPv4 header", WRONG), ("ICMP", RIGHT)]),
    ("header sum left to the card", edited(TCP4, 10, 0), [("IPv4 header", ZERO), ("TCP", RIGHT)]),
    ("tcp sum zero", edited(TCP4, 36, 0), [IPV4, ("TCP", ZERO)]),
    ("udp sum zero", edited(UDP4, 26, 0), [IPV4, ("UDP", ZERO)]),
    ("udp sum zero over ipv6", edited(UDP6, 46, 0), [("UDP", ZERO)]),
    ("as Linux leaves it", edited(TCP4, 36, pseudo(TCP4)), [IPV4, ("TCP", LEFT)]),
    ("as Linux leaves it, udp over ipv6", edited(UDP6, 46, pseudo(UDP6)), [("UDP", LEFT)]),
    ("padded to Ethernet's least length", UDP4 + bytes(13), [IPV4, ("UDP", RIGHT)]),
    ("first fragment", ip4(17, UDP4[20:], frag=0x2000), [("IPv4 header", WRONG), ("UDP", UNKNOWN)]),
    ("later fragment", ip4(17, UDP4[20:], frag=0x2001), [("IPv4 header", WRONG)]),
    ("first fragment over ipv6", ip6(44, fragment6(17, 0, 1) + UDP6[40:]), [("UDP", UNKNOWN)]),
    ("later fragment over ipv6", ip6(44, fragment6(17, 4, 0) + UDP6[40:]), []),
    ("udp longer than its packet", edited(UDP4, 24, 99), [IPV4, ("UDP", UNKNOWN)]),
    ("udp shorter than its header", edited(UDP4, 24, 7), [IPV4, ("UDP", UNKNOWN)]),
    ("total beyond the frame", edited(TCP4, 2, 999), [("IPv4 header", WRONG), ("TCP", UNKNOWN)]),
    ("no sum in what there is", ip4(6, bytes(8)), [IPV4, ("TCP", UNKNOWN)]),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "want"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_states(raw: bytes, want: list[tuple[str, State]]) -> None:
    """Which checksums there are, and what each is."""
    assert states(raw) == want
    assert states(ether(0x86DD if raw[0] >> 4 == 6 else 0x0800, raw), 1) == want


def test_found_and_expected() -> None:
    """The right one is expected, whatever was found."""
    right = found(TCP4)[1].found
    assert [(c.found, c.expected) for c in found(edited(TCP4, 36, 0x1234))][1] == (0x1234, right)
    assert [(c.found, c.expected) for c in found(edited(TCP4, 36, pseudo(TCP4)))][1] == (pseudo(TCP4), right)
    assert found(UDP4[:26] + b"\0\0" + UDP4[28:])[1].expected is None, "the sender made none: none is expected"
    raw = ip4(17, struct.pack(">HHHHH", 0, 0, 10, 1, 0))
    missing = found(raw)[1].expected
    assert missing is not None
    assert found(edited(raw, 28, missing))[1].expected == 0xFFFF, "0 would mean that there is none"


def test_a_cut_frame() -> None:
    """Not knowable, but for the one that can be told from the header alone; the IP header's sum is knowable as long as it is whole."""
    assert states(TCP4, cut=3) == [IPV4, ("TCP", UNKNOWN)]
    assert found(TCP4, cut=3)[1].says == "26 of its 29 bytes are there"
    assert states(edited(TCP4, 36, pseudo(TCP4)), cut=3) == [IPV4, ("TCP", LEFT)]
    options = ip4(17, UDP4[20:], options=b"\x01" * 8)
    assert states(options[:24]) == [("IPv4 header", UNKNOWN), ("UDP", UNKNOWN)]
    for size in range(len(TCP4)):
        states(TCP4[:size])
        states(TCP6[:size])


def test_lengths_left_to_the_card() -> None:
    """An IP length of 0: the sum is found right if it is, and otherwise it is not made yet."""
    whole = edited(edited(TCP4, 2, 0), 10, 0)
    assert [c.state for c in found(whole)] == [ZERO, RIGHT]
    assert [(c.state, c.says) for c in found(edited(whole, 36, 0x1234))][1] == (UNKNOWN, NO_LENGTH)
    assert found(edited(whole, 36, pseudo(TCP4)))[1].state is LEFT


ROUTED6 = struct.pack(">BBBB4x", 17, 2, 0, 1) + packed(B6)
ROUTES = [
    ("type 0, one segment left", ROUTED6, RIGHT),
    ("none left", edited(ROUTED6, 3, 0, 1), WRONG),
    ("type 2", edited(ROUTED6, 2, 2, 1), RIGHT),
    ("segment routing counts down", struct.pack(">BBBB4x", 17, 4, 4, 1) + packed(B6) + packed("2001:db8::5"), RIGHT),
    ("type 3 compresses", edited(ROUTED6, 2, 3, 1), UNKNOWN),
]


@pytest.mark.parametrize(("header", "want"), [row[1:] for row in ROUTES], ids=[row[0] for row in ROUTES])
def test_where_a_routed_packet_goes_in_the_end(header: bytes, want: State) -> None:
    """The pseudo-header has the last destination, not the one in the IPv6 header (RFC 8200 8.1)."""
    datagram = struct.pack(">HHHH", 1, 2, 13, 0) + b"hello"
    total = by_hand(packed(A6) + packed(B6) + struct.pack(">II", 13, 17) + datagram)
    datagram = edited(datagram, 6, 0xFFFF - total)
    assert states(ip6(43, header + datagram, dst="2001:db8::77")) == [("UDP", want)]


def test_a_mobile_host_and_a_source_route() -> None:
    """The home address takes the source's place; of an IPv4 source route the end is not looked for."""
    datagram = struct.pack(">HHHH", 1, 2, 13, 0) + b"hello"
    total = by_hand(packed(A6) + packed(B6) + struct.pack(">II", 13, 17) + datagram)
    home = bytes([17, 2, 1, 2, 0, 0, 0xC9, 16]) + packed(A6)
    assert states(ip6(60, home + edited(datagram, 6, 0xFFFF - total), src="2001:db8::99")) == [("UDP", RIGHT)]
    route = found(ip4(17, UDP4[20:], options=b"\x01\x83\x07\x04\x0a\0\0\1"))
    assert [(c.state, c.says) for c in route][1] == (UNKNOWN, NO_END)
    used = found(ip4(17, UDP4[20:], src="192.168.1.10", dst="198.51.100.80", options=b"\x01\x83\x07\x08\x0a\0\0\1"))
    assert used[1].state is RIGHT


def test_behind_an_authentication_header() -> None:
    """AH is stepped over."""
    ah = struct.pack(">BBHII", 17, 1, 0, 7, 1)
    assert states(ip4(51, ah + UDP4[20:], src="192.168.1.10", dst="198.51.100.80")) == [IPV4, ("UDP", RIGHT)]
    assert states(ip6(0, extension(51) + ah + UDP6[40:], src="2001:db8::10", dst="2001:db8::80")) == [("UDP", RIGHT)]


@pytest.mark.parametrize("around", TUNNELS, ids=lambda a: a.name)
def test_every_header_of_a_tunnel(around: object) -> None:
    """The packet inside is summed up by itself; the one around it as well, where it has a sum."""
    inner = UDP6 if around.inner6 else UDP4  # type: ignore[attr-defined]
    sums = checksums(taken(around.frame(inner, False)))  # type: ignore[attr-defined]
    assert sums[0][:2] == (0, "IPv4 header")
    assert [(c.of, c.state) for c in sums if c.depth == 1] == ([("UDP", RIGHT)] if around.inner6 else [IPV4, ("UDP", RIGHT)])  # type: ignore[attr-defined]


def test_what_it_means() -> None:
    """A wrong one means another thing in a packet that was sent and in one that was received."""
    wrong = found(edited(TCP4, 36, 0x1234))[1]
    sent, received, either = (meaning(wrong, direction) for direction in (2, 1, 0))
    assert "offload" in sent
    assert "offload" not in received
    assert sent in either
    assert meaning(found(TCP4)[1], 0) == ""
    assert found(ip4(17, UDP4[20:], frag=0x2000))[1].says == PART
