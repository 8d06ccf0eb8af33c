"""Names of addresses, and what became of each DNS query."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import dpkt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_messages import CLIENT, CLIENT6, SERVER, dns_query, dns_record, dns_response, labels, read, tcp, udp
from packet_script import START_NS, Frame

from pcapnat.address import texts
from pcapnat.message import Messages, Source, Topic, name
from pcapnat.message.dns import BAD, CUT, name_text, read_dns, reverse_address

POINTER = b"\xc0\x0c"
A, CNAME, PTR, AAAA = 1, 5, 12, 28
V4, V6 = ip_address("203.0.113.5").packed, ip_address("2001:db8::5").packed


def asked(query: bytes, sport: int = 50000) -> bytes:
    """A query as a frame."""
    return udp(query, sport, 53)


def told(response: bytes, dport: int = 50000) -> bytes:
    """A response as a frame."""
    return udp(response, 53, dport, SERVER, CLIENT)


def known(said: Messages) -> set[tuple[str, str, str]]:
    """(address, name, source) of all names."""
    n = said.names
    return {
        (address, said.texts[i], Source(source).name.lower())
        for address, i, source in zip(texts(n.address), n.name.tolist(), n.source.tolist(), strict=True)
    }


def test_the_name_of_an_address_is_what_was_asked_for(mode: str) -> None:
    query = dns_query("www.example.com")
    alias = labels("edge.cdn.example.net")
    records = [dns_record(POINTER, CNAME, alias), dns_record(alias, A, V4, 60), dns_record(alias, AAAA, V6, 30)]
    _, said = read([asked(query), told(dns_response(query, records))])
    assert known(said) == {("203.0.113.5", "www.example.com", "dns"), ("2001:db8::5", "www.example.com", "dns")}
    n = said.names
    assert n.row.tolist() == [1, 1]
    assert n.from_ns.tolist() == [START_NS + 1_000_000] * 2
    assert sorted((n.until_ns - n.from_ns).tolist()) == [30 * 10**9, 60 * 10**9]


def test_several_names_of_one_address_and_the_same_name_twice() -> None:
    one, two = dns_query("a.example"), dns_query("B.example", 8)
    again = dns_query("A.EXAMPLE", 9)
    frames = [told(dns_response(q, [dns_record(POINTER, A, V4)])) for q in (one, two, again)]
    _, said = read(frames)
    assert known(said) == {("203.0.113.5", "a.example", "dns"), ("203.0.113.5", "B.example", "dns")}
    assert said.names.count.tolist() == [2, 1]
    assert said.names.until_ns[0] == START_NS + 2_000_000 + 300 * 10**9


def test_names_of_pointers() -> None:
    query = dns_query("5.113.0.203.in-addr.arpa", qtype=PTR)
    six = "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
    query6 = dns_query(six, qtype=PTR)
    service = dns_query("_http._tcp.local", qtype=PTR)
    frames = [told(dns_response(q, [dns_record(POINTER, PTR, labels(n))])) for q, n in ((query, "host.example"), (query6, "six.example"))]
    _, said = read([*frames, told(dns_response(service, [dns_record(POINTER, PTR, labels("printer.local"))]))])
    assert known(said) == {("203.0.113.5", "host.example", "dns"), ("2001:db8::5", "six.example", "dns")}


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("4.3.2.1.IN-ADDR.ARPA", (0, 0xFFFF01020304)), ("1.in-addr.arpa", None), ("256.1.1.1.in-addr.arpa", None), ("example.com", None),
        ("x." * 31 + "1.ip6.arpa", None), ("", None),
    ],
)  # fmt: skip
def test_reverse_names(written: str, address: tuple[int, int] | None) -> None:
    assert reverse_address(written) == address


def test_queries_tell_no_names_and_additional_records_those_of_what_they_are_about() -> None:
    query = dns_query("mail.example")
    record = dns_record(labels("mx.example"), A, V4)
    as_query = bytes([*query[:10], 0, 1]) + query[12:] + record
    response = dns_response(query, [], extra=[record])
    _, said = read([asked(as_query), told(response)])
    assert known(said) == {("203.0.113.5", "mx.example", "dns")}
    _, said = read([asked(as_query)])
    assert known(said) == set()
    announced = struct.pack("!HHHHHH", 0, 0x8400, 0, 1, 0, 1) + dns_record(labels("_x._tcp.local"), PTR, labels("me._x._tcp.local"))
    announced += dns_record(labels("me.local"), A, V4)
    _, said = read([udp(announced, 5353, 5353, dst="224.0.0.251")])
    assert known(said) == {("203.0.113.5", "me.local", "mdns")}


def test_llmnr_and_netbios() -> None:
    query = dns_query("printer")
    _, said = read([udp(dns_response(query, [dns_record(POINTER, A, V4)]), 5355, 50000, SERVER, CLIENT)])
    assert known(said) == {("203.0.113.5", "printer", "llmnr")}
    coded = b"".join(bytes([0x41 + (c >> 4), 0x41 + (c & 15)]) for c in b"FILESERVER     \x20")
    answer = struct.pack("!HHHHHH", 1, 0x8500, 0, 1, 0, 0) + dns_record(b"\x20" + coded + b"\0", 32, b"\0\0" + V4)
    _, said = read([udp(answer, 137, 137, SERVER, CLIENT)])
    assert known(said) == {("203.0.113.5", "FILESERVER", "nbns")}


def test_each_query_and_its_response(mode: str) -> None:
    good, missing, never = dns_query("good.example", 1), dns_query("missing.example", 2), dns_query("never.example", 3)
    frames = [
        asked(good), asked(missing, 50001), told(dns_response(missing, [], 3), 50001),
        told(dns_response(good, [dns_record(POINTER, A, V4)] * 2)),
        asked(never, 50002), asked(never, 50002), told(dns_response(dns_query("lone.example", 4), [], 5), 50003),
        udp(dns_response(good, []), 53, 50000, "198.51.100.99", CLIENT),
    ]  # fmt: skip
    _, said = read(frames)
    q = said.queries
    assert [said.texts[i] for i in q.name.tolist()] == [
        "good.example", "missing.example", "never.example", "never.example", "lone.example", "good.example",
    ]  # fmt: skip
    assert q.row.tolist() == [0, 1, 4, 5, -1, -1]
    assert q.response_row.tolist() == [3, 2, -1, -1, 6, 7]
    assert q.code.tolist() == [0, 3, -1, -1, 5, 0], "an answer from elsewhere is another conversation's"
    assert q.answers.tolist() == [2, 0, 0, 0, 0, 0]
    assert q.answer_ns.tolist() == [3_000_000, 1_000_000, -1, -1, -1, -1]
    assert q.transaction.tolist() == [0, 1, 2, 2, 4, 5]
    assert q.ident.tolist() == [1, 2, 3, 3, 4, 1]


def test_a_query_asked_again() -> None:
    query = dns_query("again.example")
    answer = dns_response(query, [])
    frames = [asked(query), asked(query), told(answer), told(answer), asked(query), told(answer)]
    _, said = read(frames)
    q = said.queries
    assert q.row.tolist() == [0, 1, 4]
    assert q.response_row.tolist() == [2, 2, 5]
    assert q.transaction.tolist() == [0, 0, 2]
    assert q.answer_ns.tolist() == [2_000_000, 1_000_000, 1_000_000]


def test_one_identifier_for_two_questions() -> None:
    four, six = dns_query("both.example", 9), dns_query("both.example", 9, AAAA)
    _, said = read([asked(four), asked(six), told(dns_response(six, [])), told(dns_response(four, [dns_record(POINTER, A, V4)]))])
    assert said.queries.qtype.tolist() == [A, AAAA]
    assert said.queries.response_row.tolist() == [3, 2]


def test_over_tcp() -> None:
    def framed(*messages: bytes) -> bytes:
        return b"".join(struct.pack("!H", len(m)) + m for m in messages)

    one, two = dns_query("one.example", 1), dns_query("two.example", 2)
    answers = framed(dns_response(one, [dns_record(POINTER, A, V4)]), dns_response(two, [], 2))
    _, said = read([tcp(framed(one, two), 50000, 53), tcp(answers, 53, 50000, src=SERVER, dst=CLIENT)])
    assert [said.texts[i] for i in said.queries.name.tolist()] == ["one.example", "two.example"]
    assert said.queries.code.tolist() == [0, 2]
    assert known(said) == {("203.0.113.5", "one.example", "dns")}


def test_updates_are_no_queries() -> None:
    update = bytearray(dns_query("zone.example"))
    update[2] = 0x28
    _, said = read([asked(bytes(update))])
    assert len(said.queries) == 0


def test_hostile_names() -> None:
    head = struct.pack("!HHHHHH", 1, 0x8180, 1, 0, 0, 0)
    loop = head + b"\xc0\x0c" + b"\0\1\0\1"
    forward = head + b"\xc0\x20" + b"\0\1\0\1" + bytes(20)
    long = head + b"\x3f" + b"a" * 63 + b"\x3f" + b"b" * 63 + b"\x3f" + b"c" * 63 + b"\x3f" + b"d" * 63 + b"\0" + b"\0\1\0\1"
    reserved = head + b"\x80aaaa\0\0\1\0\1"
    frames = [udp(m, 53, 50000 + n, SERVER, CLIENT) for n, m in enumerate((loop, forward, long, reserved))]
    _, said = read(frames)
    assert said.malformed == {Topic.DNS: 4}
    assert len(said.queries) == 0
    strange = dns_query("x")[:12] + b"\7a\x1b[31m\xff\1b\0\0\1\0\1"
    _, said = read([asked(strange)])
    assert said.texts == ["a\x1b[31m\ufffd.b"], "as it is: what prints it makes it printable"


def test_what_the_capture_cut_is_not_malformed() -> None:
    query = dns_query("cut.example")
    response = dns_response(query, [dns_record(POINTER, A, bytes([10, 0, 0, n])) for n in range(20)])
    _, said = read([asked(query), told(response)], snaplen=160)
    assert said.malformed == {}
    assert said.queries.answers.tolist() == [20]
    assert 0 < len(said.names) < 20
    short = response[:100]
    _, said = read([asked(query), told(short)])
    assert said.malformed == {Topic.DNS: 1}


def test_texts_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name, "MOST_TEXTS", 3)
    queries = [dns_query(f"host{n}.example", n) for n in range(6)]
    _, said = read([frame for q in queries for frame in (asked(q), told(dns_response(q, [dns_record(POINTER, A, V4)])))])
    assert said.texts == ["host0.example", "host1.example", "host2.example"]
    assert said.queries.name.tolist() == [0, 1, 2, -1, -1, -1]
    assert len(said.names) == 3


def test_ipv6_and_the_root() -> None:
    query = dns_query("", qtype=2)
    _, said = read([udp(query, 50000, 53, CLIENT6, "2001:db8::53")])
    assert [said.texts[i] for i in said.queries.name.tolist()] == ["."]


NAME = st.lists(st.from_regex(r"[a-z0-9_-]{1,20}", fullmatch=True), min_size=1, max_size=6).map(".".join)


@settings(max_examples=60)
@given(NAME, st.lists(st.tuples(NAME, st.sampled_from([A, AAAA, CNAME, PTR])), max_size=6))
def test_dpkt_reads_the_same(asked_for: str, answers: list[tuple[str, int]]) -> None:
    """Messages that dpkt packs, with pointers wherever it can: our kernel's heads and records against what dpkt unpacks."""
    rr = dpkt.dns.DNS.RR
    made = dpkt.dns.DNS(id=77, op=0x8180, qd=[dpkt.dns.DNS.Q(name=asked_for)])
    for owner, kind in answers:
        extra = {A: {"ip": V4}, AAAA: {"ip6": V6}, CNAME: {"cname": asked_for}, PTR: {"ptrname": asked_for}}[kind]
        made.an.append(rr(name=owner, type=kind, ttl=60, rlen=0, **extra))
    data = bytes(made)
    theirs = dpkt.dns.DNS(data)
    array = np.frombuffer(data, np.uint8)
    heads, records = read_dns(array, np.array([0]), np.array([len(data)]))
    assert (heads.ident[0], heads.answers[0], heads.marks[0] & (CUT | BAD)) == (77, len(answers), 0)
    assert name_text(data, 0, int(heads.name_at[0])) == theirs.qd[0].name
    wanted = [(r.type, r.name, getattr(r, "ptrname", "")) for r in theirs.an if r.type != CNAME]
    found = [
        (int(records.rtype[k]), name_text(data, 0, int(records.owner_at[k])),
         name_text(data, 0, int(records.target_at[k])) if records.rtype[k] == PTR else "")
        for k in range(len(records))
    ]  # fmt: skip
    assert found == wanted
    same = {(records.owner[k], name_text(data, 0, int(records.owner_at[k]))) for k in range(len(records))}
    assert len({digest for digest, _ in same}) == len({text for _, text in same}) == len(same)


def test_the_longest_time_to_live() -> None:
    query = dns_query("late.example")
    late = Frame(4_294_967_295 * 10**9, told(dns_response(query, [dns_record(POINTER, A, V4, 0xFFFFFFFF)])))
    _, said = read([late])
    assert said.names.until_ns.tolist() == [2 * 4_294_967_295 * 10**9]
