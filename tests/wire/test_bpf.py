"""pcap-filter expressions against tcpdump, against a slow twin of the evaluation, and against nonsense."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import packet_script
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_filters import (
    EXPRESSIONS,
    FRAMES,
    LINK_EXPRESSIONS,
    LINKS,
    WLAN_EXPRESSIONS,
    WORDS,
    Ruled,
    ask,
    cut,
    expression,
    needs_tcpdump,
    of_link,
    pcap,
)

from pcapnat.terms import PcapnatError
from pcapnat.wire import bpf_run as run
from pcapnat.wire.bpf import parse
from pcapnat.wire.bpf_links import LINKS as LAYOUTS
from pcapnat.wire.bpf_make import Filter, Maker


def wired(frames: list[bytes]) -> list[tuple[bytes, int]]:
    """Frames with a length on the wire that some were cut from."""
    return [(frame, len(frame) + 40 * (i % 3 == 0)) for i, frame in enumerate(frames)]


@pytest.fixture(scope="module")
def bundled(captures: list[str]) -> list[tuple[bytes, int]]:
    """The frames of every bundled capture, all of them Ethernet's, and one of each kind that those have not."""
    frames = [(frame.data, frame.wire) for path in captures for frame in packet_script.read(path)]
    return frames + wired(of_link(1))


@needs_tcpdump
def test_as_tcpdump(bundled: list[tuple[bytes, int]]) -> None:
    """A table of expressions: the same frames as tcpdump's, out of those of the bundled captures and made ones."""
    assert len(set(EXPRESSIONS)) > 200
    file = pcap(1, bundled)
    chosen = 0
    for text in EXPRESSIONS:
        mine = Ruled.by_us(1, bundled, text)
        assert mine == Ruled.by_tcpdump(file, text), text
        chosen += 0 < len(mine.frames) < len(bundled)
    assert chosen > 0.9 * len(EXPRESSIONS), "the table should choose, not only accept or reject"


@needs_tcpdump
@pytest.mark.parametrize("link", [link for link in LINKS if link != 1])
def test_link_types_as_tcpdump(link: int) -> None:
    """Frames of other link types, whole and cut. The optimiser of tcpdump skips reads whose outcome does not matter: without it."""
    frames = wired([*of_link(link), *cut(of_link(link))])
    if link in (0, 108, 109):  # other systems' numbers for IPv6, and the other byte order, are known to us only
        known = [n.to_bytes(4, "big" if link == 108 else "little") for n in (2, 10)]
        frames = [(data, wire) for data, wire in frames if data[:4] in known]
    file = pcap(link, frames)
    for text in [*LINK_EXPRESSIONS, *(WLAN_EXPRESSIONS if link in (105, 119, 127, 163) else [])]:
        assert Ruled.by_us(link, frames, text) == Ruled.by_tcpdump(file, text, "-O"), text


@needs_tcpdump
def test_cut_frames_as_tcpdump() -> None:
    """A read beyond the captured bytes rejects a frame, also under `not`."""
    frames = wired(cut(FRAMES))
    file = pcap(1, frames)
    for text in (
        "not ip",
        "not tcp",
        "not port 80",
        "not host 1.2.3.4",
        "not vlan",
        "not ether host 1:2:3:4:5:6",
        "not tcp[13] = 5",
        "not (ip[8] = 5 or ip6[7] = 5)",
        "not net 2001:db8::/64",
        "not llc",
        "not ipx",
        "len > 5 or ip[0] = 0",
        "not decnet host 1.2",
        "not mpls 5",
        "not (vlan 5 and tcp)",
        "not geneve 5",
        "ether[70] = 0 or 1 = 1",
        "1 = 1 or ether[70] = 0",
        "len / ip[9] = 2",
    ):
        assert Ruled.by_us(1, frames, text) == Ruled.by_tcpdump(file, text, "-O"), text


@needs_tcpdump
def test_random_expressions_as_tcpdump() -> None:
    """Random expressions over random frames, whole and cut."""
    random_ = random.Random(3)
    frames = wired([*FRAMES, *random_.sample(cut(FRAMES), 400)])
    file = pcap(1, frames)
    for _ in range(100):
        text = expression(random_)
        if "mpls" in text or "geneve" in text:  # behind these most words mean nothing, or what a register happens to hold
            continue
        try:
            mine = Ruled.by_us(1, frames, text)
        except PcapnatError:  # a division by zero that can be seen beforehand
            continue
        if " / " in text or " % " in text:  # whether 0 / 1 is a division by zero depends on the optimiser
            continue
        assert mine == Ruled.by_tcpdump(file, text, "-O") or mine == Ruled.by_tcpdump(file, text), text


