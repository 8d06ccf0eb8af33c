"""What a message is by its first bytes, and which messages of a conversation are picked."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from made_messages import (
    CLIENT,
    MAC_A,
    SERVER,
    arp,
    client_hello,
    dhcp,
    dns_query,
    dns_response,
    labels,
    llc,
    read,
    tcp,
    udp,
)
from packet_script import START_NS, Frame, pcap
from wire.made_files import enhanced, interface, section

from pcapnat.flow import observe
from pcapnat.message import Topic, pick, picker
from pcapnat.reading import conversations
from pcapnat.terms import Point

QUESTION = dns_query("example.com")
STUN = b"\0\1\0\0\x21\x12\xa4\x42" + b"transaction!"
OLD_STUN = b"\1\1\0\x0c" + b"0123456789abcdef" + b"\0\1\0\x08\0\1\x11\x22\1\2\3\4"
SMB2 = b"\0\0\0\x48\xfeSMB" + struct.pack("<HHIHHI", 64, 0, 0, 0, 1, 0) + bytes(52)
X224 = b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0"

DATAGRAMS = (
    (50000, 53, QUESTION, Topic.DNS),
    (50000, 53, b"no dns at all, whatever the port says", None),
    (50000, 15353, QUESTION, Topic.DNS),
    (50000, 15353, QUESTION[:-1], None),
    (50000, 15353, QUESTION + b"\0", None),
    (50000, 15353, QUESTION[:11] + b"\1" + QUESTION[12:] + b"\0\0\x29\x10\0" + bytes(6), Topic.DNS),
    (50000, 15353, dns_response(QUESTION, []), None),
    (5353, 5353, QUESTION, Topic.MDNS),
    (50000, 5355, QUESTION, Topic.LLMNR),
    (137, 137, QUESTION, Topic.NBNS),
    (68, 67, dhcp(1), Topic.DHCP),
    (50000, 4011, dhcp(1), Topic.DHCP),
    (68, 67, dhcp(1)[:236], None),
    (546, 547, b"\1\0\0\1", Topic.DHCPV6),
    (50000, 123, b"\x23" + bytes(47), Topic.NTP),
    (50000, 123, b"\x16\2" + bytes(10), Topic.NTP),
    (50000, 123, b"\x23" + bytes(10), None),
    (50000, 3478, STUN, Topic.STUN),
    (50000, 3478, OLD_STUN, Topic.STUN),
    (50000, 3478, OLD_STUN + b"\0", None),
    (50000, 443, b"\xc3\0\0\0\1\x08" + bytes(1194), Topic.QUIC),
    (50000, 443, b"\xc3\x6b\x33\x43\xcf\x08" + bytes(1194), Topic.QUIC),
    (50000, 443, b"\x43\0\0\0\1\x08" + bytes(1194), None),
    (50000, 51820, b"\1\0\0\0" + bytes(144), Topic.WIREGUARD),
    (50000, 1194, b"\2\0\0\0" + bytes(88), Topic.WIREGUARD),
    (51820, 50000, b"\4\0\0\0" + bytes(28), Topic.WIREGUARD),
    (50000, 50001, b"\4\0\0\0" + bytes(28), None),
    (50000, 4433, b"\x16\xfe\xfd" + bytes(10), Topic.DTLS),
    (500, 500, bytes(17) + b"\x20" + bytes(6) + struct.pack("!I", 28), Topic.IKE),
    (4500, 4500, bytes(4) + bytes(17) + b"\x20" + bytes(6) + struct.pack("!I", 28), Topic.IKE),
    (4500, 4500, b"\1\2\3\4" + bytes(40), None),
    (50000, 69, b"\0\1file\0octet\0", Topic.TFTP),
    (50000, 161, b"\x30\x26\2\1\1\4\6public", Topic.SNMP),
    (50000, 161, b"\x30\x82\1\4\2\1\3\4\6public", Topic.SNMP),
    (50000, 161, b"\x30\x26\3\1\1\4\6public", None),
    (50000, 514, b"<34>Oct 11 22:14:15 host su: text", Topic.SYSLOG),
    (50000, 1900, b"M-SEARCH * HTTP/1.1\r\n", Topic.SSDP),
    (50000, 1900, b"NOTIFY * HTTP/1.1\r\n", Topic.SSDP),
    (1900, 50000, b"HTTP/1.1 200 OK\r\n", Topic.SSDP),
    (5060, 5060, b"INVITE sip:bob@example.com SIP/2.0\r\n", Topic.SIP),
    (5060, 5060, b"SUBSCRIBE sips:bob@example.com SIP/2.0\r\n", Topic.SIP),
    (5060, 5060, b"INVITE tel:+1234567 SIP/2.0\r\n", Topic.SIP),
    (5060, 5060, b"NOTIFY sip:bob@example.com SIP/2.0\r\n", Topic.SIP),
    (5060, 5060, b"SIP/2.0 200 OK\r\nVia: ...", Topic.SIP),
    (5060, 5060, b"\r\n\r\n", None),
)
SEGMENTS = (
    (50000, 443, client_hello(), Topic.TLS),
    (50000, 8443, client_hello(None), Topic.TLS),
    (50000, 443, b"\x16\3\1\0\5\x10abcd", None),
    (50000, 22, b"SSH-2.0-OpenSSH_9.6\r\n", Topic.SSH),
    (50000, 80, b"GET / HTTP/1.1\r\n\r\n", Topic.HTTP),
    (50000, 80, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Topic.HTTP),
    (50000, 80, b"OPTIONS * HTTP/1.1\r\n\r\n", Topic.HTTP),
    (50000, 80, b"OPTIONS /x HTTP/1.1\r\n\r\n", Topic.HTTP),
    (50000, 80, b"PROPFIND /x HTTP/1.1\r\n\r\n", Topic.HTTP),
    (50000, 2869, b"NOTIFY /upnp HTTP/1.1\r\n\r\n", Topic.HTTP),
    (80, 50000, b"HTTP/1.1 200 OK\r\n\r\n", Topic.HTTP),
    (50000, 445, SMB2, Topic.SMB),
    (50000, 3389, X224 + b"\1\0\x08\0\3\0\0\0", Topic.RDP),
    (50000, 13389, X224 + b"Cookie: mstshash=a\r\n", Topic.RDP),
    (50000, 102, X224 + b"\xc0\1\x0a\xc1\2\1\0\xc2", None),
    (21, 50000, b"220 ready\r\n", Topic.FTP),
    (2100, 50000, b"220 (vsFTPd 3.0.5)\r\n", Topic.FTP),
    (2525, 50000, b"220 mail\r\n", Topic.SMTP),
    (26, 50000, b"220 ftp.example.com ESMTP Postfix\r\n", Topic.SMTP),
    (26, 50000, b"220 hello\r\n", None),
    (50000, 25, b"EHLO host\r\n", Topic.SMTP),
    (110, 50000, b"+OK ready\r\n", Topic.POP3),
    (6380, 50000, b"+OK\r\n", None),
    (143, 50000, b"* OK ready\r\n", Topic.IMAP),
    (50000, 5900, b"RFB 003.008\n", Topic.VNC),
    (50000, 6881, b"\x13BitTorrent protocol", Topic.BITTORRENT),
    (50000, 135, b"\5\0\x0b\3" + bytes(20), Topic.MSRPC),
    (50000, 1080, b"\5\2\0\2", Topic.SOCKS),
    (50000, 53, struct.pack("!H", len(QUESTION)) + QUESTION, Topic.DNS_TCP),
    (3306, 50000, b"\x4a\0\0\0\x0a8.0.36\0", Topic.MYSQL),
    (50000, 5432, struct.pack("!II", 8, 80877103), Topic.POSTGRESQL),
    (50000, 6379, b"*1\r\n$4\r\nPING\r\n", Topic.REDIS),
    (50000, 1883, b"\x10\x10\0\4MQTT\4\2\0\x3c", Topic.MQTT),
    (50000, 1883, b"\x10\x90\1\0\4MQTT\4\2\0\x3c", Topic.MQTT),
    (50000, 1883, b"\x10\x12\0\6MQIsdp\3\2\0\x3c", Topic.MQTT),
    (50000, 554, b"DESCRIBE rtsp://cam/1 RTSP/1.0\r\n", Topic.RTSP),
    (50000, 554, b"OPTIONS rtsp://cam/1 RTSP/1.0\r\n", Topic.RTSP),
    (50000, 5060, b"REGISTER sip:example.com SIP/2.0\r\n", Topic.SIP),
    (50000, 80, b"abcdefghijklmnop", None),
)


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_signatures(proto: str, mode: str) -> None:
    """Each message in a conversation of its own, whole and at every length: the table's answer, and never a wrong one before."""
    table, frame = (DATAGRAMS, udp) if proto == "udp" else (SEGMENTS, tcp)
    port, _ = read([frame(payload, sport, dport, src=f"10.0.{n}.1") for n, (sport, dport, payload, _) in enumerate(table)])
    found = [Topic(t) if t else None for t in port.picked.spoken.tolist()]
    wrong = [(row, topic) for row, topic in zip(table, found, strict=True) if topic != row[3]]
    assert wrong == []


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_cut_messages_are_never_taken_for_others(proto: str) -> None:
    """What is left of a message is that or nothing, and no byte behind it is read: there is none."""
    table, frame = (DATAGRAMS, udp) if proto == "udp" else (SEGMENTS, tcp)
    frames, expected = [], []
    for sport, dport, payload, topic in table:
        for size in range(min(len(payload), 48)):
            whole = frame(payload, sport, dport, src=f"10.{len(frames) >> 8}.{len(frames) & 255}.1")
            cut = len(whole) - len(payload) + size
            frames.append(Frame(START_NS, whole[:cut], len(whole)))
            expected.append(topic)
    port, _ = read(frames)
    for topic, wanted in zip(port.picked.spoken.tolist(), expected, strict=True):
        assert not topic or Topic(topic) == wanted or wanted is None or {Topic(topic), wanted} == {Topic.FTP, Topic.SMTP}


