"""Nothing that a capture holds makes reading raise, loop or grow: every reader on random and on damaged bytes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from made_messages import arp, client_hello, dhcp, dns_query, dns_record, dns_response, icmp6, llc, option, read, tcp, udp
from packet_script import START_NS, Frame

from pcapnat.message import Collected, Excerpts, Topic, messages
from pcapnat.message import carried as c
from pcapnat.message import greeting as g
from pcapnat.message.bridge import cdp, lldp, stp
from pcapnat.message.dhcp import dhcp as read_dhcp
from pcapnat.message.dhcp import dhcp6
from pcapnat.message.neighbor import redirect, router
from pcapnat.message.pick import EACH, ONCE, SOME
from pcapnat.message.speech import MALFORMED

READERS: tuple[Callable[[bytes], Any], ...] = (
    read_dhcp, dhcp6, lldp, cdp, lambda data: stp(data, 0x01000CCCCCCD), router, redirect, c.ftp, c.sip, c.stun, g.tls, g.http, g.ssh,
    g.banner, g.smb, g.sip,
)  # fmt: skip
STARTS = (
    b"", b"\x16\3\1\1\0\1\0\0\xfc\3\3", b"\xfeSMB", b"\0\0\0\x60\xfeSMB\x40\0", b"\0\0\0\x60\xffSMB\x72", b"INVITE sip:a SIP/2.0\r\n",
    b"227 (", b"EPRT |", b"\1\1\0\x20\x21\x12\xa4\x42", b"\1\1\6\0" + bytes(232) + b"\x63\x82\x53\x63", b"\0\0\2\2", b"\0\0\3\2", b"\x0c\0",
    b"\2\7\4", b"GET / HTTP/1.1\r\n", b"SSH-2.0-",
)  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(STARTS), st.binary(max_size=400))
@example(b"", bytes(2048))
@example(b"", b"\xff" * 2048)
def test_each_reader(reader: Callable[[bytes], Any], start: bytes, rest: bytes) -> None:
    with suppress(MALFORMED):
        reader(start + rest)


ALL = [t for t in Topic if EACH >> t & 1 or ONCE >> t & 1 or SOME >> t & 1 or t <= Topic.CDP]


def made(items: list[tuple[Topic, bytes, int]]) -> Collected:
    """Excerpts of given topics and bytes, some cut, each third one in the conversation of the one before."""
    e = Excerpts.empty(len(items))
    data = b""
    spoken = np.zeros(len(items), np.uint8)
    for i, (topic, body, more) in enumerate(items):
        e.row[i], e.topic[i], e.start[i], e.size[i], e.whole[i] = i, topic, len(data), len(body), len(body) + more
        e.conversation[i] = -1 if topic <= Topic.CDP else i - (i % 3 == 2)
        e.ethertype[i] = 0x0806
        data += body
        if e.conversation[i] >= 0:
            spoken[e.conversation[i]] = topic
    return Collected(e, data, spoken)


ITEM = st.tuples(st.sampled_from(ALL), st.builds(bytes.__add__, st.sampled_from(STARTS), st.binary(max_size=120)), st.integers(0, 1))


@settings(max_examples=200)
@given(st.lists(ITEM, max_size=12))
def test_all_of_it(items: list[tuple[Topic, bytes, int]]) -> None:
    said = messages(made(items))
    for conversation in range(len(items)):
        said.speech.application(conversation)
    bad = sum(said.malformed.values()) + sum(said.cut.values())
    assert bad <= 2 * len(items)
    assert len(said.events) <= len(items)
    assert all(len(text) <= 600 for text in said.texts)


GOOD = (
    udp(dhcp(5, option(12, b"host") + option(54, b"\x0a\0\0\1"), op=2, your="10.0.0.9"), 67, 68),
    udp(dns_response(dns_query("a.example"), [dns_record(b"\xc0\x0c", 1, b"\1\2\3\4")] * 3), 53, 50000),
    tcp(client_hello(), 50000, 443),
    tcp(b"GET /x HTTP/1.1\r\nHost: example.com\r\n\r\n", 50001, 80),
    arp(1, "10.0.0.1", "10.0.0.2"),
    icmp6(b"\x86\0\0\0\x40\0\7\x08" + bytes(8) + b"\3\4\x40\xc0" + bytes(28), "fe80::1"),
    llc(bytes(36), b"\1\x80\xc2\0\0\0", b"\x42\x42\3"),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(GOOD), st.integers(0, 2000), st.integers(0, 255), st.integers(0, 2000)), min_size=1, max_size=6))
def test_damaged_frames(damage: list[tuple[bytes, int, int, int]]) -> None:
    """One byte changed, and the end cut off: read from the file on, plain."""
    frames = []
    for frame, at, value, size in damage:
        changed = bytearray(frame)
        changed[at % len(frame)] = value
        frames.append(Frame(START_NS, bytes(changed[: max(14, size % (len(frame) + 1))]), len(frame)))
    port, said = read(frames)
    assert len(said.events) <= len(frames)
    assert len(port.picked.excerpts) <= len(frames)


def test_names_of_a_message_are_followed_a_bounded_number_of_times() -> None:
    name = b"\x3f" + b"a" * 63 + b"\x3f" + b"b" * 63 + b"\x3f" + b"c" * 63 + b"\0"
    many = dns_query("x")[:2] + b"\x81\x80\0\1\1\x90\0\0\0\0" + name + b"\0\1\0\1" + dns_record(b"\xc0\x4c", 1, b"\1\2\3\4") * 100
    _, said = read([udp(many, 53, 50000)])
    assert said.unread == {Topic.DNS: 1}
    assert said.names.count.tolist() == [64]
