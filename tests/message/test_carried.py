"""Addresses inside payloads: FTP, SIP with SDP, STUN."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from pathlib import Path

import pytest
from made_messages import CLIENT, SERVER, read, tcp, udp

from pcapnat.address import parse, text
from pcapnat.flow import observe
from pcapnat.message import What, messages
from pcapnat.message.carried import ftp, sip, stun
from pcapnat.terms import Point

CAPTURES = Path(__file__).parents[2] / "captures"


def plain(places: list[tuple[int, tuple[int, int], int]]) -> list[tuple[str, str, int]]:
    """What, address and port as people write them."""
    return [(What(what).label, text(*address), port) for what, address, port in places]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"PORT 192,168,1,10,195,80\r\n", [("ftp port", "192.168.1.10", 50000)]),
        (b"port 10,0,0,1,0,21\r\n", [("ftp port", "10.0.0.1", 21)]),
        (b"EPRT |1|132.235.1.2|6275|\r\n", [("ftp eprt", "132.235.1.2", 6275)]),
        (b"EPRT !2!2001:db8::1!5282!\r\n", [("ftp eprt", "2001:db8::1", 5282)]),
        (b"227 Entering Passive Mode (10,1,2,3,4,5).\r\n", [("ftp pasv", "10.1.2.3", 1029)]),
        (b"227 =10,1,2,3,4,5\r\n", [("ftp pasv", "10.1.2.3", 1029)]),
        (b"229 Entering Extended Passive Mode (|||6446|)\r\n", [("ftp epsv", "::", 6446)]),
        (b"220 ready\r\n", []),
        (b"EPSV\r\n", []),
    ],
)
def test_ftp(line: bytes, found: list[tuple[str, str, int]]) -> None:
    assert plain(ftp(line)) == found


@pytest.mark.parametrize("line", [b"PORT 1,2,3", b"PORT 1,2,3,4,5,600", b"EPRT |1|x|1|", b"EPRT ", b"EPRT |1|1.2.3.4|99999|", b"229 (|||)"])
def test_ftp_that_makes_no_sense(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"no address|no port|not appear"):
        ftp(line + b"\r\n")


SDP = (
    b"v=0\r\no=alice 1 1 IN IP4 192.168.1.10\r\ns=-\r\nc=IN IP4 192.168.1.10\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\n"
    b"m=video 51372/2 RTP/AVP 31\r\nc=IN IP6 2001:db8::7/127\r\n"
)  # fmt: skip


def test_sip_with_sdp() -> None:
    message = (
        b"INVITE sip:bob@biloxi.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.10:5060;rport=40000;received=203.0.113.7\r\n"
        b"Via: SIP/2.0/TCP host.example:5060;branch=x\r\nVia: SIP / 2.0 / UDP [2001:db8::9]\r\n"
        b"Contact: <sip:alice@192.168.1.10:5070>, <sips:a@[2001:db8::1]:5071>\r\nContent-Type: application/sdp\r\n\r\n" + SDP
    )
    assert plain(sip(message)) == [
        ("sip via", "192.168.1.10", 5060), ("sip received", "203.0.113.7", 40000), ("sip via", "2001:db8::9", -1),
        ("sip contact", "192.168.1.10", 5070), ("sip contact", "2001:db8::1", 5071),
        ("sdp media", "192.168.1.10", 49170), ("sdp media", "2001:db8::7", 51372),
    ]  # fmt: skip
    short = b"SIP/2.0 200 OK\r\nv: SIP/2.0/UDP 10.0.0.1;rport=5\r\nm: <sip:10.0.0.2>\r\n\r\n"
    assert plain(sip(short)) == [("sip via", "10.0.0.1", -1), ("sip received", "10.0.0.1", 5), ("sip contact", "10.0.0.2", -1)]
    assert sip(b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP host.example;received=nonsense\r\n\r\nm=audio 5 RTP/AVP 0\r\n") == []


COOKIE, TRANSACTION = b"\x21\x12\xa4\x42", b"0123456789ab"


def attribute(kind: int, address: str, port: int, mask: bytes = bytes(16)) -> bytes:
    """A (XOR-)MAPPED-ADDRESS."""
    packed = ip_address(address).packed
    hidden = bytes(a ^ b for a, b in zip(packed, mask, strict=False))
    value = struct.pack("!BBH", 0, 1 if len(packed) == 4 else 2, port ^ int.from_bytes(mask[:2], "big")) + hidden
    return struct.pack("!HH", kind, len(value)) + value


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::7"])
def test_stun(address: str) -> None:
    mask = COOKIE + TRANSACTION
    body = struct.pack("!HH3sx", 0x8022, 3, b"abc") + attribute(0x0020, address, 40000, mask) + attribute(1, address, 40000)
    body += attribute(0x0016, "198.51.100.1", 50000, mask)
    message = struct.pack("!HH", 0x0101, len(body)) + mask + body
    assert plain(stun(message)) == [("stun mapped", address, 40000), ("stun relayed", "198.51.100.1", 50000)]
    assert stun(b"\0\1" + message[2:]) == [], "a request has none to believe"
    assert plain(stun(message[:-5])) == [("stun mapped", address, 40000)]
    with pytest.raises(ValueError, match="address"):
        stun(message[:20] + b"\0\1\0\4\0\1\0\0")


def test_rows_and_conversations() -> None:
    response = struct.pack("!HH", 0x0101, 12) + COOKIE + TRANSACTION + attribute(0x0020, "203.0.113.7", 40000, COOKIE)
    frames = [
        udp(response, 3478, 50000, SERVER, CLIENT),
        tcp(b"220 FTP\r\n", 21, 50000, src=SERVER, dst=CLIENT),
        tcp(b"PORT 192,168,1,10,195,80\r\n", 50000, 21),
        tcp(b"PORT nonsense\r\n", 50000, 21),
    ]
    _, said = read(frames)
    c = said.carried
    assert c.row.tolist() == [0, 2]
    assert c.conversation.tolist() == [0, 1]
    assert c.what.tolist() == [What.STUN_MAPPED, What.FTP_PORT]
    assert [tuple(a) for a in c.address.tolist()] == [parse("203.0.113.7"), parse("192.168.1.10")]
    assert c.port.tolist() == [40000, 50000]
    assert {t.label: n for t, n in said.malformed.items()} == {"ftp": 1}


def test_a_nat_that_knows_ftp() -> None:
    """The bundled pair: PORT names the inside address inside and the outside address outside, where conntrack rewrote it."""
    found = {}
    for side in ("inside", "outside"):
        port, _ = observe(Point(side, (str(CAPTURES / "linux-ftp-alg" / f"{side}.pcap"),)), 64)
        c = messages(port.picked).carried
        found[side] = {text(*a) for a in c.address[c.what == What.FTP_PORT].tolist()}
    assert found == {"inside": {"192.168.1.11", "192.168.1.12"}, "outside": {"203.0.113.10"}}