def test_a_dhcp_message_cut_by_the_capture_is_one() -> None:
    port, said = read([udp(dhcp(1), 68, 67)], snaplen=160)
    assert port.picked.spoken.tolist() == [Topic.DHCP]
    assert said.details[0] == {"transaction": "00001234", "client": "02:00:00:00:00:0a"}


def topics(port: Any) -> list[tuple[int, Topic]]:
    """(frame, topic) of everything picked."""
    e = port.picked.excerpts
    return [(row + 1, Topic(t)) for row, t in zip(e.row.tolist(), e.topic.tolist(), strict=True)]


def back(frame: Any, payload: bytes, sport: int, dport: int, **more: Any) -> bytes:
    """A message from the server to the client."""
    made: bytes = frame(payload, dport, sport, src=SERVER, dst=CLIENT, **more)
    return made


def test_a_greeting_in_two_segments_is_picked_whole(mode: str) -> None:
    hello = client_hello()
    one, two = hello[:100], hello[100:]
    frames = [tcp(one, 50000, 443), tcp(one, 50000, 443), tcp(two, 50000, 443, seq=101), back(tcp, b"\x16\3\3", 50000, 443)]
    port, said = read(frames)
    assert topics(port) == [(1, Topic.TLS), (3, Topic.TLS)]
    assert said.speech.application(0).name == "www.example.com"  # type: ignore[union-attr]
    port, said = read([frames[0], frames[1]])
    assert said.speech.application(0).name in ("", "www.example.com")  # type: ignore[union-attr]