class RejectedError(Exception):
    """A read beyond the frame."""


def twin(node: run.Test | run.Number, frame: bytes, wire: int) -> int:
    """What a test or number is for one frame, by the letter."""
    match node:
        case run.Always() | run.Const():
            return node.value
        case run.Length():
            return wire
        case run.Not():
            return not twin(node.test, frame, wire)
        case run.Compare():
            a, b = twin(node.a, frame, wire), twin(node.b, frame, wire)
            return {"=": a == b, ">": a > b, ">=": a >= b}[node.operator]
        case run.Chain():
            value = twin(node.first, frame, wire)
            for both, test in node.rest:
                if bool(value) is both:
                    value = twin(test, frame, wire)
            return value
        case run.Either():
            return twin(node.yes if twin(node.test, frame, wire) else node.no, frame, wire)
        case run.Load():
            at = node.add + (twin(node.at, frame, wire) if node.at else 0)
            if at + node.size > len(frame):
                raise RejectedError
            return int.from_bytes(frame[at : at + node.size])
        case run.Binary():
            a, b = twin(node.a, frame, wire), twin(node.b, frame, wire)
            if node.operator in "/%" and b == 0:
                raise RejectedError
            return {
                "+": lambda: a + b,
                "-": lambda: a - b,
                "*": lambda: a * b,
                "/": lambda: a // b,
                "%": lambda: a % b,
                "&": lambda: a & b,
                "|": lambda: a | b,
                "^": lambda: a ^ b,
                "<<": lambda: a << b if b < 32 else 0,
                ">>": lambda: a >> b if b < 32 else 0,
            }[node.operator]() & run.WORD
    raise AssertionError(node)


def accepted(tree: run.Test, frame: bytes, wire: int) -> bool:
    """The twin's verdict."""
    try:
        return bool(twin(tree, frame, wire))
    except RejectedError:
        return False


@given(st.integers(0, 1 << 32), st.sampled_from(sorted(LAYOUTS)), st.integers(0, 300))
@settings(max_examples=150, deadline=None)
def test_slow_twin(seed: int, link: int, more: int) -> None:
    """All frames at once give what one after the other gives; many more of one kind do not change what few of another get."""
    random_ = random.Random(seed)
    text = expression(random_)
    try:
        tree = Maker(LAYOUTS[link]).whole(parse(text))
    except PcapnatError:
        return
    pool = FRAMES + of_link(link)
    frames = [random_.choice(pool) for _ in range(12)] + [random_.randbytes(random_.randrange(70)) for _ in range(4)]
    frames += [frame[: random_.randrange(len(frame) + 1)] for frame in frames] + [random_.choice(pool)] * more
    rows = wired(frames)
    assert ask(link, rows, text) == [accepted(tree, frame, wire) for frame, wire in rows], text


@given(
    st.one_of(st.text(), st.lists(st.sampled_from(WORDS)).map(" ".join), st.lists(st.sampled_from(WORDS), max_size=9).map("".join)),
    st.sampled_from([1, 101, 113, 127, 9, 0, 147, 65535]),
    st.lists(st.binary(max_size=90), max_size=5),
    st.integers(0, 1 << 32),
)
@settings(max_examples=400, deadline=None)
def test_nonsense(text: str, link: int, frames: list[bytes], wire: int) -> None:
    """Any text, any link type, any bytes, at any place: an answer for each frame, or one line."""
    buf = np.frombuffer(b"".join(frames), np.uint8)
    at, cap = np.arange(len(frames), dtype=np.int64) * 7, np.array([len(frame) for frame in frames], np.uint32)
    chosen, said = answer(lambda: Filter(text).select(link, "made", buf, at, cap, np.full(len(frames), wire & 0xFFFFFFFF, np.uint32)))
    assert len(said) < 300
    assert said or (chosen.dtype == bool and len(chosen) == len(frames))


def answer(ask_: Callable[[], Any]) -> tuple[Any, str]:
    """What comes of it: (an answer, nothing) or (nothing, what a PcapnatError says)."""
    try:
        return ask_(), ""
    except PcapnatError as error:
        return None, str(error)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000,
        "not " * 4000 + "tcp",
        "((" * 30 + "tcp" + "))" * 30,
        "1" + " + 1" * 3000 + " = 1",
        "tcp" + " or tcp" * 2000,
        "port 80" + " or 80" * 2000,
        "- " * 4000 + "1 = 1",
        "ip[" * 2000,
        "9" * 19000,
        "len = " + "(" * 59 + "1" + ")" * 59,
        "\\" * 9000,
        "a" * 30000,
        ":" * 15000,
        "1." * 9000,
    ],
)
def test_long_expressions(text: str) -> None:
    """Depth and length are bounded, and take no time."""
    assert len(answer(lambda: ask(1, wired(FRAMES), text))[1]) < 200