def test_a_greeting_in_two_segments_when_only_first_data_is_looked_at(tmp_path: Any, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hello = client_hello()
    other = [udp(bytes(9), 1000 + n, 2000) for n in range(50)]
    path = tmp_path / "hello.pcap"
    made = [tcp(hello[:100], 50000, 443), *other, tcp(hello[100:], 50000, 443, seq=101), tcp(b"later", 50000, 443, seq=900)]
    path.write_bytes(pcap(Frame(START_NS + n, f) for n, f in enumerate(made)))
    monkeypatch.setenv("PCAPNAT_KERNELS", "")
    _, found, speech = conversations(str(path))
    said = speech.application(0)
    assert said
    assert (said.protocol, said.name, said.alpn, said.row) == ("tls", "www.example.com", ["h2", "http/1.1"], 0)
    assert len(found) == 51


def test_both_ends_of_ssh(mode: str) -> None:
    server, client = b"SSH-2.0-OpenSSH_9.6 Debian\r\n", b"SSH-2.0-PuTTY_0.80\r\n"
    port, said = read([back(tcp, server, 50000, 22), tcp(client, 50000, 22), tcp(b"SSH-x", 50000, 22)])
    assert topics(port) == [(1, Topic.SSH), (2, Topic.SSH)]
    application = said.speech.application(0)
    assert application
    assert application.name == "OpenSSH_9.6 Debian"
    assert application.details == {"server": "OpenSSH_9.6 Debian", "client": "PuTTY_0.80"}


def test_media_behind_stun_is_not_picked(mode: str) -> None:
    media = b"\x80\x60" + bytes(160)
    port, _ = read([udp(STUN, 50000, 3478), *[udp(media, 50000, 3478)] * 5, udp(STUN, 50000, 3478), udp(b"\x40\0\0\4data", 50000, 3478)])
    assert topics(port) == [(1, Topic.STUN), (7, Topic.STUN)]


def test_of_ftp_and_smb_only_what_holds_an_address(mode: str) -> None:
    tree = b"\0\0\0\x60\xfeSMB" + struct.pack("<HHIHHI", 64, 0, 0, 3, 1, 0) + bytes(80)
    port, _ = read(
        [
            back(tcp, b"220 FTP ready\r\n", 50000, 21), tcp(b"USER x\r\n", 50000, 21), tcp(b"port 10,0,0,1,4,1\r\n", 50000, 21),
            tcp(b"LIST\r\n", 50000, 21), tcp(SMB2, 50001, 445), tcp(SMB2[:16] + b"\5" + SMB2[17:], 50001, 445), tcp(tree, 50001, 445),
        ]
    )  # fmt: skip
    assert topics(port) == [(1, Topic.FTP), (3, Topic.FTP), (5, Topic.SMB), (7, Topic.SMB)]


def test_a_conversation_that_does_not_tell_is_given_up() -> None:
    silent = [tcp(b"????????", 50000, 9999)] * pick.TRIES
    port, _ = read([*silent, tcp(b"GET / HTTP/1.1\r\n", 50000, 9999)])
    assert port.picked.spoken.tolist() == [0]
    port, _ = read([*silent[1:], tcp(b"GET / HTTP/1.1\r\n", 50000, 9999)])
    assert port.picked.spoken.tolist() == [Topic.HTTP]


def test_bridges_are_told_from_others_that_share_their_addresses(mode: str) -> None:
    group, cisco, pvst = b"\1\x80\xc2\0\0\0", b"\1\0\x0c\xcc\xcc\xcc", b"\1\0\x0c\xcc\xcc\xcd"
    frames = [
        llc(bytes(35), group, b"\x42\x42\3"), llc(bytes(35), group, b"\xfe\xfe\3"),
        llc(bytes(35), cisco, b"\xaa\xaa\3\0\0\x0c\x20\0"), llc(bytes(35), cisco, b"\xaa\xaa\3\0\0\x0c\x20\3"),
        llc(bytes(35), pvst, b"\xaa\xaa\3\0\0\x0c\1\x0b"), llc(b"", group, b"\x42\x42\3"),
    ]  # fmt: skip
    port, _ = read(frames)
    assert topics(port) == [(1, Topic.STP), (3, Topic.CDP), (5, Topic.STP)]


def test_what_finds_no_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pick, "MOST_EXCERPTS", 3)
    monkeypatch.setattr(picker, "MOST_EXCERPTS", 3)
    port, said = read([udp(dns_query(f"host{n}.example", n), 50000 + n, 53) for n in range(8)])
    assert len(port.picked.excerpts) == 3
    assert said.left == {Topic.DNS: 5}
    assert port.picked.left_ns == START_NS + 3_000_000
    assert said.queries.code.tolist() == [-2, -2, -2], "their answers may be among what found no room"
    monkeypatch.setattr(pick, "MOST_EXCERPTS", 200_000)
    monkeypatch.setattr(pick, "MOST_BYTES", 100)
    port, said = read([udp(dns_query(f"host{n}.example", n), 50000 + n, 53) for n in range(8)])
    assert len(port.picked.data) <= 100
    assert said.left == {Topic.DNS: 5}


def test_frames_of_another_interface_are_not_read(tmp_path: Any) -> None:

    path = tmp_path / "two.pcapng"
    frame = arp(1, "10.0.0.1", "10.0.0.2")
    frames = b"".join(enhanced("<", n, frame, iface=n % 2) for n in range(4))
    path.write_bytes(section("<") + interface("<", name="a") + interface("<", name="b") + frames)
    port, _ = observe(Point("a", (str(path),), "a"), 64)
    assert port.picked.excerpts.row.tolist() == [0, 2]


def test_long_messages_are_kept_up_to_a_bound() -> None:
    long = b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\nHost: late\r\n\r\n"
    port, said = read([tcp(long, 50000, 80)])
    assert port.picked.excerpts.size.tolist() == [pick.LONGEST]
    assert port.picked.excerpts.whole.tolist() == [len(long)]
    assert said.malformed == {}


def test_labels_of_made_names() -> None:
    assert labels("a.bc.") == b"\1a\2bc\0"
    assert MAC_A.hex() == "02000000000a"