WRONG = (
    ("tcp prt 80", "'prt' where and, or, or the end should be", 5),
    ("tcp and", "the end where a test should be", 8),
    ("1.2.3.4", "'1.2.3.4' needs a word", 1),
    ("tcp 443", "'443' where and, or, or the end should be", 5),
    ("host", "an address", 5),
    ("host example.org", "names are not looked up", 6),
    ("host 1.2.3.256", "no IPv4 address", 6),
    ("host 1.2.3.0/24", "for `net` only", 6),
    ("net 1.2.3.4/24", "bits set beyond its mask", 5),
    ("net 1.2.3.0/33", "longer than 32", 13),
    ("net ::1/64", "bits set beyond", 5),
    ("port nosuch", "no port is known as 'nosuch'", 6),
    ("udp port http", "'http' is a port of tcp", 10),
    ("port 65536", "is no port", 6),
    ("tcp host 1.2.3.4", "that tcp does not go with", 10),
    ("ip6 host 1.2.3.4", "that ip6 does not go with", 10),
    ("icmp port 5", "icmp has no ports", 11),
    ("ip proto tcp", "\\tcp", 10),
    ("ip proto \\nosuch", "no protocol of ip is known as 'nosuch'", 10),
    ("arp proto 5", "asks for nothing", 11),
    ("gateway 1.2.3.4", "needs names looked up", 1),
    ("ip protochain 6", "not supported", 4),
    ("vlan 4096", "more than 4095", 1),
    ("mpls and arp", "under MPLS labels", 10),
    ("mpls and vlan", "under MPLS labels", 10),
    ("tcp[0:3] = 1", "only 1, 2 or 4", 1),
    ("tcp[0] = 1 = 1", "'=' where and, or, or the end", 12),
    ("iso[0] = 1", "bytes of iso cannot be asked for", 1),
    ("1 / 0 = 1", "division by zero", 3),
    ("len << 32 = 1", "more than 31 bits", 5),
    ("len = 4294967296", "more than 32 bits", 7),
    ("len = 09", "no octal number", 7),
    ("(tcp", "a parenthesis that is not closed", 1),
    ("tcp)", "')' where", 4),
    ("tcp & udp", "'&' where", 5),
    ("tcp # udp", "'#' is not part", 5),
    ("type mgt", "802.11 frame types", 1),
    ("on eth0", "asks for pf", 1),
    ("vpi 5", "ATM", 1),
    ("tcp or 443", "needs a word", 8),
    ("(port 80) or 443", "needs a word", 14),
    ("ether host 1:2:3", "1 is no Ethernet address", 12),
    ("host 1:2:3:4:5:6", "needs `ether`", 6),
    ("tcp multicast", "asks for nothing", 1),
    ("llc nosuch", "no kind of LLC header", 1),
    ("less x", "a number", 6),
    ("x" * 20001, "longer than", 20001),
)


@pytest.mark.parametrize(("text", "says", "at"), WRONG)
def test_wrong_expressions(text: str, says: str, at: int) -> None:
    """One line that says what is wrong, and where."""
    with pytest.raises(PcapnatError) as caught:
        ask(1, wired(FRAMES), text)
    assert says in str(caught.value)
    assert str(caught.value).endswith(f"at character {at}")


def test_what_a_link_has_not() -> None:
    """A word that this link type has no meaning for, and a link type that is not known."""
    for link, text, says in (
        (101, "vlan 5", "made: -f: raw IP has no VLAN tags, at character 1"),
        (113, "tcp and ether host 1:2:3:4:5:6", "made: -f: Linux cooked v1 has no hardware addresses, at character 20"),
        (1, "inbound", "which way frames went"),
        (147, "ip", "made: -f cannot look into link type 147 (-Y may help)"),
    ):
        with pytest.raises(PcapnatError) as caught:
            ask(link, [(b"", 0)], text)
        assert says in str(caught.value)


def test_what_libpcap_says_on_other_systems_only() -> None:
    """Null links: IPv6 by any system's number, in either byte order; `byte N & M` reads the byte, which libpcap forgets."""
    families = [n.to_bytes(4, order) for n in (2, 10, 24, 28, 30) for order in ("little", "big")]
    assert ask(0, wired([*families, b"\x05\0\0\0"]), "ip6") == [False] * 2 + [True] * 8 + [False]
    assert ask(0, wired([*families, b"\x05\0\0\0"]), "ip") == [True] * 2 + [False] * 9
    assert ask(1, wired([b"\x01", b"\x02", b""]), "byte 0 & 1") == [True, False, False]
